/* The frame reader looks at what has arrived and decides one thing: whole
 * frame, not yet, or not to be trusted. It never buffers and never copies. The
 * header is judged as soon as its bytes are there, so a stranger who speaks
 * another protocol or announces a gigabyte is refused before anything is kept
 * for him. */
#include "common/frame.h"

#include <assert.h>
#include <string.h>

#include "common/hash.h"

#define FRAME_MAGIC  0x504b /* "PK" */
#define FRAME_CRC_AT 8      /* the header's first 8 bytes are under the CRC */

/* CRC-32C as in RFC 3720 (start and end inverted), over the head and the payload. */
static uint32_t frame_crc(const uint8_t *head, const uint8_t *payload, size_t n)
{
	uint32_t crc = hash_crc32c(~0u, head, FRAME_CRC_AT);
	return ~hash_crc32c(crc, payload, n);
}

/* The first bytes alone are enough to turn a stranger away. */
static bool header_plausible(struct cursor c, struct err *e)
{
	const uint8_t *at = c.p;
	if (cursor_left(&c) >= 2 && cursor_u16(&c) != FRAME_MAGIC)
		return err_set(e, "not a Picket frame: it begins with %02x %02x", at[0], at[1]);
	if (cursor_left(&c) >= 1) {
		uint8_t version = cursor_u8(&c);
		if (version != FRAME_VERSION)
			return err_set(e, "frame version %u, this side speaks %d", version, FRAME_VERSION);
	}
	if (cursor_left(&c) >= 1) {
		uint8_t type = cursor_u8(&c);
		if (type >= FRAME_TYPE_COUNT)
			return err_set(e, "frame type %u does not exist", type);
	}
	if (cursor_left(&c) >= 4) {
		uint32_t n = cursor_u32(&c);
		if (n > FRAME_PAYLOAD_MAX)
			return err_set(e, "frame of %u bytes announced, at most %u are allowed", n, FRAME_PAYLOAD_MAX);
	}
	return true;
}

enum frame_result frame_read(const uint8_t *data, size_t n, struct frame *f, size_t *used, struct err *e)
{
	if (!n)
		return FRAME_MORE;
	if (n >= 2 && !header_plausible(cursor_over(data, n < FRAME_HEADER ? n : FRAME_HEADER), e))
		return FRAME_BAD;
	struct cursor c = cursor_over(data, n);
	cursor_skip(&c, 3);
	uint8_t type = cursor_u8(&c);
	uint32_t payload_n = cursor_u32(&c), crc = cursor_u32(&c);
	struct bytes payload = cursor_bytes(&c, payload_n);
	if (!cursor_ok(&c))
		return FRAME_MORE;
	if (frame_crc(data, payload.p, payload.n) != crc) {
		err_set(e, "frame of type %u with %u bytes: its CRC-32C is wrong", type, payload_n);
		return FRAME_BAD;
	}
	*f = (struct frame){.type = (enum frame_type)type, .payload = payload};
	*used = FRAME_HEADER + payload_n;
	return FRAME_READY;
}

size_t frame_begin(struct buf *out, enum frame_type type)
{
	size_t at = out->n;
	buf_u16(out, FRAME_MAGIC);
	buf_u8(out, FRAME_VERSION);
	buf_u8(out, (uint8_t)type);
	buf_u32(out, 0);
	buf_u32(out, 0);
	return at;
}

static void put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * (3 - i)));
}

void frame_end(struct buf *out, size_t at)
{
	size_t n = out->n - at - FRAME_HEADER;
	assert(out->n >= at + FRAME_HEADER && n <= FRAME_PAYLOAD_MAX);
	put_u32(out->p + at + 4, (uint32_t)n);
	put_u32(out->p + at + 8, frame_crc(out->p + at, out->p + at + FRAME_HEADER, n));
}
