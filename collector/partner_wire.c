#include "collector/partner_wire.h"

#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "common/tls.h"

static void put_short(struct buf *out, const char *text)
{
	size_t n = strlen(text) > 255 ? 255 : strlen(text);
	buf_u8(out, (uint8_t)n);
	buf_add(out, text, n);
}

void wire_hello_put(struct buf *out, uint64_t epoch, const char *name)
{
	size_t at = frame_begin(out, FRAME_HELLO);
	buf_u64(out, epoch);
	buf_u8(out, ROLE_PARTNER);
	put_short(out, name);
	put_short(out, PICKET_VERSION);
	frame_end(out, at);
}

void wire_welcome_put(struct buf *out, const struct wire_welcome *w)
{
	size_t at = frame_begin(out, FRAME_WELCOME);
	for (int i = 0; i < LANE_COUNT; i++)
		buf_u64(out, (uint64_t)w->place[i]);
	frame_end(out, at);
}

void wire_objects_put(struct buf *out, const struct wire_objects *o)
{
	size_t at = frame_begin(out, FRAME_OBJECTS);
	buf_u8(out, (uint8_t)o->lane);
	buf_u64(out, (uint64_t)o->place);
	buf_u16(out, (uint16_t)o->n);
	buf_add(out, o->records.p, o->records.n);
	frame_end(out, at);
}

void wire_taken_put(struct buf *out, const struct wire_taken *t)
{
	size_t at = frame_begin(out, FRAME_TAKEN);
	buf_u8(out, (uint8_t)t->lane);
	buf_u64(out, (uint64_t)t->place);
	frame_end(out, at);
}

void wire_text_put(struct buf *out, enum frame_type type, const char *text)
{
	size_t n = strlen(text), at = frame_begin(out, type);
	if (type == FRAME_BYE)
		buf_u8(out, 0);
	buf_add(out, text, n > WIRE_NOTICE_MAX ? WIRE_NOTICE_MAX : n);
	frame_end(out, at);
}

void wire_window_put(struct buf *out)
{
	char text[40];
	snprintf(text, sizeof(text), "{\"window\":%d}", WIRE_WINDOW);
	wire_text_put(out, FRAME_NOTICE, text);
}

static bool done(const struct cursor *c, const char *what, struct err *e)
{
	return (cursor_ok(c) && !cursor_left(c)) || err_set(e, "a %s that is cut short or too long", what);
}

static void take_short(struct cursor *c, char *to, size_t cap)
{
	struct bytes b = cursor_bytes(c, cursor_u8(c));
	text_clean(to, cap, b.p, b.n);
}

bool wire_hello_read(struct bytes payload, struct wire_hello *h, struct err *e)
{
	struct cursor c = cursor_over(payload.p, payload.n);
	h->epoch = cursor_u64(&c);
	uint8_t role = cursor_u8(&c);
	take_short(&c, h->name, sizeof(h->name));
	take_short(&c, h->version, sizeof(h->version));
	if (!done(&c, "HELLO", e))
		return false;
	return role == ROLE_PARTNER || err_set(e, "a HELLO of another role than partner");
}

static bool place_good(int64_t place, struct err *e)
{
	return place >= 0 || err_set(e, "a place below 0");
}

bool wire_welcome_read(struct bytes payload, struct wire_welcome *w, struct err *e)
{
	struct cursor c = cursor_over(payload.p, payload.n);
	bool good = true;
	for (int i = 0; i < LANE_COUNT; i++) {
		w->place[i] = (int64_t)cursor_u64(&c);
		good = good && place_good(w->place[i], e);
	}
	return good && done(&c, "WELCOME", e);
}

static bool lane_read(struct cursor *c, enum lane *lane, int64_t *place, struct err *e)
{
	uint8_t l = cursor_u8(c);
	*place = (int64_t)cursor_u64(c);
	*lane = l < LANE_COUNT ? (enum lane)l : LANE_BULK;
	return (l < LANE_COUNT || err_set(e, "lane %u does not exist", l)) && place_good(*place, e);
}

bool wire_objects_read(struct bytes payload, struct wire_objects *o, struct err *e)
{
	struct cursor c = cursor_over(payload.p, payload.n);
	if (!lane_read(&c, &o->lane, &o->place, e))
		return false;
	o->n = cursor_u16(&c);
	o->records = cursor_bytes(&c, cursor_left(&c));
	return done(&c, "batch of objects", e);
}

bool wire_taken_read(struct bytes payload, struct wire_taken *t, struct err *e)
{
	struct cursor c = cursor_over(payload.p, payload.n);
	return lane_read(&c, &t->lane, &t->place, e) && done(&c, "TAKEN", e);
}
