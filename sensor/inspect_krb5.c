/* Kerberos 5 (RFC 4120) over UDP (one message a datagram) and TCP (7.2.2: u32
 * length, the message): who logs in. BER:
 *
 *   [APPLICATION 10 AS-REQ, 12 TGS-REQ] { [1] 5, [2] type, [3] padata, [4] body {
 *       [0] options, [1] client, [2] realm, [3] service, … } }
 *   [APPLICATION 11 AS-REP, 13 TGS-REP] { [0] 5, [1] type, [2] padata,
 *       [3] client realm, [4] client, [5] ticket, … }
 *   [APPLICATION 30 KRB-ERROR] { [0] 5, [1] 30, … [6] code, [7] client realm,
 *       [8] client, [9] realm, [10] service, … }
 *
 * A name is { [0] kind, [1] { text, … } }; its parts are joined by '/'. Service
 * names are shown, but no indicator is tried against them: every client asks for
 * the same few (krbtgt, cifs, ldap, host). */
#include <string.h>

#include "sensor/ber.h"
#include "sensor/framed.h"
#include "sensor/parsers.h"

#define MESSAGE_MAX 65536 /* bytes over TCP; longer ones are stepped over */
#define NAME_BYTES  512   /* of a name, joined */
#define NAME_PARTS  16

enum { AS_REQ = 10, AS_REP, TGS_REQ, TGS_REP, KRB_ERROR = 30 };
enum { APPLICATION = 0x60, CONTEXT = BER_CONTEXT | BER_CONSTRUCTED, VERSION = 5 };

/* tag, length, 30, length, a0 or a1, 03 02 01 05 */
enum { LOOK = 2 * BER_HEADER_MAX + 5 };

struct name {
	char text[NAME_BYTES];
	size_t n;
};

struct krb5 {
	struct framed half[2]; /* TCP */
	uint8_t type;
	struct bytes realm; /* of the message in hand */
	struct name service;
};

static bool type_known(uint8_t type)
{
	return (type >= AS_REQ && type <= TGS_REP) || type == KRB_ERROR;
}

static bool request(uint8_t type)
{
	return type == AS_REQ || type == TGS_REQ;
}

/* Whether the beginning of a message of this length is Kerberos'. */
static enum probe begins(const uint8_t *p, size_t n, size_t length)
{
	struct cursor c = cursor_over(p, n);
	uint8_t tag = cursor_u8(&c), type = tag & 0x1f;
	if ((tag & 0xe0) != APPLICATION || !type_known(type))
		return PROBE_NO;
	bool whole = ber_length(&c) + (n - cursor_left(&c)) == length;
	bool sequence = cursor_u8(&c) == BER_SEQUENCE;
	size_t inner = ber_length(&c) + (n - cursor_left(&c));
	struct cursor first = ber_enter(&c, (uint8_t)(CONTEXT | (request(type) ? 1 : 0)));
	uint32_t version = ber_number(&first, BER_INTEGER);
	if (!cursor_ok(&c))
		return n < LOOK && n < length ? PROBE_MORE : PROBE_NO;
	return whole && sequence && inner == length && cursor_ok(&first) && version == VERSION ? PROBE_YES : PROBE_NO;
}

static enum probe krb5_udp_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)in;
	(void)side;
	return begins(p, n, n) == PROBE_YES ? PROBE_YES : PROBE_NO;
}

static enum probe krb5_tcp_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n);
	size_t length = cursor_u32(&c);
	(void)in;
	(void)side;
	if (p[0] != 0)
		return PROBE_NO;
	if (!cursor_ok(&c) || !cursor_left(&c))
		return PROBE_MORE;
	return begins(c.p, cursor_left(&c), length);
}

/* ---- messages ---- */

static bool add(struct name *name, struct bytes part)
{
	size_t slash = name->n ? 1 : 0;
	if (part.n + slash > sizeof(name->text) - name->n)
		return false;
	if (slash)
		name->text[name->n++] = '/';
	if (part.n)
		memcpy(name->text + name->n, part.p, part.n);
	name->n += part.n;
	return true;
}

/* c is the content of a field that holds a PrincipalName. */
static bool read_name(struct inspect *in, struct cursor c, struct name *name)
{
	struct cursor fields = ber_enter(&c, BER_SEQUENCE);
	struct cursor parts = ber_find(&fields, CONTEXT | 1);
	struct cursor list = ber_enter(&parts, BER_SEQUENCE);
	name->n = 0;
	for (int i = 0; cursor_ok(&list) && cursor_left(&list); i++) {
		uint8_t tag;
		struct cursor text = ber_next(&list, &tag);
		struct bytes part = cursor_bytes(&text, cursor_left(&text));
		if (i == NAME_PARTS || !add(name, part)) {
			ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
			return false;
		}
	}
	return cursor_ok(&list) && name->n;
}

static struct bytes read_text(struct cursor c)
{
	uint8_t tag;
	struct cursor text = ber_next(&c, &tag);
	return cursor_bytes(&text, cursor_left(&text));
}

/* Which fields hold what; 0xff: none does. */
struct layout {
	uint8_t realm, client, service;
};

static struct layout layout_of(uint8_t type)
{
	if (request(type))
		return (struct layout){.realm = 2, .client = 1, .service = 3};
	if (type == KRB_ERROR)
		return (struct layout){.realm = 7, .client = 8, .service = 10};
	return (struct layout){.realm = 3, .client = 4, .service = 0xff};
}

static void read_fields(struct inspect *in, struct cursor c)
{
	struct krb5 *k = in->state;
	struct layout l = layout_of(k->type);
	struct name client = {.n = 0};
	while (cursor_ok(&c) && cursor_left(&c)) {
		uint8_t tag;
		struct cursor field = ber_next(&c, &tag);
		uint8_t number = tag & 0x1f;
		if (!cursor_ok(&c) || (tag & 0xe0) != CONTEXT)
			break;
		if (number == l.realm)
			k->realm = read_text(field);
		else if (number == l.client && !read_name(in, field, &client))
			client.n = 0;
		else if (number == l.service && !read_name(in, field, &k->service))
			k->service.n = 0;
	}
	if (client.n)
		observe(in, WHERE_KRB5_USER, client.text, client.n);
}

static void read_message(struct inspect *in, const uint8_t *p, size_t n)
{
	struct krb5 *k = in->state;
	struct cursor c = cursor_over(p, n);
	uint8_t tag;
	struct cursor message = ber_next(&c, &tag);
	struct cursor fields = ber_enter(&message, BER_SEQUENCE);
	k->type = tag & 0x1f;
	k->realm = (struct bytes){0};
	k->service.n = 0;
	if (!cursor_ok(&fields) || (tag & 0xe0) != APPLICATION || !type_known(k->type))
		return;
	if (request(k->type)) {
		struct cursor body = ber_find(&fields, CONTEXT | 4);
		fields = ber_enter(&body, BER_SEQUENCE);
	}
	read_fields(in, fields);
	k->realm = (struct bytes){0};
}

static enum verdict krb5_datagram(struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)side;
	read_message(in, p, n);
	return INSPECT_MORE;
}

/* The length's highest bit is reserved (7.2.2): no message has it. */
static size_t head(const struct inspect *in, const uint8_t *p, size_t n)
{
	(void)in;
	struct cursor c = cursor_over(p, n);
	size_t length = cursor_u32(&c);
	if (!cursor_ok(&c))
		return 4;
	if (length >> 31)
		return 0;
	return length > MESSAGE_MAX ? 4 : 4 + length;
}

static enum verdict message(struct inspect *in, enum side side, struct framed *f, const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n);
	size_t length = cursor_u32(&c);
	(void)side;
	if (length > MESSAGE_MAX) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		f->skip = length;
		return INSPECT_MORE;
	}
	read_message(in, c.p, cursor_left(&c));
	return INSPECT_MORE;
}

static const struct framing framing = {.max = MESSAGE_MAX + 4, .head = head, .message = message};

static enum verdict krb5_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct krb5 *k = in->state;
	return framed_stream(in, side, &k->half[side], &framing, p, n, used);
}

static enum verdict krb5_gap(struct inspect *in, enum side side, size_t lost)
{
	struct krb5 *k = in->state;
	return framed_gap(in, &k->half[side], lost);
}

static void krb5_describe(const struct inspect *in, struct alert_app *app)
{
	static const char *const names[] = {
	    [AS_REQ] = "KRB_AS_REQ",   [AS_REP] = "KRB_AS_REP",   [TGS_REQ] = "KRB_TGS_REQ",
	    [TGS_REP] = "KRB_TGS_REP", [KRB_ERROR] = "KRB_ERROR",
	};
	const struct krb5 *k = in->state;
	const char *name = type_known(k->type) ? names[k->type] : "";
	alert_app_text(app, "msg_type", name, strlen(name));
	alert_app_text(app, "realm", k->realm.p, k->realm.n);
	alert_app_text(app, "sname", k->service.text, k->service.n);
}

static void krb5_drop(struct inspect *in)
{
	struct krb5 *k = in->state;
	framed_drop(in, &k->half[0]);
	framed_drop(in, &k->half[1]);
}

const struct parser parser_krb5_tcp = {
    .name = "krb5",
    .over = OVER_TCP,
    .state_size = sizeof(struct krb5),
    .probe = krb5_tcp_probe,
    .stream = krb5_stream,
    .gap = krb5_gap,
    .describe = krb5_describe,
    .drop = krb5_drop,
};

const struct parser parser_krb5_udp = {
    .name = "krb5",
    .over = OVER_UDP,
    .state_size = sizeof(struct krb5),
    .probe = krb5_udp_probe,
    .datagram = krb5_datagram,
    .describe = krb5_describe,
    .drop = krb5_drop,
};
