/* What people ask for, one entry of picket:{x}:partner:commands each: op, partner, id,
 * by, reason. An answer stands in picket:{x}:partner:answer:<entry>. Every gateway reads
 * the stream, and after a start again what came in the time for which answers are kept: a
 * command without an answer was not done to its end, by a gateway that died. What of it is done
 * changes nothing the second time, because each object is changed in one step.
 *
 *   accept PARTNER ID|all   what is in review or quarantine becomes active, as a new row,
 *                           so that it goes on to others who may have it (all: not quarantine)
 *   reject PARTNER ID|all   it becomes withdrawn: never used, never passed on
 *   changed PARTNER all|ROW a bundle of it was imported: count again, make its sets again; from this
 *                           row on stand sightings and opinions that are to be counted and passed on
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

#define AT_ONCE  "10"
#define ANSWER_S "600"
#define AGAIN_MS 600000 /* the same */

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

static void answer(struct partners *p, const char *entry, const char *text)
{
	char key[96];
	snprintf(key, sizeof(key), PARTNER_ANSWER, entry);
	const char *words[] = {"SET", key, text, "EX", ANSWER_S};
	redis_link_words(p->redis, 5, words, redis_ignored);
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

static void on_changed(void *arg, bool ok, int64_t changed)
{
	struct command *c = arg;
	c->done += ok && changed;
	c->failed += !ok;
	c->writes--;
	over(c);
}

static void object(void *arg, const struct walked *w, const struct shared *s)
{
	const struct command_walk *walk = arg;
	struct command *c = walk->c;
	struct shared changed = *s;
	struct buf handling = {0};
	changed.state = c->accept ? SHARED_ACTIVE : SHARED_WITHDRAWN;
	changed.reason = "";
	handling_write(&changed, &handling);
	c->writes++;
	(c->accept ? objects_renew : objects_handle)(c->p->objects, c->collection[walk->lane], w->id, w->row,
						     (struct bytes){handling.p, handling.n},
						     (struct objects_done){on_changed, c});
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

/* One entry, until it is known whether it has an answer. */
struct asked {
	struct partners *p;
	char entry[32], op[16], partner[SHARED_NAME_MAX + 1], id[SHARED_ID_MAX + 1];
};

/* The partner is named by its set. */
static void false_positive(const struct asked *q)
{
	struct partners *p = q->p;
	char name[OBJECTS_COLLECTION_MAX + 1];
	for (size_t i = 0; i < p->policies.n; i++)
		for (int lane = 0; lane < LANE_COUNT; lane++) {
			feed_collection_of(p->policies.list[i].id, (enum lane)lane, name);
			if (strcmp(name, q->partner) != 0 || !shared_id_valid(q->id))
				continue;
			sightings_false_positive(p->sightings, &p->policies.list[i], q->id);
			answer(p, q->entry, "its producer is told");
			return;
		}
	answer(p, q->entry, "it is not of a partner");
}

static void decide(const struct asked *q, const struct policy *policy)
{
	struct partners *p = q->p;
	struct command *c = xcalloc(1, sizeof(*c));
	p->commands++;
	*c = (struct command){.p = p, .of = partner_of(p, policy), .accept = *q->op == 'a', .walks = LANE_COUNT};
	snprintf(c->entry, sizeof(c->entry), "%s", q->entry);
	snprintf(c->id, sizeof(c->id), "%s", q->id);
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		struct command_walk *walk = xcalloc(1, sizeof(*walk));
		*walk = (struct command_walk){c, (enum lane)lane};
		feed_collection_of(policy->id, (enum lane)lane, c->collection[lane]);
		walk_collection(p->objects, c->collection[lane], 0, (struct walker){row, object, walked, walk});
	}
}

/* ---- what came in a bundle ---- */

/* A walk over what a partner said of others' indicators. */
struct hearing {
	struct partners *p;
	const struct policy *from;
	char collection[OBJECTS_COLLECTION_MAX + 1];
};

static bool is_said(void *arg, const struct walked *w)
{
	(void)arg;
	return strncmp(w->id, "sighting--", 10) == 0 || strncmp(w->id, "opinion--", 9) == 0;
}

static void hear(void *arg, const struct walked *w, const struct shared *s)
{
	const struct hearing *h = arg;
	sightings_take(h->p->sightings, h->from, s, h->collection, w->row);
}

static void heard(void *arg, bool ok)
{
	struct hearing *h = arg;
	if (!ok)
		log_warnx("what %s said in a bundle could not be read again: Redis is away", h->from->id);
	h->p->commands--;
	free(h);
}

/* As it would have been over a link; to hear it twice changes nothing. */
static void hear_bundle(const struct asked *q, const struct policy *from)
{
	char *end;
	long long row = strtoll(q->id, &end, 10);
	if (*end || row <= 0)
		return;
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		struct hearing *h = xcalloc(1, sizeof(*h));
		*h = (struct hearing){.p = q->p, .from = from};
		feed_collection_of(from->id, (enum lane)lane, h->collection);
		q->p->commands++;
		walk_collection(q->p->objects, h->collection, row - 1, (struct walker){is_said, hear, heard, h});
	}
}

static void begin(const struct asked *q)
{
	struct partners *p = q->p;
	const struct policy *policy = policies_find(&p->policies, q->partner);
	if (strcmp(q->op, "fp") == 0) {
		false_positive(q);
	} else if (strcmp(q->op, "changed") == 0) {
		p->counted = p->counting != 0;
		if (policy)
			hear_bundle(q, policy);
		answer(p, q->entry, "counted again");
	} else if (strcmp(q->op, "accept") != 0 && strcmp(q->op, "reject") != 0) {
		answer(p, q->entry, "not a command that this gateway knows");
	} else if (!policy) {
		answer(p, q->entry, "there is no such partner");
	} else {
		decide(q, policy);
	}
}

static void on_answered(void *arg, const struct reply *r)
{
	struct asked *q = arg;
	int64_t there;
	q->p->commands--;
	if (!reply_number(r, &there))
		q->p->last_command[0] = '\0'; /* Redis went away: all is looked at again */
	else if (!there)
		begin(q);
	free(q);
}

static void look(struct partners *p, const char *entry, const struct reply *fields)
{
	struct asked *q = xcalloc(1, sizeof(*q));
	char key[96];
	q->p = p;
	snprintf(q->entry, sizeof(q->entry), "%s", entry);
	snprintf(key, sizeof(key), PARTNER_ANSWER, entry);
	if (!field(fields, "op", q->op, sizeof(q->op)) || !field(fields, "partner", q->partner, sizeof(q->partner)) ||
	    !field(fields, "id", q->id, sizeof(q->id)))
		*q->op = '\0';
	p->commands++;
	if (redis_link_words(p->redis, 2, (const char *[]){"EXISTS", key}, (struct redis_done){on_answered, q}))
		return;
	p->commands--;
	p->last_command[0] = '\0';
	free(q);
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
		look(p, p->last_command, reply_at(e, 1));
		if (!*p->last_command)
			return;
	}
}

void partners_ask_commands(struct partners *p)
{
	if (!*p->last_command)
		snprintf(p->last_command, sizeof(p->last_command), "%" PRId64 "-0", clock_wall_us() / 1000 - AGAIN_MS);
	const char *words[] = {"XREAD", "COUNT", AT_ONCE, "STREAMS", PARTNER_COMMANDS, p->last_command};
	if (!p->asking_commands)
		p->asking_commands = redis_link_words(p->redis, 6, words, (struct redis_done){on_commands, p});
}
