/* A packet as it came from the wire, and what decoding made of it. */
#ifndef SENSOR_PACKET_H
#define SENSOR_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "sensor/ledger.h"

#define BURST_MAX 32
#define VLAN_TAGS_MAX 4 /* kept of each layer, outermost first */

/* As captured. data is borrowed until the next capture_read(). */
struct raw_packet {
	int64_t ts_us;
	const uint8_t *data;
	uint32_t n, wire_n; /* captured and original length */
	int link_type;      /* LINKTYPE_… number (pcapng files may mix them) */
};

struct burst {
	size_t n;
	struct raw_packet packet[BURST_MAX];
};

enum tunnel {
	TUNNEL_NONE = 0, TUNNEL_GRE, TUNNEL_ERSPAN, TUNNEL_IPIP, TUNNEL_6IN4, TUNNEL_VXLAN, TUNNEL_GENEVE, TUNNEL_GTP,
	TUNNEL_TEREDO, TUNNEL_CAPWAP, TUNNEL_L2TP, TUNNEL_TZSP, TUNNEL_ETHERIP, TUNNEL_MPLS, /* in IP or UDP */
	TUNNEL_AYIYA,
	TUNNEL_COUNT
};
extern const char *const tunnel_names[TUNNEL_COUNT];

/* One IP header and what it carries. A tunnelled packet has several, outermost
 * first: each is a flow of its own, only the innermost is inspected. */
struct layer {
	struct addr src, dest;
	uint16_t src_port, dest_port; /* ICMP: 0; type and code below */
	uint8_t proto;                /* the last header's IP protocol number; 0 for ARP */
	uint8_t icmp_type, icmp_code;
	uint8_t ttl;
	uint8_t tcp_flags;
	uint8_t vlan_n;
	uint16_t vlan[VLAN_TAGS_MAX];
	enum tunnel tunnel; /* how this layer is wrapped by the one before; NONE for the outermost */
	bool fragment;      /* a fragment that did not (yet) complete: ports and payload are unknown */
	bool truncated;     /* the capture cut it short */
	bool bad_checksum;  /* counted, never dropped */
	bool good_checksum; /* verified, the header's and the transport's: none is wrong */
	bool arp;
	uint32_t tcp_seq, tcp_ack;
	uint32_t tcp_stamp; /* TSval, RFC 7323, 3; 0: none */
	const uint8_t *ip; /* the IP header: what nDPI is given */
	uint32_t ip_n;
	const uint8_t *payload; /* behind the transport header */
	uint32_t payload_n;
	uint32_t payload_wire_n; /* as the headers say; > payload_n when truncated */
};

#define LAYERS_MAX 6

struct packet {
	int64_t ts_us;
	uint32_t wire_n;
	size_t layers;    /* 0: not IP or undecodable: the ledger says which */
	enum ledger_id end; /* how it ends when decoding knows: ARP, fragment, transport header cut or
			     * impossible, too deep; LEDGER_END_COUNT = the caller decides */
	bool begun;       /* the beginning of a datagram that was given up: its fragments have ended */
	bool reassembled; /* the payload is the decoder's memory: use it before the next decode_packet() */
	struct layer layer[LAYERS_MAX];
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_URG 0x20

#endif
