/* Folding against a slow, obvious model, its limits, and records that lie. */
#include "tests/unit/collector_help.h"

#include "collector/fold.h"

#define HOUR (3600 * SEC)
#define NOW  (T0 + 1000 * HOUR)

static struct hash_key hash;

static enum fold_result add(struct fold *f, const struct made *m, int64_t now)
{
	struct addr peer;
	struct record r = made_record(m, &peer);
	return fold_add(f, &r, 1, now);
}

static void sums_and_extremes(void **state)
{
	struct fold f;
	(void)state;
	fold_init(&f, &hash, HOUR, 0);
	add(&f, &(struct made){.n = 2, .first_us = T0, .last_us = T0 + SEC, .json = "{\"a\":1}"}, NOW);
	add(&f, &(struct made){.n = 3, .first_us = T0 - SEC, .severity = SEVERITY_HIGH, .json = "{\"late\":1}"}, NOW);
	add(&f, &(struct made){.n = 1, .first_us = T0 + 9 * SEC, .peer = "203.0.113.8", .json = "{\"last event\":1}"},
	    NOW);
	assert_int_equal(f.n, 1);
	const struct delta *d = &f.delta[0];
	assert_int_equal(d->n, 6);
	assert_true(d->first_us == T0 - SEC && d->last_us == T0 + 9 * SEC && d->opened_us == T0);
	assert_int_equal(d->severity, SEVERITY_HIGH);
	struct bytes first = fold_bytes(&f, d->field[FIELD_JSON]);
	assert_memory_equal(first.p, "{\"a\":1}", first.n);
	assert_int_equal(f.peers, 2);
	fold_reset(&f);
	assert_int_equal(f.n + f.peers, 0);
	assert_int_equal(add(&f, &(struct made){.n = 1}, NOW), FOLD_ADDED);
	assert_int_equal(f.delta[0].n, 1);
	fold_free(&f);
}

static void a_gap_begins_another_delta(void **state)
{
	static const struct {
		const char *label;
		int64_t at[4];
		size_t deltas;
	} cases[] = {{"close together", {0, HOUR, 2 * HOUR, 3 * HOUR}, 1},
		     {"a gap", {0, HOUR, 2 * HOUR + 1, 2 * HOUR + 2}, 2},
		     {"late is no gap", {10 * HOUR, 0, 5 * HOUR, 11 * HOUR}, 1},
		     {"every one", {0, 2 * HOUR, 4 * HOUR, 6 * HOUR}, 4}};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct fold f;
		fold_init(&f, &hash, HOUR, 0);
		for (size_t k = 0; k < 4; k++)
			add(&f, &(struct made){.first_us = T0 + cases[i].at[k]}, NOW);
		if (f.n != cases[i].deltas)
			fail_msg("%s: %zu deltas", cases[i].label, f.n);
		fold_free(&f);
	}
}

static void the_future_is_clamped(void **state)
{
	struct fold f;
	(void)state;
	fold_init(&f, &hash, HOUR, 0);
	add(&f, &(struct made){.first_us = T0 + SEC / 2}, T0);
	assert_true(f.delta[0].last_us == T0 && f.delta[0].skew_us == 0);
	add(&f, &(struct made){.first_us = T0 + 5 * SEC, .last_us = T0 + 7 * SEC}, T0);
	assert_true(f.delta[0].last_us == T0 && f.delta[0].skew_us == 7 * SEC);
	add(&f, &(struct made){.first_us = INT64_MAX, .last_us = INT64_MAX}, T0);
	assert_true(f.delta[0].last_us == T0 && f.delta[0].n == 3 && f.n == 1);
	fold_free(&f);
}

/* Whatever key a record claims, it is folded by its fields. */
static void a_lie_moves_nothing(void **state)
{
	struct fold f;
	struct addr peer;
	struct made honest = {.indicator = "D-1"}, other = {.indicator = "D-2"};
	struct record a = made_record(&honest, &peer), b = made_record(&other, &peer);
	uint8_t key[16];
	(void)state;
	fold_init(&f, &hash, HOUR, 0);
	fold_add(&f, &a, 1, NOW);
	memcpy(key, b.key, 16);
	memcpy(b.key, a.key, 16); /* "I am D-1" */
	fold_add(&f, &b, 1, NOW);
	assert_int_equal(f.lies, 1);
	assert_int_equal(f.n, 2);
	assert_int_equal(f.delta[0].n, 1);
	assert_memory_equal(f.delta[1].key, key, 16);
	memset(b.key, 0x55, 16);
	fold_add(&f, &b, 1, NOW);
	assert_int_equal(f.n, 2);
	assert_int_equal(f.delta[1].n, 2);
	fold_free(&f);
}

static void full_and_again(void **state)
{
	struct fold f;
	char name[32];
	(void)state;
	fold_init(&f, &hash, HOUR, 250);
	for (int i = 0; i < 250; i++) {
		snprintf(name, sizeof(name), "D-%d", i);
		assert_int_equal(add(&f, &(struct made){.indicator = name}, NOW), FOLD_ADDED);
	}
	assert_int_equal(add(&f, &(struct made){.indicator = "one more"}, NOW), FOLD_FULL);
	assert_int_equal(add(&f, &(struct made){.indicator = "D-7"}, NOW), FOLD_ADDED);
	assert_int_equal(fold_add_unreadable(&f, 1, NOW), FOLD_FULL);
	fold_reset(&f);
	assert_int_equal(add(&f, &(struct made){.indicator = "one more"}, NOW), FOLD_ADDED);
	fold_free(&f);
}

/* A script call takes whole lanes: none may hold more than a call does. */
static void lanes_are_bounded(void **state)
{
	struct fold f;
	char name[32];
	size_t n = 0;
	(void)state;
	fold_init(&f, &hash, HOUR, 0);
	for (int i = 0; i < 5 * FOLD_DELTAS_MAX; i++) {
		snprintf(name, sizeof(name), "D-%d", i);
		n += add(&f, &(struct made){.indicator = name}, NOW) == FOLD_ADDED;
	}
	assert_int_equal(n, f.n);
	assert_true(n <= FOLD_DELTAS_MAX && n > FOLD_DELTAS_MAX / 2);
	for (size_t i = 0; i < LANES; i++) {
		size_t count = 0;
		for (size_t k = 0; k < f.n; k++)
			count += f.delta[k].lane == i;
		assert_int_equal(count, f.lane_n[i]);
		assert_true(count <= FOLD_LANE_MAX);
	}
	fold_free(&f);
}

/* Records that their lane's mark covers are skipped; others of the same number
 * are not. */
static void marks_skip(void **state)
{
	struct fold f;
	struct marks marks;
	struct addr peer;
	struct made m = {.n = 3};
	struct record r = made_record(&m, &peer);
	(void)state;
	fold_init(&f, &hash, HOUR, 0);
	marks_set(&marks, 5);
	marks.lane[lane_of(r.key, false)] = 9;
	f.marks = &marks;
	assert_int_equal(fold_add(&f, &r, 9, NOW), FOLD_KNOWN);
	assert_int_equal(fold_add(&f, &r, 10, NOW), FOLD_ADDED);
	marks_set(&marks, 9);
	marks.lane[lane_of(r.key, false)] = 5;
	assert_int_equal(fold_add(&f, &r, 9, NOW), FOLD_ADDED);
	assert_int_equal(fold_add_unreadable(&f, 9, NOW), FOLD_KNOWN);
	assert_int_equal(f.delta[0].n, 6);
	fold_free(&f);
}

/* Groups of an exercise are others than the real ones, and have lanes of their own. */
static void exercises_apart(void **state)
{
	struct fold f;
	(void)state;
	fold_init(&f, &hash, HOUR, 0);
	add(&f, &(struct made){0}, NOW);
	add(&f, &(struct made){.exercise = "KEEN"}, NOW);
	add(&f, &(struct made){.exercise = "EDGE"}, NOW);
	add(&f, &(struct made){.exercise = "KEEN"}, NOW);
	assert_int_equal(f.n, 3);
	assert_int_equal(f.delta[1].n, 2);
	for (size_t i = 0; i < f.n; i++)
		assert_int_equal(lane_is_exercise(f.delta[i].lane), i > 0);
	assert_int_equal(f.lies, 0);
	fold_free(&f);
}

/* Every partition, whatever the number of them, has as many lanes of both kinds. */
static void lanes_of_both_kinds(void **state)
{
	(void)state;
	for (unsigned parts = 1; parts <= 16; parts *= 2)
		for (unsigned p = 0, each = LANES / parts; p < parts; p++) {
			unsigned exercise = 0;
			for (unsigned i = p * each; i < (p + 1) * each; i++)
				exercise += lane_is_exercise(i);
			assert_int_equal(exercise, each / 2);
		}
	for (unsigned k = 0; k < 256; k++) {
		uint8_t key[16] = {[15] = (uint8_t)k};
		assert_true(lane_of(key, false) < LANES && !lane_is_exercise(lane_of(key, false)));
		assert_true(lane_of(key, true) < LANES && lane_is_exercise(lane_of(key, true)));
		assert_int_equal(lane_of(key, true) / (2 * LANE_RUN), lane_of(key, false) / (2 * LANE_RUN));
	}
}

static void marks_as_text(void **state)
{
	static const char *const bad[] = {"",          "x",      "1x128,", "1x127",    "1x129",  "1x1,2x128",
					  "-1",        "1x0,2x", "1 x128", "1,2x128",  "1x128 ", "99999999999999999",
					  "1x64,2x63", "1x63",   "2x32",   "1x32,2x31"};
	char text[MARKS_TEXT_LEN], again[MARKS_TEXT_LEN];
	struct marks m, back;
	unsigned seed = (unsigned)getpid();
	(void)state;
	printf("seed %u\n", seed);
	srand(seed);
	for (int i = 0; i < 300; i++) {
		unsigned lanes = 1u << rand() % 8, first = LANES - lanes;
		marks_set(&m, (uint64_t)rand());
		marks_set(&back, 0);
		for (int k = rand() % 4; k; k--)
			marks_raise(&m, first + (unsigned)rand() % lanes, (unsigned)rand() % LANES,
				    1ull << rand() % 53);
		marks_write(&m, first, lanes, text);
		assert_true(marks_read(as_bytes(text), &back, first, lanes));
		assert_memory_equal(&back.lane[first], &m.lane[first], lanes * sizeof(uint64_t));
		marks_write(&back, first, lanes, again);
		assert_string_equal(text, again);
		for (size_t n = 0; n < strlen(text); n++) /* cut: no crash */
			marks_read((struct bytes){(const uint8_t *)text, n}, &back, first, lanes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (marks_read(as_bytes(bad[i]), &back, 0, LANES))
			fail_msg("\"%s\" was taken", bad[i]);
}

/* Marks of half as many lanes: the real ones, and they go back as they came. */
static void narrow_marks(void **state)
{
	char text[MARKS_TEXT_LEN];
	struct marks m;
	(void)state;
	marks_set(&m, 0);
	assert_true(marks_read(as_bytes("9x5,7x59"), &m, 0, LANES));
	for (int k = 0; k < 64; k++) {
		uint8_t key[16] = {[15] = (uint8_t)k};
		assert_int_equal(m.lane[lane_of(key, false)], k < 5 ? 9 : 7);
		assert_int_equal(m.lane[lane_of(key, true)], 7);
	}
	marks_write(&m, 0, LANES, text);
	assert_string_equal(text, "9x5,7x59");
	marks_raise(&m, 0, 3, 12);
	marks_write(&m, 0, LANES, text);
	assert_string_equal(text, "12x3,9x1,7x4,9x1,7x119");

	/* a partition of a cluster: the others stay wide */
	marks_set(&m, 4);
	assert_true(marks_read(as_bytes("6x1,5x3"), &m, 24, 8));
	marks_write(&m, 24, 8, text);
	assert_string_equal(text, "6x1,5x3");
	marks_write(&m, 16, 8, text);
	assert_string_equal(text, "4");
	marks_raise(&m, 16, 8, 9);
	marks_write(&m, 24, 8, text);
	assert_string_equal(text, "6x1,5x3");
	marks_raise(&m, 24, 1, 9);
	marks_write(&m, 24, 8, text);
	assert_string_equal(text, "9x1,5x7");
}

static void bytes_and_peers_are_bounded(void **state)
{
	struct fold f;
	char *json = malloc(60001), name[32], far[32];
	(void)state;
	memset(json, 'x', 60000);
	json[60000] = 0;
	fold_init(&f, &hash, HOUR, 0);
	int added = 0;
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "D-%d", i);
		added += add(&f, &(struct made){.indicator = name, .json = json}, NOW) == FOLD_ADDED;
	}
	assert_true(added > 50 && added < 80 && f.arena.n <= FOLD_BYTES_MAX + 70000);
	fold_reset(&f);
	added = 0;
	for (int i = 0; i < FOLD_PEERS_MAX + 900; i++) {
		snprintf(far, sizeof(far), "198.51.%d.%d", i / 250, i % 250);
		added += add(&f, &(struct made){.peer = far, .json = "{}"}, NOW) == FOLD_ADDED;
	}
	assert_int_equal(added, FOLD_PEERS_MAX);
	free(json);
	fold_free(&f);
}

/* The model: one record after the other, an array, no hashing. */
static void equals_the_model(void **state)
{
	struct {
		uint64_t n;
		int64_t first, last;
	} model[20] = {0};
	unsigned seed = (unsigned)getpid();
	struct fold f;
	(void)state;
	printf("seed %u\n", seed);
	srand(seed);
	fold_init(&f, &hash, INT64_MAX / 4, 0);
	for (int i = 0; i < 20000; i++) {
		int k = rand() % 20;
		char name[8];
		snprintf(name, sizeof(name), "%d", k);
		struct made m = {.indicator = name, .n = (uint32_t)(1 + rand() % 9), .first_us = T0 + rand() % 100000};
		m.last_us = m.first_us + rand() % 1000;
		assert_int_equal(add(&f, &m, NOW), FOLD_ADDED);
		if (!model[k].n || m.first_us < model[k].first)
			model[k].first = m.first_us;
		if (m.last_us > model[k].last)
			model[k].last = m.last_us;
		model[k].n += m.n;
	}
	assert_int_equal(f.n, 20);
	for (size_t i = 0; i < f.n; i++) {
		struct bytes name = fold_bytes(&f, f.delta[i].field[FIELD_INDICATOR]);
		int k = name.n == 2 ? (name.p[0] - '0') * 10 + name.p[1] - '0' : name.p[0] - '0';
		assert_true(f.delta[i].n == model[k].n && f.delta[i].first_us == model[k].first &&
			    f.delta[i].last_us == model[k].last);
	}
	fold_free(&f);
}

int main(void)
{
	hash_key_random(&hash);
	const struct CMUnitTest tests[] = {cmocka_unit_test(sums_and_extremes),
					   cmocka_unit_test(a_gap_begins_another_delta),
					   cmocka_unit_test(the_future_is_clamped),
					   cmocka_unit_test(a_lie_moves_nothing),
					   cmocka_unit_test(full_and_again),
					   cmocka_unit_test(bytes_and_peers_are_bounded),
					   cmocka_unit_test(equals_the_model),
					   cmocka_unit_test(lanes_are_bounded),
					   cmocka_unit_test(marks_skip),
					   cmocka_unit_test(exercises_apart),
					   cmocka_unit_test(lanes_of_both_kinds),
					   cmocka_unit_test(marks_as_text),
					   cmocka_unit_test(narrow_marks)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
