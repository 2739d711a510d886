/* Bytes of a sensor, as a session sees them: frames and records. The first byte
 * chooses how they are cut; bit 7 lets frames with a wrong CRC through by
 * repairing them, so that the fuzzer gets past it.
 * For: collector/session.c */
#include <stdlib.h>
#include <string.h>

#include "collector/session.h"
#include "common/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool on_hello(struct session *s, struct err *e)
{
	(void)e;
	return s->epoch != 13;
}

static void on_flush(struct session *s, uint64_t hi)
{
	if (hi % 7 == 3)
		session_refused(s, "no");
	else
		session_flushed(s, hi);
}

static void on_status(struct session *s, struct bytes json)
{
	(void)s;
	(void)json;
}

static const struct session_ops ops = {.hello = on_hello, .flush = on_flush, .status = on_status};
static const struct session_limits limits = {.hello_us = 5000000, .frame_us = 30000000, .flush_us = 1, .in_flight = 4};

/* Gives every frame the CRC that it should have. */
static void repair(uint8_t *p, size_t n)
{
	for (size_t at = 0; at + FRAME_HEADER <= n;) {
		uint32_t len = (uint32_t)p[at + 4] << 24 | (uint32_t)p[at + 5] << 16 | (uint32_t)p[at + 6] << 8 |
			       p[at + 7];
		if (len > n - at - FRAME_HEADER)
			len = (uint32_t)(n - at - FRAME_HEADER);
		struct buf b = {0};
		frame_begin(&b, (enum frame_type)(p[at + 3] % FRAME_TYPE_COUNT));
		buf_add(&b, p + at + FRAME_HEADER, len);
		frame_end(&b, 0);
		memcpy(p + at, b.p, FRAME_HEADER);
		buf_free(&b);
		at += FRAME_HEADER + len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct hash_key hash;
	struct session s;
	if (n < 2)
		return 0;
	size_t step = (data[0] & 0x7f) + 1u;
	uint8_t *copy = malloc(n - 1);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, n - 1);
	if (data[0] & 0x80)
		repair(copy, n - 1);
	session_init(&s, &ops, &limits, NULL, &hash, 3600000000, 8, 1);
	int64_t now = 1;
	for (size_t at = 0; at < n - 1 && s.state != SESSION_CLOSED; at += step) {
		size_t len = n - 1 - at < step ? n - 1 - at : step;
		session_feed(&s, copy + at, len, ++now);
		for (int i = 0; i < 64 && session_turn(&s, now, 1700000000000000); i++)
			;
		if (s.state == SESSION_ASKED) {
			struct marks marks;
			marks_set(&marks, s.epoch % 5);
			marks_raise(&marks, 0, 7, s.epoch % 11);
			session_welcome(&s, &marks);
		}
		session_tick(&s, now);
	}
	session_free(&s);
	free(copy);
	return 0;
}
