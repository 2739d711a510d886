/* Reads the tables of rules/README.md: every row's indicator is loaded alone and
 * shown what the row says was seen. Every type must have a row that hits and one
 * that does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/text.h"
#include "rules/conditions.h"
#include "rules/pattern.h"
#include "rules/ruleset.h"

#define PAGE      "rules/README.md"
#define CELL_SIZE 256
#define NOW_US    1795230600000000

struct row {
	unsigned line;
	enum indicator_type type;
	char written[CELL_SIZE], seen[CELL_SIZE];
	bool prefix, hits;
	enum where where;
};

static enum where where_parse(const char *name, size_t n)
{
	for (int w = 1; w < WHERE_COUNT; w++)
		if (strlen(where_name((enum where)w)) == n && memcmp(where_name((enum where)w), name, n) == 0)
			return (enum where)w;
	return WHERE_NONE;
}

/* What stands between the next two backticks; NULL when there is none. */
static const char *quoted(const char *p, char out[static CELL_SIZE])
{
	const char *open = strchr(p, '`'), *close = open ? strchr(open + 1, '`') : NULL;
	if (!close)
		return NULL;
	snprintf(out, CELL_SIZE, "%.*s", (int)(close - open - 1), open + 1);
	return close + 1;
}

/* | `written` [prefix] | where | `seen` | yes | */
static bool row_parse(const char *line, struct row *r)
{
	const char *p = line[0] == '|' && line[2] == '`' ? quoted(line, r->written) : NULL;
	if (!p)
		return false;
	const char *bar = strchr(p, '|');
	const char *prefix = strstr(p, "prefix");
	assert_non_null(bar);
	r->prefix = prefix && prefix < bar;
	p = bar + 2;
	r->where = where_parse(p, strcspn(p, " "));
	p = quoted(p, r->seen);
	assert_non_null(p);
	r->hits = strstr(p, "yes") != NULL;
	assert_true(r->hits || strstr(p, "no"));
	return true;
}

/* \xNN as the byte. */
static size_t unescape(const char *text, uint8_t out[static CELL_SIZE])
{
	size_t n = 0;
	while (*text) {
		bool hex = text[0] == '\\' && text[1] == 'x' && text_unhex(out + n, 1, text + 2, 2);
		if (!hex)
			out[n] = (uint8_t)*text;
		n++;
		text += hex ? 4 : 1;
	}
	return n;
}

static size_t seen_address(const char *text, size_t n, uint8_t out[static CELL_SIZE])
{
	struct addr a;
	assert_true(addr_parse(text, n, &a));
	memcpy(out, a.b, 16);
	return 16;
}

static size_t seen_endpoint(const char *text, uint8_t out[static CELL_SIZE])
{
	const char *colon = strrchr(text, ':');
	bool v6 = text[0] == '[';
	unsigned port = (unsigned)atoi(colon + 1);
	seen_address(text + v6, (size_t)(colon - text) - 2 * v6, out);
	out[16] = (uint8_t)(port >> 8);
	out[17] = (uint8_t)port;
	return 18;
}

static void hit(void *owner, ruleset_ref ref, size_t end)
{
	(void)ref;
	(void)end;
	*(bool *)owner = true;
}

static bool pattern_hits(const struct ruleset *r, const uint8_t *seen, size_t n)
{
	struct err e = {""};
	bool found = false;
	struct pattern_db *db = pattern_db_new(r, NULL, &e);
	if (!db)
		fail_msg("%s", e.text);
	struct pattern_scratch *s = pattern_scratch_new(db, &e);
	pattern_datagram(db, s, seen, n, hit, &found);
	pattern_scratch_free(s);
	pattern_db_free(db);
	return found;
}

/* One value on a flow from 40000 to 443 over TCP that is TLS. */
static bool stix_hits(const struct ruleset *r, enum where w, const uint8_t *seen, size_t n)
{
	static const struct condition_facts facts = {.src_port = 40000, .dest_port = 443, .proto = 6, .app = "tls"};
	struct conditions *c = conditions_new(r);
	uint32_t bits[CONDITION_BITS_MAX] = {0};
	struct ruleset_hits hits = {0};
	bool found = false;
	assert_non_null(c);
	ruleset_match(conditions_terms(c), w, seen, n, NOW_US, &hits, NULL);
	for (size_t i = 0; i < hits.n; i++) {
		size_t uses;
		const struct condition_use *use = conditions_uses(c, hits.ref[i], &uses);
		for (size_t k = 0; k < uses; k++) {
			bits[use[k].condition] |= UINT32_C(1) << use[k].bit;
			found = found || conditions_hold(c, use[k].condition, bits[use[k].condition], &facts);
		}
	}
	conditions_free(c);
	return found;
}

static bool matches(const struct ruleset *r, const struct row *row)
{
	uint8_t seen[CELL_SIZE];
	indicator_mask types = where_types(row->where);
	size_t n = types & INDICATOR_BIT(INDICATOR_IP)        ? seen_address(row->seen, strlen(row->seen), seen)
		   : types & INDICATOR_BIT(INDICATOR_IP_PORT) ? seen_endpoint(row->seen, seen)
							      : unescape(row->seen, seen);
	if (row->where == WHERE_PAYLOAD)
		return pattern_hits(r, seen, n);
	if (row->type == INDICATOR_STIX)
		return stix_hits(r, row->where, seen, n);
	struct ruleset_hits hits = {0};
	ruleset_match(r, row->where, seen, n, NOW_US, &hits, NULL);
	return hits.n > 0;
}

static void check(const struct row *row)
{
	struct err e = {""};
	struct ruleset_builder *b = ruleset_builder_new();
	uint32_t set = ruleset_add_set(b, &(struct indicator_set){.id = "readme"});
	struct indicator i = {.type = row->type,
			      .value = row->written,
			      .match = row->prefix ? MATCH_PREFIX : MATCH_EXACT,
			      .file = PAGE,
			      .line = row->line};
	if (ruleset_add(b, set, &i, &e) != ADDED)
		fail_msg("line %u: %s", row->line, e.text);
	struct ruleset *r = ruleset_build(b, &e);
	if (!r)
		fail_msg("line %u: %s", row->line, e.text);
	if (matches(r, row) != row->hits)
		fail_msg("line %u: %s `%s` %s `%s`", row->line, indicator_type_name(row->type), row->written,
			 row->hits ? "does not hit" : "hits", row->seen);
	ruleset_free(r);
	ruleset_builder_free(b);
}

static void every_row(void **state)
{
	(void)state;
	indicator_mask with_hit = 0, with_miss = 0, all = 0;
	enum indicator_type type = INDICATOR_NONE;
	char *line = NULL, word[CELL_SIZE];
	size_t cap = 0, rows = 0;
	FILE *f = fopen(PAGE, "r");
	if (!f)
		skip();
	for (unsigned number = 1; getline(&line, &cap, f) > 0; number++) {
		struct row row = {.line = number};
		if (strncmp(line, "## `", 4) == 0 && quoted(line, word))
			type = indicator_type_parse(word, strlen(word));
		if (!row_parse(line, &row))
			continue;
		row.type = type;
		assert_true(type != INDICATOR_NONE);
		assert_true(row.where != WHERE_NONE);
		check(&row);
		rows++;
		*(row.hits ? &with_hit : &with_miss) |= INDICATOR_BIT(type);
	}
	free(line);
	fclose(f);
	for (int t = 1; t < INDICATOR_TYPE_COUNT; t++)
		all |= INDICATOR_BIT(t);
	assert_true(with_hit == all);
	assert_true(with_miss == all);
	printf("%zu rows of %s hold\n", rows, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_row)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
