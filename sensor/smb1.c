/* The header, [MS-CIFS] 2.2.3.1, little-endian:
 *
 *    0  ff 'S' 'M' 'B', u8 command, u32 status, u8 flags (80 response)
 *   10  u16 flags 2 (8000 UTF-16), u16 process high, 8 bytes signature
 *   24  u16 tree, u16 process, u16 user, u16 multiplex id
 *   32  u8 words, words * u16, u16 bytes, bytes
 *
 * Words begin at 33. An AndX command's first two say which command follows, and
 * where; only the first of a chain is read, but tokens are found anywhere:
 *   DELETE, RENAME            bytes: 4, name, NUL [, 4, name, NUL]
 *   OPEN_ANDX request         bytes: name           response  +4 fid, +12 u32 size
 *   NT_CREATE_ANDX request    +5 u16 name length; bytes: name
 *   NT_CREATE_ANDX response   +5 fid, +55 u64 size
 *   CLOSE request             +0 fid
 *   READ_ANDX request         +4 fid, +6 u32 offset, 12 words: +20 u32 offset high
 *   READ_ANDX response        +10 u16 length, u16 data offset (from the header), u16 length high
 *   WRITE_ANDX request        +4 fid, +6 u32 offset, +14 u16 mode (8 and 4: to a pipe, whose message begins
 *                             here with two bytes of its length), +18 u16 length high, u16 length,
 *                             u16 data offset (from the header), 14 words: +24 u32 offset high
 *   TRANSACTION request       +2 u16 total length, +22 u16 length, u16 data offset (from the header), +30 fid
 *   TRANSACTION_SECONDARY     +10 u16 length, u16 data offset (from the header)
 *   SESSION_SETUP_ANDX        13 words: +14, +16 u16 password lengths; bytes: passwords, name
 *                             12 words: a security token
 *
 * UTF-16 in the bytes begins at an even distance from the header. */
#include "sensor/smb1.h"

#include <string.h>

#include "sensor/ntlm.h"
#include "sensor/utf16.h"

enum {
	CLOSE = 0x04,
	DELETE = 0x06,
	RENAME = 0x07,
	TRANSACTION = 0x25,
	TRANSACTION_SECONDARY = 0x26,
	OPEN_ANDX = 0x2d,
	READ_ANDX = 0x2e,
	WRITE_ANDX = 0x2f,
	SESSION_SETUP_ANDX = 0x73,
	NT_CREATE_ANDX = 0xa2
};
enum { HEADER = 32, WORDS = 33, WORDS_END = WORDS + 2 * 255 + 2, DATA_HEAD = WORDS + 2 * 14 + 2, ASCII_NAME = 4 };
enum { FLAG_RESPONSE = 0x80, FLAG2_UNICODE = 0x8000 };
enum { PIPE_MESSAGE = 8 | 4 }; /* WRITE_ANDX */
enum { STATUS_BUFFER_OVERFLOW = 0x80000005u };

#define USER_MAX 512 /* bytes on the wire */

struct message {
	uint8_t command;
	uint32_t status;
	bool response, unicode;
	uint64_t id; /* process and multiplex id */
	struct bytes all;
	struct cursor words, bytes;
};

/* The bytes run to the end of what is there: their count is 16 bits, and wrong
 * for large transfers. */
static bool read_message(struct message *m, const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n);
	cursor_skip(&c, 4);
	m->all = (struct bytes){p, n};
	m->command = cursor_u8(&c);
	m->status = cursor_u32le(&c);
	m->response = cursor_u8(&c) & FLAG_RESPONSE;
	m->unicode = cursor_u16le(&c) & FLAG2_UNICODE;
	cursor_skip(&c, 14);
	uint64_t process = cursor_u16le(&c);
	cursor_skip(&c, 2);
	m->id = process << 16 | cursor_u16le(&c);
	m->words = cursor_sub(&c, (size_t)cursor_u8(&c) * 2);
	cursor_skip(&c, 2);
	m->bytes = c;
	return cursor_ok(&c);
}

size_t smb1_head(const uint8_t *p, size_t n, size_t length)
{
	struct cursor c = cursor_over(p, n);
	cursor_skip(&c, 4);
	uint8_t command = cursor_u8(&c);
	cursor_skip(&c, 4);
	bool response = cursor_u8(&c) & FLAG_RESPONSE;
	if (!cursor_ok(&c))
		return HEADER < length ? HEADER : length;
	size_t head = SMB_HEAD_MAX;
	if (response)
		head = command == READ_ANDX ? DATA_HEAD : WORDS_END;
	else if (command == WRITE_ANDX)
		head = DATA_HEAD;
	else if (command == TRANSACTION || command == TRANSACTION_SECONDARY)
		head = WORDS_END;
	return head < length ? head : length;
}

static struct cursor words_at(const struct message *m, size_t at)
{
	struct cursor c = m->words;
	cursor_skip(&c, at);
	return c;
}

static size_t words_n(const struct message *m)
{
	return cursor_left(&m->words) / 2;
}

/* Steps to where UTF-16 may begin. */
static void align(const struct message *m, struct cursor *c)
{
	if (m->unicode && (c->p - m->all.p) % 2)
		cursor_skip(c, 1);
}

/* Text up to its NUL, or to the end. */
static struct bytes text(const struct message *m, struct cursor *c)
{
	align(m, c);
	size_t unit = m->unicode ? 2 : 1, n = 0;
	const uint8_t *p = c->p;
	while (n + unit <= cursor_left(c) && (p[n] || (unit == 2 && p[n + 1])))
		n += unit;
	struct bytes b = cursor_bytes(c, n);
	cursor_skip(c, unit);
	return b;
}

static void fid_bytes(uint16_t fid, uint8_t out[16])
{
	memset(out, 0, 16);
	out[0] = (uint8_t)fid;
	out[1] = (uint8_t)(fid >> 8);
}

/* ---- names ---- */

static void open_request(struct inspect *in, struct smb_files *f, struct message *m)
{
	struct cursor c = words_at(m, 5);
	struct bytes name;
	if (m->command == NT_CREATE_ANDX) {
		size_t length = cursor_u16le(&c);
		align(m, &m->bytes);
		name = cursor_bytes(&m->bytes, length);
		if (!cursor_ok(&c) || !cursor_ok(&m->bytes))
			return;
	} else {
		name = text(m, &m->bytes);
	}
	smb_name(in, f, name, m->unicode);
	struct smb_open *o = smb_open_begin(in, f, name, m->unicode);
	if (o)
		smb_request_put(in, f, m->id, m->command, o->serial, 0);
}

static void open_response(struct inspect *in, struct smb_files *f, const struct message *m)
{
	struct smb_request r;
	bool nt = m->command == NT_CREATE_ANDX;
	uint8_t fid[16];
	struct cursor c = words_at(m, nt ? 5 : 4);
	fid_bytes(cursor_u16le(&c), fid);
	cursor_skip(&c, nt ? 48 : 6);
	uint64_t size = nt ? cursor_u64le(&c) : cursor_u32le(&c);
	if (!m->status && cursor_ok(&c))
		smb_pipe_forget(in, &f->pipes, fid);
	if (!smb_request_take(f, m->id, m->command, false, &r))
		return;
	struct smb_open *o = smb_open_serial(f, r.open);
	if (o && !m->status && cursor_ok(&c))
		smb_open_answer(in, f, o, fid, size);
	else
		smb_open_refused(in, f, o);
}

/* DELETE and RENAME: names, each behind a byte that says so. */
static void path_request(struct inspect *in, struct smb_files *f, struct message *m)
{
	for (int i = 0; i < (m->command == RENAME ? 2 : 1); i++) {
		if (cursor_u8(&m->bytes) != ASCII_NAME)
			return;
		smb_name(in, f, text(m, &m->bytes), m->unicode);
	}
}

static void session_request(struct inspect *in, struct message *m)
{
	char utf8[USER_MAX / 2 * 3];
	ntlm_user(in, m->all.p, m->all.n);
	if (words_n(m) != 13)
		return;
	struct cursor c = words_at(m, 14);
	size_t passwords = cursor_u16le(&c);
	passwords += cursor_u16le(&c);
	cursor_skip(&m->bytes, passwords);
	struct bytes user = text(m, &m->bytes);
	if (user.n > USER_MAX) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		return;
	}
	size_t n = m->unicode ? utf16_to_utf8(user, utf8, sizeof(utf8)) : user.n;
	if (n)
		observe(in, WHERE_SMB_USER, m->unicode ? (const uint8_t *)utf8 : user.p, n);
}

/* ---- content ---- */

static struct smb_open *file_of(struct inspect *in, struct smb_files *f, uint16_t id, bool make)
{
	uint8_t fid[16];
	fid_bytes(id, fid);
	struct smb_open *o = smb_open_find(f, fid);
	return !o && make ? smb_open_assume(in, f, fid) : o;
}

static void close_request(struct inspect *in, struct smb_files *f, const struct message *m)
{
	struct cursor c = words_at(m, 0);
	uint16_t fid = cursor_u16le(&c);
	if (cursor_ok(&c))
		smb_open_close(in, f, file_of(in, f, fid, false), m->id, CLOSE);
}

static uint64_t offset_of(const struct message *m, size_t words, size_t high_at)
{
	struct cursor low = words_at(m, 6), high = words_at(m, high_at);
	uint64_t offset = cursor_u32le(&low);
	return words_n(m) >= words ? (uint64_t)cursor_u32le(&high) << 32 | offset : offset;
}

static void read_request(struct inspect *in, struct smb_files *f, const struct message *m)
{
	struct cursor c = words_at(m, 4);
	uint16_t fid = cursor_u16le(&c);
	uint64_t offset = offset_of(m, 12, 20);
	struct smb_open *o = cursor_ok(&c) ? file_of(in, f, fid, offset == 0) : NULL;
	if (!o)
		return;
	o->reads++;
	smb_request_put(in, f, m->id, READ_ANDX, o->serial, offset);
}

static struct smb_data read_response(struct inspect *in, struct smb_files *f, const struct message *m)
{
	struct smb_request r;
	struct smb_data d = {.direction = SMB_READ};
	if (!smb_request_take(f, m->id, READ_ANDX, false, &r))
		return d;
	struct smb_open *o = smb_open_serial(f, r.open);
	if (o && o->reads)
		o->reads--;
	if (m->status && m->status != STATUS_BUFFER_OVERFLOW)
		return d;
	struct cursor c = words_at(m, 10);
	d.n = cursor_u16le(&c);
	d.at = cursor_u16le(&c);
	d.n |= (uint32_t)cursor_u16le(&c) << 16;
	if (!o || !cursor_ok(&c) || d.at < WORDS || !d.n)
		return d;
	smb_transfer_begin(in, f, o, SMB_READ, r.offset);
	d.open = o->serial;
	return d;
}

static void pipe_named(const struct inspect *in, struct smb_data *d, uint16_t fid)
{
	fid_bytes(fid, d->fid);
	d->pipe = wanted(in, WHERE_NTLM_USER);
}

/* To a pipe; what follows in SECONDARY says to which only by its id. */
static struct smb_data transaction_request(struct inspect *in, struct smb_files *f, const struct message *m)
{
	struct smb_data d = {.direction = SMB_WRITE};
	struct smb_request r = {0};
	bool first = m->command == TRANSACTION;
	struct cursor c = words_at(m, first ? 22 : 10), total = words_at(m, 2), fid = words_at(m, 30);
	d.n = cursor_u16le(&c);
	d.at = cursor_u16le(&c);
	if (!cursor_ok(&c) || (!first && !smb_request_take(f, m->id, TRANSACTION, true, &r)))
		return (struct smb_data){0};
	if (first)
		r.open = cursor_u16le(&fid);
	if (first && cursor_u16le(&total) > d.n)
		smb_request_put(in, f, m->id, TRANSACTION, r.open, 0);
	pipe_named(in, &d, (uint16_t)r.open);
	return d;
}

static struct smb_data write_request(struct inspect *in, struct smb_files *f, const struct message *m)
{
	struct smb_data d = {.direction = SMB_WRITE};
	struct cursor c = words_at(m, 4);
	uint16_t fid = cursor_u16le(&c);
	cursor_skip(&c, 8);
	uint16_t mode = cursor_u16le(&c);
	cursor_skip(&c, 2);
	d.n = (uint32_t)cursor_u16le(&c) << 16;
	d.n |= cursor_u16le(&c);
	d.at = cursor_u16le(&c);
	if (!cursor_ok(&c) || d.at < WORDS || !d.n)
		return (struct smb_data){0};
	pipe_named(in, &d, fid);
	d.length = (mode & PIPE_MESSAGE) == PIPE_MESSAGE ? 2 : 0;
	uint64_t offset = offset_of(m, 14, 24);
	struct smb_open *o = file_of(in, f, fid, offset == 0);
	if (!o)
		return d;
	smb_transfer_begin(in, f, o, SMB_WRITE, offset);
	d.open = o->serial;
	return d;
}

static struct smb_data request(struct inspect *in, struct smb_files *f, struct message *m)
{
	switch (m->command) {
	case OPEN_ANDX:
	case NT_CREATE_ANDX:
		open_request(in, f, m);
		break;
	case DELETE:
	case RENAME:
		path_request(in, f, m);
		break;
	case SESSION_SETUP_ANDX:
		session_request(in, m);
		break;
	case TRANSACTION:
	case TRANSACTION_SECONDARY:
		return transaction_request(in, f, m);
	case CLOSE:
		close_request(in, f, m);
		break;
	case READ_ANDX:
		read_request(in, f, m);
		break;
	case WRITE_ANDX:
		return write_request(in, f, m);
	default:
		break;
	}
	return (struct smb_data){0};
}

struct smb_data smb1_message(struct inspect *in, struct smb_files *f, const uint8_t *p, size_t n)
{
	struct message m;
	if (!read_message(&m, p, n))
		return (struct smb_data){0};
	if (!m.response)
		return request(in, f, &m);
	if (m.command == READ_ANDX)
		return read_response(in, f, &m);
	if (m.command == OPEN_ANDX || m.command == NT_CREATE_ANDX)
		open_response(in, f, &m);
	else if (m.command == CLOSE)
		smb_open_closed(in, f, m.id, CLOSE);
	return (struct smb_data){0};
}
