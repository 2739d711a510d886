/* Capture files: both formats in both byte orders, cut at every length,
 * compressed, filtered, damaged, and what is no capture at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "common/buf.h"
#include "sensor/capture.h"
#include "sensor/capture_file.h"

#define PACKETS 5

static void put(struct buf *b, bool big, uint64_t v, int n)
{
	for (int i = 0; i < n; i++) {
		int byte = big ? n - 1 - i : i;
		buf_u8(b, byte < 8 ? (uint8_t)(v >> 8 * byte) : 0);
	}
}

static void classic_head(struct buf *b, bool big, uint32_t magic, uint32_t link_type)
{
	put(b, big, magic, 4);
	put(b, big, 2, 2);
	put(b, big, 4, 2);
	put(b, big, 0, 8);
	put(b, big, 65535, 4);
	put(b, big, link_type, 4);
}

/* Packet i has 10 + i bytes of value i, time i seconds and 5 microseconds. */
static void classic(struct buf *b, bool big, uint32_t magic)
{
	uint8_t bytes[32];
	classic_head(b, big, magic, 0x40000001);
	for (uint32_t i = 0; i < PACKETS; i++) {
		put(b, big, i, 4);
		put(b, big, magic == 0xa1b23c4d ? 5999 : 5, 4);
		put(b, big, 10 + i, 4);
		put(b, big, 100 + i, 4);
		if (magic == 0xa1b2cd34)
			put(b, big, 0, 8);
		memset(bytes, (int)i, sizeof(bytes));
		buf_add(b, bytes, 10 + i);
	}
}

static void block(struct buf *b, bool big, uint32_t type, const struct buf *body)
{
	uint32_t n = (uint32_t)(12 + (body->n + 3) / 4 * 4);
	put(b, big, type, 4);
	put(b, big, n, 4);
	buf_add(b, body->p, body->n);
	put(b, big, 0, (int)(n - 12 - body->n));
	put(b, big, n, 4);
}

static void section(struct buf *b, bool big)
{
	struct buf body = {0};
	put(&body, big, 0x1a2b3c4d, 4);
	put(&body, big, 1, 2);
	put(&body, big, 0, 2);
	put(&body, big, UINT64_MAX, 8);
	block(b, big, 0x0a0d0d0a, &body);
	buf_free(&body);
}

static void interface(struct buf *b, bool big, unsigned link_type, int resolution)
{
	struct buf body = {0};
	put(&body, big, link_type, 2);
	put(&body, big, 0, 2);
	put(&body, big, 12, 4);
	if (resolution) {
		put(&body, big, 9, 2);
		put(&body, big, 1, 2);
		put(&body, big, (uint64_t)resolution, 1);
		put(&body, big, 0, 3);
	}
	put(&body, big, 0, 4);
	block(b, big, 1, &body);
	buf_free(&body);
}

/* kind: 6 packet, 2 old packet, 3 simple packet */
static void packet(struct buf *b, bool big, uint32_t kind, uint32_t index, uint64_t t, uint32_t n)
{
	struct buf body = {0};
	if (kind != 3) {
		put(&body, big, index, kind == 2 ? 2 : 4);
		put(&body, big, 0, kind == 2 ? 2 : 0);
		put(&body, big, t >> 32, 4);
		put(&body, big, t & 0xffffffff, 4);
		put(&body, big, n, 4);
	}
	put(&body, big, kind == 3 ? n : 100 + n, 4);
	for (uint32_t i = 0; i < n; i++)
		buf_u8(&body, (uint8_t)n);
	block(b, big, kind, &body);
	buf_free(&body);
}

static void pcapng(struct buf *b, bool big)
{
	struct buf secret = {0};
	section(b, big);
	interface(b, big, 1, 0);
	interface(b, big, 101, 9);
	packet(b, big, 6, 0, 1000005, 10);
	packet(b, big, 6, 1, 2000005999, 11);
	put(&secret, big, 0, 1000);
	block(b, big, 10, &secret);
	packet(b, big, 2, 0, 3000005, 9);
	section(b, !big); /* another byte order, other interfaces */
	interface(b, !big, 276, 0x80 + 20);
	packet(b, !big, 6, 0, UINT64_C(4) << 20, 8);
	packet(b, !big, 3, 0, 0, 12);
	buf_free(&secret);
}

struct seen {
	size_t packets;
	enum capture_result end;
	bool cut;
	struct err e;
	uint32_t n[PACKETS], wire_n[PACKETS];
	int64_t ts_us[PACKETS];
	int link_type[PACKETS];
};

static struct seen read_all(struct capture_file *f)
{
	struct seen s = {0};
	struct burst b;
	assert_non_null(f);
	while ((s.end = capture_file_read(f, &b, &s.e)) == CAPTURE_PACKETS) {
		for (size_t i = 0; i < b.n && s.packets < PACKETS; i++, s.packets++) {
			s.n[s.packets] = b.packet[i].n;
			s.wire_n[s.packets] = b.packet[i].wire_n;
			s.ts_us[s.packets] = b.packet[i].ts_us;
			s.link_type[s.packets] = b.packet[i].link_type;
			for (uint32_t k = 1; k < b.packet[i].n; k++)
				assert_int_equal(b.packet[i].data[k], b.packet[i].data[0]);
		}
	}
	s.cut = capture_file_cut(f);
	capture_file_close(f);
	return s;
}

static const uint32_t magics[] = {0xa1b2c3d4, 0xa1b23c4d, 0xa1b2cd34};

static void test_classic(void **state)
{
	(void)state;
	for (int k = 0; k < 6; k++) {
		struct buf b = {0};
		struct err e;
		classic(&b, k & 1, magics[k / 2]);
		struct seen s = read_all(capture_file_open_memory(b.p, b.n, &e));
		assert_int_equal(s.packets, PACKETS);
		assert_int_equal(s.end, CAPTURE_EOF);
		assert_string_equal(s.e.text, "");
		for (uint32_t i = 0; i < PACKETS; i++) {
			assert_int_equal(s.n[i], 10 + i);
			assert_int_equal(s.wire_n[i], 100 + i);
			assert_int_equal(s.ts_us[i], i * 1000000 + 5);
			assert_int_equal(s.link_type[i], 1);
		}
		buf_free(&b);
	}
}

static void test_pcapng(void **state)
{
	(void)state;
	for (int big = 0; big < 2; big++) {
		struct buf b = {0};
		struct err e;
		pcapng(&b, big);
		struct seen s = read_all(capture_file_open_memory(b.p, b.n, &e));
		static const int link_types[PACKETS] = {1, 101, 1, 276, 276};
		static const uint32_t n[PACKETS] = {10, 11, 9, 8, 12};
		static const int64_t ts[PACKETS] = {1000005, 2000005, 3000005, 4000000, 4000000};
		assert_string_equal(s.e.text, "");
		assert_int_equal(s.packets, PACKETS);
		assert_memory_equal(s.link_type, link_types, sizeof(link_types));
		assert_memory_equal(s.n, n, sizeof(n));
		assert_memory_equal(s.ts_us, ts, sizeof(ts));
		buf_free(&b);
	}
}

/* Every prefix: the whole packets come, then the end says that it is one. */
static void every_prefix(const struct buf *b)
{
	size_t before = 0;
	for (size_t n = 1; n <= b->n; n++) {
		struct err e = {.text = ""};
		uint8_t *exact = malloc(n);
		memcpy(exact, b->p, n);
		struct capture_file *f = capture_file_open_memory(exact, n, &e);
		if (!f) {
			assert_true(n < 28 && *e.text);
		} else {
			struct seen s = read_all(f);
			assert_int_equal(s.end, CAPTURE_EOF);
			assert_int_equal(s.cut, *s.e.text != '\0');
			assert_in_range(s.packets, before, before + 1);
			before = s.packets;
		}
		free(exact);
	}
	assert_int_equal(before, PACKETS);
}

static void test_cut_at_every_length(void **state)
{
	(void)state;
	for (int k = 0; k < 8; k++) {
		struct buf b = {0};
		if (k < 6)
			classic(&b, k & 1, magics[k / 2]);
		else
			pcapng(&b, k & 1);
		every_prefix(&b);
		buf_free(&b);
	}
}

/* ---- through files ---- */

static void temporary(char path[static 64], const void *data, size_t n)
{
	snprintf(path, 64, "/tmp/picket-capture-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, data, n) == (ssize_t)n);
	close(fd);
}

static struct seen read_path(const void *data, size_t n)
{
	char path[64];
	struct err e = {.text = ""};
	temporary(path, data, n);
	struct seen s = read_all(capture_file_open(path, &e));
	unlink(path);
	return s;
}

static void gzip_member(struct buf *to, const void *data, size_t n)
{
	uint8_t out[8192];
	union {
		const void *in;
		Bytef *z;
	} from = {.in = data};
	z_stream z = {.next_in = from.z, .avail_in = (uInt)n, .next_out = out, .avail_out = sizeof(out)};
	deflateInit2(&z, 9, Z_DEFLATED, 31, 8, 0);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	buf_add(to, out, sizeof(out) - z.avail_out);
	deflateEnd(&z);
}

static void test_gzip(void **state)
{
	(void)state;
	struct buf b = {0}, z = {0};
	pcapng(&b, false);
	gzip_member(&z, b.p, b.n / 2);
	gzip_member(&z, b.p + b.n / 2, b.n - b.n / 2);
	put(&z, false, 0, 5);
	struct seen s = read_path(z.p, z.n);
	assert_int_equal(s.packets, PACKETS);
	assert_string_equal(s.e.text, "");
	size_t before = 0;
	for (size_t n = 40; n < z.n - 5; n += 3) {
		char path[64];
		struct err e = {.text = ""};
		temporary(path, z.p, n);
		struct capture_file *f = capture_file_open(path, &e);
		if (f) {
			s = read_all(f);
			assert_true(s.packets >= before && s.end == CAPTURE_EOF);
			assert_true(n < 60 || s.cut || s.packets < PACKETS || n > z.n - 16);
			before = s.packets;
		} else {
			assert_true(*e.text);
		}
		unlink(path);
	}
	z.p[z.n - 5 - 8] ^= 0x55; /* the second member's checksum */
	s = read_path(z.p, z.n);
	assert_int_equal(s.end, CAPTURE_FAILED);
	assert_non_null(strstr(s.e.text, "gzip"));
	buf_free(&b);
	buf_free(&z);
}

static void test_zstd(void **state)
{
	(void)state;
	struct buf b = {0};
	uint8_t out[8192];
	classic(&b, true, 0xa1b2c3d4);
	size_t n = ZSTD_compress(out, sizeof(out), b.p, b.n / 2, 3);
	n += ZSTD_compress(out + n, sizeof(out) - n, b.p + b.n / 2, b.n - b.n / 2, 3);
	struct seen s = read_path(out, n);
	assert_int_equal(s.packets, PACKETS);
	assert_string_equal(s.e.text, "");
	s = read_path(out, n - 3);
	assert_true(s.cut);
	assert_non_null(strstr(s.e.text, "cut short"));
	buf_free(&b);
}

/* A pipe that gives a few bytes at a time, through standard input. */
static void test_standard_input(void **state)
{
	(void)state;
	struct buf b = {0};
	int ends[2];
	pcapng(&b, true);
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		close(ends[0]);
		for (size_t at = 0; at < b.n; at += 7) {
			size_t n = b.n - at < 7 ? b.n - at : 7;
			if (write(ends[1], b.p + at, n) < 0)
				_exit(1);
		}
		_exit(0);
	}
	close(ends[1]);
	int saved = dup(STDIN_FILENO);
	dup2(ends[0], STDIN_FILENO);
	close(ends[0]);
	struct err e = {.text = ""};
	struct seen s = read_all(capture_file_open("-", &e));
	dup2(saved, STDIN_FILENO);
	close(saved);
	waitpid(child, NULL, 0);
	assert_int_equal(s.packets, PACKETS);
	assert_string_equal(s.e.text, "");
	buf_free(&b);
}

/* Larger than the input's buffer: windows move, long blocks are stepped over. */
static void test_large(void **state)
{
	(void)state;
	struct buf b = {0}, secret = {0};
	section(&b, false);
	interface(&b, false, 1, 0);
	put(&secret, false, 0, 4);
	buf_reserve(&secret, 3 << 20);
	memset(secret.p, 7, 3 << 20);
	secret.n = 3 << 20;
	for (uint32_t i = 0; i < 40; i++) {
		packet(&b, false, 6, 0, i, 100000 + i);
		if (i % 10 == 0)
			block(&b, false, 10, &secret);
	}
	char path[64];
	struct err e = {.text = ""};
	struct burst burst;
	temporary(path, b.p, b.n);
	struct capture *c = capture_open_file(path, NULL, &e);
	uint32_t seen = 0;
	while (capture_read(c, &burst, 0, &e) == CAPTURE_PACKETS) {
		for (size_t i = 0; i < burst.n; i++, seen++) {
			assert_int_equal(burst.packet[i].n, 100000 + seen);
			assert_int_equal(burst.packet[i].data[99999], (100000 + seen) & 0xff);
		}
	}
	assert_int_equal(seen, 40);
	assert_string_equal(e.text, "");
	assert_false(capture_cut(c));
	capture_close(c);
	unlink(path);
	buf_free(&b);
	buf_free(&secret);
}

static const struct bad {
	const char *label, *bytes;
	size_t n;
	const char *says;
} bad[] = {
    {"empty", "", 0, "it is empty"},
    {"text", "hello, this is not a capture file at all", 40, "not a capture file"},
    {"three bytes", "abc", 3, "not a capture file"},
    {"header cut", "\xd4\xc3\xb2\xa1\2\0\4\0\0\0", 10, "within the header"},
    {"version 3", "\xd4\xc3\xb2\xa1\3\0\4\0\0\0\0\0\0\0\0\0\0\0\4\0\1\0\0\0", 24, "version 3.4"},
    {"pcapng of no byte order", "\n\r\r\n\34\0\0\0\1\2\3\4\1\0\0\0\0\0\0\0\0\0\0\0\34\0\0\0", 28, "byte order"},
    {"xz",
     "\xfd"
     "7zXZ\0\0\0\0\0\0\0\0",
     12, "compression"},
    {"snoop", "snoop\0\0\0\0\0\0\2\0\0\0\4", 16, "editcap"},
    {"gzip of nothing", "\x1f\x8b\x08\0\0\0\0\0\0\3", 10, "cut short"},
    {"bad gzip", "\x1f\x8b\x08\0\0\0\0\0\0\3\xff\xff\xff\xff\xff", 15, "gzip"},
};

static void test_no_capture(void **state)
{
	(void)state;
	struct err e = {.text = ""};
	char path[64];
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		temporary(path, bad[i].bytes, bad[i].n);
		assert_null(capture_open_file(path, NULL, &e));
		if (!strstr(e.text, bad[i].says) || !strstr(e.text, path))
			fail_msg("%s: %s", bad[i].label, e.text);
		unlink(path);
	}
	assert_null(capture_open_file("/tmp", NULL, &e));
	assert_non_null(strstr(e.text, "directory"));
	assert_null(capture_open_file("/nonexistent/x.pcap", NULL, &e));
	assert_non_null(strstr(e.text, "No such file"));
}

static void test_damage(void **state)
{
	(void)state;
	struct err e = {.text = ""};
	struct buf b = {0};
	classic(&b, false, 0xa1b2c3d4);
	b.p[24 + 26 + 11] = 0x7f; /* the second packet's captured length */
	struct seen s = read_all(capture_file_open_memory(b.p, b.n, &e));
	assert_int_equal(s.packets, 1);
	assert_int_equal(s.end, CAPTURE_EOF);
	assert_non_null(strstr(s.e.text, "is damaged: a packet of 2130706443 bytes"));
	b.n = 0;
	section(&b, false);
	packet(&b, false, 6, 3, 0, 4);
	s = read_all(capture_file_open_memory(b.p, b.n, &e));
	assert_non_null(strstr(s.e.text, "interface 3, of 0"));
	b.n = 0;
	section(&b, false);
	interface(&b, false, 1, 0);
	packet(&b, false, 6, 0, 0, 4);
	b.p[b.n - 4] ^= 4;
	s = read_all(capture_file_open_memory(b.p, b.n, &e));
	assert_non_null(strstr(s.e.text, "two lengths differ"));
	buf_free(&b);
}

/* What is at the limit is read, what is beyond it is called by its name. */
static void test_limits(void **state)
{
	(void)state;
	struct err e = {.text = ""};
	struct buf b = {0};
	for (uint32_t over = 0; over < 2; over++) {
		b.n = 0;
		classic_head(&b, false, 0xa1b2c3d4, 1);
		for (int i = 0; i < 2; i++)
			put(&b, false, 1, 4);
		for (int i = 0; i < 2; i++)
			put(&b, false, (256 << 10) + over, 4);
		for (uint32_t i = 0; i < (256 << 10) + over; i++)
			buf_u8(&b, 7);
		e.text[0] = '\0';
		struct seen s = read_all(capture_file_open_memory(b.p, b.n, &e));
		assert_int_equal(s.packets, 1 - over);
		assert_int_equal(strstr(s.e.text, "a packet of 262145 bytes, the limit is 262144") != NULL, over);
		struct buf body = {0};
		for (uint32_t i = 0; i < (320 << 10) - 12 + 4 * over; i++)
			buf_u8(&body, 0);
		b.n = 0;
		section(&b, false);
		block(&b, false, 6, &body);
		s = read_all(capture_file_open_memory(b.p, b.n, &e));
		assert_int_equal(strstr(s.e.text, "a pcapng block of 327684 bytes") != NULL, over);
		buf_free(&body);
		b.n = 0;
		section(&b, false);
		for (uint32_t i = 0; i < 16384 + over; i++)
			interface(&b, false, 1, 0);
		s = read_all(capture_file_open_memory(b.p, b.n, &e));
		assert_int_equal(strstr(s.e.text, "more than 16384 interfaces") != NULL, over);
	}
	buf_free(&b);
}

/* An interface's resolution is found behind any number of other options. */
static void test_many_options(void **state)
{
	(void)state;
	struct err e;
	struct buf b = {0}, body = {0};
	section(&b, false);
	put(&body, false, 1, 4);
	put(&body, false, 0, 4);
	for (int i = 0; i < 200; i++)
		put(&body, false, 5, 4); /* an empty option */
	put(&body, false, 9 | 1 << 16, 4);
	put(&body, false, 9, 4);
	put(&body, false, 0, 4);
	block(&b, false, 1, &body);
	packet(&b, false, 6, 0, 2000005999, 11);
	struct seen s = read_all(capture_file_open_memory(b.p, b.n, &e));
	assert_int_equal(s.packets, 1);
	assert_int_equal(s.ts_us[0], 2000005);
	buf_free(&b);
	buf_free(&body);
}

static void test_filter(void **state)
{
	(void)state;
	struct err e = {.text = ""};
	struct buf b = {0};
	struct burst burst;
	struct capture_stats stats;
	char path[64], text[200];
	classic(&b, false, 0xa1b2c3d4);
	temporary(path, b.p, b.n);
	struct capture *c = capture_open_file(path, "ether[0] = 2 or ether[0] = 4", &e);
	assert_int_equal(capture_read(c, &burst, 0, &e), CAPTURE_PACKETS);
	assert_int_equal(burst.n, 2);
	assert_int_equal(burst.packet[1].n, 14);
	assert_int_equal(capture_read(c, &burst, 0, &e), CAPTURE_EOF);
	assert_true(capture_stats(c, &stats) && stats.received == 2);
	capture_describe(c, text, sizeof(text));
	assert_non_null(strstr(text, "pcap, Ethernet, filter ether"));
	assert_string_equal(capture_name(c), path);
	capture_close(c);
	assert_null(capture_open_file(path, "prot 53", &e));
	assert_non_null(strstr(e.text, "filter \"prot 53\""));
	unlink(path);
	buf_free(&b);
}

static void test_no_interface(void **state)
{
	(void)state;
	struct err e = {.text = ""};
	struct capture_live want = {.interface = "eth99"};
	assert_null(capture_open_live(&want, &e));
	if (geteuid() == 0)
		assert_non_null(strstr(e.text, "cannot capture on \"eth99\": no such interface; this machine has: "));
}

#define MANY   20000
#define LENGTH 1000

static void put_many(struct buf *b, uint32_t n)
{
	uint8_t bytes[LENGTH];
	memset(bytes, 7, sizeof(bytes));
	for (uint32_t i = 0; i < n; i++) {
		put(b, false, i, 4);
		put(b, false, 0, 4);
		put(b, false, LENGTH, 4);
		put(b, false, LENGTH, 4);
		buf_add(b, bytes, LENGTH);
	}
}

/* How many packets, each of whose bytes is looked at; whole: how many are as they were written. */
static size_t read_on(struct capture_file *f, size_t bursts, size_t *whole)
{
	static struct burst b;
	struct err e;
	size_t n = 0;
	while (bursts-- && capture_file_read(f, &b, &e) == CAPTURE_PACKETS) {
		n += b.n;
		for (size_t i = 0; i < b.n; i++) {
			size_t sevens = 0;
			for (uint32_t k = 0; k < b.packet[i].n; k++)
				sevens += b.packet[i].data[k] == 7;
			*whole += sevens == LENGTH;
		}
	}
	return n;
}

/* Somebody cuts the file short while it is read: in front of where reading is, within
 * what is in the buffer already, beyond that. Every packet that comes is whole. */
static void test_shrinks(void **state)
{
	(void)state;
	static const size_t left[] = {100000, 400000, 3000000, 9000000}, ahead = 1 << 20;
	struct buf b = {0};
	classic_head(&b, false, 0xa1b2c3d4, 1);
	put_many(&b, MANY);
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		char path[64];
		struct err e;
		size_t whole = 0;
		temporary(path, b.p, b.n);
		struct capture_file *f = capture_file_open(path, &e);
		assert_non_null(f);
		size_t all = read_on(f, 10, &whole);
		assert_int_equal(truncate(path, (off_t)left[i]), 0);
		all += read_on(f, MANY, &whole);
		assert_true(capture_file_cut(f));
		assert_int_equal(whole, all);
		assert_true(whole > 9 * BURST_MAX && whole <= (left[i] + ahead) / LENGTH);
		capture_file_close(f);
		unlink(path);
	}
	buf_free(&b);
}

static void test_grows(void **state)
{
	(void)state;
	struct buf b = {0};
	char path[64];
	struct err e;
	size_t whole = 0;
	classic_head(&b, false, 0xa1b2c3d4, 1);
	put_many(&b, MANY);
	temporary(path, b.p, b.n / 2);
	struct capture_file *f = capture_file_open(path, &e);
	assert_non_null(f);
	read_on(f, 10, &whole);
	FILE *to = fopen(path, "a");
	assert_int_equal(fwrite(b.p + b.n / 2, 1, b.n - b.n / 2, to), b.n - b.n / 2);
	fclose(to);
	read_on(f, MANY, &whole);
	assert_int_equal(whole, MANY);
	assert_false(capture_file_cut(f));
	capture_file_close(f);
	unlink(path);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_classic),
	    cmocka_unit_test(test_pcapng),
	    cmocka_unit_test(test_cut_at_every_length),
	    cmocka_unit_test(test_gzip),
	    cmocka_unit_test(test_zstd),
	    cmocka_unit_test(test_standard_input),
	    cmocka_unit_test(test_large),
	    cmocka_unit_test(test_shrinks),
	    cmocka_unit_test(test_grows),
	    cmocka_unit_test(test_no_capture),
	    cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_many_options),
	    cmocka_unit_test(test_filter),
	    cmocka_unit_test(test_no_interface),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
