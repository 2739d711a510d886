/* HTTP/2 in clear text (RFC 9113): with prior knowledge, recognised by the
 * client's preface, or after "Upgrade: h2c" (inspect_http.c hands over), where the
 * server may begin: its first frame is SETTINGS.
 *
 *   "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"           the client's first 24 bytes
 *   0  u24 length | u8 type | u8 flags | u32 stream (top bit reserved) | payload
 *
 *   DATA 0           [pad length] data [padding]             END_STREAM 0x1  PADDED 0x8
 *   HEADERS 1        [pad length] [priority, 5] block [padding]   END_HEADERS 0x4  PRIORITY 0x20
 *   RST_STREAM 3, SETTINGS 4 (u16 id, u32 value), PUSH_PROMISE 5 ([pad length] u32 stream, block)
 *   CONTINUATION 9   block
 *
 * Payloads are not held: data goes to the body, header blocks to HPACK as they
 * come; of each block only the values that are looked at are kept until its end.
 * When header bytes are lost the side's HPACK state is, too, and the side is
 * given up. */
#include "sensor/parsers.h"

#include <string.h>

#include "common/scratch.h"
#include "common/text.h"
#include "sensor/hpack.h"
#include "sensor/http_body.h"
#include "sensor/http_head.h"
#include "sensor/http_range.h"
#include "sensor/http_request.h"

#define PREFACE        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define PREFACE_N      24
#define STREAMS_MAX    128   /* open at once; the oldest is forgotten */
#define VALUES_MAX     32768 /* bytes of the values kept of one header block */
#define SETTINGS_PROBE 96    /* a server's first SETTINGS are shorter */

enum frame_type {
	FRAME_DATA = 0,
	FRAME_HEADERS = 1,
	FRAME_RST = 3,
	FRAME_SETTINGS = 4,
	FRAME_PUSH = 5,
	FRAME_CONTINUATION = 9
};

#define FLAG_END_STREAM  0x1
#define FLAG_END_HEADERS 0x4
#define FLAG_PADDED      0x8
#define FLAG_PRIORITY    0x20

struct h2_stream {
	struct h2_stream *next; /* newest first */
	uint32_t id;
	unsigned status;
	bool headers[2], ended[2]; /* by side */
	struct http_request *request;
	struct http_body body[2];
};

/* The values of a header block, copied, and the head they make. */
struct block {
	struct http_head head;
	uint32_t stream;
	bool end_stream, promise, over_limit;
	unsigned fields;
	size_t n;
	uint8_t values[VALUES_MAX];
};

struct h2_side {
	bool begun, dead;
	uint8_t preface_left;
	uint8_t prefix_n, prefix_want; /* bytes before the payload proper: see frame_prefix() */
	uint8_t header_n;              /* of the frame header read so far */
	uint8_t header[9];
	uint8_t prefix[10];
	uint8_t type, flags;
	uint32_t stream;
	uint32_t left, pad; /* of the frame's payload, without padding; padding */
	struct hpack *hpack;
	struct block *block;        /* between HEADERS and END_HEADERS */
	struct http_joined *joined; /* a file of which a range was seen on some stream, and the next is awaited */
};

struct h2 {
	struct h2_side side[2];
	struct h2_stream *streams;
	unsigned stream_count;
	/* for describe() */
	const struct h2_stream *now;
	const struct http_body *now_body;
};

/* ---- streams ---- */

static void stream_free(struct inspect *in, struct h2 *h, struct h2_stream **at)
{
	struct h2_stream *st = *at;
	*at = st->next;
	h->stream_count--;
	http_request_release(in, st->request);
	http_body_drop(in, &st->body[0]);
	http_body_drop(in, &st->body[1]);
	mem_free(in->mem, st, sizeof(*st));
}

static struct h2_stream **stream_at(struct h2 *h, uint32_t id)
{
	struct h2_stream **at = &h->streams;
	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

static void forget_oldest(struct inspect *in, struct h2 *h)
{
	struct h2_stream **at = &h->streams;
	while ((*at)->next)
		at = &(*at)->next;
	ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	stream_free(in, h, at);
}

static struct h2_stream *stream_get(struct inspect *in, struct h2 *h, uint32_t id)
{
	struct h2_stream *st = *stream_at(h, id);
	if (st)
		return st;
	st = mem_alloc(in->mem, sizeof(*st));
	if (!st) {
		ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
		return NULL;
	}
	if (h->stream_count == STREAMS_MAX)
		forget_oldest(in, h);
	st->id = id;
	st->next = h->streams;
	h->streams = st;
	h->stream_count++;
	return st;
}

static void end_side(struct inspect *in, struct h2 *h, struct h2_stream *st, enum side side)
{
	h->now = st;
	h->now_body = &st->body[side];
	bool whole = http_range_end(in, &h->side[side].joined, &st->body[side], st->request, true);
	http_body_end(in, &st->body[side], whole);
	st->ended[side] = true;
	if (st->ended[0] && st->ended[1])
		stream_free(in, h, stream_at(h, st->id));
	h->now = NULL;
}

static void reset_stream(struct inspect *in, struct h2 *h, uint32_t id)
{
	struct h2_stream **at = stream_at(h, id);
	if (!*at)
		return;
	http_body_end(in, &(*at)->body[0], false);
	http_body_end(in, &(*at)->body[1], false);
	stream_free(in, h, at);
}

/* ---- header blocks ---- */

static void keep_field(void *ctx, struct bytes name, struct bytes value)
{
	struct block *b = ctx;
	if (b->fields++ >= HTTP_FIELDS_MAX || value.n > sizeof(b->values) - b->n) {
		b->over_limit = true;
		return;
	}
	struct bytes kept = {b->values + b->n, value.n};
	struct http_head *h = &b->head;
	struct bytes *into = NULL;
	if (value.n)
		memcpy(b->values + b->n, value.p, value.n);
	if (text_equal_fold(name.p, name.n, ":method", 7))
		into = &h->method;
	else if (text_equal_fold(name.p, name.n, ":path", 5))
		into = &h->target;
	else if (text_equal_fold(name.p, name.n, ":scheme", 7))
		into = &h->scheme;
	else if (text_equal_fold(name.p, name.n, ":authority", 10))
		into = &h->host;
	if (into)
		*into = kept;
	else if (text_equal_fold(name.p, name.n, ":status", 7))
		for (size_t i = 0; i < 3 && i < value.n && value.p[i] >= '0' && value.p[i] <= '9'; i++)
			h->status = h->status * 10 + (unsigned)(value.p[i] - '0');
	else
		http_head_field(h, name, kept);
	b->n += value.n;
}

static void on_request(struct inspect *in, struct h2 *h, enum side side, struct h2_stream *st, struct block *b)
{
	SCRATCH struct url u;
	b->head.request = true;
	if (b->head.method.n > HTTP_METHOD_MAX)
		b->head.method.n = HTTP_METHOD_MAX;
	http_request_release(in, st->request);
	st->request = http_request_new(in, side, &b->head, &u);
	if (!st->request) {
		ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
		return;
	}
	h->now = st;
	h->now_body = NULL;
	http_request_observe(in, &b->head, &u);
}

static void on_response(struct inspect *in, struct h2 *h, struct h2_stream *st, const struct block *b)
{
	st->status = b->head.status;
	h->now = st;
	h->now_body = NULL;
	http_filename_observe(in, b->head.disposition);
}

/* The block is complete. */
static void on_block(struct inspect *in, struct h2 *h, enum side side, struct block *b)
{
	static const uint8_t version[] = "HTTP/2";
	struct h2_stream *st = stream_get(in, h, b->stream);
	if (b->over_limit)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	if (!st)
		return;
	b->head.version = (struct bytes){version, sizeof(version) - 1};
	b->head.framed = true;
	bool request = b->head.method.n != 0;
	bool interim = b->head.status / 100 == 1;
	bool first = !st->headers[side];
	uint32_t outer = inspect_object(in, OBJECT_NEW);
	if (b->promise || (request && first))
		on_request(in, h, b->promise ? (enum side) !side : side, st, b);
	else if (first)
		on_response(in, h, st, b);
	h->now = NULL;
	if (b->promise) {
		st->headers[!side] = st->ended[!side] = true;
		inspect_object(in, outer);
		return;
	}
	if (first && !interim) { /* else trailers */
		st->headers[side] = true;
		http_body_begin(in, &st->body[side], &b->head, false);
		http_range_begin(in, &h->side[side].joined, &st->body[side], &b->head, st->request);
	}
	inspect_object(in, outer);
	if (b->end_stream)
		end_side(in, h, st, side);
}

static void give_up(struct inspect *in, struct h2_side *s, enum ledger_id why)
{
	if (!s->dead)
		ledger_count(in->ledger, why);
	s->dead = true;
	mem_free(in->mem, s->block, sizeof(*s->block));
	s->block = NULL;
	hpack_free(s->hpack);
	s->hpack = NULL;
}

static void block_begin(struct inspect *in, struct h2_side *s, uint32_t stream)
{
	mem_free(in->mem, s->block, sizeof(*s->block));
	s->block = mem_alloc(in->mem, sizeof(*s->block));
	if (!s->hpack)
		s->hpack = hpack_new(in->mem);
	if (!s->block || !s->hpack) {
		give_up(in, s, LEDGER_PARSER_MEMORY);
		return;
	}
	s->block->stream = stream;
	s->block->promise = s->type == FRAME_PUSH;
	s->block->end_stream = s->type == FRAME_HEADERS && (s->flags & FLAG_END_STREAM);
}

static void block_bytes(struct inspect *in, struct h2 *h, enum side side, const uint8_t *p, size_t n)
{
	struct h2_side *s = &h->side[side];
	bool final = n == s->left && (s->flags & FLAG_END_HEADERS);
	if (!hpack_decode(s->hpack, p, n, final, keep_field, s->block)) {
		give_up(in, s, LEDGER_PARSER_ERROR);
		return;
	}
	if (!final)
		return;
	struct block *b = s->block;
	s->block = NULL;
	on_block(in, h, side, b);
	mem_free(in->mem, b, sizeof(*b));
}

/* ---- frames ---- */

static bool is_block(uint8_t type)
{
	return type == FRAME_HEADERS || type == FRAME_PUSH || type == FRAME_CONTINUATION;
}

/* How many bytes of pad length, priority, promised stream or error code come
 * before the payload proper; SETTINGS are read entry by entry. */
static uint8_t frame_prefix(const struct h2_side *s)
{
	uint8_t n = 0;
	bool padded = s->type == FRAME_DATA || s->type == FRAME_HEADERS || s->type == FRAME_PUSH;
	if (padded && (s->flags & FLAG_PADDED))
		n++;
	if (s->type == FRAME_HEADERS && (s->flags & FLAG_PRIORITY))
		n = (uint8_t)(n + 5);
	if (s->type == FRAME_PUSH)
		n = (uint8_t)(n + 4);
	if (s->type == FRAME_SETTINGS && s->left)
		n = 6;
	return n;
}

static void frame_begin(struct inspect *in, struct h2 *h, enum side side)
{
	struct h2_side *s = &h->side[side];
	struct cursor c = cursor_over(s->header, sizeof(s->header));
	s->left = cursor_u24(&c);
	s->type = cursor_u8(&c);
	s->flags = cursor_u8(&c);
	s->stream = cursor_u32(&c) & 0x7fffffff;
	s->pad = 0;
	s->prefix_n = 0;
	s->prefix_want = frame_prefix(s);
	bool continues = s->block && s->type == FRAME_CONTINUATION && s->block->stream == s->stream;
	bool stray = s->type == FRAME_CONTINUATION ? !continues : s->block != NULL; /* RFC 9113 6.10 */
	if (stray || s->prefix_want > s->left)
		give_up(in, s, LEDGER_PARSER_ERROR);
	if (s->type == FRAME_RST)
		reset_stream(in, h, s->stream);
}

static void on_setting(struct inspect *in, struct h2 *h, enum side side)
{
	struct h2_side *s = &h->side[side], *other = &h->side[!side];
	struct cursor c = cursor_over(s->prefix, 6);
	uint16_t id = cursor_u16(&c);
	uint32_t value = cursor_u32(&c);
	s->prefix_n = 0;
	s->prefix_want = s->left >= 6 ? 6 : 0;
	if (id != 1) /* SETTINGS_HEADER_TABLE_SIZE */
		return;
	if (!other->hpack && !other->dead)
		other->hpack = hpack_new(in->mem);
	if (other->hpack)
		hpack_table_size(other->hpack, value);
}

static void prefix_done(struct inspect *in, struct h2 *h, enum side side)
{
	struct h2_side *s = &h->side[side];
	if (s->type == FRAME_SETTINGS) {
		on_setting(in, h, side);
		return;
	}
	struct cursor c = cursor_over(s->prefix, s->prefix_want);
	bool padded = s->prefix_want && (s->flags & FLAG_PADDED);
	s->pad = padded ? cursor_u8(&c) : 0;
	s->prefix_want = 0;
	if (s->pad > s->left) {
		give_up(in, s, LEDGER_PARSER_ERROR);
		return;
	}
	s->left -= s->pad;
	if (s->type == FRAME_HEADERS)
		block_begin(in, s, s->stream);
	else if (s->type == FRAME_PUSH)
		block_begin(in, s, cursor_u32(&c) & 0x7fffffff);
}

static void data_bytes(struct inspect *in, struct h2 *h, enum side side, const uint8_t *p, size_t n)
{
	struct h2_side *s = &h->side[side];
	struct h2_stream *st = *stream_at(h, s->stream);
	if (!st || st->ended[side])
		return;
	h->now = st;
	h->now_body = &st->body[side];
	http_body_content(in, &st->body[side], p, n);
	h->now = NULL;
	if (n == s->left && (s->flags & FLAG_END_STREAM))
		end_side(in, h, st, side);
}

static void payload_bytes(struct inspect *in, struct h2 *h, enum side side, const uint8_t *p, size_t n)
{
	struct h2_side *s = &h->side[side];
	if (s->type == FRAME_DATA)
		data_bytes(in, h, side, p, n);
	else if (is_block(s->type) && s->block)
		block_bytes(in, h, side, p, n);
	s->left -= (uint32_t)n;
}

/* An empty payload may still end a stream or a block. */
static void frame_ready(struct inspect *in, struct h2 *h, enum side side)
{
	struct h2_side *s = &h->side[side];
	if (!s->dead && !s->prefix_want && s->type != FRAME_SETTINGS)
		prefix_done(in, h, side);
	if (!s->dead && !s->prefix_want && !s->left && s->type != FRAME_SETTINGS)
		payload_bytes(in, h, side, s->prefix, 0);
}

static size_t take_frame(struct inspect *in, struct h2 *h, enum side side, const uint8_t *p, size_t n)
{
	struct h2_side *s = &h->side[side];
	if (s->header_n < sizeof(s->header)) {
		s->header[s->header_n++] = p[0];
		if (s->header_n < sizeof(s->header))
			return 1;
		frame_begin(in, h, side);
		frame_ready(in, h, side);
	} else if (s->prefix_want) {
		s->prefix[s->prefix_n++] = p[0];
		s->left--;
		if (s->prefix_n < s->prefix_want)
			return 1;
		prefix_done(in, h, side);
		if (!s->dead && !s->left && s->type != FRAME_SETTINGS)
			payload_bytes(in, h, side, s->prefix, 0);
	} else {
		uint32_t *of = s->left ? &s->left : &s->pad;
		size_t k = *of < n ? *of : n;
		if (of == &s->left)
			payload_bytes(in, h, side, p, k);
		else
			s->pad -= (uint32_t)k;
		if (!s->left && !s->pad)
			s->header_n = 0;
		return k;
	}
	if (!s->left && !s->pad && !s->prefix_want)
		s->header_n = 0;
	return 1;
}

static size_t take_preface(struct h2 *h, enum side side, const uint8_t *p, size_t n)
{
	struct h2_side *s = &h->side[side];
	if (!s->begun) {
		s->begun = true;
		s->preface_left = p[0] == 'P' ? PREFACE_N : 0;
	}
	size_t k = s->preface_left < n ? s->preface_left : n;
	s->preface_left = (uint8_t)(s->preface_left - k);
	return k;
}

static enum verdict h2_feed(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct h2 *h = in->state;
	struct h2_side *s = &h->side[side];
	(void)used;
	size_t at = take_preface(h, side, p, n);
	while (at < n && !s->dead)
		at += take_frame(in, h, side, p + at, n - at);
	return h->side[0].dead && h->side[1].dead ? INSPECT_DONE : INSPECT_MORE;
}

static enum verdict h2_gap(struct inspect *in, enum side side, size_t lost)
{
	struct h2 *h = in->state;
	struct h2_side *s = &h->side[side];
	bool in_data = s->header_n == sizeof(s->header) && s->type == FRAME_DATA && !s->prefix_want;
	if (!in_data || lost >= s->left) {
		give_up(in, s, LEDGER_PARSER_GAP);
		return INSPECT_MORE;
	}
	struct h2_stream *st = *stream_at(h, s->stream);
	if (st)
		(void)http_body_gap(&st->body[side], lost);
	s->left -= (uint32_t)lost;
	return INSPECT_MORE;
}

static void h2_close(struct inspect *in, enum side side)
{
	struct h2 *h = in->state;
	http_range_cut(in, &h->side[side].joined);
}

/* ---- recognising ---- */

/* The server's first frame: SETTINGS on stream 0, no acknowledgement, few. */
static enum probe probe_settings(const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n);
	uint32_t length = cursor_u24(&c);
	uint8_t type = cursor_u8(&c), flags = cursor_u8(&c);
	uint32_t stream = cursor_u32(&c);
	if (!cursor_ok(&c))
		return n && p[0] == 0 ? PROBE_MORE : PROBE_NO;
	if (type != FRAME_SETTINGS || flags || stream || length % 6 || length > SETTINGS_PROBE)
		return PROBE_NO;
	uint16_t id = length ? cursor_u16(&c) : 1;
	if (!cursor_ok(&c))
		return PROBE_MORE;
	return id >= 1 && id <= 9 ? PROBE_YES : PROBE_NO;
}

static enum probe h2_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)in;
	(void)side;
	size_t k = n < PREFACE_N ? n : PREFACE_N;
	if (memcmp(p, PREFACE, k) == 0)
		return k == PREFACE_N ? PROBE_YES : PROBE_MORE;
	return probe_settings(p, n);
}

static void h2_describe(const struct inspect *in, struct alert_app *app)
{
	const struct h2 *h = in->state;
	app->object = "http";
	if (!h->now)
		return;
	http_request_describe(h->now->request, app);
	if (h->now->status)
		alert_app_number(app, "status", h->now->status);
	if (h->now_body && h->now_body->seen)
		alert_app_number(app, "length", (size_t)h->now_body->seen);
}

static void h2_drop(struct inspect *in)
{
	struct h2 *h = in->state;
	while (h->streams)
		stream_free(in, h, &h->streams);
	for (int i = 0; i < 2; i++) {
		mem_free(in->mem, h->side[i].block, sizeof(*h->side[i].block));
		hpack_free(h->side[i].hpack);
		http_range_drop(in, &h->side[i].joined);
	}
}

const struct parser parser_http2 = {
    .name = "http2",
    .over = OVER_TCP,
    .state_size = sizeof(struct h2),
    .probe = h2_probe,
    .stream = h2_feed,
    .gap = h2_gap,
    .close = h2_close,
    .describe = h2_describe,
    .drop = h2_drop,
};
