/* Decoding: each way of wrapping gives the packet inside; every prefix of every
 * packet ends in exactly one counter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/buf.h"
#include "sensor/decode.h"
#include "sensor/decode_plain.h"

/* A packet is built from the inside out: each helper puts bytes in front. */
struct build {
	uint8_t p[4096];
	size_t at; /* the packet is p + at … end */
};

static void begin(struct build *b, const char *payload)
{
	b->at = sizeof(b->p) - strlen(payload);
	memcpy(b->p + b->at, payload, strlen(payload));
}

static size_t size(const struct build *b)
{
	return sizeof(b->p) - b->at;
}

static void front(struct build *b, const void *bytes, size_t n)
{
	b->at -= n;
	memcpy(b->p + b->at, bytes, n);
}

#define FRONT(b, ...) front(b, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define HI(v)         (uint8_t)((v) >> 8)
#define LO(v)         (uint8_t)(v)

static void udp(struct build *b, unsigned src, unsigned dest)
{
	size_t n = size(b) + 8;
	FRONT(b, HI(src), LO(src), HI(dest), LO(dest), HI(n), LO(n), 0, 0);
}

static void tcp(struct build *b, unsigned src, unsigned dest)
{
	FRONT(b, HI(src), LO(src), HI(dest), LO(dest), 0, 0, 0, 7, 0, 0, 0, 9, 0x50, 0x18, 1, 0, 0, 0, 0, 0);
}

static void ip4_split(struct build *b, uint8_t proto, unsigned split)
{
	size_t n = size(b) + 20;
	FRONT(b, 0x45, 0, HI(n), LO(n), 0x12, 0x34, HI(split), LO(split), 64, proto, 0, 0, 10, 1, 2, 3, 192, 0, 2, 9);
}

static void ip4(struct build *b, uint8_t proto)
{
	ip4_split(b, proto, 0);
}

static void ip6(struct build *b, uint8_t proto)
{
	size_t n = size(b);
	FRONT(b, 0x60, 0, 0, 0, HI(n), LO(n), proto, 64, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x20,
	      1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2);
}

static void ethernet(struct build *b, unsigned type)
{
	FRONT(b, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, HI(type), LO(type));
}

static void inner(struct build *b)
{
	begin(b, "hello");
	udp(b, 1111, 2222);
	ip4(b, 17);
}

static void inner6(struct build *b)
{
	begin(b, "hello");
	udp(b, 1111, 2222);
	ip6(b, 17);
}

static void inner_ethernet(struct build *b)
{
	inner(b);
	ethernet(b, 0x0800);
}

static void over_udp(struct build *b, unsigned port)
{
	udp(b, 40000, port);
	ip4(b, 17);
	ethernet(b, 0x0800);
}

static void over_ip(struct build *b, uint8_t proto)
{
	ip4(b, proto);
	ethernet(b, 0x0800);
}

/* ---- the cases: how the packet is made ---- */

static void plain(struct build *b)
{
	inner(b);
	ethernet(b, 0x0800);
}
static void plain6(struct build *b)
{
	inner6(b);
	ethernet(b, 0x86dd);
}
static void vlan(struct build *b)
{
	inner(b);
	FRONT(b, 0x20, 10, 8, 0);
	ethernet(b, 0x8100);
}
static void qinq(struct build *b)
{
	inner(b);
	FRONT(b, 0, 20, 8, 0);
	FRONT(b, 0, 10, 0x81, 0);
	ethernet(b, 0x88a8);
}
static void snap(struct build *b)
{
	inner(b);
	FRONT(b, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0);
	ethernet(b, (unsigned)size(b));
}
static void mpls(struct build *b)
{
	inner(b);
	FRONT(b, 0, 1, 0, 64, 0, 2, 1, 64);
	ethernet(b, 0x8847);
}
static void mpls_word(struct build *b)
{
	inner_ethernet(b);
	FRONT(b, 0, 2, 1, 64, 0, 0, 0, 0);
	ethernet(b, 0x8847);
}
static void mpls_bare(struct build *b)
{
	inner_ethernet(b);
	FRONT(b, 0, 2, 1, 64);
	ethernet(b, 0x8847);
}
static void pppoe(struct build *b)
{
	inner(b);
	FRONT(b, 0x11, 0, 0, 1, 0, 40, 0, 0x21);
	ethernet(b, 0x8864);
}
static void pbb(struct build *b)
{
	inner_ethernet(b);
	FRONT(b, 0, 0, 0, 9);
	ethernet(b, 0x88e7);
}
static void vntag(struct build *b)
{
	inner(b);
	FRONT(b, 0, 0, 0, 9, 8, 0);
	ethernet(b, 0x8926);
}
static void etag(struct build *b)
{
	inner(b);
	FRONT(b, 0x10, 0, 0, 0xd3, 0, 0, 8, 0);
	ethernet(b, 0x893f);
}
static void fabric(struct build *b)
{
	inner_ethernet(b);
	FRONT(b, 0, 0x20);
	ethernet(b, 0x8903);
}
static void macsec(struct build *b)
{
	inner(b);
	FRONT(b, 0x00, 0, 0, 0, 0, 1, 8, 0);
	ethernet(b, 0x88e5);
}
static void macsec_channel(struct build *b)
{
	inner(b);
	FRONT(b, 0x20, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0, 1, 8, 0);
	ethernet(b, 0x88e5);
}
static void nsh(struct build *b)
{
	inner_ethernet(b);
	FRONT(b, 0, 2, 2, 3, 0, 0, 1, 1);
	ethernet(b, 0x894f);
}
static void options(struct build *b)
{
	begin(b, "hello");
	udp(b, 1111, 2222);
	size_t n = size(b) + 24;
	FRONT(b, 0x46, 0, HI(n), LO(n), 0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 2, 3, 192, 0, 2, 9, 1, 1, 1, 0);
	ethernet(b, 0x0800);
}
static void padded(struct build *b)
{
	struct build tail;
	inner(&tail);
	begin(b, "padpadpadpad");
	front(b, tail.p + tail.at, size(&tail));
	ethernet(b, 0x0800);
}
static void offloaded(struct build *b)
{
	inner(b);
	b->p[b->at + 2] = b->p[b->at + 3] = 0;
	ethernet(b, 0x0800);
}
static void extensions(struct build *b)
{
	begin(b, "hello");
	udp(b, 1111, 2222);
	FRONT(b, 17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);             /* AH */
	FRONT(b, 51, 0, 0, 0, 0, 0, 0, 0);                         /* mobility */
	FRONT(b, 135, 0, 0, 0, 0, 0, 0, 7);                        /* atomic fragment */
	FRONT(b, 44, 0, 0, 0, 0, 0, 0, 0);                         /* destination options */
	FRONT(b, 60, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0); /* routing */
	FRONT(b, 43, 0, 1, 4, 0, 0, 0, 0);                         /* hop by hop */
	ip6(b, 0);
	ethernet(b, 0x86dd);
}
static void gre(struct build *b)
{
	inner(b);
	FRONT(b, 0, 0, 8, 0);
	over_ip(b, 47);
}
static void gre_full(struct build *b)
{
	inner(b);
	FRONT(b, 0xb0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6);
	over_ip(b, 47);
}
static void gre_routed(struct build *b)
{
	inner(b);
	FRONT(b, 0x40, 0, 8, 0, 1, 2, 0, 0, 8, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0);
	over_ip(b, 47);
}
static void nvgre(struct build *b)
{
	inner_ethernet(b);
	FRONT(b, 0x20, 0, 0x65, 0x58, 0, 0, 5, 1);
	over_ip(b, 47);
}
static void pptp(struct build *b)
{
	inner(b);
	FRONT(b, 0xff, 3, 0, 0x21);
	FRONT(b, 0x30, 0x81, 0x88, 0x0b, 0, 37, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0);
	over_ip(b, 47);
}
static void erspan1(struct build *b)
{
	inner_ethernet(b);
	FRONT(b, 0, 0, 0x88, 0xbe);
	over_ip(b, 47);
}
static void erspan2(struct build *b)
{
	inner_ethernet(b);
	FRONT(b, 0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 1, 0, 0, 0, 0);
	over_ip(b, 47);
}
static void erspan3(struct build *b)
{
	inner_ethernet(b);
	FRONT(b, 0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);
	over_ip(b, 47);
}
static void ipip(struct build *b)
{
	inner(b);
	over_ip(b, 4);
}
static void sixin4(struct build *b)
{
	inner6(b);
	over_ip(b, 41);
}
static void fourin6(struct build *b)
{
	inner(b);
	ip6(b, 4);
	ethernet(b, 0x86dd);
}
static void etherip(struct build *b)
{
	inner_ethernet(b);
	FRONT(b, 0x30, 0);
	over_ip(b, 97);
}
static void mpls_in_udp(struct build *b)
{
	inner(b);
	FRONT(b, 0, 2, 1, 64);
	over_udp(b, 6635);
}
static void vxlan(struct build *b)
{
	inner_ethernet(b);
	FRONT(b, 8, 0, 0, 0, 0, 0, 5, 0);
	over_udp(b, 4789);
}
static void vxlan_gpe(struct build *b)
{
	inner(b);
	FRONT(b, 0xc, 0, 0, 1, 0, 0, 5, 0);
	over_udp(b, 4790);
}
static void geneve(struct build *b)
{
	inner_ethernet(b);
	FRONT(b, 1, 0, 0x65, 0x58, 0, 0, 5, 0, 1, 2, 3, 0);
	over_udp(b, 6081);
}
static void gtp(struct build *b)
{
	inner(b);
	size_t n = size(b);
	FRONT(b, 0x30, 255, HI(n), LO(n), 0, 0, 0, 1);
	over_udp(b, 2152);
}
static void gtp_extended(struct build *b)
{
	inner(b);
	size_t n = size(b) + 8;
	FRONT(b, 0x36, 255, HI(n), LO(n), 0, 0, 0, 1, 0, 7, 0, 0x85, 1, 0, 9, 0);
	over_udp(b, 2152);
}
static void ayiya(struct build *b)
{
	inner6(b);
	FRONT(b, 0x41, 0x52, 0x11, 41, 0x5f, 1, 2, 3, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3,
	      4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20);
	over_udp(b, 5072);
}
static void teredo(struct build *b)
{
	inner6(b);
	FRONT(b, 0, 1, 1, 2, 'i', 'v', 'v', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6);
	over_udp(b, 3544);
}
static void teredo_peer(struct build *b)
{
	inner6(b);
	b->p[b->at + 10] = b->p[b->at + 11] = 0; /* 2001:0::/32 */
	over_udp(b, 32900);
}
static void wlan(struct build *b)
{
	inner(b);
	FRONT(b, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0);
	FRONT(b, 0x88, 1, 0, 0, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0);
}
static void capwap(struct build *b)
{
	wlan(b);
	FRONT(b, 0, 0x10, 3, 0, 0, 0, 0, 0);
	over_udp(b, 5247);
}
static void capwap_swapped(struct build *b)
{
	wlan(b);
	b->p[b->at] = 1;
	b->p[b->at + 1] = 0x88;
	FRONT(b, 0, 0x10, 3, 0, 0, 0, 0, 0);
	over_udp(b, 5247);
}
static void capwap_ethernet(struct build *b)
{
	inner_ethernet(b);
	FRONT(b, 0, 0x10, 2, 0, 0, 0, 0, 0);
	over_udp(b, 5247);
}
static void l2tp(struct build *b)
{
	inner(b);
	FRONT(b, 0xff, 3, 0, 0x21);
	FRONT(b, 0x4a, 2, 0, 99, 0, 1, 0, 2, 0, 0, 0, 0, 0, 2, 0, 0);
	over_udp(b, 1701);
}
static void tzsp(struct build *b)
{
	inner_ethernet(b);
	FRONT(b, 1, 0, 0, 1, 0, 10, 1, 7, 1);
	over_udp(b, 37008);
}
static void nested(struct build *b)
{
	inner(b);
	ip4(b, 4);
	ip4(b, 4);
	over_ip(b, 4);
}
static void null_le(struct build *b)
{
	inner(b);
	FRONT(b, 2, 0, 0, 0);
}
static void null_be(struct build *b)
{
	inner6(b);
	FRONT(b, 0, 0, 0, 30);
}
static void sll(struct build *b)
{
	inner(b);
	FRONT(b, 0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0);
}
static void sll2(struct build *b)
{
	inner(b);
	FRONT(b, 8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0);
}
static void ppp(struct build *b)
{
	inner(b);
	FRONT(b, 0xff, 3, 0, 0x21);
}
static void ppp_short(struct build *b)
{
	inner(b);
	FRONT(b, 0x21);
}
static void ppp_pppd(struct build *b)
{
	inner(b);
	FRONT(b, 1, 3, 0, 0x21);
}
static void ppp_dir(struct build *b)
{
	ppp(b);
	FRONT(b, 1);
}
static void pppoe_bare(struct build *b)
{
	inner(b);
	FRONT(b, 0x11, 0, 0, 1, 0, 40, 0, 0x21);
}
static void hdlc(struct build *b)
{
	inner(b);
	FRONT(b, 0x0f, 0, 8, 0);
}
static void hdlc_dir(struct build *b)
{
	hdlc(b);
	FRONT(b, 0);
}
static void frelay(struct build *b)
{
	inner(b);
	FRONT(b, 0x18, 0x41, 3, 0xcc);
}
static void frelay_snap(struct build *b)
{
	inner(b);
	FRONT(b, 0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0);
}
static void frelay_cisco(struct build *b)
{
	inner(b);
	FRONT(b, 0x18, 0x41, 8, 0);
}
static void frelay_dir(struct build *b)
{
	frelay(b);
	FRONT(b, 0);
}
static void llc(struct build *b)
{
	inner(b);
	FRONT(b, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0);
}
static void fddi(struct build *b)
{
	llc(b);
	FRONT(b, 0x50, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2);
}
static void enc(struct build *b)
{
	inner(b);
	FRONT(b, 2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0);
}
static void pflog(struct build *b)
{
	inner(b);
	FRONT(b, 0, 0, 0);
	FRONT(b, 5, 2, 0, 0, 0);
}
static void radiotap(struct build *b)
{
	wlan(b);
	FRONT(b, 0, 0, 9, 0, 2, 0, 0, 0, 0);
}
static void radiotap_padded(struct build *b)
{
	llc(b);
	FRONT(b, 0x88, 1, 0, 0, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0);
	FRONT(b, 0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20);
}
static void prism(struct build *b)
{
	wlan(b);
	FRONT(b, 0x44, 0, 0, 0, 12, 0, 0, 0, 1, 2, 3, 4);
}
static void avs(struct build *b)
{
	wlan(b);
	FRONT(b, 0x80, 0x21, 0x10, 1, 0, 0, 0, 12, 1, 2, 3, 4);
}
static void ppi(struct build *b)
{
	plain(b);
	FRONT(b, 0, 0, 8, 0, 1, 0, 0, 0);
}
static void pktap(struct build *b)
{
	plain(b);
	FRONT(b, 16, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9, 9, 9, 9);
}
static void nflog(struct build *b)
{
	inner(b);
	FRONT(b, 2, 0, 0, 0, 5, 0, 3, 0, 1, 0, 0, 0, 37, 0, 9, 0);
}
static void ipoib(struct build *b)
{
	inner(b);
	FRONT(b, 8, 0, 0, 0);
}
static void mpls_link(struct build *b)
{
	inner(b);
	FRONT(b, 0, 2, 1, 64);
}

static const struct wrapping {
	const char *label;
	void (*make)(struct build *);
	int link_type;
	size_t layers;
	enum tunnel tunnel;
	uint8_t vlan_n;
} wrappings[] = {
    {"Ethernet, IPv4", plain, 1, 1, TUNNEL_NONE, 0},
    {"Ethernet, IPv6", plain6, 1, 1, TUNNEL_NONE, 0},
    {"VLAN", vlan, 1, 1, TUNNEL_NONE, 1},
    {"VLAN in VLAN", qinq, 1, 1, TUNNEL_NONE, 2},
    {"802.3 LLC SNAP", snap, 1, 1, TUNNEL_NONE, 0},
    {"MPLS", mpls, 1, 1, TUNNEL_NONE, 0},
    {"MPLS pseudo-wire with control word", mpls_word, 1, 1, TUNNEL_NONE, 0},
    {"MPLS pseudo-wire without", mpls_bare, 1, 1, TUNNEL_NONE, 0},
    {"PPPoE", pppoe, 1, 1, TUNNEL_NONE, 0},
    {"provider backbone bridge", pbb, 1, 1, TUNNEL_NONE, 0},
    {"VN-Tag", vntag, 1, 1, TUNNEL_NONE, 0},
    {"E-Tag", etag, 1, 1, TUNNEL_NONE, 0},
    {"FabricPath", fabric, 1, 1, TUNNEL_NONE, 0},
    {"MACsec in clear", macsec, 1, 1, TUNNEL_NONE, 0},
    {"MACsec in clear, channel id", macsec_channel, 1, 1, TUNNEL_NONE, 0},
    {"NSH", nsh, 1, 1, TUNNEL_NONE, 0},
    {"IPv4 options", options, 1, 1, TUNNEL_NONE, 0},
    {"Ethernet padding", padded, 1, 1, TUNNEL_NONE, 0},
    {"IP total length 0", offloaded, 1, 1, TUNNEL_NONE, 0},
    {"IPv6 extension headers", extensions, 1, 1, TUNNEL_NONE, 0},
    {"GRE", gre, 1, 2, TUNNEL_GRE, 0},
    {"GRE with checksum, key, sequence", gre_full, 1, 2, TUNNEL_GRE, 0},
    {"GRE with source routes", gre_routed, 1, 2, TUNNEL_GRE, 0},
    {"NVGRE", nvgre, 1, 2, TUNNEL_GRE, 0},
    {"PPTP", pptp, 1, 2, TUNNEL_GRE, 0},
    {"ERSPAN I", erspan1, 1, 2, TUNNEL_ERSPAN, 0},
    {"ERSPAN II", erspan2, 1, 2, TUNNEL_ERSPAN, 0},
    {"ERSPAN III", erspan3, 1, 2, TUNNEL_ERSPAN, 0},
    {"IPIP", ipip, 1, 2, TUNNEL_IPIP, 0},
    {"6in4", sixin4, 1, 2, TUNNEL_6IN4, 0},
    {"4in6", fourin6, 1, 2, TUNNEL_IPIP, 0},
    {"EtherIP", etherip, 1, 2, TUNNEL_ETHERIP, 0},
    {"MPLS in UDP", mpls_in_udp, 1, 2, TUNNEL_MPLS, 0},
    {"VXLAN", vxlan, 1, 2, TUNNEL_VXLAN, 0},
    {"VXLAN-GPE", vxlan_gpe, 1, 2, TUNNEL_VXLAN, 0},
    {"GENEVE with an option", geneve, 1, 2, TUNNEL_GENEVE, 0},
    {"GTP-U", gtp, 1, 2, TUNNEL_GTP, 0},
    {"GTP-U with sequence and extension", gtp_extended, 1, 2, TUNNEL_GTP, 0},
    {"Teredo with both indications", teredo, 1, 2, TUNNEL_TEREDO, 0},
    {"Teredo between peers", teredo_peer, 1, 2, TUNNEL_TEREDO, 0},
    {"CAPWAP, 802.11", capwap, 1, 2, TUNNEL_CAPWAP, 0},
    {"CAPWAP, 802.11 swapped", capwap_swapped, 1, 2, TUNNEL_CAPWAP, 0},
    {"CAPWAP, 802.3", capwap_ethernet, 1, 2, TUNNEL_CAPWAP, 0},
    {"L2TP", l2tp, 1, 2, TUNNEL_L2TP, 0},
    {"TZSP", tzsp, 1, 2, TUNNEL_TZSP, 0},
    {"AYIYA", ayiya, 1, 2, TUNNEL_AYIYA, 0},
    {"three tunnels", nested, 1, 4, TUNNEL_IPIP, 0},
    {"NULL, little-endian", null_le, 0, 1, TUNNEL_NONE, 0},
    {"LOOP", null_be, 108, 1, TUNNEL_NONE, 0},
    {"cooked v1", sll, 113, 1, TUNNEL_NONE, 0},
    {"cooked v2", sll2, 276, 1, TUNNEL_NONE, 0},
    {"PPP", ppp, 9, 1, TUNNEL_NONE, 0},
    {"PPP, protocol compressed", ppp_short, 50, 1, TUNNEL_NONE, 0},
    {"PPP, Cisco HDLC inside", hdlc, 50, 1, TUNNEL_NONE, 0},
    {"PPP, pppd", ppp_pppd, 166, 1, TUNNEL_NONE, 0},
    {"PPP with direction", ppp_dir, 204, 1, TUNNEL_NONE, 0},
    {"PPPoE alone", pppoe_bare, 51, 1, TUNNEL_NONE, 0},
    {"Cisco HDLC", hdlc, 104, 1, TUNNEL_NONE, 0},
    {"Cisco HDLC with direction", hdlc_dir, 205, 1, TUNNEL_NONE, 0},
    {"PPP on Cisco HDLC", ppp, 104, 1, TUNNEL_NONE, 0},
    {"frame relay", frelay, 107, 1, TUNNEL_NONE, 0},
    {"frame relay SNAP", frelay_snap, 107, 1, TUNNEL_NONE, 0},
    {"frame relay Cisco", frelay_cisco, 107, 1, TUNNEL_NONE, 0},
    {"frame relay with direction", frelay_dir, 206, 1, TUNNEL_NONE, 0},
    {"ATM", llc, 100, 1, TUNNEL_NONE, 0},
    {"FDDI", fddi, 10, 1, TUNNEL_NONE, 0},
    {"RAW", inner, 101, 1, TUNNEL_NONE, 0},
    {"RAW as DLT", inner6, 12, 1, TUNNEL_NONE, 0},
    {"IPV4", inner, 228, 1, TUNNEL_NONE, 0},
    {"IPV6", inner6, 229, 1, TUNNEL_NONE, 0},
    {"ENC", enc, 109, 1, TUNNEL_NONE, 0},
    {"PFLOG", pflog, 117, 1, TUNNEL_NONE, 0},
    {"802.11", wlan, 105, 1, TUNNEL_NONE, 0},
    {"radiotap", radiotap, 127, 1, TUNNEL_NONE, 0},
    {"radiotap, padded", radiotap_padded, 127, 1, TUNNEL_NONE, 0},
    {"Prism", prism, 119, 1, TUNNEL_NONE, 0},
    {"AVS", avs, 163, 1, TUNNEL_NONE, 0},
    {"PPI", ppi, 192, 1, TUNNEL_NONE, 0},
    {"PKTAP", pktap, 258, 1, TUNNEL_NONE, 0},
    {"NFLOG", nflog, 239, 1, TUNNEL_NONE, 0},
    {"IPoIB", ipoib, 242, 1, TUNNEL_NONE, 0},
    {"MPLS link", mpls_link, 219, 1, TUNNEL_NONE, 0},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Decodes an exact-size copy and ends the packet as a caller does. */
static bool decode(struct decoder *d, struct ledger *l, const void *p, size_t n, size_t wire_n, int link_type,
		   struct packet *out)
{
	uint8_t *copy = malloc(n ? n : 1);
	memcpy(copy, p, n);
	struct raw_packet raw = {
	    .ts_us = 1, .data = copy, .n = (uint32_t)n, .wire_n = (uint32_t)wire_n, .link_type = link_type};
	ledger_count(l, LEDGER_RECEIVED);
	bool ok = decode_packet(d, &raw, out);
	if (ok)
		ledger_count(l, out->end == LEDGER_END_COUNT ? LEDGER_END_FLOW : out->end);
	assert_true(ok ? out->layers >= 1 && out->layers <= LAYERS_MAX : out->layers == 0);
	for (size_t i = 0; i < out->layers; i++) { /* every byte that is promised is there */
		volatile uint8_t sum = 0;
		for (uint32_t k = 0; k < out->layer[i].payload_n; k++)
			sum = (uint8_t)(sum + out->layer[i].payload[k]);
		for (uint32_t k = 0; k < out->layer[i].ip_n; k++)
			sum = (uint8_t)(sum + out->layer[i].ip[k]);
	}
	assert_true(ledger_balanced(l));
	free(copy);
	return ok;
}

static void test_wrappings(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(wrappings); i++) {
		const struct wrapping *w = &wrappings[i];
		struct build b;
		struct ledger l = {0};
		struct packet p;
		struct decoder *d = decoder_new(NULL, &l);
		w->make(&b);
		struct raw_packet raw = {.data = b.p + b.at,
					 .n = (uint32_t)size(&b),
					 .wire_n = (uint32_t)size(&b),
					 .link_type = w->link_type};
		bool ok = decode_packet(d, &raw, &p);
		const struct layer *in = &p.layer[p.layers - 1];
		if (!ok || p.layers != w->layers || in->tunnel != w->tunnel || in->vlan_n != w->vlan_n)
			fail_msg("%s: %d, %zu layers, tunnel %d, %d tags", w->label, ok, p.layers,
				 ok ? (int)in->tunnel : -1, ok ? in->vlan_n : -1);
		if (in->src_port != 1111 || in->dest_port != 2222 || in->payload_n != 5 ||
		    memcmp(in->payload, "hello", 5) != 0 || in->truncated || p.end != LEDGER_END_COUNT)
			fail_msg("%s: ports %u %u, payload %u", w->label, in->src_port, in->dest_port, in->payload_n);
		assert_true(decode_knows_link_type(w->link_type));
		decoder_free(d);
	}
}

/* Cut by the capture (wire_n stays) and cut on the wire. */
static void test_every_prefix(void **state)
{
	(void)state;
	struct decoder_conf conf = {.checksums = true};
	for (size_t i = 0; i < COUNT(wrappings); i++) {
		struct build b;
		struct ledger l = {0};
		struct packet p;
		struct decoder *d = decoder_new(&conf, &l);
		wrappings[i].make(&b);
		for (size_t n = 0; n <= size(&b); n++) {
			decode(d, &l, b.p + b.at, n, size(&b), wrappings[i].link_type, &p);
			decode(d, &l, b.p + b.at, n, n, wrappings[i].link_type, &p);
		}
		decoder_free(d);
	}
}

static void test_any_link_type(void **state)
{
	(void)state;
	struct ledger l = {0};
	struct packet p;
	struct decoder *d = decoder_new(NULL, &l);
	unsigned seed = 1;
	for (int type = -1; type < 300; type++) {
		for (int k = 0; k < 40; k++) {
			uint8_t bytes[64];
			for (size_t i = 0; i < sizeof(bytes); i++)
				bytes[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
			decode(d, &l, bytes, (size_t)(seed >> 8) % 65, 64, type, &p);
		}
	}
	assert_false(decode_knows_link_type(147));
	decoder_free(d);
}

/* ---- single facts ---- */

static const struct lie {
	const char *label;
	size_t at;
	uint8_t value;
	enum ledger_id end; /* LEDGER_END_COUNT = a plain layer */
	bool layer;
} lies[] = {
    {"version 5", 14, 0x55, LEDGER_END_MALFORMED, false},
    {"header of 16 bytes", 14, 0x44, LEDGER_END_MALFORMED, false},
    {"header of 60 bytes", 14, 0x4f, LEDGER_END_MALFORMED, false},
    {"total length 19", 17, 19, LEDGER_END_MALFORMED, false},
    {"total length beyond the frame: UDP still fits", 17, 200, LEDGER_END_COUNT, true},
    {"total length one short: UDP does not fit", 17, 32, LEDGER_END_MALFORMED, true},
    {"UDP length 7", 39, 7, LEDGER_END_MALFORMED, true},
    {"UDP length 0", 39, 0, LEDGER_END_COUNT, true},
    {"UDP length 200", 39, 200, LEDGER_END_MALFORMED, true},
    {"EtherType of IS-IS", 12, 0, LEDGER_END_NOT_IP, false},
    {"fragment", 20, 0x20, LEDGER_END_FRAGMENT, true},
};

static void test_lengths_that_lie(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(lies); i++) {
		struct build b;
		struct ledger l = {0};
		struct packet p;
		struct decoder *d = decoder_new(NULL, &l);
		plain(&b);
		b.p[b.at + lies[i].at] = lies[i].value;
		bool ok = decode(d, &l, b.p + b.at, size(&b), size(&b), 1, &p);
		bool ended = lies[i].end == LEDGER_END_COUNT ? p.end == LEDGER_END_COUNT : l.v[lies[i].end] == 1;
		if (ok != lies[i].layer || !ended)
			fail_msg("%s: layer %d, end %s", lies[i].label, ok, ledger_name(p.end));
		decoder_free(d);
	}
}

static void test_tcp(void **state)
{
	(void)state;
	struct build b;
	struct ledger l = {0};
	struct packet p;
	struct decoder *d = decoder_new(NULL, &l);
	begin(&b, "x");
	tcp(&b, 1024, 80);
	over_ip(&b, 6);
	assert_true(decode(d, &l, b.p + b.at, size(&b), size(&b), 1, &p));
	assert_int_equal(p.layer[0].tcp_seq, 7);
	assert_int_equal(p.layer[0].tcp_ack, 9);
	assert_int_equal(p.layer[0].tcp_flags, 0x18);
	assert_int_equal(p.layer[0].payload_n, 1);
	assert_int_equal(p.layer[0].tcp_stamp, 0);
	static const struct {
		const char *label;
		uint8_t option[12];
		uint32_t want;
	} stamps[] = {
	    {"usual", {1, 1, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0}, 0x010203},
	    {"behind", {8, 10, 0, 1, 2, 3, 0, 0, 0, 0, 1, 0}, 0x010203},
	    {"behind another", {5, 2, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0}, 0x010203},
	    {"behind the end", {0, 1, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0}, 0},
	    {"none", {5, 10, 8, 10, 0, 1, 2, 3, 0, 0, 1, 1}, 0},
	    {"lengths that lie", {5, 1, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0}, 0},
	    {"beyond", {1, 1, 1, 1, 5, 200, 1, 1, 8, 10, 0, 1}, 0},
	    {"cut", {1, 1, 1, 1, 1, 1, 1, 8, 10, 0, 0, 1}, 0},
	};
	for (size_t i = 0; i < COUNT(stamps); i++) {
		begin(&b, "x");
		front(&b, stamps[i].option, sizeof(stamps[i].option));
		FRONT(&b, 4, 0, 0, 80, 0, 0, 0, 7, 0, 0, 0, 9, 0x80, 0x18, 1, 0, 0, 0, 0, 0);
		over_ip(&b, 6);
		struct raw_packet raw = {
		    .data = b.p + b.at, .n = (uint32_t)size(&b), .wire_n = (uint32_t)size(&b), .link_type = 1};
		struct packet plain = {0};
		assert_true(decode(d, &l, b.p + b.at, size(&b), size(&b), 1, &p));
		assert_true(decode_plain(d, &raw, &plain));
		if (p.layer[0].tcp_stamp != stamps[i].want || plain.layer[0].tcp_stamp != stamps[i].want)
			fail_msg("%s: %x %x", stamps[i].label, p.layer[0].tcp_stamp, plain.layer[0].tcp_stamp);
	}
	begin(&b, "x");
	tcp(&b, 1024, 80);
	over_ip(&b, 6);
	/* cut behind the IP header: addresses, protocol, the reason */
	assert_true(decode(d, &l, b.p + b.at, 34, size(&b), 1, &p));
	assert_true(p.layer[0].truncated);
	assert_int_equal(p.layer[0].proto, 6);
	assert_int_equal(p.end, LEDGER_END_TRUNCATED);
	/* an impossible header length */
	b.p[b.at + 46] = 0x40;
	assert_true(decode(d, &l, b.p + b.at, size(&b), size(&b), 1, &p));
	assert_int_equal(p.end, LEDGER_END_MALFORMED);
	decoder_free(d);
}

static void test_arp(void **state)
{
	(void)state;
	struct build b;
	struct ledger l = {0};
	struct packet p;
	char text[ADDR_TEXT_LEN];
	struct decoder *d = decoder_new(NULL, &l);
	begin(&b, "");
	FRONT(&b, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2);
	ethernet(&b, 0x0806);
	assert_true(decode(d, &l, b.p + b.at, size(&b), size(&b), 1, &p));
	assert_true(p.layer[0].arp);
	assert_int_equal(p.end, LEDGER_END_ARP);
	assert_string_equal(addr_format(&p.layer[0].src, text), "10.0.0.1");
	assert_string_equal(addr_format(&p.layer[0].dest, text), "10.0.0.2");
	decoder_free(d);
}

/* Plain payload on tunnel ports stays payload, and is counted. */
static void test_refused_tunnels(void **state)
{
	(void)state;
	static const unsigned ports[] = {4789, 8472, 4790, 6081, 2152, 3544, 5247, 6635, 37008};
	for (size_t i = 0; i < COUNT(ports); i++) {
		struct build b;
		struct ledger l = {0};
		struct packet p;
		struct decoder *d = decoder_new(NULL, &l);
		begin(&b, "GET / HTTP/1.1\r\nHost: tunnel.example\r\n\r\n");
		over_udp(&b, ports[i]);
		assert_true(decode(d, &l, b.p + b.at, size(&b), size(&b), 1, &p));
		assert_int_equal(p.layers, 1);
		assert_int_equal(p.end, LEDGER_END_COUNT);
		assert_int_equal(p.layer[0].payload_n, 40);
		if (l.v[LEDGER_TUNNEL_REFUSED] != 1)
			fail_msg("port %u: refused %lu", ports[i], (unsigned long)l.v[LEDGER_TUNNEL_REFUSED]);
		decoder_free(d);
	}
}

/* Tunnels with more routes, extension headers and tags than are stepped over: what is inside is not
 * read, and the ledger says so. */
static void test_long_tunnel_headers(void **state)
{
	(void)state;
	for (unsigned over = 0; over < 2; over++) {
		struct build b;
		struct ledger l = {0};
		struct packet p;
		struct decoder *d = decoder_new(NULL, &l);
		inner(&b);
		FRONT(&b, 0, 0, 0, 0);
		for (unsigned i = 0; i < 7 + over; i++)
			FRONT(&b, 8, 0, 0, 4, 1, 2, 3, 4);
		FRONT(&b, 0x40, 0, 8, 0, 1, 2, 0, 0);
		over_ip(&b, 47);
		assert_true(decode(d, &l, b.p + b.at, size(&b), size(&b), 1, &p));
		assert_int_equal(p.layers, 2 - over);
		assert_int_equal(l.v[LEDGER_TUNNEL_REFUSED], over);
		inner(&b);
		for (unsigned i = 0; i < 8 + over; i++)
			FRONT(&b, 1, 0, 9, i ? 0x85 : 0);
		size_t n = size(&b) + 4;
		FRONT(&b, 0x34, 255, HI(n), LO(n), 0, 0, 0, 1, 0, 7, 0, 0x85);
		over_udp(&b, 2152);
		assert_true(decode(d, &l, b.p + b.at, size(&b), size(&b), 1, &p));
		assert_int_equal(p.layers, 2 - over);
		assert_int_equal(l.v[LEDGER_TUNNEL_REFUSED], 2 * over);
		inner_ethernet(&b);
		FRONT(&b, 1);
		for (unsigned i = 0; i < 63 + over; i++)
			FRONT(&b, 0);
		FRONT(&b, 1, 0, 0, 1);
		over_udp(&b, 37008);
		assert_true(decode(d, &l, b.p + b.at, size(&b), size(&b), 1, &p));
		assert_int_equal(p.layers, 2 - over);
		assert_int_equal(l.v[LEDGER_TUNNEL_REFUSED], 3 * over);
		decoder_free(d);
	}
}

static void test_too_deep(void **state)
{
	(void)state;
	struct build b;
	struct ledger l = {0};
	struct packet p;
	struct decoder *d = decoder_new(NULL, &l);
	inner(&b);
	for (int i = 0; i < LAYERS_MAX; i++)
		ip4(&b, 4);
	ethernet(&b, 0x0800);
	assert_true(decode(d, &l, b.p + b.at, size(&b), size(&b), 1, &p));
	assert_int_equal(p.layers, LAYERS_MAX);
	assert_int_equal(p.end, LEDGER_END_TOO_DEEP);
	inner(&b);
	for (int i = 0; i < 40; i++)
		FRONT(&b, 0, 1, 0x81, 0);
	ethernet(&b, 0x8100);
	assert_false(decode(d, &l, b.p + b.at, size(&b), size(&b), 1, &p));
	uint64_t tags = l.v[LEDGER_DECODE_LIMIT];
	assert_true(tags > 20);
	for (unsigned n = 4; n <= 5; n++) { /* the fifth tag is read over */
		inner(&b);
		FRONT(&b, 0, (uint8_t)n, 0x08, 0);
		for (unsigned i = 1; i < n; i++)
			FRONT(&b, 0, (uint8_t)(n - i), 0x81, 0);
		ethernet(&b, 0x8100);
		assert_true(decode(d, &l, b.p + b.at, size(&b), size(&b), 1, &p));
		assert_int_equal(p.layer[0].vlan_n, 4);
		assert_int_equal(l.v[LEDGER_DECODE_LIMIT], tags + n - 4);
	}
	inner(&b);
	for (int i = 0; i < 20; i++)
		FRONT(&b, 0, 1, 0, 64);
	ethernet(&b, 0x8847);
	assert_false(decode(d, &l, b.p + b.at, size(&b), size(&b), 1, &p));
	assert_int_equal(l.v[LEDGER_END_TOO_DEEP], 3);
	begin(&b, "");
	for (int i = 0; i < 20; i++)
		FRONT(&b, 60, 0, 0, 0, 0, 0, 0, 0);
	ip6(&b, 60);
	ethernet(&b, 0x86dd);
	assert_true(decode(d, &l, b.p + b.at, size(&b), size(&b), 1, &p));
	assert_int_equal(p.end, LEDGER_END_TOO_DEEP);
	decoder_free(d);
}

static void test_fragments(void **state)
{
	(void)state;
	struct build b, whole;
	struct ledger l = {0};
	struct packet p;
	struct decoder *d = decoder_new(NULL, &l);
	begin(&whole, "hello world");
	udp(&whole, 1111, 2222);
	for (int i = 2; i >= 0; i--) { /* last one first */
		size_t n = i < 2 ? 8 : size(&whole) - 16;
		begin(&b, "");
		front(&b, whole.p + whole.at + i * 8, n);
		ip4_split(&b, 17, (unsigned)i | (i < 2 ? 0x2000u : 0));
		ethernet(&b, 0x0800);
		struct raw_packet raw = {
		    .data = b.p + b.at, .n = (uint32_t)size(&b), .wire_n = (uint32_t)size(&b), .link_type = 1};
		assert_true(decode_packet(d, &raw, &p));
		assert_int_equal(p.layer[0].fragment, i != 0);
		assert_int_equal(p.end, i ? LEDGER_END_FRAGMENT : LEDGER_END_COUNT);
	}
	assert_true(p.reassembled);
	assert_int_equal(p.layer[0].src_port, 1111);
	assert_int_equal(p.layer[0].payload_n, 11);
	assert_memory_equal(p.layer[0].payload, "hello world", 11);
	assert_int_equal(p.layer[0].ip_n, 20 + 8 + 11);
	decoder_free(d);
}

static void test_checksums(void **state)
{
	(void)state;
	/* Checksums computed apart, as RFC 1071 says. */
	static const uint8_t good[] = {0x45, 0,  0, 29, 0, 0, 0, 0, 64, 17, 0x66, 0xce, 10,   0,  0,
				       1,    10, 0, 0,  2, 0, 1, 0, 2,  0,  9,    0x8a, 0xd6, 'a'};
	struct decoder_conf conf = {.checksums = true};
	struct ledger l = {0};
	struct packet p;
	struct decoder *d = decoder_new(&conf, &l);
	uint8_t bytes[sizeof(good)];
	memcpy(bytes, good, sizeof(good));
	assert_true(decode(d, &l, bytes, sizeof(bytes), sizeof(bytes), 101, &p));
	assert_false(p.layer[0].bad_checksum);
	assert_true(p.layer[0].good_checksum);
	bytes[28] = 'b';
	assert_true(decode(d, &l, bytes, sizeof(bytes), sizeof(bytes), 101, &p));
	assert_true(p.layer[0].bad_checksum);
	assert_false(p.layer[0].good_checksum);
	assert_int_equal(l.v[LEDGER_CHECKSUM], 1);
	/* A wrong one in the IP header, as Windows leaves it on its loopback. */
	memcpy(bytes, good, sizeof(good));
	bytes[10] = bytes[11] = 0;
	assert_true(decode(d, &l, bytes, sizeof(bytes), sizeof(bytes), 101, &p));
	assert_true(p.layer[0].bad_checksum);
	assert_false(p.layer[0].good_checksum);
	/* Cut by the capture: neither. */
	memcpy(bytes, good, sizeof(good));
	assert_true(decode(d, &l, bytes, sizeof(bytes) - 1, sizeof(bytes), 101, &p));
	assert_false(p.layer[0].bad_checksum);
	assert_false(p.layer[0].good_checksum);
	decoder_free(d);
}

/* ---- the straight way against the walk ---- */

static uint16_t ones_sum(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = HI(v);
	p[1] = LO(v);
}

/* Right checksums, as RFC 1071 has them, into what is at the front: IP, then TCP or UDP. */
static void right_checksums(struct build *b, bool v6, bool is_tcp)
{
	uint8_t *ip = b->p + b->at, *t = ip + (v6 ? 40 : 20);
	size_t n = size(b) - (v6 ? 40 : 20);
	uint32_t pseudo = (uint32_t)n + (is_tcp ? 6 : 17);
	pseudo += (uint16_t)~ones_sum(v6 ? ip + 8 : ip + 12, v6 ? 32 : 8, 0);
	put16(t + (is_tcp ? 16 : 6), 0);
	put16(t + (is_tcp ? 16 : 6), ones_sum(t, n, pseudo));
	if (!v6)
		put16(ip + 10, 0), put16(ip + 10, ones_sum(ip, 20, 0));
}

/* A packet like most, or like most but for something. */
static void make_like_plain(struct build *b)
{
	bool v6 = rand() % 2, is_tcp = rand() % 2;
	size_t n = rand() % 3 ? (size_t)rand() % 40 : (size_t)rand() % 1600;
	b->at = sizeof(b->p) - n;
	for (size_t i = b->at; i < sizeof(b->p); i++)
		b->p[i] = (uint8_t)rand();
	if (is_tcp)
		tcp(b, (unsigned)rand() % 65536, 80);
	else
		udp(b, (unsigned)rand() % 65536, rand() % 8 ? 53 : 4789);
	if (v6)
		ip6(b, is_tcp ? 6 : 17);
	else
		ip4(b, is_tcp ? 6 : 17);
	if (rand() % 4)
		right_checksums(b, v6, is_tcp);
	if (rand() % 2)
		b->p[b->at + (size_t)rand() % (size(b) < 60 ? size(b) : 60)] = (uint8_t)rand();
	if (rand() % 4 == 0)
		FRONT(b, 0, 7, v6 ? 0x86 : 8, v6 ? 0xdd : 0);
	ethernet(b, b->p[b->at] >> 4 ? (v6 ? 0x86dd : 0x800) : 0x8100);
	if (rand() % 8 == 0)
		b->p[b->at + 12 + (size_t)rand() % 2] = (uint8_t)rand();
}

static void same_layers(const struct packet *plain, const struct packet *walked)
{
	assert_int_equal(plain->layers, walked->layers);
	assert_int_equal(plain->end, walked->end);
	for (size_t i = 0; i < plain->layers; i++) {
		struct layer a = plain->layer[i], b = walked->layer[i];
		assert_int_equal(a.payload_n, b.payload_n);
		assert_int_equal(a.ip_n, b.ip_n);
		assert_true(a.ip_n == 0 || memcmp(a.ip, b.ip, a.ip_n) == 0);
		assert_true(a.payload_n == 0 || memcmp(a.payload, b.payload, a.payload_n) == 0);
		a.ip = b.ip = a.payload = b.payload = NULL;
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

/* The same frame as it is and inside of PPI (link type 192), where only the walk goes. */
static void test_plain_packets(void **state)
{
	(void)state;
	struct decoder_conf conf = {.checksums = true};
	struct ledger plain_l = {0}, walked_l = {0};
	struct decoder *plain_d = decoder_new(&conf, &plain_l), *walked_d = decoder_new(&conf, &walked_l);
	unsigned seed = (unsigned)time(NULL);
	print_message("seed %u\n", seed);
	srand(seed);
	for (int i = 0; i < 200000; i++) {
		struct build b;
		struct packet plain, walked;
		memset(&plain, 0, sizeof(plain));
		memset(&walked, 0, sizeof(walked));
		make_like_plain(&b);
		uint32_t n = (uint32_t)size(&b), cut = rand() % 16 ? 0 : (uint32_t)rand() % n;
		uint32_t wire_n = rand() % 2 ? n : n - cut;
		struct raw_packet raw = {.data = b.p + b.at, .n = n - cut, .wire_n = wire_n, .link_type = 1};
		bool ok = decode_packet(plain_d, &raw, &plain);
		FRONT(&b, 0, 0, 8, 0, 1, 0, 0, 0);
		raw = (struct raw_packet){.data = b.p + b.at, .n = n - cut + 8, .wire_n = wire_n + 8, .link_type = 192};
		assert_int_equal(decode_packet(walked_d, &raw, &walked), ok);
		same_layers(&plain, &walked);
		assert_memory_equal(&plain_l, &walked_l, sizeof(plain_l));
	}
	assert_true(plain_l.v[LEDGER_CHECKSUM] > 1000 && plain_l.v[LEDGER_VLAN] > 1000);
	decoder_free(plain_d);
	decoder_free(walked_d);
}

static void test_ledger(void **state)
{
	(void)state;
	struct ledger a = {0}, b = {0};
	a.v[LEDGER_RECEIVED] = 3;
	a.v[LEDGER_END_FLOW] = 2;
	b.v[LEDGER_END_ARP] = 1;
	assert_false(ledger_balanced(&a));
	ledger_sum(&a, &b);
	assert_true(ledger_balanced(&a));
	for (int i = 0; i < LEDGER_COUNT; i++)
		assert_true(*ledger_name((enum ledger_id)i) && *ledger_help((enum ledger_id)i));
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);
	ledger_print(&a, to);
	fclose(to);
	assert_non_null(strstr(text, "packets.received"));
	assert_null(strstr(text, "drops.kernel"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_wrappings),
	    cmocka_unit_test(test_every_prefix),
	    cmocka_unit_test(test_any_link_type),
	    cmocka_unit_test(test_lengths_that_lie),
	    cmocka_unit_test(test_tcp),
	    cmocka_unit_test(test_arp),
	    cmocka_unit_test(test_refused_tunnels),
	    cmocka_unit_test(test_too_deep),
	    cmocka_unit_test(test_long_tunnel_headers),
	    cmocka_unit_test(test_fragments),
	    cmocka_unit_test(test_checksums),
	    cmocka_unit_test(test_plain_packets),
	    cmocka_unit_test(test_ledger),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
