/* What a bench has used so far. */
#ifndef TESTS_BENCH_USED_H
#define TESTS_BENCH_USED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline double used_ms(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* A line of /proc/self/status such as "VmRSS:", in KiB. */
static inline long used_kib(const char *line)
{
	char text[256];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(text, sizeof(text), f))
		if (strncmp(text, line, strlen(line)) == 0)
			kib = atol(text + strlen(line));
	if (f)
		fclose(f);
	return kib;
}

#endif
