/* TFTP (RFC 1350): the name in read and write requests, and the digests of the file, as its
 * bytes pass (netascii is not turned back). The transfer goes on between the client's port
 * and another one of the server's: announced with inspect_expect(), recognised by its first
 * datagram, so that a request hides nothing else that its port does.
 *
 *   0   u16 opcode: 1 read, 2 write
 *   2   file name, NUL, mode ("octet", "netascii", "mail"), NUL, then options (RFC 2347)
 *
 *   0   u16 opcode: 3 data, 4 acknowledgement | 2 u16 block | 4 data; a short block is the last
 *   0   u16 opcode: 6 options acknowledged (RFC 2347) | 2 name, NUL, value, NUL, …
 *   0   u16 opcode: 5 error, the end
 *
 * A block is 512 bytes unless the options say otherwise (blksize, RFC 2348). Block numbers
 * go on with 0 behind 65,535. A block again is stepped over, one that is missing cuts the file. */
#include "sensor/parsers.h"

#include <string.h>

#include "common/text.h"
#include "sensor/file.h"

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
	if (!parse(p, n, &r))
		return INSPECT_MORE;
	if (file_wanted(in))
		inspect_expect(in, side == TO_SERVER ? &in->src : &in->dest,
			       side == TO_SERVER ? in->src_port : in->dest_port, &parser_tftp_data, r.name.p, r.name.n);
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

/* ---- the transfer ---- */

enum { DATA = 3, ACK = 4, ERROR = 5, OPTIONS = 6, BLOCK = 512 };

struct tftp_data {
	struct file *file;
	size_t block_n;
	uint16_t last;
	bool begun;
};

static enum probe data_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n);
	uint16_t opcode = cursor_u16(&c), block = cursor_u16(&c);
	(void)in;
	(void)side;
	if (!cursor_ok(&c))
		return PROBE_NO;
	bool first = (opcode == DATA && block == 1) || (opcode == ACK && block == 0 && n == 4);
	return first || (opcode == OPTIONS && p[n - 1] == 0) ? PROBE_YES : PROBE_NO;
}

/* 0 when it is none. */
static size_t number(struct bytes text)
{
	size_t v = 0;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9' || v > UINT16_MAX)
			return 0;
		v = v * 10 + (size_t)(text.p[i] - '0');
	}
	return v;
}

static void read_options(struct tftp_data *d, struct cursor c)
{
	while (cursor_ok(&c) && cursor_left(&c)) {
		struct bytes name = take_string(&c), value = cursor_left(&c) ? take_string(&c) : (struct bytes){0};
		if (cursor_ok(&c) && text_equal_fold(name.p, name.n, "blksize", 7))
			d->block_n = number(value);
	}
}

static enum verdict transfer_end(struct inspect *in, struct tftp_data *d, bool whole)
{
	struct file *f = d->file;
	d->file = NULL;
	file_end(in, f, whole);
	return INSPECT_DONE;
}

static enum verdict take_block(struct inspect *in, struct tftp_data *d, uint16_t block, struct cursor c)
{
	size_t n = cursor_left(&c);
	if (!d->begun && block == 1) {
		d->begun = true;
		d->file = file_begin(in);
		if (!d->block_n)
			d->block_n = n > BLOCK ? n : BLOCK; /* options may have gone by */
	} else if (d->begun && block == d->last) {
		return INSPECT_MORE;
	}
	if (!d->begun || block != (uint16_t)(d->last + 1) || n > d->block_n)
		return transfer_end(in, d, false);
	d->last = block;
	file_data(d->file, c.p, n);
	return n < d->block_n ? transfer_end(in, d, true) : INSPECT_MORE;
}

static enum verdict data_datagram(struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct tftp_data *d = in->state;
	struct cursor c = cursor_over(p, n), options = c;
	uint16_t opcode = cursor_u16(&c), block = cursor_u16(&c);
	(void)side;
	cursor_skip(&options, 2);
	if (opcode == ERROR)
		return transfer_end(in, d, false);
	if (opcode == OPTIONS)
		read_options(d, options);
	return opcode == DATA && cursor_ok(&c) ? take_block(in, d, block, c) : INSPECT_MORE;
}

/* The flow ended before the last block. */
static void data_close(struct inspect *in, enum side side)
{
	(void)side;
	transfer_end(in, in->state, false);
}

static void data_describe(const struct inspect *in, struct alert_app *app)
{
	struct bytes name = inspect_note(in);
	app->object = "tftp";
	alert_app_text(app, "filename", name.p, name.n);
}

static void data_drop(struct inspect *in)
{
	struct tftp_data *d = in->state;
	file_drop(in, d->file);
	d->file = NULL;
}

/* Only shown what was announced. */
const struct parser parser_tftp_data = {
    .name = "tftp",
    .state_size = sizeof(struct tftp_data),
    .probe = data_probe,
    .datagram = data_datagram,
    .close = data_close,
    .describe = data_describe,
    .drop = data_drop,
};
