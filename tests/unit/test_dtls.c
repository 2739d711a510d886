/* DTLS handshakes by hand: fragments in any order, cookies, repetitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sensor/parsers.h"
#include "sensor/tls_hello.h"
#include "tests/unit/observed.h"
#include "tests/unit/tls_messages.h"

static void put_fragment(struct buf *b, uint8_t type, uint16_t number, const struct buf *body, size_t offset, size_t n)
{
	buf_u8(b, 22);
	buf_u16(b, 0xfefd);
	buf_u16(b, 0);
	buf_add(b, "\0\0\0\0\0\1", 6);
	buf_u16(b, (uint16_t)(12 + n));
	buf_u8(b, type);
	buf_u8(b, 0);
	buf_u16(b, (uint16_t)body->n);
	buf_u16(b, number);
	buf_u8(b, 0);
	buf_u16(b, (uint16_t)offset);
	buf_u8(b, 0);
	buf_u16(b, (uint16_t)n);
	buf_add(b, body->p + offset, n);
}

static void put_whole(struct buf *b, uint8_t type, uint16_t number, const struct buf *body)
{
	put_fragment(b, type, number, body, 0, body->n);
}

static void put_hello_body(struct buf *b, size_t cookie_n)
{
	struct hello h = example_hello;
	h.version = 0xfefd;
	h.versions = NULL;
	h.extensions = (const uint16_t[]){1, 10, 11, 13, 0};
	h.dtls = true;
	h.cookie_n = cookie_n;
	put_client_hello(b, &h);
}

static const char encrypted[] = "\x16\xfe\xfd\0\1\0\0\0\0\0\0\0\4abcd";

/* 65277,4865-…,0-10-11-13,29-23-24,0 and its JA4, computed apart. */
#define HELLO_LINES                                                                                                    \
	"tls.sni www.example.com\n"                                                                                    \
	"tls.ja3 d35b7293a066be0a07003cf9425b1bd5\n"                                                                   \
	"tls.ja4 dd2d150400_8daaf6152771_e29762d6ed17\n"

static void hello_is_reported_once(void **state)
{
	struct buf plain = {0}, cookie = {0}, first = {0}, verify = {0}, second = {0};
	struct buf verify_body = {0};
	struct observed o;
	(void)state;
	put_hello_body(&plain, 0);
	put_hello_body(&cookie, 20);
	buf_add(&verify_body, "\xfe\xff\4abcd", 7);
	put_whole(&first, 1, 0, &plain);
	put_whole(&verify, 3, 0, &verify_body);
	put_whole(&second, 1, 1, &cookie);
	assert_int_equal(feed_probe(&parser_dtls, TO_SERVER, first.p, first.n), PROBE_YES);
	assert_int_equal(feed_probe(&parser_dtls, TO_CLIENT, verify.p, verify.n), PROBE_YES);
	observed_begin(&o, &parser_dtls);
	feed_datagram(&o, TO_SERVER, first.p, first.n);
	feed_datagram(&o, TO_CLIENT, verify.p, verify.n);
	feed_datagram(&o, TO_SERVER, second.p, second.n);
	assert_string_equal(observed_text(&o), HELLO_LINES);
	observed_end(&o);
	observed_begin(&o, &parser_dtls);
	feed_datagram(&o, TO_CLIENT, first.p, first.n);
	assert_string_equal(observed_text(&o), HELLO_LINES);
	observed_end(&o);
	feed_every_cut(&parser_dtls, TO_SERVER, first.p, first.n);
	struct buf *all[] = {&plain, &cookie, &first, &verify, &second, &verify_body};
	for (size_t i = 0; i < 6; i++)
		buf_free(all[i]);
}

/* The chain in fragments of 200 bytes: forwards, backwards, every one twice; of a server, or of a client. */
static void fragments_in_any_order(void **state)
{
	struct buf chain = {0};
	(void)state;
	put_chain(&chain);
	size_t count = (chain.n + 199) / 200;
	for (int order = 0; order < 6; order++) {
		struct observed o;
		observed_begin(&o, &parser_dtls);
		for (size_t i = 0; i < count * 2; i++) {
			size_t at = (order % 3 == 0   ? i % count
				     : order % 3 == 1 ? count - 1 - i % count
						      : (i * 2 + i / count) % count) *
				    200;
			struct buf b = {0};
			put_fragment(&b, 11, 2, &chain, at, chain.n - at < 200 ? chain.n - at : 200);
			feed_datagram(&o, order < 3 ? TO_CLIENT : TO_SERVER, b.p, b.n);
			buf_free(&b);
		}
		assert_string_equal(observed_text(&o), EXAMPLE_CHAIN_LINES);
		observed_end(&o);
	}
	buf_free(&chain);
}

static void encrypted_both_ways_is_done(void **state)
{
	struct buf hello = {0}, b = {0};
	struct observed o;
	(void)state;
	put_server_hello(&hello, 0xfefd, 0xc02b, (const uint16_t[]){0xff01, 0});
	put_whole(&b, 2, 1, &hello);
	for (int side = 0; side < 2; side++) {
		observed_begin(&o, &parser_dtls);
		assert_int_equal(feed_datagram(&o, (enum side)side, b.p, b.n), INSPECT_MORE);
		assert_string_equal(observed_text(&o), "tls.ja3s 475463012414e4f7120fa2ab37109e8f\n");
		if (side == TO_SERVER)
			observed_end(&o);
	}
	assert_int_equal(feed_datagram(&o, TO_SERVER,
				       BYTES("\0\1\0\0\x21\x12\xa4\x42"
					     "STUN between")),
			 INSPECT_MORE);
	assert_int_equal(feed_datagram(&o, TO_SERVER, BYTES(encrypted)), INSPECT_MORE);
	assert_int_equal(feed_datagram(&o, TO_CLIENT, BYTES(encrypted)), INSPECT_DONE);
	observed_end(&o);
	buf_free(&hello);
	buf_free(&b);
}

/* The size in the header is a claim of 16 MiB: refused, counted, nothing kept. */
static void size_is_limited(void **state)
{
	static const char huge[] = "\x16\xfe\xfd\0\0\0\0\0\0\0\1\0\x10\x0b\x01\0\1\0\0\0\0\0\0\0\4abcd";
	struct observed o;
	(void)state;
	observed_begin(&o, &parser_dtls);
	feed_datagram(&o, TO_CLIENT, huge, sizeof(huge) - 1);
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1);
	observed_end(&o);
	assert_int_equal(feed_probe(&parser_dtls, TO_CLIENT, huge, sizeof(huge) - 1), PROBE_NO);
	assert_int_equal(feed_probe(&parser_dtls, TO_CLIENT, encrypted, sizeof(encrypted) - 1), PROBE_NO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hello_is_reported_once),
	    cmocka_unit_test(fragments_in_any_order),
	    cmocka_unit_test(encrypted_both_ways_is_done),
	    cmocka_unit_test(size_is_limited),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
