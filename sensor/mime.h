/* MIME: parameters, encoded words, and the parts of a message. */
#ifndef SENSOR_MIME_H
#define SENSOR_MIME_H

#include <stddef.h>

#include "common/cursor.h"

#define MIME_CONTINUATIONS_MAX 64 /* name*0 … name*63 (RFC 2231) */

/* The parameter `name` of a header value such as `attachment; filename="a.exe"`:
 * quoted or not, extended (name*=utf-8''a%20b), continued (name*0=…; name*1=…).
 * Gives its length in out (at most cap), 0 when it is not there. */
size_t mime_param(struct bytes value, const char *name, char *out, size_t cap);

/* As mime_param, without what stands before the last / or \: only the name. */
size_t mime_filename(struct bytes value, const char *name, char *out, size_t cap);

#endif
