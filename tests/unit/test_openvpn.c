/* OpenVPN's control channel: TLS in its packets, in order, ahead of it, sent again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sensor/parsers.h"
#include "tests/unit/observed.h"
#include "tests/unit/tls_messages.h"

#define HELLO_LINES                                                                                                    \
	"tls.sni www.example.com\n"                                                                                    \
	"tls.ja3 c000e2caf3a25423f9de6c8a4b12a975\n"                                                                   \
	"tls.ja4 t13d1516h2_8daaf6152771_e5627efa2ab1\n"

enum { RESET_CLIENT = 7, RESET_SERVER = 8, CONTROL = 4, PIECE = 100, PACKETS = 16 };

static void put_head(struct buf *b, unsigned op, size_t hmac, unsigned acks, uint32_t number)
{
	buf_u8(b, (uint8_t)(op << 3));
	buf_add(b, "sesssion", 8);
	for (size_t i = 0; i < hmac; i++)
		buf_u8(b, 0xaa);
	if (hmac) {
		buf_u32(b, number + 1);
		buf_u32(b, 1700000000);
	}
	buf_u8(b, (uint8_t)acks);
	for (unsigned i = 0; i < acks; i++)
		buf_u32(b, i);
	if (acks)
		buf_add(b, "othersid", 8);
	buf_u32(b, number);
}

/* The ClientHello in a record, as a reset and packets of PIECE bytes; gives how many packets. */
static size_t make(struct buf packet[PACKETS], size_t hmac)
{
	struct buf body = {0}, stream = {0};
	size_t n = 1;
	put_client_hello(&body, &example_hello);
	buf_add(&stream, "\x16\3\1", 3);
	size_t record = open_length(&stream, 2);
	put_message(&stream, 1, body.p, body.n);
	close_length(&stream, record, 2);
	put_head(&packet[0], RESET_CLIENT, hmac, 0, 0);
	for (size_t at = 0; at < stream.n; at += PIECE, n++) {
		put_head(&packet[n], CONTROL, hmac, n == 1 ? 1 : 0, (uint32_t)n);
		buf_add(&packet[n], stream.p + at, stream.n - at < PIECE ? stream.n - at : PIECE);
	}
	buf_free(&body);
	buf_free(&stream);
	return n;
}

static void free_all(struct buf packet[PACKETS])
{
	for (size_t i = 0; i < PACKETS; i++)
		buf_free(&packet[i]);
}

static void give(struct observed *o, const struct buf *b)
{
	feed_datagram(o, TO_SERVER, b->p, b->n);
}

static void test_orders(void **state)
{
	static const size_t hmacs[] = {0, 16, 20, 32, 48, 64};
	(void)state;
	for (size_t k = 0; k < sizeof(hmacs) / sizeof(*hmacs); k++) {
		struct buf packet[PACKETS] = {{0}};
		struct observed o;
		size_t n = make(packet, hmacs[k]);
		assert_true(n > 3 && n <= 8);
		assert_int_equal(feed_probe(&parser_openvpn_udp, TO_SERVER, packet[0].p, packet[0].n), PROBE_YES);
		assert_int_equal(feed_probe(&parser_openvpn_udp, TO_SERVER, packet[1].p, packet[1].n), PROBE_NO);
		observed_begin(&o, &parser_openvpn_udp);
		for (size_t i = 0; i < n; i++) { /* in order, each twice */
			give(&o, &packet[i]);
			give(&o, &packet[i]);
		}
		assert_string_equal(observed_text(&o), HELLO_LINES);
		observed_end(&o);
		observed_begin(&o, &parser_openvpn_udp);
		give(&o, &packet[0]);
		for (size_t i = n; --i > 0;) /* backwards */
			give(&o, &packet[i]);
		assert_string_equal(observed_text(&o), HELLO_LINES);
		give(&o, &packet[0]); /* another session on the same ports */
		for (size_t i = 1; i < n; i++)
			give(&o, &packet[i]);
		assert_string_equal(observed_text(&o), HELLO_LINES HELLO_LINES);
		observed_end(&o);
		for (size_t i = 0; i < 2; i++)
			feed_every_cut(&parser_openvpn_udp, TO_SERVER, packet[i].p, packet[i].n);
		free_all(packet);
	}
}

static void test_over_tcp(void **state)
{
	struct buf packet[PACKETS] = {{0}}, all = {0};
	(void)state;
	size_t n = make(packet, 20);
	for (size_t i = 0; i < n; i++) {
		buf_u16(&all, (uint16_t)packet[i].n);
		buf_add(&all, packet[i].p, packet[i].n);
		buf_add(&all, "\0\5\x30xxxx", 7); /* data, which is stepped over */
	}
	struct message talk[] = {{TO_SERVER, all.p, all.n}};
	for (size_t cut = 0; cut <= 2 + packet[0].n; cut++)
		assert_int_equal(feed_probe(&parser_openvpn_tcp, TO_SERVER, all.p, cut),
				 cut < 2 + packet[0].n ? PROBE_MORE : PROBE_YES);
	feed_every_split(&parser_openvpn_tcp, talk, 1, HELLO_LINES);
	feed_every_prefix(&parser_openvpn_tcp, talk, 1);
	buf_free(&all);
	free_all(packet);
}

/* A server's answer is its own; what is no reset is nobody's. */
static void test_probe(void **state)
{
	struct buf b = {0};
	(void)state;
	put_head(&b, RESET_SERVER, 32, 1, 0);
	assert_int_equal(feed_probe(&parser_openvpn_udp, TO_CLIENT, b.p, b.n), PROBE_YES);
	buf_u8(&b, 0);
	assert_int_equal(feed_probe(&parser_openvpn_udp, TO_CLIENT, b.p, b.n), PROBE_NO);
	b.n = 0;
	put_head(&b, RESET_CLIENT, 0, 1, 0); /* nothing to acknowledge yet */
	assert_int_equal(feed_probe(&parser_openvpn_udp, TO_SERVER, b.p, b.n), PROBE_NO);
	b.n = 0;
	put_head(&b, RESET_CLIENT, 0, 0, 1);
	assert_int_equal(feed_probe(&parser_openvpn_udp, TO_SERVER, b.p, b.n), PROBE_NO);
	buf_free(&b);
}

static void test_limits(void **state)
{
	struct buf packet[PACKETS] = {{0}}, b = {0};
	struct observed o;
	(void)state;
	make(packet, 0);
	observed_begin(&o, &parser_openvpn_udp);
	give(&o, &packet[0]);
	put_head(&b, CONTROL, 0, 0, 8); /* seven ahead: waits */
	buf_u8(&b, 0x16);
	give(&o, &b);
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 0);
	b.n = 0;
	put_head(&b, CONTROL, 0, 0, 9);
	buf_u8(&b, 0x16);
	give(&o, &b);
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1);
	b.n = 0;
	put_head(&b, CONTROL, 0, 9, 1);
	give(&o, &b);
	assert_int_equal(o.ledger.v[LEDGER_PARSER_ERROR], 1);
	observed_end(&o);
	observed_begin(&o, &parser_openvpn_tcp); /* a packet that is too long to be one of the control channel */
	b.n = 0;
	buf_u16(&b, 4097);
	buf_u8(&b, CONTROL << 3);
	feed_stream(&o, TO_SERVER, b.p, b.n);
	assert_int_equal(o.verdict, INSPECT_ERROR);
	observed_end(&o);
	buf_free(&b);
	free_all(packet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_orders),
	    cmocka_unit_test(test_over_tcp),
	    cmocka_unit_test(test_probe),
	    cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
