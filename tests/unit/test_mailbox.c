/* IMAP and POP3: logins in every form, TLS, mails that are fetched and stored, what is
 * not theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/observed.h"

#include "sensor/parsers.h"
#include "sensor/sasl.h"

/* An AUTHENTICATE with a name of the OEM character set. */
#define NTLM_ANN "TlRMTVNTUAADAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAwADAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAGFubg=="

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
	    {&parser_imap, BYTES("a LOGIN {9999}\r\nann x\r\n"), ""},
	    {&parser_imap, BYTES("a AUTHENTICATE PLAIN\r\nAGFubgBwdw==\r\n"), "login.user ann\n"},
	    {&parser_imap, BYTES("a AUTHENTICATE PLAIN AGFubgBwdw==\r\n"), "login.user ann\n"},
	    {&parser_imap, BYTES("a AUTHENTICATE PLAIN\r\n*\r\nb LOGIN bob x\n"), "login.user bob\n"},
	    {&parser_imap, BYTES("a SELECT INBOX\r\nb LOGIN bob x\r\n"), "login.user bob\n"},
	    {&parser_imap, BYTES("a AUTHENTICATE NTLM\r\n" NTLM_ANN "\r\n"), "ntlm.user ann\n"},
	    {&parser_imap, BYTES("a AUTHENTICATE CRAM-MD5\r\nYW5uIGIgODc0YQ==\r\nb LOGIN bob x\n"),
	     "login.user ann b\nlogin.user bob\n"},
	    {&parser_pop3, BYTES("AUTH NTLM\r\n" NTLM_ANN "\r\n"), "ntlm.user ann\n"},
	    {&parser_pop3, BYTES("USER ann\r\nPASS x\r\nUSER bob\r\n"), "login.user ann\nlogin.user bob\n"},
	    {&parser_pop3, BYTES("APOP ann c4c9334bac560ecc979e58001b3e22fb\r\n"), "login.user ann\n"},
	    {&parser_pop3, BYTES("AUTH LOGIN\r\nYW5u\r\ncHc=\r\nSTAT\r\nUSER bob\r\n"),
	     "login.user ann\nlogin.user bob\n"},
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

/* A line that is one byte too long for a token; the next one is none. */
static void test_long_token(void **s)
{
	(void)s;
	static char line[SASL_TOKEN_MAX + 1];
	memset(line, 'A', sizeof(line));
	for (size_t n = SASL_TOKEN_MAX; n <= SASL_TOKEN_MAX + 1; n++) {
		struct observed o;
		enum sasl sasl = SASL_NAME;
		observed_begin(&o, &parser_smtp);
		sasl_token(&o.in, &sasl, (struct bytes){(const uint8_t *)line, n});
		assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1); /* so long a name is none, either */
		assert_int_equal(sasl, n == SASL_TOKEN_MAX ? SASL_PASSWORD : SASL_NOTHING);
		observed_end(&o);
	}
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

/* ---- mails ---- */

#define HEAD "From: a@b.example\r\nSubject: hi\r\n"
#define MAIL                                                                                                           \
	HEAD "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Disposition: attachment; "               \
	     "filename=e.exe\r\n\r\nabc\r\n--x--\r\n"
#define SEEN_HEAD "mail.from a@b.example\nmail.subject hi\n"
#define SEEN                                                                                                           \
	SEEN_HEAD "mail.attachment e.exe\nfile.md5 900150983cd24fb0d6963f7d28e17f72\n"                                 \
		  "file.sha1 a9993e364706816aba3e25717850c26c9cd0d89d\n"                                               \
		  "file.sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n"
#define TO_CC      "From: a@b.example\r\nTo: t@b.example\r\nCc: c@b.example\r\n\r\n\r\n"
#define SEEN_TO_CC "mail.from a@b.example\nmail.to t@b.example\nmail.cc c@b.example\n"
#define DOTTED     HEAD "\r\n..\r\n...\r\n.x\r\n"

_Static_assert(sizeof(HEAD) - 1 == 32 && sizeof(TO_CC) - 1 == 57 && sizeof(MAIL) - 1 == 145,
	       "the literals below say so");

static void test_mails(void **s)
{
	(void)s;
	static const struct {
		const struct parser *p;
		const char *client, *server, *want;
	} cases[] = {
	    {&parser_pop3, "STAT\r\nRETR 1\r\n", "+OK 1 164\r\n+OK 145\r\n" MAIL ".\r\n+OK bye\r\n", SEEN},
	    {&parser_pop3, "RETR 1\nRETR 2\n", "-ERR none\n+OK\n" MAIL ".\n", SEEN},
	    {&parser_pop3, "UIDL\nRETR 1\n", "+OK\n1 a\n+OK 2 b\n.\n+OK\n" DOTTED ".\r\n-ERR\n", SEEN_HEAD},
	    {&parser_pop3, "TOP 1 0\nLIST 1\nRETR 1\n", "+OK\n" HEAD "\r\n.\n+OK 1 9\n+OK\n" MAIL ".\r\n",
	     SEEN_HEAD SEEN},
	    {&parser_imap, "a FETCH 1 BODY[]\r\n", "* 1 FETCH (UID 7 BODY[] {145}\r\n" MAIL ")\r\na OK\r\n", SEEN},
	    {&parser_imap, "a FETCH 1 RFC822\r\n", "* 1 FETCH (RFC822 {145+}\r\n" MAIL ")\r\na OK\r\n", SEEN},
	    {&parser_imap, "a FETCH 1 x\r\n", "* 1 FETCH (BODY[HEADER.FIELDS (FROM)] {32}\r\n" HEAD ")\r\n", SEEN_HEAD},
	    {&parser_imap, "a FETCH 1 x\r\n",
	     "* 1 FETCH (BODY[1.2] {145}\r\n" MAIL ")\r\n* 2 FETCH (BODY[] {0}\r\n)\r\n", ""},
	    {&parser_imap, "a FETCH 1 BODY[]<0.9>\r\n",
	     "* 1 FETCH (BODY[]<0> {32}\r\n" HEAD ")\r\n* 1 FETCH (BODY[]<40> {3}\r\nabc)\r\n", SEEN_HEAD},
	    {&parser_pop3, "RETR 1\n", "+OK\n" TO_CC ".\n", SEEN_TO_CC},
	    {&parser_imap, "a FETCH 1 BODY[]\r\n", "* 1 FETCH (BODY[] {57}\r\n" TO_CC ")\r\n", SEEN_TO_CC},
	    {&parser_imap, "a APPEND \"Sent\" {57}\r\n" TO_CC "\r\n", "+ go\r\n", SEEN_TO_CC},
	    {&parser_imap, "a APPEND \"Sent\" (\\Seen) {145}\r\n" MAIL "\r\nb LOGIN ann x\r\n", "+ go\r\na OK\r\n",
	     SEEN "login.user ann\n"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct message talk[] = {{TO_SERVER, cases[i].client, strlen(cases[i].client)},
					       {TO_CLIENT, cases[i].server, strlen(cases[i].server)}};
		feed_every_split(cases[i].p, talk, 2, cases[i].want);
		feed_every_prefix(cases[i].p, talk, 2);
	}
}

/* A mail that is fetched in parts. */
static void test_mail_in_parts(void **s)
{
	(void)s;
	static const char mail[] = MAIL;
	for (size_t cut = 1; cut < sizeof(mail) - 1; cut++) {
		struct observed o;
		char line[64];
		observed_begin(&o, &parser_imap);
		for (int i = 0; i < 2; i++) {
			size_t from = i ? cut : 0, n = i ? sizeof(mail) - 1 - cut : cut;
			snprintf(line, sizeof(line), "* 1 FETCH (BODY[]<%zu> {%zu}\r\n", from, n);
			feed_stream(&o, TO_CLIENT, line, strlen(line));
			feed_stream(&o, TO_CLIENT, mail + from, n);
			feed_stream(&o, TO_CLIENT, BYTES(")\r\n"));
		}
		feed_close(&o);
		assert_string_equal(observed_text(&o), SEEN);
		observed_end(&o);
	}
}

static void test_mail_gap(void **s)
{
	(void)s;
	struct observed o;
	observed_begin(&o, &parser_imap);
	feed_stream(&o, TO_CLIENT, BYTES("* 1 FETCH (BODY[] {145}\r\n" HEAD));
	feed_gap(&o, TO_CLIENT, 145 - 32);
	feed_stream(&o, TO_CLIENT, BYTES(")\r\n* 2 FETCH (BODY[] {32}\r\n" HEAD ")\r\n"));
	assert_string_equal(observed_text(&o), SEEN_HEAD SEEN_HEAD);
	observed_end(&o);
	observed_begin(&o, &parser_pop3);
	feed_stream(&o, TO_SERVER, BYTES("RETR 1\nRETR 2\n"));
	feed_stream(&o, TO_CLIENT, BYTES("+OK\r\n" HEAD));
	feed_gap(&o, TO_CLIENT, 20);
	feed_stream(&o, TO_CLIENT, BYTES("st\r\n.\r\n+OK\r\n" MAIL ".\r\n"));
	assert_string_equal(observed_text(&o), SEEN_HEAD SEEN);
	observed_end(&o);
}

static void test_mail_limits(void **s)
{
	(void)s;
	struct observed o;
	observed_begin(&o, &parser_pop3);
	for (int i = 0; i < 64; i++)
		assert_int_equal(feed_stream(&o, TO_SERVER, BYTES("NOOP\r\n")), INSPECT_MORE);
	assert_int_equal(feed_stream(&o, TO_SERVER, BYTES("NOOP\r\n")), INSPECT_DONE);
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1);
	observed_end(&o);
	observed_begin(&o, &parser_imap); /* a number of eleven digits is no literal */
	feed_stream(&o, TO_CLIENT, BYTES("* 1 FETCH (BODY[] {99999999999}\r\n* 2 FETCH (BODY[] {32}\r\n" HEAD ")\r\n"));
	assert_string_equal(observed_text(&o), SEEN_HEAD);
	observed_end(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_logins),     cmocka_unit_test(test_mails),       cmocka_unit_test(test_mail_in_parts),
	    cmocka_unit_test(test_mail_gap),   cmocka_unit_test(test_mail_limits), cmocka_unit_test(test_tls),
	    cmocka_unit_test(test_long_token), cmocka_unit_test(test_long_lines),  cmocka_unit_test(test_probe),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
