/* The order of a rule file's text: whatever it holds, nothing is lost or made, and in order it stays as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rules/fmt_order.h"

static const char *const parts[] = {"set: {id: s}",
				    "domain:",
				    "ip: [b, a, \"c, d\"]",
				    "indicators:",
				    "allow: [{domain: a}]",
				    "  - {id: B}",
				    "  - id: A",
				    "    domain: x",
				    "  # about",
				    "# head",
				    "",
				    "- b.test",
				    "- a.test",
				    "url: ['x#y'",
				    "  , z]",
				    "  - >-",
				    "    text: [",
				    "\"quote",
				    "x: |",
				    "  - {a: [1,",
				    "    2]}",
				    "type,value,id",
				    "domain,b.test,",
				    "\"a",
				    "b\",ip",
				    "hostname: [e,d]",
				    "test: {miss: [p]}",
				    "%",
				    "---",
				    "  -"};

static void make(struct buf *b, unsigned *seed)
{
	for (int n = rand_r(seed) % 24; n >= 0; n--)
		buf_printf(b, "%s\n", parts[(unsigned)rand_r(seed) % (sizeof(parts) / sizeof(*parts))]);
}

/* How often each byte is there; blanks and line ends are layout. */
static void count(const struct buf *b, size_t n[static 256])
{
	memset(n, 0, 256 * sizeof(*n));
	for (size_t i = 0; i < b->n; i++)
		n[b->p[i]] += b->p[i] != ' ' && b->p[i] != '\n';
}

static void test_any_text(void **state)
{
	(void)state;
	const char *given = getenv("FMT_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	for (int i = 0; i < 40000; i++) {
		unsigned from = seed;
		struct buf text = {0}, once = {0}, twice = {0};
		size_t before[256], after[256];
		bool yaml = rand_r(&seed) % 4 != 0;
		make(&text, &seed);
		fmt_order(&text, yaml, &once);
		fmt_order(&once, yaml, &twice);
		count(&text, before);
		count(&once, after);
		if (memcmp(before, after, sizeof(before)) != 0)
			fail_msg("FMT_SEED=%u: other bytes:\n%.*s---\n%.*s", from, (int)text.n, (char *)text.p,
				 (int)once.n, (char *)once.p);
		if (once.n != twice.n || (once.n && memcmp(once.p, twice.p, once.n) != 0))
			fail_msg("FMT_SEED=%u: another order the second time:\n%.*s---\n%.*s---\n%.*s", from,
				 (int)text.n, (char *)text.p, (int)once.n, (char *)once.p, (int)twice.n,
				 (char *)twice.p);
		buf_free(&text);
		buf_free(&once);
		buf_free(&twice);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_text)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
