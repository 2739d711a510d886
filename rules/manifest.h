/* What is signed of an indicator set: its manifest. One line of JSON in exactly
 * one spelling, so that the bytes that were signed are the bytes that are judged:
 *
 *   {"picket_set":1,"set":"apt-demo","version":421,"digest":"<64 hex>","previous":"<64 hex>","count":1200,
 *    "bytes":51234,"created":"2026-11-21T03:10:00.000000Z","valid_until":"2027-03-01T00:00:00.000000Z",
 *    "priority":"flash","exercise":"","withdrawn":false,"shrink":false}
 *
 * digest is the SHA-256 of the content (rules/set_lines.h), previous that of the
 * version before it, from which a delta may be made ("" = none). withdrawn: the
 * set holds nothing any more, and is meant to. shrink: its author knows that it
 * lost much. Who gets a version first (the canary ring) is not in it: that is the
 * publisher's business, and to promote a set must not need the key.
 *
 * A signed set is one file, so that it is replaced in one step:
 *
 *   picket-set 1
 *   <manifest>
 *   <key id, 16 hex digits> <signature, 128 hex digits>
 *   <content>
 */
#ifndef RULES_MANIFEST_H
#define RULES_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/cursor.h"
#include "common/err.h"
#include "rules/sign.h"

#define MANIFEST_SET_MAX     64
#define MANIFEST_BYTES_MAX   1024
#define MANIFEST_CONTENT_MAX (256u << 20) /* bytes of a set's content */
#define MANIFEST_COUNT_MAX   (20u * 1000 * 1000)
#define MANIFEST_DIGEST_LEN  65
#define MANIFEST_CONTEXT     "picket set manifest 1"

enum urgency { URGENCY_ROUTINE = 0, URGENCY_PRIORITY, URGENCY_IMMEDIATE, URGENCY_FLASH, URGENCY_COUNT };
extern const char *const urgency_names[URGENCY_COUNT + 1]; /* NULL-terminated */

struct manifest {
	char set[MANIFEST_SET_MAX + 1];
	uint64_t version; /* 1 to 2^32 - 1 */
	char digest[MANIFEST_DIGEST_LEN], previous[MANIFEST_DIGEST_LEN];
	uint64_t count, bytes;
	int64_t created_us, valid_until_us; /* valid_until 0 = no end */
	enum urgency priority;
	char exercise[MANIFEST_SET_MAX + 1]; /* "" = real */
	bool withdrawn, shrink;
};

/* 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot: set ids become file names and keys. */
bool manifest_id_valid(const char *id, size_t n);

void manifest_write(const struct manifest *m, struct buf *out); /* no newline */
/* False: not a manifest, not in its one spelling, or a value out of bounds. */
bool manifest_read(const void *text, size_t n, struct manifest *m, struct err *e);

/* The signature that goes with a manifest. */
struct endorsement {
	char key_id[SIGN_KEY_ID_LEN];
	uint8_t signature[SIGN_SIGNATURE_BYTES];
};
bool manifest_sign(const struct sign_key *k, const void *manifest, size_t n, struct endorsement *out, struct err *e);

/* ---- the file ---- */

struct signed_set {
	struct bytes manifest, content; /* borrowed */
	struct manifest m;
	struct endorsement by;
};

bool signed_set_looks(const void *text, size_t n); /* begins like one */
void signed_set_write(struct buf *out, struct bytes manifest, const struct endorsement *by, struct bytes content);
/* Takes the file apart; believes nothing: rules/trust.h does. */
bool signed_set_read(const void *text, size_t n, struct signed_set *s, struct err *e);
/* Whether the content is what the manifest says: its length and its digest. */
bool signed_set_whole(const struct manifest *m, struct bytes content, struct err *e);

#endif
