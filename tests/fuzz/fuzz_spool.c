/* A spool folder that somebody damaged: up to three segment files and the epoch
 * file from the input. It must open, read, take an alert and close; every number
 * up to the tail must be answered. Input: u16 length and bytes, four times.
 * For: sensor/spool.c sensor/spool_segment.c */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cursor.h"
#include "common/log.h"
#include "sensor/spool.h"

#define NUMBERS_MAX 5000 /* a hole may claim 2^64 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const names[] = {"epoch", "00000000000000000001.seg", "00000000000000000003.seg",
				    "00000000000000000009.seg.new"};

static void write_files(const char *dir, struct cursor c)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char path[128];
		struct bytes b = cursor_bytes(&c, cursor_u16(&c));
		if (!cursor_ok(&c))
			return;
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		FILE *f = fopen(path, "wb");
		if (!f)
			abort();
		fwrite(b.p, 1, b.n, f);
		fclose(f);
	}
}

static void read_all(struct spool *s)
{
	struct buf b = {0};
	uint64_t from = 1;
	for (int turns = 0; from <= spool_ready(s) && from < NUMBERS_MAX; turns++) {
		uint32_t n = spool_read(s, from, 4096, &b);
		struct cursor c = cursor_over(b.p, b.n);
		for (uint32_t i = 0; i < n; i++)
			cursor_skip(&c, cursor_u32(&c));
		if (!n || !cursor_ok(&c) || cursor_left(&c))
			abort();
		from += n;
		b.n = 0;
	}
	buf_free(&b);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char dir[64] = "/dev/shm/picket-fuzz-spool-XXXXXX";
	log_open("fuzz_spool", LOG_LEVEL_ERROR);
	if (n > 1 << 16 || !mkdtemp(dir))
		return 0;
	write_files(dir, cursor_over(data, n));
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
	remove_folder(dir);
	return 0;
}
