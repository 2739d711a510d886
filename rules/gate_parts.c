#include "rules/gate_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "rules/gate_fields.h"

#define DEPTH_MAX    32
#define NODES_MAX    50000
#define REPEATED_MIN 4 /* shorter texts repeat by chance */
#define UUID_LEN     36

enum gate_verdict gate_deny(struct gate *g, enum gate_why why, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	g->why->why = why;
	vsnprintf(g->why->detail, sizeof(g->why->detail), fmt, ap);
	va_end(ap);
	return GATE_DENIED;
}

/* ---- the places of what may not go ---- */

static void cut_add(struct gate *g, const char *selector)
{
	if (g->cut_n == g->cut_cap) {
		g->cut_cap = g->cut_cap ? 2 * g->cut_cap : 16;
		g->cut = xrealloc(g->cut, g->cut_cap * sizeof(*g->cut));
	}
	g->cut[g->cut_n++] = xstrdup(selector);
}

static int cut_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void cut_sort(struct gate *g)
{
	if (g->cut_n)
		qsort(g->cut, g->cut_n, sizeof(*g->cut), cut_order);
}

/* Among the first n, which are sorted. */
static bool cut_has(const struct gate *g, size_t n, const char *selector)
{
	return n && bsearch(&selector, g->cut, n, sizeof(*g->cut), cut_order);
}

/* For the reason that operators see. */
static void tell_cut(struct gate *g, const char *selector)
{
	struct gate_reason *w = g->why;
	size_t n = strlen(w->cut), len = strlen(selector);
	char clean[200];
	w->cut_n++;
	if (len > 60 || n + 3 * len + 8 > sizeof(w->cut)) {
		if (n + 5 < sizeof(w->cut) && (n < 3 || strcmp(w->cut + n - 3, "…") != 0))
			strcpy(w->cut + n, n ? ",…" : "…");
		return;
	}
	snprintf(w->cut + n, sizeof(w->cut) - n, "%s%s", n ? "," : "", text_clean(clean, sizeof(clean), selector, len));
}

/* Goes down the tree with its path. */
struct walk {
	struct gate *g;
	const char *key; /* the property whose value or list entry this is */
	size_t sorted;   /* how many of the cuts stood before this pass */
	size_t left;     /* members of the container at hand that may go */
};

/* part is a property's name or "[3]". */
static bool path_push(struct gate *g, const char *part, size_t *was)
{
	*was = g->path_n;
	int n = snprintf(g->path + g->path_n, sizeof(g->path) - g->path_n, "%s%s", g->path_n ? "." : "", part);
	if (n < 0 || (size_t)n >= sizeof(g->path) - g->path_n) {
		g->path[*was] = '\0';
		return false;
	}
	g->path_n += (size_t)n;
	return true;
}

static void path_pop(struct gate *g, size_t was)
{
	g->path_n = was;
	g->path[was] = '\0';
}

static bool may_refer(const struct gate *g, const char *id)
{
	return strcmp(id, g->id) == 0 || marking_is_tlp(id) || (g->refs && g->refs->may(g->refs->arg, id));
}

bool gate_ref_key(const char *key)
{
	size_t n = strlen(key);
	return (n >= 4 && strcmp(key + n - 4, "_ref") == 0) || (n >= 5 && strcmp(key + n - 5, "_refs") == 0);
}

/* Markings are judged by themselves: an object whose markings are not known to
 * us or are too strict does not get here. */
bool gate_marking_ref_key(const char *key)
{
	return strcmp(key, "object_marking_refs") == 0 || strcmp(key, "marking_ref") == 0;
}

/* Whether a text names, anywhere in it, an object that they may not know of. */
static bool names_forbidden(const struct gate *g, const char *text, size_t n)
{
	static const char name[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	char id[SHARED_ID_MAX + 1];
	if (strlen(text) != n)
		return true;
	for (const char *p = text; (p = strstr(p, "--")) != NULL; p += 2) {
		const char *from = p;
		while (from > text && strchr(name, from[-1]))
			from--;
		size_t len = (size_t)(p - from) + 2 + UUID_LEN;
		if (from == p || (size_t)(text + n - from) < len || len > SHARED_ID_MAX)
			continue;
		memcpy(id, from, len);
		id[len] = '\0';
		text_lower(id, id, len);
		if (shared_id_valid(id) && !may_refer(g, id))
			return true;
	}
	return false;
}

/* The whole of a policy's rules for a property at the top. */
static bool field_dropped(const struct gate *g, const char *key)
{
	char full[600];
	snprintf(full, sizeof(full), "%s.%s", g->type, key);
	return policy_lists(&g->p->release.drop, key) || policy_lists(&g->p->release.drop, full);
}

static bool word_in(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = list + strspn(list, " "); *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");
		if (len == n && memcmp(p, word, n) == 0)
			return true;
		p += len;
	}
	return false;
}

/* "indicator: pattern valid_from": nothing else of an indicator. */
static bool field_chosen(const struct gate *g, const char *key)
{
	const struct conf_list *fields = &g->p->release.fields;
	size_t n = strlen(g->type);
	for (size_t i = 0; i < fields->n; i++)
		if (strncmp(fields->v[i], g->type, n) == 0 && fields->v[i][n] == ':')
			return word_in(fields->v[i] + n + 1, key);
	return true;
}

/* Properties that carry the rules themselves; they are no content to choose. */
static bool always(const char *type, const char *key)
{
	return fields_required(type, key) ||
	       word_in("spec_version object_marking_refs granular_markings revoked extensions", key);
}

static bool victim_field(const struct gate *g, const char *key)
{
	return strcmp(g->type, "sighting") == 0 && !g->p->release.victim_detail &&
	       word_in("where_sighted_refs observed_data_refs description external_references", key);
}

static bool top_passes(const struct gate *g, const char *key)
{
	if (word_in("object_marking_refs granular_markings", key))
		return true; /* what restricts goes along */
	if (field_dropped(g, key) || victim_field(g, key))
		return false;
	if (!fields_known(g->type, key))
		return policy_lists(&g->p->release.custom, key);
	return always(g->type, key) || field_chosen(g, key);
}

/* A map where STIX has none could hold anything. */
static bool shape_passes(const struct gate *g, const struct json *v)
{
	bool custom = !fields_known(g->type, g->top);
	bool map = json_kind(v) == JSON_KIND_MAP;
	return !map || custom || fields_holds_maps(g->top);
}

static bool extension_passes(const struct gate *g, const char *key)
{
	return strcmp(key, SHARED_EXTENSION) != 0 &&
	       (fields_extension_known(key) || policy_lists(&g->p->release.custom, key));
}

static bool key_passes(const struct gate *g, const char *key)
{
	if (!*key || strpbrk(key, ".[") || strlen(key) > 250)
		return false; /* no selector could name it, so no marking could have covered it */
	if (g->depth == 1)
		return top_passes(g, key);
	if (g->depth == 2 && strcmp(g->top, "extensions") == 0)
		return extension_passes(g, key);
	return fields_member_known(g->top, key);
}

static bool judge_part(struct walk *w, const char *part, const char *key, const struct json *v);

static void judge_member(void *owner, const char *key, const struct json *v)
{
	struct walk *w = owner;
	w->left += judge_part(w, key, key, v);
}

static const char *entry_part(size_t i, char out[static 24])
{
	snprintf(out, 24, "[%zu]", i);
	return out;
}

/* A list or a map of which nothing may go does not go: STIX knows no empty ones. */
static bool judge_container(struct walk *w, const char *key, const struct json *v)
{
	struct walk below = {.g = w->g, .key = key, .sorted = w->sorted};
	char part[24];
	json_each(v, judge_member, &below);
	for (size_t i = 0; json_kind(v) == JSON_KIND_LIST && i < json_count(v); i++)
		below.left += judge_part(&below, entry_part(i, part), key, json_item(v, i));
	return below.left || !json_count(v);
}

static bool judge_text(const struct gate *g, const char *key, const struct json *v)
{
	size_t n;
	const char *text = json_text(v, &n);
	if (!text || gate_marking_ref_key(key) || (g->depth == 1 && strcmp(key, "id") == 0))
		return true;
	if (gate_ref_key(key) && (strlen(text) != n || !may_refer(g, text)))
		return false;
	return !names_forbidden(g, text, n);
}

static bool judge_value(struct walk *w, const char *part, const char *key, const struct json *v)
{
	struct gate *g = w->g;
	enum json_kind kind = json_kind(v);
	bool goes = !cut_has(g, w->sorted, g->path) && (*part == '[' || key_passes(g, key)) && shape_passes(g, v);
	if (goes && g->depth == 1 && strcmp(key, "granular_markings") == 0)
		return true; /* written anew at the end */
	if (goes && (kind == JSON_KIND_MAP || kind == JSON_KIND_LIST))
		return judge_container(w, key, v);
	goes = goes && judge_text(g, key, v);
	if (!goes && strcmp(key, SHARED_EXTENSION) != 0)
		tell_cut(g, g->path);
	return goes;
}

/* Whether this part may go; if not, its place is noted. */
static bool judge_part(struct walk *w, const char *part, const char *key, const struct json *v)
{
	struct gate *g = w->g;
	size_t was;
	if (g->nodes++ > NODES_MAX || g->depth >= DEPTH_MAX || !path_push(g, part, &was)) {
		g->broken = true;
		return false;
	}
	if (g->depth++ == 0)
		g->top = key;
	bool goes = judge_value(w, part, key, v);
	g->depth--;
	if (!goes)
		cut_add(g, g->path);
	path_pop(g, was);
	return goes;
}

enum gate_verdict gate_judge_parts(struct gate *g)
{
	cut_sort(g);
	struct walk w = {.g = g, .sorted = g->cut_n};
	json_each(g->o->stix, judge_member, &w);
	cut_sort(g);
	return g->broken ? gate_deny(g, GATE_SHAPE, "it has too many parts, or too deep ones") : GATE_RELEASED;
}

/* ---- granular markings ---- */

static void keep_text(struct gate *g, const struct json *v);

static void keep_member(void *owner, const char *key, const struct json *v)
{
	(void)key;
	keep_text(owner, v);
}

/* All texts below a part that is cut. */
static void keep_text(struct gate *g, const struct json *v)
{
	size_t n;
	const char *text = json_text(v, &n);
	if (text && n >= REPEATED_MIN) {
		buf_u32(&g->texts, (uint32_t)n);
		size_t at = g->texts.n;
		buf_add(&g->texts, text, n);
		text_lower((char *)g->texts.p + at, text, n);
	}
	json_each(v, keep_member, g);
	for (size_t i = 0; json_kind(v) == JSON_KIND_LIST && i < json_count(v); i++)
		keep_text(g, json_item(v, i));
}

static bool judge_selectors(struct gate *g, const struct json *selectors, bool passes, size_t *total)
{
	if (json_kind(selectors) != JSON_KIND_LIST || !json_count(selectors))
		return false;
	for (size_t i = 0; i < json_count(selectors); i++) {
		size_t n;
		const char *selector = json_text(json_item(selectors, i), &n);
		const struct json *part = selector && strlen(selector) == n ? marking_select(g->o->stix, selector)
									    : NULL;
		if (!part || ++*total > MARKING_SELECTORS_MAX)
			return false;
		if (passes)
			continue;
		cut_add(g, selector);
		keep_text(g, part);
	}
	return true;
}

enum gate_verdict gate_judge_granular(struct gate *g)
{
	const struct json *list = json_at(g->o->stix, "granular_markings");
	size_t total = 0;
	if (list && (json_kind(list) != JSON_KIND_LIST || json_count(list) > MARKING_GRANULAR_MAX))
		return gate_deny(g, GATE_SELECTOR, "granular_markings is not a list of at most %d",
				 MARKING_GRANULAR_MAX);
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *entry = json_item(list, i);
		const char *ref = json_text(json_at(entry, "marking_ref"), NULL);
		const char *lang = json_text(json_at(entry, "lang"), NULL);
		bool passes = lang || (ref && g->passes(g, marking_of(g->p->all->book, ref, g->o->from)));
		if (!ref == !lang || !judge_selectors(g, json_at(entry, "selectors"), passes, &total))
			return gate_deny(g, GATE_SELECTOR,
					 "granular_markings, entry %zu: a selector that selects nothing, "
					 "or not one of marking_ref and lang",
					 i);
	}
	return GATE_RELEASED;
}

/* The selector as it is in the new tree; false when its part is gone. */
static bool selector_moved(const struct gate *g, const char *selector, struct buf *out)
{
	char prefix[MARKING_SELECTOR_LEN + 32];
	size_t n = 0;
	out->n = 0;
	for (const char *p = selector;; p++) {
		size_t len = strcspn(p, "."), index, gone = 0, parent = n;
		n += (size_t)snprintf(prefix + n, sizeof(prefix) - n, "%s%.*s", n ? "." : "", (int)len, p);
		if (cut_has(g, g->cut_n, prefix))
			return false;
		if (*p == '[' && sscanf(p, "[%zu]", &index) == 1) {
			for (size_t k = 0; k < index; k++) {
				snprintf(prefix + parent, sizeof(prefix) - parent, ".[%zu]", k);
				gone += cut_has(g, g->cut_n, prefix);
			}
			n = parent + (size_t)snprintf(prefix + parent, sizeof(prefix) - parent, ".[%zu]", index);
			buf_printf(out, ".[%zu]", index - gone);
		} else {
			buf_printf(out, "%s%.*s", out->n ? "." : "", (int)len, p);
		}
		p += len;
		if (!*p)
			return true;
	}
}

static struct json *entry_moved(const struct gate *g, const struct json *entry)
{
	const struct json *selectors = json_at(entry, "selectors");
	const char *ref = json_text(json_at(entry, "marking_ref"), NULL);
	struct json *list = json_list(), *made = json_map();
	struct buf text = {0};
	for (size_t i = 0; i < json_count(selectors); i++)
		if (selector_moved(g, json_text(json_item(selectors, i), NULL), &text))
			json_put_bytes(list, NULL, text.p, text.n, text.n);
	buf_free(&text);
	if (!json_count(list)) {
		json_drop(list);
		json_drop(made);
		return NULL;
	}
	json_put_text(made, "marking_ref", ref);
	json_put_text(made, "lang", json_text(json_at(entry, "lang"), NULL));
	json_put(made, "selectors", list);
	return made;
}

static void put_granular(const struct gate *g, struct json *out)
{
	const struct json *old = json_at(g->o->stix, "granular_markings");
	struct json *list = json_list();
	for (size_t i = 0; i < json_count(old); i++) {
		struct json *entry = entry_moved(g, json_item(old, i));
		if (entry)
			json_put(list, NULL, entry);
	}
	if (json_count(list))
		json_put(out, "granular_markings", list);
	else
		json_drop(list);
}

/* ---- the new tree ---- */

struct building {
	struct gate *g;
	struct json *into;
};

static struct json *build(struct gate *g, const char *part, const struct json *v);

static void build_member(void *owner, const char *key, const struct json *v)
{
	struct building *b = owner;
	if (!b->g->path_n && strcmp(key, "granular_markings") == 0)
		return;
	struct json *made = build(b->g, key, v);
	if (made)
		json_put(b->into, key, made);
}

static struct json *build_container(struct gate *g, const struct json *v)
{
	bool map = json_kind(v) == JSON_KIND_MAP;
	struct building b = {.g = g, .into = map ? json_map() : json_list()};
	char part[24];
	json_each(v, build_member, &b);
	for (size_t i = 0; !map && i < json_count(v); i++) {
		struct json *made = build(g, entry_part(i, part), json_item(v, i));
		if (made)
			json_put(b.into, NULL, made);
	}
	return b.into;
}

static struct json *build(struct gate *g, const char *part, const struct json *v)
{
	enum json_kind kind = json_kind(v);
	struct json *made = NULL;
	size_t was;
	if (!path_push(g, part, &was))
		return NULL;
	if (!cut_has(g, g->cut_n, g->path))
		made = kind == JSON_KIND_MAP || kind == JSON_KIND_LIST ? build_container(g, v) : json_clone(v);
	path_pop(g, was);
	return made;
}

bool gate_is_cut(const struct gate *g, const char *selector)
{
	return cut_has(g, g->cut_n, selector);
}

struct json *gate_build(struct gate *g)
{
	struct json *out = build_container(g, g->o->stix);
	put_granular(g, out);
	return out;
}

void gate_parts_free(struct gate *g)
{
	for (size_t i = 0; i < g->cut_n; i++)
		free(g->cut[i]);
	free(g->cut);
	buf_free(&g->texts);
}
