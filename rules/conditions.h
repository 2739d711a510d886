/* All conditions of a rule set (rules/condition.h). Their values are a rule set of
 * their own, looked up beside the sensor's; so a pattern costs nothing until one of
 * its values passes. Made when a sensor is armed, as the payload patterns are. */
#ifndef RULES_CONDITIONS_H
#define RULES_CONDITIONS_H

#include "rules/condition.h"
#include "rules/ruleset.h"

#define CONDITION_SAME_MAX 1024 /* conditions that share one value: more are left out, and counted */

struct conditions; /* of one rule set, read-only, shared by the workers */

/* Of all patterns in r, which must outlive it. NULL: it has none. */
struct conditions *conditions_new(const struct ruleset *r);
void conditions_free(struct conditions *c); /* NULL is fine */

size_t conditions_count(const struct conditions *c);
size_t conditions_left_out(const struct conditions *c); /* beyond CONDITION_SAME_MAX */
bool conditions_ask_app(const struct conditions *c);    /* some want to know the application protocol */

/* The values, as a rule set. */
const struct ruleset *conditions_terms(const struct conditions *c);
/* What a hit of one of them means: n uses. */
struct condition_use {
	uint32_t condition, bit;
};
const struct condition_use *conditions_uses(const struct conditions *c, ruleset_ref term, size_t *n);

enum condition_scope conditions_scope(const struct conditions *c, uint32_t condition);
ruleset_ref conditions_pattern(const struct conditions *c, uint32_t condition); /* in the set they were made from */
bool conditions_hold(const struct conditions *c, uint32_t condition, uint32_t seen, const struct condition_facts *f);

#endif
