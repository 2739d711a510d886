/* Values of structured header fields: parameters, encoded words, addresses. */
#ifndef SENSOR_MIME_FIELD_H
#define SENSOR_MIME_FIELD_H

#include "common/cursor.h"

#define MIME_CONTINUATIONS_MAX 64   /* name*0 … name*63 (RFC 2231) */
#define MIME_VALUE_MAX         8192 /* of one value, decoded; the rest is cut */
#define MIME_ADDRESSES_MAX     256  /* per field */
#define MIME_ADDRESS_MAX       1024 /* of one of them */

/* The parameter `name` of a header value such as `attachment; filename="a.exe"`:
 * quoted or not, extended (name*=utf-8''a%20b), continued (name*0=…; name*1=…).
 * In UTF-8 as far as the value says its character set. Gives its length in out
 * (at most cap), 0 when it is not there. Sets *cut when it is longer. */
size_t mime_param(struct bytes value, const char *name, char *out, size_t cap, bool *cut);

/* As mime_param, with encoded words decoded (RFC 2047 forbids them here, mailers
 * write them), without what stands before the last / or \: only the name. */
size_t mime_filename(struct bytes value, const char *name, char *out, size_t cap, bool *cut);

/* A value with its encoded words as UTF-8 and its folds undone. Gives the length. */
size_t mime_words(struct bytes value, char *out, size_t cap, bool *cut);

/* Calls found for each address ("user@host") of an address list. False when the
 * list was longer than MIME_ADDRESSES_MAX, or one of them than MIME_ADDRESS_MAX. */
typedef void mime_address_fn(void *ctx, const uint8_t *p, size_t n);
bool mime_addresses(struct bytes value, mime_address_fn *found, void *ctx);

/* base64 (RFC 2045 6.8), streamed: anything outside of the alphabet is skipped, a
 * '=' ends the quantum. out has room for n bytes. Gives the length. */
struct base64 {
	uint32_t bits;
	uint8_t have; /* sextets */
};
size_t base64_decode(struct base64 *b, const uint8_t *p, size_t n, uint8_t *out);

#endif
