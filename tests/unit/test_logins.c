/* Kerberos, LDAP and DCE/RPC: who logs in; every cut; what is not theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/observed.h"

#include "sensor/ber.h"
#include "sensor/parsers.h"

/* ---- BER ---- */

static void test_ber(void **s)
{
	(void)s;
	static const struct {
		const char *label;
		const void *p;
		size_t n, whole;
	} cases[] = {
	    {"short form", BYTES("\x04\x02hi"), 4},
	    {"long form", BYTES("\x04\x82\x01\x00"), 260},
	    {"four bytes", BYTES("\x04\x84\x00\x00\x00\x01"), 7},
	    {"five bytes", BYTES("\x04\x85\x00\x00\x00\x00\x01"), 0},
	    {"indefinite", BYTES("\x30\x80"), 0},
	    {"cut", BYTES("\x04\x82\x01"), 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (ber_whole(cases[i].p, cases[i].n) != cases[i].whole)
			fail_msg("%s: %zu", cases[i].label, ber_whole(cases[i].p, cases[i].n));
	static const struct {
		const char *label;
		const void *p;
		size_t n;
		uint32_t value;
		bool good;
	} numbers[] = {
	    {"one byte", BYTES("\x02\x01\x05"), 5, true},    {"two", BYTES("\x02\x02\x01\x00"), 256, true},
	    {"negative", BYTES("\x02\x01\xff"), 0, false},   {"none", BYTES("\x02\x00"), 0, false},
	    {"five", BYTES("\x02\x05\0\0\0\0\1"), 0, false}, {"another tag", BYTES("\x04\x01\x05"), 0, false},
	};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct cursor c = cursor_over(numbers[i].p, numbers[i].n);
		uint32_t v = ber_number(&c, BER_INTEGER);
		if (cursor_ok(&c) != numbers[i].good || (numbers[i].good && v != numbers[i].value))
			fail_msg("%s", numbers[i].label);
	}
}

/* ---- Kerberos ---- */

/* Appends tag, a two-byte length and what body holds from `from` on. */
static void wrap(struct buf *b, uint8_t tag)
{
	struct buf old = *b;
	*b = (struct buf){0};
	buf_u8(b, tag);
	buf_u8(b, 0x82);
	buf_u16(b, (uint16_t)old.n);
	if (old.n)
		buf_add(b, old.p, old.n);
	buf_free(&old);
}

static void field(struct buf *b, uint8_t number, const void *p, size_t n)
{
	buf_u8(b, 0xa0 | number);
	buf_u8(b, (uint8_t)n);
	buf_add(b, p, n);
}

#define NAME_ANN                                                                                                       \
	"\x30\x0e\xa0\x03\x02\x01\x01\xa1\x07\x30\x05\x1b\x03"                                                         \
	"ann"
#define NAME_TWO                                                                                                       \
	"\x30\x12\xa0\x03\x02\x01\x01\xa1\x0b\x30\x09\x1b\x03"                                                         \
	"ann"                                                                                                          \
	"\x1b\x02"                                                                                                     \
	"pc"

static struct buf as_req(void)
{
	struct buf body = {0}, b = {0};
	field(&body, 0, "\x03\x01\x00", 3);
	field(&body, 1, NAME_TWO, sizeof(NAME_TWO) - 1);
	field(&body, 2, "\x1b\x01R", 3);
	wrap(&body, 0x30);
	wrap(&body, 0xa4);
	field(&b, 1, "\x02\x01\x05", 3);
	field(&b, 2, "\x02\x01\x0a", 3);
	buf_add(&b, body.p, body.n);
	buf_free(&body);
	wrap(&b, 0x30);
	wrap(&b, 0x6a);
	return b;
}

static struct buf as_rep(void)
{
	struct buf b = {0};
	field(&b, 0, "\x02\x01\x05", 3);
	field(&b, 1, "\x02\x01\x0b", 3);
	field(&b, 3, "\x1b\x01R", 3);
	field(&b, 4, NAME_ANN, sizeof(NAME_ANN) - 1);
	wrap(&b, 0x30);
	wrap(&b, 0x6b);
	return b;
}

static struct buf krb_error(void)
{
	struct buf b = {0};
	field(&b, 0, "\x02\x01\x05", 3);
	field(&b, 1, "\x02\x01\x1e", 3);
	field(&b, 7, "\x1b\x01R", 3);
	field(&b, 8, NAME_ANN, sizeof(NAME_ANN) - 1);
	wrap(&b, 0x30);
	wrap(&b, 0x7e);
	return b;
}

static void expect_krb5(struct buf b, enum probe probe, const char *want)
{
	struct observed o;
	observed_begin(&o, &parser_krb5_udp);
	assert_int_equal(feed_probe(&parser_krb5_udp, TO_SERVER, b.p, b.n), probe);
	if (probe == PROBE_YES)
		feed_datagram(&o, TO_SERVER, b.p, b.n);
	assert_string_equal(observed_text(&o), want);
	observed_end(&o);
	feed_every_cut(&parser_krb5_udp, TO_SERVER, b.p, b.n);
	for (size_t n = 1; n < b.n; n++)
		assert_int_equal(feed_probe(&parser_krb5_udp, TO_SERVER, b.p, n), PROBE_NO);
	buf_free(&b);
}

static void test_krb5_udp(void **s)
{
	(void)s;
	expect_krb5(as_req(), PROBE_YES, "krb5.cname ann/pc\n");
	expect_krb5(as_rep(), PROBE_YES, "krb5.cname ann\n");
	expect_krb5(krb_error(), PROBE_YES, "krb5.cname ann\n");
	struct buf b = as_rep();
	b.p[0] = 0x69;
	expect_krb5(b, PROBE_NO, "");
	b = as_rep();
	b.p[12] = 4; /* version */
	expect_krb5(b, PROBE_NO, "");
}

static struct buf framed(struct buf b)
{
	struct buf f = {0};
	buf_u32(&f, (uint32_t)b.n);
	buf_add(&f, b.p, b.n);
	buf_free(&b);
	return f;
}

static void test_krb5_tcp(void **s)
{
	(void)s;
	struct buf req = framed(as_req()), rep = framed(as_rep());
	const struct message talk[] = {{TO_SERVER, req.p, req.n}, {TO_CLIENT, rep.p, rep.n}, {TO_SERVER, req.p, req.n}};
	const char *want = "krb5.cname ann/pc\nkrb5.cname ann\nkrb5.cname ann/pc\n";
	feed_every_split(&parser_krb5_tcp, talk, 3, want);
	feed_every_prefix(&parser_krb5_tcp, talk, 3);
	for (size_t n = 1; n < req.n; n++)
		assert_int_equal(feed_probe(&parser_krb5_tcp, TO_SERVER, req.p, n), n < 17 ? PROBE_MORE : PROBE_YES);
	assert_int_equal(feed_probe(&parser_krb5_tcp, TO_CLIENT, rep.p, rep.n), PROBE_YES);
	buf_free(&req);
	buf_free(&rep);

	/* Too long a message is counted and stepped over. */
	struct observed o;
	uint8_t junk[4096] = {0};
	observed_begin(&o, &parser_krb5_tcp);
	feed_stream(&o, TO_SERVER, "\0\2\0\0", 4);
	for (int i = 0; i < 32; i++)
		feed_stream(&o, TO_SERVER, junk, sizeof(junk));
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1);
	struct buf b = framed(as_rep());
	feed_stream(&o, TO_SERVER, b.p, b.n);
	assert_string_equal(observed_text(&o), "krb5.cname ann\n");
	assert_int_equal(feed_stream(&o, TO_SERVER, "\x80\0\0\0", 4), INSPECT_ERROR);
	buf_free(&b);
	observed_end(&o);
}

static void test_krb5_limits(void **s)
{
	(void)s;
	for (size_t parts = 16; parts <= 17; parts++) {
		struct buf list = {0}, b = {0};
		struct observed o;
		for (size_t i = 0; i < parts; i++)
			buf_add(&list, "\x1b\1x", 3);
		wrap(&list, 0x30);
		wrap(&list, 0xa1);
		wrap(&list, 0x30);
		wrap(&list, 0xa4);
		field(&b, 0, "\x02\x01\x05", 3);
		buf_add(&b, list.p, list.n);
		wrap(&b, 0x30);
		wrap(&b, 0x6b);
		observed_begin(&o, &parser_krb5_udp);
		feed_datagram(&o, TO_CLIENT, b.p, b.n);
		assert_int_equal(o.count, parts == 16);
		assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], parts == 17);
		observed_end(&o);
		buf_free(&list);
		buf_free(&b);
	}
}

/* ---- LDAP ---- */

#define SIMPLE                                                                                                         \
	"\x30\x16\x02\x01\x01\x60\x11\x02\x01\x03\x04\x05"                                                             \
	"cn=me"                                                                                                        \
	"\x80\x05secre"
#define ANONYMOUS   "\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"
#define BIND_ANSWER "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"
#define STARTTLS                                                                                                       \
	"\x30\x1d\x02\x01\x02\x77\x18\x80\x16"                                                                         \
	"1.3.6.1.4.1.1466.20037"
#define ACCEPTED "\x30\x0c\x02\x01\x02\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
#define REFUSED  "\x30\x0c\x02\x01\x02\x78\x07\x0a\x01\x34\x04\x00\x04\x00"
#define SEARCH                                                                                                         \
	"\x30\x25\x02\x01\x01\x63\x20\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00\x87\x0b"     \
	"objectclass"                                                                                                  \
	"\x30\x00"

static void test_ldap(void **s)
{
	(void)s;
	const struct message talk[] = {
	    {TO_SERVER, BYTES(SEARCH SIMPLE)}, {TO_CLIENT, BYTES(BIND_ANSWER)}, {TO_SERVER, BYTES(SEARCH ANONYMOUS)}};
	feed_every_split(&parser_ldap, talk, 3, "login.user cn=me\n");
	feed_turned(&parser_ldap, talk, 3, "login.user cn=me\n");
	feed_every_prefix(&parser_ldap, talk, 3);
}

static void test_ldap_ntlm(void **s)
{
	(void)s;
	struct buf b = {0};
	buf_add(&b, "NTLMSSP\0\3\0\0\0", 12);
	for (int i = 0; i < 24; i++)
		buf_u8(&b, 0);
	buf_add(&b, "\6\0\6\0\x40\0\0\0", 8);
	for (int i = 0; i < 16; i++)
		buf_u8(&b, 0);
	buf_add(&b, "\1\0\0\0a\0n\0n\0", 10);
	wrap(&b, 0x04);
	struct buf auth = {0};
	buf_add(&auth, "\x04\x0aGSS-SPNEGO", 12);
	buf_add(&auth, b.p, b.n);
	wrap(&auth, 0xa3);
	b.n = 0;
	buf_add(&b, "\x02\x01\x03\x04\x00", 5);
	buf_add(&b, auth.p, auth.n);
	wrap(&b, 0x60);
	auth.n = 0;
	buf_add(&auth, "\x02\x01\x07", 3);
	buf_add(&auth, b.p, b.n);
	wrap(&auth, 0x30);
	const struct message talk[] = {{TO_SERVER, auth.p, auth.n}};
	feed_every_split(&parser_ldap, talk, 1, "ntlm.user ann\n");
	feed_turned(&parser_ldap, talk, 1, "ntlm.user ann\n");
	feed_every_prefix(&parser_ldap, talk, 1);

	/* Sealed records follow. */
	struct observed o;
	observed_begin(&o, &parser_ldap);
	feed_stream(&o, TO_SERVER, auth.p, auth.n);
	assert_int_equal(feed_stream(&o, TO_SERVER, "\0\0\0\x40", 4), INSPECT_DONE);
	observed_end(&o);
	buf_free(&b);
	buf_free(&auth);
}

static void test_ldap_starttls(void **s)
{
	(void)s;
	struct observed o;
	observed_begin(&o, &parser_ldap);
	feed_stream(&o, TO_SERVER, BYTES(STARTTLS));
	assert_int_equal(feed_stream(&o, TO_CLIENT, BYTES(REFUSED)), INSPECT_MORE);
	assert_int_equal(feed_stream(&o, TO_CLIENT, BYTES(ACCEPTED)), INSPECT_MORE);
	feed_stream(&o, TO_SERVER, BYTES(STARTTLS));
	assert_int_equal(feed_stream(&o, TO_CLIENT, BYTES(ACCEPTED "\x16\x03")), INSPECT_AGAIN);
	assert_int_equal(o.used, sizeof(ACCEPTED) - 1);
	observed_end(&o);
	observed_begin(&o, &parser_ldap); /* the server's packet was the first that was seen */
	feed_stream(&o, TO_CLIENT, BYTES(STARTTLS));
	assert_int_equal(feed_stream(&o, TO_SERVER, BYTES(ACCEPTED)), INSPECT_AGAIN);
	observed_end(&o);
}

static void test_ldap_probe(void **s)
{
	(void)s;
	static const struct {
		const char *label;
		const void *p;
		size_t n;
		enum probe want;
	} cases[] = {
	    {"simple bind", BYTES(SIMPLE), PROBE_YES},
	    {"answer", BYTES(BIND_ANSWER), PROBE_YES},
	    {"search", BYTES(SEARCH), PROBE_YES},
	    {"StartTLS", BYTES(STARTTLS), PROBE_YES},
	    {"cut", BYTES("\x30\x16\x02\x01\x01\x60"), PROBE_MORE},
	    {"version 4", BYTES("\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x04\x04\x00\x80\x00"), PROBE_NO},
	    {"inner longer than outer", BYTES("\x30\x0c\x02\x01\x01\x60\x08\x02\x01\x03\x04\x00\x80\x00"), PROBE_NO},
	    {"message 0", BYTES("\x30\x0c\x02\x01\x00\x60\x07\x02\x01\x03\x04\x00\x80\x00"), PROBE_NO},
	    {"SNMP", BYTES("\x30\x29\x02\x01\x01\x04\x06public\xa0\x1c\x02\x04"), PROBE_NO},
	    {"text", BYTES("0123456789abcdefghijk"), PROBE_NO},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (feed_probe(&parser_ldap, TO_SERVER, cases[i].p, cases[i].n) != cases[i].want)
			fail_msg("%s", cases[i].label);
}

/* ---- DCE/RPC ---- */

/* An AUTHENTICATE of NTLM with a name of the OEM character set. */
#define NTLM_ANN                                                                                                       \
	"NTLMSSP\0\3\0\0\0"                                                                                            \
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"                                                             \
	"\3\0\3\0\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0ann"

static void fragment(struct buf *b, uint8_t type, uint8_t flags, bool little, size_t body, const void *token, size_t n)
{
	size_t length = 16 + body + (n ? 8 + n : 0);
	buf_add(b, "\5\0", 2);
	buf_u8(b, type);
	buf_u8(b, flags);
	buf_add(b, little ? "\x10\0\0\0" : "\0\0\0\0", 4);
	for (int i = 0; i < 2; i++) {
		uint16_t v = (uint16_t)(i ? n : length);
		buf_u16(b, little ? (uint16_t)(v << 8 | v >> 8) : v);
	}
	buf_add(b, "\1\0\0\0", 4);
	for (size_t i = 0; i < body; i++)
		buf_u8(b, 0x77);
	if (n) {
		buf_add(b, "\x0a\5\0\0\0\0\0\0", 8);
		buf_add(b, token, n);
	}
}

static void pdu(struct buf *b, uint8_t type, bool little, size_t body, const void *token, size_t n)
{
	fragment(b, type, 3, little, body, token, n);
}

static void test_dcerpc(void **s)
{
	(void)s;
	struct buf there = {0}, back = {0};
	pdu(&there, 11, true, 56, NTLM_ANN, 12); /* the token's beginning only */
	pdu(&there, 16, true, 4, BYTES(NTLM_ANN));
	pdu(&there, 0, true, 40, BYTES(NTLM_ANN)); /* a call: stepped over */
	pdu(&there, 14, false, 30, BYTES("sp" NTLM_ANN "nego"));
	pdu(&there, 11, true, 20, NULL, 0);
	pdu(&back, 12, true, 40, BYTES("NTLMSSP\0\2\0\0\0"));
	const struct message talk[] = {{TO_SERVER, there.p, there.n}, {TO_CLIENT, back.p, back.n}};
	feed_every_split(&parser_dcerpc, talk, 2, "ntlm.user ann\nntlm.user ann\n");
	feed_every_prefix(&parser_dcerpc, talk, 2);
	assert_int_equal(feed_probe(&parser_dcerpc, TO_SERVER, there.p, 15), PROBE_MORE);
	assert_int_equal(feed_probe(&parser_dcerpc, TO_SERVER, there.p, 16), PROBE_YES);
	static const struct {
		size_t at;
		uint8_t value;
	} wrong[] = {{0, 4}, {1, 2}, {2, 20}, {4, 0x20}, {4, 0x12}, {5, 4}, {6, 1}, {9, 0xff}, {8, 5}};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint8_t header[16];
		memcpy(header, there.p, 16);
		header[10] = 4;
		header[11] = 0;
		header[9] = 0;
		header[wrong[i].at] = wrong[i].value;
		if (wrong[i].at == 9)
			header[11] = 0xff, header[10] = 0xff;
		if (feed_probe(&parser_dcerpc, TO_SERVER, header, 16) != PROBE_NO)
			fail_msg("byte %zu", wrong[i].at);
	}
	buf_free(&there);
	buf_free(&back);
}

/* A token over fragments, on either side; a first fragment begins anew; what nothing ends is not whole. */
static void test_dcerpc_fragments(void **s)
{
	(void)s;
	static const char ann[] = NTLM_ANN;
	enum { N = sizeof(ann) - 1 };
	for (size_t cut = 1; cut < N; cut++) {
		struct buf b = {0};
		fragment(&b, 11, 1, true, 8, ann, cut);
		fragment(&b, 0, 3, true, 8, BYTES("signature"));
		fragment(&b, 11, 0, cut % 2, 0, "", 0);
		fragment(&b, 11, 2, cut % 2, 8, ann + cut, N - cut);
		const struct message there[] = {{TO_SERVER, b.p, b.n}}, back[] = {{TO_CLIENT, b.p, b.n}};
		feed_expect(&parser_dcerpc, there, 1, 0, SIZE_MAX, false, "ntlm.user ann\n");
		feed_expect(&parser_dcerpc, back, 1, 0, 1, true, "ntlm.user ann\n");
		if (cut == 20) {
			feed_every_split(&parser_dcerpc, there, 1, "ntlm.user ann\n");
			feed_every_prefix(&parser_dcerpc, there, 1);
		}
		buf_free(&b);
	}
	struct buf b = {0};
	fragment(&b, 16, 1, true, 4, ann, 30);
	fragment(&b, 16, 1, true, 4, ann, 30); /* again */
	fragment(&b, 16, 0, true, 4, ann + 30, 20);
	fragment(&b, 16, 2, true, 4, ann + 50, N - 50);
	fragment(&b, 16, 0, true, 4, ann, N); /* whole, whatever its flags are */
	const struct message talk[] = {{TO_SERVER, b.p, b.n}};
	feed_every_split(&parser_dcerpc, talk, 1, "ntlm.user ann\nntlm.user ann\n");
	b.n = 0;
	fragment(&b, 16, 1, true, 4, ann, 30);
	fragment(&b, 16, 0, true, 4, ann + 30, N - 30);
	const struct message open[] = {{TO_SERVER, b.p, b.n}};
	feed_every_split(&parser_dcerpc, open, 1, "");
	buf_free(&b);
}

/* As much of a token is joined as one PDU may have. */
static void test_dcerpc_token_limit(void **s)
{
	(void)s;
	for (size_t over = 0; over < 2; over++) {
		struct observed o;
		struct buf b = {0}, token = {0};
		for (size_t i = 0; i < 16384 - (sizeof(NTLM_ANN) - 1) + over; i++)
			buf_u8(&token, 0);
		buf_add(&token, NTLM_ANN, sizeof(NTLM_ANN) - 1);
		fragment(&b, 16, 1, true, 0, token.p, 16000);
		fragment(&b, 16, 0, true, 0, token.p + 16000, 350);
		fragment(&b, 16, 2, true, 0, token.p + 16350, token.n - 16350);
		fragment(&b, 16, 3, true, 0, BYTES(NTLM_ANN));
		observed_begin(&o, &parser_dcerpc);
		feed_stream(&o, TO_SERVER, b.p, b.n);
		assert_int_equal(o.count, over ? 1 : 2);
		assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], over);
		observed_end(&o);
		buf_free(&b);
		buf_free(&token);
	}
}

/* A token in a PDU that is longer than what is held is counted and left out. */
static void test_dcerpc_limit(void **s)
{
	(void)s;
	struct observed o;
	struct buf b = {0};
	pdu(&b, 16, true, 16384, BYTES(NTLM_ANN));
	pdu(&b, 16, true, 0, BYTES(NTLM_ANN));
	observed_begin(&o, &parser_dcerpc);
	feed_stream(&o, TO_SERVER, b.p, b.n);
	assert_string_equal(observed_text(&o), "ntlm.user ann\n");
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1);
	observed_end(&o);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ber),
	    cmocka_unit_test(test_dcerpc),
	    cmocka_unit_test(test_dcerpc_limit),
	    cmocka_unit_test(test_krb5_udp),
	    cmocka_unit_test(test_krb5_tcp),
	    cmocka_unit_test(test_krb5_limits),
	    cmocka_unit_test(test_ldap),
	    cmocka_unit_test(test_ldap_ntlm),
	    cmocka_unit_test(test_ldap_starttls),
	    cmocka_unit_test(test_ldap_probe),
	    cmocka_unit_test(test_dcerpc_fragments),
	    cmocka_unit_test(test_dcerpc_token_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
