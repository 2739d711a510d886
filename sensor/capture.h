/* Packets from an interface (libpcap, TPACKET_V3), a capture file (pcap and
 * pcapng through our own reader, mixed link types included; either may be gzip'd
 * or zstd'd), or standard input ("-"). */
#ifndef SENSOR_CAPTURE_H
#define SENSOR_CAPTURE_H

#include "common/err.h"
#include "sensor/packet.h"

struct capture;

struct capture_live {
	const char *interface;
	const char *filter; /* BPF text; NULL or "" = all */
	int snaplen;        /* 0 = 65535 */
	int64_t ring_bytes; /* 0 = 64 MiB */
	bool promiscuous;
	int fanout_group; /* 0 = alone; else the PACKET_FANOUT group shared by this sensor's workers */
};

struct capture *capture_open_live(const struct capture_live *want, struct err *e);

/* "-" is standard input. filter as above. */
struct capture *capture_open_file(const char *path, const char *filter, struct err *e);

enum capture_result {
	CAPTURE_PACKETS = 0, /* burst->n is 1 or more */
	CAPTURE_IDLE,        /* live: nothing within wait_ms */
	CAPTURE_EOF,         /* file: the end; e->text says it when the file is cut short, else "" */
	CAPTURE_FAILED       /* the interface went away, a read error: e says what */
};
enum capture_result capture_read(struct capture *c, struct burst *burst, int wait_ms, struct err *e);

struct capture_stats {
	uint64_t received; /* without the dropped ones; since open, as all: wrap-arounds are taken out */
	uint64_t dropped_kernel, dropped_interface;
};
bool capture_stats(struct capture *c, struct capture_stats *out);
int64_t capture_ring_bytes(const struct capture *c); /* 0: a file */
const char *capture_name(const struct capture *c);   /* interface or path: in_iface of alerts */
/* "eth1: Ethernet, ring 64 MiB, snaplen 65535, filter …": what was decided, for the first lines. */
void capture_describe(const struct capture *c, char *out, size_t n);
bool capture_cut(const struct capture *c); /* the file ended inside a packet */
void capture_close(struct capture *c);

#endif
