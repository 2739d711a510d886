/* Link layers: everything between the capture and an IP or ARP header. Numbers
 * are those of https://www.tcpdump.org/linktypes.html and of IEEE's EtherType and
 * LLC registries. */
#include "sensor/decode_walk.h"

#include <string.h>

enum {
	TYPE_IP4 = 0x0800,
	TYPE_ARP = 0x0806,
	TYPE_BRIDGED = 0x6558, /* Ethernet inside GRE, GENEVE, … */
	TYPE_VLAN = 0x8100,
	TYPE_VLAN_OLD_1 = 0x9100,
	TYPE_VLAN_OLD_2 = 0x9200,
	TYPE_VLAN_OUTER = 0x88a8,
	TYPE_IP6 = 0x86dd,
	TYPE_PPP = 0x880b,
	TYPE_MPLS = 0x8847,
	TYPE_MPLS_MULTICAST = 0x8848,
	TYPE_PPPOE = 0x8864,
	TYPE_MACSEC = 0x88e5,
	TYPE_PBB = 0x88e7,
	TYPE_FABRIC = 0x8903,
	TYPE_VNTAG = 0x8926,
	TYPE_ETAG = 0x893f,
	TYPE_NSH = 0x894f,
	TYPE_FIRST = 0x0600 /* below this it is a length (IEEE 802.3) */
};

/* ---- Ethernet and what it carries ---- */

/* LLC (IEEE 802.2) and SNAP: 0 DSAP | 1 SSAP | 2 control | SNAP: 3 OUI(3) | 6 EtherType
 * DSAP 06 is IP itself (RFC 948). FE (OSI: IS-IS), 42 (STP), F0 (NetBEUI) are not for us. */
static enum ledger_id walk_llc(struct walk *w, struct cursor c, uint32_t cut)
{
	const uint8_t *p = cursor_take(&c, 3);
	if (!p)
		return walk_short(cut);
	if (p[0] == 0x06 && p[1] == 0x06 && p[2] == 3)
		return walk_ip(w, c, cut);
	if (p[0] != 0xaa || p[1] != 0xaa || p[2] != 3)
		return LEDGER_END_NOT_IP;
	uint32_t oui = cursor_u24(&c);
	uint16_t type = cursor_u16(&c);
	if (!cursor_ok(&c))
		return walk_short(cut);
	if (oui != 0 && oui != 0x0000f8) /* encapsulated Ethernet, RFC 1042; bridge tunnel, IEEE 802.1H */
		return LEDGER_END_NOT_IP;
	return walk_ethertype(w, type, c, cut);
}

/* Ethernet: 0 destination(6) | 6 source(6) | 12 EtherType, or the length of an LLC frame */
enum ledger_id walk_ethernet(struct walk *w, struct cursor c, uint32_t cut)
{
	const uint8_t *p = cursor_take(&c, 14);
	if (!p)
		return walk_short(cut);
	uint16_t type = be16(p + 12);
	if (type < TYPE_FIRST)
		return walk_deeper(w) ? walk_llc(w, c, cut) : LEDGER_END_TOO_DEEP;
	return walk_ethertype(w, type, c, cut);
}

/* VLAN tags (IEEE 802.1Q, 802.1ad and their predecessors): 0 priority, id(12 bits) | 2 EtherType
 * The first four are kept, outermost first; more are read over, and counted. */
static enum ledger_id walk_vlan(struct walk *w, struct cursor c, uint32_t cut)
{
	uint16_t tag = cursor_u16(&c), type = cursor_u16(&c);
	if (!cursor_ok(&c))
		return walk_short(cut);
	if (w->vlan_n < sizeof(w->vlan) / sizeof(w->vlan[0]))
		w->vlan[w->vlan_n++] = tag & 0x0fff;
	else
		ledger_count(w->d->ledger, LEDGER_DECODE_LIMIT);
	if (type < TYPE_FIRST)
		return walk_llc(w, c, cut);
	return walk_ethertype(w, type, c, cut);
}

/* PPPoE session (RFC 2516): 0 version, type = 11 | 1 code = 0 | 2 session | 4 length | 6 PPP */
static enum ledger_id walk_pppoe(struct walk *w, struct cursor c, uint32_t cut)
{
	const uint8_t *p = cursor_take(&c, 6);
	if (!p)
		return walk_short(cut);
	if (p[0] != 0x11)
		return LEDGER_END_MALFORMED;
	return p[1] == 0 ? walk_ppp(w, c, cut) : LEDGER_END_NOT_IP;
}

/* PPP (RFC 1661, 1662): [ff 03] | protocol (2 bytes, 1 when compressed: then it is odd) */
enum ledger_id walk_ppp(struct walk *w, struct cursor c, uint32_t cut)
{
	if (cursor_left(&c) >= 2 && c.p[0] == 0xff && c.p[1] == 0x03)
		cursor_skip(&c, 2);
	uint16_t protocol = cursor_u8(&c);
	if (!(protocol & 1))
		protocol = (uint16_t)(protocol << 8 | cursor_u8(&c));
	if (!cursor_ok(&c))
		return walk_short(cut);
	switch (protocol) {
	case 0x0021:
	case 0x0057:
		return walk_ip(w, c, cut);
	case 0x0281:
	case 0x0283:
		return walk_mpls(w, c, cut);
	default:
		return LEDGER_END_NOT_IP; /* LCP, IPCP, PAP, compressed and multilink frames */
	}
}

/* What the inner of a pseudo-wire may be: Ethernet, behind a control word whose
 * first four bits are zero (RFC 4448) or without one. */
static enum ledger_id walk_pseudowire(struct walk *w, struct cursor c, uint32_t cut)
{
	struct cursor bare = c;
	uint8_t vlan_n = w->vlan_n;
	if (cursor_left(&c) < 4)
		return walk_short(cut);
	if (c.p[0] >> 4 == 0) {
		cursor_skip(&c, 4);
		if (walk_ethernet(w, c, cut) == WALKED)
			return WALKED;
	}
	w->vlan_n = vlan_n;
	return walk_ethernet(w, bare, cut) == WALKED ? WALKED : LEDGER_END_NOT_IP;
}

/* MPLS label stack (RFC 3032): 4 bytes each: label(20 bits) traffic class(3) bottom(1) TTL(8)
 * Nothing says what follows the bottom: the first four bits are 4 or 6 for IP
 * (RFC 4928), otherwise it is taken for a pseudo-wire if that decodes. */
enum ledger_id walk_mpls(struct walk *w, struct cursor c, uint32_t cut)
{
	unsigned labels = 0;
	uint32_t label;
	do {
		if (++labels > MPLS_LABELS_MAX)
			return LEDGER_END_TOO_DEEP;
		label = cursor_u32(&c);
		if (!cursor_ok(&c))
			return walk_short(cut);
	} while (!(label & 0x100));
	if (cursor_left(&c) == 0)
		return walk_short(cut);
	unsigned nibble = c.p[0] >> 4;
	if (nibble != 4 && nibble != 6)
		return walk_pseudowire(w, c, cut);
	enum ledger_id r = walk_ip(w, c, cut);
	if (r == WALKED || r == LEDGER_END_TRUNCATED)
		return r;
	return walk_pseudowire(w, c, cut) == WALKED ? WALKED : r;
}

/* NSH (RFC 8300): 0 version(2 bits) … length in 4 (6 bits, low of byte 1) | 2 metadata type | 3 next protocol | 4 path
 */
static enum ledger_id walk_nsh(struct walk *w, struct cursor c, uint32_t cut)
{
	struct cursor head = c;
	const uint8_t *p = cursor_take(&head, 8);
	if (!p)
		return walk_short(cut);
	size_t length = (p[1] & 0x3fu) * 4;
	if (length < 8)
		return LEDGER_END_MALFORMED;
	if (!cursor_take(&c, length))
		return walk_short(cut);
	switch (p[3]) {
	case 1:
	case 2:
		return walk_ip(w, c, cut);
	case 3:
		return walk_ethernet(w, c, cut);
	case 5:
		return walk_mpls(w, c, cut);
	default:
		return LEDGER_END_NOT_IP;
	}
}

static enum ledger_id skip_then(struct walk *w, size_t n, struct cursor c, uint32_t cut,
				enum ledger_id (*next)(struct walk *, struct cursor, uint32_t))
{
	return cursor_take(&c, n) ? next(w, c, cut) : walk_short(cut);
}

/* A tag of n bytes that says nothing of the packet, then the EtherType. */
static enum ledger_id walk_tag(struct walk *w, size_t n, struct cursor c, uint32_t cut)
{
	cursor_skip(&c, n);
	uint16_t type = cursor_u16(&c);
	return cursor_ok(&c) ? walk_ethertype(w, type, c, cut) : walk_short(cut);
}

/* IEEE 802.1AE, SecTAG: 0 TCI and AN (0x20: a channel id follows; 0x0c: encrypted, changed) | 1 length |
 * 2 number(4) | [6 channel id(8)] | EtherType … | check value(16), which the IP length leaves out */
static enum ledger_id walk_macsec(struct walk *w, struct cursor c, uint32_t cut)
{
	struct cursor first = c;
	uint8_t tci = cursor_u8(&first);
	if (!cursor_ok(&first))
		return walk_short(cut);
	return tci & 0x0c ? LEDGER_END_NOT_IP : walk_tag(w, tci & 0x20 ? 14 : 6, c, cut);
}

enum ledger_id walk_ethertype(struct walk *w, uint16_t type, struct cursor c, uint32_t cut)
{
	if (type == TYPE_IP4 || type == TYPE_IP6)
		return walk_ip(w, c, cut);
	if (!walk_deeper(w))
		return LEDGER_END_TOO_DEEP;
	switch (type) {
	case TYPE_ARP:
		return walk_arp(w, c, cut);
	case TYPE_VLAN:
	case TYPE_VLAN_OUTER:
	case TYPE_VLAN_OLD_1:
	case TYPE_VLAN_OLD_2:
		return walk_vlan(w, c, cut);
	case TYPE_MPLS:
	case TYPE_MPLS_MULTICAST:
		return walk_mpls(w, c, cut);
	case TYPE_PPPOE:
		return walk_pppoe(w, c, cut);
	case TYPE_PPP:
		return walk_ppp(w, c, cut);
	case TYPE_BRIDGED:
		return walk_ethernet(w, c, cut);
	case TYPE_PBB: /* IEEE 802.1ah: service id(4), then the customer's frame */
		return skip_then(w, 4, c, cut, walk_ethernet);
	case TYPE_FABRIC: /* Cisco FabricPath: tag(2), then the customer's frame */
		return skip_then(w, 2, c, cut, walk_ethernet);
	case TYPE_VNTAG: /* IEEE 802.1BR's forerunner: interfaces(4) */
		return walk_tag(w, 4, c, cut);
	case TYPE_ETAG: /* IEEE 802.1BR: E-TCI(6) */
		return walk_tag(w, 6, c, cut);
	case TYPE_MACSEC:
		return walk_macsec(w, c, cut);
	case TYPE_NSH:
		return walk_nsh(w, c, cut);
	default:
		return LEDGER_END_NOT_IP;
	}
}

/* ---- IEEE 802.11 ---- */

/* 0 frame control(2: type in bits 2-3, subtype in 4-7; flags) | 2 duration | 4 three addresses | 22 sequence
 *   | [24 fourth address when to and from DS] | [QoS control(2)] | [HT control(4)] | LLC
 * Only clear data frames are read; of an aggregate (A-MSDU) the first frame.
 * Some access controllers send the two frame control bytes swapped. */
enum ledger_id walk_wlan(struct walk *w, struct cursor c, uint32_t cut, bool padded)
{
	const uint8_t *p = cursor_take(&c, 24);
	if (!p)
		return walk_short(cut);
	bool swapped = (p[0] & 0x0f) != 0x08 && (p[1] & 0x0f) == 0x08;
	uint8_t control = swapped ? p[1] : p[0], flags = swapped ? p[0] : p[1];
	if ((control & 0x0f) != 0x08 || control & 0x40 || flags & 0x40) /* not data; empty; encrypted */
		return LEDGER_END_NOT_IP;
	size_t more = (flags & 3) == 3 ? 6 : 0;
	cursor_skip(&c, more);
	bool aggregate = false;
	if (control & 0x80) {
		aggregate = cursor_u16le(&c) & 0x80;
		more += 2;
		if (flags & 0x80) {
			cursor_skip(&c, 4);
			more += 4;
		}
	}
	if (padded)
		cursor_skip(&c, (4 - (24 + more) % 4) % 4);
	if (aggregate)
		cursor_skip(&c, 14); /* destination, source, length of the first frame */
	return cursor_ok(&c) && walk_deeper(w) ? walk_llc(w, c, cut) : walk_short(cut);
}

/* Radiotap: 0 version | 2 length(le) | 4 fields present(le; bit 31: another such word follows) | fields, aligned
 * Field 1 (flags) says in bit 20 hex that the header is padded to four bytes; before it only field 0 (8 bytes). */
static enum ledger_id walk_radiotap(struct walk *w, struct cursor c, uint32_t cut)
{
	struct cursor head = c;
	cursor_skip(&head, 2);
	uint16_t length = cursor_u16le(&head);
	uint32_t present = cursor_u32le(&head), word = present;
	size_t at = 8;
	while (word & 0x80000000u && cursor_ok(&head) && at < length) {
		word = cursor_u32le(&head);
		at += 4;
	}
	if (present & 1)
		cursor_skip(&head, (at % 8 ? 4u : 0u) + 8);
	uint8_t flags = present & 2 ? cursor_u8(&head) : 0;
	if (!cursor_ok(&head) || !cursor_take(&c, length))
		return walk_short(cut);
	return walk_wlan(w, c, cut, flags & 0x20);
}

/* Prism: 0 message(4) | 4 length(4); AVS: 0 magic 8021100x | 4 length(4, big-endian). */
static enum ledger_id walk_prism(struct walk *w, struct cursor c, uint32_t cut)
{
	struct cursor avs = c, prism = c;
	bool new_form = (cursor_u32(&avs) & 0xfffff000u) == 0x80211000u;
	cursor_skip(&prism, 4);
	uint32_t length = new_form ? cursor_u32(&avs) : cursor_u32le(&prism);
	return cursor_take(&c, length) ? walk_wlan(w, c, cut, false) : walk_short(cut);
}

/* ---- other links ---- */

/* Loopback: 0 address family(4), in the byte order of whoever captured it. */
static enum ledger_id walk_null(struct walk *w, struct cursor c, uint32_t cut)
{
	uint32_t family = cursor_u32(&c);
	if (!cursor_ok(&c))
		return walk_short(cut);
	if (family > 0xffff)
		family = family >> 24 | (family >> 8 & 0xff00);
	switch (family) {
	case 2: /* AF_INET */
	case 10:
	case 23:
	case 24: /* AF_INET6 of Linux, Windows, NetBSD */
	case 28:
	case 30: /* FreeBSD, Darwin */
		return walk_ip(w, c, cut);
	default:
		return LEDGER_END_NOT_IP;
	}
}

/* Linux cooked v1: 0 packet type | 2 ARPHRD | 4 address length | 6 address(8) | 14 protocol
 *              v2: 0 protocol | 4 interface(4) | 8 ARPHRD | 10 packet type, address length, address(8) | 20 */
static enum ledger_id walk_cooked(struct walk *w, uint16_t protocol, struct cursor c, uint32_t cut)
{
	if (protocol >= TYPE_FIRST)
		return walk_ethertype(w, protocol, c, cut);
	return protocol == 4 ? walk_llc(w, c, cut) : LEDGER_END_NOT_IP;
}

static enum ledger_id walk_sll(struct walk *w, struct cursor c, uint32_t cut)
{
	const uint8_t *p = cursor_take(&c, 16);
	return p ? walk_cooked(w, be16(p + 14), c, cut) : walk_short(cut);
}

static enum ledger_id walk_sll2(struct walk *w, struct cursor c, uint32_t cut)
{
	const uint8_t *p = cursor_take(&c, 20);
	return p ? walk_cooked(w, be16(p), c, cut) : walk_short(cut);
}

/* Cisco HDLC: 0 address (0f unicast, 8f multicast) | 1 control = 0 | 2 EtherType. A first byte of ff is PPP. */
static enum ledger_id walk_hdlc(struct walk *w, struct cursor c, uint32_t cut)
{
	if (cursor_left(&c) >= 2 && c.p[0] == 0xff && c.p[1] == 0x03)
		return walk_ppp(w, c, cut);
	cursor_skip(&c, 2);
	uint16_t type = cursor_u16(&c);
	return cursor_ok(&c) ? walk_ethertype(w, type, c, cut) : walk_short(cut);
}

/* PPP as a modem line has it: HDLC's address and control, or Cisco HDLC on the same line. */
static enum ledger_id walk_ppp_serial(struct walk *w, struct cursor c, uint32_t cut)
{
	if (cursor_left(&c) >= 2 && (c.p[0] == 0x0f || c.p[0] == 0x8f) && c.p[1] == 0)
		return walk_hdlc(w, c, cut);
	return walk_ppp(w, c, cut);
}

/* pppd's form puts the direction (0 in, 1 out) in place of the address. */
static enum ledger_id walk_ppp_pppd(struct walk *w, struct cursor c, uint32_t cut)
{
	if (cursor_left(&c) >= 2 && c.p[0] <= 1 && c.p[1] == 0x03)
		cursor_skip(&c, 2);
	return walk_ppp(w, c, cut);
}

static enum ledger_id walk_ppp_dir(struct walk *w, struct cursor c, uint32_t cut)
{
	return skip_then(w, 1, c, cut, walk_ppp);
}

static enum ledger_id walk_hdlc_dir(struct walk *w, struct cursor c, uint32_t cut)
{
	return skip_then(w, 1, c, cut, walk_hdlc);
}

/* Frame relay (RFC 2427): address until a byte with bit 0 set (2-4 bytes) | 03 | [00] | NLPID
 *   cc IPv4, 8e IPv6, 80 SNAP (OUI(3), EtherType). Cisco puts an EtherType behind the address. */
static enum ledger_id walk_frelay(struct walk *w, struct cursor c, uint32_t cut)
{
	int n = 0;
	while (n++ < 4 && !(cursor_u8(&c) & 1))
		;
	uint8_t control = cursor_u8(&c), id = cursor_u8(&c);
	if (control == 3 && id == 0)
		id = cursor_u8(&c);
	if (!cursor_ok(&c))
		return walk_short(cut);
	if (control != 3)
		return walk_ethertype(w, (uint16_t)(control << 8 | id), c, cut);
	if (id == 0xcc || id == 0x8e)
		return walk_ip(w, c, cut);
	if (id != 0x80)
		return LEDGER_END_NOT_IP;
	cursor_skip(&c, 3);
	uint16_t type = cursor_u16(&c);
	return cursor_ok(&c) ? walk_ethertype(w, type, c, cut) : walk_short(cut);
}

static enum ledger_id walk_frelay_dir(struct walk *w, struct cursor c, uint32_t cut)
{
	return skip_then(w, 1, c, cut, walk_frelay);
}

/* FDDI: 0 frame control | 1 destination(6) | 7 source(6) | 13 LLC */
static enum ledger_id walk_fddi(struct walk *w, struct cursor c, uint32_t cut)
{
	return skip_then(w, 13, c, cut, walk_llc);
}

/* OpenBSD's enc: 0 family(4) | 4 SPI | 8 flags | 12 IP */
static enum ledger_id walk_enc(struct walk *w, struct cursor c, uint32_t cut)
{
	return skip_then(w, 12, c, cut, walk_ip);
}

/* IP over InfiniBand: 0 EtherType | 2 reserved */
static enum ledger_id walk_ipoib(struct walk *w, struct cursor c, uint32_t cut)
{
	uint16_t type = cursor_u16(&c);
	cursor_skip(&c, 2);
	return cursor_ok(&c) ? walk_ethertype(w, type, c, cut) : walk_short(cut);
}

/* pf's log: 0 header length, without padding to four | 1 family | … */
static enum ledger_id walk_pflog(struct walk *w, struct cursor c, uint32_t cut)
{
	struct cursor head = c;
	size_t length = cursor_u8(&head);
	return skip_then(w, (length + 3) & ~(size_t)3, c, cut, walk_ip);
}

/* Darwin's pktap: 0 header length(le) | 4 record type | 8 inner link type(le) | … */
static enum ledger_id walk_pktap(struct walk *w, struct cursor c, uint32_t cut)
{
	struct cursor head = c;
	uint32_t length = cursor_u32le(&head);
	cursor_skip(&head, 4);
	uint32_t inner = cursor_u32le(&head);
	if (!cursor_ok(&head) || !cursor_take(&c, length))
		return walk_short(cut);
	if (length < 12 || inner > 0xffff || !walk_deeper(w))
		return LEDGER_END_MALFORMED;
	return walk_link(w, (int)inner, c, cut);
}

/* PPI: 0 version | 1 flags | 2 header length(le) | 4 inner link type(le) | fields */
static enum ledger_id walk_ppi(struct walk *w, struct cursor c, uint32_t cut)
{
	struct cursor head = c;
	cursor_skip(&head, 2);
	uint16_t length = cursor_u16le(&head);
	uint32_t inner = cursor_u32le(&head);
	if (!cursor_ok(&head) || !cursor_take(&c, length))
		return walk_short(cut);
	if (length < 8 || inner > 0xffff || !walk_deeper(w))
		return LEDGER_END_MALFORMED;
	return walk_link(w, (int)inner, c, cut);
}

/* Linux' NFLOG: 0 family | 1 version | 2 resource, then fields: 0 length with this head | 2 type | 4 value, padded to
 * four; numbers in the capturing host's order. Field 9 is the packet. */
static enum ledger_id walk_nflog(struct walk *w, struct cursor c, uint32_t cut)
{
	cursor_skip(&c, 4);
	while (cursor_ok(&c) && walk_deeper(w)) {
		struct cursor big = c;
		uint16_t length = cursor_u16le(&c), type = cursor_u16le(&c);
		if (type > 0xff) {
			length = cursor_u16(&big);
			type = (uint16_t)(type >> 8);
		}
		if (cursor_ok(&c) && length < 4)
			return LEDGER_END_MALFORMED;
		if (cursor_ok(&c) && type == 9)
			return walk_ip(w, c, cut);
		cursor_skip(&c, (size_t)((length + 3) & ~3) - 4);
	}
	return cursor_ok(&c) ? LEDGER_END_TOO_DEEP : walk_short(cut);
}

static enum ledger_id walk_wlan_bare(struct walk *w, struct cursor c, uint32_t cut)
{
	return walk_wlan(w, c, cut, false);
}

static const struct link_type {
	int number;
	enum ledger_id (*walk)(struct walk *, struct cursor, uint32_t);
} link_types[] = {
    {0, walk_null},         /* NULL */
    {1, walk_ethernet},     /* ETHERNET */
    {9, walk_ppp_serial},   /* PPP */
    {10, walk_fddi},        /* FDDI */
    {11, walk_llc},         /* ATM_RFC1483, as DLT */
    {12, walk_ip},          /* RAW, as DLT */
    {14, walk_ip},          /* RAW of OpenBSD */
    {50, walk_ppp_serial},  /* PPP_HDLC */
    {51, walk_pppoe},       /* PPP_ETHER */
    {100, walk_llc},        /* ATM_RFC1483 */
    {101, walk_ip},         /* RAW */
    {104, walk_hdlc},       /* C_HDLC */
    {105, walk_wlan_bare},  /* IEEE802_11 */
    {107, walk_frelay},     /* FRELAY */
    {108, walk_null},       /* LOOP */
    {109, walk_enc},        /* ENC */
    {113, walk_sll},        /* LINUX_SLL */
    {117, walk_pflog},      /* PFLOG */
    {119, walk_prism},      /* IEEE802_11_PRISM */
    {127, walk_radiotap},   /* IEEE802_11_RADIOTAP */
    {149, walk_pktap},      /* USER2, which Darwin used for PKTAP */
    {163, walk_prism},      /* IEEE802_11_AVS */
    {166, walk_ppp_pppd},   /* PPP_PPPD */
    {192, walk_ppi},        /* PPI */
    {204, walk_ppp_dir},    /* PPP_WITH_DIR */
    {205, walk_hdlc_dir},   /* C_HDLC_WITH_DIR */
    {206, walk_frelay_dir}, /* FRELAY_WITH_DIR */
    {219, walk_mpls},       /* MPLS */
    {228, walk_ip},         /* IPV4 */
    {229, walk_ip},         /* IPV6 */
    {239, walk_nflog},      /* NFLOG */
    {242, walk_ipoib},      /* IPOIB */
    {258, walk_pktap},      /* PKTAP */
    {276, walk_sll2},       /* LINUX_SLL2 */
};

static const struct link_type *find(int number)
{
	for (size_t i = 0; i < sizeof(link_types) / sizeof(link_types[0]); i++) {
		if (link_types[i].number == number)
			return &link_types[i];
	}
	return NULL;
}

bool decode_knows_link_type(int link_type)
{
	return find(link_type) != NULL;
}

enum ledger_id walk_link(struct walk *w, int link_type, struct cursor c, uint32_t cut)
{
	if (link_type == 1)
		return walk_ethernet(w, c, cut);
	const struct link_type *t = find(link_type);
	return t ? t->walk(w, c, cut) : LEDGER_END_LINK_TYPE;
}
