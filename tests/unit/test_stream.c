/* TCP reassembly: what is handed on, in a table of conversations; random cuts of
 * a random stream; losses; conflicts; memory. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/clock.h"
#include "sensor/stream.h"

/* ---- a sink that writes down what it gets: "abc" per side, [n] a gap, . the end ---- */

struct notes {
	char text[2][4096];
	size_t n[2];
};

static void note(struct notes *o, enum side side, const void *p, size_t n)
{
	if (o->n[side] + n >= sizeof(o->text[side]))
		return;
	memcpy(o->text[side] + o->n[side], p, n);
	o->n[side] += n;
	o->text[side][o->n[side]] = 0;
}

static void note_data(void *owner, enum side side, const uint8_t *p, size_t n)
{
	assert_true(n > 0);
	note(owner, side, p, n);
}

static void note_gap(void *owner, enum side side, uint32_t lost)
{
	char text[16];
	assert_true(lost > 0);
	note(owner, side, text, (size_t)snprintf(text, sizeof(text), "[%u]", lost));
}

static void note_close(void *owner, enum side side)
{
	note(owner, side, ".", 1);
}

/* ---- conversations ---- */

#define C     TO_SERVER
#define V     TO_CLIENT
#define SYN   TCP_SYN
#define ACK   TCP_ACK
#define FIN   (TCP_FIN | TCP_ACK)
#define RST   TCP_RST
#define SA    (TCP_SYN | TCP_ACK)
#define BAD   0x80  /* bad checksum */
#define LOW   0x200 /* a low TTL */
#define LONG  0x100 /* put together by the card: its checksum cannot be verified */
#define CUT3  0x40  /* three more bytes were on the wire than captured */
#define STEPS 12

struct step {
	enum side side;
	unsigned flags;
	uint32_t seq, ack; /* on top of the side's base */
	const char *data;
};

struct conversation {
	const char *label;
	struct step step[STEPS];     /* ends at the first with flags 0 */
	const char *client, *server; /* what is handed on; stream_flush() at "|" */
	enum ledger_id counter;
	uint64_t count;
};

/* Most rows ask for no counter. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
static const struct conversation conversations[] = {
    {"in order",
     {{C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, ACK, 1, 1, "GET"}, {V, ACK, 1, 4, "OK"}, {C, ACK, 4, 3, "!"}},
     "GET!|",
     "OK|"},
    {"reordered",
     {{C, SYN, 0, 0, ""}, {C, ACK, 4, 1, "def"}, {C, ACK, 1, 1, "abc"}},
     "abcdef|",
     "|",
     LEDGER_STREAM_REORDER,
     1},
    {"three reversed",
     {{C, SYN, 0, 0, ""}, {C, ACK, 7, 1, "ghi"}, {C, ACK, 4, 1, "def"}, {C, ACK, 1, 1, "abc"}},
     "abcdefghi|",
     "|",
     LEDGER_STREAM_REORDER,
     2},
    {"retransmission",
     {{C, SYN, 0, 0, ""}, {C, ACK, 1, 1, "abc"}, {C, ACK, 1, 1, "abc"}, {C, ACK, 4, 1, "d"}},
     "abcd|",
     "|"},
    {"retransmission with more",
     {{C, SYN, 0, 0, ""}, {C, ACK, 1, 1, "abc"}, {C, ACK, 1, 1, "abcde"}},
     "abcde|",
     "|",
     LEDGER_STREAM_OVERLAP,
     1},
    {"first copy wins, waiting",
     {{C, SYN, 0, 0, ""}, {C, ACK, 3, 1, "cd"}, {C, ACK, 2, 1, "bXYe"}, {C, ACK, 1, 1, "a"}},
     "abcde|",
     "|",
     LEDGER_STREAM_CONFLICT,
     1},
    {"first copy wins, filling the hole",
     {{C, SYN, 0, 0, ""}, {C, ACK, 3, 1, "cd"}, {C, ACK, 1, 1, "abXYe"}},
     "abcde|",
     "|",
     LEDGER_STREAM_CONFLICT,
     1},
    {"same bytes are no conflict",
     {{C, SYN, 0, 0, ""}, {C, ACK, 3, 1, "cd"}, {C, ACK, 1, 1, "abcde"}},
     "abcde|",
     "|",
     LEDGER_STREAM_CONFLICT,
     0},
    {"around two that wait",
     {{C, SYN, 0, 0, ""}, {C, ACK, 3, 1, "c"}, {C, ACK, 5, 1, "e"}, {C, ACK, 2, 1, "bcdef"}, {C, ACK, 1, 1, "a"}},
     "abcdef|",
     "|",
     LEDGER_STREAM_OVERLAP,
     1},
    {"keep-alive",
     {{C, SYN, 0, 0, ""}, {C, ACK, 1, 1, "abc"}, {C, ACK, 3, 1, ""}, {C, ACK, 3, 1, "x"}, {C, ACK, 4, 1, "d"}},
     "abcd|",
     "|",
     LEDGER_STREAM_OUT_OF_WINDOW,
     0},
    {"zero-window probe, then the rest",
     {{C, SYN, 0, 0, ""}, {C, ACK, 1, 1, "abc"}, {C, ACK, 4, 1, "d"}, {C, ACK, 4, 1, "def"}},
     "abcdef|",
     "|"},
    {"mid-stream", {{C, ACK, 500, 0, "abc"}, {C, ACK, 503, 0, "def"}}, "abcdef|", "|"},
    {"mid-stream, reply reordered: the acknowledgement tells where it begins",
     {{C, ACK, 1, 9, "abc"}, {V, ACK, 12, 4, "lm"}, {V, ACK, 9, 4, "ijk"}},
     "abc|",
     "ijklm|"},
    {"mid-stream, acknowledgement captured before its data",
     {{C, ACK, 1, 12, "abc"}, {V, ACK, 9, 4, "ijk"}, {V, ACK, 12, 4, "l"}},
     "abc|",
     "ijkl|"},
    {"mid-stream behind a keep-alive", {{C, ACK, 9, 9, ""}, {C, ACK, 10, 9, "abc"}}, "abc|", "|"},
    {"hole acknowledged: given up, goes on",
     {{C, SYN, 0, 0, ""}, {C, ACK, 1, 1, "abc"}, {C, ACK, 7, 1, "ghi"}, {V, ACK, 1, 10, ""}, {C, ACK, 10, 1, "j"}},
     "abc[3]ghij|",
     "|",
     LEDGER_STREAM_GAP,
     1},
    {"hole not acknowledged: waits",
     {{C, SYN, 0, 0, ""}, {C, ACK, 1, 1, "abc"}, {C, ACK, 7, 1, "ghi"}, {V, ACK, 1, 4, ""}, {C, ACK, 10, 1, "j"}},
     "abc|[3]ghij",
     "|"},
    {"hole filled after flush time", {{C, SYN, 0, 0, ""}, {C, ACK, 4, 1, "def"}}, "|[3]def", "|"},
    {"one side only, closes at once", {{C, SYN, 0, 0, ""}, {C, ACK, 1, 9, "abc"}, {C, FIN, 4, 9, ""}}, "abc.|", "|"},
    {"FIN with data",
     {{C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, FIN, 1, 1, "abc"}, {V, FIN, 1, 5, "xyz"}, {C, ACK, 5, 5, ""}},
     "abc.|",
     "xyz.|"},
    {"FIN before the data", {{C, SYN, 0, 0, ""}, {C, FIN, 4, 1, ""}, {C, ACK, 1, 1, "abc"}}, "abc.|", "|"},
    {"FIN decoy: data goes on",
     {{C, SYN, 0, 0, ""},
      {V, SA, 0, 1, ""},
      {C, ACK, 1, 1, "abc"},
      {C, FIN, 4, 1, ""},
      {C, ACK, 4, 1, "def"},
      {V, ACK, 1, 7, ""},
      {C, FIN, 7, 1, ""},
      {V, ACK, 1, 8, ""}},
     "abcdef.|",
     "|",
     LEDGER_STREAM_OUT_OF_WINDOW,
     1},
    {"FIN waits for its acknowledgement, or the end",
     {{C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, FIN, 1, 1, "abc"}},
     "abc|.",
     "|"},
    {"the last bytes lost before FIN",
     {{C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, FIN, 4, 1, ""}, {V, ACK, 1, 5, ""}},
     "[3].|",
     "|",
     LEDGER_STREAM_GAP_BYTES,
     3},
    {"RST, exact: the end is near, what still comes is handed on",
     {{C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, ACK, 1, 1, "abc"}, {V, RST, 1, 0, ""}, {C, ACK, 4, 1, "x"}},
     "abcx|.",
     "|."},
    {"RST decoys",
     {{C, SYN, 0, 0, ""},
      {V, SA, 0, 1, ""},
      {V, RST, 2, 0, ""},
      {C, RST, 100, 0, ""},
      {C, RST, 0, 0, ""},
      {C, ACK, 1, 1, "abc"}},
     "abc|",
     "|",
     LEDGER_STREAM_OUT_OF_WINDOW,
     3},
    {"RST, and something waits: handed on at the end",
     {{C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, ACK, 3, 1, "c"}, {V, RST, 1, 0, ""}},
     "|[2]c.",
     "|."},
    {"SYN refused", {{C, SYN, 0, 0, ""}, {V, RST | ACK, 77, 1, ""}}, "|.", "|."},
    {"refusal decoy: acknowledges another SYN",
     {{C, SYN, 0, 0, ""}, {V, RST | ACK, 77, 2, ""}, {C, ACK, 1, 1, "abc"}},
     "abc|",
     "|",
     LEDGER_STREAM_OUT_OF_WINDOW,
     1},
    {"SYN decoy before the true one",
     {{C, SYN, 7000, 0, ""}, {C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, ACK, 1, 1, "abc"}},
     "abc|",
     "|"},
    {"SYN decoy behind the true one",
     {{C, SYN, 0, 0, ""}, {C, SYN, 7000, 0, ""}, {V, SA, 0, 1, ""}, {C, ACK, 1, 1, "abc"}},
     "abc|",
     "|"},
    {"SYN decoy behind the SYN-ACK",
     {{C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, SYN, 7000, 0, ""}, {C, ACK, 1, 1, "abc"}},
     "abc|",
     "|",
     LEDGER_STREAM_OUT_OF_WINDOW,
     1},
    {"SYN decoy in the conversation",
     {{C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, ACK, 1, 1, "abc"}, {C, SYN, 7000, 0, "zzz"}, {C, ACK, 4, 1, "d"}},
     "abcd|",
     "|"},
    {"SYN decoy with data",
     {{C, SYN, 7000, 0, "zzz"}, {C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, ACK, 1, 1, "abc"}},
     "abc|",
     "|"},
    {"SYN repeated",
     {{C, SYN, 0, 0, ""},
      {C, SYN, 0, 0, ""},
      {V, SA, 0, 1, ""},
      {V, SA, 0, 1, ""},
      {C, ACK, 1, 1, "abc"},
      {V, SA, 0, 1, ""},
      {V, ACK, 1, 4, "x"}},
     "abc|",
     "x|",
     LEDGER_STREAM_OUT_OF_WINDOW,
     0},
    {"fast open, taken", {{C, SYN, 0, 0, "abc"}, {V, SA, 0, 4, ""}, {C, ACK, 4, 1, "def"}}, "abcdef|", "|"},
    {"fast open, not taken", {{C, SYN, 0, 0, "zzz"}, {V, SA, 0, 1, ""}, {C, ACK, 1, 1, "abc"}}, "abc|", "|"},
    {"fast open, one side: goes on behind it", {{C, SYN, 0, 0, "abc"}, {C, ACK, 4, 1, "def"}}, "abcdef|", "|"},
    {"fast open, one side: sent again", {{C, SYN, 0, 0, "zzz"}, {C, ACK, 1, 1, "abc"}}, "abc|", "|"},
    {"fast open, nothing more", {{C, SYN, 0, 0, "abc"}}, "|abc", "|"},
    {"SYN-ACK with data", {{C, SYN, 0, 0, ""}, {V, SA, 0, 1, "hi"}, {C, ACK, 1, 3, "abc"}}, "abc|", "hi|"},
    {"bad checksum decoy",
     {{C, SYN, 0, 0, ""}, {C, ACK | BAD, 1, 1, "zzz"}, {C, ACK, 1, 1, "abc"}},
     "abc|",
     "|",
     LEDGER_STREAM_CHECKSUM,
     1},
    {"bad checksum, acknowledged without a better copy: believed",
     {{C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, ACK | BAD, 1, 1, "abc"}, {C, ACK, 4, 1, "def"}, {V, ACK, 1, 7, ""}},
     "abcdef|",
     "|",
     LEDGER_STREAM_GAP,
     0},
    {"bad checksum, a better copy came behind it",
     {{C, SYN, 0, 0, ""},
      {V, SA, 0, 1, ""},
      {C, ACK | BAD, 1, 1, "zzz"},
      {C, ACK, 4, 1, "def"},
      {C, ACK, 1, 1, "abc"},
      {V, ACK, 1, 7, ""}},
     "abcdef|",
     "|"},
    {"bad checksum, one side only: believed at the end",
     {{C, SYN, 0, 0, ""}, {C, ACK | BAD, 1, 1, "abc"}, {C, ACK | BAD, 4, 1, "def"}},
     "|abcdef",
     "|"},
    {"bad checksum, never acknowledged: believed at the end, when nothing else came",
     {{C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, ACK | BAD, 1, 1, "abc"}},
     "|abc",
     "|"},
    {"bad checksum at the end, where something else came: not believed",
     {{C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, ACK | BAD, 1, 1, "zzz"}, {C, ACK, 1, 1, "abc"}},
     "abc|",
     "|"},
    {"all checksums bad: offloading",
     {{C, SYN | BAD, 0, 0, ""}, {C, ACK | BAD, 1, 1, "abc"}, {C, ACK | BAD, 4, 1, "def"}},
     "abcdef|",
     "|",
     LEDGER_STREAM_CHECKSUM,
     0},
    {"a checksum that cannot be verified says nothing of the others",
     {{C, SYN | BAD, 0, 0, ""}, {C, ACK | LONG, 1, 1, "abc"}, {C, ACK | BAD, 4, 1, "def"}},
     "abcdef|",
     "|",
     LEDGER_STREAM_CHECKSUM,
     0},
    {"a decoy that does not reach the receiver",
     {{C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, ACK | LOW, 1, 1, "zzz"}, {C, ACK, 1, 1, "abc"}, {V, ACK, 1, 4, ""}},
     "abc|",
     "|",
     LEDGER_STREAM_TTL,
     1},
    {"a longer path: acknowledged, and believed from then on",
     {{C, SYN, 0, 0, ""},
      {V, SA, 0, 1, ""},
      {C, ACK | LOW, 1, 1, "abc"},
      {V, ACK, 1, 4, ""},
      {C, ACK | LOW, 4, 1, "def"},
      {C, ACK | LOW, 7, 1, "g"}},
     "abcdefg|",
     "|",
     LEDGER_STREAM_TTL,
     1},
    {"a low TTL when the other side is not heard",
     {{C, SYN, 0, 0, ""}, {C, ACK | LOW, 1, 1, "abc"}},
     "abc|",
     "|",
     LEDGER_STREAM_TTL,
     0},
    {"RST with a low TTL",
     {{C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, RST | LOW, 1, 0, ""}, {C, ACK, 1, 1, "abc"}},
     "abc|",
     "|",
     LEDGER_STREAM_TTL,
     1},
    {"FIN with a low TTL",
     {{C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, FIN | LOW, 1, 1, ""}, {V, ACK, 1, 2, ""}, {C, ACK, 1, 1, "abc"}},
     "abc|",
     "|"},
    {"urgent data is in line",
     {{C, SYN, 0, 0, ""}, {C, ACK | TCP_URG, 1, 1, "abc"}},
     "abc|",
     "|",
     LEDGER_STREAM_URGENT,
     1},
    {"RST with a bad checksum",
     {{C, SYN, 0, 0, ""}, {C, RST | BAD, 1, 0, ""}, {C, ACK, 1, 1, "abc"}},
     "abc|",
     "|",
     LEDGER_STREAM_CHECKSUM,
     1},
    {"cut by the capture",
     {{C, SYN, 0, 0, ""}, {C, ACK | CUT3, 1, 1, "abc"}, {C, ACK, 7, 1, "g"}},
     "abc[3]g|",
     "|",
     LEDGER_STREAM_GAP_BYTES,
     3},
    {"cut, and waiting",
     {{C, SYN, 0, 0, ""}, {C, ACK | CUT3, 4, 1, "def"}, {C, ACK, 1, 1, "abc"}, {C, ACK, 10, 1, "j"}},
     "abcdef[3]j|",
     "|",
     LEDGER_STREAM_GAP_BYTES,
     3},
    {"cut to nothing",
     {{C, SYN, 0, 0, ""}, {C, ACK | CUT3, 1, 1, ""}, {C, ACK, 4, 1, "d"}},
     "[3]d|",
     "|",
     LEDGER_STREAM_GAP_BYTES,
     3},
    {"far ahead of what is acknowledged",
     {{C, SYN, 0, 0, ""}, {V, SA, 0, 1, ""}, {C, ACK, 20000000, 1, "zzz"}, {C, ACK, 1, 1, "abc"}},
     "abc|",
     "|",
     LEDGER_STREAM_OUT_OF_WINDOW,
     1},
    {"far ahead, other side not heard: waits",
     {{C, SYN, 0, 0, ""}, {C, ACK, 20000001, 1, "d"}, {C, ACK, 1, 1, "abc"}},
     "abc|[19999997]d",
     "|",
     LEDGER_STREAM_OUT_OF_WINDOW,
     0},
    {"beyond any window",
     {{C, SYN, 0, 0, ""}, {C, ACK, 0x50000000, 1, "zzz"}, {C, ACK, 1, 1, "abc"}},
     "abc|",
     "|",
     LEDGER_STREAM_OUT_OF_WINDOW,
     1},
    {"a SYN with data behind the end",
     {{C, SYN | TCP_FIN, 0, 0, ""}, {C, SYN, 50, 0, "abc"}, {V, SA, 0, 1, "x"}},
     ".|",
     "|x"},
    {"data behind the end", {{C, SYN, 0, 0, ""}, {C, FIN, 1, 1, "abc"}, {C, ACK, 5, 1, "x"}}, "abc.|", "|"},
};

#define MEM_LIMIT (4u << 20)

static void give(struct stream *s, const struct step *p, const uint32_t base[2], struct mem *m, struct ledger *g,
		 const struct stream_sink *sink)
{
	struct layer l = {.proto = IPPROTO_TCP};
	l.tcp_flags = (uint8_t)(p->flags & 0x3f);
	l.tcp_seq = base[p->side] + p->seq;
	l.tcp_ack = p->flags & TCP_ACK ? base[!p->side] + p->ack : 0;
	l.bad_checksum = (p->flags & BAD) != 0;
	l.ttl = p->flags & LOW ? 3 : 64;
	l.good_checksum = !(p->flags & (BAD | LONG | CUT3));
	l.payload_n = (uint32_t)strlen(p->data);
	l.payload = l.payload_n ? (const uint8_t *)p->data : NULL;
	l.payload_wire_n = l.payload_n + (p->flags & CUT3 ? 3 : 0);
	l.truncated = (p->flags & CUT3) != 0;
	if (!stream_next(s, p->side, &l))
		stream_segment(s, p->side, &l, m, g, sink);
	else if (l.payload_n)
		sink->data(sink->owner, p->side, l.payload, l.payload_n);
}

static void run_conversation(const struct conversation *c, const uint32_t base[2])
{
	struct stream s = {0};
	struct mem m;
	struct ledger g = {0};
	struct notes o = {0};
	struct stream_sink sink = {&o, note_data, note_gap, note_close};
	mem_init(&m, MEM_LIMIT);
	for (size_t i = 0; i < STEPS && c->step[i].flags; i++)
		give(&s, &c->step[i], base, &m, &g, &sink);
	note(&o, C, "|", 1);
	note(&o, V, "|", 1);
	stream_flush(&s, &m, &g, &sink);
	if (strcmp(o.text[C], c->client) || strcmp(o.text[V], c->server))
		fail_msg("%s (base %x %x): client \"%s\" server \"%s\"", c->label, base[0], base[1], o.text[C],
			 o.text[V]);
	if (c->counter && g.v[c->counter] != c->count)
		fail_msg("%s: counter %d is %lu", c->label, c->counter, (unsigned long)g.v[c->counter]);
	stream_drop(&s, &m);
	mem_close(&m); /* asserts that nothing is in use */
}

static void test_conversations(void **state)
{
	(void)state;
	/* The numbers wrap in different places. */
	static const uint32_t bases[][2] = {
	    {1000, 9000}, {0, 0}, {0xfffffffe, 5}, {0xfffffff9, 0xfffffffd}, {0x7fffffff, 0x80000000}};
	for (size_t i = 0; i < sizeof(conversations) / sizeof(*conversations); i++) {
		for (size_t k = 0; k < sizeof(bases) / sizeof(*bases); k++)
			run_conversation(&conversations[i], bases[k]);
	}
}

static void test_begin(void **state)
{
	(void)state;
	struct stream s = {0};
	struct mem m;
	struct ledger g = {0};
	struct notes o = {0};
	struct stream_sink sink = {&o, note_data, note_gap, note_close};
	const uint32_t base[2] = {100, 200};
	const struct step late = {V, ACK, 4, 1, "def"}, early = {V, ACK, 1, 1, "abc"};
	mem_init(&m, MEM_LIMIT);
	stream_begin(&s, V, 201);
	give(&s, &late, base, &m, &g, &sink);
	give(&s, &early, base, &m, &g, &sink);
	assert_string_equal(o.text[V], "abcdef");
	mem_close(&m);
}

/* ---- a random stream in random pieces ---- */

#define STREAM_N 20000

struct check {
	const uint8_t *want;
	uint32_t at;   /* offset in the stream that comes next */
	uint32_t gaps; /* bytes */
	bool lost[STREAM_N], closed;
};

static void check_data(void *owner, enum side side, const uint8_t *p, size_t n)
{
	struct check *k = owner;
	assert_int_equal(side, TO_SERVER);
	assert_true(k->at + n <= STREAM_N);
	if (memcmp(p, k->want + k->at, n))
		fail_msg("other bytes at %u", k->at);
	for (size_t i = 0; i < n; i++)
		assert_false(k->lost[k->at + i]);
	k->at += (uint32_t)n;
}

static void check_gap(void *owner, enum side side, uint32_t lost)
{
	struct check *k = owner;
	(void)side;
	for (uint32_t i = 0; i < lost; i++)
		assert_true(k->lost[k->at + i]);
	k->at += lost;
	k->gaps += lost;
}

static void check_close(void *owner, enum side side)
{
	(void)side;
	((struct check *)owner)->closed = true;
}

struct piece {
	uint32_t at, n;
};

/* Cuts the stream into overlapping, repeated, shuffled pieces. */
static size_t cut(struct piece *list, size_t max, unsigned *seed, unsigned reach)
{
	size_t n = 0;
	for (uint32_t at = 0; at < STREAM_N && n < max - 2;) {
		uint32_t len = 1 + (uint32_t)rand_r(seed) % 300;
		len = len > STREAM_N - at ? STREAM_N - at : len;
		list[n++] = (struct piece){at, len};
		if (rand_r(seed) % 4 == 0) { /* once more, cut differently */
			uint32_t back = (uint32_t)rand_r(seed) % (at < 200 ? at + 1 : 200);
			uint32_t more = (uint32_t)rand_r(seed) % 200;
			uint32_t end = at + len + more > STREAM_N ? STREAM_N : at + len + more;
			list[n++] = (struct piece){at - back, end - (at - back)};
		}
		at += len;
	}
	for (size_t i = 0; i < n && reach; i++) {
		size_t k = i + (size_t)rand_r(seed) % reach;
		if (k < n) {
			struct piece p = list[i];
			list[i] = list[k];
			list[k] = p;
		}
	}
	return n;
}

static void random_run(unsigned seed, bool lossy)
{
	static uint8_t stream[STREAM_N];
	static struct piece list[1000];
	struct check k = {.want = stream};
	struct stream s = {0};
	struct mem m;
	struct ledger g = {0};
	struct stream_sink sink = {&k, check_data, check_gap, check_close};
	uint32_t isn = (uint32_t)rand_r(&seed) * 2654435761u, lost = 0;
	for (size_t i = 0; i < STREAM_N; i++)
		stream[i] = (uint8_t)rand_r(&seed);
	size_t n = cut(list, 1000, &seed, (unsigned)rand_r(&seed) % 20);
	static bool have[STREAM_N];
	memset(have, 0, sizeof(have));
	for (size_t i = 0; i < n; i++) {
		if (lossy && rand_r(&seed) % 10 == 0)
			list[i].n = 0;
		memset(have + list[i].at, 1, list[i].n);
	}
	for (size_t i = 0; i < STREAM_N; i++)
		lost += k.lost[i] = !have[i];
	mem_init(&m, MEM_LIMIT);
	stream_begin(&s, TO_SERVER, isn);
	for (size_t i = 0; i < n; i++) {
		uint8_t *exact = malloc(list[i].n + 1);
		memcpy(exact, stream + list[i].at, list[i].n);
		struct layer l = {.proto = IPPROTO_TCP,
				  .tcp_flags = TCP_ACK,
				  .tcp_seq = isn + list[i].at,
				  .payload = exact,
				  .payload_n = list[i].n,
				  .payload_wire_n = list[i].n};
		if (list[i].n)
			stream_segment(&s, TO_SERVER, &l, &m, &g, &sink);
		free(exact);
	}
	struct layer fin = {.proto = IPPROTO_TCP, .tcp_flags = FIN, .tcp_seq = isn + STREAM_N};
	stream_segment(&s, TO_SERVER, &fin, &m, &g, &sink);
	stream_flush(&s, &m, &g, &sink);
	if (k.at != STREAM_N || k.gaps != lost || !k.closed || g.v[LEDGER_STREAM_CONFLICT] ||
	    g.v[LEDGER_STREAM_GAP_BYTES] != lost)
		fail_msg("seed %u: at %u, gaps %u of %u, closed %d", seed, k.at, k.gaps, lost, k.closed);
	assert_int_equal(s.half[0].delivered, STREAM_N - lost);
	mem_close(&m);
}

static void test_random(void **state)
{
	(void)state;
	unsigned seed = (unsigned)clock_mono_us();
	printf("seed %u\n", seed);
	for (unsigned i = 0; i < 300; i++)
		random_run(seed + i, i & 1);
}

/* ---- limits ---- */

static void test_limits(void **state)
{
	(void)state;
	static const struct {
		const char *label;
		size_t budget;
		uint32_t n;
	} cases[] = {
	    {"one byte each", MEM_LIMIT, 1},
	    {"large ones", MEM_LIMIT, 8000},
	    {"a small budget", 5000, 1000},
	    {"no budget", 0, 1000},
	};
	static const uint8_t bytes[8000];
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct stream s = {0};
		struct mem m;
		struct ledger g = {0};
		struct notes o = {0};
		struct stream_sink sink = {&o, note_data, note_gap, note_close};
		mem_init(&m, cases[i].budget);
		stream_begin(&s, TO_SERVER, 1);
		uint32_t seq = 2; /* one byte is missing */
		for (int k = 0; k < 1000; k++) {
			struct layer l = {.proto = IPPROTO_TCP, .tcp_flags = ACK, .tcp_seq = seq, .payload = bytes};
			l.payload_n = l.payload_wire_n = cases[i].n;
			stream_segment(&s, TO_SERVER, &l, &m, &g, &sink);
			seq += cases[i].n;
		}
		assert_true(m.peak <= 2u << 20);
		if (s.half[0].next != seq || s.half[0].delivered != 1000 * (uint64_t)cases[i].n)
			fail_msg("%s: next %u of %u", cases[i].label, s.half[0].next, seq);
		assert_int_equal(g.v[LEDGER_STREAM_GAP_BYTES], 1);
		assert_true(g.v[LEDGER_STREAM_LIMIT] >= 1);
		mem_close(&m);
	}
}

/* Segments of doubt are held up to a number, and counted beyond. */
static void test_doubtful_limit(void **state)
{
	(void)state;
	struct stream s = {0};
	struct mem m;
	struct ledger g = {0};
	struct notes o = {0};
	struct stream_sink sink = {&o, note_data, note_gap, note_close};
	const uint32_t base[2] = {100, 200};
	const struct step good = {C, ACK, 1, 1, "a"}, answer = {V, ACK, 1, 2, ""};
	mem_init(&m, MEM_LIMIT);
	stream_begin(&s, C, 101);
	give(&s, &good, base, &m, &g, &sink);
	give(&s, &answer, base, &m, &g, &sink);
	for (uint32_t i = 0; i < 20; i++) {
		const struct step bad = {C, ACK | BAD, 2 + i, 1, "b"};
		give(&s, &bad, base, &m, &g, &sink);
		assert_int_equal(g.v[LEDGER_STREAM_CHECKSUM], i + 1);
		assert_int_equal(g.v[LEDGER_STREAM_LIMIT], i < 16 ? 0 : i - 15);
	}
	const struct step all = {V, ACK, 1, 22, ""};
	give(&s, &all, base, &m, &g, &sink);
	assert_string_equal(o.text[C], "abbbbbbbbbbbbbbbb");
	stream_drop(&s, &m);
	mem_close(&m);
}

static void test_drop(void **state)
{
	(void)state;
	struct stream s = {0};
	struct mem m;
	struct ledger g = {0};
	struct notes o = {0};
	struct stream_sink sink = {&o, note_data, note_gap, note_close};
	const uint32_t base[2] = {100, 200};
	mem_init(&m, MEM_LIMIT);
	stream_begin(&s, C, 101);
	const struct step late = {C, ACK, 4, 1, "def"};
	give(&s, &late, base, &m, &g, &sink);
	assert_true(m.used > 0);
	stream_drop(&s, &m);
	assert_int_equal(m.used, 0);
	assert_string_equal(o.text[C], "");
	mem_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_conversations), cmocka_unit_test(test_begin), cmocka_unit_test(test_random),
	    cmocka_unit_test(test_limits),        cmocka_unit_test(test_drop),  cmocka_unit_test(test_doubtful_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
