#include "collector/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/handling.h"
#include "common/log.h"

#define ABOUT_MAX 16 /* indicators that one object is about */

/* One object, until it is known who gave us what it is about. */
struct relay {
	struct partners *p;
	const struct policy *from;
	struct shared_box box;
	char collection[OBJECTS_COLLECTION_MAX + 1];
	int64_t row;
	char about[ABOUT_MAX][SHARED_ID_MAX + 1];
	size_t about_n, waiting;
	bool failed;
	bool *gave; /* for each policy */
};

/* One question: has this partner given us any of them? */
struct question {
	struct relay *r;
	size_t partner;
};

static void relay_free(struct relay *r)
{
	shared_box_free(&r->box);
	free(r->gave);
	r->p->commands--; /* policies may change again */
	free(r);
}

static void on_renewed(void *arg, bool ok, int64_t row)
{
	struct relay *r = arg;
	(void)row;
	if (!ok)
		log_warnx("what %s said of an indicator could not be passed on: Redis is away", r->from->id);
	relay_free(r);
}

static bool addressed(const struct shared *s, const char *to)
{
	for (size_t i = 0; i < s->rel_n; i++)
		if (strcmp(s->releasable_to[i], to) == 0)
			return true;
	return false;
}

/* The same row, addressed to those who gave us what it is about, too. */
static void renew(struct relay *r)
{
	struct shared s = r->box.is;
	const char *to[SHARED_REL_MAX];
	struct buf handling = {0};
	size_t had = s.rel_n;
	for (size_t i = 0; i < s.rel_n; i++)
		to[i] = s.releasable_to[i];
	for (size_t i = 0; i < r->p->policies.n && s.rel_n < SHARED_REL_MAX; i++)
		if (r->gave[i] && !addressed(&r->box.is, r->p->policies.list[i].id))
			to[s.rel_n++] = r->p->policies.list[i].id;
	if (s.rel_n == SHARED_REL_MAX)
		log_warnx("what %s said of an indicator is passed on to at most %d of those who gave it", r->from->id,
			  SHARED_REL_MAX);
	if (s.rel_n == had) {
		relay_free(r);
		return;
	}
	s.releasable_to = to;
	handling_write(&s, &handling);
	objects_renew(r->p->objects, r->collection, shared_id(s.stix), r->row, (struct bytes){handling.p, handling.n},
		      (struct objects_done){on_renewed, r});
	buf_free(&handling);
}

static void answered(struct relay *r)
{
	if (--r->waiting)
		return;
	if (r->failed)
		on_renewed(r, false, 0);
	else
		renew(r);
}

static void on_found(void *arg, bool ok, const struct object_row *v, size_t n, bool more)
{
	struct question q = *(struct question *)arg;
	free(arg);
	(void)v;
	(void)more;
	q.r->failed |= !ok;
	q.r->gave[q.partner] |= ok && n;
	answered(q.r);
}

static void ask(struct relay *r, size_t partner)
{
	const char *ids[ABOUT_MAX];
	char name[OBJECTS_COLLECTION_MAX + 1];
	for (size_t i = 0; i < r->about_n; i++)
		ids[i] = r->about[i];
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		struct question *q = xcalloc(1, sizeof(*q));
		*q = (struct question){r, partner};
		feed_collection_of(r->p->policies.list[partner].id, (enum lane)lane, name);
		r->waiting++;
		objects_find(r->p->objects, name, ids, r->about_n, (struct objects_rows_done){on_found, q});
	}
}

static void add_about(struct relay *r, const char *id)
{
	if (id && r->about_n < ABOUT_MAX && strncmp(id, "indicator--", 11) == 0 && shared_id_valid(id))
		snprintf(r->about[r->about_n++], sizeof(r->about[0]), "%s", id);
}

static void read_about(struct relay *r, const struct json *stix)
{
	const struct json *refs = json_at(stix, "object_refs");
	add_about(r, json_text(json_at(stix, "sighting_of_ref"), NULL));
	for (size_t i = 0; i < json_count(refs); i++)
		add_about(r, json_text(json_item(refs, i), NULL));
}

/* A copy that outlives the call. */
static bool copy(struct relay *r, const struct shared *o)
{
	struct json *envelope = shared_envelope(o);
	struct err e;
	bool good = shared_box_stored(&r->box, json_clone(o->stix), envelope, &e);
	json_drop(envelope);
	return good;
}

void relay_take(struct partners *p, const struct policy *from, const struct shared *o, const char *collection,
		int64_t row)
{
	struct relay *r;
	if (!from->inbound.relay)
		return;
	r = xcalloc(1, sizeof(*r));
	*r = (struct relay){.p = p, .from = from, .row = row, .waiting = 1};
	r->gave = xcalloc(p->policies.n, sizeof(*r->gave));
	snprintf(r->collection, sizeof(r->collection), "%s", collection);
	p->commands++;
	read_about(r, o->stix);
	if (!r->about_n || !copy(r, o)) {
		relay_free(r);
		return;
	}
	for (size_t i = 0; i < p->policies.n; i++)
		if (&p->policies.list[i] != from && p->policies.list[i].inbound.sightings)
			ask(r, i);
	answered(r);
}
