/* What passed and no parser of ours reads, by the names that nDPI has for it: a count
 * of flows for each name, in the ledger. A flow counts at its end, when it is certain
 * that no parser took it; where nDPI is off, or was not asked, nothing counts. */
#ifndef SENSOR_UNREAD_H
#define SENSOR_UNREAD_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "sensor/ledger.h"

/* protocol: ndpi_protocol_number(). */
void unread_count(struct ledger *l, size_t protocol);

typedef void unread_fn(void *owner, const char *protocol, uint64_t flows);
/* The most frequent first, at most max of them. The flows of all others, 0 = none. */
uint64_t unread_each(const struct ledger *l, size_t max, unread_fn *fn, void *owner);

/* For a person: the ten most frequent. Nothing when there are none. */
void unread_print(const struct ledger *l, FILE *to);

#endif
