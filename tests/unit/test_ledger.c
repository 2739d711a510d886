/* The packet ledger: its sums, and that an operator finds each counter explained. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "sensor/ledger.h"

#define PAGE     "deploy/performance.md"
#define PAGE_MAX (256 << 10)

static void test_each_counter_is_explained(void **state)
{
	(void)state;
	static char page[PAGE_MAX];
	FILE *f = fopen(PAGE, "r");
	assert_non_null(f);
	page[fread(page, 1, sizeof(page) - 1, f)] = '\0';
	fclose(f);
	for (int i = 0; i < LEDGER_COUNT; i++) {
		char quoted[64];
		const char *name = ledger_name((enum ledger_id)i);
		snprintf(quoted, sizeof(quoted), "`%s`", name);
		if (strcmp(name, "packets.received") != 0 && !strstr(page, quoted))
			fail_msg("%s does not explain %s", PAGE, name);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(name, ledger_name((enum ledger_id)j));
	}
}

static void test_balance(void **state)
{
	(void)state;
	struct ledger a = {.v = {0}}, b = {.v = {0}};
	ledger_add(&a, LEDGER_RECEIVED, LEDGER_END_COUNT);
	for (int i = 0; i < LEDGER_END_COUNT; i++) {
		assert_false(ledger_balanced(&a));
		ledger_count(&a, (enum ledger_id)i);
	}
	assert_true(ledger_balanced(&a));
	ledger_sum(&b, &a);
	ledger_sum(&b, &a);
	assert_true(ledger_balanced(&b));
	assert_int_equal(b.v[LEDGER_RECEIVED], 2 * LEDGER_END_COUNT);
	ledger_count(&b, LEDGER_ALERTS); /* an event is no end */
	assert_true(ledger_balanced(&b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_counter_is_explained),
	    cmocka_unit_test(test_balance),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
