/* Packets quoted in ICMP errors: addresses and questions, cut at every length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/observed.h"

#include "sensor/parsers.h"
#include "sensor/quoted.h"

#define IP4(proto) "\x45\0\0\x3d\0\0\0\0\x40" proto "\0\0\xc0\0\2\1\xc6\x33\x64\7"
#define IP6(next)                                                                                                      \
	"\x60\0\0\0\0\x29" next "\x40\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7"
#define UDP(port)  "\x9c\x40\0" port "\0\x29\0\0"
#define HEADER     "\x12\x34\1\0\0\1\0\0\0\0\0\0"
#define QUESTION   HEADER "\3www\3bad\7example\0\0\1\0\1"
#define ADDRESSES  "icmp.quoted.src 192.0.2.1\nicmp.quoted.dest 198.51.100.7\n"
#define ADDRESSES6 "icmp.quoted.src 2001:db8::1\nicmp.quoted.dest 2001:db8::7\n"
#define NAME       "icmp.quoted.name www.bad.example\n"

static const struct {
	const char *label;
	uint8_t proto, type;
	const void *data;
	size_t n;
	const char *want;
} cases[] = {
    {"a question", 1, 3, BYTES(IP4("\x11") UDP("\x35") QUESTION), ADDRESSES NAME},
    {"the same over IPv6", 58, 1, BYTES(IP6("\x11") UDP("\x35") QUESTION), ADDRESSES6 NAME},
    {"redirect, TCP", 1, 5, BYTES(IP4("\6") "\0\x50\0\x50\0\0\0\0"), ADDRESSES},
    {"another port", 1, 3, BYTES(IP4("\x11") UDP("\x36") QUESTION), ADDRESSES},
    {"a name that the quote cuts", 1, 11, BYTES(IP4("\x11") UDP("\x35") HEADER "\3www\3ba"), ADDRESSES},
    {"a label with a dot", 1, 3, BYTES(IP4("\x11") UDP("\x35") HEADER "\7bad.exa\0\0\1\0\1"), ADDRESSES},
    {"a compressed name", 1, 3, BYTES(IP4("\x11") UDP("\x35") HEADER "\xc0\x0c\0\1\0\1"), ADDRESSES},
    {"two questions", 1, 3, BYTES(IP4("\x11") UDP("\x35") "\1\2\1\0\0\2\0\0\0\0\0\0\1a\0\0\1\0\1"), ADDRESSES},
    {"echo", 1, 8, BYTES(IP4("\x11") UDP("\x35") QUESTION), ""},
    {"echo over IPv6", 58, 128, BYTES(IP6("\x11") UDP("\x35") QUESTION), ""},
    {"no IP", 1, 3, BYTES("\x65\0\0\x3d\0\0\0\0\x40\x11\0\0\xc0\0\2\1\xc6\x33\x64\7"), ""},
    {"a header too short", 1, 3, BYTES("\x44\0\0\x3d\0\0\0\0\x40\x11\0\0\xc0\0\2\1\xc6\x33\x64\7"), ""},
};

/* The flow of the error has no parser of its own. */
static const struct parser icmp = {.name = "icmp"};

static void look(struct observed *o, uint8_t proto, uint8_t type, const void *p, size_t n)
{
	struct layer l = {.proto = proto, .icmp_type = type, .payload = p, .payload_n = (uint32_t)n};
	observed_begin(o, &icmp);
	quoted_packet(&o->in, &l);
}

static void test_quotes(void **s)
{
	(void)s;
	struct observed o;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		look(&o, cases[i].proto, cases[i].type, cases[i].data, cases[i].n);
		if (strcmp(observed_text(&o), cases[i].want) != 0)
			fail_msg("%s: %s", cases[i].label, observed_text(&o));
		assert_int_equal(o.ledger.v[LEDGER_QUOTED], cases[i].want[0] != 0);
		observed_end(&o);
	}
}

static void test_cut(void **s)
{
	(void)s;
	struct observed o;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t n = 0; n < cases[i].n; n++) {
			uint8_t *copy = malloc(n ? n : 1);
			memcpy(copy, cases[i].data, n);
			look(&o, cases[i].proto, cases[i].type, copy, n);
			observed_end(&o);
			free(copy);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_quotes), cmocka_unit_test(test_cut)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
