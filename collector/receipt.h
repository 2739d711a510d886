/* "27 of 31 sensors match since t+0.8 s", across a link: whoever sent something with
 * priority immediate or flash is told how many of the sensors here match with it by now, in sums and
 * without a name, when release.receipts of his policy says so. What was told stands in
 * picket:{x}:partner:<id> of the one who sent it: receipt_place, receipt_matching, receipt_sensors,
 * receipt_ms (picket partner show; picket partner publish --wait waits for it). */
#ifndef COLLECTOR_RECEIPT_H
#define COLLECTOR_RECEIPT_H

#include "collector/partners_internal.h"

/* A partner's flash set is published as this version; it holds all that came up to its place. */
void receipt_watch(struct partner *p, const char *set, uint32_t version, int64_t place, int64_t came_us);
void receipts_work(struct partners *p); /* each tick, when Redis is ready */
/* A partner tells; believed as far as it makes sense. */
void receipt_take(struct partners *p, const struct policy *from, const struct link_receipt *r);

#endif
