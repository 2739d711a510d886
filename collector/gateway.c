#include "collector/gateway.h"

#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "collector/gateway_metrics.h"
#include "collector/objects.h"
#include "collector/partners.h"
#include "collector/redis_link.h"
#include "collector/taxii.h"
#include "collector/taxii_client.h"
#include "common/buf.h"
#include "common/log.h"
#include "common/metrics.h"

#define TICK_US 100000

struct gateway {
	const struct gateway_conf *conf;
	struct event_base *base;
	struct event *hup, *term, *quit, *tick, *watchdog, *asked;
	struct redis_link *redis;
	struct objects *objects;
	struct partners *partners;
	struct taxii *taxii;
	struct taxii_client *feeds;
	struct gateway_figures figures;
	struct metrics *metrics;
	bool (*again)(void *arg);
	void *arg;
	bool unfit, reload;
	struct err why;
};

static void on_redis_ready(void *arg)
{
	struct gateway *g = arg;
	log_info("Redis is ready");
	if (g->taxii)
		taxii_redis_ready(g->taxii);
}

/* As soon as nothing under way holds a policy any more: a tick or two. */
static void load_again(struct gateway *g)
{
	struct err e;
	if (!partners_rest(g->partners))
		return;
	g->reload = false;
	taxii_cut(g->taxii);
	taxii_client_cut(g->feeds);
	if (!partners_reload(g->partners, &e))
		log_warnx("%s: the partners stay as they were", e.text);
	else if (!taxii_reload(g->taxii, &e))
		log_warnx("%s: TAXII stays as it was", e.text);
	else
		log_info("configuration loaded again");
	sd_notify(0, "READY=1");
}

static void on_reload(evutil_socket_t fd, short what, void *arg)
{
	struct gateway *g = arg;
	(void)fd;
	(void)what;
	if (!g->again(g->arg))
		return;
	sd_notify(0, "RELOADING=1");
	g->reload = true;
	load_again(g);
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	struct gateway *g = arg;
	(void)fd;
	(void)what;
	event_base_loopbreak(g->base);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	sd_notify(0, "WATCHDOG=1");
}

/* A Redis that is away is waited for; one that is not fit ends the program at start. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct gateway *g = arg;
	(void)fd;
	(void)what;
	if (g->reload)
		load_again(g);
	const char *trouble = redis_link_trouble(g->redis, &g->unfit);
	if (g->unfit) {
		err_set(&g->why, "%s", trouble);
		event_base_loopbreak(g->base);
	}
}

static struct event *every(struct gateway *g, int64_t us, event_callback_fn fn)
{
	struct timeval t = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
	struct event *ev = event_new(g->base, -1, EV_PERSIST, fn, g);
	if (ev)
		event_add(ev, &t);
	return ev;
}

static struct event *on_signal(struct gateway *g, int number, event_callback_fn fn)
{
	struct event *ev = evsignal_new(g->base, number, fn, g);
	if (ev)
		event_add(ev, NULL);
	return ev;
}

static void watch_signals(struct gateway *g)
{
	uint64_t watchdog_us = 0;
	signal(SIGPIPE, SIG_IGN);
	g->hup = on_signal(g, SIGHUP, on_reload);
	g->term = on_signal(g, SIGTERM, on_stop);
	g->quit = on_signal(g, SIGINT, on_stop);
	g->tick = every(g, TICK_US, on_tick);
	if (sd_watchdog_enabled(0, &watchdog_us) > 0)
		g->watchdog = every(g, (int64_t)watchdog_us / 3, on_watchdog);
}

static bool open_store(struct gateway *g, struct err *e)
{
	const struct gateway_conf *c = g->conf;
	g->base = event_base_new();
	if (g->base)
		g->redis = redis_link_new(g->base, &c->store, on_redis_ready, g);
	if (!g->redis)
		return err_set(e, "no memory for the event loop");
	g->objects = objects_new(g->redis, c->objects_max, c->versions_max);
	return true;
}

static void on_asked(evutil_socket_t fd, short what, void *arg)
{
	struct gateway *g = arg;
	(void)fd;
	(void)what;
	metrics_work(g->metrics);
}

static bool open_metrics(struct gateway *g, struct err *e)
{
	const char *address = g->conf->metrics;
	if (!address || !*address)
		return true;
	g->figures = (struct gateway_figures){g->redis, g->partners, g->taxii, g->feeds};
	g->metrics = metrics_open(address, gateway_metrics, &g->figures, e);
	if (!g->metrics)
		return false;
	g->asked = event_new(g->base, metrics_fd(g->metrics), EV_READ | EV_PERSIST, on_asked, g);
	if (!g->asked || event_add(g->asked, NULL) != 0)
		return err_set(e, "no memory for the event loop");
	log_info("metrics at http://%s/metrics", address);
	return true;
}

static bool open_taxii(struct gateway *g, const char *seed, struct err *e)
{
	struct taxii_parts parts = {
	    .conf = g->conf, .base = g->base, .redis = g->redis, .objects = g->objects, .partners = g->partners};
	g->taxii = taxii_new(&parts, seed, e);
	g->feeds = g->taxii ? taxii_client_new(&parts, e) : NULL;
	return g->feeds;
}

struct gateway *gateway_new(const struct gateway_conf *c, const char *seed, struct err *e)
{
	struct gateway *g = xcalloc(1, sizeof(*g));
	g->conf = c;
	if (open_store(g, e) && (g->partners = partners_new(c, g->base, g->redis, g->objects, e)) &&
	    open_taxii(g, seed, e) && open_metrics(g, e))
		return g;
	gateway_free(g);
	return NULL;
}

void gateway_free(struct gateway *g)
{
	if (!g)
		return;
	struct event *events[] = {g->hup, g->term, g->quit, g->tick, g->watchdog, g->asked};
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
		if (events[i])
			event_free(events[i]);
	metrics_close(g->metrics);
	redis_link_free(g->redis); /* whoever waits for it is told */
	taxii_client_free(g->feeds);
	taxii_free(g->taxii);
	partners_free(g->partners);
	objects_free(g->objects);
	if (g->base)
		event_base_free(g->base);
	free(g);
}

bool gateway_run(struct gateway *g, bool (*again)(void *arg), void *arg, struct err *e)
{
	g->again = again;
	g->arg = arg;
	if (!metrics_serve(g->metrics, e))
		return false;
	watch_signals(g);
	sd_notify(0, "READY=1");
	event_base_dispatch(g->base);
	sd_notify(0, "STOPPING=1");
	if (g->unfit)
		*e = g->why;
	return !g->unfit;
}
