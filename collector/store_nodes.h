/* The nodes of whatever Redis it is: one server, the master that the sentinels
 * name, or the members of a cluster; and which of them has a slot. */
#ifndef COLLECTOR_STORE_NODES_H
#define COLLECTOR_STORE_NODES_H

#include "collector/store_cluster.h"
#include "collector/store_sentinel.h"

struct nodes {
	const struct store_conf *conf;
	int epoll;                  /* readable when nodes_work() has something to do */
	struct node one;            /* standalone and sentinel */
	struct sentinels sentinels; /* sentinel */
	struct cluster cluster;     /* cluster */
};

/* conf is borrowed as long as they are open. False: no epoll, errno says why. */
bool nodes_open(struct nodes *n, const struct store_conf *conf);
void nodes_close(struct nodes *n); /* waiting callers get NULL */
/* When the epoll is readable and at least every 100 ms: connects, sends, reads, calls back. */
void nodes_work(struct nodes *n);

bool nodes_clustered(const struct nodes *n);
struct node *nodes_owner(struct nodes *n, unsigned slot); /* NULL = not known now */
/* The node to ask why a slot is not served: its owner, or, while there is no map,
 * a member that was configured. */
const struct node *nodes_for(const struct nodes *n, unsigned slot);
uint64_t nodes_connects(const struct nodes *n);

#endif
