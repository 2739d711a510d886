/* A sensor's posture as text for Prometheus. */
#ifndef SENSOR_SENSOR_METRICS_H
#define SENSOR_SENSOR_METRICS_H

#include "common/buf.h"
#include "sensor/status.h"

void sensor_metrics(struct buf *out, const struct status *s);

#endif
