/* Redis for programs that may wait: one server, the master that the sentinels name,
 * or the members of a cluster as their redirections tell. The collector's and the
 * gateway's ways (store_nodes.h) do not wait and are of no use to those. */
#ifndef COLLECTOR_REDIS_ASK_H
#define COLLECTOR_REDIS_ASK_H

#include "collector/store_conf.h"

#define REDIS_ASK_WORDS_MAX 64

struct redis_ask;

/* Connects to the first that answers. What c points to is borrowed until
 * redis_ask_free(). NULL: e says why. */
struct redis_ask *redis_ask_open(const struct store_conf *c, struct err *e);
void redis_ask_free(struct redis_ask *a);

/* Sends a command and gives the reply, in a cluster that of the node which has the first
 * word that begins with "picket:". len NULL: words that end in a NUL, at most
 * REDIS_ASK_WORDS_MAX. NULL: none came, e says why. An error reply is a reply.
 * Free with reply_free(). */
struct reply *redis_ask(struct redis_ask *a, size_t argc, const char **argv, const size_t *len, struct err *e);

#endif
