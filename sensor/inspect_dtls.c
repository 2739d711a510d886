/* DTLS 1.0 to 1.2, and the hellos of 1.3, on any port.
 *
 *   record:    0 u8 type, 1 u16 version, 3 u16 epoch, 5 u48 sequence, 11 u16 n, 13 n bytes
 *   handshake: 0 u8 type, 1 u24 n, 4 u16 message number, 6 u24 offset, 9 u24 length of
 *              this fragment, 12 the fragment                     RFC 6347 §4.1, §4.2.2
 *
 * Fragments come in any order and again. A server that asks for a cookie makes the
 * client repeat its hello, and timers repeat whole flights: what is the same as
 * the last of its kind is not reported again. The flow may carry STUN and media
 * beside DTLS (RFC 7983): other datagrams are passed over. */
#include <string.h>

#include "common/hash.h"
#include "sensor/parsers.h"
#include "sensor/pieces.h"
#include "sensor/tls_hello.h"
#include "sensor/x509.h"

#define RECORD_HEAD     13
#define RECORD_MAX      (16384 + 2048)
#define FRAGMENT_HEAD   12
#define HELLO_MIN       38
#define HELLO_VERIFY    3
#define ASSEMBLIES      2 /* messages of one side that are put together at one time */
#define DTLS_HANDSHAKE  22
#define DTLS_TYPE_FIRST 20
#define DTLS_TYPE_LAST  26 /* acknowledgements of 1.3 */

struct fragment {
	uint8_t type;
	uint16_t number;
	uint32_t n, offset;
	struct bytes part;
};

struct assembly {
	uint8_t type; /* 0: unused */
	uint16_t number;
	uint32_t n;
	struct pieces pieces;
};

enum kind { KIND_CLIENT = 0, KIND_SERVER, KIND_CHAIN, KIND_COUNT };

struct dtls_state {
	struct assembly assembly[2][ASSEMBLIES];
	uint8_t next[2];              /* the assembly that gives way */
	bool encrypted[2];            /* an epoch beyond the first was seen */
	uint8_t last[KIND_COUNT][16]; /* digest of the last message of its kind */
	struct tls_facts facts;
};

/* ---- reading ---- */

static bool version_known(uint16_t v)
{
	return v == 0xfeff || v == 0xfefd || v == 0xfefc || v == 0x0100; /* the last: OpenSSL before RFC 4347 */
}

/* The next record of a datagram; a record that the capture cut is given as far as
 * it goes. False: no (further) record. */
static bool dtls_record(struct cursor *c, uint8_t *type, uint16_t *epoch, struct cursor *content)
{
	*type = cursor_u8(c);
	uint16_t version = cursor_u16(c);
	*epoch = cursor_u16(c);
	cursor_skip(c, 6);
	size_t n = cursor_u16(c);
	if (!cursor_ok(c) || *type < DTLS_TYPE_FIRST || *type > DTLS_TYPE_LAST || !version_known(version) ||
	    n > RECORD_MAX)
		return false;
	*content = cursor_sub(c, n < cursor_left(c) ? n : cursor_left(c));
	return true;
}

static bool fragment_read(struct cursor *c, struct fragment *f)
{
	f->type = cursor_u8(c);
	f->n = cursor_u24(c);
	f->number = cursor_u16(c);
	f->offset = cursor_u24(c);
	f->part = cursor_bytes(c, cursor_u24(c));
	return cursor_ok(c) && f->offset <= f->n && f->part.n <= f->n - f->offset;
}

static enum probe probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n), content;
	struct fragment f;
	uint8_t type;
	uint16_t epoch;
	(void)in;
	(void)side;
	if (n < RECORD_HEAD + FRAGMENT_HEAD || !dtls_record(&c, &type, &epoch, &content))
		return PROBE_NO;
	if (type != DTLS_HANDSHAKE || epoch || !fragment_read(&content, &f))
		return PROBE_NO;
	if (f.type == HELLO_VERIFY)
		return f.n >= 3 && f.n <= 3 + 255 ? PROBE_YES : PROBE_NO;
	if (f.type != TLS_CLIENT_HELLO && f.type != TLS_SERVER_HELLO && f.type != TLS_CERTIFICATE)
		return PROBE_NO;
	return f.n >= HELLO_MIN && f.n <= TLS_HANDSHAKE_MAX ? PROBE_YES : PROBE_NO;
}

/* ---- messages ---- */

/* The cookie is what may differ between a hello and its repetition. */
static struct bytes without_cookie(struct bytes body)
{
	struct client_hello h;
	if (!client_hello_read(body, true, &h))
		return body;
	return (struct bytes){h.ciphers.p, (size_t)(body.p + body.n - h.ciphers.p)};
}

static bool repeated(struct dtls_state *s, enum kind kind, struct bytes body)
{
	uint8_t digest[sizeof(s->last[0])];
	if (kind == KIND_CLIENT)
		body = without_cookie(body);
	hash_md5(digest, body.p, body.n);
	if (memcmp(digest, s->last[kind], sizeof(digest)) == 0)
		return true;
	memcpy(s->last[kind], digest, sizeof(digest));
	return false;
}

static bool kind_of(uint8_t type, enum kind *kind)
{
	*kind = type == TLS_CLIENT_HELLO ? KIND_CLIENT : type == TLS_SERVER_HELLO ? KIND_SERVER : KIND_CHAIN;
	return type == TLS_CLIENT_HELLO || type == TLS_SERVER_HELLO || type == TLS_CERTIFICATE;
}

static void message(struct inspect *in, uint8_t type, struct bytes body)
{
	struct dtls_state *s = in->state;
	enum kind kind;
	if (!kind_of(type, &kind) || !body.n || repeated(s, kind, body))
		return;
	bool ok = kind == KIND_CLIENT   ? tls_report_client(in, TLS_OVER_UDP, body, &s->facts)
		  : kind == KIND_SERVER ? tls_report_server(in, TLS_OVER_UDP, body, &s->facts)
					: x509_report_chain(in, body, &s->facts);
	if (!ok)
		ledger_count(in->ledger, LEDGER_PARSER_ERROR);
}

/* ---- putting together ---- */

static void assembly_end(struct inspect *in, struct assembly *a)
{
	pieces_free(in->mem, &a->pieces);
	a->type = 0;
}

static struct assembly *assembly_for(struct inspect *in, enum side side, const struct fragment *f)
{
	struct dtls_state *s = in->state;
	for (int i = 0; i < ASSEMBLIES; i++) {
		struct assembly *a = &s->assembly[side][i];
		if (a->type == f->type && a->number == f->number && a->n == f->n)
			return a;
	}
	struct assembly *a = &s->assembly[side][s->next[side]++ % ASSEMBLIES];
	if (a->type)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	assembly_end(in, a);
	a->type = f->type;
	a->number = f->number;
	a->n = f->n;
	return a;
}

static void fragment(struct inspect *in, enum side side, const struct fragment *f)
{
	enum kind kind;
	if (!kind_of(f->type, &kind))
		return;
	if (f->n > TLS_HANDSHAKE_MAX) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		return;
	}
	if (f->part.n == f->n) {
		message(in, f->type, f->part);
		return;
	}
	struct assembly *a = assembly_for(in, side, f);
	if (!pieces_add(in->mem, &a->pieces, f->offset, f->part, TLS_HANDSHAKE_MAX)) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		assembly_end(in, a);
		return;
	}
	if (pieces_ready(&a->pieces) < a->n)
		return;
	message(in, a->type, (struct bytes){a->pieces.p, a->n});
	assembly_end(in, a);
}

static enum verdict datagram(struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct dtls_state *s = in->state;
	struct cursor c = cursor_over(p, n), content;
	uint8_t type;
	uint16_t epoch;
	while (cursor_left(&c) && dtls_record(&c, &type, &epoch, &content)) {
		struct fragment f;
		s->encrypted[side] |= epoch != 0;
		if (type != DTLS_HANDSHAKE || epoch)
			continue;
		s->encrypted[side] = false; /* a handshake begins anew */
		while (cursor_left(&content) && fragment_read(&content, &f))
			fragment(in, side, &f);
	}
	return s->encrypted[0] && s->encrypted[1] ? INSPECT_DONE : INSPECT_MORE;
}

static void drop(struct inspect *in)
{
	struct dtls_state *s = in->state;
	for (int i = 0; i < ASSEMBLIES; i++) {
		assembly_end(in, &s->assembly[TO_SERVER][i]);
		assembly_end(in, &s->assembly[TO_CLIENT][i]);
	}
}

static void describe(const struct inspect *in, struct alert_app *app)
{
	const struct dtls_state *s = in->state;
	tls_describe(&s->facts, app);
}

const struct parser parser_dtls = {.name = "dtls",
				   .over = OVER_UDP,
				   .state_size = sizeof(struct dtls_state),
				   .probe = probe,
				   .datagram = datagram,
				   .describe = describe,
				   .drop = drop};
