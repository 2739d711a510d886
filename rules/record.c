/* The record that carries an alert through spool, frames and folding; alert.h
 * draws it. Addresses in FIELD_SRC, _DEST and _ENDPOINT are text, as they stand
 * in Redis; FIELD_PEER is 16 bytes, as it is counted.
 *
 * The reader believes nothing: every field has a limit, none but the peer may
 * repeat, times and counts must be possible. What it refuses was not written by
 * a sensor of ours. */
#include "rules/alert.h"

#include <string.h>

#include "common/hash.h"

#define RECORD_VERSION 1
#define RECORD_MAX     (1u << 20)
#define FIELD_TEXT_MAX 8192 /* every field but the JSON; values are at most 4096 */
#define PEER_SIZE      16
#define FLAG_EXERCISE  1
#define KEY_SCHEMA     1 /* changes when the key's ingredients change: all groups begin anew */

static void write_field(struct buf *out, uint8_t id, struct bytes b)
{
	size_t max = id == FIELD_JSON ? UINT16_MAX : FIELD_TEXT_MAX;
	if (!b.n || b.n > max)
		return;
	buf_u8(out, id);
	buf_u16(out, (uint16_t)b.n);
	buf_add(out, b.p, b.n);
}

void record_write(struct buf *out, const struct record *rec)
{
	buf_u8(out, RECORD_VERSION);
	buf_u8(out, (uint8_t)rec->kind);
	buf_u8(out, (uint8_t)rec->severity);
	buf_u8(out, rec->exercise ? FLAG_EXERCISE : 0);
	buf_u32(out, rec->n);
	buf_u64(out, (uint64_t)rec->first_us);
	buf_u64(out, (uint64_t)rec->last_us);
	buf_add(out, rec->key, sizeof(rec->key));
	for (uint8_t id = 1; id < FIELD_COUNT; id++)
		if (id != FIELD_PEER)
			write_field(out, id, rec->field[id]);
	for (size_t i = 0; i < rec->peers && i < RECORD_PEERS_MAX; i++)
		write_field(out, FIELD_PEER, rec->peer[i]);
}

static bool read_head(struct cursor *c, struct record *rec)
{
	uint8_t version = cursor_u8(c), kind = cursor_u8(c), severity = cursor_u8(c), flags = cursor_u8(c);
	rec->kind = (enum record_kind)kind;
	rec->severity = (enum severity)severity;
	rec->exercise = flags & FLAG_EXERCISE;
	rec->n = cursor_u32(c);
	uint64_t first = cursor_u64(c), last = cursor_u64(c);
	const uint8_t *key = cursor_take(c, sizeof(rec->key));
	if (!key || version != RECORD_VERSION || kind >= RECORD_KIND_COUNT || severity >= SEVERITY_COUNT || !rec->n)
		return false;
	memcpy(rec->key, key, sizeof(rec->key));
	rec->first_us = (int64_t)first;
	rec->last_us = (int64_t)last;
	return first <= last && last <= INT64_MAX;
}

static bool read_peer(struct record *rec, struct bytes b)
{
	if (b.n != PEER_SIZE || rec->peers == RECORD_PEERS_MAX)
		return false;
	rec->peer[rec->peers++] = b;
	rec->field[FIELD_PEER] = rec->peer[0];
	return true;
}

bool record_read(const void *data, size_t n, struct record *rec)
{
	struct cursor c = cursor_over(data, n);
	*rec = (struct record){0};
	if (n > RECORD_MAX || !read_head(&c, rec))
		return false;
	while (cursor_left(&c)) {
		uint8_t id = cursor_u8(&c);
		struct bytes b = cursor_bytes(&c, cursor_u16(&c));
		if (!cursor_ok(&c) || id == 0)
			return false;
		if (id >= FIELD_COUNT)
			continue;
		if (id == FIELD_PEER) {
			if (!read_peer(rec, b))
				return false;
			continue;
		}
		if (rec->field[id].p || (id != FIELD_JSON && b.n > FIELD_TEXT_MAX))
			return false;
		rec->field[id] = b;
	}
	return cursor_ok(&c);
}

static void key_part(struct buf *b, struct bytes part)
{
	buf_u32(b, (uint32_t)part.n);
	buf_add(b, part.p, part.n);
}

static bool equals(struct bytes b, const char *text)
{
	return b.n == strlen(text) && memcmp(b.p, text, b.n) == 0;
}

/* "dns.answer.addr" → "dns": the sighting's kind, not its exact place. */
static struct bytes kind_of(struct bytes where)
{
	const uint8_t *dot = where.n ? memchr(where.p, '.', where.n) : NULL;
	return dot ? (struct bytes){.p = where.p, .n = (size_t)(dot - where.p)} : where;
}

void record_key(const struct record *rec, uint8_t key[static 16])
{
	struct buf b = {0};
	uint8_t digest[32];
	struct bytes fold = rec->field[FIELD_FOLD];
	buf_u8(&b, KEY_SCHEMA);
	key_part(&b, rec->field[FIELD_TENANT]);
	key_part(&b, rec->field[FIELD_SET]);
	key_part(&b, rec->field[FIELD_INDICATOR]);
	key_part(&b, kind_of(rec->field[FIELD_WHERE]));
	if (fold.n && equals(fold, fold_names[FOLD_SRC_DST])) {
		key_part(&b, rec->field[FIELD_SRC]);
		key_part(&b, rec->field[FIELD_DEST]);
	} else if (!fold.n || !equals(fold, fold_names[FOLD_INDICATOR])) {
		key_part(&b, rec->field[FIELD_ENDPOINT]);
	}
	if (rec->field[FIELD_EXERCISE].n)
		key_part(&b, rec->field[FIELD_EXERCISE]);
	hash_sha256(digest, b.p, b.n);
	memcpy(key, digest, 16);
	buf_free(&b);
}

uint64_t record_indicator_hash(const struct hash_key *k, const struct record *rec)
{
	uint64_t set = hash64(k, rec->field[FIELD_SET].p, rec->field[FIELD_SET].n);
	return set * 31 + hash64(k, rec->field[FIELD_INDICATOR].p, rec->field[FIELD_INDICATOR].n);
}
