/* One TCP connection's bytes in order: reordering, overlap, gaps, within a
 * budget. Policy: the first copy of a byte counts; an overlap with other bytes
 * is counted (stream.conflict) and told to the owner. In-order data is handed on
 * from the packet itself, without a copy. */
#ifndef SENSOR_STREAM_H
#define SENSOR_STREAM_H

#include "common/mem.h"
#include "sensor/flow.h"
#include "sensor/ledger.h"

struct segment; /* kept out-of-order data */

struct stream_half {
	uint32_t next; /* sequence number expected next */
	bool known;    /* next is valid */
	bool closed;   /* FIN delivered, or RST */
	bool fin_seen;
	uint32_t fin_at;
	struct segment *waiting; /* by sequence number */
	uint32_t waiting_bytes, waiting_n;
	uint64_t delivered; /* bytes handed on so far */
};

struct stream {
	struct stream_half half[2]; /* by the side that sends: TO_SERVER, TO_CLIENT */
};

/* What the owner gets, in order, per side. gap: `lost` bytes will never come. */
struct stream_sink {
	void *owner;
	void (*data)(void *owner, enum side side, const uint8_t *p, size_t n);
	void (*gap)(void *owner, enum side side, uint32_t lost);
	void (*close)(void *owner, enum side side); /* FIN or RST reached in order */
};

/* Takes one segment of the side. Mid-stream flows begin with the first segment
 * seen; after a SYN, with its number + 1. A gap is given up when the waiting
 * bytes pass 256 KiB or 64 segments, when the other side acknowledged beyond it,
 * or at stream_flush(). */
void stream_segment(struct stream *s, enum side side, const struct layer *l, struct mem *mem, struct ledger *ledger,
		    const struct stream_sink *sink);
void stream_flush(struct stream *s, struct mem *mem, struct ledger *ledger, const struct stream_sink *sink);
void stream_drop(struct stream *s, struct mem *mem); /* no more deliveries */

#endif
