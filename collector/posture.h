/* A sensor's STATUS, flattened for its Redis hash. */
#ifndef COLLECTOR_POSTURE_H
#define COLLECTOR_POSTURE_H

#include "collector/store.h"
#include "common/buf.h"

#define POSTURE_NAME_MAX  200
#define POSTURE_VALUE_MAX 256

/* {"drops": {"kernel": 3}} becomes drops.kernel = 3. Appends to f (n of max so
 * far) and returns the new n. What does not fit is left out, and status_cut says
 * how many values that were; what is no JSON object is as good as empty. The bytes
 * live in text, which is reserved here and must not be touched until f was used. */
size_t posture_flatten(struct bytes json, struct store_field *f, size_t n, size_t max, struct buf *text);

/* How far ahead of ours the sensor's clock is ("time" in its STATUS), in
 * microseconds; 0 when it does not say. */
int64_t posture_skew(struct bytes json, int64_t now_us);

#endif
