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
#include "sensor/spool_segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/hash.h"
#include "rules/alert.h"

#define SEGMENT_CRC_AT  48
#define SEGMENT_VERSION 1
#define EPOCH_BITS      52 /* exact in a double: Lua, JSON */
#define RECORD_N_AT     4  /* rules/alert.h: where a record says how many alerts it stands for */

static const char magic[4] = {'P', 'K', 'S', 'P'};

_Static_assert(READ_CHUNK >= SPOOL_RECORD_MAX + RECORD_HEAD, "a chunk holds any record");

const char *const hole_texts[HOLE_REASON_COUNT] = {
    [HOLE_BOUND] = "the spool was full",
    [HOLE_MISSING] = "missing from the spool: damaged, deleted, or older than the replay horizon",
};

/* ---- small things ---- */

void segment_name(const struct spool *s, uint64_t first, char name[static NAME_MAX_])
{
	snprintf(name, NAME_MAX_, "%020" PRIu64 "%s", first, s->suffix);
}

uint32_t segment_record_crc(uint64_t number, const void *payload, size_t n)
{
	uint8_t head[8];
	for (int i = 0; i < 8; i++)
		head[i] = (uint8_t)(number >> (8 * (7 - i)));
	return ~hash_crc32c(hash_crc32c(~0u, head, sizeof(head)), payload, n);
}

uint32_t segment_record_alerts(const void *payload, size_t n)
{
	struct cursor c = cursor_over(payload, n);
	cursor_skip(&c, RECORD_N_AT);
	uint32_t alerts = cursor_u32(&c);
	return cursor_ok(&c) && alerts ? alerts : 1;
}

uint64_t segment_end(const struct segment *g) /* one past its last number */
{
	return g->first + g->count;
}

bool segment_write(int fd, const void *data, size_t n)
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
bool spool_trouble(struct spool *s, const char *what, int64_t now_us)
{
	unsigned long skipped;
	int saved = errno;
	if (log_again(&s->said_disk, &skipped))
		log_warn("cannot %s in the spool %s: alerts wait in memory", what, s->dir);
	s->failing = true;
	s->disk_full = s->disk_full || saved == ENOSPC;
	s->retry_us = now_us + SPOOL_RETRY_US;
	return false;
}

void spool_count_lost(struct spool *s, uint64_t alerts, const char *why)
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
	if (segment_write(fd, data, n) && fsync(fd) == 0 && renameat(s->dir_fd, temporary, s->dir_fd, name) == 0 &&
	    fsync(s->dir_fd) == 0)
		return fd;
	int saved = errno;
	close(fd);
	unlinkat(s->dir_fd, temporary, 0);
	errno = saved;
	return -1;
}

int segment_publish(struct spool *s, const struct segment *g)
{
	char name[NAME_MAX_];
	struct buf head = {0};
	header_write(&head, s, g);
	segment_name(s, g->first, name);
	int fd = publish(s, name, head.p, head.n);
	buf_free(&head);
	return fd;
}

bool segment_publish_epoch(struct spool *s, uint64_t epoch)
{
	char text[40];
	int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", epoch);
	int fd = publish(s, "epoch", text, (size_t)n);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

uint64_t segment_random_epoch(void)
{
	uint64_t v = 0;
	while (!v)
		if (getrandom(&v, sizeof(v), 0) == sizeof(v))
			v >>= 64 - EPOCH_BITS;
	return v;
}

/* ---- the list of segments ---- */

void segment_list_insert(struct spool *s, size_t at, struct segment g)
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

void segment_list_remove(struct spool *s, size_t at)
{
	s->bytes -= s->seg[at].bytes;
	s->n--;
	memmove(s->seg + at, s->seg + at + 1, (s->n - at) * sizeof(*s->seg));
}

struct segment *segment_newest(struct spool *s)
{
	return s->n ? &s->seg[s->n - 1] : NULL;
}

/* How many segments begin at or below the number. */
size_t segment_list_upto(const struct spool *s, uint64_t number)
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

void segment_reader_close(struct reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

void segment_unlink(struct spool *s, size_t at)
{
	char name[NAME_MAX_];
	segment_name(s, s->seg[at].first, name);
	if (s->reader.segment == s->seg[at].first)
		segment_reader_close(&s->reader);
	unlinkat(s->dir_fd, name, 0); /* one that stays is dropped again at the next start */
	segment_list_remove(s, at);
}

void segment_seal(struct spool *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/* A new newest segment, from the first number that is not on disk. */
bool segment_begin(struct spool *s, int64_t now_us)
{
	struct segment g = {.first = s->waiting_first,
			    .bytes = SEGMENT_HEADER,
			    .made_us = clock_wall_us(),
			    .unsure_from = s->unsure_from};
	segment_seal(s);
	int fd = segment_publish(s, &g);
	if (fd < 0)
		return spool_trouble(s, "begin a segment", now_us);
	if (segment_newest(s) && segment_newest(s)->first == g.first)
		segment_list_remove(s, s->n - 1);
	if (s->reader.segment == g.first)
		segment_reader_close(&s->reader);
	segment_list_insert(s, s->n, g);
	s->fd = fd;
	s->disk_says_unsure = s->unsure_from != 0;
	return true;
}

/* ---- reading a segment ---- */

/* The record at the cursor, which must carry the number. Broken: its length
 * cannot be right or it is not all there. */
enum taken segment_take(struct cursor *c, uint64_t number, struct bytes *payload)
{
	uint32_t n = cursor_u32(c), crc = cursor_u32(c);
	if (!cursor_ok(c) || n == 0 || n > SPOOL_RECORD_MAX)
		return TAKEN_BROKEN;
	*payload = cursor_bytes(c, n);
	if (!cursor_ok(c))
		return TAKEN_BROKEN;
	return crc == segment_record_crc(number, payload->p, payload->n) ? TAKEN : TAKEN_BAD_CRC;
}

ssize_t segment_read(int fd, void *into, size_t n, off_t at)
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
		ssize_t got = segment_read(fd, s->reader.chunk, READ_CHUNK, at);
		struct cursor c = cursor_over(s->reader.chunk, got > 0 ? (size_t)got : 0);
		const uint8_t *done = c.p;
		for (struct bytes b; number < limit; number++) {
			enum taken t = segment_take(&c, number, &b);
			if (t == TAKEN_BROKEN)
				break;
			done = c.p;
			alerts += t == TAKEN ? segment_record_alerts(b.p, b.n) : 1;
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

/* ---- at the start ---- */

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

int segment_open(struct spool *s, uint64_t first, int flags)
{
	char name[NAME_MAX_];
	segment_name(s, first, name);
	return openat(s->dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW);
}

static bool file_header(struct spool *s, uint64_t first, struct segment *g, uint64_t *epoch)
{
	uint8_t head[SEGMENT_HEADER];
	int fd = segment_open(s, first, O_RDONLY);
	bool ok = fd >= 0 && segment_read(fd, head, sizeof(head), 0) == SEGMENT_HEADER &&
		  header_read(head, sizeof(head), g, epoch) && g->first == first;
	if (fd >= 0)
		close(fd);
	return ok;
}

/* Finishes or forgets a change of epoch that was interrupted. */
void segment_settle_new(struct spool *s)
{
	size_t n;
	s->suffix = SUFFIX_NEW;
	uint64_t *names = list_names(s, &n);
	for (size_t i = 0; i < n; i++) {
		struct segment g;
		uint64_t epoch;
		char from[NAME_MAX_], to[NAME_MAX_];
		s->suffix = SUFFIX_NEW;
		bool ours = file_header(s, names[i], &g, &epoch) && epoch == s->epoch;
		segment_name(s, names[i], from);
		s->suffix = SUFFIX_LIVE;
		segment_name(s, names[i], to);
		if (ours)
			renameat(s->dir_fd, from, s->dir_fd, to);
		else
			unlinkat(s->dir_fd, from, 0);
	}
	s->suffix = SUFFIX_LIVE;
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
	ssize_t got = segment_read(fd, text, sizeof(text) - 1, 0);
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
		segment_list_insert(s, s->n, g);
		return;
	}
	int fd = segment_open(s, first, last ? O_RDWR : O_RDONLY);
	if (fd >= 0)
		scan_records(s, fd, &g, limit);
	if (fd >= 0 && last && g.count && ftruncate(fd, (off_t)g.bytes) != 0)
		log_warn("cannot cut the torn tail of the spool %s", s->dir);
	if (fd >= 0)
		close(fd);
	segment_list_insert(s, s->n, g);
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
	struct segment *last = segment_newest(s);
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

void segment_recall(struct spool *s, int64_t now_us)
{
	bool had_file = (s->epoch = read_epoch_file(s)) != 0;
	if (!had_file)
		s->epoch = epoch_of_segments(s);
	if (s->epoch) {
		unlink_other_epochs(s);
		segment_settle_new(s);
		load_segments(s);
	}
	if (!s->n) { /* nothing is left of it: its numbers must not come again */
		s->epoch = segment_random_epoch();
		had_file = false;
	}
	if (!had_file && !segment_publish_epoch(s, s->epoch))
		spool_trouble(s, "write the epoch", now_us);
	recall_state(s);
}
