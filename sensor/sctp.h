/* User data of SCTP: its chunks, and messages over several of them. */
#ifndef SENSOR_SCTP_H
#define SENSOR_SCTP_H

#include "common/cursor.h"
#include "common/mem.h"
#include "sensor/flow.h"
#include "sensor/ledger.h"

#define SCTP_RUNS_MAX    16    /* runs of fragments of an association that wait for others; the oldest goes */
#define SCTP_MESSAGE_MAX 65536 /* bytes of a message that is joined */

/* A DATA or I-DATA chunk. */
struct sctp_chunk {
	uint32_t message; /* with stream, interleaved and unordered: which message it may belong to */
	uint32_t index;   /* its place there: fragments follow one another without a hole */
	uint16_t stream;
	bool interleaved, unordered, first, last;
	bool cut; /* by the capture */
	struct bytes data;
};

/* Messages of one association that are not whole yet; zeroed it is empty. */
struct sctp {
	struct sctp_run *first; /* the one that was added to last */
	uint32_t runs;
};

/* The next chunk with data of a packet, behind the common header; false: there is none. */
bool sctp_next(struct cursor *c, struct sctp_chunk *out);

/* Takes one fragment of a message (not both first and last). True: the message is whole now, or as long as
 * it may be, and *out has it, the caller's to carry_free(). What does not fit is counted. */
bool sctp_join(struct sctp *s, enum side side, const struct sctp_chunk *chunk, struct mem *mem, struct ledger *ledger,
	       struct carry *out);
void sctp_drop(struct sctp *s, struct mem *mem);

#endif
