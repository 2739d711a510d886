/* Partitions. A group belongs to the lane that its key chooses (collector/marks.h),
 * a lane to a partition, a partition's keys to one slot of a cluster. One Redis is
 * one partition with all lanes; a cluster has PARTITIONS_CLUSTER. The callers do
 * not know.
 *
 * A flush becomes calls of the flush script, each for some whole lanes of one
 * partition and for at most FLUSH_CALL_DELTAS groups. Each call is atomic: it
 * compares the partition's marks with what the call before it leaves, changes the
 * groups of its lanes, and raises these lanes' marks to the flush's end; the last
 * one raises the rest, so idle lanes keep up. Why no count can be lost or doubled
 * however the chain breaks: after any prefix of it, a lane whose mark was raised
 * has all its records up to the end, one whose mark was not has none beyond the
 * old mark. Whoever comes next starts at the lowest mark and skips, lane by lane,
 * what the marks say is there (fold_add()); a record's lane depends on its group
 * alone, so he deals the records as we did, however he cuts his flushes. A call
 * that was sent twice, late, or by somebody who was thought dead meets other
 * marks and changes nothing. Marks only grow, but when Redis goes back in time,
 * and then the groups go back with them.
 *
 * While Redis runs a script nobody else is served. A call tells how long it took,
 * and the next ones are cut to CALL_US; with durability: disk, where each call
 * waits for the disk once, to CALL_DISK_US.
 *
 * Alerts of an exercise come with the real ones, on the same marks, and are written
 * under keys of their own (STORE_EXERCISE): nothing that counts or lists real alerts
 * ever reads them. Their groups have lanes of their own, and a call is for one kind.
 *
 * In a cluster a call may be refused because its slot has moved or is moving:
 * collector/store_queue.h. What was sent behind it could only meet other marks, and
 * is sent again with it. */
#define _GNU_SOURCE /* memmem() */
#include "collector/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/store_flush.h"
#include "collector/store_queue.h"
#include "common/clock.h"
#include "common/frame.h"
#include "common/log.h"
#include "common/text.h"

#define CALL_US           2500
#define CALL_DISK_US      5000
#define CALL_DELTAS_FIRST 125
#define CALL_WEIGHT       0.05 /* of one call in what the cut goes by */
#define CALL_MEASURED_MIN 16   /* groups of a call that is judged: small ones have other costs */
#define SWEEP_EVERY_US    10000000
#define SWEEP_BATCH       250
#define POSTURE_KEEP_S    2592000 /* a sensor that is silent for 30 days is forgotten */
#define POSTURE_SENSORS   10000

const char *const durability_names[DURABILITY_COUNT + 1] = {"memory", "replica", "disk", NULL};
const char *const store_mode_names[STORE_MODE_COUNT + 1] = {"standalone", "sentinel", "cluster", NULL};

/* Keys of one kind in a partition, and how far their retention sweep is. */
struct realm {
	char prefix[40];
	int64_t sweep_us;
	uint64_t sweep_offset;
};

struct partition {
	unsigned index;
	struct realm real, exercise;
	struct queue queue;
};

struct store {
	struct store_conf conf;
	struct nodes nodes;
	struct partition part[PARTITIONS_CLUSTER];
	unsigned parts;
	struct store_stats stats;
	struct log_once say_conflict, say_replicas, say_marks;
	struct flush_args args;
	size_t call_deltas;
	double us_per_delta;
};

/* What a caller waits for: one answer for all its calls. */
struct job {
	struct store *store;
	size_t left;
	enum store_result result; /* the worst */
	struct store_done done;
	struct store_marks_done marks_done; /* call != NULL: asks for the marks */
	struct marks marks;
	uint64_t mark;
};

struct call {
	struct job *job;
	struct partition *part;
	uint64_t low;  /* of a flush: the mark it leaves */
	size_t deltas; /* … and its groups */
};

/* ---- opening ---- */

struct store *store_new(const struct store_conf *c)
{
	struct store *s = xcalloc(1, sizeof(*s));
	s->conf = *c;
	s->call_deltas = CALL_DELTAS_FIRST;
	nodes_open(&s->nodes, &s->conf);
	s->parts = c->mode == STORE_CLUSTER ? PARTITIONS_CLUSTER : 1;
	for (unsigned i = 0; i < s->parts; i++) {
		struct partition *p = &s->part[i];
		p->index = i;
		snprintf(p->real.prefix, sizeof(p->real.prefix), "picket:{p%u}:", i);
		snprintf(p->exercise.prefix, sizeof(p->exercise.prefix), "picket:{p%u}:" STORE_EXERCISE, i);
		p->queue = (struct queue){.nodes = &s->nodes,
					  .slot = cluster_slot(p->real.prefix, strlen(p->real.prefix))};
	}
	return s;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	nodes_close(&s->nodes);
	for (unsigned i = 0; i < s->parts; i++)
		queue_fail(&s->part[i].queue);
	flush_args_free(&s->args);
	free(s);
}

void store_configure(struct store *s, const struct store_conf *c)
{
	struct store_conf was = s->conf;
	s->conf = *c;
	s->conf.redis = was.redis;
	s->conf.mode = was.mode;
	s->conf.nodes = was.nodes;
	s->conf.nodes_n = was.nodes_n;
	s->conf.master = was.master;
	s->conf.durability = was.durability;
}

/* ---- its state ---- */

/* The node with the most to say: the first that is not ready. */
static const struct node *worst(const struct store *s)
{
	for (unsigned i = 1; i < s->parts; i++) {
		const struct node *n = nodes_for(&s->nodes, s->part[i].queue.slot);
		if (n->state != STORE_READY)
			return n;
	}
	return nodes_for(&s->nodes, s->part[0].queue.slot);
}

static bool has_map(const struct store *s)
{
	return !nodes_clustered(&s->nodes) || cluster_owner(&s->nodes.cluster, s->part[0].queue.slot);
}

enum store_state store_state(const struct store *s)
{
	const struct node *n = worst(s);
	return n->state == STORE_READY && !has_map(s) ? STORE_CHECKING : n->state;
}

int store_fd(const struct store *s)
{
	return s->nodes.epoll;
}

const char *store_trouble(const struct store *s, bool *unfit)
{
	const struct node *n = worst(s);
	*unfit = n->unfit;
	return store_state(s) == STORE_READY ? "" : n->trouble;
}

const struct store_stats *store_stats(const struct store *s)
{
	return &s->stats;
}

size_t store_call_deltas(const struct store *s)
{
	return s->call_deltas;
}

/* ---- calls ---- */

static void job_part_done(struct job *j, enum store_result result)
{
	j->result = result > j->result ? result : j->result;
	if (--j->left)
		return;
	j->store->stats.failed += j->result == STORE_FAILED;
	j->store->stats.behind += j->result == STORE_BEHIND;
	if (j->marks_done.call)
		j->marks_done.call(j->marks_done.arg, j->result, j->result == STORE_OK ? &j->marks : NULL);
	else
		j->done.call(j->done.arg, j->result, j->mark);
	free(j);
}

static void call_end(struct call *c, enum store_result result)
{
	struct job *j = c->job;
	free(c);
	job_part_done(j, result);
}

static bool call_reply(void *arg, struct node *node, const struct reply *r, bool behind);

static void call_add(struct job *j, struct partition *p, size_t argc, const char **argv, const size_t *len,
		     uint64_t low, size_t deltas)
{
	struct call *c = xcalloc(1, sizeof(*c));
	*c = (struct call){.job = j, .part = p, .low = low, .deltas = deltas};
	j->left++;
	if (!queue_add(&p->queue, argc, argv, len, (struct queue_done){call_reply, c}))
		call_end(c, STORE_FAILED);
}

bool store_redirected(struct bytes error)
{
	static const char *const words[] = {"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"};
	static const char away[] = "non local key";
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (error.n > strlen(words[i]) && memcmp(error.p, words[i], strlen(words[i])) == 0)
			return true;
	return error.n && memmem(error.p, error.n, away, strlen(away));
}

static void wait_done(void *arg, const struct reply *r)
{
	struct job *j = arg;
	struct store *s = j->store;
	int64_t have = 0;
	unsigned long skipped;
	bool enough = reply_number(r, &have) && have >= s->conf.replicas;
	if (!enough && log_again(&s->say_replicas, &skipped))
		log_warnx("only %" PRId64 " of %" PRId64
			  " Redis replicas have the alerts; sensors keep them until they do",
			  have, s->conf.replicas);
	job_part_done(j, enough ? STORE_OK : STORE_FAILED);
}

static void ask_replicas(struct job *j, struct node *n)
{
	char replicas[24], wait_ms[24];
	snprintf(replicas, sizeof(replicas), "%" PRId64, j->store->conf.replicas);
	snprintf(wait_ms, sizeof(wait_ms), "%" PRId64, j->store->conf.timeout_ms / 2);
	j->left++;
	if (!n->redis ||
	    !node_send(n, 3, (const char *[]){"WAIT", replicas, wait_ms}, (struct redis_done){wait_done, j}))
		job_part_done(j, STORE_FAILED);
}

enum store_result store_flush_result(const struct reply *r, uint64_t hi, struct store_stats *stats, uint64_t *mark,
				     char conflict[static 128])
{
	int64_t ok, at, transitions = 0, conflicts = 0;
	struct bytes key;
	conflict[0] = 0;
	if (!reply_number(reply_at(r, 0), &ok) || !reply_number(reply_at(r, 1), &at) || at < 0)
		return STORE_FAILED;
	*mark = (uint64_t)at;
	if (ok != 1)
		return STORE_BEHIND;
	if (*mark != hi || !reply_number(reply_at(r, 2), &transitions) || !reply_number(reply_at(r, 3), &conflicts) ||
	    transitions < 0 || conflicts < 0)
		return STORE_FAILED;
	stats->transitions += (uint64_t)transitions;
	stats->conflicts += (uint64_t)conflicts;
	if (conflicts && reply_text(reply_at(r, 4), &key))
		text_clean(conflict, 128, key.p, key.n);
	return STORE_OK;
}

size_t store_call_cut(double *us_per_delta, size_t deltas, int64_t took_us, int64_t target_us)
{
	double now = (double)took_us / (double)deltas;
	*us_per_delta += *us_per_delta > 0 ? CALL_WEIGHT * (now - *us_per_delta) : now;
	double cut = (double)target_us / *us_per_delta;
	return cut < CALL_DELTAS_MIN ? CALL_DELTAS_MIN : cut > FLUSH_CALL_DELTAS ? FLUSH_CALL_DELTAS : (size_t)cut;
}

static void take_time(struct store *s, const struct call *c, const struct reply *r)
{
	int64_t took_us, target = s->conf.durability == DURABILITY_DISK ? CALL_DISK_US : CALL_US;
	if (!reply_number(reply_at(r, 5), &took_us) || took_us <= 0)
		return;
	s->stats.script_us += (uint64_t)took_us;
	if (c->deltas >= CALL_MEASURED_MIN)
		s->call_deltas = store_call_cut(&s->us_per_delta, c->deltas, took_us, target);
}

static enum store_result take_flush(struct store *s, const struct call *c, struct node *node, const struct reply *r)
{
	char conflict[128];
	unsigned long skipped;
	uint64_t mark = 0;
	enum store_result result = store_flush_result(r, c->low, &s->stats, &mark, conflict);
	if (!c->job->mark || mark < c->job->mark)
		c->job->mark = mark;
	if (*conflict && log_again(&s->say_conflict, &skipped))
		log_warnx("Redis key %s has a wrong type: its alerts went into the stream as a loss; remove the key",
			  conflict);
	if (result == STORE_OK)
		take_time(s, c, r);
	if (result == STORE_OK && s->conf.durability == DURABILITY_REPLICA)
		ask_replicas(c->job, node);
	return result;
}

static unsigned lanes_of(const struct store *s)
{
	return LANES / s->parts;
}

/* [mark or nil, uneven marks or nil]. The marks are an acknowledgement, too: what they say
 * must be on the replicas. WAIT is for all that Redis had written by then, whoever wrote it. */
static enum store_result take_marks(struct store *s, const struct call *c, struct node *node, const struct reply *r)
{
	unsigned first = c->part->index * lanes_of(s);
	struct bytes text = {(const uint8_t *)"0", 1};
	unsigned long skipped;
	if (reply_count(r) != 2)
		return STORE_FAILED;
	if (!reply_text(reply_at(r, 1), &text))
		reply_text(reply_at(r, 0), &text);
	if (marks_read(text, &c->job->marks, first, lanes_of(s))) {
		if (s->conf.durability == DURABILITY_REPLICA)
			ask_replicas(c->job, node);
		return STORE_OK;
	}
	if (log_again(&s->say_marks, &skipped))
		log_warnx(
		    "the marks of a sensor in Redis key %shwm cannot be read: another version of Picket was broken "
		    "off while it wrote; run that once more until its sensors are through",
		    c->part->real.prefix);
	return STORE_FAILED;
}

static void call_error(const struct call *c, struct node *node, struct bytes text)
{
	node_refused(node, text);
	if (text.n > 9 && memcmp(text.p, "WRONGTYPE", 9) == 0) {
		node_check_types(node, c->part->real.prefix);
		node_check_types(node, c->part->exercise.prefix);
	}
}

static bool call_reply(void *arg, struct node *node, const struct reply *r, bool behind)
{
	struct call *c = arg;
	struct store *s = c->job->store;
	struct bytes text;
	bool error = reply_error(r, &text);
	if (error)
		call_error(c, node, text);
	enum store_result result = !r || error               ? STORE_FAILED
				   : c->job->marks_done.call ? take_marks(s, c, node, r)
							     : take_flush(s, c, node, r);
	if (result == STORE_BEHIND && behind)
		return true;
	call_end(c, result);
	return false;
}

/* ---- marks and flushes ---- */

static struct job *job_new(struct store *s)
{
	struct job *j = xcalloc(1, sizeof(*j));
	*j = (struct job){.store = s, .left = 1}; /* one for the time it is made */
	return j;
}

void store_marks(struct store *s, const char *sensor, uint64_t epoch, struct store_marks_done done)
{
	char field[FRAME_ID_MAX + 24], part[FRAME_ID_MAX + 32], key[48];
	struct job *j = job_new(s);
	j->marks_done = done;
	snprintf(field, sizeof(field), "%s:%" PRIu64, sensor, epoch);
	snprintf(part, sizeof(part), "%s:part", field);
	for (unsigned i = 0; i < s->parts; i++) {
		snprintf(key, sizeof(key), "%shwm", s->part[i].real.prefix);
		const char *argv[] = {"HMGET", key, field, part};
		size_t len[] = {5, strlen(key), strlen(field), strlen(part)};
		call_add(j, &s->part[i], 4, argv, len, 0, 0);
	}
	job_part_done(j, STORE_OK);
}

/* The deltas by lane, in their order; start[lane] .. start[lane + 1]. */
struct by_lane {
	uint16_t start[LANES + 1], delta[FOLD_DELTAS_MAX];
};

static void sort_by_lane(const struct fold *f, struct by_lane *b)
{
	uint16_t at[LANES];
	b->start[0] = 0;
	for (unsigned i = 0; i < LANES; i++)
		b->start[i + 1] = (uint16_t)(b->start[i] + f->lane_n[i]);
	memcpy(at, b->start, sizeof(at));
	for (size_t i = 0; i < f->n; i++)
		b->delta[at[f->delta[i].lane]++] = (uint16_t)i;
}

static void call_flush(struct job *j, struct partition *p, const struct flush_head *h, const struct store_flush *f,
		       const struct by_lane *b, unsigned from, unsigned to)
{
	struct flush_args *a = &j->store->args;
	flush_args_begin(a, h);
	for (unsigned i = b->start[from]; i < b->start[to]; i++)
		flush_args_delta(a, f->fold, &f->fold->delta[b->delta[i]]);
	call_add(j, p, a->argc, a->argv, a->len, flush_low(h), b->start[to] - b->start[from]);
}

static bool lane_empty(const struct by_lane *b, unsigned lane)
{
	return b->start[lane + 1] == b->start[lane];
}

/* The lanes from..: as many as fit into a call, with groups of one kind. */
static unsigned lanes_that_fit(const struct by_lane *b, unsigned from, unsigned end, size_t deltas, bool *exercise)
{
	unsigned to = from;
	while (to < end && lane_empty(b, to))
		to++;
	*exercise = to < end && lane_is_exercise(to);
	for (to += to < end; to < end; to++)
		if (!lane_empty(b, to) &&
		    (lane_is_exercise(to) != *exercise || (size_t)(b->start[to + 1] - b->start[from]) > deltas))
			break;
	return to;
}

static void flush_partition(struct job *j, struct partition *p, const struct store_flush *f, const struct by_lane *b,
			    struct marks *now)
{
	struct store *s = j->store;
	unsigned first = p->index * lanes_of(s), end = first + lanes_of(s);
	struct marks next = *now;
	struct flush_head h = {.conf = &s->conf,
			       .sha = s->nodes.one.sha[SCRIPT_FLUSH],
			       .marks_prefix = p->real.prefix,
			       .sensor = f->sensor,
			       .epoch = f->epoch,
			       .first_lane = first,
			       .lanes = end - first,
			       .prev = now,
			       .next = &next};
	for (unsigned from = first, to; from < end; from = to) {
		bool exercise;
		to = lanes_that_fit(b, from, end, s->call_deltas, &exercise);
		h.prefix = exercise ? p->exercise.prefix : p->real.prefix;
		marks_raise(&next, from, to - from, f->hi);
		call_flush(j, p, &h, f, b, from, to);
		*now = next;
		if (j->result != STORE_OK)
			return;
	}
}

void store_flush(struct store *s, const struct store_flush *f, struct store_done done)
{
	struct by_lane b;
	struct marks now = *f->marks;
	struct job *j = job_new(s);
	j->done = done;
	sort_by_lane(f->fold, &b);
	for (unsigned i = 0; i < s->parts && j->result == STORE_OK; i++)
		flush_partition(j, &s->part[i], f, &b, &now);
	s->stats.flushes++;
	s->stats.deltas += f->fold->n;
	for (size_t i = 0; i < f->fold->n; i++)
		s->stats.alerts += f->fold->delta[i].kind == RECORD_ALERT ? f->fold->delta[i].n : 0;
	job_part_done(j, STORE_OK);
}

/* ---- status and sweep ---- */

/* For what is nobody's to wait for. */
static void quiet_done(void *arg, const struct reply *r)
{
	struct node *n = arg;
	struct bytes text;
	if (reply_error(r, &text) && n->state == STORE_READY && !store_redirected(text))
		node_refused(n, text);
}

/* The node of a key that stands outside the partitions; NULL: not now. */
static struct node *owner_of(struct store *s, const char *key)
{
	struct node *n = nodes_owner(&s->nodes, cluster_slot(key, strlen(key)));
	return n && n->state == STORE_READY ? n : NULL;
}

bool store_send(struct store *s, const char *key, size_t argc, const char **argv, const size_t *len,
		struct redis_done done)
{
	struct node *n = owner_of(s, key);
	return n && redis_send(n->redis, argc, argv, len, done);
}

void store_posture(struct store *s, const char *sensor, const struct store_field *f, size_t n)
{
	const char *argv[5 + 2 * STORE_FIELDS_MAX];
	size_t len[5 + 2 * STORE_FIELDS_MAX], argc = 0;
	char key[128], keep[24], now_ms[24], cut[24];
	snprintf(key, sizeof(key), "picket:sensor:%s", sensor);
	struct node *node = owner_of(s, key), *list = owner_of(s, "picket:sensors");
	if (!node || !list || !n)
		return;
	snprintf(keep, sizeof(keep), "%d", POSTURE_KEEP_S);
	snprintf(now_ms, sizeof(now_ms), "%" PRId64, clock_wall_us() / 1000);
	snprintf(cut, sizeof(cut), "%d", -POSTURE_SENSORS - 1);
	const char *head[] = {"EVALSHA", node->sha[SCRIPT_POSTURE], "1", key, keep};
	for (; argc < 5; argc++) {
		argv[argc] = head[argc];
		len[argc] = strlen(head[argc]);
	}
	for (size_t i = 0; i < n && i < STORE_FIELDS_MAX; i++) {
		argv[argc] = (const char *)f[i].name.p;
		len[argc++] = f[i].name.n;
		argv[argc] = f[i].value.n ? (const char *)f[i].value.p : "";
		len[argc++] = f[i].value.n;
	}
	redis_send(node->redis, argc, argv, len, (struct redis_done){quiet_done, node});
	struct redis_done done = {quiet_done, list};
	node_send(list, 4, (const char *[]){"ZADD", "picket:sensors", now_ms, sensor}, done);
	node_send(list, 4, (const char *[]){"ZREMRANGEBYRANK", "picket:sensors", "0", cut}, done);
}

struct sweeping {
	struct store *store;
	struct realm *realm;
	struct node *node;
};

static void sweep_done(void *arg, const struct reply *r)
{
	struct sweeping w = *(struct sweeping *)arg;
	int64_t gone = 0, kept = 0;
	free(arg);
	quiet_done(w.node, r);
	if (!reply_number(reply_at(r, 0), &gone) || !reply_number(reply_at(r, 1), &kept) || gone < 0 || kept < 0)
		return;
	w.store->stats.swept += (uint64_t)gone;
	bool more = gone + kept >= SWEEP_BATCH;
	w.realm->sweep_offset = more ? w.realm->sweep_offset + (uint64_t)kept : 0;
	if (more)
		w.realm->sweep_us -= SWEEP_EVERY_US; /* the next batch at once */
}

static void sweep(struct store *s, const struct partition *p, struct realm *realm, int64_t now_us)
{
	int64_t now = clock_wall_us(), old = now - s->conf.open_retention_ms * 1000;
	char key[48], score[24], heard[CLOCK_TEXT_LEN], offset[24], batch[24], cut_ms[24];
	struct node *n = nodes_owner(&s->nodes, p->queue.slot),
		    *list = p->index || realm != &p->real ? NULL : owner_of(s, "picket:sensors");
	if (now_us - realm->sweep_us <= SWEEP_EVERY_US || !n || n->state != STORE_READY)
		return;
	realm->sweep_us = now_us;
	snprintf(key, sizeof(key), "%sopen", realm->prefix);
	snprintf(score, sizeof(score), "%" PRId64, old / 1000);
	snprintf(offset, sizeof(offset), "%" PRIu64, realm->sweep_offset);
	snprintf(batch, sizeof(batch), "%d", SWEEP_BATCH);
	snprintf(cut_ms, sizeof(cut_ms), "%" PRId64, now / 1000 - (int64_t)POSTURE_KEEP_S * 1000);
	clock_format(old, heard);
	struct sweeping *w = xcalloc(1, sizeof(*w));
	*w = (struct sweeping){s, realm, n};
	if (!node_send(
		n, 9,
		(const char *[]){"EVALSHA", n->sha[SCRIPT_SWEEP], "1", key, realm->prefix, score, heard, offset, batch},
		(struct redis_done){sweep_done, w}))
		free(w);
	if (list)
		node_send(list, 4, (const char *[]){"ZREMRANGEBYSCORE", "picket:sensors", "-inf", cut_ms},
			  (struct redis_done){quiet_done, list});
}

void store_work(struct store *s)
{
	int64_t now = clock_mono_us();
	nodes_work(&s->nodes);
	s->stats.reconnects = nodes_connects(&s->nodes);
	s->stats.calls = s->stats.redirects = 0;
	for (unsigned i = 0; i < s->parts; i++) {
		struct partition *p = &s->part[i];
		queue_work(&p->queue, now);
		s->stats.calls += p->queue.calls;
		s->stats.redirects += p->queue.redirects;
		sweep(s, p, &p->real, now);
		sweep(s, p, &p->exercise, now);
	}
}
