#include "collector/taxii_page.h"

#include <stdlib.h>
#include <string.h>

#include "collector/audit.h"
#include "common/clock.h"

#define SCAN_FIRST 128
#define SCAN_STEP  4096
#define TEXT_ROWS  512
#define TEXT_BYTES (4u << 20)
#define FIND_IDS   256
#define REFS_MAX   256 /* of one chunk; what is beyond is not told of this time */

/* Rows that were borrowed, kept. */
struct kept {
	struct buf text;
	struct object_row *v;
	size_t n;
};

struct asking {
	struct objects *objects;
	struct release *release;
	struct page_want want;
	struct page_done done;
	struct page page;
	struct kept rows; /* candidates, in order */
	size_t at;        /* the next of them to be given */
	size_t chosen;    /* up to here filter_chooses() has been asked */
	size_t fetched;   /* rows whose texts are under way, from at */
	int64_t after;
	bool end, started; /* end: nothing is behind rows */
	bool referred;     /* what this chunk refers to was looked up */
	struct buf item;
	char **versions;
};

static void step(struct asking *q);

static void kept_clear(struct kept *k)
{
	buf_free(&k->text);
	free(k->v);
	*k = (struct kept){0};
}

static const char *kept_text(struct kept *k, const char *t)
{
	const char *at = (const char *)k->text.p + k->text.n;
	buf_add(&k->text, t, strlen(t) + 1);
	return at;
}

/* Those of v that wanted() takes. */
static void keep_rows(struct kept *k, const struct object_row *v, size_t n, const struct filter *f)
{
	size_t bytes = 0;
	for (size_t i = 0; i < n; i++)
		bytes += strlen(v[i].id) + strlen(v[i].version) + 2;
	buf_reserve(&k->text, bytes + 1); /* it does not move from here on */
	k->v = xcalloc(n ? n : 1, sizeof(*k->v));
	for (size_t i = 0; i < n; i++) {
		if (!filter_takes(f, &v[i]))
			continue;
		struct object_row *r = &k->v[k->n++];
		*r = v[i];
		r->id = kept_text(k, v[i].id);
		r->version = kept_text(k, v[i].version);
	}
}

static void finish(struct asking *q, bool ok)
{
	struct page *p = &q->page;
	p->ok = ok;
	p->seen = q->after;
	for (size_t i = p->n; q->versions && i-- > 0;) { /* the newest first */
		buf_printf(&p->body, "%s\"%s\"", p->body.n ? "," : "", q->versions[i]);
		free(q->versions[i]);
	}
	q->done.call(q->done.arg, p);
	buf_free(&p->body);
	buf_free(&p->given);
	buf_free(&q->item);
	free(p->rows);
	free(q->versions);
	kept_clear(&q->rows);
	free(q);
}

/* ---- what is given ---- */

static void put_manifest(struct asking *q, const struct object_row *r, const char *version, const char *added)
{
	buf_printf(&q->page.body,
		   "{\"id\":\"%s\",\"date_added\":\"%s\",\"version\":\"%s\",\"media_type\":\"application/"
		   "stix+json;version=%d.%d\"}",
		   r->id, added, version, r->spec / 10, r->spec % 10);
}

static void give(struct asking *q, const struct object_row *r, enum gate_verdict verdict)
{
	struct page *p = &q->page;
	char added[CLOCK_TEXT_LEN];
	clock_format(r->row, added);
	const char *version = *r->version ? r->version : added;
	if (q->want.kind == PAGE_VERSIONS)
		q->versions[p->n] = xstrdup(version);
	else if (q->want.kind == PAGE_ROWS)
		p->rows[p->n] = r->row;
	else if (p->n)
		buf_add(&p->body, ",", 1);
	size_t at = p->body.n;
	if (q->want.kind == PAGE_MANIFEST)
		put_manifest(q, r, version, added);
	else if (q->want.kind == PAGE_OBJECTS)
		buf_add(&p->body, q->item.p, q->item.n);
	if (q->want.kind == PAGE_VERSIONS)
		audit_item(&p->given, r->id, version, gate_verdict_names[verdict], version, strlen(version));
	else if (q->want.kind != PAGE_ROWS)
		audit_item(&p->given, r->id, version, gate_verdict_names[verdict], p->body.p + at, p->body.n - at);
	p->first = p->n ? p->first : r->row;
	p->last = r->row;
	p->n++;
}

/* False: the page is full. */
static bool offer(struct asking *q, const struct object_row *r, struct bytes text)
{
	struct page *p = &q->page;
	enum gate_verdict verdict = GATE_RELEASED;
	q->item.n = 0;
	if (!text.p && (q->want.kind == PAGE_OBJECTS || !release_sure(q->release, q->want.policy, r->handling)))
		return true; /* it went away meanwhile */
	if (text.p)
		verdict = release_one(q->release, q->want.policy, q->want.collection, r, text, &q->item);
	if (verdict == GATE_DENIED)
		return true;
	p->exists = true;
	if (p->n >= q->want.filter->limit || (p->n && p->body.n + q->item.n > q->want.bytes_max)) {
		p->more = true;
		return false;
	}
	give(q, r, verdict);
	return true;
}

/* ---- what they refer to ---- */

/* Objects that rows of this chunk refer to, their last versions, and whether those may go. */
struct refs {
	struct asking *q;
	char *id[REFS_MAX];
	size_t n;
	struct kept found;
};

static void refs_free(struct refs *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->id[i]);
	kept_clear(&f->found);
	free(f);
}

static void add_ref(void *arg, const char *id)
{
	struct refs *f = arg;
	const struct asking *q = f->q;
	if (f->n == REFS_MAX || strlen(id) > SHARED_ID_MAX ||
	    release_ref(q->release, q->want.policy, id) != RELEASE_REF_UNKNOWN)
		return;
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->id[i], id) == 0)
			return;
	f->id[f->n++] = xstrdup(id);
}

static void refs_over(struct refs *f, bool ok)
{
	struct asking *q = f->q;
	refs_free(f);
	if (ok && !*q->want.cut)
		step(q); /* the chunk is fetched again, and now all is known */
	else
		finish(q, false);
}

static void on_ref_texts(void *arg, bool ok, const struct bytes *v, size_t n)
{
	struct refs *f = arg;
	struct asking *q = f->q;
	for (size_t i = 0; ok && !*q->want.cut && i < n; i++) {
		const struct object_row *r = &f->found.v[i];
		release_ref_learn(q->release, q->want.policy, r->id,
				  release_may_go(q->release, q->want.policy, q->want.collection, r, v[i]));
	}
	refs_over(f, ok);
}

static void on_ref_handlings(void *arg, bool ok, const struct bytes *v, size_t n)
{
	struct refs *f = arg;
	int64_t rows[REFS_MAX];
	for (size_t i = 0; ok && !*f->q->want.cut && i < n; i++)
		if (!release_knows(f->q->release, f->found.v[i].handling))
			release_learn(f->q->release, f->found.v[i].handling, v[i]);
	if (!ok || *f->q->want.cut) {
		refs_over(f, false);
		return;
	}
	for (size_t i = 0; i < f->found.n; i++)
		rows[i] = f->found.v[i].row;
	objects_texts(f->q->objects, rows, f->found.n, (struct objects_texts_done){on_ref_texts, f});
}

/* The last version of each counts; what is not here may not be told of. */
static void on_refs_found(void *arg, bool ok, const struct object_row *v, size_t n, bool more)
{
	struct refs *f = arg;
	struct asking *q = f->q;
	static const struct filter last = {.last = true};
	int64_t numbers[REFS_MAX];
	(void)more;
	if (!ok || *q->want.cut) {
		refs_over(f, false);
		return;
	}
	keep_rows(&f->found, v, n, &last);
	size_t to = 0;
	for (size_t i = 0; i < f->found.n && to < REFS_MAX; i++)
		if (filter_chooses(&last, &f->found.v[i], v, n))
			f->found.v[to++] = f->found.v[i];
	f->found.n = to;
	for (size_t i = 0; i < f->n; i++)
		release_ref_learn(q->release, q->want.policy, f->id[i], false);
	for (size_t i = 0; i < to; i++)
		numbers[i] = f->found.v[i].handling;
	if (to)
		objects_handlings(q->objects, numbers, to, (struct objects_texts_done){on_ref_handlings, f});
	else
		refs_over(f, true);
}

/* True: they are looked up first. */
static bool ask_refs(struct asking *q, const struct bytes *v, size_t n)
{
	struct refs *f;
	union {
		char **in;
		const char *const *out;
	} ids;
	if (!q->want.policy || q->referred)
		return false;
	q->referred = true;
	f = xcalloc(1, sizeof(*f));
	f->q = q;
	for (size_t i = 0; i < n; i++) {
		if (!v[i].p || release_sure(q->release, q->want.policy, q->rows.v[q->at + i].handling))
			continue;
		struct json *stix = json_read(v[i].p, v[i].n, v[i].n, NULL);
		gate_each_ref(stix, add_ref, f);
		json_drop(stix);
	}
	if (!f->n) {
		refs_free(f);
		return false;
	}
	ids.in = f->id;
	objects_find(q->objects, q->want.collection, ids.out, f->n, (struct objects_rows_done){on_refs_found, f});
	return true;
}

/* ---- a chunk ---- */

static void on_texts(void *arg, bool ok, const struct bytes *v, size_t n)
{
	struct asking *q = arg;
	ok = ok && !*q->want.cut;
	if (ok && ask_refs(q, v, n))
		return;
	q->referred = false;
	for (size_t i = 0; i < n && ok; i++)
		if (!offer(q, &q->rows.v[q->at + i], v[i])) {
			finish(q, true);
			return;
		}
	q->at += n;
	if (ok)
		step(q);
	else
		finish(q, false);
}

/* Rows from q->at on whose texts go into one call. */
static size_t chunk(const struct asking *q)
{
	size_t n = 0, bytes = 0, left = q->rows.n - q->at, room = q->want.filter->limit + 1 - q->page.n;
	left = left < TEXT_ROWS ? left : TEXT_ROWS;
	left = left < room ? left : room;
	while (n < left && (!n || bytes + q->rows.v[q->at + n].bytes <= TEXT_BYTES))
		bytes += q->rows.v[q->at + n++].bytes;
	return n;
}

static void ask_texts(struct asking *q)
{
	int64_t rows[TEXT_ROWS];
	size_t n = chunk(q);
	bool sure = q->want.kind != PAGE_OBJECTS;
	for (size_t i = 0; i < n; i++) {
		rows[i] = q->rows.v[q->at + i].row;
		sure = sure && release_sure(q->release, q->want.policy, q->rows.v[q->at + i].handling);
	}
	if (sure) {
		struct bytes none[TEXT_ROWS] = {{0}};
		on_texts(q, true, none, n);
		return;
	}
	objects_texts(q->objects, rows, n, (struct objects_texts_done){on_texts, q});
}

/* ---- how they are to be handled ---- */

struct numbers {
	struct asking *q;
	int64_t v[OBJECTS_ROWS_MAX];
	size_t n;
};

static void on_handlings(void *arg, bool ok, const struct bytes *v, size_t n)
{
	struct numbers *w = arg;
	struct asking *q = w->q;
	ok = ok && !*q->want.cut;
	for (size_t i = 0; i < n && ok; i++)
		release_learn(q->release, w->v[i], v[i]);
	free(w);
	if (ok)
		step(q);
	else
		finish(q, false);
}

/* True: asked for. */
static bool ask_handlings(struct asking *q)
{
	struct numbers *w = NULL;
	for (size_t i = q->at; (q->want.policy || q->want.from) && i < q->rows.n; i++) {
		int64_t number = q->rows.v[i].handling;
		bool there = release_knows(q->release, number);
		for (size_t k = 0; w && k < w->n && !there; k++)
			there = w->v[k] == number;
		if (there)
			continue;
		if (!w) {
			w = xcalloc(1, sizeof(*w));
			w->q = q;
		}
		w->v[w->n++] = number;
		if (w->n == OBJECTS_ROWS_MAX)
			break;
	}
	if (w)
		objects_handlings(q->objects, w->v, w->n, (struct objects_texts_done){on_handlings, w});
	return w;
}

/* What does not go is taken out before anything else is asked for it. */
static void drop_hidden(struct asking *q)
{
	size_t n = q->at;
	const char *from = q->want.from;
	for (size_t i = q->at; i < q->rows.n; i++) {
		int64_t handling = q->rows.v[i].handling;
		if (!release_hides(q->release, q->want.policy, handling) &&
		    (!from || release_from(q->release, handling, from)))
			q->rows.v[n++] = q->rows.v[i];
	}
	q->rows.n = n;
}

/* ---- other versions than the last ---- */

static void on_versions(void *arg, bool ok, const struct object_row *v, size_t n, bool more)
{
	struct asking *q = arg;
	(void)more;
	ok = ok && !*q->want.cut;
	size_t to = q->chosen, i = q->chosen, end = q->fetched;
	for (; i < end && ok; i++)
		if (filter_chooses(q->want.filter, &q->rows.v[i], v, n))
			q->rows.v[to++] = q->rows.v[i];
	if (!ok) {
		finish(q, false);
		return;
	}
	memmove(&q->rows.v[to], &q->rows.v[end], (q->rows.n - end) * sizeof(*q->rows.v));
	q->rows.n -= end - to;
	q->chosen = to;
	step(q);
}

static void ask_versions(struct asking *q)
{
	const char *ids[FIND_IDS];
	size_t n = 0, i = q->chosen;
	for (; i < q->rows.n && n < FIND_IDS; i++) {
		bool there = false;
		for (size_t k = 0; k < n && !there; k++)
			there = strcmp(ids[k], q->rows.v[i].id) == 0;
		if (!there)
			ids[n++] = q->rows.v[i].id;
	}
	q->fetched = i;
	objects_find(q->objects, q->want.collection, ids, n, (struct objects_rows_done){on_versions, q});
}

/* ---- rows ---- */

static void take_rows(struct asking *q, const struct object_row *v, size_t n)
{
	kept_clear(&q->rows);
	keep_rows(&q->rows, v, n, q->want.filter);
	q->at = q->chosen = 0;
	if (filter_only_last(q->want.filter) && !q->want.filter->ids.n)
		q->chosen = q->rows.n;
}

static void on_scan(void *arg, bool ok, const struct object_row *v, size_t n, bool more)
{
	struct asking *q = arg;
	if (!ok || *q->want.cut) {
		finish(q, false);
		return;
	}
	q->end = !more;
	q->after = n ? v[n - 1].row : q->after;
	take_rows(q, v, n);
	step(q);
}

/* All versions of what was named are here: who chooses needs no further call. */
static void on_find(void *arg, bool ok, const struct object_row *v, size_t n, bool more)
{
	struct asking *q = arg;
	(void)more;
	if (!ok || *q->want.cut) {
		finish(q, false);
		return;
	}
	struct filter any = *q->want.filter;
	any.after = 0;
	kept_clear(&q->rows);
	keep_rows(&q->rows, v, n, &any);
	q->at = q->chosen = 0;
	q->end = true;
	step(q);
}

/* Of what was named: some version may be seen, whether or not it is asked for. */
static void choose_found(struct asking *q)
{
	size_t n = 0;
	struct object_row *v = q->rows.v;
	struct object_row *all = xcalloc(q->rows.n ? q->rows.n : 1, sizeof(*all));
	memcpy(all, v, q->rows.n * sizeof(*all));
	for (size_t i = 0; i < q->rows.n; i++)
		if (filter_chooses(q->want.filter, &all[i], all, q->rows.n) && filter_takes(q->want.filter, &all[i]))
			v[n++] = all[i];
		else if (release_sure(q->release, q->want.policy, all[i].handling))
			q->page.exists = true;
	q->rows.n = q->chosen = n;
	free(all);
}

static void ask_rows(struct asking *q)
{
	const struct filter *f = q->want.filter;
	if (f->ids.n) {
		union {
			char **in;
			const char *const *out;
		} ids = {f->ids.v};
		objects_find(q->objects, q->want.collection, ids.out, f->ids.n, (struct objects_rows_done){on_find, q});
		return;
	}
	size_t n = q->started ? SCAN_STEP : f->limit + 1 > SCAN_FIRST ? f->limit + 1 : SCAN_FIRST;
	objects_scan(q->objects, q->want.collection, q->after, n < SCAN_STEP ? n : SCAN_STEP, !filter_only_last(f),
		     (struct objects_rows_done){on_scan, q});
}

/* What is next. Each step ends in a call of the store, which comes back here. */
static void step(struct asking *q)
{
	if (q->at == q->rows.n && (q->end || !q->started)) {
		if (q->end) {
			finish(q, true);
			return;
		}
		ask_rows(q);
		q->started = true;
		return;
	}
	if (q->at == q->rows.n) {
		ask_rows(q);
		return;
	}
	if (ask_handlings(q))
		return;
	drop_hidden(q);
	if (q->chosen > q->rows.n)
		q->chosen = q->rows.n;
	if (q->want.filter->ids.n && q->chosen < q->rows.n)
		choose_found(q);
	if (q->chosen < q->rows.n)
		ask_versions(q);
	else if (q->at < q->rows.n)
		ask_texts(q);
	else
		step(q);
}

void page_ask(struct objects *o, struct release *r, const struct page_want *want, struct page_done done)
{
	struct asking *q = xcalloc(1, sizeof(*q));
	*q = (struct asking){.objects = o, .release = r, .want = *want, .done = done, .after = want->filter->after};
	if (want->kind == PAGE_VERSIONS)
		q->versions = xcalloc(want->filter->limit + 1, sizeof(*q->versions));
	if (want->kind == PAGE_ROWS)
		q->page.rows = xcalloc(want->filter->limit + 1, sizeof(*q->page.rows));
	step(q);
}
