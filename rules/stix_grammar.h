/* The whole grammar of STIX 2.1 patterns (STIX 2.1 section 9), as a judge: is this a
 * pattern? rules/stix_pattern.h reads the part that becomes indicators; what goes
 * beyond it must still be told apart from what is none, because the one is kept and
 * given on to partners, the other is an error of its author.
 *
 * Linear in the text; nesting is bounded. */
#ifndef RULES_STIX_GRAMMAR_H
#define RULES_STIX_GRAMMAR_H

#include <stddef.h>

#define STIX_NESTING_MAX 64

enum stix_verdict { STIX_WELL_FORMED = 0, STIX_MALFORMED, STIX_TOO_DEEP };

/* Unless it is well-formed, *why is a short reason (static) and *at the byte where it
 * stands. Either may be NULL. */
enum stix_verdict stix_grammar(const char *text, size_t n, const char **why, size_t *at);

#endif
