/* Decompression of what passes on the wire, streamed. The one door to zlib,
 * brotli and zstd; their memory comes from the worker's budget. */
#ifndef SENSOR_INFLATE_H
#define SENSOR_INFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/mem.h"

enum coding { CODING_IDENTITY = 0, CODING_GZIP, CODING_DEFLATE, CODING_BROTLI, CODING_ZSTD, CODING_COUNT };

/* "gzip", "x-gzip", "deflate", "br", "zstd", "identity", in any case; unknown
 * names give CODING_COUNT. */
enum coding coding_parse(const void *name, size_t n);

/* A body is given up as a bomb when it grew beyond INFLATE_FREE_BYTES and by more
 * than INFLATE_RATIO_MAX, or beyond INFLATE_BYTES_MAX whatever its ratio. */
#define INFLATE_FREE_BYTES (UINT64_C(16) << 20)
#define INFLATE_RATIO_MAX  200
#define INFLATE_BYTES_MAX  (UINT64_C(1) << 30)

#define INFLATE_WINDOW_LOG_MAX 23 /* zstd: 8 MiB, what RFC 9659 allows for content codings */

enum inflated {
	INFLATE_MORE = 0, /* all input taken */
	INFLATE_END,      /* the compressed data ended; bytes behind it were ignored */
	INFLATE_BAD,      /* not what the coding says, from here on */
	INFLATE_MEMORY,
	INFLATE_BOMB
};

/* Takes decoded bytes; false stops. */
typedef bool inflate_sink(void *ctx, const uint8_t *p, size_t n);

struct inflate;

/* NULL when memory is short or the coding is none that is decoded. */
struct inflate *inflate_new(struct mem *mem, enum coding coding);
void inflate_free(struct inflate *z);

/* Servers mislabel, and evaders more so: "deflate" is taken with zlib's header,
 * gzip's, or none; data labelled gzip that does not begin as gzip passes as it is. */
enum inflated inflate_data(struct inflate *z, const uint8_t *p, size_t n, inflate_sink *sink, void *ctx);

#endif
