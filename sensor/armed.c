#include "sensor/armed.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "rules/rulefile.h"

#define NEEDS_DPI (INDICATOR_BIT(INDICATOR_PROTOCOL) | INDICATOR_BIT(INDICATOR_RISK))

struct armed *armed_new(struct ruleset *rules, bool partial, uint16_t generation, struct err *e)
{
	struct armed *a = xcalloc(1, sizeof(*a));
	*a = (struct armed){.rules = rules, .generation = generation, .partial = partial};
	e->text[0] = '\0';
	ruleset_near(rules);
	a->conditions = conditions_new(rules);
	a->patterns = pattern_db_new(rules, a->conditions ? conditions_terms(a->conditions) : NULL, e);
	if (a->patterns || !e->text[0])
		return a;
	armed_free(a);
	return NULL;
}

struct armed *armed_load(const char *const *paths, size_t n, bool allow_empty, uint16_t generation, struct diags *d)
{
	return armed_load_trusted(paths, n, allow_empty, NULL, generation, d);
}

struct armed *armed_load_trusted(const char *const *paths, size_t n, bool allow_empty, const struct rulefile_trust *t,
				 uint16_t generation, struct diags *d)
{
	bool partial = false;
	struct err e;
	struct overrides overrides = {0};
	struct rulefile_trust with = t ? *t : (struct rulefile_trust){.now_us = 0};
	size_t duplicates = 0;
	with.overrides = &overrides;
	with.duplicates = &duplicates;
	struct ruleset *rules = rulefile_load_trusted(paths, n, allow_empty, &with, d, &partial);
	struct armed *a = rules ? armed_new(rules, partial, generation, &e) : NULL;
	if (rules && !a)
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = n ? paths[0] : NULL}, "patterns", "%s", e.text);
	if (a) {
		a->hiding = hiding_new(a->rules, &overrides);
		a->exact = !partial && !duplicates;
	}
	overrides_free(&overrides);
	return a;
}

void armed_free(struct armed *a)
{
	if (!a)
		return;
	hiding_free(a->hiding);
	pattern_db_free(a->patterns);
	conditions_free(a->conditions);
	ruleset_free(a->rules);
	free(a);
}

void armed_describe(const struct armed *a, char *out, size_t n)
{
	struct buf b = {0};
	const char *between = "";
	buf_printf(&b, "%zu indicators (", ruleset_count(a->rules, INDICATOR_NONE));
	for (int t = 1; t < INDICATOR_TYPE_COUNT; t++) {
		size_t count = ruleset_count(a->rules, (enum indicator_type)t);
		if (!count)
			continue;
		buf_printf(&b, "%s%s %zu", between, indicator_type_name((enum indicator_type)t), count);
		between = ", ";
	}
	buf_printf(&b, ") of %zu sets, digest %.16s", ruleset_set_count(a->rules), ruleset_digest(a->rules));
	if (a->conditions && conditions_left_out(a->conditions))
		buf_printf(&b, ", %zu values of STIX patterns left out: more than %u patterns share one",
			   conditions_left_out(a->conditions), CONDITION_SAME_MAX);
	snprintf(out, n, "%s", (const char *)b.p);
	buf_free(&b);
}

indicator_mask armed_types(const struct armed *a)
{
	return ruleset_types(a->rules) | (a->conditions ? ruleset_types(conditions_terms(a->conditions)) : 0);
}

enum dpi_mode armed_dpi_mode(const struct armed *a, enum dpi_mode configured)
{
	if (configured == DPI_UNRECOGNISED && (armed_types(a) & NEEDS_DPI))
		return DPI_ALL;
	return configured;
}
