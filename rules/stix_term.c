/* An equality on a name is that name alone (hostname), LIKE '%.name' the domain. */
#include "rules/stix_term.h"

#include <string.h>

#include "rules/stix_map.h"

/* '%' and '_' are LIKE's wildcards. */
static bool wild(const char *p, size_t n)
{
	return memchr(p, '%', n) || memchr(p, '_', n);
}

static const char *like(struct stix_term *t)
{
	bool name = t->type == INDICATOR_HOSTNAME;
	if (name && t->n > 2 && memcmp(t->value, "%.", 2) == 0 && !wild(t->value + 2, t->n - 2)) {
		t->type = INDICATOR_DOMAIN;
		t->value += 2;
		t->n -= 2;
		return NULL;
	}
	if (t->type == INDICATOR_URL && t->value[t->n - 1] == '%' && !wild(t->value, t->n - 1)) {
		t->match = MATCH_PREFIX;
		t->n--;
		return NULL;
	}
	return "LIKE other than '%.name' or a URL's beginning";
}

/* Adapts the type to the operator. */
static const char *shape(struct stix_term *t, enum stix_op op)
{
	bool network = t->type == INDICATOR_IP && memchr(t->value, '/', t->n);
	if (op == STIX_MATCHES)
		return t->type == INDICATOR_PAYLOAD ? NULL : "MATCHES on other than a payload";
	if (t->type == INDICATOR_PAYLOAD)
		return "payload_bin is base64 as a whole";
	if (op == STIX_SUBSET && t->type != INDICATOR_IP)
		return "ISSUBSET on other than an address";
	if (op == STIX_LIKE && wild(t->value, t->n))
		return like(t);
	if (op > STIX_SUBSET)
		return "an order of other than ports";
	if (network)
		t->type = INDICATOR_CIDR;
	return NULL;
}

const char *stix_term_of(const struct stix_pattern *p, const struct stix_compare *c, struct stix_term *t)
{
	const struct stix_path *map = stix_path_find(stix_text(p, c->path));
	if (!map)
		return "an object path that is not looked at";
	*t = (struct stix_term){
	    .type = map->type, .where = map->where, .value = stix_text(p, c->value), .n = c->value_n};
	if (c->negated)
		return "NOT: what a flow does not show is known only at its end";
	return t->n ? shape(t, c->op) : "an empty value";
}
