/* FTP and TFTP. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sensor/parsers.h"
#include "tests/unit/observed.h"

#define HELLO_SHA256 "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define HELLO_SHA1   "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"

static const struct message passive[] = {
    {TO_CLIENT, BYTES("220 FTP here\r\n")},   {TO_SERVER, BYTES("user anonymous\r\nPASS x\r\n")},
    {TO_SERVER, BYTES("PASV\r\n")},           {TO_CLIENT, BYTES("227 Entering Passive Mode (10,0,0,9,4,1).\r\n")},
    {TO_SERVER, BYTES("RETR dir/a.exe\r\n")},
};

static void test_passive(void **state)
{
	(void)state;
	feed_every_split(&parser_ftp, passive, 5, "ftp.user anonymous\nftp.file dir/a.exe\nftp.file a.exe\n");
	feed_every_prefix(&parser_ftp, passive, 5);
}

/* Renamed and deleted: the names, and nothing is announced. */
static void test_names(void **state)
{
	(void)state;
	static const struct message talk[] = {
	    {TO_SERVER, BYTES("PORT 192,0,2,1,4,1\r\nRNFR d/a\r\nrnto b\r\nDELE c\r\nSIZE e\r\nMKD f\r\n")}};
	struct observed o;
	feed_every_split(&parser_ftp, talk, 1, "ftp.file d/a\nftp.file a\nftp.file b\nftp.file c\n");
	observed_begin(&o, &parser_ftp);
	feed_pieces(&o, talk, 1, 0, SIZE_MAX, false);
	assert_string_equal((const char *)o.expected.p, "");
	observed_end(&o);
}

static const struct {
	const char *label;
	struct message message[3];
	const char *expected;
} announced[] = {
    {"227, address behind NAT",
     {{TO_CLIENT, BYTES("227 =10,0,0,9,4,1\r\n")}, {TO_SERVER, BYTES("RETR a\r\n")}},
     "198.51.100.1 1025 a\n10.0.0.9 1025 a\n"},
    {"229", {{TO_CLIENT, BYTES("229 ok (|||6446|)\r\n")}, {TO_SERVER, BYTES("STOR a\r\n")}}, "198.51.100.1 6446 a\n"},
    {"PORT", {{TO_SERVER, BYTES("PORT 192,0,2,1,4,1\r\nAPPE a\r\n")}}, "192.0.2.1 1025 a\n"},
    {"EPRT", {{TO_SERVER, BYTES("EPRT |2|2001:db8::1|6275|\r\nSTOU\r\n")}}, "192.0.2.1 6275 \n2001:db8::1 6275 \n"},
    {"once for each", {{TO_SERVER, BYTES("PORT 192,0,2,1,4,1\r\nRETR a\r\nRETR b\r\n")}}, "192.0.2.1 1025 a\n"},
    {"a listing", {{TO_SERVER, BYTES("PORT 192,0,2,1,4,1\r\nLIST\r\n")}}, ""},
    {"number too large", {{TO_SERVER, BYTES("PORT 192,0,2,1,4,256\r\nRETR a\r\n")}}, ""},
    {"port 0", {{TO_SERVER, BYTES("PORT 192,0,2,1,0,0\r\nRETR a\r\n")}}, ""},
    {"port beyond", {{TO_CLIENT, BYTES("229 ok (|||65536|)\r\n")}, {TO_SERVER, BYTES("RETR a\r\n")}}, ""},
};

static void test_announced(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(announced) / sizeof(announced[0]); i++) {
		struct observed o;
		observed_begin(&o, &parser_ftp);
		feed_pieces(&o, announced[i].message, 3, 0, SIZE_MAX, false);
		if (strcmp((const char *)o.expected.p, announced[i].expected) != 0)
			fail_msg("%s: %s", announced[i].label, (const char *)o.expected.p);
		observed_end(&o);
	}
}

static void test_auth_tls(void **state)
{
	(void)state;
	struct observed o;
	observed_begin(&o, &parser_ftp);
	feed_stream(&o, TO_SERVER, BYTES("AUTH TLS\r\n"));
	assert_int_equal(feed_stream(&o, TO_CLIENT, BYTES("234 go\r\n\x16\x03")), INSPECT_AGAIN);
	assert_int_equal(o.used, 8);
	observed_end(&o);
	observed_begin(&o, &parser_ftp);
	assert_int_equal(feed_stream(&o, TO_SERVER, BYTES("AUTH TLS\r\n\x16\x03")), INSPECT_AGAIN);
	assert_int_equal(o.used, 10);
	observed_end(&o);
}

static void test_data(void **state)
{
	(void)state;
	struct observed o;
	for (int side = 0; side < 2; side++) { /* stored and fetched, over connections that either end made */
		observed_begin(&o, &parser_ftp_data);
		o.in.note = (struct bytes){(const uint8_t *)"a.exe", 5};
		feed_stream(&o, (enum side)side, BYTES("he"));
		feed_stream(&o, (enum side)side, BYTES("llo"));
		o.in.parser->close(&o.in, (enum side)side);
		assert_string_equal(observed_text(&o), "file.name a.exe\nfile.md5 5d41402abc4b2a76b9719d911017c592\n"
						       "file.sha1 " HELLO_SHA1 "\nfile.sha256 " HELLO_SHA256 "\n");
		observed_end(&o);
	}
	observed_begin(&o, &parser_ftp_data);
	feed_stream(&o, TO_CLIENT, BYTES("he"));
	feed_gap(&o, TO_CLIENT, 1);
	feed_stream(&o, TO_CLIENT, BYTES("lo"));
	feed_close(&o);
	assert_string_equal(observed_text(&o), "");
	assert_int_equal(o.ledger.v[LEDGER_FILES_CUT], 1);
	observed_end(&o);
}

static void test_line_limit(void **state)
{
	(void)state;
	struct observed o;
	char x[5000];
	memset(x, 'x', sizeof(x));
	observed_begin(&o, &parser_ftp);
	feed_stream(&o, TO_SERVER, x, sizeof(x));
	feed_stream(&o, TO_SERVER, BYTES("\r\nUSER a\r\n"));
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1);
	assert_string_equal(observed_text(&o), "ftp.user a\n");
	observed_end(&o);
}

static const struct {
	const char *line;
	enum side side;
	enum probe answer;
} starts[] = {
    {"220 ProFTPD\r\n", TO_CLIENT, PROBE_YES},   {"220 mail ESMTP\r\n", TO_CLIENT, PROBE_NO},
    {"220 hello\r\n", TO_CLIENT, PROBE_NO},      {"227 Entering Passive Mode (1,2,3,4,5,6)\n", TO_CLIENT, PROBE_YES},
    {"USER ftp\r\n", TO_SERVER, PROBE_YES},      {"USER a 0 * :irc\r\n", TO_SERVER, PROBE_NO},
    {"PASV\r\n", TO_SERVER, PROBE_YES},          {"USER f", TO_SERVER, PROBE_MORE},
    {"GET / HTTP/1.0\r\n", TO_SERVER, PROBE_NO}, {"\x16\x03\x01", TO_SERVER, PROBE_NO},
};

static void test_probe(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (feed_probe(&parser_ftp, starts[i].side, starts[i].line, strlen(starts[i].line)) != starts[i].answer)
			fail_msg("%s", starts[i].line);
}

static void test_tftp(void **state)
{
	(void)state;
	struct observed o;
	observed_begin(&o, &parser_tftp);
	feed_datagram(&o, TO_SERVER,
		      BYTES("\0\1rfc1350.txt\0octet\0blksize\0"
			    "512\0"));
	feed_datagram(&o, TO_SERVER, BYTES("\0\2b\0NetASCII\0"));
	feed_datagram(&o, TO_SERVER, BYTES("\0\3\0\1data\0octet\0"));
	assert_string_equal(observed_text(&o), "tftp.file rfc1350.txt\ntftp.file b\n");
	observed_end(&o);
	feed_every_cut(&parser_tftp, TO_SERVER, BYTES("\0\1rfc1350.txt\0octet\0"));
	assert_int_equal(feed_probe(&parser_tftp, TO_SERVER, BYTES("\0\1a\0octet\0")), PROBE_YES);
	assert_int_equal(feed_probe(&parser_tftp, TO_SERVER, BYTES("\0\1a\0other\0")), PROBE_NO);
	assert_int_equal(feed_probe(&parser_tftp, TO_SERVER, BYTES("\0\1a\0octet")), PROBE_NO);
}

#define BLOCK32 "0123456789abcdef0123456789abcdef"
#define BLOCK512                                                                                                       \
	BLOCK32 BLOCK32 BLOCK32 BLOCK32 BLOCK32 BLOCK32 BLOCK32 BLOCK32 BLOCK32 BLOCK32 BLOCK32 BLOCK32 BLOCK32        \
	    BLOCK32 BLOCK32 BLOCK32

static void test_tftp_transfers(void **state)
{
	(void)state;
	static const struct {
		const char *label;
		struct message datagram[6];
		const char *want;
		uint64_t cut;
	} cases[] = {
	    {"one short block", {{TO_CLIENT, BYTES("\0\3\0\1hello")}}, "file.sha1 " HELLO_SHA1 "\n", 0},
	    {"two, the second empty",
	     {{TO_CLIENT, BYTES("\0\3\0\1" BLOCK512)}, {TO_SERVER, BYTES("\0\4\0\1")}, {TO_CLIENT, BYTES("\0\3\0\2")}},
	     "file.sha1 c9513d101f4affe6e92e5169faa0c75ee8235cae\n",
	     0},
	    {"written, with options, one block twice",
	     {{TO_CLIENT, BYTES("\0\6tsize\0"
				"5\0blksize\0"
				"2\0")},
	      {TO_SERVER, BYTES("\0\3\0\1he")},
	      {TO_SERVER, BYTES("\0\3\0\1he")},
	      {TO_SERVER, BYTES("\0\3\0\2ll")},
	      {TO_SERVER, BYTES("\0\3\0\3o")}},
	     "file.sha1 " HELLO_SHA1 "\n",
	     0},
	    {"a block is missing",
	     {{TO_CLIENT, BYTES("\0\6blksize\0"
				"2\0")},
	      {TO_SERVER, BYTES("\0\3\0\1he")},
	      {TO_SERVER, BYTES("\0\3\0\3o")}},
	     "",
	     1},
	    {"an error", {{TO_CLIENT, BYTES("\0\3\0\1" BLOCK512)}, {TO_SERVER, BYTES("\0\5\0\3full\0")}}, "", 1},
	    {"it ends without a last block", {{TO_CLIENT, BYTES("\0\3\0\1" BLOCK512)}}, "", 1},
	    {"its beginning is missing", {{TO_CLIENT, BYTES("\0\3\0\2hello")}}, "", 0},
	    {"a longer block than the first",
	     {{TO_CLIENT, BYTES("\0\3\0\1" BLOCK512)}, {TO_CLIENT, BYTES("\0\3\0\2x" BLOCK512)}},
	     "",
	     1},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t which = 0; which <= 6; which++) { /* 6: whole; else that one is cut at every length */
			size_t n = which < 6 ? cases[i].datagram[which].n : 1;
			for (size_t cut = 0; cut < n; cut++) {
				struct observed o;
				observed_begin(&o, &parser_tftp_data);
				o.in.want = INDICATOR_BIT(INDICATOR_FILE_SHA1);
				for (size_t k = 0; k < 6 && cases[i].datagram[k].n; k++)
					feed_datagram(&o, cases[i].datagram[k].side, cases[i].datagram[k].p,
						      k == which ? cut : cases[i].datagram[k].n);
				if (which == 6)
					o.verdict = INSPECT_MORE; /* the flow ends in any case */
				feed_close(&o);
				if (which == 6 && (strcmp(observed_text(&o), cases[i].want) != 0 ||
						   o.ledger.v[LEDGER_FILES_CUT] != cases[i].cut))
					fail_msg("%s: %s", cases[i].label, observed_text(&o));
				observed_end(&o);
			}
		}
	}
	/* Every digest, of what is read and written. */
	struct observed o;
	for (int side = 0; side < 2; side++) {
		observed_begin(&o, &parser_tftp_data);
		feed_datagram(&o, (enum side)side, BYTES("\0\3\0\1hello"));
		assert_string_equal(observed_text(&o), "file.md5 5d41402abc4b2a76b9719d911017c592\n"
						       "file.sha1 " HELLO_SHA1 "\nfile.sha256 " HELLO_SHA256 "\n");
		observed_end(&o);
	}
	/* Block numbers begin anew. */
	observed_begin(&o, &parser_tftp_data);
	o.in.want = INDICATOR_BIT(INDICATOR_FILE_SHA1);
	feed_datagram(&o, TO_CLIENT,
		      BYTES("\0\6blksize\0"
			    "1\0"));
	for (uint32_t block = 1; block < 65541; block++) {
		uint8_t data[5] = {0, 3, (uint8_t)(block >> 8), (uint8_t)block,
				   (uint8_t)(block > 65535 ? "hello"[block - 65536] : 'x')};
		feed_datagram(&o, TO_CLIENT, data, 5);
	}
	feed_datagram(&o, TO_CLIENT, BYTES("\0\3\0\5"));
	assert_int_equal(o.count, 1);
	assert_int_equal(o.verdict, INSPECT_DONE);
	observed_end(&o);
	/* Announced at the client's port; recognised by how a transfer begins. */
	observed_begin(&o, &parser_tftp);
	feed_datagram(&o, TO_SERVER, BYTES("\0\1a.txt\0octet\0"));
	assert_string_equal((const char *)o.expected.p, "192.0.2.1 40000 a.txt\n");
	observed_end(&o);
	static const struct {
		const void *p;
		size_t n;
		enum probe want;
	} probes[] = {
	    {BYTES("\0\3\0\1x"), PROBE_YES},
	    {BYTES("\0\4\0\0"), PROBE_YES},
	    {BYTES("\0\6blksize\0"
		   "8\0"),
	     PROBE_YES},
	    {BYTES("\0\3\0\2x"), PROBE_NO},
	    {BYTES("\0\4\0\1"), PROBE_NO},
	    {BYTES("\0\6blksize"), PROBE_NO},
	    {BYTES("\0\3\0"), PROBE_NO},
	    {BYTES("\0\4\0\0x"), PROBE_NO},
	};
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++)
		assert_int_equal(feed_probe(&parser_tftp_data, TO_CLIENT, probes[i].p, probes[i].n), probes[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),    cmocka_unit_test(test_passive), cmocka_unit_test(test_announced),
	    cmocka_unit_test(test_auth_tls), cmocka_unit_test(test_data),    cmocka_unit_test(test_line_limit),
	    cmocka_unit_test(test_probe),    cmocka_unit_test(test_tftp),    cmocka_unit_test(test_tftp_transfers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
