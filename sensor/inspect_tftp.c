/* TFTP (RFC 1350): the name in read and write requests. The transfer itself goes
 * on between other ports and is not followed.
 *
 *   0   u16 opcode: 1 read, 2 write
 *   2   file name, NUL, mode ("octet", "netascii", "mail"), NUL, then options (RFC 2347)
 */
#include "sensor/parsers.h"

#include <string.h>

#include "common/text.h"

#define TFTP_NAME_MAX 512

struct tftp_request {
	uint16_t opcode;
	struct bytes name, mode;
};

static struct bytes take_string(struct cursor *c)
{
	const uint8_t *nul = memchr(c->p, 0, cursor_left(c));
	if (!nul) {
		c->bad = true;
		return (struct bytes){0};
	}
	struct bytes b = cursor_bytes(c, (size_t)(nul - c->p));
	cursor_skip(c, 1);
	return b;
}

static bool known_mode(struct bytes mode)
{
	return text_equal_fold(mode.p, mode.n, "octet", 5) || text_equal_fold(mode.p, mode.n, "netascii", 8) ||
	       text_equal_fold(mode.p, mode.n, "mail", 4);
}

static bool parse(const uint8_t *p, size_t n, struct tftp_request *r)
{
	struct cursor c = cursor_over(p, n);
	r->opcode = cursor_u16(&c);
	if (!cursor_left(&c) || (r->opcode != 1 && r->opcode != 2))
		return false;
	r->name = take_string(&c);
	r->mode = cursor_left(&c) ? take_string(&c) : (struct bytes){0};
	return cursor_ok(&c) && r->name.n && known_mode(r->mode);
}

static enum probe tftp_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct tftp_request r;
	(void)in;
	return side == TO_SERVER && parse(p, n, &r) ? PROBE_YES : PROBE_NO;
}

static enum verdict tftp_datagram(struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct tftp_request r;
	(void)side;
	if (!parse(p, n, &r))
		return INSPECT_MORE;
	if (r.name.n > TFTP_NAME_MAX) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		return INSPECT_MORE;
	}
	observe(in, WHERE_TFTP_FILE, r.name.p, r.name.n);
	return INSPECT_MORE;
}

const struct parser parser_tftp = {
    .name = "tftp",
    .over = OVER_UDP,
    .probe = tftp_probe,
    .datagram = tftp_datagram,
};
