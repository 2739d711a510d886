/* One comparison of a STIX pattern as what is looked up on the wire. */
#ifndef RULES_STIX_TERM_H
#define RULES_STIX_TERM_H

#include "rules/indicator.h"
#include "rules/stix_pattern.h"

struct stix_term {
	enum indicator_type type;
	enum match_mode match;
	const char *where; /* NULL = everywhere; static */
	const char *value; /* in the pattern's text, not terminated at n */
	size_t n;
};

/* NULL, or why it cannot be looked up (static). */
const char *stix_term_of(const struct stix_pattern *p, const struct stix_compare *c, struct stix_term *t);

#endif
