/* One TCP connection's bytes in order: reordering, overlap, gaps, within a
 * budget. Policy: the first copy of a byte counts; an overlap with other bytes
 * is counted (stream.conflict). In-order data is handed on from the packet
 * itself, without a copy. */
#ifndef SENSOR_STREAM_H
#define SENSOR_STREAM_H

#include "common/mem.h"
#include "sensor/flow.h"
#include "sensor/ledger.h"

struct segment; /* kept out-of-order data */

struct stream_half {
	/* What every segment asks for stands first: one cache line holds it. */
	uint32_t next;  /* sequence number expected next */
	uint32_t acked; /* the highest that the other side acknowledged */
	uint32_t fin_at;
	uint8_t unheard;    /* segments since the other side last acknowledged, saturating */
	bool known;         /* next is valid */
	bool soft;          /* next was guessed from an acknowledgement: data may correct it */
	bool confirmed;     /* a SYN-ACK answered: no other SYN counts */
	bool started;       /* data was seen */
	bool syn_data;      /* what waits came with the SYN: nobody said yet whether it was taken */
	bool fin_seen;      /* fin_at is valid */
	bool closed;        /* FIN delivered, or RST */
	bool good_checksum; /* this side sends good ones, so a bad one is no offloading */
	uint8_t ttl;        /* the lowest that was believed of this side; 0: none yet */
	bool acked_known;
	uint32_t stamp;           /* time stamp of the last that was in order; 0: none yet */
	struct segment *waiting;  /* by sequence number, without overlap */
	struct segment *doubtful; /* bad checksum, low TTL, old time stamp: believed when the other side acknowledges it */
	uint64_t delivered;       /* bytes handed on so far */
	struct segment *last;     /* of those that wait */
	uint32_t waiting_bytes;
	uint16_t waiting_n, doubtful_n;
};

struct stream {
	struct stream_half half[2]; /* by the side that sends: TO_SERVER, TO_CLIENT */
	bool reset;                 /* one of them sent a RST that counts */
};

/* What the owner gets, in order, per side. gap: `lost` bytes will never come.
 * p is borrowed for the call. None of them may call stream_*() on this stream. */
struct stream_sink {
	void *owner;
	void (*data)(void *owner, enum side side, const uint8_t *p, size_t n);
	void (*gap)(void *owner, enum side side, uint32_t lost);
	void (*close)(void *owner, enum side side); /* FIN reached in order, or the end behind a RST */
};

/* Before the first segment of a side, when its SYN went by earlier: next is the
 * sequence number behind the SYN (flow->isn, flow->reply_isn). */
void stream_begin(struct stream *s, enum side side, uint32_t next);

/* The SYN of a side that stream_begin() was told of had this TTL, and was answered. */
void stream_answered(struct stream *s, enum side side, uint8_t ttl);

/* Takes one segment of the side. Without stream_begin() a side begins behind its
 * SYN; mid-stream with the first data seen, or where the other side's
 * acknowledgement says. A gap is given up when the waiting bytes pass 512 KiB or
 * 256 segments, when the budget refuses, when the other side acknowledged beyond
 * it, or at stream_flush(). */
void stream_segment(struct stream *s, enum side side, const struct layer *l, struct mem *mem, struct ledger *ledger,
		    const struct stream_sink *sink);

/* The segment that nearly all are, taken without a sink: the next in order, without
 * SYN, FIN or RST, on a connection where nothing waits and nothing is in doubt.
 * True: it was taken, and its payload is the next data of its side, for the caller
 * to use. False: nothing was changed, it is for stream_segment(). */
bool stream_next(struct stream *s, enum side side, const struct layer *l);

/* The flow ends: hands on what waits, with its gaps; closes sides that sent FIN. */
void stream_flush(struct stream *s, struct mem *mem, struct ledger *ledger, const struct stream_sink *sink);
void stream_drop(struct stream *s, struct mem *mem); /* no more deliveries */

/* Both sides have ended, or one has reset: the owner marks the flow FLOW_CLOSED. Behind
 * a reset more may come, until the flow's (short) idle time or a new SYN. */
static inline bool stream_reset(const struct stream *s)
{
	return s->reset;
}

static inline bool stream_closed(const struct stream *s)
{
	return s->half[TO_SERVER].closed && s->half[TO_CLIENT].closed;
}

#endif
