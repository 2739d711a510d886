/* Where the master is, from the sentinels: one of them is asked again and again,
 * and at once when it says that something has changed; the next one when it does
 * not answer, or when what it named is no master. */
#ifndef COLLECTOR_STORE_SENTINEL_H
#define COLLECTOR_STORE_SENTINEL_H

#include <stdint.h>

#include "collector/store_node.h"

struct sentinels {
	const struct store_conf *conf;
	size_t at;                 /* the one in use */
	struct redis *redis, *ear; /* asks; hears what is published */
	int epoll;
	int64_t next_us;
	uint64_t downs; /* of the node, as they were */
	struct log_once say_none;
};

/* Asks when it is time, and moves the node when the master is elsewhere. A
 * sentinel's word is not believed alone: the node checks that it is a master. */
void sentinels_work(struct sentinels *s, struct node *node);
void sentinels_close(struct sentinels *s);

#endif
