/* A rule set builder that takes all and keeps nothing, but reads every byte it
 * is given: what the readers hand over must be whole strings. */
#ifndef TESTS_FUZZ_RULES_SINK_H
#define TESTS_FUZZ_RULES_SINK_H

#include <stdlib.h>
#include <string.h>

#include "rules/entry.h"
#include "rules/overrides.h"
#include "rules/rule_tests.h"

static size_t sink_sum;

static bool sink_text(const char *s)
{
	sink_sum += s ? strlen(s) : 0;
	return s && *s;
}

uint32_t ruleset_add_set(struct ruleset_builder *b, const struct indicator_set *s)
{
	(void)b;
	if (!sink_text(s->id))
		abort();
	sink_text(s->title);
	sink_text(s->producer);
	sink_text(s->releasable_to);
	sink_text(s->exercise);
	return 0;
}

enum added ruleset_add(struct ruleset_builder *b, uint32_t set, const struct indicator *i, struct err *e)
{
	(void)b;
	(void)set;
	if (!i->type || i->type >= INDICATOR_TYPE_COUNT || !i->value || i->confidence > 100 || !i->line)
		abort();
	sink_text(i->id);
	sink_text(i->labels);
	sink_text(i->note);
	sink_text(i->ref);
	sink_text(i->where);
	if (!sink_text(i->value)) {
		err_set(e, "empty");
		return ADDED_INVALID;
	}
	return i->value[0] == 'd' ? ADDED_DUPLICATE : ADDED;
}

bool ruleset_allow(struct ruleset_builder *b, enum indicator_type t, const char *value, const char *reason,
		   int64_t expires_us, struct err *e)
{
	(void)b;
	(void)expires_us;
	(void)e;
	if (!t || !value)
		abort();
	sink_text(reason);
	return sink_text(value);
}

typedef void sink_reader(struct rule_source *s, const char *text, size_t n);

static inline void sink_read(sink_reader *read, const void *data, size_t n)
{
	struct diags d = {.limit = 50};
	struct rulefile_count count = {0};
	struct overrides overrides = {0};
	struct rule_tests tests = {0};
	struct rule_source s = {.d = &d,
				.count = &count,
				.file = "fuzz/rules",
				.overrides = &overrides,
				.tests = &tests,
				.judge_us = INT64_C(1700000000000000)};
	read(&s, data, n);
	source_close(&s);
	if (count.read != count.loaded + count.refused + count.duplicate)
		abort();
	for (size_t i = 0; i < overrides.n; i++)
		if (!sink_text(overrides.v[i].id) && !sink_text(overrides.v[i].value))
			abort();
	for (size_t i = 0; i < tests.n; i++)
		sink_text(tests.v[i].capture);
	overrides_free(&overrides);
	rule_tests_free(&tests);
	diag_free(&d);
}

#endif
