/* Policies of partners: what is in one, what is refused, and with which words. What is
 * refused must not be in force in part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rules/policy.h"

static char dir[64];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "%s/picket-policy-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static void path_of(const char *name, char out[static 160])
{
	snprintf(out, 160, "%s/%s", dir, name);
}

static void put(const char *name, const char *text)
{
	char path[160];
	path_of(name, path);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int teardown(void **state)
{
	static const char *const names[] = {"a.yaml", "b.yaml", ".hidden.yaml", "other.txt"};
	char path[160];
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		path_of(names[i], path);
		unlink(path);
	}
	return rmdir(dir);
}

/* One policy file a.yaml; words: in one of the findings, NULL = it is good. */
static void judge(const char *text, const char *words)
{
	struct policies p;
	struct diags d = {0};
	bool told = false;
	put("a.yaml", text);
	bool good = policies_load(&p, "own", dir, &d);
	if (good != !words)
		fail_msg("%s\n%s", text, d.n ? d.list[0].text : "is taken");
	for (size_t i = 0; words && i < d.n; i++)
		told |= strstr(d.list[i].text, words) != NULL;
	if (words && !told)
		fail_msg("%s\nsays: %s", text, d.n ? d.list[0].text : "nothing");
	diag_free(&d);
	policies_free(&p);
}

static void test_what_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *words;
	} cases[] = {
	    {"partner: {id: p}\n", NULL},
	    {"partner: {title: x}\n", "partner.id is not given"},
	    {"partner: {id: own}\n", "our own organisation"},
	    {"partner: {id: \"a b\"}\n", "a b"},
	    {"partner: {id: p, valid_until: tomorrow}\n", "tomorrow"},
	    {"partner: {id: p, valid_until: 2027-01-01}\n", NULL},
	    {"partner: {id: p}\nlink: {identity: \"picket://p/partner/x\"}\n", NULL},
	    {"partner: {id: p}\nlink: {identity: \"picket://q/partner/x\"}\n", "of another organisation"},
	    {"partner: {id: p}\ntaxii: {identity: \"picket://q/partner/x\"}\n", "of another organisation"},
	    {"partner: {id: p}\nlink: {identity: \"picket://p/sensor/x\"}\n", "picket://p/sensor/x"},
	    {"partner: {id: p}\nlink: {identity: \"https://p/\"}\n", "https://p/"},
	    {"partner: {id: p}\nlink: {address: \"x:1\"}\n", "who should answer there"},
	    {"partner: {id: p}\nlink: {rate: 0}\n", "link.rate"},
	    {"partner: {id: p}\ntaxii: {read: [nonsense]}\n", "expected a collection's UUID"},
	    {"partner: {id: p}\ntaxii: {read: [91a7b528-80eb-42ed-a74d-c6fbd5a26116]}\n", NULL},
	    {"partner: {id: p}\nbundle: {public: abcd}\n", "expected 64 hex digits"},
	    {"partner: {id: p}\nbundle: {public: "
	     "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff}\n",
	     NULL},
	    {"partner: {id: p}\nrelease: {tlp_max: purple}\n", "purple"},
	    {"partner: {id: p}\nrelease: {tlp_max: green, unaddressed: amber}\n", "above release.tlp_max"},
	    {"partner: {id: p}\nrelease: {types: [indicator, Indicator]}\n", "expected the name of a property"},
	    {"partner: {id: p}\nrelease: {drop: [x_note, indicator.description]}\n", NULL},
	    {"partner: {id: p}\nrelease: {drop: [a.b.c]}\n", "expected field or type.field"},
	    {"partner: {id: p}\nrelease: {drop: [\"\"]}\n", "an empty entry"},
	    {"partner: {id: p}\nrelease: {groups: [a, \"\"]}\n", "an empty entry"},
	    {"partner: {id: p}\nrelease: {fields: [\"indicator: name pattern\"]}\n", NULL},
	    {"partner: {id: p}\nrelease: {fields: [\"indicator name\"]}\n", "type: field field"},
	    {"partner: {id: p}\nrelease: {fields: [\"indicator: Name!\"]}\n", "type: field field"},
	    {"partner: {id: p}\nrelease: {fields: [\": name\"]}\n", "type: field field"},
	    {"partner: {id: p}\nrelease: {custom: [x-y, \"x y\"]}\n", "x y"},
	    {"partner: {id: p}\nrelease: {hops: 1000}\n", "release.hops"},
	    {"partner: {id: p}\nrelase: {tlp_max: red}\n", "release"},
	    {"partner: {id: p}\ninbound: {mode: always}\n", "always"},
	    {"partner: {id: p}\ninbound: {quota: -1}\n", "inbound.quota"},
	    {"partner: {id: p}\ninbound: {confidence_max: 101}\n", "inbound.confidence_max"},
	    {"partner: {id: p, id: q}\n", "id"},
	    {"- a list\n", "expected keys and values"},
	    {"partner: [\n", ""},
	    {"", "partner.id is not given"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		judge(cases[i].text, cases[i].words);
}

/* Nothing goes to a partner of whom only the name is known. */
static void test_what_nobody_said(void **state)
{
	(void)state;
	struct policies p;
	struct diags d = {0};
	put("a.yaml", "partner: {id: p}\n");
	assert_true(policies_load(&p, "own", dir, &d));
	assert_int_equal(p.n, 1);
	assert_int_equal(p.list[0].release.tlp_max, TLP_UNMARKED);
	assert_int_equal(p.list[0].release.unaddressed, TLP_UNMARKED);
	assert_false(p.list[0].release.victim_detail);
	assert_non_null(policies_find(&p, "p"));
	assert_null(policies_find(&p, "q"));
	assert_null(policies_find(&p, ""));
	diag_free(&d);
	policies_free(&p);
}

/* Two files must not speak of one partner, one certificate or one user. */
static void test_two_of_them(void **state)
{
	(void)state;
	static const struct {
		const char *second, *words;
	} cases[] = {
	    {"partner: {id: q}\n", NULL},
	    {"partner: {id: p}\n", "partner \"p\" is in"},
	    {"partner: {id: q}\nlink: {identity: \"picket://p/partner/x\"}\n", "is in"},
	    {"partner: {id: q}\ntaxii: {user: u}\n", "taxii.user u is in"},
	};
	put(".hidden.yaml", "nonsense: 1\n");
	put("other.txt", "nonsense: 1\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		put("b.yaml", cases[i].second);
		judge("partner: {id: p}\nlink: {identity: \"picket://p/partner/x\"}\ntaxii: {user: u}\n",
		      cases[i].words);
	}
}

/* A file instead of a folder; neither. */
static void test_where(void **state)
{
	(void)state;
	struct policies p;
	struct diags d = {0};
	char path[160];
	put("a.yaml", "partner: {id: p}\n");
	path_of("a.yaml", path);
	assert_true(policies_load(&p, "own", path, &d));
	assert_int_equal(p.n, 1);
	policies_free(&p);
	path_of("none", path);
	assert_false(policies_load(&p, "own", path, &d));
	assert_int_equal(d.n, 1);
	assert_non_null(strstr(d.list[0].text, "no such folder"));
	assert_int_equal(p.n, 0);
	policies_free(&p);
	diag_free(&d);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {CASE(test_what_is_refused), CASE(test_what_nobody_said),
					   CASE(test_two_of_them), CASE(test_where)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
