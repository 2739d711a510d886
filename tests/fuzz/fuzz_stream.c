/* Segments of both sides with any numbers, flags and lengths, in a small and a
 * large budget. What must hold: a side's bytes and gaps add up to how far its
 * number moved, nothing comes after its end, and all memory comes back.
 *
 * An input is a list of: side and flags (1 byte: bit 7 side, 6 bad checksum, 0..5
 * TCP flags), kind (1 byte), sequence and acknowledgement (2 bytes each, scaled by
 * kind), length (1 byte).
 * For: sensor/stream.c */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "sensor/stream.h"

struct tally {
	uint64_t bytes[2];
	bool closed[2];
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* So that what is read is really read; nobody asks for it. */
volatile uint8_t touched;

static void tally_data(void *owner, enum side side, const uint8_t *p, size_t n)
{
	struct tally *t = owner;
	must(n > 0 && !t->closed[side]);
	for (size_t i = 0; i < n; i++)
		touched ^= p[i];
	t->bytes[side] += n;
}

static void tally_gap(void *owner, enum side side, uint32_t lost)
{
	struct tally *t = owner;
	must(lost > 0 && !t->closed[side]);
	t->bytes[side] += lost;
}

static void tally_close(void *owner, enum side side)
{
	struct tally *t = owner;
	must(!t->closed[side]);
	t->closed[side] = true;
}

static void check_half(const struct stream_half *h)
{
	must(h->waiting_n <= 256 && h->waiting_bytes <= 512 << 10);
	must((h->waiting == NULL) == (h->waiting_n == 0) && (h->last == NULL) == (h->waiting == NULL));
}

/* The short way for the next segment in order tells and changes what the long one does. */
static void check_same(const struct stream *a, const struct tally *ta, const struct stream *b, const struct tally *tb)
{
	for (int i = 0; i < 2; i++) {
		const struct stream_half *x = &a->half[i], *y = &b->half[i];
		must(x->next == y->next && x->acked == y->acked && x->delivered == y->delivered);
		must(x->unheard == y->unheard && x->known == y->known && x->soft == y->soft);
		must(x->started == y->started && x->closed == y->closed && x->waiting_n == y->waiting_n);
		must(x->good_checksum == y->good_checksum && x->acked_known == y->acked_known && x->ttl == y->ttl);
		must(ta->bytes[i] == tb->bytes[i] && ta->closed[i] == tb->closed[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const uint8_t zeros[4096];
	struct cursor c = cursor_over(data, n);
	struct stream s = {0};
	struct mem m;
	struct ledger g = {0};
	struct tally t = {0};
	struct stream_sink sink = {&t, tally_data, tally_gap, tally_close};
	/* The same without stream_next(). */
	struct stream slow = {0};
	struct mem slow_m;
	struct ledger slow_g = {0};
	struct tally slow_t = {0};
	struct stream_sink slow_sink = {&slow_t, tally_data, tally_gap, tally_close};
	mem_init(&m, n & 1 ? 1 << 20 : 2048);
	mem_init(&slow_m, m.limit);
	while (cursor_left(&c) >= 7) {
		uint8_t flags = cursor_u8(&c), kind = cursor_u8(&c);
		uint32_t scale = 1u << (kind & 15) % 17;
		struct layer l = {.proto = IPPROTO_TCP};
		l.tcp_seq = cursor_u16(&c) * scale;
		l.tcp_ack = cursor_u16(&c) * scale;
		l.tcp_flags = flags & 0x3f;
		l.bad_checksum = flags & 0x40;
		l.good_checksum = !l.bad_checksum && !(kind & 0x20);
		l.ttl = kind & 0x80 ? 3 : 64;
		l.payload_n = cursor_u8(&c) * (kind & 0x10 ? 16u : 1u);
		l.payload_wire_n = l.payload_n + (kind & 0x20 ? 100 : 0);
		l.payload = cursor_left(&c) >= l.payload_n ? c.p : zeros;
		enum side side = flags >> 7 ? TO_CLIENT : TO_SERVER;
		if (!stream_next(&s, side, &l))
			stream_segment(&s, side, &l, &m, &g, &sink);
		else if (l.payload_n)
			sink.data(&t, side, l.payload, l.payload_n);
		stream_segment(&slow, side, &l, &slow_m, &slow_g, &slow_sink);
		check_half(&s.half[0]);
		check_half(&s.half[1]);
		if (kind & 0x40)
			stream_flush(&s, &m, &g, &sink);
		if (kind & 0x40)
			stream_flush(&slow, &slow_m, &slow_g, &slow_sink);
		check_same(&s, &t, &slow, &slow_t);
	}
	stream_drop(&slow, &slow_m);
	mem_close(&slow_m);
	if (n & 2)
		stream_flush(&s, &m, &g, &sink);
	stream_drop(&s, &m);
	must(m.used == 0);
	must(t.bytes[0] + t.bytes[1] == s.half[0].delivered + s.half[1].delivered + g.v[LEDGER_STREAM_GAP_BYTES]);
	mem_close(&m);
	return 0;
}
