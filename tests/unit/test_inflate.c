/* Decompression of bodies: every coding whole, byte by byte, cut everywhere, mislabelled,
 * as a bomb, and with little memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "sensor/inflate.h"

#define MEMORY (32u << 20)
#define BIG    (40u << 20)

/* Made once with the brotli encoder, quality 11: "hello", and 40 MiB of zeros. */
static const uint8_t brotli_hello[] = {0x0f, 0x02, 0x80, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x03};
static const uint8_t brotli_zeros[] = {0xcf, 0xff, 0xff, 0x7f, 0xf8, 0x27, 0x00, 0xe2, 0xb1, 0x40,
				       0x20, 0xf7, 0xfe, 0x9f, 0xff, 0xff, 0xff, 0xf0, 0x4f, 0x00,
				       0xc4, 0x61, 0x01, 0x80, 0xee, 0xfd, 0x7f, 0xfe, 0xff, 0xff,
				       0xe1, 0x9f, 0x00, 0x88, 0xc3, 0x22, 0x00, 0xdd, 0xfb, 0x3f};

struct seen {
	uint64_t n, max;
	char text[16];
};

static bool take(void *ctx, const uint8_t *p, size_t n)
{
	struct seen *s = ctx;
	for (size_t i = 0; i < n && s->n + i < sizeof(s->text) - 1; i++)
		s->text[s->n + i] = (char)p[i];
	s->n += n;
	return !s->max || s->n < s->max;
}

static size_t squeezed(enum coding c, const void *p, size_t n, uint8_t *out, size_t room)
{
	if (c == CODING_BROTLI) {
		memcpy(out, n == 5 ? brotli_hello : brotli_zeros, n == 5 ? sizeof(brotli_hello) : sizeof(brotli_zeros));
		return n == 5 ? sizeof(brotli_hello) : sizeof(brotli_zeros);
	}
	if (c == CODING_ZSTD)
		return ZSTD_compress(out, room, p, n, 3);
	z_stream z = {.next_in = (Bytef *)(uintptr_t)p, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)room};
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, c == CODING_GZIP ? 31 : 15, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return room - z.avail_out;
}

/* In pieces of `step` bytes; the last result. */
static enum inflated run(struct mem *m, enum coding c, const uint8_t *p, size_t n, size_t step, struct seen *s)
{
	struct inflate *z = inflate_new(m, c);
	enum inflated r = z ? INFLATE_MORE : INFLATE_MEMORY;
	for (size_t at = 0; at < n && r == INFLATE_MORE; at += step) {
		size_t piece = step < n - at ? step : n - at;
		uint8_t *exact = malloc(piece); /* so that a sanitizer sees a read behind it */
		memcpy(exact, p + at, piece);
		r = inflate_data(z, exact, piece, take, s);
		free(exact);
	}
	inflate_free(z);
	return r;
}

static const enum coding all[] = {CODING_GZIP, CODING_DEFLATE, CODING_BROTLI, CODING_ZSTD};

static void test_codings(void **state)
{
	(void)state;
	struct mem m;
	uint8_t data[128];
	mem_init(&m, MEMORY);
	for (size_t i = 0; i < 4; i++) {
		size_t n = squeezed(all[i], "hello", 5, data, sizeof(data));
		for (size_t step = 1; step <= n; step++) {
			struct seen s = {0};
			enum inflated r = run(&m, all[i], data, n, step, &s);
			assert_true(r == INFLATE_END || (all[i] == CODING_ZSTD && r == INFLATE_MORE));
			assert_string_equal(s.text, "hello");
		}
		for (size_t cut = 0; cut < n; cut++) {
			struct seen s = {0};
			assert_int_equal(run(&m, all[i], data, cut, 1 + cut / 2, &s), INFLATE_MORE);
			assert_true(s.n <= 5 && memcmp(s.text, "hello", (size_t)s.n) == 0);
		}
		for (size_t at = 0; at < n; at++)
			for (unsigned bit = 0; bit < 8; bit++) {
				struct seen s = {0};
				data[at] ^= (uint8_t)(1u << bit);
				run(&m, all[i], data, n, n, &s); /* whatever it says: no crash, no leak */
				data[at] ^= (uint8_t)(1u << bit);
			}
	}
	assert_int_equal(m.used, 0);
	mem_close(&m);
}

static void test_two_frames(void **state)
{
	(void)state;
	static const enum coding rows[] = {CODING_GZIP, CODING_ZSTD};
	struct mem m;
	uint8_t data[256];
	mem_init(&m, MEMORY);
	for (size_t i = 0; i < 2; i++) {
		size_t n = squeezed(rows[i], "hello", 5, data, 128);
		memcpy(data + n, data, n);
		struct seen s = {0};
		run(&m, rows[i], data, 2 * n, 2 * n, &s);
		assert_string_equal(s.text, "hellohello");
	}
	assert_int_equal(m.used, 0);
	mem_close(&m);
}

static void test_mislabelled(void **state)
{
	(void)state;
	struct mem m;
	struct seen s = {0};
	mem_init(&m, MEMORY);
	assert_int_equal(run(&m, CODING_ZSTD, (const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18, 18, &s), INFLATE_BAD);
	s = (struct seen){0};
	assert_int_equal(run(&m, CODING_GZIP, (const uint8_t *)"plain", 5, 2, &s), INFLATE_MORE);
	assert_string_equal(s.text, "plain");
	assert_int_equal(coding_parse("BR", 2), CODING_BROTLI);
	assert_int_equal(coding_parse("zstd", 4), CODING_ZSTD);
	assert_int_equal(coding_parse("lzma", 4), CODING_COUNT);
	assert_null(inflate_new(&m, CODING_IDENTITY));
	assert_int_equal(m.used, 0);
	mem_close(&m);
}

static void test_bombs(void **state)
{
	(void)state;
	struct mem m;
	uint8_t *zeros = calloc(1, BIG), *data = malloc(1 << 20);
	mem_init(&m, MEMORY);
	for (size_t i = 0; i < 4; i++) {
		size_t n = squeezed(all[i], zeros, BIG, data, 1 << 20);
		struct seen s = {0};
		assert_int_equal(run(&m, all[i], data, n, n, &s), INFLATE_BOMB);
		assert_true(s.n < BIG);
	}
	assert_true(m.peak <= MEMORY);
	assert_int_equal(m.used, 0);
	mem_close(&m);
	free(zeros);
	free(data);
}

static void test_little_memory(void **state)
{
	(void)state;
	uint8_t data[128];
	for (size_t limit = 64; limit < 200000; limit *= 2) {
		struct mem m;
		mem_init(&m, limit);
		for (size_t i = 0; i < 4; i++) {
			size_t n = squeezed(all[i], "hello", 5, data, sizeof(data));
			struct seen s = {0};
			run(&m, all[i], data, n, n, &s);
			assert_true(s.n == 0 || s.n == 5);
			assert_int_equal(m.used, 0);
		}
		mem_close(&m);
	}
}

/* A window beyond what RFC 9659 allows is refused before memory is asked for. */
static void test_zstd_window(void **state)
{
	(void)state;
	struct mem m;
	struct seen s = {0};
	static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00}; /* 2^31 */
	mem_init(&m, MEMORY);
	assert_int_equal(run(&m, CODING_ZSTD, frame, sizeof(frame), sizeof(frame), &s), INFLATE_BAD);
	assert_true(m.peak < 1u << 20);
	mem_close(&m);
}

static void test_sink_stops(void **state)
{
	(void)state;
	struct mem m;
	uint8_t *zeros = calloc(1, 1 << 20), *data = malloc(1 << 20);
	mem_init(&m, MEMORY);
	size_t n = squeezed(CODING_GZIP, zeros, 1 << 20, data, 1 << 20);
	struct seen s = {.max = 1};
	run(&m, CODING_GZIP, data, n, n, &s);
	assert_true(s.n < 1 << 20);
	mem_close(&m);
	free(zeros);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_codings),    cmocka_unit_test(test_two_frames),    cmocka_unit_test(test_mislabelled),
	    cmocka_unit_test(test_bombs),      cmocka_unit_test(test_little_memory), cmocka_unit_test(test_zstd_window),
	    cmocka_unit_test(test_sink_stops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
