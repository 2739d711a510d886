/* Port scan: one source, one address, at least scan_ports ports that did not take
 * a connection within the window. Address scan: one source, one port, at least
 * scan_addresses addresses that did not.
 *
 * A connection failed when RST came back or nothing did for GRACE_US: counting
 * failures, not attempts, is what tells a scanner from a busy client (Jung et
 * al., "Fast Portscan Detection Using Sequential Hypothesis Testing", 2004). At
 * least half of what was tried must have failed, so a crawler that meets many
 * dead sites is none. In one-sided captures a client's bare ACK behind its SYN
 * is the answer that was not seen (heuristic_tap.c).
 *
 * Deliberately left out: UDP (unanswered is its everyday: syslog, traceroute,
 * peer-to-peer), FIN, NULL and ACK scans (in a capture they look like the rest of
 * connections that began before it).
 *
 * An entry holds the attempts that are not answered, nothing else: when the last
 * one is answered it is dropped. So the tables hold failures, and a flood of
 * sources that try once pushes each other out, not the one that tried often. */
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "sensor/heuristic_part.h"

#define GRACE_US     3000000 /* an answer that comes later is none: the first SYN is repeated after 1 s */
#define ATTEMPTS_MAX 64      /* per entry; the thresholds' upper bound is below it */
#define ENTRIES      4096
#define DUE_MAX      ENTRIES

struct attempt {
	uint64_t item; /* the port, or the address's tag */
	int64_t at_us;
	bool refused;
};

struct trying {
	struct tracked head;
	struct evidence last;
	uint32_t n;
	uint32_t taken; /* connections that were answered since taken_since_us, at most a window ago */
	int64_t taken_since_us;
	bool waiting; /* in due[] */
	struct attempt attempt[ATTEMPTS_MAX];
};

/* One of the two: they differ in what is the key and what is counted. */
struct scan {
	struct heuristics *owner;
	struct ledger *ledger;
	enum heuristic which;
	size_t enough;
	int64_t window_us;
	struct tracker *table;
	/* Entries to be looked at when the last of their attempts has had its time:
	 * a ring, in order of time. */
	struct {
		int64_t at_us;
		uint64_t tag;
	} due[DUE_MAX];
	size_t due_first, due_n;
};

struct scans {
	struct scan port, address;
};

static void scan_setup(struct scan *s, struct heuristics *h, enum heuristic which, int64_t enough, int64_t window_ms,
		       struct ledger *ledger)
{
	s->owner = h;
	s->ledger = ledger;
	s->which = which;
	s->enough = (size_t)enough;
	s->window_us = window_ms * 1000;
	s->table = tracker_new(ENTRIES, sizeof(struct trying), offsetof(struct trying, attempt), s->window_us, ledger);
}

struct scans *scans_new(struct heuristics *h, const struct heuristic_conf *c, struct ledger *ledger)
{
	struct scans *s = xcalloc(1, sizeof(*s));
	scan_setup(&s->port, h, HEURISTIC_PORT_SCAN, c->scan_ports, c->port_scan_window_ms, ledger);
	scan_setup(&s->address, h, HEURISTIC_ADDRESS_SCAN, c->scan_addresses, c->address_scan_window_ms, ledger);
	return s;
}

void scans_free(struct scans *s)
{
	if (!s)
		return;
	tracker_free(s->port.table);
	tracker_free(s->address.table);
	free(s);
}

/* What the entry is about, and which attempt of it the sight is. */
static uint64_t key_of(const struct scan *s, const struct sight *at, uint64_t *item)
{
	uint8_t key[sizeof(at->src) + sizeof(at->dest)] = {0};
	memcpy(key, &at->src, sizeof(at->src));
	if (s->which == HEURISTIC_PORT_SCAN) {
		memcpy(key + sizeof(at->src), &at->dest, sizeof(at->dest));
		*item = at->dest_port;
	} else {
		memcpy(key + sizeof(at->src), &at->dest_port, sizeof(at->dest_port));
		*item = tracker_tag(s->table, &at->dest, sizeof(at->dest));
	}
	return tracker_tag(s->table, key, sizeof(key));
}

static void forget_old(struct trying *t, int64_t before_us)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < t->n; i++)
		if (t->attempt[i].at_us >= before_us)
			t->attempt[kept++] = t->attempt[i];
	t->n = kept;
}

/* How many failed, and over which time. */
static size_t failures(const struct trying *t, int64_t now_us, int64_t *span_us)
{
	size_t failed = 0;
	int64_t first = INT64_MAX, last = INT64_MIN;
	for (uint32_t i = 0; i < t->n; i++) {
		const struct attempt *a = &t->attempt[i];
		if (!a->refused && now_us - a->at_us < GRACE_US)
			continue;
		failed++;
		first = a->at_us < first ? a->at_us : first;
		last = a->at_us > last ? a->at_us : last;
	}
	*span_us = failed ? last - first : 0;
	return failed;
}

static void tell(struct scan *s, const struct trying *t, size_t failed, int64_t span_us)
{
	char dest[ADDR_TEXT_LEN];
	const char *more = t->n == ATTEMPTS_MAX ? "at least " : "";
	double seconds = (double)span_us / 1e6;
	if (s->which == HEURISTIC_PORT_SCAN)
		heuristic_tell(s->owner, s->which, &t->last, NULL, 0, "%s%zu ports of %s within %.1f s in vain", more,
			       failed, addr_format(&t->last.dest, dest), seconds);
	else
		heuristic_tell(s->owner, s->which, &t->last, NULL, 0,
			       "%s%zu addresses on port %u within %.1f s in vain", more, failed, t->last.dest_port,
			       seconds);
}

/* How many were answered lately. */
static uint32_t taken(const struct scan *s, const struct trying *t, int64_t now_us)
{
	return now_us - t->taken_since_us > s->window_us ? 0 : t->taken;
}

/* False: not yet, but what is open may still fail. */
static bool judge(struct scan *s, struct trying *t, int64_t now_us)
{
	int64_t span_us;
	forget_old(t, now_us - s->window_us);
	size_t failed = failures(t, now_us, &span_us);
	if (failed < s->enough)
		return t->n < s->enough;
	if (failed >= taken(s, t, now_us)) {
		struct trying told = *t;
		told.last.ts_us = now_us;
		tell(s, &told, failed, span_us);
	}
	t->n = t->taken = 0; /* counted: what follows is new evidence */
	return true;
}

static void look_later(struct scan *s, struct trying *t, int64_t at_us)
{
	if (t->waiting)
		return;
	if (s->due_n == DUE_MAX) {
		ledger_count(s->ledger, LEDGER_HEURISTIC_EVICTED);
		return;
	}
	size_t i = (s->due_first + s->due_n++) % DUE_MAX;
	s->due[i].at_us = at_us;
	s->due[i].tag = t->head.tag;
	t->waiting = true;
}

static void scan_clock(struct scan *s, int64_t now_us)
{
	while (s->due_n && s->due[s->due_first].at_us <= now_us) {
		int64_t at_us = s->due[s->due_first].at_us;
		struct trying *t = tracker_find(s->table, s->due[s->due_first].tag);
		s->due_first = (s->due_first + 1) % DUE_MAX;
		s->due_n--;
		if (!t)
			continue;
		t->waiting = false;
		if (!judge(s, t, at_us))
			look_later(s, t, at_us + GRACE_US);
		if (!t->n)
			tracker_drop(s->table, t);
	}
}

void scans_clock(struct scans *s, int64_t now_us)
{
	scan_clock(&s->port, now_us);
	scan_clock(&s->address, now_us);
}

static struct attempt *attempt_find(struct trying *t, uint64_t item)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (t->attempt[i].item == item)
			return &t->attempt[i];
	return NULL;
}

static void opened(struct scan *s, uint64_t tag, uint64_t item, const struct sight *at)
{
	bool fresh;
	struct trying *t = tracker_get(s->table, tag, at->ts_us, &fresh);
	if (t->n == ATTEMPTS_MAX)
		forget_old(t, at->ts_us - s->window_us);
	if (t->n == ATTEMPTS_MAX || attempt_find(t, item))
		return;
	t->attempt[t->n++] = (struct attempt){.item = item, .at_us = at->ts_us};
	t->head.worth = t->n;
	t->last = evidence_of(at);
	if (t->n >= s->enough)
		look_later(s, t, at->ts_us + GRACE_US);
}

static void answered(struct scan *s, struct trying *t, struct attempt *a, int64_t now_us)
{
	*a = t->attempt[--t->n];
	t->taken = taken(s, t, now_us) + 1;
	if (t->taken == 1)
		t->taken_since_us = now_us;
	t->head.worth = t->n;
	if (!t->n)
		tracker_drop(s->table, t);
}

static void scan_sight(struct scan *s, const struct sight *at)
{
	uint64_t item, tag = key_of(s, at, &item);
	if (at->kind == SIGHT_OPENED) {
		opened(s, tag, item, at);
		return;
	}
	struct trying *t = tracker_find(s->table, tag);
	struct attempt *a = t ? attempt_find(t, item) : NULL;
	if (!a)
		return;
	if (at->kind == SIGHT_ANSWERED && !a->refused)
		answered(s, t, a, at->ts_us);
	else if (at->kind == SIGHT_REFUSED && !a->refused) {
		a->refused = true;
		if (t->n >= s->enough)
			judge(s, t, at->ts_us);
	}
}

void scans_sight(struct scans *s, const struct sight *at, unsigned on)
{
	if (at->kind > SIGHT_REFUSED)
		return;
	if (on & 1u << HEURISTIC_PORT_SCAN)
		scan_sight(&s->port, at);
	if (on & 1u << HEURISTIC_ADDRESS_SCAN)
		scan_sight(&s->address, at);
}
