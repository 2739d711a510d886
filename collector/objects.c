#include "collector/objects.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/objects_script.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/text.h"

#define HEAD_ARGS     (3 + OBJECTS_KEYS) /* EVAL, text, number of keys, keys */
#define ARGS_MAX      (HEAD_ARGS + 3 + OBJECTS_BATCH * (PUT_ARGS + 1))
#define FORGET_STEP   200
#define CONFLICTS_MAX "1000"
#define CONFLICT_TEXT 65536 /* bytes of a conflicting object that are kept */
#define NUMBER_LEN    24
#define SAID_LEN      48

static const char rows_key[] = OBJECTS_PREFIX "rows";

struct objects {
	struct redis_link *redis;
	int64_t objects_max, versions_max;
	struct objects_stats stats;
	struct log_once say_refused, say_forgotten;
};

/* The arguments of one command. Numbers stand in scratch, which does not move. */
struct args {
	size_t n, cap;
	const char **v;
	size_t *len;
	char *scratch, *at, *end;
	const char *said; /* PUT_SAID of the object before; NULL: none */
	size_t said_n, said_handling;
	int said_spec;
	bool said_mutable;
	char keys[OBJECTS_KEYS][sizeof(OBJECTS_PREFIX) + OBJECTS_COLLECTION_MAX + 24];
};

struct objects *objects_new(struct redis_link *r, int64_t objects_max, int64_t versions_max)
{
	struct objects *s = xcalloc(1, sizeof(*s));
	*s = (struct objects){.redis = r, .objects_max = objects_max, .versions_max = versions_max};
	return s;
}

void objects_free(struct objects *s)
{
	free(s);
}

const struct objects_stats *objects_stats(const struct objects *s)
{
	return &s->stats;
}

bool objects_ready(const struct objects *s)
{
	return redis_link_ready(s->redis);
}

/* ---- arguments ---- */

static void args_open(struct args *a, size_t cap)
{
	*a = (struct args){.cap = cap + HEAD_ARGS};
	a->v = xcalloc(a->cap, sizeof(*a->v));
	a->len = xcalloc(a->cap, sizeof(*a->len));
	a->scratch = a->at = xmalloc(a->cap * NUMBER_LEN);
	a->end = a->scratch + a->cap * NUMBER_LEN;
}

static void args_close(struct args *a)
{
	free(a->v);
	free(a->len);
	free(a->scratch);
}

static void put_bytes(struct args *a, const void *p, size_t n)
{
	assert(a->n < a->cap);
	a->v[a->n] = n ? p : "";
	a->len[a->n++] = n;
}

static void put_text(struct args *a, const char *text)
{
	put_bytes(a, text, strlen(text));
}

static void put_number(struct args *a, int64_t v)
{
	assert(a->end - a->at >= NUMBER_LEN);
	int n = snprintf(a->at, NUMBER_LEN, "%" PRId64, v);
	put_bytes(a, a->at, (size_t)n);
	a->at += n + 1;
}

/* EVAL with its keys. The text goes each time: Redis knows it by its digest, and
 * no reply can say that it has forgotten it. */
static void put_script(struct args *a, enum objects_script script, const char *collection)
{
	static const char *const names[OBJECTS_KEYS] = {
	    [OBJECTS_KEY_META] = "meta",       [OBJECTS_KEY_ROWS] = "rows", [OBJECTS_KEY_LAST] = "last",
	    [OBJECTS_KEY_OLD] = "old",         [OBJECTS_KEY_IDS] = "ids",   [OBJECTS_KEY_HANDLING] = "handling",
	    [OBJECTS_KEY_NUMBERS] = "numbers", [OBJECTS_KEY_REFS] = "refs", [OBJECTS_KEY_CONFLICTS] = "conflicts",
	};
	put_text(a, "EVAL");
	put_text(a, objects_script_text[script]);
	put_number(a, OBJECTS_KEYS);
	for (int k = 0; k < OBJECTS_KEYS; k++) {
		bool own = k == OBJECTS_KEY_LAST || k == OBJECTS_KEY_OLD || k == OBJECTS_KEY_IDS;
		snprintf(a->keys[k], sizeof(a->keys[k]), OBJECTS_PREFIX "%s%s%s", own ? collection : "", own ? ":" : "",
			 names[k]);
		put_text(a, a->keys[k]);
	}
}

static bool send_args(struct objects *s, struct args *a, struct redis_done done)
{
	bool sent = redis_link_send(s->redis, a->n, a->v, a->len, done);
	args_close(a);
	if (!sent)
		s->stats.failed++;
	return sent;
}

/* False: no reply, or one that says no; the operator is told. */
static bool usable(struct objects *s, const struct reply *r)
{
	struct bytes text;
	unsigned long skipped;
	char clean[240];
	if (r && !reply_error(r, &text))
		return true;
	s->stats.failed++;
	if (r && log_again(&s->say_refused, &skipped))
		log_warnx("Redis refuses shared objects: %s (%lu more were not logged)",
			  text_clean(clean, sizeof(clean), text.p, text.n), skipped);
	return false;
}

/* ---- an object ---- */

static int spec_of(const struct json *stix)
{
	const char *spec = json_text(json_at(stix, "spec_version"), NULL);
	if (!json_at(stix, "created") && !json_at(stix, "modified"))
		return 21; /* an observable: STIX 2.1 has them without times, 2.0 not as objects */
	return spec && strcmp(spec, "2.1") == 0 ? 21 : 20;
}

static bool word(const char *text)
{
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return false;
	return *text;
}

bool object_read(struct object *o, const struct json *stix, struct bytes text, struct err *e)
{
	const char *id = shared_id(stix), *version = shared_version(stix);
	uint8_t digest[32];
	*o = (struct object){.text = text, .spec = spec_of(stix), .mutable_ = json_at(stix, "modified")};
	if (!id || !shared_id_valid(id) || !word(id))
		return err_set(e, "the id is not a type, two dashes and a UUID");
	if (*version &&
	    (!word(version) || strlen(version) >= SHARED_VERSION_MAX || !clock_parse(version, &o->version_us)))
		return err_set(e, "the time of the version is not an RFC 3339 time");
	if (!*version && (json_at(stix, "created") || json_at(stix, "modified")))
		return err_set(e, "created and modified must be texts");
	size_t id_n = strlen(id), version_n = strlen(version);
	if (id_n >= sizeof(o->id))
		return err_set(e, "the id is longer than %d", SHARED_ID_MAX);
	memcpy(o->id, id, id_n + 1);
	memcpy(o->version, version, version_n + 1);
	hash_sha256(digest, text.p, text.n);
	text_hex(o->digest, digest, OBJECTS_DIGEST_LEN / 2);
	return true;
}

/* ---- put ---- */

struct putting {
	struct objects *objects;
	char collection[OBJECTS_COLLECTION_MAX + 1];
	struct objects_put_done done;
	size_t n, compare; /* compare: rows whose content is to be looked at */
	struct objects_put_result v[OBJECTS_BATCH];
	struct buf text[OBJECTS_BATCH]; /* of those */
	char id[OBJECTS_BATCH][SHARED_ID_MAX + 1];
};

static void put_over(struct putting *p, bool ok)
{
	struct objects_stats *t = &p->objects->stats;
	for (size_t i = 0; i < p->n && ok; i++) {
		t->stored += p->v[i].result == OBJECT_STORED;
		t->same += p->v[i].result == OBJECT_SAME;
		t->conflicts += p->v[i].result == OBJECT_CONFLICT;
	}
	p->done.call(p->done.arg, ok, ok ? p->v : NULL, ok ? p->n : 0);
	for (size_t i = 0; i < p->n; i++)
		buf_free(&p->text[i]);
	free(p);
}

/* A conflict is kept where a person can look at both. */
static void keep_conflict(struct putting *p, size_t i)
{
	char row[NUMBER_LEN];
	const char *v[] = {"XADD",        OBJECTS_PREFIX "conflicts",
			   "MAXLEN",      "~",
			   CONFLICTS_MAX, "*",
			   "collection",  p->collection,
			   "id",          p->id[i],
			   "row",         row,
			   "json",        (const char *)p->text[i].p};
	size_t len[sizeof(v) / sizeof(*v)], n = sizeof(v) / sizeof(*v);
	snprintf(row, sizeof(row), "%" PRId64, p->v[i].row);
	for (size_t k = 0; k + 1 < n; k++)
		len[k] = strlen(v[k]);
	len[n - 1] = p->text[i].n < CONFLICT_TEXT ? p->text[i].n : CONFLICT_TEXT;
	redis_link_send(p->objects->redis, n, v, len, (struct redis_done){0});
}

static bool same_tree(struct bytes a, struct bytes b)
{
	uint8_t da[32], db[32];
	struct json *ja = json_read(a.p, a.n, a.n, NULL), *jb = json_read(b.p, b.n, b.n, NULL);
	bool same = ja && jb;
	if (same) {
		shared_digest(ja, da);
		shared_digest(jb, db);
		same = memcmp(da, db, sizeof(da)) == 0;
	}
	json_drop(ja);
	json_drop(jb);
	return same;
}

/* Other bytes may still say the same: order of keys, blanks. */
static void on_compare(void *arg, bool ok, const struct bytes *v, size_t n)
{
	struct putting *p = arg;
	size_t at = 0;
	(void)n;
	for (size_t i = 0; i < p->n && ok; i++) {
		if (p->v[i].result != OBJECT_CONFLICT)
			continue;
		struct bytes mine = {p->text[i].p, p->text[i].n}, theirs = v[at++];
		if (theirs.p && same_tree(mine, theirs))
			p->v[i].result = OBJECT_SAME;
		else
			keep_conflict(p, i);
	}
	put_over(p, ok);
}

static void compare(struct putting *p)
{
	int64_t rows[OBJECTS_BATCH];
	size_t n = 0;
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i].result == OBJECT_CONFLICT)
			rows[n++] = p->v[i].row;
	objects_texts(p->objects, rows, n, (struct objects_texts_done){on_compare, p});
}

static void on_forgotten(void *arg, const struct reply *r)
{
	struct objects *s = arg;
	int64_t n;
	unsigned long skipped;
	if (!usable(s, r) || !reply_number(r, &n) || n <= 0)
		return;
	s->stats.forgotten += (uint64_t)n;
	if (log_again(&s->say_forgotten, &skipped))
		log_warnx("a collection has more than retention.objects: its oldest objects are forgotten");
}

static void forget(struct objects *s, const char *collection, int64_t n)
{
	struct args a;
	args_open(&a, 1);
	put_script(&a, OBJECTS_FORGET, collection);
	put_number(&a, n < FORGET_STEP ? n : FORGET_STEP);
	send_args(s, &a, (struct redis_done){on_forgotten, s});
}

static bool read_put(struct putting *p, const struct reply *r, int64_t *card)
{
	if (reply_count(r) != 1 + 2 * p->n || !reply_number(reply_at(r, 0), card))
		return false;
	for (size_t i = 0; i < p->n; i++) {
		int64_t code;
		if (!reply_number(reply_at(r, 1 + 2 * i), &code) || code < PUT_STORED || code > PUT_DIFFERS ||
		    !reply_number(reply_at(r, 2 + 2 * i), &p->v[i].row))
			return false;
		p->v[i].result = (enum object_result)code;
		p->compare += code == PUT_DIFFERS;
	}
	return true;
}

static void on_put(void *arg, const struct reply *r)
{
	struct putting *p = arg;
	int64_t card = 0;
	bool ok = usable(p->objects, r) && read_put(p, r, &card);
	if (ok && card > p->objects->objects_max)
		forget(p->objects, p->collection, card - p->objects->objects_max);
	if (ok && p->compare)
		compare(p);
	else
		put_over(p, ok);
}

/* The texts of handlings, each once; gives for each object which, from 1. */
static size_t put_handlings(struct args *a, const struct object *v, size_t n, size_t which[static OBJECTS_BATCH])
{
	size_t first[OBJECTS_BATCH], texts = 0;
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;
		while (k < texts && !(v[first[k]].handling.n == v[i].handling.n &&
				      !memcmp(v[first[k]].handling.p, v[i].handling.p, v[i].handling.n)))
			k++;
		if (k == texts)
			first[texts++] = i;
		which[i] = k + 1;
	}
	put_number(a, (int64_t)texts);
	for (size_t k = 0; k < texts; k++)
		put_bytes(a, v[first[k]].handling.p, v[first[k]].handling.n);
	return texts;
}

/* Most of a call's objects say the same: it is written once. */
static void put_said(struct args *a, const struct object *o, size_t handling)
{
	char row[NUMBER_LEN] = "";
	if (!o->row && a->said && a->said_spec == o->spec && a->said_handling == handling &&
	    a->said_mutable == o->mutable_) {
		put_bytes(a, a->said, a->said_n);
		return;
	}
	if (o->row)
		snprintf(row, sizeof(row), "%" PRId64, o->row);
	assert(a->end - a->at >= SAID_LEN);
	int n = snprintf(a->at, SAID_LEN, "%d %zu %d %s", o->spec, handling, o->mutable_, row);
	put_bytes(a, a->at, (size_t)n);
	a->said = o->row ? NULL : a->at;
	a->said_n = (size_t)n;
	a->said_spec = o->spec;
	a->said_handling = handling;
	a->said_mutable = o->mutable_;
	a->at += n + 1;
}

static void put_object(struct args *a, const struct object *o, size_t handling)
{
	put_text(a, o->id);
	if (*o->version)
		put_number(a, o->version_us);
	else
		put_text(a, "");
	put_text(a, *o->version ? o->version : "-");
	put_said(a, o, handling);
	put_text(a, o->digest);
	put_bytes(a, o->text.p, o->text.n);
}

void objects_put(struct objects *s, const char *collection, const struct object *v, size_t n,
		 struct objects_put_done done)
{
	struct args a;
	struct putting *p = xcalloc(1, sizeof(*p));
	size_t which[OBJECTS_BATCH];
	assert(n <= OBJECTS_BATCH);
	*p = (struct putting){.objects = s, .done = done, .n = n};
	snprintf(p->collection, sizeof(p->collection), "%s", collection);
	for (size_t i = 0; i < n; i++) {
		buf_add(&p->text[i], v[i].text.p, v[i].text.n);
		strcpy(p->id[i], v[i].id);
	}
	args_open(&a, 3 + n * (PUT_ARGS + 1));
	put_script(&a, OBJECTS_PUT, collection);
	put_number(&a, s->versions_max);
	put_number(&a, OBJECTS_HANDLINGS);
	put_handlings(&a, v, n, which);
	for (size_t i = 0; i < n; i++)
		put_object(&a, &v[i], which[i]);
	if (!send_args(s, &a, (struct redis_done){on_put, p}))
		put_over(p, false);
}

/* ---- rows ---- */

static bool number_of(const char *text, int64_t *v)
{
	char *end;
	*v = strtoll(text, &end, 10);
	return end != text && !*end && *v >= 0;
}

bool object_row_parse(char *text, size_t n, struct object_row *r)
{
	char *part[6], *at = text, *end = text + n;
	for (int i = 0; i < 6; i++) {
		char *stop = i < 5 ? memchr(at, ' ', (size_t)(end - at)) : end;
		if (!stop)
			return false;
		*stop = '\0'; /* a reply's text has room for it at its end */
		part[i] = at;
		at = stop + 1;
	}
	int64_t spec, bytes;
	if (!number_of(part[0], &r->row) || !number_of(part[1], &spec) || !number_of(part[2], &r->handling) ||
	    !number_of(part[3], &bytes) || spec > 99)
		return false;
	r->spec = (int)spec;
	r->bytes = (size_t)bytes;
	r->version = strcmp(part[4], "-") == 0 ? "" : part[4];
	r->id = part[5];
	return true;
}

struct asking {
	struct objects *objects;
	struct objects_rows_done rows;
	struct objects_texts_done texts;
	struct objects_done done;
	size_t n;
};

static struct asking *ask(struct objects *s)
{
	struct asking *q = xcalloc(1, sizeof(*q));
	q->objects = s;
	return q;
}

/* Copies of members, and rows that point into them. */
struct row_list {
	struct buf text;
	struct object_row *v;
	size_t n, cap;
};

static void list_add(struct row_list *l, const struct reply *r, bool last)
{
	struct bytes b;
	struct object_row row = {.last = last};
	if (!reply_text(r, &b) || l->n == l->cap || l->text.cap - l->text.n < b.n + 1)
		return;
	char *at = (char *)l->text.p + l->text.n;
	memcpy(at, b.p, b.n);
	at[b.n] = '\0';
	if (!object_row_parse(at, b.n, &row))
		return;
	l->text.n += b.n + 1;
	l->v[l->n++] = row;
}

static size_t texts_length(const struct reply *list)
{
	size_t n = 0;
	struct bytes b;
	for (size_t i = 0; i < reply_count(list); i++)
		n += reply_text(reply_at(list, i), &b) ? b.n + 1 : 0;
	return n;
}

static void list_open(struct row_list *l, size_t cap, size_t bytes)
{
	*l = (struct row_list){.cap = cap};
	l->v = xcalloc(cap ? cap : 1, sizeof(*l->v));
	buf_reserve(&l->text, bytes + 1);
}

static void list_close(struct row_list *l)
{
	buf_free(&l->text);
	free(l->v);
}

static int by_row(const void *a, const void *b)
{
	const struct object_row *x = a, *y = b;
	return (x->row > y->row) - (x->row < y->row);
}

/* Two lists that were each cut at n: behind the end of a full one nothing is
 * known, so what lies there is left for the next call. */
static void on_scan(void *arg, const struct reply *r)
{
	struct asking *q = arg;
	struct row_list l = {0};
	bool ok = usable(q->objects, r) && reply_count(r) == 2, more = false;
	if (ok) {
		const struct reply *last = reply_at(r, 0), *old = reply_at(r, 1);
		int64_t end = INT64_MAX;
		list_open(&l, reply_count(last) + reply_count(old), texts_length(last) + texts_length(old));
		for (size_t i = 0; i < reply_count(last); i++)
			list_add(&l, reply_at(last, i), true);
		if (reply_count(last) >= q->n && l.n)
			end = l.v[l.n - 1].row;
		size_t before = l.n;
		for (size_t i = 0; i < reply_count(old); i++)
			list_add(&l, reply_at(old, i), false);
		if (reply_count(old) >= q->n && l.n > before && l.v[l.n - 1].row < end)
			end = l.v[l.n - 1].row;
		if (reply_count(old))
			qsort(l.v, l.n, sizeof(*l.v), by_row);
		more = end != INT64_MAX;
		while (l.n && l.v[l.n - 1].row > end)
			l.n--;
	}
	q->rows.call(q->rows.arg, ok, l.v, l.n, more);
	list_close(&l);
	free(q);
}

void objects_scan(struct objects *s, const char *collection, int64_t after, size_t n, bool old,
		  struct objects_rows_done done)
{
	struct args a;
	struct asking *q = ask(s);
	assert(n && n <= OBJECTS_SCAN_MAX);
	q->rows = done;
	q->n = n;
	args_open(&a, 3);
	put_script(&a, OBJECTS_SCAN, collection);
	put_number(&a, after);
	put_number(&a, (int64_t)n);
	put_text(&a, old ? "1" : "0");
	if (!send_args(s, &a, (struct redis_done){on_scan, q})) {
		done.call(done.arg, false, NULL, 0, false);
		free(q);
	}
}

static void on_find(void *arg, const struct reply *r)
{
	struct asking *q = arg;
	struct row_list l = {0};
	bool ok = usable(q->objects, r) && reply_count(r) == q->n;
	if (ok) {
		size_t rows = 0, bytes = 0;
		for (size_t i = 0; i < q->n; i++) {
			rows += reply_count(reply_at(r, i));
			bytes += texts_length(reply_at(r, i));
		}
		list_open(&l, rows, bytes);
		for (size_t i = 0; i < q->n; i++)
			for (size_t k = 0; k < reply_count(reply_at(r, i)); k++)
				list_add(&l, reply_at(reply_at(r, i), k), false);
		qsort(l.v, l.n, sizeof(*l.v), by_row);
	}
	q->rows.call(q->rows.arg, ok, l.v, l.n, false);
	list_close(&l);
	free(q);
}

void objects_find(struct objects *s, const char *collection, const char *const *ids, size_t n,
		  struct objects_rows_done done)
{
	struct args a;
	struct asking *q = ask(s);
	assert(n && n <= OBJECTS_IDS_MAX);
	q->rows = done;
	q->n = n;
	args_open(&a, n);
	put_script(&a, OBJECTS_FIND, collection);
	for (size_t i = 0; i < n; i++)
		put_text(&a, ids[i]);
	if (!send_args(s, &a, (struct redis_done){on_find, q})) {
		done.call(done.arg, false, NULL, 0, false);
		free(q);
	}
}

/* ---- texts ---- */

static void on_texts(void *arg, const struct reply *r)
{
	struct asking *q = arg;
	bool ok = usable(q->objects, r) && reply_count(r) == q->n;
	struct bytes *v = ok ? xcalloc(q->n, sizeof(*v)) : NULL;
	for (size_t i = 0; i < q->n && ok; i++)
		if (!reply_text(reply_at(r, i), &v[i]))
			v[i] = (struct bytes){0};
	q->texts.call(q->texts.arg, ok, v, ok ? q->n : 0);
	free(v);
	free(q);
}

static void ask_texts(struct objects *s, const char *key, const int64_t *v, size_t n, struct objects_texts_done done)
{
	struct args a;
	struct asking *q = ask(s);
	q->texts = done;
	q->n = n;
	args_open(&a, n);
	put_text(&a, "HMGET");
	put_text(&a, key);
	for (size_t i = 0; i < n; i++)
		put_number(&a, v[i]);
	if (!send_args(s, &a, (struct redis_done){on_texts, q})) {
		done.call(done.arg, false, NULL, 0);
		free(q);
	}
}

void objects_texts(struct objects *s, const int64_t *rows, size_t n, struct objects_texts_done done)
{
	ask_texts(s, rows_key, rows, n, done);
}

void objects_handlings(struct objects *s, const int64_t *numbers, size_t n, struct objects_texts_done done)
{
	ask_texts(s, OBJECTS_PREFIX "handling", numbers, n, done);
}

/* ---- changes ---- */

static void on_changed(void *arg, const struct reply *r)
{
	struct asking *q = arg;
	int64_t n = 0;
	bool ok = usable(q->objects, r) && reply_number(r, &n);
	q->done.call(q->done.arg, ok, n);
	free(q);
}

static void send_change(struct objects *s, struct args *a, struct objects_done done)
{
	struct asking *q = ask(s);
	q->done = done;
	if (!send_args(s, a, (struct redis_done){on_changed, q})) {
		done.call(done.arg, false, 0);
		free(q);
	}
}

void objects_delete(struct objects *s, const char *collection, const char *id, const int64_t *rows, size_t n,
		    struct objects_done done)
{
	struct args a;
	args_open(&a, 2 + n);
	put_script(&a, OBJECTS_DELETE, collection);
	put_text(&a, id);
	for (size_t i = 0; i < n; i++)
		put_number(&a, rows[i]);
	if (!n)
		put_text(&a, "all");
	send_change(s, &a, done);
}

static void change_handling(struct objects *s, enum objects_script script, const char *collection, const char *id,
			    int64_t row, struct bytes handling, struct objects_done done)
{
	struct args a;
	args_open(&a, 4);
	put_script(&a, script, collection);
	put_number(&a, OBJECTS_HANDLINGS);
	put_text(&a, id);
	put_number(&a, row);
	put_bytes(&a, handling.p, handling.n);
	send_change(s, &a, done);
}

void objects_handle(struct objects *s, const char *collection, const char *id, int64_t row, struct bytes handling,
		    struct objects_done done)
{
	change_handling(s, OBJECTS_HANDLE, collection, id, row, handling, done);
}

void objects_renew(struct objects *s, const char *collection, const char *id, int64_t row, struct bytes handling,
		   struct objects_done done)
{
	change_handling(s, OBJECTS_RENEW, collection, id, row, handling, done);
}
