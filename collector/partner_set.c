#include "collector/partner_set.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/partner_walk.h"
#include "collector/publish.h"
#include "common/clock.h"
#include "rules/entry.h"
#include "rules/import.h"
#include "rules/rulefile_yaml.h"
#include "rules/signing.h"

/* One set on its way: collected in the loop, made in the thread. */
struct making {
	struct making *next;
	struct set_maker *m;
	char set[MANIFEST_SET_MAX + 1], producer[SHARED_NAME_MAX + 1];
	int64_t confidence_max;
	bool flash, withdraw;
	struct set_done done;
	struct diags diags;
	struct import import;
	bool ok;
	size_t indicators;
	struct err why;
};

struct set_maker {
	struct objects *objects;
	const struct store_conf *conf;
	struct sign_key *key;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct making *todo, *made;
	bool stop, started;
};

/* ---- in the loop: what is in it ---- */

static bool wanted(void *arg, const struct walked *w)
{
	const char *exercise = json_text(json_at(w->handling->envelope, "exercise"), NULL);
	(void)arg;
	return strncmp(w->id, "indicator--", 11) == 0 && handling_state(w->handling) == SHARED_ACTIVE &&
	       !json_bool(json_at(w->handling->root, "gate.revoked"), false) && !(exercise && *exercise);
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

static void to_thread(struct making *k)
{
	struct set_maker *m = k->m;
	pthread_mutex_lock(&m->lock);
	push(&m->todo, k);
	pthread_cond_signal(&m->more);
	pthread_mutex_unlock(&m->lock);
}

static void collected(void *arg, bool ok)
{
	struct making *k = arg;
	if (ok) {
		to_thread(k);
		return;
	}
	k->done.call(k->done.arg, false, 0, "Redis is away");
	making_free(k);
}

void set_make(struct set_maker *m, const struct policy *from, const char *set, bool flash, bool withdraw,
	      struct set_done done)
{
	struct making *k = xcalloc(1, sizeof(*k));
	k->m = m;
	k->flash = flash;
	k->withdraw = withdraw;
	k->confidence_max = from->inbound.confidence_max;
	k->done = done;
	k->diags.limit = 1;
	k->import.d = &k->diags;
	k->import.file = set;
	snprintf(k->set, sizeof(k->set), "%s", set);
	snprintf(k->producer, sizeof(k->producer), "%s", from->id);
	if (withdraw)
		to_thread(k);
	else
		walk_collection(m->objects, set, 0, (struct walker){wanted, collect, collected, k});
}

void set_maker_work(struct set_maker *m)
{
	pthread_mutex_lock(&m->lock);
	struct making *k = m->made;
	m->made = NULL;
	pthread_mutex_unlock(&m->lock);
	while (k) {
		struct making *next = k->next;
		k->done.call(k->done.arg, k->ok, k->indicators, k->why.text);
		making_free(k);
		k = next;
	}
}

/* ---- in the thread: build, sign, publish ---- */

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
	struct signing s = {.key = k->m->key, .shrink = true, .now_us = clock_wall_us()};
	struct ruleset *set = k->withdraw || !k->import.entries.n ? NULL : build(k);
	struct manifest m;
	struct buf file = {0};
	uint32_t last = 0;
	bool withdrawn = false, good = follow(r, k->set, &s, &last, &withdrawn, &k->why);
	s.priority = k->flash || k->withdraw ? URGENCY_FLASH : URGENCY_ROUTINE;
	if (good && set)
		good = signing_make(set, &s, &file, &m, &k->why);
	if (good && set && !withdrawn && strcmp(m.digest, s.previous) == 0)
		buf_free(&file); /* that is published already */
	else if (good && !set && last && !withdrawn)
		good = signing_withdrawn(k->set, &s, &m, &file, &k->why);
	if (good && file.n)
		good = publish_put(r, (struct bytes){file.p, file.n}, "", "picket-gateway", &k->why);
	ruleset_free(set);
	buf_free(&file);
	return good;
}

static void *run(void *arg)
{
	struct set_maker *m = arg;
	struct redis_ask *r = NULL;
	pthread_mutex_lock(&m->lock);
	while (!m->stop) {
		struct making *k = m->todo;
		if (!k) {
			pthread_cond_wait(&m->more, &m->lock);
			continue;
		}
		m->todo = k->next;
		pthread_mutex_unlock(&m->lock);
		if (!r)
			r = redis_ask_open(m->conf, &k->why);
		k->ok = r && make(k, r);
		if (!k->ok) { /* its connection may be what failed */
			redis_ask_free(r);
			r = NULL;
		}
		pthread_mutex_lock(&m->lock);
		push(&m->made, k);
	}
	pthread_mutex_unlock(&m->lock);
	redis_ask_free(r);
	return NULL;
}

struct set_maker *set_maker_new(struct objects *o, const struct store_conf *redis, const char *key, struct err *e)
{
	struct set_maker *m = xcalloc(1, sizeof(*m));
	m->objects = o;
	m->conf = redis;
	m->key = sign_key_read(key, e);
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->more, NULL);
	if (!m->key) {
		set_maker_free(m);
		return NULL;
	}
	m->started = pthread_create(&m->thread, NULL, run, m) == 0;
	if (m->started)
		return m;
	err_set(e, "cannot start the thread that makes sets");
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
	pthread_cond_signal(&m->more);
	pthread_mutex_unlock(&m->lock);
	if (m->started)
		pthread_join(m->thread, NULL);
	drop(m->todo);
	drop(m->made);
	sign_key_free(m->key);
	free(m);
}
