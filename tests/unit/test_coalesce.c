/* Folding against a model: exact counts per group whatever the storm, the first
 * at once, one record per group and second, nobody starved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "rules/alert.h"
#include "sensor/coalesce.h"

#define GROUPS 5000
#define SECOND 1000000LL

/* What came out, per group. */
struct sink {
	uint64_t n[GROUPS], records[GROUPS];
	int64_t first_us[GROUPS], last_us[GROUPS];
	size_t peers_most;
	uint64_t strange, total;
	enum severity severity_most;
};

static void take(void *owner, const void *record, size_t n)
{
	struct sink *s = owner;
	struct record r;
	uint32_t g;
	s->total++;
	if (!record_read(record, n, &r) || r.kind != RECORD_ALERT) {
		s->strange++;
		return;
	}
	memcpy(&g, r.key, sizeof(g));
	assert_true(g < GROUPS);
	s->n[g] += r.n;
	s->records[g]++;
	if (!s->first_us[g] || r.first_us < s->first_us[g])
		s->first_us[g] = r.first_us;
	if (r.last_us > s->last_us[g])
		s->last_us[g] = r.last_us;
	if (r.peers > s->peers_most)
		s->peers_most = r.peers;
	if (r.severity > s->severity_most)
		s->severity_most = r.severity;
}

static void alert(struct coalesce *c, uint32_t group, const char *indicator, uint32_t n, uint32_t peer,
		  int64_t event_us, int64_t now_us)
{
	struct buf b = {0};
	uint8_t addr[16] = {0};
	memcpy(addr + 12, &peer, 4);
	struct record r = {.kind = RECORD_ALERT, .n = n, .first_us = event_us, .last_us = event_us, .peers = 1};
	r.severity = peer % 50 == 7 ? SEVERITY_CRITICAL : SEVERITY_LOW;
	memcpy(r.key, &group, sizeof(group));
	r.field[FIELD_INDICATOR] = (struct bytes){(const uint8_t *)indicator, strlen(indicator)};
	r.field[FIELD_JSON] = (struct bytes){(const uint8_t *)"{\"a\":1}", 7};
	r.peer[0] = r.field[FIELD_PEER] = (struct bytes){addr, 16};
	record_write(&b, &r);
	coalesce_add(c, b.p, b.n, now_us);
	buf_free(&b);
}

static void test_first_at_once_then_once_a_second(void **state)
{
	(void)state;
	struct sink *s = calloc(1, sizeof(*s));
	struct coalesce *c = coalesce_new(64, take, s);
	assert_int_equal(coalesce_tick(c, 0), INT64_MAX);
	int64_t now = SECOND;
	for (int i = 0; i < 100000; i++, now += 50) { /* five seconds */
		alert(c, 1, "i", 1, (uint32_t)i, 7 + i, now);
		if (i == 0)
			assert_int_equal(s->total, 1);
		assert_true(coalesce_tick(c, now) <= now + SECOND);
	}
	assert_in_range(s->total, 5, 6);
	coalesce_flush(c);
	assert_int_equal(s->n[1], 100000);
	assert_int_equal(s->first_us[1], 7);
	assert_int_equal(s->last_us[1], 7 + 99999);
	assert_int_equal(s->peers_most, RECORD_PEERS_MAX);
	assert_int_equal(s->severity_most, SEVERITY_CRITICAL);
	assert_int_equal(coalesce_folded(c), 99999);
	assert_int_equal(coalesce_tick(c, now), INT64_MAX);
	uint64_t before = s->total;
	alert(c, 1, "i", 1, 1, 1, now); /* silence in between: at once again */
	assert_int_equal(s->total, before + 1);
	coalesce_free(c);
	free(s);
}

static void test_what_is_no_alert_passes(void **state)
{
	(void)state;
	struct sink *s = calloc(1, sizeof(*s));
	struct coalesce *c = coalesce_new(4, take, s);
	struct buf b = {0};
	struct record loss = {.kind = RECORD_LOSS, .n = 3};
	record_write(&b, &loss);
	coalesce_add(c, b.p, b.n, 1);
	coalesce_add(c, b.p, b.n, 1);
	coalesce_add(c, "rubbish", 7, 1);
	assert_int_equal(s->strange, 3);
	buf_free(&b);
	coalesce_free(c);
	free(s);
}

/* One indicator floods with ever new groups; every count is exact. Returns how many
 * records the other one's group became: 2 when it stayed folded. */
static unsigned storm(void)
{
	struct sink *s = calloc(1, sizeof(*s));
	struct coalesce *c = coalesce_new(256, take, s);
	uint64_t flood = 0;
	for (uint32_t i = 0; i < 20000; i++) {
		alert(c, 10 + i % 4000, "flood", 1, i, i, SECOND + i);
		alert(c, 3, "needle", 1, i, i, SECOND + i);
	}
	coalesce_flush(c);
	assert_int_equal(s->n[3], 20000);
	for (int i = 10; i < 4010; i++)
		flood += s->n[i];
	assert_int_equal(flood, 20000);
	unsigned records = (unsigned)s->records[3];
	coalesce_free(c);
	free(s);
	return records;
}

/* Two indicators share one of 256 lanes by chance, another chance with every key. */
static void test_a_storm_does_not_unfold_others(void **state)
{
	unsigned folded = 0;
	(void)state;
	for (int i = 0; i < 4; i++)
		folded += storm() == 2;
	assert_true(folded >= 1);
}

static void test_random_storms_count_exactly(void **state)
{
	(void)state;
	unsigned seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : (unsigned)time(NULL);
	printf("SEED=%u\n", seed);
	srand(seed);
	struct sink *s = malloc(sizeof(*s));
	uint64_t *truth = malloc(GROUPS * sizeof(*truth));
	for (int run = 0; run < 30; run++) {
		memset(s, 0, sizeof(*s));
		memset(truth, 0, GROUPS * sizeof(*truth));
		struct coalesce *c = coalesce_new((size_t)(1 + rand() % 300), take, s);
		int64_t now = 1;
		int range = 1 + rand() % (GROUPS - 1);
		for (int i = 0; i < 5000; i++) {
			char indicator[16];
			uint32_t g = (uint32_t)(rand() % range), n = rand() % 50 ? 1 : 4000000000u;
			snprintf(indicator, sizeof(indicator), "i%u", g % 11);
			alert(c, g, indicator, n, (uint32_t)rand(), 1 + rand() % 1000, now);
			truth[g] += n;
			now += rand() % 2000;
			if (rand() % 100 == 0) {
				int64_t next = coalesce_tick(c, now);
				assert_true(next > now);
			}
		}
		coalesce_flush(c);
		assert_memory_equal(s->n, truth, GROUPS * sizeof(*truth));
		coalesce_free(c);
	}
	free(truth);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_first_at_once_then_once_a_second),
	    cmocka_unit_test(test_what_is_no_alert_passes),
	    cmocka_unit_test(test_a_storm_does_not_unfold_others),
	    cmocka_unit_test(test_random_storms_count_exactly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
