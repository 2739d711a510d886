/* LDAP (RFC 4511): who logs in, and where TLS begins. BER:
 *
 *   30 { 02 message id, operation, … }
 *   60 bind request      { 02 version, 04 name, 80 password | a3 { 04 mechanism, 04 token } }
 *   77 extended request  { 80 what, 81 value }       61, 78 their answers { 0a result, … }
 *
 * NTLM users are looked for in tokens (GSS-SPNEGO, GSSAPI, Microsoft's sicily
 * 89, 8a, 8b). Other operations are stepped over. A login with a security layer
 * goes on in sealed records: what then begins with another byte ends inspection. */
#include <string.h>

#include "sensor/ber.h"
#include "sensor/framed.h"
#include "sensor/ntlm.h"
#include "sensor/parsers.h"

#define MESSAGE_MAX    65536 /* bytes of a bind or extended operation; longer ones are stepped over */
#define NAME_MAX_BYTES 1024

enum { BIND_REQUEST = 0x60, BIND_RESPONSE, SEARCH_REQUEST = 0x63, EXTENDED_REQUEST = 0x77, EXTENDED_RESPONSE = 0x78 };
enum { AUTH_SIMPLE = BER_CONTEXT, OID = BER_CONTEXT, VERSION_MAX = 3, RESULT_OK = 0 };

static const char starttls_oid[] = "1.3.6.1.4.1.1466.20037"; /* RFC 4511 4.14.1 */

struct ldap {
	struct framed half[2];
	bool bound;    /* a bind was seen: a security layer may follow */
	bool starttls; /* asked for */
	uint32_t starttls_id;
};

/* Message id and operation of a message whose beginning is there. */
static bool read_head(struct cursor *c, uint32_t *id, uint8_t *operation)
{
	if (cursor_u8(c) != BER_SEQUENCE)
		return false;
	ber_length(c);
	*id = ber_number(c, BER_INTEGER);
	*operation = cursor_u8(c);
	return cursor_ok(c);
}

enum { LOOK = BER_HEADER_MAX + 6 + 1 }; /* 30 len, 02 len id, operation */

/* The first message: a bind, a StartTLS or a search of the root; from a server,
 * an answer to the first two. Its parts must fit into each other. */
static enum probe ldap_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n);
	uint32_t id = 0;
	uint8_t operation = 0;
	(void)in;
	(void)side;
	if (p[0] != BER_SEQUENCE)
		return PROBE_NO;
	if (!read_head(&c, &id, &operation))
		return n < LOOK ? PROBE_MORE : PROBE_NO;
	size_t inner = ber_length(&c) + (n - cursor_left(&c)), whole = ber_whole(p, n);
	if (!cursor_ok(&c) || cursor_left(&c) < 3)
		return n < LOOK + BER_HEADER_MAX + 3 ? PROBE_MORE : PROBE_NO;
	if (inner > whole || !id)
		return PROBE_NO;
	switch (operation) {
	case BIND_REQUEST:
		return c.p[0] == BER_INTEGER && c.p[1] == 1 && c.p[2] && c.p[2] <= VERSION_MAX ? PROBE_YES : PROBE_NO;
	case SEARCH_REQUEST:
		return c.p[0] == BER_OCTETS ? PROBE_YES : PROBE_NO;
	case EXTENDED_REQUEST:
		return c.p[0] == OID && c.p[1] && c.p[2] == '1' ? PROBE_YES : PROBE_NO;
	case BIND_RESPONSE:
	case EXTENDED_RESPONSE:
		return c.p[0] == BER_ENUMERATED && c.p[1] == 1 ? PROBE_YES : PROBE_NO;
	default:
		return PROBE_NO;
	}
}

static void bind_request(struct inspect *in, struct cursor c)
{
	struct ldap *l = in->state;
	l->bound = true;
	ber_number(&c, BER_INTEGER);
	struct bytes name = ber_bytes(&c, BER_OCTETS);
	uint8_t tag;
	struct cursor auth = ber_next(&c, &tag);
	if (!cursor_ok(&c))
		return;
	if (name.n > NAME_MAX_BYTES)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	else if (name.n && tag == AUTH_SIMPLE)
		observe(in, WHERE_LOGIN_USER, name.p, name.n);
	if (tag != AUTH_SIMPLE)
		ntlm_user(in, auth.p, cursor_left(&auth));
}

static void extended_request(struct ldap *l, struct cursor c, uint32_t id)
{
	struct bytes oid = ber_bytes(&c, OID);
	bool starttls = oid.n == sizeof(starttls_oid) - 1 && memcmp(oid.p, starttls_oid, oid.n) == 0;
	if (!cursor_ok(&c) || !starttls)
		return;
	l->starttls = true;
	l->starttls_id = id;
}

static enum verdict extended_response(struct ldap *l, struct cursor c, uint32_t id)
{
	uint32_t result = ber_number(&c, BER_ENUMERATED);
	if (!l->starttls || id != l->starttls_id || !cursor_ok(&c))
		return INSPECT_MORE;
	l->starttls = false;
	return result == RESULT_OK ? INSPECT_AGAIN : INSPECT_MORE;
}

static bool read_whole(uint8_t operation)
{
	return operation == BIND_REQUEST || operation == EXTENDED_REQUEST || operation == EXTENDED_RESPONSE;
}

static size_t head(const struct inspect *in, const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n);
	uint32_t id;
	uint8_t operation;
	(void)in;
	if (n && p[0] != BER_SEQUENCE)
		return 0;
	if (n < 2)
		return 2;
	size_t whole = ber_whole(p, n);
	if (!whole)
		return n < BER_HEADER_MAX ? n + 1 : 0;
	size_t look = whole < LOOK ? whole : LOOK;
	if (n < look)
		return look;
	return whole <= MESSAGE_MAX && read_head(&c, &id, &operation) && read_whole(operation) ? whole : look;
}

static enum verdict message(struct inspect *in, enum side side, struct framed *f, const uint8_t *p, size_t n)
{
	struct ldap *l = in->state;
	struct cursor c = cursor_over(p, n);
	uint32_t id = 0;
	(void)side; /* an operation says whose it is */
	uint8_t operation = 0;
	f->skip = ber_whole(p, n) - n;
	if (!read_head(&c, &id, &operation) || !read_whole(operation))
		return INSPECT_MORE;
	if (f->skip) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		return INSPECT_MORE;
	}
	struct cursor body = cursor_sub(&c, ber_length(&c));
	if (operation == BIND_REQUEST)
		bind_request(in, body);
	else if (operation == EXTENDED_REQUEST)
		extended_request(l, body, id);
	else if (operation == EXTENDED_RESPONSE)
		return extended_response(l, body, id);
	return INSPECT_MORE;
}

static const struct framing framing = {.max = MESSAGE_MAX, .head = head, .message = message};

static enum verdict ldap_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct ldap *l = in->state;
	enum verdict v = framed_stream(in, side, &l->half[side], &framing, p, n, used);
	return v == INSPECT_ERROR && l->bound ? INSPECT_DONE : v;
}

static enum verdict ldap_gap(struct inspect *in, enum side side, size_t lost)
{
	struct ldap *l = in->state;
	return framed_gap(in, &l->half[side], lost);
}

static void ldap_drop(struct inspect *in)
{
	struct ldap *l = in->state;
	framed_drop(in, &l->half[0]);
	framed_drop(in, &l->half[1]);
}

const struct parser parser_ldap = {
    .name = "ldap",
    .over = OVER_TCP,
    .state_size = sizeof(struct ldap),
    .probe = ldap_probe,
    .stream = ldap_stream,
    .gap = ldap_gap,
    .drop = ldap_drop,
};
