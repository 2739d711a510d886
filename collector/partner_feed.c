#include "collector/partner_feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/partner_load.h"
#include "common/clock.h"

#define REFS_MAX 512 /* of one batch; more are taken as not allowed */

struct ref {
	char id[SHARED_ID_MAX + 1];
	bool may;
};

/* One batch on its way. */
struct job {
	struct feed *feed; /* NULL: nobody waits any more */
	enum lane lane;
	int64_t after, horizon; /* rows behind the horizon wait for the next batch */
	struct feed_done done;
	size_t waiting; /* calls without their answer */
	bool failed;
	struct loaded *rows, *ref_rows;
	size_t n, cap, ref_rows_n;
	struct ref *refs;
	size_t refs_n;
	struct feed_batch batch;
	struct buf items;
	struct feed_why_done why; /* of feed_why() */
};

struct feed {
	struct objects *objects;
	struct audit *audit;
	const struct policies *all;
	const struct policy *to;
	const char *way;
	struct job *jobs[LANE_COUNT];
};

void feed_collection_of(const char *partner, enum lane lane, char out[static OBJECTS_COLLECTION_MAX + 1])
{
	static const char *const ends[LANE_COUNT] = {[LANE_BULK] = "", [LANE_FLASH] = ".flash"};
	char alias[GATE_ALIAS_LEN];
	int n = snprintf(out, OBJECTS_COLLECTION_MAX + 1, "%s%s%s", partner ? "partner-" : "own",
			 partner ? partner : "", ends[lane]);
	if (n <= OBJECTS_COLLECTION_MAX)
		return;
	/* Cut, a name could be another partner's: a digest takes its place. */
	gate_alias("", partner, alias);
	snprintf(out, OBJECTS_COLLECTION_MAX + 1, "partner-%.24s-%s%s", partner, alias + 1, ends[lane]);
}

struct feed *feed_new(struct objects *o, struct audit *a, const struct policies *all, const struct policy *to,
		      const char *way)
{
	struct feed *f = xcalloc(1, sizeof(*f));
	*f = (struct feed){.objects = o, .audit = a, .all = all, .to = to, .way = way};
	return f;
}

void feed_free(struct feed *f)
{
	for (int i = 0; f && i < LANE_COUNT; i++)
		if (f->jobs[i])
			f->jobs[i]->feed = NULL;
	free(f);
}

static void job_free(struct job *j)
{
	buf_free(&j->batch.records);
	buf_free(&j->items);
	free(j->rows);
	free(j->ref_rows);
	free(j->refs);
	free(j);
}

static void job_over(struct job *j, bool ok)
{
	if (j->feed) {
		j->feed->jobs[j->lane] = NULL;
		if (j->why.call)
			j->why.call(j->why.arg, ok, NULL, GATE_DENIED, NULL, NULL);
		else
			j->done.call(j->done.arg, ok, &j->batch);
	}
	job_free(j);
}

/* ---- which rows ---- */

static int row_order(const void *a, const void *b)
{
	const struct loaded *x = a, *y = b;
	return x->row < y->row ? -1 : x->row > y->row;
}

static void add_row(struct job *j, const struct object_row *r)
{
	if (j->n == j->cap) {
		j->cap = j->cap ? 2 * j->cap : FEED_BATCH_ROWS;
		j->rows = xrealloc(j->rows, j->cap * sizeof(*j->rows));
	}
	j->rows[j->n++] = (struct loaded){.row = r->row, .handling = r->handling};
}

static void judge_rows(struct job *j);

/* Each collection gives its next rows; what lies behind the end of one that has
 * more cannot be put in order yet. */
static void on_scan(void *arg, bool ok, const struct object_row *v, size_t n, bool more)
{
	struct job *j = arg;
	j->failed |= !ok;
	for (size_t i = 0; ok && i < n; i++)
		add_row(j, &v[i]);
	if (more && n && v[n - 1].row < j->horizon)
		j->horizon = v[n - 1].row;
	j->batch.more |= more;
	if (--j->waiting)
		return;
	if (j->failed || !j->feed) {
		job_over(j, false);
		return;
	}
	if (j->n)
		qsort(j->rows, j->n, sizeof(*j->rows), row_order);
	while (j->n && (j->n > FEED_BATCH_ROWS || j->rows[j->n - 1].row > j->horizon)) {
		j->n--;
		j->batch.more = true;
	}
	judge_rows(j);
}

static bool wanted(void *arg, const struct loaded *l, const struct handling *h)
{
	const struct job *j = arg;
	(void)l;
	return j->why.call || handling_state(h) == SHARED_ACTIVE;
}

static void on_loaded(void *arg, bool ok, struct loaded *v, size_t n);

static void judge_rows(struct job *j)
{
	j->batch.looked_to = j->n ? j->rows[j->n - 1].row : j->after;
	load_rows(j->feed->objects, j->rows, j->n, (struct load){wanted, on_loaded, j});
}

/* ---- the gate ---- */

static struct ref *ref_find(const struct job *j, const char *id)
{
	for (size_t i = 0; i < j->refs_n; i++)
		if (strcmp(j->refs[i].id, id) == 0)
			return &j->refs[i];
	return NULL;
}

static bool may_refer(void *arg, const char *id)
{
	const struct ref *r = ref_find(arg, id);
	return r && r->may;
}

static void judge_one(struct job *j, const struct loaded *l)
{
	struct gate_refs refs = {may_refer, j};
	struct gate_reason why;
	struct json *out;
	marking_learn(j->feed->all->book, l->box->is.stix, l->box->is.from);
	enum gate_verdict v = gate_release_refs(j->feed->to, &l->box->is, clock_wall_us(), &refs, &out, &why);
	if (j->why.call) {
		j->why.call(j->why.arg, true, &l->box->is, v, &why, out);
		json_drop(out);
		return;
	}
	j->batch.judged++;
	j->batch.denied[why.why] += v == GATE_DENIED;
	j->batch.cut += v == GATE_REDACTED;
	if (!out)
		return;
	size_t at = j->batch.records.n;
	buf_u32(&j->batch.records, 0);
	json_write(out, &j->batch.records);
	size_t n = j->batch.records.n - at - 4;
	for (int i = 0; i < 4; i++)
		j->batch.records.p[at + (size_t)i] = (uint8_t)(n >> (8 * (3 - i)));
	audit_item(&j->items, shared_id(out), shared_version(out), gate_verdict_names[v], j->batch.records.p + at + 4,
		   n);
	j->batch.place[j->batch.n++] = l->row;
	json_drop(out);
}

/* A full batch ends early; the rest of its rows comes with the next one. */
static void judge_all(struct job *j, const struct loaded *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (j->batch.records.n >= FEED_BATCH_BYTES) {
			j->batch.looked_to = v[i - 1].row;
			j->batch.more = true;
			return;
		}
		if (v[i].box)
			judge_one(j, &v[i]);
	}
}

/* ---- what they may refer to ---- */

static void add_ref(void *arg, const char *id)
{
	struct job *j = arg;
	if (j->refs_n == REFS_MAX || strlen(id) > SHARED_ID_MAX || ref_find(j, id))
		return;
	if (!j->refs)
		j->refs = xcalloc(REFS_MAX, sizeof(*j->refs));
	snprintf(j->refs[j->refs_n++].id, sizeof(j->refs->id), "%s", id);
}

static void on_refs_loaded(void *arg, bool ok, struct loaded *v, size_t n);

static void on_audited(void *arg, bool ok)
{
	job_over(arg, ok);
}

static void finish(struct job *j)
{
	if (!j->batch.n || !j->feed->audit)
		job_over(j, true);
	else
		audit_record(j->feed->audit, j->feed->to->id, j->feed->way, &j->items,
			     (struct audit_done){on_audited, j});
}

/* Whether no later version of its object is among the rows found. Times of one
 * format sort as texts do. */
static bool newest(const struct object_row *v, size_t n, size_t i)
{
	for (size_t k = 0; k < n; k++)
		if (k != i && strcmp(v[k].id, v[i].id) == 0 && strcmp(v[k].version, v[i].version) > 0)
			return false;
	return true;
}

/* What they gave us they may be told of; for the rest the gate is asked. */
struct finding {
	struct job *j;
	bool theirs;
};

static void on_found(void *arg, bool ok, const struct object_row *v, size_t n, bool more)
{
	struct finding *f = arg;
	struct job *j = f->j;
	(void)more;
	j->failed |= !ok;
	for (size_t i = 0; ok && i < n; i++) {
		struct ref *r = ref_find(j, v[i].id);
		if (r && f->theirs)
			r->may = true;
		else if (r && j->ref_rows_n < REFS_MAX && newest(v, n, i))
			j->ref_rows[j->ref_rows_n++] = (struct loaded){
			    .row = v[i].row, .handling = v[i].handling, .tag = (size_t)(r - j->refs)};
	}
	free(f);
	if (--j->waiting)
		return;
	if (j->failed || !j->feed)
		job_over(j, false);
	else
		load_rows(j->feed->objects, j->ref_rows, j->ref_rows_n, (struct load){NULL, on_refs_loaded, j});
}

static void on_judging(void *arg, bool ok, struct loaded *v, size_t n)
{
	struct job *j = arg;
	if (!ok || !j->feed) {
		job_over(j, false);
		return;
	}
	judge_all(j, v, n);
	finish(j);
}

/* The rows are read again behind the answers: to keep them over two calls would
 * cost more than it saves, because most batches have no references. */
static void on_refs_loaded(void *arg, bool ok, struct loaded *v, size_t n)
{
	struct job *j = arg;
	for (size_t i = 0; ok && j->feed && i < n; i++) {
		struct json *out = NULL;
		if (v[i].box && gate_release(j->feed->to, &v[i].box->is, clock_wall_us(), &out, NULL) != GATE_DENIED)
			j->refs[v[i].tag].may = true;
		json_drop(out);
	}
	if (ok && j->feed)
		load_rows(j->feed->objects, j->rows, j->n, (struct load){wanted, on_judging, j});
	else
		job_over(j, false);
}

static void find_in(struct job *j, const char *collection, bool theirs)
{
	const char *ids[REFS_MAX];
	struct finding *f = xcalloc(1, sizeof(*f));
	*f = (struct finding){j, theirs};
	for (size_t i = 0; i < j->refs_n; i++)
		ids[i] = j->refs[i].id;
	objects_find(j->feed->objects, collection, ids, j->refs_n, (struct objects_rows_done){on_found, f});
}

static void find_refs(struct job *j)
{
	char name[OBJECTS_COLLECTION_MAX + 1];
	const struct policies *all = j->feed->all;
	j->ref_rows = xcalloc(REFS_MAX, sizeof(*j->ref_rows));
	j->waiting = LANE_COUNT * (all->n + 1); /* a call may be answered before it returns */
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		feed_collection_of(NULL, (enum lane)lane, name);
		find_in(j, name, false);
		for (size_t i = 0, n = all->n; i < n; i++) {
			bool theirs = &all->list[i] == j->feed->to;
			feed_collection_of(all->list[i].id, (enum lane)lane, name);
			find_in(j, name, theirs);
		}
	}
}

static void on_loaded(void *arg, bool ok, struct loaded *v, size_t n)
{
	struct job *j = arg;
	if (!ok || !j->feed) {
		job_over(j, false);
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (v[i].box)
			gate_each_ref(v[i].box->stix, add_ref, j);
	if (j->refs_n) {
		find_refs(j);
		return;
	}
	judge_all(j, v, n);
	finish(j);
}

void feed_next(struct feed *f, enum lane lane, int64_t after, struct feed_done done)
{
	char name[OBJECTS_COLLECTION_MAX + 1];
	struct job *j = xcalloc(1, sizeof(*j));
	struct objects_rows_done scanned = {on_scan, j};
	const struct policies *all = f->all;
	const struct policy *to = f->to;
	struct objects *o = f->objects;
	*j = (struct job){.feed = f, .lane = lane, .after = after, .horizon = INT64_MAX, .done = done};
	f->jobs[lane] = j;
	j->waiting = 1;
	for (size_t i = 0; i < all->n; i++)
		j->waiting += &all->list[i] != to;
	feed_collection_of(NULL, lane, name);
	objects_scan(o, name, after, FEED_BATCH_ROWS, false, scanned); /* an answer may come before it returns */
	for (size_t i = 0; i < all->n; i++) {
		if (&all->list[i] == to)
			continue;
		feed_collection_of(all->list[i].id, lane, name);
		objects_scan(o, name, after, FEED_BATCH_ROWS, false, scanned);
	}
}

/* ---- a look ahead ---- */

static void on_why_found(void *arg, bool ok, const struct object_row *v, size_t n, bool more)
{
	struct job *j = arg;
	(void)more;
	j->failed |= !ok;
	for (size_t i = 0; ok && i < n; i++)
		if (j->n < FEED_BATCH_ROWS && newest(v, n, i))
			add_row(j, &v[i]);
	if (--j->waiting)
		return;
	if (j->failed || !j->feed)
		job_over(j, false);
	else
		judge_rows(j);
}

void feed_why(struct feed *f, const char *id, struct feed_why_done done)
{
	char name[OBJECTS_COLLECTION_MAX + 1];
	struct job *j = xcalloc(1, sizeof(*j));
	struct objects *o = f->objects;
	const struct policies *all = f->all;
	struct objects_rows_done found = {on_why_found, j};
	*j = (struct job){.feed = f, .horizon = INT64_MAX, .why = done, .waiting = LANE_COUNT * (all->n + 1)};
	f->jobs[LANE_BULK] = j;
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		feed_collection_of(NULL, (enum lane)lane, name);
		objects_find(o, name, &id, 1, found);
		for (size_t i = 0; i < all->n; i++) {
			feed_collection_of(all->list[i].id, (enum lane)lane, name);
			objects_find(o, name, &id, 1, found);
		}
	}
}
