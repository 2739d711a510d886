/* Tunnels: from the payload of an IP layer to the layer inside.
 *
 * Decisions:
 * - A tunnel over its own IP protocol is believed by that number, one over UDP by
 *   its port, and Teredo between peers by its unmistakable addresses. In each case
 *   only if what is inside decodes; otherwise it is plain payload and inspected as
 *   such, so that nothing hides behind a tunnel's port. Over UDP it must decode
 *   without a fault: every length fits, the transport header is possible.
 * - Control messages (L2TP, GTP echo, CAPWAP's DTLS) are plain payload and not a
 *   refusal.
 * - Of a fragmented CAPWAP frame the first part is read, as a cut packet; it is
 *   not put together. L2TPv3 is not read: its header's size is not on the wire. */
#include "sensor/tunnel.h"

#include <string.h>

#define NOT_A_TUNNEL LEDGER_COUNT /* beside the ends and WALKED */

enum {
	GTP_EXTENSIONS_MAX = 8,
	GRE_ROUTES_MAX = 8,
	TZSP_TAGS_MAX = 64,
	PORT_L2TP = 1701,
	PORT_GTP = 2152,
	PORT_GRE = 4754,
	PORT_TEREDO = 3544,
	PORT_VXLAN_GPE = 4790,
	PORT_AYIYA = 5072,
	PORT_CAPWAP = 5247,
	PORT_MPLS = 6635,
	PORT_TZSP = 37008
};

const char *const tunnel_names[TUNNEL_COUNT] = {
    [TUNNEL_NONE] = "none",       [TUNNEL_GRE] = "gre",       [TUNNEL_ERSPAN] = "erspan", [TUNNEL_IPIP] = "ipip",
    [TUNNEL_6IN4] = "6in4",       [TUNNEL_VXLAN] = "vxlan",   [TUNNEL_GENEVE] = "geneve", [TUNNEL_GTP] = "gtp",
    [TUNNEL_TEREDO] = "teredo",   [TUNNEL_CAPWAP] = "capwap", [TUNNEL_L2TP] = "l2tp",     [TUNNEL_TZSP] = "tzsp",
    [TUNNEL_ETHERIP] = "etherip", [TUNNEL_MPLS] = "mpls",     [TUNNEL_AYIYA] = "ayiya",
};

/* ERSPAN (draft-foschiano-erspan-03), behind GRE. Type I (88be, no sequence number) has no header.
 * II (88be):  0 version = 1 (4 bits), VLAN | 2 … session | 4 index(4) | 8 Ethernet
 * III (22eb): 0 version = 2 … | 4 timestamp | 8 group | 10 … | 11 bit 0: 8 more bytes follow | 12 Ethernet */
static enum ledger_id erspan(struct walk *w, struct cursor c, uint32_t cut, bool header)
{
	w->tunnel = TUNNEL_ERSPAN;
	if (!header)
		return walk_ethernet(w, c, cut);
	const uint8_t *p = cursor_take(&c, 8);
	if (!p)
		return walk_short(cut);
	if (p[0] >> 4 == 1)
		return walk_ethernet(w, c, cut);
	if (p[0] >> 4 != 2)
		return LEDGER_END_MALFORMED;
	const uint8_t *rest = cursor_take(&c, 4);
	if (rest && rest[3] & 1)
		cursor_skip(&c, 8);
	return cursor_ok(&c) ? walk_ethernet(w, c, cut) : walk_short(cut);
}

/* RFC 1701's source routes: 0 family(2) | 2 offset | 3 length | 4 route; a family and length of 0 end them. */
static bool skip_routes(struct cursor *c)
{
	for (int i = 0; i < GRE_ROUTES_MAX; i++) {
		uint16_t family = cursor_u16(c);
		cursor_skip(c, 1);
		uint8_t length = cursor_u8(c);
		if (!cursor_ok(c) || (!family && !length))
			return cursor_ok(c);
		cursor_skip(c, length);
	}
	return false;
}

/* GRE (RFC 2784, 2890, 1701): 0 flags: checksum 8000, routing 4000, key 2000, sequence 1000 … version(3 bits)
 *   2 EtherType | [checksum, offset(4)] | [key(4)] | [sequence(4)] | [routes]
 * Version 1 is PPTP's (RFC 2637): the key is payload length and call; acknowledgement 0080 adds 4. */
static enum ledger_id gre(struct walk *w, struct cursor c, uint32_t cut)
{
	uint16_t flags = cursor_u16(&c), type = cursor_u16(&c);
	unsigned version = flags & 7;
	if (version > 1)
		return LEDGER_END_MALFORMED;
	if (flags & 0xc000)
		cursor_skip(&c, 4);
	if (flags & 0x2000)
		cursor_skip(&c, 4);
	if (flags & 0x1000)
		cursor_skip(&c, 4);
	if (version == 1 && flags & 0x0080)
		cursor_skip(&c, 4);
	if (version == 0 && flags & 0x4000 && !skip_routes(&c))
		return LEDGER_END_MALFORMED;
	if (!cursor_ok(&c))
		return walk_short(cut);
	if (cursor_left(&c) + cut == 0)
		return NOT_A_TUNNEL; /* keep-alive, or PPTP's bare acknowledgement */
	w->tunnel = TUNNEL_GRE;
	if (type == 0x88be)
		return erspan(w, c, cut, flags & 0x1000);
	if (type == 0x22eb)
		return erspan(w, c, cut, true);
	if (type >> 8 == 0x82) /* Aruba: IEEE 802.11 as the access point heard it */
		return walk_wlan(w, c, cut, false);
	return walk_ethertype(w, type, c, cut);
}

/* EtherIP (RFC 3378): 0 version = 3 (4 bits), reserved | 2 Ethernet */
static enum ledger_id etherip(struct walk *w, struct cursor c, uint32_t cut)
{
	uint16_t head = cursor_u16(&c);
	if (head >> 12 != 3)
		return walk_short(cursor_ok(&c) ? 0 : cut);
	w->tunnel = TUNNEL_ETHERIP;
	return walk_ethernet(w, c, cut);
}

/* VXLAN (RFC 7348): 0 flags: 08 = network id valid | 4 network id(3) | 8 Ethernet. The reserved bits are not looked
 * at: other makers use them. GPE (RFC draft-ietf-nvo3-vxlan-gpe, port 4790): 3 next protocol */
static enum ledger_id vxlan(struct walk *w, struct cursor c, uint32_t cut, bool gpe)
{
	const uint8_t *p = cursor_take(&c, 8);
	if (!p)
		return walk_short(cut);
	if (!(p[0] & 0x08))
		return LEDGER_END_MALFORMED;
	w->tunnel = TUNNEL_VXLAN;
	if (gpe && (p[3] == 1 || p[3] == 2))
		return walk_ip(w, c, cut);
	if (gpe && p[3] == 4)
		return walk_ethertype(w, 0x894f, c, cut);
	return walk_ethernet(w, c, cut);
}

/* GENEVE (RFC 8926): 0 version = 0 (2 bits), option length in 4 (6 bits) | 1 flags | 2 EtherType | 4 network id | 8
 * options */
static enum ledger_id geneve(struct walk *w, struct cursor c, uint32_t cut)
{
	const uint8_t *p = cursor_take(&c, 8);
	if (!p)
		return walk_short(cut);
	if (p[0] >> 6 != 0)
		return LEDGER_END_MALFORMED;
	cursor_skip(&c, (p[0] & 0x3fu) * 4);
	w->tunnel = TUNNEL_GENEVE;
	return cursor_ok(&c) ? walk_ethertype(w, be16(p + 2), c, cut) : walk_short(cut);
}

/* GTP-U extension headers (3GPP TS 29.281, 5.2): 0 length in 4 | content | last byte: type of the next, 0 = none */
static bool skip_gtp_extensions(struct cursor *c, uint8_t next)
{
	for (int i = 0; next && i < GTP_EXTENSIONS_MAX; i++) {
		size_t n = cursor_u8(c) * 4u;
		if (n < 4)
			return false;
		cursor_skip(c, n - 2);
		next = cursor_u8(c);
	}
	return !next;
}

/* GTP-U (3GPP TS 29.281): 0 version = 1 (3 bits), protocol = 1, 0, E, S, N | 1 type: 255 = user data | 2 length behind
 *   byte 8 | 4 tunnel id | with E, S or N: 8 sequence(2), N-PDU, type of the first extension header */
static enum ledger_id gtp(struct walk *w, struct cursor c, uint32_t cut)
{
	const uint8_t *p = cursor_take(&c, 8);
	if (!p)
		return walk_short(cut);
	if (p[0] >> 4 != 3)
		return LEDGER_END_MALFORMED;
	if (p[1] != 255)
		return NOT_A_TUNNEL;
	if (be16(p + 2) > cursor_left(&c) + cut)
		return LEDGER_END_MALFORMED;
	if (p[0] & 7) {
		cursor_skip(&c, 3);
		uint8_t next = cursor_u8(&c);
		if (p[0] & 4 && !skip_gtp_extensions(&c, next))
			return walk_short(cursor_ok(&c) ? 0 : cut);
	}
	w->tunnel = TUNNEL_GTP;
	return cursor_ok(&c) ? walk_ip(w, c, cut) : walk_short(cut);
}

/* Teredo (RFC 4380, 5.1.1): [authentication: 0001, id length(1), value length(1), id, value, nonce(8), confirmation(1)]
 *   [origin: 0000, port(2), address(4)] | IPv6 */
static enum ledger_id teredo(struct walk *w, struct cursor c, uint32_t cut)
{
	if (cursor_left(&c) >= 4 && be16(c.p) == 1)
		cursor_skip(&c, 4u + c.p[2] + c.p[3] + 9);
	if (cursor_left(&c) >= 2 && be16(c.p) == 0)
		cursor_skip(&c, 8);
	if (cursor_left(&c) == 0)
		return walk_short(cut);
	if (c.p[0] >> 4 != 6)
		return LEDGER_END_MALFORMED;
	w->tunnel = TUNNEL_TEREDO;
	return walk_ip(w, c, cut);
}

/* Between Teredo peers any port is possible. The IPv6 length must fit exactly and
 * one address lie in 2001:0::/32 (RFC 4380, 2.6). */
static bool teredo_peers(struct cursor c)
{
	static const uint8_t prefix[4] = {0x20, 0x01};
	const uint8_t *p = cursor_take(&c, 40);
	return p && p[0] >> 4 == 6 && be16(p + 4) == cursor_left(&c) &&
	       (memcmp(p + 8, prefix, 4) == 0 || memcmp(p + 24, prefix, 4) == 0);
}

/* CAPWAP data (RFC 5415, 4.3): 0 version(4 bits), type(4 bits): 1 = DTLS | 1 header length in 4 (5 bits), radio(5
 * bits), binding(5 bits; 1 = IEEE 802.11), flags: native frame, fragment, last, wireless info, MAC, keep-alive, … | 4
 * fragment id | 6 fragment offset in 8 (13 bits) | options | frame */
static enum ledger_id capwap(struct walk *w, struct cursor c, uint32_t cut)
{
	struct cursor head = c;
	const uint8_t *p = cursor_take(&head, 8);
	if (!p)
		return walk_short(cut);
	if (p[0] >> 4 != 0)
		return LEDGER_END_MALFORMED;
	bool native = p[2] & 1, fragment = p[3] & 0x80, keep_alive = p[3] & 0x08;
	if ((p[0] & 15) != 0 || keep_alive)
		return NOT_A_TUNNEL;
	size_t head_n = (p[1] >> 3) * 4u;
	if (head_n < 8 || (fragment && be16(p + 6) >> 3))
		return LEDGER_END_MALFORMED;
	if (!cursor_take(&c, head_n))
		return walk_short(cut);
	w->tunnel = TUNNEL_CAPWAP;
	if (fragment)
		cut += UINT16_MAX;
	return native ? walk_wlan(w, c, cut, false) : walk_ethernet(w, c, cut);
}

/* L2TPv2 (RFC 2661, 3.1): 0 flags: control 8000, length 4000, sequence 0800, offset 0200, version(4 bits) = 2
 *   [length(2)] | tunnel(2) | session(2) | [sequence(4)] | [offset(2), padding] | PPP */
static enum ledger_id l2tp(struct walk *w, struct cursor c, uint32_t cut)
{
	uint16_t flags = cursor_u16(&c);
	if ((flags & 15) != 2)
		return NOT_A_TUNNEL;
	if (flags & 0x8000)
		return NOT_A_TUNNEL;
	cursor_skip(&c, (flags & 0x4000 ? 2 : 0) + 4u + (flags & 0x0800 ? 4 : 0));
	if (flags & 0x0200)
		cursor_skip(&c, cursor_u16(&c));
	w->tunnel = TUNNEL_L2TP;
	return cursor_ok(&c) ? walk_ppp(w, c, cut) : walk_short(cut);
}

/* TZSP: 0 version = 1 | 1 type: 0 received, 1 to send | 2 encapsulated: 1 Ethernet, 18 IEEE 802.11 | tags: 0 type
 * (0 padding, 1 end: no length) | 1 length | 2 value */
static enum ledger_id tzsp(struct walk *w, struct cursor c, uint32_t cut)
{
	const uint8_t *p = cursor_take(&c, 4);
	if (!p)
		return walk_short(cut);
	uint16_t inner = be16(p + 2);
	if (p[0] != 1 || p[1] > 1 || (inner != 1 && inner != 18))
		return LEDGER_END_MALFORMED;
	uint8_t tag = 0;
	for (int i = 0; tag != 1 && i < TZSP_TAGS_MAX && cursor_ok(&c); i++) {
		tag = cursor_u8(&c);
		if (tag > 1)
			cursor_skip(&c, cursor_u8(&c));
	}
	if (tag != 1 || !cursor_ok(&c))
		return walk_short(cut);
	w->tunnel = TUNNEL_TZSP;
	return inner == 1 ? walk_ethernet(w, c, cut) : walk_wlan(w, c, cut, false);
}

/* AYIYA (draft-massar-v6ops-ayiya-02, 3): 0 log2 of the identity's length (4 bits), its type(4 bits) | 1 length of the
 *   signature in 4 (4 bits), hash(4 bits) | 2 authentication(4 bits), operation(4 bits): 1 = forward | 3 IP protocol of
 *   what follows | 4 time(4) | 8 identity | signature */
static enum ledger_id ayiya(struct walk *w, struct cursor c, uint32_t cut)
{
	const uint8_t *p = cursor_take(&c, 8);
	if (!p)
		return walk_short(cut);
	if ((p[2] & 15) != 1 || (p[3] != 41 && p[3] != 4))
		return NOT_A_TUNNEL;
	if (!cursor_take(&c, (1u << (p[0] >> 4)) + (p[1] >> 4) * 4u))
		return walk_short(cut);
	w->tunnel = TUNNEL_AYIYA;
	return walk_ip(w, c, cut);
}

static enum ledger_id mpls(struct walk *w, struct cursor c, uint32_t cut)
{
	w->tunnel = TUNNEL_MPLS;
	return walk_mpls(w, c, cut);
}

static bool has_port(const uint16_t ports[4], uint16_t port)
{
	for (int i = 0; i < 4 && ports[i]; i++) {
		if (ports[i] == port)
			return true;
	}
	return false;
}

static enum ledger_id open_udp(struct walk *w, const struct layer *l, struct cursor c, uint32_t cut)
{
	const struct decoder_conf *conf = &w->d->conf;
	uint16_t src = l->src_port, dest = l->dest_port;
	if (has_port(conf->vxlan_ports, dest))
		return vxlan(w, c, cut, dest == PORT_VXLAN_GPE);
	if (has_port(conf->geneve_ports, dest))
		return geneve(w, c, cut);
	if (src == PORT_GTP || dest == PORT_GTP)
		return gtp(w, c, cut);
	if (dest == PORT_GRE) /* RFC 8086 */
		return gre(w, c, cut);
	if (src == PORT_TEREDO || dest == PORT_TEREDO)
		return teredo(w, c, cut);
	if (src == PORT_CAPWAP || dest == PORT_CAPWAP)
		return capwap(w, c, cut);
	if (src == PORT_L2TP || dest == PORT_L2TP)
		return l2tp(w, c, cut);
	if (dest == PORT_TZSP)
		return tzsp(w, c, cut);
	if (src == PORT_AYIYA || dest == PORT_AYIYA)
		return ayiya(w, c, cut);
	if (dest == PORT_MPLS)
		return mpls(w, c, cut);
	if (teredo_peers(c))
		return teredo(w, c, cut);
	return NOT_A_TUNNEL;
}

static enum ledger_id open_by_protocol(struct walk *w, const struct layer *l, struct cursor c, uint32_t cut)
{
	switch (l->proto) {
	case 17:
		w->doubtful = true;
		return open_udp(w, l, c, cut);
	case 4:
	case 94:
		w->tunnel = TUNNEL_IPIP;
		return walk_ip(w, c, cut);
	case 41:
		w->tunnel = addr_is_v4(&l->src) ? TUNNEL_6IN4 : TUNNEL_IPIP;
		return walk_ip(w, c, cut);
	case 47:
		return gre(w, c, cut);
	case 97:
		return etherip(w, c, cut);
	case 137:
		return mpls(w, c, cut);
	default:
		return NOT_A_TUNNEL;
	}
}

/* Nearly all datagrams are none, and this is asked for each. */
static bool maybe_tunnel(const struct walk *w, const struct layer *l, struct cursor c)
{
	if (l->proto != 17)
		return l->proto != 6;
	return decoder_tunnel_port(w->d, l->src_port) || decoder_tunnel_port(w->d, l->dest_port) || teredo_peers(c);
}

void tunnel_ports(struct decoder *d)
{
	static const uint16_t fixed[] = {PORT_GTP,  PORT_GRE,  PORT_TEREDO, PORT_CAPWAP,
					 PORT_L2TP, PORT_TZSP, PORT_MPLS,   PORT_AYIYA};
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		decoder_add_port(d, fixed[i]);
	for (int i = 0; i < 4; i++) {
		decoder_add_port(d, d->conf.vxlan_ports[i]);
		decoder_add_port(d, d->conf.geneve_ports[i]);
	}
}

void tunnel_open(struct walk *w, struct cursor c, uint32_t cut)
{
	struct packet *out = w->out;
	size_t layers = out->layers;
	const struct layer *l = &out->layer[layers - 1];
	if (!maybe_tunnel(w, l, c) || (cursor_left(&c) == 0 && cut == 0))
		return;
	enum tunnel tunnel = w->tunnel;
	bool doubtful = w->doubtful;
	uint8_t vlan_n = w->vlan_n;
	uint16_t vlan[VLAN_TAGS_MAX];
	memcpy(vlan, w->vlan, sizeof(vlan));
	w->vlan_n = 0;
	memset(w->vlan, 0, sizeof(w->vlan));
	enum ledger_id r = open_by_protocol(w, l, c, cut);
	bool clean = r == WALKED && (!w->doubtful || out->end != LEDGER_END_MALFORMED);
	if (!clean && r != LEDGER_END_TOO_DEEP) {
		out->layers = layers;
		out->end = LEDGER_END_COUNT;
		if (r != NOT_A_TUNNEL)
			ledger_count(w->d->ledger, LEDGER_TUNNEL_REFUSED);
	} else if (r == LEDGER_END_TOO_DEEP) {
		out->end = LEDGER_END_TOO_DEEP;
	}
	if (!clean) {
		w->tunnel = tunnel;
		w->doubtful = doubtful;
		w->vlan_n = vlan_n;
		memcpy(w->vlan, vlan, sizeof(vlan));
	}
}
