/* Whose signatures are believed, for which sets, and from when to when: a YAML
 * file that the owner of a sensor keeps.
 *
 *   keys:
 *     - {id: cert-2026, public: <64 hex digits>, scope: ["*"], valid_until: 2027-12-31}
 *     - {id: gateway, public: <64 hex digits>, scope: ["partner-*"]}
 *
 * A key is changed by adding the new one beside the old one, signing with the
 * new, and removing the old. Scope is a list of patterns with * and ? over set
 * ids; a key without scope is refused, because it would speak for everything. */
#ifndef RULES_TRUST_H
#define RULES_TRUST_H

#include "common/diag.h"
#include "rules/manifest.h"

#define TRUST_KEYS_MAX  64
#define TRUST_SCOPE_MAX 64

struct trust;

/* Reads the file; NULL when something in it is wrong: findings are in d. */
struct trust *trust_read(const char *path, struct diags *d);
void trust_free(struct trust *t);

/* Whether the signature over the manifest holds, by a key that may speak for
 * this set at now_us. False: e says why. *who (may be NULL) is the key's id,
 * borrowed. */
bool trust_believes(const struct trust *t, struct bytes manifest, const struct manifest *m,
		    const struct endorsement *by, int64_t now_us, const char **who, struct err *e);

/* * and ? over the whole of a set's id. */
bool trust_in_scope(const char *pattern, const char *set);

#endif
