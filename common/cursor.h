/* Bytes from outside are never indexed: they are read through this cursor. An
 * out-of-bounds read makes it bad and gives zeroes from then on; one check of
 * cursor_ok() at the end decides whether to believe what was read. All
 * multi-byte reads are big-endian unless the name says le. */
#ifndef COMMON_CURSOR_H
#define COMMON_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
	const uint8_t *p, *end;
	bool bad;
};

/* A run of bytes inside somebody else's buffer: borrowed, not terminated. */
struct bytes {
	const uint8_t *p;
	size_t n;
};

static inline struct cursor cursor_over(const void *data, size_t n)
{
	const uint8_t *p = data;
	return (struct cursor){.p = p, .end = p ? p + n : p, .bad = false};
}

static inline bool cursor_ok(const struct cursor *c)
{
	return !c->bad;
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->p);
}

/* Steps over n bytes and gives where they begin, or NULL and a bad cursor. */
static inline const uint8_t *cursor_take(struct cursor *c, size_t n)
{
	if (c->bad || cursor_left(c) < n) {
		c->bad = true;
		c->p = c->end;
		return NULL;
	}
	const uint8_t *at = c->p;
	c->p += n;
	return at;
}

static inline void cursor_skip(struct cursor *c, size_t n)
{
	(void)cursor_take(c, n);
}

static inline uint8_t cursor_u8(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 1);
	return p ? p[0] : 0;
}

static inline uint16_t cursor_u16(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 2);
	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t cursor_u24(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 3);
	return p ? (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2] : 0;
}

static inline uint32_t cursor_u32(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 4);
	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t cursor_u64(struct cursor *c)
{
	uint64_t hi = cursor_u32(c);
	return hi << 32 | cursor_u32(c);
}

static inline uint16_t cursor_u16le(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 2);
	return p ? (uint16_t)(p[1] << 8 | p[0]) : 0;
}

static inline uint32_t cursor_u32le(struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 4);
	return p ? (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0] : 0;
}

static inline uint64_t cursor_u64le(struct cursor *c)
{
	uint64_t lo = cursor_u32le(c);
	return (uint64_t)cursor_u32le(c) << 32 | lo;
}

/* The next n bytes as a cursor of their own; bad when they are not there. */
static inline struct cursor cursor_sub(struct cursor *c, size_t n)
{
	const uint8_t *p = cursor_take(c, n);
	struct cursor sub = cursor_over(p, p ? n : 0);
	sub.bad = c->bad;
	return sub;
}

/* The next n bytes; {NULL, 0} and a bad cursor when they are not there. */
static inline struct bytes cursor_bytes(struct cursor *c, size_t n)
{
	const uint8_t *p = cursor_take(c, n);
	return (struct bytes){.p = p, .n = p ? n : 0};
}

#endif
