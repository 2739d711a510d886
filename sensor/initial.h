/* The door to OpenSSL for QUIC: Initial packets, whose keys follow from the
 * connection id that the client chose (RFC 9001 §5.2, RFC 9369 §3.3). */
#ifndef SENSOR_INITIAL_H
#define SENSOR_INITIAL_H

#include <stdbool.h>

#include "common/cursor.h"

#define INITIAL_PACKET_MAX 16384 /* bytes of one packet that is opened; on the wire they are 1,200 to 1,500 */

/* What a version prescribes. */
struct initial_scheme {
	const uint8_t *salt; /* 20 bytes */
	bool v2;             /* its own labels and packet type numbers */
	bool google;         /* Google's frame numbers */
	bool chlo;           /* a CHLO inside instead of a ClientHello */
};

struct initial_keys {
	uint8_t key[16], iv[12], mask[16]; /* mask: for the header */
};

/* What may hold for a version: which = 0, 1, … until false. Most have one; a version
 * number that is reserved to provoke a negotiation (RFC 9000 section 15: 0x?a?a?a?a)
 * stands before a packet of whichever its sender speaks. */
bool initial_scheme_of(uint32_t version, unsigned which, struct initial_scheme *out);

/* The keys of both directions from the client's first destination id. */
void initial_keys_of(const struct initial_scheme *s, struct bytes id, struct initial_keys *client,
		     struct initial_keys *server);

/* Opens a packet of n bytes whose number begins at number_at. plain has room for n
 * bytes. Gives the length of the payload; 0: not with these keys. */
size_t initial_open(const struct initial_keys *k, const uint8_t *packet, size_t number_at, size_t n, uint8_t *plain);

#endif
