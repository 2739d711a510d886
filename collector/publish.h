/* Published sets in Redis: what `picket rules push` and the gateway write, what
 * collectors hand to sensors. For programs that may wait.
 *
 *   picket:{x}:sets                   hash: <set> = version for everybody, <set>/<ring> = version for a ring
 *   picket:{x}:sets:serial            counter, raised with every change: collectors look at it
 *   picket:{x}:set:<set>              hash: versions ("419 420 421"), and per version <v>:manifest,
 *                                     <v>:endorsement ("key id, blank, signature"), <v>:delta (bytes of it; 0 = none),
 *                                     <v>:published (RFC 3339), <v>:by
 *   picket:{x}:set:<set>:content:<v>  list of pieces of PUBLISH_CHUNK bytes
 *   picket:{x}:set:<set>:delta:<v>    the same, from the version before
 *   picket:{x}:set:<set>:receipts:<v> hash: <sensor> = "armed|refused", time, digest, sentence; expires
 *
 * Versions only grow. The last PUBLISH_KEEP are kept, and those that a ring is at.
 * Nobody needs to believe this Redis: sensors check the signature. */
#ifndef COLLECTOR_PUBLISH_H
#define COLLECTOR_PUBLISH_H

#include "collector/redis_ask.h"
#include "common/buf.h"
#include "rules/manifest.h"

#define PUBLISH_PREFIX    "picket:{x}:"
#define PUBLISH_CHUNK     262144
#define PUBLISH_KEEP      5
#define PUBLISH_SETS_MAX  1000
#define PUBLISH_RECEIPT_S 2592000

/* One version as it stands in Redis. */
struct published {
	struct manifest m;
	struct endorsement by;
	char line[MANIFEST_BYTES_MAX + 1]; /* the manifest as it was signed */
	uint64_t delta;                    /* bytes of the delta; 0 = none */
};

/* "<16 hex> <128 hex>" */
bool publish_endorsement_read(struct bytes text, struct endorsement *by);

/* Publishes a signed set (the whole file) to a ring ("" = everybody). A delta is
 * made when the version that it follows is here. e: older, not laid out, of another
 * exercise than the version before (unless that was withdrawn), Redis. */
bool publish_put(struct redis_ask *r, struct bytes file, const char *ring, const char *by, struct err *e);

/* The highest version of a set in any ring; 0 = the set is not here. */
bool publish_latest(struct redis_ask *r, const char *set, uint32_t *version, struct err *e);
/* The version that everybody, or a ring, is at; 0 = none. */
bool publish_current(struct redis_ask *r, const char *set, const char *ring, uint32_t *version, struct err *e);
bool publish_read(struct redis_ask *r, const char *set, uint32_t version, struct published *out, struct err *e);
bool publish_content(struct redis_ask *r, const char *set, uint32_t version, struct buf *out, struct err *e);
/* The versions that are kept, oldest first; at most max. */
bool publish_versions(struct redis_ask *r, const char *set, uint32_t *out, size_t max, size_t *n, struct err *e);
/* What a ring has becomes what everybody has. */
bool publish_promote(struct redis_ask *r, const char *set, const char *ring, uint32_t *version, struct err *e);

#endif
