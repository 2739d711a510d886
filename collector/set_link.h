/* One sensor's part in the distribution: what it was offered, what it asks for.
 * Pieces are given out while the connection has little else to send, urgent sets
 * first, so an ACK of alerts never waits for more than one piece. */
#ifndef COLLECTOR_SET_LINK_H
#define COLLECTOR_SET_LINK_H

#include "collector/sets.h"
#include "common/frame.h"

#define SET_LINK_WAITING_MAX 64    /* pieces that one sensor may wait for */
#define SET_LINK_OUT_MAX     16384 /* with more to send already, no piece is added */

struct set_told {
	char set[MANIFEST_SET_MAX + 1];
	uint32_t version;
};

struct set_link {
	bool on;                         /* the sensor takes sets */
	char ring[MANIFEST_SET_MAX + 1]; /* "" = none */
	uint64_t generation;             /* what it was offered last */
	struct set_told *told;
	size_t told_n;
	struct set_get waiting[SET_LINK_WAITING_MAX];
	size_t waiting_n;
};

/* The rest of HELLO: a ring makes it take sets; none leaves it as it is. False: malformed. */
bool set_link_hello(struct set_link *l, struct cursor rest);
void set_link_free(struct set_link *l);

/* A frame from the sensor. False: e says how it broke the rules. */
bool set_link_take(struct set_link *l, struct sets *s, const char *sensor, const struct frame *f, struct err *e);

/* Appends what can be sent now. True: there is more that waits for nothing but room. */
bool set_link_put(struct set_link *l, struct sets *s, struct buf *out);

#endif
