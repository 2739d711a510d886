/* The gateway's figures as text for Prometheus: links, what each partner gave and got,
 * TAXII, feeds. */
#ifndef COLLECTOR_GATEWAY_METRICS_H
#define COLLECTOR_GATEWAY_METRICS_H

#include "common/buf.h"

struct partners;
struct redis_link;
struct taxii;
struct taxii_client;

/* Whose figures they are; all borrowed. */
struct gateway_figures {
	const struct redis_link *redis;
	struct partners *partners;
	const struct taxii *taxii;
	const struct taxii_client *feeds;
};

/* figures is a struct gateway_figures. */
void gateway_metrics(void *figures, struct buf *out);

#endif
