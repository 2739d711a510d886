/* The header, [MS-SMB2] 2.2.1, little-endian:
 *
 *    0  fe 'S' 'M' 'B', u16 64, u16 credit charge, u32 status
 *   12  u16 command, u16 credits, u32 flags: 1 response, 2 asynchronous, 4 related
 *   20  u32 offset of the next message of the chain (0: the last)
 *   24  u64 message id, 32 u32 process, u32 tree (or u64 asynchronous id)
 *   40  u64 session, 48 16 bytes signature
 *
 * and behind it, from 64 on:
 *   SESSION_SETUP request   a security token: NTLM is looked for in all of it
 *   CREATE request          +44 u16 name offset (from 0), u16 length
 *   CREATE response         +48 u64 end of file, +64 16 bytes file id
 *   CLOSE request           +8 file id
 *   READ request            +4 u32 length, +8 u64 offset, +16 file id
 *   READ response           +2 u8 data offset (from 0), +4 u32 length
 *   WRITE request           +2 u16 data offset (from 0), +4 u32 length, +8 u64 offset, +16 file id
 *   IOCTL request           +4 u32 what, +8 file id, +24 u32 data offset (from 0), u32 length
 *   SET_INFO request        +2 u8 kind, u8 class, u32 length, u16 offset (from 0);
 *                           a new name, [MS-FSCC] 2.4.43: 16 bytes, u32 length, name
 *
 * Within a chain a related request may name the file "ff…": the one before. Names
 * count when they are asked for, whether the server has them or not. What is written to
 * a pipe may be DCE/RPC with a login of its own. */
#include "sensor/smb2.h"

#include <string.h>

#include "sensor/ntlm.h"

enum { SESSION_SETUP = 1, CREATE = 5, CLOSE = 6, READ = 8, WRITE = 9, IOCTL = 11, SET_INFO = 17 };
enum { FSCTL_PIPE_TRANSCEIVE = 0x11c017 };
enum { FLAG_RESPONSE = 1, FLAG_RELATED = 4 };
enum { STATUS_OK = 0, STATUS_PENDING = 0x103, STATUS_BUFFER_OVERFLOW = 0x80000005u };
enum { HEADER = 64, READ_ANSWER = HEADER + 16, WRITE_REQUEST = HEADER + 48, SHORT_HEAD = HEADER + 88 };
enum { INFO_FILE = 1, CLASS_RENAME = 10 };

struct header {
	uint32_t status, flags, next;
	uint16_t command;
	uint64_t id;
};

static struct header read_header(struct cursor *c)
{
	struct header h;
	cursor_skip(c, 8);
	h.status = cursor_u32le(c);
	h.command = cursor_u16le(c);
	cursor_skip(c, 2);
	h.flags = cursor_u32le(c);
	h.next = cursor_u32le(c);
	h.id = cursor_u64le(c);
	cursor_skip(c, HEADER - 32);
	return h;
}

size_t smb2_length(const uint8_t *p, size_t n, size_t length)
{
	struct cursor c = cursor_over(p, n);
	struct header h = read_header(&c);
	return cursor_ok(&c) && h.next >= HEADER && h.next < length ? h.next : length;
}

/* Only requests with names and tokens are held in full; content never is. */
static size_t head_wanted(const struct header *h)
{
	bool response = h->flags & FLAG_RESPONSE;
	if (h->command == READ && response)
		return READ_ANSWER;
	if (h->command == WRITE && !response)
		return WRITE_REQUEST;
	if (!response && (h->command == CREATE || h->command == SESSION_SETUP || h->command == SET_INFO))
		return SMB_HEAD_MAX;
	return SHORT_HEAD;
}

size_t smb2_head(const uint8_t *p, size_t n, size_t length)
{
	struct cursor c = cursor_over(p, n);
	struct header h = read_header(&c);
	if (!cursor_ok(&c))
		return HEADER;
	size_t whole = smb2_length(p, n, length), head = head_wanted(&h);
	return head < whole ? head : whole;
}

/* The file that a request is about; one whose CREATE went by unseen is made up
 * when a transfer begins. */
static struct smb_open *file_of(struct inspect *in, struct smb_files *f, const struct header *h, struct cursor *c,
				bool make)
{
	static const uint8_t chained[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct bytes fid = cursor_bytes(c, 16);
	if (!cursor_ok(c))
		return NULL;
	if ((h->flags & FLAG_RELATED) && memcmp(fid.p, chained, sizeof(chained)) == 0)
		return smb_open_serial(f, f->chained);
	struct smb_open *o = smb_open_find(f, fid.p);
	if (!o && make)
		o = smb_open_assume(in, f, fid.p);
	f->chained = o ? o->serial : 0;
	return o;
}

static void create_request(struct inspect *in, struct smb_files *f, const struct header *h, struct cursor c,
			   struct cursor whole)
{
	cursor_skip(&c, 44);
	size_t offset = cursor_u16le(&c), length = cursor_u16le(&c);
	cursor_skip(&whole, offset);
	struct bytes name = length ? cursor_bytes(&whole, length) : (struct bytes){0};
	if (!cursor_ok(&c) || !cursor_ok(&whole))
		return;
	smb_name(in, f, name, true);
	struct smb_open *o = smb_open_begin(in, f, name, true);
	f->chained = o ? o->serial : 0;
	if (o)
		smb_request_put(in, f, h->id, CREATE, o->serial, 0);
}

static void set_info_request(struct inspect *in, struct smb_files *f, struct cursor c, struct cursor whole)
{
	cursor_skip(&c, 2);
	uint8_t kind = cursor_u8(&c), class = cursor_u8(&c);
	cursor_skip(&c, 4);
	cursor_skip(&whole, (size_t)cursor_u16le(&c) + 16);
	size_t length = cursor_u32le(&whole);
	struct bytes name = cursor_bytes(&whole, length);
	if (cursor_ok(&c) && cursor_ok(&whole) && kind == INFO_FILE && class == CLASS_RENAME)
		smb_name(in, f, name, true);
}

static void close_request(struct inspect *in, struct smb_files *f, const struct header *h, struct cursor c)
{
	cursor_skip(&c, 8);
	smb_open_close(in, f, file_of(in, f, h, &c, false), h->id, CLOSE);
}

static void read_request(struct inspect *in, struct smb_files *f, const struct header *h, struct cursor c)
{
	cursor_skip(&c, 8);
	uint64_t offset = cursor_u64le(&c);
	struct smb_open *o = file_of(in, f, h, &c, offset == 0);
	if (!o)
		return;
	o->reads++;
	smb_request_put(in, f, h->id, READ, o->serial, offset);
}

static void pipe_named(const struct inspect *in, struct smb_data *d, struct cursor fid)
{
	struct bytes name = cursor_bytes(&fid, sizeof(d->fid));
	d->pipe = name.n && wanted(in, WHERE_NTLM_USER);
	if (name.n)
		memcpy(d->fid, name.p, name.n);
}

static struct smb_data ioctl_request(const struct inspect *in, struct cursor c)
{
	struct smb_data d = {.direction = SMB_WRITE};
	cursor_skip(&c, 4);
	uint32_t what = cursor_u32le(&c);
	struct cursor fid = cursor_sub(&c, sizeof(d.fid));
	d.at = cursor_u32le(&c);
	d.n = cursor_u32le(&c);
	if (!cursor_ok(&c) || what != FSCTL_PIPE_TRANSCEIVE)
		return (struct smb_data){0};
	pipe_named(in, &d, fid);
	return d;
}

static struct smb_data write_request(struct inspect *in, struct smb_files *f, const struct header *h, struct cursor c)
{
	cursor_skip(&c, 2);
	struct smb_data d = {.direction = SMB_WRITE};
	d.at = cursor_u16le(&c);
	d.n = cursor_u32le(&c);
	uint64_t offset = cursor_u64le(&c);
	pipe_named(in, &d, c);
	struct smb_open *o = file_of(in, f, h, &c, offset == 0);
	if (!cursor_ok(&c) || d.at < WRITE_REQUEST || !d.n)
		return (struct smb_data){0};
	if (!o)
		return d;
	smb_transfer_begin(in, f, o, SMB_WRITE, offset);
	d.open = o->serial;
	return d;
}

static void create_response(struct inspect *in, struct smb_files *f, const struct header *h, struct cursor c)
{
	struct smb_request r;
	cursor_skip(&c, 48);
	uint64_t size = cursor_u64le(&c);
	cursor_skip(&c, 8);
	struct bytes fid = cursor_bytes(&c, 16);
	if (h->status == STATUS_OK && cursor_ok(&c))
		smb_pipe_forget(in, &f->pipes, fid.p);
	if (!smb_request_take(f, h->id, CREATE, h->status == STATUS_PENDING, &r) || h->status == STATUS_PENDING)
		return;
	struct smb_open *o = smb_open_serial(f, r.open);
	if (o && h->status == STATUS_OK && cursor_ok(&c))
		smb_open_answer(in, f, o, fid.p, size);
	else
		smb_open_refused(in, f, o);
}

static struct smb_data read_response(struct inspect *in, struct smb_files *f, const struct header *h, struct cursor c)
{
	struct smb_request r;
	struct smb_data d = {.direction = SMB_READ};
	if (!smb_request_take(f, h->id, READ, h->status == STATUS_PENDING, &r) || h->status == STATUS_PENDING)
		return d;
	struct smb_open *o = smb_open_serial(f, r.open);
	if (o && o->reads)
		o->reads--;
	if (h->status != STATUS_OK && h->status != STATUS_BUFFER_OVERFLOW)
		return d;
	cursor_skip(&c, 2);
	d.at = cursor_u8(&c);
	cursor_skip(&c, 1);
	d.n = cursor_u32le(&c);
	if (!o || !cursor_ok(&c) || d.at < READ_ANSWER || !d.n)
		return d;
	smb_transfer_begin(in, f, o, SMB_READ, r.offset);
	d.open = o->serial;
	return d;
}

static struct smb_data request(struct inspect *in, struct smb_files *f, const struct header *h, struct cursor c,
			       struct cursor whole)
{
	switch (h->command) {
	case SESSION_SETUP:
		ntlm_user(in, whole.p, cursor_left(&whole));
		break;
	case CREATE:
		create_request(in, f, h, c, whole);
		break;
	case CLOSE:
		close_request(in, f, h, c);
		break;
	case READ:
		read_request(in, f, h, c);
		break;
	case WRITE:
		return write_request(in, f, h, c);
	case IOCTL:
		return ioctl_request(in, c);
	case SET_INFO:
		set_info_request(in, f, c, whole);
		break;
	default:
		break;
	}
	return (struct smb_data){0};
}

struct smb_data smb2_message(struct inspect *in, struct smb_files *f, const uint8_t *p, size_t n)
{
	struct cursor whole = cursor_over(p, n), c = whole;
	struct header h = read_header(&c);
	if (!cursor_ok(&c))
		return (struct smb_data){0};
	if (!(h.flags & FLAG_RESPONSE))
		return request(in, f, &h, c, whole);
	if (h.command == CREATE)
		create_response(in, f, &h, c);
	else if (h.command == CLOSE)
		smb_open_closed(in, f, h.id, CLOSE);
	else if (h.command == READ)
		return read_response(in, f, &h, c);
	return (struct smb_data){0};
}
