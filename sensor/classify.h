/* Which packets nDPI sees, and what becomes of its verdicts: protocol and risk
 * indicators. A verdict comes later than the packet, perhaps after the flow has
 * left the table, so the flow is remembered here until the last word. */
#ifndef SENSOR_CLASSIFY_H
#define SENSOR_CLASSIFY_H

#include "sensor/dpi.h"
#include "sensor/inspector.h"

struct classifier;

/* dpi may be NULL (mode off). Everything is borrowed. */
struct classifier *classifier_new(struct dpi *dpi, struct inspector *ins, struct ledger *ledger);
void classifier_free(struct classifier *c);
void classifier_mode(struct classifier *c, enum dpi_mode mode);

/* After inspection: gives the packet to nDPI if the mode and the flow ask for it. f is
 * a record of the flow table, to be told when nDPI has said its last word. */
void classify_packet(struct classifier *c, struct flow *f, enum side side, const struct layer *l, int64_t ts_us);
/* Overload: as classify_packet(), but the packet is only counted. */
void classify_shed(struct classifier *c, struct flow *f, const struct layer *l);
void classify_end(struct classifier *c, struct flow *f); /* the flow leaves the table */

/* Matches the verdicts that have come. Between bursts. */
void classify_collect(struct classifier *c, int64_t ts_us);
/* The flow table is gone, no more packets come: waits for all that is left, in wait mode. */
void classify_finish(struct classifier *c, int64_t ts_us);

#endif
