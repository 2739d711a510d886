/* DNS over HTTPS (RFC 8484) where its HTTP is seen in clear, behind a proxy that ends
 * TLS or without TLS at all: the messages in bodies of the type application/dns-message,
 * and in the dns= parameter of a URL. They are reported as the messages of port 53 are. */
#ifndef SENSOR_HTTP_DNS_H
#define SENSOR_HTTP_DNS_H

#include "sensor/http_head.h"
#include "sensor/inspect.h"

#define HTTP_DNS_MAX 65535 /* bytes of a message: what its length field in TCP could say */

/* Whether the body of this message is one, and anything asks for it. */
bool http_dns_body(const struct inspect *in, const struct http_head *h);
/* A body that is whole. */
void http_dns_message(struct inspect *in, const uint8_t *p, size_t n);
/* Looks for the parameter in a request's target. */
void http_dns_target(struct inspect *in, struct bytes target);

#endif
