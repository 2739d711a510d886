/* DCE/RPC over TCP ([C706] 12.6, [MS-RPCE] 2.2.2), connection-oriented: who binds with
 * NTLM, directly or within SPNEGO. Numbers are little-endian when byte 4's high
 * nibble is 1.
 *
 *    0  u8 5, u8 0 or 1, u8 type, u8 flags: 1 the first fragment, 2 the last
 *    4  4 bytes data representation: 0x10 or 0, character set 0 or 1, 0, 0
 *    8  u16 length of this PDU, 10 u16 length of the authentication token, 12 u32 call
 *   16  the body; at the end 8 bytes that introduce the token, and the token
 *
 * Only bind (11), alter_context (14) and auth3 (16) are held, for their token; the
 * calls themselves are stepped over: theirs are signatures. A token over several
 * fragments is read when the last has come, each fragment's own at once: which servers
 * heed the flags is not known. What is written to a pipe of SMB (smb_pipes.c) is read
 * like a side of a connection. */
#include "sensor/dcerpc.h"
#include "sensor/framed.h"
#include "sensor/ntlm.h"
#include "sensor/parsers.h"

enum { HEADER = 16, TYPE_MAX = 19, PDU_MAX = 16384, TOKEN_MAX = 16384 };
enum { BIND = 11, ALTER_CONTEXT = 14, AUTH3 = 16 };
enum { FIRST = 1, LAST = 2 };

struct dcerpc {
	struct framed half[2];
};

struct header {
	uint8_t type, flags;
	size_t length, token_n;
};

/* False: none. Zeroes as far as it is not there yet. */
static bool read_header(const uint8_t *p, size_t n, struct header *h)
{
	struct cursor c = cursor_over(p, n);
	uint8_t version = cursor_u8(&c), minor = cursor_u8(&c);
	h->type = cursor_u8(&c);
	h->flags = cursor_u8(&c);
	uint8_t order = cursor_u8(&c), floats = cursor_u8(&c);
	uint16_t zero = cursor_u16(&c);
	bool little = order >> 4 == 1;
	h->length = little ? cursor_u16le(&c) : cursor_u16(&c);
	h->token_n = little ? cursor_u16le(&c) : cursor_u16(&c);
	if ((n > 0 && version != 5) || minor > 1 || h->type > TYPE_MAX || order >> 4 > 1 || (order & 15) > 1 ||
	    floats > 3 || zero)
		return false;
	return !cursor_ok(&c) || (h->length >= HEADER && h->token_n <= h->length - HEADER);
}

static enum probe dcerpc_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct header h;
	(void)in;
	(void)side;
	if (!read_header(p, n, &h))
		return PROBE_NO;
	return n < HEADER ? PROBE_MORE : PROBE_YES;
}

static bool held(const struct header *h)
{
	return (h->type == BIND || h->type == ALTER_CONTEXT || h->type == AUTH3) && h->token_n;
}

static size_t head(const struct inspect *in, const uint8_t *p, size_t n)
{
	struct header h;
	(void)in;
	if (!read_header(p, n, &h))
		return 0;
	return n >= HEADER && held(&h) && h.length <= PDU_MAX ? h.length : HEADER;
}

static void read_token(struct inspect *in, struct framed *f, uint8_t flags, const uint8_t *p, size_t n)
{
	ntlm_user(in, p, n);
	if (flags & FIRST)
		carry_free(in->mem, &f->joined);
	if ((flags & FIRST) && (flags & LAST))
		return;
	if (!framed_join(in, f, p, n, TOKEN_MAX))
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	if (flags & LAST) {
		ntlm_user(in, f->joined.p, f->joined.n);
		carry_free(in->mem, &f->joined);
	}
}

static enum verdict message(struct inspect *in, enum side side, struct framed *f, const uint8_t *p, size_t n)
{
	struct header h;
	(void)side;
	if (!read_header(p, n, &h))
		return INSPECT_ERROR;
	if (n < h.length) {
		if (held(&h))
			ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		f->skip = h.length - n;
		return INSPECT_MORE;
	}
	if (held(&h))
		read_token(in, f, h.flags, p + n - h.token_n, h.token_n);
	return INSPECT_MORE;
}

static const struct framing framing = {.max = PDU_MAX, .head = head, .message = message};

bool dcerpc_begins(const uint8_t *p, size_t n)
{
	struct header h;
	return read_header(p, n, &h);
}

bool dcerpc_written(struct inspect *in, struct framed *f, const uint8_t *p, size_t n)
{
	size_t used = n;
	return framed_stream(in, TO_SERVER, f, &framing, p, n, &used) == INSPECT_MORE;
}

static enum verdict dcerpc_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct dcerpc *d = in->state;
	return framed_stream(in, side, &d->half[side], &framing, p, n, used);
}

static enum verdict dcerpc_gap(struct inspect *in, enum side side, size_t lost)
{
	struct dcerpc *d = in->state;
	return framed_gap(in, &d->half[side], lost);
}

static void dcerpc_drop(struct inspect *in)
{
	struct dcerpc *d = in->state;
	framed_drop(in, &d->half[0]);
	framed_drop(in, &d->half[1]);
}

const struct parser parser_dcerpc = {
    .name = "dcerpc",
    .over = OVER_TCP,
    .state_size = sizeof(struct dcerpc),
    .probe = dcerpc_probe,
    .stream = dcerpc_stream,
    .gap = dcerpc_gap,
    .drop = dcerpc_drop,
};
