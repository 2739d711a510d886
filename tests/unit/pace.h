/* Time as the machine gives it to us: a test that judges how long something took must
 * not fail because others work beside it. */
#ifndef TESTS_PACE_H
#define TESTS_PACE_H

#include <stdint.h>
#include <time.h>

#include "common/clock.h"

/* Processor time of this thread. */
static inline int64_t own_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* How many times longer than on a machine of our own something takes now. */
static inline double slowness(void)
{
	int64_t began_us = clock_mono_us(), used_us = own_us(), spent_us;
	while ((spent_us = own_us() - used_us) < 50000)
		;
	double slow = (double)(clock_mono_us() - began_us) / (double)spent_us;
	return slow > 1 ? slow : 1;
}

#endif
