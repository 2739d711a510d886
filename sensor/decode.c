/* Decoding: entry, ARP, IP, and the transport headers. Link layers are in
 * decode_link.c, tunnels in tunnel.c, fragments in defrag.c.
 *
 * Decisions:
 * - The length that the IP header gives decides (Ethernet padding goes); when it
 *   says more than there is, the layer is `truncated` and still matched. Zero
 *   means segmentation offload (or an IPv6 jumbogram): what is there counts.
 *   Inside a tunnel over UDP a length beyond the outer payload is a refusal: that
 *   is how plain payload on a tunnel's port is told apart.
 * - When the IP header is whole, the packet has a layer, whatever follows: an
 *   impossible or cut transport header ends it (out->end) with addresses and
 *   protocol, because those were on the wire.
 * - A checksum is verified only on request and never decides anything: captures
 *   made on the sending host have wrong ones by design. */
#include "sensor/decode.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "sensor/checksum.h"
#include "sensor/decode_plain.h"
#include "sensor/decode_walk.h"
#include "sensor/tunnel.h"

enum {
	PROTO_HOPOPT = 0,
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_DCCP = 33,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_AH = 51,
	PROTO_ICMP6 = 58,
	PROTO_NONE = 59,
	PROTO_DSTOPTS = 60,
	PROTO_SCTP = 132,
	PROTO_MOBILITY = 135,
	PROTO_UDPLITE = 136,
	PROTO_HIP = 139,
	PROTO_SHIM6 = 140,
	LENGTH_TOP = 65535 /* of IP and UDP */
};

/* An IP header that has been read: what both families have in common. */
struct datagram {
	struct cursor head; /* from the IP header on, ending where the datagram ends */
	uint32_t cut;       /* bytes of the datagram that were not captured */
	struct cursor c;    /* behind the headers read so far */
	uint8_t proto;      /* of what c is at */
	bool v6;
	bool fragmented;
	bool rebuilt;     /* put together by defrag.c: never a fragment again, no header checksum */
	uint32_t next_at; /* IPv6: where in head `proto` stands */
	bool more;
	uint32_t id, offset, head_n; /* of a fragment; head_n: bytes in front of what was split */
	uint32_t fragment_next_at;
};

static const uint16_t vxlan_default[4] = {4789, 8472, 4790};
static const uint16_t geneve_default[4] = {6081};

struct decoder *decoder_new(const struct decoder_conf *conf, struct ledger *ledger)
{
	struct decoder *d = xcalloc(1, sizeof(*d));
	d->conf = conf ? *conf : (struct decoder_conf){0};
	if (!d->conf.vxlan_ports[0])
		memcpy(d->conf.vxlan_ports, vxlan_default, sizeof(vxlan_default));
	if (!d->conf.geneve_ports[0])
		memcpy(d->conf.geneve_ports, geneve_default, sizeof(geneve_default));
	d->ledger = ledger;
	tunnel_ports(d);
	d->defrag = defrag_new(d->conf.defrag_bytes, ledger);
	return d;
}

void decoder_free(struct decoder *d)
{
	if (!d)
		return;
	defrag_free(d->defrag);
	free(d);
}

/* The next layer with what the wrapping says; NULL at the limit: the packet then
 * ends as too deep, with the layers it has. */
static struct layer *add_layer(struct walk *w)
{
	struct packet *out = w->out;
	if (out->layers == LAYERS_MAX) {
		out->end = LEDGER_END_TOO_DEEP;
		return NULL;
	}
	struct layer *l = &out->layer[out->layers++];
	*l = (struct layer){.tunnel = w->tunnel, .vlan_n = w->vlan_n};
	memcpy(l->vlan, w->vlan, sizeof(l->vlan));
	return l;
}

/* ARP for IPv4 over anything (RFC 826):
 *   0 hardware type(2) | 2 protocol type(2) = 0800 | 4 hardware length | 5 protocol length = 4 | 6 operation(2)
 *   8 sender hardware, sender address, target hardware, target address */
enum ledger_id walk_arp(struct walk *w, struct cursor c, uint32_t cut)
{
	cursor_skip(&c, 2);
	uint16_t protocol = cursor_u16(&c);
	uint8_t hardware_n = cursor_u8(&c), protocol_n = cursor_u8(&c);
	cursor_skip(&c, 2u + hardware_n);
	if (cursor_ok(&c) && (protocol != 0x0800 || protocol_n != 4))
		return LEDGER_END_NOT_IP;
	const uint8_t *sender = cursor_take(&c, 4);
	cursor_skip(&c, hardware_n);
	const uint8_t *target = cursor_take(&c, 4);
	if (!sender || !target)
		return walk_short(cut);
	struct layer *l = add_layer(w);
	if (!l)
		return LEDGER_END_TOO_DEEP;
	l->arp = true;
	l->src = addr_v4(sender);
	l->dest = addr_v4(target);
	w->out->end = LEDGER_END_ARP;
	return WALKED;
}

/* ---- checksums ---- */

/* The pseudo-header of RFC 793 and RFC 8200, 8.1, for whole datagrams. */
static bool transport_checksum_ok(const struct layer *l, const uint8_t *p, size_t n, bool v6)
{
	uint64_t sum = 0;
	if (l->proto == PROTO_UDP && n >= 8 && be16(p + 6) == 0)
		return true; /* none */
	if (l->proto != PROTO_ICMP) {
		sum = v6 ? checksum_words(l->ip + 8, 32) : checksum_words(l->ip + 12, 8); /* both addresses */
		sum += (uint64_t)htons((uint16_t)(n >> 16)) + htons((uint16_t)n) + htons(l->proto);
	}
	return checksum_holds(sum + checksum_sum(p, n));
}

static bool has_checksum(const struct layer *l, size_t n, bool v6)
{
	if (l->proto == PROTO_TCP && n > OFFLOADED_TCP)
		return false;
	return l->proto == PROTO_TCP || l->proto == PROTO_UDP || (l->proto == PROTO_ICMP && !v6) ||
	       (l->proto == PROTO_ICMP6 && v6);
}

static void verify(struct walk *w, struct layer *l, const struct datagram *g, struct cursor transport)
{
	bool bad = !g->v6 && !g->rebuilt && !checksum_holds(checksum_words(l->ip, (size_t)(l->ip[0] & 15) * 4));
	bool verified = !g->cut && has_checksum(l, cursor_left(&transport), g->v6);
	if (verified)
		bad |= !transport_checksum_ok(l, transport.p, cursor_left(&transport), g->v6);
	l->good_checksum = verified && !bad;
	if (bad) {
		l->bad_checksum = true;
		ledger_count(w->d->ledger, LEDGER_CHECKSUM);
	}
}

/* ---- transport ---- */

/* 0 end | 1 NOP | other kinds: length with these two bytes, content */
uint32_t tcp_stamp_among(const uint8_t *options, size_t n)
{
	struct cursor c = cursor_over(options, n);
	for (uint8_t kind = cursor_u8(&c); cursor_ok(&c) && kind; kind = cursor_u8(&c)) {
		uint8_t length = kind == 1 ? 0 : cursor_u8(&c);
		if (kind == 8 && length == 10)
			return cursor_u32(&c);
		if (kind != 1 && length < 2)
			return 0;
		cursor_skip(&c, kind == 1 ? 0 : length - 2u);
	}
	return 0;
}

/* TCP (RFC 9293): 0 source port | 2 destination port | 4 sequence | 8 acknowledgement
 *   12 header length in words (4 bits) | 13 flags | 14 window | 16 checksum | 18 urgent | 20 options */
static bool read_tcp(struct layer *l, struct cursor *c)
{
	struct cursor ports = *c;
	l->src_port = cursor_u16(&ports);
	l->dest_port = cursor_u16(&ports);
	const uint8_t *p = cursor_take(c, 20);
	if (!p)
		return false;
	l->tcp_seq = be32(p + 4);
	l->tcp_ack = be32(p + 8);
	l->tcp_flags = p[13];
	unsigned head_n = (p[12] >> 4) * 4u;
	if (head_n < 20)
		return false;
	const uint8_t *options = cursor_take(c, head_n - 20);
	if (options)
		l->tcp_stamp = tcp_stamp_of(options, head_n - 20, l->tcp_flags);
	return options != NULL;
}

/* UDP (RFC 768): 0 source port | 2 destination port | 4 length | 6 checksum. For
 * UDP-Lite (RFC 3828) bytes 4-5 are how much the checksum covers. A length of 0 is
 * a jumbogram (RFC 2675) or segmentation offload. */
static bool read_udp(struct layer *l, struct cursor *c, uint32_t *cut)
{
	const uint8_t *p = cursor_take(c, 8);
	if (!p)
		return false;
	l->src_port = be16(p);
	l->dest_port = be16(p + 2);
	uint32_t n = be16(p + 4);
	if (l->proto == PROTO_UDPLITE || n == 0)
		return true;
	size_t left = cursor_left(c);
	if (n < 8 || n - 8 > left + *cut)
		return false;
	n -= 8;
	*cut = n > left ? n - (uint32_t)left : 0;
	*c = cursor_over(c->p, n < left ? n : left);
	return true;
}

static bool read_ports(struct layer *l, struct cursor *c, size_t head_n)
{
	const uint8_t *p = cursor_take(c, head_n);
	if (!p)
		return false;
	l->src_port = be16(p);
	l->dest_port = be16(p + 2);
	return true;
}

/* ICMP (RFC 792) and ICMPv6 (RFC 4443): 0 type | 1 code | 2 checksum | 4 depends on the type. */
static bool read_icmp(struct layer *l, struct cursor *c)
{
	const uint8_t *p = cursor_take(c, 4);
	if (!p)
		return false;
	l->icmp_type = p[0];
	l->icmp_code = p[1];
	cursor_skip(c, cursor_left(c) < 4 ? cursor_left(c) : 4);
	return true;
}

static bool read_transport(struct layer *l, struct cursor *c, uint32_t *cut)
{
	switch (l->proto) {
	case PROTO_TCP:
		return read_tcp(l, c);
	case PROTO_UDP:
	case PROTO_UDPLITE:
		return read_udp(l, c, cut);
	case PROTO_SCTP:
		return read_ports(l, c, 12);
	case PROTO_DCCP:
		return read_ports(l, c, 12);
	case PROTO_ICMP:
	case PROTO_ICMP6:
		return read_icmp(l, c);
	default:
		return true; /* ESP and all others: plain payload */
	}
}

static void set_payload(struct layer *l, const struct cursor *c, uint32_t cut)
{
	l->payload = c->p;
	l->payload_n = (uint32_t)cursor_left(c);
	l->payload_wire_n = l->payload_n + cut;
}

static void walk_transport(struct walk *w, struct layer *l, const struct datagram *g)
{
	struct cursor c = g->c;
	uint32_t cut = g->cut;
	if (cut && (g->fragmented || g->rebuilt) && g->proto == PROTO_UDP)
		cut = LENGTH_TOP; /* its length is that of all fragments */
	if (w->d->conf.checksums)
		verify(w, l, g, c);
	if (!read_transport(l, &c, &cut)) {
		w->out->end = cursor_ok(&c) ? LEDGER_END_MALFORMED : walk_short(cut);
		return;
	}
	set_payload(l, &c, cut);
	tunnel_open(w, c, cut);
}

/* ---- IP ---- */

static struct layer *ip_layer(struct walk *w, const struct datagram *g)
{
	struct layer *l = add_layer(w);
	if (!l)
		return NULL;
	const uint8_t *ip = g->head.p;
	l->src = g->v6 ? addr_v6(ip + 8) : addr_v4(ip + 12);
	l->dest = g->v6 ? addr_v6(ip + 24) : addr_v4(ip + 16);
	l->ttl = g->v6 ? ip[7] : ip[8];
	l->proto = g->proto;
	l->ip = ip;
	l->ip_n = (uint32_t)cursor_left(&g->head);
	l->truncated = g->cut > 0;
	return l;
}

static enum ledger_id end_with_layer(struct walk *w, const struct datagram *g, enum ledger_id end)
{
	if (!ip_layer(w, g))
		return LEDGER_END_TOO_DEEP;
	w->out->end = end;
	return WALKED;
}

static struct fragment_vlans vlans_of(const struct walk *w)
{
	struct fragment_vlans v = {.n = w->vlan_n};
	for (unsigned i = 0; i < w->vlan_n; i++)
		v.tag[i] = w->vlan[i];
	return v;
}

/* A fragment: kept, or the last missing one, with which the whole datagram is
 * walked as if it had come so. */
static enum ledger_id walk_fragment(struct walk *w, struct datagram *g)
{
	ledger_count(w->d->ledger, LEDGER_FRAG_SEEN);
	struct bytes whole = {0};
	if (!g->cut && !g->rebuilt) {
		const uint8_t *ip = g->head.p;
		struct fragment f = {.src = g->v6 ? addr_v6(ip + 8) : addr_v4(ip + 12),
				     .dest = g->v6 ? addr_v6(ip + 24) : addr_v4(ip + 16),
				     .id = g->id,
				     .vlans = vlans_of(w),
				     .v6 = g->v6,
				     .proto = g->proto,
				     .offset = g->offset,
				     .more = g->more,
				     .head = {.p = ip, .n = g->head_n},
				     .next_at = g->fragment_next_at,
				     .data = {.p = g->c.p, .n = cursor_left(&g->c)}};
		whole = defrag_add(w->d->defrag, &f, w->out->ts_us);
	}
	if (whole.p) {
		w->rebuilt = true;
		w->out->reassembled = true;
		return walk_ip(w, cursor_over(whole.p, whole.n), 0);
	}
	struct layer *l = ip_layer(w, g);
	if (!l)
		return LEDGER_END_TOO_DEEP;
	l->fragment = true;
	w->out->end = LEDGER_END_FRAGMENT;
	return WALKED;
}

/* Narrows c to n bytes, the length that a header gives. False: it does not fit
 * where it must. */
static bool narrow(const struct walk *w, struct cursor *c, uint32_t *cut, uint32_t n)
{
	size_t left = cursor_left(c);
	if (n <= left) {
		*c = cursor_over(c->p, n);
		*cut = 0;
		return true;
	}
	if (w->doubtful && n > left + *cut)
		return false;
	*cut = n - (uint32_t)left;
	return true;
}

enum header_step { HEADER_READ, HEADER_LAST, HEADER_CUT };

/* Steps over one header between IP and transport:
 *   0 next header | 1 length beyond the first 8 bytes, in 8 (AH, RFC 4302: in 4, beyond 2 words) | 2 content
 * Fragment (RFC 8200, 4.5): 0 next header | 2 offset in 8 (13 bits), 2 bits, more(1 bit) | 4 identification */
static enum header_step step_header(struct datagram *g)
{
	size_t length;
	const uint8_t *at = g->c.p;
	switch (g->proto) {
	case PROTO_HOPOPT:
	case PROTO_ROUTING:
	case PROTO_DSTOPTS:
	case PROTO_MOBILITY:
	case PROTO_HIP:
	case PROTO_SHIM6:
		if (!g->v6)
			return HEADER_LAST;
		length = cursor_left(&g->c) > 1 ? (at[1] + 1u) * 8 : 8;
		break;
	case PROTO_AH:
		length = cursor_left(&g->c) > 1 ? (at[1] + 2u) * 4 : 8;
		break;
	case PROTO_FRAGMENT:
		if (!g->v6)
			return HEADER_LAST;
		length = 8;
		break;
	default:
		return HEADER_LAST;
	}
	if (!cursor_take(&g->c, length))
		return HEADER_CUT;
	if (g->proto == PROTO_FRAGMENT) {
		g->head_n = (uint32_t)(at - g->head.p);
		g->fragment_next_at = g->next_at;
		g->offset = be16(at + 2) & 0xfff8u;
		g->more = at[3] & 1;
		g->id = be32(at + 4);
		/* Offset 0 and nothing more is a whole datagram (RFC 6946). */
		g->fragmented = g->offset || g->more;
	}
	g->proto = at[0];
	g->next_at = (uint32_t)(at - g->head.p);
	return HEADER_READ;
}

/* A first fragment that was cut will never be put together: what it begins with is read as
 * that of any packet that was cut. */
static bool cut_beginning(const struct datagram *g)
{
	return g->fragmented && g->cut && !g->offset;
}

/* Behind the IP header: further headers, then a fragment or the transport. */
static enum ledger_id walk_datagram(struct walk *w, struct datagram *g)
{
	for (int i = 0; !g->fragmented || cut_beginning(g); i++) {
		enum header_step step = step_header(g);
		if (step == HEADER_LAST)
			break;
		if (step == HEADER_CUT)
			return end_with_layer(w, g, walk_short(g->cut));
		if (i >= IP_HEADERS_MAX)
			return end_with_layer(w, g, LEDGER_END_TOO_DEEP);
	}
	if (g->fragmented && !cut_beginning(g))
		return walk_fragment(w, g);
	if (g->fragmented) {
		ledger_count(w->d->ledger, LEDGER_FRAG_SEEN);
		ledger_count(w->d->ledger, LEDGER_FRAG_BEGUN);
	}
	struct layer *l = ip_layer(w, g);
	if (!l)
		return LEDGER_END_TOO_DEEP;
	walk_transport(w, l, g);
	return WALKED;
}

/* IPv4 (RFC 791): 0 version, header words | 1 TOS | 2 total length | 4 identification | 6 flags(3), offset in 8
 *   8 TTL | 9 protocol | 10 checksum | 12 source | 16 destination | 20 options */
static enum ledger_id walk_ip4(struct walk *w, struct cursor c, uint32_t cut, bool rebuilt)
{
	struct datagram g = {.head = c, .v6 = false, .rebuilt = rebuilt};
	const uint8_t *ip = cursor_take(&g.head, 20);
	if (!ip)
		return walk_short(cut);
	unsigned head_n = (ip[0] & 15) * 4u;
	uint32_t total = be16(ip + 2);
	if (head_n < 20 || (total && total < head_n))
		return LEDGER_END_MALFORMED;
	if (total && !narrow(w, &c, &cut, total))
		return LEDGER_END_MALFORMED;
	g.head = g.c = c;
	g.cut = cut;
	g.proto = ip[9];
	if (!cursor_take(&g.c, head_n))
		return cut ? end_with_layer(w, &g, LEDGER_END_TRUNCATED) : LEDGER_END_MALFORMED;
	uint16_t split = be16(ip + 6);
	g.fragmented = (split & 0x3fff) != 0;
	g.id = be16(ip + 4);
	g.offset = (split & 0x1fffu) * 8;
	g.more = (split & 0x2000) != 0;
	g.head_n = head_n;
	return walk_datagram(w, &g);
}

/* IPv6 (RFC 8200): 0 version, class, label | 4 payload length | 6 next header | 7 hop limit | 8 source | 24 destination
 */
static enum ledger_id walk_ip6(struct walk *w, struct cursor c, uint32_t cut, bool rebuilt)
{
	struct datagram g = {.head = c, .v6 = true, .rebuilt = rebuilt, .next_at = 6};
	const uint8_t *ip = cursor_take(&g.head, 40);
	if (!ip)
		return walk_short(cut);
	uint32_t n = be16(ip + 4);
	bool offloaded = n == 0 && ip[6] != PROTO_NONE; /* or a jumbogram (RFC 2675) */
	if (!offloaded && !narrow(w, &c, &cut, 40 + n))
		return LEDGER_END_MALFORMED;
	g.head = g.c = c;
	g.cut = cut;
	g.proto = ip[6];
	cursor_skip(&g.c, 40);
	return walk_datagram(w, &g);
}

enum ledger_id walk_ip(struct walk *w, struct cursor c, uint32_t cut)
{
	bool rebuilt = w->rebuilt;
	w->rebuilt = false;
	if (!walk_deeper(w))
		return LEDGER_END_TOO_DEEP;
	if (cursor_left(&c) == 0)
		return walk_short(cut);
	switch (c.p[0] >> 4) {
	case 4:
		return walk_ip4(w, c, cut, rebuilt);
	case 6:
		return walk_ip6(w, c, cut, rebuilt);
	default:
		return LEDGER_END_MALFORMED;
	}
}

/* ---- entry ---- */

static void count_events(const struct walk *w)
{
	struct ledger *ledger = w->d->ledger;
	if (w->out->layer[0].vlan_n || w->vlan_n)
		ledger_count(ledger, LEDGER_VLAN);
	if (w->out->layers > 1)
		ledger_count(ledger, LEDGER_TUNNEL);
}

/* Apart from decode_packet(), so that plain packets do not pay for its locals. */
__attribute__((noinline)) static bool decode_walk(struct decoder *d, const struct raw_packet *raw, struct packet *out)
{
	defrag_release(d->defrag);
	struct walk w = {.d = d, .out = out};
	uint32_t cut = raw->wire_n > raw->n ? raw->wire_n - raw->n : 0;
	if (cut)
		ledger_count(d->ledger, LEDGER_CAPTURE_CUT);
	enum ledger_id r = walk_link(&w, raw->link_type, cursor_over(raw->data, raw->n), cut);
	if (r != WALKED) {
		out->layers = 0;
		ledger_count(d->ledger, r);
		return false;
	}
	count_events(&w);
	return true;
}

static void blank(struct packet *out, int64_t ts_us, uint32_t wire_n)
{
	out->ts_us = ts_us;
	out->wire_n = wire_n;
	out->layers = 0;
	out->end = LEDGER_END_COUNT;
	out->begun = out->reassembled = false;
}

bool decode_packet(struct decoder *d, const struct raw_packet *raw, struct packet *out)
{
	blank(out, raw->ts_us, raw->wire_n);
	return decode_plain(d, raw, out) || decode_walk(d, raw, out);
}

bool decode_given_up(struct decoder *d, int64_t ts_us, struct packet *out)
{
	struct fragment_vlans vlans;
	defrag_release(d->defrag);
	defrag_expire(d->defrag, ts_us);
	for (struct bytes b; (b = defrag_given_up(d->defrag, &vlans)).p;) {
		struct walk w = {.d = d, .out = out, .rebuilt = true, .vlan_n = vlans.n};
		memcpy(w.vlan, vlans.tag, sizeof(w.vlan));
		blank(out, ts_us, (uint32_t)b.n);
		if (walk_ip(&w, cursor_over(b.p, b.n), 0) != WALKED)
			continue;
		ledger_count(d->ledger, LEDGER_FRAG_BEGUN);
		out->begun = out->reassembled = true;
		return true;
	}
	return false;
}

bool decoder_end(struct decoder *d)
{
	bool waits = defrag_waiting(d->defrag) > 0;
	defrag_end(d->defrag);
	return waits;
}
