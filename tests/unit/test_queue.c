/* The ring against what went in: order, bounds, wrap, two threads, sleeping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>

#include "sensor/queue.h"

static void test_order_and_full(void **state)
{
	(void)state;
	struct waker w;
	struct bytes b;
	assert_true(waker_open(&w, NULL));
	struct queue *q = queue_new(1024, &w);
	assert_false(queue_peek(q, &b));
	uint8_t record[256] = {0};
	assert_false(queue_push(q, record, 257));
	uint32_t in = 0, out = 0;
	for (int round = 0; round < 1000; round++) {
		size_t n = 4 + (size_t)(round * 37 % 250);
		memcpy(record, &in, 4);
		while (queue_push(q, record, n)) {
			in++;
			memcpy(record, &in, 4);
		}
		assert_true(in > out);
		while (queue_peek(q, &b)) {
			uint32_t got;
			memcpy(&got, b.p, 4);
			assert_int_equal(got, out++);
			queue_drop(q);
		}
	}
	assert_int_equal(in, out);
	queue_free(q);
	waker_close(&w);
}

static void test_empty_records_count(void **state)
{
	(void)state;
	struct waker w;
	struct bytes b;
	assert_true(waker_open(&w, NULL));
	struct queue *q = queue_new(1024, &w);
	int pushed = 0;
	while (queue_push(q, NULL, 0))
		pushed++;
	assert_int_equal(pushed, 256);
	for (; queue_peek(q, &b); queue_drop(q)) {
		assert_int_equal(b.n, 0);
		pushed--;
	}
	assert_int_equal(pushed, 0);
	queue_free(q);
	waker_close(&w);
}

#define RECORDS 200000u

struct both {
	struct queue *q;
	uint64_t refused;
};

static void *produce(void *arg)
{
	struct both *both = arg;
	unsigned seed = 11;
	for (uint32_t i = 0; i < RECORDS;) {
		uint8_t record[200];
		size_t n = 4 + (size_t)rand_r(&seed) % 196;
		memset(record, (int)(i & 0xff), n);
		memcpy(record, &i, 4);
		if (queue_push(both->q, record, n))
			i++;
		else {
			both->refused++;
			sched_yield();
		}
	}
	return NULL;
}

/* The consumer sleeps whenever it can: a lost wake-up would end in the timeout. */
static void test_two_threads(void **state)
{
	(void)state;
	struct waker w;
	assert_true(waker_open(&w, NULL));
	struct both both = {.q = queue_new(1 << 14, &w)};
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, produce, &both), 0);
	uint32_t expected = 0;
	while (expected < RECORDS) {
		struct bytes b;
		for (; queue_peek(both.q, &b); queue_drop(both.q)) {
			uint32_t got;
			memcpy(&got, b.p, 4);
			assert_int_equal(got, expected);
			for (size_t i = 4; i < b.n; i++)
				if (b.p[i] != (expected & 0xff))
					fail_msg("record %u is torn", expected);
			expected++;
		}
		waker_sleep(&w);
		if (!queue_peek(both.q, &b) && expected < RECORDS) {
			struct pollfd p = {.fd = w.fd, .events = POLLIN};
			assert_int_equal(poll(&p, 1, 20000), 1);
		}
		waker_up(&w);
	}
	pthread_join(t, NULL);
	queue_free(both.q);
	waker_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_order_and_full),
	    cmocka_unit_test(test_empty_records_count),
	    cmocka_unit_test(test_two_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
