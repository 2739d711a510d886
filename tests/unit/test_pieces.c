/* Pieces against a slow model: one flag per byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "sensor/pieces.h"

#define MAX 5000u

struct model {
	bool there[MAX];
	uint8_t value[MAX];
};

static uint32_t model_runs(const struct model *m)
{
	uint32_t runs = 0;
	for (uint32_t i = 0; i < MAX; i++)
		runs += m->there[i] && (i == 0 || !m->there[i - 1]);
	return runs;
}

static uint32_t model_ready(const struct model *m)
{
	uint32_t n = 0;
	while (n < MAX && m->there[n])
		n++;
	return n;
}

static void model_add(struct model *m, uint32_t offset, const uint8_t *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!m->there[offset + i])
			m->value[offset + i] = p[i];
		m->there[offset + i] = true;
	}
}

static void same_as_the_model(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	(void)state;
	printf("seed %u\n", seed);
	srand(seed);
	for (int round = 0; round < 200; round++) {
		struct mem mem;
		struct pieces s = {0};
		struct model model = {0};
		mem_init(&mem, 1 << 20);
		for (int i = 0; i < 120; i++) {
			uint8_t bytes[300];
			uint32_t n = (uint32_t)rand() % sizeof(bytes), offset = (uint32_t)rand() % (MAX - n);
			struct model after = model;
			for (uint32_t k = 0; k < n; k++)
				bytes[k] = (uint8_t)rand();
			model_add(&after, offset, bytes, n);
			bool taken = pieces_add(&mem, &s, offset, (struct bytes){bytes, n}, MAX);
			assert_int_equal(taken, model_runs(&after) <= PIECES_HOLES_MAX);
			if (taken)
				model = after;
			assert_int_equal(s.runs, model_runs(&model));
			assert_int_equal(pieces_ready(&s), model_ready(&model));
			for (uint32_t k = 0; k < MAX; k++)
				if (model.there[k])
					assert_int_equal(s.p[k], model.value[k]);
		}
		pieces_free(&mem, &s);
		mem_close(&mem);
	}
}

static void limits_hold(void **state)
{
	struct mem mem;
	struct pieces s = {0};
	(void)state;
	mem_init(&mem, 4096);
	assert_false(pieces_add(&mem, &s, 90, (struct bytes){(const uint8_t *)"0123456789a", 11}, 100));
	assert_false(pieces_add(&mem, &s, UINT64_MAX, (struct bytes){(const uint8_t *)"0", 1}, 100));
	assert_true(pieces_add(&mem, &s, 90, (struct bytes){(const uint8_t *)"0123456789", 10}, 100));
	assert_false(pieces_add(&mem, &s, 9000, (struct bytes){(const uint8_t *)"0", 1}, 10000)); /* memory */
	for (uint32_t i = 1; i < PIECES_HOLES_MAX; i++)
		assert_true(pieces_add(&mem, &s, i * 3, (struct bytes){(const uint8_t *)"0", 1}, 100));
	assert_false(pieces_add(&mem, &s, 80, (struct bytes){(const uint8_t *)"0", 1}, 100));
	assert_true(pieces_add(&mem, &s, 4, (struct bytes){(const uint8_t *)"0", 1}, 100)); /* grows a run */
	assert_int_equal(pieces_ready(&s), 0);
	pieces_free(&mem, &s);
	mem_close(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_the_model), cmocka_unit_test(limits_hold)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
