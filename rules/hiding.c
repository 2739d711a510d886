#include "rules/hiding.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "rules/canon.h"

struct named {
	ruleset_ref ref;
	uint32_t entry;
};

struct hiding {
	struct overrides entries;
	_Atomic uint64_t *hidden; /* per entry */
	struct named *named;      /* by ref */
	size_t named_n;
};

/* ---- which indicators they name ---- */

static void name_ref(struct hiding *h, ruleset_ref ref, size_t entry)
{
	h->named = xrealloc(h->named, (h->named_n + 1) * sizeof(*h->named));
	h->named[h->named_n++] = (struct named){ref, (uint32_t)entry};
}

static void name_by_value(struct hiding *h, const struct ruleset *r, size_t entry)
{
	const struct override *o = &h->entries.v[entry];
	struct ruleset_hits hits = {.n = 0};
	struct canon c, other;
	if (!canon_rule(o->type, o->value, strlen(o->value), &c, NULL))
		return;
	ruleset_covering(r, o->type, &c, &hits);
	for (size_t i = 0; i < hits.n; i++) {
		struct ruleset_room room;
		struct indicator k = ruleset_indicator_in(r, hits.ref[i], &room);
		if (k.type == o->type && canon_rule(k.type, k.value, strlen(k.value), &other, NULL) && other.n == c.n &&
		    memcmp(other.key, c.key, c.n) == 0)
			name_ref(h, hits.ref[i], entry);
	}
}

/* Ids have no index: all are looked at once, when an entry names one. */
static void name_by_id(struct hiding *h, const struct ruleset *r)
{
	size_t ids = 0;
	for (size_t i = 0; i < h->entries.n; i++)
		ids += h->entries.v[i].id != NULL;
	for (ruleset_ref k = 0; ids && k < ruleset_count(r, INDICATOR_NONE); k++) {
		struct ruleset_room room;
		const char *id = ruleset_indicator_in(r, k, &room).id;
		for (size_t i = 0; i < h->entries.n; i++)
			if (h->entries.v[i].id && strcmp(h->entries.v[i].id, id) == 0)
				name_ref(h, k, i);
	}
}

static int by_ref(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	if (x->ref != y->ref)
		return x->ref < y->ref ? -1 : 1;
	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

struct hiding *hiding_new(const struct ruleset *r, struct overrides *o)
{
	if (!o->n)
		return NULL;
	struct hiding *h = xcalloc(1, sizeof(*h));
	h->entries = *o;
	*o = (struct overrides){0};
	h->hidden = xcalloc(h->entries.n, sizeof(*h->hidden));
	for (size_t i = 0; i < h->entries.n; i++)
		if (!h->entries.v[i].id)
			name_by_value(h, r, i);
	name_by_id(h, r);
	if (h->named_n)
		qsort(h->named, h->named_n, sizeof(*h->named), by_ref);
	return h;
}

static char *copy_of(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

struct hiding *hiding_again(const struct ruleset *r, const struct hiding *from)
{
	struct overrides o = {0};
	for (size_t i = 0; from && i < from->entries.n; i++) {
		struct override one = from->entries.v[i];
		one.value = copy_of(one.value);
		one.id = copy_of(one.id);
		one.reason = copy_of(one.reason);
		overrides_add(&o, &one);
	}
	return hiding_new(r, &o);
}

void hiding_free(struct hiding *h)
{
	if (!h)
		return;
	overrides_free(&h->entries);
	free(h->hidden);
	free(h->named);
	free(h);
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_entry(const struct override *a, const struct override *b)
{
	return a->verb == b->verb && a->type == b->type && same_text(a->value, b->value) && same_text(a->id, b->id) &&
	       a->has_source == b->has_source &&
	       (!a->has_source ||
		(addr_equal(&a->source.addr, &b->source.addr) && a->source.length == b->source.length));
}

void hiding_inherit(struct hiding *h, const struct hiding *from)
{
	for (size_t i = 0; h && from && i < h->entries.n; i++)
		for (size_t k = 0; k < from->entries.n; k++)
			if (same_entry(&h->entries.v[i], &from->entries.v[k]))
				atomic_store(&h->hidden[i], atomic_load(&from->hidden[k]));
}

/* ---- asking ---- */

static bool applies(const struct override *o, const struct addr *src, const struct addr *dest, int64_t now_us)
{
	if (o->expires_us && o->expires_us <= now_us)
		return false;
	return !o->has_source || (src && prefix_has(&o->source, src)) || (dest && prefix_has(&o->source, dest));
}

/* Where those that name ref begin. */
static size_t first_of(const struct hiding *h, ruleset_ref ref)
{
	size_t low = 0, high = h ? h->named_n : 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (h->named[middle].ref < ref)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

ptrdiff_t hiding_which(const struct hiding *h, ruleset_ref ref, const struct addr *src, const struct addr *dest,
		       int64_t now_us)
{
	for (size_t k = first_of(h, ref); h && k < h->named_n && h->named[k].ref == ref; k++) {
		size_t entry = h->named[k].entry;
		if (applies(&h->entries.v[entry], src, dest, now_us))
			return (ptrdiff_t)entry;
	}
	return -1;
}

void hiding_of(const struct hiding *h, ruleset_ref ref, void (*fn)(void *owner, const struct override *o), void *owner)
{
	for (size_t k = first_of(h, ref); h && k < h->named_n && h->named[k].ref == ref; k++)
		fn(owner, &h->entries.v[h->named[k].entry]);
}

bool hiding_asks(struct hiding *h, ruleset_ref ref, const struct addr *src, const struct addr *dest, int64_t now_us)
{
	ptrdiff_t entry = hiding_which(h, ref, src, dest, now_us);
	if (entry < 0)
		return false;
	atomic_fetch_add_explicit(&h->hidden[entry], 1, memory_order_relaxed);
	return true;
}

void hiding_each(const struct hiding *h, void (*fn)(void *owner, const struct override *o, uint64_t hidden),
		 void *owner)
{
	for (size_t i = 0; h && i < h->entries.n; i++)
		fn(owner, &h->entries.v[i], atomic_load(&h->hidden[i]));
}
