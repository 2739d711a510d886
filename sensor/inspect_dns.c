/* DNS over UDP and TCP, multicast DNS and LLMNR: one message format (RFC 1035 §4,
 * RFC 6762, RFC 4795), every question and every record of every section.
 *
 *   0  u16 id              2  u16 flags: QR(1) opcode(4) AA TC RD RA Z AD CD rcode(4)
 *   4  u16 questions       6  u16 answers    8  u16 authorities   10  u16 additionals
 *  12  question: name, u16 type, u16 class
 *      record:   name, u16 type, u16 class, u32 ttl, u16 n, n bytes
 *  name: labels (u8 length 1..63, bytes), ended by 0 or by a pointer (11 + 14 bits offset)
 *  Over TCP each message follows its u16 length. Dynamic updates (RFC 2136) use the
 *  same sections for zone, prerequisites and changes, notifications (RFC 1996) as answers
 *  do. An operation that is not known is counted, and read when its questions parse.
 *
 * Decisions: names are reported as they stand on the wire, without the last dot;
 * '.', '\' and NUL inside a label are escaped ('.' as \046, so that what splits
 * names at dots cannot be deceived): a label cannot fake a boundary. What was read before the first broken byte counts.
 * Mailboxes (SOA rname, RP) are no names of hosts and are not reported, nor are signers (RRSIG) and NSEC's neighbours:
 * they say who signed, not what was looked up. UDP needs no memory: the transaction lives on the stack of datagram().
 *
 * NetBIOS names (port 137) have the same format and other names: not DNS. */
#include <stdio.h>
#include <string.h>

#include "common/scratch.h"
#include "common/swar.h"
#include "sensor/dns_format.h"
#include "sensor/dns_message.h"
#include "sensor/parsers.h"

#define NAME_TEXT_MAX  1024 /* every octet escaped as \DDD */
#define NAME_JUMPS_MAX 128  /* compression pointers in one name */
/* Octets and pointers decoded for one message; an honest 64 KiB zone transfer has fewer. */
#define NAME_WORK_MAX 262144
#define QUESTION_MIN  5
#define RECORD_MIN    11
#define MESSAGE_MAX   65535

#define FLAG_RESPONSE  0x8000
#define FLAG_TRUNCATED 0x0200
#define FLAG_Z         0x0040
#define OPCODE(flags)  ((flags) >> 11 & 15)
#define RCODE(flags)   ((flags)&15)
#define OPCODE_QUERY   0
#define OPCODE_NOTIFY  4
#define OPCODE_UPDATE  5
#define OPCODE_LAST    6 /* DNS stateful operations */

static const struct {
	uint16_t type;
	const char *name;
} type_names[] = {
    {RR_A, "A"},         {RR_NS, "NS"},     {RR_CNAME, "CNAME"}, {RR_SOA, "SOA"}, {RR_PTR, "PTR"},
    {RR_MX, "MX"},       {RR_TXT, "TXT"},   {RR_AAAA, "AAAA"},   {RR_SRV, "SRV"}, {RR_NAPTR, "NAPTR"},
    {RR_DNAME, "DNAME"}, {RR_SVCB, "SVCB"}, {RR_HTTPS, "HTTPS"}, {RR_ANY, "ANY"},
};

static const char *const rcode_names[16] = {"NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",  "REFUSED",
					    "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE", "DSOTYPENI"};

/* The places of what is reported, for each of the three protocols. */
struct places {
	enum where query, name, data, addr;
};
static const struct places dns_places = {WHERE_DNS_QUERY, WHERE_DNS_ANSWER_NAME, WHERE_DNS_ANSWER_DATA,
					 WHERE_DNS_ANSWER_ADDR};
static const struct places mdns_places = {WHERE_MDNS_QUERY, WHERE_MDNS_ANSWER_NAME, WHERE_MDNS_ANSWER_DATA,
					  WHERE_MDNS_ANSWER_ADDR};
static const struct places llmnr_places = {WHERE_LLMNR_QUERY, WHERE_LLMNR_ANSWER_NAME, WHERE_LLMNR_ANSWER_DATA,
					   WHERE_LLMNR_ANSWER_ADDR};

struct name {
	size_t n;
	char text[NAME_TEXT_MAX];
};

struct header {
	uint16_t id, flags;
	uint16_t count[4]; /* questions, answers, authorities, additionals */
};

/* One message while it is walked, and what describe() tells of it. in is NULL
 * when the message is only checked. */
struct transaction {
	struct inspect *in;
	const struct places *at;
	const uint8_t *base;
	size_t n;
	size_t work;
	struct header h;
	bool broken;          /* some rdata did not parse: the rest was still read */
	bool question_read;   /* there is a first question */
	bool question_missed; /* nothing that could hit the first question's name, wherever it stands */
	uint16_t question_type, question_class;
	struct name question; /* the first */
	struct name owner;
	size_t owner_offset; /* of the name in owner: neighbours share it through pointers */
	bool in_record;
	uint16_t type;
	uint32_t ttl;
	struct name data; /* the name in the rdata in hand */
	struct addr addr; /* or the address, when is_addr: its text is only made for an alert */
	bool is_addr;
	char addr_text[ADDR_TEXT_LEN];
};

/* TCP keeps it in memory, UDP on the stack. */
struct dns_state {
	struct carry carry[2];
	size_t skip[2]; /* rest of a message of which bytes were lost */
	bool lost[2];   /* after a gap the next message's beginning is not known */
	struct transaction *tx;
};

/* ---- names ---- */

static size_t offset_of(const struct transaction *t, const struct cursor *c)
{
	return (size_t)(c->p - t->base);
}

/* The bytes that cannot stand in a label as they are. */
static bool must_escape(uint8_t b)
{
	return b == '\0' || b == '.' || b == '\\';
}

static void append_escaped(struct name *out, struct bytes label)
{
	for (size_t i = 0; i < label.n; i++) {
		uint8_t b = label.p[i];
		const char *number = b == '\0' ? "\\000" : b == '.' ? "\\046" : NULL;
		if (number) {
			memcpy(out->text + out->n, number, 4);
			out->n += 4;
			continue;
		}
		if (b == '\\')
			out->text[out->n++] = '\\';
		out->text[out->n++] = (char)b;
	}
}

static void label_append(struct name *out, struct bytes label)
{
	unsigned odd = 0;
	if (out->n)
		out->text[out->n++] = '.';
	for (size_t i = 0; i < label.n; i++) {
		odd |= must_escape(label.p[i]);
		out->text[out->n + i] = (char)label.p[i];
	}
	if (odd)
		append_escaped(out, label);
	else
		out->n += label.n;
}

/* Follows a pointer: it must point before the run of labels that it ends. */
static bool name_jump(const struct transaction *t, struct cursor *at, uint8_t high, size_t *floor)
{
	size_t target = (size_t)(high & 0x3f) << 8 | cursor_u8(at);
	if (!cursor_ok(at) || target >= *floor)
		return false;
	*floor = target;
	*at = cursor_over(t->base, t->n);
	cursor_skip(at, target);
	return true;
}

/* A name of 8 bytes or more that needs neither pointers nor escapes, in one piece: the
 * lengths before its labels become dots. Gives its octets; 0: it is not that plain. */
static size_t name_plain(const struct cursor *c, struct name *out)
{
	const uint8_t *p = c->p;
	size_t left = cursor_left(c), n = 0;
	uint64_t odd = 0;
	while (n < left && n < DNS_NAME_OCTETS && p[n] && p[n] <= 63)
		n += p[n] + 1u;
	if (n >= left || n >= DNS_NAME_OCTETS || p[n] || n <= 8)
		return 0;
	size_t text_n = n - 1;
	for (size_t i = 0; i < text_n; i += 8) {
		size_t at = i + 8 <= text_n ? i : text_n - 8;
		uint64_t w = swar_load(p + 1 + at);
		odd |= swar_any(w, '.') | swar_any(w, '\\') | swar_zero(w);
		swar_store(out->text + at, w);
	}
	if (odd)
		return 0;
	for (size_t at = p[0] + 1u; at < n; at += p[at] + 1u)
		out->text[at - 1] = '.';
	out->n = text_n;
	return n + 1;
}

/* Reads a name at c into out (NULL: only steps over it) and gives the offset at
 * which its labels begin. */
static bool name_read(struct transaction *t, struct cursor *c, struct name *out, size_t *begins)
{
	struct cursor at = *c;
	size_t floor = offset_of(t, c), octets = 0;
	unsigned jumps = 0;
	*begins = floor;
	if (out && (octets = name_plain(c, out))) {
		t->work += octets;
		cursor_skip(c, octets);
		return true;
	}
	for (;;) {
		uint8_t len = cursor_u8(&at);
		if (len >= 0xc0) {
			bool first = !octets && !jumps;
			struct cursor behind = at;
			if (++jumps > NAME_JUMPS_MAX || !name_jump(t, &at, len, &floor))
				return false;
			if (jumps == 1) {
				*c = behind;
				cursor_skip(c, 1);
			}
			if (first)
				*begins = floor;
			if (!out)
				return true;
			continue;
		}
		struct bytes label = cursor_bytes(&at, len);
		octets += (size_t)len + 1;
		if (!cursor_ok(&at) || len > 63 || (out && octets > DNS_NAME_OCTETS))
			return false;
		if (!len)
			break;
		if (out)
			label_append(out, label);
	}
	t->work += octets + jumps;
	if (!jumps)
		*c = at;
	return true;
}

/* ---- records ---- */

/* False: no indicator could hit it. */
static bool report_name(struct transaction *t, enum where w, const struct name *name)
{
	return name->n && observe(t->in, w, name->text, name->n);
}

static void report_data_name(struct transaction *t, struct cursor *rdata)
{
	size_t begins;
	t->data.n = 0;
	t->is_addr = false;
	if (!name_read(t, rdata, &t->data, &begins))
		t->broken = true;
	else
		report_name(t, t->at->data, &t->data);
}

static void report_addr(struct transaction *t, struct addr a)
{
	t->addr = a;
	t->is_addr = true;
	observe(t->in, t->at->addr, &a, sizeof(a));
}

/* The whole of an address list in the rdata: one for A and AAAA, some for hints. */
static void report_addrs(struct transaction *t, struct cursor *rdata, bool v6)
{
	while (cursor_left(rdata)) {
		const uint8_t *p = cursor_take(rdata, v6 ? 16 : 4);
		if (!p) {
			t->broken = true;
			return;
		}
		report_addr(t, v6 ? addr_v6(p) : addr_v4(p));
	}
}

/* RFC 9460 §2.2: u16 priority, target name, then u16 key, u16 n, n bytes each. */
static void report_svcb(struct transaction *t, struct cursor *rdata)
{
	cursor_skip(rdata, 2);
	report_data_name(t, rdata);
	while (!t->broken && cursor_left(rdata)) {
		uint16_t key = cursor_u16(rdata);
		struct cursor value = cursor_sub(rdata, cursor_u16(rdata));
		if (!cursor_ok(rdata))
			t->broken = true;
		else if (key == 4 || key == 6)
			report_addrs(t, &value, key == 6);
	}
}

/* RFC 3403 §4.1: u16 order, u16 preference, three strings, replacement. */
static void report_naptr(struct transaction *t, struct cursor *rdata)
{
	cursor_skip(rdata, 4);
	for (int i = 0; i < 3; i++)
		cursor_skip(rdata, cursor_u8(rdata));
	report_data_name(t, rdata);
}

static void report_rdata(struct transaction *t, uint16_t class, struct cursor rdata)
{
	bool in = (class & (uint16_t)~DNS_CLASS_UNICAST) == DNS_CLASS_IN;
	if ((!in && !(class == DNS_CLASS_NONE && OPCODE(t->h.flags) == OPCODE_UPDATE)) || !cursor_left(&rdata))
		return;
	if (t->type == RR_A || t->type == RR_AAAA) {
		report_addrs(t, &rdata, t->type == RR_AAAA);
	} else if (t->type == RR_SVCB || t->type == RR_HTTPS) {
		report_svcb(t, &rdata);
	} else if (t->type == RR_NAPTR) {
		report_naptr(t, &rdata);
	} else {
		int at = dns_name_at(t->type);
		if (at < 0)
			return;
		cursor_skip(&rdata, (size_t)at);
		report_data_name(t, &rdata);
	}
}

/* Reads the name at c; one that cannot be read (too long, a wrong pointer) but
 * can be stepped over costs itself, not what follows. */
static bool name_or_none(struct transaction *t, struct cursor *c, struct name *out)
{
	struct cursor again = *c;
	size_t begins;
	out->n = 0;
	if (name_read(t, &again, out, &begins)) {
		*c = again;
		return true;
	}
	out->n = 0;
	t->broken = true;
	return name_read(t, c, NULL, &begins);
}

static void name_copy(struct name *to, const struct name *from)
{
	to->n = from->n;
	memcpy(to->text, from->text, from->n);
}

/* Neighbouring records mostly point at one owner: it is reported once. And that
 * is mostly the name of the question, which stands behind the header. */
static void read_owner(struct transaction *t, struct cursor c, size_t begins)
{
	if (!t->in || begins == t->owner_offset)
		return;
	t->owner_offset = begins;
	if (begins == DNS_HEADER_SIZE && t->question_read) {
		name_copy(&t->owner, &t->question);
		t->work += t->owner.n;
		if (t->question_missed && t->owner.n) {
			observe_again(t->in, t->at->name);
			return;
		}
	} else {
		name_or_none(t, &c, &t->owner);
	}
	report_name(t, t->at->name, &t->owner);
}

static bool walk_record(struct transaction *t, struct cursor *c)
{
	struct cursor ahead = *c;
	size_t begins;
	t->data.n = 0;
	t->is_addr = false;
	/* What describe() tells must stand before the owner is reported. */
	if (!name_read(t, &ahead, NULL, &begins))
		return false;
	t->type = cursor_u16(&ahead);
	uint16_t class = cursor_u16(&ahead);
	t->ttl = cursor_u32(&ahead);
	uint16_t rdata_n = cursor_u16(&ahead);
	struct cursor rdata = cursor_sub(&ahead, rdata_n);
	read_owner(t, *c, begins);
	if (t->in && cursor_ok(&ahead))
		report_rdata(t, class, rdata);
	*c = ahead;
	return cursor_ok(&ahead);
}

static bool walk_question(struct transaction *t, struct cursor *c, bool first)
{
	SCRATCH struct name other;
	struct name *name = first ? &t->question : &other;
	if (!name_or_none(t, c, name))
		return false;
	uint16_t type = cursor_u16(c), class = cursor_u16(c);
	if (first) {
		t->question_type = type;
		t->question_class = class;
	}
	bool maybe = t->in && report_name(t, t->at->query, name);
	if (first) {
		t->question_read = true;
		t->question_missed = !maybe;
	}
	return cursor_ok(c);
}

static struct header header_read(struct cursor *c)
{
	struct header h = {0};
	const uint8_t *p = cursor_take(c, DNS_HEADER_SIZE);
	if (!p)
		return h;
	h.id = (uint16_t)(p[0] << 8 | p[1]);
	h.flags = (uint16_t)(p[2] << 8 | p[3]);
	for (int i = 0; i < 4; i++)
		h.count[i] = (uint16_t)(p[4 + 2 * i] << 8 | p[5 + 2 * i]);
	return h;
}

/* Over the limit of work: what was read counts, the rest is left. */
static bool worked_enough(struct transaction *t)
{
	if (t->work <= NAME_WORK_MAX)
		return false;
	if (t->in)
		ledger_count(t->in->ledger, LEDGER_PARSER_LIMIT);
	return true;
}

/* Walks the whole message; *c ends behind it. False: it broke on the way. */
static bool walk(struct transaction *t, struct cursor *c)
{
	t->h = header_read(c);
	t->owner_offset = SIZE_MAX;
	if (!cursor_ok(c))
		return false;
	for (unsigned i = 0; i < t->h.count[0]; i++)
		if (worked_enough(t) || !walk_question(t, c, i == 0))
			return false;
	t->in_record = true;
	unsigned records = (unsigned)t->h.count[1] + t->h.count[2] + t->h.count[3];
	for (unsigned i = 0; i < records; i++)
		if (worked_enough(t) || !walk_record(t, c))
			return false;
	return !t->broken;
}

static const struct places *places_of(const struct inspect *in)
{
	if (in->parser == &parser_mdns)
		return &mdns_places;
	if (in->parser == &parser_llmnr || in->src_port == DNS_PORT_LLMNR || in->dest_port == DNS_PORT_LLMNR)
		return &llmnr_places;
	return &dns_places;
}

static bool opcode_known(uint16_t flags)
{
	return OPCODE(flags) <= OPCODE_LAST && OPCODE(flags) != 3;
}

/* Whether the questions parse, and there are some. Nothing is reported. */
static __attribute__((noinline)) bool questions_clean(const uint8_t *p, size_t n)
{
	SCRATCH struct transaction t;
	memset(&t, 0, offsetof(struct transaction, question));
	t.base = p;
	t.n = n;
	struct cursor c = cursor_over(p, n);
	struct header h = header_read(&c);
	for (unsigned i = 0; i < h.count[0]; i++)
		if (worked_enough(&t) || !walk_question(&t, &c, i == 0) || t.broken)
			return false;
	return h.count[0] > 0;
}

/* An operation that is not known: false when nothing in it is to be read. */
static bool unknown_readable(struct inspect *in, const uint8_t *p, size_t n)
{
	ledger_count(in->ledger, LEDGER_DNS_OPCODE);
	return questions_clean(p, n);
}

static bool report_message(struct inspect *in, const uint8_t *p, size_t n)
{
	struct cursor peek = cursor_over(p, n);
	bool known = opcode_known(header_read(&peek).flags);
	if (!known && !unknown_readable(in, p, n))
		return true;

	struct dns_state *s = in->state;
	SCRATCH struct transaction t;
	memset(&t, 0, offsetof(struct transaction, question));
	t.question.n = t.owner.n = t.data.n = 0;
	t.in_record = t.is_addr = false;
	t.in = in;
	t.at = places_of(in);
	t.base = p;
	t.n = n;
	s->tx = &t;
	struct cursor c = cursor_over(p, n);
	bool ok = walk(&t, &c);
	s->tx = NULL;
	if (ok && t.at == &dns_places && t.h.count[0] == 1 && OPCODE(t.h.flags) == OPCODE_QUERY)
		inspect_dns_message(in, t.h.flags & FLAG_RESPONSE, RCODE(t.h.flags), t.question.text, t.question.n);
	return ok || !known;
}

/* ---- probing ---- */

static bool has_port(const struct inspect *in, uint16_t port)
{
	return in->src_port == port || in->dest_port == port;
}

/* What any header of ours must satisfy. n: length of the whole message. Where a
 * port speaks for DNS, wrong counts do not speak against it: what the first
 * question says is worth more. */
static bool header_plausible(const struct header *h, size_t n, bool by_port)
{
	size_t records = (size_t)h->count[1] + h->count[2] + h->count[3];
	size_t questions = DNS_HEADER_SIZE + (size_t)h->count[0] * QUESTION_MIN;
	if (!h->count[0] && !(h->flags & FLAG_RESPONSE))
		return false;
	if (!h->count[0] && !records)
		return n == DNS_HEADER_SIZE; /* FORMERR and the like */
	if (by_port && h->count[0])
		return true;
	if ((h->flags & FLAG_RESPONSE) && (h->flags & FLAG_TRUNCATED))
		return questions <= n;
	return questions + records * RECORD_MIN <= n;
}

/* An operation that nobody knows is believed where a port speaks for DNS and a question stands. */
static bool operation_plausible(const struct header *h, bool by_port)
{
	return opcode_known(h->flags) || (by_port && h->count[0]);
}

/* What a header must satisfy where no port speaks for DNS. */
static bool header_strict(const struct header *h)
{
	unsigned opcode = OPCODE(h->flags);
	if ((h->flags & FLAG_Z) || h->count[0] != 1)
		return false;
	if (opcode != OPCODE_QUERY && opcode != OPCODE_NOTIFY && opcode != OPCODE_UPDATE)
		return false;
	if (h->flags & FLAG_RESPONSE)
		return rcode_names[RCODE(h->flags)] != NULL;
	if (RCODE(h->flags))
		return false;
	return opcode != OPCODE_QUERY || (!h->count[1] && h->count[2] <= 1 && h->count[3] <= 2);
}

/* RFC 1002 §4.2: names are 32 letters A..P, the type is NB or NBSTAT. */
static bool netbios_like(const struct name *name, uint16_t type)
{
	if ((type != RR_NB && type != RR_SRV) || name->n < 32)
		return false;
	for (size_t i = 0; i < 32; i++)
		if (name->text[i] < 'A' || name->text[i] > 'P')
			return false;
	return name->n == 32 || name->text[32] == '.';
}

/* A NUL is one of the three bytes that are written as an escape. */
static bool name_printable(const struct name *name)
{
	uint64_t control = 0;
	size_t i = 0;
	for (; i + 8 <= name->n; i += 8)
		control |= swar_less(swar_load(name->text + i), 0x20);
	for (; i < name->n; i++)
		control |= (unsigned char)name->text[i] < 0x20;
	return !control;
}

/* The first question at c, with nothing reported. */
static bool question_plausible(struct transaction *t, struct cursor *c, bool by_port)
{
	if (!walk_question(t, c, true) || !name_printable(&t->question) || netbios_like(&t->question, t->question_type))
		return false;
	bool type = dns_type_known(t->question_type), class = dns_class_known(t->question_class);
	return by_port ? type || class : type && class && !t->broken;
}

/* have bytes of a message of n. by_port: a port speaks for it, so the header and
 * the first question are proof enough; otherwise everything must fit. */
static bool message_plausible(const uint8_t *p, size_t have, size_t n, bool by_port)
{
	SCRATCH struct transaction t;
	memset(&t, 0, offsetof(struct transaction, question));
	t.base = p;
	t.n = have;
	struct cursor c = cursor_over(p, have);
	struct header h = header_read(&c);
	if (!cursor_ok(&c) || !header_plausible(&h, n, by_port) || !operation_plausible(&h, by_port))
		return false;
	if (!by_port && !header_strict(&h))
		return false;
	if (h.count[0] && !question_plausible(&t, &c, by_port && opcode_known(h.flags)))
		return false;
	if (by_port || have < n)
		return true;
	c = cursor_over(p, n);
	return walk(&t, &c) && !cursor_left(&c);
}

static enum probe probe_udp(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)side;
	if (n < DNS_HEADER_SIZE || has_port(in, DNS_PORT_NBNS))
		return PROBE_NO;
	return message_plausible(p, n, n, has_port(in, DNS_PORT)) ? PROBE_YES : PROBE_NO;
}

static enum probe probe_mdns(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)side;
	return has_port(in, DNS_PORT_MDNS) && message_plausible(p, n, n, true) ? PROBE_YES : PROBE_NO;
}

static enum probe probe_llmnr(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)side;
	return has_port(in, DNS_PORT_LLMNR) && message_plausible(p, n, n, true) ? PROBE_YES : PROBE_NO;
}

/* A long message (zone transfer) is believed by its first question. */
static enum probe probe_tcp(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	bool by_port = has_port(in, DNS_PORT) || has_port(in, DNS_PORT_LLMNR);
	struct cursor c = cursor_over(p, n);
	size_t length = cursor_u16(&c);
	struct cursor peek = c;
	struct header h = header_read(&peek);
	(void)side;
	if (n >= 2 && length < DNS_HEADER_SIZE)
		return PROBE_NO;
	if (!cursor_ok(&peek))
		return PROBE_MORE;
	if (!header_plausible(&h, length, false) || !operation_plausible(&h, by_port) ||
	    (!by_port && !header_strict(&h)))
		return PROBE_NO;
	size_t have = cursor_left(&c) < length ? cursor_left(&c) : length;
	if (message_plausible(c.p, have, length, by_port))
		return PROBE_YES;
	return have < length && have < DNS_HEADER_SIZE + DNS_NAME_OCTETS + 4 ? PROBE_MORE : PROBE_NO;
}

/* ---- feeding ---- */

static enum verdict datagram(struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct dns_state here = {0};
	(void)side;
	in->state = &here;
	bool ok = report_message(in, p, n);
	in->state = NULL;
	return ok ? INSPECT_MORE : INSPECT_ERROR;
}

bool dns_message_observe(struct inspect *in, const uint8_t *p, size_t n)
{
	const struct parser *parser = in->parser;
	void *state = in->state;
	in->parser = &parser_dns_udp;
	bool ok = datagram(in, TO_SERVER, p, n) == INSPECT_MORE;
	in->parser = parser;
	in->state = state;
	return ok;
}

bool dns_message_sure(const uint8_t *p, size_t n)
{
	return n >= DNS_HEADER_SIZE && message_plausible(p, n, n, false);
}

/* A broken message inside whole framing does not end the stream. */
static void tcp_message(struct inspect *in, const uint8_t *p, size_t n)
{
	if (!report_message(in, p, n))
		ledger_count(in->ledger, LEDGER_PARSER_ERROR);
}

/* Reports the whole messages of c and leaves the incomplete one. */
static bool tcp_messages(struct inspect *in, struct cursor *c)
{
	for (;;) {
		struct cursor at = *c;
		size_t length = cursor_u16(&at);
		struct bytes message = cursor_bytes(&at, length);
		if (cursor_left(c) >= 2 && length < DNS_HEADER_SIZE)
			return false;
		if (!cursor_ok(&at))
			return true;
		tcp_message(in, message.p, message.n);
		*c = at;
	}
}

/* After a gap: goes on where a message begins with a segment. */
static bool tcp_resumes(struct inspect *in, enum side side, struct cursor *c)
{
	struct dns_state *s = in->state;
	size_t skip = s->skip[side] < cursor_left(c) ? s->skip[side] : cursor_left(c);
	cursor_skip(c, skip);
	s->skip[side] -= skip;
	if (s->lost[side] && probe_tcp(in, side, c->p, cursor_left(c)) != PROBE_YES)
		return false;
	s->lost[side] = false;
	return cursor_left(c) > 0;
}

static bool tcp_keep(struct inspect *in, struct carry *carry, struct cursor *c, size_t n)
{
	if (carry_push(in->mem, carry, c->p, n, 2 + MESSAGE_MAX)) {
		cursor_skip(c, n);
		return true;
	}
	ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
	return false;
}

/* One step towards the message that waits: its length, then all of it. */
static enum verdict tcp_complete(struct inspect *in, struct carry *carry, struct cursor *c)
{
	struct cursor head = cursor_over(carry->p, carry->n);
	size_t length = cursor_u16(&head);
	size_t total = cursor_ok(&head) ? 2 + length : 2;
	if (cursor_ok(&head) && length < DNS_HEADER_SIZE)
		return INSPECT_ERROR;
	size_t piece = total - carry->n < cursor_left(c) ? total - carry->n : cursor_left(c);
	if (!tcp_keep(in, carry, c, piece))
		return INSPECT_DONE;
	if (carry->n == total && total > 2) {
		tcp_message(in, carry->p + 2, carry->n - 2);
		carry_free(in->mem, carry);
	}
	return INSPECT_MORE;
}

static enum verdict stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct dns_state *s = in->state;
	struct carry *carry = &s->carry[side];
	struct cursor c = cursor_over(p, n);
	(void)used;
	if (!tcp_resumes(in, side, &c))
		return INSPECT_MORE;
	while (carry->n && cursor_left(&c)) {
		enum verdict v = tcp_complete(in, carry, &c);
		if (v != INSPECT_MORE)
			return v;
	}
	if (!tcp_messages(in, &c))
		return INSPECT_ERROR;
	return tcp_keep(in, carry, &c, cursor_left(&c)) ? INSPECT_MORE : INSPECT_DONE;
}

/* A gap inside a message costs that message; where its end is lost as well, the
 * next segment that begins one is waited for. */
static enum verdict gap(struct inspect *in, enum side side, size_t lost)
{
	struct dns_state *s = in->state;
	struct carry *carry = &s->carry[side];
	struct cursor head = cursor_over(carry->p, carry->n);
	size_t total = carry->n >= 2 ? 2 + (size_t)cursor_u16(&head) : 0;
	size_t rest = s->skip[side] ? s->skip[side] : total - (total ? carry->n : 0);
	s->lost[side] |= rest < lost;
	s->skip[side] = rest < lost ? 0 : rest - lost;
	carry_free(in->mem, carry);
	return INSPECT_MORE;
}

static void drop(struct inspect *in)
{
	struct dns_state *s = in->state;
	carry_free(in->mem, &s->carry[TO_SERVER]);
	carry_free(in->mem, &s->carry[TO_CLIENT]);
}

/* ---- telling ---- */

static void tell_type(struct alert_app *app, const char *key, uint16_t type)
{
	for (size_t i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++) {
		if (type_names[i].type == type) {
			alert_app_text(app, key, type_names[i].name, strlen(type_names[i].name));
			return;
		}
	}
	alert_app_number(app, key, type);
}

static void describe(const struct inspect *in, struct alert_app *app)
{
	const struct dns_state *s = in->state;
	struct transaction *t = s->tx;
	if (!t)
		return;
	bool answer = t->h.flags & FLAG_RESPONSE;
	alert_app_text(app, "type", answer ? "answer" : "query", answer ? 6 : 5);
	alert_app_number(app, "id", t->h.id);
	const char *rcode = rcode_names[RCODE(t->h.flags)];
	if (answer && rcode)
		alert_app_text(app, "rcode", rcode, strlen(rcode));
	if (t->h.count[0]) {
		alert_app_text(app, "rrname", t->question.text, t->question.n);
		tell_type(app, "rrtype", t->question_type);
	}
	if (!t->in_record)
		return;
	alert_app_text(app, "answer.rrname", t->owner.text, t->owner.n);
	tell_type(app, "answer.rrtype", t->type);
	alert_app_number(app, "answer.ttl", t->ttl);
	if (t->is_addr) /* the text is borrowed until the alert is written: not from this stack */
		alert_app_text(app, "answer.rdata", t->addr_text, strlen(addr_format(&t->addr, t->addr_text)));
	else
		alert_app_text(app, "answer.rdata", t->data.text, t->data.n);
}

const struct parser parser_dns_udp = {
    .name = "dns", .over = OVER_UDP, .probe = probe_udp, .datagram = datagram, .describe = describe};

const struct parser parser_dns_tcp = {.name = "dns",
				      .over = OVER_TCP,
				      .state_size = sizeof(struct dns_state),
				      .probe = probe_tcp,
				      .stream = stream,
				      .gap = gap,
				      .describe = describe,
				      .drop = drop};

const struct parser parser_mdns = {
    .name = "mdns", .over = OVER_UDP, .probe = probe_mdns, .datagram = datagram, .describe = describe};

const struct parser parser_llmnr = {
    .name = "llmnr", .over = OVER_UDP, .probe = probe_llmnr, .datagram = datagram, .describe = describe};
