/* How: for each indicator, whatever covers its canonical value is looked up in
 * the set itself (duplicates, subsumed), in the allow list and in the benign
 * lists; then the other way round, each entry of the benign lists is looked up
 * in the set, which finds the indicators that are wider than it. Every look-up
 * is the sensor's own, so a set of a million costs seconds.
 *
 * What is true of a whole set (no producer, no end) is said once per set. */
#include "rules/lint.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "rules/canon_name.h"
#include "rules/everyday.h"
#include "rules/intake.h"
#include "rules/condition.h"
#include "rules/ndpi_names.h"
#include "rules/pattern.h"
#include "rules/suffix.h"

#define SHRINK_COUNT_MIN 10 /* smaller sets come and go */

struct set_counts {
	size_t n, no_end, no_marking;
	ruleset_ref first;
};

struct run {
	const struct ruleset *r;
	const struct lint_options *o;
	struct diags *d;
	struct lint_values *values;
	struct set_counts *sets;
	uint32_t *told; /* by ref: the benign list last told of it, plus 1 */
	/* the indicator at hand */
	ruleset_ref ref;
	struct ruleset_room room;
	struct indicator i;
	struct canon c;
};

static __attribute__((format(printf, 5, 6))) void add(struct run *u, const struct indicator *i, enum diag_level level,
						      const char *code, const char *fmt, ...)
{
	char text[1024];
	size_t before = u->d->n;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	diag_add(u->d, level, (struct diag_place){.file = i->file, .line = i->line}, code, "%s", text);
	if (u->d->n == before)
		return;
	u->values->v = xrealloc(u->values->v, u->d->n * sizeof(*u->values->v));
	while (u->values->n < u->d->n - 1)
		u->values->v[u->values->n++] = NULL;
	u->values->v[u->values->n++] = i->value ? xstrdup(i->value) : NULL;
}

#define TOLD(i) indicator_type_name((i)->type), SHOWN((i)->value, strlen((i)->value))

/* ---- against the others ---- */

static bool same_value(const struct run *u, const struct indicator *other, struct canon *room)
{
	return canon_rule(other->type, other->value, strlen(other->value), room, NULL) && room->n == u->c.n &&
	       memcmp(room->key, u->c.key, u->c.n) == 0;
}

static bool same_text(const char *x, const char *y)
{
	return strcmp(x ? x : "", y ? y : "") == 0;
}

/* Whether all that the indicator at hand would ever hit, other hits as well. */
static bool covers(const struct run *u, const struct indicator *other)
{
	if (other->where && !same_text(other->where, u->i.where))
		return false;
	if (other->type == INDICATOR_HOSTNAME && u->i.type == INDICATOR_DOMAIN)
		return false;
	if (u->i.match == MATCH_PREFIX && other->match != MATCH_PREFIX)
		return false;
	int64_t end_us = other->valid_until_us;
	return !end_us || (end_us > u->o->now_us && u->i.valid_until_us && u->i.valid_until_us <= end_us);
}

static void place_text(const struct indicator *i, char *out, size_t n)
{
	snprintf(out, n, "%s:%u", i->file ? i->file : "the set", i->line);
}

static void check_others(struct run *u)
{
	struct ruleset_hits hits = {.n = 0};
	struct canon room;
	char place[512];
	ruleset_covering(u->r, u->i.type, &u->c, &hits);
	for (size_t k = 0; k < hits.n && hits.n > 1; k++) {
		if (hits.ref[k] == u->ref)
			continue;
		struct ruleset_room other_room;
		struct indicator other = ruleset_indicator_in(u->r, hits.ref[k], &other_room);
		bool same = other.type == u->i.type && other.match == u->i.match && same_value(u, &other, &room);
		if (!covers(u, &other) || (same && hits.ref[k] > u->ref))
			continue;
		bool one_set = strcmp(ruleset_set(u->r, u->ref).id, ruleset_set(u->r, hits.ref[k]).id) == 0;
		place_text(&other, place, sizeof(place));
		if (same)
			add(u, &u->i, one_set ? DIAG_WARNING : DIAG_NOTE, "duplicate",
			    "%s \"%s\" is listed at %s already%s; remove one", TOLD(&u->i), place,
			    one_set ? "" : " by another set");
		else
			add(u, &u->i, one_set ? DIAG_WARNING : DIAG_NOTE, "subsumed",
			    "%s \"%s\" is covered by %s \"%s\" at %s; remove the narrower one unless it says more",
			    TOLD(&u->i), TOLD(&other), place);
		return;
	}
}

static void check_allow(struct run *u)
{
	struct ruleset_room room;
	struct indicator entry;
	struct canon c;
	if (!ruleset_allow_count(u->r) || !ruleset_allowed(u->r, u->i.type, &u->c, u->o->now_us, &room, &entry))
		return;
	const char *reason = entry.note ? entry.note : "no reason given";
	if (same_value(u, &entry, &c))
		add(u, &u->i, DIAG_WARNING, "allowed",
		    "%s \"%s\" never alerts: the allow list has %s \"%s\" (%s); remove one of them", TOLD(&u->i),
		    TOLD(&entry), reason);
	else
		add(u, &u->i, DIAG_NOTE, "allow-parent",
		    "%s \"%s\" alerts although the allow list has %s \"%s\" (%s): it is more specific", TOLD(&u->i),
		    TOLD(&entry), reason);
}

/* ---- against the lists of what is benign ---- */

/* What to do about it, by the list's code. */
static const char *advice(const char *code)
{
	static const struct {
		const char *code, *text;
	} all[] = {{"reserved", "it belongs to nobody, or to somebody else in every network: remove it"},
		   {"own-range", "it would alert on yourselves: remove it"},
		   {"empty-file", "every empty file has it: remove it"},
		   {"everyday", "it would alert on everybody: remove it, or name exactly what is meant"},
		   {"warning-list", "ask its source, then remove it or allow what is good below it"}};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (strcmp(all[i].code, code) == 0)
			return all[i].text;
	return "remove it";
}

static void check_everyday(struct run *u)
{
	bool hex = u->i.type == INDICATOR_PAYLOAD_HEX;
	if (hex ? u->c.n >= INTAKE_PATTERN && everyday_bytes(u->c.key, u->c.n) : everyday_text(u->i.type, u->i.value))
		add(u, &u->i, DIAG_WARNING, "everyday", "%s \"%s\" is found in every network: %s", TOLD(&u->i),
		    advice("everyday"));
}

static void check_benign(struct run *u)
{
	struct canon address = {.n = 16};
	bool endpoint = u->i.type == INDICATOR_IP_PORT;
	if (endpoint)
		memcpy(address.key, u->c.key, 16);
	const struct benign_list *list = benign_find(u->o->benign, endpoint ? INDICATOR_IP : u->i.type,
						     endpoint ? &address : &u->c, u->i.value);
	if (list)
		add(u, &u->i, list->level, list->code, "%s \"%s\" is one of: %s; %s", TOLD(&u->i), list->name,
		    advice(list->code));
}

/* Which indicators would hit an entry of a list, beside the entry's own value. */
static void check_entry(void *owner, const struct benign_list *list, size_t number, enum indicator_type t,
			const char *value)
{
	struct run *u = owner;
	struct ruleset_hits hits = {.n = 0};
	const indicator_mask wide = INDICATOR_BIT(INDICATOR_CIDR) | INDICATOR_BIT(INDICATOR_DOMAIN) |
				    INDICATOR_BIT(INDICATOR_URL);
	struct canon room;
	if (!(INDICATOR_BIT(t) & (wide | INDICATOR_BIT(INDICATOR_IP) | INDICATOR_BIT(INDICATOR_HOSTNAME))) ||
	    !canon_rule(t, value, strlen(value), &u->c, NULL))
		return;
	ruleset_covering(u->r, t, &u->c, &hits);
	for (size_t k = 0; k < hits.n; k++) {
		struct ruleset_room other_room;
		struct indicator other = ruleset_indicator_in(u->r, hits.ref[k], &other_room);
		if (!(wide & INDICATOR_BIT(other.type)) || u->told[hits.ref[k]] == number + 1 ||
		    (other.type == t && same_value(u, &other, &room)))
			continue;
		u->told[hits.ref[k]] = (uint32_t)number + 1;
		add(u, &other, list->level, list->code, "%s \"%s\" would hit \"%s\", one of: %s; %s", TOLD(&other),
		    value, list->name, advice(list->code));
	}
}

/* ---- by itself ---- */

static void check_prefix(struct run *u)
{
	struct addr a = addr_v6(u->c.key);
	unsigned length = u->c.key[16], least = addr_is_v4(&a) ? INTAKE_PREFIX_V4 : INTAKE_PREFIX_V6;
	if (length < least)
		add(u, &u->i, DIAG_ERROR, "too-wide", "cidr \"%s\" is wider than /%u: name the networks that are meant",
		    u->i.value, least);
}

static void check_name(struct run *u)
{
	bool shared = false, ascii = true;
	u->c.key[u->c.n < CANON_MAX ? u->c.n : CANON_MAX - 1] = '\0';
	const char *name = (const char *)u->c.key;
	if (u->i.type == INDICATOR_DOMAIN && suffix_public(name, &shared))
		add(u, &u->i, shared ? DIAG_WARNING : DIAG_ERROR, "too-wide",
		    "domain \"%s\" covers all names that %s; did you mean the type hostname, or a name below it?",
		    SHOWN(u->i.value, strlen(u->i.value)),
		    shared ? "customers of one provider have" : "a registry gives out");
	for (const char *p = u->i.value; *p; p++)
		ascii = ascii && !((unsigned char)*p & 0x80);
	if (!ascii)
		add(u, &u->i, DIAG_NOTE, "idn", "%s \"%s\" matches as \"%s\"", TOLD(&u->i), name);
	else if (strncmp(name, "xn--", 4) == 0 || strstr(name, ".xn--"))
		add(u, &u->i, DIAG_NOTE, "idn", "%s \"%s\" is the IDNA form of a name: say in the note how it looks",
		    TOLD(&u->i));
}

static void check_pattern(struct run *u)
{
	unsigned width = u->i.type == INDICATOR_PAYLOAD ? pattern_width(u->i.value) : (unsigned)u->c.n;
	if (width < INTAKE_PATTERN)
		add(u, &u->i, DIAG_WARNING, "short-pattern",
		    "%s \"%s\" matches %u bytes: that many agree by chance in every busy hour; take %d or more",
		    TOLD(&u->i), width, INTAKE_PATTERN);
}

static void check_condition(struct run *u)
{
	const char *part;
	struct err why;
	if (condition_read(u->i.value, strlen(u->i.value), NULL, NULL, &part, &why) && part)
		add(u, &u->i, DIAG_WARNING, "in-part", "%s \"%s\" matches in part: of one of its alternatives, %s",
		    TOLD(&u->i), part);
}

static void check_ndpi_name(struct run *u)
{
	const char *near;
	if (ndpi_name_known(u->i.type, u->i.value, &near))
		return;
	add(u, &u->i, DIAG_WARNING, "unknown-name", "%s \"%s\" is no name that nDPI 4.2 gives: it never matches%s%s%s",
	    TOLD(&u->i), near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static void check_time(struct run *u)
{
	char end[CLOCK_TEXT_LEN];
	if (u->i.valid_until_us && u->i.valid_from_us >= u->i.valid_until_us)
		add(u, &u->i, DIAG_WARNING, "never-valid",
		    "%s \"%s\" is never valid: its valid_from: is not before its valid_until:; correct one of them",
		    TOLD(&u->i));
	if (!u->i.valid_until_us || u->i.valid_until_us > u->o->now_us)
		return;
	clock_format(u->i.valid_until_us, end);
	add(u, &u->i, DIAG_WARNING, "expired", "%s \"%s\" expired at %s: remove it, or renew it if it is still seen",
	    TOLD(&u->i), end);
}

static void check_kind(struct run *u)
{
	switch (u->i.type) {
	case INDICATOR_CIDR:
		check_prefix(u);
		break;
	case INDICATOR_DOMAIN:
	case INDICATOR_HOSTNAME:
		check_name(u);
		break;
	case INDICATOR_PAYLOAD:
	case INDICATOR_PAYLOAD_HEX:
		check_pattern(u);
		break;
	case INDICATOR_STIX:
		check_condition(u);
		break;
	case INDICATOR_PROTOCOL:
	case INDICATOR_RISK:
		check_ndpi_name(u);
		break;
	default:
		break;
	}
}

/* ---- sets ---- */

/* The set's number in r; as many as it has when it has none of this id. */
static size_t set_number(const struct ruleset *r, const struct indicator_set *s)
{
	size_t i = 0;
	while (i < ruleset_set_count(r) && strcmp(ruleset_set_at(r, i).id, s->id) != 0)
		i++;
	return i;
}

static void count_set(struct run *u, size_t *last)
{
	struct indicator_set s = ruleset_set(u->r, u->ref);
	if (strcmp(ruleset_set_at(u->r, *last).id, s.id) != 0)
		*last = set_number(u->r, &s);
	struct set_counts *c = &u->sets[*last];
	if (!c->n++)
		c->first = u->ref;
	c->no_end += !u->i.valid_until_us && !s.valid_until_us;
	c->no_marking += !u->i.tlp;
}

static void check_set(struct run *u, size_t k)
{
	const struct set_counts *c = &u->sets[k];
	struct indicator_set s = ruleset_set_at(u->r, k);
	if (!c->n)
		return;
	struct indicator first = ruleset_indicator(u->r, c->first);
	struct indicator at = {.file = first.file};
	if (!s.producer)
		add(u, &at, DIAG_WARNING, "no-producer",
		    "set \"%s\" names no producer: analysts and partners cannot tell who vouches for it; add producer: "
		    "to set:",
		    s.id);
	if (c->no_marking)
		add(u, &at, DIAG_WARNING, "no-marking",
		    "%zu of %zu indicators of set \"%s\" have no TLP marking: they are not releasable to anyone; add "
		    "tlp:",
		    c->no_marking, c->n, s.id);
	if (c->no_end)
		add(u, &at, DIAG_NOTE, "no-expiry",
		    "%zu of %zu indicators of set \"%s\" never expire; add valid_until: to them, to defaults: or to "
		    "set:",
		    c->no_end, c->n, s.id);
}

/* How many indicators each set of old has. */
static size_t *count_old(const struct ruleset *old)
{
	size_t *n = xcalloc(ruleset_set_count(old) + 1, sizeof(*n)), last = 0;
	for (ruleset_ref k = 0; k < ruleset_count(old, INDICATOR_NONE); k++) {
		struct indicator_set s = ruleset_set(old, k);
		if (strcmp(ruleset_set_at(old, last).id, s.id) != 0)
			last = set_number(old, &s);
		n[last]++;
	}
	return n;
}

static void check_shrink(struct run *u)
{
	const struct ruleset *old = u->o->against;
	if (!old)
		return;
	size_t *was = count_old(old);
	for (size_t i = 0; i < ruleset_set_count(old); i++) {
		struct indicator_set s = ruleset_set_at(old, i);
		size_t at = set_number(u->r, &s), is = at < ruleset_set_count(u->r) ? u->sets[at].n : 0;
		if (was[i] < SHRINK_COUNT_MIN || is * 100 >= was[i] * (100 - u->o->max_shrink))
			continue;
		const char *file = is ? ruleset_indicator(u->r, u->sets[at].first).file : NULL;
		add(u, &(struct indicator){.file = file}, DIAG_ERROR, "shrink",
		    "set \"%s\" has %zu indicators and had %zu: a feed that broke, unless it is meant (--max-shrink)",
		    s.id, is, was[i]);
	}
	free(was);
}

void lint(const struct ruleset *r, const struct lint_options *o, struct diags *d, struct lint_values *values)
{
	struct run u = {.r = r, .o = o, .d = d, .values = values};
	size_t n = ruleset_count(r, INDICATOR_NONE), set = 0;
	u.sets = xcalloc(ruleset_set_count(r) + 1, sizeof(*u.sets));
	u.told = xcalloc(n + 1, sizeof(*u.told));
	for (u.ref = 0; u.ref < n; u.ref++) {
		u.i = ruleset_indicator_in(r, u.ref, &u.room);
		count_set(&u, &set);
		check_time(&u);
		if (u.i.type == INDICATOR_PAYLOAD) {
			check_pattern(&u);
			continue;
		}
		if (!canon_rule(u.i.type, u.i.value, strlen(u.i.value), &u.c, NULL))
			continue;
		check_others(&u);
		check_allow(&u);
		check_benign(&u);
		check_everyday(&u);
		check_kind(&u);
	}
	benign_each(o->benign, check_entry, &u);
	for (size_t k = 0; k < ruleset_set_count(r); k++)
		check_set(&u, k);
	check_shrink(&u);
	while (values->n < d->n) {
		values->v = xrealloc(values->v, d->n * sizeof(*values->v));
		values->v[values->n++] = NULL;
	}
	free(u.sets);
	free(u.told);
}
