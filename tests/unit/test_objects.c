/* Shared objects against a real redis-server (skipped, with a line that says so,
 * when there is none): dates of addition, versions, conflicts, retention. */
#include "tests/unit/collector_help.h"

#include <event2/event.h>

#include "collector/handling.h"
#include "collector/objects.h"
#include "common/buf.h"
#include "common/clock.h"

#define COLLECTION "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
#define MANY       1200

static struct test_redis redis;

struct world {
	struct event_base *base;
	struct redis_link *link;
	struct objects *objects;
	struct store_conf conf;
};

static void on_ready(void *arg)
{
	struct world *w = arg;
	event_base_loopbreak(w->base);
}

static struct world *open_world(int64_t objects_max, int64_t versions_max)
{
	struct world *w = xcalloc(1, sizeof(*w));
	w->conf = (struct store_conf){.use = STORE_OBJECTS, .timeout_ms = 2000};
	assert_true(redis_target_parse(redis.address, &w->conf.redis, NULL));
	w->base = event_base_new();
	w->link = redis_link_new(w->base, &w->conf, on_ready, w);
	w->objects = objects_new(w->link, objects_max, versions_max);
	event_base_dispatch(w->base);
	assert_true(objects_ready(w->objects));
	return w;
}

static void close_world(struct world *w)
{
	redis_link_free(w->link);
	objects_free(w->objects);
	event_base_free(w->base);
	free(w);
}

/* ---- waiting for a callback ---- */

struct got {
	struct world *w;
	bool over, ok, more;
	size_t n;
	int64_t changed;
	struct objects_put_result put[OBJECTS_BATCH];
	struct object_row row[MANY + 1];
	char id[MANY + 1][64], version[MANY + 1][SHARED_VERSION_MAX];
	char text[4][512];
};

static void wait_for(struct got *g)
{
	while (!g->over)
		event_base_loop(g->w->base, EVLOOP_ONCE);
}

static void over(struct got *g, bool ok, size_t n)
{
	assert_false(g->over); /* exactly once */
	g->over = true;
	g->ok = ok;
	g->n = n;
}

static void on_put(void *arg, bool ok, const struct objects_put_result *v, size_t n)
{
	struct got *g = arg;
	over(g, ok, n);
	for (size_t i = 0; i < n; i++)
		g->put[i] = v[i];
}

static void on_rows(void *arg, bool ok, const struct object_row *v, size_t n, bool more)
{
	struct got *g = arg;
	over(g, ok, n);
	g->more = more;
	assert_true(n <= MANY);
	for (size_t i = 0; i < n; i++) {
		g->row[i] = v[i];
		snprintf(g->id[i], sizeof(g->id[i]), "%s", v[i].id);
		snprintf(g->version[i], sizeof(g->version[i]), "%s", v[i].version);
	}
}

static void on_texts(void *arg, bool ok, const struct bytes *v, size_t n)
{
	struct got *g = arg;
	over(g, ok, n);
	for (size_t i = 0; i < n && i < 4; i++)
		snprintf(g->text[i], sizeof(g->text[i]), "%.*s", v[i].p ? (int)v[i].n : 4,
			 v[i].p ? (const char *)v[i].p : "gone");
}

static void on_changed(void *arg, bool ok, int64_t changed)
{
	struct got *g = arg;
	over(g, ok, 0);
	g->changed = changed;
}

static struct got *fresh(struct world *w)
{
	static struct got g;
	g = (struct got){.w = w};
	return &g;
}

/* ---- objects ---- */

struct one {
	char text[512], handling[64];
	struct object o;
};

static const struct object *make(struct one *m, unsigned number, const char *modified, const char *more)
{
	struct err e;
	int n = snprintf(
	    m->text, sizeof(m->text),
	    "{\"type\":\"indicator\",\"spec_version\":\"2.1\",\"id\":\"indicator--%08x-0000-4000-8000-000000000000\","
	    "\"created\":\"2026-01-01T00:00:00.000Z\",\"modified\":\"%s\"%s}",
	    number, modified, more);
	struct json *j = json_read(m->text, (size_t)n, sizeof(m->text), &e);
	assert_non_null(j);
	assert_true(object_read(&m->o, j, (struct bytes){(uint8_t *)m->text, (size_t)n}, &e));
	json_drop(j);
	snprintf(m->handling, sizeof(m->handling), "{\"envelope\":{\"from\":\"p\"}}");
	m->o.handling = (struct bytes){(uint8_t *)m->handling, strlen(m->handling)};
	return &m->o;
}

static struct got *put(struct world *w, const struct object *v, size_t n)
{
	struct got *g = fresh(w);
	objects_put(w->objects, COLLECTION, v, n, (struct objects_put_done){on_put, g});
	wait_for(g);
	return g;
}

static struct got *put_one(struct world *w, unsigned number, const char *modified, const char *more)
{
	struct one m;
	return put(w, make(&m, number, modified, more), 1);
}

static struct got *scan(struct world *w, int64_t after, size_t n, bool old)
{
	struct got *g = fresh(w);
	objects_scan(w->objects, COLLECTION, after, n, old, (struct objects_rows_done){on_rows, g});
	wait_for(g);
	assert_true(g->ok);
	return g;
}

static int begin(void **state)
{
	(void)state;
	if (redis.redis)
		ask(&redis, "FLUSHALL");
	return 0;
}

#define NEEDS_REDIS                                                                                                    \
	if (!redis.redis)                                                                                              \
	skip()

/* ---- tests ---- */

static void dates_increase_within_a_batch_and_across_stores(void **state)
{
	(void)state;
	NEEDS_REDIS;
	struct world *a = open_world(100000, 16), *b = open_world(100000, 16);
	static struct one m[OBJECTS_BATCH];
	static struct object v[OBJECTS_BATCH];
	int64_t last = 0;
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < OBJECTS_BATCH; i++)
			v[i] = *make(&m[i], round * OBJECTS_BATCH + i, "2026-01-01T00:00:00.000Z", "");
		struct got *g = put(round & 1 ? b : a, v, OBJECTS_BATCH);
		assert_true(g->ok);
		for (unsigned i = 0; i < OBJECTS_BATCH; i++) {
			assert_int_equal(g->put[i].result, OBJECT_STORED);
			assert_true(g->put[i].row > last);
			last = g->put[i].row;
		}
	}
	assert_true(llabs(last - clock_wall_us()) < 60000000);
	struct got *g = scan(a, 0, MANY, false);
	assert_int_equal(g->n, 4 * OBJECTS_BATCH);
	assert_false(g->more);
	for (size_t i = 1; i < g->n; i++)
		assert_true(g->row[i].row > g->row[i - 1].row);
	close_world(a);
	close_world(b);
}

static void the_same_again_is_the_same(void **state)
{
	(void)state;
	NEEDS_REDIS;
	struct world *w = open_world(1000, 16);
	struct got *g = put_one(w, 1, "2026-01-01T00:00:00.000Z", ",\"name\":\"a\",\"lang\":\"en\"");
	int64_t row = g->put[0].row;
	assert_int_equal(g->put[0].result, OBJECT_STORED);
	g = put_one(w, 1, "2026-01-01T00:00:00.000Z", ",\"name\":\"a\",\"lang\":\"en\"");
	assert_int_equal(g->put[0].result, OBJECT_SAME);
	assert_int_equal(g->put[0].row, row);
	g = put_one(w, 1, "2026-01-01T00:00:00.000Z",
		    ", \"lang\": \"en\", \"name\":\"a\""); /* other bytes, the same tree */
	assert_int_equal(g->put[0].result, OBJECT_SAME);
	g = put_one(w, 1, "2026-01-01T00:00:00.000Z", ",\"name\":\"b\",\"lang\":\"en\"");
	assert_int_equal(g->put[0].result, OBJECT_CONFLICT);
	assert_int_equal(objects_stats(w->objects)->conflicts, 1);
	g = fresh(w);
	objects_texts(w->objects, (int64_t[]){row, row + 1}, 2, (struct objects_texts_done){on_texts, g});
	wait_for(g);
	assert_non_null(strstr(g->text[0], "\"name\":\"a\"")); /* the first one stays */
	assert_string_equal(g->text[1], "gone");
	close_world(w);
}

static void versions_and_which_is_last(void **state)
{
	(void)state;
	NEEDS_REDIS;
	struct world *w = open_world(1000, 3);
	put_one(w, 7, "2026-01-02T00:00:00.000Z", "");
	put_one(w, 7, "2026-01-04T00:00:00.000Z", "");
	put_one(w, 7, "2026-01-03T00:00:00.000Z", ""); /* came late: not the last */
	struct got *g = scan(w, 0, 10, false);
	assert_int_equal(g->n, 1);
	assert_string_equal(g->version[0], "2026-01-04T00:00:00.000Z");
	g = scan(w, 0, 10, true);
	assert_int_equal(g->n, 3);
	put_one(w, 7, "2026-01-05T00:00:00.000Z", ""); /* the fourth: the lowest goes */
	g = fresh(w);
	const char *ids[] = {"indicator--00000007-0000-4000-8000-000000000000",
			     "indicator--00000008-0000-4000-8000-000000000000"};
	objects_find(w->objects, COLLECTION, ids, 2, (struct objects_rows_done){on_rows, g});
	wait_for(g);
	assert_int_equal(g->n, 3);
	assert_string_equal(g->version[0], "2026-01-04T00:00:00.000Z"); /* by date of addition */
	assert_string_equal(g->version[1], "2026-01-03T00:00:00.000Z");
	assert_string_equal(g->version[2], "2026-01-05T00:00:00.000Z");
	close_world(w);
}

static void versions_in_one_batch(void **state)
{
	(void)state;
	NEEDS_REDIS;
	struct world *w = open_world(1000, 2);
	static struct one m[5];
	struct object v[5];
	static const char *const at[] = {"2026-01-01T00:00:00.000Z", "2026-01-03T00:00:00.000Z",
					 "2026-01-02T00:00:00.000Z", "2026-01-03T00:00:00.000Z",
					 "2026-01-04T00:00:00.000Z"};
	for (unsigned i = 0; i < 5; i++)
		v[i] = *make(&m[i], 3, at[i], "");
	struct got *g = put(w, v, 5);
	static const int want[] = {OBJECT_STORED, OBJECT_STORED, OBJECT_STORED, OBJECT_SAME, OBJECT_STORED};
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(g->put[i].result, want[i]);
	g = scan(w, 0, 10, true); /* two are kept */
	assert_int_equal(g->n, 2);
	assert_string_equal(g->version[0], at[1]);
	assert_string_equal(g->version[1], at[4]);
	assert_true(g->row[1].last);
	assert_false(g->row[0].last);
	close_world(w);
}

static void deleting_the_last_version_makes_the_one_before_it_last(void **state)
{
	(void)state;
	NEEDS_REDIS;
	struct world *w = open_world(1000, 16);
	put_one(w, 7, "2026-01-02T00:00:00.000Z", "");
	int64_t newest = put_one(w, 7, "2026-01-04T00:00:00.000Z", "")->put[0].row;
	struct got *g = fresh(w);
	const char *id = "indicator--00000007-0000-4000-8000-000000000000";
	objects_delete(w->objects, COLLECTION, id, &newest, 1, (struct objects_done){on_changed, g});
	wait_for(g);
	assert_int_equal(g->changed, 1);
	g = scan(w, 0, 10, false);
	assert_int_equal(g->n, 1);
	assert_string_equal(g->version[0], "2026-01-02T00:00:00.000Z");
	g = fresh(w);
	objects_delete(w->objects, COLLECTION, id, NULL, 0, (struct objects_done){on_changed, g});
	wait_for(g);
	assert_int_equal(g->changed, 1);
	assert_int_equal(scan(w, 0, 10, true)->n, 0);
	assert_int_equal(atoi(ask(&redis, "HLEN " OBJECTS_PREFIX "rows")), 0);
	assert_int_equal(atoi(ask(&redis, "HLEN " OBJECTS_PREFIX "handling")), 0); /* nobody refers to it */
	assert_int_equal(atoi(ask(&redis, "HLEN " OBJECTS_PREFIX "numbers")), 0);
	assert_int_equal(atoi(ask(&redis, "HLEN " OBJECTS_PREFIX "refs")), 0);
	close_world(w);
}

static void another_handling(void **state)
{
	(void)state;
	NEEDS_REDIS;
	struct world *w = open_world(1000, 16);
	int64_t row = put_one(w, 7, "2026-01-02T00:00:00.000Z", "")->put[0].row;
	int64_t before = scan(w, 0, 10, false)->row[0].handling;
	struct bytes other = {(const uint8_t *)"{\"envelope\":{}}", 15};
	struct got *g = fresh(w);
	objects_handle(w->objects, COLLECTION, "indicator--00000007-0000-4000-8000-000000000000", row, other,
		       (struct objects_done){on_changed, g});
	wait_for(g);
	assert_int_equal(g->changed, 1);
	g = scan(w, 0, 10, false);
	assert_int_equal(g->n, 1);
	assert_int_equal(g->row[0].row, row);
	int64_t after = g->row[0].handling;
	assert_true(after != before);
	g = fresh(w);
	objects_handlings(w->objects, (int64_t[]){before, after}, 2, (struct objects_texts_done){on_texts, g});
	wait_for(g);
	assert_string_equal(g->text[0], "gone");
	assert_string_equal(g->text[1], "{\"envelope\":{}}");
	close_world(w);
}

static const char seven[] = "indicator--00000007-0000-4000-8000-000000000000";

static int64_t renew(struct world *w, int64_t row)
{
	struct bytes other = {(const uint8_t *)"{\"envelope\":{}}", 15};
	struct got *g = fresh(w);
	objects_renew(w->objects, COLLECTION, seven, row, other, (struct objects_done){on_changed, g});
	wait_for(g);
	return g->changed;
}

/* In the place of the old row, whether it is the last version or not; who reads on finds it once. */
static void a_row_becomes_a_new_one(void **state)
{
	(void)state;
	NEEDS_REDIS;
	struct world *w = open_world(1000, 16);
	int64_t old = put_one(w, 7, "2026-01-02T00:00:00.000Z", "")->put[0].row;
	int64_t last = put_one(w, 7, "2026-01-03T00:00:00.000Z", "")->put[0].row;
	int64_t other = put_one(w, 8, "2026-01-03T00:00:00.000Z", "")->put[0].row;
	int64_t row = renew(w, last);
	assert_true(row > other);
	struct got *g = scan(w, 0, 10, false);
	assert_int_equal(g->n, 2);
	assert_int_equal(g->row[0].row, other);
	assert_int_equal(g->row[1].row, row);
	assert_string_equal(g->version[1], "2026-01-03T00:00:00.000Z");
	int64_t older = renew(w, old);
	assert_true(older > row);
	g = scan(w, 0, 10, true);
	assert_int_equal(g->n, 3);
	assert_int_equal(g->row[2].row, older);
	assert_false(g->row[2].last);
	assert_true(g->row[1].last);
	assert_int_equal(renew(w, last), 0); /* it is gone */
	g = fresh(w);
	objects_texts(w->objects, (int64_t[]){last, row, older}, 3, (struct objects_texts_done){on_texts, g});
	wait_for(g);
	assert_string_equal(g->text[0], "gone");
	assert_non_null(strstr(g->text[1], "2026-01-03"));
	assert_non_null(strstr(g->text[2], "2026-01-02"));
	/* and it is known by its version still */
	assert_int_equal(put_one(w, 7, "2026-01-03T00:00:00.000Z", "")->put[0].result, OBJECT_SAME);
	close_world(w);
}

static void a_full_collection_forgets_its_oldest(void **state)
{
	(void)state;
	NEEDS_REDIS;
	struct world *w = open_world(100, 16);
	for (unsigned i = 0; i < 130; i++)
		put_one(w, i, "2026-01-02T00:00:00.000Z", "");
	struct got *g = scan(w, 0, MANY, false);
	assert_in_range(g->n, 100, 101);
	assert_string_equal(g->id[g->n - 1], "indicator--00000081-0000-4000-8000-000000000000");
	assert_true(objects_stats(w->objects)->forgotten >= 29);
	close_world(w);
}

/* The merge of last and old is cut where one of the two lists may go on. */
static void a_scan_of_all_versions_in_small_steps_misses_none(void **state)
{
	(void)state;
	NEEDS_REDIS;
	struct world *w = open_world(1000, 16);
	for (unsigned i = 0; i < 40; i++)
		for (unsigned v = 1; v <= 1 + i % 4; v++) {
			char at[40];
			snprintf(at, sizeof(at), "2026-01-%02uT00:00:00.000Z", v);
			put_one(w, i, at, "");
		}
	size_t total = 0;
	int64_t after = 0;
	for (bool more = true; more;) {
		struct got *g = scan(w, after, 3, true);
		for (size_t i = 0; i < g->n; i++) {
			assert_true(g->row[i].row > after);
			after = g->row[i].row;
		}
		total += g->n;
		more = g->more;
		assert_true(!more || g->n);
	}
	assert_int_equal(total, 100);
	close_world(w);
}

static void without_redis_every_call_is_answered(void **state)
{
	(void)state;
	NEEDS_REDIS;
	struct world *w = open_world(1000, 16);
	struct one m;
	struct got *g = fresh(w);
	objects_put(w->objects, COLLECTION, make(&m, 1, "2026-01-02T00:00:00.000Z", ""), 1,
		    (struct objects_put_done){on_put, g});
	redis_link_free(w->link); /* in flight: not known */
	assert_true(g->over);
	assert_false(g->ok);
	objects_free(w->objects);
	event_base_free(w->base);
	free(w);
}

static void members_are_read_with_care(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
	    {"1795230600007123 21 17 734 2026-01-01T00:00:00Z indicator--x", true},
	    {"1795230600007123 21 17 734 - ipv4-addr--x", true},
	    {"", false},
	    {"1 21 17 734 -", false},
	    {"x 21 17 734 - a", false},
	    {"1 21 17 -734 - a", false},
	    {"1 2100 17 734 - a", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[128];
		struct object_row r;
		snprintf(text, sizeof(text), "%s", cases[i].text);
		assert_int_equal(object_row_parse(text, strlen(text), &r), cases[i].good);
	}
}

static void equal_handling_gives_equal_bytes(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		bool equal, each;
	} cases[] = {
	    {"{\"type\":\"indicator\",\"name\":\"x\"}", "{\"type\":\"indicator\",\"name\":\"y\"}", true, false},
	    {"{\"type\":\"indicator\",\"name\":\"x\"}", "{\"type\":\"indicator\",\"nome\":\"x\"}", false, false},
	    {"{\"labels\":[\"a\"]}", "{\"labels\":[\"b\"]}", false, false},
	    {"{\"labels\":[\"a\"]}", "{\"labels\":[\"a\",1]}", false, false},
	    {"{\"object_marking_refs\":[\"m--1\"]}", "{\"object_marking_refs\":[\"m--2\"]}", false, false},
	    {"{\"a\":{\"b\":1}}", "{\"a\":{},\"b\":1}", false, false},
	    {"{\"source_ref\":\"x\"}", "{\"source_ref\":\"x\"}", true, true},
	    {"{\"a\":[{\"b_refs\":[\"x\"]}]}", "{\"a\":[{\"b_refs\":[\"x\"]}]}", true, true},
	    {"{\"granular_markings\":[]}", "{\"granular_markings\":[]}", true, true},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf t[2] = {{0}};
		struct handling h;
		for (int k = 0; k < 2; k++) {
			const char *text = k ? cases[i].b : cases[i].a;
			struct json *j = json_read(text, strlen(text), 1000, NULL);
			struct shared s = {.stix = j, .collection = "", .origin = "o", .from = "f", .exercise = ""};
			handling_write(&s, &t[k]);
			json_drop(j);
		}
		assert_int_equal(t[0].n == t[1].n && !memcmp(t[0].p, t[1].p, t[0].n), cases[i].equal);
		assert_true(handling_read(&h, t[0].p, t[0].n, NULL));
		assert_int_equal(h.each, cases[i].each);
		handling_free(&h);
		buf_free(&t[0]);
		buf_free(&t[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(dates_increase_within_a_batch_and_across_stores, begin),
	    cmocka_unit_test_setup(the_same_again_is_the_same, begin),
	    cmocka_unit_test_setup(versions_and_which_is_last, begin),
	    cmocka_unit_test_setup(versions_in_one_batch, begin),
	    cmocka_unit_test_setup(deleting_the_last_version_makes_the_one_before_it_last, begin),
	    cmocka_unit_test_setup(another_handling, begin),
	    cmocka_unit_test_setup(a_row_becomes_a_new_one, begin),
	    cmocka_unit_test_setup(a_full_collection_forgets_its_oldest, begin),
	    cmocka_unit_test_setup(a_scan_of_all_versions_in_small_steps_misses_none, begin),
	    cmocka_unit_test_setup(without_redis_every_call_is_answered, begin),
	    cmocka_unit_test(members_are_read_with_care),
	    cmocka_unit_test(equal_handling_gives_equal_bytes),
	};
	if (!test_redis_start(&redis))
		printf("no redis-server: the tests of the store are skipped\n");
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	test_redis_stop(&redis);
	return failed;
}
