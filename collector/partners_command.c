/* What people ask for, one entry of picket:{x}:partner:commands each: op, partner, id,
 * by, reason. An answer stands in picket:{x}:partner:answer:<entry>. Every gateway reads
 * the stream; what it has done already changes nothing the second time.
 *
 *   accept PARTNER ID|all   what is in review or quarantine becomes active, as a new row,
 *                           so that it goes on to others who may have it
 *   reject PARTNER ID|all   it becomes withdrawn: never used, never passed on
 *   changed PARTNER all     a bundle of it was imported: count again, make its sets again
 *   fp SET ID               a person says that it is wrong: the partner is told */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/partner_walk.h"
#include "collector/partners_internal.h"
#include "collector/sighting.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"

#define AT_ONCE "10"

struct command {
	struct partners *p;
	struct partner *of;
	bool accept;
	char entry[32], id[SHARED_ID_MAX + 1];
	size_t walks;
	uint64_t done, failed;
	size_t writes;
	char collection[LANE_COUNT][OBJECTS_COLLECTION_MAX + 1];
};

/* One collection's walk of a command. */
struct command_walk {
	struct command *c;
	enum lane lane;
};

static void ignore(void *arg, const struct reply *r)
{
	(void)arg;
	(void)r;
}

static void answer(struct partners *p, const char *entry, const char *text)
{
	char key[96];
	snprintf(key, sizeof(key), PARTNER_ANSWER, entry);
	const char *words[] = {"SET", key, text, "EX", "600"};
	redis_link_words(p->redis, 5, words, (struct redis_done){ignore, NULL});
}

static void over(struct command *c)
{
	char text[200];
	if (c->walks || c->writes)
		return;
	snprintf(text, sizeof(text), "%" PRIu64 " objects of %s %s%s", c->done, partner_policy(c->of)->id,
		 c->accept ? "accepted" : "rejected", c->failed ? "; Redis failed on some: ask again" : "");
	log_info("%s", text);
	answer(c->p, c->entry, text);
	for (int lane = 0; c->done && lane < LANE_COUNT; lane++)
		partners_changed(c->of, (enum lane)lane);
	c->p->commands--;
	free(c);
}

static bool row(void *arg, const struct walked *w)
{
	const struct command_walk *walk = arg;
	enum shared_state s = handling_state(w->handling);
	bool named = strcmp(walk->c->id, "all") == 0 ? s == SHARED_REVIEW : strcmp(walk->c->id, w->id) == 0;
	return named && (s == SHARED_REVIEW || s == SHARED_QUARANTINE);
}

static void on_written(void *arg, bool ok, const struct objects_put_result *v, size_t n)
{
	struct command *c = arg;
	(void)v;
	c->done += ok ? n : 0;
	c->failed += !ok;
	c->writes--;
	over(c);
}

static void on_handled(void *arg, bool ok, int64_t changed)
{
	on_written(arg, ok && changed, NULL, 1);
}

static void on_deleted(void *arg, bool ok, int64_t changed)
{
	struct command *c = arg;
	(void)changed;
	c->failed += !ok;
	c->writes--;
	over(c);
}

/* Taken out and put in again: the two calls go out together, in this order. */
static void put_again(struct command *c, const char *collection, const struct walked *w, const struct shared *s,
		      struct bytes handling)
{
	struct object o;
	struct buf text = {0};
	struct err e;
	json_write(s->stix, &text);
	if (object_read(&o, s->stix, (struct bytes){text.p, text.n}, &e)) {
		o.text = (struct bytes){text.p, text.n};
		o.handling = handling;
		c->writes += 2;
		objects_delete(c->p->objects, collection, w->id, &w->row, 1, (struct objects_done){on_deleted, c});
		objects_put(c->p->objects, collection, &o, 1, (struct objects_put_done){on_written, c});
	}
	buf_free(&text);
}

static void object(void *arg, const struct walked *w, const struct shared *s)
{
	const struct command_walk *walk = arg;
	struct command *c = walk->c;
	struct shared changed = *s;
	struct buf handling = {0};
	changed.state = c->accept ? SHARED_ACTIVE : SHARED_WITHDRAWN;
	handling_write(&changed, &handling);
	struct bytes text = {handling.p, handling.n};
	if (c->accept) {
		put_again(c, c->collection[walk->lane], w, s, text);
	} else {
		c->writes++;
		objects_handle(c->p->objects, c->collection[walk->lane], w->id, w->row, text,
			       (struct objects_done){on_handled, c});
	}
	buf_free(&handling);
}

static void walked(void *arg, bool ok)
{
	struct command_walk *walk = arg;
	struct command *c = walk->c;
	free(walk);
	c->failed += !ok;
	c->walks--;
	over(c);
}

static bool field(const struct reply *fields, const char *name, char *to, size_t cap)
{
	for (size_t i = 0; i + 1 < reply_count(fields); i += 2) {
		struct bytes f, v;
		if (reply_text(reply_at(fields, i), &f) && f.n == strlen(name) && memcmp(f.p, name, f.n) == 0 &&
		    reply_text(reply_at(fields, i + 1), &v) && v.n < cap) {
			text_clean(to, cap, v.p, v.n);
			return true;
		}
	}
	return false;
}

/* The partner is named by its set. */
static void false_positive(struct partners *p, const char *entry, const char *set, const char *id)
{
	char name[OBJECTS_COLLECTION_MAX + 1];
	for (size_t i = 0; i < p->policies.n; i++)
		for (int lane = 0; lane < LANE_COUNT; lane++) {
			feed_collection_of(p->policies.list[i].id, (enum lane)lane, name);
			if (strcmp(name, set) != 0 || !shared_id_valid(id))
				continue;
			sightings_false_positive(p->sightings, &p->policies.list[i], id);
			answer(p, entry, "its producer is told");
			return;
		}
	answer(p, entry, "it is not of a partner");
}

static void begin(struct partners *p, const char *entry, const struct reply *fields)
{
	char op[16], partner[SHARED_NAME_MAX + 1], id[SHARED_ID_MAX + 1];
	const struct policy *policy;
	bool whole = field(fields, "op", op, sizeof(op)) && field(fields, "partner", partner, sizeof(partner)) &&
		     field(fields, "id", id, sizeof(id));
	if (whole && strcmp(op, "fp") == 0) {
		false_positive(p, entry, partner, id);
		return;
	}
	if (whole && strcmp(op, "changed") == 0) {
		p->counted = p->counting != 0;
		answer(p, entry, "counted again");
		return;
	}
	if (!whole || (strcmp(op, "accept") != 0 && strcmp(op, "reject") != 0)) {
		answer(p, entry, "not a command that this gateway knows");
		return;
	}
	if (!(policy = policies_find(&p->policies, partner))) {
		answer(p, entry, "there is no such partner");
		return;
	}
	struct command *c = xcalloc(1, sizeof(*c));
	p->commands++;
	*c = (struct command){.p = p, .of = partner_of(p, policy), .accept = *op == 'a', .walks = LANE_COUNT};
	snprintf(c->entry, sizeof(c->entry), "%s", entry);
	snprintf(c->id, sizeof(c->id), "%s", id);
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		struct command_walk *walk = xcalloc(1, sizeof(*walk));
		*walk = (struct command_walk){c, (enum lane)lane};
		feed_collection_of(partner, (enum lane)lane, c->collection[lane]);
		walk_collection(p->objects, c->collection[lane], 0, (struct walker){row, object, walked, walk});
	}
}

static void on_commands(void *arg, const struct reply *r)
{
	struct partners *p = arg;
	const struct reply *entries = reply_at(reply_at(r, 0), 1);
	p->asking_commands = false;
	for (size_t i = 0; i < reply_count(entries); i++) {
		const struct reply *e = reply_at(entries, i);
		struct bytes id;
		if (!reply_text(reply_at(e, 0), &id) || id.n >= sizeof(p->last_command))
			continue;
		memcpy(p->last_command, id.p, id.n);
		p->last_command[id.n] = '\0';
		begin(p, p->last_command, reply_at(e, 1));
	}
}

/* Those of the last minute are read again after a start: one may have been lost. */
void partners_ask_commands(struct partners *p)
{
	if (!*p->last_command)
		snprintf(p->last_command, sizeof(p->last_command), "%" PRId64 "-0", clock_wall_us() / 1000 - 60000);
	const char *words[] = {"XREAD", "COUNT", AT_ONCE, "STREAMS", PARTNER_COMMANDS, p->last_command};
	if (!p->asking_commands)
		p->asking_commands = redis_link_words(p->redis, 6, words, (struct redis_done){on_commands, p});
}
