/* Judges rule files beyond what their reader refuses: entries that are correct
 * and still a mistake. The codes are stable words that tools may count by:
 *
 *   duplicate      the same value is listed already, in another spelling or set
 *   subsumed       another indicator covers this one
 *   allowed        the allow list silences it: it never alerts
 *   allow-parent   an allow entry above it does not silence it
 *   reserved       private, link-local, multicast … ; own-range: --own
 *   everyday       shared infrastructure: what every network looks up or sends
 *   warning-list   shared infrastructure on a warning list
 *   empty-file     the hash of nothing
 *   too-wide       a prefix or a name under which half the world lives
 *   expired        its end has passed; no-expiry: the set's have no end; never-valid: it ends before it begins
 *   no-producer    the set does not say who vouches for it; no-marking: no TLP
 *   idn            matches as its IDNA form
 *   short-pattern  so few bytes occur by chance
 *   shrink         the set lost much since --against
 *
 * What reading finds besides (malformed values, defanged ones, unknown keys, and for allow, suppress
 * and disable no-reason, no-expiry, expired) is in d before (rules/rulefile.h, judge_us). */
#ifndef RULES_LINT_H
#define RULES_LINT_H

#include "common/diag.h"
#include "rules/benign.h"
#include "rules/ruleset.h"

struct lint_options {
	int64_t now_us;
	const struct benign *benign;
	const struct ruleset *against; /* NULL = none */
	unsigned max_shrink;           /* per cent */
};

/* Findings are added to d in no order, with file and line, the column 0. value
 * (as many as d->n, owned by the caller, NULL where none) is what stands there. */
struct lint_values {
	char **v;
	size_t n;
};
void lint(const struct ruleset *r, const struct lint_options *o, struct diags *d, struct lint_values *values);

#endif
