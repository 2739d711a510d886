/* MISP's JSON (misp-core-format): an event for each set, an attribute for each indicator.
 *
 * UUIDs are those of the indicators' ids where these are UUIDs or STIX ids, else made from type and
 * value, so the same set is the same event wherever it is written, and MISP updates instead of
 * doubling. What has ended is written without to_ids: MISP has no end for an attribute, and would match
 * it for ever. distribution is 0, "your organisation only": whoever takes the event decides anew. */
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "rules/canon.h"
#include "rules/export.h"
#include "rules/misp_map.h"

static void put_uuid(struct json *in, const char *kind, const char *name)
{
	struct buf whole = {0};
	char uuid[INDICATOR_ID_LEN];
	buf_printf(&whole, "misp-%s|%s", kind, name);
	buf_u8(&whole, 0);
	json_put_text(in, "uuid", indicator_make_id(INDICATOR_NONE, (const char *)whole.p, uuid));
	buf_free(&whole);
}

static void put_seconds(struct json *in, const char *key, int64_t us)
{
	char text[24];
	snprintf(text, sizeof(text), "%lld", (long long)(us / 1000000));
	json_put_text(in, key, text);
}

static void put_tag(struct json *in, enum tlp t)
{
	char name[32];
	struct json *list = json_list(), *tag = json_map();
	if (!t) {
		json_drop(list);
		json_drop(tag);
		return;
	}
	snprintf(name, sizeof(name), "tlp:%s", tlp_names[t]);
	json_put_text(tag, "name", name);
	json_put(list, NULL, tag);
	json_put(in, "Tag", list);
}

static bool is_uuid(const char *text)
{
	for (size_t i = 0; i < 36; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? text[i] != '-'
							    : !strchr("0123456789abcdef", text[i]) || !text[i])
			return false;
	return !text[36];
}

static void put_attribute_uuid(struct json *a, const struct indicator *i)
{
	const char *dashes = strstr(i->id, "--"), *id = dashes ? dashes + 2 : i->id;
	char made[INDICATOR_ID_LEN];
	json_put_text(a, "uuid", is_uuid(id) ? id : indicator_make_id(i->type, i->value, made));
}

/* "address|port", the rest as it was written. */
static void put_value(struct json *a, const struct indicator *i)
{
	struct canon c;
	char value[96], address[ADDR_TEXT_LEN];
	if (i->type != INDICATOR_IP_PORT || !canon_rule(i->type, i->value, strlen(i->value), &c, NULL)) {
		json_put_text(a, "value", i->value);
		return;
	}
	struct addr at = addr_v6(c.key);
	snprintf(value, sizeof(value), "%s|%u", addr_format(&at, address), (unsigned)c.key[16] << 8 | c.key[17]);
	json_put_text(a, "value", value);
}

/* NULL, or why MISP cannot say it. */
static const char *unsaid(const struct indicator *i)
{
	if (!misp_type_written(i->type))
		return "types that MISP has not";
	if (i->where)
		return "limited to a place (where), which MISP would ignore";
	if (i->match == MATCH_PREFIX)
		return "match: prefix; MISP compares whole URLs";
	if (i->type == INDICATOR_URL && !strstr(i->value, "://"))
		return "URLs without a scheme, which stand for two";
	return NULL;
}

static void put_attribute(struct export *x, const struct indicator *i, const struct indicator_set *s, bool first)
{
	const struct misp_type *t = misp_type_written(i->type);
	int64_t from_us = i->valid_from_us ? i->valid_from_us : x->now_us;
	struct json *a = json_map();
	struct buf text = {0};
	put_attribute_uuid(a, i);
	json_put_text(a, "type", t->name);
	json_put_text(a, "category", t->category);
	put_value(a, i);
	json_put_bool(a, "to_ids", !i->valid_until_us || i->valid_until_us > x->now_us);
	json_put_text(a, "comment", i->note ? i->note : "");
	put_seconds(a, "timestamp", from_us < x->now_us ? from_us : x->now_us);
	json_put_text(a, "distribution", "5"); /* as the event */
	put_tag(a, i->tlp != s->tlp ? i->tlp : TLP_UNMARKED);
	json_write(a, &text);
	fprintf(x->out, "%s%.*s", first ? "" : ",\n", (int)text.n, (const char *)text.p);
	buf_free(&text);
	json_drop(a);
}

/* MISP's levels: 1 high, 2 medium, 3 low. */
static const char *threat_level(const struct ruleset *r, const char *set)
{
	enum severity most = SEVERITY_LOW;
	for (ruleset_ref k = 0; k < ruleset_count(r, INDICATOR_NONE); k++) {
		struct ruleset_room room;
		struct indicator i = ruleset_indicator_in(r, k, &room);
		if (i.severity > most && strcmp(ruleset_set(r, k).id, set) == 0)
			most = i.severity;
	}
	return most >= SEVERITY_HIGH ? "1" : most == SEVERITY_MEDIUM ? "2" : "3";
}

/* The event but for its attributes, without the closing brackets. */
static void open_event(struct export *x, const struct indicator_set *s)
{
	struct json *e = json_map(), *by = json_map();
	struct buf text = {0};
	char day[CLOCK_TEXT_LEN];
	const char *producer = s->producer ? s->producer : s->id;
	clock_format(x->now_us, day);
	day[10] = '\0';
	put_uuid(e, "event", s->id);
	json_put_text(e, "info", s->title ? s->title : s->id);
	json_put_text(e, "date", day);
	put_seconds(e, "timestamp", x->now_us);
	json_put_text(e, "threat_level_id", threat_level(x->r, s->id));
	json_put_text(e, "analysis", "2");
	json_put_text(e, "distribution", "0");
	json_put_bool(e, "published", false);
	json_put_text(by, "name", producer);
	put_uuid(by, "organisation", producer);
	json_put(e, "Orgc", by);
	put_tag(e, s->tlp);
	json_write(e, &text);
	fprintf(x->out, "{\"Event\":%.*s,\"Attribute\":[\n", (int)text.n - 1, (const char *)text.p);
	buf_free(&text);
	json_drop(e);
}

static void put_event(struct export *x, const struct indicator_set *s)
{
	bool first = true;
	open_event(x, s);
	for (ruleset_ref k = 0; k < ruleset_count(x->r, INDICATOR_NONE); k++) {
		struct ruleset_room room;
		struct indicator i = ruleset_indicator_in(x->r, k, &room);
		if (strcmp(ruleset_set(x->r, k).id, s->id) != 0)
			continue;
		const char *why = unsaid(&i);
		if (why) {
			export_leave(x, why);
			continue;
		}
		put_attribute(x, &i, s, first);
		first = false;
		x->written++;
	}
	fputs("\n]}}", x->out);
}

/* One set is an event, several are what MISP's search answers. */
void export_misp(struct export *x)
{
	size_t n = ruleset_set_count(x->r);
	fputs(n == 1 ? "" : "{\"response\":[", x->out);
	for (size_t i = 0; i < n; i++) {
		struct indicator_set s = ruleset_set_at(x->r, i);
		fputs(i ? ",\n" : "", x->out);
		put_event(x, &s);
	}
	fputs(n == 1 ? "\n" : "]}\n", x->out);
	for (size_t k = 0; k < ruleset_allow_count(x->r); k++)
		export_leave(x, "allow entries: this format has none");
}
