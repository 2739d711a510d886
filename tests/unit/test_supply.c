/* A delta that is put to what is armed gives what reading the whole set gives; where it
 * would not, it is refused. SUPPLY_ROWS=1000000 tells how long each way takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/hash.h"
#include "rules/set_lines.h"
#include "sensor/supply.h"

static uint64_t random_state;

static uint32_t draw(uint32_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((random_state >> 33) % n);
}

/* ---- a set as rows ---- */

struct rows {
	char **v;
	size_t n, cap;
};

static void add_row(struct rows *r, const char *row)
{
	if (r->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 1024;
		r->v = xrealloc(r->v, r->cap * sizeof(*r->v));
	}
	r->v[r->n++] = xstrdup(row);
}

static void free_rows(struct rows *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->v[i]);
	free(r->v);
	*r = (struct rows){0};
}

static void random_row(struct rows *r, uint32_t range)
{
	static const char *const severities[] = {"low", "medium", "high"};
	char row[300];
	uint32_t k = draw(range);
	const char *severity = severities[draw(3)], *where = draw(4) ? "" : "dns";
	switch (draw(6)) {
	case 0:
		snprintf(row, sizeof(row), "ip,10.%u.%u.%u,,%s,80,,,,,,,,,", k >> 16 & 255, k >> 8 & 255, k & 255,
			 severity);
		break;
	case 1:
		snprintf(row, sizeof(row), "url,http://a%u.example/x,,%s,80,,%s,,,,,,,", k, severity,
			 draw(2) ? "prefix" : "");
		break;
	case 2:
		snprintf(row, sizeof(row), "cidr,10.%u.%u.0/24,,%s,80,,,,,,,,,", k >> 8 & 255, k & 255, severity);
		break;
	case 3:
		snprintf(row, sizeof(row),
			 "stix,[domain-name:value = 'n%u.example' AND network-traffic:dst_port = %u],,%s,80,,,,,,,,,",
			 k % 50, 1 + k % 3, severity);
		break;
	default:
		snprintf(row, sizeof(row), "domain,n%u.example,I-%u,%s,80,,,,c2,%s,,,,", k, k, severity, where);
		break;
	}
	add_row(r, row);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The value decides: two rows of one identity would be one indicator. */
static size_t identity(const char *row)
{
	size_t n = strcspn(row, ",");
	n += 1 + strcspn(row + n + 1, ",");
	return n;
}

static struct buf content_of(struct rows *r, unsigned version, const char *head)
{
	struct buf b = {0};
	qsort(r->v, r->n, sizeof(*r->v), by_bytes);
	buf_printf(&b, "set: {id: \"demo\", version: %u, tlp: amber%s}\n%s", version, head,
		   SET_LINES_DIVIDER SET_LINES_COLUMNS);
	for (size_t i = 0; i < r->n; i++)
		buf_printf(&b, "%s\n", r->v[i]);
	return b;
}

static void drop_twins(struct rows *r)
{
	size_t kept = 0;
	qsort(r->v, r->n, sizeof(*r->v), by_bytes);
	for (size_t i = 0; i < r->n; i++) {
		size_t n = identity(r->v[i]);
		if (kept && identity(r->v[kept - 1]) == n && memcmp(r->v[kept - 1], r->v[i], n) == 0)
			free(r->v[i]);
		else
			r->v[kept++] = r->v[i];
	}
	r->n = kept;
}

static const struct manifest manifest = {.set = "demo", .version = 2};

static struct armed *armed_from(const struct buf *content)
{
	struct rulefile_count count = {0};
	struct diags d = {0};
	struct err e;
	struct rule_source s = {
	    .b = ruleset_builder_new(), .d = &d, .count = &count, .file = "demo", .signed_as = &manifest};
	rulefile_defaults(&s);
	set_lines_read(&s, (const char *)content->p, content->n, 0);
	source_close(&s);
	if (d.count[DIAG_ERROR])
		fail_msg("%s", d.list[0].text);
	struct ruleset *r = ruleset_build(s.b, &e);
	ruleset_builder_free(s.b);
	struct armed *a = armed_new(r, false, 1, &e);
	assert_non_null(a);
	a->exact = !count.duplicate;
	diag_free(&d);
	return a;
}

/* All that it holds, as text in order. */
static struct rows told(const struct ruleset *r)
{
	struct rows all = {0};
	for (ruleset_ref k = 0; k < ruleset_count(r, INDICATOR_NONE); k++) {
		char row[600];
		struct ruleset_room room;
		struct indicator i = ruleset_indicator_in(r, k, &room);
		snprintf(row, sizeof(row), "%s %s %s %d %d %s %d %s %d", indicator_type_name(i.type), i.value, i.id,
			 i.severity, i.confidence, i.where ? i.where : "-", i.match, i.labels ? i.labels : "-", i.tlp);
		add_row(&all, row);
	}
	qsort(all.v, all.n, sizeof(*all.v), by_bytes);
	return all;
}

static void check_same(const struct ruleset *a, const struct ruleset *b)
{
	struct rows x = told(a), y = told(b);
	assert_int_equal(x.n, y.n);
	for (size_t i = 0; i < x.n; i++)
		assert_string_equal(x.v[i], y.v[i]);
	/* And they are found, or not, by a look-up. */
	for (uint32_t k = 0; k < 400; k++) {
		char name[40];
		struct ruleset_hits in_a = {0}, in_b = {0};
		snprintf(name, sizeof(name), "w.n%u.example", k);
		ruleset_match(a, WHERE_DNS_QUERY, name, strlen(name), 1, &in_a, NULL);
		ruleset_match(b, WHERE_DNS_QUERY, name, strlen(name), 1, &in_b, NULL);
		assert_int_equal(in_a.n, in_b.n);
	}
	free_rows(&x);
	free_rows(&y);
}

static struct rows change(const struct rows *from, size_t changes, uint32_t range)
{
	struct rows to = {0};
	for (size_t i = 0; i < from->n; i++)
		if (draw((uint32_t)from->n) >= changes)
			add_row(&to, from->v[i]);
	for (size_t i = 0; i < changes; i++)
		random_row(&to, range);
	drop_twins(&to);
	return to;
}

static struct buf delta_of(const struct buf *from, const struct buf *to)
{
	struct buf delta = {0};
	struct err e;
	if (!set_lines_delta((struct bytes){from->p, from->n}, (struct bytes){to->p, to->n}, &delta, &e))
		fail_msg("%s", e.text);
	return delta;
}

static struct armed *changed(const struct armed *now, const struct buf *delta, struct err *e)
{
	struct rulesync_change c = {.m = &manifest, .delta = {delta->p, delta->n}};
	return supply_change(now, &c, 1, 2, e);
}

/* A chain of versions, each from the one before it. */
static void as_the_whole_gives(void **state)
{
	(void)state;
	const char *given = getenv("SEED");
	random_state = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	printf("SEED=%llu\n", (unsigned long long)random_state);
	struct rows rows = {0};
	for (int i = 0; i < 2000; i++)
		random_row(&rows, 3000);
	drop_twins(&rows);
	struct buf content = content_of(&rows, 1, "");
	struct armed *now = armed_from(&content);
	for (unsigned version = 2; version < 30; version++) {
		struct err e = {""};
		struct rows next = change(&rows, 1 + draw(100), 3000);
		struct buf text = content_of(&next, version, ""), delta = delta_of(&content, &text);
		assert_true(
		    set_lines_same_head((struct bytes){content.p, content.n}, (struct bytes){delta.p, delta.n}));
		struct armed *whole = armed_from(&text), *patched = changed(now, &delta, &e);
		if (!patched)
			fail_msg("version %u: %s", version, e.text);
		check_same(patched->rules, whole->rules);
		assert_int_equal(patched->conditions ? conditions_count(patched->conditions) : 0,
				 whole->conditions ? conditions_count(whole->conditions) : 0);
		armed_free(whole);
		armed_free(now);
		free_rows(&rows);
		buf_free(&content);
		buf_free(&delta);
		now = patched;
		rows = next;
		content = text;
	}
	armed_free(now);
	free_rows(&rows);
	buf_free(&content);
}

/* What a delta cannot say is left to the whole. */
static void refused_where_it_would_differ(void **state)
{
	(void)state;
	struct err e;
	struct rows a = {0}, b = {0}, twins = {0};
	add_row(&a, "domain,a.example,,high,80,,,,,,,,,");
	add_row(&a, "domain,b.example,,high,80,,,,,,,,,");
	add_row(&b, "domain,b.example,,high,80,,,,,,,,,");
	add_row(&b, "domain,c.example,,high,80,,,,,,,,,");
	add_row(&twins, "domain,a.example,,high,80,,,,,,,,,");
	add_row(&twins, "domain,a.example,,low,80,,,,,,,,,");
	struct buf one = content_of(&a, 1, ""), two = content_of(&b, 2, ""), twice = content_of(&twins, 2, ""),
		   other = content_of(&b, 2, ", producer: p");
	struct buf good = delta_of(&one, &two), twin = delta_of(&one, &twice), head = delta_of(&one, &other),
		   wrong = delta_of(&two, &one), cut = delta_of(&one, &two);
	struct armed *now = armed_from(&one), *next = changed(now, &good, &e), *odd = armed_from(&twice);
	assert_non_null(next);
	assert_int_equal(ruleset_count(next->rules, INDICATOR_NONE), 2);
	assert_null(changed(now, &twin, &e));  /* one identity twice */
	assert_null(changed(odd, &good, &e));  /* so in what is loaded */
	assert_null(changed(now, &wrong, &e)); /* takes out what is not there */
	assert_false(set_lines_same_head((struct bytes){one.p, one.n}, (struct bytes){head.p, head.n}));
	assert_true(set_lines_same_head((struct bytes){one.p, one.n}, (struct bytes){good.p, good.n}));
	for (cut.n = 0; cut.n < good.n; cut.n++) { /* cut anywhere: refused, or the rows before it */
		struct armed *some = changed(now, &cut, &e);
		armed_free(some);
		set_lines_same_head((struct bytes){one.p, one.n}, (struct bytes){cut.p, cut.n});
	}
	armed_free(now);
	armed_free(next);
	armed_free(odd);
	struct buf *all[] = {&one, &two, &twice, &other, &good, &twin, &head, &wrong, &cut};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		buf_free(all[i]);
	free_rows(&a);
	free_rows(&b);
	free_rows(&twins);
}

static double ms_since(int64_t us)
{
	return (double)(clock_mono_us() - us) / 1000;
}

/* Not a test: what a sensor does between the last byte of a delta and the new set. */
static void how_long(void **state)
{
	(void)state;
	const char *given = getenv("SUPPLY_ROWS");
	if (!given)
		skip();
	struct rows rows = {0};
	struct err e;
	random_state = 7;
	for (size_t i = 0, n = strtoul(given, NULL, 10); i < n; i++) {
		char row[100];
		snprintf(row, sizeof(row),
			 i % 2 ? "domain,n%zu.example,,high,80,amber,,,c2,,,,,"
			       : "ip,%zu.%zu.%zu.%zu,,high,80,amber,,,c2,,,,,",
			 i % 2 ? i : 1 + i % 200, i >> 16 & 255, i >> 8 & 255, i & 255);
		add_row(&rows, row);
	}
	drop_twins(&rows);
	struct rows next = {0};
	for (size_t i = 0; i < rows.n; i++)
		if (i % (rows.n / 500) || i == 0)
			add_row(&next, rows.v[i]);
	for (int i = 0; i < 500; i++) {
		char row[100];
		snprintf(row, sizeof(row), "domain,new%d.example,,high,80,amber,,,c2,,,,,", i);
		add_row(&next, row);
	}
	struct buf one = content_of(&rows, 1, ""), two = content_of(&next, 2, ""), delta = delta_of(&one, &two);
	struct armed *now = armed_from(&one);
	for (int round = 0; round < 3; round++) {
		struct buf merged = {0};
		uint8_t digest[32];
		int64_t at = clock_mono_us();
		set_lines_apply((struct bytes){one.p, one.n}, (struct bytes){delta.p, delta.n}, two.n, &merged, &e);
		double merge = ms_since(at);
		at = clock_mono_us();
		hash_sha256(digest, merged.p, merged.n);
		double hash = ms_since(at);
		at = clock_mono_us();
		struct armed *a = changed(now, &delta, &e);
		double patch = ms_since(at);
		assert_non_null(a);
		at = clock_mono_us();
		struct armed *b = armed_from(&two);
		double whole = ms_since(at);
		printf("%zu rows, %zu bytes, 1,000 changes: merged %.0f ms, hashed %.0f ms; armed by delta %.1f ms, "
		       "whole %.0f ms\n",
		       rows.n, one.n, merge, hash, patch, whole);
		armed_free(a);
		armed_free(b);
		buf_free(&merged);
	}
	armed_free(now);
	free_rows(&rows);
	free_rows(&next);
	buf_free(&one);
	buf_free(&two);
	buf_free(&delta);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(as_the_whole_gives),
					   cmocka_unit_test(refused_where_it_would_differ), cmocka_unit_test(how_long)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
