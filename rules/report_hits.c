#include "rules/report_hits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/text.h"
#include "rules/canon.h"

#define LINE_MAX_BYTES (1u << 20) /* of one alert */

struct hits {
	const struct ruleset *r;
	const struct hiding *decided;
	int64_t now_us;
	uint64_t *count;   /* by indicator */
	uint64_t *allowed; /* by allow entry */
	uint64_t *hidden;  /* by entry of decided */
	size_t printed;    /* of decided */
	uint64_t alerts, other, broken;
};

static const char *text_at(const struct json *o, const char *path)
{
	return json_text(json_at(o, path), NULL);
}

/* What a line tells: an alert as scan and the sensor write them, or a group of them as
 * picket alerts list --json prints it out of Redis. */
struct told {
	const char *type, *value, *set, *seen, *src, *dest;
	uint64_t n;
};

static bool told_by(const struct json *o, struct told *t)
{
	const char *event = text_at(o, "event_type");
	int64_t n = json_int(json_at(o, "n"), -1);
	if (event && strcmp(event, "alert") == 0)
		*t = (struct told){text_at(o, "indicator.type"),
				   text_at(o, "indicator.value"),
				   text_at(o, "indicator.set"),
				   text_at(o, "observable.value"),
				   text_at(o, "src_ip"),
				   text_at(o, "dest_ip"),
				   1};
	else if (!event && n >= 0)
		*t = (struct told){text_at(o, "type"), text_at(o, "value"), text_at(o, "set"), text_at(o, "value"),
				   text_at(o, "src"),  text_at(o, "dest"),  (uint64_t)n};
	else
		return false;
	return t->type && t->value && t->set;
}

/* The indicator that an alert names, by its type, value and set: what is renamed is still found. */
static bool find(const struct hits *h, const struct told *a, ruleset_ref *ref)
{
	enum indicator_type t = indicator_type_parse(a->type, strlen(a->type));
	struct ruleset_hits same = {.n = 0};
	struct canon c;
	if (!t || !canon_rule(t, a->value, strlen(a->value), &c, NULL))
		return false;
	ruleset_covering(h->r, t, &c, &same);
	for (size_t i = 0; i < same.n; i++) {
		struct indicator one = ruleset_indicator(h->r, same.ref[i]);
		if (one.type == t && strcmp(one.value, a->value) == 0 &&
		    strcmp(ruleset_set(h->r, same.ref[i]).id, a->set) == 0) {
			*ref = same.ref[i];
			return true;
		}
	}
	return false;
}

/* The allow entry that would silence it now: one that covers what was seen, unless the
 * indicator says more than the entry. */
static void ask_allow(struct hits *h, const struct told *a)
{
	enum indicator_type own = indicator_type_parse(a->type, strlen(a->type));
	enum indicator_type t = own == INDICATOR_CIDR && a->seen != a->value ? INDICATOR_IP : own;
	struct ruleset_room room, other;
	struct indicator by_seen, by_rule;
	struct canon c, rule;
	if (!t || !a->seen || !canon_rule(t, a->seen, strlen(a->seen), &c, NULL) ||
	    !ruleset_allowed(h->r, t, &c, h->now_us, &room, &by_seen))
		return;
	if (!canon_rule(own, a->value, strlen(a->value), &rule, NULL))
		return;
	bool covered = ruleset_allowed(h->r, own, &rule, h->now_us, &other, &by_rule);
	bool equal = covered && by_rule.type == by_seen.type && strcmp(by_rule.value, by_seen.value) == 0;
	if (covered && equal && strcmp(by_rule.value, a->value) != 0)
		return; /* the indicator is more specific */
	for (size_t i = 0; i < ruleset_allow_count(h->r); i++) {
		struct indicator entry = ruleset_allow_at(h->r, i, &other);
		if (entry.type == by_seen.type && strcmp(entry.value, by_seen.value) == 0)
			h->allowed[i] += a->n;
	}
}

static const struct addr *address(const char *text, struct addr *room)
{
	return text && addr_parse(text, strlen(text), room) ? room : NULL;
}

/* The entry that would hide it now. Of a group only the first pair of addresses is known. */
static void ask_decided(struct hits *h, const struct told *a, ruleset_ref ref)
{
	struct addr src, dest;
	ptrdiff_t entry = hiding_which(h->decided, ref, address(a->src, &src), address(a->dest, &dest), h->now_us);
	if (entry >= 0)
		h->hidden[entry] += a->n;
}

static void take_line(struct hits *h, const char *line, size_t n)
{
	struct err e;
	struct json *o = json_read(line, n, LINE_MAX_BYTES, &e);
	struct told a;
	ruleset_ref ref;
	if (!o) {
		h->broken++;
	} else if (told_by(o, &a)) {
		h->alerts += a.n;
		if (find(h, &a, &ref)) {
			h->count[ref] += a.n;
			ask_decided(h, &a, ref);
		} else {
			h->other += a.n;
		}
		ask_allow(h, &a);
	}
	json_drop(o);
}

/* A line that is longer than an alert may be is none, however long it goes on. */
static void take_lines(struct hits *h, FILE *f, char *line, size_t cap)
{
	for (bool within = false; fgets(line, (int)cap, f);) {
		size_t n = strlen(line);
		bool ends = n && line[n - 1] == '\n';
		if (!ends && n == cap - 1)
			h->broken += !within;
		else if (!within && n > 1)
			take_line(h, line, n);
		within = !ends && (within || n == cap - 1);
	}
}

static bool take_file(struct hits *h, const char *path, struct err *e)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *f = standard ? stdin : fopen(path, "r");
	if (!f)
		return err_errno(e, "cannot read %s", path);
	char *line = xmalloc(LINE_MAX_BYTES + 2);
	take_lines(h, f, line, LINE_MAX_BYTES + 2);
	bool ok = !ferror(f) || err_errno(e, "cannot read %s", path);
	free(line);
	if (!standard)
		fclose(f);
	return ok;
}

/* ---- printing ---- */

struct found {
	uint64_t n;
	ruleset_ref ref;
};

static int most_first(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return x->ref < y->ref ? -1 : x->ref > y->ref;
}

static void print_sets(const struct hits *h)
{
	size_t sets = ruleset_set_count(h->r);
	struct {
		size_t n, hit;
		uint64_t alerts;
	} *c = xcalloc(sets + 1, sizeof(*c));
	for (ruleset_ref k = 0; k < ruleset_count(h->r, INDICATOR_NONE); k++) {
		const char *id = ruleset_set(h->r, k).id;
		size_t s = 0;
		while (s < sets && strcmp(ruleset_set_at(h->r, s).id, id) != 0)
			s++;
		c[s].n++;
		c[s].hit += h->count[k] != 0;
		c[s].alerts += h->count[k];
	}
	printf("%-24s %10s %10s %10s %10s\n", "SET", "INDICATORS", "HIT", "NEVER HIT", "ALERTS");
	for (size_t s = 0; s < sets; s++)
		printf("%-24s %10zu %10zu %10zu %10llu\n", text_shown(ruleset_set_at(h->r, s).id), c[s].n, c[s].hit,
		       c[s].n - c[s].hit, (unsigned long long)c[s].alerts);
	free(c);
}

static void print_found(const struct hits *h, size_t limit)
{
	size_t n = ruleset_count(h->r, INDICATOR_NONE), found = 0;
	struct found *list = xcalloc(n + 1, sizeof(*list));
	for (ruleset_ref k = 0; k < n; k++)
		if (h->count[k])
			list[found++] = (struct found){h->count[k], k};
	if (found)
		qsort(list, found, sizeof(*list), most_first);
	for (size_t i = 0; i < found && i < limit; i++) {
		struct indicator one = ruleset_indicator(h->r, list[i].ref);
		char value[300];
		printf("%10llu  %s %s [%s]\n", (unsigned long long)list[i].n, indicator_type_name(one.type),
		       text_clean(value, sizeof(value), one.value, strlen(one.value)),
		       ruleset_set(h->r, list[i].ref).id);
	}
	if (found > limit)
		printf("and %zu more that hit (--limit)\n", found - limit);
	free(list);
}

static void print_allowed(const struct hits *h)
{
	for (size_t i = 0; i < ruleset_allow_count(h->r); i++) {
		struct ruleset_room room;
		struct indicator one = ruleset_allow_at(h->r, i, &room);
		char value[300], why[300];
		printf("%10llu  would be silenced by allow %s %s, \"%s\"\n", (unsigned long long)h->allowed[i],
		       indicator_type_name(one.type), text_clean(value, sizeof(value), one.value, strlen(one.value)),
		       one.note ? text_clean(why, sizeof(why), one.note, strlen(one.note)) : "no reason given");
	}
}

static void count_entry(void *owner, const struct override *o, uint64_t hidden)
{
	size_t *n = owner;
	(void)o;
	(void)hidden;
	++*n;
}

static void print_entry(void *owner, const struct override *o, uint64_t hidden)
{
	struct hits *h = owner;
	char value[300], why[300], source[ADDR_TEXT_LEN];
	const char *named = o->id ? o->id : o->value;
	(void)hidden;
	printf("%10llu  would be hidden by %s %s %s", (unsigned long long)h->hidden[h->printed++],
	       override_names[o->verb], o->id ? "id" : indicator_type_name(o->type),
	       text_clean(value, sizeof(value), named, strlen(named)));
	if (o->has_source)
		printf(" from %s/%u", addr_format(&o->source.addr, source), o->source.length);
	printf(", \"%s\"\n",
	       o->reason ? text_clean(why, sizeof(why), o->reason, strlen(o->reason)) : "no reason given");
}

bool report_hits(const struct ruleset *r, const struct hiding *decided, const char *const *alerts, size_t n,
		 size_t limit, int64_t now_us, struct err *e)
{
	struct hits h = {.r = r, .decided = decided, .now_us = now_us};
	size_t entries = 0;
	bool ok = true;
	hiding_each(decided, count_entry, &entries);
	h.hidden = xcalloc(entries + 1, sizeof(*h.hidden));
	h.count = xcalloc(ruleset_count(r, INDICATOR_NONE) + 1, sizeof(*h.count));
	h.allowed = xcalloc(ruleset_allow_count(r) + 1, sizeof(*h.allowed));
	for (size_t i = 0; ok && i < n; i++)
		ok = take_file(&h, alerts[i], e);
	if (ok) {
		print_sets(&h);
		print_found(&h, limit);
		print_allowed(&h);
		hiding_each(decided, print_entry, &h);
		printf("%llu alerts read, %llu of indicators that are not here, %llu lines that are no JSON\n",
		       (unsigned long long)h.alerts, (unsigned long long)h.other, (unsigned long long)h.broken);
	}
	free(h.count);
	free(h.allowed);
	free(h.hidden);
	return ok;
}
