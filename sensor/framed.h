/* A stream that is cut into messages with a known length: keeps what a parser
 * needs of each, steps over the rest. */
#ifndef SENSOR_FRAMED_H
#define SENSOR_FRAMED_H

#include "sensor/inspect.h"

struct framed {
	struct carry kept;
	struct carry joined; /* message()'s own: what it keeps of fragments that belong together */
	uint64_t skip;       /* bytes that are stepped over */
	bool dead;           /* bytes were lost: where a message begins is not known any more */
};

struct framing {
	size_t max; /* that head() may ask for */
	/* How many bytes must be there before message() can read one that begins with
	 * these n (0 to max); 0 = that is no message. */
	size_t (*head)(const struct inspect *in, const uint8_t *p, size_t n);
	/* Reads it, and sets f->skip when bytes of it are still to come. */
	enum verdict (*message)(struct inspect *in, enum side side, struct framed *f, const uint8_t *p, size_t n);
};

/* For parser.stream: gives message()'s verdict when it is not INSPECT_MORE;
 * INSPECT_ERROR for no message, INSPECT_DONE when memory is short (counted). */
enum verdict framed_stream(struct inspect *in, enum side side, struct framed *f, const struct framing *g,
			   const uint8_t *p, size_t n, size_t *used);
/* For parser.gap: harmless within what is stepped over, the end of that side otherwise. */
enum verdict framed_gap(struct inspect *in, struct framed *f, size_t lost);

/* Appends to f->joined what of these n bytes max leaves room for (counted when memory is short).
 * False: that is not all of them. */
bool framed_join(struct inspect *in, struct framed *f, const uint8_t *p, size_t n, size_t max);
void framed_drop(struct inspect *in, struct framed *f); /* gives back what it keeps */

#endif
