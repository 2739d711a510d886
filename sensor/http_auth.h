/* Who logs in over HTTP: the value of Authorization or Proxy-Authorization. */
#ifndef SENSOR_HTTP_AUTH_H
#define SENSOR_HTTP_AUTH_H

#include "sensor/inspect.h"

#define HTTP_AUTH_MAX 8192 /* characters of a token that are read; the rest is counted. Kerberos' may be longer */

/* Basic (RFC 7617) and Digest (RFC 7616) report WHERE_HTTP_USER, NTLM and Negotiate
 * (RFC 4559) what ntlm_user() finds. An empty value and other schemes report nothing. */
void http_auth_observe(struct inspect *in, struct bytes value);

#endif
