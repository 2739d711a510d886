/* Looks at the queues every PERIOD instead of being woken: a worker then never
 * makes a system call for a note, and a queue holds what comes within a period
 * many times over. Of all queues' heads the oldest is taken first, so a worker
 * that lags by more than the engine's window still is in order as long as its
 * notes wait in the queue. */
#include "sensor/heuristic_thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/clock.h"

#define PERIOD_NS   20000000
#define QUEUE_BYTES ((size_t)4 << 20)
#define ROUND_MAX   65536 /* notes between two looks at the clock */

struct heuristic_thread {
	struct heuristics *engine;
	pthread_t thread;
	bool running;
	atomic_bool stop;
	struct waker waker; /* the queues want one; nobody ever sleeps on it */
	unsigned n;
	struct queue **queue;
};

/* The queue whose head is the oldest; NULL: all are empty. */
static struct queue *oldest(const struct heuristic_thread *t, struct bytes *record)
{
	struct queue *found = NULL;
	int64_t least_us = 0;
	for (unsigned i = 0; i < t->n; i++) {
		struct bytes one;
		int64_t ts_us;
		if (!queue_peek(t->queue[i], &one))
			continue;
		memcpy(&ts_us, one.p, sizeof(ts_us));
		if (found && ts_us >= least_us)
			continue;
		found = t->queue[i];
		least_us = ts_us;
		*record = one;
	}
	return found;
}

static bool take_round(struct heuristic_thread *t)
{
	struct bytes record;
	for (size_t i = 0; i < ROUND_MAX; i++) {
		struct queue *q = oldest(t, &record);
		if (!q)
			return false;
		struct sight s;
		memcpy(&s, record.p, record.n);
		queue_drop(q);
		heuristics_sight(t->engine, &s);
	}
	return true;
}

static void *run(void *arg)
{
	struct heuristic_thread *t = arg;
	while (!atomic_load(&t->stop)) {
		bool more = take_round(t);
		heuristics_clock(t->engine, clock_wall_us() - 2 * (int64_t)HEURISTIC_ORDER_US);
		if (!more)
			nanosleep(&(struct timespec){.tv_nsec = PERIOD_NS}, NULL);
	}
	while (take_round(t))
		;
	heuristics_finish(t->engine, clock_wall_us());
	return NULL;
}

static void release(struct heuristic_thread *t)
{
	for (unsigned i = 0; i < t->n; i++)
		queue_free(t->queue[i]);
	waker_close(&t->waker);
	free(t->queue);
	free(t);
}

struct heuristic_thread *heuristic_thread_new(struct heuristics *engine, unsigned workers, struct err *e)
{
	struct heuristic_thread *t = xcalloc(1, sizeof(*t));
	t->engine = engine;
	if (!waker_open(&t->waker, e)) {
		free(t);
		return NULL;
	}
	t->n = workers;
	t->queue = xcalloc(workers, sizeof(struct queue *));
	for (unsigned i = 0; i < workers; i++)
		t->queue[i] = queue_new(QUEUE_BYTES, &t->waker);
	return t;
}

bool heuristic_thread_run(struct heuristic_thread *t, struct err *e)
{
	t->running = pthread_create(&t->thread, NULL, run, t) == 0;
	return t->running || err_set(e, "cannot start a thread for the heuristics");
}

struct queue *heuristic_thread_queue(struct heuristic_thread *t, unsigned worker)
{
	return t->queue[worker];
}

void heuristic_thread_stop(struct heuristic_thread *t)
{
	if (!t)
		return;
	atomic_store(&t->stop, true);
	if (t->running)
		pthread_join(t->thread, NULL);
	release(t);
}
