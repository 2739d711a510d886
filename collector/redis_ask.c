#define _GNU_SOURCE /* memmem() */
#include "collector/redis_ask.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/store_cluster.h"
#include "common/buf.h"
#include "common/text.h"

#define REACH_MS  5000
#define ANSWER_MS 10000
#define AGAIN_US  50000 /* a slot is just moving */
#define REDIRECTS 16

struct ask_node {
	struct redis_target target;
	struct redis *redis; /* NULL: not connected yet */
};

struct redis_ask {
	struct store_conf conf;
	struct ask_node node[STORE_NODES_MAX];
	size_t nodes;
	uint8_t owner[CLUSTER_SLOTS]; /* index into node, as far as is known */
};

static bool node_add(struct redis_ask *a, const struct redis_target *t, size_t *at, struct err *e)
{
	for (*at = 0; *at < a->nodes; ++*at)
		if (strcmp(a->node[*at].target.host, t->host) == 0 && strcmp(a->node[*at].target.port, t->port) == 0)
			return true;
	if (a->nodes == STORE_NODES_MAX)
		return err_set(e, "the cluster has more than %d nodes", STORE_NODES_MAX);
	a->node[a->nodes++] = (struct ask_node){.target = *t};
	return true;
}

/* Everything but the address is as configured. */
static bool node_at(struct redis_ask *a, const char *address, size_t *at, struct err *e)
{
	struct redis_target t = a->conf.redis;
	return redis_target_parse(address, &t, e) && node_add(a, &t, at, e);
}

/* A connection that failed once is of no use. */
static struct reply *node_ask(struct ask_node *n, size_t argc, const char **argv, const size_t *len, int wait_ms,
			      struct err *e)
{
	if (!n->redis && !(n->redis = redis_open(&n->target, e)))
		return NULL;
	struct reply *reply = redis_call(n->redis, argc, argv, len, wait_ms, e);
	if (!reply) {
		redis_free(n->redis);
		n->redis = NULL;
	}
	return reply;
}

/* ---- finding them ---- */

/* Where one sentinel says that the master is. Sentinels have no user or password of
 * Redis, but its TLS. */
static bool ask_sentinel(const struct redis_ask *a, const char *address, struct redis_target *master, struct err *e)
{
	struct ask_node sentinel = {0};
	struct bytes h, p;
	const char *argv[] = {"SENTINEL", "get-master-addr-by-name", a->conf.master};
	const size_t len[] = {8, 23, strlen(a->conf.master)};
	redis_target_tls_as(&sentinel.target, &a->conf.redis);
	if (!redis_target_parse(address, &sentinel.target, e))
		return false;
	struct reply *reply = node_ask(&sentinel, 3, argv, len, REACH_MS, e);
	bool good = reply_text(reply_at(reply, 0), &h) && reply_text(reply_at(reply, 1), &p) &&
		    h.n < sizeof(master->host) && p.n < sizeof(master->port);
	if (good) {
		text_clean(master->host, sizeof(master->host), h.p, h.n);
		text_clean(master->port, sizeof(master->port), p.p, p.n);
	} else if (reply) {
		err_set(e, "sentinel %s knows no master of the name %s (redis.master)", address, a->conf.master);
	}
	reply_free(reply);
	redis_free(sentinel.redis);
	return good;
}

/* A sentinel may be wrong (collector/store_sentinel.c). */
static bool is_master(struct ask_node *n, struct err *e)
{
	const char *argv[] = {"INFO", "replication"};
	const size_t len[] = {4, 11};
	struct bytes text;
	struct reply *reply = node_ask(n, 2, argv, len, REACH_MS, e);
	bool is = reply_text(reply, &text) && memmem(text.p, text.n, "role:master", 11);
	if (reply && !is)
		err_set(e, "%s:%s, which a sentinel names, is no master", n->target.host, n->target.port);
	reply_free(reply);
	return is;
}

static bool find_master(struct redis_ask *a, const char *sentinel, struct err *e)
{
	struct redis_target master = a->conf.redis;
	size_t at;
	if (!ask_sentinel(a, sentinel, &master, e) || !node_add(a, &master, &at, e))
		return false;
	if (is_master(&a->node[at], e))
		return true;
	redis_free(a->node[at].redis);
	a->nodes = 0;
	return false;
}

static bool find_nodes(struct redis_ask *a, struct err *e)
{
	size_t at;
	if (a->conf.mode == STORE_STANDALONE)
		return node_add(a, &a->conf.redis, &at, e);
	a->conf.redis.local = false;
	for (size_t i = 0; i < a->conf.nodes_n; i++)
		if (a->conf.mode == STORE_CLUSTER && !node_at(a, a->conf.nodes[i], &at, e))
			return false;
		else if (a->conf.mode == STORE_SENTINEL && find_master(a, a->conf.nodes[i], e))
			return true;
	return a->conf.mode == STORE_CLUSTER;
}

/* The first node that answers: the others' slots are learned from it. */
static bool reach_one(struct redis_ask *a, struct err *e)
{
	const char *argv[] = {"PING"};
	const size_t len[] = {4};
	for (size_t i = 0; i < a->nodes; i++) {
		struct reply *reply = node_ask(&a->node[i], 1, argv, len, REACH_MS, e);
		if (reply) {
			memset(a->owner, (int)i, sizeof(a->owner));
			reply_free(reply);
			return true;
		}
	}
	return false;
}

struct redis_ask *redis_ask_open(const struct store_conf *c, struct err *e)
{
	struct redis_ask *a = xcalloc(1, sizeof(*a));
	a->conf = *c;
	if (find_nodes(a, e) && reach_one(a, e))
		return a;
	redis_ask_free(a);
	return NULL;
}

void redis_ask_free(struct redis_ask *a)
{
	for (size_t i = 0; a && i < a->nodes; i++)
		redis_free(a->node[i].redis);
	free(a);
}

/* ---- asking ---- */

/* The word by which the node is chosen; n: none. */
static size_t key_of(size_t n, const char **words, const size_t *len)
{
	size_t i = 0;
	while (i < n && (len[i] <= 7 || memcmp(words[i], "picket:", 7) != 0))
		i++;
	return i;
}

/* "MOVED 3999 127.0.0.1:6381" */
static bool follow(struct redis_ask *a, struct bytes error, unsigned slot, struct err *e)
{
	char text[300], *address;
	size_t at;
	text_clean(text, sizeof(text), error.p, error.n);
	if (strncmp(text, "MOVED ", 6) != 0 || !(address = strrchr(text, ' ')))
		return true; /* it will be where it was or somewhere else in a moment */
	if (!node_at(a, address + 1, &at, e))
		return false;
	a->owner[slot] = (uint8_t)at;
	return true;
}

static struct reply *ask_slot(struct redis_ask *a, unsigned slot, size_t n, const char **words, const size_t *len,
			      struct err *e)
{
	struct bytes text;
	for (int i = 0; i < REDIRECTS; i++) {
		struct reply *reply = node_ask(&a->node[a->owner[slot]], n, words, len, ANSWER_MS, e);
		if (!reply || !reply_error(reply, &text) || !store_redirected(text))
			return reply;
		bool moved = text.n > 5 && memcmp(text.p, "MOVED", 5) == 0;
		bool good = follow(a, text, slot, e);
		reply_free(reply);
		if (!good)
			return NULL;
		if (!moved)
			usleep(AGAIN_US * (unsigned)(i + 1));
	}
	err_set(e, "the cluster sends the command from node to node");
	return NULL;
}

/* SCAN has a pattern and no key, so nobody redirects it: a command that has one finds
 * the node first. */
static bool find_owner(struct redis_ask *a, unsigned slot, const char *key, size_t key_n, struct err *e)
{
	const char *words[] = {"EXISTS", key};
	const size_t len[] = {6, key_n};
	struct reply *reply = ask_slot(a, slot, 2, words, len, e);
	bool found = reply != NULL;
	reply_free(reply);
	return found;
}

static struct reply *ask_cluster(struct redis_ask *a, size_t n, const char **words, const size_t *len, struct err *e)
{
	size_t key = key_of(n, words, len);
	unsigned slot = key < n ? cluster_slot(words[key], len[key]) : 0;
	if (len[0] == 4 && memcmp(words[0], "SCAN", 4) == 0 && key < n && !find_owner(a, slot, words[key], len[key], e))
		return NULL;
	return ask_slot(a, slot, n, words, len, e);
}

struct reply *redis_ask(struct redis_ask *a, size_t argc, const char **argv, const size_t *len, struct err *e)
{
	size_t own[REDIS_ASK_WORDS_MAX];
	if (!len) {
		assert(argc <= REDIS_ASK_WORDS_MAX);
		for (size_t i = 0; i < argc; i++)
			own[i] = strlen(argv[i]);
		len = own;
	}
	return a->conf.mode == STORE_CLUSTER ? ask_cluster(a, argc, argv, len, e)
					     : node_ask(&a->node[0], argc, argv, len, ANSWER_MS, e);
}
