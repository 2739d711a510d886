/* DNS messages that another protocol carries (sensor/inspect_dns.c). */
#ifndef SENSOR_DNS_MESSAGE_H
#define SENSOR_DNS_MESSAGE_H

#include "sensor/inspect.h"

/* Reports what a whole message holds, as on port 53. False: it broke on the way; what was
 * read before is reported. */
bool dns_message_observe(struct inspect *in, const uint8_t *p, size_t n);

/* Whether these bytes are a message, as where no port speaks for it. */
bool dns_message_sure(const uint8_t *p, size_t n);

#endif
