/* The sensor's side of the distribution, against a collector that is this file:
 * what it believes, what it asks for, what it keeps, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/text.h"
#include "rules/rulefile.h"
#include "rules/set_lines.h"
#include "rules/signing.h"
#include "sensor/rulesync.h"

static char folder[] = "/tmp/test_rulesync.XXXXXX";

static struct sign_key *key, *strange;
static struct trust *keys;
static struct rulesync *sync_;
static unsigned ready, replies, armed_n;
static size_t armed_count;
static bool refuse_to_arm;

static void on_ready(void *owner)
{
	(void)owner;
	ready++;
}

static void on_reply(void *owner)
{
	(void)owner;
	replies++;
}

static const char *in_folder(const char *name)
{
	static char path[4][160];
	static unsigned turn;
	char *p = path[turn++ % 4];
	snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	return p;
}

static void open_sync(unsigned max_shrink)
{
	struct rulesync_conf c = {
	    .dir = in_folder("sets"), .trust = keys, .max_shrink = max_shrink, .ready = on_ready, .reply = on_reply};
	struct diags d = {0};
	struct err e = {""};
	sync_ = rulesync_new(&c, &d, &e);
	if (!sync_)
		fail_msg("%s", e.text);
	diag_free(&d);
}

static void again(void)
{
	rulesync_free(sync_);
	open_sync(50);
}

/* A signed set as it is published. */
struct made {
	struct buf file;
	struct signed_set s;
};

static struct made make(const char *set, unsigned version, unsigned from, unsigned n, struct signing how)
{
	struct made m = {0};
	struct buf text = {0};
	struct err e = {""};
	struct diags d = {0};
	struct manifest manifest;
	bool partial;
	const char *path = in_folder("rules.yaml");
	buf_printf(&text, "set: {id: %s, version: %u}\nindicators:\n", set, version);
	for (unsigned i = from; i < from + n; i++)
		buf_printf(&text, "  - {domain: d%u.example, note: \"some words that take room: %u\"}\n", i, i * 7919);
	FILE *f = fopen(path, "w");
	fwrite(text.p, 1, text.n, f);
	fclose(f);
	struct ruleset *r = rulefile_load(&path, 1, true, &d, &partial);
	assert_non_null(r);
	how.key = how.key ? how.key : key;
	how.now_us = clock_wall_us();
	how.withdraw = n == 0;
	if (!signing_make(r, &how, &m.file, &manifest, &e))
		fail_msg("%s", e.text);
	assert_true(signed_set_read(m.file.p, m.file.n, &m.s, &e));
	ruleset_free(r);
	diag_free(&d);
	buf_free(&text);
	return m;
}

static bool feed(struct buf *b, struct err *e)
{
	struct frame f;
	size_t used;
	assert_int_equal(frame_read(b->p, b->n, &f, &used, e), FRAME_READY);
	bool ok = rulesync_take(sync_, &f, e);
	buf_free(b);
	return ok;
}

static void offer(const struct made *m, bool delta)
{
	struct buf b = {0};
	struct err e = {""};
	struct set_offer o = {.delta = delta, .by = m->s.by, .manifest = m->s.manifest};
	set_offer_put(&b, &o);
	assert_true(feed(&b, &e));
}

/* What the sensor says: GETs are answered out of full or delta; ACKs are noted. */
struct said {
	size_t gets, acks;
	struct set_get get[64];
	struct set_ack ack;
	char why[SET_WHY_MAX + 1];
};

static struct said listen(void)
{
	struct buf b = {0};
	struct said s = {0};
	rulesync_put(sync_, &b);
	for (size_t at = 0, used = 0; at < b.n; at += used) {
		struct frame f;
		struct err e;
		assert_int_equal(frame_read(b.p + at, b.n - at, &f, &used, &e), FRAME_READY);
		if (f.type == FRAME_SET_GET) {
			assert_true(s.gets < 64);
			assert_true(set_get_read(f.payload, &s.get[s.gets++]));
		} else {
			assert_int_equal(f.type, FRAME_SET_ACK);
			assert_true(set_ack_read(f.payload, &s.ack));
			snprintf(s.why, sizeof(s.why), "%.*s", (int)s.ack.why.n, (const char *)s.ack.why.p);
			s.acks++;
		}
	}
	buf_free(&b);
	return s;
}

static void answer(const struct set_get *g, struct bytes all)
{
	struct buf b = {0};
	struct err e = {""};
	struct set_data d = {.version = g->version, .kind = g->kind, .offset = g->offset, .total = (uint32_t)all.n};
	memcpy(d.set, g->set, sizeof(d.set));
	assert_true(g->offset < all.n);
	size_t left = all.n - g->offset;
	d.piece = (struct bytes){all.p + g->offset, left < g->bytes ? left : g->bytes};
	set_data_put(&b, &d);
	assert_true(feed(&b, &e));
}

static bool arm(void *owner, const char *const *paths, size_t n, struct err *e)
{
	struct diags d = {0};
	struct rulefile_trust t = {.keys = keys, .required = true, .now_us = clock_wall_us()};
	bool partial;
	(void)owner;
	if (refuse_to_arm)
		return err_set(e, "told to refuse");
	struct ruleset *r = rulefile_load_trusted(paths, n, true, &t, &d, &partial);
	assert_non_null(r);
	assert_false(partial);
	armed_count = ruleset_count(r, INDICATOR_NONE);
	armed_n++;
	ruleset_free(r);
	diag_free(&d);
	return true;
}

/* Until it asks for nothing more. */
static void give_all(struct bytes all)
{
	for (struct said s = listen(); s.gets; s = listen())
		for (size_t i = 0; i < s.gets; i++)
			answer(&s.get[i], all);
}

static void publish(const struct made *m)
{
	offer(m, false);
	give_all(m->s.content);
	rulesync_work(sync_, arm, NULL);
}

static void expect_refused(const struct made *m, const char *why)
{
	offer(m, false);
	struct said s = listen();
	assert_int_equal(s.gets, 0);
	assert_int_equal(s.acks, 1);
	assert_int_equal(s.ack.result, SET_REFUSED);
	if (!strstr(s.why, why))
		fail_msg("refused because \"%s\", expected \"%s\"", s.why, why);
}

/* ---- the tests ---- */

static void a_set_is_taken_kept_and_told(void **state)
{
	struct made m = make("a", 3, 0, 2000, (struct signing){0});
	(void)state;
	assert_true(m.s.content.n > 3 * SET_PIECE_MAX);
	armed_n = replies = 0;
	publish(&m);
	assert_int_equal(armed_n, 1);
	assert_int_equal(armed_count, 2000);
	assert_int_equal(replies, 1);
	struct said s = listen();
	assert_int_equal(s.acks, 1);
	assert_int_equal(s.ack.result, SET_ARMED);
	assert_int_equal(s.ack.version, 3);
	offer(&m, false); /* again: it is here, and nothing is asked for */
	s = listen();
	assert_int_equal(s.gets, 0);
	assert_int_equal(s.acks, 1);
	assert_int_equal(s.ack.result, SET_ARMED);
	again(); /* and after a restart */
	size_t n;
	const char *const *paths = rulesync_paths(sync_, &n);
	struct err e;
	assert_int_equal(n, 1);
	assert_true(arm(NULL, paths, n, &e));
	assert_int_equal(armed_count, 2000);
	buf_free(&m.file);
}

static void what_must_not_be_believed(void **state)
{
	struct made good = make("b", 5, 0, 100, (struct signing){0});
	struct made cases[] = {
	    make("b", 4, 0, 100, (struct signing){0}),       make("b", 5, 50, 100, (struct signing){0}),
	    make("b", 6, 0, 49, (struct signing){0}),        make("b", 6, 0, 100, (struct signing){.key = strange}),
	    make("outside", 6, 0, 100, (struct signing){0}),
	};
	static const char *const why[] = {"older than 5", "another content", "lost more than 50 %", "not trusted",
					  "outside its scope"};
	(void)state;
	publish(&good);
	listen();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		expect_refused(&cases[i], why[i]);
		buf_free(&cases[i].file);
	}
	struct made meant = make("b", 7, 0, 49, (struct signing){.shrink = true});
	publish(&meant);
	assert_int_equal(listen().ack.result, SET_ARMED);
	struct made empty = make("b", 8, 0, 0, (struct signing){0});
	publish(&empty); /* withdrawn: meant as well */
	assert_int_equal(listen().ack.result, SET_ARMED);
	expect_refused(&meant, "older than 8"); /* and cannot be brought back by replay */
	again();
	expect_refused(&meant, "older than 8");
	buf_free(&meant.file);
	buf_free(&empty.file);
	buf_free(&good.file);
}

static unsigned changes_asked;
static bool changes_done;

static bool take_changes(void *owner, const struct rulesync_change *c, size_t n, struct err *e)
{
	(void)owner;
	changes_asked++;
	assert_int_equal(n, 1);
	assert_string_equal(c[0].m->set, "c");
	assert_true(c[0].delta.n > 0);
	return changes_done || err_set(e, "told to refuse");
}

static void a_delta_and_a_broken_one(void **state)
{
	struct made one = make("c", 1, 0, 500, (struct signing){0}), two, three;
	struct signing how = {0};
	struct buf delta = {0};
	struct err e = {""};
	struct rulesync_stats stats;
	(void)state;
	publish(&one);
	listen();
	memcpy(how.previous, one.s.m.digest, sizeof(how.previous));
	two = make("c", 2, 3, 505, how);
	assert_true(set_lines_delta(one.s.content, two.s.content, &delta, &e));
	assert_true(delta.n < two.s.content.n / 5);
	offer(&two, true);
	struct said s = listen();
	assert_int_equal(s.gets, 1);
	assert_int_equal(s.get[0].kind, SET_DELTA);
	answer(&s.get[0], (struct bytes){delta.p, delta.n});
	rulesync_changes(sync_, take_changes); /* refuses: the whole is armed */
	rulesync_work(sync_, arm, NULL);
	assert_int_equal(listen().ack.result, SET_ARMED);
	assert_int_equal(changes_asked, 1);
	assert_int_equal(armed_count, 505 + 2000); /* with the set of the first test */
	/* one that is armed as it came: no file is read */
	memcpy(how.previous, two.s.m.digest, sizeof(how.previous));
	struct made patched = make("c", 3, 2, 506, how);
	struct buf small = {0};
	unsigned armed_before = armed_n;
	assert_true(set_lines_delta(two.s.content, patched.s.content, &small, &e));
	offer(&patched, true);
	s = listen();
	changes_done = true;
	answer(&s.get[0], (struct bytes){small.p, small.n});
	rulesync_work(sync_, arm, NULL);
	assert_int_equal(listen().ack.result, SET_ARMED);
	assert_int_equal(changes_asked, 2);
	assert_int_equal(armed_n, armed_before);
	buf_free(&small);
	/* one that gives something else: the whole is asked for */
	memcpy(how.previous, patched.s.m.digest, sizeof(how.previous));
	three = make("c", 4, 0, 510, how);
	offer(&three, true);
	s = listen();
	assert_int_equal(s.get[0].kind, SET_DELTA);
	answer(&s.get[0], (struct bytes){delta.p, delta.n});
	rulesync_work(sync_, arm, NULL);
	give_all(three.s.content);
	rulesync_work(sync_, arm, NULL);
	assert_int_equal(listen().ack.result, SET_ARMED);
	assert_int_equal(armed_count, 510 + 2000);
	rulesync_stats(sync_, &stats);
	assert_int_equal(stats.deltas, 2);
	assert_int_equal(stats.patched, 1);
	assert_int_equal(stats.delta_failures, 1);
	assert_int_equal(changes_asked, 2); /* not for a set that came whole */
	rulesync_changes(sync_, NULL);
	buf_free(&delta);
	buf_free(&patched.file);
	buf_free(&one.file);
	buf_free(&two.file);
	buf_free(&three.file);
}

static void a_content_that_is_not_the_manifests(void **state)
{
	struct made m = make("d", 1, 0, 300, (struct signing){0});
	unsigned before = armed_n;
	(void)state;
	offer(&m, false);
	m.file.p[m.file.n - 10] ^= 1; /* within the content */
	give_all(m.s.content);
	rulesync_work(sync_, arm, NULL);
	struct said s = listen();
	assert_int_equal(s.ack.result, SET_REFUSED);
	assert_non_null(strstr(s.why, "another digest"));
	assert_int_equal(armed_n, before);
	m.file.p[m.file.n - 10] ^= 1;
	refuse_to_arm = true;
	publish(&m);
	refuse_to_arm = false;
	s = listen();
	assert_int_equal(s.ack.result, SET_REFUSED);
	assert_non_null(strstr(s.why, "told to refuse"));
	publish(&m);
	assert_int_equal(listen().ack.result, SET_ARMED);
	buf_free(&m.file);
}

static void flash_overtakes(void **state)
{
	struct made big = make("bulk", 1, 0, 20000, (struct signing){0});
	struct made small = make("flash", 1, 0, 20, (struct signing){.priority = URGENCY_FLASH});
	(void)state;
	offer(&big, false);
	struct said s = listen();
	assert_int_equal(s.gets, 8); /* the window, no more */
	answer(&s.get[0], big.s.content);
	offer(&small, false);
	struct said t = listen();
	assert_int_equal(t.gets, 1);
	assert_string_equal(t.get[0].set, "flash");
	for (size_t i = 1; i < s.gets; i++)
		answer(&s.get[i], big.s.content);
	assert_int_equal(listen().gets, 0); /* nothing of the large one before the flash is whole */
	answer(&t.get[0], small.s.content);
	rulesync_work(sync_, arm, NULL);
	s = listen();
	assert_int_equal(s.acks, 1);
	assert_string_equal(s.ack.set, "flash");
	assert_int_equal(s.gets, 8);
	assert_int_equal(s.get[0].offset, 8 * SET_PIECE_MAX);
	/* the connection breaks: it goes on where it was */
	answer(&s.get[0], big.s.content);
	rulesync_connected(sync_);
	s = listen();
	assert_int_equal(s.get[0].offset, 9 * SET_PIECE_MAX);
	for (size_t i = 0; i < s.gets; i++)
		answer(&s.get[i], big.s.content);
	give_all(big.s.content);
	rulesync_work(sync_, arm, NULL);
	assert_int_equal(listen().ack.result, SET_ARMED);
	buf_free(&big.file);
	buf_free(&small.file);
}

static void a_newer_version_overtakes_an_older(void **state)
{
	struct made four = make("e", 4, 0, 30, (struct signing){0});
	struct made five = make("e", 5, 0, 31, (struct signing){.priority = URGENCY_FLASH});
	unsigned before = armed_n;
	(void)state;
	offer(&four, false);
	give_all(four.s.content);
	offer(&five, false);
	give_all(five.s.content);
	rulesync_work(sync_, arm, NULL);
	assert_int_equal(armed_n, before + 1);
	struct said s = listen();
	assert_int_equal(s.acks, 1);
	assert_int_equal(s.ack.version, 5);
	offer(&five, false);
	assert_int_equal(listen().ack.result, SET_ARMED);
	buf_free(&four.file);
	buf_free(&five.file);
}

/* Every frame cut at every length, and with each byte changed: never a crash,
 * never a set that was not offered so. */
static void frames_cut_anywhere(void **state)
{
	struct made m = make("f", 1, 0, 5, (struct signing){0});
	struct buf b = {0};
	struct set_offer o = {.by = m.s.by, .manifest = m.s.manifest};
	(void)state;
	set_offer_put(&b, &o);
	for (size_t n = FRAME_HEADER; n < b.n; n++) {
		uint8_t *exact = malloc(n - FRAME_HEADER + 1);
		memcpy(exact, b.p + FRAME_HEADER, n - FRAME_HEADER);
		struct frame f = {.type = FRAME_SET_OFFER, .payload = {exact, n - FRAME_HEADER}};
		struct err e;
		assert_false(rulesync_take(sync_, &f, &e));
		free(exact);
	}
	for (size_t i = FRAME_HEADER + 1; i < b.n; i++) {
		b.p[i] ^= 0x10;
		struct frame f = {.type = FRAME_SET_OFFER, .payload = {b.p + FRAME_HEADER, b.n - FRAME_HEADER}};
		struct err e;
		if (rulesync_take(sync_, &f, &e)) {
			struct said s = listen();
			assert_int_equal(s.gets, 0);
			assert_int_equal(s.ack.result, SET_REFUSED);
		}
		b.p[i] ^= 0x10;
	}
	struct set_data d = {.set = "f", .version = 1, .total = 100, .piece = {m.file.p, 50}};
	b.n = 0;
	set_data_put(&b, &d);
	for (size_t n = 0; n + 1 < b.n - FRAME_HEADER; n++) {
		struct frame f = {.type = FRAME_SET_DATA, .payload = {b.p + FRAME_HEADER, n}};
		struct err e;
		rulesync_take(sync_, &f, &e);
	}
	buf_free(&b);
	buf_free(&m.file);
}

static int set_up(void **state)
{
	uint8_t pub[SIGN_PUBLIC_BYTES];
	char hex[2 * SIGN_PUBLIC_BYTES + 1];
	struct err e;
	struct diags d = {0};
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	key = sign_key_new(&e);
	strange = sign_key_new(&e);
	sign_key_public(key, pub, &e);
	text_hex(hex, pub, sizeof(pub));
	FILE *f = fopen(in_folder("keys.yaml"), "w");
	fprintf(f, "keys: [{id: k, public: %s, scope: [\"?\", bulk, flash]}]\n", hex);
	fclose(f);
	keys = trust_read(in_folder("keys.yaml"), &d);
	open_sync(50);
	return keys ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[64];
	(void)state;
	rulesync_free(sync_);
	trust_free(keys);
	sign_key_free(key);
	sign_key_free(strange);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_set_is_taken_kept_and_told),
	    cmocka_unit_test(what_must_not_be_believed),
	    cmocka_unit_test(a_delta_and_a_broken_one),
	    cmocka_unit_test(a_content_that_is_not_the_manifests),
	    cmocka_unit_test(flash_overtakes),
	    cmocka_unit_test(a_newer_version_overtakes_an_older),
	    cmocka_unit_test(frames_cut_anywhere),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
