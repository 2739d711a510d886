/* Flows that no parser reads, by nDPI's names: counted, summed, the most frequent first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/unread.h"

struct seen {
	char text[512];
};

static void note(void *owner, const char *protocol, uint64_t flows)
{
	struct seen *s = owner;
	size_t n = strlen(s->text);
	snprintf(s->text + n, sizeof(s->text) - n, "%s%s %llu", n ? ", " : "", protocol, (unsigned long long)flows);
}

static void test_most_frequent_first(void **state)
{
	(void)state;
	static struct ledger a, b;
	const char *flows[] = {"NTP", "BitTorrent", "bittorrent", "STUN", "Zoom", "no such protocol", "", "Unknown"};
	for (size_t i = 0; i < sizeof(flows) / sizeof(*flows); i++)
		unread_count(&a, ndpi_protocol_number(flows[i]));
	ledger_sum(&b, &a);
	ledger_sum(&b, &a);
	struct seen s = {""};
	assert_int_equal(unread_each(&b, 3, note, &s), 2 + 2 + 2);
	assert_string_equal(s.text, "Other 4, BitTorrent 4, NTP 2");
	s.text[0] = '\0';
	assert_int_equal(unread_each(&b, NDPI_NAMES, note, &s), 0);
	assert_string_equal(s.text, "Other 4, BitTorrent 4, NTP 2, STUN 2, Unknown 2, Zoom 2");
}

static void test_each_name_has_its_number(void **state)
{
	(void)state;
	for (size_t i = 1; i < NDPI_NAMES; i++)
		assert_int_equal(ndpi_protocol_number(ndpi_protocol_name(i)), i);
	assert_null(ndpi_protocol_name(NDPI_NAMES));
}

static void test_print(void **state)
{
	(void)state;
	static struct ledger l;
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	unread_print(&l, f);
	fflush(f);
	assert_int_equal(n, 0);
	for (size_t i = 1; i < 13; i++)
		l.unread[i] = i;
	unread_print(&l, f);
	fclose(f);
	assert_non_null(strstr(text, "as nDPI calls them: 78\n"));
	assert_non_null(strstr(text, "(others)                         3\n")); /* 1 + 2 */
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_most_frequent_first),
	    cmocka_unit_test(test_each_name_has_its_number),
	    cmocka_unit_test(test_print),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
