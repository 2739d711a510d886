/* The flow table against a slow, obvious list; direction, time, reuse, VLAN,
 * eviction and memory. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/clock.h"
#include "sensor/flow.h"

#define S  1000000LL /* a second in microseconds */
#define T0 (1700000000LL * S)

struct rig {
	struct flow_table *t;
	struct ledger ledger;
	uint64_t ended;
	uint32_t last_ended; /* serial */
	void (*on_end)(struct rig *r, const struct flow *f);
	void *extra;
};

static void rig_end(void *owner, struct flow *f)
{
	struct rig *r = owner;
	r->ended++;
	r->last_ended = f->serial;
	if (r->on_end)
		r->on_end(r, f);
}

static void rig_open(struct rig *r, size_t flows, enum vlan_mode vlan)
{
	struct hash_key key;
	hash_key_random(&key);
	r->t = flow_table_new(flows, vlan, &key, &r->ledger, rig_end, r);
}

static struct layer tcp(uint32_t a, uint16_t ap, uint32_t b, uint16_t bp, uint8_t flags)
{
	uint32_t an = htonl(a), bn = htonl(b);
	return (struct layer){.src = addr_v4(&an),
			      .dest = addr_v4(&bn),
			      .src_port = ap,
			      .dest_port = bp,
			      .proto = IPPROTO_TCP,
			      .tcp_flags = flags};
}

static struct layer back(struct layer l, uint8_t flags)
{
	struct layer r = l;
	r.src = l.dest;
	r.dest = l.src;
	r.src_port = l.dest_port;
	r.dest_port = l.src_port;
	r.tcp_flags = flags;
	return r;
}

static struct flow *give(struct rig *r, const struct layer *l, int64_t ts_us, bool *is_new, enum side *side)
{
	struct flow_seek seek;
	flow_seek(r->t, l, &seek);
	if (!flow_prefetch(r->t, &seek))
		flow_prefetch_other(r->t, &seek);
	return flow_get(r->t, l, &seek, ts_us, is_new, side);
}

static void test_direction(void **state)
{
	(void)state;
	static const struct {
		const char *label;
		uint16_t ap, bp;
		uint8_t proto, flags;
		enum side side; /* of this first packet */
	} cases[] = {
	    {"SYN begins", 443, 50000, IPPROTO_TCP, TCP_SYN, TO_SERVER},
	    {"SYN-ACK answers", 50000, 60000, IPPROTO_TCP, TCP_SYN | TCP_ACK, TO_CLIENT},
	    {"data from a service port", 443, 50000, IPPROTO_TCP, TCP_ACK, TO_CLIENT},
	    {"data to a service port", 50000, 443, IPPROTO_TCP, TCP_ACK, TO_SERVER},
	    {"two high ports", 50000, 60000, IPPROTO_TCP, TCP_ACK, TO_SERVER},
	    {"two low ports", 53, 53, IPPROTO_UDP, 0, TO_SERVER},
	    {"UDP answer first", 53, 40000, IPPROTO_UDP, 0, TO_CLIENT},
	    {"1024 is no service port", 1024, 40000, IPPROTO_UDP, 0, TO_SERVER},
	    {"no ports", 0, 0, IPPROTO_ICMP, 0, TO_SERVER},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (int swap = 0; swap < 2; swap++) { /* whichever end is lower in memory */
			struct rig r = {0};
			rig_open(&r, 100, VLAN_AUTO);
			struct layer l = tcp(swap ? 1 : 2, cases[i].ap, swap ? 2 : 1, cases[i].bp, cases[i].flags);
			l.proto = cases[i].proto;
			bool is_new;
			enum side side;
			give(&r, &l, T0, &is_new, &side);
			if (!is_new || side != cases[i].side)
				fail_msg("%s (swap %d): new %d side %d", cases[i].label, swap, is_new, side);
			struct layer b = back(l, TCP_ACK);
			give(&r, &b, T0, &is_new, &side);
			if (is_new || side == cases[i].side)
				fail_msg("%s (swap %d): the answer: new %d side %d", cases[i].label, swap, is_new,
					 side);
			flow_table_free(r.t);
			assert_int_equal(r.ended, 1);
		}
	}
}

static void test_isn(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r, 100, VLAN_AUTO);
	bool is_new;
	enum side side;
	struct layer l = tcp(1, 50000, 2, 443, TCP_SYN);
	l.tcp_seq = 99;
	assert_int_equal(give(&r, &l, T0, &is_new, &side)->isn, 100);
	struct layer b = back(l, TCP_SYN | TCP_ACK);
	b.tcp_seq = 499;
	b.tcp_ack = 7; /* another SYN than the one seen was taken */
	struct flow *f = give(&r, &b, T0, &is_new, &side);
	assert_int_equal(f->isn, 7);
	assert_int_equal(f->reply_isn, 500);
	l.tcp_seq = 12345; /* a decoy after the answer */
	assert_int_equal(give(&r, &l, T0, &is_new, &side)->isn, 7);
	f->flags |= FLOW_STATE; /* from here on the owner keeps account, the slot is its own */
	f->state = 42;
	give(&r, &b, T0, &is_new, &side);
	assert_int_equal(f->state, 42);
	flow_table_free(r.t);
}

static void test_idle(void **state)
{
	(void)state;
	static const struct {
		const char *label;
		uint8_t proto, flags, back_flags;
		bool answered;
		int idle_s;
	} cases[] = {
	    {"TCP established", IPPROTO_TCP, TCP_SYN, TCP_SYN | TCP_ACK, true, 300},
	    {"TCP mid-stream, one side", IPPROTO_TCP, TCP_ACK, 0, false, 300},
	    {"TCP SYN without answer", IPPROTO_TCP, TCP_SYN, 0, false, 30},
	    {"TCP refused", IPPROTO_TCP, TCP_SYN, TCP_RST | TCP_ACK, true, 10},
	    {"TCP both FIN", IPPROTO_TCP, TCP_FIN | TCP_ACK, TCP_FIN | TCP_ACK, true, 10},
	    {"TCP one FIN", IPPROTO_TCP, TCP_FIN | TCP_ACK, TCP_ACK, true, 300},
	    {"UDP answered", IPPROTO_UDP, 0, 0, true, 60},
	    {"UDP unanswered", IPPROTO_UDP, 0, 0, false, 30},
	    {"ICMP", IPPROTO_ICMP, 0, 0, true, 30},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (int late = 0; late < 4; late++) { /* within or beyond; by sweep or by the next packet */
			struct rig r = {0};
			rig_open(&r, 100, VLAN_AUTO);
			bool is_new;
			enum side side;
			struct layer l = tcp(1, 50000, 2, 443, cases[i].flags);
			l.proto = cases[i].proto;
			struct layer b = back(l, cases[i].back_flags);
			give(&r, &l, T0, &is_new, &side);
			if (cases[i].answered)
				give(&r, &b, T0, &is_new, &side);
			int64_t then = T0 + (cases[i].idle_s + (late & 1)) * S;
			if (late & 2) {
				flow_expire(r.t, then);
				if (flow_count(r.t) != (late & 1 ? 0 : 1))
					fail_msg("%s: swept with late=%d: %zu", cases[i].label, late & 1,
						 flow_count(r.t));
			} else {
				l.tcp_flags = TCP_ACK;
				give(&r, &l, then, &is_new, &side);
				if (is_new != (bool)(late & 1))
					fail_msg("%s: asked with late=%d: new %d", cases[i].label, late & 1, is_new);
			}
			assert_int_equal(r.ledger.v[LEDGER_FLOW_EXPIRED], late & 1);
			flow_table_free(r.t);
		}
	}
}

static void test_port_reuse(void **state)
{
	(void)state;
	struct rig r = {0};
	rig_open(&r, 100, VLAN_AUTO);
	bool is_new;
	enum side side;
	struct layer syn = tcp(1, 50000, 2, 443, TCP_SYN), rst = back(syn, TCP_RST | TCP_ACK);
	uint32_t first = give(&r, &syn, T0, &is_new, &side)->serial;
	give(&r, &syn, T0, &is_new, &side);
	assert_false(is_new); /* a repeated SYN is the same flow */
	give(&r, &rst, T0, &is_new, &side);
	assert_false(is_new);
	uint32_t second = give(&r, &syn, T0, &is_new, &side)->serial;
	assert_true(is_new);
	assert_int_equal(r.last_ended, first);
	assert_int_not_equal(first, second);
	/* With state only the owner closes: a decoy RST must not open the way for a SYN. */
	struct flow *f = give(&r, &syn, T0, &is_new, &side);
	f->flags |= FLOW_STATE;
	give(&r, &rst, T0, &is_new, &side);
	give(&r, &syn, T0, &is_new, &side);
	assert_false(is_new);
	f->flags |= FLOW_CLOSED;
	give(&r, &syn, T0, &is_new, &side);
	assert_true(is_new);
	flow_table_free(r.t);
}

static void test_vlan(void **state)
{
	(void)state;
	static const struct {
		const char *label;
		enum vlan_mode mode;
		uint8_t an, bn;
		uint16_t a[2], b[2];
		bool same;
	} cases[] = {
	    {"auto: not in the key", VLAN_AUTO, 1, 1, {10}, {20}, true},
	    {"ignore", VLAN_IGNORE, 1, 0, {10}, {0}, true},
	    {"strict: other tag", VLAN_STRICT, 1, 1, {10}, {20}, false},
	    {"strict: same tag, other priority", VLAN_STRICT, 1, 1, {10}, {10 | 0xe000}, true},
	    {"strict: inner, low bits", VLAN_STRICT, 2, 2, {10, 1}, {10, 2}, false},
	    {"strict: inner, high bits", VLAN_STRICT, 2, 2, {10, 0x100}, {10, 0x200}, false},
	    {"strict: same pair", VLAN_STRICT, 2, 2, {10, 4000}, {10, 4000}, true},
	    {"strict: swapped", VLAN_STRICT, 2, 2, {10, 20}, {20, 10}, false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rig r = {0};
		rig_open(&r, 100, cases[i].mode);
		bool is_new;
		enum side side;
		struct layer l = tcp(1, 50000, 2, 443, TCP_ACK);
		l.vlan_n = cases[i].an;
		memcpy(l.vlan, cases[i].a, sizeof(cases[i].a));
		give(&r, &l, T0, &is_new, &side);
		l.vlan_n = cases[i].bn;
		memcpy(l.vlan, cases[i].b, sizeof(cases[i].b));
		give(&r, &l, T0, &is_new, &side);
		if (is_new == cases[i].same)
			fail_msg("%s", cases[i].label);
		flow_table_free(r.t);
	}
}

/* ---- the model ---- */

#define UNIVERSE 700

struct model {
	bool live, closed, fin[2], answered, stream;
	uint32_t serial;
	int64_t last_s, now_s;
	unsigned seen[2];
	bool end_due; /* the end that comes now is expected, whatever the time */
};

static int64_t model_limit(const struct model *m, uint8_t proto)
{
	bool answered = m->seen[0] && m->seen[1];
	if (proto == IPPROTO_TCP)
		return m->closed ? 10 : answered || m->stream ? 300 : 30;
	if (proto == IPPROTO_UDP)
		return answered ? 60 : 30;
	return 30;
}

static uint8_t model_proto(unsigned k)
{
	static const uint8_t proto[] = {IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};
	return proto[k % 4];
}

static int64_t model_now_s;

static void model_end(struct rig *r, const struct flow *f)
{
	struct model *all = r->extra;
	for (unsigned k = 0; k < UNIVERSE; k++) {
		if (all[k].live && all[k].serial == f->serial) {
			all[k].live = false;
			if (!all[k].end_due && model_now_s - all[k].last_s <= model_limit(&all[k], model_proto(k)))
				fail_msg("flow %u ended early", k);
			return;
		}
	}
	fail_msg("serial %u ended twice", f->serial);
}

static void test_model(void **state)
{
	(void)state;
	unsigned seed = (unsigned)clock_mono_us();
	printf("seed %u\n", seed);
	struct model *all = calloc(UNIVERSE, sizeof(*all));
	struct rig r = {.on_end = model_end, .extra = all};
	rig_open(&r, 4 * UNIVERSE, VLAN_AUTO);
	model_now_s = T0 / S;
	for (int step = 0; step < 200000; step++) {
		if (rand_r(&seed) % 50 == 0)
			model_now_s += rand_r(&seed) % 9;
		unsigned k = (unsigned)rand_r(&seed) % UNIVERSE;
		struct model *m = &all[k];
		bool to_client = rand_r(&seed) & 1;
		static const uint8_t kinds[] = {TCP_SYN, TCP_SYN | TCP_ACK, TCP_ACK,
						TCP_ACK, TCP_FIN | TCP_ACK, TCP_RST};
		uint8_t flags = kinds[(unsigned)rand_r(&seed) % 6];
		struct layer l = tcp(k + 1, 50000, k + 2, 60000, 0);
		l.proto = model_proto(k);
		if (l.proto == IPPROTO_ICMP)
			l.src_port = l.dest_port = 0;
		if (to_client)
			l = back(l, 0);
		l.tcp_flags = l.proto == IPPROTO_TCP ? flags : 0;
		l.tcp_seq = l.tcp_ack = 1;
		bool want_new = !m->live || model_now_s - m->last_s > model_limit(m, l.proto) ||
				(m->closed && l.tcp_flags == TCP_SYN);
		m->end_due = want_new;
		bool is_new;
		enum side side;
		struct flow *f = give(&r, &l, model_now_s * S, &is_new, &side);
		m->end_due = false;
		assert_int_equal(is_new, want_new);
		if (want_new)
			*m = (struct model){.live = true,
					    .serial = f->serial,
					    .stream = l.tcp_flags != TCP_SYN && l.tcp_flags != (TCP_SYN | TCP_ACK)};
		assert_int_equal(f->serial, m->serial);
		m->stream = l.proto == IPPROTO_TCP && !f->isn; /* the slot is tested in test_isn */
		m->last_s = model_now_s;
		m->seen[to_client] += m->seen[to_client] < 255;
		assert_int_equal(m->seen[0] + m->seen[1], f->packets[0] + f->packets[1]);
		if (l.proto == IPPROTO_TCP) {
			m->fin[to_client] |= (flags & TCP_FIN) != 0;
			m->closed |= (flags & TCP_RST) || (m->fin[0] && m->fin[1]);
		}
		if (rand_r(&seed) % 8 == 0)
			flow_expire(r.t, model_now_s * S);
		if (step % 1000 == 0) {
			size_t live = 0;
			for (unsigned i = 0; i < UNIVERSE; i++)
				live += all[i].live;
			assert_int_equal(live, flow_count(r.t));
		}
	}
	for (int i = 0; i < 100; i++) {
		model_now_s += 10;
		flow_expire(r.t, model_now_s * S);
	}
	assert_int_equal(flow_count(r.t), 0);
	assert_int_equal(r.ledger.v[LEDGER_FLOWS], r.ended);
	flow_table_free(r.t);
	free(all);
}

/* A flood of unanswered flows must not push out those that talk. */
static void test_flood(void **state)
{
	(void)state;
	enum { LIMIT = 20000, TALK = 8000 };
	struct rig r = {0};
	rig_open(&r, LIMIT, VLAN_AUTO);
	bool is_new;
	enum side side;
	uint32_t *serial = calloc(TALK, sizeof(*serial));
	for (uint32_t k = 0; k < TALK; k++) {
		struct layer l = tcp(k + 1, 50000, 9, 443, TCP_SYN), b = back(l, TCP_SYN | TCP_ACK);
		give(&r, &l, T0, &is_new, &side);
		serial[k] = give(&r, &b, T0, &is_new, &side)->serial;
	}
	for (uint32_t k = 0; k < 20 * LIMIT; k++) {
		struct layer l = tcp(0x0a000000 + k, 1234, 9, 443, TCP_SYN);
		struct flow *f = give(&r, &l, T0 + k * 10, &is_new, &side);
		assert_true(is_new);
		assert_int_equal(f->packets[0], 1);
		assert_true(flow_count(r.t) <= LIMIT);
	}
	uint32_t lost = 0;
	for (uint32_t k = 0; k < TALK; k++) {
		struct layer l = tcp(k + 1, 50000, 9, 443, TCP_ACK);
		lost += give(&r, &l, T0 + 5 * S, &is_new, &side)->serial != serial[k];
	}
	printf("%u of %d talking flows pushed out by %d others\n", lost, TALK, 20 * LIMIT);
	assert_true(lost <= TALK / 100);
	assert_int_equal(r.ledger.v[LEDGER_FLOWS], r.ended + flow_count(r.t));
	assert_int_equal(r.ledger.v[LEDGER_FLOW_EVICTED], r.ended);
	flow_table_free(r.t);
	free(serial);
}

/* Every record in use by flows that talk: the longest idle go. */
static void test_full_of_talkers(void **state)
{
	(void)state;
	enum { LIMIT = 5000 };
	struct rig r = {0};
	rig_open(&r, LIMIT, VLAN_AUTO);
	bool is_new;
	enum side side;
	for (uint32_t k = 0; k < 4 * LIMIT; k++) {
		struct layer l = tcp(k + 1, 50000, 9, 443, TCP_SYN), b = back(l, TCP_SYN | TCP_ACK);
		give(&r, &l, T0 + k * 1000, &is_new, &side);
		give(&r, &b, T0 + k * 1000, &is_new, &side);
	}
	assert_true(flow_count(r.t) > LIMIT - LIMIT / 100);
	uint32_t kept = 0; /* of the newest tenth */
	for (uint32_t k = 4 * LIMIT - LIMIT / 10; k < 4 * LIMIT; k++) {
		struct layer l = tcp(k + 1, 50000, 9, 443, TCP_ACK);
		give(&r, &l, T0 + 4 * LIMIT * 1000, &is_new, &side);
		kept += !is_new;
	}
	assert_true(kept > LIMIT / 10 - LIMIT / 50);
	flow_table_free(r.t);
}

/* Addresses that collide under additive and XOR hashes fill the table like any
 * others: no early eviction, so no place is crowded. */
static void test_collisions(void **state)
{
	(void)state;
	enum { N = 100000 };
	for (int kind = 0; kind < 3; kind++) {
		struct rig r = {0};
		rig_open(&r, N, VLAN_AUTO);
		bool is_new;
		enum side side;
		for (uint32_t k = 0; k < N; k++) {
			struct layer l = kind == 0   ? tcp(0x0a000000 + k, 1, 0x0b000000 - k, 2, TCP_SYN)
					 : kind == 1 ? tcp(k ^ 0x55555555, 1, k, 2, TCP_SYN)
						     : tcp(k << 12 | k >> 20, (uint16_t)k, 7, 2, TCP_SYN);
			give(&r, &l, T0, &is_new, &side);
		}
		assert_true(r.ledger.v[LEDGER_FLOW_EVICTED] < N / 1000);
		flow_table_free(r.t);
	}
}

static void test_memory(void **state)
{
	(void)state;
	static const size_t sizes[] = {1000, 65536, 1000000, 10000000};
	for (size_t i = 0; i < 4; i++) {
		struct rig r = {0};
		rig_open(&r, sizes[i], VLAN_AUTO);
		printf("%zu flows: %.1f bytes each\n", sizes[i], (double)flow_table_bytes(r.t) / (double)sizes[i]);
		assert_true(flow_table_bytes(r.t) <= 96 * sizes[i]);
		flow_table_free(r.t);
	}
}

/* Times from a capture may be anything. */
static void test_wild_clock(void **state)
{
	(void)state;
	static const int64_t times[] = {0, -1, INT64_MIN, INT64_MAX, T0, 1LL << 52, T0 + 1};
	struct rig r = {0};
	rig_open(&r, 100, VLAN_AUTO);
	bool is_new;
	enum side side;
	for (size_t i = 0; i < 49; i++) {
		struct layer l = tcp((uint32_t)(i % 5), 1, 2, 3, TCP_ACK);
		give(&r, &l, times[i % 7], &is_new, &side);
		flow_expire(r.t, times[i / 7]);
	}
	flow_table_free(r.t);
	assert_int_equal(r.ended, r.ledger.v[LEDGER_FLOWS]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_direction),  cmocka_unit_test(test_isn),
	    cmocka_unit_test(test_idle),       cmocka_unit_test(test_port_reuse),
	    cmocka_unit_test(test_vlan),       cmocka_unit_test(test_model),
	    cmocka_unit_test(test_flood),      cmocka_unit_test(test_full_of_talkers),
	    cmocka_unit_test(test_collisions), cmocka_unit_test(test_memory),
	    cmocka_unit_test(test_wild_clock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
