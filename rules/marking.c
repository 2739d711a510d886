#include "rules/marking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/hash.h"
#include "common/text.h"

#define TLP2_EXTENSION "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"

static const struct tlp_id {
	const char *id;
	enum tlp tlp;
} tlp_ids[] = {
    /* TLP 2.0, by the extension that OASIS published */
    {"marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487", TLP_CLEAR},
    {"marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb", TLP_GREEN},
    {"marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421", TLP_AMBER},
    {"marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003", TLP_AMBER_STRICT},
    {"marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1", TLP_RED},
    /* TLP 1.0, STIX 2.1 section 7.2.1.4 */
    {"marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9", TLP_CLEAR},
    {"marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da", TLP_GREEN},
    {"marking-definition--f88d31f6-486f-44da-b317-01333bde0b82", TLP_AMBER},
    {"marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed", TLP_RED},
};
#define TLP_IDS (sizeof(tlp_ids) / sizeof(*tlp_ids))
#define TLP1    5 /* where TLP 1.0 begins */

/* What nobody knows. */
static const struct marking strictest = {.tlp = TLP_RED, .pap = PAP_RED, .known = false};

/* ---- the book: an open table, keyed, because partners choose the ids ---- */

struct entry {
	char *id, *from; /* NULL = free */
	struct marking m;
};

struct marking_book {
	struct hash_key key;
	struct entry *table;
	size_t size, n; /* size is a power of two */
};

struct marking_book *marking_book_new(void)
{
	struct marking_book *b = xcalloc(1, sizeof(*b));
	hash_key_random(&b->key);
	b->size = 64;
	b->table = xcalloc(b->size, sizeof(*b->table));
	return b;
}

void marking_book_free(struct marking_book *b)
{
	for (size_t i = 0; b && i < b->size; i++) {
		free(b->table[i].id);
		free(b->table[i].from);
	}
	if (b)
		free(b->table);
	free(b);
}

static struct entry *find(const struct marking_book *b, const char *id, const char *from)
{
	uint64_t h = hash64(&b->key, id, strlen(id)) ^ hash64(&b->key, from, strlen(from));
	for (size_t i = (size_t)h & (b->size - 1);; i = (i + 1) & (b->size - 1)) {
		struct entry *e = &b->table[i];
		if (!e->id || (strcmp(e->id, id) == 0 && strcmp(e->from, from) == 0))
			return e;
	}
}

static void grow(struct marking_book *b)
{
	struct entry *old = b->table;
	size_t n = b->size;
	b->size *= 2;
	b->table = xcalloc(b->size, sizeof(*b->table));
	for (size_t i = 0; i < n; i++)
		if (old[i].id)
			*find(b, old[i].id, old[i].from) = old[i];
	free(old);
}

static bool same(struct marking x, struct marking y)
{
	return x.tlp == y.tlp && x.pap == y.pap && x.known == y.known && x.statement == y.statement;
}

/* ---- definitions ---- */

static bool word_after(const char *text, const char *prefix, const char **rest)
{
	size_t n = strlen(prefix);
	if (strncasecmp(text, prefix, n) != 0)
		return false;
	*rest = text + n;
	return true;
}

/* "PAP:AMBER", "pap:amber" */
static bool pap_named(const char *text, enum pap *pap)
{
	const char *rest;
	if (!text || !word_after(text, "PAP:", &rest))
		return false;
	*pap = PAP_RED;
	if (strcasecmp(rest, "WHITE") == 0)
		*pap = PAP_CLEAR;
	for (int i = PAP_CLEAR; i < PAP_COUNT; i++)
		if (strcasecmp(rest, pap_names[i]) == 0)
			*pap = (enum pap)i;
	return true;
}

static bool looks_like_tlp(const struct json *o)
{
	const char *kind = json_text(json_at(o, "definition_type"), NULL), *name = json_text(json_at(o, "name"), NULL);
	const char *rest;
	return (kind && strncasecmp(kind, "tlp", 3) == 0) || (name && word_after(name, "TLP", &rest)) ||
	       json_at(json_at(o, "definition"), "tlp") || json_at(json_at(o, "extensions"), TLP2_EXTENSION);
}

/* TLP's own ids never come here: what they mean does not depend on a definition. */
static struct marking defined(const struct json *o)
{
	const char *kind = json_text(json_at(o, "definition_type"), NULL);
	const struct json *definition = json_at(o, "definition");
	struct marking m = {.known = true};
	if (looks_like_tlp(o) || json_at(o, "extensions"))
		return strictest;
	if (pap_named(json_text(json_at(o, "name"), NULL), &m.pap) ||
	    pap_named(json_text(json_at(o, "x_opencti_definition"), NULL), &m.pap) ||
	    pap_named(json_text(json_at(definition, "pap"), NULL), &m.pap))
		return m;
	if (!kind || strcmp(kind, "statement") != 0 || !json_text(json_at(definition, "statement"), NULL))
		return strictest;
	m.statement = true;
	return m;
}

static const struct tlp_id *tlp_find(const char *id)
{
	for (size_t i = 0; i < TLP_IDS; i++)
		if (strcmp(tlp_ids[i].id, id) == 0)
			return &tlp_ids[i];
	return NULL;
}

bool marking_is_tlp(const char *id)
{
	return tlp_find(id) != NULL;
}

enum tlp marking_tlp_of(const char *id)
{
	const struct tlp_id *t = tlp_find(id);
	return t ? t->tlp : TLP_UNMARKED;
}

const char *marking_tlp_id(enum tlp t)
{
	for (size_t i = 0; i < TLP1; i++)
		if (tlp_ids[i].tlp == t)
			return tlp_ids[i].id;
	return NULL;
}

static void put_tlp1(struct json *o, enum tlp t)
{
	const char *word = t == TLP_CLEAR ? "white" : tlp_names[t];
	struct json *definition = json_map();
	json_put_text(o, "created", "2017-01-20T00:00:00.000Z");
	json_put_text(o, "definition_type", "tlp");
	json_put_text(definition, "tlp", word);
	json_put(o, "definition", definition);
}

static void put_tlp2(struct json *o, enum tlp t)
{
	struct json *extensions = json_map(), *x = json_map();
	json_put_text(o, "created", "2022-10-01T00:00:00.000Z");
	json_put_text(x, "extension_type", "property-extension");
	json_put_text(x, "tlp_2_0", tlp_names[t]);
	json_put(extensions, TLP2_EXTENSION, x);
	json_put(o, "extensions", extensions);
}

struct json *marking_tlp_object(const char *id)
{
	static const char *const names[TLP_COUNT] = {[TLP_CLEAR] = "TLP:CLEAR",
						     [TLP_GREEN] = "TLP:GREEN",
						     [TLP_AMBER] = "TLP:AMBER",
						     [TLP_AMBER_STRICT] = "TLP:AMBER+STRICT",
						     [TLP_RED] = "TLP:RED"};
	const struct tlp_id *t = tlp_find(id);
	struct json *o = json_map();
	bool first = t >= tlp_ids + TLP1;
	json_put_text(o, "type", "marking-definition");
	json_put_text(o, "spec_version", "2.1");
	json_put_text(o, "id", id);
	json_put_text(o, "name", first && t->tlp == TLP_CLEAR ? "TLP:WHITE" : names[t->tlp]);
	if (first)
		put_tlp1(o, t->tlp);
	else
		put_tlp2(o, t->tlp);
	return o;
}

void marking_learn(struct marking_book *b, const struct json *stix, const char *from)
{
	const char *type = shared_type(stix), *id = shared_id(stix);
	if (!type || !id || strcmp(type, "marking-definition") != 0 || strlen(id) > SHARED_ID_MAX || marking_is_tlp(id))
		return;
	struct marking m = defined(stix);
	struct entry *e = find(b, id, from);
	if (e->id) {
		if (!same(e->m, m))
			e->m = strictest;
		return;
	}
	if (b->n == MARKING_BOOK_MAX)
		return; /* unknown, and so the most restrictive */
	*e = (struct entry){.id = xstrdup(id), .from = xstrdup(from), .m = m};
	if (++b->n * 2 > b->size)
		grow(b);
}

struct marking marking_of(const struct marking_book *b, const char *id, const char *from)
{
	const struct tlp_id *t = tlp_find(id);
	if (t)
		return (struct marking){.tlp = t->tlp, .known = true};
	struct entry *e = b && *id ? find(b, id, from) : NULL;
	return e && e->id ? e->m : strictest;
}

static void join(struct marking *m, struct marking with)
{
	m->tlp = with.tlp > m->tlp ? with.tlp : m->tlp;
	m->pap = with.pap > m->pap ? with.pap : m->pap;
	m->known &= with.known;
}

static void join_labels(struct marking *m, const struct json *labels)
{
	for (size_t i = 0; i < json_count(labels); i++) {
		struct marking label = {.known = true};
		if (pap_named(json_text(json_item(labels, i), NULL), &label.pap))
			join(m, label);
	}
}

struct marking marking_object(const struct marking_book *b, const struct json *stix, const char *from, const char **why)
{
	const struct json *refs = json_at(stix, "object_marking_refs");
	struct marking m = {.known = true};
	*why = NULL;
	if (refs && (json_kind(refs) != JSON_KIND_LIST || json_count(refs) > MARKING_REFS_MAX)) {
		*why = "object_marking_refs";
		return strictest;
	}
	for (size_t i = 0; i < json_count(refs); i++) {
		const char *id = json_text(json_item(refs, i), NULL);
		struct marking one = id ? marking_of(b, id, from) : strictest;
		if (!one.known)
			*why = id ? id : "object_marking_refs";
		join(&m, one);
	}
	join_labels(&m, json_at(stix, "labels"));
	return m;
}

/* ---- selectors ---- */

/* "[12]" without leading zeros. */
static bool index_of(const char *part, size_t n, size_t *i)
{
	if (n < 3 || n > 9 || part[0] != '[' || part[n - 1] != ']' || (part[1] == '0' && n > 3))
		return false;
	*i = 0;
	for (size_t k = 1; k < n - 1; k++) {
		if (part[k] < '0' || part[k] > '9')
			return false;
		*i = *i * 10 + (size_t)(part[k] - '0');
	}
	return true;
}

static const struct json *step(const struct json *at, const char *part, size_t n)
{
	char name[251];
	size_t i;
	if (json_kind(at) == JSON_KIND_LIST)
		return index_of(part, n, &i) ? json_item(at, i) : NULL;
	if (json_kind(at) != JSON_KIND_MAP || !n || n >= sizeof(name))
		return NULL;
	memcpy(name, part, n);
	name[n] = '\0';
	return json_at(at, name);
}

const struct json *marking_select(const struct json *stix, const char *selector)
{
	const struct json *at = stix;
	if (!*selector || strlen(selector) >= MARKING_SELECTOR_LEN)
		return NULL;
	for (const char *p = selector; at; p++) {
		size_t n = strcspn(p, ".");
		at = step(at, p, n);
		p += n;
		if (!*p)
			return at;
	}
	return NULL;
}
