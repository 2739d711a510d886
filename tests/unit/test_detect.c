/* One alert per indicator, flow and place; expected connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "sensor/expect.h"
#include "sensor/seen.h"

static void test_seen(void **s)
{
	(void)s;
	struct seen *seen = seen_new();
	assert_true(seen_add(seen, 1, 2, 3));
	assert_false(seen_add(seen, 1, 2, 3));
	assert_true(seen_add(seen, 1, 2, 4));
	assert_true(seen_add(seen, 1, 3, 3));
	assert_true(seen_add(seen, 2, 2, 3));
	seen_clear(seen);
	assert_true(seen_add(seen, 1, 2, 3));
	seen_free(seen);
}

/* Whatever comes in between, the last SEEN_GENERATION entries are remembered. */
static void test_seen_generations(void **s)
{
	(void)s;
	struct seen *seen = seen_new();
	for (uint32_t i = 0; i < 5 * SEEN_GENERATION; i++) {
		assert_true(seen_add(seen, i, 7, 1));
		if (i >= SEEN_GENERATION / 2 && i % 1000 == 0)
			assert_false(seen_add(seen, i - SEEN_GENERATION / 2, 7, 1));
	}
	seen_free(seen);
}

static void test_expect(void **s)
{
	(void)s;
	struct expect *x = expect_new();
	struct addr server, client;
	static const struct parser p = {.name = "p"};
	addr_parse("192.0.2.1", 9, &server);
	addr_parse("192.0.2.2", 9, &client);
	struct inspect in = {.ts_us = 1000000, .src = client, .dest = server, .src_port = 5000, .dest_port = 2020};
	struct expected got;
	assert_false(expect_take(x, &in, &got));
	expect_add(x, &server, 2020, 1000000, &p, "name", 4);
	expect_add(x, &server, 2021, 1000000, &p, NULL, 0);
	assert_true(expect_take(x, &in, &got));
	assert_ptr_equal(got.parser, &p);
	assert_int_equal(got.note_n, 4);
	assert_memory_equal(got.note, "name", 4);
	assert_false(expect_take(x, &in, &got)); /* used once */
	in.dest_port = 2021;
	in.ts_us += (EXPECT_SECONDS + 1) * 1000000LL;
	assert_false(expect_take(x, &in, &got)); /* too late */
	for (uint16_t port = 1; port <= EXPECT_MAX + 1; port++)
		expect_add(x, &server, port, in.ts_us, &p, NULL, 0);
	in.dest_port = 1;
	assert_false(expect_take(x, &in, &got)); /* the oldest went first */
	in.dest_port = EXPECT_MAX + 1;
	assert_true(expect_take(x, &in, &got));
	expect_free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_seen),
	    cmocka_unit_test(test_seen_generations),
	    cmocka_unit_test(test_expect),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
