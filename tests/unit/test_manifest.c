/* Signed sets: one spelling, keys and their scope, files cut anywhere, deltas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/text.h"
#include "rules/rulefile.h"
#include "rules/set_layout.h"
#include "rules/set_lines.h"
#include "rules/signing.h"

#define NOW 1700000000000000

static char folder[] = "/tmp/test_manifest.XXXXXX";

static const char *in_folder(const char *name)
{
	static char path[4][128];
	static unsigned turn;
	char *p = path[turn++ % 4];
	snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	return p;
}

static const char *put(const char *name, const void *text, size_t n)
{
	const char *path = in_folder(name);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	fclose(f);
	return path;
}

static struct ruleset *load_trusted(const char *path, const struct trust *t, bool required, char *why, size_t cap)
{
	struct diags d = {0};
	struct rulefile_trust trust = {.keys = t, .required = required, .now_us = NOW};
	bool partial;
	struct ruleset *r = rulefile_load_trusted(&path, 1, false, &trust, &d, &partial);
	if (why)
		snprintf(why, cap, "%s", d.n ? d.list[0].text : "");
	diag_free(&d);
	return r;
}

static struct ruleset *load(const char *text)
{
	return load_trusted(put("rules.yaml", text, strlen(text)), NULL, false, NULL, 0);
}

static struct trust *trust(const struct sign_key *k, const char *rest, size_t *errors)
{
	uint8_t pub[SIGN_PUBLIC_BYTES];
	char hex[2 * SIGN_PUBLIC_BYTES + 1], text[512];
	struct diags d = {0};
	struct err e;
	assert_true(sign_key_public(k, pub, &e));
	text_hex(hex, pub, sizeof(pub));
	int n = snprintf(text, sizeof(text), "keys:\n  - {id: k1, public: %s, %s}\n", hex, rest);
	struct trust *t = trust_read(put("keys.yaml", text, (size_t)n), &d);
	if (errors)
		*errors = d.count[DIAG_ERROR];
	diag_free(&d);
	return t;
}

static const char rules_text[] =
    "set: {id: apt-demo, version: 7, producer: cert, tlp: amber, valid_until: 2100-01-01}\n"
    "domain: [bad.example, worse.example]\n"
    "indicators:\n"
    "  - {id: \"U,1\", user_agent: \" Bad \\\"Bot\\\" #1 \", severity: high, note: \"two\\nlines\"}\n"
    "  - {ip: 203.0.113.9, where: [ip], labels: [a, b], valid_until: 2090-01-01, tlp: green}\n"
    "allow:\n"
    "  - {domain: fine.example, reason: \"say \\\"so\\\"\"}\n";

/* The signed file of a rule text. */
static struct buf sign(const struct sign_key *k, const char *text, struct signing s)
{
	struct buf file = {0};
	struct manifest m;
	struct err e = {""};
	struct ruleset *r = load(text);
	assert_non_null(r);
	s.key = (struct sign_key *)(uintptr_t)k;
	s.now_us = NOW;
	if (!signing_make(r, &s, &file, &m, &e))
		fail_msg("%s", e.text);
	ruleset_free(r);
	return file;
}

/* ---- keys ---- */

static void keys_are_kept_private(void **state)
{
	struct err e = {""};
	struct sign_key *k = sign_key_new(&e);
	uint8_t a[SIGN_PUBLIC_BYTES], b[SIGN_PUBLIC_BYTES], sig[SIGN_SIGNATURE_BYTES];
	struct stat st;
	(void)state;
	const char *path = in_folder("key.pem");
	assert_true(sign_key_write(k, path, &e));
	assert_false(sign_key_write(k, path, &e)); /* never over another */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	struct sign_key *again = sign_key_read(path, &e);
	assert_non_null(again);
	assert_true(sign_key_public(k, a, &e) && sign_key_public(again, b, &e));
	assert_memory_equal(a, b, sizeof(a));
	assert_true(sign_make(again, "c", "abc", 3, sig, &e));
	assert_true(sign_holds(a, "c", "abc", 3, sig));
	assert_false(sign_holds(a, "d", "abc", 3, sig));
	assert_false(sign_holds(a, "c", "abd", 3, sig));
	sig[5] ^= 1;
	assert_false(sign_holds(a, "c", "abc", 3, sig));
	sign_key_free(again);
	assert_int_equal(chmod(path, 0644), 0);
	assert_null(sign_key_read(path, &e));
	assert_non_null(strstr(e.text, "open to others"));
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(truncate(path, 40), 0);
	assert_null(sign_key_read(path, &e));
	sign_key_free(k);
}

/* ---- manifests ---- */

static const char good_manifest[] =
    "{\"picket_set\":1,\"set\":\"a\",\"version\":2,"
    "\"digest\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\"previous\":\"\",\"count\":0,"
    "\"bytes\":0,\"created\":\"2026-11-21T03:10:00.000000Z\",\"valid_until\":\"\",\"priority\":\"flash\","
    "\"exercise\":\"\",\"withdrawn\":true,\"shrink\":false}";

static void one_spelling_only(void **state)
{
	struct manifest m;
	struct err e = {""};
	char text[1024];
	size_t n = strlen(good_manifest);
	static const struct {
		const char *from, *to;
	} spoiled[] = {{"\"version\":2", "\"version\":0"},
		       {"\"version\":2", "\"version\":2.0"},
		       {"\"version\":2", "\"version\":4294967296"},
		       {"\"version\":2", "\"version\":-2"},
		       {"\"version\":2", "\"version\": 2"},
		       {"\"version\":2", "\"version\":2,\"more\":1"},
		       {"\"version\":2", "\"version\":2,\"version\":3"},
		       {"\"set\":\"a\"", "\"set\":\"../a\""},
		       {"\"set\":\"a\"", "\"set\":\".a\""},
		       {"\"set\":\"a\"", "\"set\":\"\""},
		       {"\"set\":\"a\"", "\"set\":\"\\u0061\""},
		       {"e3b0", "E3B0"},
		       {"e3b0", "e3b"},
		       {"flash", "urgent"},
		       {"03:10:00.000000Z", "03:10:00Z"},
		       {"\"count\":0", "\"count\":99999999999"},
		       {"\"bytes\":0", "\"bytes\":999999999999"},
		       {"true", "1"},
		       {"\"picket_set\":1", "\"picket_set\":2"}};
	(void)state;
	if (!manifest_read(good_manifest, n, &m, &e))
		fail_msg("%s", e.text);
	assert_true(m.withdrawn && m.priority == URGENCY_FLASH && m.version == 2);
	for (size_t i = 0; i < sizeof(spoiled) / sizeof(*spoiled); i++) {
		const char *at = strstr(good_manifest, spoiled[i].from);
		assert_non_null(at);
		int k = snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good_manifest), good_manifest,
				 spoiled[i].to, at + strlen(spoiled[i].from));
		if (manifest_read(text, (size_t)k, &m, &e))
			fail_msg("believed: %s", text);
	}
	for (size_t i = 0; i < n; i++)
		assert_false(manifest_read(good_manifest, i, &m, &e));
}

static void what_is_signed_comes_back(void **state)
{
	struct err e = {""};
	struct sign_key *k = sign_key_new(&e);
	struct trust *t = trust(k, "scope: [\"apt-*\"]", NULL);
	struct buf file = sign(k, rules_text, (struct signing){.priority = URGENCY_FLASH}), again = {0};
	struct signed_set s;
	size_t rows = 0;
	(void)state;
	assert_true(signed_set_read(file.p, file.n, &s, &e));
	assert_true(signed_set_whole(&s.m, s.content, &e));
	assert_true(set_lines_count(s.content, &rows, &e));
	assert_int_equal(rows, 5); /* with the allow entry */
	assert_int_equal(s.m.count, 5);
	struct ruleset *r = load_trusted(put("a.pset", file.p, file.n), t, true, NULL, 0);
	assert_non_null(r);
	assert_int_equal(ruleset_count(r, INDICATOR_NONE), 4);
	assert_int_equal(ruleset_allow_count(r), 1);
	/* laid out again it is the same, byte for byte */
	assert_true(set_layout(r, NULL, 7, &again, &rows, &e));
	assert_int_equal(again.n, s.content.n);
	assert_memory_equal(again.p, s.content.p, again.n);
	bool found = false;
	for (ruleset_ref i = 0; i < 4; i++) {
		struct indicator one = ruleset_indicator(r, i);
		if (one.type != INDICATOR_USER_AGENT)
			continue;
		found = true;
		assert_string_equal(one.value, " Bad \"Bot\" #1 ");
		assert_string_equal(one.note, "two lines");
		assert_string_equal(one.id, "U,1");
		assert_int_equal(one.tlp, TLP_AMBER);
		assert_int_equal(one.severity, SEVERITY_HIGH);
	}
	assert_true(found);
	ruleset_free(r);
	trust_free(t);
	buf_free(&again);
	buf_free(&file);
	sign_key_free(k);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
	struct err e = {""};
	struct sign_key *k = sign_key_new(&e);
	struct trust *t = trust(k, "scope: \"*\"", NULL);
	struct buf file = sign(k, rules_text, (struct signing){0});
	(void)state;
	for (size_t n = 0; n < file.n; n++) {
		struct signed_set s;
		uint8_t *exact = malloc(n ? n : 1);
		memcpy(exact, file.p, n);
		bool good = signed_set_read(exact, n, &s, &e) && signed_set_whole(&s.m, s.content, &e);
		free(exact);
		assert_false(good);
	}
	/* one bit anywhere: never the set with another meaning */
	for (size_t i = 0; i < file.n; i++) {
		struct signed_set s;
		file.p[i] ^= 0x04;
		bool good = signed_set_read(file.p, file.n, &s, &e) && signed_set_whole(&s.m, s.content, &e) &&
			    trust_believes(t, s.manifest, &s.m, &s.by, NOW, NULL, &e);
		file.p[i] ^= 0x04;
		if (good)
			fail_msg("byte %zu changed and still believed", i);
	}
	trust_free(t);
	buf_free(&file);
	sign_key_free(k);
}

static void keys_and_what_they_may(void **state)
{
	static const struct {
		const char *rest, *why;
		bool own_key;
	} cases[] = {
	    {"scope: [\"*\"]", "", true},
	    {"scope: [x, apt-d?mo]", "", true},
	    {"scope: [\"*\"]", "not trusted here", false},
	    {"scope: [\"partner-*\", apt, apt-demo2]", "outside its scope", true},
	    {"scope: [\"*\"], valid_until: 2023-01-01", "valid until", true},
	    {"scope: [\"*\"], valid_from: 2099-01-01", "valid only from", true},
	};
	struct err e = {""};
	struct sign_key *k = sign_key_new(&e), *other = sign_key_new(&e);
	struct buf file = sign(k, rules_text, (struct signing){0});
	char why[512];
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct trust *t = trust(cases[i].own_key ? k : other, cases[i].rest, NULL);
		assert_non_null(t);
		struct ruleset *r = load_trusted(put("a.pset", file.p, file.n), t, true, why, sizeof(why));
		if (*cases[i].why ? r != NULL || !strstr(why, cases[i].why) : r == NULL)
			fail_msg("%s: %s", cases[i].rest, why);
		ruleset_free(r);
		trust_free(t);
	}
	struct trust *t = trust(k, "scope: [\"*\"]", NULL);
	assert_null(load_trusted(put("plain.yaml", rules_text, strlen(rules_text)), t, true, why, sizeof(why)));
	assert_non_null(strstr(why, "no signature"));
	trust_free(t);
	buf_free(&file);
	sign_key_free(k);
	sign_key_free(other);
}

static void a_file_of_keys_with_mistakes(void **state)
{
	static const char *const rests[] = {"scope: []", "id: x, scope: [\"a b\"]", "scop: [\"*\"]", "scope: {a: b}",
					    "valid_until: soon, scope: [\"*\"]"};
	struct err e = {""};
	struct sign_key *k = sign_key_new(&e);
	(void)state;
	for (size_t i = 0; i < sizeof(rests) / sizeof(*rests); i++) {
		size_t errors = 0;
		assert_null(trust(k, rests[i], &errors));
		assert_true(errors > 0);
	}
	static const char *const files[] = {"", "keys: []", "keys: x", "key: [1]", "keys: [", "- a", "keys: [[a]]"};
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		struct diags d = {0};
		assert_null(trust_read(put("keys.yaml", files[i], strlen(files[i])), &d));
		assert_true(d.count[DIAG_ERROR] > 0);
		diag_free(&d);
	}
	sign_key_free(k);
}

/* The content's own head cannot say that it is another set. */
static void the_manifest_names_the_set(void **state)
{
	struct err e = {""};
	struct sign_key *k = sign_key_new(&e);
	static const char forged[] =
	    "set: {id: \"other\", version: 99}\nfile:\n  - {type: domain, path: keys.yaml}\n"
	    "%indicators\ntype,value,id,severity,confidence,tlp,match,fold,labels,where,valid_from,"
	    "valid_until,ref,note\ndomain,a.example,,,,,,,,,,,,\n";
	struct signing s = {.key = k, .now_us = NOW};
	struct manifest m = {.set = "mine", .version = 3, .exercise = "keen"};
	struct buf file = {0};
	struct diags d = {0};
	bool partial;
	(void)state;
	assert_true(signing_seal((struct bytes){(const uint8_t *)forged, strlen(forged)}, 1, &s, &m, &file, &e));
	const char *path = put("a.pset", file.p, file.n);
	struct ruleset *r = rulefile_load(&path, 1, false, &d, &partial);
	assert_non_null(r);
	assert_true(partial); /* file: names nothing in a signed set */
	assert_string_equal(ruleset_set_at(r, 0).id, "mine");
	assert_int_equal(ruleset_set_at(r, 0).version, 3);
	assert_string_equal(ruleset_set_at(r, 0).exercise, "keen");
	assert_int_equal(ruleset_count(r, INDICATOR_NONE), 1);
	diag_free(&d);
	ruleset_free(r);
	buf_free(&file);
	sign_key_free(k);
}

/* ---- deltas ---- */

static struct buf content_of(const bool *has, size_t n, unsigned version)
{
	struct buf text = {0}, out = {0};
	struct err e = {""};
	size_t rows;
	buf_printf(&text, "set: {id: s, version: %u}\nindicators:\n  - {domain: always.example}\n", version);
	for (size_t i = 0; i < n; i++)
		if (has[i])
			buf_printf(&text, "  - {domain: d%zu.example, severity: %s}\n", i, i % 2 ? "high" : "low");
	buf_u8(&text, 0);
	struct ruleset *r = load((const char *)text.p);
	assert_non_null(r);
	assert_true(set_layout(r, NULL, version, &out, &rows, &e));
	ruleset_free(r);
	buf_free(&text);
	return out;
}

static void deltas_lead_from_any_set_to_any(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	bool has[2][200];
	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	for (int round = 0; round < 60; round++) {
		struct err e = {""};
		struct buf delta = {0}, out = {0};
		int density = rand() % 11;
		for (int i = 0; i < 2; i++)
			for (int j = 0; j < 200; j++)
				has[i][j] = rand() % 10 < density;
		struct buf a = content_of(has[0], 200, 1), b = content_of(has[1], 200, 2);
		struct bytes from = {a.p, a.n}, to = {b.p, b.n};
		assert_true(set_lines_delta(from, to, &delta, &e));
		assert_true(set_lines_apply(from, (struct bytes){delta.p, delta.n}, to.n, &out, &e));
		assert_int_equal(out.n, to.n);
		assert_memory_equal(out.p, to.p, to.n);
		/* not to another set, not beyond the limit, not when cut or changed */
		out.n = 0;
		assert_false(set_lines_apply(from, (struct bytes){delta.p, delta.n}, to.n - 1, &out, &e));
		for (size_t cut = 0; cut < delta.n; cut += 1 + delta.n / 97) {
			out.n = 0;
			bool ok = set_lines_apply(from, (struct bytes){delta.p, cut}, to.n, &out, &e);
			if (ok && out.n == to.n && memcmp(out.p, to.p, to.n) == 0)
				fail_msg("seed %u: a cut delta gives the set", seed);
		}
		buf_free(&delta);
		buf_free(&out);
		buf_free(&a);
		buf_free(&b);
	}
}

static void contents_out_of_order_are_refused(void **state)
{
	bool has[4] = {true, true, true, true};
	struct buf a = content_of(has, 4, 1), copy = {0}, out = {0};
	struct err e = {""};
	size_t rows;
	(void)state;
	assert_true(set_lines_count((struct bytes){a.p, a.n}, &rows, &e));
	assert_int_equal(rows, 5);
	buf_add(&copy, a.p, a.n);
	const char *last = "domain,always.example,,medium,50,,,,,,,,,\n";
	buf_add(&copy, last, strlen(last)); /* again, and out of order */
	assert_false(set_lines_count((struct bytes){copy.p, copy.n}, &rows, &e));
	assert_false(set_lines_delta((struct bytes){copy.p, copy.n}, (struct bytes){a.p, a.n}, &out, &e));
	assert_false(set_lines_count((struct bytes){a.p, a.n - 1}, &rows, &e)); /* the last newline */
	assert_false(set_lines_count((struct bytes){a.p, 20}, &rows, &e));
	buf_free(&a);
	buf_free(&copy);
	buf_free(&out);
}

static int open_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int close_folder(void **state)
{
	char command[64];
	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keys_are_kept_private),
	    cmocka_unit_test(one_spelling_only),
	    cmocka_unit_test(what_is_signed_comes_back),
	    cmocka_unit_test(a_file_cut_anywhere_is_refused),
	    cmocka_unit_test(keys_and_what_they_may),
	    cmocka_unit_test(a_file_of_keys_with_mistakes),
	    cmocka_unit_test(the_manifest_names_the_set),
	    cmocka_unit_test(deltas_lead_from_any_set_to_any),
	    cmocka_unit_test(contents_out_of_order_are_refused),
	};
	return cmocka_run_group_tests(tests, open_folder, close_folder);
}
