/* One Redis: its connection, and whether it is fit to hold alerts. It connects
 * again by itself; the store says where to and what to ask. */
#ifndef COLLECTOR_STORE_NODE_H
#define COLLECTOR_STORE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/store.h"
#include "collector/store_redis.h"
#include "collector/store_script.h"
#include "common/log.h"

struct node {
	const struct store_conf *conf; /* the store's */
	struct redis_target target;    /* host "" = not known yet: not connected */
	struct redis *redis;           /* NULL = down */
	enum store_state state;
	bool unfit;
	char trouble[512], summary[128];
	uint64_t connects, downs; /* downs: not those by node_move() */
	/* its own */
	int epoll, fd;
	bool writes;                 /* what epoll was told */
	int64_t next_us, backoff_us; /* when to connect, or when a hold ends */
	bool broken;                 /* a reply said that this connection is of no use */
	char sha[SCRIPT_COUNT][41];
	struct log_once say_down, say_refused;
};

/* Its socket is watched by epoll as long as it has one. */
void node_open(struct node *n, const struct store_conf *conf, const struct redis_target *t, int epoll);
void node_close(struct node *n); /* waiting callers get NULL */

void node_work(struct node *n);

/* Another address: the old connection ends and the new one begins at once. */
void node_move(struct node *n, const char *host, const char *port);
/* Ends the connection; it comes again after a moment. */
void node_down(struct node *n, const char *why);
/* An error reply: says it once and holds back for a moment, or reconnects. */
void node_refused(struct node *n, struct bytes text);

/* Looks at the keys that the groups under this prefix share; one of another type
 * makes the node unfit, and the trouble names it. */
void node_check_types(struct node *n, const char *prefix);

/* Queues a command of words. */
bool node_send(struct node *n, size_t argc, const char **argv, struct redis_done done);

#endif
