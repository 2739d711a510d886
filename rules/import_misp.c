/* MISP's JSON (misp-core-format): an event, a list of events, or what its search
 * answers ({"response": […]}), attributes on their own and in objects.
 *
 * An attribute without to_ids is context, a deleted one is gone: neither is
 * matched, both are counted. ip-src and ip-dst do not narrow the direction here,
 * because producers use them loosely. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/json.h"
#include "rules/import.h"
#include "rules/json_items.h"
#include "rules/misp_map.h"

/* What the event says for all of its attributes. */
struct event {
	const char *info;
	enum tlp tlp;
	int severity;
};

static enum tlp tags_tlp(const struct json *tags)
{
	enum tlp most = TLP_UNMARKED;
	for (size_t i = 0; i < json_count(tags); i++) {
		const char *name = json_text(json_at(json_item(tags, i), "name"), NULL);
		if (!name || strncasecmp(name, "tlp:", 4) != 0)
			continue;
		enum tlp t = TLP_RED; /* a TLP that nobody knows */
		for (int k = 1; k < TLP_COUNT; k++)
			if (strcasecmp(name + 4, tlp_names[k]) == 0)
				t = (enum tlp)k;
		if (strcasecmp(name + 4, "white") == 0)
			t = TLP_CLEAR;
		most = t > most ? t : most;
	}
	return most;
}

static bool truth(const struct json *v)
{
	const char *text = json_text(v, NULL);
	return text ? strcmp(text, "1") == 0 || strcmp(text, "true") == 0 : json_bool(v, json_int(v, 0) != 0);
}

static void take_half(struct import *m, struct import_item i, enum indicator_type t, const char *value, size_t n)
{
	char endpoint[128];
	i.type = t;
	i.value = value;
	i.n = n;
	if (t == INDICATOR_IP && memchr(value, '/', n))
		i.type = INDICATOR_CIDR;
	if (t == INDICATOR_IP_PORT) { /* "address|port" */
		const char *bar = memchr(value, '|', n);
		size_t a = bar ? (size_t)(bar - value) : n;
		bool v6 = memchr(value, ':', a) != NULL;
		if (bar && n < 100)
			i.n = (size_t)snprintf(endpoint, sizeof(endpoint), v6 ? "[%.*s]:%.*s" : "%.*s:%.*s", (int)a,
					       value, (int)(n - a - 1), bar + 1);
		i.value = bar && n < 100 ? endpoint : value;
	}
	import_take(m, &i);
}

static void take_value(struct import *m, const struct import_item *i, const struct misp_type *t, const char *value,
		       size_t n)
{
	bool pair = strchr(t->name, '|') || strcmp(t->name, "malware-sample") == 0;
	const char *bar = pair ? memchr(value, '|', n) : NULL;
	if (t->first == INDICATOR_IP_PORT || !bar) {
		take_half(m, *i, t->first ? t->first : t->second, value, n);
		return;
	}
	size_t k = (size_t)(bar - value);
	if (t->first)
		take_half(m, *i, t->first, value, k);
	if (t->second)
		take_half(m, *i, t->second, bar + 1, n - k - 1);
}

static void take_attribute(struct import *m, const struct event *event, const struct json *a)
{
	struct import_item i = IMPORT_ITEM;
	size_t n = 0;
	const char *type = json_text(json_at(a, "type"), NULL), *value = json_text(json_at(a, "value"), &n);
	const char *comment = json_text(json_at(a, "comment"), NULL);
	if (!type || !value || truth(json_at(a, "deleted")) || !truth(json_at(a, "to_ids"))) {
		import_inactive(m);
		return;
	}
	const struct misp_type *t = misp_type_named(type);
	if (!t) {
		char why[160];
		snprintf(why, sizeof(why), "the type \"%.80s\" is not seen on a network", type);
		import_leave(m, "not-matched", why, value, n);
		return;
	}
	enum tlp own = tags_tlp(json_at(a, "Tag"));
	i.tlp = own > event->tlp ? own : event->tlp;
	i.severity = event->severity;
	i.id = json_text(json_at(a, "uuid"), NULL);
	i.note = comment && *comment ? comment : event->info;
	take_value(m, &i, t, value, n);
}

static void take_attributes(struct import *m, const struct event *event, const struct json *list)
{
	for (size_t i = 0; i < json_count(list); i++)
		take_attribute(m, event, json_item(list, i));
}

/* threat_level_id: 1 high, 2 medium, 3 low, 4 undefined. */
static int threat(const struct json *v)
{
	const char *text = json_text(v, NULL);
	int64_t level = text ? strtol(text, NULL, 10) : json_int(v, 0);
	return level == 1 ? SEVERITY_HIGH : level == 2 ? SEVERITY_MEDIUM : level == 3 ? SEVERITY_LOW : -1;
}

static void take_event(struct import *m, const struct json *root)
{
	const struct json *e = json_at(root, "Event") ? json_at(root, "Event") : root;
	const struct json *objects = json_at(e, "Object");
	const char *producer = json_text(json_at(e, "Orgc.name"), NULL);
	struct event event = {.info = json_text(json_at(e, "info"), NULL),
			      .tlp = tags_tlp(json_at(e, "Tag")),
			      .severity = threat(json_at(e, "threat_level_id"))};
	if (producer && !m->producer[0])
		snprintf(m->producer, sizeof(m->producer), "%s", producer);
	take_attributes(m, &event, json_at(e, "Attribute"));
	for (size_t i = 0; i < json_count(objects); i++)
		take_attributes(m, &event, json_at(json_item(objects, i), "Attribute"));
}

void import_misp(struct import *m, struct bytes text)
{
	struct json_items it;
	struct bytes item = text;
	bool list = json_items_open(&it, text.p, text.n, "response");
	if (list && !json_items_next(&it, &item))
		item.n = 0;
	for (m->line = 1; item.n; m->line++) {
		struct err e = {""};
		struct json *root = json_read(item.p, item.n, IMPORT_ITEM_MAX, &e);
		if (root)
			take_event(m, root);
		else
			import_leave(m, "bad-json", e.text, (const char *)item.p, item.n < 200 ? item.n : 200);
		json_drop(root);
		if (!list || !json_items_next(&it, &item))
			break;
	}
	if (list && it.bad)
		import_leave(m, "bad-json", "the list of events is cut short or is not JSON from here", "", 0);
}
