#include "collector/sighting.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/handling.h"
#include "collector/partner_walk.h"
#include "collector/relay.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/text.h"
#include "rules/marking.h"

#define ALERTS_STREAM "picket:{p%u}:alerts"
#define STATE_KEY     "picket:{x}:sightings" /* hash: last, and last:<n> of the other partitions of a cluster */
#define FP_KEY        "picket:{x}:fp:%s"     /* set: who said that it is wrong; 400 d */
#define POLL_US       200000
#define SIGHTING_US   10000000
#define AT_ONCE       "500"

/* One indicator of a partner. */
struct seen {
	char indicator[SHARED_ID_MAX + 1];
	size_t partner;
	enum lane lane;
	enum tlp tlp;
	int64_t first_us, last_us, told_us, touched_us;
	bool changed, quarantined;
	struct group {
		uint64_t id;
		int64_t n;
	} * groups;
	size_t groups_n, groups_cap;
	int64_t beyond; /* hits of groups that are not told apart any more */
};

/* The transitions of one partition, and how far they are read. */
struct transitions {
	struct sightings *s;
	char stream[32], field[16], last[32];
	int64_t poll_at_us;
	bool asking, known;
};

struct sightings {
	struct partners *p;
	struct seen *list;
	size_t n;
	struct transitions part[PARTITIONS_CLUSTER];
	unsigned parts;
};

struct sightings *sightings_new(struct partners *p)
{
	struct sightings *s = xcalloc(1, sizeof(*s));
	s->p = p;
	s->list = xcalloc(SIGHTING_MAX, sizeof(*s->list));
	s->parts = redis_link_partitions(p->redis);
	for (unsigned i = 0; i < s->parts; i++) {
		struct transitions *t = &s->part[i];
		t->s = s;
		snprintf(t->stream, sizeof(t->stream), ALERTS_STREAM, i);
		snprintf(t->field, sizeof(t->field), i ? "last:%u" : "last", i);
	}
	return s;
}

void sightings_free(struct sightings *s)
{
	for (size_t i = 0; s && i < s->n; i++)
		free(s->list[i].groups);
	if (s)
		free(s->list);
	free(s);
}

/* ---- objects that we make ---- */

static void ignore_put(void *arg, bool ok, const struct objects_put_result *v, size_t n)
{
	(void)arg;
	(void)v;
	(void)n;
	if (!ok)
		log_warnx("a sighting could not be stored; it is told with the next hit");
}

/* Into our own collection, addressed to one partner. stix is taken. */
static void put_own(struct partners *p, struct json *stix, const char *to, enum priority priority)
{
	char name[OBJECTS_COLLECTION_MAX + 1];
	struct buf text = {0}, handling = {0};
	struct object o;
	struct err e;
	const char *const list[] = {to};
	struct shared s = {.stix = stix,
			   .collection = "",
			   .origin = "",
			   .from = "",
			   .path = list,
			   .releasable_to = list,
			   .rel_n = 1,
			   .exercise = "",
			   .priority = priority};
	json_write(stix, &text);
	handling_write(&s, &handling);
	if (object_read(&o, stix, (struct bytes){text.p, text.n}, &e)) {
		o.text = (struct bytes){text.p, text.n};
		o.handling = (struct bytes){handling.p, handling.n};
		feed_collection_of(NULL, shared_lane(priority), name);
		objects_put(p->objects, name, &o, 1, (struct objects_put_done){ignore_put, NULL});
	}
	buf_free(&text);
	buf_free(&handling);
	json_drop(stix);
}

static const char *stix_time(int64_t us, char out[static CLOCK_TEXT_LEN])
{
	clock_format(us, out);
	memcpy(out + 23, "Z", 2); /* milliseconds */
	return out;
}

/* The id is the same for one organisation, indicator and kind, so that what grows is one object. */
static void make_id(const struct partners *p, const char *type, const char *about, char out[static 96])
{
	struct buf name = {0};
	char uuid[INDICATOR_ID_LEN];
	buf_printf(&name, "%s|%s|%s", type, p->policies.own, about);
	buf_u8(&name, 0);
	snprintf(out, 96, "%s--%s", type, indicator_make_id(INDICATOR_NONE, (const char *)name.p, uuid));
	buf_free(&name);
}

void sightings_id(const struct sightings *s, const char *indicator, char out[static 96])
{
	make_id(s->p, "sighting", indicator, out);
}

static struct json *object_new(const struct partners *p, const char *type, const char *about, enum tlp tlp,
			       int64_t created_us)
{
	char id[96], time[CLOCK_TEXT_LEN];
	struct json *o = json_map(), *markings = json_list();
	make_id(p, type, about, id);
	json_put_text(o, "type", type);
	json_put_text(o, "spec_version", "2.1");
	json_put_text(o, "id", id);
	json_put_text(o, "created", stix_time(created_us, time));
	json_put_text(o, "modified", stix_time(clock_wall_us(), time));
	json_put_text(markings, NULL, marking_tlp_id(tlp ? tlp : TLP_AMBER));
	json_put(o, "object_marking_refs", markings);
	return o;
}

static void put_sighting(struct sightings *s, struct json *o, const struct policy *to, const char *indicator,
			 int64_t from_us, int64_t until_us, int64_t n, enum priority priority)
{
	char time[CLOCK_TEXT_LEN];
	json_put_text(o, "first_seen", stix_time(from_us, time));
	json_put_text(o, "last_seen", stix_time(until_us, time));
	json_put_int(o, "count", n > 999999999 ? 999999999 : n); /* STIX 2.1 section 5.2 */
	json_put_text(o, "sighting_of_ref", indicator);
	json_put_bool(o, "summary", true);
	put_own(s->p, o, to->id, priority);
}

void sightings_negative(struct sightings *s, const struct policy *to, const char *indicator, enum tlp tlp,
			int64_t created_us, int64_t from_us, int64_t until_us)
{
	char about[SHARED_ID_MAX + 16];
	snprintf(about, sizeof(about), "not|%s", indicator); /* beside the one of a hit, not in its place */
	put_sighting(s, object_new(s->p, "sighting", about, tlp, created_us), to, indicator, from_us, until_us, 0,
		     PRIORITY_ROUTINE);
}

static void tell(struct sightings *s, struct seen *x)
{
	const struct policy *to = &s->p->policies.list[x->partner];
	int64_t n = x->beyond;
	for (size_t i = 0; i < x->groups_n; i++)
		n += x->groups[i].n;
	x->changed = false;
	x->told_us = s->p->now_us;
	if (!to->inbound.sightings)
		return;
	put_sighting(s, object_new(s->p, "sighting", x->indicator, x->tlp, x->first_us), to, x->indicator, x->first_us,
		     x->last_us, n, x->lane == LANE_FLASH ? PRIORITY_IMMEDIATE : PRIORITY_PRIORITY);
}

void sightings_false_positive(struct sightings *s, const struct policy *to, const char *indicator)
{
	struct json *o, *refs = json_list(), *labels = json_list();
	o = object_new(s->p, "opinion", indicator, TLP_AMBER, clock_wall_us());
	json_put_text(o, "opinion", "strongly-disagree");
	json_put_text(refs, NULL, indicator);
	json_put(o, "object_refs", refs);
	json_put_text(labels, NULL, "false-positive");
	json_put(o, "labels", labels);
	put_own(s->p, o, to->id, PRIORITY_PRIORITY);
}

/* ---- quarantine ---- */

struct quarantine {
	struct sightings *s;
	struct partner *of;
	enum lane lane;
	char id[SHARED_ID_MAX + 1], why[200];
	const char *code; /* static storage */
};

static bool is_it(void *arg, const struct walked *w)
{
	const struct quarantine *q = arg;
	return strcmp(w->id, q->id) == 0 && handling_state(w->handling) == SHARED_ACTIVE;
}

static void ignore_handled(void *arg, bool ok, int64_t changed)
{
	struct quarantine *q = arg;
	if (ok && changed)
		partners_changed(q->of, q->lane);
	q->s->p->commands--;
	free(q);
}

static void put_away(void *arg, const struct walked *w, const struct shared *o)
{
	const struct quarantine *q = arg;
	char name[OBJECTS_COLLECTION_MAX + 1];
	struct shared changed = *o;
	struct buf handling = {0};
	struct quarantine *own = xcalloc(1, sizeof(*own));
	*own = *q;
	changed.state = SHARED_QUARANTINE;
	changed.reason = q->code;
	handling_write(&changed, &handling);
	feed_collection_of(partner_policy(q->of)->id, q->lane, name);
	q->s->p->commands++;
	log_warnx("%s of %s goes to quarantine: %s", q->id, partner_policy(q->of)->id, q->why);
	objects_handle(q->s->p->objects, name, q->id, w->row, (struct bytes){handling.p, handling.n},
		       (struct objects_done){ignore_handled, own});
	buf_free(&handling);
}

static void walked(void *arg, bool ok)
{
	struct quarantine *q = arg;
	(void)ok;
	q->s->p->commands--;
	free(q);
}

static void quarantine(struct sightings *s, struct partner *of, enum lane lane, const char *id, const char *code,
		       const char *why)
{
	char name[OBJECTS_COLLECTION_MAX + 1];
	struct quarantine *q = xcalloc(1, sizeof(*q));
	*q = (struct quarantine){.s = s, .of = of, .lane = lane, .code = code};
	snprintf(q->id, sizeof(q->id), "%s", id);
	snprintf(q->why, sizeof(q->why), "%s", why);
	feed_collection_of(partner_policy(of)->id, lane, name);
	s->p->commands++;
	walk_collection(s->p->objects, name, 0, (struct walker){is_it, put_away, walked, q});
}

/* ---- hits here ---- */

static bool partner_of_set(const struct partners *p, struct bytes set, size_t *partner, enum lane *lane)
{
	char name[OBJECTS_COLLECTION_MAX + 1];
	for (size_t i = 0; i < p->policies.n; i++)
		for (int l = 0; l < LANE_COUNT; l++) {
			feed_collection_of(p->policies.list[i].id, (enum lane)l, name);
			if (set.n == strlen(name) && memcmp(name, set.p, set.n) == 0) {
				*partner = i;
				*lane = (enum lane)l;
				return true;
			}
		}
	return false;
}

/* The one that has been silent for longest makes room; what it had to tell was told. */
static struct seen *seen_of(struct sightings *s, const char *indicator, size_t partner, enum lane lane)
{
	struct seen *oldest = s->list;
	for (size_t i = 0; i < s->n; i++) {
		struct seen *x = &s->list[i];
		if (x->partner == partner && strcmp(x->indicator, indicator) == 0)
			return x;
		if (x->touched_us < oldest->touched_us)
			oldest = x;
	}
	struct seen *x = s->n < SIGHTING_MAX ? &s->list[s->n++] : oldest;
	free(x->groups);
	*x = (struct seen){.partner = partner, .lane = lane, .told_us = -SIGHTING_US};
	snprintf(x->indicator, sizeof(x->indicator), "%s", indicator);
	return x;
}

static void add_group(struct seen *x, struct bytes id, int64_t n)
{
	static const struct hash_key key; /* ids are SHA-256 already */
	uint64_t h = hash64(&key, id.p, id.n);
	for (size_t i = 0; i < x->groups_n; i++)
		if (x->groups[i].id == h) {
			x->groups[i].n = n > x->groups[i].n ? n : x->groups[i].n;
			return;
		}
	if (x->groups_n == SIGHTING_GROUPS) {
		x->beyond += n;
		return;
	}
	if (x->groups_n == x->groups_cap) {
		x->groups_cap = x->groups_cap ? 2 * x->groups_cap : 4;
		x->groups = xrealloc(x->groups, x->groups_cap * sizeof(*x->groups));
	}
	x->groups[x->groups_n++] = (struct group){h, n};
}

static struct bytes field(const struct reply *fields, const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i + 1 < reply_count(fields); i += 2) {
		struct bytes f, v;
		if (reply_text(reply_at(fields, i), &f) && f.n == n && memcmp(f.p, name, n) == 0 &&
		    reply_text(reply_at(fields, i + 1), &v))
			return v;
	}
	return (struct bytes){(const uint8_t *)"", 0};
}

static int64_t time_of(struct bytes b)
{
	char text[64];
	int64_t us;
	snprintf(text, sizeof(text), "%.*s", b.n < 60 ? (int)b.n : 0, (const char *)b.p);
	return clock_parse(text, &us) ? us : 0;
}

static enum tlp tlp_of(struct bytes b)
{
	for (int t = 0; t < TLP_COUNT; t++)
		if (b.n == strlen(tlp_names[t]) && memcmp(b.p, tlp_names[t], b.n) == 0)
			return (enum tlp)t;
	return TLP_UNMARKED;
}

static void brake(struct sightings *s, struct seen *x)
{
	char why[160];
	int64_t max = s->p->policies.list[x->partner].inbound.prevalence_max;
	if (x->quarantined || !max || (int64_t)x->groups_n <= max)
		return;
	x->quarantined = true;
	snprintf(why, sizeof(why), "it hit %zu assets here; inbound.prevalence_max is %" PRId64, x->groups_n, max);
	quarantine(s, &s->p->list[x->partner], x->lane, x->indicator, "prevalence", why);
}

/* Exercises are never told as real: nothing of them is here (collector/partner_set.c). */
static void take_entry(struct sightings *s, const struct reply *fields)
{
	struct bytes set = field(fields, "set"), id = field(fields, "indicator"), exercise = field(fields, "exercise");
	char indicator[SHARED_ID_MAX + 1], number[24];
	size_t partner;
	enum lane lane;
	if (exercise.n || id.n > SHARED_ID_MAX || !partner_of_set(s->p, set, &partner, &lane))
		return;
	memcpy(indicator, id.p, id.n);
	indicator[id.n] = '\0';
	if (!shared_id_valid(indicator))
		return;
	struct seen *x = seen_of(s, indicator, partner, lane);
	struct bytes n = field(fields, "n");
	int64_t first = time_of(field(fields, "first_seen")), last = time_of(field(fields, "last_seen"));
	snprintf(number, sizeof(number), "%.*s", n.n < 20 ? (int)n.n : 0, (const char *)n.p);
	x->tlp = tlp_of(field(fields, "tlp"));
	x->first_us = x->first_us && x->first_us < first ? x->first_us : first;
	x->last_us = last > x->last_us ? last : x->last_us;
	x->touched_us = s->p->now_us;
	x->changed = true;
	add_group(x, field(fields, "id"), strtoll(number, NULL, 10));
	brake(s, x);
}

static void tell_changed(struct sightings *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->list[i].changed && s->p->now_us - s->list[i].told_us >= SIGHTING_US)
			tell(s, &s->list[i]);
}

static void on_entries(void *arg, const struct reply *r)
{
	struct transitions *t = arg;
	const struct reply *entries = reply_at(reply_at(r, 0), 1);
	struct bytes id;
	t->asking = false;
	for (size_t i = 0; i < reply_count(entries); i++) {
		const struct reply *e = reply_at(entries, i);
		if (!reply_text(reply_at(e, 0), &id) || id.n >= sizeof(t->last))
			continue;
		memcpy(t->last, id.p, id.n);
		t->last[id.n] = '\0';
		take_entry(t->s, reply_at(e, 1));
	}
	if (!reply_count(entries))
		return;
	tell_changed(t->s);
	const char *words[] = {"HSET", STATE_KEY, t->field, t->last};
	redis_link_words(t->s->p->redis, 4, words, redis_ignored);
	t->poll_at_us = 0;
}

/* Where we were; at the very first time: now. */
static void on_known(void *arg, const struct reply *r)
{
	struct transitions *t = arg;
	struct bytes last;
	t->asking = false;
	if (!r)
		return;
	t->known = true;
	if (reply_text(r, &last) && last.n && last.n < sizeof(t->last))
		snprintf(t->last, sizeof(t->last), "%.*s", (int)last.n, (const char *)last.p);
	else
		snprintf(t->last, sizeof(t->last), "%" PRId64 "-0", clock_wall_us() / 1000);
}

bool sightings_busy(const struct sightings *s)
{
	bool busy = false;
	for (unsigned i = 0; i < s->parts; i++)
		busy = busy || s->part[i].asking;
	return busy;
}

static void poll_part(struct transitions *t, int64_t now_us)
{
	const char *known[] = {"HGET", STATE_KEY, t->field};
	const char *read[] = {"XREAD", "COUNT", AT_ONCE, "STREAMS", t->stream, t->last};
	struct redis_link *redis = t->s->p->redis;
	if (t->asking || now_us < t->poll_at_us)
		return;
	t->poll_at_us = now_us + POLL_US;
	if (t->known)
		t->asking = redis_link_words(redis, 6, read, (struct redis_done){on_entries, t});
	else
		t->asking = redis_link_words(redis, 3, known, (struct redis_done){on_known, t});
}

void sightings_work(struct sightings *s)
{
	for (unsigned i = 0; i < s->parts; i++)
		poll_part(&s->part[i], s->p->now_us);
	tell_changed(s);
}

/* ---- what partners say ---- */

struct counting {
	struct sightings *s;
	size_t partner;
	char id[SHARED_ID_MAX + 1];
};

/* Enough organisations say that it is wrong: whoever gave it to us, it is not used
 * any more until a person accepts it again. What we made ourselves is only told of. */
static void on_fp_count(void *arg, const struct reply *r)
{
	struct counting *c = arg;
	struct sightings *s = c->s;
	const struct policy *from = &s->p->policies.list[c->partner];
	int64_t n = 0;
	char why[120];
	if (reply_number(r, &n)) {
		log_warnx("%s says that %s is a false positive; %" PRId64 " organisations do", from->id, c->id, n);
		snprintf(why, sizeof(why), "%" PRId64 " organisations say that it is a false positive", n);
		for (size_t i = 0;
		     from->inbound.fp_threshold && n >= from->inbound.fp_threshold && i < s->p->policies.n; i++)
			for (int lane = 0; lane < LANE_COUNT; lane++)
				quarantine(s, &s->p->list[i], (enum lane)lane, c->id, "false-positives", why);
	}
	s->p->commands--;
	free(c);
}

static void count_fp(struct sightings *s, const struct policy *from, const struct shared *o, const char *about)
{
	char key[SHARED_ID_MAX + 32];
	struct counting *c = xcalloc(1, sizeof(*c));
	*c = (struct counting){.s = s, .partner = (size_t)(from - s->p->policies.list)};
	snprintf(c->id, sizeof(c->id), "%s", about);
	snprintf(key, sizeof(key), FP_KEY, about);
	const char *add[] = {"SADD", key, o->origin}, *expire[] = {"EXPIRE", key, "34560000"}, *card[] = {"SCARD", key};
	s->p->commands++;
	redis_link_words(s->p->redis, 3, add, redis_ignored);
	redis_link_words(s->p->redis, 3, expire, redis_ignored);
	if (redis_link_words(s->p->redis, 2, card, (struct redis_done){on_fp_count, c}))
		return;
	s->p->commands--;
	free(c);
}

void sightings_take(struct sightings *s, const struct policy *from, const struct shared *o, const char *collection,
		    int64_t row)
{
	const char *opinion = json_text(json_at(o->stix, "opinion"), NULL), *type = shared_type(o->stix);
	const struct json *refs = json_at(o->stix, "object_refs");
	relay_take(s->p, from, o, collection, row);
	if (strcmp(type, "opinion") != 0 || !opinion || strcmp(opinion, "strongly-disagree") != 0)
		return;
	for (size_t i = 0; i < json_count(refs) && i < 16; i++) {
		const char *about = json_text(json_item(refs, i), NULL);
		if (about && strncmp(about, "indicator--", 11) == 0 && shared_id_valid(about))
			count_fp(s, from, o, about);
	}
}
