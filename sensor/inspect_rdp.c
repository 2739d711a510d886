/* RDP's first two packets (MS-RDPBCGR 2.2.1.1, over TPKT, RFC 1006, and X.224):
 *
 *   03 00 u16 length | u8 X.224 length | e0 connection request | 6 bytes
 *   | "Cookie: mstshash=NAME\r\n" | negotiation request
 *
 * The cookie (behind "Cookie: ") is what is looked for. After the server's
 * confirm (d0) TLS begins, in most cases: both sides are probed anew. */
#include <string.h>

#include "sensor/parsers.h"

#define TPKT_HEADER 4
#define FIRST_MAX   1024 /* bytes of a first packet; real ones have about 50 */
#define X224_FIXED  6    /* destination, source, class */
#define REQUEST     0xe0
#define CONFIRM     0xd0

struct rdp {
	struct carry kept[2];
	bool past[2]; /* the side's first packet was read */
	uint8_t cookie[FIRST_MAX];
	size_t cookie_n;
};

static enum probe rdp_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)in;
	(void)side;
	if (p[0] != 3 || (n > 1 && p[1] != 0) || (n > 2 && p[2] >= FIRST_MAX >> 8))
		return PROBE_NO;
	if (n < TPKT_HEADER + 2)
		return PROBE_MORE;
	size_t length = (size_t)p[2] << 8 | p[3];
	return length >= TPKT_HEADER + 7u && p[4] + 5u <= length && p[4] >= 6 && (p[5] == REQUEST || p[5] == CONFIRM)
		   ? PROBE_YES
		   : PROBE_NO;
}

static void report_cookie(struct inspect *in, struct rdp *r, const uint8_t *p, size_t n)
{
	static const char word[] = "Cookie: ";
	size_t word_n = sizeof(word) - 1;
	if (n < word_n || memcmp(p, word, word_n) != 0)
		return;
	const uint8_t *end = memchr(p, '\r', n);
	if (!end)
		return;
	r->cookie_n = (size_t)(end - p) - word_n;
	memcpy(r->cookie, p + word_n, r->cookie_n);
	observe(in, WHERE_RDP_COOKIE, r->cookie, r->cookie_n);
}

static enum verdict rdp_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct rdp *r = in->state;
	struct carry *kept = &r->kept[side];
	if (r->past[side])
		return INSPECT_MORE;
	size_t before = kept->n, room = FIRST_MAX - before;
	if (!carry_push(in->mem, kept, p, n < room ? n : room, FIRST_MAX)) {
		ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
		return INSPECT_DONE;
	}
	struct cursor c = cursor_over(kept->p, kept->n);
	cursor_skip(&c, 2);
	size_t length = cursor_u16(&c);
	if (cursor_ok(&c) && (length < TPKT_HEADER + 7 || length > FIRST_MAX))
		return INSPECT_ERROR;
	if (!cursor_ok(&c) || kept->n < length)
		return INSPECT_MORE;
	cursor_skip(&c, 1);
	uint8_t kind = cursor_u8(&c);
	cursor_skip(&c, X224_FIXED - 1);
	if (kind == REQUEST)
		report_cookie(in, r, c.p, length - TPKT_HEADER - 2 - (X224_FIXED - 1));
	r->past[side] = true;
	if (kind == CONFIRM) {
		*used = length - before;
		return INSPECT_AGAIN;
	}
	return kind == REQUEST ? INSPECT_MORE : INSPECT_ERROR;
}

static void rdp_describe(const struct inspect *in, struct alert_app *app)
{
	const struct rdp *r = in->state;
	alert_app_text(app, "cookie", r->cookie, r->cookie_n);
}

static void rdp_drop(struct inspect *in)
{
	struct rdp *r = in->state;
	carry_free(in->mem, &r->kept[0]);
	carry_free(in->mem, &r->kept[1]);
}

const struct parser parser_rdp = {
    .name = "rdp",
    .over = OVER_TCP,
    .state_size = sizeof(struct rdp),
    .probe = rdp_probe,
    .stream = rdp_stream,
    .describe = rdp_describe,
    .drop = rdp_drop,
};
