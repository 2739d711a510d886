/* The PROXY protocol (haproxy.org, proxy-protocol.txt): what a load balancer puts
 * before the client's own first byte, in the same segment as a rule, to say who
 * the client is. Behind it both sides are probed anew.
 *
 *   version 1:  "PROXY TCP4 192.0.2.1 198.51.100.1 40000 443\r\n", at most 107 bytes;
 *               TCP6, or UNKNOWN and whatever
 *   version 2:  0  0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a
 *              12  u8 0x20 of the balancer itself, 0x21 for a client; u8 family and transport
 *              14  u16 length of what follows
 *              16  two addresses of 4 or 16 bytes (family 1, 2), two u16 ports, TLVs
 *
 * A first line whose addresses make no sense still says that another protocol
 * begins behind it. */
#include <string.h>

#include "sensor/parsers.h"

#define LINE_MAX_V1 107
#define HEAD_V2     16
#define BODY_MAX_V2 4096 /* TLVs may hold a certificate's names; longer ones end the parser */

enum { FOR_CLIENT = 0x21, FOR_ITSELF = 0x20, FAMILY_V4 = 1, FAMILY_V6 = 2 };

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

struct proxy {
	struct carry kept;
	enum side side; /* that sent it */
	bool begun;
};

static bool begins_with(const uint8_t *p, size_t n, const void *word, size_t word_n)
{
	return memcmp(p, word, n < word_n ? n : word_n) == 0;
}

static enum probe proxy_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	static const char *const words[] = {"PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN"};
	(void)in;
	(void)side;
	if (begins_with(p, n, signature, sizeof(signature)))
		return n < sizeof(signature) ? PROBE_MORE : PROBE_YES;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (begins_with(p, n, words[i], strlen(words[i])))
			return n < strlen(words[i]) ? PROBE_MORE : PROBE_YES;
	return PROBE_NO;
}

/* The next word of a line. */
static struct bytes word(struct cursor *c)
{
	size_t n = 0;
	while (n < cursor_left(c) && c->p[n] != ' ')
		n++;
	struct bytes w = cursor_bytes(c, n);
	cursor_skip(c, cursor_left(c) ? 1 : 0);
	return w;
}

static void report_text(struct inspect *in, enum where w, struct bytes text)
{
	struct addr a;
	if (text.n && addr_parse((const char *)text.p, text.n, &a))
		observe(in, w, a.b, sizeof(a.b));
}

static void read_line(struct inspect *in, struct cursor c)
{
	word(&c);
	word(&c);
	report_text(in, WHERE_PROXY_SRC, word(&c));
	report_text(in, WHERE_PROXY_DEST, word(&c));
}

static void read_binary(struct inspect *in, struct cursor c)
{
	cursor_skip(&c, sizeof(signature));
	uint8_t command = cursor_u8(&c), family = cursor_u8(&c) >> 4;
	cursor_skip(&c, 2);
	size_t each = family == FAMILY_V4 ? 4 : family == FAMILY_V6 ? 16 : 0;
	struct bytes src = cursor_bytes(&c, each), dest = cursor_bytes(&c, each);
	if (command != FOR_CLIENT || !each || !cursor_ok(&c))
		return;
	struct addr a = each == 4 ? addr_v4(src.p) : addr_v6(src.p), b = each == 4 ? addr_v4(dest.p) : addr_v6(dest.p);
	observe(in, WHERE_PROXY_SRC, a.b, sizeof(a.b));
	observe(in, WHERE_PROXY_DEST, b.b, sizeof(b.b));
}

/* Bytes of the header; 0: not known yet; SIZE_MAX: it is none. */
static size_t header_size(const struct carry *kept)
{
	if (kept->p[0] == signature[0]) {
		struct cursor c = cursor_over(kept->p, kept->n);
		cursor_skip(&c, sizeof(signature));
		uint8_t command = cursor_u8(&c);
		cursor_skip(&c, 1);
		size_t body = cursor_u16(&c);
		if (!cursor_ok(&c))
			return 0;
		bool known = command == FOR_CLIENT || command == FOR_ITSELF;
		return known && body <= BODY_MAX_V2 ? HEAD_V2 + body : SIZE_MAX;
	}
	size_t look = kept->n < LINE_MAX_V1 ? kept->n : LINE_MAX_V1;
	const uint8_t *end = memchr(kept->p, '\n', look);
	if (!end)
		return look < LINE_MAX_V1 ? 0 : SIZE_MAX;
	return (size_t)(end - kept->p) + 1;
}

static enum verdict proxy_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct proxy *x = in->state;
	size_t before = x->kept.n, room = HEAD_V2 + BODY_MAX_V2 - before;
	if (x->begun && side != x->side)
		return INSPECT_ERROR; /* the other side does not speak before the client did */
	x->begun = true;
	x->side = side;
	if (!carry_push(in->mem, &x->kept, p, n < room ? n : room, HEAD_V2 + BODY_MAX_V2)) {
		ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
		return INSPECT_DONE;
	}
	size_t size = header_size(&x->kept);
	if (size == SIZE_MAX)
		return INSPECT_ERROR;
	if (!size || x->kept.n < size)
		return INSPECT_MORE;
	struct cursor c = cursor_over(x->kept.p, size);
	if (x->kept.p[0] == signature[0]) {
		read_binary(in, c);
	} else {
		while (cursor_left(&c) && (c.end[-1] == '\n' || c.end[-1] == '\r'))
			c.end--;
		read_line(in, c);
	}
	*used = size - before;
	return INSPECT_AGAIN;
}

static void proxy_drop(struct inspect *in)
{
	struct proxy *x = in->state;
	carry_free(in->mem, &x->kept);
}

const struct parser parser_proxy = {
    .name = "proxy",
    .over = OVER_TCP,
    .state_size = sizeof(struct proxy),
    .probe = proxy_probe,
    .stream = proxy_stream,
    .drop = proxy_drop,
};
