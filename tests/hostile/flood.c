/* Floods, as a capture on standard output:
 *
 *   flood KIND FLOWS NEEDLES > capture
 *   flood rules NEEDLES > rules.csv
 *
 * FLOWS new flows of the kind, a microsecond apart so that none is idle for long,
 * and among them NEEDLES addresses, DNS names and hosts of HTTP requests that are
 * indicators, each once, evenly spread: all of them must be found. Kinds:
 *
 *   syn       SYNs that nobody answers
 *   hsum hxor hlow   SYNs whose addresses and ports collide in a sum, in an exclusive
 *             or, in their low bits: what a hash without a key would suffer from
 *   fragsum fraglow   fragments whose addresses and identifiers collide so
 *   dnssum dnslow     names that are as long and have the same sum of letters; that
 *             differ in one bit of each letter
 *   udp       one datagram each
 *   est       connections with a segment that no parser knows, never closed
 *   gap       a segment that waits for one that never comes
 *   http      the beginning of a request whose head never ends
 *   sni       a ClientHello
 *   dns       lookups of random names
 *   frag frag6   first fragments of datagrams that never complete
 *   ext       IPv6 datagrams behind four VLAN tags and eight extension headers
 *   alert     lookups below one indicator, a flow each
 *   alertsame the same in one flow
 *
 * What floods is in 10/8, 11/8 and 2001:db8::/32; needles are in 198.18/15. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/frame_bytes.h"

enum { ROOM = 2048, ETHER = 14, V4 = 20, TCP = 20, PAYLOAD = 1000, SYN = 2, PSH = 8, ACK = 16 };

static uint8_t frame[ROOM];
static uint64_t now_us = UINT64_C(1795230600000000), seed = 1;

static uint64_t any(void)
{
	uint64_t x = seed += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static void emit(size_t n)
{
	uint32_t head[4] = {(uint32_t)(now_us / 1000000), (uint32_t)(now_us % 1000000), (uint32_t)n, (uint32_t)n};
	fwrite(head, sizeof(head), 1, stdout);
	fwrite(frame, n, 1, stdout);
	now_us++;
}

static uint8_t *ether(unsigned kind)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
	memcpy(frame, macs, sizeof(macs));
	put16(frame + 12, kind);
	return frame + ETHER;
}

static unsigned ident_mask = 0xffff; /* of the identifiers of IPv4 */

/* Around n bytes that stand behind the header; fragment: the field of that name. */
static void emit4(uint32_t src, uint32_t dest, uint8_t proto, unsigned fragment, size_t n)
{
	uint8_t *ip = ether(0x0800), *l4 = ip + V4;
	memset(ip, 0, V4);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(V4 + n));
	put16(ip + 4, (unsigned)any() & ident_mask);
	put16(ip + 6, fragment);
	ip[8] = 64;
	ip[9] = proto;
	put32(ip + 12, src);
	put32(ip + 16, dest);
	put16(ip + 10, fold(sum(ip, V4, 0)));
	unsigned at = proto == 6 ? 16 : 6;
	if (!fragment) {
		put16(l4 + at, 0);
		put16(l4 + at, fold(sum(l4, n, sum(ip + 12, 8, proto + (uint32_t)n))));
	}
	emit(ETHER + V4 + n);
}

struct ends {
	uint32_t src, dest;
	uint16_t sport, dport;
};

static struct ends any_ends(uint16_t dport)
{
	uint64_t r = any();
	return (struct ends){0x0a000000u | (uint32_t)(r & 0xffffff), 0x0b000000u | (uint32_t)(r >> 24 & 0xffffff),
			     (uint16_t)(1024 + (r >> 48) % 60000), dport};
}

static void tcp(const struct ends *e, bool back, unsigned flags, uint32_t seq, uint32_t ack, size_t n)
{
	uint8_t *t = frame + ETHER + V4;
	put16(t, back ? e->dport : e->sport);
	put16(t + 2, back ? e->sport : e->dport);
	put32(t + 4, seq);
	put32(t + 8, ack);
	put32(t + 12, 0x5000ffffu | flags << 16);
	put32(t + 16, 0);
	emit4(back ? e->dest : e->src, back ? e->src : e->dest, 6, 0, TCP + n);
}

static void udp(const struct ends *e, size_t n)
{
	uint8_t *u = frame + ETHER + V4;
	put16(u, e->sport);
	put16(u + 2, e->dport);
	put16(u + 4, (unsigned)(8 + n));
	emit4(e->src, e->dest, 17, 0, 8 + n);
}

static size_t lookup(uint8_t *p, const char *name)
{
	static const uint8_t head[12] = {0x12, 0x34, 1, 0, 0, 1};
	memcpy(p, head, sizeof(head));
	size_t n = sizeof(head);
	while (*name) {
		size_t label = strcspn(name, ".");
		p[n++] = (uint8_t)label;
		memcpy(p + n, name, label);
		n += label;
		name += label + (name[label] == '.');
	}
	p[n++] = 0;
	put32(p + n, 0x00010001);
	return n + 4;
}

static void ask(const struct ends *e, const char *name)
{
	udp(e, lookup(frame + ETHER + V4 + 8, name));
}

static void established(const struct ends *e)
{
	tcp(e, false, SYN, 999, 0, 0);
	tcp(e, true, SYN | ACK, 4999, 1000, 0);
	tcp(e, false, ACK, 1000, 5000, 0);
}

static uint32_t needle_address(uint32_t i)
{
	return 0xc6120000u + i;
}

static void needle(uint32_t i)
{
	char name[64];
	struct ends e = any_ends(443);
	e.dest = needle_address(i);
	tcp(&e, false, SYN, 1, 0, 0);
	e = any_ends(53);
	snprintf(name, sizeof(name), "n%u.needle.example", i);
	ask(&e, name);
	e = any_ends(80);
	established(&e);
	int n = snprintf((char *)frame + ETHER + V4 + TCP, PAYLOAD,
			 "GET / HTTP/1.1\r\nHost: w%u.needle.example\r\n\r\n", i);
	tcp(&e, false, PSH | ACK, 1000, 5000, (size_t)n);
}

/* ---- kinds ---- */

static void syn(void)
{
	struct ends e = any_ends(80);
	tcp(&e, false, SYN, (uint32_t)any(), 0, 0);
}

static struct ends colliding_ends(const char *kind)
{
	struct ends e = any_ends(80);
	if (strcmp(kind, "sum") == 0)
		e.dest = 0x16000000u - e.src + (80u - e.sport) + 0x10000;
	else if (strcmp(kind, "xor") == 0)
		e.dest = e.src ^ e.sport ^ 0x01000000u;
	else
		e = (struct ends){0x0a000000u | (uint32_t)(any() & 0xff0000),
				  0x0b000000u | (uint32_t)(any() & 0xff0000), (uint16_t)(0x400 | (any() & 0xfc00)), 80};
	return e;
}

static void collide(const char *kind)
{
	struct ends e = colliding_ends(kind);
	tcp(&e, false, SYN, 1, 0, 0);
}

static void colliding_fragment(const char *kind)
{
	enum { PART = 512 };
	struct ends e = colliding_ends(kind);
	memset(frame + ETHER + V4, 0x55, PART);
	ident_mask = strcmp(kind, "low") == 0 ? 0xff00 : 0;
	emit4(e.src, e.dest, 17, 0x2000, PART);
	ident_mask = 0xffff;
}

static void colliding_lookup(const char *kind)
{
	static const char digits[] = "abcdefghijklmnop";
	char name[96] = "";
	struct ends e = any_ends(53);
	uint64_t r = any();
	for (int i = 0; i < 8; i++, r >>= 4) {
		bool sums = strcmp(kind, "sum") == 0;
		name[i] = digits[sums ? r & 15 : r & 8];
		name[8 + i] = digits[sums ? 15 - (r & 15) : r >> 28 & 8];
	}
	strcpy(name + 16, ".flooding.example");
	ask(&e, name);
}

static void datagram(void)
{
	struct ends e = any_ends(9999);
	memset(frame + ETHER + V4 + 8, 0x81, 24);
	udp(&e, 24);
}

static void connection(const char *kind)
{
	struct ends e = any_ends(8000);
	uint8_t *at = frame + ETHER + V4 + TCP;
	size_t n = 40;
	uint32_t seq = 1000;
	established(&e);
	memset(at, 0x81, PAYLOAD);
	if (strcmp(kind, "gap") == 0) {
		n = PAYLOAD;
		seq += 5000;
	} else if (strcmp(kind, "http") == 0) {
		memset(at, 'a', PAYLOAD);
		memcpy(at, "GET /flood HTTP/1.1\r\nHost: flooding.example\r\nX: ", 49);
		n = PAYLOAD;
	}
	tcp(&e, false, PSH | ACK, seq, 5000, n);
}

static void hello(void)
{
	static const uint8_t begin[] = {0x16, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3};
	struct ends e = any_ends(443);
	char name[64];
	int name_n = snprintf(name, sizeof(name), "h%llx.flooding.example", (unsigned long long)any());
	uint8_t *at = frame + ETHER + V4 + TCP, *p = at;
	established(&e);
	memcpy(p, begin, sizeof(begin));
	memset(p + sizeof(begin), 7, 32);
	p += sizeof(begin) + 32;
	memcpy(p, "\0\0\4\x13\1\x13\2\1\0", 9);
	p += 9;
	put16(p, (unsigned)name_n + 9);
	put16(p + 2, 0);
	put16(p + 4, (unsigned)name_n + 5);
	put16(p + 6, (unsigned)name_n + 3);
	p[8] = 0;
	put16(p + 9, (unsigned)name_n);
	memcpy(p + 11, name, (size_t)name_n);
	p += 11 + name_n;
	put16(at + 3, (unsigned)(p - at) - 5);
	put16(at + 7, (unsigned)(p - at) - 9);
	tcp(&e, false, PSH | ACK, 1000, 5000, (size_t)(p - at));
}

static void random_lookup(const char *below)
{
	char name[96];
	struct ends e = any_ends(53);
	snprintf(name, sizeof(name), "q%llx.%s", (unsigned long long)any(), below);
	ask(&e, name);
}

static uint8_t *ip6(size_t n, uint8_t next)
{
	uint8_t *ip = ether(0x86dd);
	memset(ip, 0, 40);
	ip[0] = 0x60;
	put16(ip + 4, (unsigned)n);
	ip[6] = next;
	ip[7] = 64;
	put32(ip + 8, 0x20010db8);
	put32(ip + 20, (uint32_t)any());
	put32(ip + 24, 0x20010db8);
	put32(ip + 36, (uint32_t)any());
	return ip + 40;
}

static void fragment(bool v6)
{
	enum { PART = 512 };
	if (!v6) {
		struct ends e = any_ends(53);
		memset(frame + ETHER + V4, 0x55, PART);
		emit4(e.src, e.dest, 17, 0x2000, PART);
		return;
	}
	uint8_t *p = ip6(8 + PART, 44);
	memset(p, 0, 8);
	p[0] = 17;
	p[3] = 1;
	put32(p + 4, (uint32_t)any());
	memset(p + 8, 0x55, PART);
	emit(ETHER + 40 + 8 + PART);
}

/* Four tags are put between the addresses and what ip6() has made. */
static void extensions(void)
{
	enum { HEADERS = 8, TAGS = 4, DATA = 24, BODY = HEADERS * 8 + 8 + DATA };
	uint8_t *p = ip6(BODY, 60);
	for (int i = 0; i < HEADERS; i++, p += 8)
		memcpy(p, i + 1 < HEADERS ? "\x3c\0\1\4\0\0\0\0" : "\x11\0\1\4\0\0\0\0", 8);
	put16(p, (unsigned)(1024 + any() % 60000));
	put16(p + 2, 9999);
	put16(p + 4, 8 + DATA);
	put16(p + 6, 0);
	memset(p + 8, 0x81, DATA);
	memmove(frame + ETHER + 4 * TAGS, frame + ETHER, 40 + BODY);
	for (unsigned i = 0; i < TAGS; i++)
		put32(frame + 12 + 4 * i, (i + 1 < TAGS ? 0x88a80000u : 0x81000000u) | (i + 1));
	put16(frame + 12 + 4 * TAGS, 0x86dd);
	emit(ETHER + 4 * TAGS + 40 + BODY);
}

static bool one(const char *kind)
{
	static const struct ends same = {0x0a010207, 0x0b000035, 50000, 53};
	if (strcmp(kind, "syn") == 0)
		syn();
	else if (strcmp(kind, "hsum") == 0 || strcmp(kind, "hxor") == 0 || strcmp(kind, "hlow") == 0)
		collide(kind + 1);
	else if (strcmp(kind, "fragsum") == 0 || strcmp(kind, "fraglow") == 0)
		colliding_fragment(kind + 4);
	else if (strcmp(kind, "dnssum") == 0 || strcmp(kind, "dnslow") == 0)
		colliding_lookup(kind + 3);
	else if (strcmp(kind, "udp") == 0)
		datagram();
	else if (strcmp(kind, "est") == 0 || strcmp(kind, "gap") == 0 || strcmp(kind, "http") == 0)
		connection(kind);
	else if (strcmp(kind, "sni") == 0)
		hello();
	else if (strcmp(kind, "dns") == 0)
		random_lookup("flooding.example");
	else if (strcmp(kind, "frag") == 0 || strcmp(kind, "frag6") == 0)
		fragment(kind[4] == '6');
	else if (strcmp(kind, "ext") == 0)
		extensions();
	else if (strcmp(kind, "alert") == 0)
		random_lookup("alert.example");
	else if (strcmp(kind, "alertsame") == 0)
		ask(&same, "www.alert.example");
	else
		return false;
	return true;
}

static int rules(uint32_t needles)
{
	printf("type,value\ndomain,alert.example\n");
	for (uint32_t i = 0; i < needles; i++) {
		uint32_t a = needle_address(i);
		printf("hostname,n%u.needle.example\nhostname,w%u.needle.example\n", i, i);
		printf("ip,%u.%u.%u.%u\n", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const uint32_t head[6] = {0xa1b2c3d4, 4 << 16 | 2, 0, 0, 65535, 1};
	if (argc == 3 && strcmp(argv[1], "rules") == 0)
		return rules((uint32_t)atol(argv[2]));
	if (argc != 4) {
		fprintf(stderr, "usage: flood KIND FLOWS NEEDLES | flood rules NEEDLES\n");
		return 2;
	}
	uint64_t flows = strtoull(argv[2], NULL, 10), every = flows / (strtoull(argv[3], NULL, 10) + 1);
	uint32_t needles = (uint32_t)atol(argv[3]), planted = 0;
	setvbuf(stdout, NULL, _IOFBF, 1 << 20);
	fwrite(head, sizeof(head), 1, stdout);
	for (uint64_t i = 1; i <= flows; i++) {
		if (!one(argv[1])) {
			fprintf(stderr, "flood: \"%s\" is no kind of flood\n", argv[1]);
			return 2;
		}
		if (planted < needles && i % every == 0)
			needle(planted++);
	}
	return fflush(stdout) ? 4 : 0;
}
