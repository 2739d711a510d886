#include "collector/store_nodes.h"

#include <sys/epoll.h>
#include <unistd.h>

bool nodes_open(struct nodes *n, const struct store_conf *conf)
{
	struct redis_target t = conf->redis;
	*n = (struct nodes){.conf = conf, .epoll = epoll_create1(EPOLL_CLOEXEC)};
	if (conf->mode == STORE_SENTINEL)
		t.host[0] = t.port[0] = 0;
	node_open(&n->one, conf, &t, n->epoll);
	n->sentinels = (struct sentinels){.conf = conf, .epoll = n->epoll};
	if (conf->mode == STORE_CLUSTER)
		cluster_open(&n->cluster, conf, n->epoll);
	return n->epoll >= 0;
}

void nodes_close(struct nodes *n)
{
	node_close(&n->one);
	sentinels_close(&n->sentinels);
	cluster_close(&n->cluster);
	if (n->epoll >= 0)
		close(n->epoll);
}

bool nodes_clustered(const struct nodes *n)
{
	return n->conf->mode == STORE_CLUSTER;
}

struct node *nodes_owner(struct nodes *n, unsigned slot)
{
	return nodes_clustered(n) ? cluster_owner(&n->cluster, slot) : &n->one;
}

const struct node *nodes_for(const struct nodes *n, unsigned slot)
{
	const struct node *owner = nodes_clustered(n) ? cluster_owner(&n->cluster, slot) : &n->one;
	return owner ? owner : n->cluster.nodes ? n->cluster.node[0] : &n->one;
}

uint64_t nodes_connects(const struct nodes *n)
{
	uint64_t connects = n->one.connects;
	for (size_t i = 0; i < n->cluster.nodes; i++)
		connects += n->cluster.node[i]->connects;
	return connects;
}

void nodes_work(struct nodes *n)
{
	struct epoll_event ev[8];
	epoll_wait(n->epoll, ev, 8, 0);
	if (nodes_clustered(n)) {
		cluster_work(&n->cluster);
		return;
	}
	if (n->conf->mode == STORE_SENTINEL)
		sentinels_work(&n->sentinels, &n->one);
	node_work(&n->one);
}
