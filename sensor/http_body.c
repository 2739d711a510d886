/* Bodies. A digest is that of the decoded content, as a browser would store it.
 *
 *   chunked:  1a3f;ext=1 CRLF  <0x1a3f bytes> CRLF  …  0 CRLF [trailer fields] CRLF
 *
 * Decisions: blanks around a chunk size and a missing CRLF behind a chunk are
 * tolerated, as servers and browsers do; a size line without digits, or longer
 * than a 60-bit number, breaks the framing. Content that does not decode is cut,
 * not guessed at. When no digest is wanted nothing is decoded at all. */
#include "sensor/http_body.h"

#include <string.h>

#include "sensor/http_dns.h"

static enum http_framing framing_of(const struct http_head *h)
{
	if (h->framed)
		return HTTP_UNTIL_CLOSE;
	if (h->chunked)
		return HTTP_CHUNKED;
	if (h->has_length)
		return h->length ? HTTP_LENGTH : HTTP_NO_BODY;
	return h->request ? HTTP_NO_BODY : HTTP_UNTIL_CLOSE;
}

static void begin_codings(struct inspect *in, struct http_body *b, const struct http_head *h)
{
	for (unsigned i = 0; i < h->codings; i++) {
		b->coding[i] = inflate_new(in->mem, h->coding[i]);
		if (!b->coding[i]) {
			ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
			b->cut = true;
			return;
		}
		b->codings++;
	}
}

static bool asked_for(const struct http_body *b)
{
	return b->file || b->form || b->is_dns;
}

bool http_body_begin(struct inspect *in, struct http_body *b, const struct http_head *h, bool no_body)
{
	*b = (struct http_body){.framing = no_body ? HTTP_NO_BODY : framing_of(h)};
	if (b->framing == HTTP_NO_BODY)
		return false;
	b->left = b->framing == HTTP_LENGTH ? h->length : 0;
	b->cut = http_partial(h) || h->undecodable;
	b->file = file_begin(in);
	if (h->request && (b->file || wanted(in, WHERE_HTTP_FILENAME)))
		b->form = mime_begin_form(in, h->content_type);
	b->is_dns = http_dns_body(in, h);
	if (asked_for(b) && !b->cut)
		begin_codings(in, b, h);
	return true;
}

void http_body_decode(struct inspect *in, struct http_body *b, const struct http_head *h)
{
	b->cut = false;
	begin_codings(in, b, h);
}

static void give_up_content(struct http_body *b)
{
	b->cut = true;
	for (unsigned i = 0; i < b->codings; i++)
		inflate_free(b->coding[i]);
	b->codings = 0;
}

static void decode(struct http_body *b, unsigned layers, const uint8_t *p, size_t n);

struct layer_ctx {
	struct http_body *body;
	unsigned layers;
};

static bool decoded(void *ctx, const uint8_t *p, size_t n)
{
	struct layer_ctx *l = ctx;
	decode(l->body, l->layers, p, n);
	return !l->body->cut;
}

static void dns_data(struct http_body *b, const uint8_t *p, size_t n)
{
	if (!b->is_dns || carry_push(b->in->mem, &b->dns, p, n, HTTP_DNS_MAX))
		return;
	ledger_count(b->in->ledger, LEDGER_PARSER_LIMIT);
	b->is_dns = false;
}

/* The coding applied last is taken off first. */
static void decode(struct http_body *b, unsigned layers, const uint8_t *p, size_t n)
{
	if (layers == 0) {
		file_data(b->file, p, n);
		mime_data(b->in, b->form, p, n);
		dns_data(b, p, n);
		return;
	}
	struct layer_ctx ctx = {.body = b, .layers = layers - 1};
	switch (inflate_data(b->coding[layers - 1], p, n, decoded, &ctx)) {
	case INFLATE_MORE:
	case INFLATE_END:
		return;
	case INFLATE_BOMB:
		ledger_count(b->in->ledger, LEDGER_BOMB);
		break;
	case INFLATE_MEMORY:
		ledger_count(b->in->ledger, LEDGER_PARSER_MEMORY);
		break;
	case INFLATE_BAD:
		break;
	}
	b->cut = true;
}

void http_body_content(struct inspect *in, struct http_body *b, const uint8_t *p, size_t n)
{
	b->seen += n;
	if (b->cut || !asked_for(b))
		return;
	size_t old = b->skip < n ? (size_t)b->skip : n;
	b->skip -= old;
	p += old;
	n -= old;
	b->in = in;
	decode(b, b->codings, p, n);
	b->in = NULL;
	if (b->cut)
		give_up_content(b);
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A byte of the chunk-size line. */
static bool size_byte(struct http_body *b, uint8_t c)
{
	if (++b->line_n > HTTP_CHUNK_LINE_MAX)
		return false;
	if (c == '\n') {
		bool leading = !b->digits && b->line_n <= 2; /* a stray line end before the size */
		if (!b->digits)
			return leading;
		b->chunk = b->left ? CHUNK_DATA : CHUNK_TRAILER;
		b->line_n = 0;
		b->digits = false;
		b->line_blank = true;
		return true;
	}
	int v = b->chunk == CHUNK_SIZE ? hex_digit(c) : 0;
	if (b->chunk == CHUNK_EXTENSION)
		return true;
	if (v >= 0) {
		if (b->left > UINT64_MAX >> 8)
			return false;
		b->left = b->left << 4 | (uint64_t)v;
		b->digits = true;
		return true;
	}
	if (b->digits)
		b->chunk = CHUNK_EXTENSION;
	return b->digits || c == ' ' || c == '\t' || c == '\r';
}

static enum http_body_state trailer_byte(struct http_body *b, uint8_t c)
{
	if (++b->line_n > HTTP_TRAILER_MAX)
		return HTTP_BODY_LOST;
	if (c == '\n') {
		if (b->line_blank)
			return HTTP_BODY_END;
		b->line_blank = true;
	} else if (c != '\r') {
		b->line_blank = false;
	}
	return HTTP_BODY_MORE;
}

static size_t take_left(struct inspect *in, struct http_body *b, const uint8_t *p, size_t n)
{
	size_t k = b->left < n ? (size_t)b->left : n;
	http_body_content(in, b, p, k);
	b->left -= k;
	return k;
}

static enum http_body_state take_chunked(struct inspect *in, struct http_body *b, const uint8_t *p, size_t n,
					 size_t *used)
{
	size_t i = 0;
	enum http_body_state state = HTTP_BODY_MORE;
	while (i < n && state == HTTP_BODY_MORE) {
		switch (b->chunk) {
		case CHUNK_SIZE:
		case CHUNK_EXTENSION:
			if (!size_byte(b, p[i++]))
				state = HTTP_BODY_LOST;
			break;
		case CHUNK_DATA:
			i += take_left(in, b, p + i, n - i);
			if (!b->left)
				b->chunk = CHUNK_DATA_END;
			break;
		case CHUNK_DATA_END:
			if (p[i] != '\r')
				b->chunk = CHUNK_SIZE;
			i += p[i] == '\r' || p[i] == '\n';
			break;
		case CHUNK_TRAILER:
			state = trailer_byte(b, p[i++]);
			break;
		}
	}
	*used = i;
	return state;
}

enum http_body_state http_body_data(struct inspect *in, struct http_body *b, const uint8_t *p, size_t n, size_t *used)
{
	*used = n;
	switch (b->framing) {
	case HTTP_NO_BODY:
		*used = 0;
		return HTTP_BODY_END;
	case HTTP_LENGTH:
		*used = take_left(in, b, p, n);
		return b->left ? HTTP_BODY_MORE : HTTP_BODY_END;
	case HTTP_CHUNKED:
		return take_chunked(in, b, p, n, used);
	case HTTP_UNTIL_CLOSE:
		http_body_content(in, b, p, n);
		return HTTP_BODY_MORE;
	}
	return HTTP_BODY_LOST;
}

enum http_body_state http_body_gap(struct http_body *b, size_t lost)
{
	give_up_content(b);
	bool counted = b->framing == HTTP_LENGTH || (b->framing == HTTP_CHUNKED && b->chunk == CHUNK_DATA);
	if (b->framing == HTTP_UNTIL_CLOSE)
		return HTTP_BODY_MORE;
	if (!counted || lost > b->left)
		return HTTP_BODY_LOST;
	b->left -= lost;
	if (b->left)
		return HTTP_BODY_MORE;
	b->chunk = CHUNK_DATA_END;
	return b->framing == HTTP_LENGTH ? HTTP_BODY_END : HTTP_BODY_MORE;
}

void http_body_end(struct inspect *in, struct http_body *b, bool whole)
{
	file_end(in, b->file, whole && !b->cut);
	b->file = NULL;
	mime_end(in, b->form, whole && !b->cut);
	b->form = NULL;
	if (b->is_dns && whole && !b->cut)
		http_dns_message(in, b->dns.p, b->dns.n);
	http_body_drop(in, b);
}

void http_body_drop(struct inspect *in, struct http_body *b)
{
	file_drop(in, b->file);
	mime_drop(in, b->form);
	carry_free(in->mem, &b->dns);
	give_up_content(b);
	*b = (struct http_body){0};
}
