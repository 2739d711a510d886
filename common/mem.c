#include "common/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Size classes are powers of two from 64 bytes; the largest that is kept for
 * reuse is 64 KiB. Larger blocks go back to malloc at once. A block is charged
 * at the size of its class. */
#define CLASS_SMALLEST 64u
#define CLASS_COUNT    11

/* What is looked at for each packet of a flow lies all over a worker's memory: with small
 * pages each look would cost a walk through the page tables as well, and each page a
 * fault. A budget that is not worth it, and builds that watch every block's ends, take
 * theirs from malloc. */
#define CHUNK     ((size_t)2 << 20)
#define CHUNKS_AT (4 * CHUNK)
#ifdef __SANITIZE_ADDRESS__
#define CUT_CHUNKS 0
#else
#define CUT_CHUNKS 1
#endif

struct mem_chunk {
	_Alignas(CLASS_SMALLEST) struct mem_chunk *next;
};

static int class_of(size_t n)
{
	return n <= CLASS_SMALLEST ? 0 : 64 - __builtin_clzll((n - 1) / CLASS_SMALLEST);
}

static size_t charge_of(int c, size_t n)
{
	return c < CLASS_COUNT ? (size_t)CLASS_SMALLEST << c : n;
}

void mem_init(struct mem *m, size_t limit)
{
	*m = (struct mem){.limit = limit};
}

static _Bool cuts_chunks(const struct mem *m)
{
	return CUT_CHUNKS && m->limit >= CHUNKS_AT;
}

void mem_close(struct mem *m)
{
	while (m->chunk) {
		struct mem_chunk *next = m->chunk->next;
		free(m->chunk);
		m->chunk = next;
	}
	for (int c = 0; c < CLASS_COUNT && !cuts_chunks(m); c++) {
		while (m->free_list[c]) {
			void *next = *(void **)m->free_list[c];
			free(m->free_list[c]);
			m->free_list[c] = next;
		}
	}
	assert(m->used == 0);
}

/* A block of a class from the front chunk, or from a new one: what is left of the front
 * one then stays unused. */
static void *cut(struct mem *m, size_t size)
{
	if (m->chunk_left < size) {
		struct mem_chunk *c = aligned_alloc(CHUNK, CHUNK);
		if (!c)
			return NULL;
		madvise(c, CHUNK, MADV_HUGEPAGE); /* advice */
		c->next = m->chunk;
		m->chunk = c;
		m->chunk_left = CHUNK - sizeof(*c);
	}
	m->chunk_left -= size;
	return (char *)m->chunk + CHUNK - m->chunk_left - size;
}

static void *block_new(struct mem *m, int c, size_t size)
{
	if (c < CLASS_COUNT && cuts_chunks(m))
		return cut(m, size);
	return c < CLASS_COUNT ? aligned_alloc(CLASS_SMALLEST, size) : malloc(size);
}

_Bool mem_charge(struct mem *m, size_t n)
{
	if (n > m->limit || m->used > m->limit - n) {
		m->refused++;
		return 0;
	}
	m->used += n;
	if (m->used > m->peak)
		m->peak = m->used;
	return 1;
}

void mem_discharge(struct mem *m, size_t n)
{
	m->used -= n;
}

static void *take(struct mem *m, int c, size_t size)
{
	if (c >= CLASS_COUNT || !m->free_list[c])
		return block_new(m, c, size);
	void *p = m->free_list[c];
	m->free_list[c] = *(void **)p;
	return p;
}

void *mem_alloc_raw(struct mem *m, size_t n)
{
	int c = class_of(n);
	size_t size = charge_of(c, n);
	if (size < n) {
		m->refused++;
		return NULL;
	}
	if (!mem_charge(m, size))
		return NULL;
	void *p = take(m, c, size);
	if (!p) {
		mem_discharge(m, size);
		m->refused++;
	}
	return p;
}

void *mem_alloc(struct mem *m, size_t n)
{
	void *p = mem_alloc_raw(m, n);
	return p ? memset(p, 0, n) : NULL;
}

void mem_free(struct mem *m, void *p, size_t n)
{
	if (!p)
		return;
	int c = class_of(n);
	m->used -= charge_of(c, n);
	if (c < CLASS_COUNT) {
		*(void **)p = m->free_list[c];
		m->free_list[c] = p;
	} else {
		free(p);
	}
}

#define CARRY_FIRST 256u

_Bool carry_push(struct mem *m, struct carry *c, const void *data, size_t n, size_t max)
{
	if (n > max || c->n > max - n || max > UINT32_MAX / 2)
		return 0;
	if (!n)
		return 1;
	if (c->n + n > c->cap) {
		size_t cap = c->cap ? c->cap : CARRY_FIRST;
		while (cap < c->n + n)
			cap *= 2;
		uint8_t *p = mem_alloc_raw(m, cap);
		if (!p)
			return 0;
		if (c->n)
			memcpy(p, c->p, c->n);
		mem_free(m, c->p, c->cap);
		c->p = p;
		c->cap = (uint32_t)cap;
	}
	memcpy(c->p + c->n, data, n);
	c->n += (uint32_t)n;
	return 1;
}

void carry_shift(struct carry *c, size_t n)
{
	assert(n <= c->n);
	c->n -= (uint32_t)n;
	if (n && c->n)
		memmove(c->p, c->p + n, c->n);
}

void carry_free(struct mem *m, struct carry *c)
{
	mem_free(m, c->p, c->cap);
	*c = (struct carry){0};
}
