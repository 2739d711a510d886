/* Indicator sets that come from a collector. The thread of the uplink feeds it
 * frames and sends what it has to say; the main thread takes what has arrived
 * whole, judges it, arms it, and has it acknowledged.
 *
 * Nothing is believed because of where it came from: before the first byte of a
 * set is asked for, its manifest must be signed by a trusted key within its scope
 * (rules/trust.h), be newer than what is here, not be expired, not be empty unless
 * withdrawn, and not have shrunk beyond the limit; before it is loaded, its
 * content must have the manifest's digest. What is refused is told to the
 * collector with the reason, and what was loaded before stays.
 *
 * On disk: dir/<set>.pset, each a signed set (rules/manifest.h) replaced in one
 * step, written before it is armed. A sensor that starts without its collector
 * has all of them; one that was killed anywhere has the old or the new. */
#ifndef SENSOR_RULESYNC_H
#define SENSOR_RULESYNC_H

#include "common/buf.h"
#include "common/frame.h"
#include "rules/set_frame.h"
#include "rules/trust.h"

#define RULESYNC_SETS_MAX 1000

struct rulesync_conf {
	const char *dir;            /* made when it is not there */
	const struct trust *trust;  /* borrowed; may be replaced: rulesync_trust() */
	const char *ring;           /* NULL = none */
	unsigned max_shrink;        /* per cent that a set may lose at once */
	void (*ready)(void *owner); /* from the uplink's thread: rulesync_work() has something to do */
	void (*reply)(void *owner); /* from the main thread: rulesync_put() has something to say */
	void *owner;
};

struct rulesync;

/* Takes up what the folder holds; what cannot be believed any more is named in d
 * and left alone. NULL: the folder cannot be used. */
struct rulesync *rulesync_new(const struct rulesync_conf *c, struct diags *d, struct err *e);
void rulesync_free(struct rulesync *r);

/* ---- the uplink's thread ---- */

const char *rulesync_ring(const struct rulesync *r); /* "" = none */
void rulesync_connected(struct rulesync *r);         /* a new session: what was asked for is asked for again */
/* An OFFER or a DATA. False: malformed, end the session. */
bool rulesync_take(struct rulesync *r, const struct frame *f, struct err *e);
/* Appends GET and ACK frames, as many as are due. */
void rulesync_put(struct rulesync *r, struct buf *out);

/* ---- the main thread ---- */

/* The files of all sets that are held, for rulefile_load_trusted(); borrowed until the next call. */
const char *const *rulesync_paths(struct rulesync *r, size_t *n);

/* Takes what has arrived, and calls arm with the files of all sets as they would
 * be: true makes it so. now_us: wall clock. */
typedef bool rulesync_arm(void *owner, const char *const *paths, size_t n, struct err *e);
void rulesync_work(struct rulesync *r, rulesync_arm *arm, void *owner);

/* A set that follows the one that is armed by a few changes (rules/set_lines.h): its
 * head says what the old one said. */
struct rulesync_change {
	const struct manifest *m;
	struct bytes delta;
};
/* Tried first when all that has arrived are such changes; false: it cannot be done so,
 * and arm is called. NULL: never. */
typedef bool rulesync_arm_changes(void *owner, const struct rulesync_change *c, size_t n, struct err *e);
void rulesync_changes(struct rulesync *r, rulesync_arm_changes *fn);

/* Other trusted keys (SIGHUP). */
void rulesync_trust(struct rulesync *r, const struct trust *t);

struct rulesync_stats {
	uint64_t offers, armed, refused, deltas, delta_failures, patched, bytes;
	size_t held;
};
void rulesync_stats(struct rulesync *r, struct rulesync_stats *out);
/* For the status: calls back per set that is held ("421, 1200 indicators, armed
 * 2026-…") and per set that was refused last ("refused: …"). */
void rulesync_each(struct rulesync *r, void (*fn)(void *owner, const char *set, const char *text), void *owner);

#endif
