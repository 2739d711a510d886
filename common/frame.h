/* Frames between sensor and collector (and, later, partner and partner), over
 * TLS or a unix socket. All numbers big-endian.
 *
 *   0       2     3     4               8               12
 *   +-------+-----+-----+---------------+---------------+---------- - -
 *   | "PK"  | ver | type| payload bytes | CRC-32C       | payload
 *   +-------+-----+-----+---------------+---------------+---------- - -
 *
 * The CRC covers bytes 0..7 and the payload. payload <= FRAME_PAYLOAD_MAX is
 * checked before anything is buffered.
 *
 *   HELLO   u64 epoch, u8 role, u8 n, n bytes id, u8 m, m bytes software version;
 *           a sensor that takes indicator sets adds u8 r, r bytes ring
 *   WELCOME u64 high-water mark of (id, epoch): the sensor sends from mark + 1;
 *           u64 the highest number of which something is counted: above the mark
 *           only after a collector died in the middle of a flush
 *   DATA    u64 sequence of the first record, u32 count, then per record
 *           u32 length and the record (rules/alert.h draws it). Length 0: the
 *           number of a record that the spool has lost. It moves the mark and
 *           counts for nothing: the loss record at the first number of such a
 *           run has told how many alerts went.
 *   ACK     u64 sequence: everything up to it stands in Redis
 *   REWIND  u64 sequence: send again from this one
 *   STATUS  the sensor's posture as JSON (heartbeat, ledger, set digest); not acknowledged
 *   BYE     u8 reason, text: the sender closes after this
 *   SET_…   indicator sets on their way to a sensor: rules/set_frame.h
 *   OBJECTS, TAKEN, NOTICE  between partners: collector/partner_wire.h
 */
#ifndef COMMON_FRAME_H
#define COMMON_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/cursor.h"
#include "common/err.h"

#define FRAME_HEADER      12
#define FRAME_VERSION     1
#define FRAME_PAYLOAD_MAX (1u << 20)
#define FRAME_ID_MAX      64

enum frame_type {
	FRAME_HELLO = 0,
	FRAME_WELCOME,
	FRAME_DATA,
	FRAME_ACK,
	FRAME_REWIND,
	FRAME_STATUS,
	FRAME_BYE,
	FRAME_SET_OFFER,
	FRAME_SET_GET,
	FRAME_SET_DATA,
	FRAME_SET_ACK,
	FRAME_OBJECTS = 16,
	FRAME_TAKEN,
	FRAME_NOTICE,
	FRAME_TYPE_COUNT
};

struct frame {
	enum frame_type type;
	struct bytes payload; /* borrowed from the buffer that was given */
};

enum frame_result { FRAME_READY = 0, FRAME_MORE, FRAME_BAD };

/* Looks at the n bytes received so far. FRAME_READY fills *f and *used (bytes
 * to drop once f was handled); FRAME_BAD means the stream cannot be trusted
 * any more: e says why, close it. */
enum frame_result frame_read(const uint8_t *data, size_t n, struct frame *f, size_t *used, struct err *e);

/* Appends a frame to out. Begin, add the payload to out yourself, end: the
 * header is filled in at the place that frame_begin returned. */
size_t frame_begin(struct buf *out, enum frame_type type);
void frame_end(struct buf *out, size_t at);

#endif
