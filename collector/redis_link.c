#define _GNU_SOURCE /* memmem() */
#include "collector/redis_link.h"

#include <assert.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"

#define TICK_US        50000
#define BACKOFF_MIN_US 100000
#define BACKOFF_MAX_US 5000000
#define WORDS_MAX      16

enum link_state { LINK_DOWN = 0, LINK_CHECKING, LINK_READY };

struct redis_link {
	struct event_base *base;
	struct redis_target target;
	int64_t timeout_ms;
	void (*on_ready)(void *arg);
	void *arg;
	enum link_state state;
	struct redis *redis;
	struct event *socket, *tick;
	bool writes; /* what the socket's event was told */
	bool unfit, broken, working;
	char trouble[512];
	int64_t next_us, backoff_us;
	uint64_t connects;
	struct log_once say;
};

static void on_socket(evutil_socket_t fd, short what, void *arg);

static void forget_socket(struct redis_link *l)
{
	if (l->socket)
		event_free(l->socket);
	l->socket = NULL;
}

static void down(struct redis_link *l, const char *why)
{
	unsigned long skipped;
	struct redis *dead = l->redis;
	if (why != l->trouble)
		snprintf(l->trouble, sizeof(l->trouble), "%s", why);
	if (log_again(&l->say, &skipped))
		log_warnx("%s; partners get \"try again\" until it is back", l->trouble);
	forget_socket(l);
	l->redis = NULL;
	l->state = LINK_DOWN;
	l->broken = false;
	/* Jitter: several gateways see the same Redis die. */
	l->next_us = clock_mono_us() + l->backoff_us / 2 + clock_mono_us() % (l->backoff_us / 2);
	l->backoff_us = l->backoff_us * 2 > BACKOFF_MAX_US ? BACKOFF_MAX_US : l->backoff_us * 2;
	redis_free(dead);
}

/* ---- is it fit? ---- */

static bool info_is(struct bytes info, const char *name, const char *value)
{
	char line[96];
	int n = snprintf(line, sizeof(line), "\n%s:%s\r", name, value);
	return info.n && memmem(info.p, info.n, line, (size_t)n);
}

static void unfit(struct redis_link *l, const char *why)
{
	snprintf(l->trouble, sizeof(l->trouble), "%s", why);
	l->broken = true;
	l->unfit = true;
}

static void on_info(void *arg, const struct reply *r)
{
	struct redis_link *l = arg;
	struct bytes text;
	char clean[200];
	if (!r)
		return;
	if (reply_error(r, &text)) {
		snprintf(l->trouble, sizeof(l->trouble), "Redis refuses INFO (its user needs +info): %s",
			 text_clean(clean, sizeof(clean), text.p, text.n));
		l->broken = true;
	} else if (!reply_text(r, &text) || !memmem(text.p, text.n, "redis_version:", 14)) {
		unfit(l, "what answers at the Redis address is not Redis: its INFO has no redis_version");
	} else if (memmem(text.p, text.n, "maxmemory_policy:", 17) &&
		   !info_is(text, "maxmemory_policy", "noeviction")) {
		unfit(l, "Redis would throw shared objects away when its memory is full: set \"maxmemory-policy "
			 "noeviction\" in redis.conf");
	} else if (!info_is(text, "role", "master")) {
		snprintf(l->trouble, sizeof(l->trouble), "Redis refuses writes: it is a replica");
		l->broken = true;
	} else {
		l->state = LINK_READY;
		l->unfit = false;
		l->backoff_us = BACKOFF_MIN_US;
		l->trouble[0] = '\0';
		if (l->on_ready)
			l->on_ready(l->arg);
	}
}

/* ---- the connection ---- */

static void watch(struct redis_link *l)
{
	bool writes = redis_wants_write(l->redis) || redis_unsent(l->redis);
	if (l->socket && writes == l->writes)
		return;
	forget_socket(l);
	short what = (short)(EV_READ | EV_PERSIST | (writes ? EV_WRITE : 0));
	l->socket = event_new(l->base, redis_fd(l->redis), what, on_socket, l);
	if (!l->socket || event_add(l->socket, NULL) != 0)
		l->broken = true;
	l->writes = writes;
}

/* A callback may send; what it sends goes out in the same turn or the next. */
static void work(struct redis_link *l)
{
	struct err e;
	if (!l->redis || l->working)
		return;
	l->working = true;
	bool alive = redis_work(l->redis, &e);
	l->working = false;
	if (alive && !l->broken && redis_waited_us(l->redis) > l->timeout_ms * 1000)
		alive = err_set(&e, "Redis has not answered for %" PRId64 " ms", l->timeout_ms);
	if (!alive || l->broken)
		down(l, alive || l->unfit ? l->trouble : e.text);
	else
		watch(l);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	work(arg);
}

static void connect_again(struct redis_link *l)
{
	struct err e;
	const char *info[] = {"INFO"};
	size_t len[] = {4};
	l->redis = redis_open(&l->target, &e);
	if (!l->redis) {
		down(l, e.text);
		return;
	}
	l->connects++;
	l->state = LINK_CHECKING;
	redis_send(l->redis, 1, info, len, (struct redis_done){on_info, l});
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct redis_link *l = arg;
	(void)fd;
	(void)what;
	if (!l->redis && clock_mono_us() >= l->next_us)
		connect_again(l);
	work(l);
}

struct redis_link *redis_link_new(struct event_base *base, const struct redis_target *target, int64_t timeout_ms,
				  void (*ready)(void *arg), void *arg)
{
	struct redis_link *l = xcalloc(1, sizeof(*l));
	struct timeval every = {.tv_usec = TICK_US};
	*l = (struct redis_link){.base = base,
				 .target = *target,
				 .timeout_ms = timeout_ms,
				 .on_ready = ready,
				 .arg = arg,
				 .backoff_us = BACKOFF_MIN_US};
	snprintf(l->trouble, sizeof(l->trouble), "Redis is not yet connected");
	l->tick = event_new(base, -1, EV_PERSIST, on_tick, l);
	if (!l->tick || event_add(l->tick, &every) != 0) {
		redis_link_free(l);
		return NULL;
	}
	event_active(l->tick, EV_TIMEOUT, 0); /* from the loop: no callback before this returns */
	return l;
}

void redis_link_free(struct redis_link *l)
{
	if (!l)
		return;
	struct redis *dead = l->redis;
	forget_socket(l);
	if (l->tick)
		event_free(l->tick);
	l->redis = NULL;
	l->state = LINK_DOWN;
	redis_free(dead);
	free(l);
}

bool redis_link_ready(const struct redis_link *l)
{
	return l->state == LINK_READY;
}

const char *redis_link_trouble(const struct redis_link *l, bool *is_unfit)
{
	*is_unfit = l->unfit;
	return l->trouble;
}

uint64_t redis_link_reconnects(const struct redis_link *l)
{
	return l->connects ? l->connects - 1 : 0;
}

bool redis_link_send(struct redis_link *l, size_t argc, const char **argv, const size_t *len, struct redis_done done)
{
	if (l->state != LINK_READY || !redis_send(l->redis, argc, argv, len, done))
		return false;
	if (!l->working && !l->writes)
		watch(l); /* the loop writes it */
	return true;
}

bool redis_link_words(struct redis_link *l, size_t argc, const char **argv, struct redis_done done)
{
	size_t len[WORDS_MAX];
	assert(argc <= WORDS_MAX);
	for (size_t i = 0; i < argc; i++)
		len[i] = strlen(argv[i]);
	return redis_link_send(l, argc, argv, len, done);
}
