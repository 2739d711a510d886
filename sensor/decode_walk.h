/* Inside of decoding: the state of one packet's walk from link layer to the
 * innermost transport header, shared by decode.c (entry, IP, transport),
 * decode_link.c (link layers) and tunnel.c (what is wrapped in what).
 *
 * Every step takes a cursor over the bytes that were captured and `cut`, how many
 * more there were on the wire. It returns WALKED when at least one layer was
 * added, otherwise the reason as an end of the ledger. */
#ifndef SENSOR_DECODE_WALK_H
#define SENSOR_DECODE_WALK_H

#include "common/cursor.h"
#include "sensor/decode.h"
#include "sensor/defrag.h"

#define WALKED LEDGER_END_COUNT

enum {
	HEADERS_MAX = 32,     /* link and tunnel headers of one packet, tried and taken back ones too */
	MPLS_LABELS_MAX = 16, /* in one stack */
	IP_HEADERS_MAX = 16   /* IPv6 extension headers of one datagram */
};

/* A TCP segment longer than an Ethernet frame was put together by the card or the
 * kernel (TSO, GRO), which leaves in the checksum field whatever suits it: seen in
 * captures whose short segments all have good ones. */
#define OFFLOADED_TCP 1480

struct walk {
	struct decoder *d;
	struct packet *out;
	unsigned headers;   /* never goes down: bounds the work of backtracking as well */
	bool rebuilt;       /* the next IP header is that of a datagram just put together */
	bool doubtful;      /* inside of what only a UDP port calls a tunnel: lengths must fit */
	enum tunnel tunnel; /* how the next IP header is wrapped */
	uint8_t vlan_n;
	uint16_t vlan[VLAN_TAGS_MAX];
};

struct decoder {
	struct decoder_conf conf;
	struct ledger *ledger;
	struct defrag *defrag;
	uint8_t tunnel_port[65536 / 8]; /* UDP ports that may mean a tunnel, a bit each */
};

static inline bool decoder_tunnel_port(const struct decoder *d, uint16_t port)
{
	return d->tunnel_port[port / 8] >> (port % 8) & 1;
}

static inline void decoder_add_port(struct decoder *d, uint16_t port)
{
	d->tunnel_port[port / 8] |= (uint8_t)(1u << (port % 8));
}

/* Counts one header; false beyond HEADERS_MAX. */
static inline bool walk_deeper(struct walk *w)
{
	return ++w->headers <= HEADERS_MAX;
}

/* A header is not there whole: cut by the capture, or never was. */
static inline enum ledger_id walk_short(uint32_t cut)
{
	return cut ? LEDGER_END_TRUNCATED : LEDGER_END_MALFORMED;
}

static inline uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The time stamp among n bytes of TCP options that do not begin with it. */
uint32_t tcp_stamp_among(const uint8_t *options, size_t n);

/* Nearly every segment that has options begins them with two NOPs and the stamp. A SYN's is not asked for. */
static inline uint32_t tcp_stamp_of(const uint8_t *options, size_t n, uint8_t flags)
{
	if (n >= 12 && be32(options) == 0x0101080a)
		return be32(options + 4);
	return n && !(flags & TCP_SYN) ? tcp_stamp_among(options, n) : 0;
}

/* decode.c */
enum ledger_id walk_ip(struct walk *w, struct cursor c, uint32_t cut); /* by the version nibble */
enum ledger_id walk_arp(struct walk *w, struct cursor c, uint32_t cut);

/* decode_link.c */
enum ledger_id walk_link(struct walk *w, int link_type, struct cursor c, uint32_t cut);
enum ledger_id walk_ethernet(struct walk *w, struct cursor c, uint32_t cut);
enum ledger_id walk_ethertype(struct walk *w, uint16_t type, struct cursor c, uint32_t cut);
enum ledger_id walk_ppp(struct walk *w, struct cursor c, uint32_t cut);
enum ledger_id walk_mpls(struct walk *w, struct cursor c, uint32_t cut);
enum ledger_id walk_wlan(struct walk *w, struct cursor c, uint32_t cut, bool padded);

#endif
