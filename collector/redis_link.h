/* Redis, of whatever kind, for a program whose loop is libevent: connects, connects
 * again, makes sure that it is fit to keep things (a master that evicts nothing), and
 * gives up on one that does not answer (collector/store_nodes.h). Commands about the
 * keys of one slot go out in order, each gets one callback, from the loop; r == NULL:
 * it is not known what became of it. */
#ifndef COLLECTOR_REDIS_LINK_H
#define COLLECTOR_REDIS_LINK_H

#include "collector/store_conf.h"

struct event_base;
struct redis_link;

/* conf is borrowed; its timeout may change. ready is called each time that the slot of
 * "picket:{x}:" has become fit to use; may be NULL. */
struct redis_link *redis_link_new(struct event_base *base, const struct store_conf *conf, void (*ready)(void *arg),
				  void *arg);
void redis_link_free(struct redis_link *l); /* waiting callers get NULL */

bool redis_link_ready(const struct redis_link *l);
/* Why it is not used; "" when it is. *unfit: it was reached and is not fit, so waiting does not help. */
const char *redis_link_trouble(const struct redis_link *l, bool *unfit);
unsigned redis_link_partitions(const struct redis_link *l); /* of the groups of alerts */
uint64_t redis_link_reconnects(const struct redis_link *l);

/* In a cluster to the node that has the first word that begins with "picket:". False:
 * it is away or too much waits already; done is not called then. */
bool redis_link_send(struct redis_link *l, size_t argc, const char **argv, const size_t *len, struct redis_done done);
/* The same with words that end in a NUL. */
bool redis_link_words(struct redis_link *l, size_t argc, const char **argv, struct redis_done done);

#endif
