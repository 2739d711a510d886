/* A STIX 2.1 bundle: identities of the producers, TLP 2.0 markings, indicators.
 *
 * Ids are UUIDv5 in Picket's namespace over producer, type and pattern, so the
 * same set gives the same ids wherever it is written; STIX keeps its own
 * namespace for observables (section 2.9). An author's id that is a STIX id
 * stays. */
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "common/clock.h"
#include "common/json.h"
#include "rules/canon.h"
#include "rules/export.h"
#include "rules/marking.h"
#include "rules/stix_map.h"

#define TLP_EXTENSION "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
#define TLP_CREATED   "2022-10-01T00:00:00.000Z"
#define STIX_TIME_LEN 25
#define STIX_ID_LEN   64

/* Milliseconds: STIX wants created and modified so. */
static const char *stix_time(int64_t us, char out[static STIX_TIME_LEN])
{
	char text[CLOCK_TEXT_LEN];
	clock_format(us, text);
	memcpy(out, text, 23);
	memcpy(out + 23, "Z", 2);
	return out;
}

static const char *stix_id(const char *kind, enum indicator_type t, const char *name, char out[static STIX_ID_LEN])
{
	char uuid[INDICATOR_ID_LEN];
	snprintf(out, STIX_ID_LEN, "%s--%s", kind, indicator_make_id(t, name, uuid));
	return out;
}

static const char *identity_id(const char *producer, char out[static STIX_ID_LEN])
{
	struct buf name = {0};
	buf_printf(&name, "identity|%s", producer);
	buf_u8(&name, 0);
	stix_id("identity", INDICATOR_NONE, (const char *)name.p, out);
	buf_free(&name);
	return out;
}

static const char *producer_of(const struct indicator_set *s)
{
	return s->producer ? s->producer : s->id;
}

static void put_object(struct export *x, struct json *o, bool first)
{
	struct buf text = {0};
	json_write(o, &text);
	fprintf(x->out, "%s%.*s", first ? "" : ",\n", (int)text.n, (const char *)text.p);
	buf_free(&text);
	json_drop(o);
}

static struct json *object(const char *type, const char *id, const char *created, bool modified)
{
	struct json *o = json_map();
	json_put_text(o, "type", type);
	json_put_text(o, "spec_version", "2.1");
	json_put_text(o, "id", id);
	json_put_text(o, "created", created);
	if (modified)
		json_put_text(o, "modified", created);
	return o;
}

/* ---- patterns ---- */

static void put_string(struct buf *b, const char *text, size_t n)
{
	buf_u8(b, '\'');
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\'' || text[i] == '\\')
			buf_u8(b, '\\');
		buf_u8(b, (uint8_t)text[i]);
	}
	buf_u8(b, '\'');
}

static void put_compare(struct buf *b, const char *path, const char *op, const char *before, const char *text,
			const char *after)
{
	struct buf value = {0};
	buf_printf(&value, "%s%s%s", before, text, after);
	buf_printf(b, "%s %s ", path, op);
	put_string(b, (const char *)value.p, value.n);
	buf_free(&value);
}

static void put_side(struct buf *b, const char *side, const char *kind, const char *address, unsigned port)
{
	buf_printf(b,
		   "network-traffic:%s_ref.type = '%s' AND network-traffic:%s_ref.value = '%s' AND "
		   "network-traffic:%s_port = %u",
		   side, kind, side, address, side, port);
}

static const char *put_endpoint(struct buf *b, const struct indicator *i, const struct canon *c)
{
	struct addr a = addr_v6(c->key);
	char text[ADDR_TEXT_LEN];
	unsigned port = (unsigned)c->key[16] << 8 | c->key[17];
	const char *kind = addr_is_v4(&a) ? "ipv4-addr" : "ipv6-addr";
	bool dest = i->where && strcmp(i->where, "ip.endpoint.dest") == 0;
	bool src = i->where && strcmp(i->where, "ip.endpoint.src") == 0;
	if (i->where && !dest && !src)
		return "limited to a place (where) that STIX cannot name";
	addr_format(&a, text);
	if (dest || src) {
		put_side(b, dest ? "dst" : "src", kind, text, port);
		return NULL;
	}
	buf_u8(b, '(');
	put_side(b, "dst", kind, text, port);
	buf_printf(b, ") OR (");
	put_side(b, "src", kind, text, port);
	buf_u8(b, ')');
	return NULL;
}

static const char *put_url(struct buf *b, const struct indicator *i, const char *path)
{
	bool scheme = strstr(i->value, "://") != NULL, prefix = i->match == MATCH_PREFIX;
	const char *bare = strncmp(i->value, "//", 2) == 0 ? i->value + 2 : i->value, *op = prefix ? "LIKE" : "=";
	if (prefix && i->value[strcspn(i->value, "%_")])
		return "match: prefix with % or _ in it, which LIKE takes for wildcards";
	put_compare(b, path, op, scheme ? "" : "http://", scheme ? i->value : bare, prefix ? "%" : "");
	if (!scheme) {
		buf_printf(b, " OR ");
		put_compare(b, path, op, "https://", bare, prefix ? "%" : "");
	}
	return NULL;
}

static void put_bytes(struct buf *b, const struct canon *c)
{
	struct buf regex = {0};
	for (size_t k = 0; k < c->n; k++)
		buf_printf(&regex, "\\x%02x", c->key[k]);
	buf_printf(b, "artifact:payload_bin MATCHES ");
	put_string(b, (const char *)regex.p, regex.n);
	buf_free(&regex);
}

/* NULL, or why STIX cannot say it. */
static const char *put_expression(struct buf *b, const struct indicator *i)
{
	struct canon c;
	if (!canon_rule(i->type, i->value, strlen(i->value), &c, NULL))
		return "values that cannot be read again";
	bool v6 = i->type == INDICATOR_IP || i->type == INDICATOR_CIDR ? strchr(i->value, ':') != NULL : false;
	const char *path = stix_path_of(i->type, i->where, v6);
	if (i->type == INDICATOR_IP_PORT)
		return put_endpoint(b, i, &c);
	if (!path)
		return i->where ? "limited to a place (where) that STIX cannot name" : "types that STIX cannot name";
	if (i->type == INDICATOR_URL)
		return put_url(b, i, path);
	if (i->type == INDICATOR_PAYLOAD_HEX)
		put_bytes(b, &c);
	else if (i->type == INDICATOR_PAYLOAD)
		put_compare(b, path, "MATCHES", "", i->value, "");
	else if (i->type == INDICATOR_CIDR)
		put_compare(b, path, "ISSUBSET", "", i->value, "");
	else
		put_compare(b, path, "=", "", i->value, "");
	if (i->type == INDICATOR_DOMAIN) {
		buf_printf(b, " OR ");
		put_compare(b, path, "LIKE", "%.", i->value, "");
	}
	return NULL;
}

/* The whole with its end; so for those that are STIX patterns already. */
static const char *put_pattern(struct buf *b, const struct indicator *i)
{
	const char *why = NULL;
	b->n = 0;
	if (i->type == INDICATOR_STIX) {
		buf_add(b, i->value, strlen(i->value) + 1);
		return NULL;
	}
	buf_u8(b, '[');
	why = put_expression(b, i);
	buf_add(b, "]", 2);
	return why;
}

/* ---- objects ---- */

static void put_labels(struct json *o, const char *labels)
{
	struct json *list = json_list();
	for (const char *p = labels; *p;) {
		size_t n = strcspn(p, ",");
		if (n)
			json_put_bytes(list, NULL, p, n, n);
		p += n + (p[n] == ',');
	}
	json_put(o, "labels", list);
}

static struct json *indicator_object(const struct indicator *i, const struct indicator_set *s, int64_t now_us,
				     const char *pattern)
{
	char id[STIX_ID_LEN], time[STIX_TIME_LEN], other[STIX_ID_LEN];
	struct buf name = {0};
	bool own_id = strncmp(i->id, "indicator--", 11) == 0 && strlen(i->id) == 47;
	buf_printf(&name, "%s|%s", producer_of(s), pattern);
	buf_u8(&name, 0);
	stix_time(i->valid_from_us ? i->valid_from_us : now_us, time);
	struct json *o = object("indicator", own_id ? i->id : stix_id("indicator", i->type, (const char *)name.p, id),
				time, true);
	json_put_text(o, "created_by_ref", identity_id(producer_of(s), other));
	json_put_text(o, "name", i->value);
	json_put_text(o, "description", i->note);
	json_put(o, "indicator_types", json_list());
	json_put_text(json_below(o, "indicator_types"), NULL, "malicious-activity");
	json_put_text(o, "pattern", pattern);
	json_put_text(o, "pattern_type", "stix");
	json_put_text(o, "pattern_version", "2.1");
	json_put_text(o, "valid_from", time);
	if (i->valid_until_us > (i->valid_from_us ? i->valid_from_us : now_us))
		json_put_text(o, "valid_until", stix_time(i->valid_until_us, time));
	json_put_int(o, "confidence", i->confidence);
	if (i->labels)
		put_labels(o, i->labels);
	if (i->ref) {
		struct json *list = json_list(), *ref = json_map();
		json_put_text(ref, "source_name", producer_of(s));
		json_put_text(ref, "url", i->ref);
		json_put(list, NULL, ref);
		json_put(o, "external_references", list);
	}
	if (i->tlp) {
		json_put(o, "object_marking_refs", json_list());
		json_put_text(json_below(o, "object_marking_refs"), NULL, marking_tlp_id(i->tlp));
	}
	buf_free(&name);
	return o;
}

struct json *export_stix_indicator(const struct indicator *i, const struct indicator_set *s, int64_t now_us,
				   const char **why)
{
	struct buf pattern = {0};
	*why = put_pattern(&pattern, i);
	struct json *o = *why ? NULL : indicator_object(i, s, now_us, (const char *)pattern.p);
	buf_free(&pattern);
	return o;
}

static void put_marking(struct export *x, enum tlp t)
{
	char name[32];
	struct json *o = object("marking-definition", marking_tlp_id(t), TLP_CREATED, false), *all = json_map(),
		    *one = json_map();
	snprintf(name, sizeof(name), "TLP:%s", tlp_names[t]);
	for (char *c = name; *c; c++)
		*c = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
	json_put_text(o, "name", name);
	json_put_text(one, "extension_type", "property-extension");
	json_put_text(one, "tlp_2_0", tlp_names[t]);
	json_put(all, TLP_EXTENSION, one);
	json_put(o, "extensions", all);
	put_object(x, o, false);
}

static void put_identities(struct export *x, int64_t when_us)
{
	char id[STIX_ID_LEN], time[STIX_TIME_LEN];
	for (size_t k = 0; k < ruleset_set_count(x->r); k++) {
		struct indicator_set s = ruleset_set_at(x->r, k);
		bool told = false;
		for (size_t j = 0; j < k; j++) {
			struct indicator_set before = ruleset_set_at(x->r, j);
			told = told || strcmp(producer_of(&before), producer_of(&s)) == 0;
		}
		if (told)
			continue;
		struct json *o = object("identity", identity_id(producer_of(&s), id), stix_time(when_us, time), true);
		json_put_text(o, "name", producer_of(&s));
		json_put_text(o, "identity_class", "organization");
		put_object(x, o, k == 0);
	}
}

void export_stix(struct export *x)
{
	char id[STIX_ID_LEN];
	bool used[TLP_COUNT] = {false};
	fprintf(x->out, "{\"type\":\"bundle\",\"id\":\"%s\",\"objects\":[\n",
		stix_id("bundle", INDICATOR_NONE, ruleset_digest(x->r), id));
	put_identities(x, x->now_us);
	for (ruleset_ref k = 0; k < ruleset_count(x->r, INDICATOR_NONE); k++)
		used[ruleset_indicator(x->r, k).tlp] = true;
	for (int t = TLP_CLEAR; t < TLP_COUNT; t++)
		if (used[t])
			put_marking(x, (enum tlp)t);
	for (ruleset_ref k = 0; k < ruleset_count(x->r, INDICATOR_NONE); k++) {
		struct ruleset_room room;
		struct indicator i = ruleset_indicator_in(x->r, k, &room);
		struct indicator_set s = ruleset_set(x->r, k);
		const char *why;
		struct json *o = export_stix_indicator(&i, &s, x->now_us, &why);
		if (o)
			put_object(x, o, false);
		else
			export_leave(x, why);
		x->written += o != NULL;
	}
	for (size_t k = 0; k < ruleset_allow_count(x->r); k++)
		export_leave(x, "allow entries: this format has none");
	fputs("\n]}\n", x->out);
}
