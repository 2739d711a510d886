/* SMB over TCP: frames (NetBIOS sessions, RFC 1002 4.3; direct over TCP, [MS-SMB2]
 * 2.1, which differs in the length's upper bits only) and the messages in them.
 *
 *   u8 type: 0 message, 81 session request, 82 83 84 its answers, 85 keep-alive
 *   u24 length
 *
 * A frame holds one SMB1 message or a chain of SMB2 messages. Of a message only
 * its head is kept (smb1_head, smb2_head); content goes to its file as it comes.
 * Encrypted and compressed frames (fd, fc) are stepped over: an encrypted share
 * may stand beside one in clear. After lost bytes inside a message that message
 * is stepped over, otherwise the next beginning of a frame is looked for. */
#include <string.h>

#include "sensor/parsers.h"
#include "sensor/smb1.h"

#define SMB1_LENGTH_MIN 35 /* header, no words, no bytes */
#define SMB2_LENGTH_MIN 64

enum { FRAME_MESSAGE = 0, FRAME_REQUEST = 0x81, FRAME_KEEP_ALIVE = 0x85 };
enum { FRAME_HEADER = 4, MAGIC = 4 };

enum phase { PHASE_FRAME = 0, PHASE_HEAD, PHASE_BODY, PHASE_LOST };

struct half {
	struct carry kept; /* a frame's header, or a message's head */
	enum phase phase;
	uint32_t frame;       /* what is left of it, from the message's beginning on */
	uint32_t message;     /* PHASE_BODY: what is left */
	struct smb_data data; /* at: bytes until it begins, n: bytes until it ends */
};

struct smb {
	struct half half[2];
	bool closed[2];
	struct smb_files files;
};

static uint8_t magic(const uint8_t *p, size_t n)
{
	return n >= MAGIC && memcmp(p + 1, "SMB", 3) == 0 ? p[0] : 0;
}

/* Four bytes of a frame and eight of a message are there. */
static bool begins(const uint8_t *p)
{
	size_t length = (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	uint8_t first = magic(p + FRAME_HEADER, MAGIC);
	if (p[0] != FRAME_MESSAGE)
		return false;
	if (first == 0xfe)
		return length >= SMB2_LENGTH_MIN && p[8] == 64 && p[9] == 0;
	return first == 0xff ? length >= SMB1_LENGTH_MIN : first == 0xfd;
}

enum { BEGINNING = 12 }; /* what begins() looks at */

static enum probe smb_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	/* A session request: one encoded name of 32 letters, and another. */
	static const uint8_t request[] = {FRAME_REQUEST, 0, 0, 68, 32};
	(void)in;
	(void)side;
	if (memcmp(p, request, n < sizeof(request) ? n : sizeof(request)) == 0)
		return n < sizeof(request) ? PROBE_MORE : PROBE_YES;
	if (p[0] != FRAME_MESSAGE || (n > 5 && memcmp(p + 5, "SMB", n < 8 ? n - 5 : 3) != 0))
		return PROBE_NO;
	if (n < BEGINNING)
		return PROBE_MORE;
	return begins(p) ? PROBE_YES : PROBE_NO;
}

static struct smb_open *data_open(struct smb *s, const struct half *h)
{
	return h->data.open ? smb_open_serial(&s->files, h->data.open) : NULL;
}

static void data_cut(struct inspect *in, struct half *h)
{
	struct smb *s = in->state;
	struct smb_open *o = data_open(s, h);
	if (o)
		smb_transfer_cut(in, &s->files, o, h->data.direction);
	if (h->data.pipe)
		smb_pipe_forget(in, &s->files.pipes, h->data.fid);
	h->data = (struct smb_data){0};
}

/* n bytes of a message went by. */
static void body_passed(struct inspect *in, struct half *h, size_t n)
{
	h->message -= (uint32_t)n;
	h->frame -= (uint32_t)n;
	if (h->message)
		return;
	if (h->data.n)
		data_cut(in, h);
	h->phase = h->frame ? PHASE_HEAD : PHASE_FRAME;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void pipe_data(struct inspect *in, struct half *h, const uint8_t *p, size_t n)
{
	struct smb *s = in->state;
	size_t length = least(n, h->data.length);
	h->data.length -= (uint8_t)length;
	if (n > length)
		h->data.pipe = smb_pipe_write(in, &s->files.pipes, h->data.fid, p + length, n - length);
}

static size_t body(struct inspect *in, struct half *h, const uint8_t *p, size_t n)
{
	struct smb *s = in->state;
	size_t step = least(n, h->message);
	size_t before = least(step, h->data.at), content = least(step - before, h->data.n);
	struct smb_open *o = content ? data_open(s, h) : NULL;
	h->data.at -= (uint32_t)before;
	h->data.n -= (uint32_t)content;
	if (o)
		smb_transfer_data(in, &s->files, o, h->data.direction, p + before, content);
	if (content && h->data.pipe)
		pipe_data(in, h, p + before, content);
	body_passed(in, h, step);
	return step;
}

static size_t head_wanted(const struct half *h)
{
	switch (h->kept.n < MAGIC ? 0 : magic(h->kept.p, h->kept.n)) {
	case 0xfe:
		return smb2_head(h->kept.p, h->kept.n, h->frame);
	case 0xff:
		return smb1_head(h->kept.p, h->kept.n, h->frame);
	default:
		return least(MAGIC, h->frame);
	}
}

static void message(struct inspect *in, struct half *h)
{
	struct smb *s = in->state;
	struct carry kept = h->kept;
	uint8_t first = magic(kept.p, kept.n);
	h->kept = (struct carry){0};
	h->data = (struct smb_data){0};
	h->message = h->frame;
	h->phase = PHASE_BODY;
	if (first == 0xfe) {
		h->message = (uint32_t)smb2_length(kept.p, kept.n, h->frame);
		h->data = smb2_message(in, &s->files, kept.p, kept.n);
	} else if (first == 0xff) {
		h->data = smb1_message(in, &s->files, kept.p, kept.n);
	}
	if (kept.n == SMB_HEAD_MAX && h->message > kept.n)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	body(in, h, kept.p, kept.n);
	carry_free(in->mem, &kept);
}

static void frame(struct half *h)
{
	struct cursor c = cursor_over(h->kept.p, h->kept.n);
	uint8_t type = cursor_u8(&c);
	h->frame = cursor_u24(&c);
	carry_shift(&h->kept, FRAME_HEADER);
	if (type == FRAME_MESSAGE) {
		h->phase = h->frame ? PHASE_HEAD : PHASE_FRAME;
	} else if (type >= FRAME_REQUEST && type <= FRAME_KEEP_ALIVE) {
		h->message = h->frame;
		h->phase = h->frame ? PHASE_BODY : PHASE_FRAME;
	} else {
		h->phase = PHASE_LOST;
	}
}

/* Keeps what is missing of want bytes. Gives how many it took, or -1: no memory. */
static ssize_t keep(struct inspect *in, struct half *h, const uint8_t *p, size_t n, size_t want)
{
	size_t step = h->kept.n < want ? least(n, want - h->kept.n) : 0;
	if (step && !carry_push(in->mem, &h->kept, p, step, SMB_HEAD_MAX)) {
		ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
		return -1;
	}
	return (ssize_t)step;
}

/* Steps to the next beginning of a frame in these bytes. One that is cut by their
 * end is missed; the next one is not. */
static size_t find_frame(struct half *h, const uint8_t *p, size_t n)
{
	for (size_t at = 0; at + BEGINNING <= n; at++) {
		const uint8_t *zero = memchr(p + at, FRAME_MESSAGE, n - BEGINNING + 1 - at);
		if (!zero)
			break;
		at = (size_t)(zero - p);
		if (!begins(zero))
			continue;
		h->phase = PHASE_FRAME;
		return at;
	}
	return n;
}

static ssize_t step(struct inspect *in, struct half *h, const uint8_t *p, size_t n)
{
	ssize_t took = 0;
	switch (h->phase) {
	case PHASE_FRAME:
		took = keep(in, h, p, n, FRAME_HEADER);
		if (h->kept.n == FRAME_HEADER)
			frame(h);
		return took;
	case PHASE_HEAD:
		took = keep(in, h, p, n, head_wanted(h));
		if (took >= 0 && h->kept.n >= head_wanted(h))
			message(in, h);
		return took;
	case PHASE_BODY:
		return (ssize_t)body(in, h, p, n);
	case PHASE_LOST:
	default:
		return (ssize_t)find_frame(h, p, n);
	}
}

static enum verdict smb_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct smb *s = in->state;
	(void)used;
	while (n) {
		ssize_t took = step(in, &s->half[side], p, n);
		if (took < 0)
			return INSPECT_DONE;
		p += took;
		n -= (size_t)took;
	}
	return INSPECT_MORE;
}

static enum verdict smb_gap(struct inspect *in, enum side side, size_t lost)
{
	struct smb *s = in->state;
	struct half *h = &s->half[side];
	if (h->phase == PHASE_BODY && lost <= h->message) {
		if (h->data.n && lost > h->data.at)
			data_cut(in, h);
		h->data.at -= (uint32_t)least(lost, h->data.at);
		body_passed(in, h, lost);
		return INSPECT_MORE;
	}
	data_cut(in, h);
	carry_free(in->mem, &h->kept);
	h->phase = PHASE_LOST;
	return INSPECT_MORE;
}

static void smb_close(struct inspect *in, enum side side)
{
	struct smb *s = in->state;
	s->closed[side] = true;
	if (s->closed[TO_SERVER] && s->closed[TO_CLIENT])
		smb_files_end(in, &s->files);
}

static void smb_describe(const struct inspect *in, struct alert_app *app)
{
	const struct smb *s = in->state;
	alert_app_text(app, "filename", s->files.shown.p, s->files.shown.n);
}

static void smb_drop(struct inspect *in)
{
	struct smb *s = in->state;
	carry_free(in->mem, &s->half[0].kept);
	carry_free(in->mem, &s->half[1].kept);
	smb_files_drop(in, &s->files);
}

const struct parser parser_smb = {
    .name = "smb",
    .over = OVER_TCP,
    .state_size = sizeof(struct smb),
    .probe = smb_probe,
    .stream = smb_stream,
    .gap = smb_gap,
    .close = smb_close,
    .describe = smb_describe,
    .drop = smb_drop,
};
