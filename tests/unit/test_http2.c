/* HTTP/2: conversations built frame by frame; header fields are literals without
 * indexing (RFC 7541 6.2.2), and some indexed, so that the tables are used. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sensor/parsers.h"
#include "tests/unit/observed.h"

#define HELLO_SHA1 "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"
#define PREFACE    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
/* An AUTHENTICATE with a name of the OEM character set. */
#define NTLM_ANN                                                                                                       \
	"TlRMTVNTUAADAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"                                                               \
	"AAAwADAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAGFubg=="
#define WANT (~(INDICATOR_BIT(INDICATOR_FILE_MD5) | INDICATOR_BIT(INDICATOR_FILE_SHA256)))

static void frame(struct buf *b, uint8_t type, uint8_t flags, uint32_t stream, const void *p, size_t n)
{
	buf_u8(b, (uint8_t)(n >> 16));
	buf_u16(b, (uint16_t)n);
	buf_u8(b, type);
	buf_u8(b, flags);
	buf_u32(b, stream);
	buf_add(b, p, n);
}

static void field(struct buf *b, uint8_t how, const char *name, const char *value)
{
	buf_u8(b, how); /* 0x00 not indexed, 0x40 put into the table */
	buf_u8(b, (uint8_t)strlen(name));
	buf_add(b, name, strlen(name));
	buf_u8(b, (uint8_t)strlen(value));
	buf_add(b, value, strlen(value));
}

static void request_block(struct buf *b)
{
	field(b, 0, ":method", "GET");
	field(b, 0, ":scheme", "http");
	field(b, 0x40, ":authority", "a.example:81");
	field(b, 0, ":path", "/x?y");
	field(b, 0, "user-agent", "ua");
}

static void client_bytes(struct buf *out)
{
	struct buf block = {0};
	buf_add(out, PREFACE, 24);
	frame(out, 4, 0, 0, "\0\1\0\0\x10\0\0\3\0\0\0\x64", 12);
	request_block(&block);
	struct buf padded = {0};
	buf_u8(&padded, 2);
	buf_add(&padded, "\0\0\0\0\x10", 5);
	buf_add(&padded, block.p, 10);
	buf_add(&padded, "\0\0", 2);
	frame(out, 1, 0x29, 1, padded.p, padded.n); /* END_STREAM, PADDED, PRIORITY */
	frame(out, 9, 0, 1, block.p + 10, 3);
	frame(out, 9, 0x4, 1, block.p + 13, block.n - 13);
	frame(out, 1, 0x4, 3, "\x00\x07:method\x04POST\x87\x84\xbe", 16 + 1); /* https "/" and the indexed authority */
	frame(out, 0, 0x8, 3, "\3he\0\0\0", 6);
	frame(out, 0, 0x1, 3, "llo", 3);
	buf_free(&block);
	buf_free(&padded);
}

static void server_bytes(struct buf *out)
{
	frame(out, 4, 0, 0, "", 0);
	frame(out, 4, 1, 0, "", 0);
	frame(out, 1, 0x4, 1,
	      "\x00\x07:status\x03"
	      "100",
	      13);
	frame(out, 1, 0x4, 1, "\x88", 1);
	frame(out, 0, 0, 1, "hello", 5);
	frame(out, 1, 0x5, 1, "\x00\x01t\x01v", 5); /* trailers */
	frame(out, 1, 0x5, 3, "\x88", 1);
}

#define SEEN                                                                                                           \
	"http.host a.example\nhttp.url http://a.example:81/x?y\nhttp.user_agent ua\n"                                  \
	"http.host a.example\nhttp.url https://a.example:81/\nfile.sha1 " HELLO_SHA1 "\nfile.sha1 " HELLO_SHA1 "\n"

static void expect(const struct message *m, size_t which, size_t first, bool all_bytes)
{
	struct observed o;
	observed_begin(&o, &parser_http2);
	o.in.want = WANT;
	feed_pieces(&o, m, 2, which, first, all_bytes);
	if (strcmp(observed_text(&o), SEEN) != 0)
		fail_msg("message %zu cut at %zu: %s", which, first, observed_text(&o));
	assert_string_equal(observed_app(&o), "hostname=a.example\nurl=/x?y\nhttp_user_agent=ua\nhttp_method=GET\n"
					      "protocol=HTTP/2\nstatus=200\nlength=5\n");
	observed_end(&o);
}

static void test_conversation(void **state)
{
	(void)state;
	struct buf c = {0}, s = {0};
	client_bytes(&c);
	server_bytes(&s);
	const struct message m[] = {{TO_SERVER, c.p, c.n}, {TO_CLIENT, s.p, s.n}};
	expect(m, 0, SIZE_MAX, false);
	expect(m, 0, 0, true);
	for (size_t k = 0; k < 2; k++)
		for (size_t at = 1; at < m[k].n; at++)
			expect(m, k, at, false);
	feed_every_prefix(&parser_http2, m, 2);
	assert_int_equal(feed_probe(&parser_http2, TO_SERVER, c.p, 24), PROBE_YES);
	assert_int_equal(feed_probe(&parser_http2, TO_SERVER, c.p, 23), PROBE_MORE);
	assert_int_equal(feed_probe(&parser_http2, TO_CLIENT, s.p, 9), PROBE_YES);
	assert_int_equal(feed_probe(&parser_http2, TO_CLIENT, BYTES("\0\0\0\1\0\0\0\0\0")), PROBE_NO);
	buf_free(&c);
	buf_free(&s);
}

/* Who logs in, what a response is to be kept as; by either side. */
static void test_logins_and_names(void **state)
{
	(void)state;
	struct buf block = {0}, c = {0}, s = {0};
	buf_add(&c, PREFACE, 24);
	frame(&c, 4, 0, 0, "", 0);
	request_block(&block);
	field(&block, 0, "authorization", "Basic YW5uOnB3");
	field(&block, 0, "proxy-authorization", "NTLM " NTLM_ANN);
	frame(&c, 1, 0x5, 1, block.p, block.n);
	block.n = 0;
	buf_add(&block, "\x88", 1);
	field(&block, 0, "content-disposition", "attachment; filename=e.exe");
	frame(&s, 4, 0, 0, "", 0);
	frame(&s, 1, 0x4, 1, block.p, block.n);
	frame(&s, 0, 1, 1, "hello", 5);
	const struct message m[] = {{TO_SERVER, c.p, c.n}, {TO_CLIENT, s.p, s.n}};
	const char *want = "http.host a.example\nhttp.url http://a.example:81/x?y\nhttp.user_agent ua\n"
			   "http.user ann\nntlm.user ann\nhttp.filename e.exe\n"
			   "file.md5 5d41402abc4b2a76b9719d911017c592\nfile.sha1 " HELLO_SHA1 "\n"
			   "file.sha256 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\n";
	feed_every_split(&parser_http2, m, 2, want);
	feed_every_prefix(&parser_http2, m, 2);
	feed_turned(&parser_http2, m, 2, want);
	buf_free(&block);
	buf_free(&c);
	buf_free(&s);
}

/* After "Upgrade: h2c" stream 1 was asked in HTTP/1. */
static void test_response_alone(void **state)
{
	(void)state;
	struct observed o;
	struct buf s = {0};
	server_bytes(&s);
	observed_begin(&o, &parser_http2);
	o.in.want = WANT;
	feed_stream(&o, TO_CLIENT, s.p, s.n);
	assert_string_equal(observed_text(&o), "file.sha1 " HELLO_SHA1 "\n");
	observed_end(&o);
	buf_free(&s);
}

static void test_streams_are_bounded(void **state)
{
	(void)state;
	struct observed o;
	observed_begin(&o, &parser_http2);
	feed_stream(&o, TO_SERVER, BYTES(PREFACE));
	for (uint32_t i = 0; i < 200; i++) {
		struct buf b = {0};
		frame(&b, 1, 0x4, 2 * i + 1, "\x82\x84\x86", 3);
		feed_stream(&o, TO_SERVER, b.p, b.n);
		buf_free(&b);
	}
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 200 - 128);
	observed_end(&o);
}

static void test_reset_cuts(void **state)
{
	(void)state;
	struct observed o;
	struct buf b = {0};
	observed_begin(&o, &parser_http2);
	o.in.want = WANT;
	frame(&b, 4, 0, 0, "", 0);
	frame(&b, 1, 0x4, 1, "\x88", 1);
	frame(&b, 0, 0, 1, "hel", 3);
	frame(&b, 3, 0, 1, "\0\0\0\0", 4);
	frame(&b, 0, 1, 1, "lo", 2);
	feed_stream(&o, TO_CLIENT, b.p, b.n);
	assert_string_equal(observed_text(&o), "");
	assert_int_equal(o.ledger.v[LEDGER_FILES_CUT], 1);
	observed_end(&o);
	buf_free(&b);
}

static void range(struct buf *b, uint32_t stream, const char *range, const char *data)
{
	struct buf block = {0};
	field(&block, 0, ":status", "206");
	field(&block, 0, "content-range", range);
	frame(b, 1, 0x4, stream, block.p, block.n);
	frame(b, 0, 1, stream, data, strlen(data));
	buf_free(&block);
}

/* Ranges that follow one another on streams of their own are one file; of two URLs they are not. */
static void test_ranges(void **state)
{
	(void)state;
	for (int other = 0; other < 2; other++) {
		struct observed o;
		struct buf c = {0}, s = {0};
		buf_add(&c, PREFACE, 24);
		for (uint32_t stream = 1; stream <= 5; stream += 2) {
			struct buf block = {0};
			field(&block, 0, ":method", "GET");
			field(&block, 0, ":path", other && stream == 3 ? "/b" : "/a");
			field(&block, 0, ":authority", "a");
			frame(&c, 1, 0x5, stream, block.p, block.n);
			buf_free(&block);
		}
		frame(&s, 4, 0, 0, "", 0);
		range(&s, 1, "bytes 0-1/5", "he");
		range(&s, 3, "bytes 1-3/5", "ell");
		range(&s, 5, "bytes 4-4/5", "o");
		observed_begin(&o, &parser_http2);
		o.in.want = INDICATOR_BIT(INDICATOR_FILE_SHA1);
		feed_stream(&o, TO_SERVER, c.p, c.n);
		feed_stream(&o, TO_CLIENT, s.p, s.n);
		feed_close(&o);
		assert_string_equal(observed_text(&o), other ? "" : "file.sha1 " HELLO_SHA1 "\n");
		assert_int_equal(o.ledger.v[LEDGER_FILES_CUT] > 0, other);
		observed_end(&o);
		const struct message m[] = {{TO_SERVER, c.p, c.n}, {TO_CLIENT, s.p, s.n}};
		feed_every_prefix(&parser_http2, m, 2);
		buf_free(&c);
		buf_free(&s);
	}
}

static void test_broken(void **state)
{
	(void)state;
	static const struct {
		uint8_t type, flags;
		const char *p;
		size_t n;
	} bad[] = {{9, 4, "\x88", 1}, {1, 0x8, "\5x", 2}, {1, 4, "\xff\xff\xff\xff\xff\xff", 6}, {1, 0x28, "ab", 2}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct observed o;
		struct buf b = {0};
		observed_begin(&o, &parser_http2);
		frame(&b, 4, 0, 0, "", 0);
		frame(&b, bad[i].type, bad[i].flags, 1, bad[i].p, bad[i].n);
		feed_stream(&o, TO_CLIENT, b.p, b.n);
		assert_int_equal(o.ledger.v[LEDGER_PARSER_ERROR], 1);
		observed_end(&o);
		buf_free(&b);
	}
}

static void test_gap_in_data(void **state)
{
	(void)state;
	struct observed o;
	struct buf b = {0};
	observed_begin(&o, &parser_http2);
	o.in.want = WANT;
	frame(&b, 4, 0, 0, "", 0);
	frame(&b, 1, 0x4, 1, "\x88", 1);
	frame(&b, 0, 1, 1, "hello world", 11);
	frame(&b, 1, 0x4, 3, "\x88", 1);
	frame(&b, 0, 1, 3, "hello", 5);
	size_t cut = 9 + 10 + 9 + 3;
	feed_stream(&o, TO_CLIENT, b.p, cut);
	feed_gap(&o, TO_CLIENT, 4);
	feed_stream(&o, TO_CLIENT, b.p + cut + 4, b.n - cut - 4);
	assert_string_equal(observed_text(&o), "file.sha1 " HELLO_SHA1 "\n");
	assert_int_equal(o.ledger.v[LEDGER_FILES_CUT], 1);
	observed_end(&o);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_conversation),   cmocka_unit_test(test_logins_and_names),
	    cmocka_unit_test(test_response_alone), cmocka_unit_test(test_streams_are_bounded),
	    cmocka_unit_test(test_reset_cuts),     cmocka_unit_test(test_ranges),
	    cmocka_unit_test(test_broken),         cmocka_unit_test(test_gap_in_data),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
