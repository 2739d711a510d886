/* SMTP sessions, and the mails and forms in them (mime.c, mime_field.c). */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sensor/mime.h"
#include "sensor/mime_field.h"
#include "sensor/parsers.h"
#include "tests/unit/observed.h"

#define WANT                                                                                                           \
	(INDICATOR_BIT(INDICATOR_FILE_SHA1) | INDICATOR_BIT(INDICATOR_FILENAME) | INDICATOR_BIT(INDICATOR_EMAIL) |     \
	 INDICATOR_BIT(INDICATOR_EMAIL_SUBJECT) | INDICATOR_BIT(INDICATOR_DOMAIN) | INDICATOR_BIT(INDICATOR_USERNAME))
#define HELLO_SHA1 "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"
#define MESSAGES   8

struct session {
	const char *label;
	struct message message[MESSAGES];
	const char *seen;
	enum verdict verdict;
};

#define C(text)                                                                                                        \
	{                                                                                                              \
		TO_SERVER, BYTES(text)                                                                                 \
	}
#define S(text)                                                                                                        \
	{                                                                                                              \
		TO_CLIENT, BYTES(text)                                                                                 \
	}

static const struct session sessions[] = {
    {"a mail",
     {S("220 a ESMTP\r\n"), C("EHLO h.example\r\n"), S("250-a\r\n250 b\r\n"),
      C("MAIL FROM:<A@b.example> SIZE=1\r\nRCPT TO: <c@d.example>\r\nDATA\r\n"), S("250 x\r\n250 x\r\n354 x\r\n"),
      C("From: \"x, y\" <E@f.example> (z)\r\nTo: a@b.example,\r\n c@d.example\r\nCc: g: h@i.example;\r\n"
	"Subject: =?utf-8?q?a=20b?=\r\n\r\n..\r\n.\r\nMAIL FROM:<second@b>\r\n")},
     "smtp.helo h.example\nsmtp.mail_from A@b.example\nsmtp.rcpt_to c@d.example\nmail.from E@f.example\n"
     "mail.to a@b.example\nmail.to c@d.example\nmail.cc h@i.example\nmail.subject a b\nsmtp.mail_from second@b\n",
     INSPECT_MORE},
    {"logins, each way",
     {C("AUTH PLAIN AGFubgBwdw==\r\n"), S("235 x\r\n"), C("auth login\r\n"), S("334 VXNlcm5hbWU6\r\n"), C("Ym9i\r\n"),
      S("334 UGFzc3dvcmQ6\r\n"), C("cHc=\r\nAUTH CRAM-MD5\r\n"), S("235 x\r\n334 PDE+\r\n")},
     "login.user ann\nlogin.user bob\n",
     INSPECT_MORE},
    {"answers to challenges",
     {C("AUTH CRAM-MD5\r\n"), S("334 PDE+\r\n"), C("Y2F0aHkgODc0YQ==\r\n"), S("235 x\r\n"), C("AUTH NTLM\r\n"),
      S("334 x\r\n"),
      C("TlRMTVNTUAABAAAA\r\n"
	"TlRMTVNTUAADAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAwADAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAGFubg=="
	"\r\nMAIL FROM:<a@b>\r\n")},
     "login.user cathy\nntlm.user ann\nsmtp.mail_from a@b\n",
     INSPECT_MORE},
    {"a login that is refused, and a mail",
     {C("AUTH LOGIN\r\n"), S("504 x\r\n"), C("DATA\r\n"), S("354 x\r\n"), C("Subject: x\r\n\r\n.\r\n")},
     "mail.subject x\n",
     INSPECT_MORE},
    {"a refusal unseen, and a mail",
     {C("AUTH PLAIN\r\nDATA\r\nSubject: x\r\n\r\n.\r\n")},
     "mail.subject x\n",
     INSPECT_MORE},
    {"a login that is given up", {C("AUTH PLAIN\r\n*\r\nAGFubgBwdw==\r\n")}, "", INSPECT_MORE},
    {"a way that is not known", {C("AUTH GSSAPI\r\nAGFubgBwdw==\r\n")}, "", INSPECT_MORE},
    {"DATA refused, pipelined",
     {C("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"), S("553 x\r\n503 x\r\n503 x\r\n"), C("RSET\r\n"),
      S("250 x\r\n"), C("MAIL FROM:<e@f>\r\n")},
     "smtp.mail_from a@b\nsmtp.rcpt_to c@d\nsmtp.mail_from e@f\n",
     INSPECT_MORE},
    {"answers unseen",
     {C("DATA\r\nSubject: x\r\n\r\n.\r\nRSET\r\nMAIL FROM:<e@f>\r\n")},
     "mail.subject x\nsmtp.mail_from e@f\n",
     INSPECT_MORE},
    {"line feeds alone",
     {C("DATA\nSubject: x\n\nb\n.\nMAIL FROM:<e@f>\n")},
     "mail.subject x\nsmtp.mail_from e@f\n",
     INSPECT_MORE},
    {"LF . LF is text to who writes CRLF",
     {C("DATA\r\nSubject: x\r\n\r\nb\n.\nMAIL FROM:<e@f>\r\n.\r\nMAIL FROM:<g@h>\r\n")},
     "mail.subject x\nsmtp.mail_from g@h\n",
     INSPECT_MORE},
    {"BDAT in chunks, two mails",
     {C("BDAT 8\r\nSubject:BDAT 5 LAST\r\n x\r\n\r"), C("BDAT 12\r\nSubject: y\r\n"),
      C("BDAT 0 LAST\r\nMAIL FROM:<e@f>\r\n")},
     "mail.subject x\nmail.subject y\nsmtp.mail_from e@f\n",
     INSPECT_MORE},
    {"null sender, route, no brackets",
     {C("MAIL FROM:<>\r\nRCPT TO:<@x,@y:a@b>\r\nRCPT TO:c@d NOTIFY=NEVER\r\n")},
     "smtp.rcpt_to a@b\nsmtp.rcpt_to c@d\n",
     INSPECT_MORE},
    {"STARTTLS", {C("EHLO [192.0.2.1]\r\nSTARTTLS\r\n"), S("250 x\r\n220 go\r\n")}, "", INSPECT_AGAIN},
    {"STARTTLS, answer unseen", {C("STARTTLS\r\n"), C("\x16\x03\x01")}, "", INSPECT_AGAIN},
    {"STARTTLS refused",
     {C("STARTTLS\r\n"), S("454 no\r\n"), C("MAIL FROM:<e@f>\r\n")},
     "smtp.mail_from e@f\n",
     INSPECT_MORE},
    {"attachments",
     {C("DATA\r\nContent-Type: multipart/mixed; boundary=\"b 1\"\r\n\r\npre\r\n--b 1\r\nContent-Type: "
	"text/plain\r\n\r\nhello\r\n"
	"--b 1\r\nContent-Type: application/x; name=\"=?utf-8?B?YS5leGU=?=\"\r\nContent-Transfer-Encoding: "
	"base64\r\n\r\naGVs\r\nbG8=\r\n"
	"--b 1\r\nContent-Disposition: attachment;\r\n filename*0*=utf-8''b%2e; filename*1=\"pdf\"\r\n"
	"Content-Transfer-Encoding: quoted-printable\r\n\r\nh=65l=\r\nlo\r\n--b 1--\r\nend\r\n.\r\n")},
     "mail.attachment a.exe\nfile.sha1 " HELLO_SHA1 "\nmail.attachment b.pdf\nfile.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE},
    {"multipart in multipart; the outer boundary ends both",
     {C("DATA\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/related; "
	"boundary=oi\r\n\r\n"
	"--oi\r\nContent-Disposition: attachment; filename=a\r\n\r\nhello\r\n--o\r\n"
	"Content-Disposition: attachment; filename=b\r\n\r\nhello\r\n--o--\r\n.\r\n")},
     "mail.attachment a\nfile.sha1 " HELLO_SHA1 "\nmail.attachment b\nfile.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE},
    {"forwarded message",
     {C("DATA\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\nContent-Disposition: attachment; "
	"filename=a\r\n\r\nhello\r\n.\r\n")},
     "mail.subject in\nmail.attachment a\nfile.sha1 aa5916ae7fd159a18b1b72ea905c757207e26689\n",
     INSPECT_MORE},
    {"without a closing boundary",
     {C("DATA\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Disposition: attachment; "
	"filename=a\r\n"
	"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n.\r\n")},
     "mail.attachment a\nfile.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE},
    {"cut mail",
     {C("DATA\r\nContent-Disposition: attachment; filename=a\r\n\r\nhel")},
     "mail.attachment a\n",
     INSPECT_MORE},
};

static size_t count_of(const struct session *s)
{
	size_t n = 0;
	while (n < MESSAGES && s->message[n].p)
		n++;
	return n;
}

static void expect(const struct session *s, size_t which, size_t first, bool all_bytes)
{
	struct observed o;
	observed_begin(&o, &parser_smtp);
	o.in.want = WANT;
	feed_pieces(&o, s->message, count_of(s), which, first, all_bytes);
	if (strcmp(observed_text(&o), s->seen) != 0 || o.verdict != s->verdict)
		fail_msg("%s (message %zu cut at %zu%s): verdict %d\n%s-- instead of\n%s--", s->label, which, first,
			 all_bytes ? ", every byte" : "", (int)o.verdict, observed_text(&o), s->seen);
	observed_end(&o);
}

static void test_sessions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(sessions) / sizeof(sessions[0]); i++) {
		expect(&sessions[i], 0, SIZE_MAX, false);
		expect(&sessions[i], 0, 0, true);
		for (size_t k = 0; k < count_of(&sessions[i]); k++)
			for (size_t at = 1; at < sessions[i].message[k].n; at++)
				expect(&sessions[i], k, at, false);
		feed_every_prefix(&parser_smtp, sessions[i].message, count_of(&sessions[i]));
	}
}

/* After a gap in a mail the server's answer tells that it is over. */
static void test_gap(void **state)
{
	(void)state;
	struct observed o;
	observed_begin(&o, &parser_smtp);
	feed_stream(&o, TO_SERVER, BYTES("DATA\r\n"));
	feed_stream(&o, TO_CLIENT, BYTES("354 x\r\n"));
	feed_stream(&o, TO_SERVER, BYTES("Content-Disposition: attachment; filename=a\r\n\r\nhel"));
	feed_gap(&o, TO_SERVER, 100);
	feed_stream(&o, TO_CLIENT, BYTES("250 x\r\n"));
	feed_stream(&o, TO_SERVER, BYTES("MAIL FROM:<a@b>\r\n"));
	assert_true(observed_has(&o, "smtp.mail_from a@b"));
	assert_int_equal(o.ledger.v[LEDGER_FILES_CUT], 1);
	observed_end(&o);
}

static void test_describe(void **state)
{
	(void)state;
	struct observed o;
	observed_begin(&o, &parser_smtp);
	feed_stream(&o, TO_SERVER,
		    BYTES("EHLO h\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: s\r\nContent-Type: "
			  "a/b\r\n\r\nx\r\n.\r\n"));
	assert_string_equal(observed_app(&o), "helo=h\nmail_from=a@b\nrcpt_to=c@d\nsubject=s\n");
	observed_end(&o);
}

static void test_limits(void **state)
{
	(void)state;
	struct observed o;
	observed_begin(&o, &parser_smtp);
	char x[20000];
	memset(x, 'x', sizeof(x));
	feed_stream(&o, TO_SERVER, x, 5000); /* a command */
	feed_stream(&o, TO_SERVER, BYTES("\r\nDATA\r\n"));
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1);
	feed_stream(&o, TO_SERVER, BYTES("X-Long: "));
	feed_stream(&o, TO_SERVER, x, sizeof(x)); /* a header field */
	feed_stream(&o, TO_SERVER, BYTES("\r\nSubject: s\r\n"));
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 2);
	for (int i = 0; i < MIME_FIELDS_MAX + 10; i++)
		feed_stream(&o, TO_SERVER, BYTES("A: b\r\n"));
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 3);
	feed_stream(&o, TO_SERVER, BYTES("\r\n.\r\nDATA\r\n"));
	for (int i = 0; i < MIME_DEPTH_MAX; i++) {
		char part[100];
		int n = snprintf(part, sizeof(part), "Content-Type: multipart/x; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
		feed_stream(&o, TO_SERVER, part, (size_t)n);
	}
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 3);
	feed_stream(&o, TO_SERVER, BYTES("Content-Type: multipart/x; boundary=c\r\n\r\n"));
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 4);
	assert_true(observed_has(&o, "mail.subject s"));
	observed_end(&o);
}

static const struct {
	const char *raw, *words;
} words[] = {
    {"plain", "plain"},
    {"=?utf-8?B?5pel5pys?=", "\xe6\x97\xa5\xe6\x9c\xac"},
    {"=?UTF-8?B?5pel5g==?=\r\n =?utf-8?B?nKw=?= x", "\xe6\x97\xa5\xe6\x9c\xac x"},
    {"a =?iso-8859-1?Q?=E4_b?= c", "a \xc3\xa4 b c"},
    {"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "\xe6\x97\xa5\xe6\x9c\xac"},
    {"=?Shift_JIS?B?k/qWew==?=", "\xe6\x97\xa5\xe6\x9c\xac"},
    {"=?utf-8*en?q?a?=", "a"},
    {"=?no-such-set?q?=E4?=", "\xe4"},
    {"=?utf-8?x?a?=", "=?utf-8?x?a?="},
    {"=?utf-8?q?open", "=?utf-8?q?open"},
    {"fold\r\n ed", "fold ed"},
};

static void test_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		char out[256];
		size_t n = mime_words((struct bytes){(const uint8_t *)words[i].raw, strlen(words[i].raw)}, out,
				      sizeof(out) - 1, &(bool){false});
		out[n] = '\0';
		assert_string_equal(out, words[i].words);
	}
}

static const struct {
	const char *value, *name;
} names[] = {
    {"attachment; filename=a.exe", "a.exe"},
    {"attachment; FileName = \"a b.exe\" ; x=y", "a b.exe"},
    {"attachment; filename=\"a\\\"b\"", "a\"b"},
    {"attachment; filename=\"C:\\dir\\x.exe\"", "x.exe"},
    {"attachment; filename=../../x.exe", "x.exe"},
    {"attachment; filename=x; filename*=utf-8''%e2%82%ac", "\xe2\x82\xac"},
    {"attachment; filename*=iso-8859-1'en'%e4", "\xc3\xa4"},
    {"attachment; filename*1=b; filename*0=\"a\"; filename*2*=%63", "abc"},
    {"attachment; filename=\"=?utf-8?B?YS5leGU=?=\"", "a.exe"},
    {"attachment; xfilename=a", ""},
    {"attachment; filename=\"open", "open"},
    {"attachment;;; filename=a;", "a"},
    {"attachment", ""},
};

static void test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char out[256];
		size_t n = mime_filename((struct bytes){(const uint8_t *)names[i].value, strlen(names[i].value)},
					 "filename", out, sizeof(out) - 1, &(bool){false});
		out[n] = '\0';
		assert_string_equal(out, names[i].name);
	}
}

static const struct {
	enum side side;
	const char *line;
	enum probe answer;
} starts[] = {
    {TO_CLIENT, "220 x ESMTP\r\n", PROBE_YES}, {TO_CLIENT, "220 FTP\r\n", PROBE_NO},
    {TO_CLIENT, "220 ", PROBE_MORE},           {TO_SERVER, "EHLO a\r\n", PROBE_YES},
    {TO_SERVER, "MAIL FR", PROBE_MORE},        {TO_SERVER, "mail from:<a@b>\r\n", PROBE_YES},
    {TO_SERVER, "USER a\r\n", PROBE_NO},       {TO_SERVER, "GET / HTTP/1.1\r\n", PROBE_NO},
};

static void test_probe(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (feed_probe(&parser_smtp, starts[i].side, starts[i].line, strlen(starts[i].line)) !=
		    starts[i].answer)
			fail_msg("%s", starts[i].line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sessions), cmocka_unit_test(test_gap),   cmocka_unit_test(test_describe),
	    cmocka_unit_test(test_limits),   cmocka_unit_test(test_words), cmocka_unit_test(test_names),
	    cmocka_unit_test(test_probe),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
