/* What the heuristics remember: a table of fixed size, keyed with a secret, in
 * sets of eight neighbours. A full set gives up its least valuable entry, so a
 * flood of sources costs others nothing but that, and never memory. */
#ifndef SENSOR_HEURISTIC_TABLE_H
#define SENSOR_HEURISTIC_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sensor/ledger.h"

/* Every entry begins with it. */
struct tracked {
	uint64_t tag; /* keyed hash of what it is about; 0 = free. 64 bits: two keys do not meet */
	int64_t last_us;
	uint32_t worth; /* how much evidence it holds: what has least goes first, among those the oldest */
	uint32_t unused;
};

struct tracker;

/* entries: rounded up to whole sets; the pages are touched with use. What was not
 * touched for stale_us is worth nothing. cleared: so many bytes of an entry are
 * zero when it is made. */
struct tracker *tracker_new(size_t entries, size_t entry_size, size_t cleared, int64_t stale_us, struct ledger *ledger);
void tracker_free(struct tracker *t);

uint64_t tracker_tag(const struct tracker *t, const void *key, size_t n);
void *tracker_find(struct tracker *t, uint64_t tag); /* NULL: not there */
/* Finds or makes; never NULL. *fresh: it was made. */
void *tracker_get(struct tracker *t, uint64_t tag, int64_t now_us, bool *fresh);
void tracker_drop(struct tracker *t, void *entry);
size_t tracker_count(const struct tracker *t);

#endif
