/* A sentinel publishes a failover, and then it is asked where the master is. Its
 * word is not read from what it publishes: there is one place that reads addresses,
 * and the leader of a failover gives the new one out some time before it publishes
 * +switch-master, when it has seen the promotion (sentinel.c,
 * sentinelGetCurrentMasterAddress()). It is asked every now and then, too: that finds
 * a sentinel that has gone deaf, and what was published while nobody listened.
 *
 * A sentinel may be wrong for long: cut off from the others, or left behind by an
 * election in which two won the same epoch, it names a replica or a dead server until
 * the next failover. So whenever the node that it named is lost, the next one is asked. */
#include "collector/store_sentinel.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/clock.h"
#include "common/text.h"

#define ASK_EVERY_US 200000
#define ANSWER_US    1000000
#define NEXT_ONE_US  100000

void sentinels_close(struct sentinels *s)
{
	struct redis *dead[] = {s->redis, s->ear};
	s->redis = s->ear = NULL;
	redis_free(dead[0]);
	redis_free(dead[1]);
}

static void go_to_next(struct sentinels *s)
{
	sentinels_close(s);
	s->at = (s->at + 1) % s->conf->nodes_n;
}

static void next_one(struct sentinels *s, struct node *node, const char *why)
{
	unsigned long skipped;
	if (node->state == STORE_DOWN)
		snprintf(node->trouble, sizeof(node->trouble), "sentinel %s: %s", s->conf->nodes[s->at], why);
	if (node->state == STORE_DOWN && log_again(&s->say_none, &skipped))
		log_warnx("%s; sensors keep their alerts", node->trouble);
	go_to_next(s);
	s->next_us = clock_mono_us() + NEXT_ONE_US;
}

static void on_address(void *arg, const struct reply *r)
{
	struct node *node = arg;
	struct bytes host, port;
	char h[256], p[6];
	if (!reply_text(reply_at(r, 0), &host) || !reply_text(reply_at(r, 1), &port) || !host.n ||
	    host.n >= sizeof(h) || !port.n || port.n >= sizeof(p)) {
		if (r && node->state == STORE_DOWN)
			snprintf(node->trouble, sizeof(node->trouble),
				 "the sentinels know no master of the name %s (redis.master)", node->conf->master);
		return;
	}
	text_clean(h, sizeof(h), host.p, host.n);
	text_clean(p, sizeof(p), port.p, port.n);
	node_move(node, h, p);
}

static void on_published(void *arg, const struct reply *r)
{
	struct sentinels *s = arg;
	(void)r;
	s->next_us = 0;
}

static void open_one(struct sentinels *s, struct node *node)
{
	const char *channels[] = {"+promoted-slave", "+switch-master"};
	struct redis_target t = {0};
	struct err e;
	redis_target_tls_as(&t, &s->conf->redis);
	if (!redis_target_parse(s->conf->nodes[s->at], &t, &e) || !(s->redis = redis_open(&t, &e)) ||
	    !(s->ear = redis_open(&t, &e))) {
		next_one(s, node, e.text);
		return;
	}
	redis_subscribe(s->ear, 2, channels, (struct redis_done){on_published, s});
	struct epoll_event ev = {.events = EPOLLIN};
	epoll_ctl(s->epoll, EPOLL_CTL_ADD, redis_fd(s->redis), &ev);
	epoll_ctl(s->epoll, EPOLL_CTL_ADD, redis_fd(s->ear), &ev);
	s->next_us = 0;
}

void sentinels_work(struct sentinels *s, struct node *node)
{
	int64_t now = clock_mono_us();
	struct err e;
	if (node->downs != s->downs) {
		s->downs = node->downs;
		go_to_next(s);
	}
	if (!s->redis && now >= s->next_us)
		open_one(s, node);
	if (!s->redis)
		return;
	bool hears = redis_work(s->ear, &e);
	if (!redis_pending(s->redis) && now >= s->next_us) {
		const char *argv[] = {"SENTINEL", "get-master-addr-by-name", s->conf->master};
		size_t len[] = {8, 23, strlen(s->conf->master)};
		redis_send(s->redis, 3, argv, len, (struct redis_done){on_address, node});
		s->next_us = now + ASK_EVERY_US;
	}
	if (!hears || !redis_work(s->redis, &e))
		next_one(s, node, e.text);
	else if (redis_waited_us(s->redis) > ANSWER_US)
		next_one(s, node, "does not answer");
}
