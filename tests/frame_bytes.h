/* Numbers in network order and the checksum of RFC 1071, for programs that make frames. */
#ifndef TESTS_FRAME_BYTES_H
#define TESTS_FRAME_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

/* Adds n bytes to the sum s. */
static inline uint32_t sum(const uint8_t *p, size_t n, uint32_t s)
{
	for (; n > 1; p += 2, n -= 2)
		s += (uint32_t)(p[0] << 8 | p[1]);
	return n ? s + (uint32_t)(*p << 8) : s;
}

static inline unsigned fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return ~s & 0xffff;
}

#endif
