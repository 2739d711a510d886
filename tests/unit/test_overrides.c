/* suppress: and disable: from the file to what a hit is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/json.h"
#include "rules/hiding.h"
#include "rules/rulefile.h"
#include "rules/set_layout.h"
#include "rules/set_lines.h"
#include "tests/unit/hostile_text.h"

static char path[] = "/tmp/test_overrides.XXXXXX";

static struct ruleset *load(const char *text, struct overrides *o, size_t *errors)
{
	const char *name = path;
	struct diags d = {0};
	struct rulefile_trust t = {.overrides = o};
	bool partial;
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	struct ruleset *r = rulefile_load_trusted(&name, 1, true, &t, &d, &partial);
	if (errors)
		*errors = d.count[DIAG_ERROR];
	diag_free(&d);
	return r;
}

static ruleset_ref ref_of(const struct ruleset *r, const char *id)
{
	for (ruleset_ref k = 0; k < ruleset_count(r, INDICATOR_NONE); k++) {
		struct ruleset_room room;
		if (strcmp(ruleset_indicator_in(r, k, &room).id, id) == 0)
			return k;
	}
	fail_msg("no %s", id);
	return 0;
}

static const char text[] =
    "set: {id: s, version: 1}\n"
    "indicators:\n"
    "  - {id: A, domain: a.example}\n"
    "  - {id: B, domain: b.example}\n"
    "  - {id: C, domain: c.example}\n"
    "  - {id: C2, hostname: c.example}\n"
    "  - {id: D, ip: 198.51.100.7}\n"
    "  - {id: E, domain: sub.c.example}\n"
    "suppress:\n"
    "  - {domain: A.example., source: 10.0.0.0/8, reason: \"scanner\", by: ito}\n"
    "  - {ip: \"::ffff:198.51.100.7\", source: \"2001:db8::/32\", reason: r, expires: 2030-01-01}\n"
    "disable:\n"
    "  - {id: B, reason: \"too broad\"}\n"
    "  - {type: domain, value: c.example, reason: r}\n"
    "  - {domain: nobody.example, reason: r}\n";

static struct addr address(const char *words)
{
	struct addr a;
	assert_true(addr_parse(words, strlen(words), &a));
	return a;
}

struct counts {
	size_t entries;
	uint64_t sum;
};

static void count(void *owner, const struct override *o, uint64_t hidden)
{
	struct counts *c = owner;
	(void)o;
	c->entries++;
	c->sum += hidden;
}

static bool hides(struct hiding *h, const struct ruleset *r, const char *id, const char *src, const char *dest,
		  const char *when)
{
	struct addr a = address(src), b = address(dest);
	int64_t now_us;
	assert_true(clock_parse(when, &now_us));
	return hiding_asks(h, ref_of(r, id), &a, &b, now_us);
}

static void what_is_hidden(void **state)
{
	static const struct {
		const char *id, *src, *dest, *when;
		bool hidden;
	} cases[] = {
	    {"A", "10.1.2.3", "203.0.113.1", "2026-01-01", true},
	    {"A", "203.0.113.1", "10.1.2.3", "2026-01-01", true}, /* either end */
	    {"A", "11.1.2.3", "203.0.113.1", "2026-01-01", false},
	    {"B", "11.1.2.3", "203.0.113.1", "2026-01-01", true},
	    {"C", "11.1.2.3", "203.0.113.1", "2026-01-01", true},
	    {"C2", "11.1.2.3", "203.0.113.1", "2026-01-01", false}, /* another type */
	    {"E", "11.1.2.3", "203.0.113.1", "2026-01-01", false},  /* below it is another indicator */
	    {"D", "2001:db8::1", "2001:db8::2", "2029-12-31", true},
	    {"D", "2001:db8::1", "2001:db8::2", "2030-01-01", false}, /* its end */
	    {"D", "10.1.2.3", "203.0.113.1", "2026-01-01", false},
	};
	struct overrides o = {0};
	struct ruleset *r = load(text, &o, NULL);
	struct counts c = {0};
	uint64_t expected = 0;
	(void)state;
	assert_int_equal(o.n, 5);
	struct hiding *h = hiding_new(r, &o);
	assert_int_equal(o.n, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (hides(h, r, cases[i].id, cases[i].src, cases[i].dest, cases[i].when) != cases[i].hidden)
			fail_msg("case %zu: %s", i, cases[i].id);
		expected += cases[i].hidden;
	}
	hiding_each(h, count, &c);
	assert_int_equal(c.entries, 5);
	assert_int_equal(c.sum, expected);
	/* a set that comes after it goes on counting; other entries begin at nothing */
	struct overrides again = {0};
	struct ruleset *next = load(text, &again, NULL);
	struct hiding *h2 = hiding_new(next, &again);
	hiding_inherit(h2, h);
	c = (struct counts){0};
	hiding_each(h2, count, &c);
	assert_int_equal(c.sum, expected);
	hiding_inherit(h2, NULL);
	hiding_free(h2);
	ruleset_free(next);
	hiding_free(h);
	ruleset_free(r);
	struct addr a = address("10.0.0.1");
	assert_false(hiding_asks(NULL, 0, &a, &a, 0));
	assert_null(hiding_new(NULL, &again));
}

static void mistakes_are_told(void **state)
{
	static const char *const bad[] = {"disable: [{reason: x}]",
					  "disable: [x]",
					  "disable: [{domain: \"bad..x\"}]",
					  "suppress: [{domain: a.example, source: 10.0.0.0/33}]",
					  "suppress: [{domain: a.example, sauce: 10.0.0.0/8}]",
					  "suppress: [{domain: a.example, expires: soon}]",
					  "disable: [{id: , reason: x}]",
					  "disable: [{type: domian, value: a.example}]"};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct overrides o = {0};
		size_t errors = 0;
		char all[256];
		snprintf(all, sizeof(all), "set: {id: s}\ndomain: [a.example]\n%s\n", bad[i]);
		struct ruleset *r = load(all, &o, &errors);
		if (!errors || o.n)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(ruleset_count(r, INDICATOR_NONE), 1); /* the rest loads */
		ruleset_free(r);
		overrides_free(&o);
	}
}

/* They are part of a set's layout, and counted. */
static void they_are_laid_out(void **state)
{
	struct overrides o = {0}, again = {0};
	struct ruleset *r = load(text, &o, NULL);
	struct buf out = {0}, twice = {0};
	struct err e = {""};
	size_t n, rows;
	(void)state;
	assert_true(set_layout(r, &o, 1, &out, &n, &e));
	assert_int_equal(n, 11);
	assert_true(set_lines_count((struct bytes){out.p, out.n}, &rows, &e));
	assert_int_equal(rows, 11);
	struct ruleset_builder *b = ruleset_builder_new();
	struct diags d = {0};
	struct rulefile_count count_ = {0};
	struct rule_source s = {.b = b, .d = &d, .count = &count_, .file = "s", .overrides = &again};
	set_lines_read(&s, (const char *)out.p, out.n, 0);
	source_close(&s);
	assert_int_equal(d.n, 0);
	struct ruleset *r2 = ruleset_build(b, &e);
	assert_true(set_layout(r2, &again, 1, &twice, &n, &e));
	assert_int_equal(twice.n, out.n);
	assert_memory_equal(twice.p, out.p, out.n);
	ruleset_builder_free(b);
	ruleset_free(r);
	ruleset_free(r2);
	overrides_free(&o);
	overrides_free(&again);
	buf_free(&out);
	buf_free(&twice);
}

static int make_path(void **state)
{
	(void)state;
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int drop_path(void **state)
{
	(void)state;
	return unlink(path);
}

/* Each allow entry counts what it takes away, and goes on counting in the next set. */
static void test_silenced(void **state)
{
	(void)state;
	static const char *const texts[2] = {
	    "set: {id: s, version: 1}\ndomain: [a.example, b.example]\nip: [198.51.100.7]\n"
	    "allow: [{domain: a.example}, {ip: 198.51.100.7}, {domain: never.example}]\n",
	    "set: {id: s, version: 2}\ndomain: [a.example, b.example]\n"
	    "allow: [{domain: never.example}, {domain: other.example}, {domain: a.example}, {domain: example}]\n"};
	static const struct {
		const char *name;
		uint64_t allowed;
	} asked[] = {{"a.example", 1}, {"www.a.example", 1}, {"b.example", 0}, {"never.example", 0}};
	uint64_t allowed = 0;
	struct ruleset *r = load(texts[0], NULL, NULL), *next = load(texts[1], NULL, NULL);
	struct ruleset_hits hits = {.n = 0};
	for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
		allowed = 0;
		ruleset_match(r, WHERE_DNS_QUERY, asked[i].name, strlen(asked[i].name), 1, &hits, &allowed);
		assert_int_equal(allowed, asked[i].allowed);
		ruleset_match(r, WHERE_DNS_QUERY, asked[i].name, strlen(asked[i].name), 1, &hits, NULL); /* a look */
	}
	uint64_t sum = 0;
	for (size_t i = 0; i < ruleset_allow_count(r); i++) {
		struct ruleset_room room;
		bool a = strcmp(ruleset_allow_at(r, i, &room).value, "a.example") == 0;
		assert_int_equal(ruleset_silenced(r, i), a ? 2 : 0);
		sum += ruleset_silenced(r, i);
	}
	assert_int_equal(sum, 2);
	assert_int_equal(ruleset_silenced(r, ruleset_allow_count(r)), 0);
	ruleset_silenced_inherit(next, r);
	for (size_t i = 0; i < ruleset_allow_count(next); i++) {
		struct ruleset_room room;
		bool a = strcmp(ruleset_allow_at(next, i, &room).value, "a.example") == 0;
		assert_int_equal(ruleset_silenced(next, i), a ? 2 : 0);
	}
	ruleset_free(r);
	ruleset_free(next);
}

/* What the sensor's status and `picket suppress list` call an entry: cut at a whole
 * character, because it becomes a key of JSON. */
static void test_status_key(void **state)
{
	(void)state;
	char key[OVERRIDE_KEY_MAX], value[200] = "", id[] = "D-1", name[] = "scan.example";
	struct override o = {.verb = OVERRIDE_SUPPRESS, .type = INDICATOR_DOMAIN, .value = name};
	assert_string_equal(override_status_key(&o, key), "hidden.suppress domain scan.example");
	assert_true(addr_parse("10.1.2.0", 8, &o.source.addr));
	o.source.length = 24;
	o.has_source = true;
	assert_string_equal(override_status_key(&o, key), "hidden.suppress domain scan.example 10.1.2.0/24");
	o = (struct override){.verb = OVERRIDE_DISABLE, .id = id};
	assert_string_equal(override_status_key(&o, key), "hidden.disable id D-1");
	for (int lead = 0; lead < 4; lead++) { /* four bytes each: 80 is reached at every place of one */
		memset(value, 'a', (size_t)lead);
		for (size_t n = (size_t)lead; n < 120; n += 4)
			memcpy(value + n, "\xf0\x9f\xa6\x8a", 5);
		o = (struct override){.verb = OVERRIDE_DISABLE, .type = INDICATOR_USERNAME, .value = value};
		override_status_key(&o, key);
		assert_true(hostile_escaped(key, strlen(key), false));
		size_t n = strlen(key) - strlen("hidden.disable username ");
		assert_true(n > 76 && n <= 80);
		struct json *j = json_map();
		json_put_int(j, key, 1);
		assert_int_equal(json_count(j), 1);
		json_drop(j);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_status_key),   cmocka_unit_test(what_is_hidden), cmocka_unit_test(mistakes_are_told),
	    cmocka_unit_test(they_are_laid_out), cmocka_unit_test(test_silenced),
	};
	return cmocka_run_group_tests(tests, make_path, drop_path);
}
