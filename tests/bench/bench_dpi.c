/* What the way to the nDPI process and back costs: the round trip of one packet,
 * flows per second with a collect per burst (wait mode: every verdict awaited, as
 * scan does; live mode: what is there), and the capturing side's own time. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "sensor/dpi.h"

#define FLOWS 200000u
#define BURST 32u

static const uint8_t query[] = {0x45, 0,   0,   57,  0,   0,   0,   0,   64,  17,  0, 0,   10,  0,   0, 1, 192, 0, 2,
				9,    100, 100, 0,   53,  0,   37,  0,   0,   1,   2, 1,   0,   0,   1, 0, 0,   0, 0,
				0,    0,   7,   'e', 'x', 'a', 'm', 'p', 'l', 'e', 3, 'c', 'o', 'm', 0, 0, 1,   0, 1};

static double cpu_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static unsigned collect(struct dpi *d)
{
	struct dpi_verdict v[64];
	unsigned finals = 0;
	for (size_t n; (n = dpi_collect(d, v, 64)) > 0;)
		for (size_t i = 0; i < n; i++)
			finals += v[i].final;
	return finals;
}

static struct dpi *open_or_die(bool wait, struct ledger *g)
{
	struct err e;
	struct dpi *d = dpi_open(&(struct dpi_conf){.wait = wait}, g, &e);
	if (!d) {
		fprintf(stderr, "bench_dpi: %s\n", e.text);
		exit(4);
	}
	return d;
}

static void one(struct dpi *d, uint32_t flow)
{
	dpi_submit(d, flow, 1700000000000000LL, query, sizeof(query), true);
	dpi_end(d, flow);
}

static void run(bool wait)
{
	struct ledger g = {0};
	struct dpi *d = open_or_die(wait, &g);
	unsigned finals = 0;
	int64_t start = clock_mono_us();
	double own = cpu_us();
	for (uint32_t f = 1; f <= FLOWS; f++) {
		one(d, f);
		if (f % BURST == 0)
			finals += collect(d);
	}
	own = cpu_us() - own;
	dpi_finish(d);
	finals += collect(d);
	double us = (double)(clock_mono_us() - start);
	printf("%s: %.2f us per flow, own time %.2f us, verdicts %u, kept away %lu\n", wait ? "wait" : "live",
	       us / FLOWS, own / FLOWS, finals, (unsigned long)g.v[LEDGER_DPI_SKIPPED]);
	dpi_close(d);
}

static void round_trip(void)
{
	struct ledger g = {0};
	struct dpi *d = open_or_die(true, &g);
	int64_t start = clock_mono_us();
	dpi_finish(d);
	for (uint32_t f = 1; f <= 5000; f++) {
		one(d, f);
		collect(d);
	}
	printf("round trip: %.1f us\n", (double)(clock_mono_us() - start) / 5000);
	dpi_close(d);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], DPI_WORKER_ARGUMENT) == 0)
		return dpi_worker_main(argc, argv);
	struct ledger g = {0};
	int64_t start = clock_mono_us();
	dpi_close(open_or_die(true, &g));
	printf("start and end: %.1f ms\n", (double)(clock_mono_us() - start) / 1000);
	round_trip();
	run(true);
	run(false);
	return 0;
}
