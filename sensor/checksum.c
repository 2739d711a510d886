/* Long sums. RFC 1071, 2(B) and (C): several may run beside each other. A lane
 * takes two words of each 32 bytes: 64 KiB cannot overflow it, longer runs are
 * cut. Where the processor has AVX2 the same code is used in its AVX2 form. */
#include "sensor/checksum.h"

#define LANES     32u    /* bytes of one step */
#define LANES_RUN 65536u /* bytes without an overflow */

#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define BEST_FORM __attribute__((target_clones("avx2", "default")))
#else
#define BEST_FORM
#endif

typedef uint32_t words __attribute__((vector_size(LANES)));

/* n is a multiple of LANES. */
BEST_FORM static uint64_t sum_lanes(const uint8_t *p, size_t n)
{
	words low = {0}, high = {0}, x;
	for (; n; p += LANES, n -= LANES) {
		memcpy(&x, p, LANES);
		low += x & 0xffff;
		high += x >> 16;
	}
	uint64_t sum = 0;
	for (unsigned i = 0; i < LANES / 4; i++)
		sum += (uint64_t)low[i] + high[i];
	return sum;
}

uint64_t checksum_long(const uint8_t *p, size_t n)
{
	uint64_t sum = 0;
	while (n >= LANES) {
		size_t run = n < LANES_RUN ? n & ~(size_t)(LANES - 1) : LANES_RUN;
		sum += sum_lanes(p, run);
		p += run;
		n -= run;
	}
	return sum + checksum_words(p, n);
}
