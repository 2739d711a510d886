#include "sensor/live.h"
#include "sensor/spool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "sensor/heuristic_thread.h"

#define STEP_MS  100
#define REOPEN_S 1
#define ARM_MS   10000

struct lane {
	struct live *live;
	struct worker *worker;
	struct capture_live want;
	struct producer producer;
	pthread_t thread;
	bool started;
	atomic_bool up;
};

struct live {
	atomic_bool stop;
	unsigned n;
	struct lane *lane;
	struct expect *expect; /* of all workers */
	struct heuristics *heuristics;
	struct heuristic_thread *judging;
	struct producer producer; /* of the heuristics: behind those of the lanes */
};

bool producer_alert(void *owner, const struct ruleset *r, const struct alert *a, bool repeat)
{
	const struct producer *p = owner;
	struct buf json = {0}, record = {0};
	if (!repeat)
		alert_json(&json, a, r, p->origin);
	alert_record(&record, a, r, p->origin, (struct bytes){json.p, json.n});
	bool kept, fits = record.n <= SPOOL_RECORD_MAX;
	while (!(kept = output_record(p->output, p->number, record.p, record.n)) && p->may_wait && fits)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	if (!kept)
		output_lost(p->output, p->number);
	buf_free(&json);
	buf_free(&record);
	return kept;
}

/* The interface went away: tries once a second until it is back. */
static void reopen(struct lane *l, const struct err *why)
{
	atomic_store(&l->up, false);
	log_errorx("%s; trying again every second", why->text);
	while (!atomic_load(&l->live->stop)) {
		struct err e;
		struct capture *c = capture_open_live(&l->want, &e);
		if (c) {
			worker_capture(l->worker, c);
			log_info("capturing on %s again", l->want.interface);
			atomic_store(&l->up, true);
			return;
		}
		/* The dead capture gives nothing, but rule sets are still taken over. */
		worker_step(l->worker, 0, &e);
		sleep(REOPEN_S);
	}
}

static void tell_shed(const struct lane *l, enum shed before, enum shed now)
{
	if (now > before)
		log_warnx("worker %u cannot follow: %s are set aside (end.shed)", l->producer.number, shed_names[now]);
	else
		log_info("worker %u follows again: set aside now: %s", l->producer.number, shed_names[now]);
}

static void *run_lane(void *arg)
{
	struct lane *l = arg;
	struct err e;
	enum shed shed = worker_shed(l->worker);
	if (shed)
		tell_shed(l, SHED_NOTHING, shed);
	while (!atomic_load_explicit(&l->live->stop, memory_order_relaxed)) {
		if (worker_step(l->worker, STEP_MS, &e) == CAPTURE_FAILED)
			reopen(l, &e);
		enum shed now = worker_shed(l->worker);
		if (now != shed)
			tell_shed(l, shed, now);
		shed = now;
	}
	worker_finish(l->worker);
	return NULL;
}

static bool open_lane(struct lane *l, const struct worker_conf *base, const struct armed *armed, struct err *e)
{
	struct capture *c = capture_open_live(&l->want, e);
	if (!c)
		return false;
	char text[512];
	capture_describe(c, text, sizeof(text));
	log_info("worker %u captures on %s", l->producer.number, text);
	struct worker_conf conf = *base;
	conf.number = l->producer.number;
	conf.expect = l->live->expect;
	conf.alert = producer_alert;
	conf.owner = &l->producer;
	conf.tap.engine = l->live->heuristics;
	conf.tap.queue = heuristic_thread_queue(l->live->judging, conf.number);
	l->worker = worker_new(&conf, c, armed, e);
	atomic_store(&l->up, l->worker != NULL);
	return l->worker != NULL;
}

unsigned live_workers(const struct sensor_conf *c)
{
	return (unsigned)(c->interfaces.n * (size_t)c->workers);
}

unsigned live_producers(const struct sensor_conf *c)
{
	return live_workers(c) + 1;
}

static void lanes_free(struct live *l)
{
	for (unsigned i = 0; i < l->n; i++)
		worker_free(l->lane[i].worker);
	heuristic_thread_stop(l->judging);
	heuristics_free(l->heuristics);
	expect_free(l->expect);
	free(l->lane);
	free(l);
}

static void tell_heuristics(const struct heuristics *h)
{
	struct buf names = {0};
	for (int i = 0; i < HEURISTIC_COUNT; i++)
		if (heuristics_on(h) & 1u << i)
			buf_printf(&names, "%s%s", names.n ? ", " : "", heuristic_names[i]);
	if (names.n)
		log_info("heuristics that are watched for: %s", (const char *)names.p);
	buf_free(&names);
}

/* Heuristics judge what all workers saw: they are one producer more. */
static bool make_heuristics(struct live *l, const struct sensor_conf *c, const struct alert_origin *origin,
			    const struct armed *armed, struct err *e)
{
	l->producer = (struct producer){.number = l->n, .origin = origin};
	struct heuristics_conf conf = {
	    .thresholds = &c->heuristic, .origin = origin, .alert = producer_alert, .owner = &l->producer};
	l->heuristics = heuristics_new(&conf, armed, e);
	l->judging = l->heuristics ? heuristic_thread_new(l->heuristics, l->n, e) : NULL;
	if (l->judging)
		tell_heuristics(l->heuristics);
	return l->judging != NULL;
}

static void plan_lane(struct live *l, unsigned i, const struct sensor_conf *c, const struct alert_origin *origin)
{
	unsigned per = (unsigned)c->workers;
	l->lane[i] = (struct lane){
	    .live = l,
	    .want = {.interface = c->interfaces.v[i / per],
		     .filter = c->filter,
		     .snaplen = (int)c->snaplen,
		     .ring_bytes = c->ring_bytes,
		     .promiscuous = c->promiscuous,
		     .fanout_group = per > 1 ? (int)(((unsigned)getpid() + i / per) & 0xffff) : 0},
	    .producer = {.number = i, .origin = origin},
	};
}

struct live *live_open(const struct sensor_conf *c, const struct worker_conf *base, const struct armed *armed,
		       struct err *e)
{
	struct live *l = xcalloc(1, sizeof(*l));
	l->n = live_workers(c);
	l->lane = xcalloc(l->n, sizeof(*l->lane));
	l->expect = expect_new();
	for (unsigned i = 0; i < l->n; i++)
		plan_lane(l, i, c, base->origin);
	bool ok = make_heuristics(l, c, base->origin, armed, e);
	for (unsigned i = 0; ok && i < l->n; i++)
		ok = open_lane(&l->lane[i], base, armed, e);
	if (ok)
		return l;
	lanes_free(l);
	return NULL;
}

bool live_run(struct live *l, struct output *out, struct err *e)
{
	l->producer.output = out;
	for (unsigned i = 0; i < l->n; i++)
		l->lane[i].producer.output = out;
	if (!heuristic_thread_run(l->judging, e))
		return false;
	for (unsigned i = 0; i < l->n; i++) {
		l->lane[i].started = pthread_create(&l->lane[i].thread, NULL, run_lane, &l->lane[i]) == 0;
		if (!l->lane[i].started)
			return err_set(e, "cannot start a thread for worker %u", i);
	}
	return true;
}

unsigned live_captures_up(struct live *l)
{
	unsigned up = 0;
	for (unsigned i = 0; i < l->n; i++)
		up += atomic_load(&l->lane[i].up);
	return up;
}

bool live_arm(struct live *l, const struct armed *next)
{
	for (unsigned i = 0; i < l->n; i++)
		worker_arm(l->lane[i].worker, next);
	heuristics_arm(l->heuristics, next);
	for (unsigned waited_ms = 0; waited_ms < ARM_MS; waited_ms++) {
		unsigned reached = 0;
		for (unsigned i = 0; i < l->n; i++)
			reached += worker_generation(l->lane[i].worker) == next->generation;
		if (reached == l->n)
			return true;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return false;
}

void live_ledger(struct live *l, struct ledger *sum)
{
	*sum = (struct ledger){0};
	for (unsigned i = 0; i < l->n; i++) {
		struct ledger one;
		worker_ledger(l->lane[i].worker, &one);
		ledger_sum(sum, &one);
	}
	struct ledger judged;
	heuristics_ledger(l->heuristics, &judged);
	ledger_sum(sum, &judged);
}

void live_stop(struct live *l, struct ledger *sum)
{
	atomic_store(&l->stop, true);
	for (unsigned i = 0; i < l->n; i++)
		if (l->lane[i].started)
			pthread_join(l->lane[i].thread, NULL);
	heuristic_thread_stop(l->judging);
	l->judging = NULL;
	live_ledger(l, sum);
	lanes_free(l);
}
