/* What a spool does with its records: takes them in, drops what is over the bound,
 * reads them for the uplink, hears the collector's word. How they stand on the disk,
 * and how they are found again, is in spool_segment.c. */
#define _GNU_SOURCE
#include "sensor/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/cursor.h"
#include "common/hash.h"
#include "common/log.h"
#include "rules/alert.h"
#include "sensor/spool_segment.h"

#define SEGMENTS_PER_BOUND 16 /* a sixteenth of the bound is dropped at a time */
#define SYNC_INTERVAL_US   1000000

const char *const spool_fsync_names[SPOOL_FSYNC_COUNT + 1] = {
    [SPOOL_FSYNC_BATCH] = "batch",
    [SPOOL_FSYNC_INTERVAL] = "interval",
    [SPOOL_FSYNC_NONE] = "none",
};

/* ---- opening ---- */

static bool take_folder(struct spool *s, struct err *e)
{
	if (mkdir(s->dir, 0700) != 0 && errno != EEXIST)
		return err_errno(e, "cannot make the spool folder %s", s->dir);
	s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0)
		return err_errno(e, "cannot open the spool folder %s", s->dir);
	if (flock(s->dir_fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			return err_set(e, "the spool %s is in use by another sensor: give each its own folder", s->dir);
		return err_errno(e, "cannot lock the spool folder %s", s->dir);
	}
	if (faccessat(s->dir_fd, ".", W_OK | X_OK, 0) != 0)
		return err_errno(e, "cannot write to the spool folder %s", s->dir);
	return true;
}

static struct spool *spool_new(const struct spool_conf *c)
{
	struct spool *s = xcalloc(1, sizeof(*s));
	uint64_t part = (uint64_t)c->bytes_max / SEGMENTS_PER_BOUND;
	*s = (struct spool){.conf = *c, .dir = xstrdup(c->dir), .suffix = SUFFIX_LIVE, .dir_fd = -1, .fd = -1};
	s->conf.dir = s->dir;
	s->segment_bytes = part < SEGMENT_BYTES_MIN   ? SEGMENT_BYTES_MIN
			   : part > SEGMENT_BYTES_MAX ? SEGMENT_BYTES_MAX
						      : part;
	s->reader = (struct reader){.fd = -1, .chunk = xmalloc(READ_CHUNK)};
	s->waiting_first = 1;
	return s;
}

static void spool_free(struct spool *s)
{
	segment_seal(s);
	segment_reader_close(&s->reader);
	if (s->dir_fd >= 0)
		close(s->dir_fd);
	free(s->reader.chunk);
	buf_free(&s->waiting);
	free(s->seg);
	free(s->dir);
	free(s);
}

struct spool *spool_open(const struct spool_conf *c, struct err *e)
{
	struct spool *s = spool_new(c);
	if (!take_folder(s, e)) {
		spool_free(s);
		return NULL;
	}
	segment_recall(s, clock_mono_us());
	return s;
}

void spool_close(struct spool *s)
{
	if (!s)
		return;
	s->retry_us = 0;
	spool_commit(s, clock_mono_us());
	spool_free(s);
}

/* ---- writing ---- */

static bool has_room(const struct spool *s, size_t n)
{
	return s->waiting.n + RECORD_HEAD + n <= SPOOL_MEMORY_MAX;
}

static void enqueue(struct spool *s, const void *record, size_t n)
{
	s->tail++;
	buf_u32(&s->waiting, (uint32_t)n);
	buf_u32(&s->waiting, segment_record_crc(s->tail, record, n));
	buf_add(&s->waiting, record, n);
	s->waiting_alerts += segment_record_alerts(record, n);
}

static void loss_record(struct buf *out, uint64_t alerts, int64_t at_us, const char *reason)
{
	struct record r = {.kind = RECORD_LOSS,
			   .severity = SEVERITY_HIGH,
			   .n = alerts > UINT32_MAX ? UINT32_MAX : (uint32_t)alerts,
			   .first_us = at_us,
			   .last_us = at_us};
	r.field[FIELD_REASON] = (struct bytes){(const uint8_t *)reason, strlen(reason)};
	record_write(out, &r);
}

/* What was refused is told as soon as there is room. */
static void tell_untold(struct spool *s)
{
	struct buf b = {0};
	loss_record(&b, s->untold, clock_wall_us(), s->untold_why);
	if (has_room(s, b.n)) {
		enqueue(s, b.p, b.n);
		s->untold = 0;
	}
	buf_free(&b);
}

void spool_missed(struct spool *s, uint64_t alerts, const char *why)
{
	s->untold += alerts;
	s->untold_why = why;
}

static bool refuse(struct spool *s, const void *record, size_t n, const char *why)
{
	uint32_t alerts = segment_record_alerts(record, n);
	spool_missed(s, alerts, why);
	spool_count_lost(s, alerts, why);
	return false;
}

bool spool_append(struct spool *s, const void *record, size_t n)
{
	if (n == 0 || n > SPOOL_RECORD_MAX)
		return refuse(s, record, n, "a record was longer than the spool takes");
	if (!has_room(s, n))
		return refuse(s, record, n, "the disk refused and the memory kept for it was full");
	if (s->untold && has_room(s, n + 256))
		tell_untold(s);
	enqueue(s, record, n);
	return true;
}

/* Writes what waits at the end of the newest segment. On failure the file is
 * left as it was before or is never written again. */
static bool write_waiting(struct spool *s, int64_t now_us)
{
	struct segment *g = segment_newest(s);
	if (!segment_write(s->fd, s->waiting.p, s->waiting.n)) {
		spool_trouble(s, "write", now_us);
		if (ftruncate(s->fd, (off_t)g->bytes) != 0)
			segment_seal(s);
		return false;
	}
	s->unsynced = true;
	if (s->conf.fsync == SPOOL_FSYNC_BATCH && fdatasync(s->fd) != 0) {
		segment_seal(s); /* what the kernel still holds of it is unknown */
		return spool_trouble(s, "sync", now_us);
	}
	g->bytes += s->waiting.n;
	g->count += s->tail + 1 - s->waiting_first;
	g->alerts += s->waiting_alerts;
	s->bytes += s->waiting.n;
	s->waiting.n = 0;
	s->waiting_alerts = 0;
	s->waiting_first = s->tail + 1;
	s->memory_next = 0;
	return true;
}

static void sync_by_interval(struct spool *s, int64_t now_us)
{
	if (s->conf.fsync != SPOOL_FSYNC_INTERVAL || !s->unsynced || s->fd < 0)
		return;
	if (now_us < s->sync_us + SYNC_INTERVAL_US && now_us >= s->sync_us)
		return;
	s->sync_us = now_us;
	s->unsynced = false;
	if (fdatasync(s->fd) != 0) {
		spool_trouble(s, "sync", now_us);
		segment_seal(s);
	}
}

/* ---- dropping ---- */

static void drop_acked(struct spool *s, int64_t now_us, bool all)
{
	uint64_t acked_bytes = 0;
	for (size_t i = 0; i < s->n && s->seg[i].acked_us; i++)
		acked_bytes += s->seg[i].bytes;
	while (s->n > 1 && s->seg[0].acked_us) { /* the newest stays: it holds the numbering */
		const struct segment *g = &s->seg[0];
		bool old = now_us - g->acked_us > s->conf.horizon_us;
		if (!all && !old && acked_bytes <= (uint64_t)s->conf.horizon_bytes)
			return;
		acked_bytes -= g->bytes;
		segment_unlink(s, 0);
	}
}

/* Exact also for a segment that is acknowledged in part. */
static uint32_t read_from(struct spool *s, uint64_t from, size_t max_bytes, struct buf *out);

static uint64_t alerts_from(struct spool *s, const struct segment *g, uint64_t from)
{
	if (from <= g->first)
		return g->alerts;
	uint64_t alerts = 0, end = segment_end(g);
	struct buf b = {0};
	for (uint64_t at = from; at < end;) {
		b.n = 0;
		uint32_t n = read_from(s, at, READ_CHUNK, &b);
		struct cursor c = cursor_over(b.p, b.n);
		for (uint32_t i = 0; i < n && at + i < end; i++) {
			struct bytes r = cursor_bytes(&c, cursor_u32(&c));
			alerts += r.n ? segment_record_alerts(r.p, r.n) : 0;
		}
		at += n ? n : end - at;
	}
	buf_free(&b);
	return alerts;
}

/* A hole where number g.first was; with a file if the disk takes one. */
static void dig_hole(struct spool *s, size_t at, struct segment g, int64_t now_us)
{
	int fd = segment_publish(s, &g);
	if (fd < 0)
		spool_trouble(s, "note a loss", now_us);
	else
		close(fd);
	if (at == s->n)
		segment_seal(s);
	g.bytes = SEGMENT_HEADER;
	segment_list_insert(s, at, g);
}

/* Gives up the oldest records that are not acknowledged; the hole before them
 * grows, or they become one. */
static bool drop_oldest(struct spool *s, int64_t now_us)
{
	size_t i = 0;
	while (i < s->n && (s->seg[i].kind == KIND_HOLE || s->seg[i].acked_us))
		i++;
	if (i + 1 >= s->n)
		return false;
	struct segment g = s->seg[i], hole = {.kind = KIND_HOLE, .reason = HOLE_BOUND, .made_us = clock_wall_us()};
	/* What is on its way may arrive, so it is not lost yet; when it is asked for again it is missing. */
	uint64_t sent = s->handed > s->acked ? s->handed : s->acked;
	hole.first = g.first > sent ? g.first : sent + 1;
	if (hole.first >= segment_end(&g)) { /* nothing else, or broken off where the acknowledged part ends */
		if (s->reader.segment == g.first)
			segment_reader_close(&s->reader);
		segment_unlink(s, i);
		return true;
	}
	hole.count = segment_end(&g) - hole.first;
	hole.alerts = alerts_from(s, &g, hole.first);
	i = segment_list_upto(s, g.first) - 1;
	if (s->seg[i].first != g.first || s->seg[i].count != g.count)
		return true; /* it broke while it was read, and is a hole now */
	spool_count_lost(s, hole.alerts, "the spool is full");
	if (i && s->seg[i - 1].kind == KIND_HOLE && segment_end(&s->seg[i - 1]) == hole.first && !s->seg[i - 1].told) {
		hole.first = s->seg[i - 1].first;
		hole.count += s->seg[i - 1].count;
		hole.alerts += s->seg[i - 1].alerts;
		hole.made_us = s->seg[i - 1].made_us;
		segment_list_remove(s, i - 1);
		dig_hole(s, i - 1, hole, now_us);
		segment_unlink(s, i);
		return true;
	}
	if (s->reader.segment == g.first)
		segment_reader_close(&s->reader);
	if (hole.first == g.first) {
		segment_list_remove(s, i);
		dig_hole(s, i, hole, now_us);
	} else {
		dig_hole(s, i + 1, hole, now_us);
		segment_unlink(s, i);
	}
	return true;
}

static void keep_bounds(struct spool *s, int64_t now_us)
{
	drop_acked(s, now_us, s->disk_full || s->bytes > (uint64_t)s->conf.bytes_max);
	s->disk_full = false;
	while (s->bytes > (uint64_t)s->conf.bytes_max && drop_oldest(s, now_us))
		;
}

bool spool_commit(struct spool *s, int64_t now_us)
{
	if (s->untold && !s->waiting.n)
		tell_untold(s);
	if (s->failing && now_us < s->retry_us && s->retry_us - now_us <= SPOOL_RETRY_US)
		return false;
	keep_bounds(s, now_us);
	sync_by_interval(s, now_us);
	if (!s->waiting.n)
		return true;
	const struct segment *g = segment_newest(s);
	if (s->fd < 0 || g->bytes >= s->segment_bytes || segment_end(g) != s->waiting_first) {
		if (s->conf.fsync != SPOOL_FSYNC_NONE && s->fd >= 0 && s->unsynced && fdatasync(s->fd) != 0)
			spool_trouble(s, "sync", now_us);
		if (!segment_begin(s, now_us))
			return false;
	}
	bool ok = write_waiting(s, now_us);
	if (ok && s->failing) {
		s->failing = false;
		log_info("the spool %s takes alerts again", s->dir);
	}
	return ok;
}

/* ---- reading ---- */

static void put_record(struct buf *out, const void *record, size_t n)
{
	buf_u32(out, (uint32_t)n);
	buf_add(out, record, n);
}

static void put_loss(struct buf *out, uint64_t from, uint64_t count, uint64_t alerts, int64_t at_us, const char *why)
{
	char reason[200];
	struct buf b = {0};
	snprintf(reason, sizeof(reason), "records %" PRIu64 " to %" PRIu64 ": %s", from, from + count - 1, why);
	loss_record(&b, alerts, at_us, reason);
	put_record(out, b.p, b.n);
	buf_free(&b);
}

static uint32_t read_hole(struct segment *g, uint64_t from, size_t max_bytes, struct buf *out)
{
	size_t start = out->n;
	uint32_t n = 0;
	for (; from < segment_end(g) && (!n || out->n - start + 4 <= max_bytes); from++, n++) {
		if (from != g->first) {
			put_record(out, NULL, 0);
			continue;
		}
		put_loss(out, g->first, g->count, g->alerts, g->made_us, hole_texts[g->reason]);
		g->told = true;
	}
	return n;
}

/* Numbers that no segment holds become a hole, which then tells them. */
static void dig_missing(struct spool *s, uint64_t from, uint64_t end)
{
	struct segment g = {.kind = KIND_HOLE,
			    .reason = HOLE_MISSING,
			    .first = from,
			    .count = end - from,
			    .alerts = end - from,
			    .made_us = clock_wall_us()};
	size_t at = segment_list_upto(s, from);
	spool_count_lost(s, g.alerts, hole_texts[HOLE_MISSING]);
	if (at && s->seg[at - 1].first == from) { /* nothing in it can be read: the hole's file takes its name */
		segment_list_remove(s, --at);
		if (s->reader.segment == from)
			segment_reader_close(&s->reader);
	}
	dig_hole(s, at, g, g.made_us);
}

static bool reader_open(struct spool *s, const struct segment *g, uint64_t from)
{
	struct reader *r = &s->reader;
	if (r->fd < 0 || r->segment != g->first) {
		segment_reader_close(r);
		r->fd = segment_open(s, g->first, O_RDONLY);
		r->segment = g->first;
		r->next = 0;
	}
	if (!r->next || r->next > from) {
		r->next = g->first;
		r->at = SEGMENT_HEADER;
	}
	return r->fd >= 0;
}

static void read_one(const struct segment *g, uint64_t number, enum taken t, struct bytes b, struct buf *out)
{
	if (t == TAKEN)
		put_record(out, b.p, b.n);
	else
		put_loss(out, number, 1, 1, g->made_us, "damaged on disk");
}

/* From an open segment; 0: the file is not what it was when it was opened. */
static uint32_t read_segment(struct spool *s, const struct segment *g, uint64_t from, size_t max_bytes, struct buf *out)
{
	struct reader *r = &s->reader;
	size_t start = out->n;
	uint32_t n = 0;
	bool full = false, broken = !reader_open(s, g, from);
	while (!full && !broken && r->next < segment_end(g)) {
		ssize_t got = segment_read(r->fd, r->chunk, READ_CHUNK, r->at);
		struct cursor c = cursor_over(r->chunk, got > 0 ? (size_t)got : 0);
		const uint8_t *done = c.p;
		for (struct bytes b; r->next < segment_end(g); r->next++) {
			enum taken t = segment_take(&c, r->next, &b);
			if (t == TAKEN_BROKEN)
				break;
			full = r->next >= from && n && out->n - start + 4 + b.n > max_bytes;
			if (full)
				break;
			if (r->next >= from) {
				read_one(g, r->next, t, b, out);
				n++;
			}
			done = c.p;
		}
		broken = !full && done == r->chunk;
		r->at += done - r->chunk;
	}
	return n;
}

/* Records that the disk did not take yet. */
static uint32_t read_memory(struct spool *s, uint64_t from, size_t max_bytes, struct buf *out)
{
	size_t start = out->n;
	uint32_t n = 0;
	if (!s->memory_next || s->memory_next > from) {
		s->memory_next = s->waiting_first;
		s->memory_at = 0;
	}
	struct cursor c = cursor_over(s->waiting.p + s->memory_at, s->waiting.n - s->memory_at);
	while (s->memory_next <= s->tail) {
		uint32_t len = cursor_u32(&c);
		cursor_skip(&c, 4);
		struct bytes b = cursor_bytes(&c, len);
		if (s->memory_next >= from) {
			if (n && out->n - start + 4 + b.n > max_bytes)
				break;
			put_record(out, b.p, b.n);
			n++;
		}
		s->memory_at = (size_t)(c.p - s->waiting.p);
		s->memory_next++;
	}
	return n;
}

/* What broke off a segment that was read whole once: the rest becomes a hole. */
static void segment_broke(struct spool *s, size_t at, uint64_t from)
{
	uint64_t end = segment_end(&s->seg[at]);
	if (at + 1 == s->n)
		segment_seal(s);
	if (from <= s->seg[at].first) {
		segment_unlink(s, at);
	} else {
		uint64_t gone = end - from;
		s->seg[at].count -= gone;
		s->seg[at].alerts -= gone < s->seg[at].alerts ? gone : s->seg[at].alerts;
	}
	segment_reader_close(&s->reader);
	dig_missing(s, from, end);
}

static uint32_t read_from(struct spool *s, uint64_t from, size_t max_bytes, struct buf *out)
{
	assert(from > 0);
	while (from <= spool_ready(s)) {
		if (from >= s->waiting_first)
			return read_memory(s, from, max_bytes, out);
		size_t upto = segment_list_upto(s, from);
		struct segment *g = upto ? &s->seg[upto - 1] : NULL;
		if (!g || from >= segment_end(g)) {
			uint64_t end = upto < s->n ? s->seg[upto].first : s->waiting_first;
			dig_missing(s, from, end);
			continue;
		}
		uint32_t n = g->kind == KIND_HOLE ? read_hole(g, from, max_bytes, out)
						  : read_segment(s, g, from, max_bytes, out);
		if (n || (g->kind == KIND_RECORDS && s->reader.fd < 0 && errno != ENOENT))
			return n; /* a file that cannot be opened now may be opened later */
		segment_broke(s, upto - 1, from);
	}
	return 0;
}

/* ---- the collector's word ---- */

uint64_t spool_epoch(const struct spool *s)
{
	return s->epoch;
}

uint32_t spool_read(struct spool *s, uint64_t from, size_t max_bytes, struct buf *out)
{
	uint32_t n = read_from(s, from, max_bytes, out);
	if (n)
		s->handed = from + n - 1;
	return n;
}

void spool_reread(struct spool *s)
{
	s->handed = 0;
}

uint64_t spool_ready(const struct spool *s)
{
	uint64_t ready = s->failing ? s->tail : s->waiting_first - 1;
	return s->held && ready >= s->unsure_from ? s->unsure_from - 1 : ready;
}

/* What was sent from memory and acknowledged needs no disk any more. */
static void forget_memory(struct spool *s)
{
	struct cursor c = cursor_over(s->waiting.p, s->waiting.n);
	while (s->waiting_first <= s->acked && s->waiting_first <= s->tail) {
		uint32_t n = cursor_u32(&c);
		cursor_skip(&c, 4);
		struct bytes b = cursor_bytes(&c, n);
		s->waiting_alerts -= segment_record_alerts(b.p, b.n);
		s->waiting_first++;
	}
	buf_shift(&s->waiting, s->waiting.n - cursor_left(&c));
	s->memory_next = 0;
}

static void mark_acked(struct spool *s, int64_t now_us)
{
	for (size_t i = 0; i < s->n; i++) {
		struct segment *g = &s->seg[i];
		bool all = g->count && segment_end(g) - 1 <= s->acked;
		if (!all)
			g->acked_us = 0;
		else if (!g->acked_us)
			g->acked_us = now_us;
	}
}

void spool_ack(struct spool *s, uint64_t seq, int64_t now_us)
{
	if (seq <= s->acked || seq > s->tail)
		return;
	s->acked = seq;
	if (s->waiting.n && s->acked >= s->waiting_first)
		forget_memory(s);
	mark_acked(s, now_us);
}

/* The unsent records of s, under new numbers, in files that do not count yet. */
static bool copy_unsent(struct spool *s, struct spool *fresh, uint64_t from, int64_t now_us)
{
	struct buf b = {0};
	bool ok = true;
	for (uint32_t n; ok && from <= s->tail && (n = read_from(s, from, READ_CHUNK, &b)) > 0; from += n, b.n = 0) {
		struct cursor c = cursor_over(b.p, b.n);
		for (uint32_t i = 0; i < n; i++) {
			struct bytes r = cursor_bytes(&c, cursor_u32(&c));
			if (r.n)
				enqueue(fresh, r.p, r.n);
		}
		ok = spool_commit(fresh, now_us);
	}
	buf_free(&b);
	return ok && from > s->tail;
}

static void unlink_all(struct spool *s)
{
	while (s->n)
		segment_unlink(s, s->n - 1);
}

/* fresh, whose segments have got their names, takes the place of what was. */
static void adopt(struct spool *s, struct spool *fresh)
{
	struct spool old = *s;
	s->epoch = fresh->epoch;
	s->tail = fresh->tail;
	s->acked = 0;
	s->unsure_from = fresh->unsure_from;
	s->disk_says_unsure = fresh->disk_says_unsure;
	s->seg = fresh->seg;
	s->n = fresh->n;
	s->cap = fresh->cap;
	s->bytes = fresh->bytes;
	s->fd = fresh->fd;
	s->waiting.n = 0;
	s->waiting_alerts = 0;
	s->waiting_first = fresh->waiting_first;
	s->memory_next = 0;
	fresh->seg = old.seg;
	fresh->fd = old.fd;
	fresh->n = fresh->cap = 0;
}

/* From `from` on nothing was sent: it gets new numbers under a new epoch. */
static bool renew(struct spool *s, uint64_t from, int64_t now_us)
{
	struct spool *fresh = spool_new(&s->conf);
	fresh->conf.bytes_max = INT64_MAX; /* the copy is as large as what it replaces */
	fresh->conf.fsync = SPOOL_FSYNC_BATCH;
	fresh->dir_fd = s->dir_fd;
	fresh->suffix = SUFFIX_NEW;
	fresh->epoch = segment_random_epoch();
	bool ok = segment_begin(fresh, now_us) && copy_unsent(s, fresh, from, now_us) &&
		  segment_publish_epoch(s, fresh->epoch);
	if (ok) {
		log_warnx("spool %s: the collector knows numbers that this spool has lost; %" PRIu64
			  " unsent records go on under a new epoch",
			  s->dir, fresh->tail);
		segment_reader_close(&s->reader);
		unlink_all(s);
		adopt(s, fresh);
		segment_settle_new(s);
	} else {
		unlink_all(fresh);
	}
	fresh->dir_fd = -1;
	spool_free(fresh);
	return ok;
}

/* The numbers of this run are agreed. Said on disk before one of them is sent;
 * if the disk refuses, they stand in memory only and cannot come twice. */
static void agree(struct spool *s, int64_t now_us)
{
	s->unsure_from = 0;
	if (s->disk_says_unsure)
		segment_begin(s, now_us);
}

/* While the mark is below what we are sure of, that goes first, under the old
 * epoch: it may be counted in part. */
enum spool_welcome spool_welcome(struct spool *s, uint64_t mark, uint64_t highest, int64_t now_us)
{
	uint64_t sure = s->unsure_from ? s->unsure_from - 1 : s->tail;
	bool used = s->unsure_from && highest > sure;
	s->held = used && mark < sure;
	if (mark > sure || (used && !s->held)) {
		spool_commit(s, now_us);
		return renew(s, s->unsure_from ? s->unsure_from : s->acked + 1, now_us) ? SPOOL_RENEWED : SPOOL_BUSY;
	}
	if (s->unsure_from && !s->held)
		agree(s, now_us);
	s->acked = mark;
	if (s->waiting.n && s->acked >= s->waiting_first)
		forget_memory(s);
	mark_acked(s, now_us);
	return SPOOL_RESUME;
}

bool spool_again(const struct spool *s)
{
	return s->held && s->acked + 1 >= s->unsure_from;
}

void spool_stats(const struct spool *s, struct spool_stats *out)
{
	*out = (struct spool_stats){.tail = s->tail,
				    .acked = s->acked,
				    .bytes = s->bytes,
				    .lost = s->lost,
				    .in_memory = s->tail + 1 - s->waiting_first,
				    .disk_failing = s->failing};
}
