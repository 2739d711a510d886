/* Writing the lookup part of a compiled set: Bloom filter, table, CIDR filters.
 * For those who make sets (ruleset_build.c, ruleset_delta.c); asking is ruleset.c's. */
#ifndef RULES_RULESET_TABLE_H
#define RULES_RULESET_TABLE_H

#include "rules/ruleset_format.h"

/* What is hashed for a key: the space, the prefix length, and the bytes. */
struct lookup_key {
	uint32_t space, length;
	struct bytes key; /* of the canonical key: a folder of a URL prefix, 16 bytes of an address */
};

/* The key that an indicator or allow entry with this canonical value is filed under. */
struct lookup_key lookup_key(enum indicator_type t, enum match_mode match, bool allow, struct bytes key);
uint64_t lookup_hash(const struct hash_key *k, const struct lookup_key *key);
bool lookup_same(const struct lookup_key *x, const struct lookup_key *y);

void bloom_add(uint32_t *bloom, uint32_t blocks, uint64_t h);

/* Into the first place that is free (*taken counts it) or holds `gone`
 * (RULESET_NONE: none does). False: RULESET_PROBES lines are full. */
bool table_add(struct ruleset_line *table, uint32_t lines, uint64_t h, uint32_t ref, uint32_t gone, uint32_t *taken);

/* The bits of a CIDR filter for so many prefixes, 0 for none. */
uint8_t filter_bits(uint32_t prefixes);
/* Sets all bits that a prefix of this length (in its family) touches. */
void filter_add(uint8_t *map, unsigned bits, const struct addr *a, bool v4, unsigned length);

unsigned name_labels(struct bytes name); /* 63: 63 or more */
/* Notes a prefix length; true when it is shorter than a whole address. */
bool note_length(struct ruleset_lengths *l, struct bytes key, uint32_t *hosts, bool *v4);

#endif
