/* Which node of a Redis Cluster has which slot. */
#ifndef COLLECTOR_STORE_CLUSTER_H
#define COLLECTOR_STORE_CLUSTER_H

#include <stdint.h>

#include "collector/store_node.h"

#define CLUSTER_SLOTS 16384

/* The slot of a key: CRC16 (XMODEM) of it, or of what stands in its first {…},
 * modulo 16384 (Redis Cluster specification, "Key distribution model"). */
unsigned cluster_slot(const char *key, size_t n);

struct cluster {
	const struct store_conf *conf;
	int epoll;
	struct node *node[STORE_NODES_MAX];
	size_t nodes;
	uint8_t owner[CLUSTER_SLOTS]; /* index + 1 into node; 0 = nobody known */
	bool asked, known;            /* a map is on its way; one has come since cluster_doubt() */
	size_t ask_next;
	int64_t next_us;
};

void cluster_open(struct cluster *c, const struct store_conf *conf, int epoll);
void cluster_close(struct cluster *c);
void cluster_work(struct cluster *c);
void cluster_doubt(struct cluster *c);                              /* the map is out of date: ask again */
struct node *cluster_owner(const struct cluster *c, unsigned slot); /* NULL = not known */

/* Takes a reply to CLUSTER SLOTS that came from the node `asked`. False: not one. */
bool cluster_take(struct cluster *c, const struct reply *r, const struct node *asked);

#endif
