/* Bundles: the same bytes from the same objects, and nothing of a file that was cut or changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rules/bundle.h"

static const char content[] = "\0\0\0\2{}\0\0\0\7{\"a\":1}";

static void make(const struct sign_key *k, struct buf *out)
{
	struct bundle b = {
	    .from = "alpha", .to = "bravo", .number = 7, .previous = "0", .objects = 2, .time_us = 1795600000000000};
	struct err e;
	if (!bundle_write(&b, (struct bytes){(const uint8_t *)content, sizeof(content) - 1}, k, out, &e))
		fail_msg("%s", e.text);
}

static void whole(void **state)
{
	(void)state;
	struct err e;
	struct buf x = {0}, y = {0};
	struct bundle b;
	uint8_t pub[SIGN_PUBLIC_BYTES], other[SIGN_PUBLIC_BYTES];
	struct sign_key *k = sign_key_new(&e), *o = sign_key_new(&e);
	assert_true(sign_key_public(k, pub, &e) && sign_key_public(o, other, &e));
	make(k, &x);
	make(k, &y);
	assert_int_equal(x.n, y.n);
	assert_memory_equal(x.p, y.p, x.n);
	assert_true(bundle_read(&b, (struct bytes){x.p, x.n}, pub, &e));
	assert_string_equal(b.from, "alpha");
	assert_int_equal(b.number, 7);
	assert_int_equal(b.objects, 2);
	assert_memory_equal(b.content.p, content, sizeof(content) - 1);
	assert_false(bundle_read(&b, (struct bytes){x.p, x.n}, other, &e));
	assert_non_null(strstr(e.text, "another key"));
	for (size_t n = 0; n < x.n; n++) /* cut at every length */
		assert_false(bundle_read(&b, (struct bytes){x.p, n}, pub, &e));
	for (size_t i = 0; i < x.n; i++) { /* every byte changed */
		x.p[i] ^= 1;
		if (bundle_read(&b, (struct bytes){x.p, x.n}, pub, &e))
			fail_msg("byte %zu changed is not noticed", i);
		x.p[i] ^= 1;
	}
	buf_u8(&x, 'x');
	assert_false(bundle_read(&b, (struct bytes){x.p, x.n}, pub, &e));
	buf_free(&x);
	buf_free(&y);
	sign_key_free(k);
	sign_key_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(whole)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
