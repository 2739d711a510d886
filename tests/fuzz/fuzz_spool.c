/* A spool folder that somebody damaged: up to three segment files and the epoch
 * file from the input. It must open, read, take an alert and close; every number
 * up to the tail must be answered, unless the disk refuses just then. Input: u16 length
 * and bytes, four times; then steps (enum step), each a byte and what it needs.
 * For: sensor/spool.c sensor/spool_segment.c */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/cursor.h"
#include "common/log.h"
#include "sensor/spool.h"

#define NUMBERS_MAX 5000 /* a hole may claim 2^64 */
#define STEPS_MAX   200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const names[] = {"epoch", "00000000000000000001.seg", "00000000000000000003.seg",
				    "00000000000000000009.seg.new"};

static void write_files(const char *dir, struct cursor *c)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char path[128];
		struct bytes b = cursor_bytes(c, cursor_u16(c));
		if (!cursor_ok(c))
			return;
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		FILE *f = fopen(path, "wb");
		if (!f)
			abort();
		fwrite(b.p, 1, b.n, f);
		fclose(f);
	}
}

/* The numbers from `from` on; gives how many came. */
static uint32_t read_some(struct spool *s, uint64_t from, size_t max_bytes)
{
	struct buf b = {0};
	uint32_t n = spool_read(s, from, max_bytes, &b);
	struct cursor c = cursor_over(b.p, b.n);
	for (uint32_t i = 0; i < n; i++)
		cursor_skip(&c, cursor_u32(&c));
	if (!cursor_ok(&c) || cursor_left(&c))
		abort();
	buf_free(&b);
	return n;
}

static void read_all(struct spool *s)
{
	for (uint64_t from = 1, n; from <= spool_ready(s) && from < NUMBERS_MAX; from += n)
		if (!(n = read_some(s, from, 4096)))
			abort();
}

static void remove_folder(const char *dir)
{
	DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d));)
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(dir);
}

/* ---- steps ---- */

enum step {
	APPEND = 0, /* u8 alerts, u8 length in units of 300 bytes */
	COMMIT,     /* u8 tenths of a second since the last one */
	READ,       /* u8 numbers back from the end, u8 length in units of 100 bytes */
	ACK,        /* u8 back from the newest */
	WELCOME,    /* u8 mark and u8 highest, both ahead of or behind the newest */
	AGAIN,      /* closed and opened */
	MISSED,     /* u8 alerts */
	DAMAGE,     /* u8 file, u16 place from its end, u8 what stands there then; 0 at place 0: removed */
	FULL,       /* u8: files cannot grow beyond 4096 times that */
	REFUSED,    /* no file can be opened */
	HEALED,
	SECOND, /* another sensor wants the folder */
	STEP_COUNT
};

static void limit(int what, rlim_t to)
{
	struct rlimit l;
	if (getrlimit((__rlimit_resource_t)what, &l) == 0) {
		l.rlim_cur = to < l.rlim_max ? to : l.rlim_max;
		setrlimit((__rlimit_resource_t)what, &l);
	}
}

static void heal(void)
{
	limit(RLIMIT_FSIZE, RLIM_INFINITY);
	limit(RLIMIT_NOFILE, 256);
}

static void append(struct spool *s, uint8_t alerts, uint8_t units)
{
	static uint8_t record[256 * 300] = {1};
	record[7] = alerts;
	spool_append(s, record, units * 300u);
}

static void damage(const char *dir, uint8_t which, uint16_t place, uint8_t value)
{
	struct dirent **file;
	char path[400];
	int n = scandir(dir, &file, NULL, alphasort);
	if (n > 2) { /* behind . and .. */
		snprintf(path, sizeof(path), "%s/%s", dir, file[2 + which % (n - 2)]->d_name);
		int fd = open(path, O_RDWR | O_CLOEXEC);
		off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
		if (!place && !value)
			unlink(path);
		else if (fd >= 0 && value == 1)
			size = ftruncate(fd, place < size ? size - place : 0);
		else if (fd >= 0 && place <= size)
			size = pwrite(fd, &value, 1, size - place);
		if (fd >= 0)
			close(fd);
	}
	for (int i = 0; i < n; i++)
		free(file[i]);
	if (n >= 0)
		free(file);
}

static struct spool *open_again(struct spool *s, const struct spool_conf *conf)
{
	struct err e;
	heal();
	spool_close(s);
	s = spool_open(conf, &e);
	if (!s)
		abort();
	return s;
}

static uint64_t back(uint64_t from, uint8_t by)
{
	return from > by ? from - by : 0;
}

static uint64_t about(uint64_t from, uint8_t by)
{
	return by & 0x80 ? from + (by & 0x7f) : back(from, by);
}

static struct spool *step(struct spool *s, const struct spool_conf *conf, struct cursor *c, int64_t *now_us)
{
	enum step what = cursor_u8(c) % STEP_COUNT;
	uint8_t x = cursor_u8(c), y = what == APPEND || what == READ || what == WELCOME ? cursor_u8(c) : 0;
	struct spool_stats before;
	spool_stats(s, &before);
	switch (what) {
	case APPEND:
		append(s, x, y);
		break;
	case COMMIT:
		*now_us += x * INT64_C(100000);
		spool_commit(s, *now_us);
		break;
	case READ:
		read_some(s, back(before.tail, x) + 1, y * 100u);
		break;
	case ACK:
		spool_ack(s, back(before.tail, x), *now_us);
		break;
	case WELCOME:
		spool_welcome(s, about(before.tail, x), about(before.tail, y), *now_us);
		if (spool_again(s) && spool_epoch(s) == 0)
			abort();
		break;
	case AGAIN:
		return open_again(s, conf);
	case MISSED:
		spool_missed(s, x, "the queue was full");
		break;
	case DAMAGE:
		damage(conf->dir, x, cursor_u16(c), cursor_u8(c));
		break;
	case FULL:
		limit(RLIMIT_FSIZE, x * 4096u);
		break;
	case REFUSED:
		limit(RLIMIT_NOFILE, 0);
		break;
	case HEALED:
		heal();
		break;
	default:
		if (spool_open(conf, &(struct err){.text = ""}))
			abort();
	}
	return s;
}

static void live(struct spool_conf *conf, struct cursor c, uint8_t choice)
{
	int64_t now_us = INT64_C(1) << 50;
	struct err e;
	conf->fsync = choice % SPOOL_FSYNC_COUNT;
	conf->bytes_max = choice & 4 ? 1 << 20 : 150000;
	conf->horizon_bytes = choice & 8 ? 1 << 19 : 0;
	struct spool *s = spool_open(conf, &e);
	if (!s)
		abort();
	for (int i = 0; i < STEPS_MAX && cursor_left(&c); i++)
		s = step(s, conf, &c, &now_us);
	heal();
	spool_commit(s, now_us + 2000000);
	spool_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char dir[64] = "/dev/shm/picket-fuzz-spool-XXXXXX";
	struct cursor c = cursor_over(data, n);
	log_open("fuzz_spool", LOG_LEVEL_ERROR);
	signal(SIGXFSZ, SIG_IGN);
	if (n > 1 << 16 || !mkdtemp(dir))
		return 0;
	write_files(dir, &c);
	struct spool_conf conf = {.dir = dir,
				  .bytes_max = 1 << 20,
				  .horizon_us = 1000000,
				  .horizon_bytes = 1 << 19,
				  .fsync = SPOOL_FSYNC_NONE};
	for (int life = 0; life < 2; life++) {
		struct spool *s = spool_open(&conf, NULL);
		if (!s)
			abort();
		read_all(s);
		spool_append(s, "one alert", 9);
		spool_commit(s, 1);
		if (spool_welcome(s, data && n ? data[n - 1] : 0, data && n ? data[n - 1] : 0, 2) == SPOOL_RESUME)
			read_all(s);
		spool_ack(s, 3, 3);
		spool_close(s);
	}
	if (cursor_ok(&c) && cursor_left(&c) > 1)
		live(&conf, c, data[n - 1]);
	remove_folder(dir);
	return 0;
}
