/* Ed25519 (RFC 8032): who signs indicator sets, and whether a signature holds.
 * A signature covers a context word beside the bytes, so that one made for a
 * manifest is good for nothing else.
 *
 * Private keys are PEM files (PKCS #8) that only their owner and his group read;
 * public keys are 32 bytes, written as 64 hex digits. */
#ifndef RULES_SIGN_H
#define RULES_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define SIGN_PUBLIC_BYTES    32
#define SIGN_SIGNATURE_BYTES 64
#define SIGN_KEY_ID_LEN      17 /* 16 hex digits and the NUL */

struct sign_key;

struct sign_key *sign_key_new(struct err *e);
/* Refuses a file that others than owner and group can read, and any key that is not Ed25519. */
struct sign_key *sign_key_read(const char *path, struct err *e);
/* Creates the file (mode 0640); one that is there already is an error. */
bool sign_key_write(const struct sign_key *k, const char *path, struct err *e);
void sign_key_free(struct sign_key *k);

bool sign_key_public(const struct sign_key *k, uint8_t out[static SIGN_PUBLIC_BYTES], struct err *e);
/* The short name of a public key: the first eight bytes of its SHA-256. */
void sign_key_id(const uint8_t pub[static SIGN_PUBLIC_BYTES], char out[static SIGN_KEY_ID_LEN]);

bool sign_make(const struct sign_key *k, const char *context, const void *data, size_t n,
	       uint8_t out[static SIGN_SIGNATURE_BYTES], struct err *e);
bool sign_holds(const uint8_t pub[static SIGN_PUBLIC_BYTES], const char *context, const void *data, size_t n,
		const uint8_t signature[static SIGN_SIGNATURE_BYTES]);

#endif
