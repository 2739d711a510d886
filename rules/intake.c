/* How: the value is looked up in the benign lists (rules/benign.h), which finds
 * what is inside an entry; and the entries are held sorted, names by their
 * labels from the right and networks by address, so that one search finds an
 * entry inside the value. */
#include "rules/intake.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "common/buf.h"
#include "rules/benign.h"
#include "rules/canon.h"
#include "rules/canon_name.h"
#include "rules/everyday.h"
#include "rules/pattern.h"
#include "rules/suffix.h"

#define SERIAL_SHORT 8 /* hex digits: shorter numbers are used by many issuers */

struct name_entry {
	char *key; /* "com.example." for example.com */
	const struct benign_list *list;
};

struct net_entry {
	struct addr addr;
	unsigned length; /* of 128 */
	const struct benign_list *list;
};

struct intake {
	struct intake_conf c;
	struct benign *benign;
	struct name_entry *name;
	size_t names, names_cap;
	struct net_entry *net;
	size_t nets, nets_cap;
};

static unsigned either(unsigned given, unsigned otherwise)
{
	return given ? given : otherwise;
}

struct intake *intake_new(const struct intake_conf *c)
{
	struct intake *g = xcalloc(1, sizeof(*g));
	if (c)
		g->c = *c;
	g->c.prefix_v4 = either(g->c.prefix_v4, INTAKE_PREFIX_V4);
	g->c.prefix_v6 = either(g->c.prefix_v6, INTAKE_PREFIX_V6);
	g->c.pattern = either(g->c.pattern, INTAKE_PATTERN);
	g->c.text = either(g->c.text, INTAKE_TEXT);
	g->c.quota = g->c.quota ? g->c.quota : INTAKE_QUOTA;
	g->benign = benign_new();
	benign_add_builtin(g->benign);
	benign_add_everyday(g->benign);
	return g;
}

void intake_free(struct intake *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->names; i++)
		free(g->name[i].key);
	free(g->name);
	free(g->net);
	benign_free(g->benign);
	free(g);
}

bool intake_add_own(struct intake *g, const char *value, struct err *e)
{
	return benign_add_own(g->benign, value, e);
}

bool intake_add_warninglist(struct intake *g, const char *path, struct diags *d, struct err *e)
{
	return benign_add_warninglist(g->benign, path, d, e);
}

/* ---- what is inside a value: the entries, sorted ---- */

/* "www.example.com" to "com.example.www."; out has n + 2 bytes. */
static void turn_labels(const char *name, size_t n, char *out)
{
	while (n) {
		size_t from = n;
		while (from && name[from - 1] != '.')
			from--;
		memcpy(out, name + from, n - from);
		out += n - from;
		*out++ = '.';
		n = from ? from - 1 : 0;
	}
	*out = '\0';
}

static void *room_for(void *list, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return list;
	*cap = *cap ? 2 * *cap : 256;
	return xrealloc(list, *cap * size);
}

static void take_entry(void *owner, const struct benign_list *list, size_t number, enum indicator_type t,
		       const char *value)
{
	struct intake *g = owner;
	struct canon c;
	(void)number;
	if (list->level < DIAG_WARNING || !canon_rule(t, value, strlen(value), &c, NULL))
		return;
	if (t == INDICATOR_DOMAIN || t == INDICATOR_HOSTNAME) {
		g->name = room_for(g->name, g->names, &g->names_cap, sizeof(*g->name));
		char *key = xmalloc(c.n + 2);
		turn_labels((const char *)c.key, c.n, key);
		g->name[g->names++] = (struct name_entry){key, list};
	} else if (t == INDICATOR_IP || t == INDICATOR_CIDR) {
		g->net = room_for(g->net, g->nets, &g->nets_cap, sizeof(*g->net));
		struct addr a = addr_v6(c.key);
		unsigned in_family = t == INDICATOR_IP ? 128 : c.key[16] + (addr_is_v4(&a) ? 96u : 0u);
		g->net[g->nets++] = (struct net_entry){a, in_family, list};
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct name_entry *)a)->key, ((const struct name_entry *)b)->key);
}

static int by_addr(const void *a, const void *b)
{
	return memcmp(&((const struct net_entry *)a)->addr, &((const struct net_entry *)b)->addr, sizeof(struct addr));
}

bool intake_seal(struct intake *g, struct err *e)
{
	if (!benign_seal(g->benign, e))
		return false;
	benign_each(g->benign, take_entry, g);
	if (g->names)
		qsort(g->name, g->names, sizeof(*g->name), by_name);
	if (g->nets)
		qsort(g->net, g->nets, sizeof(*g->net), by_addr);
	return true;
}

/* The first entry at or below a name. */
static const struct name_entry *name_below(const struct intake *g, const char *name, size_t n)
{
	char key[CANON_NAME_MAX + 2];
	if (n > CANON_NAME_MAX)
		return NULL;
	turn_labels(name, n, key);
	size_t low = 0, high = g->names, k = strlen(key);
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(g->name[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < g->names && strncmp(g->name[low].key, key, k) == 0 ? &g->name[low] : NULL;
}

static bool same_bits(const struct addr *a, const struct addr *b, unsigned bits)
{
	return memcmp(a, b, bits / 8) == 0 &&
	       (bits % 8 == 0 || ((a->b[bits / 8] ^ b->b[bits / 8]) >> (8 - bits % 8)) == 0);
}

/* The first entry inside a network; bits of 128. */
static const struct net_entry *net_inside(const struct intake *g, const struct addr *a, unsigned bits)
{
	size_t low = 0, high = g->nets;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (memcmp(&g->net[middle].addr, a, sizeof(*a)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < g->nets && same_bits(&g->net[low].addr, a, bits); low++)
		if (g->net[low].length >= bits)
			return &g->net[low];
	return NULL;
}

/* ---- the checks: true with a reason when the value does not pass ---- */

struct check {
	const struct intake *g;
	const struct indicator *i;
	struct canon c;
	struct intake_reason *why;
};

__attribute__((format(printf, 3, 4))) static bool hold(struct check *k, const char *code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	k->why->code = code;
	int n = snprintf(k->why->text, sizeof(k->why->text), "%s \"%s\" ", indicator_type_name(k->i->type),
			 SHOWN(k->i->value, strlen(k->i->value)));
	if (n > 0 && (size_t)n < sizeof(k->why->text))
		vsnprintf(k->why->text + n, sizeof(k->why->text) - (size_t)n, fmt, ap);
	va_end(ap);
	return true;
}

static bool listed(struct check *k, const struct benign_list *list, const char *entry)
{
	if (entry)
		return hold(k, list->code, "would hit \"%s\", one of: %s", entry, list->name);
	return hold(k, list->code, "is one of: %s", list->name);
}

static bool on_a_list(struct check *k, enum indicator_type t, const struct canon *c)
{
	const struct benign_list *list = benign_find(k->g->benign, t, c, k->i->value);
	return list && list->level >= DIAG_WARNING && listed(k, list, NULL);
}

static bool network(struct check *k)
{
	struct addr a = addr_v6(k->c.key);
	bool v4 = addr_is_v4(&a);
	unsigned length = k->c.key[16], least = v4 ? k->g->c.prefix_v4 : k->g->c.prefix_v6;
	if (length < least)
		return hold(k, "too-wide", "is wider than /%u", least);
	const struct net_entry *in = net_inside(k->g, &a, length + (v4 ? 96 : 0));
	char text[ADDR_TEXT_LEN];
	return in && listed(k, in->list, addr_format(&in->addr, text));
}

static bool name(struct check *k)
{
	bool shared;
	char text[CANON_NAME_MAX + 1];
	snprintf(text, sizeof(text), "%.*s", (int)k->c.n, (const char *)k->c.key);
	if (k->i->type != INDICATOR_DOMAIN)
		return false;
	if (suffix_public(text, &shared))
		return hold(k, "too-wide", "covers all names that %s",
			    shared ? "customers of one provider have" : "a registry gives out");
	const struct name_entry *in = name_below(k->g, text, strlen(text));
	if (!in)
		return false;
	char entry[CANON_NAME_MAX + 2];
	turn_labels(in->key, strlen(in->key) - 1, entry);
	entry[strlen(entry) - 1] = '\0';
	return listed(k, in->list, entry);
}

/* The front page of a host is as common as its name; a prefix without path is. */
static bool url(struct check *k)
{
	const char *text = (const char *)k->c.key, *end = text + k->c.n;
	const char *host = memchr(text, '/', k->c.n);
	host = host && end - host > 2 ? host + 2 : end;
	const char *path = memchr(host, '/', (size_t)(end - host));
	if (!path || path + 1 != end)
		return false;
	const char *stop = memchr(host, *host == '[' ? ']' : ':', (size_t)(path - host));
	host += *host == '[';
	size_t n = (size_t)((stop ? stop : path) - host);
	struct canon c;
	enum indicator_type t = INDICATOR_HOSTNAME;
	if (!canon_rule(t, host, n, &c, NULL) && !canon_rule(t = INDICATOR_IP, host, n, &c, NULL))
		return false;
	return on_a_list(k, t, &c);
}

static bool pattern(struct check *k)
{
	bool hex = k->i->type == INDICATOR_PAYLOAD_HEX;
	unsigned width = hex ? (unsigned)k->c.n : pattern_width(k->i->value);
	if (width < k->g->c.pattern)
		return hold(k, "short-pattern", "matches %u bytes, fewer than %u", width, k->g->c.pattern);
	size_t n = strlen(k->i->value);
	if (hex ? everyday_bytes(k->c.key, k->c.n) : everyday_bytes(k->i->value, n))
		return hold(k, "short-pattern", "is part of what most connections begin with");
	return false;
}

static bool text(struct check *k)
{
	if (everyday_text(k->i->type, k->i->value))
		return hold(k, "everyday", "is found in every network");
	if (strlen(k->i->value) < k->g->c.text)
		return hold(k, "short-pattern", "is shorter than %u bytes", k->g->c.text);
	return false;
}

static bool by_kind(struct check *k)
{
	struct canon address = {.n = 16};
	switch (k->i->type) {
	case INDICATOR_CIDR:
		return network(k);
	case INDICATOR_IP_PORT:
		memcpy(address.key, k->c.key, 16);
		return on_a_list(k, INDICATOR_IP, &address);
	case INDICATOR_DOMAIN:
	case INDICATOR_HOSTNAME:
		return name(k);
	case INDICATOR_URL:
		return url(k);
	case INDICATOR_PAYLOAD:
	case INDICATOR_PAYLOAD_HEX:
		return pattern(k);
	case INDICATOR_RISK:
	case INDICATOR_HEURISTIC:
		return hold(k, "local-matter", "is for each network to decide: put it into rules of your own");
	case INDICATOR_CERT_SERIAL:
		return k->c.n < SERIAL_SHORT &&
		       hold(k, "short-pattern", "is a number that many issuers have given out");
	case INDICATOR_USER_AGENT:
	case INDICATOR_FILENAME:
	case INDICATOR_EMAIL_SUBJECT:
	case INDICATOR_SSH_BANNER:
	case INDICATOR_USERNAME:
	case INDICATOR_DHCP_HOSTNAME:
	case INDICATOR_MQTT_TOPIC:
	case INDICATOR_RDP_COOKIE:
	case INDICATOR_COMMUNITY:
	case INDICATOR_CERT_SUBJECT:
	case INDICATOR_CERT_ISSUER:
	case INDICATOR_PROTOCOL:
		return text(k);
	default:
		return false;
	}
}

static bool value(struct check *k)
{
	struct err e = {""};
	const char *v = k->i->value;
	bool expression = k->i->type == INDICATOR_PAYLOAD;
	if (expression ? !pattern_check(v, strlen(v), &e) : !canon_rule(k->i->type, v, strlen(v), &k->c, &e)) {
		k->why->code = "invalid";
		snprintf(k->why->text, sizeof(k->why->text), "%s", e.text);
		return true;
	}
	return (!expression && k->i->type != INDICATOR_IP_PORT && on_a_list(k, k->i->type, &k->c)) || by_kind(k);
}

static bool over_quota(struct check *k, const struct intake_source *from)
{
	return from && from->active >= k->g->c.quota &&
	       hold(k, "quota", "is beyond the %zu indicators that one source may have active", k->g->c.quota);
}

bool intake_check(const struct intake *g, struct intake_source *from, const struct indicator *i,
		  struct intake_reason *why)
{
	struct check k = {.g = g, .i = i, .why = why};
	*why = (struct intake_reason){.code = ""};
	bool held = value(&k) || over_quota(&k, from);
	if (from)
		*(held ? &from->quarantined : &from->active) += 1;
	return !held;
}
