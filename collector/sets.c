/* The walk: the serial is asked for; when it is another, the list of current
 * versions; for each that is not known, its manifest; when the last has come, the
 * generation is raised. A reply that does not come (Redis went away) leaves the
 * old view in force and the serial unknown, so that all is asked for again. */
#include "collector/sets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/publish.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"

#define CHUNKS_MAX (SETS_CACHE_BYTES / PUBLISH_CHUNK)
#define RETRY_US   1000000 /* a piece that was not to be had is asked for again after this */
#define KEY_MAX    256

enum chunk_state { CHUNK_FREE = 0, CHUNK_COMING, CHUNK_READY, CHUNK_GONE };

struct chunk {
	enum chunk_state state;
	char set[MANIFEST_SET_MAX + 1];
	uint32_t version, index;
	enum set_kind kind;
	struct buf data;
	int64_t used_us;
	struct sets *owner;
};

/* The list that is being read; becomes the view when all of it has come. */
struct view {
	struct offered *v;
	size_t n;
};

struct sets {
	struct store *store;
	struct view now, next;
	size_t missing; /* manifests of next that have not come */
	bool asking, failed;
	int64_t serial, next_serial, poll_us, now_us;
	uint64_t generation;
	struct chunk chunk[CHUNKS_MAX];
	struct log_once said;
};

struct sets *sets_new(struct store *store)
{
	struct sets *s = xcalloc(1, sizeof(*s));
	s->store = store;
	s->serial = -1;
	return s;
}

static void view_free(struct view *v)
{
	for (size_t i = 0; i < v->n; i++)
		free(v->v[i].line);
	free(v->v);
	*v = (struct view){0};
}

void sets_free(struct sets *s)
{
	if (!s)
		return;
	view_free(&s->now);
	view_free(&s->next);
	for (size_t i = 0; i < CHUNKS_MAX; i++)
		buf_free(&s->chunk[i].data);
	free(s);
}

static bool ask(struct sets *s, size_t argc, const char **argv, struct redis_done done)
{
	size_t len[8];
	for (size_t i = 0; i < argc && i < 8; i++)
		len[i] = strlen(argv[i]);
	return store_send(s->store, PUBLISH_PREFIX "sets", argc, argv, len, done);
}

/* ---- reading what is published ---- */

static void give_up(struct sets *s)
{
	s->asking = false;
	s->serial = -1;
	view_free(&s->next);
}

static int by_urgency(const void *a, const void *b)
{
	const struct offered *x = a, *y = b;
	if (x->m.priority != y->m.priority)
		return x->m.priority > y->m.priority ? -1 : 1;
	int set = strcmp(x->m.set, y->m.set);
	return set ? set : strcmp(x->ring, y->ring);
}

/* All manifests have come, or not. */
static void settle(struct sets *s)
{
	if (s->failed) {
		give_up(s);
		return;
	}
	struct view old = s->now;
	size_t kept = 0;
	for (size_t i = 0; i < s->next.n; i++)
		if (s->next.v[i].line)
			s->next.v[kept++] = s->next.v[i];
	s->next.n = kept;
	qsort(s->next.v, kept, sizeof(*s->next.v), by_urgency);
	s->now = s->next;
	s->next = (struct view){0};
	view_free(&old);
	s->serial = s->next_serial;
	s->asking = false;
	s->generation++;
}

struct wanted {
	struct sets *s;
	size_t i;
	uint32_t version;
};

static void believe(struct sets *s, struct offered *o, uint32_t version, const struct reply *r)
{
	struct bytes line, by;
	struct err e = {"its fields are missing"};
	int64_t delta = 0;
	unsigned long skipped;
	bool good = reply_text(reply_at(r, 0), &line) && reply_text(reply_at(r, 1), &by) &&
		    publish_endorsement_read(by, &o->by) && manifest_read(line.p, line.n, &o->m, &e) &&
		    o->m.version == version;
	if (!good) {
		if (log_again(&s->said, &skipped))
			log_warnx("a published set in Redis cannot be handed out: %s", e.text);
		return;
	}
	o->delta = reply_number(reply_at(r, 2), &delta) && delta > 0 && delta < MANIFEST_CONTENT_MAX ? (uint32_t)delta
												     : 0;
	o->line = xstrndup(line.p, line.n);
	o->line_n = line.n;
}

static void on_manifest(void *arg, const struct reply *r)
{
	struct wanted *w = arg;
	struct sets *s = w->s;
	struct bytes text;
	if (!r || reply_error(r, &text))
		s->failed = true;
	else
		believe(s, &s->next.v[w->i], w->version, r);
	free(w);
	if (--s->missing == 0)
		settle(s);
}

static void ask_manifest(struct sets *s, size_t i, const char *set, uint32_t version)
{
	char key[KEY_MAX], manifest[32], endorsement[32], delta[32];
	struct wanted *w = xcalloc(1, sizeof(*w));
	*w = (struct wanted){s, i, version};
	snprintf(key, sizeof(key), PUBLISH_PREFIX "set:%s", set);
	snprintf(manifest, sizeof(manifest), "%" PRIu32 ":manifest", version);
	snprintf(endorsement, sizeof(endorsement), "%" PRIu32 ":endorsement", version);
	snprintf(delta, sizeof(delta), "%" PRIu32 ":delta", version);
	s->missing++;
	if (ask(s, 5, (const char *[]){"HMGET", key, manifest, endorsement, delta},
		(struct redis_done){on_manifest, w}))
		return;
	s->missing--;
	s->failed = true;
	free(w);
}

static const struct offered *known(const struct sets *s, const char *set, const char *ring, uint32_t version)
{
	for (size_t i = 0; i < s->now.n; i++) {
		const struct offered *o = &s->now.v[i];
		if (o->m.version == version && strcmp(o->m.set, set) == 0 && strcmp(o->ring, ring) == 0)
			return o;
	}
	return NULL;
}

/* "<set>" or "<set>/<ring>" and a version. */
static void add_current(struct sets *s, struct bytes field, int64_t version)
{
	char set[MANIFEST_SET_MAX + 1] = "";
	const uint8_t *slash = memchr(field.p, '/', field.n);
	size_t set_n = slash ? (size_t)(slash - field.p) : field.n, ring_n = slash ? field.n - set_n - 1 : 0;
	if (!manifest_id_valid((const char *)field.p, set_n) || version < 1 || version > UINT32_MAX ||
	    (slash && !manifest_id_valid((const char *)slash + 1, ring_n)))
		return;
	struct offered *o = &s->next.v[s->next.n];
	*o = (struct offered){.line = NULL};
	memcpy(set, field.p, set_n);
	if (slash)
		memcpy(o->ring, slash + 1, ring_n);
	const struct offered *have = known(s, set, o->ring, (uint32_t)version);
	if (have) {
		*o = *have;
		o->line = xstrndup(have->line, have->line_n);
	} else {
		ask_manifest(s, s->next.n, set, (uint32_t)version);
	}
	s->next.n++;
}

static void on_list(void *arg, const struct reply *r)
{
	struct sets *s = arg;
	struct bytes field, text;
	int64_t version;
	if (!r || reply_error(r, &text)) {
		give_up(s);
		return;
	}
	size_t n = reply_count(r) / 2;
	n = n < 2 * PUBLISH_SETS_MAX ? n : 2 * PUBLISH_SETS_MAX;
	s->next.v = xcalloc(n + 1, sizeof(*s->next.v));
	s->failed = false;
	s->missing = 1; /* one for the time of asking */
	for (size_t i = 0; i < n; i++)
		if (reply_text(reply_at(r, 2 * i), &field) && reply_number(reply_at(r, 2 * i + 1), &version))
			add_current(s, field, version);
	if (--s->missing == 0)
		settle(s);
}

static void on_serial(void *arg, const struct reply *r)
{
	struct sets *s = arg;
	struct bytes text;
	if (!r || reply_error(r, &text)) {
		give_up(s);
		return;
	}
	s->next_serial = 0;
	if (!reply_nil(r))
		reply_number(r, &s->next_serial);
	if (s->next_serial == s->serial) {
		s->asking = false;
	} else if (!ask(s, 2, (const char *[]){"HGETALL", PUBLISH_PREFIX "sets"}, (struct redis_done){on_list, s})) {
		give_up(s);
	}
}

void sets_work(struct sets *s, int64_t now_us)
{
	s->now_us = now_us;
	if (s->asking || now_us - s->poll_us < SETS_POLL_US || store_state(s->store) != STORE_READY)
		return;
	s->poll_us = now_us;
	s->asking = ask(s, 2, (const char *[]){"GET", PUBLISH_PREFIX "sets:serial"}, (struct redis_done){on_serial, s});
}

/* ---- the view ---- */

uint64_t sets_generation(const struct sets *s)
{
	return s->generation;
}

size_t sets_count(const struct sets *s)
{
	return s->now.n;
}

const struct offered *sets_at(const struct sets *s, size_t i)
{
	return &s->now.v[i];
}

bool sets_is_for(const struct sets *s, const struct offered *o, const char *ring)
{
	if (*o->ring)
		return strcmp(o->ring, ring) == 0;
	for (size_t i = 0; *ring && i < s->now.n; i++)
		if (strcmp(s->now.v[i].ring, ring) == 0 && strcmp(s->now.v[i].m.set, o->m.set) == 0)
			return false;
	return true;
}

const struct offered *sets_find(const struct sets *s, const char *set, uint32_t version)
{
	for (size_t i = 0; i < s->now.n; i++)
		if (s->now.v[i].m.version == version && strcmp(s->now.v[i].m.set, set) == 0)
			return &s->now.v[i];
	return NULL;
}

/* ---- pieces ---- */

static void on_chunk(void *arg, const struct reply *r)
{
	struct chunk *c = arg;
	struct bytes data;
	c->state = CHUNK_GONE;
	c->used_us = c->owner->now_us;
	c->data.n = 0;
	if (!reply_text(r, &data) || !data.n || data.n > PUBLISH_CHUNK)
		return;
	buf_add(&c->data, data.p, data.n);
	c->state = CHUNK_READY;
}

/* The chunk, or the one that was used longest ago, made free; NULL: all are on their way. */
static struct chunk *find_chunk(struct sets *s, const struct offered *o, enum set_kind kind, uint32_t index)
{
	struct chunk *oldest = NULL;
	for (size_t i = 0; i < CHUNKS_MAX; i++) {
		struct chunk *c = &s->chunk[i];
		if (c->state != CHUNK_FREE && c->index == index && c->kind == kind && c->version == o->m.version &&
		    strcmp(c->set, o->m.set) == 0)
			return c;
		if (c->state != CHUNK_COMING && (!oldest || c->used_us < oldest->used_us))
			oldest = c;
	}
	if (oldest)
		oldest->state = CHUNK_FREE;
	return oldest;
}

static void ask_chunk(struct sets *s, struct chunk *c, const struct offered *o, enum set_kind kind, uint32_t index)
{
	char key[KEY_MAX], at[16];
	c->version = (uint32_t)o->m.version;
	c->kind = kind;
	c->index = index;
	c->owner = s;
	memcpy(c->set, o->m.set, sizeof(c->set));
	snprintf(key, sizeof(key), PUBLISH_PREFIX "set:%s:%s:%" PRIu64, o->m.set,
		 kind == SET_FULL ? "content" : "delta", o->m.version);
	snprintf(at, sizeof(at), "%" PRIu32, index);
	if (ask(s, 3, (const char *[]){"LINDEX", key, at}, (struct redis_done){on_chunk, c}))
		c->state = CHUNK_COMING;
}

enum piece_state sets_piece(struct sets *s, const struct offered *o, enum set_kind kind, uint32_t offset,
			    uint32_t bytes, struct bytes *out)
{
	uint64_t total = kind == SET_FULL ? o->m.bytes : o->delta;
	uint32_t index = offset / PUBLISH_CHUNK, at = offset % PUBLISH_CHUNK;
	if (offset >= total)
		return PIECE_GONE;
	struct chunk *c = find_chunk(s, o, kind, index);
	if (!c)
		return PIECE_COMING;
	if (c->state == CHUNK_GONE && s->now_us - c->used_us < RETRY_US)
		return PIECE_GONE;
	if (c->state == CHUNK_FREE || c->state == CHUNK_GONE)
		ask_chunk(s, c, o, kind, index);
	if (c->state != CHUNK_READY)
		return PIECE_COMING;
	c->used_us = s->now_us;
	uint64_t due = total - offset < bytes ? total - offset : bytes, till = PUBLISH_CHUNK - at;
	if (at + (due < till ? due : till) > c->data.n)
		return PIECE_GONE; /* Redis has less than the manifest says */
	*out = (struct bytes){c->data.p + at, c->data.n - at < bytes ? c->data.n - at : bytes};
	return PIECE_READY;
}

/* ---- receipts ---- */

static void on_receipt(void *arg, const struct reply *r)
{
	(void)arg;
	(void)r; /* the sensor tells it again with its next connection */
}

void sets_receipt(struct sets *s, const char *sensor, const struct set_ack *a)
{
	char key[KEY_MAX], when[CLOCK_TEXT_LEN], digest[65], why[SET_WHY_MAX + 1], value[SET_WHY_MAX + 160], keep[16];
	clock_format(a->at_us, when);
	text_hex(digest, a->digest, sizeof(a->digest));
	text_clean(why, sizeof(why), a->why.p, a->why.n);
	snprintf(key, sizeof(key), PUBLISH_PREFIX "set:%s:receipts:%" PRIu32, a->set, a->version);
	snprintf(value, sizeof(value), "%s %s %s %s", a->result == SET_ARMED ? "armed" : "refused", when, digest, why);
	snprintf(keep, sizeof(keep), "%d", PUBLISH_RECEIPT_S);
	ask(s, 4, (const char *[]){"HSET", key, sensor, value}, (struct redis_done){on_receipt, NULL});
	ask(s, 3, (const char *[]){"EXPIRE", key, keep}, (struct redis_done){on_receipt, NULL});
}
