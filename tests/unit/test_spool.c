/* The spool against a model, with a disk that fails at any call and a process
 * that dies at any call. The product's own files are compiled here with their
 * system calls going through a counter. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the disk that fails ---- */

static struct {
	long calls;
	long fail_from, fail_to; /* calls that fail, counted from 1 */
	int error;
	long die_at; /* the process ends in this call; a write is half done */
} fault;

static bool fails(void)
{
	fault.calls++;
	if (fault.die_at && fault.calls == fault.die_at)
		_exit(77);
	if (fault.calls < fault.fail_from || fault.calls > fault.fail_to)
		return false;
	errno = fault.error;
	return true;
}

static ssize_t faulty_write(int fd, const void *p, size_t n)
{
	bool dies = fault.die_at && fault.calls + 1 == fault.die_at, bad = false;
	if (dies || (fault.calls + 1 >= fault.fail_from && fault.calls + 1 <= fault.fail_to)) {
		ssize_t half = write(fd, p, n / 2); /* a full disk takes a part */
		bad = half >= 0;
	}
	return fails() || (bad && dies) ? -1 : write(fd, p, n);
}

static int faulty_openat(int dir, const char *name, int flags, ...)
{
	return ((flags & O_ACCMODE) == O_RDONLY && !fault.die_at) || !fails() ? openat(dir, name, flags, 0600) : -1;
}

#define write(fd, p, n)      faulty_write(fd, p, n)
#define openat(...)          faulty_openat(__VA_ARGS__, 0)
#define fsync(fd)            (fails() ? -1 : fsync(fd))
#define fdatasync(fd)        (fails() ? -1 : fdatasync(fd))
#define renameat(a, b, c, d) (fails() ? -1 : renameat(a, b, c, d))
#define unlinkat(a, b, c)    (fails() ? -1 : unlinkat(a, b, c))
#define ftruncate(fd, n)     (fails() ? -1 : ftruncate(fd, n))
#include "../../sensor/spool_segment.c"
#include "../../sensor/spool.c"
#undef write
#undef openat
#undef fsync
#undef fdatasync
#undef renameat
#undef unlinkat
#undef ftruncate

#define SECOND 1000000LL

static char dir[64];

static struct spool_conf conf_small(void)
{
	return (struct spool_conf){.dir = dir,
				   .bytes_max = 64 << 20,
				   .horizon_us = 600 * SECOND,
				   .horizon_bytes = 64 << 20,
				   .fsync = SPOOL_FSYNC_BATCH};
}

static void wipe(void)
{
	DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d));)
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

static int setup(void **state)
{
	(void)state;
	const char *tmp = getenv("TMPDIR");
	snprintf(dir, sizeof(dir), "%s/picket-spool-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	memset(&fault, 0, sizeof(fault));
	log_open("test_spool", LOG_LEVEL_ERROR);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	wipe();
	rmdir(dir);
	return 0;
}

static void crash(struct spool *s) /* what waits in memory is gone */
{
	s->waiting.n = 0;
	spool_free(s);
}

static struct spool *must_open(const struct spool_conf *c)
{
	struct err e = {""};
	struct spool *s = spool_open(c, &e);
	if (!s)
		fail_msg("%s", e.text);
	return s;
}

/* A record that stands for n alerts; id makes it known again, size makes it long. */
static size_t make_record(uint8_t *out, uint32_t id, uint32_t n, size_t size)
{
	struct buf b = {0};
	char json[2048];
	struct record r = {.kind = RECORD_ALERT, .n = n};
	memset(json, 'x', sizeof(json));
	memcpy(r.key, &id, sizeof(id));
	r.field[FIELD_JSON] = (struct bytes){(const uint8_t *)json, size};
	record_write(&b, &r);
	size_t len = b.n;
	memcpy(out, b.p, len);
	buf_free(&b);
	return len;
}

static void append(struct spool *s, uint32_t id, uint32_t n, size_t size)
{
	uint8_t record[4096];
	assert_true(spool_append(s, record, make_record(record, id, n, size)));
}

/* ---- a collector's view ---- */

#define IDS_MAX 200000

struct seen {
	uint8_t times[IDS_MAX]; /* how often each id was applied */
	uint64_t lost, records, fillers;
	uint64_t epoch, mark; /* the mark moves with what was applied, as in the collector's script */
};

/* Reads from..ready and applies; stops after `limit` numbers. Returns the last number. */
static uint64_t drain(struct spool *s, struct seen *seen, uint64_t from, uint64_t limit)
{
	struct buf b = {0};
	while (limit && from <= spool_ready(s)) {
		b.n = 0;
		uint32_t n = spool_read(s, from, 5000, &b);
		assert_true(n > 0);
		struct cursor c = cursor_over(b.p, b.n);
		for (uint32_t i = 0; i < n; i++) {
			struct record r;
			uint32_t id;
			struct bytes p = cursor_bytes(&c, cursor_u32(&c));
			assert_true(cursor_ok(&c));
			if (!limit)
				continue;
			limit--;
			seen->mark = from++;
			if (!p.n) {
				seen->fillers++;
				continue;
			}
			assert_true(record_read(p.p, p.n, &r));
			if (r.kind == RECORD_LOSS) {
				seen->lost += r.n;
				continue;
			}
			memcpy(&id, r.key, sizeof(id));
			assert_true(id < IDS_MAX);
			seen->times[id]++;
			seen->records++;
		}
		assert_int_equal(cursor_left(&c), 0);
	}
	buf_free(&b);
	return from - 1;
}

/* ---- cases ---- */

static void test_append_read_reopen(void **state)
{
	(void)state;
	struct spool_conf c = conf_small();
	struct spool *s = must_open(&c);
	uint64_t epoch = spool_epoch(s);
	struct seen *seen = calloc(1, sizeof(*seen));
	for (uint32_t i = 0; i < 1000; i++)
		append(s, i, 1, 100);
	assert_int_equal(spool_ready(s), 0); /* not before the sync */
	assert_true(spool_commit(s, SECOND));
	assert_int_equal(spool_ready(s), 1000);
	assert_int_equal(spool_welcome(s, 0, 0, SECOND), SPOOL_RESUME);
	spool_close(s);
	s = must_open(&c);
	assert_int_equal(spool_epoch(s), epoch);
	assert_int_equal(spool_welcome(s, 400, 400, SECOND), SPOOL_RESUME);
	assert_int_equal(drain(s, seen, 401, UINT64_MAX), 1000);
	assert_int_equal(seen->records, 600);
	assert_int_equal(seen->times[399], 0);
	assert_int_equal(seen->times[400], 1);
	spool_close(s);
	free(seen);
}

static void test_two_sensors_cannot_share(void **state)
{
	(void)state;
	struct spool_conf c = conf_small();
	struct spool *s = must_open(&c);
	struct err e;
	assert_null(spool_open(&c, &e));
	assert_non_null(strstr(e.text, "in use by another sensor"));
	spool_close(s);
	c.dir = "/nonexistent/spool";
	assert_null(spool_open(&c, &e));
	assert_non_null(strstr(e.text, "/nonexistent/spool"));
}

static off_t newest_file(char path[static 128])
{
	struct dirent **names;
	struct stat st = {0};
	int n = scandir(dir, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		if (strstr(names[i]->d_name, ".seg"))
			snprintf(path, 128, "%s/%.60s", dir, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void test_torn_tail_at_every_byte(void **state)
{
	(void)state;
	struct spool_conf c = conf_small();
	char path[128];
	struct seen *seen = calloc(1, sizeof(*seen));
	struct spool *s = must_open(&c);
	spool_welcome(s, 0, 0, SECOND);
	for (uint32_t i = 0; i < 6; i++)
		append(s, i, 1, 10);
	spool_commit(s, SECOND);
	spool_close(s);
	off_t size = newest_file(path), each = (size - SEGMENT_HEADER) / 6;
	for (off_t cut = size; cut >= SEGMENT_HEADER; cut--) {
		assert_int_equal(truncate(path, cut), 0);
		s = must_open(&c);
		uint64_t left = (uint64_t)(cut - SEGMENT_HEADER) / (uint64_t)each;
		memset(seen, 0, sizeof(*seen));
		assert_int_equal(spool_welcome(s, 0, 0, SECOND), SPOOL_RESUME);
		assert_int_equal(drain(s, seen, 1, UINT64_MAX), left);
		assert_int_equal(seen->records, left);
		crash(s);
		newest_file(path);
		if (strstr(path, "00001.seg") == NULL)
			unlink(path); /* the empty one that the agreement began */
		newest_file(path);
	}
	free(seen);
}

/* Each byte of the file is flipped once: it opens, nothing wrong is read, and
 * what is gone is told. */
static void test_every_flipped_byte(void **state)
{
	(void)state;
	struct spool_conf c = conf_small();
	char path[128];
	struct seen *seen = calloc(1, sizeof(*seen));
	struct spool *s = must_open(&c);
	for (uint32_t i = 0; i < 5; i++)
		append(s, i, 1, 10);
	spool_commit(s, SECOND);
	spool_close(s);
	off_t size = newest_file(path);
	uint8_t *whole = malloc((size_t)size);
	int fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, whole, (size_t)size, 0), size);
	for (off_t at = 0; at < size; at++) {
		uint8_t bad = (uint8_t)(whole[at] ^ 0x40);
		assert_int_equal(pwrite(fd, whole, (size_t)size, 0), size);
		assert_int_equal(pwrite(fd, &bad, 1, at), 1);
		memset(seen, 0, sizeof(*seen));
		s = must_open(&c);
		uint64_t tail = drain(s, seen, 1, UINT64_MAX);
		assert_int_equal(tail, s->tail);
		assert_int_equal(seen->records + seen->lost, tail);
		if (at >= SEGMENT_HEADER)
			assert_true(seen->records < 5);
		else if (at != 8 + 0 && !(at >= 8 && at < 16))
			assert_int_equal(seen->records, 5);
		crash(s);
	}
	close(fd);
	free(whole);
	free(seen);
}

static void test_damaged_and_missing_middle(void **state)
{
	(void)state;
	for (int how = 0; how < 3; how++) {
		wipe();
		struct spool_conf c = conf_small();
		struct seen *seen = calloc(1, sizeof(*seen));
		for (uint32_t part = 0; part < 3; part++) {
			struct spool *s = must_open(&c);
			for (uint32_t i = 0; i < 100; i++)
				append(s, part * 100 + i, 1, 50);
			spool_close(s);
		}
		char path[128];
		snprintf(path, sizeof(path), "%s/%020d.seg", dir, 101);
		if (how == 0)
			assert_int_equal(unlink(path), 0);
		else if (how == 1)
			assert_int_equal(truncate(path, 3000), 0);
		else
			assert_int_equal(truncate(path, 0), 0);
		for (int again = 0; again < 2; again++) { /* the second time from the hole on disk */
			struct spool *s = must_open(&c);
			memset(seen, 0, sizeof(*seen));
			assert_int_equal(drain(s, seen, 1, UINT64_MAX), 300);
			assert_int_equal(seen->records + seen->lost, 300);
			assert_int_equal(seen->times[99] + seen->times[200] + seen->times[299], 3);
			assert_true(how == 1 ? seen->lost > 0 && seen->lost < 100 : seen->lost == 100);
			crash(s);
		}
		free(seen);
	}
}

/* Segments of which a part cannot be read when the bound is reached: all that was written is
 * applied, acknowledged or told as lost, once. */
static void test_bound_meets_damage(void **state)
{
	(void)state;
	static const struct {
		const char *label;
		uint64_t acked;
		int of;       /* the first number of the segment that is damaged */
		int left;     /* bytes of it */
		bool drained; /* before the bound is reached */
	} cases[] = {
	    {"nothing left of one, found when it is read", 0, 101, SEGMENT_HEADER, true},
	    {"nothing left of one, found when it is dropped", 0, 101, SEGMENT_HEADER, false},
	    {"the oldest breaks off behind what is acknowledged", 50, 1, 0, false},
	};
	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		wipe();
		struct spool_conf c = conf_small();
		c.bytes_max = 1 << 20;
		struct seen *seen = calloc(1, sizeof(*seen));
		char path[128];
		snprintf(path, sizeof(path), "%s/%020d.seg", dir, cases[k].of);
		for (uint32_t part = 0; part < 3; part++) {
			struct spool *s = must_open(&c);
			spool_welcome(s, 0, 0, SECOND);
			for (uint32_t i = 0; i < 100; i++)
				append(s, part * 100 + i, 1, 100);
			spool_close(s);
		}
		struct stat st;
		assert_int_equal(stat(path, &st), 0);
		alarm(20); /* what is dropped must come to an end */
		struct spool *s = NULL;
		if (!cases[k].left) {
			s = must_open(&c);
			assert_int_equal(spool_welcome(s, cases[k].acked, cases[k].acked, SECOND), SPOOL_RESUME);
			assert_int_equal(truncate(path, SEGMENT_HEADER + (st.st_size - SEGMENT_HEADER) / 2), 0);
		} else {
			assert_int_equal(truncate(path, cases[k].left), 0);
			s = must_open(&c);
			assert_int_equal(spool_welcome(s, 0, 0, SECOND), SPOOL_RESUME);
		}
		if (cases[k].drained)
			assert_int_equal(drain(s, seen, 1, UINT64_MAX), 300);
		for (uint32_t i = 300; i < 2000; i++) {
			append(s, i, 1, 1000);
			if (i % 10 == 0)
				spool_commit(s, SECOND);
		}
		spool_commit(s, SECOND);
		crash(s);
		s = must_open(&c);
		assert_int_equal(spool_welcome(s, cases[k].acked, cases[k].acked, SECOND), SPOOL_RESUME);
		memset(seen, 0, sizeof(*seen));
		drain(s, seen, cases[k].acked + 1, UINT64_MAX);
		alarm(0);
		if (cases[k].acked + seen->records + seen->lost != 2000)
			fail_msg("%s: %lu applied, %lu lost", cases[k].label, (unsigned long)seen->records,
				 (unsigned long)seen->lost);
		for (size_t i = 1; i < s->n; i++)
			assert_true(s->seg[i - 1].first < s->seg[i].first);
		spool_close(s);
		free(seen);
	}
}

static void test_bound_tells_what_it_dropped(void **state)
{
	(void)state;
	struct spool_conf c = conf_small();
	c.bytes_max = 1 << 20;
	struct seen *seen = calloc(1, sizeof(*seen));
	struct spool *s = must_open(&c);
	spool_welcome(s, 0, 0, SECOND);
	uint64_t truth = 0;
	for (uint32_t i = 0; i < 5000; i++) {
		append(s, i, 1 + i % 7, 1000);
		truth += 1 + i % 7;
		if (i == 500)
			spool_ack(s, 30, SECOND); /* within a segment */
		if (i % 10 == 0)
			spool_commit(s, SECOND);
	}
	spool_commit(s, SECOND);
	struct spool_stats st;
	spool_stats(s, &st);
	assert_true(st.bytes <= (1 << 20) + (128 << 10));
	assert_true(st.lost > 0);
	spool_close(s);
	s = must_open(&c);
	assert_int_equal(spool_welcome(s, 30, 30, SECOND), SPOOL_RESUME);
	assert_int_equal(drain(s, seen, 31, UINT64_MAX), 5000);
	uint64_t applied = 0;
	for (uint32_t i = 0; i < 5000; i++) {
		assert_true(seen->times[i] <= 1);
		applied += seen->times[i] * (1 + i % 7);
	}
	for (uint32_t i = 0; i < 30; i++)
		applied += 1 + i % 7; /* acknowledged before */
	assert_int_equal(seen->lost, st.lost);
	assert_int_equal(applied + seen->lost, truth);
	spool_close(s);
	free(seen);
}

/* What is on its way when the bound takes its segment arrives; only the rest is lost, and told. */
static void while_sending(bool arrives)
{
	struct spool_conf c = conf_small();
	c.bytes_max = 1 << 20;
	struct seen *seen = calloc(1, sizeof(*seen));
	struct buf sent = {0};
	struct spool *s = must_open(&c);
	spool_welcome(s, 0, 0, SECOND);
	for (uint32_t i = 0; i < 200; i++)
		append(s, i, 3, 1000);
	spool_commit(s, SECOND);
	uint32_t under_way = spool_read(s, 1, 30000, &sent);
	assert_in_range(under_way, 10, 60);
	for (uint32_t i = 200; i < 5000; i++) {
		append(s, i, 3, 1000);
		if (i % 10 == 0)
			spool_commit(s, SECOND);
	}
	spool_commit(s, SECOND);
	if (arrives)
		spool_ack(s, under_way, SECOND);
	else
		spool_reread(s);
	assert_int_equal(drain(s, seen, arrives ? under_way + 1 : 1, UINT64_MAX), 5000);
	/* Of what did not arrive and is not here any more only the numbers are known. */
	uint64_t counted = seen->lost + under_way * (arrives ? 3 : 2);
	for (uint32_t i = 0; i < 5000; i++)
		counted += 3 * seen->times[i];
	assert_true(seen->lost > 0);
	assert_int_equal(counted, 15000);
	spool_close(s);
	buf_free(&sent);
	free(seen);
}

static void test_bound_while_sending(void **state)
{
	(void)state;
	while_sending(true);
}

static void test_bound_before_a_new_connection(void **state)
{
	(void)state;
	while_sending(false);
}

/* A record that no frame could carry must not go unnoticed. */
static void test_too_long_is_told(void **state)
{
	(void)state;
	struct spool_conf c = conf_small();
	struct seen *seen = calloc(1, sizeof(*seen));
	uint8_t *record = calloc(1, SPOOL_RECORD_MAX + 1);
	struct spool *s = must_open(&c);
	spool_welcome(s, 0, 0, SECOND);
	append(s, 1, 1, 100);
	make_record(record, 2, 41, 100); /* then zeros */
	assert_false(spool_append(s, record, SPOOL_RECORD_MAX + 1));
	append(s, 3, 1, 100);
	spool_commit(s, SECOND);
	assert_int_equal(drain(s, seen, 1, UINT64_MAX), 3);
	assert_int_equal(seen->lost, 41);
	assert_int_equal(seen->times[1] + seen->times[3], 2);
	spool_close(s);
	free(record);
	free(seen);
}

static void test_horizon_heals_and_ends(void **state)
{
	(void)state;
	struct spool_conf c = conf_small();
	c.bytes_max = 2 << 20;
	c.horizon_us = 10 * SECOND;
	struct seen *seen = calloc(1, sizeof(*seen));
	struct spool *s = must_open(&c);
	spool_welcome(s, 0, 0, SECOND);
	for (uint32_t i = 0; i < 1000; i++) {
		append(s, i, 1, 1000);
		spool_commit(s, SECOND);
	}
	spool_ack(s, 1000, SECOND);
	spool_commit(s, 5 * SECOND);
	assert_int_equal(spool_welcome(s, 200, 200, 5 * SECOND), SPOOL_RESUME); /* Redis went back */
	assert_int_equal(drain(s, seen, 201, UINT64_MAX), 1000);
	assert_int_equal(seen->records, 800);
	assert_int_equal(seen->lost, 0);
	spool_ack(s, 1000, 6 * SECOND);
	spool_commit(s, 30 * SECOND);
	struct spool_stats st;
	spool_stats(s, &st);
	assert_true(st.bytes < 200 << 10);
	assert_int_equal(spool_welcome(s, 200, 200, 31 * SECOND), SPOOL_RESUME); /* too late: told */
	memset(seen, 0, sizeof(*seen));
	assert_int_equal(drain(s, seen, 201, UINT64_MAX), 1000);
	assert_int_equal(seen->records + seen->lost, 800);
	assert_true(seen->lost > 0 && seen->fillers == seen->lost - 1);
	spool_close(s);
	free(seen);
}

static void test_lost_tail_gets_a_new_epoch(void **state)
{
	(void)state;
	struct spool_conf c = conf_small();
	struct seen *seen = calloc(1, sizeof(*seen));
	char path[128];
	struct spool *s = must_open(&c);
	spool_welcome(s, 0, 0, SECOND);
	for (uint32_t i = 0; i < 10; i++)
		append(s, i, 1, 100);
	spool_commit(s, SECOND);
	uint64_t epoch = spool_epoch(s);
	crash(s);
	assert_int_equal(truncate(path, newest_file(path) - 500), 0); /* the power failed; the collector has all 10 */
	for (uint32_t run = 0; run < 3; run++) {                      /* and the sensor dies twice before it learns */
		s = must_open(&c);
		append(s, 100 + run * 2, 1, 100);
		append(s, 101 + run * 2, 1, 100);
		spool_commit(s, SECOND);
		if (run < 2)
			crash(s);
	}
	assert_int_equal(spool_welcome(s, 10, 10, SECOND), SPOOL_RENEWED);
	assert_int_not_equal(spool_epoch(s), epoch);
	assert_int_equal(spool_welcome(s, 0, 0, SECOND), SPOOL_RESUME);
	assert_int_equal(drain(s, seen, 1, UINT64_MAX), 6);
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(seen->times[100 + i], 1);
	epoch = spool_epoch(s);
	crash(s);
	s = must_open(&c);
	assert_int_equal(spool_epoch(s), epoch);
	assert_int_equal(spool_welcome(s, 6, 6, SECOND), SPOOL_RESUME);
	crash(s);
	wipe();
	s = must_open(&c); /* all of it is gone */
	assert_int_not_equal(spool_epoch(s), epoch);
	crash(s);
	snprintf(path, sizeof(path), "%s/epoch", dir);
	free(seen);
}

/* A collector died in the middle of a flush (groups ahead of the mark), and the
 * power took the end of our spool: numbers that were used must not come again,
 * although the mark is below what we still have. */
static void test_lost_tail_half_counted(void **state)
{
	(void)state;
	struct spool_conf c = conf_small();
	struct seen *seen = calloc(1, sizeof(*seen));
	struct spool *s = must_open(&c);
	spool_welcome(s, 0, 0, SECOND);
	for (uint32_t i = 1; i <= 60; i++)
		append(s, i, 1, 100);
	spool_close(s);
	s = must_open(&c);
	for (uint32_t i = 61; i <= 70; i++)
		append(s, i, 1, 100);
	spool_commit(s, SECOND);
	uint64_t before = spool_epoch(s);
	assert_int_equal(spool_welcome(s, 50, 100, SECOND), SPOOL_RESUME);
	assert_int_equal(drain(s, seen, 51, UINT64_MAX), 60);
	spool_ack(s, 59, SECOND);
	assert_false(spool_again(s));
	spool_ack(s, 60, SECOND);
	assert_true(spool_again(s));
	assert_int_equal(spool_welcome(s, 60, 100, SECOND), SPOOL_RENEWED);
	assert_int_not_equal(spool_epoch(s), before);
	assert_int_equal(spool_welcome(s, 0, 0, SECOND), SPOOL_RESUME);
	assert_int_equal(drain(s, seen, 1, UINT64_MAX), 10);
	for (uint32_t i = 51; i <= 70; i++)
		assert_int_equal(seen->times[i], 1);
	spool_close(s);
	free(seen);
}

static void test_epoch_file_lost_or_rubbish(void **state)
{
	(void)state;
	struct spool_conf c = conf_small();
	char path[128];
	struct spool *s = must_open(&c);
	uint64_t epoch = spool_epoch(s);
	append(s, 1, 1, 10);
	spool_close(s);
	snprintf(path, sizeof(path), "%s/epoch", dir);
	for (int how = 0; how < 2; how++) {
		if (how == 0)
			unlink(path);
		else
			assert_int_equal(truncate(path, 3), 0);
		s = must_open(&c);
		assert_int_equal(spool_epoch(s), epoch);
		assert_int_equal(s->tail, 1);
		spool_close(s);
	}
}

static void test_full_disk_flows_from_memory(void **state)
{
	(void)state;
	struct spool_conf c = conf_small();
	struct seen *seen = calloc(1, sizeof(*seen));
	struct spool *s = must_open(&c);
	spool_welcome(s, 0, 0, SECOND);
	uint32_t id = 0;
	for (; id < 100; id++)
		append(s, id, 1, 100);
	assert_true(spool_commit(s, SECOND));
	fault.error = ENOSPC;
	fault.fail_from = fault.calls + 1;
	fault.fail_to = LONG_MAX;
	uint64_t at = 1;
	for (; id < 400; id++) {
		append(s, id, 1, 100);
		assert_false(spool_commit(s, (10 + id) * 2 * SECOND));
		at = drain(s, seen, at, UINT64_MAX) + 1;
		assert_int_equal(at, id + 2);
		if (id % 3 == 0)
			spool_ack(s, at - 1, SECOND);
	}
	uint64_t lost = 0; /* nobody acknowledges any more: the memory fills */
	uint8_t record[4096];
	for (; id < 20000; id++)
		lost += !spool_append(s, record, make_record(record, id, 1, 2000));
	assert_true(lost > 0);
	fault.fail_to = 0;
	assert_true(spool_commit(s, 5000 * SECOND));
	spool_commit(s, 5001 * SECOND);
	at = drain(s, seen, at, UINT64_MAX) + 1;
	assert_int_equal(seen->lost, lost);
	assert_int_equal(seen->records + seen->lost, 20000);
	spool_close(s);
	s = must_open(&c);
	assert_int_equal(spool_welcome(s, at - 1, at - 1, SECOND), SPOOL_RESUME);
	spool_close(s);
	free(seen);
}

/* One session: WELCOME with the mark of this epoch, then up to `limit` numbers. */
static void session(struct spool *s, struct seen *seen, uint64_t limit, int64_t now)
{
	for (int hello = 0; hello < 2; hello++) {
		if (seen->epoch != spool_epoch(s))
			seen->mark = 0;
		seen->epoch = spool_epoch(s);
		enum spool_welcome w = spool_welcome(s, seen->mark, seen->mark, now);
		if (w == SPOOL_RESUME)
			drain(s, seen, seen->mark + 1, limit);
		if (w != SPOOL_RENEWED)
			return;
	}
	fail_msg("a new epoch was renewed at once");
}

struct life {
	struct seen seen;
	uint32_t id;
};

/* One life of a sensor, always the same: for the tests that fail and kill at call k. */
static void one_life(struct spool_conf *c, struct life *l)
{
	struct err e;
	struct spool *s = spool_open(c, &e);
	if (!s)
		return;
	int64_t now = 100 * SECOND;
	for (int turn = 0; turn < 8; turn++, now += 2 * SECOND) {
		for (int i = 0; i < 40; i++, l->id++)
			append(s, l->id, 1, 1500);
		spool_commit(s, now);
		session(s, &l->seen, 60, now);
		if (turn & 1)
			spool_ack(s, l->seen.mark, now);
	}
	spool_close(s);
}

/* The last life: everything that is left arrives. Returns how many records did not. */
static uint64_t last_life(const struct spool_conf *c, struct life *l, const char *what, long k)
{
	struct spool *s = must_open(c);
	session(s, &l->seen, UINT64_MAX, SECOND);
	spool_close(s);
	uint64_t missing = 0;
	for (uint32_t i = 0; i < l->id; i++) {
		if (l->seen.times[i] > 1)
			fail_msg("%s call %ld: record %u was applied %u times", what, k, i, l->seen.times[i]);
		missing += !l->seen.times[i];
	}
	return missing;
}

static void test_each_call_fails_once(void **state)
{
	(void)state;
	struct spool_conf c = conf_small();
	c.bytes_max = 256 << 10;
	c.horizon_bytes = 64 << 10;
	struct life *l = malloc(sizeof(*l));
	const int errors[] = {ENOSPC, EIO};
	for (long k = 1; k < 400; k++) {
		wipe();
		memset(l, 0, sizeof(*l));
		fault.calls = 0;
		fault.error = errors[k & 1];
		fault.fail_from = k;
		fault.fail_to = k + (k % 3) * 2;
		one_life(&c, l);
		long calls = fault.calls;
		fault.fail_from = fault.fail_to = 0;
		uint64_t missing = last_life(&c, l, "failing", k);
		if (missing > l->seen.lost)
			fail_msg("failing call %ld: %lu lost, %lu told", k, missing, l->seen.lost);
		if (calls < k)
			break;
	}
	free(l);
}

/* The process dies inside call k, a write half done; the next one goes on, and
 * dies there too. */
static void test_killed_at_each_call(void **state)
{
	(void)state;
	struct spool_conf c = conf_small();
	c.bytes_max = 256 << 10;
	c.horizon_bytes = 64 << 10;
	struct life *l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 1;
	for (long k = 1; status && k < 400; k++) {
		wipe();
		memset(l, 0, sizeof(*l));
		for (int life = 0; life < 3; life++) {
			pid_t pid = fork();
			if (pid == 0) {
				fault.calls = 0;
				fault.die_at = k;
				one_life(&c, l);
				_exit(0);
			}
			assert_int_equal(waitpid(pid, &status, 0), pid);
			assert_true(WIFEXITED(status));
		}
		last_life(&c, l, "killed at", k);
	}
	munmap(l, sizeof(*l));
}

static size_t segment_files(void)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, NULL);
	size_t segments = 0;
	for (int i = 0; i < n; i++) {
		segments += strstr(names[i]->d_name, ".seg") != NULL;
		free(names[i]);
	}
	free(names);
	return segments;
}

/* Cuts up to 3,000 bytes off the newest segment; how many records went, at most. */
static uint64_t cut_tail(void)
{
	char path[128];
	if (!segment_files())
		return 0;
	off_t size = newest_file(path), cut = rand() % 3000;
	cut = cut > size - SEGMENT_HEADER ? size - SEGMENT_HEADER : cut;
	if (cut > 0)
		assert_int_equal(truncate(path, size - cut), 0);
	return cut > 0 ? (uint64_t)cut / 50 + 1 : 0;
}

/* Random lives: crashes, torn tails (also of what was synced: a disk that lies),
 * a Redis that goes back, all policies. Nothing is applied twice; what was not
 * cut and did not die in memory is applied or told. */
static void test_random_lives(void **state)
{
	(void)state;
	unsigned seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : (unsigned)time(NULL);
	printf("SEED=%u\n", seed);
	srand(seed);
	struct life *l = malloc(sizeof(*l));
	for (int world = 0; world < 40; world++) {
		wipe();
		memset(l, 0, sizeof(*l));
		struct spool_conf c = conf_small();
		c.fsync = (enum spool_fsync)(rand() % SPOOL_FSYNC_COUNT);
		struct spool *s = must_open(&c);
		uint64_t gone = 0;
		int64_t now = 1;
		for (int step = 0; step < 150; step++, now += 100000) {
			int what = rand() % 6;
			if (what < 3) {
				for (int i = rand() % 50; i > 0; i--)
					append(s, l->id++, 1, (size_t)(rand() % 300));
				if (rand() % 4)
					spool_commit(s, now);
			} else if (what < 5) {
				session(s, &l->seen, (uint64_t)(rand() % 200), now);
				if (rand() % 2)
					spool_ack(s, l->seen.mark, now);
			} else {
				gone += s->tail + 1 - s->waiting_first;
				crash(s);
				gone += rand() % 2 ? cut_tail() : 0;
				s = must_open(&c);
			}
		}
		spool_close(s);
		uint64_t missing = last_life(&c, l, "world", world);
		if (missing > gone + l->seen.lost)
			fail_msg("world %d: %lu missing, %lu explained", world, missing, gone + l->seen.lost);
	}
	free(l);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    CASE(test_append_read_reopen),
	    CASE(test_two_sensors_cannot_share),
	    CASE(test_torn_tail_at_every_byte),
	    CASE(test_every_flipped_byte),
	    CASE(test_damaged_and_missing_middle),
	    CASE(test_bound_meets_damage),
	    CASE(test_bound_while_sending),
	    CASE(test_bound_before_a_new_connection),
	    cmocka_unit_test(test_bound_tells_what_it_dropped),
	    CASE(test_too_long_is_told),
	    CASE(test_horizon_heals_and_ends),
	    CASE(test_lost_tail_gets_a_new_epoch),
	    CASE(test_lost_tail_half_counted),
	    CASE(test_epoch_file_lost_or_rubbish),
	    CASE(test_full_disk_flows_from_memory),
	    CASE(test_each_call_fails_once),
	    CASE(test_killed_at_each_call),
	    CASE(test_random_lives),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
