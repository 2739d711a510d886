/* Eight bytes of text at once, in a 64-bit word: for names, which are read, lower-
 * cased, hashed and searched for dots with every DNS packet. A word holds its
 * first byte lowest, whatever the machine's order. */
#ifndef COMMON_SWAR_H
#define COMMON_SWAR_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SWAR_ONES UINT64_C(0x0101010101010101)
#define SWAR_HIGH (SWAR_ONES * 0x80)

static inline uint64_t swar_load(const void *p)
{
	uint64_t w;
	memcpy(&w, p, sizeof(w));
	return le64toh(w);
}

static inline void swar_store(void *p, uint64_t w)
{
	w = htole64(w);
	memcpy(p, &w, sizeof(w));
}

/* The first n bytes of a word, n from 1 to 8. */
static inline uint64_t swar_mask(size_t n)
{
	return ~UINT64_C(0) >> (64 - 8 * n);
}

/* The n bytes at p, 1 to 8, of a text that ends at `end` and has at least 15 bytes. */
static inline uint64_t swar_load_part(const uint8_t *p, size_t n, const uint8_t *end)
{
	return (size_t)(end - p) >= 8 ? swar_load(p) & swar_mask(n) : swar_load(p + n - 8) >> (64 - 8 * n);
}

/* A byte is 'A'..'Z' when adding pushes it over 'A' but not over 'Z' in its
 * seven low bits, and its high bit was clear. */
static inline uint64_t swar_lower(uint64_t w)
{
	uint64_t low = w & ~SWAR_HIGH;
	uint64_t upper = (low + SWAR_ONES * (0x80 - 'A')) & ~(low + SWAR_ONES * (0x7f - 'Z')) & ~w & SWAR_HIGH;
	return w | upper >> 2;
}

/* Not 0 when some byte is 0 (with a mark in the first such byte, perhaps in later ones). */
static inline uint64_t swar_zero(uint64_t w)
{
	return (w - SWAR_ONES) & ~w & SWAR_HIGH;
}

/* Not 0 when some byte equals c. */
static inline uint64_t swar_any(uint64_t w, uint8_t c)
{
	return swar_zero(w ^ SWAR_ONES * c);
}

/* Not 0 when some byte is less than c (c up to 128). */
static inline uint64_t swar_less(uint64_t w, uint8_t c)
{
	return (w - SWAR_ONES * c) & ~w & SWAR_HIGH;
}

/* Bit i: byte i equals c. */
static inline unsigned swar_equal(uint64_t w, uint8_t c)
{
	uint64_t x = w ^ SWAR_ONES * c;
	uint64_t same = ~(((x & ~SWAR_HIGH) + ~SWAR_HIGH) | x | ~SWAR_HIGH);
	return (unsigned)((same >> 7) * UINT64_C(0x0102040810204080) >> 56);
}

#endif
