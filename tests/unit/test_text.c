/* Every door in common/ through which text from outside leaves: what comes out is UTF-8
 * without a control character, on one line, and reads back as what went in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/complain.h"
#include "common/conf.h"
#include "common/diag.h"
#include "common/err.h"
#include "common/json.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/text.h"
#include "common/yaml.h"
#include "tests/unit/hostile_text.h"

#define TEXTS 600

static void test_clean(void **state)
{
	(void)state;
	char in[4096], out[4 * 4096], again[4 * 4096];
	for (unsigned i = 0; i < TEXTS; i++) {
		size_t n = hostile_make(i, in);
		text_clean(out, sizeof(out), in, n);
		assert_true(hostile_escaped(out, strlen(out), false));
		assert_string_equal(text_clean(again, sizeof(again), out, strlen(out)), out);
		for (size_t cap = 1; cap < 40; cap++) { /* cut anywhere, it stays whole characters */
			text_clean(again, cap, in, n);
			assert_true(strlen(again) < cap && hostile_escaped(again, strlen(again), false));
		}
		assert_true(hostile_escaped(text_shown(in), strlen(text_shown(in)), false));
	}
	assert_string_equal(text_clean(out, sizeof(out), "a\xc2\x9b\x1b\xff\xe2\x80\xae", 8),
			    "a\\x9b\\x1b\\xff\\u202e");
	assert_string_equal(text_clean(out, sizeof(out), "a\0b", 3), "a\\x00b");
	assert_string_equal(text_shown(NULL), "");
}

static void test_shown_rooms(void **state)
{
	(void)state;
	const char *first = text_shown("first");
	for (int i = 0; i < 8; i++)
		text_shown("other");
	assert_string_equal(first, "first");
}

/* What a quoted text means to a reader of YAML. */
static void read_yaml(const struct buf *quoted, const char *expected, size_t n)
{
	struct yaml *y = yaml_over(quoted->p, quoted->n);
	struct yaml_event e = yaml_next(y);
	assert_int_equal(e.kind, YAML_SCALAR);
	assert_int_equal(e.n, n);
	assert_memory_equal(e.text, expected, n);
	assert_int_equal(yaml_next(y).kind, YAML_END);
	yaml_close(y);
}

static void test_quote(void **state)
{
	(void)state;
	char in[4096], valid[3 * 4096];
	for (unsigned i = 0; i < TEXTS; i++) {
		size_t n = hostile_make(i, in), k = text_utf8(valid, sizeof(valid), in, n), got;
		struct buf quoted = {0};
		text_quote(&quoted, in, n);
		assert_true(hostile_escaped((const char *)quoted.p, quoted.n, false));
		struct json *v = json_read(quoted.p, quoted.n, SIZE_MAX, NULL);
		assert_non_null(v);
		const char *text = json_text(v, &got);
		assert_int_equal(got, k);
		assert_memory_equal(text, valid, k);
		json_drop(v);
		read_yaml(&quoted, valid, k);
		buf_free(&quoted);
	}
}

static void test_json(void **state)
{
	(void)state;
	char in[4096], valid[3 * 4096];
	for (unsigned i = 0; i < TEXTS; i++) {
		size_t n = hostile_make(i, in), k = text_utf8(valid, sizeof(valid), in, n), got;
		struct json *o = json_map();
		struct buf line = {0};
		json_put_bytes(o, "x", in, n, SIZE_MAX);
		json_put_int(o, in, 1); /* as a key, too */
		json_write(o, &line);
		json_drop(o);
		assert_true(hostile_escaped((const char *)line.p, line.n, false));
		o = json_read(line.p, line.n, SIZE_MAX, NULL);
		const char *text = json_text(json_at(o, "x"), &got);
		assert_non_null(text);
		assert_int_equal(got, k);
		assert_memory_equal(text, valid, k);
		json_drop(o);
		buf_free(&line);
	}
}

static void test_sentences(void **state)
{
	(void)state;
	char in[4096];
	struct err e;
	for (unsigned i = 0; i < TEXTS; i++) {
		hostile_make(i, in);
		err_set(&e, "cannot read \"%s\" twice: \"%s\"", in, in);
		assert_true(hostile_escaped(e.text, strlen(e.text), false));
		errno = ENOENT;
		err_errno(&e, "cannot read %.100s", in);
		assert_int_equal(errno, ENOENT);
		assert_true(hostile_escaped(e.text, strlen(e.text), false));
		struct diags d = {0};
		diag_add(&d, DIAG_ERROR, (struct diag_place){.file = in, .line = 1}, "code", "\"%s\"", in);
		assert_true(hostile_escaped(d.list[0].file, strlen(d.list[0].file), false));
		assert_true(hostile_escaped(d.list[0].text, strlen(d.list[0].text), false));
		diag_free(&d);
	}
}

/* Standard error while say() runs, in out[n]. */
static size_t caught(void (*say)(const char *), const char *in, char *out, size_t cap)
{
	FILE *to = tmpfile();
	int old = dup(STDERR_FILENO);
	fflush(stderr);
	dup2(fileno(to), STDERR_FILENO);
	say(in);
	fflush(stderr);
	dup2(old, STDERR_FILENO);
	close(old);
	rewind(to);
	size_t n = fread(out, 1, cap, to);
	fclose(to);
	return n;
}

static void say_log(const char *in)
{
	log_warnx("%s says: %s", in, in);
}

static void say_log_errno(const char *in)
{
	errno = EIO;
	log_warn("cannot write %s", in);
}

static void say_complaint(const char *in)
{
	complain("picket: \"%s\"", in);
}

static void test_lines(void **state)
{
	(void)state;
	static void (*const say[])(const char *) = {say_log, say_log_errno, say_complaint};
	char in[4096], out[8192];
	for (unsigned i = 0; i < TEXTS; i++) {
		hostile_make(i, in);
		for (size_t k = 0; k < 3; k++) {
			size_t n = caught(say[k], in, out, sizeof(out));
			assert_true(n > 1 && out[n - 1] == '\n');
			assert_true(hostile_escaped(out, n - 1, false));
		}
	}
}

/* name{label="…"} 1: the label ends at the first quote that no backslash takes away. */
static void test_metrics(void **state)
{
	(void)state;
	char in[4096], label[4 * 4096], clean[4 * 4096];
	for (unsigned i = 0; i < TEXTS; i++) {
		hostile_make(i, in);
		struct buf out = {0};
		metric_sample(&out, "picket_x", &(struct metric_label){"sensor", in}, 1, 1);
		static const char head[] = "picket_x{sensor=\"", tail[] = "\"} 1\n";
		size_t begin = strlen(head), end = out.n - strlen(tail), n = 0;
		assert_true(out.n >= begin + strlen(tail));
		assert_memory_equal(out.p, head, begin);
		assert_memory_equal(out.p + end, tail, strlen(tail));
		assert_true(hostile_escaped((const char *)out.p, out.n - 1, false));
		for (size_t k = begin; k < end; k++) {
			assert_int_not_equal(out.p[k], '"');
			if (out.p[k] == '\\') {
				assert_true(k + 1 < end && strchr("\\\"", out.p[k + 1]));
				k++;
			}
			label[n++] = (char)out.p[k];
		}
		text_clean(clean, sizeof(clean), in, strlen(in) < 512 ? strlen(in) : 512);
		label[n] = '\0';
		assert_string_equal(label, clean);
		buf_free(&out);
	}
}

static void test_configuration(void **state)
{
	(void)state;
	struct config {
		char *text;
	} c = {NULL};
	static const struct conf_key keys[] = {
	    {.name = "text", .type = CONF_STRING, .offset = offsetof(struct config, text), .help = "x"}};
	char in[4096], valid[3 * 4096];
	for (unsigned i = 0; i < TEXTS; i++) {
		size_t n = hostile_make(i, in), k = text_utf8(valid, sizeof(valid), in, n), size;
		char *text = NULL;
		c.text = in;
		FILE *to = open_memstream(&text, &size);
		conf_dump(keys, 1, &c, to);
		fclose(to);
		assert_true(hostile_escaped(text, size, true));
		char *line = strstr(text, "text: ");
		assert_true(line && strchr(line, '\n') == text + size - 1);
		struct buf value = {(uint8_t *)line + 6, (size_t)(text + size - line) - 6, 0};
		read_yaml(&value, valid, k);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_clean),   cmocka_unit_test(test_shown_rooms),   cmocka_unit_test(test_quote),
	    cmocka_unit_test(test_json),    cmocka_unit_test(test_sentences),     cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_metrics), cmocka_unit_test(test_configuration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
