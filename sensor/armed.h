/* What a sensor is armed with: a rule set and what was made from it. Built by
 * the main thread, shared read-only by the workers, given back when the last of
 * them has moved on to the next. */
#ifndef SENSOR_ARMED_H
#define SENSOR_ARMED_H

#include <stdio.h>

#include "common/diag.h"
#include "rules/conditions.h"
#include "rules/hiding.h"
#include "rules/pattern.h"
#include "rules/rulefile.h"
#include "rules/ruleset.h"
#include "sensor/dpi.h"

struct armed {
	struct ruleset *rules;
	struct pattern_db *patterns;   /* NULL: the set holds none */
	struct conditions *conditions; /* NULL: it has no STIX patterns */
	uint16_t generation;           /* 1.. : flows remember which one their addresses were matched against */
	struct hiding *hiding;         /* what is suppressed and disabled; NULL: nothing */
	bool partial;                  /* something of the files did not load */
	bool exact;                    /* nothing was left out or there twice: a delta can follow */
};

/* With a set that is there, from a delta for instance (rules/ruleset_delta.h), which
 * is taken over, also when it fails: NULL, its payload patterns cannot be compiled. */
struct armed *armed_new(struct ruleset *rules, bool partial, uint16_t generation, struct err *e);
/* Reads the files (rules/rulefile.h). NULL: findings are in d. */
struct armed *armed_load(const char *const *paths, size_t n, bool allow_empty, uint16_t generation, struct diags *d);
/* The same with a say on signatures; t may be NULL. */
struct armed *armed_load_trusted(const char *const *paths, size_t n, bool allow_empty, const struct rulefile_trust *t,
				 uint16_t generation, struct diags *d);
void armed_free(struct armed *a);

/* "1,204 indicators (domain 1,000, ip 204), 3 sets, digest 1f2e…": for the first lines. */
void armed_describe(const struct armed *a, char *out, size_t n);

/* What the set asks for: its types, and those of the values in its STIX patterns. */
indicator_mask armed_types(const struct armed *a);

/* The mode that this set needs: protocol and risk indicators can only match when
 * nDPI sees every flow. */
enum dpi_mode armed_dpi_mode(const struct armed *a, enum dpi_mode configured);

#endif
