/* What was looked for and not seen: a sighting of count 0 (STIX 2.1 section 5.2: "not seen
 * at all") about an indicator of a partner that stood on sensors here from first_seen to
 * last_seen and hit nothing, every inbound.negative. Only to those whose policy asks for it, and the
 * release gate lets it go only where it is not read as a hit (release.profile).
 *
 * Said only of what is sure: a sensor has told that it matches with the set, the indicator was there for
 * the whole time, and no hit of it was ever told. At most NEGATIVE_MAX at a time, flash first, then on
 * from where the last time ended. The mark stands in picket:{x}:negative, so a restart
 * neither repeats nor skips a time. */
#ifndef COLLECTOR_NEGATIVE_H
#define COLLECTOR_NEGATIVE_H

#include "collector/partners_internal.h"

#define NEGATIVE_MAX 1000 /* indicators of one partner in one lane each time */

struct negatives;

struct negatives *negatives_new(struct partners *p);
void negatives_free(struct negatives *n);
void negatives_work(struct negatives *n); /* each tick, when Redis is ready */

#endif
