/* Compressed bodies. Input: a byte for the coding (bits 0-1), the memory (bits 2-4) and
 * the size of the pieces (bits 5-7), then the body.
 * For: sensor/inflate.c */
#include <stdlib.h>

#include "sensor/inflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* So that what is read is really read; nobody asks for it. */
volatile uint8_t touched;

static bool take(void *ctx, const uint8_t *p, size_t n)
{
	uint64_t *sum = ctx;
	touched ^= n ? (uint8_t)(p[0] ^ p[n - 1]) : 0;
	*sum += n;
	return *sum < INFLATE_BYTES_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const enum coding codings[] = {CODING_GZIP, CODING_DEFLATE, CODING_BROTLI, CODING_ZSTD};
	struct mem m;
	uint64_t sum = 0;
	if (!n)
		return 0;
	mem_init(&m, (size_t)4096 << 2 * (data[0] >> 2 & 7));
	struct inflate *z = inflate_new(&m, codings[data[0] & 3]);
	size_t step = (size_t)1 << 2 * (data[0] >> 5);
	for (size_t at = 1; z && at < n; at += step)
		if (inflate_data(z, data + at, step < n - at ? step : n - at, take, &sum) != INFLATE_MORE)
			break;
	inflate_free(z);
	if (m.used || m.peak > m.limit)
		abort();
	mem_close(&m);
	return 0;
}
