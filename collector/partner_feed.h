/* What goes to one partner: shared objects out of the store, in the order in which
 * they came, through the release gate and into the audit stream. A link, a
 * bundle and a look ahead (picket partner why) all read from here, so that none of
 * them can forget the gate.
 *
 * Two lanes: flash (priority immediate and flash) and bulk (the rest). A place in a lane
 * is a row of the store (collector/objects.h): whoever remembers the last row that he
 * has stored goes on there, after a crash too. Rows that may not go leave no trace:
 * no number that the partner sees counts them. */
#ifndef COLLECTOR_PARTNER_FEED_H
#define COLLECTOR_PARTNER_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/audit.h"
#include "collector/objects.h"
#include "rules/gate.h"

#define FEED_BATCH_BYTES (640u << 10) /* about; one object may be more */
#define FEED_BATCH_ROWS  256          /* looked at for one batch: so long the loop does nothing else */

struct feed;

/* Everything is borrowed. audit may be NULL: for a look ahead, when nothing is given. */
struct feed *feed_new(struct objects *o, struct audit *a, const struct policies *all, const struct policy *to,
		      const char *way);
void feed_free(struct feed *f); /* batches under way are dropped without a call */

/* Where objects stand that came from a partner over a link or in a bundle
 * ("partner-<id>"), and those made here ("own", partner NULL); each lane apart (".flash"),
 * so that flash is found without a look at a million others. */
void feed_collection_of(const char *partner, enum lane lane, char out[static OBJECTS_COLLECTION_MAX + 1]);

struct feed_batch {
	struct buf records; /* u32 length and the object, n times */
	size_t n;
	int64_t place[FEED_BATCH_ROWS]; /* the row of each */
	int64_t looked_to;              /* all rows up to here were judged */
	bool more;                      /* rows follow */
	uint64_t judged, denied[GATE_WHY_COUNT], cut;
};
/* Called once, from the loop; b is borrowed and may be changed. ok false: Redis or the
 * audit stream is away; ask again later. */
struct feed_done {
	void (*call)(void *arg, bool ok, struct feed_batch *b);
	void *arg;
};
/* One batch of a lane behind `after`. One call at a time for each lane. */
void feed_next(struct feed *f, enum lane lane, int64_t after, struct feed_done done);

/* What the gate says to the object of this id, in whatever collections it is: for
 * `picket partner why`. Nothing is given, nothing recorded. Called for each, then once
 * with o == NULL. One call at a time, and not beside feed_next(). */
struct feed_why_done {
	void (*call)(void *arg, bool ok, const struct shared *o, enum gate_verdict v, const struct gate_reason *why,
		     const struct json *out);
	void *arg;
};
void feed_why(struct feed *f, const char *id, struct feed_why_done done);

#endif
