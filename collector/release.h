/* The release gate (rules/gate.h) in front of the object store, asked no more often than it must be.
 *
 * What the gate says of an object follows from its handling (collector/handling.h)
 * unless that says otherwise. So it is asked for the first object of a handling and
 * partner. When it cut nothing, what goes out is the object as it came, byte by byte, with
 * the envelope's extension put in before its last brace; that this is
 * the gate's own tree is checked once. What it denied is not even fetched. Everything
 * else is parsed, judged and written one by one. What is remembered is
 * forgotten after RELEASE_MEMORY_MS: markings are learned, policies end. */
#ifndef COLLECTOR_RELEASE_H
#define COLLECTOR_RELEASE_H

#include "collector/objects.h"
#include "common/buf.h"
#include "rules/gate.h"

#define RELEASE_MEMORY_MS 10000

struct release;

struct release_stats {
	uint64_t copied, judged, denied; /* as it came; by the gate; not given */
};

struct release *release_new(void);
void release_free(struct release *r);
void release_forget(struct release *r); /* when policies change: they are pointed to */
const struct release_stats *release_stats(const struct release *r);

bool release_knows(const struct release *r, int64_t handling);
/* text: as the store gave it; p == NULL: it is not there. */
void release_learn(struct release *r, int64_t handling, struct bytes text);

/* policy == NULL: everything goes as it is (data files for tests). */
bool release_hides(struct release *r, const struct policy *policy, int64_t handling);
/* Whether it goes without a look at it. */
bool release_sure(struct release *r, const struct policy *policy, int64_t handling);
/* What a partner may be told of: whether the object of this id may go to him, as far
 * as it was looked up lately. */
enum release_ref { RELEASE_REF_UNKNOWN = 0, RELEASE_REF_NO, RELEASE_REF_YES };
enum release_ref release_ref(struct release *r, const struct policy *policy, const char *id);
void release_ref_learn(struct release *r, const struct policy *policy, const char *id, bool may);

/* Whether it came from this partner. */
bool release_from(const struct release *r, int64_t handling, const char *partner);
/* Appends what may go to out; GATE_DENIED: nothing. What it refers to should have
 * been learned before: what is unknown may not be told of. */
enum gate_verdict release_one(struct release *r, const struct policy *policy, const char *collection,
			      const struct object_row *row, struct bytes text, struct buf *out);
/* The same without remembering or counting, and without references. */
bool release_may_go(struct release *r, const struct policy *policy, const char *collection,
		    const struct object_row *row, struct bytes text);

#endif
