/* The parts of the TAXII server that need no server: cursors, filters, envelopes, logins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/login.h"
#include "collector/taxii_envelope.h"
#include "collector/taxii_filter.h"
#include "common/buf.h"
#include "common/hash.h"

static const uint8_t key[FILTER_KEY_LEN] = "0123456789abcdef0123456789abcde";

/* ---- filters ---- */

struct parameters {
	const char *name[8], *value[8];
};

static const char *parameter(void *from, const char *name)
{
	const struct parameters *p = from;
	for (size_t i = 0; i < 8 && p->name[i]; i++)
		if (strcmp(p->name[i], name) == 0)
			return p->value[i];
	return NULL;
}

static bool reads(struct filter *f, struct parameters p, const char *scope)
{
	struct err e = {{0}};
	bool good = filter_read(f, parameter, &p, scope, 100, key, &e);
	assert_true(good || e.text[0]);
	return good;
}

static bool one(const char *name, const char *value)
{
	static struct filter f;
	bool good = reads(&f, (struct parameters){{name}, {value}}, "s");
	filter_free(&f);
	return good;
}

static void parameters_are_read_or_refused(void **state)
{
	(void)state;
	static const struct {
		const char *name, *value;
		bool good;
	} cases[] = {
	    {"limit", "1", true},
	    {"limit", "99999999999999999999", true}, /* lowered to what we give */
	    {"limit", "0", false},
	    {"limit", "-1", false},
	    {"limit", "+1", false},
	    {"limit", " 1", false},
	    {"limit", "", false},
	    {"limit", "1x", false},
	    {"added_after", "2026-01-01T00:00:00.123456Z", true},
	    {"added_after", "0001-01-01T00:00:00Z", true},
	    {"added_after", "2026-02-30T00:00:00Z", false},
	    {"added_after", "now", false},
	    {"added_after", "", false},
	    {"next", "", false},
	    {"next", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false},
	    {"match[version]", "first,last,all", true},
	    {"match[version]", "2026-01-01T00:00:00Z, last", true},
	    {"match[version]", "newest", false},
	    {"match[spec_version]", "2.0,2.1,9.9,x", true},
	    {"match[type]", "indicator,,  malware ,", true},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(one(cases[i].name, cases[i].value), cases[i].good);
}

static void too_many_entries_are_refused(void **state)
{
	(void)state;
	struct buf many = {0};
	for (int i = 0; i <= FILTER_LIST_MAX; i++)
		buf_printf(&many, "a%d,", i);
	buf_add(&many, "", 1);
	assert_false(one("match[id]", (const char *)many.p));
	buf_free(&many);
	for (int i = 0; i <= FILTER_TEXT_MAX; i++)
		buf_add(&many, "a", 1);
	buf_add(&many, "", 1);
	assert_false(one("match[type]", (const char *)many.p));
	buf_free(&many);
}

static void a_cursor_is_what_was_given(void **state)
{
	(void)state;
	static struct filter f, g;
	char next[FILTER_CURSOR_LEN + 1];
	struct parameters p = {{"match[type]"}, {"a,b"}};
	assert_true(reads(&f, p, "s"));
	for (int64_t row = 0; row < INT64_MAX / 2; row = row * 3 + 1) {
		filter_next(&f, row, key, next);
		assert_true(reads(&g, (struct parameters){{"next", "match[type]"}, {next, "b, a"}}, "s"));
		assert_int_equal(g.after, row);
		filter_free(&g);
	}
	/* Every changed character, another filter, another asker, another key: refused. */
	for (size_t i = 0; i < FILTER_CURSOR_LEN; i++) {
		char bad[FILTER_CURSOR_LEN + 1];
		memcpy(bad, next, sizeof(bad));
		bad[i] = bad[i] == 'A' ? 'B' : 'A';
		assert_false(reads(&g, (struct parameters){{"next", "match[type]"}, {bad, "a,b"}}, "s"));
		filter_free(&g);
	}
	assert_false(reads(&g, (struct parameters){{"next", "match[type]"}, {next, "a"}}, "s"));
	filter_free(&g);
	assert_false(reads(&g, (struct parameters){{"next"}, {next}}, "s"));
	filter_free(&g);
	assert_false(reads(&g, (struct parameters){{"next", "match[type]"}, {next, "a,b"}}, "t"));
	filter_free(&g);
	uint8_t other[FILTER_KEY_LEN] = {0};
	struct parameters q = {{"next", "match[type]"}, {next, "a,b"}};
	assert_false(filter_read(&g, parameter, &q, "s", 100, other, NULL));
	filter_free(&g);
	filter_free(&f);
}

static void the_later_of_next_and_added_after_counts(void **state)
{
	(void)state;
	static struct filter f, g;
	char next[FILTER_CURSOR_LEN + 1];
	assert_true(reads(&f, (struct parameters){{0}, {0}}, "s"));
	filter_next(&f, 1000000, key, next);
	assert_true(reads(&g, (struct parameters){{"next", "added_after"}, {next, "1970-01-01T00:00:03Z"}}, "s"));
	assert_int_equal(g.after, 3000000);
	filter_free(&g);
	assert_true(reads(&g, (struct parameters){{"next", "added_after"}, {next, "1970-01-01T00:00:00Z"}}, "s"));
	assert_int_equal(g.after, 1000000);
	filter_free(&g);
	filter_free(&f);
}

/* ---- which versions ---- */

static void versions_are_chosen_as_the_reference_says(void **state)
{
	(void)state;
	static const struct object_row rows[] = {
	    {.row = 1, .spec = 20, .version = "2018-01-01T00:00:00Z", .id = "malware--1"},
	    {.row = 2, .spec = 21, .version = "2017-01-01T00:00:00Z", .id = "malware--1"},
	    {.row = 3, .spec = 21, .version = "2016-01-01T00:00:00Z", .id = "malware--1"},
	    {.row = 4, .spec = 21, .version = "", .id = "ipv4-addr--2"},
	};
	static const struct {
		const char *name[2], *value[2], *want; /* rows that are chosen */
	} cases[] = {
	    {{0}, {0}, "24"}, /* the highest spec_version first, then the last of it */
	    {{"match[version]"}, {"all"}, "234"},
	    {{"match[version]"}, {"first"}, "34"},
	    {{"match[version]"}, {"first,last"}, "234"},
	    {{"match[version]"}, {"2016-01-01T00:00:00.000Z"}, "3"},
	    {{"match[version]"}, {"2018-01-01T00:00:00Z"}, ""},
	    {{"match[spec_version]"}, {"2.0"}, "1"},
	    {{"match[spec_version]"}, {"2.1"}, "24"},
	    {{"match[spec_version]"}, {"2.0,2.1"}, "14"},
	    {{"match[spec_version]", "match[version]"}, {"2.0,2.1", "all"}, "1234"},
	    {{"match[spec_version]"}, {"3.0"}, ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		static struct filter f;
		struct parameters p = {{cases[i].name[0], cases[i].name[1]}, {cases[i].value[0], cases[i].value[1]}};
		char got[8] = "";
		assert_true(reads(&f, p, "s"));
		for (size_t k = 0; k < 4; k++)
			if (filter_chooses(&f, &rows[k], rows, 4))
				snprintf(got + strlen(got), sizeof(got) - strlen(got), "%zu", k + 1);
		assert_string_equal(got, cases[i].want);
		filter_free(&f);
	}
}

/* ---- envelopes ---- */

static enum envelope_result walk(const char *text, size_t n, size_t *objects, struct envelope *v)
{
	struct bytes o;
	struct err e;
	enum envelope_result r;
	*objects = 0;
	*v = envelope_over((struct bytes){(const uint8_t *)text, n});
	while ((r = envelope_next(v, &o, &e)) == ENVELOPE_OBJECT)
		++*objects;
	return r;
}

static void envelopes_are_taken_apart(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum envelope_result want;
		size_t objects;
	} cases[] = {
	    {"{\"objects\":[{},{\"a\":\"]}\\\\\\\"\"},[1]]}", ENVELOPE_END, 3},
	    {" { \"more\" : true , \"next\":\"x\",\"objects\" : [ 1 , 2 ] , \"z\":{} } ", ENVELOPE_END, 2},
	    {"{\"objects\":[]}", ENVELOPE_END, 0},
	    {"{}", ENVELOPE_NONE, 0},
	    {"{\"objects\":{}}", ENVELOPE_NONE, 0},
	    {"{\"object\":[{}]}", ENVELOPE_NONE, 0},
	    {"", ENVELOPE_BROKEN, 0},
	    {"[]", ENVELOPE_BROKEN, 0},
	    {"{\"objects\":[{}]", ENVELOPE_BROKEN, 1},
	    {"{\"objects\":[{},]}", ENVELOPE_BROKEN, 1},
	    {"{\"objects\":[{}]}}", ENVELOPE_BROKEN, 1},
	    {"{\"objects\":[{}],}", ENVELOPE_BROKEN, 1},
	    {"{\"objects\":[{}],\"objects\":[]}", ENVELOPE_BROKEN, 1},
	    {"{\"objects\":[{} {}]}", ENVELOPE_BROKEN, 1},
	    {"{\"objects\":[]]}", ENVELOPE_BROKEN, 0},
	    {"{\"objects\":[\"a]}", ENVELOPE_BROKEN, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct envelope v;
		size_t n;
		assert_int_equal(walk(cases[i].text, strlen(cases[i].text), &n, &v), cases[i].want);
		assert_int_equal(n, cases[i].objects);
	}
}

static void an_envelope_cut_anywhere_is_broken(void **state)
{
	(void)state;
	static const char text[] =
	    "{\"more\":true,\"next\":\"a\\\"b\",\"objects\":[{\"a\":[1,\"}\"]},\"x\"],\"y\":null}";
	struct envelope v;
	size_t objects;
	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		char *copy = malloc(n ? n : 1); /* so that a sanitizer sees a step too far */
		memcpy(copy, text, n);
		assert_int_equal(walk(copy, n, &objects, &v), ENVELOPE_BROKEN);
		free(copy);
	}
	assert_int_equal(walk(text, sizeof(text) - 1, &objects, &v), ENVELOPE_END);
	assert_int_equal(v.more.n, 4);
	assert_memory_equal(v.next.p, "\"a\\\"b\"", v.next.n);
}

static void an_envelope_nests_no_deeper_than_it_may(void **state)
{
	(void)state;
	for (int depth = ENVELOPE_DEPTH; depth <= ENVELOPE_DEPTH + 1; depth++) {
		struct buf b = {0};
		struct envelope v;
		size_t n;
		buf_printf(&b, "{\"objects\":[");
		for (int i = 0; i < depth; i++)
			buf_add(&b, "[", 1);
		for (int i = 0; i < depth; i++)
			buf_add(&b, "]", 1);
		buf_printf(&b, "]}");
		assert_int_equal(walk((const char *)b.p, b.n, &n, &v),
				 depth > ENVELOPE_DEPTH ? ENVELOPE_BROKEN : ENVELOPE_END);
		buf_free(&b);
	}
}

/* ---- logins ---- */

struct asked {
	bool over;
	enum login_result result;
};

static void on_login(void *arg, enum login_result r)
{
	struct asked *a = arg;
	assert_false(a->over);
	*a = (struct asked){true, r};
}

static enum login_result ask(struct event_base *base, struct login *l, const char *name, const char *password,
			     const char *from)
{
	struct asked a = {0};
	login_check(l, name, password, from, (struct login_done){on_login, &a});
	while (!a.over)
		event_base_loop(base, EVLOOP_ONCE);
	return a.result;
}

static char *password_file(const char *text)
{
	static char path[] = "/tmp/picket-test-XXXXXX";
	strcpy(path, "/tmp/picket-test-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	return path;
}

/* "x" */
#define HASH_X                                                                                                         \
	"$6$rounds=1000$saltsalt$"                                                                                     \
	"w9KQdgZ0Ki6LoC1UHsgXGBQaO4XJhW7upynW4LSaoTX6YuFX0KIqzhQcvdJFwTJS.I2sYmby8LApILDV7m1xF/"

static void a_right_password_is_hashed_once(void **state)
{
	(void)state;
	struct err e;
	struct event_base *base = event_base_new();
	struct login *l = login_new(base, 3, 60000, &e);
	char *path = password_file("# names\n\na:" HASH_X "\n");
	assert_true(login_load(l, path, &e));
	unlink(path);
	for (int i = 0; i < 5; i++)
		assert_int_equal(ask(base, l, "a", "x", "192.0.2.1"), LOGIN_RIGHT);
	assert_int_equal(login_stats(l)->hashed, 1);
	assert_int_equal(ask(base, l, "a", "y", "192.0.2.2"), LOGIN_WRONG);
	assert_int_equal(ask(base, l, "b", "x", "192.0.2.2"), LOGIN_WRONG);
	assert_int_equal(ask(base, l, "b", "x", "192.0.2.2"), LOGIN_WRONG);
	assert_int_equal(ask(base, l, "c", "x", "192.0.2.2"), LOGIN_LATER); /* the address has had its three */
	assert_int_equal(ask(base, l, "a", "x", "192.0.2.2"), LOGIN_RIGHT); /* who is known is not held up */
	uint64_t hashed = login_stats(l)->hashed;
	assert_int_equal(ask(base, l, "d", "x", "192.0.2.2"), LOGIN_LATER);
	assert_int_equal(login_stats(l)->hashed, hashed);
	login_free(l);
	event_base_free(base);
}

static void a_changed_password_ends_what_is_remembered(void **state)
{
	(void)state;
	struct err e;
	struct event_base *base = event_base_new();
	struct login *l = login_new(base, 3, 60000, &e);
	char *path = password_file("a:" HASH_X "\n");
	assert_true(login_load(l, path, &e));
	unlink(path);
	assert_int_equal(ask(base, l, "a", "x", "192.0.2.1"), LOGIN_RIGHT);
	assert_true(login_load(l, NULL, &e));
	assert_int_equal(ask(base, l, "a", "x", "192.0.2.1"), LOGIN_WRONG);
	login_free(l);
	event_base_free(base);
}

static void password_files_that_are_not_fit(void **state)
{
	(void)state;
	static const char *const cases[] = {"a\n", ":" HASH_X "\n", "a:x\n", "a:$1$abc$def\n", "a:\n"};
	struct err e;
	struct event_base *base = event_base_new();
	struct login *l = login_new(base, 3, 60000, &e);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *path = password_file(cases[i]);
		assert_false(login_load(l, path, &e));
		assert_non_null(strstr(e.text, ":1:"));
		unlink(path);
	}
	assert_false(login_load(l, "/nowhere/at/all", &e));
	login_free(l);
	event_base_free(base);
}

static void hmac_is_hmac(void **state)
{
	(void)state;
	/* RFC 4231, test case 2 */
	static const uint8_t want[32] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
					 0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
					 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
	uint8_t got[32];
	hash_hmac_sha256(got, "Jefe", 4, "what do ya want for nothing?", 28);
	assert_memory_equal(got, want, sizeof(want));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parameters_are_read_or_refused),
	    cmocka_unit_test(too_many_entries_are_refused),
	    cmocka_unit_test(a_cursor_is_what_was_given),
	    cmocka_unit_test(the_later_of_next_and_added_after_counts),
	    cmocka_unit_test(versions_are_chosen_as_the_reference_says),
	    cmocka_unit_test(envelopes_are_taken_apart),
	    cmocka_unit_test(an_envelope_cut_anywhere_is_broken),
	    cmocka_unit_test(an_envelope_nests_no_deeper_than_it_may),
	    cmocka_unit_test(a_right_password_is_hashed_once),
	    cmocka_unit_test(a_changed_password_ends_what_is_remembered),
	    cmocka_unit_test(password_files_that_are_not_fit),
	    cmocka_unit_test(hmac_is_hmac),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
