/* A sensor's STATUS, flattened: names, bounds, and that what has no room is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "collector/posture.h"

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static void expect_field(const struct store_field *f, const char *name, const char *value)
{
	assert_int_equal(f->name.n, strlen(name));
	assert_memory_equal(f->name.p, name, f->name.n);
	assert_int_equal(f->value.n, strlen(value));
	assert_memory_equal(f->value.p, value, f->value.n);
}

static void test_flat_names(void **state)
{
	(void)state;
	struct store_field f[8];
	struct buf text = {0};
	size_t n = posture_flatten(bytes_of("{\"drops\": {\"kernel\": 3}, \"site\": \"a\\u001bb\", \"up\": true}"), f,
				   0, 8, &text);
	assert_int_equal(n, 3);
	expect_field(&f[0], "drops.kernel", "3");
	assert_null(memchr(f[1].value.p, 0x1b, f[1].value.n));
	expect_field(&f[2], "up", "true");
	assert_int_equal(posture_flatten(bytes_of("[1]"), f, 0, 8, &text), 0);
	assert_int_equal(posture_flatten(bytes_of("{"), f, 0, 8, &text), 0);
	buf_free(&text);
}

/* Behind what stands there already, never beyond the bound. */
static void test_what_has_no_room_is_counted(void **state)
{
	(void)state;
	struct store_field f[4] = {{.value = {(const uint8_t *)"x", 1}}};
	struct buf text = {0};
	size_t n = posture_flatten(bytes_of("{\"a\": 1, \"b\": 2, \"c\": 3, \"d\": {\"e\": 4}, \"f\": null}"), f, 1, 4,
				   &text);
	assert_int_equal(n, 4);
	expect_field(&f[1], "a", "1");
	expect_field(&f[2], "b", "2");
	expect_field(&f[3], "status_cut", "3");
	n = posture_flatten(bytes_of("{\"a\": 1, \"b\": 2}"), f, 1, 4, &text);
	assert_int_equal(n, 3);
	buf_free(&text);
}

static void test_long_names(void **state)
{
	(void)state;
	struct store_field f[4];
	struct buf text = {0}, json = {0};
	char name[POSTURE_NAME_MAX + 1];
	memset(name, 'n', POSTURE_NAME_MAX);
	name[POSTURE_NAME_MAX] = '\0';
	buf_printf(&json, "{\"%s\": 1, \"x\": {\"%s\": 1}}", name, name);
	size_t n = posture_flatten((struct bytes){json.p, json.n}, f, 0, 4, &text);
	assert_int_equal(n, 2);
	expect_field(&f[0], name, "1");
	expect_field(&f[1], "status_cut", "1");
	buf_free(&text);
	buf_free(&json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_flat_names),
	    cmocka_unit_test(test_what_has_no_room_is_counted),
	    cmocka_unit_test(test_long_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
