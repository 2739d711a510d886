/* What a running sensor may still do: its files, its collectors, nothing else. */
#ifndef SENSOR_CONFINE_H
#define SENSOR_CONFINE_H

#include "common/sandbox.h"
#include "sensor/sensor_conf.h"

/* Before any capture is open: a live sensor gets an opener for interfaces that come
 * back. Nothing with sandbox.on: false. */
bool confine_prepare(struct sandbox *box, const struct sensor_conf *c, struct err *e);
/* After captures and nDPI processes are open, before any thread is started. Whoever
 * opens another file at run time adds it to the grants there. */
bool confine_enter(struct sandbox *box, const struct sensor_conf *c, struct err *e);

/* `picket sandbox`: the system calls of each process, as Markdown. */
int confine_main(int argc, char **argv);

#endif
