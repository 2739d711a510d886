/* Figures for Prometheus: GET /metrics over HTTP, in its text format (version
 * 0.0.4). The HTTP server's thread only waits: the figures are written by the
 * thread that owns them, so they need no locks.
 *
 * Names: picket_<room>_<what>_<unit>, counters end in _total, units are base units
 * (seconds, bytes). */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

struct metrics;

/* Listens on the address (listen_parse()); metrics_serve() begins to answer, when
 * rights have been given up. render writes the whole text with the
 * functions below, when the owner calls metrics_work(). NULL: e says why. */
struct metrics *metrics_open(const char *address, void (*render)(void *owner, struct buf *out), void *owner,
			     struct err *e);
bool metrics_serve(struct metrics *m, struct err *e); /* m may be NULL */
int metrics_fd(const struct metrics *m);              /* readable when somebody asks */
/* To be called when metrics_fd() is readable. m may be NULL. Who is not served
 * within two seconds gets 503. */
void metrics_work(struct metrics *m);
void metrics_close(struct metrics *m); /* m may be NULL */

/* ---- the text ---- */

enum metric_type { METRIC_COUNTER = 0, METRIC_GAUGE, METRIC_TYPE_COUNT };

/* HELP and TYPE; its samples follow at once. */
void metric_family(struct buf *out, const char *name, enum metric_type type, const char *help);

struct metric_label {
	const char *name, *value; /* the value may be any bytes */
};
void metric_sample(struct buf *out, const char *name, const struct metric_label *labels, size_t n, uint64_t value);
void metric_sample_signed(struct buf *out, const char *name, const struct metric_label *labels, size_t n,
			  int64_t value);
/* Microseconds, written as seconds. */
void metric_sample_us(struct buf *out, const char *name, const struct metric_label *labels, size_t n, int64_t us);

/* A family of one sample without labels. */
void metric_one(struct buf *out, const char *name, enum metric_type type, const char *help, uint64_t value);

/* Whether name is [a-zA-Z_:][a-zA-Z0-9_:]* . */
bool metric_name_valid(const char *name);

#endif
