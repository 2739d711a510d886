/* The straight way through decoding for what nearly all packets are: whole,
 * Ethernet with at most one VLAN tag, IPv4 or IPv6 without fragments and extension
 * headers, TCP or UDP, no tunnel. */
#ifndef SENSOR_DECODE_PLAIN_H
#define SENSOR_DECODE_PLAIN_H

#include "sensor/decode_walk.h"

/* Fills *out as the walk would (decode_walk.h). False: not such a packet, and
 * nothing was counted. */
bool decode_plain(struct decoder *d, const struct raw_packet *raw, struct packet *out);

#endif
