/* The YAML door: events with their places, and every limit that libyaml lacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/yaml.h"
#include "tests/unit/pace.h"

/* The events of a text in short: {}[] and scalars, quoted ones in '. */
static void shape(const void *text, size_t n, struct buf *out)
{
	struct yaml *y = yaml_over(text, n);
	struct yaml_event e;
	while ((e = yaml_next(y)).kind != YAML_END) {
		static const char *const mark[] = {
		    [YAML_MAP] = "{", [YAML_MAP_END] = "}", [YAML_SEQ] = "[", [YAML_SEQ_END] = "]"};
		if (e.kind == YAML_SCALAR)
			buf_printf(out, e.quoted ? "'%s'@%u:%u " : "%s@%u:%u ", e.text, e.line, e.column);
		else
			buf_printf(out, "%s ", mark[e.kind]);
	}
	const char *why;
	unsigned line, column;
	if (yaml_failed(y, &why, &line, &column))
		buf_printf(out, "!%u:%u %s", line, column, why);
	buf_u8(out, 0);
	yaml_close(y);
}

static void events(void **state)
{
	(void)state;
	static const struct {
		const char *label, *text, *want;
	} cases[] = {
	    {"empty", "", ""},
	    {"comment only", "# nothing\n", ""},
	    {"flow", "{a: [b, 'c d']}", "{ a@1:2 [ b@1:6 'c d'@1:9 ] } "},
	    {"block", "a:\n  - b\n  - c\n", "{ a@1:1 [ b@2:5 c@3:5 ] } "},
	    {"byte order mark",
	     "\xef\xbb\xbf"
	     "a: b\n",
	     "{ a@1:1 b@1:4 } "},
	    {"carriage returns", "a: b\r\nc: d\r\n", "{ a@1:1 b@1:4 c@2:1 d@2:4 } "},
	    {"columns count characters", "日本: x\n", "{ 日本@1:1 x@1:5 } "},
	    {"tags are ignored", "a: !!int 7\n", "{ a@1:1 7@1:4 } "},
	    {"anchor", "a: &x b\n",
	     "{ a@1:1 !1:4 anchors (&) and aliases (*) are not accepted; quote the value if it begins so"},
	    {"alias", "a: *x\n",
	     "{ a@1:1 !1:4 anchors (&) and aliases (*) are not accepted; quote the value if it begins so"},
	    {"second document", "a\n---\nb\n", "a@1:1 !2:1 a second document in the same file (---)"},
	    {"control byte", "a: b\nc: \x01\n", "{ a@1:1 b@1:4 !2:4 the byte 0x01 is not allowed in YAML text"},
	    {"unclosed quote", "a: \"b\nc: d\n",
	     "{ a@1:1 !1:4 found unexpected end of stream, while scanning a quoted scalar"},
	    {"unclosed", "a: [b\n", NULL},
	    {"not UTF-8", "a: \xff\n", NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf out = {0};
		shape(cases[i].text, strlen(cases[i].text), &out);
		if (cases[i].want && strcmp((char *)out.p, cases[i].want) != 0)
			fail_msg("%s: \"%s\"", cases[i].label, (char *)out.p);
		if (!cases[i].want)
			assert_non_null(strchr((char *)out.p, '!'));
		buf_free(&out);
	}
}

static void nul_byte(void **state)
{
	(void)state;
	struct buf out = {0};
	shape("a: b\nc: d\0e\n", 12, &out);
	assert_non_null(strstr((char *)out.p, "!2:5 the byte 0x00 is not allowed"));
	buf_free(&out);
}

/* What opened is repeated n times: the limit must answer, and at once. */
static void bombs(void **state)
{
	(void)state;
	static const char *const opens[] = {"[", "{", "- ", "? ", "[\n", "{a: ", "a: [", "- - ", "[[{"};
	for (size_t i = 0; i < sizeof(opens) / sizeof(*opens); i++) {
		struct buf text = {0}, out = {0};
		int64_t start = own_us();
		for (int k = 0; k < 100000; k++)
			buf_add(&text, opens[i], strlen(opens[i]));
		shape(text.p, text.n, &out);
		assert_non_null(strchr((char *)out.p, '!'));
		assert_true(out.n < 4096);
		assert_true(own_us() - start < 1000000);
		buf_free(&text);
		buf_free(&out);
	}
}

static void depth_limit(void **state)
{
	(void)state;
	for (int depth = 63; depth <= 65; depth++) {
		struct buf text = {0}, out = {0};
		for (int k = 0; k < depth; k++)
			buf_u8(&text, '[');
		for (int k = 0; k < depth; k++)
			buf_u8(&text, ']');
		shape(text.p, text.n, &out);
		assert_int_equal(strstr((char *)out.p, "nested more than 64 deep") != NULL, depth > 64);
		buf_free(&text);
		buf_free(&out);
	}
}

static void long_scalars(void **state)
{
	(void)state;
	static const struct {
		size_t n;
		bool fails;
	} cases[] = {{1u << 20, false}, {(1u << 20) + 1, true}, {8u << 20, true}};
	for (size_t i = 0; i < 3; i++) {
		struct buf text = {0};
		buf_printf(&text, "a: \"");
		for (size_t k = 0; k < cases[i].n; k++)
			buf_u8(&text, 'x');
		buf_printf(&text, "\"\n");
		struct yaml *y = yaml_over(text.p, text.n);
		while (yaml_next(y).kind != YAML_END)
			;
		const char *why;
		unsigned line, column;
		assert_int_equal(yaml_failed(y, &why, &line, &column), cases[i].fails);
		yaml_close(y);
		buf_free(&text);
	}
}

static void skipping(void **state)
{
	(void)state;
	static const char text[] = "a: {b: [1, {c: 2}], d: 3}\ne: 4\n";
	struct yaml *y = yaml_over(text, sizeof(text) - 1);
	assert_int_equal(yaml_next(y).kind, YAML_MAP);
	assert_int_equal(yaml_next(y).kind, YAML_SCALAR);
	yaml_skip(y, yaml_next(y).kind);
	struct yaml_event e = yaml_next(y);
	assert_string_equal(e.text, "e");
	yaml_skip(y, e.kind); /* a scalar: nothing to step over */
	assert_string_equal(yaml_next(y).text, "4");
	yaml_close(y);
}

/* Every prefix of a text with everything in it ends, one way or the other. */
static void cut_everywhere(void **state)
{
	(void)state;
	static const char text[] = "set: {id: \"a\\u00e9\", n: ['x', |\n ]\n? [k]\n: >\n  folded\n  日本\n...\n";
	for (size_t n = 0; n < sizeof(text); n++) {
		struct buf out = {0};
		char *exact = malloc(n ? n : 1);
		memcpy(exact, text, n);
		shape(exact, n, &out);
		free(exact);
		buf_free(&out);
	}
}

static void unreadable(void **state)
{
	(void)state;
	struct err e;
	assert_null(yaml_open("/nonexistent/file.yaml", &e));
	assert_non_null(strstr(e.text, "No such file"));
	assert_null(yaml_open("/", &e));
	assert_non_null(strstr(e.text, "it is a folder"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(events),         cmocka_unit_test(nul_byte),     cmocka_unit_test(bombs),
	    cmocka_unit_test(depth_limit),    cmocka_unit_test(long_scalars), cmocka_unit_test(skipping),
	    cmocka_unit_test(cut_everywhere), cmocka_unit_test(unreadable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
