/* What one call of the flush script is given. */
#ifndef COLLECTOR_STORE_FLUSH_H
#define COLLECTOR_STORE_FLUSH_H

#include <stddef.h>
#include <stdint.h>

#include "collector/fold.h"
#include "collector/store.h"
#include "collector/store_script.h"
#include "common/buf.h"

#define FLUSH_CALL_DELTAS 250 /* at most; how many a call takes is measured (collector/store.c) */
#define FLUSH_ARGS_MAX    (3 + 1 + FLUSH_HEAD_ARGS + FLUSH_CALL_DELTAS * FLUSH_DELTA_ARGS)

struct flush_args {
	const char *argv[FLUSH_ARGS_MAX];
	size_t len[FLUSH_ARGS_MAX], argc;
	struct buf scratch;
	int64_t stale_us; /* events before this are old news */
};

struct flush_head {
	const struct store_conf *conf;
	const char *sha, *marks_prefix; /* where the marks stand */
	const char *prefix, *sensor;    /* where the groups go */
	uint64_t epoch;
	unsigned first_lane, lanes;      /* of the partition */
	const struct marks *prev, *next; /* its marks before and after the call */
};

void flush_args_begin(struct flush_args *a, const struct flush_head *h);
void flush_args_delta(struct flush_args *a, const struct fold *f, const struct delta *d);
uint64_t flush_low(const struct flush_head *h); /* the lowest mark after the call */
void flush_args_free(struct flush_args *a);

#endif
