#define _GNU_SOURCE /* memrchr */
#include "rules/name_hash.h"

uint64_t name_hash(const struct hash_key *k, uint32_t space, const void *name, size_t n)
{
	uint8_t room[NAME_HASH_ROOM] = {0};
	const uint8_t *p = name, *end = p + n;
	uint64_t chain = NAME_HASH_START;
	if (n < sizeof(room)) {
		memcpy(room, p, n);
		p = room;
		end = room + sizeof(room);
	}
	for (size_t to = n;;) {
		const uint8_t *dot = memrchr(p, '.', to);
		size_t from = dot ? (size_t)(dot + 1 - p) : 0;
		chain = name_hash_label(k, chain, p + from, to - from, end);
		if (!dot)
			return name_hash_end(k, space, chain);
		to = from - 1;
	}
}
