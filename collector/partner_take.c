#include "collector/partner_take.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/handling.h"
#include "collector/partner_feed.h"
#include "common/clock.h"
#include "common/text.h"

/* One batch between its judgement and the store's answer. */
struct taking {
	struct taker *taker;
	const struct policy *from;
	struct take_done done;
	struct take_result result;
	struct kept {
		struct object *objects;    /* room for the whole batch, made for the first */
		struct shared_box **boxes; /* of objects[i] */
		struct buf *texts, *handlings;
		size_t n;
	} lane[LANE_COUNT];
	struct handling_memo *memo; /* most of a batch are handled alike */
	size_t all, waiting;
	bool failed;
};

/* One call of the store takes fewer than a batch may have. */
struct put_call {
	struct taking *t;
	struct kept *k;
	size_t from;
};

static void count_code(struct take_result *r, const char *id, const struct inbound_reason *why)
{
	size_t i = 0;
	char clean[SHARED_ID_MAX + 1];
	while (i < r->codes_n && strcmp(r->codes[i].code, why->code) != 0)
		i++;
	if (i == TAKE_CODES_MAX)
		return;
	if (i == r->codes_n)
		r->codes[r->codes_n++].code = why->code;
	r->codes[i].n++;
	if (!*r->first)
		snprintf(r->first, sizeof(r->first), "%.120s: %s: %.300s",
			 text_clean(clean, sizeof(clean), id, strlen(id)), why->code, why->text);
}

static void taking_free(struct taking *t)
{
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		struct kept *k = &t->lane[lane];
		for (size_t i = 0; i < k->n; i++) {
			shared_box_free(k->boxes[i]);
			free(k->boxes[i]);
			buf_free(&k->texts[i]);
			buf_free(&k->handlings[i]);
		}
		free(k->objects);
		free(k->boxes);
		free(k->texts);
		free(k->handlings);
	}
	handling_memo_free(t->memo);
	free(t);
}

static void over(struct taking *t)
{
	t->done.call(t->done.arg, !t->failed, &t->result);
	taking_free(t);
}

static void on_put(void *arg, bool ok, const struct objects_put_result *v, size_t n)
{
	struct put_call c = *(struct put_call *)arg;
	struct taking *t = c.t;
	char name[OBJECTS_COLLECTION_MAX + 1];
	free(arg);
	t->failed |= !ok;
	for (size_t i = 0; ok && i < n; i++) {
		const struct shared *s = &c.k->boxes[c.from + i]->is;
		t->result.stored += v[i].result == OBJECT_STORED;
		t->result.same += v[i].result == OBJECT_SAME;
		t->result.conflicts += v[i].result == OBJECT_CONFLICT;
		if (v[i].result != OBJECT_STORED)
			continue;
		if (t->taker->stored) {
			feed_collection_of(t->from->id, c.k == &t->lane[LANE_FLASH] ? LANE_FLASH : LANE_BULK, name);
			t->taker->stored(t->taker->arg, t->from, name, s, v[i].row);
			continue;
		}
		inbound_held(t->taker->inbound, t->from, 1);
		if (shared_revoked(s->stix))
			inbound_revoked(t->taker->inbound, t->from, shared_id(s->stix));
	}
	if (!--t->waiting)
		over(t);
}

static struct kept *room(struct taking *t, enum lane lane)
{
	struct kept *k = &t->lane[lane];
	if (k->objects)
		return k;
	k->objects = xcalloc(t->all, sizeof(*k->objects));
	k->boxes = xcalloc(t->all, sizeof(struct shared_box *));
	k->texts = xcalloc(t->all, sizeof(*k->texts));
	k->handlings = xcalloc(t->all, sizeof(*k->handlings));
	return k;
}

/* A confidence above what we grant this partner is lowered in what sensors get
 * (collector/partner_set.h); the object stays as it came. */
static void keep(struct taking *t, struct shared_box *box, struct bytes text)
{
	struct kept *k = room(t, shared_lane(box->is.priority));
	struct object *o = &k->objects[k->n];
	struct inbound_reason why = {.code = "invalid"};
	struct err e;
	buf_add(&k->texts[k->n], text.p, text.n);
	struct bytes own = {k->texts[k->n].p, k->texts[k->n].n};
	if (!object_read(o, box->stix, own, &e)) {
		snprintf(why.text, sizeof(why.text), "%.290s", e.text);
		count_code(&t->result, shared_id(box->stix), &why);
		t->result.refused++;
		buf_free(&k->texts[k->n]);
		shared_box_free(box);
		free(box);
		return;
	}
	handling_write_memo(t->memo, &box->is, &k->handlings[k->n]);
	o->text = own;
	o->handling = (struct bytes){k->handlings[k->n].p, k->handlings[k->n].n};
	t->result.quarantined += box->is.state == SHARED_QUARANTINE;
	t->result.review += box->is.state == SHARED_REVIEW;
	t->result.revoked += shared_revoked(box->stix);
	k->boxes[k->n++] = box;
}

static void take_one(struct taking *t, struct bytes text, int64_t now_us)
{
	struct inbound_reason why = {.code = "invalid"};
	struct err e;
	struct json *stix = json_read(text.p, text.n, SHARED_OBJECT_MAX, &e);
	if (!stix) {
		snprintf(why.text, sizeof(why.text), "%.290s", e.text);
		count_code(&t->result, "?", &why);
		t->result.refused++;
		return;
	}
	struct shared_box *box = xcalloc(1, sizeof(*box));
	bool taken = inbound_judge(t->taker->inbound, t->from, stix, now_us, box, &why);
	const char *id = shared_id(stix);
	if (*why.code)
		count_code(&t->result, id ? id : "?", &why);
	if (taken) {
		keep(t, box, text);
		return;
	}
	t->result.refused++;
	shared_box_free(box);
	free(box);
}

/* Every length is looked at before the first object is. */
static bool records_whole(struct bytes records, size_t n, struct err *e)
{
	struct cursor c = cursor_over(records.p, records.n);
	if (n > TAKE_BATCH)
		return err_set(e, "a batch of %zu objects; at most %d are taken", n, TAKE_BATCH);
	for (size_t i = 0; i < n; i++)
		cursor_skip(&c, cursor_u32(&c));
	return (cursor_ok(&c) && !cursor_left(&c)) ||
	       err_set(e, "a batch that is not %zu objects with their lengths", n);
}

static void put_lane(struct taking *t, enum lane lane)
{
	char collection[OBJECTS_COLLECTION_MAX + 1];
	struct kept *k = &t->lane[lane];
	feed_collection_of(t->from->id, lane, collection);
	for (size_t from = 0, n = k->n; from < n; from += OBJECTS_BATCH) {
		struct put_call *c = xcalloc(1, sizeof(*c));
		size_t some = n - from < OBJECTS_BATCH ? n - from : OBJECTS_BATCH;
		*c = (struct put_call){t, k, from};
		t->waiting++;
		objects_put(t->taker->objects, collection, k->objects + from, some,
			    (struct objects_put_done){on_put, c});
	}
}

void take_result_add(struct take_result *sum, const struct take_result *r)
{
	sum->stored += r->stored;
	sum->same += r->same;
	sum->conflicts += r->conflicts;
	sum->refused += r->refused;
	sum->quarantined += r->quarantined;
	sum->review += r->review;
	sum->revoked += r->revoked;
	for (size_t i = 0; i < r->codes_n; i++) {
		size_t k = 0;
		while (k < sum->codes_n && sum->codes[k].code != r->codes[i].code)
			k++;
		if (k == TAKE_CODES_MAX)
			continue;
		if (k == sum->codes_n)
			sum->codes[sum->codes_n++].code = r->codes[i].code;
		sum->codes[k].n += r->codes[i].n;
	}
	if (*r->first)
		memcpy(sum->first, r->first, sizeof(sum->first));
}

bool take_batch(struct taker *taker, const struct policy *from, struct bytes records, size_t n, struct take_done done,
		struct err *e)
{
	struct cursor c = cursor_over(records.p, records.n);
	int64_t now_us = clock_wall_us();
	if (!records_whole(records, n, e))
		return false;
	struct taking *t = xcalloc(1, sizeof(*t));
	t->taker = taker;
	t->from = from;
	t->done = done;
	t->all = n;
	t->memo = handling_memo_new();
	for (size_t i = 0; i < n; i++)
		take_one(t, cursor_bytes(&c, cursor_u32(&c)), now_us);
	t->waiting = 1; /* an answer may come before the last call is made */
	put_lane(t, LANE_FLASH);
	put_lane(t, LANE_BULK);
	if (!--t->waiting)
		over(t);
	return true;
}
