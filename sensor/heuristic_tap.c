#include "sensor/heuristic_tap.h"

#include <netinet/in.h>
#include <string.h>

#define CONNECTIONS (1u << HEURISTIC_PORT_SCAN | 1u << HEURISTIC_ADDRESS_SCAN | 1u << HEURISTIC_BEACON)
#define CLOSES      (1u << HEURISTIC_BEACON)
#define DNS_NAMES   (1u << HEURISTIC_DNS_TUNNEL | 1u << HEURISTIC_NXDOMAIN_FLOOD)
#define DNS_QUERIES (1u << HEURISTIC_DNS_TUNNEL)
#define FIRST_FEW   8 /* of a client's packets: the ACK that ends the handshake is among them */

static void put(struct heuristic_tap *t, const struct sight *s)
{
	if (!t->queue)
		heuristics_sight(t->engine, s);
	else if (!queue_push(t->queue, s, SIGHT_HEAD + s->name_n))
		ledger_count(t->ledger, LEDGER_HEURISTIC_DROPPED);
}

/* What a client's packet tells. An ACK while nothing came back: the answer takes
 * another way than this wire. */
static enum sight_kind from_client(const struct flow *f, const struct layer *l)
{
	if ((l->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN)
		return f->packets[TO_SERVER] == 1 && !f->packets[TO_CLIENT] ? SIGHT_OPENED : SIGHT_KIND_COUNT;
	if (l->tcp_flags & TCP_FIN)
		return SIGHT_CLOSED;
	bool bare = (l->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_ACK;
	return bare && !f->packets[TO_CLIENT] && f->packets[TO_SERVER] <= FIRST_FEW ? SIGHT_ANSWERED : SIGHT_KIND_COUNT;
}

static enum sight_kind from_server(const struct flow *f, const struct layer *l)
{
	if ((l->tcp_flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
		return SIGHT_ANSWERED;
	if ((l->tcp_flags & TCP_RST) && f->packets[TO_CLIENT] == 1)
		return SIGHT_REFUSED;
	return l->tcp_flags & TCP_FIN ? SIGHT_CLOSED : SIGHT_KIND_COUNT;
}

void heuristic_packet(struct heuristic_tap *t, const struct flow *f, enum side side, const struct layer *l,
		      int64_t ts_us)
{
	if (l->proto != IPPROTO_TCP || !(heuristics_on(t->engine) & CONNECTIONS) || l->fragment)
		return;
	enum sight_kind kind = side == TO_SERVER ? from_client(f, l) : from_server(f, l);
	if (kind == SIGHT_KIND_COUNT || (kind == SIGHT_CLOSED && !(heuristics_on(t->engine) & CLOSES)))
		return;
	bool out = side == TO_SERVER;
	bool syn = l->tcp_flags & TCP_SYN;
	uint32_t seq = l->tcp_seq + (kind == SIGHT_CLOSED ? l->payload_wire_n : 0);
	struct sight s;
	memset(&s, 0, SIGHT_HEAD);
	s.ts_us = ts_us;
	s.src = out ? l->src : l->dest;
	s.dest = out ? l->dest : l->src;
	s.src_port = out ? l->src_port : l->dest_port;
	s.dest_port = out ? l->dest_port : l->src_port;
	s.kind = (uint8_t)kind;
	s.proto = IPPROTO_TCP;
	if (kind == SIGHT_OPENED || kind == SIGHT_CLOSED || syn) {
		s.seq = out || kind != SIGHT_CLOSED ? seq : l->tcp_ack;
		s.ack = out || kind != SIGHT_CLOSED ? l->tcp_ack : seq;
	}
	put(t, &s);
}

bool heuristic_judges_dns(const struct heuristic_tap *t)
{
	return heuristics_on(t->engine) & (DNS_NAMES | DNS_QUERIES);
}

/* Apart, so that a sensor without heuristics does not pay for its locals. */
static __attribute__((noinline)) void put_dns(struct heuristic_tap *t, const struct inspect *in, bool answer,
					      uint8_t rcode, const char *name, size_t n)
{
	struct sight s;
	memset(&s, 0, SIGHT_HEAD);
	s.ts_us = in->ts_us;
	s.src = in->src;
	s.dest = in->dest;
	s.src_port = in->src_port;
	s.dest_port = in->dest_port;
	s.kind = answer ? SIGHT_DNS_ANSWER : SIGHT_DNS_QUERY;
	s.proto = in->proto;
	s.rcode = rcode;
	s.name_n = (uint8_t)n;
	memcpy(s.name, name, n);
	put(t, &s);
}

void inspect_dns_message(struct inspect *in, bool answer, uint8_t rcode, const char *name, size_t n)
{
	const struct detector *d = in->owner;
	if (d->tap && n && n <= 253 && (heuristics_on(d->tap->engine) & (answer ? DNS_NAMES : DNS_QUERIES)))
		put_dns(d->tap, in, answer, rcode, name, n);
}
