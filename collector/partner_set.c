#include "collector/partner_set.h"

#include <event2/event.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "collector/partner_walk.h"
#include "collector/publish.h"
#include "collector/redis_link.h"
#include "common/clock.h"
#include "rules/entry.h"
#include "rules/import.h"
#include "rules/rulefile_yaml.h"
#include "rules/signing.h"

#define READY_US  5000000 /* Redis answers within this, or the set is made later */
#define CALL_MS   10000
#define BULK_NICE 10 /* bulk takes what the rest of the machine leaves */

/* One set on its way. */
struct making {
	struct making *next;
	struct worker *w;
	char collection[OBJECTS_COLLECTION_MAX + 1], set[MANIFEST_SET_MAX + 1], producer[SHARED_NAME_MAX + 1];
	char exercise[SHARED_NAME_MAX + 1];
	int64_t confidence_max, until_us;
	bool flash, withdraw;
	struct set_done done;
	struct diags diags;
	struct import import;
	bool ok, walked, collected;
	size_t indicators;
	uint32_t version;
	struct err why;
};

/* One thread, with a loop and a Redis of its own. */
struct worker {
	struct set_maker *m;
	int nice;
	pthread_t thread;
	pthread_cond_t more;
	struct making *todo;
	bool started;
	struct event_base *base;
	struct redis_link *link;
	struct objects *objects;
	struct redis_ask *redis; /* for what waits: publishing */
	int64_t until_us;        /* the loop ends then; 0 = when it is broken off */
};

struct set_maker {
	struct store_conf conf;
	struct sign_key *key;
	pthread_mutex_t lock;
	struct worker worker[LANE_COUNT];
	struct making *made;
	bool stop;
};

static void making_free(struct making *k)
{
	buf_free(&k->import.entries);
	buf_free(&k->import.kept);
	diag_free(&k->diags);
	free(k);
}

static void push(struct making **list, struct making *k)
{
	while (*list)
		list = &(*list)->next;
	k->next = NULL;
	*list = k;
}

/* ---- in the gateway's loop ---- */

void set_make(struct set_maker *m, const struct set_order *order, struct set_done done)
{
	struct making *k = xcalloc(1, sizeof(*k));
	struct worker *w = &m->worker[order->flash || order->withdraw ? LANE_FLASH : LANE_BULK];
	k->w = w;
	k->flash = order->flash;
	k->withdraw = order->withdraw;
	k->confidence_max = order->from->inbound.confidence_max;
	k->until_us = order->until_us;
	k->done = done;
	k->diags.limit = 1;
	k->import.d = &k->diags;
	k->import.in_memory = true;
	snprintf(k->collection, sizeof(k->collection), "%s", order->collection);
	snprintf(k->set, sizeof(k->set), "%s", order->set);
	snprintf(k->exercise, sizeof(k->exercise), "%s", order->exercise);
	snprintf(k->producer, sizeof(k->producer), "%s", order->from->id);
	k->import.file = k->set;
	pthread_mutex_lock(&m->lock);
	push(&w->todo, k);
	pthread_cond_signal(&w->more);
	pthread_mutex_unlock(&m->lock);
}

void set_maker_work(struct set_maker *m)
{
	pthread_mutex_lock(&m->lock);
	struct making *k = m->made;
	m->made = NULL;
	pthread_mutex_unlock(&m->lock);
	while (k) {
		struct making *next = k->next;
		k->done.call(k->done.arg, k->ok, k->indicators, k->version, k->why.text);
		making_free(k);
		k = next;
	}
}

/* ---- in a thread: what is in it ---- */

static bool stopped(struct set_maker *m)
{
	pthread_mutex_lock(&m->lock);
	bool stop = m->stop;
	pthread_mutex_unlock(&m->lock);
	return stop;
}

static bool wanted(void *arg, const struct walked *w)
{
	const struct making *k = arg;
	const char *exercise = json_text(json_at(w->handling->envelope, "exercise"), NULL);
	return strncmp(w->id, "indicator--", 11) == 0 && handling_state(w->handling) == SHARED_ACTIVE &&
	       !json_bool(json_at(w->handling->root, "gate.revoked"), false) &&
	       strcmp(exercise ? exercise : "", k->exercise) == 0;
}

static void collect(void *arg, const struct walked *w, const struct shared *s)
{
	struct making *k = arg;
	struct buf text = {0};
	struct json *own = NULL;
	(void)w;
	if (json_int(json_at(s->stix, "confidence"), 0) > k->confidence_max) {
		own = json_clone(s->stix);
		json_put_int(own, "confidence", k->confidence_max);
	}
	json_write(own ? own : s->stix, &text);
	import_stix(&k->import, (struct bytes){text.p, text.n});
	k->import.kept.n = 0; /* what cannot be matched stays in the store, and is passed on from there */
	json_drop(own);
	buf_free(&text);
}

static void collected(void *arg, bool ok)
{
	struct making *k = arg;
	k->walked = true;
	k->collected = ok;
	event_base_loopbreak(k->w->base);
}

static void on_ready(void *arg)
{
	event_base_loopbreak(((struct worker *)arg)->base);
}

static void on_second(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	(void)fd;
	(void)what;
	if (stopped(w->m) || (w->until_us && clock_mono_us() > w->until_us))
		event_base_loopbreak(w->base);
}

/* Until somebody breaks the loop off, the program ends, or READY_US are over for what is not a walk. */
static void run_loop(struct worker *w, bool bounded)
{
	struct timeval second = {.tv_sec = 1};
	struct event *look = event_new(w->base, -1, EV_PERSIST, on_second, w);
	w->until_us = bounded ? clock_mono_us() + READY_US : 0;
	if (look && event_add(look, &second) == 0)
		event_base_dispatch(w->base);
	if (look)
		event_free(look);
}

static void close_store(struct worker *w)
{
	redis_link_free(w->link); /* a walk under way ends */
	objects_free(w->objects);
	redis_ask_free(w->redis);
	if (w->base)
		event_base_free(w->base);
	w->link = NULL;
	w->objects = NULL;
	w->redis = NULL;
	w->base = NULL;
}

static bool open_store(struct worker *w, struct err *e)
{
	bool unfit;
	if (w->link && redis_link_ready(w->link))
		return true;
	close_store(w);
	w->base = event_base_new();
	w->link = w->base ? redis_link_new(w->base, &w->m->conf, on_ready, w) : NULL;
	if (!w->link)
		return err_set(e, "no memory for the event loop");
	w->objects = objects_new(w->link, INT64_MAX, INT64_MAX);
	run_loop(w, true);
	if (redis_link_ready(w->link) && (w->redis = redis_ask_open(&w->m->conf, e)))
		return true;
	if (!redis_link_ready(w->link))
		err_set(e, "%s", redis_link_trouble(w->link, &unfit));
	close_store(w);
	return false;
}

static bool collect_all(struct making *k)
{
	if (k->withdraw)
		return true;
	walk_collection(k->w->objects, k->collection, 0, (struct walker){wanted, collect, collected, k});
	if (!k->walked) /* a connection that broke while nobody looked fails at once */
		run_loop(k->w, false);
	return k->collected || err_set(&k->why, "Redis is away");
}

/* ---- in a thread: build, sign, publish ---- */

static struct ruleset *build(struct making *k)
{
	struct rulefile_count count = {0};
	struct diags d = {.limit = 1};
	struct ruleset_builder *b = ruleset_builder_new();
	struct rule_source s = {.b = b, .d = &d, .count = &count, .file = k->set, .no_files = true};
	struct buf text = {0};
	struct ruleset *r = NULL;
	s.defaults.i.severity = SEVERITY_MEDIUM;
	s.defaults.i.confidence = 50;
	buf_printf(&text, "set: {id: \"%s\", version: 1, producer: \"%s\"}\nindicators:\n", k->set, k->producer);
	buf_add(&text, k->import.entries.p, k->import.entries.n);
	rulefile_yaml_read(&s, (const char *)text.p, text.n);
	source_close(&s);
	buf_free(&text);
	buf_free(&k->import.entries);
	k->indicators = ruleset_builder_count(b);
	if (k->indicators)
		r = ruleset_build(b, &k->why);
	ruleset_builder_free(b);
	diag_free(&d);
	return r;
}

/* Version and digest follow from what is published. *last: 0 = the set was never here. */
static bool follow(struct redis_ask *r, const char *set, struct signing *s, uint32_t *last, bool *withdrawn,
		   struct err *e)
{
	struct published p;
	if (!publish_latest(r, set, last, e))
		return false;
	s->version = *last + 1;
	if (!*last)
		return true;
	if (!publish_read(r, set, *last, &p, e))
		return false;
	*withdrawn = p.m.withdrawn;
	memcpy(s->previous, p.m.digest, sizeof(s->previous));
	return true;
}

static bool make(struct making *k, struct redis_ask *r)
{
	struct signing s = {.key = k->w->m->key, .shrink = true, .now_us = clock_wall_us()};
	struct ruleset *set = k->withdraw || !k->import.entries.n ? NULL : build(k);
	struct manifest m;
	struct buf file = {0};
	uint32_t last = 0;
	bool withdrawn = false, good = follow(r, k->set, &s, &last, &withdrawn, &k->why);
	s.priority = k->flash || k->withdraw ? URGENCY_FLASH : URGENCY_ROUTINE;
	if (*k->exercise) {
		s.exercise = k->exercise;
		s.until_us = k->until_us;
	}
	if (good && set)
		good = signing_make(set, &s, &file, &m, &k->why);
	if (good && set && !withdrawn && strcmp(m.digest, s.previous) == 0)
		buf_free(&file); /* that is published already */
	else if (good && !set && last && !withdrawn)
		good = signing_withdrawn(k->set, &s, &m, &file, &k->why);
	k->version = file.n ? s.version : last;
	if (good && file.n)
		good = publish_put(r, (struct bytes){file.p, file.n}, "", "picket-gateway", &k->why);
	ruleset_free(set);
	buf_free(&file);
	return good;
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct set_maker *m = w->m;
	if (w->nice) /* of this thread: Linux counts them apart */
		setpriority(PRIO_PROCESS, 0, w->nice);
	pthread_mutex_lock(&m->lock);
	w->started = true;
	pthread_cond_signal(&w->more);
	while (!m->stop) {
		struct making *k = w->todo;
		if (!k) {
			pthread_cond_wait(&w->more, &m->lock);
			continue;
		}
		w->todo = k->next;
		pthread_mutex_unlock(&m->lock);
		k->ok = open_store(w, &k->why) && collect_all(k) && make(k, w->redis);
		if (!k->ok) /* its connection may be what failed */
			close_store(w);
		pthread_mutex_lock(&m->lock);
		push(&m->made, k);
	}
	pthread_mutex_unlock(&m->lock);
	close_store(w);
	return NULL;
}

/* It is waited for, because the sandbox comes next and takes away what it needs to begin. */
static bool start(struct worker *w, struct err *e)
{
	if (pthread_create(&w->thread, NULL, run, w) != 0)
		return err_set(e, "cannot start a thread that makes sets");
	pthread_mutex_lock(&w->m->lock);
	while (!w->started)
		pthread_cond_wait(&w->more, &w->m->lock);
	pthread_mutex_unlock(&w->m->lock);
	return true;
}

struct set_maker *set_maker_new(const struct store_conf *redis, const char *key, struct err *e)
{
	struct set_maker *m = xcalloc(1, sizeof(*m));
	m->conf = *redis;
	m->conf.timeout_ms = CALL_MS;
	pthread_mutex_init(&m->lock, NULL);
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		m->worker[lane] = (struct worker){.m = m, .nice = lane == LANE_BULK ? BULK_NICE : 0};
		pthread_cond_init(&m->worker[lane].more, NULL);
	}
	m->key = sign_key_read(key, e);
	if (m->key && start(&m->worker[LANE_BULK], e) && start(&m->worker[LANE_FLASH], e))
		return m;
	set_maker_free(m);
	return NULL;
}

static void drop(struct making *k)
{
	while (k) {
		struct making *next = k->next;
		making_free(k);
		k = next;
	}
}

void set_maker_free(struct set_maker *m)
{
	if (!m)
		return;
	pthread_mutex_lock(&m->lock);
	m->stop = true;
	for (int lane = 0; lane < LANE_COUNT; lane++)
		pthread_cond_signal(&m->worker[lane].more);
	pthread_mutex_unlock(&m->lock);
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		if (m->worker[lane].started)
			pthread_join(m->worker[lane].thread, NULL);
		drop(m->worker[lane].todo);
	}
	drop(m->made);
	sign_key_free(m->key);
	free(m);
}
