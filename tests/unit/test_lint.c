/* Lint: each flaw with its code, and nothing said of what is right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "rules/lint.h"
#include "rules/refang.h"
#include "rules/rulefile.h"

static char path[] = "/tmp/test_lint.XXXXXX", list_path[] = "/tmp/test_lint.XXXXXX";

static void put(char *name, const char *text)
{
	strcpy(strrchr(name, '.'), ".XXXXXX");
	int fd = mkstemp(name);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static struct ruleset *load(const char *text)
{
	const char *name = path;
	struct diags d = {0};
	bool partial;
	put(path, text);
	struct ruleset *r = rulefile_load(&name, 1, true, &d, &partial);
	unlink(path);
	diag_free(&d);
	return r;
}

/* "code line value" of each finding, in the order in which they were made. */
static const char *findings(const char *rules, const char *against, const char *warninglist)
{
	static char all[4096];
	struct diags d = {0};
	struct lint_values values = {0};
	struct err e = {""};
	struct benign *benign = benign_new();
	benign_add_builtin(benign);
	if (!warninglist)
		benign_add_everyday(benign);
	assert_true(benign_add_own(benign, "100.200.0.0/16", &e));
	assert_false(benign_add_own(benign, "100.200.0.0/33", &e));
	if (warninglist) {
		put(list_path, warninglist);
		assert_true(benign_add_warninglist(benign, list_path, &d, &e));
		unlink(list_path);
	}
	assert_true(benign_seal(benign, &e));
	struct ruleset *r = load(rules), *old = against ? load(against) : NULL;
	struct lint_options o = {.benign = benign, .against = old, .max_shrink = 50};
	assert_true(clock_parse("2026-01-01", &o.now_us));
	lint(r, &o, &d, &values);
	assert_int_equal(values.n, d.n);
	all[0] = '\0';
	for (size_t i = 0; i < d.n; i++) {
		size_t n = strlen(all);
		snprintf(all + n, sizeof(all) - n, "%s%s %u %s", n ? "; " : "", d.list[i].code, d.list[i].line,
			 values.v[i] ? values.v[i] : "-");
		free(values.v[i]);
	}
	free(values.v);
	diag_free(&d);
	ruleset_free(r);
	ruleset_free(old);
	benign_free(benign);
	return all;
}

#define HEAD "set: {id: s, producer: p, tlp: green, valid_until: 2030-01-01}\n"

static void test_codes(void **state)
{
	(void)state;
	static const struct {
		const char *rules, *findings;
	} table[] = {
	    {HEAD "domain: [bad.test]\nip: [93.184.216.34]\ncidr: [93.184.0.0/16]\n", "subsumed 3 93.184.216.34"},
	    {HEAD "domain: [bad.test, a.bad.test]\n", "subsumed 2 a.bad.test"},
	    {HEAD "hostname: [bad.test]\ndomain: [bad.test]\n", "subsumed 2 bad.test"},
	    {HEAD "domain: [bad.test, BAD.test]\n", "duplicate 2 BAD.test"},
	    {HEAD "domain: [notbad.test, bad.test]\n", ""},
	    {HEAD "indicators:\n- {domain: bad.test, where: tls}\n- {domain: a.bad.test}\n", ""},
	    {HEAD "indicators:\n- {domain: bad.test, where: tls}\n- {domain: a.bad.test, where: tls}\n",
	     "subsumed 4 a.bad.test"},
	    {HEAD "indicators:\n- {domain: bad.test, valid_until: 2027-01-01}\n- {domain: a.bad.test}\n", ""},
	    {HEAD "indicators:\n- {url: \"http://a.test/x\", match: prefix}\n- {url: \"http://a.test/x/y\"}\n",
	     "subsumed 4 http://a.test/x/y"},
	    {HEAD "domain: [co.jp, example, github.io]\n",
	     "too-wide 2 co.jp; too-wide 2 example; too-wide 2 github.io; everyday 2 co.jp"},
	    {HEAD "hostname: [co.jp]\n", ""},
	    {HEAD "cidr: [93.0.0.0/15, \"2a00::/31\", 94.0.0.0/16]\n", "too-wide 2 93.0.0.0/15; too-wide 2 2a00::/31"},
	    {HEAD "ip: [10.0.0.1, 127.0.0.1, \"fe80::1\"]\n",
	     "reserved 2 10.0.0.1; reserved 2 127.0.0.1; reserved 2 fe80::1"},
	    {HEAD "ip_port: [\"192.168.1.1:80\"]\n", "reserved 2 192.168.1.1:80"},
	    {HEAD "cidr: [100.0.0.0/9]\n", "too-wide 2 100.0.0.0/9; reserved 2 100.0.0.0/9"},
	    {HEAD "ip: [100.200.1.1]\n", "own-range 2 100.200.1.1"},
	    {HEAD "file_md5: [D41D8CD98F00B204E9800998ECF8427E]\n", "empty-file 2 D41D8CD98F00B204E9800998ECF8427E"},
	    {HEAD "domain: [bücher.test, xn--bcher-kva.test]\n",
	     "idn 2 bücher.test; duplicate 2 xn--bcher-kva.test; idn 2 xn--bcher-kva.test"},
	    {HEAD "payload_hex: [deadbe, deadbeef]\npayload: [\"a.?c\", \"abcd\"]\n",
	     "short-pattern 2 deadbe; short-pattern 3 a.?c"},
	    {HEAD "protocol: [BitTorrent, bittorent]\nrisk: [xss attack, XSS]\n",
	     "unknown-name 2 bittorent; unknown-name 3 XSS"},
	    {HEAD "indicators:\n- {domain: a.test, valid_until: 2025-12-31}\n", "expired 3 a.test"},
	    {HEAD "indicators:\n- {domain: a.test, valid_from: 2028-01-01, valid_until: 2027-01-01}\n",
	     "never-valid 3 a.test"},
	    {HEAD "domain: [google.com, a.google.com]\nhostname: [www.google.com]\nip: [8.8.8.8]\n",
	     "subsumed 2 a.google.com; subsumed 3 www.google.com; everyday 3 www.google.com; everyday 4 8.8.8.8; "
	     "everyday 2 google.com"},
	    {HEAD "payload_hex: [485454502f312e3120323030204f4b]\n", "everyday 2 485454502f312e3120323030204f4b"},
	    {HEAD "domain: [a.test, b.a.test]\nallow: [{domain: a.test, reason: r}]\n",
	     "allowed 2 a.test; subsumed 2 b.a.test; allow-parent 2 b.a.test"},
	    {"set: {id: s}\ndomain: [a.test]\n", "no-producer 0 -; no-marking 0 -; no-expiry 0 -"},
	    {"domain: []\n", ""},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		const char *got = findings(table[i].rules, NULL, NULL);
		if (strcmp(got, table[i].findings) != 0)
			fail_msg("%s\nfound    \"%s\"\nexpected \"%s\"", table[i].rules, got, table[i].findings);
	}
}

/* The verbs: what the reader says of them for who judges (code, line, column), and nothing for others. */
static void test_decisions(void **state)
{
	(void)state;
	static const struct {
		const char *rules, *findings;
	} table[] = {
	    {HEAD "allow: [{domain: a.test, reason: r, expires: 2027-01-01}]\n", ""},
	    {HEAD "allow:\n- {domain: a.test, expires: 2027-01-01}\n", "no-reason 3:3"},
	    {HEAD "suppress: [{domain: a.test, reason: r}]\n", "no-expiry 2:12"},
	    {HEAD "disable:\n- {id: X, reason: r, expires: 2025-01-01}\n- {ip: 192.0.2.1}\n",
	     "expired 3:3; no-reason 4:3; no-expiry 4:3"},
	};
	for (size_t i = 0; i < 2 * sizeof(table) / sizeof(*table); i++) {
		const char *name = path;
		char all[300] = "";
		struct diags d = {0};
		struct rulefile_trust t = {0};
		bool partial;
		if (i % 2 == 0)
			assert_true(clock_parse("2026-01-01", &t.judge_us));
		put(path, table[i / 2].rules);
		struct ruleset *r = rulefile_load_trusted(&name, 1, true, &t, &d, &partial);
		unlink(path);
		for (size_t k = 0; k < d.n; k++)
			snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s %u:%u", *all ? "; " : "",
				 d.list[k].code, d.list[k].line, d.list[k].column);
		assert_string_equal(all, i % 2 == 0 ? table[i / 2].findings : "");
		diag_free(&d);
		ruleset_free(r);
	}
}

static void test_warninglists(void **state)
{
	(void)state;
	static const struct {
		const char *list, *rules, *findings;
	} table[] = {
	    {"{\"type\":\"cidr\",\"name\":\"n\",\"matching_attributes\":[\"ip-dst\"],\"list\":[\"8.8.8.8\",\"9.9.0.0/"
	     "16\"]}",
	     HEAD "ip: [8.8.8.8, 9.9.9.9, 7.7.7.7]\n", "warning-list 2 8.8.8.8; warning-list 2 9.9.9.9"},
	    {"{\"type\":\"cidr\",\"name\":\"n\",\"matching_attributes\":[\"ip-dst\"],\"list\":[\"8.8.8.8\",\"9.9.0.0/"
	     "16\"]}",
	     HEAD "cidr: [8.8.0.0/16, 9.9.1.0/24, 7.7.0.0/16]\n",
	     "warning-list 2 9.9.1.0/24; warning-list 2 8.8.0.0/16"},
	    {"{\"type\":\"hostname\",\"name\":\"n\",\"list\":[\".cdn.test\"]}",
	     HEAD "domain: [a.cdn.test, nocdn.test]\n", "warning-list 2 a.cdn.test"},
	    {"{\"type\":\"string\",\"name\":\"n\",\"list\":[\"www.cdn.test\"]}",
	     HEAD "domain: [cdn.test, a.www.cdn.test]\n", "subsumed 2 a.www.cdn.test; warning-list 2 cdn.test"},
	    {"{\"type\":\"substring\",\"name\":\"n\",\"matching_attributes\":[\"url\"],\"list\":[\"/login\"]}",
	     HEAD "url: [\"http://a.test/login?x\", \"http://a.test/\"]\n", "warning-list 2 http://a.test/login?x"},
	    {"{\"type\":\"regex\",\"name\":\"n\",\"list\":[\"/x/\"]}", HEAD "domain: [a.test]\n",
	     "warning-list-entries 0 -"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		const char *got = findings(table[i].rules, NULL, table[i].list);
		if (strcmp(got, table[i].findings) != 0)
			fail_msg("%s\nfound    \"%s\"\nexpected \"%s\"", table[i].rules, got, table[i].findings);
	}
}

static void test_shrink(void **state)
{
	(void)state;
	static const char ten[] = HEAD "domain: [a.a0, a.a1, a.a2, a.a3, a.a4, a.a5, a.a6, a.a7, a.a8, a.a9]\n";
	assert_string_equal(findings(HEAD "domain: [a.a0, a.a1, a.a2, a.a3]\n", ten, NULL), "shrink 0 -");
	assert_string_equal(findings(HEAD "domain: [a.a0, a.a1, a.a2, a.a3, a.a4]\n", ten, NULL), "");
	assert_string_equal(findings(HEAD "domain: []\n", HEAD "domain: [a.a0]\n", NULL), "");
}

static void test_refang(void **state)
{
	(void)state;
	static const struct {
		const char *broken, *whole;
	} table[] = {
	    {"bad[.]example", "bad.example"},
	    {"bad(.)example[dot]org", "bad.example.org"},
	    {"hxxp://bad[.]example/a", "http://bad.example/a"},
	    {"hXXps[:]//bad.example", "https://bad.example"},
	    {"hxxp[://]bad.example", "http://bad.example"},
	    {"a[at]bad[.]example", "a@bad.example"},
	    {"198.51.100[.7", "198.51.100.7"},
	    {"fxp://x", "ftp://x"},
	    {"hxxp", "hxxp"},
	    {"plain.example", "plain.example"},
	    {"http://[2001:db8::1]/", "http://[2001:db8::1]/"},
	    {"", ""},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		char out[128];
		size_t n;
		bool changed = refang(table[i].broken, strlen(table[i].broken), out, &n);
		assert_string_equal(out, table[i].whole);
		assert_int_equal(n, strlen(out));
		assert_int_equal(changed, strcmp(table[i].broken, table[i].whole) != 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_codes), cmocka_unit_test(test_decisions),
					   cmocka_unit_test(test_warninglists), cmocka_unit_test(test_shrink),
					   cmocka_unit_test(test_refang)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
