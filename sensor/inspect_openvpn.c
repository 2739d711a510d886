/* OpenVPN's control channel: TLS in packets of its own, which are acknowledged and sent
 * again (draft-openvpn-wire-protocol). Both hellos and the certificates are read as those
 * of any TLS. In clear or under --tls-auth; --tls-crypt encrypts them.
 *
 *   packet:  0 u8 opcode(5 bits) key(3), 1 session(8), [HMAC, u32 number, u32 time],
 *            u8 n, n times u32 acknowledged, [session(8) of the other when n],
 *            u32 number of the packet, bytes of the stream
 *   TCP:     u16 length in front of each packet
 *
 * How long the HMAC is follows from the first packet of a side, which asks for a new
 * session and carries no bytes. */
#include <string.h>

#include "sensor/framed.h"
#include "sensor/parsers.h"

enum opcode { CONTROL = 4, ACK = 5, DATA_1 = 6, RESET_CLIENT = 7, RESET_SERVER = 8, DATA_2 = 9, RESET_CLIENT_3 = 10 };

enum {
	SESSION = 8,
	STAMP = 8,       /* number and time of --tls-auth */
	ACKS_MAX = 8,    /* OpenVPN sends at most these */
	WAITING_MAX = 8, /* packets ahead of the one that is missing: OpenVPN's own window */
	PACKET_MAX = 4096,
	TIME_MIN = 0x3a000000 /* 2000: OpenVPN is younger */
};

static const uint8_t hmacs[] = {0, 16, 20, 32, 48, 64}; /* none, MD5, SHA-1, SHA-2 */

struct openvpn {
	struct framed half[2]; /* TCP */
	bool known[2];         /* the HMAC's length */
	uint8_t extra[2];      /* bytes of HMAC and stamp */
	bool done[2];
	uint32_t next[2];
	uint32_t waiting_number[2][WAITING_MAX];
	struct carry waiting[2][WAITING_MAX];
	void *tls; /* state of parser_tls */
};

/* ---- the first packet of a side ---- */

static bool reset_fits(const uint8_t *p, size_t n, uint8_t hmac)
{
	struct cursor c = cursor_over(p, n);
	bool client = cursor_u8(&c) >> 3 == RESET_CLIENT;
	cursor_skip(&c, SESSION + hmac);
	if (hmac && (cursor_u32(&c) > 0xffff || cursor_u32(&c) < TIME_MIN))
		return false;
	unsigned acks = cursor_u8(&c);
	if (acks > ACKS_MAX || (client && acks))
		return false;
	cursor_skip(&c, acks ? acks * 4 + SESSION : 0);
	return cursor_u32(&c) == 0 && cursor_ok(&c) && !cursor_left(&c);
}

/* Asks for a session, and for nothing else. */
static bool reset_read(const uint8_t *p, size_t n, uint8_t *extra)
{
	if (!n || (p[0] >> 3 != RESET_CLIENT && p[0] >> 3 != RESET_SERVER) || p[0] & 7)
		return false;
	for (size_t i = 0; i < sizeof(hmacs); i++)
		if (reset_fits(p, n, hmacs[i])) {
			*extra = hmacs[i] ? (uint8_t)(hmacs[i] + STAMP) : 0;
			return true;
		}
	return false;
}

static enum probe probe_udp(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	uint8_t extra;
	(void)in;
	(void)side;
	return reset_read(p, n, &extra) ? PROBE_YES : PROBE_NO;
}

static enum probe probe_tcp(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n);
	size_t length = cursor_u16(&c);
	uint8_t extra;
	(void)in;
	(void)side;
	if (n < 3)
		return n < 1 || p[0] == 0 ? PROBE_MORE : PROBE_NO; /* such a packet is short */
	if (length > PACKET_MAX || (p[2] >> 3 != RESET_CLIENT && p[2] >> 3 != RESET_SERVER))
		return PROBE_NO;
	if (cursor_left(&c) < length)
		return length <= 256 ? PROBE_MORE : PROBE_NO;
	return reset_read(c.p, length, &extra) ? PROBE_YES : PROBE_NO;
}

/* ---- the stream ---- */

static void as_tls(struct inspect *in, struct openvpn *s)
{
	in->parser = &parser_tls;
	in->state = s->tls;
}

static void as_openvpn(struct inspect *in, struct openvpn *s, const struct parser *parser)
{
	in->parser = parser;
	in->state = s;
}

static void feed(struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct openvpn *s = in->state;
	const struct parser *parser = in->parser;
	size_t used = n;
	s->next[side]++;
	if (s->done[side] || !n)
		return;
	as_tls(in, s);
	enum verdict v = parser_tls.stream(in, side, p, n, &used);
	as_openvpn(in, s, parser);
	if (v == INSPECT_ERROR)
		ledger_count(in->ledger, LEDGER_PARSER_ERROR);
	s->done[side] = v != INSPECT_MORE;
	if (v == INSPECT_DONE || v == INSPECT_ERROR)
		s->done[TO_SERVER] = s->done[TO_CLIENT] = true;
}

static void feed_waiting(struct inspect *in, enum side side)
{
	struct openvpn *s = in->state;
	for (;;) {
		uint32_t slot = s->next[side] % WAITING_MAX;
		struct carry *c = &s->waiting[side][slot];
		if (!c->n || s->waiting_number[side][slot] != s->next[side])
			return;
		struct carry held = *c;
		*c = (struct carry){0};
		feed(in, side, held.p, held.n);
		carry_free(in->mem, &held);
	}
}

/* In order at once, ahead of it later; what is sent again is there already. */
static void packet_bytes(struct inspect *in, enum side side, uint32_t number, struct bytes b)
{
	struct openvpn *s = in->state;
	uint32_t ahead = number - s->next[side];
	if (!ahead) {
		feed(in, side, b.p, b.n);
		feed_waiting(in, side);
	} else if (ahead < WAITING_MAX) {
		uint32_t slot = number % WAITING_MAX;
		struct carry *c = &s->waiting[side][slot];
		if (c->n || !b.n)
			return;
		s->waiting_number[side][slot] = number;
		if (!carry_push(in->mem, c, b.p, b.n, PACKET_MAX))
			ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
	} else if (ahead < UINT32_MAX / 2) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	}
}

static void forget(struct inspect *in)
{
	struct openvpn *s = in->state;
	const struct parser *parser = in->parser;
	if (s->tls) {
		as_tls(in, s);
		parser_tls.drop(in);
		as_openvpn(in, s, parser);
		mem_free(in->mem, s->tls, parser_tls.state_size);
		s->tls = NULL;
	}
	for (int side = 0; side < 2; side++)
		for (int i = 0; i < WAITING_MAX; i++)
			carry_free(in->mem, &s->waiting[side][i]);
}

/* The other's answer to a reset belongs to the same session; a second one begins another. */
static bool begin(struct inspect *in, enum side side, uint8_t extra)
{
	struct openvpn *s = in->state;
	if (s->known[side] && s->next[side] <= 1)
		return true; /* sent again */
	if (s->known[side]) {
		forget(in);
		s->known[!side] = false;
	}
	if (!s->tls && !(s->tls = mem_alloc(in->mem, parser_tls.state_size))) {
		ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
		return false;
	}
	s->known[side] = true;
	s->extra[side] = extra;
	s->next[side] = 1;
	s->done[side] = false;
	return true;
}

static enum verdict packet(struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct openvpn *s = in->state;
	struct cursor c = cursor_over(p, n);
	uint8_t extra;
	enum opcode op = (enum opcode)(cursor_u8(&c) >> 3);
	if (reset_read(p, n, &extra))
		return begin(in, side, extra) ? INSPECT_MORE : INSPECT_DONE;
	if (op != CONTROL || !s->known[side])
		return INSPECT_MORE;
	cursor_skip(&c, SESSION + s->extra[side]);
	unsigned acks = cursor_u8(&c);
	cursor_skip(&c, acks ? acks * 4 + SESSION : 0);
	uint32_t number = cursor_u32(&c);
	if (acks > ACKS_MAX || !cursor_ok(&c)) {
		ledger_count(in->ledger, LEDGER_PARSER_ERROR);
		return INSPECT_MORE;
	}
	packet_bytes(in, side, number, cursor_bytes(&c, cursor_left(&c)));
	return s->done[TO_SERVER] && s->done[TO_CLIENT] ? INSPECT_DONE : INSPECT_MORE;
}

static enum verdict datagram(struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	return n ? packet(in, side, p, n) : INSPECT_MORE;
}

/* ---- over TCP ---- */

static size_t head(const struct inspect *in, const uint8_t *p, size_t n)
{
	(void)in;
	if (n < 3)
		return 3;
	size_t length = (size_t)(p[0] << 8 | p[1]);
	unsigned op = p[2] >> 3;
	if (!length || op < CONTROL - 3 || op > RESET_CLIENT_3)
		return 0;
	if (op == DATA_1 || op == DATA_2 || op == ACK)
		return 3;
	return length <= PACKET_MAX ? 2 + length : 0;
}

static enum verdict framed_packet(struct inspect *in, enum side side, struct framed *f, const uint8_t *p, size_t n)
{
	f->skip = 2u + (uint64_t)(p[0] << 8 | p[1]) - n;
	return packet(in, side, p + 2, n - 2);
}

static const struct framing framing = {.max = PACKET_MAX + 2, .head = head, .message = framed_packet};

static enum verdict stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct openvpn *s = in->state;
	return framed_stream(in, side, &s->half[side], &framing, p, n, used);
}

static enum verdict gap(struct inspect *in, enum side side, size_t lost)
{
	struct openvpn *s = in->state;
	return framed_gap(in, &s->half[side], lost);
}

static void drop(struct inspect *in)
{
	struct openvpn *s = in->state;
	forget(in);
	framed_drop(in, &s->half[0]);
	framed_drop(in, &s->half[1]);
}

const struct parser parser_openvpn_udp = {.name = "openvpn",
					  .over = OVER_UDP,
					  .state_size = sizeof(struct openvpn),
					  .probe = probe_udp,
					  .datagram = datagram,
					  .drop = drop};

const struct parser parser_openvpn_tcp = {.name = "openvpn",
					  .over = OVER_TCP,
					  .state_size = sizeof(struct openvpn),
					  .probe = probe_tcp,
					  .stream = stream,
					  .gap = gap,
					  .drop = drop};
