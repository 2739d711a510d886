/* The collector's figures, and those that its sensors last reported, as text for
 * Prometheus. */
#ifndef COLLECTOR_SERVER_METRICS_H
#define COLLECTOR_SERVER_METRICS_H

#include "common/buf.h"

/* server is a struct server. */
void server_metrics(void *server, struct buf *out);

#endif
