/* The bytes of a capture file as a window that moves forward: a file, a pipe,
 * and either of them compressed with gzip or zstd. */
#ifndef SENSOR_CAPTURE_INPUT_H
#define SENSOR_CAPTURE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct input {
	const uint8_t *p; /* what has been read and not used */
	size_t n;
	struct input_source *source;
};

/* "-" is standard input. Looks at the first bytes to see whether it is compressed. */
bool input_open(struct input *in, const char *path, struct err *e);
/* data stays the caller's and is not compressed. */
void input_open_memory(struct input *in, const void *data, size_t n);
void input_close(struct input *in);

static inline void input_use(struct input *in, size_t n)
{
	in->p += n;
	in->n -= n;
}

/* Steps over n bytes that need not be in the window yet. */
void input_skip(struct input *in, uint64_t n);
bool input_skipping(const struct input *in); /* not there yet */

enum input_result {
	INPUT_MORE = 0,
	INPUT_END,
	INPUT_CUT,   /* compressed data ends too early; e says it */
	INPUT_FAILED /* a read error or damaged compressed data; e says what */
};

/* Makes the window longer, also before it says INPUT_CUT or INPUT_FAILED. What it
 * held moves: pointers into it end here. The
 * window can always grow to INPUT_WINDOW_MAX bytes. */
enum input_result input_fill(struct input *in, struct err *e);
#define INPUT_WINDOW_MAX ((size_t)512 << 10)

/* "gzip", "zstd" or "". */
const char *input_compression(const struct input *in);

#endif
