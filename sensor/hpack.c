/* nghttp2's inflater. It allocates through callbacks, so a table bomb meets the
 * worker's budget; sizes that its free() needs stand before each block. */
#include "sensor/hpack.h"

#include <string.h>

#include <nghttp2/nghttp2.h>

#define BLOCK_HEAD 16

struct hpack {
	struct mem *mem;
	nghttp2_mem calls;
	nghttp2_hd_inflater *inflater;
};

static void *block_alloc(size_t n, void *mem)
{
	if (n > SIZE_MAX - BLOCK_HEAD)
		return NULL;
	uint8_t *p = mem_alloc(mem, n + BLOCK_HEAD);
	if (!p)
		return NULL;
	memcpy(p, &n, sizeof(n));
	return p + BLOCK_HEAD;
}

static size_t block_size(const void *block)
{
	size_t n;
	memcpy(&n, (const uint8_t *)block - BLOCK_HEAD, sizeof(n));
	return n;
}

static void block_free(void *block, void *mem)
{
	if (block)
		mem_free(mem, (uint8_t *)block - BLOCK_HEAD, block_size(block) + BLOCK_HEAD);
}

static void *block_calloc(size_t count, size_t size, void *mem)
{
	if (size && count > SIZE_MAX / size)
		return NULL;
	return block_alloc(count * size, mem); /* mem_alloc() zeroes */
}

static void *block_realloc(void *block, size_t n, void *mem)
{
	void *p = block_alloc(n, mem);
	if (!p || !block)
		return p;
	size_t old = block_size(block);
	memcpy(p, block, old < n ? old : n);
	block_free(block, mem);
	return p;
}

struct hpack *hpack_new(struct mem *mem)
{
	struct hpack *h = mem_alloc(mem, sizeof(*h));
	if (!h)
		return NULL;
	h->mem = mem;
	h->calls = (nghttp2_mem){mem, block_alloc, block_free, block_calloc, block_realloc};
	if (nghttp2_hd_inflate_new2(&h->inflater, &h->calls) == 0)
		return h;
	mem_free(mem, h, sizeof(*h));
	return NULL;
}

void hpack_free(struct hpack *h)
{
	if (!h)
		return;
	nghttp2_hd_inflate_del(h->inflater);
	mem_free(h->mem, h, sizeof(*h));
}

void hpack_table_size(struct hpack *h, uint32_t bytes)
{
	(void)nghttp2_hd_inflate_change_table_size(h->inflater, bytes < HPACK_TABLE_MAX ? bytes : HPACK_TABLE_MAX);
}

bool hpack_decode(struct hpack *h, const uint8_t *p, size_t n, bool final, hpack_field *found, void *ctx)
{
	for (;;) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t took = nghttp2_hd_inflate_hd2(h->inflater, &nv, &flags, p, n, final);
		if (took < 0)
			return false;
		p += took;
		n -= (size_t)took;
		if (flags & NGHTTP2_HD_INFLATE_EMIT)
			found(ctx, (struct bytes){nv.name, nv.namelen}, (struct bytes){nv.value, nv.valuelen});
		if (flags & NGHTTP2_HD_INFLATE_FINAL)
			return nghttp2_hd_inflate_end_headers(h->inflater) == 0;
		if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && !n)
			return true;
	}
}
