#include "collector/taxii_take.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/handling.h"
#include "collector/taxii_envelope.h"
#include "common/clock.h"

#define MESSAGE_MAX   600
#define UNDER_WAY_MAX 2 /* batches: others get their turn in between */

struct taking {
	struct take_want want;
	struct take_done done;
	struct taken is;
	char version[CLOCK_TEXT_LEN]; /* of what has none: now */
	struct envelope rest;
	size_t under_way; /* batches */
	bool read, going; /* read: nothing is left in rest */
	struct batch *batch;
	struct shared_box box;
	struct handling_memo *memo;
};

/* Objects that go to Redis in one call. Their texts are in the envelope. */
struct batch {
	struct taking *taking;
	size_t n;
	struct object v[OBJECTS_BATCH];
	struct shared_box
	    told[OBJECTS_BATCH]; /* of sightings and opinions, and what is revoked: to be looked at when stored */
	size_t handling_at[OBJECTS_BATCH];
	struct buf handling;
};

static void put_entry(struct buf *to, const char *id, const char *version, const char *message)
{
	struct json *v = json_map();
	json_put_bytes(v, "id", id, strlen(id), SHARED_ID_MAX);
	json_put_bytes(v, "version", version, strlen(version), SHARED_VERSION_MAX);
	if (*message)
		json_put_bytes(v, "message", message, strlen(message), MESSAGE_MAX);
	if (to->n)
		buf_add(to, ",", 1);
	json_write(v, to);
	json_drop(v);
}

static void put_outcome(struct taking *p, const struct object *o, enum object_result result)
{
	const char *version = *o->version ? o->version : p->version;
	if (result == OBJECT_CONFLICT && o->mutable_) {
		put_entry(&p->is.failures, o->id, version,
			  "another object with this id and version is here: it was kept apart");
		p->is.failure_n++;
		return;
	}
	static const char *const messages[] = {
	    [OBJECT_STORED] = "",
	    [OBJECT_SAME] = ",\"message\":\"it was here already\"",
	    [OBJECT_CONFLICT] = ",\"message\":\"it was here already, and without modified it cannot change\"",
	};
	/* Both texts have passed object_read(): nothing in them needs an escape. */
	const char *const parts[] = {p->is.success_n ? ",{\"id\":\"" : "{\"id\":\"",
				     o->id,
				     "\",\"version\":\"",
				     version,
				     "\"",
				     messages[result],
				     "}"};
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		buf_add(&p->is.successes, parts[i], strlen(parts[i]));
	p->is.success_n++;
}

static void refuse(struct taking *p, const struct json *stix, const char *why)
{
	const char *id = stix ? shared_id(stix) : NULL;
	const char *version = stix ? shared_version(stix) : "";
	put_entry(&p->is.failures, id ? id : "unknown", *version ? version : p->version, why);
	p->is.failure_n++;
}

/* ---- batches ---- */

static void go_on(struct taking *p);

static void end(struct taking *p)
{
	p->done.call(p->done.arg, &p->is);
	buf_free(&p->is.successes);
	buf_free(&p->is.failures);
	handling_memo_free(p->memo);
	free(p);
}

static void on_put(void *arg, bool ok, const struct objects_put_result *v, size_t n)
{
	struct batch *b = arg;
	struct taking *p = b->taking;
	p->is.lost = p->is.lost || !ok;
	bool known = p->want.partners && !*p->want.cut; /* policies may be others after a cut */
	for (size_t i = 0; i < n; i++) {
		put_outcome(p, &b->v[i], v[i].result);
		if (v[i].result == OBJECT_STORED && known)
			partners_stored(p->want.partners, p->want.policy, p->want.collection, b->v[i].id,
					b->told[i].stix ? &b->told[i].is : NULL, v[i].row);
	}
	for (size_t i = 0; i < b->n; i++)
		shared_box_free(&b->told[i]);
	buf_free(&b->handling);
	free(b);
	p->under_way--;
	if (!p->going) /* a store that is away says so before objects_put() returns */
		go_on(p);
}

static void send_batch(struct taking *p)
{
	struct batch *b = p->batch;
	p->batch = NULL;
	for (size_t i = 0; i < b->n; i++) {
		size_t next = i + 1 < b->n ? b->handling_at[i + 1] : b->handling.n;
		b->v[i].handling = (struct bytes){b->handling.p + b->handling_at[i], next - b->handling_at[i]};
	}
	p->under_way++;
	objects_put(p->want.objects, p->want.collection, b->v, b->n, (struct objects_put_done){on_put, b});
}

static void add_object(struct taking *p, const struct shared *s, const struct object *o)
{
	struct batch *b = p->batch;
	b->v[b->n] = *o;
	b->handling_at[b->n++] = b->handling.n;
	handling_write_memo(p->memo, s, &b->handling);
}

/* What is to be looked at again keeps its box. */
static void keep_told(struct taking *p)
{
	if (!partners_looks_at(&p->box.is))
		return;
	p->batch->told[p->batch->n - 1] = p->box;
	p->box = (struct shared_box){0};
}

/* ---- one object ---- */

static bool judge(struct taking *p, struct json *stix, char why[static MESSAGE_MAX])
{
	struct inbound_reason reason = {.code = ""};
	struct err e;
	bool good;
	if (!p->want.partners) {
		good = shared_box_read(&p->box, stix, p->want.from, &e);
		snprintf(why, MESSAGE_MAX, "%s", good ? "" : e.text);
	} else {
		good = inbound_judge(partners_inbound(p->want.partners), p->want.policy, stix, clock_wall_us(), &p->box,
				     &reason);
		snprintf(why, MESSAGE_MAX, "%s%s%s", reason.code, *reason.code ? ": " : "", reason.text);
	}
	return good;
}

static void take_object(struct taking *p, struct bytes text)
{
	struct object o;
	struct err e;
	char why[MESSAGE_MAX];
	struct json *stix = json_read(text.p, text.n, p->want.object_max, &e);
	if (!stix) {
		refuse(p, NULL, e.text);
		return;
	}
	if (!judge(p, stix, why))
		refuse(p, stix, why);
	else if (!object_read(&o, stix, text, &e))
		refuse(p, stix, e.text);
	else {
		add_object(p, &p->box.is, &o);
		keep_told(p);
	}
	shared_box_free(&p->box); /* stix too */
}

static void fill_batch(struct taking *p)
{
	struct bytes object;
	struct err e;
	p->batch = xcalloc(1, sizeof(*p->batch));
	p->batch->taking = p;
	while (p->batch->n < OBJECTS_BATCH && !p->read) {
		p->read = envelope_next(&p->rest, &object, &e) != ENVELOPE_OBJECT;
		if (!p->read)
			take_object(p, object);
	}
	if (p->batch->n) {
		send_batch(p);
	} else {
		free(p->batch);
		p->batch = NULL;
	}
}

static void go_on(struct taking *p)
{
	p->is.lost = p->is.lost || *p->want.cut;
	p->going = true;
	while (!p->read && !p->is.lost && p->under_way < UNDER_WAY_MAX)
		fill_batch(p);
	p->going = false;
	if (!p->under_way)
		end(p);
}

void take_all(const struct take_want *want, struct take_done done)
{
	struct taking *p = xcalloc(1, sizeof(*p));
	*p = (struct taking){
	    .want = *want, .done = done, .rest = envelope_over(want->text), .memo = handling_memo_new()};
	clock_format(clock_wall_us(), p->version);
	go_on(p);
}
