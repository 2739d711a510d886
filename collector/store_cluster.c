/* The map is asked for when there is none, when a node redirects or is lost, and
 * every few seconds. ASK is not followed: a call into a slot that is moving is
 * sent again until the slot has moved, which is safe because the script changes
 * nothing before all its reads succeeded, and its compare-and-set makes a call
 * that arrives twice harmless. */
#include "collector/store_cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/text.h"

#define ASK_EVERY_US 5000000
#define ASK_AGAIN_US 20000  /* while in doubt */
#define ANSWER_US    500000 /* then the next node is asked */

static uint16_t crc16(const uint8_t *p, size_t n)
{
	uint16_t crc = 0;
	for (size_t i = 0; i < n; i++) {
		crc = (uint16_t)(crc ^ (p[i] << 8));
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1);
	}
	return crc;
}

unsigned cluster_slot(const char *key, size_t n)
{
	const char *open = memchr(key, '{', n);
	const char *close = open ? memchr(open + 1, '}', n - (size_t)(open + 1 - key)) : NULL;
	if (close && close > open + 1) {
		n = (size_t)(close - open - 1);
		key = open + 1;
	}
	return crc16((const uint8_t *)key, n) % CLUSTER_SLOTS;
}

/* The node at an address, new when it is not known; NULL when there are too many. */
static struct node *node_at(struct cluster *c, const char *host, const char *port)
{
	struct redis_target t = c->conf->redis;
	for (size_t i = 0; i < c->nodes; i++)
		if (strcmp(c->node[i]->target.host, host) == 0 && strcmp(c->node[i]->target.port, port) == 0)
			return c->node[i];
	if (c->nodes == STORE_NODES_MAX)
		return NULL;
	snprintf(t.host, sizeof(t.host), "%s", host);
	snprintf(t.port, sizeof(t.port), "%s", port);
	t.local = false;
	t.db = 0;
	struct node *n = xcalloc(1, sizeof(*n));
	node_open(n, c->conf, &t, c->epoll);
	c->node[c->nodes++] = n;
	return n;
}

void cluster_open(struct cluster *c, const struct store_conf *conf, int epoll)
{
	*c = (struct cluster){.conf = conf, .epoll = epoll};
	for (size_t i = 0; i < conf->nodes_n; i++) {
		struct redis_target t = {0};
		if (redis_target_parse(conf->nodes[i], &t, NULL))
			node_at(c, t.host, t.port);
	}
}

void cluster_close(struct cluster *c)
{
	for (size_t i = 0; i < c->nodes; i++) {
		node_close(c->node[i]);
		free(c->node[i]);
	}
	c->nodes = 0;
}

struct node *cluster_owner(const struct cluster *c, unsigned slot)
{
	uint8_t owner = slot < CLUSTER_SLOTS ? c->owner[slot] : 0;
	return owner ? c->node[owner - 1] : NULL;
}

/* [first slot, last slot, [host, port, …], replicas…] */
static bool take_range(struct cluster *c, const struct reply *range, const struct node *asked)
{
	int64_t first, last, port;
	struct bytes host;
	char h[256], p[24];
	const struct reply *master = reply_at(range, 2);
	if (!reply_number(reply_at(range, 0), &first) || !reply_number(reply_at(range, 1), &last) || first < 0 ||
	    last < first || last >= CLUSTER_SLOTS || !reply_number(reply_at(master, 1), &port) || port < 1 ||
	    port > 65535)
		return false;
	snprintf(h, sizeof(h), "%s", asked->target.host); /* a node that does not know its own address */
	if (reply_text(reply_at(master, 0), &host) && host.n && host.n < sizeof(h))
		text_clean(h, sizeof(h), host.p, host.n);
	snprintf(p, sizeof(p), "%" PRId64, port);
	const struct node *n = node_at(c, h, p);
	uint8_t owner = 0;
	for (size_t i = 0; i < c->nodes; i++)
		if (c->node[i] == n)
			owner = (uint8_t)(i + 1);
	memset(c->owner + first, owner, (size_t)(last - first + 1));
	return n != NULL;
}

bool cluster_take(struct cluster *c, const struct reply *r, const struct node *asked)
{
	size_t n = reply_count(r);
	if (!n)
		return false;
	memset(c->owner, 0, sizeof(c->owner));
	bool good = true;
	for (size_t i = 0; i < n; i++)
		good = take_range(c, reply_at(r, i), asked) && good;
	return good;
}

struct asking {
	struct cluster *cluster;
	struct node *node;
};

static void on_map(void *arg, const struct reply *r)
{
	struct asking *a = arg;
	a->cluster->asked = false;
	if (r && cluster_take(a->cluster, r, a->node))
		a->cluster->known = true;
	free(a);
}

/* Any node that is connected knows; they take turns. */
static void ask_map(struct cluster *c)
{
	for (size_t i = 0; i < c->nodes; i++) {
		struct node *n = c->node[c->ask_next++ % c->nodes];
		if (n->state != STORE_READY && n->state != STORE_HOLDING)
			continue;
		struct asking *a = xcalloc(1, sizeof(*a));
		*a = (struct asking){c, n};
		c->asked = node_send(n, 2, (const char *[]){"CLUSTER", "SLOTS"}, (struct redis_done){on_map, a});
		if (!c->asked)
			free(a);
		return;
	}
}

void cluster_doubt(struct cluster *c)
{
	if (c->known)
		c->next_us = 0;
	c->known = false;
}

void cluster_work(struct cluster *c)
{
	int64_t now = clock_mono_us();
	for (size_t i = 0; i < c->nodes; i++) {
		enum store_state before = c->node[i]->state;
		node_work(c->node[i]);
		if (before == STORE_READY && c->node[i]->state == STORE_DOWN)
			cluster_doubt(c);
	}
	if (now < c->next_us || (c->asked && now < c->next_us + ANSWER_US))
		return;
	ask_map(c);
	c->next_us = now + (c->known ? ASK_EVERY_US : ASK_AGAIN_US);
}
