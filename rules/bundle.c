#include "rules/bundle.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/json.h"
#include "common/text.h"

static const char first_line[] = "picket-bundle 1\n";
static const char context[] = "picket bundle 1";

static void digest_hex(const void *p, size_t n, char out[static BUNDLE_DIGEST_LEN])
{
	uint8_t d[32];
	hash_sha256(d, p, n);
	text_hex(out, d, sizeof(d));
}

static void head_write(const struct bundle *b, struct buf *out)
{
	struct json *o = json_map();
	char time[CLOCK_TEXT_LEN];
	clock_format(b->time_us, time);
	json_put_text(o, "from", b->from);
	json_put_text(o, "to", b->to);
	json_put_int(o, "number", (int64_t)b->number);
	json_put_text(o, "previous", b->previous);
	json_put_text(o, "digest", b->digest);
	json_put_int(o, "objects", (int64_t)b->objects);
	json_put_int(o, "bytes", (int64_t)b->bytes);
	json_put_text(o, "time", time);
	json_write(o, out);
	json_drop(o);
}

bool bundle_write(struct bundle *b, struct bytes content, const struct sign_key *k, struct buf *out, struct err *e)
{
	struct buf head = {0};
	uint8_t pub[SIGN_PUBLIC_BYTES], signature[SIGN_SIGNATURE_BYTES];
	char hex[2 * SIGN_SIGNATURE_BYTES + 1];
	if (content.n > BUNDLE_CONTENT_MAX)
		return err_set(e, "%zu bytes are more than a bundle holds", content.n);
	b->bytes = content.n;
	digest_hex(content.p, content.n, b->digest);
	head_write(b, &head);
	digest_hex(head.p, head.n, b->head_digest);
	bool good = sign_key_public(k, pub, e) && sign_make(k, context, head.p, head.n, signature, e);
	if (good) {
		sign_key_id(pub, b->key_id);
		text_hex(hex, signature, sizeof(signature));
		buf_add(out, first_line, sizeof(first_line) - 1);
		buf_add(out, head.p, head.n);
		buf_printf(out, "\n%s %s\n", b->key_id, hex);
		buf_add(out, content.p, content.n);
	}
	buf_free(&head);
	return good;
}

/* ---- reading ---- */

static bool line(struct cursor *c, size_t max, struct bytes *out)
{
	size_t left = cursor_left(c);
	const uint8_t *end = left ? memchr(c->p, '\n', left < max ? left : max) : NULL;
	if (!end)
		return false;
	*out = cursor_bytes(c, (size_t)(end - c->p));
	cursor_skip(c, 1);
	return true;
}

static bool word(const struct json *o, const char *key, char *to, size_t cap)
{
	size_t n = 0;
	const char *t = json_text(json_at(o, key), &n);
	if (!t || n >= cap || strlen(t) != n)
		return false;
	memcpy(to, t, n + 1);
	return true;
}

static bool number(const struct json *o, const char *key, uint64_t *to)
{
	int64_t v = json_int(json_at(o, key), -1);
	*to = (uint64_t)v;
	return v >= 0;
}

static bool head_fields(struct bundle *b, const struct json *o)
{
	char time[CLOCK_TEXT_LEN];
	return word(o, "from", b->from, sizeof(b->from)) && word(o, "to", b->to, sizeof(b->to)) &&
	       shared_name_valid(b->from) && shared_name_valid(b->to) && number(o, "number", &b->number) && b->number &&
	       word(o, "previous", b->previous, sizeof(b->previous)) &&
	       word(o, "digest", b->digest, sizeof(b->digest)) && number(o, "objects", &b->objects) &&
	       number(o, "bytes", &b->bytes) && word(o, "time", time, sizeof(time)) && clock_parse(time, &b->time_us);
}

/* What is not in the one spelling that we write is not what was signed. */
static bool head_read(struct bundle *b, struct bytes head, struct err *e)
{
	struct json *o = json_read(head.p, head.n, BUNDLE_HEAD_MAX, e);
	struct buf again = {0};
	bool good = o && head_fields(b, o);
	if (good)
		head_write(b, &again);
	good = good && again.n == head.n && memcmp(again.p, head.p, head.n) == 0;
	buf_free(&again);
	json_drop(o);
	digest_hex(head.p, head.n, b->head_digest);
	return good || err_set(e, "the head of the bundle is not one");
}

/* `hex` in the one spelling that we write: a byte that changed on the way is seen, even one
 * that reads the same. */
static bool signature_read(uint8_t to[static SIGN_SIGNATURE_BYTES], const char *hex)
{
	char again[2 * SIGN_SIGNATURE_BYTES + 1];
	if (!text_unhex(to, SIGN_SIGNATURE_BYTES, hex, 2 * SIGN_SIGNATURE_BYTES))
		return false;
	text_hex(again, to, SIGN_SIGNATURE_BYTES);
	return memcmp(again, hex, 2 * SIGN_SIGNATURE_BYTES) == 0;
}

static bool signature_holds(struct bundle *b, struct bytes head, struct bytes by,
			    const uint8_t pub[static SIGN_PUBLIC_BYTES], struct err *e)
{
	uint8_t signature[SIGN_SIGNATURE_BYTES];
	char id[SIGN_KEY_ID_LEN];
	const size_t id_n = SIGN_KEY_ID_LEN - 1;
	if (by.n != id_n + 1 + 2 * SIGN_SIGNATURE_BYTES || by.p[id_n] != ' ' ||
	    !signature_read(signature, (const char *)by.p + id_n + 1))
		return err_set(e, "the signature of the bundle is not one");
	memcpy(b->key_id, by.p, id_n);
	b->key_id[id_n] = '\0';
	sign_key_id(pub, id);
	if (strcmp(id, b->key_id) != 0)
		return err_set(e, "the bundle is signed with another key than the policy's (%s)", id);
	return sign_holds(pub, context, head.p, head.n, signature) ||
	       err_set(e, "the signature of the bundle does not hold: it was changed, or is forged");
}

bool bundle_read(struct bundle *b, struct bytes file, const uint8_t pub[static SIGN_PUBLIC_BYTES], struct err *e)
{
	struct cursor c = cursor_over(file.p, file.n);
	struct bytes first, head, by;
	char digest[BUNDLE_DIGEST_LEN];
	*b = (struct bundle){.number = 0};
	if (!line(&c, sizeof(first_line), &first) || first.n != sizeof(first_line) - 2 ||
	    memcmp(first.p, first_line, first.n) != 0)
		return err_set(e, "not a bundle: it does not begin with \"picket-bundle 1\"");
	if (!line(&c, BUNDLE_HEAD_MAX, &head) || !line(&c, BUNDLE_HEAD_MAX, &by))
		return err_set(e, "the bundle is cut short in its head");
	if (!signature_holds(b, head, by, pub, e) || !head_read(b, head, e))
		return false;
	if (cursor_left(&c) != b->bytes)
		return err_set(e,
			       "the bundle has %zu bytes of content instead of %" PRIu64 ": it is cut short or longer",
			       cursor_left(&c), b->bytes);
	b->content = cursor_bytes(&c, cursor_left(&c));
	digest_hex(b->content.p, b->content.n, digest);
	return strcmp(digest, b->digest) == 0 || err_set(e, "the content of the bundle was changed");
}
