/* A session fed with bytes: every rule of the conversation, the whole cut at
 * every length and given byte by byte, and every limit. */
#include "tests/unit/collector_help.h"

#include "collector/session.h"

#define DELTAS 250

static struct hash_key hash;

/* An owner that is a Redis which always agrees, at once or when told to. */
struct owner {
	struct session s;
	struct session_limits limits;
	uint64_t mark, total, flushes;
	bool hold; /* answers wait in held[] */
	uint64_t held[64];
	size_t held_n, statuses;
	bool refuse_hello;
};

static bool on_hello(struct session *s, struct err *e)
{
	struct owner *o = s->owner;
	return !o->refuse_hello || err_set(e, "HELLO says %s, the certificate says otherwise", s->id);
}

static void on_flush(struct session *s, uint64_t hi)
{
	struct owner *o = s->owner;
	o->flushes++;
	for (size_t i = 0; i < s->fold.n; i++)
		o->total += s->fold.delta[i].n;
	if (o->hold)
		o->held[o->held_n++] = hi;
	else
		session_flushed(s, hi);
}

static void on_status(struct session *s, struct bytes json)
{
	(void)json;
	((struct owner *)s->owner)->statuses++;
}

static const struct session_ops ops = {.hello = on_hello, .flush = on_flush, .status = on_status};

static void open_owner(struct owner *o)
{
	*o = (struct owner){.limits = {.hello_us = 5 * SEC, .frame_us = 30 * SEC, .flush_us = 50000, .in_flight = 4}};
	session_init(&o->s, &ops, &o->limits, o, &hash, 3600 * SEC, DELTAS, 1000);
}

static void put_hello(struct buf *b, const char *id)
{
	size_t at = frame_begin(b, FRAME_HELLO);
	buf_u64(b, 5);
	buf_u8(b, 0);
	buf_u8(b, (uint8_t)strlen(id));
	buf_add(b, id, strlen(id));
	buf_u8(b, 3);
	buf_add(b, "0.1", 3);
	frame_end(b, at);
}

static void put_data(struct buf *b, uint64_t first, uint32_t count, const struct made *m)
{
	size_t at = frame_begin(b, FRAME_DATA);
	buf_u64(b, first);
	buf_u32(b, count);
	for (uint32_t i = 0; i < count; i++) {
		struct buf r = {0};
		char name[16];
		struct made one = *m;
		snprintf(name, sizeof(name), "%u", (unsigned)(first + i));
		if (!one.indicator)
			one.indicator = name;
		made_write(&r, &one);
		buf_u32(b, (uint32_t)r.n);
		buf_add(b, r.p, r.n);
		buf_free(&r);
	}
	frame_end(b, at);
}

static void welcome(struct owner *o)
{
	struct marks marks;
	marks_set(&marks, o->mark);
	if (o->s.state == SESSION_ASKED)
		session_welcome(&o->s, &marks);
}

/* Runs until nothing moves any more. */
static void run(struct owner *o, int64_t now)
{
	for (int i = 0; i < 1000 && (session_turn(&o->s, now, T0) || i == 0); i++)
		welcome(o);
	welcome(o);
	while (session_turn(&o->s, now, T0))
		;
	session_tick(&o->s, now);
}

static void feed(struct owner *o, const struct buf *b, int64_t now)
{
	session_feed(&o->s, b->p, b->n, now);
	run(o, now);
}

/* The type and number of the i-th frame that the session sent. */
static bool sent(const struct owner *o, size_t i, enum frame_type *type, uint64_t *number)
{
	struct frame f;
	size_t at = 0, used;
	while (frame_read(o->s.out.p + at, o->s.out.n - at, &f, &used, NULL) == FRAME_READY) {
		at += used;
		if (i--)
			continue;
		struct cursor c = cursor_over(f.payload.p, f.payload.n);
		*type = f.type;
		*number = cursor_u64(&c);
		return true;
	}
	return false;
}

static void expect_sent(const struct owner *o, size_t i, enum frame_type type, uint64_t number)
{
	enum frame_type t;
	uint64_t n;
	if (!sent(o, i, &t, &n))
		fail_msg("frame %zu was not sent", i);
	assert_int_equal(t, type);
	assert_int_equal(n, number);
}

static void close_owner(struct owner *o)
{
	session_free(&o->s);
}

static void conversation(struct buf *b)
{
	put_hello(b, "tok-03");
	put_data(b, 8, 3, &(struct made){.n = 2});
	put_data(b, 10, 2, &(struct made){.n = 2}); /* 10 again, 11 new */
	size_t at = frame_begin(b, FRAME_STATUS);
	buf_add(b, "{}", 2);
	frame_end(b, at);
}

/* A flush was left half written: WELCOME says the mark and how far some are. */
static void welcome_uneven(void **state)
{
	struct owner o;
	struct buf b = {0};
	struct marks marks;
	struct frame f;
	size_t used;
	(void)state;
	open_owner(&o);
	put_hello(&b, "tok-03");
	session_feed(&o.s, b.p, b.n, 1);
	session_turn(&o.s, 1, T0);
	marks_set(&marks, 7);
	marks_raise(&marks, 3, 2, 25);
	session_welcome(&o.s, &marks);
	assert_int_equal(frame_read(o.s.out.p, o.s.out.n, &f, &used, NULL), FRAME_READY);
	struct cursor c = cursor_over(f.payload.p, f.payload.n);
	assert_int_equal(f.type, FRAME_WELCOME);
	assert_int_equal(cursor_u64(&c), 7);
	assert_int_equal(cursor_u64(&c), 25);
	assert_true(cursor_ok(&c) && !cursor_left(&c));
	buf_free(&b);
	close_owner(&o);
}

/* Who breaks the rules is told from who leaves. */
static void blame(void **state)
{
	struct owner o;
	struct buf b = {0};
	(void)state;
	open_owner(&o);
	put_data(&b, 1, 1, &(struct made){.n = 1});
	feed(&o, &b, 1);
	assert_int_equal(o.s.state, SESSION_CLOSED);
	assert_true(o.s.blamed);
	close_owner(&o);
	open_owner(&o);
	session_close(&o.s, "the sensor closed the connection");
	session_blame(&o.s, "too late");
	assert_false(o.s.blamed);
	buf_free(&b);
	close_owner(&o);
}

static void whole(void **state)
{
	struct owner o;
	struct buf b = {0};
	(void)state;
	open_owner(&o);
	o.mark = 7;
	conversation(&b);
	feed(&o, &b, 100000);
	session_tick(&o.s, 200000);
	assert_int_equal(o.s.state, SESSION_OPEN);
	expect_sent(&o, 0, FRAME_WELCOME, 7);
	expect_sent(&o, 1, FRAME_ACK, 11);
	assert_int_equal(o.total, 8);
	assert_int_equal(o.s.stats.duplicates, 1);
	assert_int_equal(o.statuses, 1);
	buf_free(&b);
	close_owner(&o);
}

static void in_pieces(void **state)
{
	struct buf b = {0};
	(void)state;
	conversation(&b);
	for (size_t cut = 0; cut <= b.n; cut++) {
		struct owner o;
		open_owner(&o);
		o.mark = 7;
		feed(&o, &(struct buf){b.p, cut, 0}, 100000);
		assert_int_not_equal(o.s.state, SESSION_CLOSED);
		feed(&o, &(struct buf){b.p + cut, b.n - cut, 0}, 100001);
		session_tick(&o.s, 200000);
		assert_int_equal(o.total, 8);
		assert_int_equal(o.s.stored, 11);
		close_owner(&o);
	}
	struct owner o;
	open_owner(&o);
	o.mark = 7;
	for (size_t i = 0; i < b.n; i++)
		feed(&o, &(struct buf){b.p + i, 1, 0}, 100000);
	session_tick(&o.s, 200000);
	assert_int_equal(o.total, 8);
	close_owner(&o);
	buf_free(&b);
}

/* Every byte of it wrong, one at a time: never more than what was sent, never
 * an acknowledgement for what is not there. */
static void damaged(void **state)
{
	struct buf b = {0};
	(void)state;
	conversation(&b);
	for (size_t i = 0; i < b.n; i++) {
		struct owner o;
		open_owner(&o);
		o.mark = 7;
		b.p[i] ^= 0x5a;
		feed(&o, &b, 100000);
		session_tick(&o.s, 200000);
		assert_true(o.total <= 8 && o.s.stored <= 11);
		b.p[i] ^= 0x5a;
		close_owner(&o);
	}
	buf_free(&b);
}

static void gap_is_rewound_once(void **state)
{
	struct owner o;
	struct buf b = {0};
	struct made m = {.n = 1};
	(void)state;
	open_owner(&o);
	put_hello(&b, "a");
	put_data(&b, 5, 2, &m);
	put_data(&b, 7, 2, &m);
	put_data(&b, 1, 3, &m);
	feed(&o, &b, 100000);
	expect_sent(&o, 1, FRAME_REWIND, 1);
	session_tick(&o.s, 200000);
	expect_sent(&o, 2, FRAME_ACK, 3);
	assert_int_equal(o.s.stats.gaps, 2);
	assert_int_equal(o.total, 3);
	buf_free(&b);
	close_owner(&o);
}

static void an_announced_loss_may_jump(void **state)
{
	struct owner o;
	struct buf b = {0};
	(void)state;
	open_owner(&o);
	put_hello(&b, "a");
	put_data(&b, 500, 1, &(struct made){.n = 499, .kind = RECORD_LOSS});
	put_data(&b, 501, 1, &(struct made){.n = 1});
	feed(&o, &b, 100000);
	session_tick(&o.s, 200000);
	expect_sent(&o, 1, FRAME_ACK, 501);
	buf_free(&b);
	close_owner(&o);
}

/* A slow Redis: four flushes under way, the frame in hand waits, reading stops. */
static void backpressure(void **state)
{
	struct owner o;
	struct buf b = {0};
	struct made m = {.n = 1, .json = "{}"};
	(void)state;
	open_owner(&o);
	o.hold = true;
	put_hello(&b, "a");
	put_data(&b, 1, 2000, &m);
	feed(&o, &b, 100000);
	assert_int_equal(o.held_n, 4);
	assert_int_equal(session_wants_input(&o.s), 0);
	assert_int_equal(o.s.folded, 5 * DELTAS);
	assert_false(session_turn(&o.s, 100000, T0));
	session_tick(&o.s, 100000 + 60 * SEC); /* our fault, not a slow frame */
	assert_int_equal(o.s.state, SESSION_OPEN);
	for (size_t done = 0; done < o.held_n; done++) {
		session_flushed(&o.s, o.held[done]);
		run(&o, 100000 + 60 * SEC + (int64_t)done * SEC);
	}
	assert_int_equal(o.s.stored, 2000);
	assert_int_equal(o.total, 2000);
	assert_true(session_wants_input(&o.s) > 0);
	buf_free(&b);
	close_owner(&o);
}

static void a_failed_flush_ends_it(void **state)
{
	struct owner o;
	struct buf b = {0};
	enum frame_type type;
	uint64_t n;
	(void)state;
	open_owner(&o);
	o.hold = true;
	put_hello(&b, "a");
	put_data(&b, 1, 3, &(struct made){.n = 1});
	feed(&o, &b, 100000);
	session_tick(&o.s, 200000);
	assert_int_equal(o.held_n, 1);
	session_refused(&o.s, "the store did not take the alerts");
	assert_int_equal(o.s.state, SESSION_CLOSED);
	assert_true(sent(&o, 1, &type, &n));
	assert_int_equal(type, FRAME_BYE);
	assert_int_equal(o.s.stored, 0);
	buf_free(&b);
	close_owner(&o);
}

static void first_at_once_then_in_bunches(void **state)
{
	struct owner o;
	struct buf b = {0};
	struct made m = {.n = 1};
	(void)state;
	open_owner(&o);
	put_hello(&b, "a");
	put_data(&b, 1, 1, &m);
	feed(&o, &b, 100000);
	assert_int_equal(o.flushes, 1);
	b.n = 0;
	put_data(&b, 2, 1, &m);
	feed(&o, &b, 110000);
	assert_int_equal(o.flushes, 1);
	session_tick(&o.s, 151000);
	assert_int_equal(o.flushes, 2);
	buf_free(&b);
	close_owner(&o);
}

static void strangers(void **state)
{
	struct buf long_id = {0}, bad_id = {0}, data = {0}, big = {0}, empty = {0};
	char name[80];
	(void)state;
	memset(name, 'x', 70);
	name[70] = 0;
	put_hello(&long_id, name);
	put_hello(&bad_id, "a/../b");
	put_data(&data, 1, 1, &(struct made){.n = 1});
	size_t at = frame_begin(&big, FRAME_HELLO);
	for (int i = 0; i < 600; i++)
		buf_u8(&big, 'x');
	frame_end(&big, at);
	at = frame_begin(&empty, FRAME_HELLO);
	frame_end(&empty, at);
	const struct {
		const char *label;
		const void *p;
		size_t n;
	} cases[] = {{"an id too long", long_id.p, long_id.n},
		     {"an id with /", bad_id.p, bad_id.n},
		     {"DATA first", data.p, data.n},
		     {"a HELLO of 600 bytes", big.p, big.n},
		     {"an empty HELLO", empty.p, empty.n},
		     {"HTTP", "GET / HTTP/1.1\r\n\r\n", 18},
		     {"a frame of 4 GB", "PK\1\0\377\377\377\377....", 12}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct owner o;
		open_owner(&o);
		session_feed(&o.s, cases[i].p, cases[i].n, 2000);
		run(&o, 2000);
		if (o.s.state != SESSION_CLOSED)
			fail_msg("%s was taken", cases[i].label);
		close_owner(&o);
	}
	struct owner o;
	struct buf b = {0};
	open_owner(&o);
	o.refuse_hello = true;
	put_hello(&b, "a");
	feed(&o, &b, 2000);
	assert_int_equal(o.s.state, SESSION_CLOSED);
	close_owner(&o);
	buf_free(&b);
	buf_free(&long_id);
	buf_free(&bad_id);
	buf_free(&data);
	buf_free(&big);
	buf_free(&empty);
}

static void times(void **state)
{
	struct owner o;
	struct buf b = {0};
	(void)state;
	open_owner(&o);
	session_tick(&o.s, 1000 + 5 * SEC);
	assert_int_equal(o.s.state, SESSION_NEW);
	session_tick(&o.s, 1001 + 5 * SEC);
	assert_int_equal(o.s.state, SESSION_CLOSED);
	close_owner(&o);
	open_owner(&o);
	put_hello(&b, "a");
	feed(&o, &b, 2000);
	session_tick(&o.s, 2000 + 3600 * SEC); /* silence is allowed */
	assert_int_equal(o.s.state, SESSION_OPEN);
	session_feed(&o.s, "PK\1", 3, 3601 * SEC);
	session_tick(&o.s, 3631 * SEC);
	assert_int_equal(o.s.state, SESSION_OPEN);
	session_tick(&o.s, 3631 * SEC + 1);
	assert_int_equal(o.s.state, SESSION_CLOSED);
	buf_free(&b);
	close_owner(&o);
}

static void token_bucket(void **state)
{
	struct owner o;
	struct buf b = {0};
	(void)state;
	open_owner(&o);
	o.limits.records_per_s = o.s.record_tokens = 1000;
	put_hello(&b, "a");
	put_data(&b, 1, 900, &(struct made){.n = 1});
	put_data(&b, 901, 900, &(struct made){.n = 1});
	put_data(&b, 1801, 900, &(struct made){.n = 1});
	feed(&o, &b, 2000);
	assert_int_equal(o.s.stats.records, 1800);
	assert_int_equal(session_wants_input(&o.s), 0);
	session_tick(&o.s, 2000 + SEC / 2);
	run(&o, 2000 + SEC / 2);
	assert_int_equal(o.s.stats.records, 1800);
	session_tick(&o.s, 2000 + SEC);
	run(&o, 2000 + SEC);
	assert_int_equal(o.s.stats.records, 2700);
	buf_free(&b);
	close_owner(&o);
}

static void byte_bucket(void **state)
{
	struct owner o;
	struct buf b = {0};
	(void)state;
	open_owner(&o);
	put_hello(&b, "a");
	size_t hello = b.n;
	put_data(&b, 1, 900, &(struct made){.n = 1});
	o.limits.bytes_per_s = o.s.byte_tokens = (int64_t)(b.n - hello) / 2;
	put_data(&b, 901, 900, &(struct made){.n = 1});
	feed(&o, &b, 2000);
	assert_int_equal(o.s.stats.records, 900);
	assert_int_equal(session_wants_input(&o.s), 0);
	session_tick(&o.s, 2000 + SEC); /* pays for what went beyond, no more */
	run(&o, 2000 + SEC);
	assert_int_equal(o.s.stats.records, 900);
	session_tick(&o.s, 2000 + 2 * SEC);
	run(&o, 2000 + 2 * SEC);
	assert_int_equal(o.s.stats.records, 1800);
	buf_free(&b);
	close_owner(&o);
}

static void unreadable_records_are_losses(void **state)
{
	struct owner o;
	struct buf b = {0};
	(void)state;
	open_owner(&o);
	put_hello(&b, "a");
	size_t at = frame_begin(&b, FRAME_DATA);
	buf_u64(&b, 1);
	buf_u32(&b, 2);
	for (int i = 0; i < 2; i++) {
		buf_u32(&b, 5);
		buf_add(&b, "junk!", 5);
	}
	frame_end(&b, at);
	o.hold = true;
	feed(&o, &b, 2000);
	session_tick(&o.s, 200000);
	assert_int_equal(o.s.stats.unreadable, 2);
	assert_int_equal(o.total, 2);
	buf_free(&b);
	close_owner(&o);
}

/* Numbers that the spool has lost move the mark and count for nothing. */
static void blanks_move_the_mark(void **state)
{
	struct owner o;
	struct buf b = {0};
	(void)state;
	open_owner(&o);
	put_hello(&b, "tok-03");
	size_t at = frame_begin(&b, FRAME_DATA);
	buf_u64(&b, 1);
	buf_u32(&b, 3);
	for (int i = 0; i < 3; i++)
		buf_u32(&b, 0);
	frame_end(&b, at);
	feed(&o, &b, 2000);
	run(&o, 2000 + SEC);
	assert_int_equal(o.s.stored, 3);
	assert_int_equal(o.total, 0);
	assert_int_equal(o.s.stats.blanks, 3);
	assert_int_equal(o.s.stats.unreadable, 0);
	expect_sent(&o, 1, FRAME_ACK, 3);
	close_owner(&o);
	buf_free(&b);
}

int main(void)
{
	hash_key_random(&hash);
	const struct CMUnitTest tests[] = {cmocka_unit_test(blanks_move_the_mark),
					   cmocka_unit_test(whole),
					   cmocka_unit_test(welcome_uneven),
					   cmocka_unit_test(blame),
					   cmocka_unit_test(in_pieces),
					   cmocka_unit_test(damaged),
					   cmocka_unit_test(gap_is_rewound_once),
					   cmocka_unit_test(an_announced_loss_may_jump),
					   cmocka_unit_test(backpressure),
					   cmocka_unit_test(a_failed_flush_ends_it),
					   cmocka_unit_test(first_at_once_then_in_bunches),
					   cmocka_unit_test(strangers),
					   cmocka_unit_test(times),
					   cmocka_unit_test(token_bucket),
					   cmocka_unit_test(byte_bucket),
					   cmocka_unit_test(unreadable_records_are_losses)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
