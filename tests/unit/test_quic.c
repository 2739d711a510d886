/* QUIC: the examples of RFC 9001 appendix A and RFC 9369 appendix A, then packets
 * sealed here: CRYPTO in any order, coalesced, other ids, Retry, Google's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/text.h"
#include "sensor/parsers.h"
#include "sensor/tls_hello.h"
#include "tests/unit/observed.h"
#include "tests/unit/quic_packets.h"
#include "tests/unit/tls_messages.h"

#define V1 0x00000001u
#define V2 0x6b3343cfu

static const uint8_t rfc_id[8] = {0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08};

/* RFC 9001 A.2: the client's CRYPTO frame. */
static const char rfc_frame[] =
    "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c0000041301130201"
    "0000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c70"
    "6e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74"
    "d748002b0003020304000d0010000e0403050306030203080408050806002d00020101001c00024001003900320408ffffff"
    "ffffffffff05048000ffff07048000ffff0801100104800075300901100f088394c8f03e51570806048000ffff";

/* RFC 9001 A.3 and RFC 9369 A.3: the server's packet. */
static const char rfc_server_v1[] =
    "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5"
    "a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4"
    "cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee";
static const char rfc_server_v2[] =
    "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698baeea26b91eb761d9b89237bbf8726301791"
    "5358230035f7fd3945d88965cf17f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2c984c707"
    "f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce7ca84bed8521e2e140";

static const struct {
	uint32_t version;
	const char *client_key, *client_iv, *client_hp, *server_key, *server_iv, *server_hp;
	const char *begins; /* of the client's packet */
	const char *server;
	uint8_t first; /* of the client's header, unprotected */
} rfc[] = {
    {V1, "1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2",
     "cf3a5331653c364c88f0f379b6067e37", "0ac1493ca1905853b0bba03e", "c206b8d9b9f0f37644430b490eeaa314",
     "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9b", rfc_server_v1, 0xc3},
    {V2, "8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9",
     "82db637861d55e1d011f19ea71d5d2a7", "dd13c276499c0249d3310652", "edf6d05c83121201b436e16877593c3a",
     "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485dd04de806071", rfc_server_v2, 0xd3},
};

static void assert_hex(const uint8_t *p, size_t n, const char *hex)
{
	char text[128];
	text_hex(text, p, n);
	assert_string_equal(text, hex);
}

static void put_hex(struct buf *b, const char *hex)
{
	size_t n = strlen(hex) / 2;
	uint8_t *p = xmalloc(n);
	assert_true(text_unhex(p, n, hex, 2 * n));
	buf_add(b, p, n);
	free(p);
}

static void keys_of(uint32_t version, struct bytes id, struct initial_keys keys[2])
{
	struct initial_scheme s;
	assert_true(initial_scheme_of(version, 0, &s));
	initial_keys_of(&s, id, &keys[0], &keys[1]);
}

static void examples_of_the_rfcs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rfc) / sizeof(rfc[0]); i++) {
		struct initial_keys keys[2];
		struct buf payload = {0}, header = {0}, packet = {0}, server = {0};
		struct observed o;
		keys_of(rfc[i].version, (struct bytes){rfc_id, 8}, keys);
		assert_hex(keys[0].key, 16, rfc[i].client_key);
		assert_hex(keys[0].iv, 12, rfc[i].client_iv);
		assert_hex(keys[0].mask, 16, rfc[i].client_hp);
		assert_hex(keys[1].key, 16, rfc[i].server_key);
		assert_hex(keys[1].iv, 12, rfc[i].server_iv);
		assert_hex(keys[1].mask, 16, rfc[i].server_hp);
		put_hex(&payload, rfc_frame);
		while (payload.n < 1162)
			buf_u8(&payload, 0);
		buf_u8(&header, rfc[i].first);
		buf_u32(&header, rfc[i].version);
		put_hex(&header, "088394c8f03e5157080000449e00000002");
		seal(&packet, &keys[0], &header, &payload);
		assert_int_equal(packet.n, 1200);
		assert_hex(packet.p, strlen(rfc[i].begins) / 2, rfc[i].begins);
		put_hex(&server, rfc[i].server);
		assert_int_equal(feed_probe(&parser_quic, TO_SERVER, packet.p, packet.n), PROBE_YES);
		assert_int_equal(feed_probe(&parser_quic, TO_CLIENT, server.p, server.n), PROBE_NO);
		observed_begin(&o, &parser_quic);
		assert_int_equal(feed_datagram(&o, TO_SERVER, packet.p, packet.n), INSPECT_MORE);
		assert_int_equal(feed_datagram(&o, TO_CLIENT, server.p, server.n), INSPECT_DONE);
		assert_string_equal(observed_text(&o), "quic.sni example.com\n"
						       "quic.ja3 41bc9ae914d6cb3bd0bd0a5453ab7d7f\n"
						       "quic.ja4 q13d0211an_62ed6f6ca7ad_4d634acda6c0\n"
						       "quic.ja3s eb1d94daa7e0344597e756a1fb6e7054\n");
		observed_end(&o);
		feed_every_cut(&parser_quic, TO_SERVER, packet.p, packet.n);
		struct buf *all[] = {&payload, &header, &packet, &server};
		for (size_t k = 0; k < 4; k++)
			buf_free(all[k]);
	}
}

/* ---- packets made here ---- */

static const uint8_t server_id[4] = {1, 2, 3, 4}, client_id[4] = {5, 6, 7, 8};
#define ID(array) ((struct bytes){(array), sizeof(array)})

static void hello_stream(struct buf *b)
{
	struct buf body = {0};
	put_client_hello(&body, &example_hello);
	put_message(b, TLS_CLIENT_HELLO, body.p, body.n);
	buf_free(&body);
}

#define HELLO_LINES                                                                                                    \
	"quic.sni www.example.com\n"                                                                                   \
	"quic.ja3 c000e2caf3a25423f9de6c8a4b12a975\n"                                                                  \
	"quic.ja4 q13d1516h2_8daaf6152771_e5627efa2ab1\n"

/* The hello in pieces of 50 bytes, backwards, some twice, with PING, PADDING and
 * ACK between, over two packets of which the second goes to the server's own id. */
static void crypto_in_any_order(void **state)
{
	struct initial_keys keys[2];
	struct buf stream = {0}, one = {0}, two = {0}, first = {0}, second = {0};
	struct observed o;
	(void)state;
	keys_of(V1, ID(rfc_id), keys);
	hello_stream(&stream);
	size_t count = (stream.n + 49) / 50;
	for (size_t i = count; i-- > 0;) {
		struct buf *to = i % 2 ? &one : &two;
		put_crypto(to, &stream, i * 50, stream.n - i * 50 < 50 ? stream.n - i * 50 : 50);
		buf_add(to, "\0\0\0\1\2\1\0\0\1", 9);
		if (i == 1)
			put_crypto(to, &stream, 30, 60);
	}
	put_initial(&first, V1, &keys[0], ID(rfc_id), ID(client_id), 0, &one);
	put_initial(&second, V1, &keys[0], ID(server_id), ID(client_id), 1, &two);
	observed_begin(&o, &parser_quic);
	feed_datagram(&o, TO_SERVER, first.p, first.n);
	assert_string_equal(observed_text(&o), "");
	feed_datagram(&o, TO_SERVER, second.p, second.n);
	assert_string_equal(observed_text(&o), HELLO_LINES);
	feed_datagram(&o, TO_SERVER, second.p, second.n);
	assert_string_equal(observed_text(&o), HELLO_LINES);
	observed_end(&o);
	struct buf *all[] = {&stream, &one, &two, &first, &second};
	for (size_t k = 0; k < 5; k++)
		buf_free(all[k]);
}

static void other_versions(void **state)
{
	static const uint32_t greased = 0x1a2a3a4a, t050 = 0x54303530, t051 = 0x54303531;
	static const struct {
		uint32_t says, is;  /* in the header; whose keys */
		const char *before; /* frames before CRYPTO */
		uint8_t crypto;     /* its number */
	} rows[] = {{greased, V1, "", 6}, {greased, 0xff00001d, "", 6},    {greased, 0xff000017, "", 6},
		    {t050, t050, "", 8},  {t051, t051, "400102030405", 8}, {t051, t051, "600102030405060708", 8}};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct initial_keys keys[2];
		struct buf stream = {0}, payload = {0}, packet = {0};
		struct observed o;
		keys_of(rows[i].is, ID(rfc_id), keys);
		hello_stream(&stream);
		put_hex(&payload, rows[i].before);
		size_t at = payload.n;
		put_crypto(&payload, &stream, 0, stream.n);
		payload.p[at] = rows[i].crypto;
		put_initial(&packet, rows[i].says, &keys[0], ID(rfc_id), ID(client_id), 0, &payload);
		assert_int_equal(feed_probe(&parser_quic, TO_SERVER, packet.p, packet.n), PROBE_YES);
		observed_begin(&o, &parser_quic);
		feed_datagram(&o, TO_SERVER, packet.p, packet.n);
		assert_string_equal(observed_text(&o), HELLO_LINES);
		observed_end(&o);
		feed_every_cut(&parser_quic, TO_SERVER, packet.p, packet.n);
		struct buf *all[] = {&stream, &payload, &packet};
		for (size_t k = 0; k < 3; k++)
			buf_free(all[k]);
	}
}

/* Both halves in one datagram; and after a Retry the same hello under the keys of
 * the id that the Retry brought. */
static void coalesced_and_retried(void **state)
{
	struct initial_keys keys[2], again[2];
	struct buf stream = {0}, one = {0}, two = {0}, all = {0}, datagram = {0}, retried = {0};
	struct observed o;
	(void)state;
	keys_of(V2, ID(rfc_id), keys);
	keys_of(V2, ID(server_id), again);
	hello_stream(&stream);
	put_crypto(&one, &stream, 100, stream.n - 100);
	put_crypto(&two, &stream, 0, 100);
	put_crypto(&all, &stream, 0, stream.n);
	put_initial(&datagram, V2, &keys[0], ID(rfc_id), ID(client_id), 0, &one);
	put_initial(&datagram, V2, &keys[0], ID(rfc_id), ID(client_id), 1, &two);
	put_initial(&retried, V2, &again[0], ID(server_id), ID(client_id), 2, &all);
	observed_begin(&o, &parser_quic);
	feed_datagram(&o, TO_SERVER, datagram.p, datagram.n);
	assert_string_equal(observed_text(&o), HELLO_LINES);
	feed_datagram(&o, TO_SERVER, retried.p, retried.n);
	assert_string_equal(observed_text(&o), HELLO_LINES); /* the same hello: once */
	struct buf answer = {0}, server = {0}, frame = {0}, body = {0};
	put_server_hello(&body, 0x0303, 0x1301, (const uint16_t[]){51, 43, 0});
	put_message(&answer, TLS_SERVER_HELLO, body.p, body.n);
	put_crypto(&frame, &answer, 0, answer.n);
	put_initial(&server, V2, &again[1], ID(client_id), ID(server_id), 0, &frame);
	assert_int_equal(feed_datagram(&o, TO_CLIENT, server.p, server.n), INSPECT_DONE);
	assert_string_equal(observed_text(&o), HELLO_LINES "quic.ja3s eb1d94daa7e0344597e756a1fb6e7054\n");
	observed_end(&o);
	struct buf *every[] = {&stream, &one, &two, &all, &datagram, &retried, &answer, &server, &frame, &body};
	for (size_t k = 0; k < 10; k++)
		buf_free(every[k]);
}

/* A hello that claims 16 MiB and pieces far apart: bounded, counted. */
static void crypto_is_limited(void **state)
{
	struct initial_keys keys[2];
	struct buf far = {0}, packet = {0};
	struct observed o;
	(void)state;
	keys_of(V1, ID(rfc_id), keys);
	for (uint32_t i = 0; i < 20; i++) {
		buf_u8(&far, 6);
		buf_u32(&far, 0x80000000u | i * 1000);
		buf_add(&far, "\1x", 2);
	}
	buf_add(&far, "\6\xbf\xff\xff\xff\1x", 7);
	put_initial(&packet, V1, &keys[0], ID(rfc_id), ID(client_id), 0, &far);
	observed_begin(&o, &parser_quic);
	feed_datagram(&o, TO_SERVER, packet.p, packet.n);
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 20 - 16 + 1);
	observed_end(&o);
	buf_free(&far);
	buf_free(&packet);
}

static void a_byte_changed_is_no_quic(void **state)
{
	struct initial_keys keys[2];
	struct buf stream = {0}, frame = {0}, packet = {0};
	(void)state;
	keys_of(V1, ID(rfc_id), keys);
	hello_stream(&stream);
	put_crypto(&frame, &stream, 0, stream.n);
	put_initial(&packet, V1, &keys[0], ID(rfc_id), ID(client_id), 0, &frame);
	for (size_t i = 0; i < packet.n; i++) {
		packet.p[i] ^= 0x80;
		assert_int_equal(feed_probe(&parser_quic, TO_SERVER, packet.p, packet.n), PROBE_NO);
		packet.p[i] ^= 0x80;
	}
	assert_int_equal(feed_probe(&parser_quic, TO_SERVER, packet.p, packet.n), PROBE_YES);
	buf_free(&stream);
	buf_free(&frame);
	buf_free(&packet);
}

#define CHLO "CHLO\3\0\0\0PAD\0\4\0\0\0SNI\0\x0f\0\0\0VER\0\x13\0\0\0----example.orgQ043"
#define HASH "abcdefghijkl"

static const struct {
	const char *label;
	const void *p;
	size_t n;
	enum probe answer;
} google[] = {
    {"Q043",
     BYTES("\x0d"
	   "12345678Q043\1" HASH "\xa0\1\0\x40" CHLO),
     PROBE_YES},
    {"Q046",
     BYTES("\xc3Q046\x50"
	   "12345678\0\0\0\1" HASH "\xa4\1\4\0\0\x40" CHLO),
     PROBE_YES},
    {"a version of no digits",
     BYTES("\x0d"
	   "12345678Q0/3\1" HASH "\xa0\1\0\x40" CHLO),
     PROBE_NO},
    {"no CHLO",
     BYTES("\x0d"
	   "12345678Q043\1" HASH "\xa0\1\0\x40SHLO\1\0\0\0"),
     PROBE_NO},
    {"tags beyond the end",
     BYTES("\x0d"
	   "12345678Q043\1" HASH "\xa0\1\0\x40"
	   "CHLO\x40\0\0\0PAD\0"),
     PROBE_NO},
};

static void google_s_hello(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(google) / sizeof(google[0]); i++) {
		struct observed o;
		if (feed_probe(&parser_quic, TO_SERVER, google[i].p, google[i].n) != google[i].answer)
			fail_msg("%s", google[i].label);
		observed_begin(&o, &parser_quic);
		feed_datagram(&o, TO_SERVER, google[i].p, google[i].n);
		feed_datagram(&o, TO_SERVER, google[i].p, google[i].n);
		assert_string_equal(observed_text(&o), google[i].answer == PROBE_YES ? "quic.sni example.org\n" : "");
		observed_end(&o);
		feed_every_cut(&parser_quic, TO_SERVER, google[i].p, google[i].n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(examples_of_the_rfcs), cmocka_unit_test(crypto_in_any_order),
	    cmocka_unit_test(other_versions),       cmocka_unit_test(coalesced_and_retried),
	    cmocka_unit_test(crypto_is_limited),    cmocka_unit_test(a_byte_changed_is_no_quic),
	    cmocka_unit_test(google_s_hello),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
