/* The packet that an ICMP error quotes. */
#ifndef SENSOR_QUOTED_H
#define SENSOR_QUOTED_H

#include "sensor/inspect.h"
#include "sensor/packet.h"

/* l is an ICMP or ICMPv6 packet, in its flow. False: nothing is quoted. */
bool quoted_packet(struct inspect *in, const struct layer *l);

#endif
