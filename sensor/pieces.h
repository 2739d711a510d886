/* Bytes that come in pieces, in any order, some more than once: handshake
 * fragments of DTLS, CRYPTO frames of QUIC. Zero-initialised it is empty. */
#ifndef SENSOR_PIECES_H
#define SENSOR_PIECES_H

#include <stdbool.h>

#include "common/cursor.h"
#include "common/mem.h"

#define PIECES_HOLES_MAX 16 /* runs that are apart from each other at one time */

struct pieces {
	uint8_t *p;
	uint32_t cap;
	uint32_t runs;
	struct {
		uint32_t from, to;
	} run[PIECES_HOLES_MAX]; /* in order, never touching */
};

/* Places the bytes at offset; what was there first stays. False: beyond max, too
 * many runs, or no memory (nothing is changed). */
bool pieces_add(struct mem *m, struct pieces *s, uint64_t offset, struct bytes piece, uint32_t max);
/* How many bytes are there from the beginning on. */
uint32_t pieces_ready(const struct pieces *s);
void pieces_free(struct mem *m, struct pieces *s);

#endif
