/* The record: what is written is read back, every cut and every lie is refused,
 * and the key holds what folding asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "rules/alert.h"

static struct bytes text(const char *s)
{
	return (struct bytes){(const uint8_t *)s, strlen(s)};
}

static const uint8_t peers[RECORD_PEERS_MAX + 1][16] = {{1}, {2}, {3}};

static struct record example(void)
{
	struct record r = {.kind = RECORD_ALERT,
			   .severity = SEVERITY_HIGH,
			   .exercise = true,
			   .n = 7,
			   .first_us = 1000,
			   .last_us = 2000,
			   .field = {[FIELD_TENANT] = text("t"),
				     [FIELD_SET] = text("apt-demo"),
				     [FIELD_INDICATOR] = text("D-1"),
				     [FIELD_WHERE] = text("dns.answer.addr"),
				     [FIELD_SRC] = text("10.0.0.1"),
				     [FIELD_DEST] = text("192.0.2.1"),
				     [FIELD_ENDPOINT] = text("10.0.0.1"),
				     [FIELD_FOLD] = text("indicator+asset"),
				     [FIELD_JSON] = text("{}")},
			   .peers = 3};
	for (size_t i = 0; i < r.peers; i++)
		r.peer[i] = (struct bytes){peers[i], 16};
	record_key(&r, r.key);
	return r;
}

static void round_trip(void **state)
{
	(void)state;
	struct record r = example(), back;
	struct buf out = {0};
	record_write(&out, &r);
	assert_true(record_read(out.p, out.n, &back));
	assert_int_equal(back.severity, SEVERITY_HIGH);
	assert_true(back.exercise);
	assert_int_equal(back.n, 7);
	assert_int_equal(back.first_us, 1000);
	assert_int_equal(back.last_us, 2000);
	assert_memory_equal(back.key, r.key, 16);
	assert_int_equal(back.peers, 3);
	assert_memory_equal(back.peer[2].p, peers[2], 16);
	assert_ptr_equal(back.field[FIELD_PEER].p, back.peer[0].p);
	for (int i = 1; i < FIELD_COUNT; i++) {
		if (i == FIELD_PEER)
			continue;
		assert_int_equal(back.field[i].n, r.field[i].n);
		if (back.field[i].n)
			assert_memory_equal(back.field[i].p, r.field[i].p, r.field[i].n);
	}
	uint8_t key[16];
	record_key(&back, key);
	assert_memory_equal(key, r.key, 16);
	buf_free(&out);
}

/* A record cut between two fields is a record with fewer fields; anywhere else
 * it is refused. */
static void cut_everywhere(void **state)
{
	(void)state;
	struct record r = example(), back;
	struct buf out = {0};
	record_write(&out, &r);
	size_t accepted = 0;
	for (size_t n = 0; n < out.n; n++) {
		uint8_t *exact = malloc(n ? n : 1);
		memcpy(exact, out.p, n);
		bool ok = record_read(exact, n, &back);
		assert_false(ok && n < 40);
		accepted += ok;
		free(exact);
	}
	assert_int_equal(accepted, 9 + 3); /* fields and peers, none to all but the last */
	buf_free(&out);
}

/* A head with one byte changed, or a field appended. */
static void lies(void **state)
{
	(void)state;
	static const struct {
		const char *label;
		size_t at;
		uint8_t value;
		bool ok;
	} heads[] = {
	    {"unknown version", 0, 2, false},  {"unknown kind", 1, RECORD_KIND_COUNT, false},
	    {"severity", 2, 4, false},         {"unknown flags", 3, 0xff, true},
	    {"first after last", 8, 1, false}, {"time beyond int64", 16, 0x80, false},
	    {"stands for none", 7, 0, false},
	};
	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		struct record r = example(), back;
		struct buf out = {0};
		record_write(&out, &r);
		out.p[heads[i].at] = heads[i].value;
		if (record_read(out.p, out.n, &back) != heads[i].ok)
			fail_msg("%s", heads[i].label);
		buf_free(&out);
	}
	static const struct {
		const char *label;
		uint8_t id;
		uint16_t n;
		int times;
		bool ok;
	} fields[] = {
	    {"unknown field", FIELD_COUNT, 9, 3, true},    {"field 0", 0, 1, 1, false},
	    {"field twice", FIELD_SET, 3, 1, false},       {"peer of 15 bytes", FIELD_PEER, 15, 1, false},
	    {"64 peers", FIELD_PEER, 16, 61, true},        {"65 peers", FIELD_PEER, 16, 62, false},
	    {"text of 8192", FIELD_REASON, 8192, 1, true}, {"text of 8193", FIELD_REASON, 8193, 1, false},
	    {"empty field", FIELD_REASON, 0, 1, true},
	};
	static const uint8_t zeros[9000];
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		struct record r = example(), back;
		struct buf out = {0};
		record_write(&out, &r);
		for (int k = 0; k < fields[i].times; k++) {
			buf_u8(&out, fields[i].id);
			buf_u16(&out, fields[i].n);
			buf_add(&out, zeros, fields[i].n);
		}
		if (record_read(out.p, out.n, &back) != fields[i].ok)
			fail_msg("%s", fields[i].label);
		buf_free(&out);
	}
}

static void keys(void **state)
{
	(void)state;
	static const struct {
		const char *label;
		const char *fold;
		enum record_field field;
		const char *value;
		bool same;
	} cases[] = {
	    {"asset: other end", "indicator+asset", FIELD_ENDPOINT, "10.0.0.2", false},
	    {"asset: peer is free", "indicator+asset", FIELD_DEST, "192.0.2.9", true},
	    {"kind, not place", "indicator+asset", FIELD_WHERE, "dns.query", true},
	    {"other kind", "indicator+asset", FIELD_WHERE, "tls.sni", false},
	    {"other set", "indicator", FIELD_SET, "apt-demp", false},
	    {"indicator: ends are free", "indicator", FIELD_ENDPOINT, "10.0.0.2", true},
	    {"pair: dest counts", "indicator+src+dst", FIELD_DEST, "192.0.2.9", false},
	    {"version is free", "indicator+asset", FIELD_SET_VERSION, "9", true},
	    {"tenant", "indicator", FIELD_TENANT, "u", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct record r = example();
		uint8_t one[16], two[16];
		r.field[FIELD_FOLD] = text(cases[i].fold);
		record_key(&r, one);
		r.field[cases[i].field] = text(cases[i].value);
		record_key(&r, two);
		if ((memcmp(one, two, 16) == 0) != cases[i].same)
			fail_msg("%s", cases[i].label);
	}
	/* Length-prefixed: moving a byte between two fields makes another key. */
	struct record r = example();
	uint8_t one[16], two[16];
	r.field[FIELD_TENANT] = text("ab");
	r.field[FIELD_SET] = text("c");
	record_key(&r, one);
	r.field[FIELD_TENANT] = text("a");
	r.field[FIELD_SET] = text("bc");
	record_key(&r, two);
	assert_memory_not_equal(one, two, 16);
}

static void random_bytes(void **state)
{
	(void)state;
	unsigned seed = (unsigned)time(NULL);
	printf("seed %u\n", seed);
	srandom(seed);
	struct record r = example(), back;
	struct buf out = {0};
	record_write(&out, &r);
	for (int i = 0; i < 20000; i++) {
		uint8_t *copy = malloc(out.n);
		memcpy(copy, out.p, out.n);
		for (long k = random() % 4; k >= 0; k--)
			copy[(size_t)random() % out.n] = (uint8_t)random();
		if (record_read(copy, out.n, &back))
			record_key(&back, back.key);
		free(copy);
	}
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_trip), cmocka_unit_test(cut_everywhere), cmocka_unit_test(lies),
	    cmocka_unit_test(keys),       cmocka_unit_test(random_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
