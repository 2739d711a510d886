/* NTLM ([MS-NLMP]): the user who logs in, whatever protocol carries the blob. */
#ifndef SENSOR_NTLM_H
#define SENSOR_NTLM_H

#include "sensor/inspect.h"

#define NTLM_USER_MAX 512 /* bytes on the wire; longer ones are counted and left out */

/* Looks for an NTLMSSP message in the blob (bare, or within SPNEGO) and, if it is
 * an AUTHENTICATE, reports its user name, without the domain, as WHERE_NTLM_USER.
 * For HTTP the caller undoes the base64 of "Authorization: NTLM …" first. */
void ntlm_user(struct inspect *in, const void *blob, size_t n);

#endif
