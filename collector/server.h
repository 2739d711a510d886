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

/* Begins to serve: to be called when rights have been given up, from when on
 * threads may start. Waits up to the given time for Redis to be judged. False: it was reached and
 * is not fit to hold alerts; e says what to change. */
bool server_wait_for_store(struct server *s, int64_t wait_ms, struct err *e);

/* What the collector counts; sessions: of all so far. */
struct server_figures {
	uint64_t connections, accepted, refused, blamed;
	struct session_stats sessions;
	const struct store_stats *store;
	bool redis_ready;
};
void server_figures(const struct server *s, struct server_figures *out);

/* A sensor that is connected now. status: its last STATUS as it came, JSON or
 * empty; borrowed for the call. */
struct server_sensor {
	const char *id, *version, *address;
	uint64_t stored;
	struct bytes status;
	int64_t status_at_us, skew_us;
};
void server_each_sensor(const struct server *s, void (*each)(void *arg, const struct server_sensor *sensor), void *arg);

/* What server_run() is asked to do, by signals. */
struct server_signals {
	volatile int stop, reload;
};
/* Runs until stop. At a reload it calls again() and takes limits, retention and
 * certificates anew. */
void server_run(struct server *s, struct server_signals *signals, bool (*again)(void *arg), void *arg);

#endif
