/* Segments, named by the number of their first record (20 digits, ".seg"). All
 * integers big-endian.
 *
 *    0  "PKSP"
 *    4  u8 version (1)
 *    5  u8 kind: 0 records, 1 hole
 *    6  u8 reason of a hole (enum hole_reason), u8 0
 *    8  u64 epoch
 *   16  u64 number of the first record
 *   24  u64 records: unsure from (below); hole: how many numbers
 *   32  u64 hole: how many alerts went, at least
 *   40  u64 when it was made, microseconds since 1970
 *   48  u32 CRC-32C of bytes 0..47
 *   52  records: u32 length, u32 CRC-32C of (u64 number | payload), payload
 *
 * Numbers are implied: first, first + 1, … . Because the CRC covers the number,
 * a record is only believed in its own place.
 *
 * A segment begins under a temporary name, is synced, renamed, and the folder
 * synced: it is whole or not there. A later segment that begins inside an
 * earlier one wins; so after a failed write the next segment simply begins at
 * the first number that is not safe. A hole stands for numbers whose records are
 * gone. It is a file, so that the loss is told once, with the same count,
 * whatever dies in between.
 *
 * The file "epoch" names the epoch in force. A new epoch is prepared as
 * "….seg.new" and becomes true with the rename of that file.
 *
 * Which numbers the collector may know although we do not (a tail that was lost
 * with the power): until the first WELCOME of a run, the records of this run
 * stand in segments that say "unsure from N". When the collector's mark is at or
 * above N, numbers from N on were used by somebody we do not remember. All that
 * stands from N on is then certainly unsent and moves to a new epoch; nothing is
 * lost and nothing counted twice, however often the sensor died in between. Once
 * a WELCOME has agreed, a segment with N = 0 says so, before anything from N on
 * is sent. A mark below N - 1 with groups ahead of it at or above N (a collector
 * died in the middle of a flush) means the same: then what stands below N is sent
 * first, the rest is held, and the next WELCOME brings the new epoch.
 *
 * Weighed: one file per record (too many syncs), a ring file (a torn write can
 * hide the oldest), SQLite (its locks and pages for a queue). Left out:
 * compression, and saving what follows a destroyed length within a segment. */
#define _GNU_SOURCE
#include "sensor/spool.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/cursor.h"
#include "common/hash.h"
#include "common/log.h"
#include "rules/alert.h"

#define SEGMENT_HEADER     52
#define SEGMENT_CRC_AT     48
#define SEGMENT_VERSION    1
#define SEGMENT_BYTES_MAX  (8 << 20)
#define SEGMENT_BYTES_MIN  (64 << 10)
#define SEGMENTS_PER_BOUND 16 /* a sixteenth of the bound is dropped at a time */
#define RECORD_HEAD        8
#define READ_CHUNK         (128u << 10) /* holds any record */
#define EPOCH_BITS         52           /* exact in a double: Lua, JSON */
#define RETRY_US           1000000
#define SYNC_INTERVAL_US   1000000
#define NAME_MAX_          40
#define RECORD_N_AT        4 /* rules/alert.h: where a record says how many alerts it stands for */

static const char magic[4] = {'P', 'K', 'S', 'P'};
static const char suffix_live[] = ".seg", suffix_new[] = ".seg.new";

_Static_assert(READ_CHUNK >= SPOOL_RECORD_MAX + RECORD_HEAD, "a chunk holds any record");

const char *const spool_fsync_names[SPOOL_FSYNC_COUNT + 1] = {
    [SPOOL_FSYNC_BATCH] = "batch",
    [SPOOL_FSYNC_INTERVAL] = "interval",
    [SPOOL_FSYNC_NONE] = "none",
};

enum segment_kind { KIND_RECORDS = 0, KIND_HOLE, KIND_COUNT };
enum hole_reason { HOLE_BOUND = 0, HOLE_MISSING, HOLE_REASON_COUNT };

static const char *const hole_texts[HOLE_REASON_COUNT] = {
    [HOLE_BOUND] = "the spool was full",
    [HOLE_MISSING] = "missing from the spool: damaged, deleted, or older than the replay horizon",
};

struct segment {
	uint64_t first, count; /* numbers; count may be 0 for the newest */
	uint64_t alerts;       /* that its records stand for */
	uint64_t bytes;        /* of the file that we believe */
	int64_t acked_us;      /* since when all of it is acknowledged; 0 = it is not */
	int64_t made_us;
	uint64_t unsure_from;
	enum segment_kind kind;
	enum hole_reason reason;
	bool told; /* hole: its loss record may be with the collector: it cannot grow any more */
};

/* Where the last read stopped. */
struct reader {
	int fd; /* -1: none */
	uint64_t segment, next;
	off_t at;
	uint8_t *chunk;
};

struct spool {
	struct spool_conf conf;
	char *dir;
	const char *suffix;
	int dir_fd, fd; /* fd: of the newest segment; -1: the next commit begins one */
	uint64_t segment_bytes;
	uint64_t epoch, tail, acked;
	uint64_t unsure_from; /* 0: this run's numbers are agreed with the collector */
	bool disk_says_unsure;
	bool held; /* what stands from unsure_from on waits for a new epoch */
	struct segment *seg;
	size_t n, cap;
	uint64_t bytes;
	struct buf waiting; /* records as they go to disk */
	uint64_t waiting_first, waiting_alerts;
	uint64_t lost, untold; /* untold: lost before they had a number, not yet in a loss record */
	const char *untold_why;
	bool failing, disk_full, unsynced;
	int64_t retry_us, sync_us;
	struct log_once said_disk, said_lost;
	struct reader reader;
	size_t memory_at; /* reading from memory: the place of memory_next in waiting */
	uint64_t memory_next;
};

/* ---- small things ---- */

static void segment_name(const struct spool *s, uint64_t first, char name[static NAME_MAX_])
{
	snprintf(name, NAME_MAX_, "%020" PRIu64 "%s", first, s->suffix);
}

static uint32_t record_crc(uint64_t number, const void *payload, size_t n)
{
	uint8_t head[8];
	for (int i = 0; i < 8; i++)
		head[i] = (uint8_t)(number >> (8 * (7 - i)));
	return ~hash_crc32c(hash_crc32c(~0u, head, sizeof(head)), payload, n);
}

static uint32_t record_alerts(const void *payload, size_t n)
{
	struct cursor c = cursor_over(payload, n);
	cursor_skip(&c, RECORD_N_AT);
	uint32_t alerts = cursor_u32(&c);
	return cursor_ok(&c) && alerts ? alerts : 1;
}

static uint64_t segment_end(const struct segment *g) /* one past its last number */
{
	return g->first + g->count;
}

static bool write_all(int fd, const void *data, size_t n)
{
	const uint8_t *p = data;
	while (n) {
		ssize_t put = write(fd, p, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		p += put;
		n -= (size_t)put;
	}
	return true;
}

/* The disk refused something: say it once a minute, try again in a second. */
static bool trouble(struct spool *s, const char *what, int64_t now_us)
{
	unsigned long skipped;
	int saved = errno;
	if (log_again(&s->said_disk, &skipped))
		log_warn("cannot %s in the spool %s: alerts wait in memory", what, s->dir);
	s->failing = true;
	s->disk_full = s->disk_full || saved == ENOSPC;
	s->retry_us = now_us + RETRY_US;
	return false;
}

static void count_lost(struct spool *s, uint64_t alerts, const char *why)
{
	unsigned long skipped;
	s->lost += alerts;
	if (log_again(&s->said_lost, &skipped))
		log_warnx("spool %s: %" PRIu64 " alerts lost (%s), %" PRIu64 " since the start; the collector is told",
			  s->dir, alerts, why, s->lost);
}

/* ---- files ---- */

static void header_write(struct buf *b, const struct spool *s, const struct segment *g)
{
	size_t at = b->n;
	bool hole = g->kind == KIND_HOLE;
	buf_add(b, magic, sizeof(magic));
	buf_u8(b, SEGMENT_VERSION);
	buf_u8(b, (uint8_t)g->kind);
	buf_u8(b, (uint8_t)g->reason);
	buf_u8(b, 0);
	buf_u64(b, s->epoch);
	buf_u64(b, g->first);
	buf_u64(b, hole ? g->count : g->unsure_from);
	buf_u64(b, hole ? g->alerts : 0);
	buf_u64(b, (uint64_t)g->made_us);
	buf_u32(b, ~hash_crc32c(~0u, b->p + at, SEGMENT_CRC_AT));
}

static bool header_read(const void *data, size_t n, struct segment *g, uint64_t *epoch)
{
	struct cursor c = cursor_over(data, n);
	struct bytes m = cursor_bytes(&c, sizeof(magic));
	uint8_t version = cursor_u8(&c), kind = cursor_u8(&c), reason = cursor_u8(&c);
	cursor_skip(&c, 1);
	*epoch = cursor_u64(&c);
	*g = (struct segment){.first = cursor_u64(&c), .bytes = SEGMENT_HEADER};
	uint64_t a = cursor_u64(&c), b = cursor_u64(&c);
	g->made_us = (int64_t)cursor_u64(&c);
	uint32_t crc = cursor_u32(&c);
	if (!cursor_ok(&c) || memcmp(m.p, magic, sizeof(magic)) != 0 || version != SEGMENT_VERSION ||
	    kind >= KIND_COUNT || reason >= HOLE_REASON_COUNT || !g->first ||
	    crc != ~hash_crc32c(~0u, data, SEGMENT_CRC_AT))
		return false;
	g->kind = (enum segment_kind)kind;
	g->reason = (enum hole_reason)reason;
	g->unsure_from = kind == KIND_RECORDS ? a : 0;
	g->count = kind == KIND_HOLE ? a : 0;
	g->alerts = kind == KIND_HOLE ? b : 0;
	return kind == KIND_RECORDS || (a && a <= UINT64_MAX - g->first);
}

/* Writes a small file so that its name holds the old or the new content, never
 * less. Gives the open file, or -1. */
static int publish(struct spool *s, const char *name, const void *data, size_t n)
{
	static const char temporary[] = "next.tmp";
	int fd = openat(s->dir_fd, temporary, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (write_all(fd, data, n) && fsync(fd) == 0 && renameat(s->dir_fd, temporary, s->dir_fd, name) == 0 &&
	    fsync(s->dir_fd) == 0)
		return fd;
	int saved = errno;
	close(fd);
	unlinkat(s->dir_fd, temporary, 0);
	errno = saved;
	return -1;
}

static int publish_segment(struct spool *s, const struct segment *g)
{
	char name[NAME_MAX_];
	struct buf head = {0};
	header_write(&head, s, g);
	segment_name(s, g->first, name);
	int fd = publish(s, name, head.p, head.n);
	buf_free(&head);
	return fd;
}

static bool publish_epoch(struct spool *s, uint64_t epoch)
{
	char text[40];
	int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", epoch);
	int fd = publish(s, "epoch", text, (size_t)n);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static uint64_t random_epoch(void)
{
	uint64_t v = 0;
	while (!v)
		if (getrandom(&v, sizeof(v), 0) == sizeof(v))
			v >>= 64 - EPOCH_BITS;
	return v;
}

/* ---- the list of segments ---- */

static void list_insert(struct spool *s, size_t at, struct segment g)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 64;
		s->seg = xrealloc(s->seg, s->cap * sizeof(*s->seg));
	}
	memmove(s->seg + at + 1, s->seg + at, (s->n - at) * sizeof(*s->seg));
	s->seg[at] = g;
	s->n++;
	s->bytes += g.bytes;
}

static void list_remove(struct spool *s, size_t at)
{
	s->bytes -= s->seg[at].bytes;
	s->n--;
	memmove(s->seg + at, s->seg + at + 1, (s->n - at) * sizeof(*s->seg));
}

static struct segment *newest(struct spool *s)
{
	return s->n ? &s->seg[s->n - 1] : NULL;
}

/* How many segments begin at or below the number. */
static size_t list_upto(const struct spool *s, uint64_t number)
{
	size_t low = 0, high = s->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (s->seg[mid].first <= number)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void reader_close(struct reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

static void segment_unlink(struct spool *s, size_t at)
{
	char name[NAME_MAX_];
	segment_name(s, s->seg[at].first, name);
	if (s->reader.segment == s->seg[at].first)
		reader_close(&s->reader);
	unlinkat(s->dir_fd, name, 0); /* one that stays is dropped again at the next start */
	list_remove(s, at);
}

static void seal(struct spool *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/* A new newest segment, from the first number that is not on disk. */
static bool begin_segment(struct spool *s, int64_t now_us)
{
	struct segment g = {.first = s->waiting_first,
			    .bytes = SEGMENT_HEADER,
			    .made_us = clock_wall_us(),
			    .unsure_from = s->unsure_from};
	seal(s);
	int fd = publish_segment(s, &g);
	if (fd < 0)
		return trouble(s, "begin a segment", now_us);
	if (newest(s) && newest(s)->first == g.first)
		list_remove(s, s->n - 1);
	if (s->reader.segment == g.first)
		reader_close(&s->reader);
	list_insert(s, s->n, g);
	s->fd = fd;
	s->disk_says_unsure = s->unsure_from != 0;
	return true;
}

/* ---- reading a segment ---- */

enum taken { TAKEN = 0, TAKEN_BAD_CRC, TAKEN_BROKEN };

/* The record at the cursor, which must carry the number. Broken: its length
 * cannot be right or it is not all there. */
static enum taken take_record(struct cursor *c, uint64_t number, struct bytes *payload)
{
	uint32_t n = cursor_u32(c), crc = cursor_u32(c);
	if (!cursor_ok(c) || n == 0 || n > SPOOL_RECORD_MAX)
		return TAKEN_BROKEN;
	*payload = cursor_bytes(c, n);
	if (!cursor_ok(c))
		return TAKEN_BROKEN;
	return crc == record_crc(number, payload->p, payload->n) ? TAKEN : TAKEN_BAD_CRC;
}

static ssize_t read_at(int fd, void *into, size_t n, off_t at)
{
	size_t got = 0;
	while (got < n) {
		ssize_t r = pread(fd, (uint8_t *)into + got, n - got, at + (off_t)got);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return got ? (ssize_t)got : -1;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

/* Counts the records of an open file from its header to the first that cannot be
 * believed with nothing good behind it, or to the number `limit`. */
static void scan_records(struct spool *s, int fd, struct segment *g, uint64_t limit)
{
	uint64_t number = g->first, alerts = 0;
	off_t at = SEGMENT_HEADER;
	bool broken = false;
	while (!broken && number < limit) {
		ssize_t got = read_at(fd, s->reader.chunk, READ_CHUNK, at);
		struct cursor c = cursor_over(s->reader.chunk, got > 0 ? (size_t)got : 0);
		const uint8_t *done = c.p;
		for (struct bytes b; number < limit; number++) {
			enum taken t = take_record(&c, number, &b);
			if (t == TAKEN_BROKEN)
				break;
			done = c.p;
			alerts += t == TAKEN ? record_alerts(b.p, b.n) : 1;
			if (t != TAKEN)
				continue;
			g->count = number + 1 - g->first;
			g->alerts = alerts;
			g->bytes = (uint64_t)at + (uint64_t)(done - s->reader.chunk);
		}
		broken = done == s->reader.chunk;
		at += done - s->reader.chunk;
	}
}

/* ---- opening ---- */

static int name_compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* All numbers that stand in file names with the suffix, ascending. */
static uint64_t *list_names(struct spool *s, size_t *n)
{
	uint64_t *names = NULL;
	size_t cap = 0;
	*n = 0;
	int fd = openat(s->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	for (struct dirent *entry; d && (entry = readdir(d));) {
		uint64_t first;
		int used = 0;
		if (sscanf(entry->d_name, "%20" SCNu64 "%n", &first, &used) != 1 || used != 20 || !first ||
		    strcmp(entry->d_name + used, s->suffix) != 0)
			continue;
		if (*n == cap) {
			cap = cap ? cap * 2 : 64;
			names = xrealloc(names, cap * sizeof(*names));
		}
		names[(*n)++] = first;
	}
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
	if (*n)
		qsort(names, *n, sizeof(*names), name_compare);
	return names;
}

static int open_segment_file(struct spool *s, uint64_t first, int flags)
{
	char name[NAME_MAX_];
	segment_name(s, first, name);
	return openat(s->dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW);
}

static bool file_header(struct spool *s, uint64_t first, struct segment *g, uint64_t *epoch)
{
	uint8_t head[SEGMENT_HEADER];
	int fd = open_segment_file(s, first, O_RDONLY);
	bool ok = fd >= 0 && read_at(fd, head, sizeof(head), 0) == SEGMENT_HEADER &&
		  header_read(head, sizeof(head), g, epoch) && g->first == first;
	if (fd >= 0)
		close(fd);
	return ok;
}

/* Finishes or forgets a change of epoch that was interrupted. */
static void settle_new_segments(struct spool *s)
{
	size_t n;
	s->suffix = suffix_new;
	uint64_t *names = list_names(s, &n);
	for (size_t i = 0; i < n; i++) {
		struct segment g;
		uint64_t epoch;
		char from[NAME_MAX_], to[NAME_MAX_];
		s->suffix = suffix_new;
		bool ours = file_header(s, names[i], &g, &epoch) && epoch == s->epoch;
		segment_name(s, names[i], from);
		s->suffix = suffix_live;
		segment_name(s, names[i], to);
		if (ours)
			renameat(s->dir_fd, from, s->dir_fd, to);
		else
			unlinkat(s->dir_fd, from, 0);
	}
	s->suffix = suffix_live;
	free(names);
}

static void unlink_other_epochs(struct spool *s)
{
	size_t n;
	uint64_t *names = list_names(s, &n);
	for (size_t i = 0; i < n; i++) {
		struct segment g;
		uint64_t epoch;
		char name[NAME_MAX_];
		segment_name(s, names[i], name);
		if (file_header(s, names[i], &g, &epoch) && epoch != s->epoch)
			unlinkat(s->dir_fd, name, 0);
	}
	free(names);
}

/* 0: there is none that can be read. */
static uint64_t read_epoch_file(struct spool *s)
{
	char text[40] = "";
	int fd = openat(s->dir_fd, "epoch", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return 0;
	ssize_t got = read_at(fd, text, sizeof(text) - 1, 0);
	close(fd);
	char *end = text;
	uint64_t v = got > 1 ? strtoull(text, &end, 10) : 0;
	return *end == '\n' && v < 1ull << EPOCH_BITS ? v : 0;
}

/* Without its file the epoch is the one that the newest segment names. */
static uint64_t epoch_of_segments(struct spool *s)
{
	size_t n;
	uint64_t *names = list_names(s, &n), epoch = 0;
	for (size_t i = n; i > 0 && !epoch; i--) {
		struct segment g;
		if (!file_header(s, names[i - 1], &g, &epoch))
			epoch = 0;
	}
	free(names);
	return epoch;
}

/* A segment whose header is destroyed is still read: its records prove themselves. */
static void load_segment(struct spool *s, uint64_t first, uint64_t limit, bool last)
{
	struct segment g;
	uint64_t epoch;
	if (!file_header(s, first, &g, &epoch))
		g = (struct segment){.first = first, .bytes = SEGMENT_HEADER, .made_us = clock_wall_us()};
	if (g.kind == KIND_HOLE) {
		g.told = true;
		if (segment_end(&g) > limit)
			g.count = limit - first;
		list_insert(s, s->n, g);
		return;
	}
	int fd = open_segment_file(s, first, last ? O_RDWR : O_RDONLY);
	if (fd >= 0)
		scan_records(s, fd, &g, limit);
	if (fd >= 0 && last && g.count && ftruncate(fd, (off_t)g.bytes) != 0)
		log_warn("cannot cut the torn tail of the spool %s", s->dir);
	if (fd >= 0)
		close(fd);
	list_insert(s, s->n, g);
}

/* Within a hole there are no segments: one that is there was to be deleted. */
static void load_segments(struct spool *s)
{
	size_t n;
	uint64_t *names = list_names(s, &n), hole_end = 0;
	for (size_t i = 0; i < n; i++) {
		if (names[i] < hole_end) {
			char name[NAME_MAX_];
			segment_name(s, names[i], name);
			unlinkat(s->dir_fd, name, 0);
			continue;
		}
		struct segment g;
		uint64_t epoch;
		bool hole = file_header(s, names[i], &g, &epoch) && g.kind == KIND_HOLE;
		hole_end = hole ? segment_end(&g) : 0;
		load_segment(s, names[i], hole || i + 1 == n ? UINT64_MAX : names[i + 1], i + 1 == n);
	}
	free(names);
}

static void recall_state(struct spool *s)
{
	struct segment *last = newest(s);
	s->tail = last ? segment_end(last) - 1 : 0;
	s->waiting_first = s->tail + 1;
	s->unsure_from = s->tail + 1;
	for (size_t i = s->n; i > 0; i--) {
		const struct segment *g = &s->seg[i - 1];
		if (g->kind == KIND_HOLE)
			continue;
		s->disk_says_unsure = g->unsure_from != 0;
		if (g->unsure_from && g->unsure_from < s->unsure_from)
			s->unsure_from = g->unsure_from;
		break;
	}
}

static void recall(struct spool *s, int64_t now_us)
{
	bool had_file = (s->epoch = read_epoch_file(s)) != 0;
	if (!had_file)
		s->epoch = epoch_of_segments(s);
	if (s->epoch) {
		unlink_other_epochs(s);
		settle_new_segments(s);
		load_segments(s);
	}
	if (!s->n) { /* nothing is left of it: its numbers must not come again */
		s->epoch = random_epoch();
		had_file = false;
	}
	if (!had_file && !publish_epoch(s, s->epoch))
		trouble(s, "write the epoch", now_us);
	recall_state(s);
}

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
	*s = (struct spool){.conf = *c, .dir = xstrdup(c->dir), .suffix = suffix_live, .dir_fd = -1, .fd = -1};
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
	seal(s);
	reader_close(&s->reader);
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
	recall(s, clock_mono_us());
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
	buf_u32(&s->waiting, record_crc(s->tail, record, n));
	buf_add(&s->waiting, record, n);
	s->waiting_alerts += record_alerts(record, n);
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

static bool refuse(struct spool *s, const void *record, size_t n, const char *why)
{
	uint32_t alerts = record_alerts(record, n);
	s->untold += alerts;
	s->untold_why = why;
	count_lost(s, alerts, why);
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
	struct segment *g = newest(s);
	if (!write_all(s->fd, s->waiting.p, s->waiting.n)) {
		trouble(s, "write", now_us);
		if (ftruncate(s->fd, (off_t)g->bytes) != 0)
			seal(s);
		return false;
	}
	s->unsynced = true;
	if (s->conf.fsync == SPOOL_FSYNC_BATCH && fdatasync(s->fd) != 0) {
		seal(s); /* what the kernel still holds of it is unknown */
		return trouble(s, "sync", now_us);
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
		trouble(s, "sync", now_us);
		seal(s);
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
static uint64_t alerts_from(struct spool *s, const struct segment *g, uint64_t from)
{
	if (from <= g->first)
		return g->alerts;
	uint64_t alerts = 0, end = segment_end(g);
	struct buf b = {0};
	for (uint64_t at = from; at < end;) {
		b.n = 0;
		uint32_t n = spool_read(s, at, READ_CHUNK, &b);
		struct cursor c = cursor_over(b.p, b.n);
		for (uint32_t i = 0; i < n && at + i < end; i++) {
			struct bytes r = cursor_bytes(&c, cursor_u32(&c));
			alerts += r.n ? record_alerts(r.p, r.n) : 0;
		}
		at += n ? n : end - at;
	}
	buf_free(&b);
	return alerts;
}

/* A hole where number g.first was; with a file if the disk takes one. */
static void dig_hole(struct spool *s, size_t at, struct segment g, int64_t now_us)
{
	int fd = publish_segment(s, &g);
	if (fd < 0)
		trouble(s, "note a loss", now_us);
	else
		close(fd);
	if (at == s->n)
		seal(s);
	g.bytes = SEGMENT_HEADER;
	list_insert(s, at, g);
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
	hole.first = g.first > s->acked ? g.first : s->acked + 1;
	hole.count = segment_end(&g) - hole.first;
	hole.alerts = alerts_from(s, &g, hole.first);
	i = list_upto(s, g.first) - 1;
	if (s->seg[i].first != g.first || s->seg[i].count != g.count)
		return true; /* it broke while it was read, and is a hole now */
	count_lost(s, hole.alerts, "the spool is full");
	if (i && s->seg[i - 1].kind == KIND_HOLE && segment_end(&s->seg[i - 1]) == hole.first && !s->seg[i - 1].told) {
		hole.first = s->seg[i - 1].first;
		hole.count += s->seg[i - 1].count;
		hole.alerts += s->seg[i - 1].alerts;
		hole.made_us = s->seg[i - 1].made_us;
		list_remove(s, i - 1);
		dig_hole(s, i - 1, hole, now_us);
		segment_unlink(s, i);
		return true;
	}
	if (s->reader.segment == g.first)
		reader_close(&s->reader);
	if (hole.first == g.first) {
		list_remove(s, i);
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
	if (s->failing && now_us < s->retry_us && s->retry_us - now_us <= RETRY_US)
		return false;
	keep_bounds(s, now_us);
	sync_by_interval(s, now_us);
	if (!s->waiting.n)
		return true;
	const struct segment *g = newest(s);
	if (s->fd < 0 || g->bytes >= s->segment_bytes || segment_end(g) != s->waiting_first) {
		if (s->conf.fsync != SPOOL_FSYNC_NONE && s->fd >= 0 && s->unsynced && fdatasync(s->fd) != 0)
			trouble(s, "sync", now_us);
		if (!begin_segment(s, now_us))
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
	count_lost(s, g.alerts, hole_texts[HOLE_MISSING]);
	dig_hole(s, list_upto(s, from), g, g.made_us);
}

static bool reader_open(struct spool *s, const struct segment *g, uint64_t from)
{
	struct reader *r = &s->reader;
	if (r->fd < 0 || r->segment != g->first) {
		reader_close(r);
		r->fd = open_segment_file(s, g->first, O_RDONLY);
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
		ssize_t got = read_at(r->fd, r->chunk, READ_CHUNK, r->at);
		struct cursor c = cursor_over(r->chunk, got > 0 ? (size_t)got : 0);
		const uint8_t *done = c.p;
		for (struct bytes b; r->next < segment_end(g); r->next++) {
			enum taken t = take_record(&c, r->next, &b);
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
		seal(s);
	if (from <= s->seg[at].first) {
		segment_unlink(s, at);
	} else {
		uint64_t gone = end - from;
		s->seg[at].count -= gone;
		s->seg[at].alerts -= gone < s->seg[at].alerts ? gone : s->seg[at].alerts;
	}
	reader_close(&s->reader);
	dig_missing(s, from, end);
}

uint32_t spool_read(struct spool *s, uint64_t from, size_t max_bytes, struct buf *out)
{
	assert(from > 0);
	while (from <= spool_ready(s)) {
		if (from >= s->waiting_first)
			return read_memory(s, from, max_bytes, out);
		size_t upto = list_upto(s, from);
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
		s->waiting_alerts -= record_alerts(b.p, b.n);
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
	for (uint32_t n; ok && from <= s->tail && (n = spool_read(s, from, READ_CHUNK, &b)) > 0; from += n, b.n = 0) {
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
	fresh->suffix = suffix_new;
	fresh->epoch = random_epoch();
	bool ok = begin_segment(fresh, now_us) && copy_unsent(s, fresh, from, now_us) && publish_epoch(s, fresh->epoch);
	if (ok) {
		log_warnx("spool %s: the collector knows numbers that this spool has lost; %" PRIu64
			  " unsent records go on under a new epoch",
			  s->dir, fresh->tail);
		reader_close(&s->reader);
		unlink_all(s);
		adopt(s, fresh);
		settle_new_segments(s);
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
		begin_segment(s, now_us);
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
