/* QUIC (RFC 9000, RFC 9369, drafts 21 to 34, and Google's of before): the Initial
 * packets, whose keys an observer can derive, and the hellos inside.
 *
 *   long header: 0 u8 1 1 type(2) ….; 1 u32 version; 5 u8 n, n destination id; u8 n, n
 *                source id; Initial: varint n, n token; varint length; number, payload
 *   frames:      PADDING 0, PING 1, ACK 2 and 3, CRYPTO 6 (varint offset, varint n, n bytes)
 *   Google up to Q043: u8 flags, 8 id, u32 version, number, 12 hash, frames
 *   Google Q046:       u8 flags, u32 version, u8 id lengths, 8 id, u32 number, 12 hash, frames
 *   its STREAM frame:  u8 1 fin length offset(3) id(2), id, offset, u16 n, data
 *   its CHLO:          "CHLO", u16 tags, u16 0, then u32 tag, u32 end each; values   (little-endian)
 *
 * A flow is recognised by a client's Initial that its own destination id opens:
 * nothing else can look like it. The keys stay when the client goes over to the
 * server's id; after a Retry the packet in hand gives new ones. CRYPTO frames
 * come in any order over several packets. Coalesced packets are walked. */
#include <string.h>

#include "common/hash.h"
#include "common/scratch.h"
#include "sensor/initial.h"
#include "sensor/parsers.h"
#include "sensor/pieces.h"
#include "sensor/tls_hello.h"

#define ID_MAX          20
#define COALESCED_MAX   8   /* packets in one datagram */
#define FRAMES_MAX      256 /* frames in one packet, runs of padding counted as one */
#define MESSAGE_HEAD    4
#define CHLO_TAGS_MAX   128
#define CHLO_HASH       12
#define TAG(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

enum packet_kind { PACKET_INITIAL = 0, PACKET_0RTT, PACKET_HANDSHAKE, PACKET_RETRY };
enum role { ROLE_CLIENT = 0, ROLE_SERVER };

/* A long header packet inside a datagram. */
struct long_packet {
	uint32_t version;
	struct initial_scheme scheme;
	enum packet_kind kind;
	struct bytes whole; /* header and payload of this packet */
	struct bytes id;    /* destination */
	size_t number_at;
};

struct quic_state {
	bool keyed;
	enum side client; /* the side that the client's packets come from */
	struct initial_keys keys[2];
	struct pieces crypto[2];
	uint32_t read[2]; /* bytes of crypto that are behind us */
	uint8_t last[16]; /* digest of the last ClientHello: after a Retry it comes again */
	bool saw[2];
	struct tls_facts facts;
};

/* ---- packets ---- */

static uint64_t varint(struct cursor *c)
{
	uint8_t first = cursor_u8(c);
	uint64_t v = first & 0x3f;
	for (int more = (1 << (first >> 6)) - 1; more > 0; more--)
		v = v << 8 | cursor_u8(c);
	return v;
}

static bool id_read(struct cursor *c, struct bytes *id)
{
	uint8_t n = cursor_u8(c);
	*id = cursor_bytes(c, n);
	return cursor_ok(c) && n <= ID_MAX;
}

/* RFC 9369 §3.2 turns the type numbers by one. */
static enum packet_kind kind_of(uint8_t first, bool v2)
{
	unsigned type = first >> 4 & 3;
	return (enum packet_kind)(v2 ? (type + 3) & 3 : type);
}

/* The next long header packet of a datagram; *c goes behind it. False: the rest is
 * none, or of a version that is not known. */
static bool packet_read(struct cursor *c, struct long_packet *p)
{
	struct bytes source;
	const uint8_t *begin = c->p;
	uint8_t first = cursor_u8(c);
	p->version = cursor_u32(c);
	if (!cursor_ok(c) || !(first & 0x80) || !initial_scheme_of(p->version, 0, &p->scheme))
		return false;
	p->kind = kind_of(first, p->scheme.v2);
	if (p->kind == PACKET_RETRY || !id_read(c, &p->id) || !id_read(c, &source))
		return false;
	if (p->kind == PACKET_INITIAL) {
		uint64_t token = varint(c);
		if (token > cursor_left(c))
			return false;
		cursor_skip(c, (size_t)token);
	}
	uint64_t n = varint(c);
	if (!cursor_ok(c) || n > cursor_left(c))
		return false;
	p->number_at = (size_t)(c->p - begin);
	cursor_skip(c, (size_t)n);
	p->whole = (struct bytes){begin, p->number_at + (size_t)n};
	return true;
}

/* ---- the client hello of Google's handshake ---- */

/* Values lie one behind the other; a tag says where its own ends. */
static bool chlo_sni(struct cursor *c, struct bytes *sni)
{
	uint32_t name = cursor_u32(c);
	size_t tags = cursor_u16le(c);
	cursor_skip(c, 2);
	struct cursor table = cursor_sub(c, tags * 8);
	if (!cursor_ok(c) || name != TAG('C', 'H', 'L', 'O') || !tags || tags > CHLO_TAGS_MAX)
		return false;
	size_t from = 0;
	while (cursor_left(&table)) {
		uint32_t tag = cursor_u32(&table);
		size_t to = cursor_u32le(&table);
		struct cursor value = *c;
		if (to < from)
			return false;
		if (tag == TAG('S', 'N', 'I', 0)) {
			cursor_skip(&value, from);
			*sni = cursor_bytes(&value, to - from);
			return cursor_ok(&value);
		}
		from = to;
	}
	*sni = (struct bytes){0};
	return true;
}

/* Behind the public header of Q024 to Q043, or the long one of Q046. */
static bool google_header(struct cursor *c)
{
	uint8_t flags = cursor_u8(c);
	uint32_t version;
	if (flags & 0x80) {
		version = cursor_u32(c);
		uint8_t ids = cursor_u8(c);
		cursor_skip(c, (ids >> 4 ? (size_t)(ids >> 4) + 3 : 0) + (ids & 15 ? (size_t)(ids & 15) + 3 : 0));
		cursor_skip(c, (size_t)(flags & 3) + 1);
		return cursor_ok(c) && version == TAG('Q', '0', '4', '6');
	}
	static const uint8_t number_size[4] = {1, 2, 4, 6};
	if ((flags & 0x09) != 0x09 || flags & 0x42)
		return false;
	cursor_skip(c, 8);
	version = cursor_u32(c);
	cursor_skip(c, number_size[flags >> 4 & 3]);
	return cursor_ok(c) && version >= TAG('Q', '0', '2', '4') && version <= TAG('Q', '0', '4', '3') &&
	       (version & 0xff) >= '0' && (version & 0xff) <= '9';
}

/* An unencrypted packet of Google's with a CHLO at its beginning. */
static bool google_chlo(const uint8_t *p, size_t n, struct bytes *sni)
{
	struct cursor c = cursor_over(p, n);
	if (!google_header(&c))
		return false;
	cursor_skip(&c, CHLO_HASH);
	uint8_t frame = cursor_u8(&c);
	unsigned offset = frame >> 2 & 7;
	if (!(frame & 0x80) || !(frame & 0x20))
		return false;
	cursor_skip(&c, (size_t)(frame & 3) + 1);
	cursor_skip(&c, offset ? offset + 1 : 0);
	cursor_skip(&c, 2);
	return cursor_ok(&c) && chlo_sni(&c, sni);
}

static void report_chlo(struct inspect *in, struct bytes sni)
{
	struct quic_state *s = in->state;
	struct tls_facts *f = &s->facts;
	if (!sni.n || (sni.n == f->sni_n && memcmp(sni.p, f->sni, sni.n) == 0))
		return;
	f->sni_n = (uint8_t)(sni.n < SNI_MAX ? sni.n : SNI_MAX);
	memcpy(f->sni, sni.p, f->sni_n);
	observe(in, WHERE_QUIC_SNI, sni.p, sni.n);
}

/* ---- the handshake inside CRYPTO frames ---- */

/* RFC 8446 §4.1.3: a server that asks for another hello says this instead of a
 * random number. */
static bool asks_again(struct bytes body)
{
	static const uint8_t retry[32] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
					  0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
					  0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};
	return body.n >= 34 && memcmp(body.p + 2, retry, sizeof(retry)) == 0;
}

static bool client_again(struct quic_state *s, struct bytes body)
{
	uint8_t digest[sizeof(s->last)];
	hash_md5(digest, body.p, body.n);
	if (memcmp(digest, s->last, sizeof(digest)) == 0)
		return true;
	memcpy(s->last, digest, sizeof(digest));
	return false;
}

static void message(struct inspect *in, enum role role, uint8_t type, struct bytes body)
{
	struct quic_state *s = in->state;
	bool ok = true;
	if (role == ROLE_CLIENT && type == TLS_CLIENT_HELLO) {
		ok = client_again(s, body) || tls_report_client(in, TLS_OVER_QUIC, body, &s->facts);
		s->saw[ROLE_CLIENT] = true;
	} else if (role == ROLE_SERVER && type == TLS_SERVER_HELLO) {
		ok = tls_report_server(in, TLS_OVER_QUIC, body, &s->facts);
		s->saw[ROLE_SERVER] = !asks_again(body);
	}
	if (!ok)
		ledger_count(in->ledger, LEDGER_PARSER_ERROR);
}

/* Reports the messages that are whole. */
static void messages(struct inspect *in, enum role role)
{
	struct quic_state *s = in->state;
	const struct pieces *all = &s->crypto[role];
	while (pieces_ready(all) > s->read[role]) {
		struct cursor c = cursor_over(all->p, pieces_ready(all));
		cursor_skip(&c, s->read[role]);
		uint8_t type = cursor_u8(&c);
		uint32_t n = cursor_u24(&c);
		struct bytes body = cursor_bytes(&c, n);
		if (!cursor_ok(&c))
			return;
		s->read[role] += MESSAGE_HEAD + n;
		message(in, role, type, body);
	}
}

/* Google's CHLO in a CRYPTO frame; its other messages are of no interest. */
static void google_crypto(struct inspect *in, struct bytes data)
{
	struct cursor c = cursor_over(data.p, data.n);
	struct bytes sni;
	if (chlo_sni(&c, &sni))
		report_chlo(in, sni);
}

static void crypto_frame(struct inspect *in, enum role role, bool chlo, uint64_t offset, struct bytes data)
{
	struct quic_state *s = in->state;
	if (chlo) {
		google_crypto(in, data);
		return;
	}
	if (!pieces_add(in->mem, &s->crypto[role], offset, data, MESSAGE_HEAD + TLS_HANDSHAKE_MAX))
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
}

static void ack_skip(struct cursor *c, bool ecn)
{
	varint(c);
	varint(c);
	uint64_t ranges = varint(c);
	varint(c);
	for (uint64_t i = 0; i < ranges && cursor_ok(c); i++) {
		varint(c);
		varint(c);
	}
	for (int i = 0; ecn && i < 3; i++)
		varint(c);
}

/* Google has its own number for CRYPTO. */
static bool crypto_type(uint64_t type, bool google)
{
	return type == 6 || (google && type == 8);
}

/* Google's ACK with one block, in its two usual lengths: type(1) largest(1, 2) delay(2) block(1, 2) stamps(1 …). */
static bool google_ack(struct cursor *c)
{
	uint8_t type = cursor_left(c) ? *c->p : 0;
	if (type == 0x40)
		cursor_skip(c, 6);
	else if (type == 0x60)
		cursor_skip(c, 9);
	else
		return false;
	return true;
}

/* Most of a client's first packet. */
static void padding_skip(struct cursor *c)
{
	const uint8_t *p = c->p;
	size_t left = cursor_left(c);
	for (uint64_t eight = 0; left >= sizeof(eight); p += sizeof(eight), left -= sizeof(eight)) {
		memcpy(&eight, p, sizeof(eight));
		if (eight)
			break;
	}
	for (; left && *p == 0; left--)
		p++;
	cursor_skip(c, (size_t)(p - c->p));
}

static void frames(struct inspect *in, enum role role, const struct initial_scheme *scheme, struct cursor c)
{
	for (unsigned i = 0; cursor_left(&c) && cursor_ok(&c); i++) {
		if (i == FRAMES_MAX) {
			ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
			break;
		}
		if (scheme->google && google_ack(&c))
			continue;
		uint64_t type = varint(&c);
		if (type == 0) {
			padding_skip(&c);
		} else if (type == 2 || type == 3) {
			ack_skip(&c, type == 3);
		} else if (crypto_type(type, scheme->google)) {
			uint64_t offset = varint(&c), n = varint(&c);
			struct bytes data = cursor_bytes(&c, n <= cursor_left(&c) ? (size_t)n : cursor_left(&c) + 1);
			if (cursor_ok(&c))
				crypto_frame(in, role, scheme->chlo, offset, data);
		} else if (type != 1) {
			break;
		}
	}
	if (!scheme->chlo)
		messages(in, role);
}

/* ---- opening ---- */

/* A client's first packet, or its first after a Retry: it brings its own keys. */
static size_t open_with_own(const struct long_packet *p, struct initial_keys keys[2], uint8_t *plain)
{
	struct initial_scheme scheme;
	size_t n = 0;
	for (unsigned i = 0; !n && initial_scheme_of(p->version, i, &scheme); i++) {
		initial_keys_of(&scheme, p->id, &keys[ROLE_CLIENT], &keys[ROLE_SERVER]);
		n = initial_open(&keys[ROLE_CLIENT], p->whole.p, p->number_at, p->whole.n, plain);
	}
	return n;
}

static void forget(struct inspect *in)
{
	struct quic_state *s = in->state;
	pieces_free(in->mem, &s->crypto[ROLE_CLIENT]);
	pieces_free(in->mem, &s->crypto[ROLE_SERVER]);
	s->read[ROLE_CLIENT] = s->read[ROLE_SERVER] = 0;
}

static size_t open_packet(struct inspect *in, enum side side, const struct long_packet *p, uint8_t *plain)
{
	struct quic_state *s = in->state;
	struct initial_keys own[2];
	enum role role = side == s->client ? ROLE_CLIENT : ROLE_SERVER;
	size_t n = s->keyed ? initial_open(&s->keys[role], p->whole.p, p->number_at, p->whole.n, plain) : 0;
	if (n || (s->keyed && role == ROLE_SERVER))
		return n;
	n = open_with_own(p, own, plain);
	if (!n)
		return 0;
	forget(in);
	memcpy(s->keys, own, sizeof(own));
	s->keyed = true;
	s->client = side;
	return n;
}

static void initial_packet(struct inspect *in, enum side side, const struct long_packet *p)
{
	struct quic_state *s = in->state;
	SCRATCH uint8_t plain[INITIAL_PACKET_MAX];
	if (p->whole.n > INITIAL_PACKET_MAX) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		return;
	}
	size_t n = open_packet(in, side, p, plain);
	if (n)
		frames(in, side == s->client ? ROLE_CLIENT : ROLE_SERVER, &p->scheme, cursor_over(plain, n));
}

static enum verdict datagram(struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct quic_state *s = in->state;
	struct cursor c = cursor_over(p, n);
	struct long_packet packet;
	struct bytes sni;
	if (google_chlo(p, n, &sni))
		report_chlo(in, sni);
	for (unsigned i = 0; cursor_left(&c) && packet_read(&c, &packet); i++) {
		if (i == COALESCED_MAX) {
			ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
			break;
		}
		if (packet.kind == PACKET_INITIAL)
			initial_packet(in, side, &packet);
	}
	return s->saw[ROLE_CLIENT] && s->saw[ROLE_SERVER] ? INSPECT_DONE : INSPECT_MORE;
}

static enum probe probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n);
	struct long_packet packet;
	struct bytes sni;
	struct initial_keys keys[2];
	SCRATCH uint8_t plain[INITIAL_PACKET_MAX];
	(void)in;
	(void)side;
	if (google_chlo(p, n, &sni))
		return PROBE_YES;
	for (unsigned i = 0; i < COALESCED_MAX && cursor_left(&c) && packet_read(&c, &packet); i++)
		if (packet.kind == PACKET_INITIAL)
			return open_with_own(&packet, keys, plain) ? PROBE_YES : PROBE_NO;
	return PROBE_NO;
}

static void describe(const struct inspect *in, struct alert_app *app)
{
	const struct quic_state *s = in->state;
	tls_describe(&s->facts, app);
}

const struct parser parser_quic = {.name = "quic",
				   .over = OVER_UDP,
				   .state_size = sizeof(struct quic_state),
				   .probe = probe,
				   .datagram = datagram,
				   .describe = describe,
				   .drop = forget};
