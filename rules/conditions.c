#define _GNU_SOURCE /* qsort_r */
#include "rules/conditions.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

struct condition {
	uint32_t pattern, code, tests; /* offsets */
	uint16_t code_n;
	uint8_t scope;
};

struct conditions {
	struct condition *list;
	size_t n, cap, left_out;
	struct buf code, tests;
	bool ask_app;
	struct ruleset *terms;
	struct condition_use *use;
	uint32_t *first; /* in use, by term; one more than there are terms */
};

/* A value of many conditions while they are gathered: the text is the gathering's. */
struct gathered {
	struct stix_term is;
	uint32_t condition, bit;
	size_t value;
};

struct gathering {
	struct conditions *c;
	struct buf text;
	struct gathered *v;
	size_t n, cap;
	ruleset_ref pattern;
};

static void gather(struct gathering *g, const struct condition_term *t)
{
	if (g->n == g->cap) {
		g->cap = g->cap ? 2 * g->cap : 256;
		g->v = xrealloc(g->v, g->cap * sizeof(*g->v));
	}
	g->v[g->n++] = (struct gathered){
	    .is = t->is, .bit = t->bit, .condition = (uint32_t)g->c->n - 1, .value = g->text.n};
	buf_add(&g->text, t->is.value, t->is.n);
	buf_u8(&g->text, 0);
}

static void keep(void *owner, const struct condition_code *from, const struct condition_term *terms, size_t n)
{
	struct gathering *g = owner;
	struct conditions *c = g->c;
	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 64;
		c->list = xrealloc(c->list, c->cap * sizeof(*c->list));
	}
	c->list[c->n++] = (struct condition){.pattern = g->pattern,
					     .code = (uint32_t)c->code.n,
					     .code_n = (uint16_t)from->code_n,
					     .tests = (uint32_t)(c->tests.n / sizeof(struct condition_test)),
					     .scope = (uint8_t)from->scope};
	buf_add(&c->code, from->code, from->code_n);
	if (from->tests_n)
		buf_add(&c->tests, from->tests, from->tests_n * sizeof(struct condition_test));
	for (size_t i = 0; i < from->tests_n; i++)
		c->ask_app = c->ask_app || from->tests[i].app;
	for (size_t i = 0; i < n; i++)
		gather(g, &terms[i]);
}

static void gather_all(struct gathering *g, const struct ruleset *r)
{
	for (size_t i = 0; i < ruleset_pattern_count(r); i++) {
		struct indicator one;
		g->pattern = ruleset_pattern(r, i, &one);
		if (one.type == INDICATOR_STIX)
			condition_read(one.value, strlen(one.value), keep, g, NULL, NULL);
	}
}

static int by_value(const void *a, const void *b, void *text)
{
	const struct gathered *x = a, *y = b;
	if (x->is.type != y->is.type)
		return x->is.type < y->is.type ? -1 : 1;
	if (x->is.match != y->is.match)
		return x->is.match < y->is.match ? -1 : 1;
	if (x->is.where != y->is.where)
		return (uintptr_t)x->is.where < (uintptr_t)y->is.where ? -1 : 1;
	int by = strcmp((const char *)text + x->value, (const char *)text + y->value);
	if (by)
		return by;
	return x->condition < y->condition ? -1 : x->condition > y->condition;
}

static bool same_value(const struct gathering *g, const struct gathered *x, const struct gathered *y)
{
	return x->is.type == y->is.type && x->is.match == y->is.match && x->is.where == y->is.where &&
	       strcmp((const char *)g->text.p + x->value, (const char *)g->text.p + y->value) == 0;
}

/* The values, each once, in order: what was gathered for the k-th term lies together. */
static bool build_terms(struct gathering *g, struct err *e)
{
	struct conditions *c = g->c;
	struct ruleset_builder *b = ruleset_builder_new();
	uint32_t set = ruleset_add_set(b, &(struct indicator_set){.id = "patterns"}), terms = 0;
	size_t used = 0;
	c->use = xcalloc(g->n + 1, sizeof(*c->use));
	c->first = xcalloc(g->n + 2, sizeof(*c->first));
	for (size_t i = 0, end; i < g->n; i = end) {
		const struct stix_term *t = &g->v[i].is;
		struct indicator one = {.type = t->type,
					.match = t->match,
					.where = t->where,
					.value = (const char *)g->text.p + g->v[i].value};
		for (end = i + 1; end < g->n && same_value(g, &g->v[i], &g->v[end]);)
			end++;
		if (ruleset_add(b, set, &one, e) != ADDED) {
			c->left_out += end - i;
			continue;
		}
		c->first[terms++] = (uint32_t)used;
		for (size_t k = i; k < end; k++)
			if (k - i < CONDITION_SAME_MAX)
				c->use[used++] = (struct condition_use){.condition = g->v[k].condition,
									.bit = g->v[k].bit};
			else
				c->left_out++;
		c->first[terms] = (uint32_t)used;
	}
	c->terms = ruleset_build(b, e);
	ruleset_builder_free(b);
	return c->terms != NULL;
}

struct conditions *conditions_new(const struct ruleset *r)
{
	if (!ruleset_count(r, INDICATOR_STIX))
		return NULL;
	struct conditions *c = xcalloc(1, sizeof(*c));
	struct gathering g = {.c = c};
	struct err e;
	gather_all(&g, r);
	if (g.n)
		qsort_r(g.v, g.n, sizeof(*g.v), by_value, g.text.p);
	bool good = build_terms(&g, &e);
	buf_free(&g.text);
	free(g.v);
	if (good && c->n)
		return c;
	conditions_free(c);
	return NULL;
}

void conditions_free(struct conditions *c)
{
	if (!c)
		return;
	ruleset_free(c->terms);
	free(c->list);
	free(c->use);
	free(c->first);
	buf_free(&c->code);
	buf_free(&c->tests);
	free(c);
}

size_t conditions_count(const struct conditions *c)
{
	return c->n;
}

size_t conditions_left_out(const struct conditions *c)
{
	return c->left_out;
}

bool conditions_ask_app(const struct conditions *c)
{
	return c->ask_app;
}

const struct ruleset *conditions_terms(const struct conditions *c)
{
	return c->terms;
}

const struct condition_use *conditions_uses(const struct conditions *c, ruleset_ref term, size_t *n)
{
	*n = c->first[term + 1] - c->first[term];
	return c->use + c->first[term];
}

enum condition_scope conditions_scope(const struct conditions *c, uint32_t condition)
{
	return (enum condition_scope)c->list[condition].scope;
}

ruleset_ref conditions_pattern(const struct conditions *c, uint32_t condition)
{
	return c->list[condition].pattern;
}

bool conditions_hold(const struct conditions *c, uint32_t condition, uint32_t seen, const struct condition_facts *f)
{
	const struct condition *one = &c->list[condition];
	const struct condition_test *tests = (const struct condition_test *)(const void *)c->tests.p;
	return condition_holds(c->code.p + one->code, one->code_n, tests ? tests + one->tests : NULL, seen, f);
}
