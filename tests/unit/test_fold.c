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
	return fold_add(f, &r, now);
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
	struct bytes first = fold_bytes(&f, d->field[FIELD_JSON]), last = fold_bytes(&f, d->last_json);
	assert_memory_equal(first.p, "{\"a\":1}", first.n);
	assert_int_equal(last.n, strlen("{\"last event\":1}"));
	assert_memory_equal(last.p, "{\"last event\":1}", last.n);
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
	fold_add(&f, &a, NOW);
	memcpy(key, b.key, 16);
	memcpy(b.key, a.key, 16); /* "I am D-1" */
	fold_add(&f, &b, NOW);
	assert_int_equal(f.lies, 1);
	assert_int_equal(f.n, 2);
	assert_int_equal(f.delta[0].n, 1);
	assert_memory_equal(f.delta[1].key, key, 16);
	memset(b.key, 0x55, 16);
	fold_add(&f, &b, NOW);
	assert_int_equal(f.n, 2);
	assert_int_equal(f.delta[1].n, 2);
	fold_free(&f);
}

static void full_and_again(void **state)
{
	struct fold f;
	char name[32];
	(void)state;
	fold_init(&f, &hash, HOUR, 0);
	for (int i = 0; i < FOLD_DELTAS_MAX; i++) {
		snprintf(name, sizeof(name), "D-%d", i);
		assert_int_equal(add(&f, &(struct made){.indicator = name}, NOW), FOLD_ADDED);
	}
	assert_int_equal(add(&f, &(struct made){.indicator = "one more"}, NOW), FOLD_FULL);
	assert_int_equal(add(&f, &(struct made){.indicator = "D-7"}, NOW), FOLD_ADDED);
	assert_int_equal(fold_add_unreadable(&f, NOW), FOLD_FULL);
	fold_reset(&f);
	assert_int_equal(add(&f, &(struct made){.indicator = "one more"}, NOW), FOLD_ADDED);
	fold_free(&f);
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
	assert_true(added > 20 && added < 40 && f.arena.n <= FOLD_BYTES_MAX + 70000);
	fold_reset(&f);
	added = 0;
	for (int i = 0; i < 5000; i++) {
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
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sums_and_extremes),     cmocka_unit_test(a_gap_begins_another_delta),
	    cmocka_unit_test(the_future_is_clamped), cmocka_unit_test(a_lie_moves_nothing),
	    cmocka_unit_test(full_and_again),        cmocka_unit_test(bytes_and_peers_are_bounded),
	    cmocka_unit_test(equals_the_model)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
