/* Which parser a flow belongs to, and feeding it.
 *
 * A stream is recognised by its bytes, never by its ports: while no parser has
 * said yes, the first bytes of both sides are kept (PROBE_MAX each) and shown to
 * every parser over TCP. The side that spoke first is replayed first. Datagrams
 * are shown to the parsers until one says yes; DATAGRAM_TRIES datagrams that
 * nobody knows end the search. A message of SCTP is a datagram: what is read over
 * UDP is found there, too; streams (TLS, HTTP) are not looked for.
 *
 * Only flows with payload have state here: a SYN flood costs no memory beyond
 * the flow table. When the memory is nearly used up (ROOM_LEFT), each flow that needs
 * state takes that of flows which were idle for long: of EVICT_LOOK connections in turn
 * the one that was quiet longest. So a flood of connections pushes out itself, and a
 * new conversation is read. What was pushed out is probed anew when it goes on. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/buf.h"
#include "common/exits.h"
#include "common/log.h"
#include "common/scratch.h"
#include "sensor/expect.h"
#include "sensor/inspector.h"
#include "sensor/parsers.h"
#include "sensor/quoted.h"
#include "sensor/sctp.h"
#include "sensor/stream.h"

#define DATAGRAM_TRIES    6
#define AGAIN_MAX         4                   /* STARTTLS inside CONNECT inside … */
#define EARLY_MAX         (PROBE_MAX + 65536) /* kept per side: PROBE_MAX and the segment that passed it */
#define ROOM_LEFT(limit)  ((limit) / 8)       /* bytes kept free for what flows in hand need */
#define EVICT_LOOK        16u
#define EVICT_MAX         4u          /* connections that one new one pushes out */
#define STATE_FETCHED     256u        /* bytes of a parser's state that are fetched ahead */
#define PATTERN_BYTES_MAX (64u << 20) /* for the pattern matcher's streams */

/* The inspection state of one flow. */
struct conn {
	_Alignas(64) const struct parser *parser;
	void *state;
	bool ruled_out[2]; /* every parser said no to this side */
	bool unknown;      /* to both: only late parsers are looked for */
	bool given_up[2];  /* the parser wants no more of this side */
	bool closed[2];
	bool spoke;
	uint8_t again;
	enum side first;
	uint64_t touched; /* inspector's packet count when it was last used; unused: the next one that is, plus 1 */
	union {
		struct stream stream;
		struct sctp sctp;
	};
	struct carry early[2]; /* while probing */
	struct pattern_stream *pattern[2];
	struct expected *expected; /* in mem; NULL for most */
	struct flow *flow;         /* NULL: the slot is not in use */
};
_Static_assert(sizeof(struct conn) == 256, "a connection's state is four cache lines, and no more is paid for it");

struct inspector {
	struct mem mem;
	struct ledger *ledger;
	struct detector *detector;
	struct expect *expect, *own_expect;
	indicator_mask want, shed;
	const struct pattern_db *patterns;
	struct pattern_scratch *scratch;
	size_t pattern_bytes;
	uint32_t worker;
	uint8_t dns;       /* number of DNS over UDP among the parsers */
	struct conn *conn; /* by flow->state: one array, so that the flow's record says where its state is */
	uint32_t slots;    /* of it that were ever used: the pages beyond do not exist */
	uint32_t unused;   /* the first that was given back, plus 1; linked by touched */
	uint32_t hand;     /* the slot that is looked at next for eviction */
	uint64_t touches;
};

/* What the stream's callbacks need. */
struct feed {
	struct inspector *ins;
	struct flow *flow;
	struct conn *conn;
	struct inspect in;
};

static uint8_t parser_number(const struct parser *p)
{
	for (uint8_t i = 0; parsers[i]; i++)
		if (parsers[i] == p)
			return (uint8_t)(i + 1);
	return 0;
}

static size_t conn_bytes(const struct inspector *ins)
{
	return ins->mem.limit / sizeof(struct conn) * sizeof(struct conn);
}

static struct conn *conn_array(const struct inspector *ins)
{
	size_t n = conn_bytes(ins);
	void *p = n ? mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) : NULL;
	if (p == MAP_FAILED)
		log_fatal(EXIT_ENVIRONMENT, "cannot reserve %zu MiB for inspection: lower memory", n >> 20);
	if (p)
		madvise(p, n, MADV_HUGEPAGE); /* advice */
	return p;
}

struct inspector *inspector_new(size_t memory_bytes, uint32_t worker, struct expect *shared, struct ledger *ledger,
				struct detector *d)
{
	struct inspector *ins = xcalloc(1, sizeof(*ins));
	mem_init(&ins->mem, memory_bytes);
	ins->ledger = ledger;
	ins->detector = d;
	ins->worker = worker;
	ins->dns = parser_number(&parser_dns_udp);
	ins->own_expect = shared ? NULL : expect_new();
	ins->expect = shared ? shared : ins->own_expect;
	ins->conn = conn_array(ins);
	return ins;
}

void inspector_free(struct inspector *ins)
{
	if (!ins)
		return;
	expect_free(ins->own_expect);
	if (ins->conn)
		munmap(ins->conn, conn_bytes(ins));
	mem_close(&ins->mem);
	free(ins);
}

static void patterns_close(struct inspector *ins, struct conn *c)
{
	for (int side = 0; side < 2; side++) {
		if (!c->pattern[side])
			continue;
		pattern_stream_close(c->pattern[side], ins->scratch);
		ins->pattern_bytes -= pattern_stream_bytes(ins->patterns);
		c->pattern[side] = NULL;
	}
}

void inspector_rules(struct inspector *ins, indicator_mask want, const struct pattern_db *patterns,
		     struct pattern_scratch *scratch)
{
	for (uint32_t i = 0; i < ins->slots; i++)
		if (ins->conn[i].flow)
			patterns_close(ins, &ins->conn[i]);
	ins->want = want;
	ins->patterns = patterns;
	ins->scratch = scratch;
}

size_t inspector_memory(const struct inspector *ins)
{
	return ins->mem.used;
}

const char *inspector_parser_name(const struct flow *f)
{
	return f->parser ? parsers[f->parser - 1]->name : NULL;
}

static void view(struct inspect *in, struct inspector *ins, const struct flow *f, int64_t ts_us)
{
	const struct flow_key *k = &f->key;
	bool hi = f->flags & FLOW_ORIGIN_HI;
	in->ts_us = ts_us;
	in->src = hi ? k->hi : k->lo;
	in->dest = hi ? k->lo : k->hi;
	in->src_port = hi ? k->hi_port : k->lo_port;
	in->dest_port = hi ? k->lo_port : k->hi_port;
	in->proto = k->proto;
	in->flow_id = (uint64_t)ins->worker << 32 | f->serial;
	in->want = ins->want & ~ins->shed;
	in->shed = ins->want & ins->shed;
	in->mem = &ins->mem;
	in->ledger = ins->ledger;
	in->parser = f->parser ? parsers[f->parser - 1] : NULL;
	in->state = NULL;
	in->note = (struct bytes){0};
	in->owner = ins->detector;
	in->inspector = ins;
}

struct inspect inspector_view(struct inspector *ins, const struct flow *f, int64_t ts_us)
{
	struct inspect in;
	view(&in, ins, f, ts_us);
	return in;
}

/* ---- connections ---- */

/* The budget has room for as many as the array has. */
static uint32_t slot_take(struct inspector *ins)
{
	uint32_t i = ins->unused;
	if (!i)
		return ins->slots++;
	ins->unused = (uint32_t)ins->conn[i - 1].touched;
	return i - 1;
}

static void slot_give(struct inspector *ins, uint32_t i)
{
	ins->conn[i].flow = NULL;
	ins->conn[i].touched = ins->unused;
	ins->unused = i + 1;
}

static bool evict_idle(struct inspector *ins, int64_t ts_us)
{
	struct conn *oldest = NULL;
	for (unsigned i = 0; i < EVICT_LOOK && ins->slots; i++) {
		ins->hand = ins->hand + 1 < ins->slots ? ins->hand + 1 : 0;
		struct conn *c = &ins->conn[ins->hand];
		if (c->flow && (!oldest || c->touched < oldest->touched))
			oldest = c;
	}
	if (!oldest)
		return false;
	ledger_count(ins->ledger, LEDGER_PARSER_EVICTED);
	inspector_end(ins, oldest->flow, ts_us);
	return true;
}

/* The flow's state, made now if need be; NULL when memory is short. */
static struct conn *conn_get(struct inspector *ins, struct flow *f, int64_t ts_us)
{
	if (f->flags & FLOW_STATE) {
		ins->conn[f->state].touched = ++ins->touches;
		return &ins->conn[f->state];
	}
	for (unsigned i = 0; i < EVICT_MAX && ins->mem.used > ins->mem.limit - ROOM_LEFT(ins->mem.limit); i++)
		if (!evict_idle(ins, ts_us))
			break;
	if (!mem_charge(&ins->mem, sizeof(struct conn))) {
		ledger_count(ins->ledger, LEDGER_PARSER_MEMORY);
		return NULL;
	}
	uint32_t slot = slot_take(ins);
	struct conn *c = &ins->conn[slot];
	*c = (struct conn){.flow = f, .touched = ++ins->touches};
	if (f->isn)
		stream_begin(&c->stream, TO_SERVER, f->isn);
	if (f->reply_isn)
		stream_begin(&c->stream, TO_CLIENT, f->reply_isn);
	if (f->isn && f->reply_isn)
		stream_answered(&c->stream, TO_SERVER, f->syn_ttl);
	f->state = slot;
	f->flags |= FLOW_STATE;
	return c;
}

static void parser_leave(struct inspect *in, struct conn *c)
{
	if (!c->parser)
		return;
	if (c->state && c->parser->drop)
		c->parser->drop(in);
	mem_free(in->mem, c->state, c->parser->state_size);
	c->parser = NULL;
	c->state = in->state = NULL;
}

static void conn_free(struct inspector *ins, struct flow *f, struct inspect *in)
{
	struct conn *c = &ins->conn[f->state];
	parser_leave(in, c);
	if (f->key.proto == IPPROTO_SCTP)
		sctp_drop(&c->sctp, &ins->mem);
	else
		stream_drop(&c->stream, &ins->mem);
	patterns_close(ins, c);
	carry_free(&ins->mem, &c->early[0]);
	carry_free(&ins->mem, &c->early[1]);
	mem_free(&ins->mem, c->expected, sizeof(*c->expected));
	mem_discharge(&ins->mem, sizeof(*c));
	slot_give(ins, f->state);
	f->flags &= (uint8_t)~FLOW_STATE;
	f->state = 0; /* reply_isn: unknown */
	f->isn = 0;
}

/* f may be any record of the table: the slot is checked. */
static const struct conn *probable(const struct inspector *ins, const struct flow *f)
{
	return (f->flags & FLOW_STATE) && f->state < ins->slots ? &ins->conn[f->state] : NULL;
}

void inspector_prefetch(const struct inspector *ins, const struct flow *f)
{
	const char *c = (const char *)probable(ins, f);
	for (size_t i = 0; c && i < sizeof(struct conn); i += 64)
		__builtin_prefetch(c + i, 1);
}

void inspector_prefetch_parser(const struct inspector *ins, const struct flow *f)
{
	const struct conn *c = probable(ins, f);
	const char *state = c ? c->state : NULL;
	for (size_t i = 0; state && i < STATE_FETCHED; i += 64)
		__builtin_prefetch(state + i, 1);
}

/* ---- feeding a parser ---- */

static void drop_early(struct feed *fd)
{
	carry_free(fd->in.mem, &fd->conn->early[0]);
	carry_free(fd->in.mem, &fd->conn->early[1]);
}

/* Nothing more is looked for on this flow but payload patterns. */
static void feed_done(struct feed *fd)
{
	parser_leave(&fd->in, fd->conn);
	drop_early(fd);
	fd->flow->flags |= FLOW_DONE;
}

static inline void tell_protocol(struct feed *fd)
{
	if (fd->ins->want & INDICATOR_BIT(INDICATOR_STIX))
		detect_protocol(&fd->in);
}

static bool parser_enter(struct feed *fd, const struct parser *p)
{
	struct conn *c = fd->conn;
	if (p->state_size && !(c->state = mem_alloc(fd->in.mem, p->state_size))) {
		ledger_count(fd->in.ledger, LEDGER_PARSER_MEMORY);
		feed_done(fd);
		return false;
	}
	c->parser = fd->in.parser = p;
	fd->in.state = c->state;
	fd->in.note = c->expected ? (struct bytes){c->expected->note, c->expected->note_n} : (struct bytes){0};
	fd->flow->parser = parser_number(p);
	tell_protocol(fd);
	return true;
}

static void probe_stream(struct feed *fd, enum side side, const uint8_t *p, size_t n);

/* The protocol changes here: both sides are probed anew. */
static void feed_again(struct feed *fd, enum side side, const uint8_t *p, size_t n)
{
	struct conn *c = fd->conn;
	parser_leave(&fd->in, c);
	if (c->again++ == AGAIN_MAX) {
		ledger_count(fd->in.ledger, LEDGER_PARSER_LIMIT);
		feed_done(fd);
		return;
	}
	memset(c->ruled_out, 0, sizeof(c->ruled_out));
	memset(c->given_up, 0, sizeof(c->given_up));
	c->spoke = c->unknown = false;
	if (n)
		probe_stream(fd, side, p, n);
}

/* False when the flow has left this parser. */
static bool feed_verdict(struct feed *fd, enum verdict v)
{
	if (v == INSPECT_MORE)
		return true;
	if (v == INSPECT_ERROR)
		ledger_count(fd->in.ledger, LEDGER_PARSER_ERROR);
	feed_done(fd);
	return false;
}

static void feed_parser(struct feed *fd, enum side side, const uint8_t *p, size_t n)
{
	if (!n || fd->conn->given_up[side])
		return;
	size_t used = n;
	enum verdict v = fd->conn->parser->stream(&fd->in, side, p, n, &used);
	if (v == INSPECT_AGAIN)
		feed_again(fd, side, p + used, n - used);
	else if (v == INSPECT_SIDE_DONE)
		fd->conn->given_up[side] = true;
	else
		feed_verdict(fd, v);
}

/* Found: the bytes kept so far go to the parser, those of the side that spoke
 * first ahead. The parser may leave on the way (done, or another protocol). */
static void replay_early(struct feed *fd)
{
	struct conn *c = fd->conn;
	struct carry early[2] = {c->early[0], c->early[1]};
	c->early[0] = c->early[1] = (struct carry){0};
	for (int i = 0; i < 2; i++) {
		enum side side = (enum side)(c->first ^ (unsigned)i);
		if (!early[side].n || (fd->flow->flags & FLOW_DONE))
			continue;
		if (c->parser)
			feed_parser(fd, side, early[side].p, early[side].n);
		else
			probe_stream(fd, side, early[side].p, early[side].n);
	}
	carry_free(fd->in.mem, &early[0]);
	carry_free(fd->in.mem, &early[1]);
}

/* ---- probing ---- */

static enum probe probe_all(const struct inspect *in, unsigned over, enum side side, const uint8_t *p, size_t n,
			    const struct parser **found)
{
	enum probe answer = PROBE_NO;
	for (size_t i = 0; parsers[i]; i++) {
		if (!(parsers[i]->over & over) || !parsers[i]->probe)
			continue;
		enum probe one = parsers[i]->probe(in, side, p, n);
		if (one == PROBE_YES) {
			*found = parsers[i];
			return PROBE_YES;
		}
		if (one == PROBE_MORE)
			answer = PROBE_MORE;
	}
	return answer;
}

static void unrecognised(struct feed *fd)
{
	ledger_count(fd->in.ledger, LEDGER_UNRECOGNISED);
	fd->conn->unknown = true;
	drop_early(fd);
}

/* A segment behind the first: does a protocol begin with it? */
static bool probe_late(struct feed *fd, enum late least, enum side side, const uint8_t *p, size_t n)
{
	for (size_t i = 0; parsers[i]; i++) {
		if (parsers[i]->late < least || parsers[i]->probe(&fd->in, side, p, n) != PROBE_YES)
			continue;
		drop_early(fd);
		ledger_count(fd->in.ledger, LEDGER_PARSER_RESYNC);
		if (parser_enter(fd, parsers[i]))
			feed_parser(fd, side, p, n);
		return true;
	}
	return false;
}

static void keep_expected(struct feed *fd, const struct expected *x)
{
	fd->conn->expected = mem_alloc(fd->in.mem, sizeof(*x));
	if (fd->conn->expected)
		*fd->conn->expected = *x;
	else
		ledger_count(fd->in.ledger, LEDGER_PARSER_MEMORY); /* what it was told is not known then */
}

static void take_expected(struct feed *fd)
{
	struct expected x;
	if (!fd->conn->expected && expect_take(fd->ins->expect, &fd->in, &x))
		keep_expected(fd, &x);
}

/* What another connection announced this one to be, when its bytes speak for nothing else:
 * an announcement is worth no more, or it would hide whatever goes to that address. */
static bool enter_expected(struct feed *fd)
{
	struct conn *c = fd->conn;
	if (c->parser || (fd->flow->flags & FLOW_DONE))
		return false;
	take_expected(fd);
	if (!c->expected || !parser_enter(fd, c->expected->parser))
		return false;
	replay_early(fd);
	return true;
}

/* The first bytes of a side, and then every further one. The common flow is
 * recognised by its first segment: nothing is copied for it. */
static void probe_stream(struct feed *fd, enum side side, const uint8_t *p, size_t n)
{
	struct conn *c = fd->conn;
	struct carry *early = &c->early[side];
	bool waiting = c->early[0].n || c->early[1].n;
	bool later = c->spoke;
	if (later && probe_late(fd, c->ruled_out[side] ? LATE_UNKNOWN : LATE_ANY, side, p, n))
		return;
	if (c->unknown) {
		if (c->stream.half[side].delivered > PROBE_MAX)
			feed_done(fd);
		return;
	}
	if (!c->spoke) {
		c->spoke = true;
		c->first = side;
	} else {
		take_expected(fd); /* the worker that saw it announced may be behind this one */
	}
	if (waiting && !carry_push(fd->in.mem, early, p, n, EARLY_MAX)) {
		unrecognised(fd);
		return;
	}
	const struct parser *found = NULL;
	enum probe answer = PROBE_NO;
	if (!c->ruled_out[side])
		answer = probe_all(&fd->in, OVER_TCP, side, waiting ? early->p : p, waiting ? early->n : n, &found);
	if (c->expected && (answer == PROBE_NO || (waiting ? early->n : n) >= PROBE_MAX) && answer != PROBE_YES) {
		found = c->expected->parser;
		answer = PROBE_YES;
	}
	if (answer == PROBE_YES) {
		if (!parser_enter(fd, found))
			return;
		if (waiting)
			replay_early(fd);
		else
			feed_parser(fd, side, p, n);
		return;
	}
	if (!waiting && !carry_push(fd->in.mem, early, p, n, EARLY_MAX)) {
		unrecognised(fd);
		return;
	}
	if (answer == PROBE_NO && later && !c->ruled_out[side] && probe_late(fd, LATE_UNKNOWN, side, p, n))
		return;
	c->ruled_out[side] |= answer == PROBE_NO || early->n >= PROBE_MAX;
	if (c->ruled_out[0] && c->ruled_out[1])
		unrecognised(fd);
}

/* ---- streams ---- */

static void pattern_found(void *owner, ruleset_ref ref, size_t end_offset)
{
	struct feed *fd = owner;
	(void)end_offset;
	detect_pattern(&fd->in, ref);
}

static void pattern_feed(struct feed *fd, enum side side, const uint8_t *p, size_t n)
{
	struct inspector *ins = fd->ins;
	if (!ins->patterns)
		return;
	struct pattern_stream **st = &fd->conn->pattern[side];
	size_t cost = pattern_stream_bytes(ins->patterns);
	if (!*st && ins->pattern_bytes + cost <= PATTERN_BYTES_MAX && (*st = pattern_stream_open(ins->patterns)))
		ins->pattern_bytes += cost;
	if (*st) {
		pattern_stream_data(*st, ins->patterns, ins->scratch, p, n, pattern_found, fd);
		return;
	}
	ledger_count(ins->ledger, LEDGER_PATTERN_LIMIT);
	pattern_datagram(ins->patterns, ins->scratch, p, n, pattern_found, fd);
}

static void on_data(void *owner, enum side side, const uint8_t *p, size_t n)
{
	struct feed *fd = owner;
	pattern_feed(fd, side, p, n);
	if (fd->flow->flags & FLOW_DONE)
		return;
	if (fd->conn->parser)
		feed_parser(fd, side, p, n);
	else
		probe_stream(fd, side, p, n);
}

static void on_gap(void *owner, enum side side, uint32_t lost)
{
	struct feed *fd = owner;
	struct conn *c = fd->conn;
	if (fd->flow->flags & FLOW_DONE)
		return;
	if (!c->parser && !enter_expected(fd)) {
		/* What is kept cannot be continued: the bytes behind the gap are probed anew. */
		carry_free(fd->in.mem, &c->early[side]);
		return;
	}
	ledger_count(fd->in.ledger, LEDGER_PARSER_GAP);
	if (c->parser->gap)
		feed_verdict(fd, c->parser->gap(&fd->in, side, lost));
	else
		c->given_up[side] = true;
}

static void on_close(void *owner, enum side side)
{
	struct feed *fd = owner;
	struct conn *c = fd->conn;
	if (c->closed[side])
		return;
	c->closed[side] = true;
	enter_expected(fd); /* too short to speak for anything */
	if (c->parser && c->parser->close && !c->given_up[side])
		c->parser->close(&fd->in, side);
}

static void feed_for(struct feed *fd, struct inspector *ins, struct flow *f, struct conn *c, int64_t ts_us)
{
	fd->ins = ins;
	fd->flow = f;
	fd->conn = c;
	view(&fd->in, ins, f, ts_us);
	fd->in.parser = c ? c->parser : NULL;
	fd->in.state = c ? c->state : NULL;
	if (c && c->expected)
		fd->in.note = (struct bytes){c->expected->note, c->expected->note_n};
}

static struct stream_sink sink_of(struct feed *fd)
{
	return (struct stream_sink){.owner = fd, .data = on_data, .gap = on_gap, .close = on_close};
}

/* The next bytes in order, of a connection without anything out of it. */
static bool stream_bytes(struct inspector *ins, struct flow *f, struct conn *c, enum side side, const struct layer *l,
			 int64_t ts_us)
{
	if (!l->payload_n)
		return false;
	if (c->given_up[side] && !ins->patterns)
		return true;
	SCRATCH struct feed fd;
	feed_for(&fd, ins, f, c, ts_us);
	on_data(&fd, side, l->payload, l->payload_n);
	if ((f->flags & FLOW_DONE) && !ins->patterns)
		conn_free(ins, f, &fd.in);
	return true;
}

static __attribute__((noinline)) bool stream_packet(struct inspector *ins, struct flow *f, enum side side,
						    const struct layer *l, int64_t ts_us)
{
	if ((f->flags & FLOW_DONE) && !ins->patterns)
		return false;
	bool fresh = !(f->flags & FLOW_STATE);
	if (fresh && !l->payload_wire_n)
		return false;
	struct conn *c = conn_get(ins, f, ts_us);
	if (!c)
		return false;
	if (!fresh && stream_next(&c->stream, side, l))
		return stream_bytes(ins, f, c, side, l, ts_us);
	SCRATCH struct feed fd;
	feed_for(&fd, ins, f, c, ts_us);
	if (fresh)
		take_expected(&fd);
	struct stream_sink sink = sink_of(&fd);
	stream_segment(&c->stream, side, l, &ins->mem, ins->ledger, &sink);
	if (stream_reset(&c->stream))
		f->flags |= FLOW_CLOSED;
	if (stream_closed(&c->stream)) {
		on_close(&fd, TO_SERVER);
		on_close(&fd, TO_CLIENT);
		f->flags |= FLOW_CLOSED | FLOW_DONE;
		conn_free(ins, f, &fd.in);
	} else if ((f->flags & FLOW_DONE) && !ins->patterns) {
		conn_free(ins, f, &fd.in);
	}
	return l->payload_n > 0;
}

/* ---- datagrams ---- */

static bool probe_datagram(struct feed *fd, enum side side, struct bytes b)
{
	const struct parser *found = NULL;
	struct flow *f = fd->flow;
	if (probe_all(&fd->in, OVER_UDP, side, b.p, b.n, &found) == PROBE_YES) {
		f->parser = parser_number(found);
		fd->in.parser = found;
		tell_protocol(fd);
		return true;
	}
	if (++f->tries == DATAGRAM_TRIES) {
		f->flags |= FLOW_DONE;
		ledger_count(fd->in.ledger, LEDGER_UNRECOGNISED);
	}
	return false;
}

/* The first datagram of a flow that another one announced. */
static bool datagram_expected(struct feed *fd, enum side side, struct bytes b)
{
	struct expected x;
	if (!expect_take(fd->ins->expect, &fd->in, &x) || x.parser->probe(&fd->in, side, b.p, b.n) != PROBE_YES ||
	    !(fd->conn = conn_get(fd->ins, fd->flow, fd->in.ts_us)))
		return false;
	keep_expected(fd, &x);
	fd->flow->parser = parser_number(x.parser);
	return true;
}

static bool datagram_state(struct feed *fd)
{
	const struct parser *p = parsers[fd->flow->parser - 1];
	fd->in.parser = p;
	if (!p->state_size)
		return true;
	if (!(fd->conn = conn_get(fd->ins, fd->flow, fd->in.ts_us)))
		return false;
	if (!fd->conn->parser)
		return parser_enter(fd, p);
	fd->in.state = fd->conn->state;
	return true;
}

/* A plain DNS message of which nothing hits: what the parser would have done with it. */
static bool datagram_quiet(struct inspector *ins, struct flow *f, const struct dns_ahead *ahead)
{
	const struct detector *d = ins->detector;
	if (ins->patterns || (f->flags & FLOW_DONE) || (f->parser && f->parser != ins->dns) ||
	    ruleset_ahead_maybe(d->rules, &ahead->asked))
		return false;
	f->parser = ins->dns;
	ledger_add(ins->ledger, LEDGER_TRANSACTIONS, ahead->observables);
	return true;
}

/* One datagram, or a message of SCTP. fd->conn is its state where there is one already, and afterwards. */
static void datagram_bytes(struct feed *fd, enum side side, struct bytes b)
{
	struct inspector *ins = fd->ins;
	struct flow *f = fd->flow;
	if (ins->patterns)
		pattern_datagram(ins->patterns, ins->scratch, b.p, b.n, pattern_found, fd);
	if (f->flags & FLOW_DONE)
		return;
	if (!f->parser && !(!f->tries && datagram_expected(fd, side, b)) && !probe_datagram(fd, side, b))
		return;
	if (!datagram_state(fd))
		return;
	enum verdict v = fd->in.parser->datagram(&fd->in, side, b.p, b.n);
	if (v == INSPECT_ERROR)
		ledger_count(ins->ledger, LEDGER_PARSER_ERROR);
	if (v == INSPECT_DONE) {
		f->flags |= FLOW_DONE;
		if (fd->conn)
			conn_free(ins, f, &fd->in);
		fd->conn = NULL;
	}
}

/* Apart, as the next one is: a quiet packet does not pay for its locals. */
static __attribute__((noinline)) bool datagram_packet(struct inspector *ins, struct flow *f, enum side side,
						      const struct layer *l, int64_t ts_us)
{
	if (!l->payload_n || ((f->flags & FLOW_DONE) && !ins->patterns))
		return false;
	SCRATCH struct feed fd;
	feed_for(&fd, ins, f, NULL, ts_us);
	datagram_bytes(&fd, side, (struct bytes){l->payload, l->payload_n});
	return true;
}

/* A fragment is searched by itself, and again with the others once they are all there: those of a message
 * that never is have been looked at, too. */
static void sctp_fragment(struct feed *fd, enum side side, const struct sctp_chunk *k)
{
	struct inspector *ins = fd->ins;
	struct carry whole;
	if (ins->patterns)
		pattern_datagram(ins->patterns, ins->scratch, k->data.p, k->data.n, pattern_found, fd);
	struct conn *c = k->cut ? NULL : conn_get(ins, fd->flow, fd->in.ts_us);
	if (!c || !sctp_join(&c->sctp, side, k, &ins->mem, ins->ledger, &whole))
		return;
	datagram_bytes(fd, side, (struct bytes){whole.p, whole.n});
	carry_free(&ins->mem, &whole);
}

static __attribute__((noinline)) bool sctp_packet(struct inspector *ins, struct flow *f, enum side side,
						  const struct layer *l, int64_t ts_us)
{
	struct sctp_chunk k;
	bool data = false;
	if ((f->flags & FLOW_DONE) && !ins->patterns)
		return false;
	SCRATCH struct feed fd;
	feed_for(&fd, ins, f, NULL, ts_us);
	struct cursor c = cursor_over(l->payload, l->payload_n);
	for (; sctp_next(&c, &k); data = true) {
		if (k.first && k.last)
			datagram_bytes(&fd, side, k.data);
		else
			sctp_fragment(&fd, side, &k);
	}
	if ((f->flags & FLOW_DONE) && (f->flags & FLOW_STATE) && !ins->patterns) {
		feed_for(&fd, ins, f, &ins->conn[f->state], ts_us);
		conn_free(ins, f, &fd.in);
	}
	return data;
}

bool inspector_packet(struct inspector *ins, struct flow *f, enum side side, const struct layer *l, int64_t ts_us,
		      const struct dns_ahead *ahead)
{
	if (ahead && ahead->plain && datagram_quiet(ins, f, ahead))
		return true;
	if (l->proto == IPPROTO_TCP)
		return stream_packet(ins, f, side, l, ts_us);
	if (l->proto == IPPROTO_UDP)
		return datagram_packet(ins, f, side, l, ts_us);
	if (l->proto == IPPROTO_SCTP)
		return sctp_packet(ins, f, side, l, ts_us);
	if (l->proto == IPPROTO_ICMP || l->proto == IPPROTO_ICMPV6) {
		struct inspect in = inspector_view(ins, f, ts_us);
		return quoted_packet(&in, l);
	}
	return false;
}

/* ---- overload ---- */

void inspector_shed(struct inspector *ins, indicator_mask types)
{
	ins->shed = types;
}

bool inspector_dns(struct inspector *ins, const struct flow *f, enum side side, const struct layer *l)
{
	const struct parser *p = f->parser ? parsers[f->parser - 1] : NULL;
	if (p)
		return p == &parser_dns_udp || p == &parser_dns_tcp || p == &parser_mdns || p == &parser_llmnr;
	static const uint16_t ports[] = {53, 5353, 5355};
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		if (l->src_port == ports[i] || l->dest_port == ports[i])
			return true;
	struct inspect in = inspector_view(ins, f, 0);
	return l->proto == IPPROTO_UDP && parser_dns_udp.probe(&in, side, l->payload, l->payload_n) == PROBE_YES;
}

void inspector_lost(struct inspector *ins, struct flow *f, enum side side, const struct layer *l, int64_t ts_us)
{
	struct layer cut = *l;
	if (l->proto != IPPROTO_TCP)
		return;
	if (f->flags & FLOW_STATE) {
		cut.payload_n = 0; /* payload_wire_n stays: a segment that the capture cut short */
		stream_packet(ins, f, side, &cut, ts_us);
	} else {
		f->isn = f->reply_isn = 0; /* later bytes begin in the middle */
	}
}

void inspector_outer(struct inspector *ins, struct flow *f, const struct layer *l, int64_t ts_us)
{
	if (!ins->patterns || !l->payload_n || l->proto != IPPROTO_UDP)
		return;
	SCRATCH struct feed fd;
	feed_for(&fd, ins, f, NULL, ts_us);
	pattern_datagram(ins->patterns, ins->scratch, l->payload, l->payload_n, pattern_found, &fd);
}

void inspector_end(struct inspector *ins, struct flow *f, int64_t ts_us)
{
	if (!(f->flags & FLOW_STATE))
		return;
	struct conn *c = &ins->conn[f->state];
	SCRATCH struct feed fd;
	feed_for(&fd, ins, f, c, ts_us);
	struct stream_sink sink = sink_of(&fd);
	if (f->key.proto == IPPROTO_TCP)
		stream_flush(&c->stream, &ins->mem, ins->ledger, &sink);
	on_close(&fd, TO_SERVER);
	on_close(&fd, TO_CLIENT);
	conn_free(ins, f, &fd.in);
}

/* ---- for parsers ---- */

void inspect_expect(struct inspect *in, const struct addr *a, uint16_t port, const struct parser *p, const void *note,
		    size_t n)
{
	if (!expect_add(in->inspector->expect, a, port, in->ts_us, p, note, n))
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
}

struct bytes inspect_note(const struct inspect *in)
{
	return in->note;
}
