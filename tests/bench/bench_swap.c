/* What a change of the rules costs while packets flow:
 *
 *   bench_swap SET.compiled CAPTURE [CHANGES] [ROUNDS]
 *
 * One thread reads the capture over and over as a worker; the main thread makes a
 * delta (half of it removals), applies it, arms the worker with the result, waits
 * until it is in use, and frees the old set. Prints the medians as name=value
 * lines: delta_ms, from the first change to the new set, and of that the processor
 * time; effect_ms, until the worker matches with it; open_swap_ms, the same for a compiled file that is opened;
 * extra_mb, memory beyond that before; and whether the ledger balances. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rules/ruleset_delta.h"
#include "sensor/worker.h"
#include "tests/bench/synthetic.h"
#include "tests/bench/used.h"

enum { ROUNDS_MAX = 99 };

struct reader {
	const char *path;
	struct worker *worker;
	atomic_bool stop;
};

static double now_ms(void)
{
	return used_ms(CLOCK_MONOTONIC);
}

static void *read_on(void *arg)
{
	struct reader *r = arg;
	struct err e = {.text = ""};
	while (!atomic_load_explicit(&r->stop, memory_order_relaxed)) {
		if (worker_step(r->worker, 0, &e) == CAPTURE_PACKETS)
			continue;
		struct capture *again = capture_open_file(r->path, NULL, &e);
		if (!again)
			break;
		worker_capture(r->worker, again);
	}
	return NULL;
}

static bool no_alert(void *owner, const struct ruleset *r, const struct alert *a, bool repeat)
{
	(void)owner, (void)r, (void)a, (void)repeat;
	return true;
}

static double resident_mb(void)
{
	return (double)used_kib("RssAnon:") / 1024;
}

/* Removes what the base holds, adds what no set of the benches does. */
static struct ruleset *change(const struct ruleset *base, unsigned changes, unsigned round)
{
	struct ruleset_delta *d = ruleset_delta_new(base);
	struct err e = {.text = ""};
	struct indicator_set head = ruleset_set_at(base, 0);
	char value[SYNTHETIC_ROOM];
	head.version += 1;
	uint32_t set = ruleset_delta_set(d, &head);
	for (unsigned i = 0; i < changes / 2; i++) {
		const char *type = synthetic_indicator((uint64_t)round * changes + i, value);
		ruleset_delta_remove(d, set, indicator_type_parse(type, strlen(type)), value, NULL, &e);
	}
	for (unsigned i = 0; i < changes - changes / 2; i++) {
		const char *type = synthetic_indicator(UINT64_C(1000000000) + (uint64_t)round * changes + i, value);
		struct indicator new = {.type = indicator_type_parse(type, strlen(type)), .value = value};
		ruleset_delta_add(d, set, &new, &e);
	}
	struct ruleset *r = ruleset_delta_apply(d, &e);
	ruleset_delta_free(d);
	if (!r) {
		fprintf(stderr, "bench_swap: %s\n", e.text);
		exit(1);
	}
	return r;
}

static struct armed *arm(struct reader *r, struct armed *now, struct ruleset *rules)
{
	struct err e;
	struct armed *next = armed_new(rules, false, (uint16_t)(now->generation + 1), &e);
	if (!next)
		exit(1);
	worker_arm(r->worker, next);
	while (worker_generation(r->worker) != next->generation)
		nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
	armed_free(now);
	return next;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

static struct armed *measure(struct reader *r, struct armed *now, const char *path, unsigned changes, unsigned rounds)
{
	double delta_ms[ROUNDS_MAX], cpu_ms[ROUNDS_MAX], effect_ms[ROUNDS_MAX], open_ms[ROUNDS_MAX], extra_mb = 0;
	size_t before = ruleset_count(now->rules, INDICATOR_NONE);
	for (unsigned i = 0; i < rounds; i++) {
		double t0 = now_ms(), c0 = used_ms(CLOCK_THREAD_CPUTIME_ID), mb = resident_mb();
		struct ruleset *rules = change(now->rules, changes, i);
		double t1 = now_ms(), c1 = used_ms(CLOCK_THREAD_CPUTIME_ID), more = resident_mb() - mb;
		now = arm(r, now, rules);
		delta_ms[i] = t1 - t0;
		cpu_ms[i] = c1 - c0;
		effect_ms[i] = now_ms() - t0;
		extra_mb = more > extra_mb ? more : extra_mb;
	}
	size_t after = ruleset_count(now->rules, INDICATOR_NONE);
	for (unsigned i = 0; i < rounds; i++) {
		struct err e;
		double t0 = now_ms();
		struct ruleset *rules = ruleset_open(path, false, &e);
		if (!rules)
			exit(1);
		now = arm(r, now, rules);
		open_ms[i] = now_ms() - t0;
	}
	printf("changes=%u\nindicators_before=%zu\nindicators_after=%zu\ndelta_ms=%.1f\ndelta_cpu_ms=%.1f\neffect_ms=%."
	       "1f\nopen_swap_ms=%."
	       "2f\n"
	       "extra_mb=%.0f\n",
	       changes, before, after, median(delta_ms, rounds), median(cpu_ms, rounds), median(effect_ms, rounds),
	       median(open_ms, rounds), extra_mb);
	return now;
}

int main(int argc, char **argv)
{
	struct err e = {.text = ""};
	if (argc < 3) {
		fputs("usage: bench_swap SET.compiled CAPTURE [CHANGES] [ROUNDS]\n", stderr);
		return 2;
	}
	unsigned changes = argc > 3 ? (unsigned)atoi(argv[3]) : 1000, rounds = argc > 4 ? (unsigned)atoi(argv[4]) : 9;
	struct ruleset *rules = ruleset_open(argv[1], false, &e);
	struct capture *c = capture_open_file(argv[2], NULL, &e);
	struct armed *now = rules ? armed_new(rules, false, 1, &e) : NULL;
	struct alert_origin origin = {.sensor_id = "bench"};
	struct worker_conf conf = {.origin = &origin, .alert = no_alert};
	struct reader r = {.path = argv[2]};
	pthread_t thread;
	if (!c || !now || rounds < 1 || rounds > ROUNDS_MAX || !(r.worker = worker_new(&conf, c, now, &e)) ||
	    pthread_create(&thread, NULL, read_on, &r)) {
		fprintf(stderr, "bench_swap: %s\n", e.text);
		return 1;
	}
	now = measure(&r, now, argv[1], changes, rounds);
	atomic_store(&r.stop, true);
	pthread_join(thread, NULL);
	struct ledger l;
	worker_finish(r.worker);
	worker_ledger(r.worker, &l);
	printf("packets=%llu\nbalanced=%s\n", (unsigned long long)l.v[LEDGER_RECEIVED],
	       ledger_balanced(&l) ? "yes" : "no");
	worker_free(r.worker);
	armed_free(now);
	return ledger_balanced(&l) ? 0 : 1;
}
