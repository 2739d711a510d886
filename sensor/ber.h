/* BER (X.690), as far as SNMP, Kerberos and LDAP use it: one-byte tags, definite
 * lengths. Elements are read through cursors: reading past an end, another tag
 * than expected or an impossible length makes the cursor bad. */
#ifndef SENSOR_BER_H
#define SENSOR_BER_H

#include "common/cursor.h"

#define BER_HEADER_MAX 6 /* bytes of a tag and a length */

enum {
	BER_INTEGER = 0x02,
	BER_OCTETS = 0x04,
	BER_ENUMERATED = 0x0a,
	BER_SEQUENCE = 0x30,
	BER_CONTEXT = 0x80, /* + number */
	BER_CONSTRUCTED = 0x20
};

size_t ber_length(struct cursor *c);

/* The next element's content, whatever its tag. */
struct cursor ber_next(struct cursor *c, uint8_t *tag);
/* The content of the next element, which has this tag. */
struct cursor ber_enter(struct cursor *c, uint8_t tag);
struct bytes ber_bytes(struct cursor *c, uint8_t tag);
uint32_t ber_number(struct cursor *c, uint8_t tag); /* not negative, at most 31 bits */
/* Steps over elements to the first with this tag; a bad cursor when there is none. */
struct cursor ber_find(struct cursor *c, uint8_t tag);

/* How long the element that begins here is, header and all; 0: not all of its
 * header is there, or it is bad. */
size_t ber_whole(const uint8_t *p, size_t n);

#endif
