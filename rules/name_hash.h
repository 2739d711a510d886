/* The keyed hash of names in canonical form: label by label from the right, so
 * that one walk over a name gives the hash of each of its parents, which is what
 * a lookup asks for. A label takes a folded multiplication with a word of the
 * secret per 16 bytes; a collision costs a comparison of the whole key, never a
 * wrong hit. */
#ifndef RULES_NAME_HASH_H
#define RULES_NAME_HASH_H

#include "common/hash.h"
#include "common/scratch.h"
#include "common/swar.h"

#define NAME_HASH_START UINT64_C(0x9e3779b97f4a7c15)
#define NAME_HASH_ROOM  16 /* shorter texts are copied into so much room first */

static inline uint64_t fold_multiply(uint64_t x, uint64_t y)
{
	unsigned __int128 product = (unsigned __int128)x * y;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* One more label in front. The label of n bytes lies in a text that ends at
 * `end` and has at least NAME_HASH_ROOM bytes: whole words are read. */
static inline uint64_t name_hash_label(const struct hash_key *k, uint64_t chain, const uint8_t *label, size_t n,
				       const uint8_t *end)
{
	uint64_t s, length = n;
	memcpy(&s, k->secret + 32, sizeof(s));
	for (; n > 16; label += 16, n -= 16)
		chain = fold_multiply(swar_load(label) ^ s, swar_load(label + 8) ^ chain);
	if (n > 8)
		return fold_multiply(swar_load(label) ^ s ^ length, swar_load_part(label + 8, n - 8, end) ^ chain);
	return fold_multiply((n ? swar_load_part(label, n, end) : 0) ^ s ^ length, chain);
}

/* Sixteen bytes of a label at once, in the compiler's portable vectors. */
typedef signed char name_bytes __attribute__((vector_size(16)));
typedef uint64_t name_words __attribute__((vector_size(16)));

/* Bit by bit, the first n bytes: n from 1 to 16. */
static inline name_bytes name_bytes_mask(size_t n)
{
	static const uint8_t ones[32] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	name_bytes mask;
	memcpy(&mask, ones + 16 - n, sizeof(mask));
	return mask;
}

/* Sixteen bytes from p on of a text that ends at `end` and has at least as many; behind it zeroes. */
static inline name_bytes name_bytes_load(const uint8_t *p, const uint8_t *end)
{
	name_bytes v;
	SCRATCH uint8_t room[32];
	if (end - p < 16) {
		memcpy(room, end - 16, 16);
		memset(room + 16, 0, 16);
		p = room + 16 - (end - p);
	}
	memcpy(&v, p, sizeof(v));
	return v;
}

/* One more label in front, as it stands in a DNS message (n from 1 to 63) of 16 bytes and
 * more that ends at `end`. Lower-cased on the way in the cheapest manner: of what is not
 * in the names of rules (letters, digits, '-' and '_') some becomes other of it, which
 * can make no name one that is listed. Some byte of *unplain is no longer 0 when the label
 * holds control characters, or bytes above 127, whose canonical form is another. */
static inline uint64_t name_hash_wire_label(const struct hash_key *k, uint64_t chain, const uint8_t *label, size_t n,
					    const uint8_t *end, name_bytes *unplain)
{
	uint64_t s, length = n;
	memcpy(&s, k->secret + 32, sizeof(s));
	for (;; label += 16, n -= 16) {
		name_bytes mask = name_bytes_mask(n < 16 ? n : 16);
		name_bytes v = name_bytes_load(label, end);
		*unplain |= (v < 0x20) & mask;
		name_words w = (name_words)((v | (~(v == '_') & 0x20)) & mask);
		uint64_t first = le64toh(w[0]) ^ s, second = le64toh(w[1]) ^ chain;
		if (n <= 16)
			return fold_multiply(first ^ length, second);
		chain = fold_multiply(first, second);
	}
}

/* The hash of the name whose labels are in the chain. space: what it is looked up as. */
static inline uint64_t name_hash_end(const struct hash_key *k, uint32_t space, uint64_t chain)
{
	uint64_t s[2];
	memcpy(s, k->secret + 40, sizeof(s));
	return fold_multiply(chain ^ s[0] ^ space, s[1] | 1);
}

/* The whole name at once. */
uint64_t name_hash(const struct hash_key *k, uint32_t space, const void *name, size_t n);

#endif
