#include "collector/receipt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/publish.h"
#include "common/frame.h"

#define LOOK_US     50000
#define TELL_US     200000   /* at most so often, until all match */
#define WATCH_US    15000000 /* who has not answered by then is not waited for */
#define SENSORS_END "4095"   /* the last of them that is counted */

/* ---- how many should match ---- */

static bool is_true(const struct reply *r)
{
	struct bytes b;
	return reply_text(r, &b) && b.n == 4 && memcmp(b.p, "true", 4) == 0;
}

static void on_sensor(void *arg, const struct reply *r)
{
	struct partner *p = arg;
	p->all->commands--;
	p->watch.counting--;
	p->watch.sensors += is_true(reply_at(r, 0)) && is_true(reply_at(r, 1));
}

static void on_sensors(void *arg, const struct reply *r)
{
	struct partner *p = arg;
	p->all->commands--;
	p->watch.counting--;
	for (size_t i = 0; i < reply_count(r); i++) {
		char key[FRAME_ID_MAX + 32];
		struct bytes id;
		if (!reply_text(reply_at(r, i), &id) || id.n > FRAME_ID_MAX)
			continue;
		snprintf(key, sizeof(key), "picket:sensor:%.*s", (int)id.n, (const char *)id.p);
		if (!redis_link_words(p->all->redis, 4, (const char *[]){"HMGET", key, "connected", "takes_sets"},
				      (struct redis_done){on_sensor, p}))
			break;
		p->all->commands++;
		p->watch.counting++;
	}
}

void receipt_watch(struct partner *p, const char *set, uint32_t version, int64_t place, int64_t came_us)
{
	if (!partner_policy(p)->release.receipts || !place)
		return;
	p->next = (struct watch){.on = true, .version = version, .place = place, .came_us = came_us};
	snprintf(p->next.set, sizeof(p->next.set), "%s", set);
}

/* The newest takes the place of the one before, whose objects it holds as well. Answers
 * that are on their way are about the one before. */
static void begin(struct partner *p)
{
	struct watch *w = &p->watch;
	if (!p->next.on || w->counting || w->asking)
		return;
	*w = p->next;
	w->until_us = p->all->now_us + WATCH_US;
	p->next.on = false;
	if (!redis_link_words(p->all->redis, 5, (const char *[]){"ZRANGE", "picket:sensors", "0", SENSORS_END, "REV"},
			      (struct redis_done){on_sensors, p}))
		return;
	p->all->commands++;
	w->counting++;
}

/* ---- how many do ---- */

static void tell(struct partner *p)
{
	struct watch *w = &p->watch;
	struct link *l = partner_link_of(p);
	struct link_receipt r = {.place = w->place,
				 .matching = (int64_t)w->armed,
				 .sensors = (int64_t)(w->sensors > w->armed ? w->sensors : w->armed),
				 .ms = (w->changed_us - w->came_us) / 1000};
	w->told_us = p->all->now_us;
	w->told = w->armed;
	if (l)
		link_receipt(l, &r);
}

static void on_receipts(void *arg, const struct reply *r)
{
	struct partner *p = arg;
	struct watch *w = &p->watch;
	size_t armed = 0;
	p->all->commands--;
	w->asking = false;
	for (size_t i = 1; i < reply_count(r); i += 2) { /* the values */
		struct bytes b;
		armed += reply_text(reply_at(r, i), &b) && b.n > 6 && memcmp(b.p, "armed ", 6) == 0;
	}
	if (armed > w->armed) {
		w->armed = armed;
		w->changed_us = p->all->now_us;
	}
	bool all = !w->counting && w->armed && w->armed >= w->sensors, over = all || p->all->now_us > w->until_us;
	if (w->armed > w->told && !w->counting && (over || p->all->now_us - w->told_us > TELL_US))
		tell(p);
	w->on = !over;
}

static void look(struct partner *p)
{
	struct watch *w = &p->watch;
	char key[256];
	if (!w->on || w->asking || p->all->now_us < w->look_us)
		return;
	w->look_us = p->all->now_us + LOOK_US;
	snprintf(key, sizeof(key), PUBLISH_PREFIX "set:%s:receipts:%" PRIu32, w->set, w->version);
	w->asking = redis_link_words(p->all->redis, 2, (const char *[]){"HGETALL", key},
				     (struct redis_done){on_receipts, p});
	p->all->commands += w->asking;
}

void receipts_work(struct partners *p)
{
	for (size_t i = 0; i < p->policies.n; i++) {
		begin(&p->list[i]);
		look(&p->list[i]);
	}
}

/* ---- what they tell ---- */

void receipt_take(struct partners *p, const struct policy *from, const struct link_receipt *r)
{
	char key[128], place[24], matching[24], sensors[24], ms[24];
	if (r->place <= 0 || r->matching < 0 || r->sensors < r->matching || r->ms < 0)
		return;
	snprintf(key, sizeof(key), PARTNER_KEY, from->id);
	snprintf(place, sizeof(place), "%" PRId64, r->place);
	snprintf(matching, sizeof(matching), "%" PRId64, r->matching);
	snprintf(sensors, sizeof(sensors), "%" PRId64, r->sensors);
	snprintf(ms, sizeof(ms), "%" PRId64, r->ms);
	const char *words[] = {
	    "HSET",       key, "receipt_place", place, "receipt_matching", matching, "receipt_sensors", sensors,
	    "receipt_ms", ms};
	redis_link_words(p->redis, sizeof(words) / sizeof(*words), words, redis_ignored);
}
