/* The quick reader of JSON against jansson's own, which has the last word: whatever the
 * text, both give the same tree or both refuse it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/json.c"

static unsigned long seed;

static unsigned below(unsigned n)
{
	seed = seed * 6364136223846793005ul + 1442695040888963407ul;
	return (unsigned)(seed >> 33) % n;
}

/* True: both say the same. */
static bool agree(const char *text, size_t n)
{
	json_t *theirs = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	json_t *quick = read_plain(text, n);
	bool same = !quick || (theirs && json_equal(quick, theirs));
	struct json *v = json_read(text, n, n, NULL);
	same = same && !v == !theirs && (!v || json_equal(in(v), theirs));
	json_decref(theirs);
	json_decref(quick);
	json_drop(v);
	return same;
}

static void cases(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool quick; /* read without jansson */
	} list[] = {
	    {"{}", true},
	    {"[]", true},
	    {" {\"a\" : [1, -2, true, false, null, \"x\"], \"b\":{\"c\":{}}} ", true},
	    {"\"text\"", true},
	    {"123456789012345678", true},
	    {"-0", true},
	    {"1234567890123456789", false},
	    {"9223372036854775808", false},
	    {"1.5", false},
	    {"1e400", false},
	    {"01", false},
	    {"{\"a\":1,\"a\":2}", false},
	    {"{\"a\":\"\\u0041\"}", false},
	    {"{\"a\":\"\\ud800\"}", false},
	    {"{\"a\":1}x", false},
	    {"{\"a\":1}\"x", false},
	    {"[]\"", false},
	    {"1\"x", false},
	    {"null \"", false},
	    {"\"a\"\"b", false},
	    {" [1] \t\r\n", true},
	    {"{\"a\":1} {}", false},
	    {"{\"a\":1", false},
	    {"{\"a\"", false},
	    {"", false},
	    {" ", false},
	    {"/* x */ {}", false},
	    {"{\"a\":NaN}", false},
	    {"[1,]", false},
	    {"\"\xc0\x80\"", false},         /* overlong */
	    {"\"\xed\xa0\x80\"", false},     /* a surrogate */
	    {"\"\xf5\x80\x80\x80\"", false}, /* beyond Unicode */
	    {"\"\xff\"", false},             /* no UTF-8 */
	    {"{\"\xc0\x80\":1}", false},     /* in a key */
	    {"\"\xe6\xbc\x94\xe7\xbf\x92\"", true},
	    {"\"\x7f\"", true},
	    {"\"a\tb\"", false},
	};
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		size_t n = strlen(list[i].text);
		json_t *quick = read_plain(list[i].text, n);
		if (!agree(list[i].text, n) || (quick != NULL) != list[i].quick)
			fail_msg("%s", list[i].text);
		json_decref(quick);
	}
}

static void deep(void **state)
{
	(void)state;
	for (size_t depth = READ_DEPTH - 1; depth < READ_DEPTH + 2; depth++) {
		char text[2 * READ_DEPTH + 8];
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		json_t *quick = read_plain(text, 2 * depth);
		assert_true(agree(text, 2 * depth));
		assert_int_equal(quick != NULL, depth <= READ_DEPTH);
		json_decref(quick);
	}
}

/* Cut at every length, then with bytes changed. */
static void cut_and_changed(void **state)
{
	(void)state;
	static const char whole[] =
	    "{\"type\":\"indicator\",\"id\":\"indicator--01234567-0123-4123-8123-0123456789ab\",\"n\":[1,22,-333,{"
	    "\"x\":null}],"
	    "\"revoked\":false,\"name\":\"\xe6\xbc\x94\",\"labels\":[\"c2\",\"\"],\"confidence\":80}";
	static const char odd[] = "{}[]\":,\\ \t019-+.eEtfn\x7f\x80\xc0\xe0\xed\xa0\xf4\xff";
	seed = (unsigned long)time(NULL);
	size_t n = sizeof(whole) - 1;
	char text[sizeof(whole)], *copy;
	for (size_t i = 0; i <= n; i++) {
		copy = malloc(i ? i : 1); /* so that a sanitizer sees a byte too far */
		memcpy(copy, whole, i);
		assert_true(agree(copy, i));
		free(copy);
	}
	for (int i = 0; i < 50000; i++) {
		memcpy(text, whole, n);
		for (unsigned k = 0, changes = 1 + below(3); k < changes; k++)
			text[below((unsigned)n)] = below(2) ? odd[below(sizeof(odd) - 1)] : whole[below((unsigned)n)];
		if (!agree(text, n))
			fail_msg("seed %lu: %.*s", seed, (int)n, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cases),
	    cmocka_unit_test(deep),
	    cmocka_unit_test(cut_and_changed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
