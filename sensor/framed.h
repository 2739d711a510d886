/* A stream that is cut into messages with a known length: keeps what a parser
 * needs of each, steps over the rest. */
#ifndef SENSOR_FRAMED_H
#define SENSOR_FRAMED_H

#include "sensor/inspect.h"

struct framed {
	struct carry kept;
	uint64_t skip;
	bool dead; /* bytes were lost: where a message begins is not known any more */
};

struct framing {
	size_t max; /* that head() may ask for */
	/* How many bytes must be there before message() can read one that begins with
	 * these n (0 to max); 0 = that is no message. */
	size_t (*head)(const struct inspect *in, const uint8_t *p, size_t n);
	/* Reads it; *rest is how many bytes of it are still to come. */
	enum verdict (*message)(struct inspect *in, enum side side, const uint8_t *p, size_t n, uint64_t *rest);
};

/* For parser.stream: gives message()'s verdict when it is not INSPECT_MORE;
 * INSPECT_ERROR for no message, INSPECT_DONE when memory is short (counted). */
enum verdict framed_stream(struct inspect *in, enum side side, struct framed *f, const struct framing *g,
			   const uint8_t *p, size_t n, size_t *used);
/* For parser.gap: harmless within what is stepped over, the end of that side otherwise. */
enum verdict framed_gap(struct inspect *in, struct framed *f, size_t lost);

#endif
