/* What goes to a partner, out of a real redis-server (skipped without one): in order,
 * lane by lane, through the gate and the audit, from any place on; and the audit's chain, written by
 * two at once. */
#include "tests/unit/collector_help.h"

#include <event2/event.h>

#include "collector/handling.h"
#include "collector/partner_feed.h"
#include "common/clock.h"
#include "common/json.h"

#define GREEN "bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
#define RED   "e828b379-4e03-4974-9ac4-e53a884c97c1"

static struct test_redis redis;

struct world {
	struct event_base *base;
	struct store_conf conf;
	struct redis_link *link;
	struct objects *objects;
	struct audit *audit;
	struct policies p;
};

static void on_ready(void *arg)
{
	event_base_loopbreak(((struct world *)arg)->base);
}

static void open_world(struct world *w)
{
	static const char yaml[] =
	    "partner: {id: jp}\nrelease: {tlp_max: amber, unaddressed: green, profile: picket}\n";
	char path[] = "/tmp/picket-feed-XXXXXX";
	struct diags d = {0};
	int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, yaml, sizeof(yaml) - 1) == (ssize_t)sizeof(yaml) - 1);
	close(fd);
	*w = (struct world){.conf = {.use = STORE_OBJECTS, .timeout_ms = 2000}};
	assert_true(policies_load(&w->p, "us", path, &d));
	w->p.list[0].all = &w->p;
	unlink(path);
	assert_true(redis_target_parse(redis.address, &w->conf.redis, NULL));
	w->base = event_base_new();
	w->link = redis_link_new(w->base, &w->conf, on_ready, w);
	w->objects = objects_new(w->link, 100000, 16);
	w->audit = audit_new(w->link);
	event_base_dispatch(w->base);
	assert_true(objects_ready(w->objects));
}

static void close_world(struct world *w)
{
	redis_link_free(w->link);
	audit_free(w->audit);
	objects_free(w->objects);
	policies_free(&w->p);
	event_base_free(w->base);
}

/* ---- putting ---- */

static bool over;

static void on_put(void *arg, bool ok, const struct objects_put_result *v, size_t n)
{
	(void)arg;
	assert_true(ok && n == 1 && v[0].result == OBJECT_STORED);
	over = true;
}

static void wait_over(struct world *w)
{
	while (!over)
		event_base_loop(w->base, EVLOOP_ONCE);
	over = false;
}

/* Made here; number n, with this marking; `more` members. */
static void put(struct world *w, unsigned n, const char *tlp, enum priority priority, const char *more)
{
	char text[1024], name[OBJECTS_COLLECTION_MAX + 1];
	struct err e;
	struct object o;
	struct buf handling = {0};
	snprintf(
	    text, sizeof(text),
	    "{\"type\":\"indicator\",\"spec_version\":\"2.1\",\"id\":\"indicator--%08x-0000-4000-8000-000000000000\","
	    "\"created\":\"2026-11-20T00:00:00.000Z\",\"modified\":\"2026-11-20T00:00:00.000Z\","
	    "\"pattern\":\"[url:value = "
	    "'http://bad.example/%u']\",\"pattern_type\":\"stix\",\"valid_from\":\"2026-11-20T00:00:00Z\"%s,"
	    "\"object_marking_refs\":[\"marking-definition--%s\"]}",
	    n, n, more, tlp);
	struct json *stix = json_read(text, strlen(text), sizeof(text), &e);
	static const char *const none[] = {NULL};
	struct shared s = {
	    .stix = stix, .collection = "", .origin = "", .from = "", .exercise = "", .priority = priority};
	s.path = s.releasable_to = none;
	handling_write(&s, &handling);
	assert_true(object_read(&o, stix, (struct bytes){(uint8_t *)text, strlen(text)}, &e));
	o.text = (struct bytes){(uint8_t *)text, strlen(text)};
	o.handling = (struct bytes){handling.p, handling.n};
	feed_collection_of(NULL, shared_lane(priority), name);
	objects_put(w->objects, name, &o, 1, (struct objects_put_done){on_put, NULL});
	wait_over(w);
	buf_free(&handling);
	json_drop(stix);
}

/* ---- taking ---- */

struct batch {
	bool over, ok, more;
	size_t n;
	int64_t looked_to, last;
	uint64_t denied;
	char first[128], ids[FEED_BATCH_ROWS][64];
};

static void on_batch(void *arg, bool ok, struct feed_batch *b)
{
	struct batch *got = arg;
	struct err e;
	assert_false(got->over);
	*got = (struct batch){.over = true, .ok = ok};
	if (!ok)
		return;
	got->more = b->more;
	got->n = b->n;
	got->looked_to = b->looked_to;
	for (int i = 1; i < GATE_WHY_COUNT; i++)
		got->denied += b->denied[i];
	struct cursor c = cursor_over(b->records.p, b->records.n);
	for (size_t i = 0; i < b->n; i++) {
		struct bytes one = cursor_bytes(&c, cursor_u32(&c));
		struct json *o = json_read(one.p, one.n, one.n, &e);
		assert_non_null(o);
		snprintf(got->ids[i], sizeof(got->ids[i]), "%s", shared_id(o));
		assert_true(b->place[i] > got->last); /* in the order in which they came */
		got->last = b->place[i];
		json_drop(o);
	}
	assert_true(cursor_ok(&c) && !cursor_left(&c));
}

static struct batch *next(struct world *w, struct feed *f, enum lane lane, int64_t after)
{
	static struct batch got;
	got = (struct batch){.over = false};
	feed_next(f, lane, after, (struct feed_done){on_batch, &got});
	while (!got.over)
		event_base_loop(w->base, EVLOOP_ONCE);
	return &got;
}

static bool skipped(void)
{
	return !redis.redis;
}

static void in_order_and_through_the_gate(void **state)
{
	(void)state;
	if (skipped())
		return;
	struct world w;
	open_world(&w);
	for (unsigned i = 1; i <= 600; i++)
		put(&w, i, i % 3 ? GREEN : RED, PRIORITY_ROUTINE, "");
	put(&w, 1000, GREEN, PRIORITY_FLASH, "");
	struct feed *f = feed_new(w.objects, w.audit, &w.p, &w.p.list[0], "link");
	int64_t after = 0;
	size_t n = 0, calls = 0;
	uint64_t denied = 0;
	struct batch *b;
	do {
		b = next(&w, f, LANE_BULK, after);
		assert_true(b->ok && b->n <= FEED_BATCH_ROWS);
		assert_true(b->looked_to > after || !b->more);
		for (size_t i = 0; i < b->n; i++) { /* 1, 2, 4, 5, 7 … */
			char want[64];
			n++;
			snprintf(want, sizeof(want), "indicator--%08x-0000-4000-8000-000000000000",
				 (unsigned)(n + (n - 1) / 2));
			assert_string_equal(b->ids[i], want);
		}
		after = b->looked_to;
		denied += b->denied;
		calls++;
	} while (b->more);
	assert_int_equal(n, 400);
	assert_int_equal(denied, 200);
	assert_true(calls >= 3);
	assert_int_equal(next(&w, f, LANE_BULK, after)->n, 0); /* and no more */
	b = next(&w, f, LANE_FLASH, 0);
	assert_int_equal(b->n, 1);
	assert_string_equal(b->ids[0], "indicator--000003e8-0000-4000-8000-000000000000");
	feed_free(f);
	close_world(&w);
}

static void dropped_and_without_redis(void **state)
{
	(void)state;
	if (skipped())
		return;
	struct world w;
	struct batch got = {.over = false};
	open_world(&w);
	put(&w, 2000, GREEN, PRIORITY_IMMEDIATE, "");
	struct feed *f = feed_new(w.objects, w.audit, &w.p, &w.p.list[0], "link");
	feed_next(f, LANE_FLASH, 0, (struct feed_done){on_batch, &got});
	feed_free(f); /* what is under way is not called back */
	for (int i = 0; i < 50; i++) {
		event_base_loop(w.base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	assert_false(got.over);
	f = feed_new(w.objects, w.audit, &w.p, &w.p.list[0], "link");
	feed_next(f, LANE_FLASH, 0, (struct feed_done){on_batch, &got});
	redis_link_free(w.link); /* Redis goes away: once, and not ok */
	assert_true(got.over && !got.ok);
	feed_free(f);
	audit_free(w.audit);
	objects_free(w.objects);
	policies_free(&w.p);
	event_base_free(w.base);
}

struct look {
	bool over;
	size_t n, released;
	enum gate_why why;
};

static void on_why(void *arg, bool ok, const struct shared *o, enum gate_verdict v, const struct gate_reason *why,
		   const struct json *out)
{
	struct look *l = arg;
	assert_true(ok);
	if (!o) {
		l->over = true;
		return;
	}
	l->n++;
	l->released += v != GATE_DENIED;
	l->why = why->why;
	assert_int_equal(out != NULL, v != GATE_DENIED);
}

/* What the gate would say, and nothing is given: there is no audit to write to. */
static void a_look_ahead(void **state)
{
	(void)state;
	if (skipped())
		return;
	struct world w;
	static const struct {
		unsigned n;
		const char *tlp;
		size_t found, released;
		enum gate_why why;
	} list[] = {{3001, GREEN, 1, 1, GATE_OK}, {3002, RED, 1, 0, GATE_NOT_ADDRESSED}, {3003, NULL, 0, 0, GATE_OK}};
	open_world(&w);
	struct feed *f = feed_new(w.objects, NULL, &w.p, &w.p.list[0], "why");
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		struct look l = {.why = GATE_OK};
		char id[64];
		if (list[i].tlp)
			put(&w, list[i].n, list[i].tlp, PRIORITY_ROUTINE, "");
		snprintf(id, sizeof(id), "indicator--%08x-0000-4000-8000-000000000000", list[i].n);
		feed_why(f, id, (struct feed_why_done){on_why, &l});
		while (!l.over)
			event_base_loop(w.base, EVLOOP_ONCE);
		assert_int_equal(l.n, list[i].found);
		assert_int_equal(l.released, list[i].released);
		assert_int_equal(l.why, list[i].why);
	}
	feed_free(f);
	close_world(&w);
}

static void names_of_collections(void **state)
{
	(void)state;
	char a[OBJECTS_COLLECTION_MAX + 1], b[OBJECTS_COLLECTION_MAX + 1], one[SHARED_NAME_MAX + 1],
	    two[SHARED_NAME_MAX + 1];
	feed_collection_of(NULL, LANE_FLASH, a);
	assert_string_equal(a, "own.flash");
	feed_collection_of("jp", LANE_BULK, a);
	assert_string_equal(a, "partner-jp");
	memset(one, 'x', SHARED_NAME_MAX); /* as long as a name may be: they must not meet where they are cut */
	memset(two, 'x', SHARED_NAME_MAX);
	one[SHARED_NAME_MAX] = two[SHARED_NAME_MAX] = '\0';
	two[SHARED_NAME_MAX - 1] = 'y';
	feed_collection_of(one, LANE_FLASH, a);
	feed_collection_of(two, LANE_FLASH, b);
	assert_true(shared_name_valid(a) && shared_name_valid(b));
	assert_string_not_equal(a, b);
}

/* ---- the audit ---- */

static unsigned recorded, failed;

static void on_recorded(void *arg, bool ok)
{
	(void)arg;
	*(ok ? &recorded : &failed) += 1;
}

static void record(struct audit *a, const char *partner, const char *id)
{
	struct buf items = {0};
	audit_item(&items, id, "2026-11-20T00:00:00.000Z", "released", id, strlen(id));
	audit_record(a, partner, "link", &items, (struct audit_done){on_recorded, NULL});
	buf_free(&items);
}

static struct bytes field(const struct reply *fields, const char *name)
{
	for (size_t i = 0; i + 1 < reply_count(fields); i += 2) {
		struct bytes k, v;
		if (reply_text(reply_at(fields, i), &k) && k.n == strlen(name) && memcmp(k.p, name, k.n) == 0 &&
		    reply_text(reply_at(fields, i + 1), &v))
			return v;
	}
	return (struct bytes){(const uint8_t *)"", 0};
}

static void on_entries(void *arg, const struct reply *r)
{
	size_t *n = arg;
	char prev[AUDIT_HASH_LEN] = "", h[AUDIT_HASH_LEN];
	*n = reply_count(r);
	for (size_t i = 0; i < *n; i++) {
		const struct reply *f = reply_at(reply_at(r, i), 1);
		struct bytes number = field(f, "n"), said = field(f, "h"), before = field(f, "prev");
		struct audit_entry e = {.n = strtoull((const char *)number.p, NULL, 10),
					.prev = before,
					.time = field(f, "time"),
					.partner = field(f, "partner"),
					.way = field(f, "way"),
					.items = field(f, "items")};
		audit_hash(&e, h);
		assert_true(said.n == strlen(h) && memcmp(said.p, h, said.n) == 0);
		if (i)
			assert_true(before.n == strlen(prev) && memcmp(before.p, prev, before.n) == 0);
		strcpy(prev, h);
	}
	over = true;
}

static void two_write_one_chain(void **state)
{
	(void)state;
	if (skipped())
		return;
	struct world w, other;
	size_t n = 0;
	open_world(&w);
	open_world(&other);
	recorded = failed = 0;
	for (int i = 0; i < 100; i++) {
		record(w.audit, "jp", "indicator--00000001-0000-4000-8000-000000000000");
		record(other.audit, "kr", "indicator--00000002-0000-4000-8000-000000000000");
	}
	while (recorded + failed < 200) {
		event_base_loop(w.base, EVLOOP_NONBLOCK);
		event_base_loop(other.base, EVLOOP_NONBLOCK);
		usleep(200);
	}
	assert_int_equal(recorded, 200);
	assert_true(redis_link_words(w.link, 4, (const char *[]){"XRANGE", AUDIT_STREAM, "-", "+"},
				     (struct redis_done){on_entries, &n}));
	wait_over(&w);
	assert_true(n >= 200);
	close_world(&other);
	close_world(&w);
}

static void without_redis_nothing_is_recorded(void **state)
{
	(void)state;
	if (skipped())
		return;
	struct world w;
	open_world(&w);
	recorded = failed = 0;
	record(w.audit, "jp", "indicator--00000003-0000-4000-8000-000000000000");
	for (int i = 0; i < 5000; i++) /* more than may wait */
		record(w.audit, "jp", "indicator--00000003-0000-4000-8000-000000000000");
	assert_true(failed >= 900);
	redis_link_free(w.link);
	w.link = NULL;
	audit_free(w.audit); /* whoever waits is told */
	assert_int_equal(recorded + failed, 5001);
	objects_free(w.objects);
	policies_free(&w.p);
	event_base_free(w.base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(in_order_and_through_the_gate),
	    cmocka_unit_test(dropped_and_without_redis),
	    cmocka_unit_test(a_look_ahead),
	    cmocka_unit_test(names_of_collections),
	    cmocka_unit_test(two_write_one_chain),
	    cmocka_unit_test(without_redis_nothing_is_recorded),
	};
	if (!test_redis_start(&redis))
		printf("no redis-server: the tests of the store are skipped\n");
	int failed_n = cmocka_run_group_tests(tests, NULL, NULL);
	test_redis_stop(&redis);
	return failed_n;
}
