/* The collector's loop: listening sockets, connections, their sessions, and the
 * store between them. */
#ifndef COLLECTOR_SERVER_H
#define COLLECTOR_SERVER_H

#include <stdbool.h>

#include "collector/collector_conf.h"
#include "common/err.h"
#include "common/tls.h"

struct server;

/* Opens all addresses. c stays the caller's and must live as long. */
struct server *server_new(const struct collector_conf *c, struct err *e);
void server_free(struct server *s);

/* Waits up to the given time for Redis to be judged. False: it was reached and
 * is not fit to hold alerts; e says what to change. */
bool server_wait_for_store(struct server *s, int64_t wait_ms, struct err *e);

/* What server_run() is asked to do, by signals. */
struct server_signals {
	volatile int stop, reload;
};
/* Runs until stop. At a reload it calls again() and takes limits, retention and
 * certificates anew. */
void server_run(struct server *s, struct server_signals *signals, bool (*again)(void *arg), void *arg);

#endif
