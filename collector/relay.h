/* What a partner says of an indicator that somebody else gave us goes on to that
 * one: sightings, "not seen", false-positive reports. Where it came from is where the
 * indicator came from, so word travels back along its way, hop by hop, and the
 * path vector keeps it from going round. It is the partner's object still, with his name or alias at the
 * beginning of its path: here it is only addressed to one more, by his policy's inbound.relay
 * and the other's inbound.sightings, and the release gate judges it like anything else
 * (TLP:AMBER goes one hop further, GREEN four, RED and AMBER+STRICT none).
 *
 * Revocations need nothing of this: they are versions of the indicator and take its way. */
#ifndef COLLECTOR_RELAY_H
#define COLLECTOR_RELAY_H

#include "collector/partners_internal.h"

/* o stands in this collection as this row. Borrowed for the call. */
void relay_take(struct partners *p, const struct policy *from, const struct shared *o, const char *collection,
		int64_t row);

#endif
