/* What the indicators of a set have found, out of files of alerts. */
#ifndef RULES_REPORT_HITS_H
#define RULES_REPORT_HITS_H

#include "common/err.h"
#include "rules/hiding.h"
#include "rules/ruleset.h"

/* Reads alerts (one JSON object a line, as picket scan and the sensor write them, or groups
 * with their counts, as picket alerts list --json prints them) and prints, by set and by
 * indicator, what hit how often and what never did, and how many of these alerts each allow
 * entry of r and each entry of h (suppress, disable; NULL: there is none) would take away now.
 * limit: lines of indicators. False: a file cannot be read. */
bool report_hits(const struct ruleset *r, const struct hiding *h, const char *const *alerts, size_t n, size_t limit,
		 int64_t now_us, struct err *e);

#endif
