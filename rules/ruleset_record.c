/* One indicator in the compiled set: the canonical key, and only what does not
 * follow from it. Most lists write values in canonical form, so the value costs
 * nothing; an IPv4 address is four bytes, a SHA-256 thirty-two. */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/text.h"
#include "rules/ruleset_format.h"

static bool type_is_address(enum indicator_type t)
{
	return t == INDICATOR_IP || t == INDICATOR_CIDR || t == INDICATOR_IP_PORT;
}

/* Bytes of the digest, 0 for other types: those whose key is raw and shown as hex. */
static size_t digest_bytes(enum indicator_type t)
{
	switch (t) {
	case INDICATOR_JA3:
	case INDICATOR_JA3S:
	case INDICATOR_FILE_MD5:
	case INDICATOR_HASSH:
	case INDICATOR_HASSH_SERVER:
		return 16;
	case INDICATOR_CERT_SHA1:
	case INDICATOR_FILE_SHA1:
		return 20;
	case INDICATOR_CERT_SHA256:
	case INDICATOR_FILE_SHA256:
		return 32;
	default:
		return 0;
	}
}

size_t ruleset_varint(uint8_t out[static RULESET_VARINT_MAX], uint32_t v)
{
	size_t n = 0;
	for (; v >= 0x80; v >>= 7)
		out[n++] = (uint8_t)(v | 0x80);
	out[n++] = (uint8_t)v;
	return n;
}

static uint32_t read_varint(struct cursor *c)
{
	uint32_t v = 0;
	for (unsigned shift = 0; shift < 7 * RULESET_VARINT_MAX; shift += 7) {
		uint8_t b = cursor_u8(c);
		v |= (uint32_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	c->bad = true;
	return 0;
}

/* ---- the text that follows from a key ---- */

static const char *address_text(const struct ruleset_record *rec, char room[static RULESET_VALUE_ROOM])
{
	uint8_t key[RULESET_KEY_ROOM];
	char text[ADDR_TEXT_LEN];
	struct bytes b = ruleset_record_key(rec, key);
	if (b.n < 16)
		return "";
	struct addr a = addr_v6(b.p);
	addr_format(&a, text);
	if (rec->type == INDICATOR_CIDR && b.n == 17)
		snprintf(room, RULESET_VALUE_ROOM, "%s/%u", text, b.p[16]);
	else if (rec->type == INDICATOR_IP_PORT && b.n == 18)
		snprintf(room, RULESET_VALUE_ROOM, addr_is_v4(&a) ? "%s:%u" : "[%s]:%u", text,
			 (unsigned)b.p[16] << 8 | b.p[17]);
	else
		snprintf(room, RULESET_VALUE_ROOM, "%s", text);
	return room;
}

static const char *digest_text(const struct ruleset_record *rec, char room[static RULESET_VALUE_ROOM])
{
	if (rec->key.n > (RULESET_VALUE_ROOM - 1) / 2)
		return "";
	text_hex(room, rec->key.p, rec->key.n);
	for (char *p = room; rec->form == FORM_UPPER && *p; p++)
		*p = *p >= 'a' ? (char)(*p - 32) : *p;
	return room;
}

const char *ruleset_record_value(const struct ruleset_record *rec, char room[static RULESET_VALUE_ROOM])
{
	if (rec->value)
		return rec->value;
	return type_is_address(rec->type) ? address_text(rec, room) : digest_text(rec, room);
}

struct bytes ruleset_record_key(const struct ruleset_record *rec, uint8_t room[static RULESET_KEY_ROOM])
{
	if (!type_is_address(rec->type) || rec->key.n > 6 || rec->key.n < 4)
		return rec->key;
	struct addr a = addr_v4(rec->key.p);
	memcpy(room, a.b, 16);
	memcpy(room + 16, rec->key.p + 4, rec->key.n - 4);
	return (struct bytes){.p = room, .n = rec->key.n + 12};
}

/* ---- writing ---- */

static enum record_form choose_form(enum indicator_type t, struct bytes key, const char *value)
{
	char room[RULESET_VALUE_ROOM];
	size_t n = strlen(value);
	struct ruleset_record rec = {.type = t, .key = key};
	if (type_is_address(t) || digest_bytes(t)) {
		for (rec.form = FORM_LOWER; rec.form <= FORM_UPPER; rec.form++)
			if (strcmp(ruleset_record_value(&rec, room), value) == 0)
				return rec.form;
		return FORM_STORED;
	}
	if (n == key.n && memcmp(value, key.p, n) == 0)
		return FORM_KEY;
	if (t == INDICATOR_URL && n + 2 == key.n && memcmp(key.p, "//", 2) == 0 && memcmp(value, key.p + 2, n) == 0)
		return FORM_SLASHES;
	return FORM_STORED;
}

static void put_varint(struct buf *out, size_t v)
{
	uint8_t b[RULESET_VARINT_MAX];
	buf_add(out, b, ruleset_varint(b, (uint32_t)v));
}

void ruleset_record_put(struct buf *out, enum indicator_type t, const void *key, size_t key_n, const char *value,
			const char *id)
{
	struct bytes k = {.p = key, .n = key_n};
	enum record_form form = choose_form(t, k, value);
	uint8_t head[2] = {(uint8_t)t, (uint8_t)(form | (id ? FORM_ID : 0u))};
	struct addr a;
	buf_add(out, head, sizeof(head));
	if (type_is_address(t)) {
		memcpy(a.b, key, 16);
		if (addr_is_v4(&a))
			k = (struct bytes){.p = k.p + 12, .n = k.n - 12};
	}
	put_varint(out, k.n);
	buf_add(out, k.p, k.n);
	if (form == FORM_KEY || form == FORM_SLASHES)
		buf_u8(out, 0);
	if (form == FORM_STORED) {
		put_varint(out, strlen(value));
		buf_add(out, value, strlen(value) + 1);
	}
	if (id) {
		put_varint(out, strlen(id));
		buf_add(out, id, strlen(id) + 1);
	}
}

/* ---- reading: nothing is believed ---- */

static const char *terminated(struct cursor *c, const uint8_t *p, size_t skip)
{
	if (cursor_u8(c) != 0)
		c->bad = true;
	return c->bad ? NULL : (const char *)p + skip;
}

static const char *read_text(struct cursor *c)
{
	struct bytes b = cursor_bytes(c, read_varint(c));
	return terminated(c, b.p, 0);
}

bool ruleset_record_body(struct cursor *c, struct ruleset_record *rec)
{
	uint8_t type = cursor_u8(c), form = cursor_u8(c);
	*rec = (struct ruleset_record){.type = (enum indicator_type)type, .form = (enum record_form)(form & FORM_MASK)};
	rec->key = cursor_bytes(c, read_varint(c));
	if (type == INDICATOR_NONE || type >= INDICATOR_TYPE_COUNT || (form & FORM_MASK) >= FORM_COUNT)
		return false;
	if (rec->form == FORM_KEY)
		rec->value = terminated(c, rec->key.p, 0);
	else if (rec->form == FORM_SLASHES)
		rec->value = rec->key.n >= 2 ? terminated(c, rec->key.p, 2) : "";
	else if (rec->form == FORM_STORED)
		rec->value = read_text(c);
	if (form & FORM_ID)
		rec->id = read_text(c);
	return cursor_ok(c);
}

bool ruleset_record_at(const struct ruleset *r, uint32_t i, struct ruleset_record *rec)
{
	if (i >= (uint64_t)r->head.count + r->head.allow || r->offsets[i] >= r->records_n)
		return false;
	struct cursor c = cursor_over(r->records + r->offsets[i], r->records_n - r->offsets[i]);
	uint32_t meta = read_varint(&c);
	bool good = ruleset_record_body(&c, rec) && meta < r->meta_n;
	rec->meta = meta;
	return good;
}

size_t url_folder(const uint8_t *key, size_t n, size_t from)
{
	if (from == 0) { /* over "scheme://" or "//" */
		const uint8_t *slashes = memmem(key, n, "//", 2);
		if (!slashes)
			return 0;
		from = (size_t)(slashes + 2 - key);
	}
	const uint8_t *slash = from < n ? memchr(key + from, '/', n - from) : NULL;
	return slash ? (size_t)(slash + 1 - key) : 0;
}
