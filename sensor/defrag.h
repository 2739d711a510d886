/* IP fragments put together again, in bounded memory. One per worker. */
#ifndef SENSOR_DEFRAG_H
#define SENSOR_DEFRAG_H

#include "common/addr.h"
#include "common/cursor.h"
#include "sensor/ledger.h"
#include "sensor/packet.h"

struct defrag;

struct defrag *defrag_new(size_t bytes, struct ledger *ledger);
void defrag_free(struct defrag *d);

struct fragment_vlans {
	uint8_t n;
	uint16_t tag[VLAN_TAGS_MAX];
};

struct fragment {
	struct addr src, dest;
	uint32_t id;
	struct fragment_vlans vlans; /* twins in two networks stay apart; what is not used is zero */
	bool v6;
	uint8_t proto;   /* IPv4: of the header; IPv6: the fragment header's next header */
	uint32_t offset; /* bytes from the start of the datagram's payload, a multiple of 8 */
	bool more;
	/* The headers in front, from the IP header on; for IPv6 without the fragment header. */
	struct bytes head;
	uint32_t next_at; /* IPv6: where in head the number of the following header stands */
	struct bytes data;
};

/* Keeps the fragment. When it completes its datagram, gives that as a plain IP
 * datagram (lengths, flags and next header set as if it had never been split; the
 * IPv4 header checksum is zero), valid until defrag_release(). Otherwise {NULL, 0}. */
struct bytes defrag_add(struct defrag *d, const struct fragment *f, int64_t now_us);

/* Gives up what waits for too long. */
void defrag_expire(struct defrag *d, int64_t now_us);
/* Gives up all that waits: nothing more will come. */
void defrag_end(struct defrag *d);
/* The beginning of a datagram that was given up, for whatever reason, up to where its
 * first byte is missing: as a plain IP datagram whose length says more than there is.
 * Valid until defrag_release(); {NULL, 0} when there is none (any more). *vlans: as in
 * the fragment that it began with. */
struct bytes defrag_given_up(struct defrag *d, struct fragment_vlans *vlans);

/* Gives back the datagrams that were handed out. */
void defrag_release(struct defrag *d);

size_t defrag_waiting(const struct defrag *d); /* incomplete datagrams held */

#endif
