/* The keyed hash of names in canonical form: label by label from the right, so
 * that one walk over a name gives the hash of each of its parents, which is what
 * a lookup asks for. A label takes a folded multiplication with a word of the
 * secret per 16 bytes; a collision costs a comparison of the whole key, never a
 * wrong hit. */
#ifndef RULES_NAME_HASH_H
#define RULES_NAME_HASH_H

#include "common/hash.h"
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

/* A word of a label on the wire, of which the bytes of `fill` are none of it. */
static inline uint64_t name_hash_wire(uint64_t w, uint64_t fill, uint64_t *unplain)
{
	*unplain |= swar_unplain(w | fill);
	return swar_lower(w);
}

/* The same for a label as it stands in a DNS message (n from 1 to 63) that ends at
 * `end` and has a header ahead: lower-cased on the way. *unplain is no longer 0 when
 * its canonical form is more than that, or when it holds control characters. */
static inline uint64_t name_hash_wire_label(const struct hash_key *k, uint64_t chain, const uint8_t *label, size_t n,
					    const uint8_t *end, uint64_t *unplain)
{
	uint64_t s, length = n, first;
	memcpy(&s, k->secret + 32, sizeof(s));
	for (; n > 16; label += 16, n -= 16) {
		first = name_hash_wire(swar_load(label), 0, unplain);
		chain = fold_multiply(first ^ s, name_hash_wire(swar_load(label + 8), 0, unplain) ^ chain);
	}
	if (n > 8) {
		first = name_hash_wire(swar_load(label), 0, unplain);
		label += 8;
		n -= 8;
		s ^= first;
		first = name_hash_wire(swar_load_part(label, n, end), SWAR_ONES * 'a' & ~swar_mask(n), unplain);
		return fold_multiply(s ^ length, first ^ chain);
	}
	first = name_hash_wire(swar_load_part(label, n, end), SWAR_ONES * 'a' & ~swar_mask(n), unplain);
	return fold_multiply(first ^ s ^ length, chain);
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
