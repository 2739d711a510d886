#include "collector/publish.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/text.h"
#include "rules/set_lines.h"

#define KEY_MAX   256
#define WORDS_MAX 32

/* A version becomes current, older ones go. Reads first, then writes. */
static const char put_script[] =
    "local sets, set, v, ring, keep, tmp = KEYS[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[9]), ARGV[10]\n"
    "local head = ARGV[1] .. 'set:' .. set\n"
    "local versions, held = {}, {}\n"
    "for w in string.gmatch(redis.call('HGET', head, 'versions') or '', '%d+') do\n"
    "  versions[#versions + 1] = tonumber(w)\n"
    "end\n"
    "local last = versions[#versions] or 0\n"
    "if v <= last then return redis.error_reply('OLDER ' .. last) end\n"
    "local all = redis.call('HGETALL', sets)\n"
    "if #all / 2 >= tonumber(ARGV[11]) and last == 0 then return redis.error_reply('FULL') end\n"
    "if redis.call('EXISTS', tmp .. 'content') == 0 then return redis.error_reply('GONE') end\n"
    "local field = ring == '' and set or set .. '/' .. ring\n"
    "for i = 1, #all, 2 do\n"
    "  local f = all[i]\n"
    "  if f ~= field and (f == set or string.sub(f, 1, #set + 1) == set .. '/') then held[all[i + 1]] = f end\n"
    "end\n"
    "local delta = tonumber(ARGV[8])\n"
    "redis.call('RENAME', tmp .. 'content', head .. ':content:' .. v)\n"
    "redis.call('PERSIST', head .. ':content:' .. v)\n"
    "if delta > 0 then\n"
    "  redis.call('RENAME', tmp .. 'delta', head .. ':delta:' .. v)\n"
    "  redis.call('PERSIST', head .. ':delta:' .. v)\n"
    "end\n"
    "versions[#versions + 1] = v\n"
    "local stay = {}\n"
    "for i, w in ipairs(versions) do\n"
    "  if #versions - i < keep or (held[tostring(w)] and ring ~= '') then\n"
    "    stay[#stay + 1] = w\n"
    "  else\n"
    "    redis.call('HDEL', head, w .. ':manifest', w .. ':endorsement', w .. ':delta', w .. ':published', w .. "
    "':by')\n"
    "    redis.call('DEL', head .. ':content:' .. w, head .. ':delta:' .. w, head .. ':receipts:' .. w)\n"
    "  end\n"
    "end\n"
    "redis.call('HSET', head, 'versions', table.concat(stay, ' '), v .. ':manifest', ARGV[5], v .. ':endorsement',\n"
    "  ARGV[6], v .. ':delta', delta, v .. ':published', ARGV[12], v .. ':by', ARGV[7])\n"
    "if ring == '' then\n"
    "  for _, f in pairs(held) do redis.call('HDEL', sets, f) end\n"
    "end\n"
    "redis.call('HSET', sets, field, v)\n"
    "return redis.call('INCR', sets .. ':serial')\n";

static const char promote_script[] = "local sets, set, ring = KEYS[1], ARGV[1], ARGV[2]\n"
				     "local v = redis.call('HGET', sets, set .. '/' .. ring)\n"
				     "if not v then return redis.error_reply('NONE') end\n"
				     "redis.call('HSET', sets, set, v)\n"
				     "redis.call('HDEL', sets, set .. '/' .. ring)\n"
				     "redis.call('INCR', sets .. ':serial')\n"
				     "return v\n";

/* ---- calls ---- */

/* NULL: no reply, or an error: e says so. Free with reply_free(). */
static struct reply *call(struct redis_ask *r, size_t argc, const char **argv, const size_t *len, struct err *e)
{
	struct bytes text;
	char clean[300];
	struct reply *reply = redis_ask(r, argc, argv, len, e);
	if (!reply || !reply_error(reply, &text))
		return reply;
	err_set(e, "Redis refuses %s: %s", argv[0], text_clean(clean, sizeof(clean), text.p, text.n));
	reply_free(reply);
	return NULL;
}

static struct reply *call_words(struct redis_ask *r, size_t argc, const char **argv, struct err *e)
{
	return call(r, argc, argv, NULL, e);
}

static void set_key(char out[static KEY_MAX], const char *set, const char *what, uint32_t version)
{
	int n = snprintf(out, KEY_MAX, PUBLISH_PREFIX "set:%s", set);
	if (*what)
		snprintf(out + n, KEY_MAX - (size_t)n, ":%s:%" PRIu32, what, version);
}

/* ---- putting ---- */

static bool push_chunk(struct redis_ask *r, const char *key, struct bytes piece, struct err *e)
{
	const char *argv[] = {"RPUSH", key, (const char *)piece.p};
	const size_t len[] = {5, strlen(key), piece.n};
	struct reply *reply = call(r, 3, argv, len, e);
	bool ok = reply != NULL;
	reply_free(reply);
	return ok;
}

/* To a key of our own that expires by itself when we do not come to the end. */
static bool push_all(struct redis_ask *r, const char *key, struct bytes data, struct err *e)
{
	bool ok = true;
	for (size_t at = 0; ok && at < data.n; at += PUBLISH_CHUNK) {
		size_t n = data.n - at < PUBLISH_CHUNK ? data.n - at : PUBLISH_CHUNK;
		ok = push_chunk(r, key, (struct bytes){data.p + at, n}, e);
		if (ok && at == 0)
			reply_free(call_words(r, 3, (const char *[]){"EXPIRE", key, "600"}, e));
	}
	return ok;
}

/* The delta from the version that the manifest follows; stays empty when that is
 * not here or when the delta is no shorter. */
static void make_delta(struct redis_ask *r, const struct signed_set *s, struct buf *delta)
{
	struct buf base = {0};
	struct published before;
	uint32_t version = 0;
	struct err e;
	bool follows = *s->m.previous && publish_latest(r, s->m.set, &version, &e) && version &&
		       publish_read(r, s->m.set, version, &before, &e) && strcmp(before.m.digest, s->m.previous) == 0 &&
		       publish_content(r, s->m.set, version, &base, &e) &&
		       signed_set_whole(&before.m, (struct bytes){base.p, base.n}, &e);
	if (!follows || !set_lines_delta((struct bytes){base.p, base.n}, s->content, delta, &e) ||
	    delta->n >= s->content.n)
		delta->n = 0;
	buf_free(&base);
}

static bool explain(struct err *e, const struct signed_set *s)
{
	char latest[24] = "";
	const char *older = strstr(e->text, "OLDER ");
	if (older)
		snprintf(latest, sizeof(latest), "%s", older + 6);
	if (older)
		return err_set(e,
			       "version %" PRIu64 " of set \"%s\" is not newer than %s, which is published: raise "
			       "version: in the file, or --bump",
			       s->m.version, s->m.set, latest);
	if (strstr(e->text, "FULL"))
		return err_set(e, "%d sets are published already", PUBLISH_SETS_MAX);
	return false;
}

static bool put_script_call(struct redis_ask *r, const struct signed_set *s, const char *ring, const char *by,
			    size_t delta, const char *tmp, struct err *e)
{
	char version[24], delta_n[24], keep[16], sets_max[16], now[CLOCK_TEXT_LEN], hex[2 * SIGN_SIGNATURE_BYTES + 1],
	    endorsement[SIGN_KEY_ID_LEN + sizeof(hex) + 1], manifest[MANIFEST_BYTES_MAX + 1];
	snprintf(version, sizeof(version), "%" PRIu64, s->m.version);
	snprintf(delta_n, sizeof(delta_n), "%zu", delta);
	snprintf(keep, sizeof(keep), "%d", PUBLISH_KEEP);
	snprintf(sets_max, sizeof(sets_max), "%d", PUBLISH_SETS_MAX);
	clock_format(clock_wall_us(), now);
	text_hex(hex, s->by.signature, SIGN_SIGNATURE_BYTES);
	snprintf(endorsement, sizeof(endorsement), "%s %s", s->by.key_id, hex);
	snprintf(manifest, sizeof(manifest), "%.*s", (int)s->manifest.n, (const char *)s->manifest.p);
	const char *argv[] = {"EVAL",         put_script,  "1",      PUBLISH_PREFIX "sets",
			      PUBLISH_PREFIX, s->m.set,    version,  ring,
			      manifest,       endorsement, by,       delta_n,
			      keep,           tmp,         sets_max, now};
	struct reply *reply = call_words(r, sizeof(argv) / sizeof(*argv), argv, e);
	bool ok = reply != NULL;
	reply_free(reply);
	return ok || explain(e, s);
}

static bool good_content(const struct signed_set *s, struct err *e)
{
	size_t rows;
	if (!signed_set_whole(&s->m, s->content, e) || !set_lines_count(s->content, &rows, e))
		return false;
	return rows == s->m.count ||
	       err_set(e, "set \"%s\" has %zu indicators, its manifest says %" PRIu64, s->m.set, rows, s->m.count);
}

/* A set is real or of one exercise as long as there is something in it: else an
 * exercise could take a real set away, and its end would not bring it back. */
static bool same_realm(struct redis_ask *r, const struct manifest *m, struct err *e)
{
	struct published last;
	uint32_t version;
	if (!publish_latest(r, m->set, &version, e))
		return false;
	if (!version || m->withdrawn)
		return true;
	if (!publish_read(r, m->set, version, &last, e))
		return false;
	if (last.m.withdrawn || strcmp(last.m.exercise, m->exercise) == 0)
		return true;
	return err_set(e, "the set \"%s\" is published as %s%s: give this one another id", m->set,
		       *last.m.exercise ? "part of the exercise " : "a real one", last.m.exercise);
}

bool publish_put(struct redis_ask *r, struct bytes file, const char *ring, const char *by, struct err *e)
{
	struct signed_set s;
	struct buf delta = {0};
	char tmp[KEY_MAX], content_key[KEY_MAX + 8], delta_key[KEY_MAX + 8];
	if (!signed_set_read(file.p, file.n, &s, e) || !good_content(&s, e))
		return false;
	if (*ring && !manifest_id_valid(ring, strlen(ring)))
		return err_set(e, "a ring is called by 1 to %d of A-Z a-z 0-9 . _ -", MANIFEST_SET_MAX);
	if (!same_realm(r, &s.m, e))
		return false;
	snprintf(tmp, sizeof(tmp), PUBLISH_PREFIX "set:%s:put:%" PRIx64 ":", s.m.set, (uint64_t)clock_wall_us());
	snprintf(content_key, sizeof(content_key), "%scontent", tmp);
	snprintf(delta_key, sizeof(delta_key), "%sdelta", tmp);
	make_delta(r, &s, &delta);
	bool ok = push_all(r, content_key, s.content, e) &&
		  push_all(r, delta_key, (struct bytes){delta.p, delta.n}, e) &&
		  put_script_call(r, &s, ring, by, delta.n, tmp, e);
	if (!ok)
		reply_free(call_words(r, 3, (const char *[]){"DEL", content_key, delta_key}, NULL));
	buf_free(&delta);
	return ok;
}

/* ---- asking ---- */

static bool ask_number(struct redis_ask *r, const char *key, const char *field, uint32_t *out, struct err *e)
{
	int64_t v = 0;
	struct reply *reply = call_words(r, 3, (const char *[]){"HGET", key, field}, e);
	bool ok = reply != NULL;
	*out = reply_number(reply, &v) && v > 0 && v <= UINT32_MAX ? (uint32_t)v : 0;
	reply_free(reply);
	return ok;
}

bool publish_current(struct redis_ask *r, const char *set, const char *ring, uint32_t *version, struct err *e)
{
	char field[2 * MANIFEST_SET_MAX + 2];
	snprintf(field, sizeof(field), *ring ? "%s/%s" : "%s", set, ring);
	return ask_number(r, PUBLISH_PREFIX "sets", field, version, e);
}

bool publish_versions(struct redis_ask *r, const char *set, uint32_t *out, size_t max, size_t *n, struct err *e)
{
	char key[KEY_MAX], text[1024], *at = text, *end;
	struct bytes b;
	set_key(key, set, "", 0);
	struct reply *reply = call_words(r, 3, (const char *[]){"HGET", key, "versions"}, e);
	bool ok = reply != NULL;
	*n = 0;
	text[0] = '\0';
	if (reply_text(reply, &b) && b.n < sizeof(text)) {
		memcpy(text, b.p, b.n);
		text[b.n] = '\0';
	}
	for (; *n < max && *at; at = end) {
		out[*n] = (uint32_t)strtoul(at, &end, 10);
		if (end == at)
			break;
		++*n;
	}
	reply_free(reply);
	return ok;
}

bool publish_latest(struct redis_ask *r, const char *set, uint32_t *version, struct err *e)
{
	uint32_t all[64];
	size_t n;
	bool ok = publish_versions(r, set, all, 64, &n, e);
	*version = n ? all[n - 1] : 0;
	return ok;
}

bool publish_endorsement_read(struct bytes text, struct endorsement *by)
{
	const size_t id = SIGN_KEY_ID_LEN - 1, hex = (size_t)2 * SIGN_SIGNATURE_BYTES;
	if (text.n != id + 1 + hex || text.p[id] != ' ' ||
	    !text_unhex(by->signature, SIGN_SIGNATURE_BYTES, (const char *)text.p + id + 1, hex))
		return false;
	memcpy(by->key_id, text.p, id);
	by->key_id[id] = '\0';
	return true;
}

bool publish_read(struct redis_ask *r, const char *set, uint32_t version, struct published *out, struct err *e)
{
	char key[KEY_MAX], manifest[32], endorsement[32], delta[32];
	struct bytes line, by;
	int64_t n = 0;
	set_key(key, set, "", 0);
	snprintf(manifest, sizeof(manifest), "%" PRIu32 ":manifest", version);
	snprintf(endorsement, sizeof(endorsement), "%" PRIu32 ":endorsement", version);
	snprintf(delta, sizeof(delta), "%" PRIu32 ":delta", version);
	struct reply *reply = call_words(r, 5, (const char *[]){"HMGET", key, manifest, endorsement, delta}, e);
	if (!reply)
		return false;
	bool ok = reply_text(reply_at(reply, 0), &line) && line.n <= MANIFEST_BYTES_MAX &&
		  reply_text(reply_at(reply, 1), &by) && publish_endorsement_read(by, &out->by) &&
		  manifest_read(line.p, line.n, &out->m, NULL);
	if (ok) {
		memcpy(out->line, line.p, line.n);
		out->line[line.n] = '\0';
		out->delta = reply_number(reply_at(reply, 2), &n) && n > 0 ? (uint64_t)n : 0;
	}
	reply_free(reply);
	return ok || err_set(e, "version %" PRIu32 " of set \"%s\" is not published here", version, set);
}

bool publish_content(struct redis_ask *r, const char *set, uint32_t version, struct buf *out, struct err *e)
{
	char key[KEY_MAX], at[16];
	set_key(key, set, "content", version);
	for (unsigned i = 0;; i++) {
		struct bytes piece;
		snprintf(at, sizeof(at), "%u", i);
		struct reply *reply = call_words(r, 3, (const char *[]){"LINDEX", key, at}, e);
		bool ok = reply != NULL, more = reply_text(reply, &piece) && piece.n > 0;
		if (more && out->n + piece.n <= MANIFEST_CONTENT_MAX)
			buf_add(out, piece.p, piece.n);
		reply_free(reply);
		if (!more)
			return ok && (i || err_set(e, "version %" PRIu32 " of set \"%s\" is not published here",
						   version, set));
	}
}

bool publish_promote(struct redis_ask *r, const char *set, const char *ring, uint32_t *version, struct err *e)
{
	int64_t v = 0;
	struct reply *reply = call_words(
	    r, 6, (const char *[]){"EVAL", promote_script, "1", PUBLISH_PREFIX "sets", set, ring}, e);
	if (!reply)
		return strstr(e->text, "NONE") ? err_set(e, "no version of set \"%s\" is in the ring \"%s\"", set, ring)
					       : false;
	*version = reply_number(reply, &v) && v > 0 ? (uint32_t)v : 0;
	reply_free(reply);
	return true;
}
