/* An envelope's objects, taken: each judged by itself (collector/inbound.h), what is
 * fit stored, what is not told; the rest goes on. For what is posted here and
 * for what is fetched elsewhere. Worked off in batches, so that others have their turn. */
#ifndef COLLECTOR_TAXII_TAKE_H
#define COLLECTOR_TAXII_TAKE_H

#include "collector/inbound.h"
#include "collector/objects.h"
#include "collector/partners.h"
#include "common/buf.h"

struct take_want {
	struct objects *objects;
	struct partners *partners;   /* NULL: everything is taken as it is, from `from` (data files for tests) */
	const struct policy *policy; /* whose they are */
	const char *from, *collection;
	size_t object_max;
	struct bytes text; /* an envelope that was walked through once (taxii_envelope.h); until done */
	const bool *cut;   /* once true, policy and text are not touched any more: lost */
};

/* successes and failures: JSON maps {id, version, message} with commas, as a status has them. */
struct taken {
	bool lost; /* of some it is not known what became: all can be given again */
	size_t success_n, failure_n;
	struct buf successes, failures;
};

struct take_done {
	void (*call)(void *arg, const struct taken *t);
	void *arg;
};
void take_all(const struct take_want *want, struct take_done done);

#endif
