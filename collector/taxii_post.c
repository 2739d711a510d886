/* POST of objects, and the status of it. Each object is judged by itself; what is
 * refused is told in the status and the rest goes on. The answer comes when all
 * that was taken stands in Redis, so a status is complete from the beginning, and who got none
 * posts again: what is there already is success. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/taxii_envelope.h"
#include "collector/taxii_internal.h"
#include "collector/taxii_take.h"
#include "common/clock.h"
#include "common/text.h"

#define STATUS_KEY_MAX 512

struct posting {
	struct ask *ask;
	char began[CLOCK_TEXT_LEN], id[37];
	size_t count;
};

/* ---- the status ---- */

static void status_key(const struct ask *a, const char *id, char out[static STATUS_KEY_MAX])
{
	snprintf(out, STATUS_KEY_MAX, OBJECTS_PREFIX "status:%s:%s:%s", a->root->name, a->partner, id);
}

static void write_status(const struct posting *p, const struct taken *t, struct buf *out)
{
	buf_printf(out,
		   "{\"id\":\"%s\",\"status\":\"complete\",\"request_timestamp\":\"%s\",\"total_count\":%zu,"
		   "\"success_count\":%zu,\"failure_count\":%zu,\"pending_count\":0",
		   p->id, p->began, t->success_n + t->failure_n, t->success_n, t->failure_n);
	if (t->success_n) {
		buf_printf(out, ",\"successes\":[");
		buf_add(out, t->successes.p, t->successes.n);
		buf_add(out, "]", 1);
	}
	if (t->failure_n) {
		buf_printf(out, ",\"failures\":[");
		buf_add(out, t->failures.p, t->failures.n);
		buf_add(out, "]", 1);
	}
	buf_add(out, "}", 1);
}

static void keep_status(const struct posting *p, const struct buf *text)
{
	char key[STATUS_KEY_MAX], seconds[24];
	const struct ask *a = p->ask;
	status_key(a, p->id, key);
	snprintf(seconds, sizeof(seconds), "%" PRId64, a->t->is.conf->status_ms / 1000);
	const char *v[] = {"SET", key, (const char *)text->p, "EX", seconds};
	size_t len[] = {3, strlen(key), text->n, 2, strlen(seconds)};
	redis_link_send(a->t->is.redis, 5, v, len, (struct redis_done){0});
}

static void on_status(void *arg, const struct reply *r)
{
	struct ask *a = arg;
	struct bytes text;
	struct buf body = {0};
	if (!r || reply_error(r, &text)) {
		ask_busy(a);
	} else if (!reply_text(r, &text)) {
		ask_fail(a, 404, "NotFound", "there is no such status, or it is too old");
	} else {
		buf_add(&body, text.p, text.n);
		ask_reply(a, 200, &body);
		buf_free(&body);
	}
}

void taxii_status(struct ask *a, const char *id)
{
	char key[STATUS_KEY_MAX];
	if (!shared_name_valid(id)) {
		ask_fail(a, 404, "NotFound", "there is no such status");
		return;
	}
	status_key(a, id, key);
	if (!redis_link_words(a->t->is.redis, 2, (const char *[]){"GET", key}, (struct redis_done){on_status, a}))
		ask_busy(a);
}

/* ---- the request ---- */

static void on_taken(void *arg, const struct taken *t)
{
	struct posting *p = arg;
	struct buf body = {0};
	p->ask->t->stats.turned_away += t->failure_n;
	p->ask->t->stats.taken += t->success_n;
	if (t->lost) {
		ask_busy(p->ask);
	} else {
		write_status(p, t, &body);
		keep_status(p, &body);
		ask_reply(p->ask, 202, &body);
	}
	buf_free(&body);
	free(p);
}

static void fail(struct posting *p, int status, const char *fmt, const char *why)
{
	ask_fail(p->ask, status, "ProcessingError", fmt, why);
	free(p);
}

static bool slow_down(struct posting *p)
{
	struct ask *a = p->ask;
	int64_t wait_us = a->t->seeded ? 0
				       : inbound_wait_us(partners_inbound(a->t->is.partners), a->policy, LANE_BULK,
							 p->count, clock_mono_us());
	if (!wait_us)
		return false;
	ask_fail(a, 429, "TooManyRequests", "inbound.rate: come again in %" PRId64 " ms", wait_us / 1000 + 1);
	free(p);
	return true;
}

void taxii_post(struct ask *a)
{
	struct posting *p = xcalloc(1, sizeof(*p));
	struct envelope form = envelope_over(httpd_body(a->r));
	struct bytes object;
	struct err e;
	enum envelope_result r;
	struct take_want want = {.objects = a->t->is.objects,
				 .partners = a->t->seeded ? NULL : a->t->is.partners,
				 .policy = a->policy,
				 .from = TAXII_SEED,
				 .collection = a->collection->store,
				 .object_max = (size_t)a->t->is.conf->object_bytes,
				 .text = httpd_body(a->r),
				 .cut = &a->cut};
	*p = (struct posting){.ask = a};
	clock_format(clock_wall_us(), p->began);
	taxii_uuid(p->id);
	/* Its form first: nothing of a body that is cut is kept. */
	while ((r = envelope_next(&form, &object, &e)) == ENVELOPE_OBJECT)
		p->count++;
	if (r == ENVELOPE_NONE)
		fail(p, 422, "While processing supplied content, an error occurred: %s", e.text);
	else if (r != ENVELOPE_END)
		fail(p, 400, "The server did not understand the request: %s", e.text);
	else if (!slow_down(p))
		take_all(&want, (struct take_done){on_taken, p});
}
