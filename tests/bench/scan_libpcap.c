/* picket scan with libpcap's reader in place of our own: the same walk, so that the
 * bench can tell what the reader costs. These are sensor/capture.h's functions over
 * pcap_dispatch(), collected as sensor/capture_live.c does; the linker takes them
 * instead of those in the archive. nDPI must be off: its process is not this one. */
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "sensor/capture.h"
#include "sensor/scan.h"

enum { FRAME_MAX = 262144 };

struct capture {
	pcap_t *pcap;
	char *name;
	struct burst *burst;
	uint8_t *arena;
	size_t used;
	uint64_t received;
};

struct capture *capture_open_live(const struct capture_live *want, struct err *e)
{
	err_set(e, "%s: files only", want->interface);
	return NULL;
}

struct capture *capture_open_file(const char *path, const char *filter, struct err *e)
{
	char why[PCAP_ERRBUF_SIZE];
	struct capture *c = xcalloc(1, sizeof(*c));
	(void)filter;
	c->pcap = pcap_open_offline(path, why);
	if (!c->pcap) {
		err_set(e, "%s", why);
		free(c);
		return NULL;
	}
	c->name = xstrdup(path);
	c->arena = xmalloc((size_t)FRAME_MAX * BURST_MAX);
	return c;
}

static void keep(u_char *user, const struct pcap_pkthdr *h, const u_char *data)
{
	struct capture *c = (struct capture *)(void *)user;
	uint32_t n = h->caplen < FRAME_MAX ? h->caplen : FRAME_MAX;
	uint8_t *to = c->arena + c->used;
	memcpy(to, data, n);
	c->used += n;
	c->burst->packet[c->burst->n++] = (struct raw_packet){.ts_us = (int64_t)h->ts.tv_sec * 1000000 + h->ts.tv_usec,
							      .data = to,
							      .n = n,
							      .wire_n = h->len > n ? h->len : n,
							      .link_type = pcap_datalink(c->pcap)};
}

enum capture_result capture_read(struct capture *c, struct burst *burst, int wait_ms, struct err *e)
{
	(void)wait_ms;
	c->burst = burst;
	burst->n = 0;
	c->used = 0;
	e->text[0] = '\0';
	pcap_dispatch(c->pcap, BURST_MAX, keep, (u_char *)c);
	c->received += burst->n;
	return burst->n ? CAPTURE_PACKETS : CAPTURE_EOF;
}

bool capture_stats(struct capture *c, struct capture_stats *out)
{
	*out = (struct capture_stats){.received = c->received};
	return true;
}

int64_t capture_ring_bytes(const struct capture *c)
{
	(void)c;
	return 0;
}

const char *capture_name(const struct capture *c)
{
	return c->name;
}

void capture_describe(const struct capture *c, char *out, size_t n)
{
	snprintf(out, n, "%s", c->name);
}

bool capture_cut(const struct capture *c)
{
	(void)c;
	return false;
}

void capture_close(struct capture *c)
{
	if (!c)
		return;
	pcap_close(c->pcap);
	free(c->arena);
	free(c->name);
	free(c);
}

int main(int argc, char **argv)
{
	return scan_main(argc, argv);
}
