/* Fingerprints against published examples and against lists hashed by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sensor/tls_hello.h"
#include "tests/unit/observed.h"
#include "tests/unit/tls_messages.h"

#define LIST(...)                                                                                                      \
	(const uint16_t[])                                                                                             \
	{                                                                                                              \
		__VA_ARGS__, 0                                                                                         \
	}

static const struct {
	const char *label;
	struct hello hello;
	enum tls_carrier carrier;
	const char *ja3, *ja4; /* NULL: not looked at */
} fingerprints[] = {
    /* The first two JA3 are those of Salesforce's README. */
    {"JA3's first example",
     {.version = 769,
      .ciphers = LIST(47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4),
      .sni = "a",
      .extensions = LIST(1, 10, 11),
      .groups = LIST(23, 24, 25),
      .formats = (const uint8_t *)"",
      .formats_n = 1},
     TLS_OVER_TCP,
     "ada70206e40642a3e4461f35503241d5",
     NULL},
    {"JA3 without extensions",
     {.version = 769, .ciphers = LIST(4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99)},
     TLS_OVER_TCP,
     "de350869b8c85de67a350c8d186f11e6",
     NULL},
    {"JA4's example", {0}, TLS_OVER_TCP, "c000e2caf3a25423f9de6c8a4b12a975", "t13d1516h2_8daaf6152771_e5627efa2ab1"},
    {"over QUIC", {0}, TLS_OVER_QUIC, NULL, "q13d1516h2_8daaf6152771_e5627efa2ab1"},
    {"nothing but a cipher",
     {.version = 0x0301, .ciphers = LIST(0x002f)},
     TLS_OVER_TCP,
     NULL,
     "t10i010000_ba72b8082249_000000000000"},
    {"SNI and ALPN alone leave no extensions to hash",
     {.version = 0x0303, .ciphers = LIST(0x002f), .sni = "a", .alpn = "h", .extensions = LIST(1, 16)},
     TLS_OVER_TCP,
     NULL,
     "t12d0102hh_ba72b8082249_000000000000"},
    {"no signature algorithms: no underscore",
     {.version = 0x0300, .ciphers = LIST(0x002f), .extensions = LIST(5)},
     TLS_OVER_TCP,
     NULL,
     "ts3i010100_ba72b8082249_1ed8eb363bcd"},
    {"signature algorithms keep their order, GREASE among them is left out",
     {.version = 0x0303, .ciphers = LIST(0x002f), .extensions = LIST(13), .signatures = LIST(0x5a5a, 0x0403, 0x0804)},
     TLS_OVER_TCP,
     NULL,
     "t12i010100_ba72b8082249_ef95ca21a004"},
    {"a draft of TLS 1.3 has no number of its own",
     {.version = 0x0303, .ciphers = LIST(0x002f), .extensions = LIST(43), .versions = LIST(0x7f17, 0x0303)},
     TLS_OVER_TCP,
     NULL,
     "t00i010100_ba72b8082249_b9a491fefe05"},
    {"DTLS counts down",
     {.version = 0xfefd,
      .ciphers = LIST(0x002f),
      .extensions = LIST(43),
      .versions = LIST(0xfefd, 0xfefc),
      .dtls = true,
      .cookie_n = 20},
     TLS_OVER_UDP,
     NULL,
     "dd3i010100_ba72b8082249_b9a491fefe05"},
    {"ALPN with a byte that is no letter is told in hex",
     {.version = 0x0303,
      .ciphers = LIST(0x002f),
      .alpn = "\xab"
	      "h",
      .extensions = LIST(16)},
     TLS_OVER_TCP,
     NULL,
     "t12i0101a8_ba72b8082249_000000000000"},
};

static void fingerprints_as_specified(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(fingerprints) / sizeof(fingerprints[0]); i++) {
		const struct hello *from = fingerprints[i].hello.version ? &fingerprints[i].hello : &example_hello;
		struct buf b = {0};
		struct client_hello h;
		char ja3[JA3_TEXT], ja4[JA4_TEXT];
		put_client_hello(&b, from);
		if (!client_hello_read((struct bytes){b.p, b.n}, from->dtls, &h))
			fail_msg("%s: not read", fingerprints[i].label);
		assert_true(ja3_of(&h, ja3));
		assert_true(ja4_of(&h, fingerprints[i].carrier, ja4));
		if (fingerprints[i].ja3 && strcmp(ja3, fingerprints[i].ja3))
			fail_msg("%s: %s", fingerprints[i].label, ja3);
		if (fingerprints[i].ja4 && strcmp(ja4, fingerprints[i].ja4))
			fail_msg("%s: %s", fingerprints[i].label, ja4);
		buf_free(&b);
	}
}

/* MD5 of "769,47,65281-0-11-35-5-16". */
static void ja3s_as_specified(void **state)
{
	struct buf b = {0};
	struct server_hello h;
	char ja3s[JA3_TEXT];
	(void)state;
	put_server_hello(&b, 769, 47, LIST(65281, 1, 11, 35, 5, 16));
	assert_true(server_hello_read((struct bytes){b.p, b.n}, &h));
	assert_true(ja3s_of(&h, ja3s));
	assert_string_equal(ja3s, "836ce314215654b5b1f85f97c73e506f");
	buf_free(&b);
}

static void hello_cut_anywhere_is_refused(void **state)
{
	struct buf b = {0};
	struct client_hello h;
	size_t whole = 0;
	(void)state;
	put_client_hello(&b, &example_hello);
	for (size_t n = 0; n < b.n; n++) {
		uint8_t *exact = observed_exact(b.p, n);
		whole += client_hello_read((struct bytes){exact, n}, false, &h);
		free(exact);
	}
	assert_int_equal(whole, 1); /* without its extensions it is a hello, too */
	buf_free(&b);
}

/* 2,048 ciphers make a fingerprint, 2,049 do not: the limit is counted, SNI stays. */
static void too_many_ciphers_are_counted(void **state)
{
	static uint16_t many[2050];
	(void)state;
	for (size_t n = 2048; n <= 2049; n++) {
		struct hello hello = {.version = 0x0303, .sni = "a.example", .ciphers = many, .extensions = LIST(1)};
		struct buf b = {0};
		struct observed o;
		struct tls_facts facts = {0};
		static const struct parser none = {.name = "none", .over = OVER_TCP};
		for (size_t i = 0; i < n; i++)
			many[i] = 0x1301;
		put_client_hello(&b, &hello);
		observed_begin(&o, &none);
		assert_true(tls_report_client(&o.in, TLS_OVER_TCP, (struct bytes){b.p, b.n}, &facts));
		assert_int_equal(o.count, n == 2048 ? 3 : 1);
		assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], n == 2048 ? 0 : 2);
		assert_true(observed_has(&o, "tls.sni a.example"));
		observed_end(&o);
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fingerprints_as_specified),
	    cmocka_unit_test(ja3s_as_specified),
	    cmocka_unit_test(hello_cut_anywhere_is_refused),
	    cmocka_unit_test(too_many_ciphers_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
