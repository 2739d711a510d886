/* The slots that are in use: that of "picket:{x}:", where all that is shared stands,
 * and those of the partitions, whose alerts are read. Each has its queue, so that a
 * slot that moves does not hold up the others. */
#include "collector/redis_link.h"

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/store_queue.h"
#include "common/buf.h"
#include "common/clock.h"

#define TICK_US    50000
#define WORDS_MAX  16
#define QUEUES_MAX (1 + PARTITIONS_CLUSTER)
#define SHARED_KEY "picket:{x}:"

struct redis_link {
	struct nodes nodes;
	struct queue queue[QUEUES_MAX]; /* the first: of SHARED_KEY */
	size_t queues;
	void (*on_ready)(void *arg);
	void *arg;
	struct event *socket, *tick;
	bool ready, unfit;
};

static struct queue *queue_of(struct redis_link *l, unsigned slot)
{
	for (size_t i = 0; i < l->queues; i++)
		if (l->queue[i].slot == slot)
			return &l->queue[i];
	if (l->queues == QUEUES_MAX)
		return NULL;
	l->queue[l->queues] = (struct queue){.nodes = &l->nodes, .slot = slot};
	return &l->queue[l->queues++];
}

static const struct node *shared_node(const struct redis_link *l)
{
	return nodes_for(&l->nodes, l->queue[0].slot);
}

static bool is_ready(struct redis_link *l)
{
	const struct node *n = nodes_owner(&l->nodes, l->queue[0].slot);
	return n && n->state == STORE_READY;
}

static void work(evutil_socket_t fd, short what, void *arg)
{
	struct redis_link *l = arg;
	(void)fd;
	(void)what;
	nodes_work(&l->nodes);
	for (size_t i = 0; i < l->queues; i++)
		queue_work(&l->queue[i], clock_mono_us());
	bool was = l->ready;
	l->ready = is_ready(l);
	l->unfit = shared_node(l)->unfit;
	if (l->ready && !was && l->on_ready)
		l->on_ready(l->arg);
}

struct redis_link *redis_link_new(struct event_base *base, const struct store_conf *conf, void (*ready)(void *arg),
				  void *arg)
{
	struct redis_link *l = xcalloc(1, sizeof(*l));
	struct timeval every = {.tv_usec = TICK_US};
	l->on_ready = ready;
	l->arg = arg;
	bool open = nodes_open(&l->nodes, conf);
	queue_of(l, cluster_slot(SHARED_KEY, strlen(SHARED_KEY)));
	l->socket = open ? event_new(base, l->nodes.epoll, EV_READ | EV_PERSIST, work, l) : NULL;
	l->tick = event_new(base, -1, EV_PERSIST, work, l);
	if (!l->socket || event_add(l->socket, NULL) != 0 || !l->tick || event_add(l->tick, &every) != 0) {
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
	if (l->socket)
		event_free(l->socket);
	if (l->tick)
		event_free(l->tick);
	l->ready = false;
	nodes_close(&l->nodes);
	for (size_t i = 0; i < l->queues; i++)
		queue_fail(&l->queue[i]);
	free(l);
}

bool redis_link_ready(const struct redis_link *l)
{
	return l->ready;
}

const char *redis_link_trouble(const struct redis_link *l, bool *is_unfit)
{
	*is_unfit = l->unfit;
	return l->ready ? "" : shared_node(l)->trouble;
}

uint64_t redis_link_reconnects(const struct redis_link *l)
{
	uint64_t connects = nodes_connects(&l->nodes);
	return connects ? connects - 1 : 0;
}

unsigned redis_link_partitions(const struct redis_link *l)
{
	return nodes_clustered(&l->nodes) ? PARTITIONS_CLUSTER : 1;
}

/* ---- commands ---- */

static unsigned slot_of(const struct redis_link *l, size_t argc, const char **argv, const size_t *len)
{
	for (size_t i = 0; i < argc && nodes_clustered(&l->nodes); i++)
		if (len[i] > 7 && memcmp(argv[i], "picket:", 7) == 0)
			return cluster_slot(argv[i], len[i]);
	return l->queue[0].slot;
}

static bool answer(void *arg, struct node *node, const struct reply *r, bool behind)
{
	struct redis_done *done = arg;
	struct redis_done copy = *done;
	(void)node;
	(void)behind;
	free(done);
	if (copy.call)
		copy.call(copy.arg, r);
	return false;
}

/* What is sent goes out when the loop comes round. */
bool redis_link_send(struct redis_link *l, size_t argc, const char **argv, const size_t *len, struct redis_done done)
{
	struct queue *q = l->ready ? queue_of(l, slot_of(l, argc, argv, len)) : NULL;
	struct redis_done *kept = q ? xcalloc(1, sizeof(*kept)) : NULL;
	if (!kept)
		return false;
	*kept = done;
	if (!queue_add(q, argc, argv, len, (struct queue_done){answer, kept})) {
		free(kept);
		return false;
	}
	event_active(l->socket, EV_READ, 0);
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
