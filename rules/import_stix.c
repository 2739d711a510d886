/* STIX 2.1 bundles, envelopes and bare lists of objects (STIX 2.1 section 8).
 *
 * The bundle is read twice, object by object: once for who produced it and what
 * its markings mean, once for the indicators. A marking that is not in the
 * bundle and not known is the most restrictive one. An equality on a name is
 * that name alone (hostname); with LIKE '%.name' beside it, it is the domain. */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/json.h"
#include "rules/canon.h"
#include "rules/condition.h"
#include "rules/import.h"
#include "rules/json_items.h"
#include "rules/marking.h"
#include "rules/stix_pattern.h"
#include "rules/stix_term.h"

#define MARKINGS_MAX 1024
#define MARKING_ID   64

struct defined {
	char id[MARKING_ID];
	enum tlp tlp;
};

struct stix {
	struct import *m;
	struct stix_pattern pattern;
	struct defined marking[MARKINGS_MAX];
	size_t markings;
};

/* ---- markings ---- */

static enum tlp marking_tlp(const struct stix *s, const char *id)
{
	if (marking_is_tlp(id))
		return marking_tlp_of(id);
	for (size_t i = 0; i < s->markings; i++)
		if (strcmp(s->marking[i].id, id) == 0)
			return s->marking[i].tlp;
	return TLP_RED;
}

static enum tlp tlp_named(const char *name)
{
	if (strncmp(name, "TLP:", 4) == 0 || strncmp(name, "tlp:", 4) == 0)
		name += 4;
	if (strcasecmp(name, "white") == 0)
		return TLP_CLEAR;
	for (int t = 1; t < TLP_COUNT; t++)
		if (strcasecmp(name, tlp_names[t]) == 0)
			return (enum tlp)t;
	return TLP_RED; /* a TLP that nobody knows */
}

/* A statement (a licence) does not restrict; a TLP does as it says. */
static void take_marking(struct stix *s, const struct json *o)
{
	const char *id = json_text(json_at(o, "id"), NULL), *kind = json_text(json_at(o, "definition_type"), NULL);
	const char *tlp = json_text(json_at(o, "definition.tlp"), NULL);
	const char *tlp2 = json_text(
	    json_at(o, "extensions.extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d.tlp_2_0"), NULL);
	if (!id || strlen(id) >= MARKING_ID || s->markings == MARKINGS_MAX)
		return;
	struct defined *k = &s->marking[s->markings++];
	snprintf(k->id, sizeof(k->id), "%s", id);
	k->tlp = tlp2                                     ? tlp_named(tlp2)
		 : tlp                                    ? tlp_named(tlp)
		 : kind && strcmp(kind, "statement") == 0 ? TLP_UNMARKED
							  : TLP_RED;
}

static enum tlp object_tlp(const struct stix *s, const struct json *o)
{
	const struct json *refs = json_at(o, "object_marking_refs");
	enum tlp most = TLP_UNMARKED;
	for (size_t i = 0; i < json_count(refs); i++) {
		const char *id = json_text(json_item(refs, i), NULL);
		enum tlp t = id ? marking_tlp(s, id) : TLP_RED;
		most = t > most ? t : most;
	}
	return most;
}

/* ---- comparisons to indicators ---- */

/* name = 'x' with name LIKE '%.x' among the alternatives: the LIKE says both. */
static bool said_by_like(const struct stix_pattern *p, size_t k)
{
	const struct stix_compare *c = &p->list[k];
	for (size_t i = 0; i < p->n; i++) {
		const struct stix_compare *o = &p->list[i];
		if (o->op == STIX_LIKE && o->value_n == c->value_n + 2 &&
		    strcmp(stix_text(p, o->path), stix_text(p, c->path)) == 0 &&
		    memcmp(stix_text(p, o->value), "%.", 2) == 0 &&
		    memcmp(stix_text(p, o->value) + 2, stix_text(p, c->value), c->value_n) == 0)
			return true;
	}
	return false;
}

static const char *take_one(struct stix *s, struct import_item i, size_t k)
{
	const struct stix_pattern *p = &s->pattern;
	const struct stix_compare *c = &p->list[k];
	struct stix_term t;
	const char *why = stix_term_of(p, c, &t);
	if (why || (t.type == INDICATOR_HOSTNAME && c->op == STIX_EQUAL && said_by_like(p, k)))
		return why;
	i.type = t.type;
	i.where = t.where;
	i.match = t.match;
	i.value = t.value;
	i.n = t.n;
	import_take(s->m, &i);
	return NULL;
}

/* An address and its port on one side of the connection. */
struct endpoint {
	const char *address, *port; /* port: NULL = any */
	char side;                  /* 'd' or 's' */
};

/* dst_ref.type = 'ipv4-addr' AND dst_ref.value = 'a' AND dst_port = n, and the same for src. */
static bool endpoint_of(const struct stix_pattern *p, size_t from, size_t to, struct endpoint *out)
{
	*out = (struct endpoint){.side = 0};
	for (size_t k = from; k < to; k++) {
		const char *path = stix_text(p, p->list[k].path), *text = stix_text(p, p->list[k].value);
		const char *rest = strncmp(path, "network-traffic:", 16) == 0 ? path + 16 : "";
		if (p->list[k].op != STIX_EQUAL || (strncmp(rest, "dst_", 4) != 0 && strncmp(rest, "src_", 4) != 0) ||
		    (out->side && out->side != rest[0]))
			return false;
		out->side = rest[0];
		if (strcmp(rest + 4, "ref.value") == 0 && !out->address)
			out->address = text;
		else if (strcmp(rest + 4, "port") == 0 && !out->port)
			out->port = text;
		else if (strcmp(rest + 4, "ref.type") != 0)
			return false;
	}
	return out->address && strlen(out->address) <= 60 && (!out->port || strlen(out->port) <= 5) &&
	       !(out->port && strchr(out->address, '/'));
}

static void take_endpoint(struct stix *s, struct import_item i, const struct endpoint *e)
{
	char value[80];
	bool dest = e->side == 'd';
	i.type = e->port ? INDICATOR_IP_PORT : strchr(e->address, '/') ? INDICATOR_CIDR : INDICATOR_IP;
	i.where = e->port ? (dest ? "ip.endpoint.dest" : "ip.endpoint.src") : dest ? "ip.dest" : "ip.src";
	snprintf(value, sizeof(value),
		 !e->port                  ? "%s"
		 : strchr(e->address, ':') ? "[%s]:%s"
					   : "%s:%s",
		 e->address, e->port ? e->port : "");
	i.value = value;
	i.n = strlen(value);
	import_take(s->m, &i);
}

/* A group of several that is no endpoint, or what the groups cannot say: the pattern is
 * kept whole, and matched whole (rules/condition.h). */
static bool is_condition(const struct stix_pattern *p)
{
	for (size_t k = 0, end; p->flat && k < p->n; k = end) {
		struct endpoint ignored;
		for (end = k + 1; end < p->n && p->list[end].group == p->list[k].group;)
			end++;
		if (end > k + 1 && !endpoint_of(p, k, end, &ignored))
			return true;
	}
	return !p->flat;
}

static void take_condition(struct stix *s, struct import_item i, const char *text, size_t n)
{
	struct err e = {""};
	const char *part = NULL;
	if (n > CANON_MAX)
		err_set(&e, "longer than any value that can match");
	if (n > CANON_MAX || !condition_read(text, n, NULL, NULL, &part, &e)) {
		import_leave(s->m, "not-matched", e.text, text, n);
		return;
	}
	i.type = INDICATOR_STIX;
	i.value = text;
	i.n = n;
	if (import_take(s->m, &i) && part)
		import_leave(s->m, "in-part", part, text, n);
}

static void take_pattern(struct stix *s, const struct import_item *base, const char *text, size_t n)
{
	const struct stix_pattern *p = &s->pattern;
	const char *why = "";
	enum stix_result got = stix_pattern_read(&s->pattern, text, n, &why);
	if (got == STIX_BAD) {
		import_leave(s->m, "bad-pattern", why, text, n);
		return;
	}
	if (got == STIX_BEYOND) {
		import_leave(s->m, "not-matched", why, text, n);
		return;
	}
	if (is_condition(p)) {
		take_condition(s, *base, text, n);
		return;
	}
	const char *failed = NULL;
	for (size_t k = 0, end; k < p->n; k = end) {
		for (end = k + 1; end < p->n && p->list[end].group == p->list[k].group;)
			end++;
		struct endpoint endpoint;
		why = NULL;
		if (end == k + 1)
			why = take_one(s, *base, k);
		else if (endpoint_of(p, k, end, &endpoint))
			take_endpoint(s, *base, &endpoint);
		failed = why ? why : failed;
	}
	if (failed)
		import_leave(s->m, "not-matched", failed, text, n);
}

/* ---- objects ---- */

static int64_t time_at(const struct json *o, const char *key)
{
	const char *text = json_text(json_at(o, key), NULL);
	int64_t us = 0;
	return text && clock_parse(text, &us) ? us : 0;
}

static void put_labels(const struct json *list, struct buf *out)
{
	for (size_t i = 0; i < json_count(list); i++) {
		const char *text = json_text(json_item(list, i), NULL);
		if (text && *text && !strchr(text, ',') && out->n + strlen(text) < 500)
			buf_printf(out, "%s%s", out->n ? "," : "", text);
	}
}

static void take_indicator(struct stix *s, const struct json *o)
{
	struct import_item i = IMPORT_ITEM;
	struct buf labels = {0}, note = {0};
	size_t n = 0;
	const char *pattern = json_text(json_at(o, "pattern"), &n), *kind = json_text(json_at(o, "pattern_type"), NULL);
	const char *name = json_text(json_at(o, "name"), NULL);
	const char *description = json_text(json_at(o, "description"), NULL);
	if (!pattern || (kind && strcmp(kind, "stix") != 0)) {
		import_leave(s->m, "not-matched", "a pattern of another language than STIX", pattern ? pattern : "",
			     pattern ? n : 0);
		return;
	}
	if (json_bool(json_at(o, "revoked"), false)) {
		import_inactive(s->m);
		return;
	}
	put_labels(json_at(o, "indicator_types"), &labels);
	put_labels(json_at(o, "labels"), &labels);
	buf_u8(&labels, 0);
	buf_printf(&note, "%s%s%s", name ? name : "", name && description ? ": " : "", description ? description : "");
	buf_u8(&note, 0);
	i.id = json_text(json_at(o, "id"), NULL);
	i.labels = (const char *)labels.p;
	i.note = (const char *)note.p;
	i.ref = json_text(json_at(json_item(json_at(o, "external_references"), 0), "url"), NULL);
	i.tlp = object_tlp(s, o);
	i.confidence = (int)json_int(json_at(o, "confidence"), -1);
	i.valid_from_us = time_at(o, "valid_from");
	i.valid_until_us = time_at(o, "valid_until");
	take_pattern(s, &i, pattern, n);
	buf_free(&labels);
	buf_free(&note);
}

/* First reading: names and markings. Objects that hold a pattern are left for the second. */
static void take_context(struct stix *s, const struct json *o, const char *type)
{
	const char *name = json_text(json_at(o, "name"), NULL);
	if (strcmp(type, "marking-definition") == 0)
		take_marking(s, o);
	else if (strcmp(type, "identity") == 0 && name && !s->m->producer[0])
		snprintf(s->m->producer, sizeof(s->m->producer), "%s", name);
}

static void take_object(struct stix *s, const struct json *o, const char *type, bool first)
{
	if (first)
		take_context(s, o, type);
	else if (strcmp(type, "indicator") == 0)
		take_indicator(s, o);
}

static void read_objects(struct stix *s, struct bytes text, bool first)
{
	static const char pattern[] = "\"pattern\"";
	struct json_items it;
	struct bytes item;
	if (!json_items_open(&it, text.p, text.n, "objects")) {
		item = text;
		it = (struct json_items){0};
	} else if (!json_items_next(&it, &item)) {
		item.n = 0;
	}
	for (s->m->line = 1; item.n; s->m->line++) {
		bool has_pattern = memmem(item.p, item.n, pattern, sizeof(pattern) - 1) != NULL;
		struct err e = {""};
		if (has_pattern != first) {
			struct json *o = json_read(item.p, item.n, IMPORT_ITEM_MAX, &e);
			const char *type = json_text(json_at(o, "type"), NULL);
			if (type)
				take_object(s, o, type, first);
			else if (!first || !o)
				import_leave(s->m, "bad-object", o ? "an object without a type" : e.text,
					     (const char *)item.p, item.n < 200 ? item.n : 200);
			json_drop(o);
		}
		if (!json_items_next(&it, &item))
			break;
	}
	if (it.bad && first)
		import_leave(s->m, "bad-json", "the list of objects is cut short or is not JSON from here", "", 0);
}

void import_stix(struct import *m, struct bytes text)
{
	struct stix s = {.m = m};
	read_objects(&s, text, true);
	read_objects(&s, text, false);
	stix_pattern_free(&s.pattern);
}
