/* NFS: names in calls of versions 2 to 4, over UDP and TCP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/observed.h"

#include "sensor/parsers.h"

static void opaque(struct buf *b, const char *text)
{
	size_t n = strlen(text);
	buf_u32(b, (uint32_t)n);
	buf_add(b, text, n);
	buf_add(b, "\0\0\0", (4 - n % 4) % 4);
}

static void zeros(struct buf *b, size_t n)
{
	while (n--)
		buf_u8(b, 0);
}

static struct buf call(uint32_t version, uint32_t procedure)
{
	struct buf b = {0};
	buf_u32(&b, 0x1234);
	buf_u32(&b, 0);
	buf_u32(&b, 2);
	buf_u32(&b, 100003);
	buf_u32(&b, version);
	buf_u32(&b, procedure);
	buf_u32(&b, 1);
	opaque(&b, "credential");
	buf_u32(&b, 0);
	opaque(&b, "");
	return b;
}

static void expect_names(struct buf b, const char *want)
{
	for (int side = 0; side < 2; side++) { /* servers call back */
		struct observed o;
		observed_begin(&o, &parser_nfs_udp);
		assert_int_equal(feed_probe(&parser_nfs_udp, (enum side)side, b.p, b.n), PROBE_YES);
		feed_datagram(&o, (enum side)side, b.p, b.n);
		assert_string_equal(observed_text(&o), want);
		observed_end(&o);
	}
	feed_every_cut(&parser_nfs_udp, TO_SERVER, b.p, b.n);

	struct buf mark = {0};
	buf_u32(&mark, 1u << 31 | (uint32_t)b.n);
	buf_add(&mark, b.p, b.n);
	const struct message talk[] = {{TO_SERVER, mark.p, mark.n},
				       {TO_CLIENT, BYTES("\x80\0\0\x18\0\0\x12\x34\0\0\0\1----------------")},
				       {TO_SERVER, BYTES("\x80\0\0\4junk")}};
	feed_every_split(&parser_nfs_tcp, talk, 3, want);
	feed_every_prefix(&parser_nfs_tcp, talk, 3);
	for (size_t n = 1; n < mark.n; n++)
		assert_int_equal(feed_probe(&parser_nfs_tcp, TO_SERVER, mark.p, n), n < 28 ? PROBE_MORE : PROBE_YES);
	buf_free(&mark);
	buf_free(&b);
}

static void test_version_3(void **s)
{
	(void)s;
	struct buf b = call(3, 3);
	opaque(&b, "handle");
	opaque(&b, "looked-up");
	expect_names(b, "nfs.file looked-up\n");
	b = call(3, 14);
	opaque(&b, "handle");
	opaque(&b, "from");
	opaque(&b, "handle2");
	opaque(&b, "to");
	expect_names(b, "nfs.file from\nnfs.file to\n");
	b = call(3, 15);
	opaque(&b, "file");
	opaque(&b, "folder");
	opaque(&b, "link");
	expect_names(b, "nfs.file link\n");
	expect_names(call(3, 0), "");
	b = call(3, 6); /* READ */
	opaque(&b, "handle");
	opaque(&b, "\1\1\1\1\1\1\1\1");
	expect_names(b, "");
}

static void test_version_2(void **s)
{
	(void)s;
	struct buf b = call(2, 4);
	zeros(&b, 32);
	opaque(&b, "name");
	expect_names(b, "nfs.file name\n");
}

static void test_version_4(void **s)
{
	(void)s;
	struct buf b = call(4, 1);
	opaque(&b, "tag");
	buf_u32(&b, 0);
	buf_u32(&b, 7);
	buf_u32(&b, 22); /* PUTFH */
	opaque(&b, "handle");
	buf_u32(&b, 15); /* LOOKUP */
	opaque(&b, "dir");
	buf_u32(&b, 18); /* OPEN, UNCHECKED with attributes */
	zeros(&b, 4 + 4 + 4 + 8);
	opaque(&b, "owner");
	buf_u32(&b, 1);
	buf_u32(&b, 0);
	buf_u32(&b, 1);
	buf_u32(&b, 0x10);
	opaque(&b, "attr");
	buf_u32(&b, 0);
	opaque(&b, "new.exe");
	buf_u32(&b, 10); /* GETFH */
	buf_u32(&b, 18); /* OPEN, no creation */
	zeros(&b, 4 + 4 + 4 + 8);
	opaque(&b, "owner");
	buf_u32(&b, 0);
	buf_u32(&b, 0);
	opaque(&b, "old");
	buf_u32(&b, 99); /* not known */
	buf_u32(&b, 15);
	opaque(&b, "unread");
	expect_names(b, "nfs.file dir\nnfs.file new.exe\nnfs.file old\n");
}

/* Appends b in fragments of at most `step` bytes. */
static void fragments(struct buf *talk, const struct buf *b, size_t step)
{
	for (size_t at = 0; at < b->n; at += step) {
		size_t n = b->n - at < step ? b->n - at : step;
		buf_u32(talk, (at + n == b->n ? 1u << 31 : 0) | (uint32_t)n);
		buf_add(talk, b->p + at, n);
	}
}

/* A call in fragments of any size, by either side, between others; a fragment that begins like a call is none. */
static void test_fragments(void **s)
{
	(void)s;
	struct buf b = call(3, 14), other = call(3, 3), reply = {0};
	opaque(&b, "from");
	opaque(&b, "name");
	opaque(&b, "h");
	opaque(&b, "to");
	opaque(&other, "h");
	opaque(&other, "next");
	buf_add(&reply, "\0\0\x12\x34\0\0\0\1", 8);
	zeros(&reply, 9000);
	for (size_t step = 1; step <= b.n; step++) {
		struct buf talk = {0}, back = {0};
		fragments(&talk, &b, step);
		size_t begin = talk.n;
		fragments(&back, &reply, 4000);
		fragments(&talk, &other, 1000);
		const struct message there[] = {{TO_SERVER, talk.p, talk.n}, {TO_CLIENT, back.p, back.n}};
		const struct message turned[] = {{TO_SERVER, back.p, back.n}, {TO_CLIENT, talk.p, talk.n}};
		const char *want = "nfs.file name\nnfs.file to\nnfs.file next\n";
		feed_expect(&parser_nfs_tcp, there, 2, 0, SIZE_MAX, false, want);
		feed_expect(&parser_nfs_tcp, turned, 2, 0, SIZE_MAX, false, want);
		for (size_t n = 1; n < begin; n++) {
			enum probe seen = feed_probe(&parser_nfs_tcp, TO_SERVER, talk.p, n);
			if (seen == PROBE_NO || (n < 28 && seen == PROBE_YES))
				fail_msg("fragments of %zu, first %zu bytes: %d", step, n, seen);
		}
		assert_int_equal(feed_probe(&parser_nfs_tcp, TO_SERVER, talk.p, begin), PROBE_YES);
		if (step == 7) {
			feed_every_split(&parser_nfs_tcp, there, 1, want);
			feed_every_prefix(&parser_nfs_tcp, there, 1);
		}
		buf_free(&talk);
		buf_free(&back);
	}
	struct buf talk = {0};
	buf_add(&b, other.p, other.n);
	fragments(&talk, &b, b.n - other.n);
	const struct message one[] = {{TO_SERVER, talk.p, talk.n}};
	feed_every_split(&parser_nfs_tcp, one, 1, "nfs.file name\nnfs.file to\n");
	buf_free(&talk);
	buf_free(&b);
	buf_free(&other);
	buf_free(&reply);
}

/* No more of a call in fragments is looked at than of one in one piece; the next one is read. */
static void test_fragments_limit(void **s)
{
	(void)s;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = call(3, 3), talk = {0};
		struct observed o;
		size_t handle = 8192 - b.n - 4 - 8 + 4 * over;
		buf_u32(&b, (uint32_t)handle);
		zeros(&b, handle);
		opaque(&b, "name");
		assert_int_equal(b.n, 8192 + 4 * over);
		zeros(&b, 400);
		fragments(&talk, &b, 1000);
		fragments(&talk, &b, 9000);
		observed_begin(&o, &parser_nfs_tcp);
		feed_stream(&o, TO_SERVER, talk.p, talk.n);
		assert_int_equal(o.count, over ? 0 : 2);
		assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], over ? 2 : 0);
		observed_end(&o);
		buf_free(&b);
		buf_free(&talk);
	}
}

static void test_limits(void **s)
{
	(void)s;
	char name[1026];
	memset(name, 'n', sizeof(name));
	for (size_t n = 1024; n <= 1025; n++) {
		struct observed o;
		struct buf b = call(3, 3);
		name[n] = '\0';
		opaque(&b, "h");
		opaque(&b, name);
		observed_begin(&o, &parser_nfs_udp);
		feed_datagram(&o, TO_SERVER, b.p, b.n);
		assert_int_equal(o.count, n == 1024);
		assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], n == 1025);
		observed_end(&o);
		buf_free(&b);
		name[n] = 'n';
	}
	struct observed o;
	struct buf b = call(4, 1);
	opaque(&b, "");
	buf_u32(&b, 0);
	buf_u32(&b, 33);
	for (int i = 0; i < 33; i++) {
		buf_u32(&b, 28);
		opaque(&b, "x");
	}
	observed_begin(&o, &parser_nfs_udp);
	feed_datagram(&o, TO_SERVER, b.p, b.n);
	assert_int_equal(o.count, 32);
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1);
	observed_end(&o);
	buf_free(&b);
}

static void test_not_nfs(void **s)
{
	(void)s;
	struct buf b = call(3, 3);
	b.p[15] ^= 1; /* another program */
	assert_int_equal(feed_probe(&parser_nfs_udp, TO_SERVER, b.p, b.n), PROBE_NO);
	b.p[15] ^= 1;
	b.p[7] = 1; /* a reply */
	assert_int_equal(feed_probe(&parser_nfs_udp, TO_SERVER, b.p, b.n), PROBE_NO);
	b.p[7] = 0;
	b.p[19] = 5; /* version */
	assert_int_equal(feed_probe(&parser_nfs_udp, TO_SERVER, b.p, b.n), PROBE_NO);
	buf_free(&b);
	assert_int_equal(feed_probe(&parser_nfs_tcp, TO_SERVER, BYTES("\x80\0\0\x10")), PROBE_NO);
	assert_int_equal(feed_probe(&parser_nfs_tcp, TO_SERVER, BYTES("\0\0\0\0")), PROBE_NO);
	assert_int_equal(feed_probe(&parser_nfs_tcp, TO_SERVER, BYTES("\1\0\0\1")), PROBE_NO);
	assert_int_equal(feed_probe(&parser_nfs_tcp, TO_SERVER, BYTES("\0\0\0\x80xid-\0\0\0\1")), PROBE_NO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_version_3),       cmocka_unit_test(test_version_2), cmocka_unit_test(test_version_4),
	    cmocka_unit_test(test_fragments),       cmocka_unit_test(test_limits),    cmocka_unit_test(test_not_nfs),
	    cmocka_unit_test(test_fragments_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
