/* Beaconing: connections of one (source, address, port) that leave the home
 * networks at even intervals and carry the same amount each time.
 *
 * The newest beacon_connections of them are judged: every interval between 5 s
 * and 6 h, their coefficient of variation (standard deviation by mean) at most
 * beacon_jitter percent, and that of the bytes sent and received at most
 * SIZE_SPREAD. A check-in with the usual 20 % of jitter taken off an interval
 * evenly has 6 %.
 *
 * Precise rather than complete: an interval below 5 s begins the row anew, so
 * pages that are loaded again every minute with several connections at once are
 * none; beacons inside one long connection, by UDP, or through an inner proxy
 * are not seen. Polling by honest programs (mail, updates, monitoring) is
 * beaconing by any measure of time: where that is common, allow it or leave this off.
 *
 * Bytes follow from sequence numbers, so workers need not count: at a FIN,
 * sent = its place - the SYN's - 1. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "sensor/heuristic_part.h"

#define INTERVAL_MIN_US 5000000
#define INTERVAL_MAX_US (6 * 3600 * (int64_t)1000000)
#define SIZE_SPREAD     0.2
#define SIZE_SLACK      64.0       /* bytes: small messages may differ by a number's digits */
#define SIZE_MAX_BYTES  (1u << 30) /* more than this is a sequence number that was not what it seemed */
#define VISITS_MAX      32         /* the threshold's upper bound */
#define ENTRIES         16384

struct visit {
	int64_t interval_us; /* since the one before */
	uint32_t sent, got;
	bool sized;
};

struct calling {
	struct tracked head;
	int64_t opened_us;
	uint32_t n; /* visits in a row; the newest is visit[(n - 1) % VISITS_MAX] */
	uint32_t isn, reply_isn;
	uint16_t src_port; /* of the newest */
	bool reply_known;
	struct visit visit[VISITS_MAX];
};

struct beacons {
	struct heuristics *owner;
	const struct alert_origin *origin;
	uint32_t enough;
	double jitter;
	struct tracker *table;
};

struct beacons *beacons_new(struct heuristics *h, const struct heuristic_conf *c, const struct alert_origin *origin,
			    struct ledger *ledger)
{
	struct beacons *b = xcalloc(1, sizeof(*b));
	b->owner = h;
	b->origin = origin;
	b->enough = (uint32_t)c->beacon_connections;
	b->jitter = (double)c->beacon_jitter / 100;
	b->table = tracker_new(ENTRIES, sizeof(struct calling), offsetof(struct calling, visit), INTERVAL_MAX_US,
			       ledger);
	return b;
}

void beacons_free(struct beacons *b)
{
	if (!b)
		return;
	tracker_free(b->table);
	free(b);
}

static uint64_t key_of(const struct beacons *b, const struct sight *at)
{
	uint8_t key[sizeof(at->src) + sizeof(at->dest) + sizeof(at->dest_port)];
	memcpy(key, &at->src, sizeof(at->src));
	memcpy(key + sizeof(at->src), &at->dest, sizeof(at->dest));
	memcpy(key + sizeof(at->src) + sizeof(at->dest), &at->dest_port, sizeof(at->dest_port));
	return tracker_tag(b->table, key, sizeof(key));
}

struct sample {
	double n, sum, squares;
};

static void sample_add(struct sample *s, double v)
{
	s->n++;
	s->sum += v;
	s->squares += v * v;
}

static double mean(const struct sample *s)
{
	return s->n > 0 ? s->sum / s->n : 0;
}

static double deviation(const struct sample *s)
{
	double m = mean(s), variance = s->n > 0 ? s->squares / s->n - m * m : 0;
	return variance > 0 ? sqrt(variance) : 0;
}

static bool even_size(const struct sample *s)
{
	return deviation(s) <= SIZE_SPREAD * mean(s) || deviation(s) <= SIZE_SLACK;
}

static void judge(struct beacons *b, const struct calling *c, const struct sight *at)
{
	struct sample interval = {0}, sent = {0}, got = {0};
	for (uint32_t i = 0; i < b->enough; i++) {
		const struct visit *v = &c->visit[(c->n - 1 - i) % VISITS_MAX];
		if (i + 1 < b->enough)
			sample_add(&interval, (double)v->interval_us / 1e6);
		if (v->sized) {
			sample_add(&sent, v->sent);
			sample_add(&got, v->got);
		}
	}
	if (deviation(&interval) > b->jitter * mean(&interval) || !even_size(&sent) || !even_size(&got))
		return;
	struct evidence e = evidence_of(at);
	uint8_t what[sizeof(at->dest) + sizeof(at->dest_port)];
	memcpy(what, &at->dest, sizeof(at->dest));
	memcpy(what + sizeof(at->dest), &at->dest_port, sizeof(at->dest_port));
	heuristic_tell(b->owner, HEURISTIC_BEACON, &e, what, sizeof(what),
		       "interval %.1f s \u00b1 %.1f s over %u connections, %.0f bytes sent, %.0f received",
		       mean(&interval), deviation(&interval), b->enough, mean(&sent), mean(&got));
}

static void opened(struct beacons *b, const struct sight *at)
{
	bool fresh;
	if (alert_direction(b->origin, &at->src, &at->dest) != DIRECTION_OUTBOUND)
		return;
	struct calling *c = tracker_get(b->table, key_of(b, at), at->ts_us, &fresh);
	int64_t interval_us = at->ts_us - c->opened_us;
	if (!fresh && (interval_us < INTERVAL_MIN_US || interval_us > INTERVAL_MAX_US))
		c->n = 0;
	c->opened_us = at->ts_us;
	c->src_port = at->src_port;
	c->isn = at->seq;
	c->reply_known = false;
	c->visit[c->n++ % VISITS_MAX] = (struct visit){.interval_us = interval_us};
	c->head.worth = c->n;
	if (c->n >= b->enough)
		judge(b, c, at);
	if (c->n == 2 * VISITS_MAX)
		c->n -= VISITS_MAX; /* the same places, and no overflow */
}

static void closed(struct calling *c, const struct sight *at)
{
	struct visit *v = &c->visit[(c->n - 1) % VISITS_MAX];
	uint32_t sent = at->seq - c->isn - 1, got = at->ack - c->reply_isn - 1;
	if (v->sized || !c->reply_known || sent > SIZE_MAX_BYTES || got > SIZE_MAX_BYTES)
		return;
	*v = (struct visit){.interval_us = v->interval_us, .sent = sent, .got = got, .sized = true};
}

void beacons_sight(struct beacons *b, const struct sight *at)
{
	if (at->kind == SIGHT_OPENED) {
		opened(b, at);
		return;
	}
	if (at->kind != SIGHT_ANSWERED && at->kind != SIGHT_CLOSED)
		return;
	struct calling *c = tracker_find(b->table, key_of(b, at));
	if (!c || !c->n || c->src_port != at->src_port)
		return;
	if (at->kind == SIGHT_CLOSED) {
		closed(c, at);
	} else if (at->seq) {
		c->reply_isn = at->seq;
		c->reply_known = true;
	}
}
