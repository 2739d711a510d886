/* What was seen of partners' indicators here, and what was looked for and not seen, told to the partner they came from:
 * sightings without victim detail, false-positive reports; and the trial of an
 * indicator, which goes to quarantine when it hits more assets here than
 * inbound.prevalence_max.
 *
 * The source is the stream of transitions of groups of alerts (redis-schema.md), whose
 * last id is kept in picket:{x}:sightings, so nothing is told twice after a restart and
 * what happened meanwhile is told. One sighting object per indicator grows with its
 * versions: the first hit goes out at once, later ones at most every SIGHTING_US. A count is
 * that of the last transition (first, 10, 100 … hits, a new sensor, a new episode): it
 * lags behind what the groups hold by up to a power of ten. */
#ifndef COLLECTOR_SIGHTING_H
#define COLLECTOR_SIGHTING_H

#include "collector/partners_internal.h"

#define SIGHTING_MAX    10000 /* indicators that are followed; the longest silent are forgotten */
#define SIGHTING_GROUPS 1024  /* assets of one that are told apart */

struct sightings;

struct sightings *sightings_new(struct partners *p);
void sightings_free(struct sightings *s);
bool sightings_busy(const struct sightings *s); /* an answer is on its way */
void sightings_work(struct sightings *s);       /* each tick, when Redis is ready */

/* A person says that an indicator of a partner is wrong. */
void sightings_false_positive(struct sightings *s, const struct policy *to, const char *indicator);
/* An indicator of a partner was looked for from then until then and not seen (collector/negative.h).
 * created_us: the indicator's own, because what is said is one object that grows, and that never changes. */
void sightings_negative(struct sightings *s, const struct policy *to, const char *indicator, enum tlp tlp,
			int64_t created_us, int64_t from_us, int64_t until_us);
/* The id of the sighting that is told when this indicator is hit here. */
void sightings_id(const struct sightings *s, const char *indicator, char out[static 96]);
/* A partner's sighting or opinion has come and is stored. */
void sightings_take(struct sightings *s, const struct policy *from, const struct shared *o, const char *collection,
		    int64_t row);

#endif
