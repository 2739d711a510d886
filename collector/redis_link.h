/* One Redis for a program whose loop is libevent: connects, connects again,
 * makes sure that it is fit to keep things (a master that evicts nothing), and
 * gives up on one that does not answer. Commands go out in order, each gets one
 * callback, from the loop; r == NULL: it is not known what became of it. */
#ifndef COLLECTOR_REDIS_LINK_H
#define COLLECTOR_REDIS_LINK_H

#include "collector/store_redis.h"

struct event_base;
struct redis_link;

/* ready is called each time that it has become fit to use; may be NULL. target is copied. */
struct redis_link *redis_link_new(struct event_base *base, const struct redis_target *target, int64_t timeout_ms,
				  void (*ready)(void *arg), void *arg);
void redis_link_free(struct redis_link *l); /* waiting callers get NULL */

bool redis_link_ready(const struct redis_link *l);
/* Why it is not used; "" when it is. *unfit: it was reached and is not fit, so waiting does not help. */
const char *redis_link_trouble(const struct redis_link *l, bool *unfit);
uint64_t redis_link_reconnects(const struct redis_link *l);

/* False: it is away or too much waits already; done is not called then. */
bool redis_link_send(struct redis_link *l, size_t argc, const char **argv, const size_t *len, struct redis_done done);
/* The same with words that end in a NUL. */
bool redis_link_words(struct redis_link *l, size_t argc, const char **argv, struct redis_done done);

#endif
