/* IMAP and POP3: logins in every form, TLS, what is not theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/observed.h"

#include "sensor/parsers.h"

static void test_logins(void **s)
{
	(void)s;
	static const struct {
		const struct parser *p;
		const void *client;
		size_t n;
		const char *want;
	} cases[] = {
	    {&parser_imap, BYTES("a LOGIN ann secret\r\n"), "login.user ann\n"},
	    {&parser_imap, BYTES("a1 login \"a \\\"b\" \"x\"\r\n"), "login.user a \"b\n"},
	    {&parser_imap, BYTES("a LOGIN {3}\r\nann {2}\r\npw\r\n"), "login.user ann\n"},
	    {&parser_imap, BYTES("a LOGIN {3+}\r\nann x\r\n"), "login.user ann\n"},
	    {&parser_imap, BYTES("a LOGIN {9999}\r\nann x\r\n"), "login.user {9999}\n"},
	    {&parser_imap, BYTES("a AUTHENTICATE PLAIN\r\nAGFubgBwdw==\r\n"), "login.user ann\n"},
	    {&parser_imap, BYTES("a AUTHENTICATE PLAIN AGFubgBwdw==\r\n"), "login.user ann\n"},
	    {&parser_imap, BYTES("a AUTHENTICATE PLAIN\r\n*\r\nb LOGIN bob x\n"), "login.user bob\n"},
	    {&parser_imap, BYTES("a SELECT INBOX\r\nb LOGIN bob x\r\n"), ""},
	    {&parser_pop3, BYTES("USER ann\r\nPASS x\r\nUSER bob\r\n"), "login.user ann\nlogin.user bob\n"},
	    {&parser_pop3, BYTES("APOP ann c4c9334bac560ecc979e58001b3e22fb\r\n"), "login.user ann\n"},
	    {&parser_pop3, BYTES("AUTH LOGIN\r\nYW5u\r\ncHc=\r\nSTAT\r\nUSER bob\r\n"), "login.user ann\n"},
	    {&parser_pop3, BYTES("AUTH PLAIN YW5u\r\n"), ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct message talk[] = {{TO_SERVER, cases[i].client, cases[i].n}};
		feed_every_split(cases[i].p, talk, 1, cases[i].want);
		feed_every_prefix(cases[i].p, talk, 1);
	}
}

static void test_tls(void **s)
{
	(void)s;
	static const struct {
		const struct parser *p;
		const char *client, *server;
		enum verdict want;
		size_t used;
	} cases[] = {
	    {&parser_imap, "x STARTTLS\r\n", "* more\r\nx OK go\r\n\x16\x03", INSPECT_AGAIN, 17},
	    {&parser_imap, "x STARTTLS\r\n", "x NO\r\n", INSPECT_MORE, 6},
	    {&parser_imap, "x STARTTLS\r\n", "y OK\r\n", INSPECT_MORE, 6},
	    {&parser_imap, "x NOOP\r\n", "x OK\r\n", INSPECT_MORE, 6},
	    {&parser_pop3, "STLS\r\n", "+OK go\r\n", INSPECT_AGAIN, 8},
	    {&parser_pop3, "STLS\r\n", "-ERR\r\n", INSPECT_MORE, 6},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct observed o;
		observed_begin(&o, cases[i].p);
		feed_stream(&o, TO_SERVER, cases[i].client, strlen(cases[i].client));
		assert_int_equal(feed_stream(&o, TO_CLIENT, cases[i].server, strlen(cases[i].server)), cases[i].want);
		assert_int_equal(o.used, cases[i].used);
		observed_end(&o);
	}
	struct observed o;
	observed_begin(&o, &parser_pop3);
	assert_int_equal(feed_stream(&o, TO_SERVER, "STLS\r\n\x16\x03\x01", 9), INSPECT_AGAIN);
	assert_int_equal(o.used, 6);
	observed_end(&o);
}

static void test_long_lines(void **s)
{
	(void)s;
	char junk[8192];
	struct observed o;
	memset(junk, 'j', sizeof(junk));
	observed_begin(&o, &parser_pop3);
	feed_stream(&o, TO_SERVER, junk, sizeof(junk));
	feed_stream(&o, TO_SERVER, BYTES("jj\r\nUSER ann\r\n"));
	assert_string_equal(observed_text(&o), "login.user ann\n");
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1);
	memcpy(junk, "USER ", 5);
	feed_stream(&o, TO_SERVER, junk, 5 + 513);
	feed_stream(&o, TO_SERVER, BYTES("\r\n"));
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 2);
	assert_int_equal(o.count, 1);
	observed_end(&o);
}

static void test_probe(void **s)
{
	(void)s;
	static const struct {
		const struct parser *p;
		enum side side;
		const char *text;
		enum probe want;
	} cases[] = {
	    {&parser_imap, TO_CLIENT, "* OK ready\r\n", PROBE_YES},
	    {&parser_imap, TO_CLIENT, "* OK rea", PROBE_MORE},
	    {&parser_imap, TO_CLIENT, "* 12 EXISTS\r\n", PROBE_NO},
	    {&parser_imap, TO_SERVER, ". CAPABILITY\r\n", PROBE_YES},
	    {&parser_imap, TO_SERVER, "a1 LOGI", PROBE_MORE},
	    {&parser_imap, TO_SERVER, "GET / HTTP/1.1\r\n", PROBE_NO},
	    {&parser_pop3, TO_CLIENT, "+OK ready\r\n", PROBE_YES},
	    {&parser_pop3, TO_CLIENT, "+OK\r\n", PROBE_NO},
	    {&parser_pop3, TO_SERVER, "CAPA\r\n", PROBE_YES},
	    {&parser_pop3, TO_SERVER, "USER ann\r\n", PROBE_NO},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (feed_probe(cases[i].p, cases[i].side, cases[i].text, strlen(cases[i].text)) != cases[i].want)
			fail_msg("%s", cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_logins),
	    cmocka_unit_test(test_tls),
	    cmocka_unit_test(test_long_lines),
	    cmocka_unit_test(test_probe),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
