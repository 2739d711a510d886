/* What the running daemons may still do: their files, Redis, nothing else. Whoever
 * opens another file at run time adds it to the grants there. */
#ifndef COLLECTOR_CONFINE_H
#define COLLECTOR_CONFINE_H

#include "collector/collector_conf.h"
#include "collector/gateway_conf.h"

/* After the listeners are open, before any thread is started. file: the
 * configuration, read again on SIGHUP; NULL = none. Nothing with sandbox.on: false. */
bool confine_collector(const struct collector_conf *c, const char *file, struct err *e);
bool confine_gateway(const struct gateway_conf *c, const char *file, struct err *e);

#endif
