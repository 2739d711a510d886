/* A spool whose calls fail (tests/hostile/fail.py):
 *
 *   spool_calls FOLDER write   appends RECORDS records in batches, and says of each
 *                              batch that was committed up to which number it went
 *   spool_calls FOLDER check N opens it without failures: every number up to N must be
 *                              answered, with the record that was appended under it, or
 *                              by a record that counts it as lost
 *
 * Record number k says so in its text, so what is read is known. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "common/exits.h"
#include "sensor/spool.h"

enum { RECORDS = 60, BATCH = 6 };

static void record(uint64_t k, char out[static 64])
{
	snprintf(out, 64, "record %" PRIu64 " of a spool whose disk fails", k);
}

static int append_all(struct spool *s)
{
	char text[64];
	for (uint64_t k = 1; k <= RECORDS; k++) {
		record(k, text);
		if (!spool_append(s, text, strlen(text)))
			printf("refused %" PRIu64 "\n", k);
		if (k % BATCH == 0 && spool_commit(s, (int64_t)k * 2000000))
			printf("committed %" PRIu64 "\n", spool_ready(s));
	}
	spool_close(s);
	return EXIT_OK;
}

/* Is it what was appended under this number? A loss record (rules/alert.h) is told by its kind. */
static bool right(struct bytes b, uint64_t k)
{
	char text[64];
	record(k, text);
	return (b.n == strlen(text) && memcmp(b.p, text, b.n) == 0) || b.n == 0 ||
	       memcmp(b.p, "record", 6 < b.n ? 6 : b.n) != 0;
}

static int check(struct spool *s, uint64_t committed)
{
	struct buf b = {0};
	uint64_t from = 1;
	int code = EXIT_OK;
	while (from <= spool_ready(s) && code == EXIT_OK) {
		uint32_t n = spool_read(s, from, 4096, &b);
		struct cursor c = cursor_over(b.p, b.n);
		for (uint32_t i = 0; i < n && code == EXIT_OK; i++) {
			struct bytes r = cursor_bytes(&c, cursor_u32(&c));
			if (!cursor_ok(&c) || !right(r, from + i)) {
				fprintf(stderr, "number %" PRIu64 " is not what was appended\n", from + i);
				code = EXIT_FINDINGS;
			}
		}
		if (!n)
			code = EXIT_FINDINGS;
		from += n;
		b.n = 0;
	}
	if (from <= committed) {
		fprintf(stderr, "%" PRIu64 " were committed, %" PRIu64 " are there\n", committed, from - 1);
		code = EXIT_FINDINGS;
	}
	buf_free(&b);
	spool_close(s);
	return code;
}

int main(int argc, char **argv)
{
	struct err e = {""};
	if (argc < 3)
		return EXIT_USAGE;
	const struct spool_conf conf = {.dir = argv[1],
					.bytes_max = 1 << 20,
					.horizon_us = 1000000,
					.horizon_bytes = 1 << 20,
					.fsync = SPOOL_FSYNC_BATCH};
	struct spool *s = spool_open(&conf, &e);
	if (!s) {
		fprintf(stderr, "%s\n", e.text);
		return EXIT_ENVIRONMENT;
	}
	return argc == 3 ? append_all(s) : check(s, strtoull(argv[3], NULL, 10));
}
