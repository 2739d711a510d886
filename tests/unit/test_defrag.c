/* Reassembly: random splits of random datagrams give the datagram back; the first
 * copy counts; nothing grows beyond its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../../sensor/defrag.c"

static const uint8_t head4[20] = {0x45, 0, 0, 0, 0x12, 0x34, 0x20, 0, 64, 17};
static const uint8_t head6[48] = {0x60, 0, 0, 0, 0, 0, 0, 64, [40] = 44};

struct fixture {
	struct ledger ledger;
	struct defrag *d;
};

static struct fixture fixture(size_t bytes)
{
	struct fixture f = {0};
	return f.d = defrag_new(bytes, NULL), f;
}

/* The ledger lives in the fixture, whose address is known only here. */
static void attach(struct fixture *f)
{
	f->d->ledger = &f->ledger;
}

static struct bytes give(struct fixture *f, bool v6, uint32_t id, const uint8_t *all, size_t n, uint32_t from,
			 uint32_t to, int64_t now_us)
{
	struct fragment g = {.id = id, .v6 = v6, .proto = 17, .offset = from, .more = to < n};
	g.src.b[15] = 1;
	g.dest.b[15] = 2;
	g.head = v6 ? (struct bytes){head6, 48} : (struct bytes){head4, 20};
	g.next_at = 40;
	g.data = (struct bytes){all + from, to - from};
	return defrag_add(f->d, &g, now_us);
}

static void test_random_splits(void **state)
{
	(void)state;
	unsigned seed = (unsigned)time(NULL);
	print_message("seed %u\n", seed);
	srand(seed);
	static uint8_t all[65535];
	for (int round = 0; round < 300; round++) {
		struct fixture f = fixture(0);
		attach(&f);
		bool v6 = rand() & 1;
		size_t n = 9 + (size_t)rand() % (round % 10 ? 4000 : 65000);
		for (size_t i = 0; i < n; i++)
			all[i] = (uint8_t)rand();
		uint32_t blocks = (uint32_t)((n + 7) / 8);
		uint8_t *have = calloc(blocks, 1);
		uint32_t missing = blocks;
		struct bytes whole = {0};
		for (int step = 0; missing || !whole.p; step++) {
			assert_true(step < 1000000);
			assert_null(whole.p);
			uint32_t from = (uint32_t)rand() % blocks, len = 1 + (uint32_t)rand() % (1 + blocks / 8);
			uint32_t to = from + len < blocks ? (from + len) * 8 : (uint32_t)n;
			whole = give(&f, v6, 7, all, n, from * 8, to, step);
			for (uint32_t i = from; i < from + len && i < blocks; i++) {
				missing -= !have[i];
				have[i] = 1;
			}
			if (!missing)
				assert_non_null(whole.p);
		}
		size_t head_n = v6 ? 48 : 20;
		assert_int_equal(whole.n, head_n + n);
		assert_memory_equal(whole.p + head_n, all, n);
		assert_int_equal(v6 ? whole.p[40] : whole.p[6], v6 ? 17 : 0);
		size_t said = v6 ? (size_t)(whole.p[4] << 8 | whole.p[5]) + 40 : (size_t)(whole.p[2] << 8 | whole.p[3]);
		assert_int_equal(said, whole.n);
		assert_int_equal(defrag_waiting(f.d), 0);
		free(have);
		defrag_free(f.d);
	}
}

static void test_first_copy_counts(void **state)
{
	(void)state;
	struct fixture f = fixture(0);
	attach(&f);
	uint8_t good[24], evil[24];
	memset(good, 'g', sizeof(good));
	memset(evil, 'e', sizeof(evil));
	assert_null(give(&f, false, 1, good, 24, 8, 16, 0).p);
	assert_null(give(&f, false, 1, good, 24, 8, 16, 0).p);
	assert_int_equal(f.ledger.v[LEDGER_FRAG_OVERLAP], 0);
	assert_null(give(&f, false, 1, evil, 24, 0, 16, 0).p);
	assert_int_equal(f.ledger.v[LEDGER_FRAG_OVERLAP], 1);
	struct bytes whole = give(&f, false, 1, good, 24, 16, 24, 0);
	assert_memory_equal(whole.p + 20, "eeeeeeeeggggggggg", 17);
	defrag_free(f.d);
}

static void test_ends_that_disagree(void **state)
{
	(void)state;
	struct fixture f = fixture(0);
	attach(&f);
	uint8_t all[64] = {0};
	assert_null(give(&f, true, 1, all, 32, 24, 32, 0).p);
	assert_null(give(&f, true, 1, all, 40, 32, 40, 0).p); /* another end */
	assert_null(give(&f, true, 1, all, 64, 32, 40, 0).p); /* beyond the end */
	assert_int_equal(f.ledger.v[LEDGER_FRAG_OVERLAP], 2);
	assert_int_equal(give(&f, true, 1, all, 32, 0, 24, 0).n, 48 + 32);
	assert_null(give(&f, false, 2, all, 64, 0, 36, 0).p); /* not whole blocks: 32 are taken */
	assert_int_equal(give(&f, false, 2, all, 64, 32, 64, 0).n, 20 + 64);
	defrag_free(f.d);
}

static void test_time(void **state)
{
	(void)state;
	struct fixture f = fixture(0);
	attach(&f);
	uint8_t all[64] = {0};
	give(&f, false, 1, all, 64, 0, 8, 0);
	give(&f, false, 2, all, 64, 0, 8, 30000000);
	assert_int_equal(defrag_waiting(f.d), 2);
	give(&f, false, 3, all, 64, 0, 8, 30000001);
	assert_int_equal(defrag_waiting(f.d), 2);
	assert_int_equal(f.ledger.v[LEDGER_FRAG_TIMEOUT], 1);
	give(&f, false, 4, all, 64, 0, 8, INT64_MIN); /* a clock that jumps */
	give(&f, false, 5, all, 64, 0, 8, INT64_MAX);
	assert_int_equal(defrag_waiting(f.d), 1);
	defrag_free(f.d);
}

/* A flood from one source leaves the datagram of another alone; a flood from
 * everywhere keeps the memory bound. */
static void test_floods(void **state)
{
	(void)state;
	struct fixture f = fixture(1 << 20);
	attach(&f);
	static uint8_t all[65535];
	struct fragment g = {.proto = 17, .more = true, .head = {head4, 20}, .data = {all, 8}};
	g.src.b[0] = 9;
	assert_null(defrag_add(f.d, &g, 0).p);
	for (uint32_t i = 0; i < 20000; i++) {
		g.src.b[0] = 1;
		g.id = i;
		g.offset = i % 8000 * 8;
		defrag_add(f.d, &g, 0);
	}
	assert_true(f.ledger.v[LEDGER_FRAG_LIMIT] > 10000);
	bool same_group = f.d->source_bytes[hash64(&f.d->hash, &(struct addr){.b = {9}}, 16) % SOURCES] > 100000;
	g.src.b[0] = 9;
	g.id = 0;
	g.offset = 8;
	g.more = false;
	if (!same_group)
		assert_non_null(defrag_add(f.d, &g, 0).p);
	for (uint32_t i = 0; i < 50000; i++) {
		memcpy(g.src.b, &i, 4);
		g.id = i;
		g.offset = i % 8000 * 8;
		g.more = i & 1;
		defrag_add(f.d, &g, 0);
		assert_true(f.d->mem.used <= f.d->mem.limit);
	}
	defrag_free(f.d);
}

/* What a datagram began with, when it is given up: by time, for room, at the end. */
static void test_given_up(void **state)
{
	(void)state;
	static uint8_t all[4096];
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)(i * 7);
	for (int v6 = 0; v6 < 2; v6++) {
		struct fixture f = fixture(0);
		struct fragment_vlans vlans;
		size_t head_n = v6 ? 48 : 20;
		attach(&f);
		give(&f, v6, 1, all, 4000, 0, 1480, 0);    /* the first alone */
		give(&f, v6, 2, all, 4000, 1480, 2960, 0); /* not the first: nothing to begin with */
		give(&f, v6, 3, all, 4000, 0, 1480, 1);    /* a hole, and the end is known */
		give(&f, v6, 3, all, 4000, 2960, 4000, 1);
		assert_null(defrag_given_up(f.d, &vlans).p);
		defrag_expire(f.d, 31000000);
		assert_int_equal(f.ledger.v[LEDGER_FRAG_TIMEOUT], 3);
		for (int i = 0; i < 2; i++) {
			struct bytes b = defrag_given_up(f.d, &vlans);
			assert_int_equal(b.n, head_n + 1480);
			assert_memory_equal(b.p + head_n, all, 1480);
			size_t says = v6 ? 40u + (b.p[4] << 8 | b.p[5]) : (size_t)(b.p[2] << 8 | b.p[3]);
			assert_int_equal(says, head_n + (i ? 4000 : 1481)); /* more than there is */
			assert_int_equal(v6 ? b.p[40] : b.p[6], v6 ? 17 : 0);
		}
		assert_null(defrag_given_up(f.d, &vlans).p);
		give(&f, v6, 4, all, 4000, 0, 8, 40000000);
		defrag_end(f.d);
		assert_int_equal(defrag_given_up(f.d, &vlans).n, head_n + 8);
		assert_int_equal(defrag_waiting(f.d), 0);
		for (uint32_t i = 0; i < 2 * GIVEN_UP_MAX; i++) /* handed to nobody: bounded */
			give(&f, v6, 100 + i, all, 4000, 0, 8, 40000000);
		defrag_expire(f.d, 90000000);
		size_t n = 0;
		while (defrag_given_up(f.d, &vlans).p)
			n++;
		assert_int_equal(n, GIVEN_UP_MAX);
		assert_int_equal(f.ledger.v[LEDGER_FRAG_LIMIT], GIVEN_UP_MAX);
		defrag_free(f.d);
	}
}

/* Room for others is made of what waits: each beginning comes out all the same. */
static void test_given_up_for_room(void **state)
{
	(void)state;
	static uint8_t all[1480];
	struct fixture f = fixture(1 << 20);
	struct fragment_vlans vlans;
	size_t n = 0;
	attach(&f);
	for (uint32_t i = 0; i < 5000; i++) {
		give(&f, false, i, all, 3000, 0, 1480, 0);
		while (defrag_given_up(f.d, &vlans).p)
			n++;
		defrag_release(f.d);
	}
	assert_true(f.ledger.v[LEDGER_FRAG_LIMIT] > 4000);
	assert_int_equal(n, f.ledger.v[LEDGER_FRAG_LIMIT]);
	defrag_free(f.d);
}

static void test_ping_of_death(void **state)
{
	(void)state;
	struct fixture f = fixture(0);
	attach(&f);
	static uint8_t all[65535];
	struct fragment g = {.proto = 1, .offset = 65528, .head = {head4, 20}, .data = {all, 1400}};
	assert_null(defrag_add(f.d, &g, 0).p);
	assert_int_equal(defrag_waiting(f.d), 0);
	assert_int_equal(f.ledger.v[LEDGER_FRAG_LIMIT], 1);
	/* payload fits, payload and header do not */
	give(&f, false, 1, all, 65535, 0, 32768, 0);
	assert_null(give(&f, false, 1, all, 65535, 32768, 65535, 0).p);
	assert_int_equal(f.ledger.v[LEDGER_FRAG_LIMIT], 2);
	defrag_free(f.d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_random_splits),
	    cmocka_unit_test(test_first_copy_counts),
	    cmocka_unit_test(test_ends_that_disagree),
	    cmocka_unit_test(test_time),
	    cmocka_unit_test(test_floods),
	    cmocka_unit_test(test_given_up),
	    cmocka_unit_test(test_given_up_for_room),
	    cmocka_unit_test(test_ping_of_death),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
