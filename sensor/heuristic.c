/* The engine of the heuristics: order, dispatch, and what becomes of a finding.
 *
 * Order. Each worker's notes come in the order of its packets, but one worker may
 * be ahead of another. A note is held until one that is HEURISTIC_ORDER_US younger
 * has come, in a heap by time and, for equal times, by content: what the
 * heuristics see does not depend on which worker saw a flow. HELD_MAX bounds it;
 * beyond that the oldest is judged early. A note that comes after its time is
 * judged at once and counted. A file has one worker, so nothing is held.
 *
 * Findings are ordinary alerts. A heuristic is an indicator of the set
 * "picket-heuristics", which lives beside the loaded set (a compiled set that is
 * mapped cannot be added to); an entry of the type heuristic in the loaded set
 * takes its place, and an allow entry silences it (allowed()). */
#include "sensor/heuristic.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "rules/canon.h"
#include "sensor/heuristic_part.h"

#define HELD_MAX 8192
#define AGAIN_US (3600 * (int64_t)1000000) /* the same finding is not told again within this */
#define TOLD_MAX 16384
#define TEXT_MAX 512
#define ALL      ((1u << HEURISTIC_COUNT) - 1)
#define SCANS    (1u << HEURISTIC_PORT_SCAN | 1u << HEURISTIC_ADDRESS_SCAN)
#define BEACONS  (1u << HEURISTIC_BEACON)
#define NAMES    (1u << HEURISTIC_DNS_TUNNEL | 1u << HEURISTIC_NXDOMAIN_FLOOD)

/* A place in held[] and its time, which decides nearly always. */
struct turn {
	int64_t ts_us;
	uint16_t slot;
};

struct heuristics {
	struct heuristics_conf conf;
	struct ruleset *own;
	_Atomic unsigned on;
	pthread_mutex_t lock; /* of armed and published */
	const struct armed *armed;
	struct ledger ledger, published;
	/* What waits for its turn: a heap of places in held[]. */
	struct sight *held;
	struct turn heap[HELD_MAX];
	uint16_t unused[HELD_MAX];
	size_t waiting;
	int64_t newest_us, judged_us;
	struct scans *scans;
	struct beacons *beacons;
	struct names *names;
	struct tracker *told;
};

/* ---- the set of its own ---- */

static const struct {
	enum severity severity;
	const char *labels;
} defaults[HEURISTIC_COUNT] = {
    [HEURISTIC_PORT_SCAN] = {SEVERITY_MEDIUM, "reconnaissance"},
    [HEURISTIC_ADDRESS_SCAN] = {SEVERITY_MEDIUM, "reconnaissance"},
    [HEURISTIC_BEACON] = {SEVERITY_MEDIUM, "c2"},
    [HEURISTIC_DNS_TUNNEL] = {SEVERITY_HIGH, "exfiltration"},
    [HEURISTIC_NXDOMAIN_FLOOD] = {SEVERITY_MEDIUM, "dga"},
};

static bool own_add(struct ruleset_builder *b, uint32_t set, int which, struct err *e)
{
	char id[64];
	snprintf(id, sizeof(id), "heuristic.%s", heuristic_names[which]);
	struct indicator i = {
	    .type = INDICATOR_HEURISTIC,
	    .value = heuristic_names[which],
	    .id = id,
	    .severity = defaults[which].severity,
	    .confidence = 50,
	    .labels = defaults[which].labels,
	    .note = heuristic_helps[which],
	};
	return ruleset_add(b, set, &i, e) == ADDED;
}

static struct ruleset *own_set(struct err *e)
{
	struct ruleset_builder *b = ruleset_builder_new();
	uint32_t set = ruleset_add_set(
	    b, &(struct indicator_set){
		   .id = "picket-heuristics", .title = "Heuristics of the sensor", .producer = "picket", .version = 1});
	bool ok = true;
	for (int i = 0; i < HEURISTIC_COUNT; i++)
		ok = ok && own_add(b, set, i, e);
	struct ruleset *r = ok ? ruleset_build(b, e) : NULL;
	ruleset_builder_free(b);
	return r;
}

/* ---- life ---- */

static unsigned configured(const struct heuristics *h)
{
	unsigned on = 0;
	for (int i = 0; i < HEURISTIC_COUNT; i++)
		on |= h->conf.thresholds->on[i] ? 1u << i : 0;
	return on;
}

struct heuristics *heuristics_new(const struct heuristics_conf *conf, const struct armed *armed, struct err *e)
{
	struct ruleset *own = own_set(e);
	if (!own)
		return NULL;
	struct heuristics *h = xcalloc(1, sizeof(*h));
	h->conf = *conf;
	h->own = own;
	pthread_mutex_init(&h->lock, NULL);
	h->held = xcalloc(HELD_MAX, sizeof(*h->held));
	for (size_t i = 0; i < HELD_MAX; i++)
		h->unused[i] = (uint16_t)i;
	h->newest_us = h->judged_us = INT64_MIN;
	h->told = tracker_new(TOLD_MAX, sizeof(struct tracked), sizeof(struct tracked), AGAIN_US, &h->ledger);
	h->scans = scans_new(h, conf->thresholds, &h->ledger);
	h->beacons = beacons_new(h, conf->thresholds, conf->origin, &h->ledger);
	h->names = names_new(h, conf->thresholds, &h->ledger);
	heuristics_arm(h, armed);
	return h;
}

void heuristics_free(struct heuristics *h)
{
	if (!h)
		return;
	scans_free(h->scans);
	beacons_free(h->beacons);
	names_free(h->names);
	tracker_free(h->told);
	ruleset_free(h->own);
	pthread_mutex_destroy(&h->lock);
	free(h->held);
	free(h);
}

void heuristics_arm(struct heuristics *h, const struct armed *armed)
{
	bool named = ruleset_types(armed->rules) & INDICATOR_BIT(INDICATOR_HEURISTIC);
	pthread_mutex_lock(&h->lock);
	h->armed = armed;
	pthread_mutex_unlock(&h->lock);
	atomic_store(&h->on, named ? ALL : configured(h));
}

unsigned heuristics_on(const struct heuristics *h)
{
	return atomic_load_explicit(&h->on, memory_order_relaxed);
}

static void publish(struct heuristics *h)
{
	pthread_mutex_lock(&h->lock);
	h->published = h->ledger;
	pthread_mutex_unlock(&h->lock);
}

void heuristics_ledger(struct heuristics *h, struct ledger *out)
{
	pthread_mutex_lock(&h->lock);
	*out = h->published;
	pthread_mutex_unlock(&h->lock);
}

/* ---- findings ---- */

static bool told_before(struct heuristics *h, enum heuristic which, const struct evidence *e, const void *what,
			size_t n)
{
	uint8_t key[1 + sizeof(e->src) + 256];
	bool fresh;
	key[0] = (uint8_t)which;
	memcpy(key + 1, &e->src, sizeof(e->src));
	n = n < 256 ? n : 256;
	if (n)
		memcpy(key + 1 + sizeof(e->src), what, n);
	uint64_t tag = tracker_tag(h->told, key, 1 + sizeof(e->src) + n);
	const struct tracked *before = tracker_find(h->told, tag);
	if (before && e->ts_us - before->last_us < AGAIN_US)
		return true;
	tracker_get(h->told, tag, e->ts_us, &fresh);
	return false;
}

static void raise_with(struct heuristics *h, const struct ruleset *r, ruleset_ref ref, const struct evidence *e,
		       const char *text)
{
	struct alert a = {
	    .ts_us = e->ts_us,
	    .flow = {.src = e->src,
		     .dest = e->dest,
		     .src_port = e->src_port,
		     .dest_port = e->dest_port,
		     .proto = e->proto,
		     .direction = alert_direction(h->conf.origin, &e->src, &e->dest)},
	    .indicator = ref,
	    .where = WHERE_HEURISTIC,
	    .observable = {.p = (const uint8_t *)text, .n = strlen(text)},
	};
	ledger_count(&h->ledger, LEDGER_ALERTS);
	if (!h->conf.alert(h->conf.owner, r, &a, false))
		ledger_count(&h->ledger, LEDGER_ALERTS_LOST);
}

static size_t find_hits(const struct ruleset *r, enum heuristic which, int64_t now_us, struct ruleset_hits *hits)
{
	hits->n = 0;
	hits->dropped = 0;
	ruleset_match(r, WHERE_HEURISTIC, heuristic_names[which], strlen(heuristic_names[which]), now_us, hits, NULL);
	return hits->n;
}

/* Whether an allow entry covers what is seen; no indicator of its type need be there. */
static bool allowed_value(const struct ruleset *r, enum indicator_type t, const void *seen, size_t n, int64_t now_us)
{
	struct canon canon;
	struct ruleset_room room;
	struct indicator entry;
	return canon_wire(t, seen, n, &canon) && ruleset_allowed(r, t, &canon, now_us, &room, &entry);
}

/* An allow entry for the heuristic's name, the source, a beacon's far end or a
 * tunnel's domain. */
static bool allowed(const struct ruleset *r, enum heuristic which, const struct evidence *e, const void *what, size_t n)
{
	const char *name = heuristic_names[which];
	if (allowed_value(r, INDICATOR_HEURISTIC, name, strlen(name), e->ts_us) ||
	    allowed_value(r, INDICATOR_IP, &e->src, sizeof(e->src), e->ts_us))
		return true;
	if (which == HEURISTIC_BEACON)
		return allowed_value(r, INDICATOR_IP, &e->dest, sizeof(e->dest), e->ts_us);
	return which == HEURISTIC_DNS_TUNNEL && allowed_value(r, INDICATOR_DOMAIN, what, n, e->ts_us);
}

/* What the loaded rules say of it, else the own set's word when the configuration turned it on. */
static void raise_alerts(struct heuristics *h, enum heuristic which, const struct evidence *e, const char *text)
{
	struct ruleset_hits hits;
	const struct ruleset *r = h->armed->rules;
	if (!find_hits(r, which, e->ts_us, &hits) && h->conf.thresholds->on[which]) {
		r = h->own;
		find_hits(r, which, e->ts_us, &hits);
	}
	ledger_add(&h->ledger, LEDGER_HITS_DROPPED, hits.dropped);
	for (size_t i = 0; i < hits.n; i++)
		raise_with(h, r, hits.ref[i], e, text);
}

void heuristic_tell(struct heuristics *h, enum heuristic which, const struct evidence *e, const void *what, size_t n,
		    const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list args;
	if (told_before(h, which, e, what, n))
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	pthread_mutex_lock(&h->lock);
	if (allowed(h->armed->rules, which, e, what, n))
		ledger_count(&h->ledger, LEDGER_ALERTS_ALLOWED);
	else
		raise_alerts(h, which, e, text);
	pthread_mutex_unlock(&h->lock);
}

/* ---- order ---- */

static bool before(const struct heuristics *h, const struct turn *x, const struct turn *y)
{
	if (x->ts_us != y->ts_us)
		return x->ts_us < y->ts_us;
	const struct sight *a = &h->held[x->slot], *b = &h->held[y->slot];
	int d = memcmp(a, b, SIGHT_HEAD);
	return d ? d < 0 : memcmp(a->name, b->name, a->name_n) < 0;
}

static void heap_swap(struct heuristics *h, size_t i, size_t k)
{
	struct turn at = h->heap[i];
	h->heap[i] = h->heap[k];
	h->heap[k] = at;
}

static void heap_push(struct heuristics *h, const struct sight *s)
{
	size_t i = h->waiting;
	uint16_t slot = h->unused[i];
	memcpy(&h->held[slot], s, SIGHT_HEAD + s->name_n);
	h->heap[i] = (struct turn){.ts_us = s->ts_us, .slot = slot};
	h->waiting++;
	for (; i && before(h, &h->heap[i], &h->heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap_swap(h, i, (i - 1) / 2);
}

/* The oldest; its place may be taken by the next heap_push(). */
static const struct sight *heap_pop(struct heuristics *h)
{
	uint16_t slot = h->heap[0].slot;
	h->heap[0] = h->heap[--h->waiting];
	h->unused[h->waiting] = slot;
	for (size_t i = 0;;) {
		size_t least = i;
		for (size_t k = 2 * i + 1; k <= 2 * i + 2 && k < h->waiting; k++)
			if (before(h, &h->heap[k], &h->heap[least]))
				least = k;
		if (least == i)
			return &h->held[slot];
		heap_swap(h, i, least);
		i = least;
	}
}

static void judge(struct heuristics *h, const struct sight *s)
{
	unsigned on = heuristics_on(h);
	ledger_count(&h->ledger, LEDGER_HEURISTIC_SIGHTS);
	if (s->ts_us < h->judged_us)
		ledger_count(&h->ledger, LEDGER_HEURISTIC_LATE);
	else
		h->judged_us = s->ts_us;
	scans_clock(h->scans, h->judged_us);
	if (on & SCANS)
		scans_sight(h->scans, s, on);
	if (on & BEACONS)
		beacons_sight(h->beacons, s);
	if (on & NAMES)
		names_sight(h->names, s, on);
}

static void judge_until(struct heuristics *h, int64_t until_us)
{
	while (h->waiting && h->heap[0].ts_us <= until_us)
		judge(h, heap_pop(h));
}

void heuristics_sight(struct heuristics *h, const struct sight *s)
{
	if (h->conf.in_order) {
		judge(h, s);
		return;
	}
	if (h->waiting == HELD_MAX)
		judge(h, heap_pop(h));
	heap_push(h, s);
	if (s->ts_us > h->newest_us)
		h->newest_us = s->ts_us;
	judge_until(h, h->newest_us - HEURISTIC_ORDER_US);
}

void heuristics_clock(struct heuristics *h, int64_t now_us)
{
	judge_until(h, now_us);
	if (now_us > h->judged_us) {
		h->judged_us = now_us;
		scans_clock(h->scans, now_us);
	}
	publish(h);
}

void heuristics_finish(struct heuristics *h, int64_t now_us)
{
	judge_until(h, INT64_MAX);
	heuristics_clock(h, now_us);
}
