#include "collector/posture.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"

#define DEPTH_MAX 4

struct flatten {
	struct store_field *f;
	size_t n, max;
	struct buf *text;
};

static struct bytes keep(struct buf *text, const char *s)
{
	struct bytes b = {.p = text->p + text->n, .n = strlen(s)};
	assert(text->cap - text->n >= b.n);
	buf_add(text, s, b.n);
	return b;
}

static bool value_text(const json_t *v, char *out, size_t cap)
{
	if (json_is_string(v))
		text_clean(out, cap, json_string_value(v), json_string_length(v));
	else if (json_is_integer(v))
		snprintf(out, cap, "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v))
		snprintf(out, cap, "%.6g", json_real_value(v));
	else if (json_is_boolean(v))
		snprintf(out, cap, "%s", json_is_true(v) ? "true" : "false");
	else
		return false;
	return true;
}

static void walk(struct flatten *to, const char *path, json_t *object, int depth)
{
	const char *key;
	json_t *v;
	json_object_foreach(object, key, v)
	{
		char name[POSTURE_NAME_MAX + 1], clean[POSTURE_NAME_MAX + 1], value[POSTURE_VALUE_MAX + 1];
		text_clean(clean, sizeof(clean), key, strlen(key));
		int n = snprintf(name, sizeof(name), "%s%s%s", path, *path ? "." : "", clean);
		if (n <= 0 || (size_t)n >= sizeof(name) || to->n >= to->max)
			continue;
		if (json_is_object(v) && depth < DEPTH_MAX)
			walk(to, name, v, depth + 1);
		else if (value_text(v, value, sizeof(value)))
			to->f[to->n++] = (struct store_field){keep(to->text, name), keep(to->text, value)};
	}
}

size_t posture_flatten(struct bytes json, struct store_field *f, size_t n, size_t max, struct buf *text)
{
	struct flatten to = {.f = f, .n = n, .max = max, .text = text};
	json_t *root = json_loadb((const char *)json.p, json.n, JSON_REJECT_DUPLICATES, NULL);
	buf_reserve(text, (max - n) * (POSTURE_NAME_MAX + POSTURE_VALUE_MAX));
	if (json_is_object(root))
		walk(&to, "", root, 0);
	json_decref(root);
	return to.n;
}
