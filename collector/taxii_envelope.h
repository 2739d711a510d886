/* A TAXII envelope taken apart without a tree of the whole: each of its objects is
 * handed over as the bytes that it is, so that it can be kept and given out again
 * byte by byte, and memory is one object at a time. */
#ifndef COLLECTOR_TAXII_ENVELOPE_H
#define COLLECTOR_TAXII_ENVELOPE_H

#include <stdbool.h>

#include "common/cursor.h"
#include "common/err.h"

#define ENVELOPE_DEPTH 64
#define ENVELOPE_MAX   1000000 /* objects */

enum envelope_result {
	ENVELOPE_OBJECT = 0, /* one more */
	ENVELOPE_END,
	ENVELOPE_NONE,   /* JSON, but no "objects" list in it */
	ENVELOPE_BROKEN, /* no JSON map, or it nests too deep */
};

struct envelope {
	const uint8_t *p, *end;
	bool inside, found; /* in the list of objects */
	size_t n;
	struct bytes more, next; /* the values of these members, as they stand; empty = not met yet */
};

/* text is borrowed until the last envelope_next(). */
struct envelope envelope_over(struct bytes text);
/* Where the next value of {"objects":[…]} begins and ends is found here; whether it is
 * JSON is for json_read() to say. Other members are stepped over. e: for NONE and BROKEN. */
enum envelope_result envelope_next(struct envelope *v, struct bytes *object, struct err *e);

#endif
