#include "sensor/dns_ahead.h"

#include "common/cursor.h"
#include "common/scratch.h"
#include "rules/ruleset_ask.h"
#include "sensor/dns_format.h"

#define LABELS_MAX   32  /* of one message before another name, each counted where it stands */
#define NAME_LABELS  128 /* of one name: RULESET_NAME_OCTETS, two for each */
#define RECORDS_MAX  64
#define QUESTION_MIN 5 /* and with the header at least the 16 bytes that ruleset_ask_name() wants */

#define NAMES     (INDICATOR_BIT(INDICATOR_DOMAIN) | INDICATOR_BIT(INDICATOR_HOSTNAME))
#define ADDRESSES (INDICATOR_BIT(INDICATOR_IP) | INDICATOR_BIT(INDICATOR_CIDR))

/* One message while it is read. */
struct reading {
	const struct ruleset *rules;
	struct ruleset_ahead *asked;
	const uint8_t *base;
	size_t n;
	unsigned name, addr; /* what each counts: 0 when nothing asks for them */
	unsigned observables;
	size_t owner; /* where the labels of the last record's name begin */
	size_t labels;
	struct ruleset_label label[LABELS_MAX + NAME_LABELS];
};

/* The label that a pointer leads to, among those that were read before. */
static const struct ruleset_label *label_at(const struct reading *m, const uint8_t *at)
{
	for (size_t i = 0; i < m->labels; i++)
		if (m->label[i].at == at)
			return &m->label[i];
	return NULL;
}

/* Asks for the name at c. Gives the offset at which its labels begin. */
static inline __attribute__((always_inline)) bool name(struct reading *m, struct cursor *c, size_t *begins)
{
	const uint8_t *p = c->p;
	const struct ruleset_label *tail = NULL;
	struct ruleset_label *label = &m->label[m->labels];
	size_t left = cursor_left(c), at = 0, n = 0;
	size_t end = left < RULESET_NAME_OCTETS ? left : RULESET_NAME_OCTETS;
	if (m->labels > LABELS_MAX)
		return false;
	while (at < end && p[at] && p[at] <= DNS_LABEL_MAX) {
		label[n++].at = p + at;
		at += p[at] + 1u;
	}
	*begins = (size_t)(p - m->base);
	if (at >= left)
		return false;
	if (p[at] >= DNS_POINTER) {
		if (left - at < 2)
			return false;
		size_t target = (size_t)(p[at] & ~DNS_POINTER) << 8 | p[at + 1];
		if (!(tail = label_at(m, m->base + target)))
			return false;
		if (!n)
			*begins = target;
		at++;
	} else if (p[at]) {
		return false;
	}
	cursor_skip(c, at + 1);
	if (n || tail)
		m->observables += m->name;
	m->labels += n;
	return !n || ruleset_ask_name(m->rules, m->asked, label, n, tail, m->base + m->n);
}

/* Neighbours that share their name tell it once. */
static bool owner(struct reading *m, struct cursor *c)
{
	size_t begins;
	unsigned before = m->observables;
	if (!name(m, c, &begins))
		return false;
	if (begins == m->owner)
		m->observables = before;
	m->owner = begins;
	return true;
}

static bool addresses(struct reading *m, struct cursor *list, bool v6)
{
	while (cursor_left(list)) {
		const uint8_t *p = cursor_take(list, v6 ? 16 : 4);
		if (!p)
			return false;
		struct addr a = v6 ? addr_v6(p) : addr_v4(p);
		m->observables += m->addr;
		if (!ruleset_ask_addr(m->rules, m->asked, &a))
			return false;
	}
	return true;
}

/* Apart: the two above are of every message. */
static __attribute__((noinline)) bool data_name(struct reading *m, struct cursor *rdata)
{
	size_t begins;
	return name(m, rdata, &begins);
}

/* RFC 9460 §2.2: u16 priority, target name, then u16 key, u16 n, n bytes each. */
static bool service(struct reading *m, struct cursor *rdata)
{
	cursor_skip(rdata, 2);
	if (!data_name(m, rdata))
		return false;
	while (cursor_left(rdata)) {
		uint16_t key = cursor_u16(rdata);
		struct cursor value = cursor_sub(rdata, cursor_u16(rdata));
		if (!cursor_ok(rdata) || ((key == 4 || key == 6) && !addresses(m, &value, key == 6)))
			return false;
	}
	return true;
}

static bool data(struct reading *m, uint16_t type, struct cursor *rdata)
{
	if (type == RR_A || type == RR_AAAA)
		return addresses(m, rdata, type == RR_AAAA);
	if (type == RR_SVCB || type == RR_HTTPS)
		return service(m, rdata);
	int at = dns_name_at(type);
	if (at < 0)
		return type != RR_NAPTR;
	cursor_skip(rdata, (size_t)at);
	return data_name(m, rdata);
}

static bool record(struct reading *m, struct cursor *c)
{
	if (!owner(m, c))
		return false;
	const uint8_t *p = cursor_take(c, 10); /* type, class, time to live, length */
	if (!p)
		return false;
	uint16_t type = (uint16_t)(p[0] << 8 | p[1]), class = (uint16_t)(p[2] << 8 | p[3]);
	struct cursor rdata = cursor_sub(c, (size_t)p[8] << 8 | p[9]);
	if (!cursor_ok(c))
		return false;
	if ((class & (uint16_t)~DNS_CLASS_UNICAST) != DNS_CLASS_IN || !cursor_left(&rdata))
		return true;
	return data(m, type, &rdata);
}

/* Types that NetBIOS asks for have names to look at more closely. */
static bool question(struct reading *m, struct cursor *c)
{
	size_t begins;
	if (!name(m, c, &begins))
		return false;
	const uint8_t *p = cursor_take(c, 4);
	if (!p)
		return false;
	uint16_t type = (uint16_t)(p[0] << 8 | p[1]), class = (uint16_t)(p[2] << 8 | p[3]);
	return type != RR_NB && type != RR_SRV && (dns_type_known(type) || dns_class_known(class));
}

static bool message(struct reading *m)
{
	struct cursor c = cursor_over(m->base, m->n);
	const uint8_t *p = cursor_take(&c, DNS_HEADER_SIZE);
	if (!p || cursor_left(&c) < QUESTION_MIN || (p[2] & 0x78) || p[4] ||
	    p[5] != 1) /* a standard query, one question */
		return false;
	unsigned records = (unsigned)(p[6] << 8 | p[7]) + (unsigned)(p[8] << 8 | p[9]) + (unsigned)(p[10] << 8 | p[11]);
	if (records > RECORDS_MAX || !question(m, &c))
		return false;
	for (unsigned i = 0; i < records; i++)
		if (!record(m, &c))
			return false;
	return true;
}

void dns_ahead(const struct ruleset *r, const struct layer *l, struct dns_ahead *out)
{
	SCRATCH struct reading m;
	indicator_mask types = ruleset_types(r);
	ruleset_ahead_begin(&out->asked);
	m.rules = r;
	m.asked = &out->asked;
	m.base = l->payload;
	m.n = l->payload_n;
	m.name = (types & NAMES) != 0;
	m.addr = (types & ADDRESSES) != 0;
	m.observables = 0;
	m.owner = SIZE_MAX;
	m.labels = 0;
	out->plain = message(&m);
	out->observables = (uint16_t)m.observables;
}
