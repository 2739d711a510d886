/* TLS over TCP (SSL 3.0 to TLS 1.3), on any port: records in pieces of any size,
 * handshake messages over records and several in one, both directions, whichever
 * is seen first.
 *
 *   record:    0 u8 type, 1 u16 version, 3 u16 n, 5 n bytes           RFC 8446 §5.1
 *   handshake: 0 u8 type, 1 u24 n, 4 n bytes                          RFC 8446 §4
 *   SSLv2 hello: 0 u16 n | 0x8000, 2 u8 1, 3 u16 version, 5 u16 ciphers, 7 u16 session
 *                id, 9 u16 challenge, then the three                  RFC 5246 §E.2
 *
 * Only ClientHello, ServerHello and Certificate are kept; everything else is
 * stepped over without a copy. A ChangeCipherSpec does not end a side at once:
 * TLS 1.3 sends one for middleboxes before a second hello (RFC 8446 §D.4), so
 * behind it only a record that is exactly one hello is believed, and the first
 * other one ends the side. When both sides have ended nothing is left to see. */
#include <string.h>

#include "sensor/parsers.h"
#include "sensor/tls_hello.h"
#include "sensor/x509.h"

#define RECORD_HEAD  5
#define RECORD_MAX   (16384 + 2048) /* RFC 5246 §6.2.3 */
#define MESSAGE_HEAD 4
#define HELLO_MIN    38 /* version, random, empty session id, … */

enum record_type { TLS_SSL2 = 0, TLS_CCS = 20, TLS_ALERT, TLS_HANDSHAKE, TLS_DATA, TLS_HEARTBEAT };

struct half {
	uint8_t head[RECORD_HEAD], head_n;
	uint8_t type;            /* of the record in hand */
	uint16_t record_n, left; /* its length, and what is still to come of it */
	uint8_t message_head[MESSAGE_HEAD], message_head_n;
	uint32_t message_left;
	bool keep;     /* the message is one that is read */
	bool begun;    /* the first record was met: no SSLv2 hello any more */
	bool sealed;   /* ChangeCipherSpec was sent */
	bool finished; /* the rest is encrypted */
	bool lost;     /* after a gap: where the next record begins is not known */
	bool adrift;   /* after a gap: nor where the next message does */
	struct carry message;
};

struct tls_state {
	struct half half[2];
	bool saw_server;
	struct tls_facts facts;
};

/* ---- probing ---- */

static bool message_known(uint8_t type)
{
	return type <= 6 || type == 8 || (type >= 11 && type <= 16) || (type >= 20 && type <= 24) || type == 67 ||
	       type == 254;
}

/* The beginning of a handshake message inside a record of `record` bytes. */
static enum probe probe_message(struct cursor c, size_t record)
{
	uint8_t type = cursor_u8(&c);
	if (!cursor_ok(&c))
		return PROBE_MORE;
	if (type != TLS_CLIENT_HELLO && type != TLS_SERVER_HELLO && type != TLS_CERTIFICATE)
		return PROBE_NO;
	if (record < MESSAGE_HEAD + 3)
		return PROBE_YES; /* split as small as to hide the length: nobody else begins like this */
	size_t n = cursor_u24(&c);
	if (type == TLS_CERTIFICATE) {
		size_t list = cursor_u24(&c);
		return !cursor_ok(&c) ? PROBE_MORE : list + 3 == n ? PROBE_YES : PROBE_NO;
	}
	uint8_t major = cursor_u8(&c);
	if (!cursor_ok(&c))
		return PROBE_MORE;
	bool version = major == 3 || (major == 0x7f && type == TLS_SERVER_HELLO);
	return version && n >= HELLO_MIN && n <= TLS_HANDSHAKE_MAX ? PROBE_YES : PROBE_NO;
}

static enum probe probe_record(struct cursor c)
{
	uint8_t type = cursor_u8(&c), major = cursor_u8(&c), minor = cursor_u8(&c);
	size_t n = cursor_left(&c);
	uint16_t record = cursor_u16(&c);
	if (type != TLS_HANDSHAKE || (major && major != 3) || minor > 4)
		return PROBE_NO;
	if (!cursor_ok(&c))
		return PROBE_MORE;
	if (major != 3 || !record || record > RECORD_MAX)
		return PROBE_NO;
	return n ? probe_message(c, record) : PROBE_MORE;
}

static enum probe probe_ssl2(struct cursor c)
{
	uint16_t n = cursor_u16(&c) & 0x7fff;
	uint8_t type = cursor_u8(&c);
	if (!cursor_ok(&c))
		return PROBE_MORE;
	uint16_t version = cursor_u16(&c);
	size_t ciphers = cursor_u16(&c), session = cursor_u16(&c), challenge = cursor_u16(&c);
	if (type != 1)
		return PROBE_NO;
	if (!cursor_ok(&c))
		return PROBE_MORE;
	bool sizes = ciphers && ciphers % 3 == 0 && (session == 0 || session == 16) && challenge >= 16 &&
		     challenge <= 32;
	bool known = version == 0x0002 || (version >= 0x0300 && version <= 0x0304);
	return sizes && known && 9 + ciphers + session + challenge == n ? PROBE_YES : PROBE_NO;
}

static enum probe probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n), first = c;
	(void)in;
	(void)side;
	return cursor_u8(&first) & 0x80 ? probe_ssl2(c) : probe_record(c);
}

/* ---- handshake messages ---- */

static bool message_read(uint8_t type)
{
	return type == TLS_CLIENT_HELLO || type == TLS_SERVER_HELLO || type == TLS_CERTIFICATE;
}

static void message(struct inspect *in, struct half *h, struct bytes body)
{
	struct tls_state *s = in->state;
	bool ok = false;
	if (h->message_head[0] == TLS_CLIENT_HELLO) {
		ok = tls_report_client(in, TLS_OVER_TCP, body, &s->facts);
	} else if (h->message_head[0] == TLS_SERVER_HELLO) {
		ok = tls_report_server(in, TLS_OVER_TCP, body, &s->facts);
		s->saw_server |= ok;
	} else {
		ok = x509_report_chain(in, body, &s->facts);
	}
	if (!ok)
		ledger_count(in->ledger, LEDGER_PARSER_ERROR);
}

static void message_end(struct inspect *in, struct half *h)
{
	h->message_head_n = 0;
	h->keep = false;
	carry_free(in->mem, &h->message);
}

static void finish(struct inspect *in, struct half *h)
{
	message_end(in, h);
	h->finished = true;
}

/* The header of a message is complete. Behind a ChangeCipherSpec, or where the
 * header makes no sense, the side is encrypted. */
static void message_begin(struct inspect *in, struct half *h)
{
	struct cursor c = cursor_over(h->message_head, MESSAGE_HEAD);
	uint8_t type = cursor_u8(&c);
	uint32_t n = cursor_u24(&c);
	bool hello = type == TLS_CLIENT_HELLO || type == TLS_SERVER_HELLO;
	bool alone = (size_t)h->record_n == MESSAGE_HEAD + (size_t)n;
	if (h->adrift && !(message_known(type) && (alone || type == TLS_CERTIFICATE))) {
		h->message_head_n = 0;
		h->type = TLS_SSL2; /* the rest of this record is passed over */
		return;
	}
	h->adrift = false;
	if ((h->sealed && !(hello && alone)) || !message_known(type)) {
		finish(in, h);
		return;
	}
	h->message_left = n;
	h->keep = message_read(type) && n <= TLS_HANDSHAKE_MAX;
	if (message_read(type) && !h->keep)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
}

static void message_bytes(struct inspect *in, struct half *h, struct bytes piece)
{
	bool last = piece.n == h->message_left;
	h->message_left -= (uint32_t)piece.n;
	if (h->keep && last && !h->message.n) {
		message(in, h, piece);
	} else if (h->keep) {
		if (!carry_push(in->mem, &h->message, piece.p, piece.n, TLS_HANDSHAKE_MAX)) {
			ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
			h->keep = false;
		} else if (last) {
			message(in, h, (struct bytes){h->message.p, h->message.n});
		}
	}
	if (last)
		message_end(in, h);
}

static void handshake(struct inspect *in, struct half *h, struct cursor c)
{
	while (cursor_left(&c) && !h->finished && h->type == TLS_HANDSHAKE) {
		if (h->message_head_n < MESSAGE_HEAD) {
			h->message_head[h->message_head_n++] = cursor_u8(&c);
			if (h->message_head_n < MESSAGE_HEAD)
				continue;
			message_begin(in, h);
			if (h->message_head_n < MESSAGE_HEAD || h->message_left)
				continue;
			message_bytes(in, h, (struct bytes){0});
			continue;
		}
		size_t n = h->message_left < cursor_left(&c) ? h->message_left : cursor_left(&c);
		message_bytes(in, h, cursor_bytes(&c, n));
	}
}

/* ---- records ---- */

/* Application data ends a side, but for what a client sends before the server
 * has answered (0-RTT): a second hello may follow that. */
static void record_content(struct inspect *in, struct half *h, struct bytes piece)
{
	const struct tls_state *s = in->state;
	if (h->type == TLS_HANDSHAKE)
		handshake(in, h, cursor_over(piece.p, piece.n));
	else if (h->type == TLS_CCS)
		h->sealed = true;
	else if (h->type == TLS_DATA && (s->saw_server || h->sealed))
		finish(in, h);
}

/* A header is complete. False: no record. */
static bool record_begin(struct half *h)
{
	struct cursor c = cursor_over(h->head, RECORD_HEAD);
	bool first = !h->begun;
	h->head_n = 0;
	h->begun = true;
	if (first && (h->head[0] & 0x80) && h->head[2] == 1) {
		h->type = TLS_SSL2;
		h->record_n = h->left = (uint16_t)((cursor_u16(&c) & 0x7fff) - 3);
		return h->left <= RECORD_MAX;
	}
	h->type = cursor_u8(&c);
	uint16_t version = cursor_u16(&c);
	h->record_n = h->left = cursor_u16(&c);
	bool version_ok = version >> 8 == 3 || version >> 8 == 0x7f;
	return h->type >= TLS_CCS && h->type <= TLS_HEARTBEAT && version_ok && h->left <= RECORD_MAX;
}

/* Behind a gap: goes to the next place that looks like a record. */
static void resume(struct half *h, struct cursor *c)
{
	struct cursor head = *c;
	uint8_t type = cursor_u8(&head);
	uint16_t version = cursor_u16(&head), n = cursor_u16(&head);
	bool here = cursor_ok(&head) && type >= TLS_CCS && type <= TLS_HEARTBEAT && version >= 0x0300 &&
		    version <= 0x0304 && n && n <= RECORD_MAX;
	while (!here && cursor_left(c)) {
		here = probe_record(*c) == PROBE_YES;
		if (!here)
			cursor_skip(c, 1);
	}
	h->lost = !here;
}

static enum verdict stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct tls_state *s = in->state;
	struct half *h = &s->half[side];
	struct cursor c = cursor_over(p, n);
	(void)used;
	if (h->lost)
		resume(h, &c);
	while (cursor_left(&c) && !h->finished) {
		if (!h->left) {
			h->head[h->head_n++] = cursor_u8(&c);
			if (h->head_n == RECORD_HEAD && !record_begin(h))
				return INSPECT_ERROR;
			continue;
		}
		size_t piece = h->left < cursor_left(&c) ? h->left : cursor_left(&c);
		h->left = (uint16_t)(h->left - piece);
		record_content(in, h, cursor_bytes(&c, piece));
	}
	if (!h->finished)
		return INSPECT_MORE;
	return s->half[TO_SERVER].finished && s->half[TO_CLIENT].finished ? INSPECT_DONE : INSPECT_SIDE_DONE;
}

/* A gap that ends inside the record in hand costs its message; a longer one
 * costs the place of the next record too. */
static enum verdict gap(struct inspect *in, enum side side, size_t lost)
{
	struct tls_state *s = in->state;
	struct half *h = &s->half[side];
	message_end(in, h);
	h->adrift = true;
	if (lost <= h->left) {
		h->left = (uint16_t)(h->left - lost);
		if (h->type == TLS_HANDSHAKE)
			h->type = TLS_SSL2; /* the rest of this record is passed over */
		return INSPECT_MORE;
	}
	h->left = h->head_n = 0;
	h->begun = true;
	h->lost = true;
	return INSPECT_MORE;
}

static void drop(struct inspect *in)
{
	struct tls_state *s = in->state;
	carry_free(in->mem, &s->half[TO_SERVER].message);
	carry_free(in->mem, &s->half[TO_CLIENT].message);
}

static void describe(const struct inspect *in, struct alert_app *app)
{
	const struct tls_state *s = in->state;
	tls_describe(&s->facts, app);
}

const struct parser parser_tls = {.name = "tls",
				  .over = OVER_TCP,
				  .state_size = sizeof(struct tls_state),
				  .probe = probe,
				  .late = LATE_ANY,
				  .stream = stream,
				  .gap = gap,
				  .describe = describe,
				  .drop = drop};
