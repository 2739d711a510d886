#include "sensor/seen.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/hash.h"

#define SLOTS (SEEN_GENERATION * 2u) /* open addressing, at most half full */

struct entry {
	uint32_t flow, indicator;
	uint16_t place, used;
};

struct seen {
	struct hash_key key;
	struct entry *filling, *before; /* this generation and the one before it */
	size_t n;
	bool any; /* something was added since it was empty */
};

struct seen *seen_new(void)
{
	struct seen *s = xcalloc(1, sizeof(*s));
	hash_key_random(&s->key);
	s->filling = xcalloc(SLOTS, sizeof(struct entry));
	s->before = xcalloc(SLOTS, sizeof(struct entry));
	return s;
}

void seen_free(struct seen *s)
{
	if (!s)
		return;
	free(s->filling);
	free(s->before);
	free(s);
}

/* The entry's slot, or the free one where it would stand. */
static struct entry *find(struct entry *table, uint64_t hash, const struct entry *want)
{
	for (size_t i = hash % SLOTS;; i = (i + 1) % SLOTS)
		if (!table[i].used || memcmp(&table[i], want, sizeof(*want)) == 0)
			return &table[i];
}

bool seen_add(struct seen *s, uint32_t flow, uint32_t indicator, uint16_t place)
{
	struct entry want = {.flow = flow, .indicator = indicator, .place = place, .used = 1};
	uint64_t hash = hash64(&s->key, &want, sizeof(want));
	struct entry *here = find(s->filling, hash, &want);
	if (here->used || find(s->before, hash, &want)->used)
		return false;
	*here = want;
	s->any = true;
	if (++s->n == SEEN_GENERATION) {
		struct entry *old = s->before;
		s->before = s->filling;
		s->filling = old;
		memset(old, 0, SLOTS * sizeof(*old));
		s->n = 0;
	}
	return true;
}

/* Tables that were never written to are not touched: their pages do not exist. */
void seen_clear(struct seen *s)
{
	if (!s->any)
		return;
	memset(s->filling, 0, SLOTS * sizeof(struct entry));
	memset(s->before, 0, SLOTS * sizeof(struct entry));
	s->n = 0;
	s->any = false;
}
