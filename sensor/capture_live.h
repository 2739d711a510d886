/* Packets from a network interface through libpcap. */
#ifndef SENSOR_CAPTURE_LIVE_H
#define SENSOR_CAPTURE_LIVE_H

#include "sensor/capture.h"

struct capture_live_handle;

struct capture_live_handle *capture_live_open(const struct capture_live *want, struct err *e);
void capture_live_close(struct capture_live_handle *h);
enum capture_result capture_live_read(struct capture_live_handle *h, struct burst *burst, int wait_ms, struct err *e);
bool capture_live_stats(struct capture_live_handle *h, struct capture_stats *out);
int capture_live_link_type(const struct capture_live_handle *h);
int capture_live_snaplen(const struct capture_live_handle *h);
int64_t capture_live_ring_bytes(const struct capture_live_handle *h);

#endif
