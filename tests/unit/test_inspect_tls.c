/* TLS handshakes by hand, cut in every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sensor/parsers.h"
#include "sensor/tls_hello.h"
#include "tests/unit/observed.h"
#include "tests/unit/tls_messages.h"

#define CLIENT_LINES                                                                                                   \
	"tls.sni www.example.com\n"                                                                                    \
	"tls.ja3 c000e2caf3a25423f9de6c8a4b12a975\n"                                                                   \
	"tls.ja4 t13d1516h2_8daaf6152771_e5627efa2ab1\n"
#define SERVER_LINES     "tls.ja3s 7f1f931f617cb8d738a09ef1a3a81922\n" /* 771,49195,43-65281 */
#define SERVER_LINES_1_3 "tls.ja3s eb1d94daa7e0344597e756a1fb6e7054\n" /* 771,4865,51-43 */

static const char encrypted[] = "\x14\x03\x03\0\1\1\x16\x03\x03\0\x20"
				"qwertyuiopasdfghjklzxcvbnmqwerty";
static const char data_record[] = "\x17\x03\x03\0\x05hello";

static void client_message(struct buf *b)
{
	struct buf body = {0};
	put_client_hello(&body, &example_hello);
	put_message(b, TLS_CLIENT_HELLO, body.p, body.n);
	buf_free(&body);
}

static void server_message(struct buf *b, uint16_t cipher, const uint16_t *extensions)
{
	struct buf body = {0};
	put_server_hello(&body, 0x0303, cipher, extensions);
	put_message(b, TLS_SERVER_HELLO, body.p, body.n);
	buf_free(&body);
}

static void chain_message(struct buf *b)
{
	struct buf body = {0};
	put_chain(&body);
	put_message(b, TLS_CERTIFICATE, body.p, body.n);
	buf_free(&body);
}

/* A full TLS 1.2 handshake, records of at most `piece` bytes. */
struct talk {
	struct buf client, server, client_end, server_end;
	struct message message[4];
};

static void talk_1_2(struct talk *t, size_t piece)
{
	struct buf flight = {0};
	*t = (struct talk){0};
	client_message(&flight);
	put_records(&t->client, 22, flight.p, flight.n, piece);
	flight.n = 0;
	server_message(&flight, 0xc02b, (const uint16_t[]){43, 0xff01, 0});
	chain_message(&flight);
	put_message(&flight, 14, "", 0);
	put_records(&t->server, 22, flight.p, flight.n, piece);
	flight.n = 0;
	put_message(&flight, 16, "12345678901234567890", 20);
	put_records(&t->client_end, 22, flight.p, flight.n, piece);
	buf_add(&t->client_end, encrypted, sizeof(encrypted) - 1);
	buf_add(&t->server_end, encrypted, sizeof(encrypted) - 1);
	buf_free(&flight);
	t->message[0] = (struct message){TO_SERVER, t->client.p, t->client.n};
	t->message[1] = (struct message){TO_CLIENT, t->server.p, t->server.n};
	t->message[2] = (struct message){TO_SERVER, t->client_end.p, t->client_end.n};
	t->message[3] = (struct message){TO_CLIENT, t->server_end.p, t->server_end.n};
}

static void talk_free(struct talk *t)
{
	buf_free(&t->client);
	buf_free(&t->server);
	buf_free(&t->client_end);
	buf_free(&t->server_end);
}

static void whole_handshake_however_cut(void **state)
{
	struct talk t;
	(void)state;
	talk_1_2(&t, 16384);
	feed_every_split(&parser_tls, t.message, 4, CLIENT_LINES SERVER_LINES EXAMPLE_CHAIN_LINES);
	feed_every_prefix(&parser_tls, t.message, 4);
	feed_turned(&parser_tls, t.message, 4, CLIENT_LINES SERVER_LINES EXAMPLE_CHAIN_LINES);
	talk_free(&t);
}

/* A client that has a certificate, too. */
static void client_certificate(void **state)
{
	struct talk t;
	struct buf flight = {0}, records = {0};
	(void)state;
	talk_1_2(&t, 16384);
	chain_message(&flight);
	put_records(&records, 22, flight.p, flight.n, 500);
	buf_add(&records, t.client_end.p, t.client_end.n);
	t.message[2].p = records.p;
	t.message[2].n = records.n;
	feed_every_split(&parser_tls, t.message, 4, CLIENT_LINES SERVER_LINES EXAMPLE_CHAIN_LINES EXAMPLE_CHAIN_LINES);
	buf_free(&flight);
	buf_free(&records);
	talk_free(&t);
}

static void messages_over_small_records(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 90; piece += 11) {
		struct talk t;
		talk_1_2(&t, piece);
		feed_expect(&parser_tls, t.message, 4, 0, SIZE_MAX, false,
			    CLIENT_LINES SERVER_LINES EXAMPLE_CHAIN_LINES);
		feed_expect(&parser_tls, t.message, 4, 0, 1, true, CLIENT_LINES SERVER_LINES EXAMPLE_CHAIN_LINES);
		assert_int_equal(feed_probe(&parser_tls, TO_SERVER, t.client.p, t.client.n), PROBE_YES);
		talk_free(&t);
	}
}

static void both_encrypted_is_done(void **state)
{
	struct talk t;
	struct observed o;
	(void)state;
	talk_1_2(&t, 16384);
	observed_begin(&o, &parser_tls);
	for (int i = 0; i < 3; i++)
		assert_int_equal(feed_stream(&o, t.message[i].side, t.message[i].p, t.message[i].n), INSPECT_MORE);
	assert_int_equal(feed_stream(&o, TO_CLIENT, t.message[3].p, t.message[3].n), INSPECT_DONE);
	assert_int_equal(o.ledger.v[LEDGER_PARSER_ERROR], 0);
	observed_end(&o);
	talk_free(&t);
}

/* HelloRetryRequest, the middlebox CCS, a second ClientHello: all are reported. */
static void second_hello_behind_a_ccs(void **state)
{
	static const char ccs[] = "\x14\x03\x03\0\1\1";
	struct buf hello = {0}, client = {0}, retry = {0}, server = {0}, flight = {0};
	(void)state;
	client_message(&flight);
	put_records(&hello, 22, flight.p, flight.n, 16384);
	buf_add(&client, ccs, 6);
	buf_add(&client, hello.p, hello.n);
	buf_add(&client, data_record, sizeof(data_record) - 1);
	flight.n = 0;
	server_message(&flight, 0x1301, (const uint16_t[]){51, 43, 0});
	put_records(&retry, 22, flight.p, flight.n, 16384);
	buf_add(&retry, ccs, 6);
	put_records(&server, 22, flight.p, flight.n, 16384);
	buf_add(&server, data_record, sizeof(data_record) - 1);
	const struct message talk[] = {{TO_SERVER, hello.p, hello.n},
				       {TO_CLIENT, retry.p, retry.n},
				       {TO_SERVER, client.p, client.n},
				       {TO_CLIENT, server.p, server.n}};
	feed_every_split(&parser_tls, talk, 4, CLIENT_LINES SERVER_LINES_1_3 CLIENT_LINES SERVER_LINES_1_3);
	struct buf *all[] = {&hello, &client, &retry, &server, &flight};
	for (size_t i = 0; i < 5; i++)
		buf_free(all[i]);
}

static void one_side_alone(void **state)
{
	struct talk t;
	(void)state;
	talk_1_2(&t, 16384);
	feed_expect(&parser_tls, t.message + 1, 1, 0, SIZE_MAX, false, SERVER_LINES EXAMPLE_CHAIN_LINES);
	assert_int_equal(feed_probe(&parser_tls, TO_CLIENT, t.server.p, t.server.n), PROBE_YES);
	talk_free(&t);
}

/* Bytes lost inside the client's hello cost it; the server's side is whole. Bytes
 * lost between two records: the next record is found. */
static void goes_on_after_a_gap(void **state)
{
	struct talk t;
	struct observed o;
	struct buf flight = {0}, records = {0};
	(void)state;
	talk_1_2(&t, 16384);
	observed_begin(&o, &parser_tls);
	feed_stream(&o, TO_SERVER, t.client.p, 50);
	feed_gap(&o, TO_SERVER, 20);
	feed_stream(&o, TO_SERVER, t.client.p + 70, t.client.n - 70);
	feed_stream(&o, TO_CLIENT, t.server.p, t.server.n);
	assert_string_equal(observed_text(&o), SERVER_LINES EXAMPLE_CHAIN_LINES);
	observed_end(&o);

	chain_message(&flight);
	buf_add(&records, "rest of something", 17);
	put_records(&records, 22, flight.p, flight.n, 16384);
	observed_begin(&o, &parser_tls);
	feed_stream(&o, TO_CLIENT, t.server.p, 30);
	feed_gap(&o, TO_CLIENT, 5000);
	feed_stream(&o, TO_CLIENT, records.p, records.n);
	assert_string_equal(observed_text(&o), EXAMPLE_CHAIN_LINES);
	observed_end(&o);
	buf_free(&flight);
	buf_free(&records);
	talk_free(&t);
}

/* A message of 64 KiB is read, a longer one passed over and counted; what follows
 * it is read. */
static void message_size_is_limited(void **state)
{
	(void)state;
	for (unsigned extra = 0; extra <= 1; extra++) {
		struct buf flight = {0}, records = {0};
		struct observed o;
		static uint8_t body[TLS_HANDSHAKE_MAX + 1];
		put_message(&flight, TLS_CERTIFICATE, body, TLS_HANDSHAKE_MAX + extra);
		server_message(&flight, 0xc02b, (const uint16_t[]){43, 0xff01, 0});
		put_records(&records, 22, flight.p, flight.n, 16384);
		observed_begin(&o, &parser_tls);
		assert_int_equal(feed_stream(&o, TO_CLIENT, records.p, records.n), INSPECT_MORE);
		assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], extra);
		assert_string_equal(observed_text(&o), SERVER_LINES);
		observed_end(&o);
		buf_free(&flight);
		buf_free(&records);
	}
}

static void chain_length_is_limited(void **state)
{
	struct buf flight = {0}, records = {0}, list = {0};
	struct observed o;
	(void)state;
	size_t at = open_length(&list, 3);
	for (int i = 0; i < 33; i++)
		buf_add(&list, "\0\0\1x", 4);
	close_length(&list, at, 3);
	put_message(&flight, TLS_CERTIFICATE, list.p, list.n);
	put_records(&records, 22, flight.p, flight.n, 16384);
	observed_begin(&o, &parser_tls);
	feed_stream(&o, TO_CLIENT, records.p, records.n);
	assert_int_equal(o.count, 64); /* two digests of each of 32 */
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1);
	observed_end(&o);
	buf_free(&flight);
	buf_free(&records);
	buf_free(&list);
}

static void tells_the_handshake(void **state)
{
	struct talk t;
	struct observed o;
	(void)state;
	talk_1_2(&t, 16384);
	observed_begin(&o, &parser_tls);
	o.in.want = INDICATOR_BIT(INDICATOR_CERT_SERIAL) | INDICATOR_BIT(INDICATOR_DOMAIN);
	feed_pieces(&o, t.message, 2, 0, SIZE_MAX, false);
	assert_string_equal(observed_text(&o), "tls.sni www.example.com\ntls.cert.serial 8f00aa55\n");
	assert_string_equal(observed_app(&o), "sni=www.example.com\nversion=TLS 1.3\nalpn=h2\n"
					      "subject=C=JP, O=Example, Inc., OU=Red + CN=www.example.com, "
					      "1.2.840.113549.1.9.1=a@example.com\n"
					      "issuerdn=C=JP, O=Example, Inc., OU=Red + CN=www.example.com, "
					      "1.2.840.113549.1.9.1=a@example.com\n"
					      "serial=8f00aa55\n");
	observed_end(&o);
	talk_free(&t);
}

/* An SSLv2 hello opens a TLS connection; it has no fingerprint. */
static const char ssl2_hello[] = "\x80\x2e\1\x03\x01\0\x15\0\0\0\x10"
				 "123456789012345678901"
				 "1234567890123456";

static void ssl2_hello_then_tls(void **state)
{
	struct talk t;
	(void)state;
	talk_1_2(&t, 16384);
	const struct message talk[] = {{TO_SERVER, BYTES(ssl2_hello)},
				       {TO_CLIENT, t.server.p, t.server.n},
				       {TO_SERVER, t.client_end.p, t.client_end.n}};
	feed_every_split(&parser_tls, talk, 3, SERVER_LINES EXAMPLE_CHAIN_LINES);
	talk_free(&t);
}

static const struct {
	const char *label;
	const void *p;
	size_t n;
	enum probe answer;
} probes[] = {
    {"SSLv2 hello", ssl2_hello, sizeof(ssl2_hello) - 1, PROBE_YES},
    {"SSLv2 hello, lengths that do not add up",
     BYTES("\x80\x2f\1\x03\x01\0\x15\0\0\0\x10"
	   "1234"),
     PROBE_NO},
    {"one byte", BYTES("\x16"), PROBE_MORE},
    {"HTTP", BYTES("GET / HTTP/1.1\r\n"), PROBE_NO},
    {"SSH", BYTES("SSH-2.0-x\r\n"), PROBE_NO},
    {"application data", BYTES(data_record), PROBE_NO},
    {"an alert", BYTES("\x15\x03\x01\0\2\2\x28"), PROBE_NO},
    {"a record of no length", BYTES("\x16\x03\x01\0\0\x16\x03\x01\0\0"), PROBE_NO},
    {"a hello of 3 bytes", BYTES("\x16\x03\x01\0\x07\1\0\0\3abc"), PROBE_NO},
    {"major version 4", BYTES("\x16\x04\x01\0\x50\1\0\0\x4c\3\1"), PROBE_NO},
    {"a certificate first", BYTES("\x16\x03\x01\x01\x50\x0b\0\x01\x03\0\x01\0"), PROBE_YES},
};

static void probes_are_strict(void **state)
{
	struct talk t;
	(void)state;
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		enum probe answer = feed_probe(&parser_tls, TO_SERVER, probes[i].p, probes[i].n);
		if (answer != probes[i].answer)
			fail_msg("%s: %d", probes[i].label, answer);
	}
	talk_1_2(&t, 16384);
	for (size_t n = 1; n <= t.client.n; n++)
		assert_int_equal(feed_probe(&parser_tls, TO_SERVER, t.client.p, n), n < 10 ? PROBE_MORE : PROBE_YES);
	talk_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(client_certificate),          cmocka_unit_test(whole_handshake_however_cut),
	    cmocka_unit_test(messages_over_small_records), cmocka_unit_test(both_encrypted_is_done),
	    cmocka_unit_test(second_hello_behind_a_ccs),   cmocka_unit_test(one_side_alone),
	    cmocka_unit_test(goes_on_after_a_gap),         cmocka_unit_test(message_size_is_limited),
	    cmocka_unit_test(chain_length_is_limited),     cmocka_unit_test(tells_the_handshake),
	    cmocka_unit_test(ssl2_hello_then_tls),         cmocka_unit_test(probes_are_strict),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
