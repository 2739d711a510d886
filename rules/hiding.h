/* What is asked of every hit: do the entries of rules/overrides.h hide it? */
#ifndef RULES_HIDING_H
#define RULES_HIDING_H

#include <stddef.h>

#include "rules/overrides.h"
#include "rules/ruleset.h"

/* The entries that name an indicator of r. Takes the entries over (o is empty
 * then). NULL: there is none, nothing is to be asked. */
struct hiding;
struct hiding *hiding_new(const struct ruleset *r, struct overrides *o);
/* The same entries for another set. from may be NULL. */
struct hiding *hiding_again(const struct ruleset *r, const struct hiding *from);
void hiding_free(struct hiding *h);
/* Counts go on from those of another, where the entries are the same. */
void hiding_inherit(struct hiding *h, const struct hiding *from);

/* Whether a hit of this indicator between these two is hidden at now_us; counts
 * it. For any number of threads. h may be NULL. */
bool hiding_asks(struct hiding *h, ruleset_ref ref, const struct addr *src, const struct addr *dest, int64_t now_us);
/* The same question without counting: the entry's number, as hiding_each() calls them from 0 on;
 * -1: none. src and dest may be NULL when nobody knows them: entries with a source do not apply then. */
ptrdiff_t hiding_which(const struct hiding *h, ruleset_ref ref, const struct addr *src, const struct addr *dest,
		       int64_t now_us);
/* Every entry that names this indicator, whatever its source and its time. h may be NULL. */
void hiding_of(const struct hiding *h, ruleset_ref ref, void (*fn)(void *owner, const struct override *o), void *owner);
/* All entries with what they hid. h may be NULL. */
void hiding_each(const struct hiding *h, void (*fn)(void *owner, const struct override *o, uint64_t hidden),
		 void *owner);

#endif
