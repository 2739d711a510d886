/* The gateway's loop: everything that faces partners, on one thread and one
 * libevent base. Parts hang themselves into it: the TAXII server, partner links. */
#ifndef COLLECTOR_GATEWAY_H
#define COLLECTOR_GATEWAY_H

#include <stdbool.h>

#include "collector/gateway_conf.h"
#include "common/err.h"

struct gateway;

/* Opens what the configuration names; c must live as long. seed: a data file to
 * serve and load (picket-gateway(8)), or NULL. NULL: e says what failed. */
struct gateway *gateway_new(const struct gateway_conf *c, const char *seed, struct err *e);
void gateway_free(struct gateway *g);

/* Runs until SIGTERM or SIGINT. again is called on SIGHUP and says whether the
 * configuration may be taken over. False: Redis is not fit, e says why. */
bool gateway_run(struct gateway *g, bool (*again)(void *arg), void *arg, struct err *e);

#endif
