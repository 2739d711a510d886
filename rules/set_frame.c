#include "rules/set_frame.h"

#include <string.h>

#include "common/frame.h"
#include "common/text.h"

/* ---- writing ---- */

static void put_name(struct buf *out, const char *set, uint32_t version)
{
	size_t n = strlen(set);
	buf_u8(out, (uint8_t)n);
	buf_add(out, set, n);
	buf_u32(out, version);
}

void set_offer_put(struct buf *out, const struct set_offer *o)
{
	size_t at = frame_begin(out, FRAME_SET_OFFER);
	buf_u8(out, o->delta);
	buf_add(out, o->by.key_id, SIGN_KEY_ID_LEN - 1);
	buf_add(out, o->by.signature, SIGN_SIGNATURE_BYTES);
	buf_add(out, o->manifest.p, o->manifest.n);
	frame_end(out, at);
}

void set_get_put(struct buf *out, const struct set_get *g)
{
	size_t at = frame_begin(out, FRAME_SET_GET);
	put_name(out, g->set, g->version);
	buf_u8(out, (uint8_t)g->kind);
	buf_u32(out, g->offset);
	buf_u32(out, g->bytes);
	frame_end(out, at);
}

void set_data_put(struct buf *out, const struct set_data *d)
{
	size_t at = frame_begin(out, FRAME_SET_DATA);
	put_name(out, d->set, d->version);
	buf_u8(out, (uint8_t)d->kind);
	buf_u32(out, d->offset);
	buf_u32(out, d->total);
	buf_add(out, d->piece.p, d->piece.n);
	frame_end(out, at);
}

void set_ack_put(struct buf *out, const struct set_ack *a)
{
	size_t at = frame_begin(out, FRAME_SET_ACK);
	put_name(out, a->set, a->version);
	buf_u8(out, (uint8_t)a->result);
	buf_u64(out, (uint64_t)a->at_us);
	buf_add(out, a->digest, sizeof(a->digest));
	buf_add(out, a->why.p, a->why.n < SET_WHY_MAX ? a->why.n : SET_WHY_MAX);
	frame_end(out, at);
}

/* ---- reading ---- */

static bool take_name(struct cursor *c, char set[static MANIFEST_SET_MAX + 1], uint32_t *version)
{
	struct bytes name = cursor_bytes(c, cursor_u8(c));
	*version = cursor_u32(c);
	if (!cursor_ok(c) || !manifest_id_valid((const char *)name.p, name.n) || !*version)
		return false;
	memcpy(set, name.p, name.n);
	set[name.n] = '\0';
	return true;
}

static bool take_kind(struct cursor *c, enum set_kind *kind)
{
	uint8_t k = cursor_u8(c);
	*kind = (enum set_kind)k;
	return k < SET_KIND_COUNT;
}

bool set_offer_read(struct bytes payload, struct set_offer *o)
{
	struct cursor c = cursor_over(payload.p, payload.n);
	uint8_t flags = cursor_u8(&c), raw[(SIGN_KEY_ID_LEN - 1) / 2];
	struct bytes id = cursor_bytes(&c, SIGN_KEY_ID_LEN - 1), signature = cursor_bytes(&c, SIGN_SIGNATURE_BYTES);
	o->manifest = cursor_bytes(&c, cursor_left(&c));
	if (!cursor_ok(&c) || flags > 1 || !o->manifest.n || o->manifest.n > MANIFEST_BYTES_MAX ||
	    !text_unhex(raw, sizeof(raw), (const char *)id.p, id.n))
		return false;
	o->delta = flags & 1;
	memcpy(o->by.key_id, id.p, id.n);
	o->by.key_id[id.n] = '\0';
	memcpy(o->by.signature, signature.p, SIGN_SIGNATURE_BYTES);
	return true;
}

bool set_get_read(struct bytes payload, struct set_get *g)
{
	struct cursor c = cursor_over(payload.p, payload.n);
	bool good = take_name(&c, g->set, &g->version) && take_kind(&c, &g->kind);
	g->offset = cursor_u32(&c);
	g->bytes = cursor_u32(&c);
	return good && cursor_ok(&c) && !cursor_left(&c) && g->bytes && g->bytes <= SET_PIECE_MAX &&
	       g->offset <= MANIFEST_CONTENT_MAX;
}

bool set_data_read(struct bytes payload, struct set_data *d)
{
	struct cursor c = cursor_over(payload.p, payload.n);
	bool good = take_name(&c, d->set, &d->version) && take_kind(&c, &d->kind);
	d->offset = cursor_u32(&c);
	d->total = cursor_u32(&c);
	d->piece = cursor_bytes(&c, cursor_left(&c));
	if (!good || !cursor_ok(&c) || d->total > MANIFEST_CONTENT_MAX || d->piece.n > SET_PIECE_MAX)
		return false;
	return d->total ? d->piece.n && d->offset <= d->total && d->piece.n <= d->total - d->offset : !d->piece.n;
}

bool set_ack_read(struct bytes payload, struct set_ack *a)
{
	struct cursor c = cursor_over(payload.p, payload.n);
	bool good = take_name(&c, a->set, &a->version);
	uint8_t result = cursor_u8(&c);
	uint64_t at = cursor_u64(&c);
	struct bytes digest = cursor_bytes(&c, sizeof(a->digest));
	a->why = cursor_bytes(&c, cursor_left(&c));
	if (!good || !cursor_ok(&c) || result >= SET_RESULT_COUNT || at > INT64_MAX || a->why.n > SET_WHY_MAX)
		return false;
	a->result = (enum set_result)result;
	a->at_us = (int64_t)at;
	memcpy(a->digest, digest.p, sizeof(a->digest));
	return true;
}
