/* The scripts and the store against a real redis-server (skipped, with a line
 * that says so, when there is none). */
#include "tests/unit/collector_help.h"

#include <inttypes.h>

#include "collector/store.h"
#include "collector/store_flush.h"
#include "collector/store_script.h"
#include "common/clock.h"
#include "common/text.h"

#define HOUR (3600 * SEC)

static struct test_redis redis;
static struct hash_key hash;

struct result {
	enum store_result result;
	uint64_t mark;
	bool over;
};

static void on_done(void *arg, enum store_result result, uint64_t mark)
{
	struct result *r = arg;
	*r = (struct result){result, mark, true};
}

static void on_marks(void *arg, enum store_result result, const struct marks *marks)
{
	struct result *r = arg;
	*r = (struct result){result, marks ? marks_lowest(marks) : 0, true};
}

static struct store *open_store(void)
{
	struct store_conf c = {.timeout_ms = 2000,
			       .stream_max = 1000,
			       .top_max = 10,
			       .open_retention_ms = 90ll * 86400000,
			       .closed_retention_ms = 30ll * 86400000};
	redis_target_parse(redis.address, &c.redis, NULL);
	struct store *s = store_new(&c);
	for (int i = 0; i < 500 && store_state(s) != STORE_READY; i++) {
		store_work(s);
		usleep(2000);
	}
	return s;
}

static void wait_for(struct store *s, struct result *r)
{
	for (int i = 0; i < 2000 && !r->over; i++) {
		store_work(s);
		usleep(500);
	}
	assert_true(r->over);
}

static struct result flush_as(struct store *s, const char *sensor, uint64_t prev, uint64_t hi, const struct made *m,
			      size_t n)
{
	struct fold f;
	struct result r = {0};
	struct marks marks;
	fold_init(&f, &hash, HOUR, 0);
	for (size_t i = 0; i < n; i++) {
		struct addr peer;
		struct record rec = made_record(&m[i], &peer);
		assert_int_equal(fold_add(&f, &rec, prev + 1 + i, clock_wall_us()), FOLD_ADDED);
	}
	marks_set(&marks, prev);
	store_flush(s, &(struct store_flush){sensor, 5, hi, &marks, &f}, (struct store_done){on_done, &r});
	fold_free(&f);
	wait_for(s, &r);
	return r;
}

static const char *key_of(const struct made *m)
{
	static char key[80];
	struct addr peer;
	struct record r = made_record(m, &peer);
	char hex[33];
	text_hex(hex, r.key, 16);
	snprintf(key, sizeof(key), "picket:{p0}:%salert:%s", m->exercise ? "exercise:" : "", hex);
	return key;
}

static const char *field(const struct made *m, const char *name)
{
	char command[256];
	snprintf(command, sizeof(command), "HGET %s %s", key_of(m), name);
	return ask(&redis, command);
}

/* The op and reason of the newest stream entry. */
static const char *last_op(void)
{
	static char op[128];
	const char *argv[] = {"XREVRANGE", "picket:{p0}:alerts", "+", "-", "COUNT", "1"};
	size_t len[] = {9, 18, 1, 1, 5, 1};
	struct reply *r = redis_call(redis.redis, 6, argv, len, 2000, NULL);
	const struct reply *fields = reply_at(reply_at(r, 0), 1);
	op[0] = 0;
	for (size_t i = 0; i + 1 < reply_count(fields); i += 2) {
		struct bytes name, value;
		if (!reply_text(reply_at(fields, i), &name) || !reply_text(reply_at(fields, i + 1), &value))
			continue;
		if (name.n == 2 && !memcmp(name.p, "op", 2))
			snprintf(op, sizeof(op), "%.*s", (int)value.n, (const char *)value.p);
		if (name.n == 6 && !memcmp(name.p, "reason", 6))
			snprintf(op + strlen(op), sizeof(op) - strlen(op), " %.*s", (int)value.n,
				 (const char *)value.p);
	}
	reply_free(r);
	return op;
}

static int fresh(void **state)
{
	if (!redis.redis)
		skip();
	ask(&redis, "FLUSHALL");
	ask(&redis, "CONFIG SET maxmemory 0");
	ask(&redis, "CONFIG SET maxmemory-policy noeviction");
	*state = open_store();
	return store_state(*state) == STORE_READY ? 0 : -1;
}

static int done(void **state)
{
	store_free(*state);
	return 0;
}

static void counts_and_fields(void **state)
{
	struct made m[] = {{.first_us = T0},
			   {.first_us = T0 + SEC, .peer = "203.0.113.10", .n = 4, .json = "{\"x\":2}"},
			   {.indicator = "D-2", .severity = SEVERITY_HIGH}};
	struct result r = flush_as(*state, "tok-03", 0, 3, m, 3);
	assert_int_equal(r.result, STORE_OK);
	assert_int_equal(r.mark, 3);
	assert_string_equal(field(&m[0], "n"), "5");
	assert_string_equal(field(&m[0], "sensor:tok-03"), "5");
	assert_string_equal(field(&m[0], "state"), "new");
	assert_string_equal(field(&m[0], "first_seen"), "2023-11-14T22:13:20.000000Z");
	assert_string_equal(field(&m[0], "last_seen"), "2023-11-14T22:13:21.000000Z");
	assert_string_equal(field(&m[0], "last_event"), "-");
	char range[128];
	snprintf(range, sizeof(range), "XRANGE picket:{p0}:alerts %s +", field(&m[0], "event"));
	assert_int_equal(strlen(ask(&redis, range)) > 0, 1);
	assert_string_equal(field(&m[2], "severity"), "high");
	assert_string_equal(ask(&redis, "HGET picket:{p0}:hwm tok-03:5"), "3");
	assert_string_equal(ask(&redis, "XLEN picket:{p0}:alerts"), "2");
	assert_string_equal(ask(&redis, "ZCARD picket:{p0}:open"), "2");
	assert_string_equal(ask(&redis, "ZCARD picket:{p0}:severity:high"), "1");
	char command[128];
	snprintf(command, sizeof(command), "PFCOUNT %s:peers", key_of(&m[0]));
	assert_string_equal(ask(&redis, command), "2");
	snprintf(command, sizeof(command), "EXISTS %s:peers", key_of(&m[2]));
	assert_string_equal(ask(&redis, command), "0");
}

/* Resent, reordered and foreign flushes change nothing. */
static void compare_and_set(void **state)
{
	struct made m = {.n = 3};
	assert_int_equal(flush_as(*state, "a", 0, 1, &m, 1).result, STORE_OK);
	struct result again = flush_as(*state, "a", 0, 1, &m, 1);
	assert_int_equal(again.result, STORE_BEHIND);
	assert_int_equal(again.mark, 1);
	assert_int_equal(flush_as(*state, "a", 4, 5, &m, 1).result, STORE_BEHIND);
	assert_string_equal(field(&m, "n"), "3");
	assert_int_equal(flush_as(*state, "b", 0, 9, &m, 1).result, STORE_OK);
	assert_string_equal(field(&m, "n"), "6");
	assert_string_equal(field(&m, "sensor:b"), "3");
	struct result mark = {0};
	store_marks(*state, "b", 5, (struct store_marks_done){on_marks, &mark});
	wait_for(*state, &mark);
	assert_int_equal(mark.mark, 9);
}

static void escalations(void **state)
{
	static const struct {
		const char *label;
		struct made m;
		const char *sensor, *op;
	} steps[] = {
	    {"first", {.n = 1}, "a", "new"},
	    {"again: no entry", {.n = 1}, "a", "new"},
	    {"another sensor", {.n = 1}, "b", "escalated sensor"},
	    {"higher severity", {.n = 1, .severity = SEVERITY_CRITICAL}, "a", "escalated severity"},
	    {"lower again", {.n = 1}, "a", "escalated severity"},
	    {"ten", {.n = 5}, "a", "escalated count"},
	    {"eleven to 99", {.n = 89}, "a", "escalated count"},
	    {"three at once", {.n = 9000}, "c", "escalated sensor,count"},
	    {"a gap", {.n = 1, .first_us = T0 + 2 * HOUR}, "a", "reopened gap"},
	    {"late", {.n = 1, .first_us = T0 - 9 * HOUR}, "a", "reopened gap"},
	};
	uint64_t prev[3] = {0};
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		uint64_t *p = &prev[steps[i].sensor[0] - 'a'];
		assert_int_equal(flush_as(*state, steps[i].sensor, *p, *p + 1, &steps[i].m, 1).result, STORE_OK);
		(*p)++;
		if (strcmp(last_op(), steps[i].op) != 0)
			fail_msg("%s: %s, expected %s", steps[i].label, last_op(), steps[i].op);
	}
	struct made m = {0};
	assert_string_equal(field(&m, "severity"), "critical");
	assert_string_equal(field(&m, "episode"), "2");
	assert_string_equal(field(&m, "first_seen"), "2023-11-14T13:13:20.000000Z");
	assert_string_equal(field(&m, "last_seen"), "2023-11-15T00:13:20.000000Z");
	assert_string_equal(ask(&redis, "ZCARD picket:{p0}:severity:low"), "0");
	assert_string_equal(ask(&redis, "ZCARD picket:{p0}:severity:critical"), "1");
}

/* All that stands in Redis, but for stream ids and the numbers of days, as one
 * text. */
static char *everything(void)
{
	static const char script[] =
	    "local out, keys = {}, redis.call('KEYS', '*') table.sort(keys) for _, k in ipairs(keys) do "
	    "local t, lines = redis.call('TYPE', k).ok, {} "
	    "if t == 'hash' then local v = redis.call('HGETALL', k) for i = 1, #v, 2 do "
	    "local id = v[i] == 'event' or v[i] == 'last_event' lines[#lines + 1] = v[i] .. '=' .. (id and 'id' or v[i "
	    "+ "
	    "1]) end table.sort(lines) "
	    "elseif t == 'zset' then lines = redis.call('ZRANGE', k, 0, -1, 'WITHSCORES') "
	    "elseif t == 'stream' then for _, e in ipairs(redis.call('XRANGE', k, '-', '+')) do "
	    "lines[#lines + 1] = table.concat(e[2], '|') end "
	    "else lines = {t} end "
	    "out[#out + 1] = string.gsub(k, '%d+$', '') .. ': ' .. table.concat(lines, ' ; ') end "
	    "return table.concat(out, ' // ')";
	const char *argv[] = {"EVAL", script, "0"};
	size_t len[] = {4, sizeof(script) - 1, 1};
	struct err e = {"no text"};
	struct reply *r = redis_call(redis.redis, 3, argv, len, 2000, &e);
	struct bytes text = {0};
	if (reply_error(r, &text) || !reply_text(r, &text))
		fail_msg("%s %.*s", e.text, (int)text.n, (const char *)text.p);
	char *copy = strndup((const char *)text.p, text.n);
	reply_free(r);
	return copy;
}

static const char *shape_of(const struct fold *f, const struct delta *d)
{
	static char text[2];
	struct flush_args a = {0};
	struct store_conf conf = {.stream_max = 1};
	struct marks marks = {0};
	struct flush_head h = {.conf = &conf,
			       .sha = "",
			       .marks_prefix = "",
			       .prefix = "",
			       .sensor = "",
			       .lanes = LANES,
			       .prev = &marks,
			       .next = &marks};
	flush_args_begin(&a, &h);
	size_t head = a.argc;
	flush_args_delta(&a, f, d);
	assert_int_equal(a.argc - head, a.argv[head][0] == '0' ? DELTA_PLAIN_ARGS : FLUSH_DELTA_ARGS);
	snprintf(text, sizeof(text), "%s", a.argv[head]);
	flush_args_free(&a);
	return text;
}

/* Recent events take the short way through the script; the long one must write
 * the same. */
static void plain_and_full_shapes_are_the_same(void **state)
{
	static const struct {
		struct made m;
		int64_t ago_us;
		const char *sensor;
	} steps[] = {
	    {{.n = 3}, 10 * HOUR, "a"},
	    {{.indicator = "D-2", .severity = SEVERITY_HIGH, .n = 2}, 10 * HOUR, "a"},
	    {{.n = 1}, 10 * HOUR - SEC, "a"},
	    {{.n = 1}, 10 * HOUR - SEC, "b"},
	    {{.n = 20, .severity = SEVERITY_CRITICAL}, 10 * HOUR - SEC, "a"},
	    {{.n = 1, .peer = "203.0.113.10"}, 10 * HOUR - 2 * SEC, "a"},
	    {{.n = 1, .peer = "2001:db8::1"}, 10 * HOUR - 3 * SEC, "a"},
	    {{.n = 1}, 3 * HOUR, "a"},
	    {{.indicator = "D-3", .endpoint = "10.0.0.9"}, 3 * HOUR, "b"},
	    {{.indicator = "D-3", .endpoint = "10.0.0.9"}, 4 * HOUR, "b"},
	};
	char *text[2];
	int64_t now = clock_wall_us();
	struct store *s = *state;
	for (int full = 0; full < 2; full++) {
		uint64_t prev[2] = {0};
		ask(&redis, "FLUSHALL");
		for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
			struct fold f;
			struct result r = {0};
			struct marks marks;
			struct addr peer;
			struct made m = steps[i].m;
			uint64_t *p = &prev[steps[i].sensor[0] - 'a'];
			m.first_us = now - steps[i].ago_us;
			struct record rec = made_record(&m, &peer);
			fold_init(&f, &hash, HOUR, 0);
			assert_int_equal(fold_add(&f, &rec, *p + 1, clock_wall_us()), FOLD_ADDED);
			f.delta[0].again = full;
			assert_string_equal(shape_of(&f, &f.delta[0]), full ? "1" : "0");
			marks_set(&marks, *p);
			++*p;
			store_flush(s, &(struct store_flush){steps[i].sensor, 5, *p, &marks, &f},
				    (struct store_done){on_done, &r});
			fold_free(&f);
			wait_for(s, &r);
			assert_int_equal(r.result, STORE_OK);
		}
		text[full] = everything();
	}
	assert_string_equal(text[0], text[1]);
	free(text[0]);
	free(text[1]);
}

/* What is not plain is told whole. */
static void unusual_deltas_are_full(void **state)
{
	static const struct {
		const char *label, *shape;
		enum record_field field;
		const char *value;
		int64_t at_us;
	} cases[] = {
	    {"plain", "0", FIELD_APP, "tls", 0},
	    {"no application", "1", FIELD_APP, "", 0},
	    {"not marked", "1", FIELD_TLP, "", 0},
	    {"exercise", "1", FIELD_EXERCISE, "x", 0},
	    {"tenant", "1", FIELD_TENANT, "t", 0},
	    {"fold", "1", FIELD_FOLD, "indicator", 0},
	    {"the asset is the destination", "1", FIELD_ENDPOINT, "203.0.113.9", 0},
	    {"the far end is another", "1", FIELD_DEST, "203.0.113.7", 0},
	    {"an old event", "1", FIELD_APP, "tls", -25 * HOUR},
	    {"a clock ahead", "1", FIELD_APP, "tls", HOUR},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct fold f;
		struct addr peer;
		struct made m = {.first_us = clock_wall_us() + cases[i].at_us};
		struct record rec = made_record(&m, &peer);
		rec.field[cases[i].field] = as_bytes(cases[i].value);
		record_key(&rec, rec.key);
		fold_init(&f, &hash, HOUR, 0);
		assert_int_equal(fold_add(&f, &rec, 1, clock_wall_us()), FOLD_ADDED);
		if (strcmp(shape_of(&f, &f.delta[0]), cases[i].shape) != 0)
			fail_msg("%s: shape %s", cases[i].label, shape_of(&f, &f.delta[0]));
		fold_free(&f);
	}
	struct fold f; /* twice the same key, an episode apart */
	struct addr peer;
	fold_init(&f, &hash, HOUR, 0);
	for (int i = 0; i < 2; i++) {
		struct made m = {.first_us = clock_wall_us() - (3 - 2 * i) * HOUR};
		struct record rec = made_record(&m, &peer);
		assert_int_equal(fold_add(&f, &rec, (uint64_t)i + 1, clock_wall_us()), FOLD_ADDED);
	}
	assert_int_equal(f.n, 2);
	assert_string_equal(shape_of(&f, &f.delta[0]), "1");
	assert_string_equal(shape_of(&f, &f.delta[1]), "1");
	fold_free(&f);
}

static void calls_are_cut_by_their_time(void **state)
{
	double us = 0;
	(void)state;
	assert_int_equal(store_call_cut(&us, 100, 1000, 2500), 250); /* 10 us each */
	for (int i = 0; i < 200; i++)
		store_call_cut(&us, 100, 5000, 2500);
	assert_in_range(store_call_cut(&us, 100, 5000, 2500), 49, 51); /* 50 us each */
	store_call_cut(&us, 100, 500000, 2500);                        /* one that was held up */
	assert_in_range(store_call_cut(&us, 100, 5000, 2500), CALL_DELTAS_MIN, 49);
	for (int i = 0; i < 500; i++)
		store_call_cut(&us, 1, 1000000, 2500);
	assert_int_equal(store_call_cut(&us, 1, 1000000, 2500), CALL_DELTAS_MIN);
	for (int i = 0; i < 1000; i++)
		store_call_cut(&us, 250, 1, 2500);
	assert_int_equal(store_call_cut(&us, 250, 1, 2500), 250);
}

/* Redis' own clock comes back with every call. */
static void the_time_of_a_call_is_told(void **state)
{
	struct made m = {.n = 1};
	assert_int_equal(flush_as(*state, "a", 0, 1, &m, 1).result, STORE_OK);
	assert_in_range(store_stats(*state)->script_us, 1, 1000000);
}

/* Folded or one by one: the same group. Events in random order over hours, the
 * heap cut at random places. */
static void folding_equals_one_by_one(void **state)
{
	unsigned seed = (unsigned)getpid();
	printf("seed %u\n", seed);
	srand(seed);
	struct made m[60];
	for (size_t i = 0; i < 60; i++)
		m[i] = (struct made){.n = (uint32_t)(1 + rand() % 5),
				     .first_us = T0 + (rand() % 9) * (HOUR / 2) + (int64_t)i};
	static const char *const names[] = {"n", "first_seen", "last_seen", "episode", "episode_n", "severity"};
	char alone[6][64];
	for (size_t i = 0; i < 60; i++)
		assert_int_equal(flush_as(*state, "a", i, i + 1, &m[i], 1).result, STORE_OK);
	for (size_t i = 0; i < 6; i++)
		snprintf(alone[i], sizeof(alone[i]), "%s", field(&m[0], names[i]));
	ask(&redis, "DEL picket:{p0}:hwm");
	ask(&redis, "DEL picket:{p0}:open");
	char command[128];
	snprintf(command, sizeof(command), "DEL %s", key_of(&m[0]));
	ask(&redis, command);
	for (size_t i = 0; i < 60;) {
		size_t n = 1 + (size_t)(rand() % 20);
		n = i + n > 60 ? 60 - i : n;
		assert_int_equal(flush_as(*state, "a", i, i + n, &m[i], n).result, STORE_OK);
		i += n;
	}
	for (size_t i = 0; i < 6; i++)
		assert_string_equal(field(&m[0], names[i]), alone[i]);
}

static const char *set_state(struct store *s, const struct made *m, const char *state)
{
	const char *key = key_of(m), *id = strrchr(key, ':') + 1;
	const char *argv[] = {"EVAL", script_text[SCRIPT_STATE],     "1",       key,  STORE_PREFIX, id, state,
			      "me",   "2026-01-01T00:00:00.000000Z", "because", "100"};
	size_t len[11];
	static char out[64];
	(void)s;
	for (size_t i = 0; i < 11; i++)
		len[i] = strlen(argv[i]);
	struct reply *r = redis_call(redis.redis, 11, argv, len, 2000, NULL);
	int64_t ok = -1;
	struct bytes text = {0};
	reply_number(reply_at(r, 0), &ok);
	reply_text(reply_at(r, 1), &text);
	snprintf(out, sizeof(out), "%d %.*s", (int)ok, (int)text.n, (const char *)text.p);
	reply_free(r);
	return out;
}

static void states(void **state)
{
	struct made m = {.n = 1}, late = {.n = 1, .first_us = T0 - SEC};
	char ttl[128];
	flush_as(*state, "a", 0, 1, &m, 1);
	snprintf(ttl, sizeof(ttl), "TTL %s", key_of(&m));
	assert_string_equal(set_state(*state, &m, "acknowledged"), "1 new");
	assert_string_equal(set_state(*state, &m, "acknowledged"), "0 already");
	assert_string_equal(ask(&redis, "ZCARD picket:{p0}:open"), "1");
	assert_string_equal(set_state(*state, &m, "closed"), "1 acknowledged");
	assert_string_equal(set_state(*state, &m, "acknowledged"), "0 not-new");
	assert_string_equal(ask(&redis, "ZCARD picket:{p0}:open"), "0");
	assert_string_equal(ask(&redis, ttl), "100");
	flush_as(*state, "a", 1, 2, &late, 1);
	assert_string_equal(last_op(), "reopened closed");
	assert_string_equal(field(&m, "state"), "new");
	assert_string_equal(field(&m, "episode"), "2");
	assert_string_equal(ask(&redis, "ZRANGE picket:{p0}:open 0 -1 WITHSCORES") + 33, "1700000000000");
	assert_string_equal(ask(&redis, ttl), "-1");
	assert_string_equal(set_state(*state, &m, "false_positive"), "1 new");
	struct made loud = {.n = 5000, .severity = SEVERITY_CRITICAL, .first_us = T0 + 5 * HOUR};
	flush_as(*state, "b", 0, 1, &loud, 1);
	assert_string_equal(last_op(), "reopened closed");
	assert_string_equal(field(&m, "state"), "false_positive");
	assert_string_equal(field(&m, "n"), "5002");
	assert_string_equal(ask(&redis, "ZCARD picket:{p0}:open"), "0");
}

static void losses(void **state)
{
	struct made m[] = {{.kind = RECORD_LOSS, .n = 77}, {.n = 1}};
	assert_int_equal(flush_as(*state, "a", 0, 9, m, 2).result, STORE_OK);
	assert_string_equal(ask(&redis, "XLEN picket:{p0}:alerts"), "2");
	assert_string_equal(field(&m[1], "n"), "1");
	char command[128];
	snprintf(command, sizeof(command), "HGET picket:{p0}:day:%lld loss",
		 (long long)(clock_wall_us() / 86400000000));
	assert_string_equal(ask(&redis, command), "77");
}

/* Somebody else's keys. A group's own key costs that group, nothing else; a key
 * that all share stops the flush before anything was written. */
static void wrong_types(void **state)
{
	struct made m[] = {{.n = 2}, {.indicator = "D-2", .n = 3}};
	char command[128];
	snprintf(command, sizeof(command), "SET %s hello", key_of(&m[0]));
	ask(&redis, command);
	assert_int_equal(flush_as(*state, "a", 0, 2, m, 2).result, STORE_OK);
	assert_string_equal(field(&m[1], "n"), "3");
	assert_string_equal(ask(&redis, "XLEN picket:{p0}:alerts"), "2");
	assert_int_equal(store_stats(*state)->conflicts, 1);
	static const char *const shared[] = {"picket:{p0}:open", "picket:{p0}:severity:high", "picket:{p0}:alerts"};
	for (size_t i = 0; i < 3; i++) {
		struct store *s = open_store();
		snprintf(command, sizeof(command), "DEL %s", shared[i]);
		ask(&redis, command);
		snprintf(command, sizeof(command), "SET %s hello", shared[i]);
		ask(&redis, command);
		assert_int_equal(flush_as(s, "b", 0, 2, &m[1], 1).result, STORE_FAILED);
		assert_string_equal(field(&m[1], "n"), "3");
		assert_int_equal(store_state(s), STORE_HOLDING);
		snprintf(command, sizeof(command), "DEL %s", shared[i]);
		ask(&redis, command);
		store_free(s);
	}
}

static void out_of_memory(void **state)
{
	struct made m = {.n = 2};
	flush_as(*state, "a", 0, 1, &m, 1);
	ask(&redis, "CONFIG SET maxmemory 1");
	assert_int_equal(flush_as(*state, "a", 1, 2, &m, 1).result, STORE_FAILED);
	ask(&redis, "CONFIG SET maxmemory 0");
	assert_string_equal(field(&m, "n"), "2");
	assert_string_equal(ask(&redis, "HGET picket:{p0}:hwm a:5"), "1");
	struct store *s = open_store();
	assert_int_equal(flush_as(s, "a", 1, 2, &m, 1).result, STORE_OK);
	assert_string_equal(field(&m, "n"), "4");
	store_free(s);
}

static void evicting_policy_is_refused(void **state)
{
	bool unfit = false;
	(void)state;
	ask(&redis, "CONFIG SET maxmemory-policy allkeys-lru");
	struct store *s = open_store();
	assert_int_not_equal(store_state(s), STORE_READY);
	assert_non_null(strstr(store_trouble(s, &unfit), "maxmemory-policy noeviction"));
	assert_true(unfit);
	store_free(s);
	ask(&redis, "CONFIG SET maxmemory-policy noeviction");
	ask(&redis, "SET picket:schema 99");
	s = open_store();
	assert_non_null(strstr(store_trouble(s, &unfit), "schema"));
	store_free(s);
}

/* Somebody else's key under a name that all groups share: refused at start, and
 * the sentence names it. */
static void foreign_keys_are_named(void **state)
{
	bool unfit = false;
	(void)state;
	ask(&redis, "FLUSHDB");
	ask(&redis, "RPUSH picket:{p0}:severity:high hello");
	struct store *s = open_store();
	assert_non_null(strstr(store_trouble(s, &unfit), "picket:{p0}:severity:high is a list, Picket keeps a zset"));
	assert_true(unfit);
	store_free(s);
}

static void scripts_are_loaded_again(void **state)
{
	struct made m = {0};
	ask(&redis, "SCRIPT FLUSH");
	assert_int_equal(flush_as(*state, "a", 0, 1, &m, 1).result, STORE_FAILED);
	for (int i = 0; i < 1000 && store_state(*state) != STORE_READY; i++) {
		store_work(*state);
		usleep(2000);
	}
	assert_int_equal(flush_as(*state, "a", 0, 1, &m, 1).result, STORE_OK);
}

/* A Redis that stops answering fails the calls under way; one that comes back is
 * used again. */
static void frozen_redis(void **state)
{
	struct result r = {0};
	kill(redis.pid, SIGSTOP);
	store_marks(*state, "a", 5, (struct store_marks_done){on_marks, &r});
	for (int i = 0; i < 3000 && !r.over; i++) {
		store_work(*state);
		usleep(1000);
	}
	kill(redis.pid, SIGCONT);
	assert_int_equal(r.result, STORE_FAILED);
	for (int i = 0; i < 3000 && store_state(*state) != STORE_READY; i++) {
		store_work(*state);
		usleep(1000);
	}
	assert_int_equal(store_state(*state), STORE_READY);
}

/* Everything has a bound: keys are those of the table, and those that time makes
 * many have a time to live. */
static void only_known_keys(void **state)
{
	struct made m[] = {{.n = 2}, {.indicator = "D-2", .peer = "203.0.113.77"}, {.indicator = "D-2"}};
	struct store_field f = {.name = as_bytes("drops.kernel"), .value = as_bytes("3")};
	flush_as(*state, "a", 0, 3, m, 3);
	store_posture(*state, "a", &f, 1);
	struct result r = {0};
	store_marks(*state, "a", 5, (struct store_marks_done){on_marks, &r});
	wait_for(*state, &r);
	char keys[4096];
	snprintf(keys, sizeof(keys), "%s", ask(&redis, "KEYS *"));
	for (char *k = strtok(keys, " "); k; k = strtok(NULL, " ")) {
		static const char *const lasting[] = {"picket:schema",    "picket:{p0}:alert:",    "picket:{p0}:alerts",
						      "picket:{p0}:open", "picket:{p0}:severity:", "picket:{p0}:hwm",
						      "picket:sensors"};
		static const char *const passing[] = {
		    "picket:{p0}:minute:",        "picket:{p0}:hour:",      "picket:{p0}:day:",
		    "picket:{p0}:top:indicator:", "picket:{p0}:top:asset:", "picket:sensor:"};
		bool known = false;
		char command[160];
		snprintf(command, sizeof(command), "TTL %s", k);
		for (size_t i = 0; i < 7; i++)
			known = known || strncmp(k, lasting[i], strlen(lasting[i])) == 0;
		for (size_t i = 0; i < 6; i++)
			known = known ||
				(strncmp(k, passing[i], strlen(passing[i])) == 0 && atol(ask(&redis, command)) > 0);
		if (!known)
			fail_msg("key %s is not in the table or never ends", k);
	}
	assert_string_equal(ask(&redis, "HGET picket:sensor:a drops.kernel"), "3");
}

/* Open groups that nothing was heard of for retention.open; what is old by the clock of a
 * replayed capture only stays. A batch of the sweep is 250: here are more. */
static void old_groups_are_swept(void **state)
{
	enum { OLD = 300 };
	static struct made m[OLD + 2];
	static char names[OLD][16], keys[OLD][96];
	int64_t now_ms = clock_wall_us() / 1000;
	for (int i = 0; i < OLD; i++) {
		snprintf(names[i], sizeof(names[i]), "O-%d", i);
		m[i] = (struct made){.indicator = names[i], .n = 1, .severity = (enum severity)(i % 4)};
	}
	m[OLD] = (struct made){.indicator = "fresh", .n = 1, .first_us = now_ms * 1000};
	m[OLD + 1] = (struct made){.indicator = "replayed", .n = 1}; /* T0, which is long ago */
	assert_int_equal(flush_as(*state, "a", 0, OLD + 2, m, OLD + 2).result, STORE_OK);
	for (int i = 0; i < OLD; i++) { /* as if they had come 91 days ago */
		char command[200], id[33];
		snprintf(keys[i], sizeof(keys[i]), "%s", key_of(&m[i]));
		snprintf(id, sizeof(id), "%s", keys[i] + strlen("picket:{p0}:alert:"));
		snprintf(command, sizeof(command), "HDEL %.90s updated", keys[i]);
		ask(&redis, command);
		snprintf(command, sizeof(command), "PFADD %.90s:peers x", keys[i]);
		ask(&redis, command);
		snprintf(command, sizeof(command), "ZADD picket:{p0}:open %" PRId64 " %s",
			 now_ms - (int64_t)91 * 86400000 - i, id);
		ask(&redis, command);
	}
	struct store *s = open_store(); /* begins with a sweep */
	for (int i = 0; i < 500 && store_stats(s)->swept < OLD; i++) {
		store_work(s);
		usleep(2000);
	}
	assert_int_equal(store_stats(s)->swept, OLD);
	assert_string_equal(ask(&redis, "ZCARD picket:{p0}:open"), "2");
	assert_string_equal(field(&m[OLD], "n"), "1");
	assert_string_equal(field(&m[OLD + 1], "n"), "1");
	for (int i = 0; i < OLD; i += 37) {
		char command[200];
		snprintf(command, sizeof(command), "EXISTS %.90s %.90s:peers", keys[i], keys[i]);
		assert_string_equal(ask(&redis, command), "0");
	}
	int left = 0;
	static const char *const lists[] = {"low", "medium", "high", "critical"};
	for (int i = 0; i < 4; i++) {
		char command[64];
		snprintf(command, sizeof(command), "ZCARD picket:{p0}:severity:%s", lists[i]);
		left += atoi(ask(&redis, command));
	}
	assert_int_equal(left, 2);
	store_free(s);
}

static void dead_epochs_are_forgotten(void **state)
{
	struct made m = {0};
	for (int i = 100; i < 140; i++) {
		char command[64];
		snprintf(command, sizeof(command), "HSET picket:{p0}:hwm a:%d 9 b:%d 9", i, i);
		ask(&redis, command);
	}
	assert_int_equal(flush_as(*state, "a", 0, 1, &m, 1).result, STORE_OK);
	assert_string_equal(ask(&redis, "HLEN picket:{p0}:hwm"), "48"); /* 7 old and the new one of a, 40 of b */
	assert_string_equal(ask(&redis, "HGET picket:{p0}:hwm a:5"), "1");
}

/* What an exercise raises stands under keys of its own; nothing real counts it. */
static void exercise_apart(void **state)
{
	struct made m[] = {{.n = 2}, {.exercise = "KEEN", .n = 5}, {.indicator = "D-2", .exercise = "KEEN", .n = 7}};
	char command[128];
	int64_t day = clock_wall_us() / 86400000000;
	assert_int_equal(flush_as(*state, "a", 0, 3, m, 3).result, STORE_OK);
	assert_string_equal(field(&m[0], "n"), "2");
	assert_string_equal(field(&m[1], "n"), "5");
	assert_string_equal(field(&m[1], "exercise"), "KEEN");
	assert_string_equal(field(&m[2], "n"), "7");
	assert_string_equal(ask(&redis, "ZCARD picket:{p0}:open"), "1");
	assert_string_equal(ask(&redis, "ZCARD picket:{p0}:exercise:open"), "2");
	assert_string_equal(ask(&redis, "XLEN picket:{p0}:alerts"), "1");
	assert_string_equal(ask(&redis, "XLEN picket:{p0}:exercise:alerts"), "2");
	snprintf(command, sizeof(command), "HGET picket:{p0}:day:%" PRId64 " total", day);
	assert_string_equal(ask(&redis, command), "2");
	snprintf(command, sizeof(command), "HGET picket:{p0}:exercise:day:%" PRId64 " total", day);
	assert_string_equal(ask(&redis, command), "12");
	assert_string_equal(ask(&redis, "HGET picket:{p0}:hwm a:5"), "3");
	assert_string_equal(ask(&redis, "EXISTS picket:{p0}:exercise:hwm"), "0");
}

/* ---- flushes of several calls, broken anywhere ---- */

#define CHAIN_GROUPS  900
#define CHAIN_RECORDS 4000

struct chain {
	struct store *store;
	struct marks marks;
	bool read, uneven;
	struct made made[CHAIN_RECORDS];
	char names[CHAIN_GROUPS][16];
	uint64_t truth[CHAIN_GROUPS];
};

static void on_chain_marks(void *arg, enum store_result result, const struct marks *marks)
{
	struct chain *c = arg;
	c->read = true;
	if (result != STORE_OK)
		return;
	c->marks = *marks;
	for (unsigned i = 0; i < LANES; i++)
		c->uneven = c->uneven || marks->lane[i] != marks->lane[0];
}

static void read_marks(struct chain *c)
{
	for (int i = 0; i < 2000 && store_state(c->store) != STORE_READY; i++) {
		store_work(c->store);
		usleep(1000);
	}
	c->read = false;
	store_marks(c->store, "a", 5, (struct store_marks_done){on_chain_marks, c});
	for (int i = 0; i < 2000 && !c->read; i++) {
		store_work(c->store);
		usleep(200);
	}
	assert_true(c->read);
}

/* One session: from the marks on, some flushes, perhaps a broken connection in
 * the middle of their calls. */
static void chain_session(struct chain *c, bool last)
{
	struct fold f;
	struct result r[3] = {0};
	struct marks marks = c->marks;
	uint64_t at = marks_lowest(&marks);
	fold_init(&f, &hash, HOUR, (size_t)(300 + rand() % 700));
	f.marks = &marks;
	for (int k = 0; k < 3 && at < CHAIN_RECORDS; k++) {
		uint64_t until = at + (uint64_t)(1 + rand() % 1500);
		for (; at < CHAIN_RECORDS && at < until; at++) {
			struct addr peer;
			struct record rec = made_record(&c->made[at], &peer);
			if (fold_add(&f, &rec, at + 1, clock_wall_us()) == FOLD_FULL)
				break;
		}
		store_flush(c->store, &(struct store_flush){"a", 5, at, &marks, &f},
			    (struct store_done){on_done, &r[k]});
		marks_raise(&marks, 0, LANES, at);
		fold_reset(&f);
		store_work(c->store);
		if (!last && rand() % 2)
			ask(&redis, "CLIENT KILL TYPE normal SKIPME yes");
		if (rand() % 2)
			wait_for(c->store, &r[k]);
	}
	for (int i = 0; i < 200; i++) {
		store_work(c->store);
		usleep(200);
	}
	store_free(c->store); /* what still waits is told so, into r */
	fold_free(&f);
}

/* Every third group is one of an exercise. */
static const char *exercise_of(int group)
{
	return group % 3 ? NULL : "KEEN";
}

static void broken_chains_count_once(void **state)
{
	unsigned seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : (unsigned)getpid();
	struct chain *c = calloc(1, sizeof(*c));
	(void)state;
	printf("seed %u\n", seed);
	srand(seed);
	for (int i = 0; i < CHAIN_GROUPS; i++)
		snprintf(c->names[i], sizeof(c->names[i]), "G-%d", i);
	for (int i = 0; i < CHAIN_RECORDS; i++) {
		int g = rand() % CHAIN_GROUPS;
		c->made[i] = (struct made){
		    .indicator = c->names[g], .n = (uint32_t)(1 + rand() % 3), .exercise = exercise_of(g)};
		c->truth[g] += c->made[i].n;
	}
	int sessions = 0;
	for (; marks_lowest(&c->marks) < CHAIN_RECORDS; sessions++) {
		c->store = open_store();
		read_marks(c);
		chain_session(c, sessions > 60);
		assert_true(sessions < 100);
	}
	printf("%d sessions%s\n", sessions, c->uneven ? ", marks were uneven between them" : "");
	for (int i = 0; i < CHAIN_GROUPS; i++) {
		struct made m = {.indicator = c->names[i], .exercise = exercise_of(i)};
		if (c->truth[i] && c->truth[i] != strtoull(field(&m, "n"), NULL, 10))
			fail_msg("%s: %s, truth %llu", c->names[i], field(&m, "n"), (unsigned long long)c->truth[i]);
	}
	assert_string_equal(ask(&redis, "HEXISTS picket:{p0}:hwm a:5:part"), "0");
	free(c);
}

/* The same for every length of the chain: whoever takes over after k calls. */
static void every_prefix_of_a_chain(void **state)
{
	struct store *s = *state;
	struct made m[600];
	char names[600][16];
	for (int i = 0; i < 600; i++) {
		snprintf(names[i], sizeof(names[i]), "G-%d", i);
		m[i] = (struct made){.indicator = names[i], .n = 2};
	}
	for (unsigned cut = 0; cut < LANES; cut += 7) {
		char command[128 + MARKS_TEXT_LEN], text[MARKS_TEXT_LEN];
		struct fold f;
		struct marks marks;
		struct result r = {0};
		ask(&redis, "FLUSHDB");
		marks_set(&marks, 0);
		marks_raise(&marks, 0, cut, 600); /* as if lanes below cut had been written */
		marks_write(&marks, 0, LANES, text);
		snprintf(command, sizeof(command), "HSET picket:{p0}:hwm a:5 0 a:5:part %s", text);
		if (cut)
			ask(&redis, command);
		fold_init(&f, &hash, HOUR, 0);
		f.marks = &marks;
		size_t above = 0;
		for (size_t i = 0; i < 600; i++) {
			struct addr peer;
			struct record rec = made_record(&m[i], &peer);
			above += lane_of(rec.key, false) >= cut;
			fold_add(&f, &rec, i + 1, clock_wall_us());
		}
		assert_int_equal(f.n, above);
		store_flush(s, &(struct store_flush){"a", 5, 600, &marks, &f}, (struct store_done){on_done, &r});
		wait_for(s, &r);
		assert_int_equal(r.result, STORE_OK);
		assert_string_equal(ask(&redis, "HGET picket:{p0}:hwm a:5"), "600");
		assert_string_equal(ask(&redis, "HEXISTS picket:{p0}:hwm a:5:part"), "0");
		assert_int_equal(atoi(ask(&redis, "ZCARD picket:{p0}:open")), above);
		fold_free(&f);
	}
}

/* Whoever takes over a flush that was broken off before exercises had lanes. */
static void narrow_marks_are_continued(void **state)
{
	struct chain *c = calloc(1, sizeof(*c));
	struct made m[600];
	struct fold f;
	struct result r = {0};
	char names[600][16];
	size_t above = 0;
	c->store = *state;
	ask(&redis, "HSET picket:{p0}:hwm a:5 0 a:5:part 600x20,0x44");
	read_marks(c);
	assert_int_equal(marks_lowest(&c->marks), 0);
	fold_init(&f, &hash, HOUR, 0);
	f.marks = &c->marks;
	for (int i = 0; i < 600; i++) {
		struct addr peer;
		snprintf(names[i], sizeof(names[i]), "G-%d", i);
		m[i] = (struct made){.indicator = names[i], .n = 2};
		struct record rec = made_record(&m[i], &peer);
		above += rec.key[15] % 64 >= 20;
		fold_add(&f, &rec, (uint64_t)i + 1, clock_wall_us());
	}
	assert_int_equal(f.n, above);
	store_flush(c->store, &(struct store_flush){"a", 5, 600, &c->marks, &f}, (struct store_done){on_done, &r});
	wait_for(c->store, &r);
	assert_int_equal(r.result, STORE_OK);
	assert_string_equal(ask(&redis, "HGET picket:{p0}:hwm a:5"), "600");
	assert_string_equal(ask(&redis, "HEXISTS picket:{p0}:hwm a:5:part"), "0");
	assert_int_equal(atoi(ask(&redis, "ZCARD picket:{p0}:open")), above);
	fold_free(&f);
	free(c);
}

/* Marks that nobody can read are told of, by name, and nothing is written. */
static void strange_marks_are_refused(void **state)
{
	struct result r = {.result = STORE_OK};
	ask(&redis, "HSET picket:{p0}:hwm a:5 0 a:5:part 600x20,0x45");
	store_marks(*state, "a", 5, (struct store_marks_done){on_marks, &r});
	wait_for(*state, &r);
	assert_int_equal(r.result, STORE_FAILED);
	assert_int_equal(store_state(*state), STORE_READY);
}

int main(void)
{
	hash_key_random(&hash);
	if (!test_redis_start(&redis))
		printf("no redis-server: the store's tests are skipped\n");
#define T(f) cmocka_unit_test_setup_teardown(f, fresh, done)
	const struct CMUnitTest tests[] = {T(counts_and_fields),
					   T(compare_and_set),
					   T(escalations),
					   T(plain_and_full_shapes_are_the_same),
					   T(unusual_deltas_are_full),
					   T(calls_are_cut_by_their_time),
					   T(the_time_of_a_call_is_told),
					   T(folding_equals_one_by_one),
					   T(states),
					   T(losses),
					   T(wrong_types),
					   T(out_of_memory),
					   T(evicting_policy_is_refused),
					   T(foreign_keys_are_named),
					   T(scripts_are_loaded_again),
					   T(frozen_redis),
					   T(only_known_keys),
					   T(exercise_apart),
					   T(dead_epochs_are_forgotten),
					   T(old_groups_are_swept),
					   T(every_prefix_of_a_chain),
					   T(narrow_marks_are_continued),
					   T(strange_marks_are_refused),
					   T(broken_chains_count_once)};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	test_redis_stop(&redis);
	return failed;
}
