/* Which Redis, and what is asked of it. */
#ifndef COLLECTOR_STORE_CONF_H
#define COLLECTOR_STORE_CONF_H

#include <stddef.h>
#include <stdint.h>

#include "collector/store_redis.h"

#define PARTITIONS_CLUSTER 16 /* of the groups; one without a cluster */

enum durability { DURABILITY_MEMORY = 0, DURABILITY_REPLICA, DURABILITY_DISK, DURABILITY_COUNT };
extern const char *const durability_names[DURABILITY_COUNT + 1];

/* Sentinel: nodes are sentinels, which know where the master is. Cluster: nodes are
 * some of its members. */
enum store_mode { STORE_STANDALONE = 0, STORE_SENTINEL, STORE_CLUSTER, STORE_MODE_COUNT };
extern const char *const store_mode_names[STORE_MODE_COUNT + 1];

/* What it must be fit for: alerts, with scripts and keys that are looked at first; or
 * shared objects. */
enum store_use { STORE_ALERTS = 0, STORE_OBJECTS };

#define STORE_NODES_MAX 64

struct store_conf {
	int mode;                  /* enum store_mode */
	struct redis_target redis; /* standalone: where; user and password for all */
	int use;                   /* enum store_use */
	char *const *nodes;        /* "host:port", checked; borrowed */
	size_t nodes_n;
	const char *master; /* its name at the sentinels; borrowed */
	int64_t timeout_ms; /* without a reply for so long the connection is given up */
	int durability;     /* enum durability */
	int64_t replicas;   /* that must have it, for DURABILITY_REPLICA */
	int64_t stream_max, top_max;
	int64_t open_retention_ms, closed_retention_ms;
};

#endif
