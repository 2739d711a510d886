/* The canonical form: what is hashed and compared. The same functions serve
 * what maintainers write and what sensors see, so the two cannot drift apart.
 *
 * Both return the key in out (at most CANON_MAX bytes, not terminated). */
#ifndef RULES_CANON_H
#define RULES_CANON_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "rules/indicator.h"

#define CANON_MAX 4096 /* a longer value is refused in rules and never matches on the wire */

struct canon {
	size_t n;
	unsigned char key[CANON_MAX];
};

/* A value from a rule file: whole checking, IDNA to its ASCII form (UTS 46), a
 * reason when it is wrong. Canonical forms:
 *   ip           16 bytes (IPv4 mapped)
 *   cidr         16 bytes + 1 byte length; host bits must be zero
 *   ip_port      16 bytes + big-endian port; "198.51.100.7:443", "[2001:db8::7]:443"
 *   domain, hostname   lower-case ASCII labels without the trailing dot
 *   url          scheme and host lower-case, default port and fragment dropped,
 *                empty path "/", the rest exact. Without a scheme the key begins "//"
 *   ja3 … hashes the raw digest bytes (16, 20, 32) of hex with or without ':'
 *   cert_serial  hex without leading "00" bytes, lower-case, ':' dropped
 *   email        lower-case
 *   others       the bytes as they are (payload_hex: the bytes that it spells) */
bool canon_rule(enum indicator_type t, const char *value, size_t n, struct canon *out, struct err *e);

/* An observable from the wire: no text of errors, never refuses what a rule
 * could have meant. False: this can match no indicator of the type. */
bool canon_wire(enum indicator_type t, const void *value, size_t n, struct canon *out);

#endif
