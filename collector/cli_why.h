/* The chain behind an alert: what it says of its indicator, the line of the set that
 * is published now, the decisions of this organisation that touch it, and where to
 * ask what a partner would see. */
#ifndef COLLECTOR_CLI_WHY_H
#define COLLECTOR_CLI_WHY_H

#include "collector/cli.h"

/* alert: the fields of a group (HGETALL). */
void why_alert(struct cli *c, const char *id, const struct reply *alert);

#endif
