#include "sensor/pending.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/hash.h"

#define WAYS 8u

_Static_assert(sizeof(struct pending_entry) <= 64, "an entry is a cache line");

struct pending {
	struct hash_key key;
	struct pending_entry *list; /* NULL until the first is needed */
	uint32_t clock;
};

struct pending *pending_new(void)
{
	struct pending *p = xcalloc(1, sizeof(*p));
	hash_key_random(&p->key);
	return p;
}

void pending_clear(struct pending *p)
{
	free(p->list);
	p->list = NULL;
}

void pending_free(struct pending *p)
{
	if (!p)
		return;
	free(p->list);
	free(p);
}

/* Older than any other when the clock has wrapped is no harm: it is a hint. */
static struct pending_entry *oldest_of(struct pending_entry *bucket)
{
	struct pending_entry *oldest = bucket;
	for (unsigned i = 1; i < WAYS; i++)
		if (bucket[i].touched < oldest->touched)
			oldest = &bucket[i];
	return oldest;
}

struct pending_entry *pending_get(struct pending *p, uint64_t flow, uint32_t condition, bool *evicted)
{
	const struct {
		uint64_t flow, condition;
	} key = {flow, condition};
	if (!p->list)
		p->list = xcalloc(PENDING_ENTRIES, sizeof(*p->list));
	p->clock += p->clock == UINT32_MAX ? 2 : 1; /* never 0 */
	struct pending_entry *bucket = p->list + hash64(&p->key, &key, sizeof(key)) % (PENDING_ENTRIES / WAYS) * WAYS;
	*evicted = false;
	for (unsigned i = 0; i < WAYS; i++)
		if (bucket[i].touched && bucket[i].flow == flow && bucket[i].condition == condition) {
			bucket[i].touched = p->clock;
			return &bucket[i];
		}
	struct pending_entry *e = oldest_of(bucket);
	*evicted = e->touched != 0;
	*e = (struct pending_entry){.flow = flow, .condition = condition, .touched = p->clock};
	return e;
}

unsigned pending_object(struct pending_entry *e, uint32_t object, bool *evicted)
{
	*evicted = false;
	for (unsigned i = 0; i < PENDING_OBJECTS; i++)
		if (e->object[i].object == object)
			return i;
	unsigned i = e->next;
	*evicted = e->object[i].object != 0;
	e->next = (uint8_t)((i + 1) % PENDING_OBJECTS);
	e->object[i] = (struct pending_object){.object = object};
	e->held &= (uint8_t) ~(1u << i);
	return i;
}
