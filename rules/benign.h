/* What indicators should not hit: ranges that are nobody's or one's own, and
 * warning lists (MISP's JSON). Held as a rule set, so that "is in the list" and
 * "would hit something in the list" are the same lookups that sensors make. */
#ifndef RULES_BENIGN_H
#define RULES_BENIGN_H

#include <stdint.h>

#include "common/diag.h"
#include "rules/canon.h"
#include "rules/ruleset.h"

struct benign; /* filled, then sealed, then asked */

struct benign *benign_new(void);
void benign_free(struct benign *b);

/* Reserved ranges and the hashes of the empty file. */
void benign_add_builtin(struct benign *b);
/* What every network has (rules/everyday.h). */
void benign_add_everyday(struct benign *b);
/* One of the organisation's own networks, addresses or names (with all below it);
 * false when it is none of these. */
bool benign_add_own(struct benign *b, const char *value, struct err *e);
/* A MISP warninglist. What of it cannot be used is counted in a note. */
bool benign_add_warninglist(struct benign *b, const char *path, struct diags *d, struct err *e);
bool benign_seal(struct benign *b, struct err *e);

/* One list: what a finding says of it. */
struct benign_list {
	enum diag_level level;
	const char *code, *name;
};

/* The list that the value is in, or NULL; substrings are looked for in text. */
const struct benign_list *benign_find(const struct benign *b, enum indicator_type t, const struct canon *value,
				      const char *text);

/* Calls back for every entry of the lists: its list, its type, its value. */
typedef void benign_fn(void *owner, const struct benign_list *list, size_t number, enum indicator_type t,
		       const char *value);
void benign_each(const struct benign *b, benign_fn *fn, void *owner);

#endif
