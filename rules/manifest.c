#include "rules/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/json.h"
#include "common/text.h"

#define FILE_MAGIC  "picket-set 1\n"
#define VERSION_MAX UINT32_MAX

const char *const urgency_names[URGENCY_COUNT + 1] = {"routine", "priority", "immediate", "flash", NULL};

bool manifest_id_valid(const char *id, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char c = id[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!word && (!c || !strchr("._-", c)))
			return false;
	}
	return n > 0 && n <= MANIFEST_SET_MAX && id[0] != '.';
}

/* ---- writing ---- */

static const char *time_text(int64_t us, char room[static CLOCK_TEXT_LEN])
{
	room[0] = '\0';
	if (us)
		clock_format(us, room);
	return room;
}

/* Every text in it is of plain characters, so nothing needs escaping. */
void manifest_write(const struct manifest *m, struct buf *out)
{
	char created[CLOCK_TEXT_LEN], until[CLOCK_TEXT_LEN];
	buf_printf(out,
		   "{\"picket_set\":1,\"set\":\"%s\",\"version\":%" PRIu64 ",\"digest\":\"%s\",\"previous\":\"%s\"",
		   m->set, m->version, m->digest, m->previous);
	buf_printf(out, ",\"count\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"created\":\"%s\",\"valid_until\":\"%s\"",
		   m->count, m->bytes, time_text(m->created_us, created), time_text(m->valid_until_us, until));
	buf_printf(out, ",\"priority\":\"%s\",\"exercise\":\"%s\",\"withdrawn\":%s,\"shrink\":%s}",
		   urgency_names[m->priority], m->exercise, m->withdrawn ? "true" : "false",
		   m->shrink ? "true" : "false");
}

/* ---- reading ---- */

/* Copies a text of plain characters; false when it is none or too long. */
static bool take_text(const struct json *o, const char *key, char *to, size_t cap)
{
	size_t n = 0;
	const char *text = json_text(json_at(o, key), &n);
	if (!text || n >= cap || memchr(text, '\0', n))
		return false;
	memcpy(to, text, n + 1);
	return true;
}

static bool take_number(const struct json *o, const char *key, uint64_t max, uint64_t *to)
{
	const struct json *v = json_at(o, key);
	int64_t number = json_int(v, -1);
	*to = (uint64_t)number;
	return json_kind(v) == JSON_KIND_NUMBER && number >= 0 && *to <= max;
}

static bool take_time(const struct json *o, const char *key, int64_t *to)
{
	char text[CLOCK_TEXT_LEN + 8];
	*to = 0;
	return take_text(o, key, text, sizeof(text)) && (!*text || (clock_parse(text, to) && *to > 0));
}

static bool take_digest(const struct json *o, const char *key, bool may_lack, char to[static MANIFEST_DIGEST_LEN])
{
	return take_text(o, key, to, MANIFEST_DIGEST_LEN) &&
	       ((may_lack && !*to) ||
		(strlen(to) == MANIFEST_DIGEST_LEN - 1 && strspn(to, "0123456789abcdef") == MANIFEST_DIGEST_LEN - 1));
}

static bool take_urgency(const struct json *o, enum urgency *to)
{
	char text[16];
	if (!take_text(o, "priority", text, sizeof(text)))
		return false;
	for (int i = 0; i < URGENCY_COUNT; i++)
		if (strcmp(text, urgency_names[i]) == 0) {
			*to = (enum urgency)i;
			return true;
		}
	return false;
}

static bool take_all(const struct json *o, struct manifest *m, const char **what)
{
	*m = (struct manifest){.version = 0};
	*what = "set";
	if (!take_text(o, "set", m->set, sizeof(m->set)) || !manifest_id_valid(m->set, strlen(m->set)))
		return false;
	*what = "version";
	if (!take_number(o, "version", VERSION_MAX, &m->version) || !m->version)
		return false;
	*what = "digest";
	if (!take_digest(o, "digest", false, m->digest) || !take_digest(o, "previous", true, m->previous))
		return false;
	*what = "count";
	if (!take_number(o, "count", MANIFEST_COUNT_MAX, &m->count))
		return false;
	*what = "bytes";
	if (!take_number(o, "bytes", MANIFEST_CONTENT_MAX, &m->bytes))
		return false;
	*what = "created";
	if (!take_time(o, "created", &m->created_us) || !m->created_us)
		return false;
	*what = "valid_until";
	if (!take_time(o, "valid_until", &m->valid_until_us))
		return false;
	*what = "priority";
	if (!take_urgency(o, &m->priority))
		return false;
	*what = "exercise";
	if (!take_text(o, "exercise", m->exercise, sizeof(m->exercise)) ||
	    (*m->exercise && !manifest_id_valid(m->exercise, strlen(m->exercise))))
		return false;
	m->withdrawn = json_bool(json_at(o, "withdrawn"), false);
	m->shrink = json_bool(json_at(o, "shrink"), false);
	return true;
}

/* Whatever was not read (another key, another type, another spelling) makes the
 * bytes differ from those that we would have written. */
static bool one_spelling(const struct manifest *m, const void *text, size_t n)
{
	struct buf again = {0};
	manifest_write(m, &again);
	bool same = again.n == n && memcmp(again.p, text, n) == 0;
	buf_free(&again);
	return same;
}

bool manifest_read(const void *text, size_t n, struct manifest *m, struct err *e)
{
	struct err why = {""};
	const char *what = "";
	struct json *o = json_read(text, n, MANIFEST_BYTES_MAX, &why);
	if (!o)
		return err_set(e, "the manifest cannot be read: %.300s", why.text);
	bool good = json_int(json_at(o, "picket_set"), 0) == 1;
	if (!good)
		err_set(e, "the manifest is of another kind or version than picket_set 1");
	else if (!(good = take_all(o, m, &what)))
		err_set(e, "the manifest's %s is missing or out of bounds", what);
	else if (!(good = one_spelling(m, text, n)))
		err_set(e, "the manifest of \"%s\" is not in its one spelling (unknown keys, blanks, or another order)",
			m->set);
	json_drop(o);
	return good;
}

bool manifest_sign(const struct sign_key *k, const void *manifest, size_t n, struct endorsement *out, struct err *e)
{
	uint8_t pub[SIGN_PUBLIC_BYTES];
	if (!sign_key_public(k, pub, e))
		return false;
	sign_key_id(pub, out->key_id);
	return sign_make(k, MANIFEST_CONTEXT, manifest, n, out->signature, e);
}

/* ---- the file ---- */

bool signed_set_looks(const void *text, size_t n)
{
	return n >= strlen(FILE_MAGIC) && memcmp(text, FILE_MAGIC, strlen(FILE_MAGIC)) == 0;
}

void signed_set_write(struct buf *out, struct bytes manifest, const struct endorsement *by, struct bytes content)
{
	char hex[2 * SIGN_SIGNATURE_BYTES + 1];
	text_hex(hex, by->signature, SIGN_SIGNATURE_BYTES);
	buf_add(out, FILE_MAGIC, strlen(FILE_MAGIC));
	buf_add(out, manifest.p, manifest.n);
	buf_printf(out, "\n%s %s\n", by->key_id, hex);
	buf_add(out, content.p, content.n);
}

/* The next line without its end; false when there is none or it is too long. */
static bool take_line(struct cursor *c, size_t max, struct bytes *line)
{
	size_t left = cursor_left(c), look = left < max + 1 ? left : max + 1;
	const uint8_t *end = look ? memchr(c->p, '\n', look) : NULL;
	if (!end)
		return false;
	*line = cursor_bytes(c, (size_t)(end - c->p));
	cursor_skip(c, 1);
	return true;
}

static bool take_endorsement(struct bytes line, struct endorsement *by)
{
	const size_t id_n = SIGN_KEY_ID_LEN - 1, hex_n = (size_t)2 * SIGN_SIGNATURE_BYTES;
	uint8_t id[(SIGN_KEY_ID_LEN - 1) / 2];
	struct cursor c = cursor_over(line.p, line.n);
	const char *id_text = (const char *)cursor_take(&c, id_n);
	bool blank = cursor_u8(&c) == ' ';
	const char *hex = (const char *)cursor_take(&c, hex_n);
	if (!cursor_ok(&c) || cursor_left(&c) || !blank || !text_unhex(id, sizeof(id), id_text, id_n) ||
	    !text_unhex(by->signature, SIGN_SIGNATURE_BYTES, hex, hex_n))
		return false;
	memcpy(by->key_id, id_text, id_n);
	by->key_id[id_n] = '\0';
	return true;
}

bool signed_set_read(const void *text, size_t n, struct signed_set *s, struct err *e)
{
	struct cursor c = cursor_over(text, n);
	struct bytes line;
	if (!signed_set_looks(text, n))
		return err_set(e, "this is no signed set: it does not begin with \"picket-set 1\"");
	cursor_skip(&c, strlen(FILE_MAGIC));
	if (!take_line(&c, MANIFEST_BYTES_MAX, &s->manifest))
		return err_set(e, "the signed set is cut short in its manifest");
	if (!manifest_read(s->manifest.p, s->manifest.n, &s->m, e))
		return false;
	if (!take_line(&c, MANIFEST_BYTES_MAX, &line) || !take_endorsement(line, &s->by))
		return err_set(e, "the signature line of \"%s\" is malformed or cut short", s->m.set);
	s->content = cursor_bytes(&c, cursor_left(&c));
	return true;
}

bool signed_set_whole(const struct manifest *m, struct bytes content, struct err *e)
{
	uint8_t digest[32];
	char hex[MANIFEST_DIGEST_LEN];
	if (content.n != m->bytes)
		return err_set(e, "set \"%s\" has %zu bytes, its manifest says %" PRIu64, m->set, content.n, m->bytes);
	hash_sha256(digest, content.p, content.n);
	text_hex(hex, digest, sizeof(digest));
	if (strcmp(hex, m->digest) != 0)
		return err_set(e, "the content of set \"%s\" has another digest than its manifest says", m->set);
	return true;
}
