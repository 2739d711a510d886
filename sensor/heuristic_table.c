#include "sensor/heuristic_table.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/hash.h"

#define WAYS 8u

struct tracker {
	struct hash_key key;
	struct ledger *ledger;
	size_t size, cleared, sets, count;
	int64_t stale_us;
	unsigned char *entry;
};

struct tracker *tracker_new(size_t entries, size_t entry_size, size_t cleared, int64_t stale_us, struct ledger *ledger)
{
	struct tracker *t = xcalloc(1, sizeof(*t));
	hash_key_random(&t->key);
	t->ledger = ledger;
	t->size = entry_size;
	t->cleared = cleared;
	t->stale_us = stale_us;
	t->sets = (entries + WAYS - 1) / WAYS;
	t->entry = xcalloc(t->sets * WAYS, entry_size);
	return t;
}

void tracker_free(struct tracker *t)
{
	if (!t)
		return;
	free(t->entry);
	free(t);
}

uint64_t tracker_tag(const struct tracker *t, const void *key, size_t n)
{
	uint64_t tag = hash64(&t->key, key, n);
	return tag ? tag : 1;
}

static struct tracked *way(const struct tracker *t, uint64_t tag, size_t i)
{
	return (struct tracked *)(void *)(t->entry + ((tag % t->sets) * WAYS + i) * t->size);
}

void *tracker_find(struct tracker *t, uint64_t tag)
{
	for (size_t i = 0; i < WAYS; i++)
		if (way(t, tag, i)->tag == tag)
			return way(t, tag, i);
	return NULL;
}

static uint32_t worth(const struct tracker *t, const struct tracked *e, int64_t now_us)
{
	return now_us - e->last_us > t->stale_us ? 0 : e->worth;
}

static bool less_worth(const struct tracker *t, const struct tracked *a, const struct tracked *b, int64_t now_us)
{
	uint32_t wa = worth(t, a, now_us), wb = worth(t, b, now_us);
	return wa != wb ? wa < wb : a->last_us < b->last_us;
}

/* A free place of the set, or the one that is given up. */
static struct tracked *place(struct tracker *t, uint64_t tag, int64_t now_us)
{
	struct tracked *least = way(t, tag, 0);
	for (size_t i = 0; i < WAYS; i++) {
		struct tracked *one = way(t, tag, i);
		if (!one->tag)
			return one;
		if (less_worth(t, one, least, now_us))
			least = one;
	}
	ledger_count(t->ledger, LEDGER_HEURISTIC_EVICTED);
	t->count--;
	return least;
}

void *tracker_get(struct tracker *t, uint64_t tag, int64_t now_us, bool *fresh)
{
	struct tracked *e = tracker_find(t, tag);
	*fresh = !e;
	if (!e) {
		e = place(t, tag, now_us);
		memset(e, 0, t->cleared);
		e->tag = tag;
		t->count++;
	}
	e->last_us = now_us;
	return e;
}

void tracker_drop(struct tracker *t, void *entry)
{
	struct tracked *e = entry;
	e->tag = 0;
	t->count--;
}

size_t tracker_count(const struct tracker *t)
{
	return t->count;
}
