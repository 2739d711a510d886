/* DCE/RPC where it is not a connection of its own: in the pipes of SMB. */
#ifndef SENSOR_DCERPC_H
#define SENSOR_DCERPC_H

#include "sensor/framed.h"

/* May a PDU begin with these n bytes (1 or more)? */
bool dcerpc_begins(const uint8_t *p, size_t n);

/* The next bytes of what is written to one pipe: logins are reported. False: they are no DCE/RPC,
 * or memory is short (counted); the pipe is to be forgotten. */
bool dcerpc_written(struct inspect *in, struct framed *f, const uint8_t *p, size_t n);

#endif
