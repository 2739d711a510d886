/* The workers of a running sensor: a thread each, with an interface that may go
 * away and come back. */
#ifndef SENSOR_LIVE_H
#define SENSOR_LIVE_H

#include "sensor/output.h"
#include "sensor/sensor_conf.h"
#include "sensor/worker.h"

/* Where a worker's alerts go. */
struct producer {
	struct output *output;
	unsigned number;
	const struct alert_origin *origin;
	bool may_wait; /* reading a file: wait for room instead of losing */
};

/* detect_alert_fn over a struct producer: JSON, record, queue. */
bool producer_alert(void *owner, const struct ruleset *r, const struct alert *a, bool repeat);

struct live;

/* Opens every interface (workers times each), without any thread: between the two
 * the process gives its rights up. Says what was decided, a line per capture.
 * NULL: nothing is left open. */
struct live *live_open(const struct sensor_conf *c, const struct worker_conf *base, const struct armed *armed,
		       struct err *e);
/* Starts the threads. False: live_stop() is still due. */
bool live_run(struct live *l, struct output *out, struct err *e);
unsigned live_workers(const struct sensor_conf *c);   /* how many there will be */
unsigned live_producers(const struct sensor_conf *c); /* of alerts: the workers and the heuristics */
unsigned live_captures_up(struct live *l);

/* Hands the set to every worker and waits until none uses the old one. False:
 * after ten seconds one still does, so the old set must stay. */
bool live_arm(struct live *l, const struct armed *next);
void live_ledger(struct live *l, struct ledger *sum);

/* Ends the threads, every flow, the captures; *sum gets the last counters. */
void live_stop(struct live *l, struct ledger *sum);

#endif
