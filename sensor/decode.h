/* From bytes to layers: link, VLAN, MPLS, PPPoE, IP with extension headers and
 * reassembly, tunnels. */
#ifndef SENSOR_DECODE_H
#define SENSOR_DECODE_H

#include "common/mem.h"
#include "sensor/ledger.h"
#include "sensor/packet.h"

struct decoder;

struct decoder_conf {
	size_t defrag_bytes; /* memory for incomplete datagrams; 0 = 16 MiB */
	uint16_t vxlan_ports[4], geneve_ports[4]; /* 0 ends; none = 4789, 8472, 4790 (GPE) / 6081 */
	bool checksums;                           /* verify and count them */
};

struct decoder *decoder_new(const struct decoder_conf *conf, struct ledger *ledger);
void decoder_free(struct decoder *d);

/* Fills *out. False: the packet ended here, its end is in the ledger and
 * out->layers is 0. True: out->layers >= 1 and the caller counts the end:
 * out->end when that is not LEDGER_END_COUNT (the addresses are to be matched, but
 * there is nothing to inspect), otherwise END_INSPECTED, END_FLOW or END_SHED.
 *
 * A fragment that does not complete its datagram is a layer with `fragment` set:
 * addresses and protocol, no ports, no payload. The completing one gives the whole
 * datagram, in the decoder's memory (out->reassembled), valid until the next call.
 * The packet quoted inside an ICMP error is not a layer: nobody sent it here.
 *
 * Counted here: the ends of refused packets, CAPTURE_CUT, CHECKSUM, VLAN, TUNNEL…,
 * FRAG…. Counted by the caller: RECEIVED, BYTES, the other ends. */
bool decode_packet(struct decoder *d, const struct raw_packet *raw, struct packet *out);

/* A datagram that will not complete: fills *out with what it began with, as the packet
 * at ts_us; its layer is truncated. Call after each burst until it is false. What it is
 * made of has ended already (FRAGMENT): it is no further packet of the ledger. */
bool decode_given_up(struct decoder *d, int64_t ts_us, struct packet *out);
/* Nothing more will come: call decode_given_up() until it is false, and both again until this is. */
bool decoder_end(struct decoder *d);

/* link_type: a LINKTYPE_… number as in capture files, or Linux' DLT_RAW (12). */
bool decode_knows_link_type(int link_type);

#endif
