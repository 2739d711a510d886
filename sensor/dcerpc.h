/* DCE/RPC where it is not a connection of its own: in the pipes of SMB. */
#ifndef SENSOR_DCERPC_H
#define SENSOR_DCERPC_H

#include "sensor/inspect.h"

#define DCERPC_HEADER    16
#define DCERPC_LOGIN_MIN 88 /* header, introduction of the token, NTLM's fixed part */

/* p: the n bytes that are there of a message whose content, length bytes, begins at `at`.
 * How many bytes of the message to wait for before dcerpc_users() can read its content;
 * 0: there is nothing to read in it. May grow with n. */
size_t dcerpc_head(const uint8_t *p, size_t n, size_t at, size_t length, size_t max);

/* Who logs in with the whole PDUs in the content of one write to a pipe: length bytes from
 * `at` of the message, or as many of them as are there. */
void dcerpc_users(struct inspect *in, struct cursor message, size_t at, size_t length);

#endif
