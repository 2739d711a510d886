/* A walk made for every packet costs several times what the fields of a plain one
 * take to read: it carries a cursor by value from header to header, each of which
 * might be anything. Here every length is checked once against the captured
 * bytes, and at the first doubt the walk is left to decide. The unit tests compare
 * both ways on random packets. */
#include "sensor/decode_plain.h"

#include <arpa/inet.h>
#include <string.h>

#include "sensor/checksum.h"

enum { ETHERNET_HEAD = 14, VLAN_TAG = 4, IP4_HEAD = 20, IP6_HEAD = 40, TCP_HEAD = 20, UDP_HEAD = 8 };
enum { LINK_ETHERNET = 1, ETHERTYPE_IP4 = 0x0800, ETHERTYPE_VLAN = 0x8100, ETHERTYPE_IP6 = 0x86dd };

/* Where the transport header begins and how far it and its payload reach. */
struct segment {
	const uint8_t *p;
	uint32_t n;
};

static bool read_ip4(const uint8_t *ip, size_t left, struct layer *l, struct segment *s)
{
	if (left < IP4_HEAD || ip[0] >> 4 != 4)
		return false;
	uint32_t head_n = (ip[0] & 15) * 4u, total = be16(ip + 2);
	if (head_n < IP4_HEAD || total < head_n || total > left || be16(ip + 6) & 0x3fff)
		return false;
	l->src = addr_v4(ip + 12);
	l->dest = addr_v4(ip + 16);
	l->ttl = ip[8];
	l->proto = ip[9];
	l->ip_n = total;
	*s = (struct segment){ip + head_n, total - head_n};
	return true;
}

static bool read_ip6(const uint8_t *ip, size_t left, struct layer *l, struct segment *s)
{
	if (left < IP6_HEAD || ip[0] >> 4 != 6)
		return false;
	uint32_t n = be16(ip + 4);
	if (!n || IP6_HEAD + n > left)
		return false;
	l->src = addr_v6(ip + 8);
	l->dest = addr_v6(ip + 24);
	l->ttl = ip[7];
	l->proto = ip[6];
	l->ip_n = IP6_HEAD + n;
	*s = (struct segment){ip + IP6_HEAD, n};
	return true;
}

static void set_payload(struct layer *l, const uint8_t *p, uint32_t n)
{
	l->payload = p;
	l->payload_n = l->payload_wire_n = n;
}

static bool read_tcp(struct layer *l, const struct segment *s)
{
	if (s->n < TCP_HEAD)
		return false;
	uint32_t head_n = (s->p[12] >> 4) * 4u;
	if (head_n < TCP_HEAD || head_n > s->n)
		return false;
	l->tcp_seq = be32(s->p + 4);
	l->tcp_ack = be32(s->p + 8);
	l->tcp_flags = s->p[13];
	l->tcp_stamp = tcp_stamp_of(s->p + TCP_HEAD, head_n - TCP_HEAD, l->tcp_flags);
	set_payload(l, s->p + head_n, s->n - head_n);
	return true;
}

/* An IPv6 packet as payload may be Teredo, whatever the ports. */
static bool read_udp(const struct decoder *d, struct layer *l, const struct segment *s)
{
	if (s->n < UDP_HEAD)
		return false;
	uint32_t n = be16(s->p + 4);
	if (n < UDP_HEAD || n > s->n || decoder_tunnel_port(d, l->src_port) || decoder_tunnel_port(d, l->dest_port))
		return false;
	set_payload(l, s->p + UDP_HEAD, n - UDP_HEAD);
	return l->payload_n < IP6_HEAD || l->payload[0] >> 4 != 6;
}

static bool transport_holds(const struct layer *l, const struct segment *s, bool v6)
{
	if (l->proto == IPPROTO_UDP && be16(s->p + 6) == 0)
		return true; /* none */
	uint64_t addresses = v6 ? checksum_words(l->ip + 8, 32) : checksum_halved(checksum_eight(l->ip + 12));
	return checksum_holds(addresses + htons((uint16_t)s->n) + htons(l->proto) + checksum_sum(s->p, s->n));
}

static bool header_holds(const uint8_t *ip, size_t n)
{
	return checksum_holds(n == IP4_HEAD ? checksum_twenty(ip) : checksum_words(ip, n));
}

/* The rules of decode.c, verify(). */
static void verify(struct decoder *d, struct layer *l, const struct segment *s)
{
	bool v6 = l->ip[0] >> 4 == 6, verified = l->proto != IPPROTO_TCP || s->n <= OFFLOADED_TCP;
	bool good = v6 || header_holds(l->ip, (size_t)(s->p - l->ip));
	good = good && (!verified || transport_holds(l, s, v6));
	l->good_checksum = verified && good;
	l->bad_checksum = !good;
	if (!good)
		ledger_count(d->ledger, LEDGER_CHECKSUM);
}

/* In halves: of the whole gcc makes one repeated store, which takes 5 ns to begin. */
static inline void clear(struct layer *l)
{
	enum { HALF = 64 };
	_Static_assert(sizeof(*l) > HALF && sizeof(*l) <= 2 * HALF, "each half is a few stores");
	memset(l, 0, HALF);
	memset((uint8_t *)l + HALF, 0, sizeof(*l) - HALF);
}

bool decode_plain(struct decoder *d, const struct raw_packet *raw, struct packet *out)
{
	const uint8_t *p = raw->data, *ip = p + ETHERNET_HEAD;
	if (raw->link_type != LINK_ETHERNET || raw->wire_n > raw->n || raw->n < ETHERNET_HEAD + VLAN_TAG)
		return false;
	struct layer *l = &out->layer[0];
	struct segment s;
	clear(l);
	uint16_t type = be16(p + 12);
	if (type == ETHERTYPE_VLAN) {
		l->vlan_n = 1;
		l->vlan[0] = be16(p + 14) & 0x0fff;
		type = be16(p + 16);
		ip += VLAN_TAG;
	}
	size_t left = (size_t)(p + raw->n - ip);
	l->ip = ip;
	if (type == ETHERTYPE_IP4 ? !read_ip4(ip, left, l, &s) : type != ETHERTYPE_IP6 || !read_ip6(ip, left, l, &s))
		return false;
	if ((l->proto != IPPROTO_TCP && l->proto != IPPROTO_UDP) || s.n < UDP_HEAD)
		return false;
	l->src_port = be16(s.p);
	l->dest_port = be16(s.p + 2);
	if (l->proto == IPPROTO_TCP ? !read_tcp(l, &s) : !read_udp(d, l, &s))
		return false;
	if (d->conf.checksums)
		verify(d, l, &s);
	if (l->vlan_n)
		ledger_count(d->ledger, LEDGER_VLAN);
	out->layers = 1;
	return true;
}
