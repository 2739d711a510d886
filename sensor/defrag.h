/* IP fragments put together again, in bounded memory. One per worker. */
#ifndef SENSOR_DEFRAG_H
#define SENSOR_DEFRAG_H

#include "common/addr.h"
#include "common/cursor.h"
#include "sensor/ledger.h"

struct defrag;

struct defrag *defrag_new(size_t bytes, struct ledger *ledger);
void defrag_free(struct defrag *d);

struct fragment {
	struct addr src, dest;
	uint32_t id;
	uint32_t vlans; /* the packet's tags mixed to one number: twins in two networks stay apart */
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

/* Gives back the completed datagrams. */
void defrag_release(struct defrag *d);

size_t defrag_waiting(const struct defrag *d); /* incomplete datagrams held */

#endif
