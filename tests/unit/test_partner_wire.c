/* Frames between partners: round trip, every cut, what does not belong; and a batch
 * of objects whose lengths lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "collector/partner_take.h"
#include "collector/partner_wire.h"

static struct bytes payload(const struct buf *frame)
{
	struct frame f;
	struct err e;
	size_t used;
	assert_int_equal(frame_read(frame->p, frame->n, &f, &used, &e), FRAME_READY);
	assert_int_equal(used, frame->n);
	return f.payload;
}

/* Every length but the whole one is refused, and one byte more, too; from room of exactly that size. */
static void cut(struct bytes whole, bool (*read)(struct bytes b), const char *what)
{
	for (size_t n = 0; n <= whole.n + 1; n++) {
		uint8_t *exact = calloc(1, n ? n : 1);
		memcpy(exact, whole.p, n < whole.n ? n : whole.n);
		bool good = read((struct bytes){exact, n});
		if (good != (n == whole.n))
			fail_msg("%s of %zu bytes of %zu: %s", what, n, whole.n, good ? "read" : "refused");
		free(exact);
	}
}

static bool read_hello(struct bytes b)
{
	struct wire_hello h;
	struct err e;
	return wire_hello_read(b, &h, &e);
}

static bool read_welcome(struct bytes b)
{
	struct wire_welcome w;
	struct err e;
	return wire_welcome_read(b, &w, &e);
}

static bool read_taken(struct bytes b)
{
	struct wire_taken t;
	struct err e;
	return wire_taken_read(b, &t, &e);
}

static void hello(void **state)
{
	(void)state;
	struct buf b = {0};
	struct wire_hello h;
	struct err e;
	char long_name[300];
	wire_hello_put(&b, 0x0123456789abcdefull, "gw-1");
	assert_true(wire_hello_read(payload(&b), &h, &e));
	assert_true(h.epoch == 0x0123456789abcdefull);
	assert_string_equal(h.name, "gw-1");
	assert_string_equal(h.version, PICKET_VERSION);
	cut(payload(&b), read_hello, "HELLO");
	b.p[FRAME_HEADER + 8] = 0; /* a sensor's role */
	assert_false(wire_hello_read((struct bytes){b.p + FRAME_HEADER, b.n - FRAME_HEADER}, &h, &e));
	assert_non_null(strstr(e.text, "another role"));
	b.n = 0;
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	wire_hello_put(&b, 1, long_name); /* its length is one byte */
	assert_true(wire_hello_read(payload(&b), &h, &e));
	assert_true(strlen(h.name) < sizeof(h.name));
	b.n = 0;
	wire_hello_put(&b, 1, "gw\x1b[2J\n"); /* nothing that a terminal obeys */
	assert_true(wire_hello_read(payload(&b), &h, &e));
	assert_null(strchr(h.name, 0x1b));
	assert_null(strchr(h.name, '\n'));
	buf_free(&b);
}

static void welcome_and_taken(void **state)
{
	(void)state;
	struct buf b = {0};
	struct wire_welcome w = {{7, INT64_MAX}}, got;
	struct wire_taken t = {LANE_FLASH, 1795600000000001}, back;
	struct err e;
	wire_welcome_put(&b, &w);
	assert_true(wire_welcome_read(payload(&b), &got, &e));
	assert_true(got.place[0] == 7 && got.place[1] == INT64_MAX);
	cut(payload(&b), read_welcome, "WELCOME");
	b.p[FRAME_HEADER + 8] |= 0x80; /* below 0 */
	assert_false(read_welcome((struct bytes){b.p + FRAME_HEADER, b.n - FRAME_HEADER}));
	b.n = 0;
	wire_taken_put(&b, &t);
	assert_true(wire_taken_read(payload(&b), &back, &e));
	assert_true(back.lane == LANE_FLASH && back.place == t.place);
	cut(payload(&b), read_taken, "TAKEN");
	for (unsigned lane = 0; lane < 256; lane++) {
		b.p[FRAME_HEADER] = (uint8_t)lane;
		assert_int_equal(read_taken((struct bytes){b.p + FRAME_HEADER, b.n - FRAME_HEADER}), lane < LANE_COUNT);
	}
	buf_free(&b);
}

static void texts(void **state)
{
	(void)state;
	struct buf b = {0}, text = {0};
	wire_text_put(&b, FRAME_BYE, "why");
	assert_int_equal(payload(&b).n, 4); /* a reason and the sentence */
	b.n = 0;
	for (int i = 0; i < 3000; i++)
		buf_add(&text, "long ", 5);
	buf_u8(&text, 0);
	wire_text_put(&b, FRAME_NOTICE, (char *)text.p);
	assert_int_equal(payload(&b).n, WIRE_NOTICE_MAX);
	buf_free(&b);
	buf_free(&text);
}

/* ---- objects ---- */

struct house {
	struct event_base *base;
	struct store_conf conf;
	struct redis_link *link;
	struct policies p;
	struct taker taker;
	int answers;
	bool ok;
	struct take_result result;
};

static void open_house(struct house *h)
{
	static const char yaml[] = "partner: {id: jp}\ninbound: {mode: auto}\n";
	char path[] = "/tmp/picket-wire-XXXXXX";
	struct diags d = {0};
	int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, yaml, sizeof(yaml) - 1) == (ssize_t)sizeof(yaml) - 1);
	close(fd);
	*h = (struct house){.base = event_base_new()};
	assert_true(policies_load(&h->p, "us", path, &d));
	unlink(path);
	h->conf = (struct store_conf){
	    .use = STORE_OBJECTS, .timeout_ms = 1000, .redis = {.local = true, .host = "/nonexistent/redis.sock"}};
	h->link = redis_link_new(h->base, &h->conf, NULL, NULL);
	h->taker.objects = objects_new(h->link, 1000, 16);
	h->taker.inbound = inbound_new(&h->p, NULL);
}

static void close_house(struct house *h)
{
	inbound_free(h->taker.inbound);
	redis_link_free(h->link);
	objects_free(h->taker.objects);
	policies_free(&h->p);
	event_base_free(h->base);
}

static void on_taken(void *arg, bool ok, const struct take_result *r)
{
	struct house *h = arg;
	h->answers++;
	h->ok = ok;
	h->result = *r;
}

static bool take(struct house *h, struct bytes records, size_t n)
{
	struct err e;
	h->answers = 0;
	bool taken = take_batch(&h->taker, &h->p.list[0], records, n, (struct take_done){on_taken, h}, &e);
	assert_int_equal(h->answers, taken); /* once, or not at all */
	return taken;
}

static void put_object(struct buf *to, const char *text)
{
	buf_u32(to, (uint32_t)strlen(text));
	buf_add(to, text, strlen(text));
}

static const char good[] =
    "{\"type\":\"indicator\",\"spec_version\":\"2.1\",\"id\":\"indicator--01234567-0123-4123-8123-0123456789ab\","
    "\"created\":\"2026-11-20T00:00:00.000Z\",\"modified\":\"2026-11-20T00:00:00.000Z\",\"pattern\":\"[url:value = "
    "'http://bad.example/x']\","
    "\"pattern_type\":\"stix\",\"valid_from\":\"2026-11-20T00:00:00Z\","
    "\"object_marking_refs\":[\"marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb\"]}";

static void objects(void **state)
{
	(void)state;
	struct buf records = {0}, b = {0};
	struct wire_objects o, put = {.lane = LANE_BULK, .place = 9, .n = 3};
	struct house h;
	struct err e;
	open_house(&h);
	put_object(&records, "no JSON");
	put_object(&records, good);
	put_object(&records, "{\"type\":\"indicator\"}");
	put.records = (struct bytes){records.p, records.n};
	wire_objects_put(&b, &put);
	assert_true(wire_objects_read(payload(&b), &o, &e));
	assert_true(o.lane == LANE_BULK && o.place == 9 && o.n == 3 && o.records.n == records.n);
	for (size_t n = 0; n <= WIRE_OBJECTS_AT; n++) { /* what stands before the objects */
		uint8_t *exact = calloc(1, n ? n : 1);
		memcpy(exact, payload(&b).p, n);
		assert_int_equal(wire_objects_read((struct bytes){exact, n}, &o, &e), n == WIRE_OBJECTS_AT);
		free(exact);
	}
	/* the objects, cut at every length: nothing of a batch that is not whole is looked at */
	for (size_t n = 0; n <= records.n; n++) {
		uint8_t *exact = malloc(n ? n : 1);
		memcpy(exact, records.p, n);
		assert_int_equal(take(&h, (struct bytes){exact, n}, 3), n == records.n);
		free(exact);
	}
	assert_int_equal(h.result.refused, 2); /* the rest goes on when one is refused */
	assert_false(h.ok);                    /* and there is no store: it can come again */
	assert_non_null(strstr(h.result.first, "invalid"));
	assert_false(take(&h, put.records, 2)); /* fewer, more than there are */
	assert_false(take(&h, put.records, 4));
	assert_false(take(&h, put.records, TAKE_BATCH + 1));
	assert_true(take(&h, (struct bytes){NULL, 0}, 0));
	assert_true(h.ok);
	/* a length that would go round */
	memset(records.p, 0xff, 4);
	assert_false(take(&h, put.records, 3));
	buf_free(&records);
	buf_free(&b);
	close_house(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hello),
	    cmocka_unit_test(welcome_and_taken),
	    cmocka_unit_test(texts),
	    cmocka_unit_test(objects),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
