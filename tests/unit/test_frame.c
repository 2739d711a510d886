/* Frames: round trip, every cut, every flipped bit, lying headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/frame.h"
#include "common/hash.h"

static void one_frame(struct buf *b, enum frame_type type, const void *payload, size_t n)
{
	size_t at = frame_begin(b, type);
	buf_add(b, payload, n);
	frame_end(b, at);
}

static void test_crc_is_crc32c(void **state)
{
	(void)state;
	assert_int_equal(~hash_crc32c(~0u, "123456789", 9),
			 0xe3069283); /* RFC 3720 B.4's polynomial, the usual check */
}

static void test_round_trip_and_two_in_a_row(void **state)
{
	(void)state;
	struct buf b = {0};
	one_frame(&b, FRAME_HELLO, "hello", 5);
	one_frame(&b, FRAME_ACK, NULL, 0);
	struct frame f;
	size_t used = 0;
	assert_int_equal(frame_read(b.p, b.n, &f, &used, NULL), FRAME_READY);
	assert_int_equal(f.type, FRAME_HELLO);
	assert_int_equal(f.payload.n, 5);
	assert_memory_equal(f.payload.p, "hello", 5);
	assert_int_equal(used, FRAME_HEADER + 5);
	assert_int_equal(frame_read(b.p + used, b.n - used, &f, &used, NULL), FRAME_READY);
	assert_int_equal(f.type, FRAME_ACK);
	assert_int_equal(f.payload.n, 0);
	buf_free(&b);
}

static void test_every_cut_asks_for_more(void **state)
{
	(void)state;
	struct buf b = {0};
	one_frame(&b, FRAME_DATA, "some payload of a frame", 23);
	for (size_t n = 0; n < b.n; n++) {
		uint8_t *exact = malloc(n ? n : 1);
		memcpy(exact, b.p, n);
		struct frame f;
		size_t used;
		assert_int_equal(frame_read(exact, n, &f, &used, NULL), FRAME_MORE);
		free(exact);
	}
	buf_free(&b);
}

/* A flip in the length may only make it wait (and the CRC then refuses what comes). */
static void test_every_flipped_bit_is_noticed(void **state)
{
	(void)state;
	struct buf b = {0};
	one_frame(&b, FRAME_DATA, "some payload of a frame", 23);
	for (size_t bit = 0; bit < b.n * 8; bit++) {
		struct frame f;
		size_t used;
		b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		enum frame_result r = frame_read(b.p, b.n, &f, &used, NULL);
		assert_int_not_equal(r, FRAME_READY);
		if (bit / 8 < 4 || bit / 8 >= 8)
			assert_int_equal(r, FRAME_BAD);
		b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	buf_free(&b);
}

static void test_bad_headers_are_refused_early(void **state)
{
	(void)state;
	static const struct {
		const char *label, *bytes;
		size_t n;
		const char *says;
	} cases[] = {
	    {"another protocol", "GE", 2, "not a Picket frame"},
	    {"a later version", "PK\x02", 3, "version 2"},
	    {"an unknown type", "PK\x01\xee", 4, "type 238"},
	    {"a byte over the limit", "PK\x01\x00\x00\x10\x00\x01", 8, "1048577 bytes"},
	    {"four gigabytes", "PK\x01\x02\xff\xff\xff\xff", 8, "4294967295"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct frame f;
		struct err e = {""};
		size_t used;
		if (frame_read((const uint8_t *)cases[i].bytes, cases[i].n, &f, &used, &e) != FRAME_BAD ||
		    !strstr(e.text, cases[i].says))
			fail_msg("%s: \"%s\"", cases[i].label, e.text);
	}
}

static void test_largest_payload(void **state)
{
	(void)state;
	struct buf b = {0};
	uint8_t *big = calloc(1, FRAME_PAYLOAD_MAX);
	one_frame(&b, FRAME_DATA, big, FRAME_PAYLOAD_MAX);
	struct frame f;
	size_t used;
	assert_int_equal(frame_read(b.p, b.n, &f, &used, NULL), FRAME_READY);
	assert_int_equal(f.payload.n, FRAME_PAYLOAD_MAX);
	free(big);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_crc_is_crc32c),
	    cmocka_unit_test(test_round_trip_and_two_in_a_row),
	    cmocka_unit_test(test_every_cut_asks_for_more),
	    cmocka_unit_test(test_every_flipped_bit_is_noticed),
	    cmocka_unit_test(test_bad_headers_are_refused_early),
	    cmocka_unit_test(test_largest_payload),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
