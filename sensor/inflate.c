/* See inflate.h. Each library is a row of three functions: begin, step, end. A
 * step takes input and gives output through struct step until one of the two
 * is used up; the loop around it hands the output on and watches for bombs. */
#include "sensor/inflate.h"

#include <string.h>

#include <brotli/decode.h>
#include <zlib.h>
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_createDCtx_advanced: memory from our budget */
#include <zstd.h>

#include "common/text.h"
#include "common/scratch.h"

#define OUT_BYTES   16384
#define MAGIC_BYTES 2 /* enough to tell gzip (1f 8b), zlib (RFC 1950) and raw deflate apart */

struct inflate {
	struct mem *mem;
	enum coding coding;
	uint8_t magic[MAGIC_BYTES];
	uint8_t magic_n;
	bool begun, ended, plain;
	uint64_t in_bytes, out_bytes;
	z_stream zlib;
	BrotliDecoderState *brotli;
	ZSTD_DCtx *zstd;
};

struct step {
	const uint8_t *in;
	size_t in_n;
	uint8_t *out;
	size_t out_n; /* room, then what is left of it */
};

/* The libraries free without a size: it stands before the block. */
#define BLOCK_HEAD 16

static void *block_alloc(void *mem, size_t n)
{
	if (n > SIZE_MAX - BLOCK_HEAD)
		return NULL;
	uint8_t *p = mem_alloc_raw(mem, n + BLOCK_HEAD);
	if (!p)
		return NULL;
	memcpy(p, &n, sizeof(n));
	return p + BLOCK_HEAD;
}

static void block_free(void *mem, void *block)
{
	if (!block)
		return;
	uint8_t *p = (uint8_t *)block - BLOCK_HEAD;
	size_t n;
	memcpy(&n, p, sizeof(n));
	mem_free(mem, p, n + BLOCK_HEAD);
}

static void *zlib_alloc(void *mem, uInt items, uInt size)
{
	return block_alloc(mem, (size_t)items * size);
}

static const struct {
	const char *name;
	enum coding coding;
} codings[] = {
    {"identity", CODING_IDENTITY}, {"gzip", CODING_GZIP}, {"x-gzip", CODING_GZIP}, {"deflate", CODING_DEFLATE},
    {"x-deflate", CODING_DEFLATE}, {"br", CODING_BROTLI}, {"zstd", CODING_ZSTD},
};

enum coding coding_parse(const void *name, size_t n)
{
	for (size_t i = 0; i < sizeof(codings) / sizeof(codings[0]); i++)
		if (text_equal_fold(name, n, codings[i].name, strlen(codings[i].name)))
			return codings[i].coding;
	return CODING_COUNT;
}

struct inflate *inflate_new(struct mem *mem, enum coding coding)
{
	if (coding == CODING_IDENTITY || coding >= CODING_COUNT)
		return NULL;
	struct inflate *z = mem_alloc(mem, sizeof(*z));
	if (!z)
		return NULL;
	z->mem = mem;
	z->coding = coding;
	return z;
}

void inflate_free(struct inflate *z)
{
	if (!z)
		return;
	if (z->begun && !z->plain) {
		if (z->coding == CODING_BROTLI)
			BrotliDecoderDestroyInstance(z->brotli);
		else if (z->coding == CODING_ZSTD)
			ZSTD_freeDCtx(z->zstd);
		else
			inflateEnd(&z->zlib);
	}
	mem_free(z->mem, z, sizeof(*z));
}

/* RFC 1952 2.3.1; RFC 1950 2.2: method 8, and the two bytes divisible by 31. */
static bool gzip_magic(const uint8_t m[static MAGIC_BYTES])
{
	return m[0] == 0x1f && m[1] == 0x8b;
}

static bool zlib_magic(const uint8_t m[static MAGIC_BYTES])
{
	return (m[0] & 0x0f) == 8 && (m[0] << 8 | m[1]) % 31 == 0;
}

static bool begin_zlib(struct inflate *z)
{
	bool gzip = gzip_magic(z->magic);
	z->plain = z->coding == CODING_GZIP && !gzip;
	if (z->plain)
		return true;
	z->zlib = (z_stream){.zalloc = zlib_alloc, .zfree = block_free, .opaque = z->mem};
	int window = gzip ? 16 + MAX_WBITS : zlib_magic(z->magic) ? MAX_WBITS : -MAX_WBITS;
	return inflateInit2(&z->zlib, window) == Z_OK;
}

static bool begin_brotli(struct inflate *z)
{
	z->brotli = BrotliDecoderCreateInstance(block_alloc, block_free, z->mem);
	return z->brotli != NULL;
}

static bool begin_zstd(struct inflate *z)
{
	z->zstd = ZSTD_createDCtx_advanced((ZSTD_customMem){block_alloc, block_free, z->mem});
	return z->zstd && !ZSTD_isError(ZSTD_DCtx_setParameter(z->zstd, ZSTD_d_windowLogMax, INFLATE_WINDOW_LOG_MAX));
}

static bool begin(struct inflate *z)
{
	bool ok = z->coding == CODING_BROTLI ? begin_brotli(z)
		  : z->coding == CODING_ZSTD ? begin_zstd(z)
					     : begin_zlib(z);
	z->begun = ok;
	if (!ok && z->zstd)
		ZSTD_freeDCtx(z->zstd);
	return ok;
}

static enum inflated step_zlib(struct inflate *z, struct step *s)
{
	z->zlib.next_in = (Bytef *)(uintptr_t)s->in; /* zlib does not write here; its type lacks the const */
	z->zlib.avail_in = (uInt)s->in_n;
	z->zlib.next_out = s->out;
	z->zlib.avail_out = (uInt)s->out_n;
	int rc = inflate(&z->zlib, Z_NO_FLUSH);
	s->in += s->in_n - z->zlib.avail_in;
	s->in_n = z->zlib.avail_in;
	s->out_n = z->zlib.avail_out;
	if (rc == Z_STREAM_END)
		return INFLATE_END;
	if (rc == Z_MEM_ERROR)
		return INFLATE_MEMORY;
	return rc == Z_OK || rc == Z_BUF_ERROR ? INFLATE_MORE : INFLATE_BAD;
}

static enum inflated step_brotli(struct inflate *z, struct step *s)
{
	BrotliDecoderResult rc = BrotliDecoderDecompressStream(z->brotli, &s->in_n, &s->in, &s->out_n, &s->out, NULL);
	if (rc == BROTLI_DECODER_RESULT_SUCCESS)
		return INFLATE_END;
	return rc == BROTLI_DECODER_RESULT_ERROR ? INFLATE_BAD : INFLATE_MORE;
}

static enum inflated step_zstd(struct inflate *z, struct step *s)
{
	ZSTD_inBuffer in = {.src = s->in, .size = s->in_n};
	ZSTD_outBuffer out = {.dst = s->out, .size = s->out_n};
	size_t rc = ZSTD_decompressStream(z->zstd, &out, &in);
	s->in += in.pos;
	s->in_n -= in.pos;
	s->out_n -= out.pos;
	return ZSTD_isError(rc) ? INFLATE_BAD : INFLATE_MORE; /* frames may follow one another */
}

static enum inflated step(struct inflate *z, struct step *s)
{
	if (z->coding == CODING_BROTLI)
		return step_brotli(z, s);
	return z->coding == CODING_ZSTD ? step_zstd(z, s) : step_zlib(z, s);
}

static bool bomb(const struct inflate *z)
{
	return z->out_bytes > INFLATE_BYTES_MAX ||
	       (z->out_bytes > INFLATE_FREE_BYTES && z->out_bytes / INFLATE_RATIO_MAX > z->in_bytes);
}

/* gzip allows members in a row (RFC 1952 2.2). */
static bool next_member(struct inflate *z, const struct step *s)
{
	return z->coding == CODING_GZIP && s->in_n >= MAGIC_BYTES && gzip_magic(s->in) &&
	       inflateReset(&z->zlib) == Z_OK;
}

static enum inflated run(struct inflate *z, const uint8_t *p, size_t n, inflate_sink *sink, void *ctx)
{
	SCRATCH uint8_t out[OUT_BYTES];
	struct step s = {.in = p, .in_n = n};
	for (;;) {
		s.out = out;
		s.out_n = sizeof(out);
		size_t before = s.in_n;
		enum inflated r = step(z, &s);
		size_t got = sizeof(out) - s.out_n;
		z->in_bytes += before - s.in_n;
		z->out_bytes += got;
		if (got && !sink(ctx, out, got))
			return INFLATE_BAD;
		if (bomb(z))
			return INFLATE_BOMB;
		if (r == INFLATE_END && next_member(z, &s))
			continue;
		z->ended = r == INFLATE_END;
		bool stuck = got < sizeof(out) && (s.in_n == 0 || s.in_n == before);
		if (r != INFLATE_MORE || stuck)
			return r;
	}
}

enum inflated inflate_data(struct inflate *z, const uint8_t *p, size_t n, inflate_sink *sink, void *ctx)
{
	while (!z->begun && z->magic_n < MAGIC_BYTES && n) {
		z->magic[z->magic_n++] = *p++;
		n--;
	}
	if (z->magic_n < MAGIC_BYTES)
		return INFLATE_MORE;
	if (!z->begun) {
		if (!begin(z))
			return INFLATE_MEMORY;
		enum inflated r = INFLATE_MORE;
		if (z->plain)
			(void)sink(ctx, z->magic, MAGIC_BYTES);
		else
			r = run(z, z->magic, MAGIC_BYTES, sink, ctx);
		if (r != INFLATE_MORE)
			return r;
	}
	if (z->ended)
		return INFLATE_END;
	if (z->plain)
		return sink(ctx, p, n) ? INFLATE_MORE : INFLATE_BAD;
	return n ? run(z, p, n, sink, ctx) : INFLATE_MORE;
}
