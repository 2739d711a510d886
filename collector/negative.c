#include "collector/negative.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/partner_walk.h"
#include "collector/publish.h"
#include "collector/sighting.h"
#include "common/clock.h"

#define MARK_KEY     "picket:{x}:negative" /* hash: <partner> = until when it was told, ms; <partner>:<lane> = row */
#define LOOK_US      1000000
#define LAG_US       15000000 /* a hit is told within this */
#define LANE_NAME(l) ((l) == LANE_FLASH ? "flash" : "bulk")

/* One lane of one partner, told about. */
struct round {
	struct negatives *n;
	size_t partner;
	enum lane lane;
	char set[OBJECTS_COLLECTION_MAX + 1];
	int64_t from_us, until_us, after; /* after: a row */
	struct candidate {
		char id[SHARED_ID_MAX + 1], sighting[96];
		enum tlp tlp;
		int64_t created_us;
		bool hit;
	} * list;
	size_t list_n, waiting;
	bool failed;
};

struct negatives {
	struct partners *p;
	struct due {
		int64_t look_us; /* when it is asked again whether the time has come */
		bool busy;
	} * due; /* for each policy */
};

struct negatives *negatives_new(struct partners *p)
{
	struct negatives *n = xcalloc(1, sizeof(*n));
	n->p = p;
	n->due = xcalloc(p->policies.n + 1, sizeof(*n->due));
	return n;
}

void negatives_free(struct negatives *n)
{
	if (n)
		free(n->due);
	free(n);
}

static void over(struct round *r)
{
	r->n->p->commands--;
	free(r->list);
	free(r);
}

/* ---- saying it ---- */

static void tell_all(struct round *r)
{
	struct partners *p = r->n->p;
	for (size_t i = 0; i < r->list_n; i++)
		if (!r->list[i].hit)
			sightings_negative(p->sightings, &p->policies.list[r->partner], r->list[i].id, r->list[i].tlp,
					   r->list[i].created_us, r->from_us, r->until_us);
	char field[SHARED_NAME_MAX + 16], row[24];
	snprintf(field, sizeof(field), "%s:%s", p->policies.list[r->partner].id, LANE_NAME(r->lane));
	snprintf(row, sizeof(row), "%" PRId64, r->list_n == NEGATIVE_MAX ? r->after : 0);
	redis_link_words(p->redis, 4, (const char *[]){"HSET", MARK_KEY, field, row}, redis_ignored);
	over(r);
}

/* ---- what was hit: a sighting of it stands here ---- */

static void on_hits(void *arg, bool ok, const struct object_row *v, size_t n, bool more)
{
	struct round *r = arg;
	(void)more;
	r->failed |= !ok;
	for (size_t i = 0; ok && i < n; i++)
		for (size_t k = 0; k < r->list_n; k++)
			r->list[k].hit |= strcmp(r->list[k].sighting, v[i].id) == 0;
	if (--r->waiting)
		return;
	if (r->failed)
		over(r);
	else
		tell_all(r);
}

static void find_hits(struct round *r)
{
	struct partners *p = r->n->p;
	char own[OBJECTS_COLLECTION_MAX + 1];
	r->waiting = 1;
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		feed_collection_of(NULL, (enum lane)lane, own);
		for (size_t from = 0, some; from < r->list_n; from += some) {
			const char *ids[OBJECTS_IDS_MAX];
			some = r->list_n - from < OBJECTS_IDS_MAX ? r->list_n - from : OBJECTS_IDS_MAX;
			for (size_t i = 0; i < some; i++)
				ids[i] = r->list[from + i].sighting;
			r->waiting++;
			objects_find(p->objects, own, ids, some, (struct objects_rows_done){on_hits, r});
		}
	}
	on_hits(r, true, NULL, 0, false);
}

/* ---- what was looked for ---- */

static bool wanted(void *arg, const struct walked *w)
{
	const struct round *r = arg;
	const char *exercise = json_text(json_at(w->handling->envelope, "exercise"), NULL);
	return r->list_n < NEGATIVE_MAX && w->row > r->after && w->row <= r->from_us &&
	       strncmp(w->id, "indicator--", 11) == 0 && handling_state(w->handling) == SHARED_ACTIVE &&
	       !json_bool(json_at(w->handling->root, "gate.revoked"), false) && !(exercise && *exercise);
}

static void take(void *arg, const struct walked *w, const struct shared *s)
{
	struct round *r = arg;
	const struct partners *p = r->n->p;
	const char *unknown;
	if (r->list_n == NEGATIVE_MAX)
		return;
	struct candidate *c = &r->list[r->list_n++];
	snprintf(c->id, sizeof(c->id), "%s", w->id);
	sightings_id(p->sightings, w->id, c->sighting);
	c->tlp = marking_object(p->policies.book, s->stix, s->from, &unknown).tlp;
	const char *created = json_text(json_at(s->stix, "created"), NULL);
	if (!created || !clock_parse(created, &c->created_us))
		c->created_us = 0;
	r->after = w->row;
}

static void walked(void *arg, bool ok)
{
	struct round *r = arg;
	if (ok && r->list_n)
		find_hits(r);
	else if (ok)
		tell_all(r); /* the next time begins at the first again */
	else
		over(r);
}

/* ---- whether anybody looked ---- */

static void on_receipts(void *arg, const struct reply *r)
{
	struct round *q = arg;
	bool armed = false;
	for (size_t i = 1; i < reply_count(r); i += 2) { /* the values */
		struct bytes b;
		armed |= reply_text(reply_at(r, i), &b) && b.n > 6 && memcmp(b.p, "armed ", 6) == 0;
	}
	if (!armed) {
		over(q);
		return;
	}
	q->list = xcalloc(NEGATIVE_MAX, sizeof(*q->list));
	walk_collection(q->n->p->objects, q->set, q->after, (struct walker){wanted, take, walked, q});
}

static void on_version(void *arg, const struct reply *r)
{
	struct round *q = arg;
	char key[256];
	int64_t version;
	if (!reply_number(r, &version) || version < 1) {
		over(q);
		return;
	}
	snprintf(key, sizeof(key), PUBLISH_PREFIX "set:%s:receipts:%" PRId64, q->set, version);
	if (!redis_link_words(q->n->p->redis, 2, (const char *[]){"HGETALL", key}, (struct redis_done){on_receipts, q}))
		over(q);
}

static void begin(struct negatives *n, size_t partner, enum lane lane, int64_t from_us, int64_t until_us, int64_t after)
{
	struct round *r = xcalloc(1, sizeof(*r));
	*r = (struct round){
	    .n = n, .partner = partner, .lane = lane, .from_us = from_us, .until_us = until_us, .after = after};
	feed_collection_of(n->p->policies.list[partner].id, lane, r->set);
	n->p->commands++;
	if (!redis_link_words(n->p->redis, 3, (const char *[]){"HGET", PUBLISH_PREFIX "sets", r->set},
			      (struct redis_done){on_version, r}))
		over(r);
}

/* ---- when ---- */

struct asking {
	struct negatives *n;
	size_t partner;
};

static void put_mark(struct negatives *n, const char *partner, int64_t until_us)
{
	char ms[24];
	snprintf(ms, sizeof(ms), "%" PRId64, until_us / 1000);
	redis_link_words(n->p->redis, 4, (const char *[]){"HSET", MARK_KEY, partner, ms}, redis_ignored);
}

static void on_mark(void *arg, const struct reply *r)
{
	struct asking q = *(struct asking *)arg;
	const struct policy *policy = &q.n->p->policies.list[q.partner];
	int64_t until_us = clock_wall_us() - LAG_US, ms = 0, after[LANE_COUNT] = {0};
	free(arg);
	q.n->p->commands--;
	q.n->due[q.partner].busy = false;
	if (reply_count(r) != 3)
		return;
	if (!reply_number(reply_at(r, 0), &ms)) { /* the first time begins now */
		put_mark(q.n, policy->id, until_us);
		return;
	}
	if (until_us - ms * 1000 < policy->inbound.negative_ms * 1000)
		return;
	put_mark(q.n, policy->id, until_us);
	for (int lane = LANE_COUNT - 1; lane >= 0; lane--) {
		reply_number(reply_at(r, lane == LANE_FLASH ? 2 : 1), &after[lane]);
		begin(q.n, q.partner, (enum lane)lane, ms * 1000, until_us, after[lane]);
	}
}

static void ask_mark(struct negatives *n, size_t partner)
{
	const char *id = n->p->policies.list[partner].id;
	char bulk[SHARED_NAME_MAX + 16], flash[SHARED_NAME_MAX + 16];
	struct asking *q = xcalloc(1, sizeof(*q));
	*q = (struct asking){n, partner};
	snprintf(bulk, sizeof(bulk), "%s:bulk", id);
	snprintf(flash, sizeof(flash), "%s:flash", id);
	n->p->commands++;
	n->due[partner].busy = true;
	if (redis_link_words(n->p->redis, 5, (const char *[]){"HMGET", MARK_KEY, id, bulk, flash},
			     (struct redis_done){on_mark, q}))
		return;
	n->p->commands--;
	n->due[partner].busy = false;
	free(q);
}

void negatives_work(struct negatives *n)
{
	for (size_t i = 0; i < n->p->policies.n; i++) {
		const struct policy *policy = &n->p->policies.list[i];
		struct due *d = &n->due[i];
		if (!policy->inbound.negative_ms || !policy->inbound.sightings || d->busy || n->p->now_us < d->look_us)
			continue;
		d->look_us = n->p->now_us + LOOK_US;
		ask_mark(n, i);
	}
}
