/* The flow table: bounded, keyed hash, fair eviction. One per worker. */
#ifndef SENSOR_FLOW_H
#define SENSOR_FLOW_H

#include "common/addr.h"
#include "common/hash.h"
#include "sensor/ledger.h"
#include "sensor/packet.h"

enum side { TO_SERVER = 0, TO_CLIENT = 1 }; /* from and to the originator */

enum vlan_mode { VLAN_AUTO = 0, VLAN_STRICT, VLAN_IGNORE, VLAN_MODE_COUNT }; /* auto: not part of the key */

/* The two endpoints in memory order, so that both directions give one key. */
struct flow_key {
	struct addr lo, hi;
	uint16_t lo_port, hi_port;
	uint16_t vlan; /* VLAN_STRICT: the outer tag and the low 4 bits of the second; else 0 */
	uint8_t proto;
	uint8_t vlan_inner; /* VLAN_STRICT: the upper 8 bits of the second tag; else 0 */
};

/* 64 bytes: one cache line. */
struct flow {
	struct flow_key key; /* 40 */
	uint32_t last_s;     /* seconds since 1970 of the last packet */
	union {
		uint32_t state;     /* with FLOW_STATE: index of the inspection state */
		uint32_t reply_isn; /* without: TCP sequence that the responder begins with (behind its SYN) */
	};
	uint32_t serial; /* number of the flow within the worker, from 1 */
	uint32_t isn;    /* TCP sequence that the originator begins with (behind its SYN), 0 = unknown */
	uint8_t flags;
	uint8_t parser; /* 1-based index into parsers[]: what the flow was recognised as; 0 = not (yet) */
	union {
		uint8_t tries;   /* UDP: probing attempts */
		uint8_t syn_ttl; /* TCP: of the originator's SYN, 0 = not seen */
	};
	uint8_t dpi_seen;   /* packets that nDPI was given; UINT8_MAX: it wants no more */
	uint8_t packets[2]; /* per side, saturating */
	uint16_t checked;   /* generation of the rule set that the addresses were matched against */
};

#define FLOW_ORIGIN_HI 0x01 /* the originator is the hi end */
#define FLOW_STATE     0x02 /* there is inspection state */
/* RST, or FIN on both sides: the flow ends soon, and a SYN begins a new one.
 * flow_get() sets it while there is no inspection state. With FLOW_STATE only the
 * owner does, when stream_closed(): flow_get() cannot tell a decoy's sequence
 * number from a true one. */
#define FLOW_CLOSED 0x04
#define FLOW_FIN_LO 0x08
#define FLOW_FIN_HI 0x10
#define FLOW_DONE   0x20 /* inspection has ended: nothing more to find */
#define FLOW_DPI    0x40 /* nDPI was given packets and has not said its last word */

struct flow_table;
struct bucket;

/* Called when a flow leaves the table (expiry, eviction, port reuse, the table's
 * end): give back its state. Must not call the table. */
typedef void flow_end_fn(void *owner, struct flow *f);

/* flows: how many at once. Memory comes with use, at most 96 bytes for each. */
struct flow_table *flow_table_new(size_t flows, enum vlan_mode vlan, const struct hash_key *key, struct ledger *ledger,
				  flow_end_fn *end, void *owner);
void flow_table_free(struct flow_table *t); /* ends every flow */

/* soon is called with a flow that flow_expire() is about to end, for several before the
 * first of them ends: to fetch what its end will touch. */
typedef void flow_soon_fn(void *owner, const struct flow *f);
void flow_before_end(struct flow_table *t, flow_soon_fn *soon);

/* A packet on its way to its flow. The first step fills in what is above the line. */
struct flow_seek {
	struct flow_key key;
	uint64_t hash;
	bool from_hi; /* the packet's source is the hi end; both ends alike: no */
	/* For flow.c alone: where flow_prefetch() expects the flow. */
	uint8_t place;
	struct bucket *bucket;
	const struct flow *guess;
};

/* The burst walk, each step for all packets of the burst before the next: key
 * and hash (which also fetches the bucket), then flow_prefetch() of the record,
 * then flow_get(). flow_prefetch() gives the record that it fetches: probably the
 * flow's, not verified, to be read for nothing but more fetching. NULL: the bucket
 * where it stands otherwise is fetched, and flow_prefetch_other() looks there in one
 * more step; NULL again: a new flow. */
void flow_seek(const struct flow_table *t, const struct layer *l, struct flow_seek *s);
const struct flow *flow_prefetch(const struct flow_table *t, struct flow_seek *s);
const struct flow *flow_prefetch_other(const struct flow_table *t, struct flow_seek *s);

/* Finds or creates. Never NULL: a full table evicts (unanswered one-packet
 * and closed ones first, then the longest idle near its place). A flow that was
 * idle for longer than its time, and a closed one that a SYN arrives for, ends here
 * and a new one begins, whether flow_expire() passed by or not. The direction of a new flow: the
 * SYN's sender; a SYN-ACK's receiver; else, when exactly one port is below 1024,
 * the other end; else the first sender. */
struct flow *flow_get(struct flow_table *t, const struct layer *l, const struct flow_seek *s, int64_t ts_us,
		      bool *is_new, enum side *side);

/* Ends flows idle for longer than their time: call between bursts with the
 * capture's clock; does a bounded slice of work per call. */
void flow_expire(struct flow_table *t, int64_t now_us);

size_t flow_count(const struct flow_table *t);
size_t flow_table_bytes(const struct flow_table *t);

#endif
