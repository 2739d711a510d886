/* Makes the captures that need no real traffic:
 *
 *   generate KIND PACKETS FILE [EVERY]
 *
 *   dns     a query and its answer per lookup, a new flow each; every EVERYth
 *           lookup asks for a name below an indicator of tests/bench/synthetic.h
 *   syn     a flood: every packet is the SYN of a new flow; every EVERYth goes to
 *           an address that is an indicator
 *   web     HTTP over TCP: handshake, request, response of some segments, close;
 *           every EVERYth request is for a host below an indicator
 *   flows   the growth curve: EVERY concurrent flows, each once, then in random
 *           order, small segments without payload
 *
 * and prints how many indicators it planted. The same arguments make the same
 * file. What is not planted is in 10/8 and in names that no indicator covers. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/synthetic.h"
#include "tests/frame_bytes.h"

enum {
	FRAME_MAX = 1514,
	HEAD_IP = 14,
	HEAD_L4 = 34,
	DNS_IN_FLIGHT = 256,
	WEB_IN_FLIGHT = 512,
	WEB_SEGMENT = 1400,
	GAP_US = 5
};

struct out {
	FILE *f;
	uint64_t packets, limit, now_us, random;
	uint64_t every, planted, asked;
	uint8_t frame[FRAME_MAX];
};

static uint32_t any(struct out *o)
{
	return (uint32_t)(synthetic_mix(o->random++) >> 16);
}

/* Completes Ethernet, IPv4 and the checksum around l4_n bytes at HEAD_L4; writes the record. */
static void emit(struct out *o, uint32_t src, uint32_t dest, uint8_t proto, size_t l4_n)
{
	uint8_t *ip = o->frame + HEAD_IP, *l4 = o->frame + HEAD_L4;
	static const uint8_t ethernet[HEAD_IP] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
	memcpy(o->frame, ethernet, sizeof(ethernet));
	memset(ip, 0, 20);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(20 + l4_n));
	ip[8] = 64;
	ip[9] = proto;
	put32(ip + 12, src);
	put32(ip + 16, dest);
	put16(ip + 10, fold(sum(ip, 20, 0)));
	unsigned at = proto == 6 ? 16 : 6;
	put16(l4 + at, 0);
	put16(l4 + at, fold(sum(l4, l4_n, sum(ip + 12, 8, proto + (uint32_t)l4_n))));
	uint32_t n = (uint32_t)(HEAD_L4 + l4_n);
	uint32_t head[4] = {(uint32_t)(o->now_us / 1000000), (uint32_t)(o->now_us % 1000000), n, n};
	fwrite(head, sizeof(head), 1, o->f);
	fwrite(o->frame, n, 1, o->f);
	o->now_us += GAP_US;
	o->packets++;
}

static bool plant(struct out *o)
{
	bool now = o->every && ++o->asked % o->every == 0;
	o->planted += now;
	return now;
}

/* The k-th indicator of a kind: 40 indicators repeat the mix. */
static uint64_t indicator_for_domain(uint64_t k)
{
	return k / 20 * 40 + k % 20;
}

static uint64_t indicator_for_ip(uint64_t k)
{
	return k / 12 * 40 + 20 + k % 12;
}

static void host_name(struct out *o, char out[SYNTHETIC_ROOM])
{
	char below[SYNTHETIC_ROOM];
	if (plant(o)) {
		synthetic_domain(indicator_for_domain(o->planted - 1), below);
		snprintf(out, SYNTHETIC_ROOM, "host%u.%.90s", (unsigned)(any(o) % 100), below);
		return;
	}
	uint64_t site = synthetic_mix(any(o) % 200000);
	snprintf(out, SYNTHETIC_ROOM, "%s.%c%c%c%x.%s", any(o) & 1 ? "www" : "cdn", 'a' + (int)(site % 26),
		 'a' + (int)(site / 26 % 26), 'a' + (int)(site / 676 % 26), (unsigned)(site >> 40 & 0xffff),
		 site >> 60 & 1 ? "com" : "example");
}

/* ---- dns ---- */

struct lookup {
	uint32_t client, server, address;
	uint16_t port, id;
	char name[SYNTHETIC_ROOM];
};

static size_t dns_message(uint8_t *p, const struct lookup *l, bool answer)
{
	memset(p, 0, 12);
	put16(p, l->id);
	put16(p + 2, answer ? 0x8180 : 0x0100);
	put16(p + 4, 1);
	put16(p + 6, answer);
	size_t n = 12;
	for (const char *s = l->name; *s; s += *s == '.') {
		size_t label = strcspn(s, ".");
		p[n++] = (uint8_t)label;
		memcpy(p + n, s, label);
		n += label;
		s += label;
	}
	p[n++] = 0;
	put32(p + n, 0x00010001);
	n += 4;
	if (!answer)
		return n;
	put16(p + n, 0xc00c);
	put32(p + n + 2, 0x00010001);
	put32(p + n + 6, 300);
	put16(p + n + 10, 4);
	put32(p + n + 12, l->address);
	return n + 16;
}

static void dns_packet(struct out *o, const struct lookup *l, bool answer)
{
	uint8_t *udp = o->frame + HEAD_L4;
	size_t n = 8 + dns_message(udp + 8, l, answer);
	put16(udp, answer ? 53 : l->port);
	put16(udp + 2, answer ? l->port : 53);
	put16(udp + 4, (unsigned)n);
	emit(o, answer ? l->server : l->client, answer ? l->client : l->server, 17, n);
}

static void make_dns(struct out *o)
{
	static struct lookup ring[DNS_IN_FLIGHT];
	for (size_t i = 0; o->packets + 1 < o->limit; i++) {
		struct lookup *l = &ring[i % DNS_IN_FLIGHT];
		if (i >= DNS_IN_FLIGHT)
			dns_packet(o, l, true);
		*l = (struct lookup){.client = 0x0a000000u | any(o) % 20000,
				     .server = 0x0aff0035,
				     .address = 0x0a000000u | (any(o) & 0xffffff),
				     .port = (uint16_t)(1024 + i / 20000 % 60000),
				     .id = (uint16_t)any(o)};
		l->client = 0x0a000000u | (uint32_t)(i % 20000 + 1);
		host_name(o, l->name);
		dns_packet(o, l, false);
	}
}

/* ---- tcp ---- */

struct ends {
	uint32_t client, server, seq, ack;
	uint16_t port, service;
};

static void tcp_packet(struct out *o, const struct ends *e, bool back, uint8_t flags, size_t payload_n)
{
	uint8_t *tcp = o->frame + HEAD_L4;
	put16(tcp, back ? e->service : e->port);
	put16(tcp + 2, back ? e->port : e->service);
	put32(tcp + 4, back ? e->ack : e->seq);
	put32(tcp + 8, flags & 0x10 ? back ? e->seq : e->ack : 0);
	tcp[12] = 5 << 4;
	tcp[13] = flags;
	put32(tcp + 14, 0xffff0000);
	put16(tcp + 18, 0);
	emit(o, back ? e->server : e->client, back ? e->client : e->server, 6, 20 + payload_n);
}

static void make_syn(struct out *o)
{
	for (uint64_t i = 0; o->packets < o->limit; i++) {
		struct ends e = {.client = 0x0a000000u | (uint32_t)(i % 0xfffff + 1),
				 .server = 0x0af00000u | (any(o) & 0xfffff),
				 .seq = any(o),
				 .port = (uint16_t)(1024 + i / 0xfffff % 60000),
				 .service = 80};
		if (plant(o))
			e.server = synthetic_ipv4(indicator_for_ip(o->planted - 1));
		tcp_packet(o, &e, false, 0x02, 0);
	}
}

struct visit {
	struct ends e;
	unsigned step, left;
};

static void web_request(struct out *o, struct visit *v)
{
	char host[SYNTHETIC_ROOM];
	host_name(o, host);
	int n = snprintf(
	    (char *)o->frame + HEAD_L4 + 20, WEB_SEGMENT,
	    "GET /%x/page%u HTTP/1.1\r\nHost: %s\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) bench/%u\r\n"
	    "Accept: */*\r\nAccept-Language: en\r\nConnection: close\r\n\r\n",
	    (unsigned)any(o), (unsigned)(any(o) % 1000), host, (unsigned)(any(o) % 30));
	tcp_packet(o, &v->e, false, 0x18, (size_t)n);
	v->e.seq += (uint32_t)n;
}

static void web_response(struct out *o, struct visit *v)
{
	uint8_t *at = o->frame + HEAD_L4 + 20;
	int n = snprintf((char *)at, WEB_SEGMENT,
			 "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/html\r\nContent-Length: %u\r\n\r\n",
			 v->left * WEB_SEGMENT);
	tcp_packet(o, &v->e, true, 0x18, (size_t)n);
	v->e.ack += (uint32_t)n;
}

static void web_body(struct out *o, struct visit *v)
{
	memset(o->frame + HEAD_L4 + 20, 'a' + (int)(any(o) % 26), WEB_SEGMENT);
	tcp_packet(o, &v->e, true, 0x10, WEB_SEGMENT);
	v->e.ack += WEB_SEGMENT;
	v->left--;
}

static void web_begin(struct out *o, struct visit *v, uint64_t number)
{
	*v = (struct visit){.left = 1 + any(o) % 16};
	v->e = (struct ends){.client = 0x0a000000u | (uint32_t)(number % 50000 + 1),
			     .server = 0x0af00000u | (any(o) & 0xfffff),
			     .seq = any(o),
			     .ack = any(o),
			     .port = (uint16_t)(1024 + number / 50000 % 60000),
			     .service = 80};
	tcp_packet(o, &v->e, false, 0x02, 0);
	v->e.seq++;
}

/* One packet of a visit; its last step begins the next visit. */
static void web_step(struct out *o, struct visit *v, uint64_t *number)
{
	switch (v->step) {
	case 0:
		web_begin(o, v, (*number)++);
		break;
	case 1:
		tcp_packet(o, &v->e, true, 0x12, 0);
		v->e.ack++;
		break;
	case 2:
	case 6:
		tcp_packet(o, &v->e, false, 0x10, 0);
		break;
	case 3:
		web_request(o, v);
		break;
	case 4:
		web_response(o, v);
		break;
	case 5:
		web_body(o, v);
		break;
	case 7:
		tcp_packet(o, &v->e, true, 0x11, 0);
		v->e.ack++;
		break;
	default:
		tcp_packet(o, &v->e, false, 0x11, 0);
		v->e.seq++;
		break;
	}
	bool more = v->step == 6 && v->left;
	v->step = more || (v->step == 5 && v->left && v->left % 2) ? 5 : (v->step + 1) % 9;
}

static void make_web(struct out *o)
{
	struct visit *visits = calloc(WEB_IN_FLIGHT, sizeof(*visits));
	uint64_t number = 0;
	while (o->packets < o->limit)
		web_step(o, &visits[any(o) % WEB_IN_FLIGHT], &number);
	free(visits);
}

static void make_flows(struct out *o)
{
	uint64_t flows = o->every ? o->every : 10000;
	for (uint64_t i = 0; o->packets < o->limit; i++) {
		uint64_t k = i < flows ? i : (synthetic_mix(o->random++) >> 8) % flows;
		struct ends e = {.client = 0x0a000000u | (uint32_t)(k % 0xfffff + 1),
				 .server = 0x0af00000u | (uint32_t)(synthetic_mix(k) & 0xfffff),
				 .seq = 1000,
				 .ack = 1000,
				 .port = (uint16_t)(1024 + k / 0xfffff % 60000),
				 .service = 443};
		tcp_packet(o, &e, i & 1, 0x10, 0);
		o->now_us -= GAP_US - 1;
	}
}

static bool make(struct out *o, const char *kind)
{
	static const struct {
		const char *name;
		void (*make)(struct out *);
	} kinds[] = {{"dns", make_dns}, {"syn", make_syn}, {"web", make_web}, {"flows", make_flows}};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, kind) == 0) {
			kinds[i].make(o);
			return true;
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fputs("usage: generate dns|syn|web|flows PACKETS FILE [EVERY]\n", stderr);
		return 2;
	}
	struct out o = {.f = fopen(argv[3], "wb"), .limit = strtoull(argv[2], NULL, 10), .random = 1};
	const uint32_t head[6] = {0xa1b2c3d4, 0x00040002, 0, 0, 65535, 1};
	if (!o.f) {
		perror(argv[3]);
		return 1;
	}
	o.every = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
	o.now_us = UINT64_C(1700000000) * 1000000;
	fwrite(head, sizeof(head), 1, o.f);
	bool known = make(&o, argv[1]);
	if (fclose(o.f) || !known) {
		fprintf(stderr, "generate: cannot make \"%s\"\n", argv[1]);
		return 1;
	}
	printf("%llu\n", (unsigned long long)o.planted);
	return 0;
}
