/* A new rule set from one that is there and a few changes: what a sensor does when
 * a set's next version comes as a delta.
 *
 *     struct ruleset_delta *d = ruleset_delta_new(armed->rules);
 *     uint32_t set = ruleset_delta_set(d, &head);             its new head: version, validity …
 *     ruleset_delta_remove(d, set, INDICATOR_DOMAIN, "old.example", NULL, &e);
 *     ruleset_delta_add(d, set, &indicator, &e);
 *     struct ruleset *next = ruleset_delta_apply(d, &e);       then arm the workers with it
 *     ruleset_delta_free(d);
 *
 * Removals are made in the base first, whatever the order of calls, then the
 * additions: to change an indicator, add it again (the same set, type, value as
 * written, match and where take the old one's place), or remove and add.
 *
 * Time and memory: the base's bytes are copied and patched, so a thousand changes
 * to a million indicators take some tens of milliseconds and one set of memory
 * more, until the caller frees the base. When a delta, or the many before it, have
 * left too little room in the table (after about a tenth of the base has been
 * replaced), or a whole set is dropped, the set is built anew instead: that takes
 * what building took, and for its time about three sets of memory. Either way the
 * base is not touched and stays in use until the workers have moved on.
 *
 * The digest of the result is made from the base's digest and from the changes:
 * machines that went the same way agree, but it is not the digest of a set that was
 * built from the same rules at once. The version of a set is what tells the state. */
#ifndef RULES_RULESET_DELTA_H
#define RULES_RULESET_DELTA_H

#include "rules/ruleset.h"

struct ruleset_delta;

/* The base is borrowed until ruleset_delta_free(). */
struct ruleset_delta *ruleset_delta_new(const struct ruleset *base);
void ruleset_delta_free(struct ruleset_delta *d); /* NULL is fine */

/* The set that changes, by its id: it gets this head (copied), or is new. Gives its
 * number for the calls below; a second call with the same id gives the same number
 * and leaves the first head. */
uint32_t ruleset_delta_set(struct ruleset_delta *d, const struct indicator_set *head);

/* Takes out all indicators of the set that have this type and canonical value
 * (whatever their match, where and spelling). *removed, unless NULL: how many there
 * were. False: e says why the value is none of the type. */
bool ruleset_delta_remove(struct ruleset_delta *d, uint32_t set, enum indicator_type t, const char *value,
			  size_t *removed, struct err *e);
/* Takes out the whole set of this number with all that the base holds of it; what
 * is added to it stays. For a set that is replaced, or withdrawn. */
void ruleset_delta_drop(struct ruleset_delta *d, uint32_t set);
/* Every indicator of another set, taken out of this one, or added to it, exactly: the
 * same type, value as written, match and where. False: e says that one of them is not
 * there once, or is there already; then the delta is of no use. */
bool ruleset_delta_remove_all(struct ruleset_delta *d, uint32_t set, const struct ruleset *from, struct err *e);
bool ruleset_delta_add_all(struct ruleset_delta *d, uint32_t set, const struct ruleset *from, struct err *e);
/* As ruleset_add(). */
enum added ruleset_delta_add(struct ruleset_delta *d, uint32_t set, const struct indicator *i, struct err *e);

/* The base with the changes, owned by the caller; NULL: e says why (no memory, too
 * large). d may be applied once. An empty result is for the caller to refuse. */
struct ruleset *ruleset_delta_apply(struct ruleset_delta *d, struct err *e);

#endif
