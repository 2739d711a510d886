/* Rules in other formats: ours come back as they were, others say what they can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"
#include "common/text.h"
#include "rules/export.h"
#include "rules/import.h"
#include "rules/rulefile.h"
#include "tests/unit/hostile_text.h"

typedef void export_fn(struct export *x);

static struct ruleset *load(const char *text, size_t n, const char *ending)
{
	char path[64];
	const char *name = path;
	struct diags d = {0};
	bool partial;
	snprintf(path, sizeof(path), "/tmp/test_export.XXXXXX%s", ending);
	int fd = mkstemps(path, (int)strlen(ending));
	assert_true(fd >= 0 && write(fd, text, n) == (ssize_t)n);
	close(fd);
	struct ruleset *r = rulefile_load(&name, 1, false, &d, &partial);
	unlink(path);
	if (d.n)
		fail_msg("%u: %s\n%s", d.list[0].line, d.list[0].text, text);
	diag_free(&d);
	return r;
}

static char *exported(const struct ruleset *r, export_fn *write, enum indicator_type type, size_t *left)
{
	char *text = NULL;
	size_t n = 0;
	struct export x = {.r = r, .now_us = INT64_C(1767225600000000), .type = type};
	x.out = open_memstream(&text, &n);
	write(&x);
	fclose(x.out);
	*left = x.left_n;
	return text;
}

static const char rules[] =
    "set: {id: x, version: 2, producer: p, tlp: amber, title: \"a \\\"b\\\"\", releasable_to: [a, b]}\n"
    "defaults: {severity: high, confidence: 80, labels: [c2, x]}\n"
    "domain: [Bad.example, bücher.example]\nhostname: [h.example]\nip: [198.51.100.7, \"2001:DB8::7\"]\n"
    "cidr: [203.0.113.0/24, \"2001:db8::/32\"]\nip_port: [\"198.51.100.7:443\", \"[2001:db8::5]:53\"]\n"
    "user_agent: [\"Evil, '1.0' \\\\ x\", \" lead\"]\nfile_sha256: "
    "[E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855]\n"
    "payload_hex: [de ad be ef]\npayload: ['cmd=[a-f0-9]{4};\\x00']\n"
    "indicators:\n- {url: \"http://a.example/x\", match: prefix, note: \"n, \\\"q\\\"\\nline\", ref: "
    "\"https://r.example/\", tlp: red}\n"
    "- {url: a.example/y, valid_from: 2026-01-01, valid_until: 2027-01-01, where: http.url, id: own}\n"
    "- {ip: 198.51.100.9, where: ip.dest, fold: indicator}\n";

static void test_yaml(void **state)
{
	(void)state;
	static const char allow[] = "allow:\n- {domain: up.example, reason: \"v \\\"v\\\"\", expires: 2027-01-01}\n";
	struct buf all = {0};
	size_t left;
	buf_printf(&all, "%s%s", rules, allow);
	struct ruleset *r = load((const char *)all.p, all.n, ".yaml");
	char *text = exported(r, export_yaml, INDICATOR_NONE, &left);
	struct ruleset *again = load(text, strlen(text), ".yaml");
	assert_string_equal(ruleset_digest(r), ruleset_digest(again));
	assert_int_equal(left, 0);
	free(text);
	ruleset_free(again);
	ruleset_free(r);
	buf_free(&all);
}

static void test_csv(void **state)
{
	(void)state;
	size_t left;
	struct ruleset *r = load(rules, sizeof(rules) - 1, ".yaml");
	char *text = exported(r, export_csv, INDICATOR_NONE, &left);
	struct ruleset *again = load(text, strlen(text), ".csv");
	assert_int_equal(ruleset_count(r, INDICATOR_NONE), ruleset_count(again, INDICATOR_NONE));
	for (ruleset_ref k = 0; k < ruleset_count(r, INDICATOR_NONE); k++) {
		struct indicator x = ruleset_indicator(r, k), y = ruleset_indicator(again, k);
		assert_string_equal(x.value, y.value);
		assert_string_equal(x.id, y.id);
		assert_int_equal(x.severity, y.severity);
		assert_int_equal(x.tlp, y.tlp);
		assert_int_equal(x.match, y.match);
		assert_int_equal(x.fold, y.fold);
		assert_string_equal(x.note ? x.note : "", y.note ? y.note : "");
		assert_string_equal(x.where ? x.where : "", y.where ? y.where : "");
		assert_true(x.valid_until_us == y.valid_until_us);
	}
	free(text);
	ruleset_free(again);
	ruleset_free(r);
}

static void test_zeek(void **state)
{
	(void)state;
	size_t left;
	struct ruleset *r = load(rules, sizeof(rules) - 1, ".yaml");
	char *text = exported(r, export_zeek, INDICATOR_NONE, &left);
	assert_string_equal(
	    text, "#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc\tmeta.url\n"
		  "Bad.example\tIntel::DOMAIN\tp\t-\t-\nbücher.example\tIntel::DOMAIN\tp\t-\t-\n"
		  "h.example\tIntel::DOMAIN\tp\t-\t-\n198.51.100.7\tIntel::ADDR\tp\t-\t-\n"
		  "2001:DB8::7\tIntel::ADDR\tp\t-\t-\n203.0.113.0/24\tIntel::SUBNET\tp\t-\t-\n"
		  "2001:db8::/32\tIntel::SUBNET\tp\t-\t-\nEvil, '1.0' \\x5c x\tIntel::SOFTWARE\tp\t-\t-\n"
		  " lead\tIntel::SOFTWARE\tp\t-\t-\n"
		  "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855\tIntel::FILE_HASH\tp\t-\t-\n");
	assert_int_equal(left, 7);
	free(text);
	ruleset_free(r);
}

static void test_suricata(void **state)
{
	(void)state;
	size_t left;
	struct ruleset *r = load(rules, sizeof(rules) - 1, ".yaml");
	char *text = exported(r, export_suricata, INDICATOR_DOMAIN, &left);
	assert_string_equal(text, "YmFkLmV4YW1wbGU=\neG4tLWJjaGVyLWt2YS5leGFtcGxl\n");
	free(text);
	text = exported(r, export_suricata, INDICATOR_IP, &left);
	assert_string_equal(text, "198.51.100.7\n2001:DB8::7\n198.51.100.9\n");
	free(text);
	ruleset_free(r);
}

static bool has_value(const struct ruleset *r, const struct indicator *wanted)
{
	for (ruleset_ref k = 0; k < ruleset_count(r, INDICATOR_NONE); k++) {
		struct ruleset_room room;
		struct indicator i = ruleset_indicator_in(r, k, &room);
		if (i.type == wanted->type && strcmp(i.value, wanted->value) == 0)
			return true;
	}
	return false;
}

/* What MISP can say comes in again as it was; what it cannot is counted. */
static void test_misp(void **state)
{
	(void)state;
	static const char set[] =
	    "set: {id: x, version: 2, producer: p, tlp: green, title: \"T\"}\n"
	    "domain: [Bad.example]\nhostname: [h.example]\nip: [198.51.100.7]\ncidr: [203.0.113.0/24]\n"
	    "ip_port: [\"198.51.100.7:443\", \"[2001:db8::5]:53\"]\nuser_agent: [\"Evil \\\"1\\\"\"]\n"
	    "ja3: [e7d705a3286e19ea42f587b344ee6865]\nemail: [a@bad.example]\nfilename: [\"x y.exe\"]\n"
	    "file_md5: [d41d8cd98f00b204e9800998ecf8427f]\nhassh: [ec7378c1a92f5a8dde7e8b7a1ddf33d1]\n"
	    "stix: [\"[domain-name:value = 'a.example' AND network-traffic:dst_port = 443]\"]\n"
	    "indicators:\n- {url: \"http://a.example/x\", id: indicator--01234567-0123-4123-8123-0123456789ab, tlp: "
	    "red, "
	    "severity: high, note: why}\n- {domain: over.example, valid_until: 2025-01-01}\n"
	    "- {url: \"http://a.example/p\", match: prefix}\n- {url: a.example/y}\n- {ip: 198.51.100.9, where: "
	    "ip.dest}\n"
	    "- {ja3s: e7d705a3286e19ea42f587b344ee6865}\n";
	size_t left;
	struct err e = {""};
	struct ruleset *r = load(set, sizeof(set) - 1, ".yaml");
	char *text = exported(r, export_misp, INDICATOR_NONE, &left);
	assert_int_equal(left, 4);
	struct json *root = json_read(text, strlen(text), 1u << 20, &e);
	const struct json *list = json_at(root, "Event.Attribute"), *last = json_item(list, json_count(list) - 2);
	assert_int_equal(json_count(list), ruleset_count(r, INDICATOR_NONE) - 4);
	assert_string_equal(json_text(json_at(root, "Event.threat_level_id"), NULL), "1");
	assert_string_equal(json_text(json_at(last, "uuid"), NULL), "01234567-0123-4123-8123-0123456789ab");
	assert_string_equal(json_text(json_at(json_item(json_at(last, "Tag"), 0), "name"), NULL), "tlp:red");
	assert_false(json_bool(json_at(json_item(list, json_count(list) - 1), "to_ids"), true));
	struct diags d = {0};
	struct import m = {.d = &d, .file = "f"};
	import_misp(&m, (struct bytes){.p = (const uint8_t *)text, .n = strlen(text)});
	assert_int_equal(m.left, 0);
	assert_int_equal(m.inactive, 1);
	assert_int_equal(m.taken, ruleset_count(r, INDICATOR_NONE) - 5);
	assert_string_equal(m.producer, "p");
	struct buf again = {0};
	buf_printf(&again, "set: {id: x}\nindicators:\n%.*s", (int)m.entries.n, (const char *)m.entries.p);
	struct ruleset *back = load((const char *)again.p, again.n, ".yaml");
	for (ruleset_ref k = 0; k < ruleset_count(back, INDICATOR_NONE); k++) {
		struct indicator i = ruleset_indicator(back, k);
		assert_true(has_value(r, &i));
	}
	assert_int_equal(ruleset_count(back, INDICATOR_NONE), m.taken);
	import_end(&m);
	buf_free(&m.entries);
	buf_free(&m.kept);
	buf_free(&again);
	diag_free(&d);
	json_drop(root);
	free(text);
	ruleset_free(back);
	ruleset_free(r);
}

static void test_lists(void **state)
{
	(void)state;
	size_t left;
	struct ruleset *r = load(rules, sizeof(rules) - 1, ".yaml");
	char *text = exported(r, export_maltrail, INDICATOR_NONE, &left);
	assert_string_equal(text, "Bad.example\nbücher.example\n198.51.100.7\n2001:DB8::7\n198.51.100.7:443\n"
				  "[2001:db8::5]:53\n");
	assert_int_equal(left, ruleset_count(r, INDICATOR_NONE) - 6);
	free(text);
	text = exported(r, export_plain, INDICATOR_NONE, &left);
	assert_string_equal(text, "Bad.example\nbücher.example\nh.example\n198.51.100.7\n2001:DB8::7\n203.0.113.0/24\n"
				  "2001:db8::/32\n198.51.100.7:443\n[2001:db8::5]:53\n"
				  "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855\n");
	free(text);
	text = exported(r, export_plain, INDICATOR_USER_AGENT, &left);
	assert_string_equal(text, "Evil, '1.0' \\ x\n lead\n");
	free(text);
	ruleset_free(r);
}

/* The same bytes each time, one JSON value, unique ids, and what goes out comes in again. */
static void test_stix(void **state)
{
	(void)state;
	size_t left;
	struct err e = {""};
	struct ruleset *r = load(rules, sizeof(rules) - 1, ".yaml");
	char *text = exported(r, export_stix, INDICATOR_NONE, &left),
	     *again = exported(r, export_stix, INDICATOR_NONE, &left);
	assert_string_equal(text, again);
	assert_int_equal(left, 1); /* where: http.url */
	struct json *bundle = json_read(text, strlen(text), 1u << 20, &e);
	const struct json *objects = json_at(bundle, "objects");
	assert_non_null(bundle);
	assert_int_equal(json_count(objects), 1 + 2 + ruleset_count(r, INDICATOR_NONE) - 1);
	assert_string_equal(json_text(json_at(json_item(objects, 1), "id"), NULL),
			    "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421");
	assert_string_equal(json_text(json_at(json_item(objects, 3), "pattern"), NULL),
			    "[domain-name:value = 'Bad.example' OR domain-name:value LIKE '%.Bad.example']");
	for (size_t i = 0; i < json_count(objects); i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(json_text(json_at(json_item(objects, i), "id"), NULL),
						json_text(json_at(json_item(objects, k), "id"), NULL));
	struct diags d = {0};
	struct import m = {.d = &d, .file = "f"};
	import_stix(&m, (struct bytes){.p = (const uint8_t *)text, .n = strlen(text)});
	assert_int_equal(m.left, 0);
	assert_int_equal(m.taken,
			 ruleset_count(r, INDICATOR_NONE) - 1 + 2); /* an endpoint is two: as source, as destination */
	assert_string_equal(m.producer, "p");
	buf_free(&m.entries);
	buf_free(&m.kept);
	diag_free(&d);
	json_drop(bundle);
	free(text);
	free(again);
	ruleset_free(r);
}

static void put(struct buf *b, const char *name, const char *text)
{
	buf_printf(b, ", %s: ", name);
	text_quote(b, text, strlen(text));
}

/* An indicator for each hostile text that a rule file takes, with the text in all its fields. */
static struct ruleset *hostile_rules(void)
{
	char text[4096];
	struct buf b = {0};
	struct diags d = {0};
	bool partial;
	buf_printf(&b, "set: {id: x, version: 1, tlp: amber");
	put(&b, "title", hostile_text[2]);
	put(&b, "producer", "p");
	put(&b, "releasable_to", "a], tlp: clear, title: [b");
	buf_printf(&b, "}\nindicators:\n");
	for (unsigned i = 0; i < 300; i++) {
		hostile_make(i, text);
		text[200] = '\0';
		buf_printf(&b, " - {severity: high");
		put(&b, i % 3 ? i % 3 == 1 ? "filename" : "username" : "user_agent", text);
		put(&b, "note", text);
		put(&b, "labels", text);
		put(&b, "ref", text);
		buf_printf(&b, "}\n");
	}
	char path[] = "/tmp/test_export.XXXXXX.yaml";
	const char *name = path;
	int fd = mkstemps(path, 5);
	assert_true(fd >= 0 && write(fd, b.p, b.n) == (ssize_t)b.n);
	close(fd);
	struct ruleset *r = rulefile_load(&name, 1, false, &d, &partial);
	unlink(path);
	assert_non_null(r);
	for (size_t i = 0; i < d.n; i++)
		assert_true(hostile_escaped(d.list[i].text, strlen(d.list[i].text), false));
	diag_free(&d);
	buf_free(&b);
	assert_true(ruleset_count(r, INDICATOR_NONE) > 150);
	return r;
}

/* Whatever is written can be shown, and what comes in again is what was there. */
static void test_hostile(void **state)
{
	(void)state;
	static export_fn *const formats[] = {export_yaml, export_csv,   export_zeek,    export_stix,
					     export_misp, export_plain, export_maltrail};
	static const char *const endings[] = {".yaml", ".csv", NULL, NULL, NULL, NULL, NULL};
	struct ruleset *r = hostile_rules();
	for (size_t f = 0; f < sizeof(formats) / sizeof(*formats); f++) {
		size_t left;
		char *text = exported(r, formats[f], INDICATOR_NONE, &left);
		assert_true(hostile_escaped(text, strlen(text), true));
		if (endings[f]) {
			struct ruleset *again = load(text, strlen(text), endings[f]);
			assert_int_equal(ruleset_count(r, INDICATOR_NONE) - left, ruleset_count(again, INDICATOR_NONE));
			for (ruleset_ref k = 0; k < ruleset_count(again, INDICATOR_NONE); k++) {
				struct indicator i = ruleset_indicator(again, k);
				assert_true(has_value(r, &i));
			}
			if (f == 0)
				assert_int_equal(ruleset_set_at(again, 0).tlp, TLP_AMBER);
			ruleset_free(again);
		}
		if (formats[f] == export_zeek) {
			struct diags d = {0};
			struct import m = {.d = &d, .file = "f"};
			import_zeek(&m, (struct bytes){.p = (const uint8_t *)text, .n = strlen(text)});
			assert_int_equal(m.left, 0);
			assert_int_equal(m.taken, ruleset_count(r, INDICATOR_NONE) - left);
			import_end(&m);
			diag_free(&d);
		}
		free(text);
	}
	ruleset_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_yaml),  cmocka_unit_test(test_csv),
					   cmocka_unit_test(test_zeek),  cmocka_unit_test(test_suricata),
					   cmocka_unit_test(test_stix),  cmocka_unit_test(test_misp),
					   cmocka_unit_test(test_lists), cmocka_unit_test(test_hostile)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
