/* The only file that includes jansson and yajl. struct json is jansson's json_t behind
 * another name: nothing is copied, nothing added to a value.
 *
 * Texts are read by yajl into jansson's trees: jansson's own reader calls a function
 * for each byte and takes 160 instructions for it, which was half of what an object
 * costs on its way into the store. jansson has the last word: a text that yajl refuses, or that
 * the two might see differently (escapes, numbers that are not plain), is read by jansson, and every
 * error is told in jansson's words. tests/unit/test_json.c compares the two.
 *
 * jansson keeps whole trees, so what is read is bounded by the caller's max, and
 * its own limit of 2,048 levels bounds recursion. When memory is short its reader
 * leaves single characters out without a word (the result of appending to its buffer
 * is not looked at), so no allocation of its may fail: the process says so and ends. */
#include "common/json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "common/buf.h"
#include "common/exits.h"
#include "common/log.h"
#include "common/text.h"

#define READ_DEPTH  64 /* deeper texts are left to jansson */
#define READ_DIGITS 18 /* of a number: longer ones, too */

__attribute__((constructor)) static void allocate_or_end(void)
{
	json_set_alloc_funcs(xmalloc, free);
}

static json_t *in(struct json *v)
{
	return (json_t *)(void *)v;
}

static const json_t *in_const(const struct json *v)
{
	return (const json_t *)(const void *)v;
}

static struct json *made(json_t *v)
{
	if (!v)
		log_fatal(EXIT_ENVIRONMENT, "out of memory while JSON was built");
	return (struct json *)(void *)v;
}

static const struct json *seen(const json_t *v)
{
	return (const struct json *)(const void *)v;
}

struct json *json_map(void)
{
	return made(json_object());
}

struct json *json_list(void)
{
	return made(json_array());
}

void json_drop(struct json *v)
{
	json_decref(in(v));
}

#define KEY_MAX 512

static bool is_ascii(const char *text)
{
	while (*text > 0)
		text++;
	return !*text;
}

/* jansson refuses a key that is no UTF-8, which must not look like a lack of memory. */
void json_put(struct json *to, const char *key, struct json *v)
{
	char valid[KEY_MAX];
	if (key && !is_ascii(key)) {
		valid[text_utf8(valid, sizeof(valid) - 1, key, strlen(key))] = '\0';
		key = valid;
	}
	int failed = key ? json_object_set_new_nocheck(in(to), key, in(v)) : json_array_append_new(in(to), in(v));
	if (failed)
		log_fatal(EXIT_ENVIRONMENT, "out of memory while JSON was built");
}

void json_put_text(struct json *to, const char *key, const char *text)
{
	if (text)
		json_put_bytes(to, key, text, strlen(text), SIZE_MAX);
}

void json_put_bytes(struct json *to, const char *key, const void *p, size_t n, size_t max)
{
	char small[512];
	size_t cap = n > SIZE_MAX / 3 || 3 * n > max ? max : 3 * n; /* U+FFFD is three bytes */
	char *text = cap <= sizeof(small) ? small : xmalloc(cap);
	size_t used = n ? text_utf8(text, cap, p, n) : 0;
	json_put(to, key, made(json_stringn_nocheck(text, used)));
	if (text != small)
		free(text);
}

void json_put_int(struct json *to, const char *key, int64_t v)
{
	json_put(to, key, made(json_integer(v)));
}

void json_put_bool(struct json *to, const char *key, bool v)
{
	json_put(to, key, made(json_boolean(v)));
}

void json_put_null(struct json *to, const char *key)
{
	json_put(to, key, made(json_null()));
}

struct json *json_clone(const struct json *v)
{
	return made(json_deep_copy(in_const(v)));
}

struct json *json_below(struct json *map, const char *key)
{
	return (struct json *)(void *)json_object_get(in(map), key);
}

/* jansson escapes C0 only. Other controls stand in strings only and are never split
 * between two calls, because a call holds whole characters. */
static int write_chunk(const char *p, size_t n, void *owner)
{
	struct buf *out = owner;
	size_t from = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned code;
		size_t len = (signed char)p[i] > 0x20 && p[i] != 0x7f ? 0 : text_control(p + i, n - i, &code);
		if (!len || code < 0x20)
			continue;
		buf_add(out, p + from, i - from);
		buf_printf(out, "\\u%04x", code);
		i += len - 1;
		from = i + 1;
	}
	buf_add(out, p + from, n - from);
	return 0;
}

static void write_as(const struct json *v, struct buf *out, size_t flags)
{
	if (json_dump_callback(in_const(v), write_chunk, out, flags | JSON_COMPACT | JSON_ENCODE_ANY))
		log_fatal(EXIT_ENVIRONMENT, "out of memory while JSON was written");
}

void json_write(const struct json *v, struct buf *out)
{
	write_as(v, out, 0);
}

void json_write_sorted(const struct json *v, struct buf *out)
{
	write_as(v, out, JSON_SORT_KEYS);
}

/* ---- yajl's events to jansson's tree ---- */

struct reading {
	yajl_handle yajl;
	size_t end;               /* of the text that the root takes */
	json_t *open[READ_DEPTH]; /* borrowed but for the first */
	size_t depth;
	json_t *root;
	const unsigned char *key;
	size_t key_n;
};

/* v is taken. 0 = stop: jansson shall look at it. */
static int add(struct reading *r, json_t *v)
{
	if (!v)
		return 0;
	if (!r->depth) {
		r->root = v;
		r->end = yajl_get_bytes_consumed(r->yajl);
		return 1;
	}
	json_t *to = r->open[r->depth - 1];
	if (json_is_array(to))
		return json_array_append_new(to, v) == 0;
	size_t had = json_object_size(to); /* one more, or the key was there */
	return json_object_setn_new(to, (const char *)r->key, r->key_n, v) == 0 && json_object_size(to) > had;
}

static int begin(struct reading *r, json_t *v)
{
	if (r->depth == READ_DEPTH) {
		json_decref(v);
		return 0;
	}
	if (!add(r, v))
		return 0;
	r->open[r->depth++] = v;
	return 1;
}

static int on_null(void *r)
{
	return add(r, json_null());
}

static int on_bool(void *r, int v)
{
	return add(r, json_boolean(v));
}

static int on_number(void *r, const char *text, size_t n)
{
	json_int_t v = 0;
	bool minus = n && *text == '-';
	if (n - minus > READ_DIGITS)
		return 0;
	for (size_t i = minus; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		v = 10 * v + (text[i] - '0');
	}
	return add(r, json_integer(minus ? -v : v));
}

static int on_text(void *r, const unsigned char *text, size_t n)
{
	return add(r, json_stringn((const char *)text, n)); /* looks whether it is UTF-8 */
}

/* It points into the text, because a text with escapes does not come here. */
static int on_key(void *arg, const unsigned char *text, size_t n)
{
	struct reading *r = arg;
	r->key = text;
	r->key_n = n;
	return 1;
}

static int on_map(void *r)
{
	return begin(r, json_object());
}

static int on_list(void *r)
{
	return begin(r, json_array());
}

static int on_end(void *arg)
{
	struct reading *r = arg;
	if (!--r->depth)
		r->end = yajl_get_bytes_consumed(r->yajl);
	return 1;
}

static bool all_blank(const char *p, size_t n)
{
	while (n && strchr(" \t\r\n", *p) && *p)
		p++, n--;
	return !n;
}

static void *take_memory(void *ctx, size_t n)
{
	(void)ctx;
	return xmalloc(n);
}

static void *change_memory(void *ctx, void *p, size_t n)
{
	(void)ctx;
	return xrealloc(p, n);
}

static void drop_memory(void *ctx, void *p)
{
	(void)ctx;
	free(p);
}

/* NULL: ask jansson. */
static json_t *read_plain(const void *text, size_t n)
{
	static const yajl_callbacks calls = {.yajl_null = on_null,
					     .yajl_boolean = on_bool,
					     .yajl_number = on_number,
					     .yajl_string = on_text,
					     .yajl_start_map = on_map,
					     .yajl_map_key = on_key,
					     .yajl_end_map = on_end,
					     .yajl_start_array = on_list,
					     .yajl_end_array = on_end};
	yajl_alloc_funcs memory = {take_memory, change_memory, drop_memory, NULL};
	struct reading r = {.depth = 0};
	if (!n || memchr(text, '\\', n))
		return NULL;
	r.yajl = yajl_alloc(&calls, &memory, &r);
	bool good = yajl_parse(r.yajl, text, n) == yajl_status_ok;
	/* yajl lets a text pass behind which a string begins that does not end. */
	if (good && r.root && !r.depth)
		good = all_blank((const char *)text + r.end, n - r.end);
	good = good && yajl_complete_parse(r.yajl) == yajl_status_ok;
	yajl_free(r.yajl);
	if (good)
		return r.root;
	json_decref(r.root);
	return NULL;
}

struct json *json_read(const void *text, size_t n, size_t max, struct err *e)
{
	json_error_t why;
	if (n > max) {
		err_set(e, "JSON of %zu bytes; at most %zu are read", n, max);
		return NULL;
	}
	json_t *v = read_plain(text, n);
	if (!v)
		v = json_loadb(n ? text : "", n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
	if (!v) {
		char clean[JSON_ERROR_TEXT_LENGTH * 4];
		text_clean(clean, sizeof(clean), why.text, strlen(why.text));
		err_set(e, "%d:%d: not JSON: %s", why.line, why.column, clean);
	}
	return (struct json *)(void *)v;
}

enum json_kind json_kind(const struct json *v)
{
	static const enum json_kind kinds[] = {
	    [JSON_OBJECT] = JSON_KIND_MAP,     [JSON_ARRAY] = JSON_KIND_LIST,  [JSON_STRING] = JSON_KIND_TEXT,
	    [JSON_INTEGER] = JSON_KIND_NUMBER, [JSON_REAL] = JSON_KIND_NUMBER, [JSON_TRUE] = JSON_KIND_BOOL,
	    [JSON_FALSE] = JSON_KIND_BOOL,     [JSON_NULL] = JSON_KIND_NULL,
	};
	return v ? kinds[json_typeof(in_const(v))] : JSON_KIND_NONE;
}

const struct json *json_at(const struct json *v, const char *path)
{
	while (v) {
		const char *dot = strchr(path, '.');
		v = seen(json_object_getn(in_const(v), path, dot ? (size_t)(dot - path) : strlen(path)));
		if (!dot)
			break;
		path = dot + 1;
	}
	return v;
}

size_t json_count(const struct json *v)
{
	return json_kind(v) == JSON_KIND_MAP ? json_object_size(in_const(v)) : json_array_size(in_const(v));
}

const struct json *json_item(const struct json *list, size_t i)
{
	return seen(json_array_get(in_const(list), i));
}

void json_each(const struct json *map, void (*fn)(void *owner, const char *key, const struct json *v), void *owner)
{
	union {
		const struct json *is;
		json_t *walked; /* jansson's iterator takes no const, and changes nothing */
	} m = {.is = map};
	if (json_kind(map) != JSON_KIND_MAP)
		return;
	for (void *i = json_object_iter(m.walked); i; i = json_object_iter_next(m.walked, i))
		fn(owner, json_object_iter_key(i), seen(json_object_iter_value(i)));
}

const char *json_text(const struct json *v, size_t *n)
{
	if (n)
		*n = json_string_length(in_const(v));
	return json_string_value(in_const(v));
}

int64_t json_int(const struct json *v, int64_t otherwise)
{
	return v && json_is_integer(in_const(v)) ? json_integer_value(in_const(v)) : otherwise;
}

bool json_bool(const struct json *v, bool otherwise)
{
	return json_kind(v) == JSON_KIND_BOOL ? json_is_true(in_const(v)) : otherwise;
}
