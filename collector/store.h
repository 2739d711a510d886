/* What the collector keeps, and where: Redis, and nothing else. The store hides
 * which Redis holds a group (one partition, {p0}, on a single Redis), whether it
 * is reachable and how a script is called. Keys: collector/redis-schema.md. */
#ifndef COLLECTOR_STORE_H
#define COLLECTOR_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/fold.h"
#include "collector/marks.h"
#include "collector/store_conf.h"
#include "collector/store_redis.h"
#include "common/err.h"

#define STORE_SCHEMA     "1"
#define STORE_PREFIX     "picket:{p0}:"
#define STORE_EXERCISE   "exercise:" /* behind the prefix: keys of groups that are no real alerts */
#define STORE_FIELDS_MAX 256         /* of one sensor's status */

enum store_state {
	STORE_DOWN = 0, /* not connected; comes again by itself */
	STORE_CHECKING, /* connected, not yet known to be fit */
	STORE_HOLDING,  /* it refused a write: waiting a moment */
	STORE_READY,
	STORE_STATE_COUNT
};

enum store_result {
	STORE_OK = 0,
	STORE_BEHIND, /* the mark is another than prev: somebody else wrote, or Redis went back */
	STORE_FAILED, /* nothing is known; drop the session */
	STORE_RESULT_COUNT
};

struct store_stats {
	uint64_t flushes, deltas, alerts, transitions, behind, failed, conflicts, reconnects, swept, calls, redirects,
	    script_us; /* that flushes kept Redis busy, as it measured */
};

struct store;

struct store *store_new(const struct store_conf *c);
void store_free(struct store *s);                                  /* waiting callers are told STORE_FAILED */
void store_configure(struct store *s, const struct store_conf *c); /* what can change while it runs */

/* To be called when its socket is ready and at least every 100 ms: connects,
 * sends, reads, calls back, gives up on a Redis that does not answer, sweeps. */
void store_work(struct store *s);
int store_fd(const struct store *s); /* an epoll: readable when store_work() has something to do */
enum store_state store_state(const struct store *s);
/* Why Redis is not used: text for people; "" when it is. *unfit: it was reached
 * and is not fit (evicting policy, wrong schema), so waiting does not help. */
const char *store_trouble(const struct store *s, bool *unfit);
const struct store_stats *store_stats(const struct store *s);
/* How many groups a script call takes now: so many that Redis is busy with it for
 * a few milliseconds, by its own clock. */
size_t store_call_deltas(const struct store *s);

/* Whether an error reply says that the key is (or its slot is just going)
 * elsewhere in the cluster: nothing was changed, ask again. */
bool store_redirected(struct bytes error);

/* Called once for each call: from store_work() or store_free(), or, when Redis is
 * away, with STORE_FAILED before the call returns. */
struct store_done {
	void (*call)(void *arg, enum store_result result, uint64_t mark);
	void *arg;
};

/* The marks of (sensor, epoch): 0 where there is none. marks is NULL unless
 * STORE_OK, and borrowed for the call. */
struct store_marks_done {
	void (*call)(void *arg, enum store_result result, const struct marks *marks);
	void *arg;
};
void store_marks(struct store *s, const char *sensor, uint64_t epoch, struct store_marks_done done);

struct store_flush {
	const char *sensor;
	uint64_t epoch, hi;
	const struct marks *marks; /* as they stand when all flushes so far are done */
	const struct fold *fold;   /* the records up to hi that are above the marks; read before the call returns */
};
/* Answered once, when all its script calls are. */
void store_flush(struct store *s, const struct store_flush *f, struct store_done done);

/* Replaces a sensor's status by these fields. Not answered, not repeated. */
struct store_field {
	struct bytes name, value;
};
void store_posture(struct store *s, const char *sensor, const struct store_field *f, size_t n);

/* One command about this key, for keys outside the partitions. False: Redis is
 * away; done is not called then, otherwise once. */
bool store_send(struct store *s, const char *key, size_t argc, const char **argv, const size_t *len,
		struct redis_done done);

/* Looks at the reply of a flush as Redis sent it. */
enum store_result store_flush_result(const struct reply *r, uint64_t hi, struct store_stats *stats, uint64_t *mark,
				     char conflict[static 128]);

/* The cut of calls after one of so many groups took so long: moves slowly, and
 * between CALL_DELTAS_MIN and FLUSH_CALL_DELTAS. us_per_delta is kept between the
 * calls, 0 at the beginning. */
#define CALL_DELTAS_MIN 32
size_t store_call_cut(double *us_per_delta, size_t deltas, int64_t took_us, int64_t target_us);

#endif
