#include "collector/set_link.h"

#include <stdlib.h>
#include <string.h>

bool set_link_hello(struct set_link *l, struct cursor rest)
{
	if (!cursor_left(&rest))
		return true;
	struct bytes ring = cursor_bytes(&rest, cursor_u8(&rest));
	if (!cursor_ok(&rest) || (ring.n && !manifest_id_valid((const char *)ring.p, ring.n)))
		return false;
	if (ring.n)
		memcpy(l->ring, ring.p, ring.n);
	l->ring[ring.n] = '\0';
	l->on = true;
	return true;
}

void set_link_free(struct set_link *l)
{
	free(l->told);
	l->told = NULL;
	l->told_n = 0;
}

/* ---- offers ---- */

static bool told_already(const struct set_link *l, const struct offered *o)
{
	for (size_t i = 0; i < l->told_n; i++)
		if (l->told[i].version == o->m.version && strcmp(l->told[i].set, o->m.set) == 0)
			return true;
	return false;
}

static void offer(const struct offered *o, struct buf *out)
{
	struct set_offer f = {.delta = o->delta > 0, .by = o->by, .manifest = {(const uint8_t *)o->line, o->line_n}};
	set_offer_put(out, &f);
}

static void tell(struct set_link *l, const struct offered *o)
{
	l->told = xrealloc(l->told, (l->told_n + 1) * sizeof(*l->told));
	struct set_told *t = &l->told[l->told_n++];
	memcpy(t->set, o->m.set, sizeof(t->set));
	t->version = (uint32_t)o->m.version;
}

/* Forgets what is no longer current. */
static void prune(struct set_link *l, const struct sets *s)
{
	size_t kept = 0;
	for (size_t i = 0; i < l->told_n; i++)
		if (sets_find(s, l->told[i].set, l->told[i].version))
			l->told[kept++] = l->told[i];
	l->told_n = kept;
}

/* True: there are more, and no room. */
static bool put_offers(struct set_link *l, const struct sets *s, struct buf *out)
{
	if (l->generation == sets_generation(s))
		return false;
	for (size_t i = 0; i < sets_count(s); i++) {
		const struct offered *o = sets_at(s, i);
		if (!sets_is_for(s, o, l->ring) || told_already(l, o))
			continue;
		if (out->n > SET_LINK_OUT_MAX)
			return true;
		offer(o, out);
		tell(l, o);
	}
	prune(l, s);
	l->generation = sets_generation(s);
	return false;
}

/* ---- pieces ---- */

/* The most urgent that waits; equals in their order. */
static size_t most_urgent(const struct set_link *l, const struct sets *s)
{
	size_t best = 0;
	int best_urgency = -1;
	for (size_t i = 0; i < l->waiting_n; i++) {
		const struct offered *o = sets_find(s, l->waiting[i].set, l->waiting[i].version);
		int urgency = o ? (int)o->m.priority : URGENCY_COUNT; /* what is gone is answered at once */
		if (urgency > best_urgency) {
			best = i;
			best_urgency = urgency;
		}
	}
	return best;
}

/* False: its bytes are still on their way from Redis. */
static bool give(const struct set_get *g, struct sets *s, struct buf *out)
{
	const struct offered *o = sets_find(s, g->set, g->version);
	struct set_data d = {.version = g->version, .kind = g->kind, .offset = g->offset};
	enum piece_state state = o ? sets_piece(s, o, g->kind, g->offset, g->bytes, &d.piece) : PIECE_GONE;
	if (state == PIECE_COMING)
		return false;
	memcpy(d.set, g->set, sizeof(d.set));
	if (state == PIECE_READY)
		d.total = g->kind == SET_FULL ? (uint32_t)o->m.bytes : o->delta;
	else
		d.piece = (struct bytes){NULL, 0};
	set_data_put(out, &d);
	return true;
}

bool set_link_put(struct set_link *l, struct sets *s, struct buf *out)
{
	if (!l->on)
		return false;
	if (put_offers(l, s, out))
		return true;
	while (l->waiting_n) {
		if (out->n > SET_LINK_OUT_MAX)
			return true;
		size_t i = most_urgent(l, s);
		if (!give(&l->waiting[i], s, out))
			return false;
		l->waiting_n--;
		memmove(&l->waiting[i], &l->waiting[i + 1], (l->waiting_n - i) * sizeof(l->waiting[0]));
	}
	return false;
}

/* ---- from the sensor ---- */

static bool take_get(struct set_link *l, const struct frame *f, struct err *e)
{
	if (l->waiting_n == SET_LINK_WAITING_MAX)
		return err_set(e, "it asks for more than %d pieces of sets at once", SET_LINK_WAITING_MAX);
	if (!set_get_read(f->payload, &l->waiting[l->waiting_n]))
		return err_set(e, "SET_GET is malformed");
	l->waiting_n++;
	return true;
}

/* Only of what is published: a sensor cannot fill Redis with names of its own. */
static bool take_ack(struct sets *s, const char *sensor, const struct frame *f, struct err *e)
{
	struct set_ack a;
	if (!set_ack_read(f->payload, &a))
		return err_set(e, "SET_ACK is malformed");
	if (sets_find(s, a.set, a.version))
		sets_receipt(s, sensor, &a);
	return true;
}

bool set_link_take(struct set_link *l, struct sets *s, const char *sensor, const struct frame *f, struct err *e)
{
	if (!l->on)
		return err_set(e, "it did not say that it takes sets");
	if (f->type == FRAME_SET_GET)
		return take_get(l, f, e);
	if (f->type == FRAME_SET_ACK)
		return take_ack(s, sensor, f, e);
	return err_set(e, "frame type %d is not for a collector", f->type);
}
