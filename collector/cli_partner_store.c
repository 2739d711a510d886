/* The parts of `picket partner` that look into the store of shared objects or put
 * something into it: review, why, publish, revoke. */
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collector/cli_partner.h"
#include "collector/handling.h"
#include "collector/partner_feed.h"
#include "collector/partner_walk.h"
#include "collector/partners.h"
#include "common/clock.h"
#include "common/complain.h"
#include "common/exits.h"
#include "common/log.h"
#include "common/text.h"
#include "rules/cli_rules.h"
#include "rules/export.h"
#include "rules/json_items.h"
#include "rules/rulefile_file.h"

#define POLICIES_DIR "/etc/picket/partners"
#define WAIT_US      5000000
#define RECEIPT_US   10000000
#define PUTS_MAX     4

/* ---- the store ---- */

void partner_store_stop(struct partner_cli *c)
{
	event_base_loopbreak(c->base);
}

void partner_store_run(struct partner_cli *c)
{
	event_base_dispatch(c->base);
}

static void on_ready(void *arg)
{
	partner_store_stop(arg);
}

bool partner_store_open(struct partner_cli *c)
{
	const struct store_conf *conf = cli_conf(&c->cli);
	bool unfit;
	struct timeval wait = {.tv_sec = WAIT_US / 1000000};
	if (!conf)
		return false;
	c->store = *conf;
	c->store.use = STORE_OBJECTS;
	log_open("picket partner", LOG_LEVEL_ERROR); /* what the link has to say is said here */
	c->base = event_base_new();
	c->link = redis_link_new(c->base, &c->store, on_ready, c);
	c->objects = objects_new(c->link, 100000000, 16);
	event_base_loopexit(c->base, &wait);
	partner_store_run(c);
	if (redis_link_ready(c->link))
		return true;
	complain("picket partner: %s (--redis or PICKET_REDIS says where it is)", redis_link_trouble(c->link, &unfit));
	partner_store_close(c);
	return false;
}

void partner_store_close(struct partner_cli *c)
{
	redis_link_free(c->link);
	objects_free(c->objects);
	event_base_free(c->base);
}

bool partner_policies(struct partner_cli *c, struct policies *p, const char *id, const struct policy **which)
{
	struct diags d = {0};
	bool good = policies_load(p, c->org ? c->org : "-", c->policies ? c->policies : POLICIES_DIR, &d);
	diag_print(&d, stderr);
	diag_free(&d);
	*which = policies_find(p, id);
	if (good && *which)
		return true;
	if (good)
		complain("picket partner: no policy in %s is for \"%s\"", c->policies ? c->policies : POLICIES_DIR, id);
	policies_free(p);
	c->code = good ? EXIT_FINDINGS : EXIT_INVALID;
	return false;
}

/* ---- review ---- */

struct review {
	struct partner_cli *c;
	size_t walks, n;
};

static bool review_row(void *arg, const struct walked *w)
{
	enum shared_state s = handling_state(w->handling);
	(void)arg;
	return s == SHARED_REVIEW || s == SHARED_QUARANTINE;
}

static void review_object(void *arg, const struct walked *w, const struct shared *s)
{
	struct review *r = arg;
	char what[160], origin[80];
	const char *pattern = json_text(json_at(s->stix, "pattern"), NULL),
		   *name = json_text(json_at(s->stix, "name"), NULL);
	const char *text = pattern ? pattern : name ? name : "";
	struct buf line = {0};
	r->n++;
	if (r->c->cli.json) {
		json_write(s->stix, &line);
		printf("{\"state\":\"%s\",\"reason\":\"%s\",\"object\":%.*s}\n", shared_state_names[s->state],
		       s->reason, (int)line.n, (char *)line.p);
	} else {
		printf("%-10s %s  from %s  %s%s%s%s\n", shared_state_names[s->state], text_shown(w->id),
		       text_clean(origin, sizeof(origin), s->origin, strlen(s->origin)),
		       text_clean(what, sizeof(what), text, strlen(text)), *s->reason ? " [" : "",
		       text_shown(s->reason), *s->reason ? "]" : "");
	}
	buf_free(&line);
}

static void review_done(void *arg, bool ok)
{
	struct review *r = arg;
	if (!ok)
		r->c->code = EXIT_ENVIRONMENT;
	if (!--r->walks)
		partner_store_stop(r->c);
}

int partner_review(struct partner_cli *c)
{
	struct review r = {.c = c, .walks = LANE_COUNT};
	char name[OBJECTS_COLLECTION_MAX + 1];
	c->code = EXIT_OK;
	if (!partner_store_open(c))
		return EXIT_ENVIRONMENT;
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		feed_collection_of(c->words[0], (enum lane)lane, name);
		walk_collection(c->objects, name, 0, (struct walker){review_row, review_object, review_done, &r});
	}
	partner_store_run(c);
	if (!r.n && c->code == EXIT_OK && !c->cli.json)
		fputs("picket partner: nothing waits for a decision\n", stderr);
	partner_store_close(c);
	return c->code;
}

/* ---- why ---- */

struct why {
	struct partner_cli *c;
	struct policies *all;
	const struct policy *to;
	size_t n;
};

static void on_why(void *arg, bool ok, const struct shared *o, enum gate_verdict v, const struct gate_reason *why,
		   const struct json *out)
{
	struct why *w = arg;
	struct buf text = {0};
	char clean[800];
	if (!o) {
		w->c->code = ok ? w->c->code : EXIT_ENVIRONMENT;
		partner_store_stop(w->c);
		return;
	}
	w->n++;
	printf("%s (%s, %s): %s for %s\n", text_shown(shared_id(o->stix)), *o->from ? text_shown(o->from) : "made here",
	       shared_state_names[o->state], gate_verdict_names[v], w->to->id);
	if (v == GATE_DENIED)
		printf("  %s: %s\n", gate_why_names[why->why],
		       text_clean(clean, sizeof(clean), why->detail, strlen(why->detail)));
	if (why->cut_n)
		printf("  left out: %s\n", text_clean(clean, sizeof(clean), why->cut, strlen(why->cut)));
	if (!out)
		return;
	json_write(out, &text);
	printf("  they get: %.*s\n", (int)text.n, (char *)text.p);
	buf_free(&text);
}

/* Definitions that the gateway has seen count for the gate: they are learned first. */
static bool learn_row(void *arg, const struct walked *w)
{
	(void)arg;
	return strncmp(w->id, "marking-definition--", 20) == 0;
}

static void learn_object(void *arg, const struct walked *w, const struct shared *s)
{
	struct why *why = arg;
	(void)w;
	marking_learn(why->all->book, s->stix, s->from);
}

static void learn_done(void *arg, bool ok)
{
	(void)ok;
	partner_store_stop(((struct why *)arg)->c);
}

int partner_why(struct partner_cli *c)
{
	struct policies p;
	struct why w = {.c = c, .all = &p};
	char name[OBJECTS_COLLECTION_MAX + 1];
	c->code = EXIT_OK;
	if (!shared_id_valid(c->words[1])) {
		complain("picket partner: \"%s\" is not the id of a STIX object", c->words[1]);
		return EXIT_USAGE;
	}
	if (!partner_policies(c, &p, c->words[0], &w.to))
		return c->code;
	if (!partner_store_open(c)) {
		policies_free(&p);
		return EXIT_ENVIRONMENT;
	}
	for (size_t i = 0; i <= p.n; i++) {
		feed_collection_of(i < p.n ? p.list[i].id : NULL, LANE_BULK, name);
		walk_collection(c->objects, name, 0, (struct walker){learn_row, learn_object, learn_done, &w});
		partner_store_run(c);
	}
	struct feed *f = feed_new(c->objects, NULL, &p, w.to, "why");
	feed_why(f, c->words[1], (struct feed_why_done){on_why, &w});
	partner_store_run(c);
	feed_free(f);
	partner_store_close(c);
	policies_free(&p);
	if (!w.n && c->code == EXIT_OK) {
		complain("picket partner: no object %s is here", c->words[1]);
		return EXIT_FINDINGS;
	}
	return c->code;
}

/* ---- publish ---- */

struct publishing {
	struct partner_cli *c;
	struct shared like; /* the envelope of all of them */
	const char *names[SHARED_REL_MAX];
	char to[1024];
	struct object batch[OBJECTS_BATCH];
	struct buf texts[OBJECTS_BATCH], handlings[OBJECTS_BATCH];
	size_t n, under_way;
	uint64_t stored, same, refused, conflicts;
	int64_t last_row, began_us;
	bool failed;
};

/* One call of the store. */
struct put_call {
	struct publishing *p;
	bool matched[OBJECTS_BATCH]; /* indicators */
};

static void on_put(void *arg, bool ok, const struct objects_put_result *v, size_t n)
{
	struct put_call *call = arg;
	struct publishing *p = call->p;
	p->failed |= !ok;
	for (size_t i = 0; ok && i < n; i++) {
		if (call->matched[i] && v[i].row > p->last_row)
			p->last_row = v[i].row;
		p->stored += v[i].result == OBJECT_STORED;
		p->same += v[i].result == OBJECT_SAME;
		p->conflicts += v[i].result == OBJECT_CONFLICT;
	}
	p->under_way--;
	partner_store_stop(p->c);
	free(call);
}

/* Some calls may be on their way at once; what is in them is copied. */
static void wait_for(struct publishing *p, size_t most)
{
	while (p->under_way > most)
		partner_store_run(p->c);
}

static void flush(struct publishing *p)
{
	char name[OBJECTS_COLLECTION_MAX + 1];
	if (!p->n)
		return;
	feed_collection_of(NULL, shared_lane(p->like.priority), name);
	struct put_call *call = xcalloc(1, sizeof(*call));
	call->p = p;
	for (size_t i = 0; i < p->n; i++)
		call->matched[i] = strncmp(p->batch[i].id, "indicator--", 11) == 0;
	p->under_way++;
	objects_put(p->c->objects, name, p->batch, p->n, (struct objects_put_done){on_put, call});
	wait_for(p, PUTS_MAX);
	while (p->n) {
		buf_free(&p->texts[--p->n]);
		buf_free(&p->handlings[p->n]);
	}
}

/* is: its object as it is given out; the envelope is that of all, and what only the object says. */
static void publish_object(struct publishing *p, const struct shared *is)
{
	struct err e;
	struct shared s = p->like;
	struct object *o = &p->batch[p->n];
	s.stix = is->stix;
	if (!s.rel_n) {
		s.releasable_to = is->releasable_to;
		s.rel_n = is->rel_n;
	}
	if (!*s.exercise)
		s.exercise = is->exercise;
	s.pap = is->pap;
	json_write(is->stix, &p->texts[p->n]);
	handling_write(&s, &p->handlings[p->n]);
	if (object_read(o, is->stix, (struct bytes){p->texts[p->n].p, p->texts[p->n].n}, &e)) {
		o->text = (struct bytes){p->texts[p->n].p, p->texts[p->n].n};
		o->handling = (struct bytes){p->handlings[p->n].p, p->handlings[p->n].n};
		p->n++;
	} else {
		complain("picket partner: %s", e.text);
		p->refused++;
		buf_free(&p->texts[p->n]);
		buf_free(&p->handlings[p->n]);
	}
	if (p->n == OBJECTS_BATCH)
		flush(p);
}

/* What others gave keeps the way it came, which the release gate counts; and what is of an exercise stays so. */
static bool may_publish(const struct publishing *p, const struct shared *is, struct err *e)
{
	if (is->path_n || *is->origin)
		return err_set(e,
			       "it came from %s: take it in with `picket bundle import` or over a link, or publish "
			       "what is yours without origin and path",
			       is->path_n ? is->path[is->path_n - 1] : is->origin);
	if (*is->exercise && *p->like.exercise && strcmp(is->exercise, p->like.exercise) != 0)
		return err_set(e, "it is of the exercise %s, not of %s", is->exercise, p->like.exercise);
	return true;
}

static void publish_read(struct publishing *p, struct json *stix)
{
	struct shared_box box;
	struct err e;
	if (shared_box_read(&box, stix, "", &e) && may_publish(p, &box.is, &e)) {
		publish_object(p, &box.is);
	} else {
		const char *id = shared_id(box.stix);
		complain("picket partner: %s is left out: %s", id && shared_id_valid(id) ? id : "an object", e.text);
		p->refused++;
	}
	shared_box_free(&box);
}

static void publish_text(struct publishing *p, struct bytes text)
{
	struct json_items it;
	struct bytes item;
	struct err e;
	if (!json_items_open(&it, text.p, text.n, "objects"))
		return;
	while (json_items_next(&it, &item) && !p->failed) {
		struct json *o = json_read(item.p, item.n, SHARED_OBJECT_MAX, &e);
		const char *id = o ? shared_id(o) : NULL;
		if (id && !marking_is_tlp(id)) {
			publish_read(p, o);
			continue;
		}
		p->refused += !o;
		json_drop(o);
	}
	if (it.bad)
		complain("picket partner: the bundle is cut short; what comes before is published");
	p->refused += it.bad;
}

/* A list that is cut would name others, or fewer: too long a one is refused. */
static bool set_addressees(struct publishing *p, const char *list)
{
	bool whole = (size_t)snprintf(p->to, sizeof(p->to), "%s", list) < sizeof(p->to);
	char *rest = NULL, *w = strtok_r(p->to, ", ", &rest);
	p->like.rel_n = 0;
	for (; w && p->like.rel_n < SHARED_REL_MAX; w = strtok_r(NULL, ", ", &rest))
		p->names[p->like.rel_n++] = w;
	p->like.releasable_to = p->names;
	if (!w && whole)
		return true;
	complain("picket partner: addressed to more than %d names or %zu bytes of them: use groups", SHARED_REL_MAX,
		 sizeof(p->to) - 1);
	return false;
}

/* Rules as the bundle that `picket rules export --to stix` writes; of one time for
 * one version of the set, so that publishing it twice changes nothing. */
static bool publish_rules(struct publishing *p, const char *file)
{
	struct rule_paths paths = {0};
	char *text = NULL;
	size_t n = 0;
	rule_paths_add(&paths, file);
	struct ruleset *r = rules_load_told(&paths, false, &p->c->code);
	free(paths.v);
	if (!r)
		return false;
	struct indicator_set s = ruleset_set_at(r, 0);
	if (!p->c->to && s.releasable_to && !set_addressees(p, s.releasable_to)) {
		ruleset_free(r);
		p->c->code = EXIT_INVALID;
		return false;
	}
	if (!p->c->exercise && s.exercise)
		p->like.exercise = s.exercise;
	struct export x = {.r = r, .now_us = clock_wall_us(), .out = open_memstream(&text, &n)};
	export_stix(&x);
	fclose(x.out);
	p->refused += x.left_n;
	publish_text(p, (struct bytes){(const uint8_t *)text, n});
	flush(p);
	free(text);
	p->like.exercise = p->c->exercise ? p->c->exercise : "";
	if (!p->c->to)
		p->like.rel_n = 0;
	ruleset_free(r);
	return true;
}

static bool publish_file(struct publishing *p, const char *file)
{
	struct buf text = {0};
	struct json_items it;
	struct err e;
	if (!rulefile_slurp(file, &text, &e)) {
		complain("picket partner: %s", e.text);
		buf_free(&text);
		p->c->code = EXIT_ENVIRONMENT;
		return false;
	}
	bool bundle = text.n && *text.p == '{' && json_items_open(&it, text.p, text.n, "objects"), good = true;
	if (bundle) {
		publish_text(p, (struct bytes){text.p, text.n});
		flush(p);
	} else {
		good = publish_rules(p, file);
	}
	buf_free(&text);
	return good;
}

static bool choices(struct publishing *p)
{
	struct partner_cli *c = p->c;
	int i = 0;
	while (c->priority && priority_names[i] && strcmp(priority_names[i], c->priority) != 0)
		i++;
	if (c->priority && i == PRIORITY_COUNT)
		complain("picket partner: --priority: routine, priority, immediate or flash");
	else if (c->exercise && !shared_name_valid(c->exercise))
		complain("picket partner: --exercise: 1 to %d of A-Z a-z 0-9 . _ -", SHARED_NAME_MAX);
	else {
		p->like = (struct shared){
		    .collection = "", .origin = "", .from = "", .exercise = c->exercise ? c->exercise : ""};
		p->like.priority = c->priority ? (enum priority)i : PRIORITY_ROUTINE;
		p->like.path = p->like.releasable_to = p->names;
		if (c->to && !set_addressees(p, c->to))
			return false;
		for (size_t k = 0; k < p->like.rel_n; k++)
			if (!shared_name_valid(p->names[k])) {
				complain("picket partner: --to: \"%s\" is not a name", p->names[k]);
				return false;
			}
		return true;
	}
	return false;
}

/* ---- receipts: who matches with it, among partners who tell ---- */

struct receipts {
	struct publishing *p;
	struct told {
		char id[SHARED_NAME_MAX + 1];
		int64_t matching, sensors, at_us;
	} * list;
	size_t n, asking, i;
};

static void on_partners(void *arg, const struct reply *r)
{
	struct receipts *x = arg;
	x->list = xcalloc(reply_count(r) + 1, sizeof(*x->list));
	for (size_t i = 0; i < reply_count(r); i++) {
		struct bytes id;
		if (reply_text(reply_at(r, i), &id) && id.n <= SHARED_NAME_MAX)
			snprintf(x->list[x->n++].id, sizeof(x->list[0].id), "%.*s", (int)id.n, (const char *)id.p);
	}
	partner_store_stop(x->p->c);
}

static void on_told(void *arg, const struct reply *r)
{
	struct receipts *x = arg;
	struct told *t = &x->list[x->i];
	int64_t place = 0, matching = 0, sensors = 0;
	if (reply_number(reply_at(r, 0), &place) && place >= x->p->last_row &&
	    reply_number(reply_at(r, 1), &matching) && reply_number(reply_at(r, 2), &sensors) &&
	    matching > t->matching) {
		t->matching = matching;
		t->sensors = sensors;
		t->at_us = clock_mono_us();
	}
	partner_store_stop(x->p->c);
}

static void ask_told(struct receipts *x)
{
	char key[160];
	snprintf(key, sizeof(key), PARTNER_KEY, x->list[x->i].id);
	const char *words[] = {"HMGET", key, "receipt_place", "receipt_matching", "receipt_sensors"};
	if (redis_link_words(x->p->c->link, 5, words, (struct redis_done){on_told, x}))
		partner_store_run(x->p->c);
}

/* Until all who tell say that all match, or for RECEIPT_US. */
static void wait_receipts(struct publishing *p)
{
	struct receipts x = {.p = p};
	int64_t until_us = clock_mono_us() + RECEIPT_US;
	bool all = false;
	if (redis_link_words(p->c->link, 2, (const char *[]){"HKEYS", PARTNERS_KEY},
			     (struct redis_done){on_partners, &x}))
		partner_store_run(p->c);
	while (x.n && !all && clock_mono_us() < until_us) {
		all = true;
		for (x.i = 0; x.i < x.n; x.i++) {
			ask_told(&x);
			all = all && x.list[x.i].sensors && x.list[x.i].matching >= x.list[x.i].sensors;
		}
		if (!all)
			nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
	for (size_t i = 0; i < x.n; i++) {
		const struct told *t = &x.list[i];
		if (t->sensors)
			printf("%s: %" PRId64 " of %" PRId64 " sensors match since t+%.1f s\n", t->id, t->matching,
			       t->sensors, (double)(t->at_us - p->began_us) / 1e6);
		else
			printf("%s: no receipt: it may not have all of it, does not tell, or has no link\n", t->id);
	}
	free(x.list);
}

int partner_publish(struct partner_cli *c)
{
	struct publishing *p = xcalloc(1, sizeof(*p));
	p->c = c;
	p->began_us = clock_mono_us();
	c->code = EXIT_OK;
	if (!choices(p) || !partner_store_open(c)) {
		free(p);
		return c->base ? EXIT_ENVIRONMENT : EXIT_USAGE;
	}
	bool good = true;
	for (int i = 0; good && i < c->words_n; i++)
		good = publish_file(p, c->words[i]);
	wait_for(p, 0);
	printf("%" PRIu64 " objects published, %" PRIu64 " were there already, %" PRIu64
	       " differ from what is there, %" PRIu64 " left out\n",
	       p->stored, p->same, p->conflicts, p->refused);
	if (c->wait && good && !p->failed && p->last_row && shared_lane(p->like.priority) == LANE_FLASH)
		wait_receipts(p);
	int code = !good ? c->code : p->failed ? EXIT_ENVIRONMENT : p->refused || p->conflicts ? EXIT_PARTIAL : c->code;
	partner_store_close(c);
	free(p);
	return code;
}

/* ---- revoke ---- */

struct revoking {
	struct partner_cli *c;
	struct publishing *p;
	const char *id;
	struct loaded_copy {
		struct json *stix;
		struct json *envelope;
	} found[LANE_COUNT];
	enum lane lane;
};

static bool revoke_row(void *arg, const struct walked *w)
{
	const struct revoking *r = arg;
	return strcmp(w->id, r->id) == 0;
}

static void revoke_object(void *arg, const struct walked *w, const struct shared *s)
{
	struct revoking *r = arg;
	(void)w;
	if (r->found[r->lane].stix)
		return;
	r->found[r->lane].stix = json_clone(s->stix);
	r->found[r->lane].envelope = shared_envelope(s);
}

static void revoke_done(void *arg, bool ok)
{
	struct revoking *r = arg;
	r->c->code = ok ? r->c->code : EXIT_ENVIRONMENT;
	partner_store_stop(r->c);
}

/* A new version of it, with nothing changed but what must be. */
static void put_revoked(struct revoking *r, struct loaded_copy *found)
{
	struct shared_box box;
	struct publishing *p = r->p;
	struct err e;
	char now[CLOCK_TEXT_LEN];
	clock_format(clock_wall_us(), now);
	memcpy(now + 23, "Z", 2); /* milliseconds */
	json_put_text(found->stix, "modified", now);
	json_put_bool(found->stix, "revoked", true);
	if (shared_box_stored(&box, found->stix, found->envelope, &e)) {
		p->like = box.is;
		p->like.state = SHARED_ACTIVE;
		publish_object(p, &box.is);
		flush(p);
	}
	shared_box_free(&box);
	json_drop(found->envelope);
	*found = (struct loaded_copy){0};
}

int partner_revoke(struct partner_cli *c)
{
	struct publishing *p = xcalloc(1, sizeof(*p));
	struct revoking r = {.c = c, .p = p};
	char name[OBJECTS_COLLECTION_MAX + 1];
	p->c = c;
	c->code = EXIT_OK;
	if (!partner_store_open(c)) {
		free(p);
		return EXIT_ENVIRONMENT;
	}
	for (int i = 0; i < c->words_n; i++) {
		bool there = false;
		r.id = c->words[i];
		for (int lane = 0; lane < LANE_COUNT; lane++) {
			r.lane = (enum lane)lane;
			feed_collection_of(NULL, r.lane, name);
			walk_collection(c->objects, name, 0,
					(struct walker){revoke_row, revoke_object, revoke_done, &r});
			partner_store_run(c);
			there |= r.found[lane].stix != NULL;
			if (r.found[lane].stix)
				put_revoked(&r, &r.found[lane]);
		}
		if (there)
			continue;
		complain("picket partner: %s was not published here", c->words[i]);
		c->code = c->code ? c->code : EXIT_FINDINGS;
	}
	wait_for(p, 0);
	printf("%" PRIu64 " objects revoked\n", p->stored);
	partner_store_close(c);
	free(p);
	return c->code;
}
