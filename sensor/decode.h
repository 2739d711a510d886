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
	uint16_t vxlan_ports[4], geneve_ports[4]; /* 0 ends; none = 4789, 8472 / 6081 */
	bool checksums;                           /* verify and count them */
};

struct decoder *decoder_new(const struct decoder_conf *conf, struct ledger *ledger);
void decoder_free(struct decoder *d);

/* Fills *out. False: the packet ended here and its end is in the ledger. True:
 * out->layers >= 1, the caller counts the end. A completed datagram's payload is
 * the decoder's memory, valid until the next call. */
bool decode_packet(struct decoder *d, const struct raw_packet *raw, struct packet *out);

bool decode_knows_link_type(int link_type);

#endif
