/* What may be wrapped in an IP datagram. */
#ifndef SENSOR_TUNNEL_H
#define SENSOR_TUNNEL_H

#include "sensor/decode_walk.h"

/* Once, when the decoder's ports are known. */
void tunnel_ports(struct decoder *d);

/* Looks behind the transport header of the newest layer, whose payload is c, and
 * adds the layers inside. What looks like a tunnel but does not decode cleanly
 * stays plain payload and is counted (TUNNEL_REFUSED). */
void tunnel_open(struct walk *w, struct cursor c, uint32_t cut);

#endif
