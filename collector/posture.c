#include "collector/posture.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/text.h"

#define DEPTH_MAX 4

struct flatten {
	struct store_field *f;
	size_t n, max, cut;
	struct buf *text;
	const char *path;
	int depth;
};

static struct bytes keep(struct buf *text, const char *s)
{
	struct bytes b = {.p = text->p + text->n, .n = strlen(s)};
	assert(text->cap - text->n >= b.n);
	buf_add(text, s, b.n);
	return b;
}

static bool value_text(const struct json *v, char *out, size_t cap)
{
	size_t n;
	const char *text;
	switch (json_kind(v)) {
	case JSON_KIND_TEXT:
		text = json_text(v, &n);
		text_clean(out, cap, text, n);
		return true;
	case JSON_KIND_NUMBER:
		snprintf(out, cap, "%" PRId64, json_int(v, 0));
		return true;
	case JSON_KIND_BOOL:
		snprintf(out, cap, "%s", json_bool(v, false) ? "true" : "false");
		return true;
	default:
		return false;
	}
}

static void member(void *owner, const char *key, const struct json *v)
{
	struct flatten *to = owner;
	char name[POSTURE_NAME_MAX + 1], clean[POSTURE_NAME_MAX + 1], value[POSTURE_VALUE_MAX + 1];
	text_clean(clean, sizeof(clean), key, strlen(key));
	int n = snprintf(name, sizeof(name), "%s%s%s", to->path, *to->path ? "." : "", clean);
	if (n <= 0 || (size_t)n >= sizeof(name)) {
		to->cut++;
	} else if (json_kind(v) == JSON_KIND_MAP && to->depth < DEPTH_MAX) {
		struct flatten below = *to;
		below.path = name;
		below.depth++;
		json_each(v, member, &below);
		to->n = below.n;
		to->cut = below.cut;
	} else if (to->n >= to->max || !value_text(v, value, sizeof(value))) {
		to->cut++;
	} else {
		to->f[to->n++] = (struct store_field){keep(to->text, name), keep(to->text, value)};
	}
}

size_t posture_flatten(struct bytes json, struct store_field *f, size_t n, size_t max, struct buf *text)
{
	struct flatten to = {.f = f, .n = n, .max = max - 1, .text = text, .path = ""};
	char cut[24];
	struct err e;
	struct json *root = json.n ? json_read(json.p, json.n, json.n, &e) : NULL;
	if (!root)
		return n;
	buf_reserve(text, (max - n) * (POSTURE_NAME_MAX + POSTURE_VALUE_MAX));
	json_each(root, member, &to);
	json_drop(root);
	if (to.cut) {
		snprintf(cut, sizeof(cut), "%zu", to.cut);
		f[to.n++] = (struct store_field){keep(text, "status_cut"), keep(text, cut)};
	}
	return to.n;
}

int64_t posture_skew(struct bytes json, int64_t now_us)
{
	struct err e;
	struct json *root = json.n ? json_read(json.p, json.n, json.n, &e) : NULL;
	size_t n;
	const char *text = json_text(json_at(root, "time"), &n);
	int64_t us;
	bool said = text && clock_parse(text, &us);
	json_drop(root);
	return said ? us - now_us : 0;
}
