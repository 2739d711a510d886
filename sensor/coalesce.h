/* Storms folded at the sensor. The first alert of a group goes on at once; what
 * follows within a second is folded into one record per group and second, with
 * the exact number of alerts, the first and last time, the last event's JSON and
 * the distinct peers (up to RECORD_PEERS_MAX). Nothing is dropped: a table that
 * is full lets go of a record early, and of the indicator that fills it most, so
 * one indicator's storm does not unfold another's. */
#ifndef SENSOR_COALESCE_H
#define SENSOR_COALESCE_H

#include <stddef.h>
#include <stdint.h>

struct coalesce;

typedef void coalesce_emit(void *owner, const void *record, size_t n);

/* groups: how many are remembered at a time. */
struct coalesce *coalesce_new(size_t groups, coalesce_emit *emit, void *owner);
void coalesce_free(struct coalesce *c); /* without emitting */

/* record as rules/alert.h draws it; what is no alert passes unchanged. now_us:
 * monotonic. */
void coalesce_add(struct coalesce *c, const void *record, size_t n, int64_t now_us);
/* Emits what is due. Returns when to call again; INT64_MAX: nothing waits. */
int64_t coalesce_tick(struct coalesce *c, int64_t now_us);
void coalesce_flush(struct coalesce *c); /* emits all that waits */

uint64_t coalesce_folded(const struct coalesce *c); /* alerts that went into another's record */

#endif
