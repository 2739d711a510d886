#include "rules/ruleset_table.h"

#define PLACE_SPREAD 512u /* bits of the CIDR filter per prefix */

/* ---- keys ---- */

struct lookup_key lookup_key(enum indicator_type t, enum match_mode match, bool allow, struct bytes key)
{
	struct lookup_key k = {.space = space_of(t) | (allow ? SPACE_ALLOW : 0), .key = key};
	if (t == INDICATOR_URL && match == MATCH_PREFIX) {
		size_t folder = 0;
		k.space = SPACE_URL_PREFIX;
		for (size_t end, depth = 0; depth < URL_DEPTH_MAX && (end = url_folder(key.p, key.n, folder)); depth++)
			folder = end;
		k.key.n = folder;
	}
	if (k.space == INDICATOR_IP || k.space == (INDICATOR_IP | SPACE_ALLOW)) {
		struct addr a = addr_v6(key.p);
		k.key.n = 16;
		k.length = t == INDICATOR_IP ? 128u : key.p[16] + (addr_is_v4(&a) ? 96u : 0u);
	}
	return k;
}

uint64_t lookup_hash(const struct hash_key *k, const struct lookup_key *key)
{
	return space_hash(k, key->space, key->length, key->key.p, key->key.n);
}

bool lookup_same(const struct lookup_key *x, const struct lookup_key *y)
{
	return x->space == y->space && x->length == y->length && x->key.n == y->key.n &&
	       memcmp(x->key.p, y->key.p, x->key.n) == 0;
}

/* ---- the hash table ---- */

void bloom_add(uint32_t *bloom, uint32_t blocks, uint64_t h)
{
	uint32_t *block = bloom + (size_t)scale(h, blocks) * BLOOM_WORDS;
	for (int i = 0; i < BLOOM_WORDS; i++)
		block[i] |= 1u << (h >> (5 * i) & 31);
}

bool table_add(struct ruleset_line *table, uint32_t lines, uint64_t h, uint32_t ref, uint32_t gone, uint32_t *taken)
{
	uint32_t at = scale(h, lines);
	for (uint32_t k = 0; k < lines && k < RULESET_PROBES; k++, at = at + 1 == lines ? 0 : at + 1)
		for (int s = 0; s < TABLE_SLOTS; s++) {
			uint32_t *place = &table[at].ref[s];
			if (*place != RULESET_NONE && *place != gone)
				continue;
			*taken += *place == RULESET_NONE;
			*place = ref;
			table[at].fingerprint[s] = fingerprint_of(h);
			return true;
		}
	return false;
}

/* ---- prefixes and names ---- */

uint8_t filter_bits(uint32_t prefixes)
{
	uint8_t bits = FILTER_BITS_MIN;
	if (!prefixes)
		return 0;
	while (bits < FILTER_BITS_MAX && (UINT64_C(1) << bits) < (uint64_t)prefixes * PLACE_SPREAD)
		bits++;
	return bits;
}

void filter_add(uint8_t *map, unsigned bits, const struct addr *a, bool v4, unsigned length)
{
	uint32_t first = filter_bit(a, v4, bits);
	uint32_t n = length < bits ? 1u << (bits - length) : 1;
	for (uint32_t i = first; i < first + n; i++)
		map[i / 8] |= (uint8_t)(1u << (i % 8));
}

unsigned name_labels(struct bytes name)
{
	unsigned n = 1;
	for (size_t i = 0; i < name.n; i++)
		n += name.p[i] == '.';
	return n < 63 ? n : 63;
}

bool note_length(struct ruleset_lengths *l, struct bytes key, uint32_t *hosts, bool *v4)
{
	struct addr a = addr_v6(key.p);
	*v4 = addr_is_v4(&a);
	unsigned length = key.p[16];
	if (length >= (*v4 ? 32u : 128u)) {
		++*hosts;
		return false;
	}
	if (*v4)
		l->v4 |= UINT64_C(1) << length;
	else
		l->v6[length / 64] |= UINT64_C(1) << (length % 64);
	return true;
}
