/* The door to jansson and yajl: JSON trees, built to be written or read from bounded
 * text. A tree has one owner, its root; values below it are borrowed.
 *
 * What is written is one line of compact JSON, keys in the order in which they
 * were put, valid UTF-8, with every control character escaped (C0 by JSON's
 * rules; the others of text_control() too, because terminals obey them). */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

enum json_kind {
	JSON_KIND_NONE = 0, /* what a NULL value is */
	JSON_KIND_NULL,
	JSON_KIND_BOOL,
	JSON_KIND_NUMBER, /* whole numbers only as json_int(), others as 0 */
	JSON_KIND_TEXT,
	JSON_KIND_LIST,
	JSON_KIND_MAP,
	JSON_KIND_COUNT
};

struct json;

/* ---- writing ---- */

struct json *json_map(void);
struct json *json_list(void);
void json_drop(struct json *v); /* a root; NULL is fine */

/* Into a map (key) or at the end of a list (key NULL). A key that is not ASCII is put as
 * text_utf8() makes it, at most 511 bytes; one that is there already is replaced in its
 * place. */
void json_put(struct json *in, const char *key, struct json *v);        /* takes v */
void json_put_text(struct json *in, const char *key, const char *text); /* NULL: nothing is put */
/* Any bytes as text: at most max bytes of it as text_utf8() makes them. */
void json_put_bytes(struct json *in, const char *key, const void *p, size_t n, size_t max);
void json_put_int(struct json *in, const char *key, int64_t v);
void json_put_bool(struct json *in, const char *key, bool v);
void json_put_null(struct json *in, const char *key);

struct json *json_clone(const struct json *v); /* whole: a root of its own */

/* The member of a map that is being built, to put more into it; NULL if none. */
struct json *json_below(struct json *map, const char *key);

void json_write(const struct json *v, struct buf *out);
/* The same with the keys of every map in the order of their bytes: equal trees
 * give equal bytes. */
void json_write_sorted(const struct json *v, struct buf *out);

/* ---- reading ---- */

/* NULL with a sentence when it is not one JSON value, is longer than max bytes,
 * or repeats a key. Numbers beyond 64 bits are refused. */
struct json *json_read(const void *text, size_t n, size_t max, struct err *e);

enum json_kind json_kind(const struct json *v);
/* NULL when v is no map or has no such key; a dot in the path steps down. */
const struct json *json_at(const struct json *v, const char *path);
size_t json_count(const struct json *v); /* members of a map or list, else 0 */
const struct json *json_item(const struct json *list, size_t i);
/* Calls back for each member of a map, in the text's order. */
void json_each(const struct json *map, void (*fn)(void *owner, const char *key, const struct json *v), void *owner);

const char *json_text(const struct json *v, size_t *n); /* NULL when it is no text; n may be NULL */
int64_t json_int(const struct json *v, int64_t otherwise);
bool json_bool(const struct json *v, bool otherwise);

#endif
