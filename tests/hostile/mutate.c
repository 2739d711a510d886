/* Mutated captures, as one pcapng file on standard output:
 *
 *   mutate SEED PACKETS CAPTURE...
 *
 * goes round the captures, a file at a time, until PACKETS packets were changed; so
 * conversations stay whole and a change meets a parser that is at work. Of each four
 * packets three are changed: bits flipped, bytes set, numbers moved by little, pieces
 * cut out, doubled, or taken from another packet; others come twice, late, or not at all.
 * Of half of the changed packets lengths and checksums are put right again: a segment with
 * a wrong one waits for its acknowledgement, and a parser never sees most of them.
 * The same arguments give the same bytes. Prints how many were changed. */
#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/frame_bytes.h"

enum { ROOM = 1 << 18, LINKS = 16, HEADERS = 54 };

static uint64_t seed, changed, wanted;
static int links[LINKS], links_n;
static uint8_t now[ROOM], late[ROOM], other[ROOM];
static uint32_t now_n, late_n, other_n;
static int late_link;

static uint64_t any(void)
{
	uint64_t x = seed += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint32_t below(uint32_t n)
{
	return n ? (uint32_t)(any() % n) : 0;
}

/* ---- pcapng ---- */

static void block(uint32_t kind, const void *head, uint32_t head_n, const void *body, uint32_t body_n)
{
	static const uint8_t zeros[4];
	uint32_t pad = -(head_n + body_n) & 3, total = 12 + head_n + body_n + pad, begin[2] = {kind, total};
	fwrite(begin, 8, 1, stdout);
	fwrite(head, head_n, 1, stdout);
	if (body_n)
		fwrite(body, body_n, 1, stdout);
	fwrite(zeros, pad, 1, stdout);
	fwrite(&total, 4, 1, stdout);
}

static void section(void)
{
	const uint32_t head[4] = {0x1a2b3c4d, 1, UINT32_MAX, UINT32_MAX};
	block(0x0a0d0d0a, head, sizeof(head), NULL, 0);
}

/* The number of the interface that stands for a link type; -1: there are too many. */
static int interface_of(int link)
{
	for (int i = 0; i < links_n; i++)
		if (links[i] == link)
			return i;
	if (links_n == LINKS)
		return -1;
	const uint32_t head[2] = {(uint32_t)link, ROOM};
	block(1, head, sizeof(head), NULL, 0);
	links[links_n] = link;
	return links_n++;
}

static void packet(int link, const uint8_t *p, uint32_t n, uint32_t wire_n)
{
	static uint64_t us = UINT64_C(1795230600000000);
	int i = interface_of(link);
	if (i < 0)
		return;
	us += 100 + below(200);
	const uint32_t head[5] = {(uint32_t)i, (uint32_t)(us >> 32), (uint32_t)us, n, wire_n};
	block(6, head, sizeof(head), p, n);
}

/* ---- changes ---- */

/* Mostly behind the usual headers, so that the flow stays what it is. */
static uint32_t place(void)
{
	return now_n > HEADERS && any() % 8 ? HEADERS + below(now_n - HEADERS) : below(now_n);
}

static void cut_out(uint32_t at, uint32_t n)
{
	n = n < now_n - at ? n : now_n - at;
	memmove(now + at, now + at + n, now_n - at - n);
	now_n -= n;
}

static void put_in(uint32_t at, const uint8_t *p, uint32_t n)
{
	static uint8_t copy[ROOM];
	if (now_n + n > 65535)
		return;
	memcpy(copy, p, n);
	memmove(now + at + n, now + at, now_n - at);
	memcpy(now + at, copy, n);
	now_n += n;
}

static void number(uint32_t at)
{
	static const uint16_t edges[] = {0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x4000, 0x3fff, 0xfffe};
	if (at + 2 > now_n)
		return;
	unsigned v = (unsigned)(now[at] << 8 | now[at + 1]);
	v = any() % 2 ? edges[below(sizeof(edges) / sizeof(edges[0]))] : v + below(9) - 4;
	now[at] = (uint8_t)(v >> 8);
	now[at + 1] = (uint8_t)v;
}

static void change_once(void)
{
	static const uint8_t bytes[] = {0, 0xff, 0x7f, 0x80, ' ', '\r', '\n', '.', ':', '=', 0xc0, 0x30};
	uint32_t at = place();
	if (!now_n)
		return;
	switch (below(8)) {
	case 0:
	case 1:
		now[at] ^= (uint8_t)(1u << below(8));
		break;
	case 2:
		now[at] = bytes[below(sizeof(bytes))];
		break;
	case 3:
		number(at);
		break;
	case 4:
		cut_out(at, 1 + below(any() % 4 ? 8 : 400));
		break;
	case 5:
		put_in(at, now + at, 1 + below(now_n - at < 64 ? now_n - at : 64));
		break;
	case 6:
		if (other_n > HEADERS)
			put_in(at, other + HEADERS, 1 + below(other_n - HEADERS < 200 ? other_n - HEADERS : 200));
		break;
	default:
		now_n = at; /* cut short */
	}
}

/* The checksum of TCP or UDP over n bytes behind addresses of address_n bytes in all. */
static void mend_segment(uint8_t *p, uint32_t n, const uint8_t *addresses, size_t address_n, uint8_t proto)
{
	uint32_t at = proto == 6 ? 16 : 6;
	if ((proto != 6 && proto != 17) || n < at + 2)
		return;
	if (proto == 17)
		put16(p + 4, n);
	put16(p + at, 0);
	put16(p + at, fold(sum(p, n, sum(addresses, address_n, proto + n))));
}

/* What stands in Ethernet or begins a packet: the outermost header only. */
static void mend(int link)
{
	uint32_t skip = link == 1 ? 14 : 0, n = now_n - skip;
	uint8_t *ip = now + skip;
	if ((link != 1 && link != 12 && link != 101) || now_n < skip + 40 || n > 65535)
		return;
	if (ip[0] >> 4 == 6) {
		put16(ip + 4, n - 40);
		mend_segment(ip + 40, n - 40, ip + 8, 32, ip[6]);
		return;
	}
	uint32_t head = (ip[0] & 15u) * 4;
	if (ip[0] >> 4 != 4 || head < 20 || head > n)
		return;
	put16(ip + 2, n);
	if (!(ip[6] & 0x3f) && !ip[7])
		mend_segment(ip + head, n - head, ip + 12, 8, ip[9]);
	put16(ip + 10, 0);
	put16(ip + 10, fold(sum(ip, head, 0)));
}

static void change(int link)
{
	for (uint32_t i = 1 + below(any() % 4 ? 2 : 12); i && now_n; i--)
		change_once();
	if (any() % 2)
		mend(link);
	changed++;
}

static void late_comes(void)
{
	if (late_n)
		packet(late_link, late, late_n, late_n);
	late_n = 0;
}

static void one(int link)
{
	if (any() % 4)
		change(link);
	uint32_t fate = below(64);
	if (fate == 0)
		return; /* lost */
	if (fate < 3 && !late_n) {
		memcpy(late, now, now_n);
		late_n = now_n;
		late_link = link;
		return;
	}
	uint32_t kept = fate == 3 ? below(now_n) : now_n; /* cut by the capture */
	packet(link, now, kept, now_n);
	if (fate == 4)
		packet(link, now, now_n, now_n);
	if (any() % 4 == 0)
		late_comes();
}

static void file(const char *path)
{
	char error[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *h;
	const u_char *p;
	pcap_t *c = pcap_open_offline(path, error);
	if (!c)
		return; /* libpcap does not read all that Picket reads */
	while (changed < wanted && pcap_next_ex(c, &h, &p) == 1) {
		now_n = h->caplen < ROOM / 4 ? h->caplen : ROOM / 4;
		memcpy(now, p, now_n);
		one(pcap_datalink(c));
		if (any() % 16 == 0) {
			memcpy(other, now, now_n);
			other_n = now_n;
		}
	}
	pcap_close(c);
	late_comes();
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: mutate SEED PACKETS CAPTURE...\n");
		return 2;
	}
	seed = strtoull(argv[1], NULL, 10);
	wanted = strtoull(argv[2], NULL, 10);
	setvbuf(stdout, NULL, _IOFBF, 1 << 20);
	section();
	uint64_t before;
	do {
		before = changed;
		for (int i = 3; i < argc && changed < wanted; i++)
			file(argv[3 + (int)below((uint32_t)argc - 3)]);
	} while (changed > before && changed < wanted);
	fprintf(stderr, "%llu\n", (unsigned long long)changed);
	return fflush(stdout) ? 4 : 0;
}
