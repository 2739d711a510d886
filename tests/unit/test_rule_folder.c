/* What a folder of rules gives: which files of it are read, in which order, and what is
 * refused as a whole: a compiled set beside others, a damaged one, one without a signature
 * where one is required. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rules/rulefile.h"
#include "rules/ruleset.h"

static char dir[64];
static char made[16][160];
static size_t made_n;

static int setup(void **state)
{
	(void)state;
	made_n = 0;
	snprintf(dir, sizeof(dir), "%s/picket-folder-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	while (made_n)
		if (unlink(made[--made_n]) != 0)
			rmdir(made[made_n]);
	return rmdir(dir);
}

static const char *name_of(const char *name)
{
	char *path = made[made_n++];
	snprintf(path, sizeof(made[0]), "%s/%s", dir, name);
	return path;
}

static void put(const char *name, const char *text, size_t n)
{
	FILE *f = fopen(name_of(name), "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	fclose(f);
}

static void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

/* Loads paths; words: in a finding, NULL = no finding at all. */
static struct ruleset *load(const char *const *paths, size_t n, const struct rulefile_trust *t, const char *words)
{
	struct diags d = {0};
	bool partial, told = false;
	struct ruleset *r = rulefile_load_trusted(paths, n, false, t, &d, &partial);
	for (size_t i = 0; i < d.n; i++)
		told |= words && strstr(d.list[i].text, words);
	if (words ? !told : d.n > 0)
		fail_msg("expected %s, found %s", words ? words : "nothing", d.n ? d.list[0].text : "nothing");
	diag_free(&d);
	return r;
}

static struct ruleset *load_dir(const char *words)
{
	const char *path = dir;
	return load(&path, 1, NULL, words);
}

static void test_which_files(void **state)
{
	(void)state;
	put_text("b.yaml", "domain: [b.example]\n");
	put_text("a.csv", "domain,a.example\n");
	put_text("c.yml", "domain: [c.example]\n");
	put_text(".hidden.yaml", "nonsense: [\n");
	put_text("readme.txt", "nonsense: [\n");
	assert_int_equal(mkdir(name_of("sub.yaml"), 0700), 0);
	struct ruleset *r = load_dir(NULL);
	assert_non_null(r);
	assert_int_equal(ruleset_count(r, INDICATOR_NONE), 3);
	assert_string_equal(ruleset_indicator(r, 0).value, "a.example"); /* by name */
	assert_string_equal(ruleset_indicator(r, 2).value, "c.example");
	ruleset_free(r);
}

static void test_nothing(void **state)
{
	(void)state;
	assert_null(load_dir("no rule files in it"));
	put_text("readme.txt", "x");
	assert_null(load_dir("no rule files in it"));
	const char *none = name_of("none.yaml");
	assert_null(load(&none, 1, NULL, "none.yaml"));
	assert_null(load(NULL, 0, NULL, "no rule file is given"));
	put_text("empty.yaml", "domain: []\n");
	assert_null(load_dir("a set that matches nothing is not loaded"));
}

static void test_compiled(void **state)
{
	(void)state;
	struct err e;
	put_text("a.yaml", "domain: [a.example]\n");
	struct ruleset *r = load_dir(NULL);
	const char *compiled = name_of("set.rules");
	assert_true(ruleset_write(r, compiled, &e));
	ruleset_free(r);

	r = load(&compiled, 1, NULL, NULL);
	assert_int_equal(ruleset_count(r, INDICATOR_NONE), 1);
	ruleset_free(r);
	assert_null(load(&compiled, 1, &(struct rulefile_trust){.required = true}, "no signature"));
	assert_null(load_dir("compile them together"));

	/* Any byte of it, changed. */
	FILE *f = fopen(compiled, "r");
	char whole[65536];
	assert_non_null(f);
	size_t n = fread(whole, 1, sizeof(whole), f);
	fclose(f);
	assert_true(n > 100 && n < sizeof(whole));
	for (size_t at = 8; at < n; at += 1 + n / 200) {
		char changed[sizeof(whole)];
		struct diags d = {0};
		bool partial;
		memcpy(changed, whole, n);
		changed[at] ^= 0x21;
		put("changed.rules", changed, n);
		const char *path = made[made_n - 1];
		r = rulefile_load_trusted(&path, 1, false, NULL, &d, &partial);
		if (r)
			fail_msg("byte %zu of %zu is changed, and it is loaded", at, n);
		assert_int_equal(d.n, 1);
		diag_free(&d);
		unlink(path);
		made_n--;
	}
}

/* The tests that indicators name, without their rules: picket rules test reads them so. */
static void test_tests(void **state)
{
	(void)state;
	struct rule_tests tests = {0};
	struct diags d = {0};
	put_text("t.yaml", "indicators:\n- {domain: x.example, test: {hit: [a.pcap, b.pcap], miss: [c.pcap]}}\n"
			   "- {domain: y.example}\n");
	assert_true(rulefile_tests(made[0], &tests, &d));
	assert_int_equal(tests.n, 3);
	assert_true(tests.v[0].hit && tests.v[1].hit && !tests.v[2].hit);
	assert_string_equal(tests.v[0].value, "x.example");
	assert_false(rulefile_tests(name_of("none.yaml"), &tests, &d));
	assert_non_null(strstr(d.list[0].text, "none.yaml"));
	rule_tests_free(&tests);
	diag_free(&d);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {CASE(test_which_files), CASE(test_nothing), CASE(test_compiled),
					   CASE(test_tests)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
