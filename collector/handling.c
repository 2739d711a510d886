/* {"envelope":{…},"gate":{type, created_by_ref, labels, …},"shape":"…","each":true}
 *
 * The shape is a digest over the names of all properties at all depths and the
 * kinds of their values, not over the values: a gate that lets fields through by
 * name says the same to two objects of one shape. */
#include "collector/handling.h"

#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/text.h"

#define HANDLING_MAX (64u << 10)
#define SHAPE_DEPTH  32
#define SHAPE_HEX    32
#define MEMO_SLOTS   256

struct shape {
	struct buf text;
	int depth;
	bool each;
};

static void shape_value(struct shape *s, const struct json *v);

static bool refers(const char *key)
{
	size_t n = strlen(key);
	bool one = n > 4 && strcmp(key + n - 4, "_ref") == 0, many = n > 5 && strcmp(key + n - 5, "_refs") == 0;
	return (one || many) && strcmp(key, "created_by_ref") != 0 && strcmp(key, "object_marking_refs") != 0;
}

static void shape_member(void *owner, const char *key, const struct json *v)
{
	struct shape *s = owner;
	if (refers(key) || strcmp(key, "granular_markings") == 0 || strcmp(key, SHARED_EXTENSION) == 0)
		s->each = true;
	buf_add(&s->text, key, strlen(key) + 1);
	shape_value(s, v);
}

static void shape_value(struct shape *s, const struct json *v)
{
	static const char kinds[JSON_KIND_COUNT] = {'?', '0', 'b', 'n', 't', '[', '{'};
	enum json_kind kind = json_kind(v);
	buf_add(&s->text, &kinds[kind], 1);
	if (kind != JSON_KIND_LIST && kind != JSON_KIND_MAP)
		return;
	if (++s->depth > SHAPE_DEPTH)
		s->each = true;
	else if (kind == JSON_KIND_MAP)
		json_each(v, shape_member, s);
	else
		for (size_t i = 0; i < json_count(v); i++)
			shape_value(s, json_item(v, i));
	s->depth--;
	buf_add(&s->text, "]", 1);
}

/* What the gate reads the value of. */
static const char *const looked_at[] = {"type",    "created_by_ref", "object_marking_refs", "labels",
					"revoked", "lang",           "definition_type"};

static void copy_value(struct json *to, const char *key, const struct json *v)
{
	size_t n;
	const char *text = json_text(v, &n);
	struct json *list;
	switch (json_kind(v)) {
	case JSON_KIND_TEXT:
		json_put_bytes(to, key, text, n, n);
		break;
	case JSON_KIND_BOOL:
		json_put_bool(to, key, json_bool(v, false));
		break;
	case JSON_KIND_LIST:
		list = json_list();
		for (size_t i = 0; i < json_count(v); i++)
			copy_value(list, NULL, json_item(v, i));
		json_put(to, key, list);
		break;
	default:
		break;
	}
}

static void write_with(const struct shared *s, const struct shape *shape, struct buf *out)
{
	struct shared kept = *s;
	struct json *root = json_map(), *gate = json_map();
	uint8_t digest[32];
	char hex[2 * SHAPE_HEX + 1];
	kept.date_added_us = 0; /* these two are the row's and the key's */
	kept.collection = "";
	hash_sha256(digest, shape->text.p, shape->text.n);
	text_hex(hex, digest, SHAPE_HEX / 2);
	for (size_t i = 0; i < sizeof(looked_at) / sizeof(*looked_at); i++)
		copy_value(gate, looked_at[i], json_at(s->stix, looked_at[i]));
	json_put(root, "envelope", shared_envelope(&kept));
	json_put(root, "gate", gate);
	json_put_text(root, "shape", hex);
	if (shape->each)
		json_put_bool(root, "each", true);
	json_write_sorted(root, out);
	json_drop(root);
}

void handling_write(const struct shared *s, struct buf *out)
{
	struct shape shape = {0};
	shape_value(&shape, s->stix);
	write_with(s, &shape, out);
	buf_free(&shape.text);
}

/* ---- many ---- */

struct handling_memo {
	struct hash_key key;
	struct {
		struct buf marks, text;
	} slot[MEMO_SLOTS];
	struct shape shape; /* and all else that decides, behind it */
};

struct handling_memo *handling_memo_new(void)
{
	struct handling_memo *m = xcalloc(1, sizeof(*m));
	hash_key_random(&m->key);
	return m;
}

void handling_memo_free(struct handling_memo *m)
{
	for (size_t i = 0; m && i < MEMO_SLOTS; i++) {
		buf_free(&m->slot[i].marks);
		buf_free(&m->slot[i].text);
	}
	if (m)
		buf_free(&m->shape.text);
	free(m);
}

static void add_text(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text) + 1);
}

static void add_value(struct buf *b, const struct json *v)
{
	size_t n = 0;
	const char *text = json_text(v, &n);
	uint8_t kind = (uint8_t)(json_kind(v) + (json_bool(v, false) ? 64 : 0));
	buf_add(b, &kind, 1);
	buf_u32(b, (uint32_t)(text ? n : json_count(v)));
	if (text)
		buf_add(b, text, n);
	for (size_t i = 0; json_kind(v) == JSON_KIND_LIST && i < json_count(v); i++)
		add_value(b, json_item(v, i));
}

/* Everything that write_with() writes comes from these bytes: equal ones give equal ones. */
static void mark(struct buf *b, const struct shared *s)
{
	for (size_t i = 0; i < sizeof(looked_at) / sizeof(*looked_at); i++)
		add_value(b, json_at(s->stix, looked_at[i]));
	add_text(b, s->origin);
	add_text(b, s->from);
	add_text(b, s->exercise);
	buf_u32(b, (uint32_t)s->path_n);
	for (size_t i = 0; i < s->path_n; i++)
		add_text(b, s->path[i]);
	for (size_t i = 0; i < s->rel_n; i++)
		add_text(b, s->releasable_to[i]);
	buf_u8(b, (uint8_t)s->pap);
	buf_u8(b, (uint8_t)s->priority);
	buf_u8(b, (uint8_t)s->state);
	add_text(b, s->reason ? s->reason : "");
}

void handling_write_memo(struct handling_memo *m, const struct shared *s, struct buf *out)
{
	struct buf *marks = &m->shape.text;
	marks->n = 0;
	m->shape.each = false;
	shape_value(&m->shape, s->stix);
	size_t shape_n = marks->n;
	mark(marks, s);
	size_t i = hash64(&m->key, marks->p, marks->n) % MEMO_SLOTS;
	struct buf *had = &m->slot[i].marks, *text = &m->slot[i].text;
	if (had->n != marks->n || memcmp(had->p, marks->p, marks->n) != 0) {
		had->n = text->n = 0;
		buf_add(had, marks->p, marks->n);
		marks->n = shape_n;
		write_with(s, &m->shape, text);
	}
	buf_add(out, text->p, text->n);
}

bool handling_read(struct handling *h, const void *text, size_t n, struct err *e)
{
	*h = (struct handling){.root = json_read(text, n, HANDLING_MAX, e)};
	h->envelope = json_at(h->root, "envelope");
	h->each = json_bool(json_at(h->root, "each"), false);
	if (json_kind(h->envelope) == JSON_KIND_MAP)
		return true;
	if (h->root)
		err_set(e, "a handling without an envelope");
	handling_free(h);
	return false;
}

void handling_free(struct handling *h)
{
	json_drop(h->root);
	*h = (struct handling){0};
}

enum shared_state handling_state(const struct handling *h)
{
	const char *state = json_text(json_at(h->envelope, "state"), NULL);
	for (int i = 0; state && i < SHARED_STATE_COUNT; i++)
		if (strcmp(state, shared_state_names[i]) == 0)
			return (enum shared_state)i;
	return SHARED_QUARANTINE;
}
