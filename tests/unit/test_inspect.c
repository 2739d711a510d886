/* The seam: which parser a flow goes to, what it is fed, how it ends. With
 * parsers made for the purpose:
 *   shout   streams that begin with "SHOUT " from either side; reports every line;
 *           the line "again" starts another protocol, "done" ends, "bad" breaks it
 *   count   streams that begin with "COUNT": reports how many bytes it was told
 *   ping    datagrams that begin with "ping" */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../sensor/inspect.c"

#include "rules/ruleset.h"

static char seen_text[4096];

bool observe(struct inspect *in, enum where w, const void *value, size_t n)
{
	(void)w;
	snprintf(seen_text + strlen(seen_text), sizeof(seen_text) - strlen(seen_text), "%s:%.*s|",
		 in->parser ? in->parser->name : "-", (int)n, (const char *)value);
	return true;
}

void detect_hit(struct inspect *in, enum where w, ruleset_ref ref, const void *value, size_t n)
{
	(void)in, (void)w, (void)ref, (void)value, (void)n;
}

static unsigned patterns_seen;

void detect_pattern(struct inspect *in, ruleset_ref ref)
{
	(void)in, (void)ref;
	patterns_seen++;
}

void detect_protocol(struct inspect *in)
{
	(void)in;
}

uint32_t inspect_object_set(struct inspect *in, uint32_t object)
{
	(void)in, (void)object;
	return 0;
}

struct shout {
	struct carry line[2];
};

static enum probe starts(const uint8_t *p, size_t n, const char *word)
{
	size_t want = strlen(word);
	if (memcmp(p, word, n < want ? n : want) != 0)
		return PROBE_NO;
	return n < want ? PROBE_MORE : PROBE_YES;
}

static enum probe shout_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)in, (void)side;
	return starts(p, n, "SHOUT ");
}

static enum verdict shout_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct shout *s = in->state;
	for (size_t i = 0; i < n; i++) {
		struct carry *line = &s->line[side];
		if (p[i] != '\n') {
			if (!carry_push(in->mem, line, &p[i], 1, 100))
				return INSPECT_ERROR;
			continue;
		}
		char word[101] = "";
		memcpy(word, line->p, line->n);
		carry_free(in->mem, line);
		observe(in, WHERE_TLS_SNI, word, strlen(word));
		*used = i + 1;
		if (strcmp(word, "again") == 0)
			return INSPECT_AGAIN;
		if (strcmp(word, "done") == 0)
			return INSPECT_DONE;
		if (strcmp(word, "bad") == 0)
			return INSPECT_ERROR;
	}
	return INSPECT_MORE;
}

static void shout_close(struct inspect *in, enum side side)
{
	observe(in, WHERE_TLS_SNI, side == TO_SERVER ? "close>" : "close<", 6);
}

static void shout_drop(struct inspect *in)
{
	struct shout *s = in->state;
	carry_free(in->mem, &s->line[0]);
	carry_free(in->mem, &s->line[1]);
}

static const struct parser parser_shout = {
    .name = "shout",
    .over = OVER_TCP,
    .state_size = sizeof(struct shout),
    .probe = shout_probe,
    .stream = shout_stream,
    .close = shout_close,
    .drop = shout_drop,
};

static enum probe count_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)in, (void)side;
	return starts(p, n, "COUNT");
}

static enum verdict count_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	(void)side, (void)p, (void)used;
	*(size_t *)in->state += n;
	return INSPECT_MORE;
}

static enum verdict count_gap(struct inspect *in, enum side side, size_t lost)
{
	char text[32];
	(void)side;
	snprintf(text, sizeof(text), "lost %zu", lost);
	observe(in, WHERE_TLS_SNI, text, strlen(text));
	return INSPECT_MORE;
}

static void count_close(struct inspect *in, enum side side)
{
	char text[32];
	snprintf(text, sizeof(text), "%zu%s", *(size_t *)in->state, side == TO_SERVER ? ">" : "<");
	observe(in, WHERE_TLS_SNI, text, strlen(text));
}

static const struct parser parser_count = {
    .name = "count",
    .over = OVER_TCP,
    .state_size = sizeof(size_t),
    .probe = count_probe,
    .stream = count_stream,
    .late = true,
    .gap = count_gap,
    .close = count_close,
};

static enum probe ping_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)in, (void)side;
	return starts(p, n, "ping") == PROBE_YES ? PROBE_YES : PROBE_NO;
}

static enum verdict ping_datagram(struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)side;
	observe(in, WHERE_TLS_SNI, p, n);
	return n == 5 ? INSPECT_DONE : INSPECT_MORE;
}

static const struct parser parser_ping = {
    .name = "ping", .over = OVER_UDP, .probe = ping_probe, .datagram = ping_datagram};

const struct parser *const parsers[] = {&parser_shout, &parser_count, &parser_ping, NULL};

/* ---- a connection told by a script: ">text" and "<text" are segments ---- */

struct talk {
	struct ledger ledger;
	struct detector detector;
	struct inspector *ins;
	struct flow flow;
	uint32_t seq[2];
};

static void talk_open(struct talk *t, uint8_t proto)
{
	*t = (struct talk){.flow = {.key = {.proto = proto, .lo_port = 1, .hi_port = 2}, .serial = 1},
			   .seq = {100, 900}};
	t->ins = inspector_new(1 << 20, 0, NULL, &t->ledger, &t->detector);
	seen_text[0] = '\0';
}

static void talk_close(struct talk *t)
{
	inspector_end(t->ins, &t->flow, 0);
	assert_int_equal(inspector_memory(t->ins), 0);
	inspector_free(t->ins);
}

static void say(struct talk *t, const char *text)
{
	enum side side = text[0] == '>' ? TO_SERVER : TO_CLIENT;
	size_t n = strlen(text + 1);
	struct layer l = {.proto = t->flow.key.proto,
			  .tcp_flags = TCP_ACK,
			  .tcp_seq = t->seq[side],
			  .tcp_ack = t->seq[side ^ 1],
			  .payload = (const uint8_t *)text + 1,
			  .payload_n = (uint32_t)n,
			  .payload_wire_n = (uint32_t)n};
	inspector_packet(t->ins, &t->flow, side, &l, 1, NULL);
	t->seq[side] += (uint32_t)n;
}

static void test_streams(void **state)
{
	(void)state;
	static const struct {
		const char *label, *segments[8], *expect;
		enum ledger_id counter; /* 0: none is looked at */
	} cases[] = {
	    {"recognised at once", {">SHOUT a\nb\n"}, "shout:SHOUT a|shout:b|shout:close>|shout:close<|", 0},
	    {"cut inside the word", {">SHO", ">UT a\n"}, "shout:SHOUT a|shout:close>|shout:close<|", 0},
	    {"the server speaks first",
	     {"<SHOUT hi\n", ">x\n"},
	     "shout:SHOUT hi|shout:x|shout:close>|shout:close<|",
	     0},
	    {"unknown client, known server",
	     {">what\n", "<SHOUT hi\n"},
	     "shout:what|shout:SHOUT hi|shout:close>|shout:close<|",
	     0},
	    {"nobody knows", {">what", "<ever"}, "", LEDGER_UNRECOGNISED},
	    {"behind the first words of another", {">hello", "<you", ">COUNT1"}, "count:6>|count:6<|", 0},
	    {"behind them, while they are undecided", {">SHO", ">COUNT1"}, "count:6>|count:6<|", 0},
	    {"not within a segment", {">hello", "<you", ">xCOUNT1"}, "", 0},
	    {"done ends it", {">SHOUT a\ndone\nb\n"}, "shout:SHOUT a|shout:done|", 0},
	    {"broken", {">SHOUT a\nbad\nb\n"}, "shout:SHOUT a|shout:bad|", LEDGER_PARSER_ERROR},
	    {"a line beyond the limit",
	     {">SHOUT "
	      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
	     "",
	     LEDGER_PARSER_ERROR},
	    {"another protocol from here on",
	     {">SHOUT a\nagain\nCOUNT", ">1234"},
	     "shout:SHOUT a|shout:again|count:9>|count:9<|",
	     0},
	    {"another protocol, in a new segment",
	     {">SHOUT a\nagain\n", ">CO", "<?", ">UNT1"},
	     "shout:SHOUT a|shout:again|count:7>|count:7<|",
	     0},
	    {"again, again, until it is enough",
	     {">SHOUT 1\nagain\nSHOUT 2\nagain\nSHOUT 3\nagain\nSHOUT 4\nagain\nSHOUT 5\nagain\nSHOUT 6\n"},
	     "shout:SHOUT 1|shout:again|shout:SHOUT 2|shout:again|shout:SHOUT 3|shout:again|shout:SHOUT "
	     "4|shout:again|shout:SHOUT 5|shout:again|",
	     LEDGER_PARSER_LIMIT},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct talk t;
		talk_open(&t, IPPROTO_TCP);
		for (size_t k = 0; cases[i].segments[k]; k++)
			say(&t, cases[i].segments[k]);
		uint64_t counted = t.ledger.v[cases[i].counter];
		talk_close(&t);
		if (strcmp(seen_text, cases[i].expect) != 0)
			fail_msg("%s: got %s", cases[i].label, seen_text);
		if (cases[i].counter)
			assert_int_equal(counted, 1);
	}
}

/* Lost bytes: a parser with gap() is told, one without gives the side up. */
static void test_gaps(void **state)
{
	(void)state;
	struct talk t;
	talk_open(&t, IPPROTO_TCP);
	say(&t, ">COUNTx");
	t.seq[TO_SERVER] += 1000;
	say(&t, ">after");
	talk_close(&t);
	assert_string_equal(seen_text, "count:lost 1000|count:11>|count:11<|");

	talk_open(&t, IPPROTO_TCP);
	say(&t, ">SHOUT a\n");
	t.seq[TO_SERVER] += 1000;
	say(&t, ">after\n");
	say(&t, "<other\n");
	talk_close(&t);
	assert_string_equal(seen_text, "shout:SHOUT a|shout:other|shout:close<|");
}

/* A side that keeps a decision open is bounded. */
static void test_early_bound(void **state)
{
	(void)state;
	struct talk t;
	char text[1400];
	memset(text, 'x', sizeof(text));
	text[0] = '>';
	text[sizeof(text) - 1] = '\0';
	talk_open(&t, IPPROTO_TCP);
	for (int i = 0; i < 200; i++) {
		say(&t, text);
		assert_true(inspector_memory(t.ins) < 3 * EARLY_MAX);
	}
	assert_int_equal(t.ledger.v[LEDGER_UNRECOGNISED], 1);
	assert_true(t.flow.flags & FLOW_DONE);
	assert_int_equal(inspector_memory(t.ins), 0);
	talk_close(&t);
}

static void test_datagrams(void **state)
{
	(void)state;
	struct talk t;
	talk_open(&t, IPPROTO_UDP);
	say(&t, ">ping1");
	assert_string_equal(seen_text, "ping:ping1|");
	assert_true(t.flow.flags & FLOW_DONE);
	say(&t, ">ping2");
	assert_string_equal(seen_text, "ping:ping1|");
	talk_close(&t);

	talk_open(&t, IPPROTO_UDP);
	say(&t, ">pong");
	say(&t, "<ping and more");
	say(&t, ">pingping");
	assert_string_equal(seen_text, "ping:ping and more|ping:pingping|");
	talk_close(&t);

	talk_open(&t, IPPROTO_UDP);
	for (int i = 0; i < DATAGRAM_TRIES + 2; i++)
		say(&t, ">pong");
	assert_int_equal(t.ledger.v[LEDGER_UNRECOGNISED], 1);
	talk_close(&t);
}

static void test_expected(void **state)
{
	(void)state;
	/* What speaks for nothing is what was announced; what is another protocol is that. */
	static const struct {
		const char *says;
		unsigned parser;
	} rows[] = {{">nothing in particular", 2}, {">SHOUT a\n", 1}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct talk t;
		talk_open(&t, IPPROTO_TCP);
		struct inspect in = inspector_view(t.ins, &t.flow, 1);
		inspect_expect(&in, &in.dest, in.dest_port, &parser_count, "note", 4);
		say(&t, rows[i].says);
		assert_int_equal(t.flow.parser, rows[i].parser);
		talk_close(&t);
	}
}

static void test_memory_short(void **state)
{
	(void)state;
	struct talk t;
	talk_open(&t, IPPROTO_TCP);
	t.ins->mem.limit = 100;
	say(&t, ">SHOUT a\n");
	assert_int_equal(t.ledger.v[LEDGER_PARSER_MEMORY], 1);
	assert_string_equal(seen_text, "");
	talk_close(&t);
}

/* What a talk is searched for: "abcde". */
struct searched {
	struct ruleset_builder *b;
	struct ruleset *r;
	struct pattern_db *db;
	struct pattern_scratch *scratch;
};

static void search_begin(struct searched *s, struct talk *t)
{
	struct err e;
	s->b = ruleset_builder_new();
	uint32_t set = ruleset_add_set(s->b, &(struct indicator_set){.id = "s", .version = 1});
	struct indicator i = {.type = INDICATOR_PAYLOAD_HEX, .value = "6162636465", .id = "i"};
	assert_int_equal(ruleset_add(s->b, set, &i, &e), ADDED);
	s->r = ruleset_build(s->b, &e);
	s->db = pattern_db_new(s->r, NULL, &e);
	s->scratch = pattern_scratch_new(s->db, &e);
	inspector_rules(t->ins, 0, s->db, s->scratch);
	patterns_seen = 0;
}

static void search_end(struct searched *s)
{
	pattern_scratch_free(s->scratch);
	pattern_db_free(s->db);
	ruleset_free(s->r);
	ruleset_builder_free(s->b);
}

/* Without memory for one more stream a pattern is looked for in each segment: counted. */
static void test_pattern_memory(void **state)
{
	(void)state;
	struct talk t;
	struct searched s;
	talk_open(&t, IPPROTO_TCP);
	search_begin(&s, &t);
	say(&t, ">whabc");
	assert_int_equal(t.ledger.v[LEDGER_PATTERN_LIMIT], 0);
	t.ins->pattern_bytes += PATTERN_BYTES_MAX;
	say(&t, ">deat");
	assert_int_equal(t.ledger.v[LEDGER_PATTERN_LIMIT], 0); /* this side has its stream */
	assert_int_equal(patterns_seen, 1);
	say(&t, "<abc");
	say(&t, "<de, abcde");
	assert_int_equal(t.ledger.v[LEDGER_PATTERN_LIMIT], 2);
	assert_int_equal(patterns_seen, 2);
	t.ins->pattern_bytes -= PATTERN_BYTES_MAX;
	talk_close(&t);
	search_end(&s);
}

/* In DATA and I-DATA, not in other chunks nor over two messages; cut at every length. */
static void test_sctp(void **state)
{
	(void)state;
	static const struct {
		const char *label, *chunks;
		size_t n;
		unsigned want;
	} cases[] = {
	    {"DATA", "\0\3\0\x15numbstrmppidabcde\0\0\0", 24, 1},
	    {"I-DATA", "\x40\3\0\x19numbstrmmid.ppidabcde\0\0\0", 28, 1},
	    {"behind a SACK",
	     "\3\0\0\x10"
	     "0123456789ab\0\3\0\x15numbstrmppidabcde\0\0\0",
	     40, 1},
	    {"in the head of DATA", "\0\3\0\x13nabcdermppidxyz\0", 20, 0},
	    {"in another chunk",
	     "\4\0\0\x0e"
	     "12345abcde\0\0",
	     16, 0},
	    {"over two", "\0\3\0\x13numbstrmppidabc\0\0\3\0\x12numbstrmppidde\0\0", 40, 0},
	    {"a length that lies", "\0\3\0\2numbstrmppidabcde\0\0\0", 24, 0},
	    {"longer than the packet", "\0\3\1\0numbstrmppidabcde", 21, 1},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct talk t;
		struct searched s;
		struct layer l = {.proto = IPPROTO_SCTP};
		talk_open(&t, IPPROTO_SCTP);
		search_begin(&s, &t);
		for (size_t n = 0; n <= cases[i].n; n++) {
			uint8_t *exact = malloc(n + 1);
			memcpy(exact, cases[i].chunks, n);
			l.payload = exact;
			l.payload_n = l.payload_wire_n = (uint32_t)n;
			patterns_seen = 0;
			inspector_packet(t.ins, &t.flow, TO_SERVER, &l, 1, NULL);
			free(exact);
		}
		if (patterns_seen != cases[i].want)
			fail_msg("%s: %u", cases[i].label, patterns_seen);
		talk_close(&t);
		search_end(&s);
	}
}

/* Appends a chunk. number: of the message (I-DATA), in its stream (DATA); index: of the fragment (I-DATA). */
static void chunk(struct buf *b, bool i_data, uint8_t flags, uint32_t tsn, uint16_t stream, uint32_t number,
		  uint32_t index, const void *p, size_t n)
{
	buf_u8(b, i_data ? 64 : 0);
	buf_u8(b, flags);
	buf_u16(b, (uint16_t)((i_data ? 20 : 16) + n));
	buf_u32(b, tsn);
	buf_u16(b, stream);
	buf_u16(b, i_data ? 0 : (uint16_t)number);
	if (i_data)
		buf_u32(b, number);
	buf_u32(b, flags & 2 ? 47 : i_data ? index : 47);
	buf_add(b, p, n);
	buf_add(b, "\0\0\0", (4 - n % 4) % 4);
}

/* In a packet of exactly its size; frees it. */
static bool send_chunks(struct talk *t, enum side side, struct buf *b, size_t n)
{
	uint8_t *exact = malloc(n + 1);
	struct layer l = {
	    .proto = IPPROTO_SCTP, .payload = exact, .payload_n = (uint32_t)n, .payload_wire_n = (uint32_t)n};
	memcpy(exact, b->p, n);
	bool inspected = inspector_packet(t->ins, &t->flow, side, &l, 1, NULL);
	free(exact);
	buf_free(b);
	return inspected;
}

static void send_chunk(struct talk *t, enum side side, bool i_data, uint8_t flags, uint32_t tsn, uint16_t stream,
		       uint32_t number, uint32_t index, const char *text)
{
	struct buf b = {0};
	chunk(&b, i_data, flags, tsn, stream, number, index, text, strlen(text));
	send_chunks(t, side, &b, b.n);
}

/* A message of four fragments in every order, on either side, with those of others in between; what comes again
 * with other bytes does not count. A pattern over two fragments is found, and the parser sees the message. */
static void test_sctp_orders(void **state)
{
	(void)state;
	static const char *const part[] = {"ping a", "bc", "d", "e and more"};
	for (unsigned order = 0; order < 4 * 4 * 4 * 4; order++) {
		unsigned at[4], used = 0;
		for (unsigned i = 0; i < 4; i++) {
			at[i] = order >> (2 * i) & 3;
			used |= 1u << at[i];
		}
		if (used != 15)
			continue;
		for (unsigned way = 0; way < 4; way++) {
			struct talk t;
			struct searched s;
			bool i_data = way & 1;
			enum side side = way & 2 ? TO_CLIENT : TO_SERVER;
			uint32_t tsn = UINT32_MAX - 1;
			talk_open(&t, IPPROTO_SCTP);
			search_begin(&s, &t);
			patterns_seen = 0;
			for (unsigned i = 0; i < 4; i++) {
				unsigned k = at[i];
				uint8_t flags = k == 0 ? 2 : k == 3 ? 1 : 0;
				send_chunk(&t, side ^ 1, i_data, flags, tsn + k, 5, 9, k, "xxxx");
				send_chunk(&t, side, i_data, flags, tsn + k, 5, 9, k, part[k]);
				send_chunk(&t, side, i_data, flags, tsn + k, 5, 9, k, "again");
				send_chunk(&t, side, i_data, flags, tsn + 100 + k, 6, 9, k, "other");
				send_chunk(&t, side, !i_data, flags, tsn + 200 + k, 5, 9, k, "third");
				send_chunk(&t, side, i_data, flags | 4, tsn + 300 + k, 5, 9, k, "fourth");
			}
			if (strcmp(seen_text, "ping:ping abcde and more|ping:otherotherotherother|"
					      "ping:thirdthirdthirdthird|ping:fourthfourthfourthfourth|") != 0 ||
			    patterns_seen != 1)
				fail_msg("order %u way %u: %s, %u", order, way, seen_text, patterns_seen);
			assert_int_equal(t.ledger.v[LEDGER_PARSER_LIMIT], 0);
			talk_close(&t);
			search_end(&s);
		}
	}
}

/* Several chunks in a packet that is cut at every length; messages one behind the other. */
static void test_sctp_cut(void **state)
{
	(void)state;
	for (int i_data = 0; i_data < 2; i_data++) {
		struct buf all = {0};
		buf_add(&all,
			"\3\0\0\x10"
			"0123456789ab",
			16);
		chunk(&all, i_data, 2, 7, 1, 1, 0, "ping ", 5);
		chunk(&all, i_data, 1, 8, 1, 1, 1, "one", 3);
		chunk(&all, i_data, 3, 9, 1, 2, 0, "ping-two", 8);
		chunk(&all, i_data, 2, 10, 1, 3, 0, "ping ", 5);
		chunk(&all, i_data, 2, 11, 1, 4, 0, "ping ", 5);
		chunk(&all, i_data, 0, 12, 1, 4, 1, "th", 2);
		chunk(&all, i_data, 1, 13, 1, 4, 2, "ree", 3);
		chunk(&all, i_data, 1, 14, 1, 5, 1, "", 0); /* which breaks the protocol */
		for (size_t n = 0; n <= all.n; n++) {
			struct talk t;
			struct buf b = {0};
			talk_open(&t, IPPROTO_SCTP);
			buf_add(&b, all.p, all.n);
			bool inspected = send_chunks(&t, TO_SERVER, &b, n);
			size_t head = i_data ? 20 : 16;
			assert_int_equal(inspected, n > 16 + head);
			static const char *const want[] = {"", "ping:ping one|", "ping:ping one|ping:ping-two|",
							   "ping:ping one|ping:ping-two|ping:ping three|"};
			const size_t ends[] = {0, 16 + 2 * head + 8 + 3, 16 + 3 * head + 8 + 4 + 8,
					       16 + 7 * head + 8 + 4 + 8 + 8 + 8 + 4 + 3};
			for (size_t i = 0; i < 4; i++)
				if ((n == ends[i] && strcmp(seen_text, want[i]) != 0) ||
				    (i % 2 && n == ends[i] - 1 && strcmp(seen_text, want[i - 1]) != 0))
					fail_msg("cut at %zu: %s", n, seen_text);
			talk_close(&t);
		}
		buf_free(&all);
	}
}

static void test_sctp_limits(void **state)
{
	(void)state;
	for (uint32_t runs = SCTP_RUNS_MAX; runs <= SCTP_RUNS_MAX + 1; runs++) {
		struct talk t;
		talk_open(&t, IPPROTO_SCTP);
		for (uint32_t i = 0; i < runs; i++)
			send_chunk(&t, TO_SERVER, false, 2, i * 2, (uint16_t)i, 0, 0, "ping ");
		assert_int_equal(t.ledger.v[LEDGER_PARSER_LIMIT], runs - SCTP_RUNS_MAX);
		send_chunk(&t, TO_SERVER, false, 1, 3, 1, 0, 0, "second");
		send_chunk(&t, TO_SERVER, false, 1, 1, 0, 0, 0, "first");
		assert_string_equal(seen_text,
				    runs == SCTP_RUNS_MAX ? "ping:ping second|ping:ping first|" : "ping:ping second|");
		talk_close(&t);
	}
	static char big[32768 + 2];
	memset(big, 'b', sizeof(big));
	for (size_t over = 0; over < 2; over++) {
		struct talk t;
		struct searched s;
		talk_open(&t, IPPROTO_SCTP);
		search_begin(&s, &t);
		patterns_seen = 0;
		memcpy(big, "ping ", 5);
		big[32766] = '\0';
		send_chunk(&t, TO_SERVER, true, 2, 1, 0, 0, 0, big);
		send_chunk(&t, TO_SERVER, true, 0, 2, 0, 0, 1, over ? "abc" : "ab"); /* 65,536 with the rest */
		big[32766] = 'b';
		memcpy(big, "cde..", 5);
		if (over)
			memcpy(big, "de...", 5);
		big[32768] = '\0';
		send_chunk(&t, TO_SERVER, true, 1, 3, 0, 0, 2, big);
		assert_int_equal(t.ledger.v[LEDGER_PARSER_LIMIT], over);
		assert_int_equal(patterns_seen, 1); /* its beginning is read */
		assert_memory_equal(seen_text, "ping:ping bbb", 13);
		seen_text[0] = '\0';
		send_chunk(&t, TO_SERVER, true, 3, 4, 0, 1, 0, "ping next");
		assert_string_equal(seen_text, "ping:ping next|");
		talk_close(&t);
		search_end(&s);
	}
}

/* Without memory what is there is read, and counted. */
static void test_sctp_memory(void **state)
{
	(void)state;
	struct talk t;
	talk_open(&t, IPPROTO_SCTP);
	t.ins->mem.limit = 0;
	send_chunk(&t, TO_SERVER, false, 2, 1, 0, 0, 0, "ping ");
	send_chunk(&t, TO_SERVER, false, 1, 2, 0, 0, 0, "lost");
	send_chunk(&t, TO_SERVER, false, 3, 3, 0, 1, 0, "ping whole");
	assert_string_equal(seen_text, "ping:ping whole|");
	assert_int_equal(t.ledger.v[LEDGER_PARSER_MEMORY], 2);
	talk_close(&t);
}

/* More connections than there is memory for: those that were quiet longest make room,
 * one that goes on stays, and a new one is read. */
static void test_eviction(void **state)
{
	(void)state;
	enum { FLOWS = 4000 };
	static struct flow flows[FLOWS];
	struct talk t;
	talk_open(&t, IPPROTO_TCP);
	say(&t, ">SHOUT begin\n");
	for (uint32_t i = 0; i < FLOWS; i++) {
		struct layer l = {.proto = IPPROTO_TCP,
				  .tcp_flags = TCP_ACK,
				  .tcp_seq = 1,
				  .tcp_ack = 1,
				  .payload = (const uint8_t *)"SHOUT and on",
				  .payload_n = 12,
				  .payload_wire_n = 12};
		flows[i] = (struct flow){.key = {.proto = IPPROTO_TCP}, .serial = i + 2};
		inspector_packet(t.ins, &flows[i], TO_SERVER, &l, 1, NULL);
		assert_true(inspector_memory(t.ins) <= t.ins->mem.limit);
		if (i % 100 == 0)
			say(&t, ">x");
	}
	assert_int_equal(t.ledger.v[LEDGER_PARSER_MEMORY], 0);
	assert_in_range(t.ledger.v[LEDGER_PARSER_EVICTED], 1, FLOWS);
	assert_true(flows[FLOWS - 1].flags & FLOW_STATE);
	seen_text[0] = '\0';
	say(&t, ">\n");
	assert_string_equal(seen_text, "shout:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx|");
	for (uint32_t i = 0; i < FLOWS; i++)
		inspector_end(t.ins, &flows[i], 0);
	talk_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_streams),     cmocka_unit_test(test_gaps),
	    cmocka_unit_test(test_early_bound), cmocka_unit_test(test_datagrams),
	    cmocka_unit_test(test_expected),    cmocka_unit_test(test_memory_short),
	    cmocka_unit_test(test_eviction),    cmocka_unit_test(test_pattern_memory),
	    cmocka_unit_test(test_sctp),        cmocka_unit_test(test_sctp_orders),
	    cmocka_unit_test(test_sctp_cut),    cmocka_unit_test(test_sctp_limits),
	    cmocka_unit_test(test_sctp_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
