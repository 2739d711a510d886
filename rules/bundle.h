/* Shared objects for a partner without a network: a file that is carried. It is
 * numbered, names the file before it, is signed, and is made of nothing but its content:
 * the same objects give the same bytes.
 *
 *   picket-bundle 1
 *   {"from":"alpha","to":"bravo","number":7,"previous":"<64 hex>","digest":"<64 hex>","objects":120,
 *    "bytes":51234,"time":"2026-11-21T03:10:00.000000Z"}                            one line, one spelling
 *   <key id, 16 hex digits> <signature over that line, 128 hex digits>
 *   <content: u32 length and one STIX object (rules/shared.h), n times>
 *
 * digest is the SHA-256 of the content, previous that of the head line of the
 * bundle before ("0" for the first), time that of the newest object in it. Nothing of a
 * file is believed before its signature, its length and its digest hold. */
#ifndef RULES_BUNDLE_H
#define RULES_BUNDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/cursor.h"
#include "common/err.h"
#include "rules/shared.h"
#include "rules/sign.h"

#define BUNDLE_CONTENT_MAX (1u << 30)
#define BUNDLE_HEAD_MAX    1024
#define BUNDLE_DIGEST_LEN  65

struct bundle {
	char from[SHARED_NAME_MAX + 1], to[SHARED_NAME_MAX + 1];
	uint64_t number, objects, bytes; /* number: from 1 */
	char previous[BUNDLE_DIGEST_LEN], digest[BUNDLE_DIGEST_LEN];
	int64_t time_us;
	/* of one that was read */
	char key_id[SIGN_KEY_ID_LEN], head_digest[BUNDLE_DIGEST_LEN];
	struct bytes content; /* borrowed */
};

/* Appends the whole file. b: from, to, number, previous, objects, time_us; the rest is filled in. */
bool bundle_write(struct bundle *b, struct bytes content, const struct sign_key *k, struct buf *out, struct err *e);
/* False: not a bundle, cut short, changed, or not signed by pub; e says which. */
bool bundle_read(struct bundle *b, struct bytes file, const uint8_t pub[static SIGN_PUBLIC_BYTES], struct err *e);

#endif
