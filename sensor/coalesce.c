/* A table of groups with a second to live. A group is in one bucket of 256 by
 * its indicator, in the order in which it is due; since every group waits the
 * same second, the order of arrival is that order and nothing is sorted. The
 * bucket is also what keeps storms apart: when there is no room, the fullest
 * bucket gives its oldest.
 *
 * Weighed: a window from the first alert's event time (captures replayed from a
 * file would never fold, clocks jump), and dropping beyond a rate (counts would
 * not be exact). */
#include "sensor/coalesce.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/hash.h"
#include "rules/alert.h"

#define WINDOW_US     1000000
#define LANES         256
#define PENDING_BYTES (32u << 20) /* last events and peers that wait, all groups together */
#define NONE          UINT32_MAX

struct group {
	uint8_t key[16];
	uint32_t next_in_slot;
	uint32_t earlier, later; /* in its lane */
	uint16_t lane;
	int64_t due_us;
	enum severity severity; /* the highest, of what waits */
	uint64_t n;             /* alerts that wait */
	int64_t first_us, last_us;
	struct buf last;  /* the last record that waits */
	struct buf peers; /* 16 bytes each */
};

struct lane {
	uint32_t oldest, newest, n;
};

struct coalesce {
	coalesce_emit *emit;
	void *owner;
	struct group *group;
	uint32_t *slot; /* heads of chains */
	size_t groups, slots, used;
	uint32_t free; /* chained by next_in_slot */
	struct lane lane[LANES];
	struct hash_key hash;
	size_t pending_bytes;
	uint64_t folded;
	struct buf out;
};

struct coalesce *coalesce_new(size_t groups, coalesce_emit *emit, void *owner)
{
	assert(groups > 0 && groups < NONE / 2);
	struct coalesce *c = xcalloc(1, sizeof(*c));
	*c = (struct coalesce){.emit = emit, .owner = owner, .groups = groups, .slots = 1, .free = NONE};
	while (c->slots < groups * 2)
		c->slots *= 2;
	c->group = xcalloc(groups, sizeof(*c->group));
	c->slot = xcalloc(c->slots, sizeof(*c->slot));
	memset(c->slot, 0xff, c->slots * sizeof(*c->slot));
	for (size_t i = groups; i > 0; i--) {
		c->group[i - 1].next_in_slot = c->free;
		c->free = (uint32_t)(i - 1);
	}
	for (int i = 0; i < LANES; i++)
		c->lane[i] = (struct lane){.oldest = NONE, .newest = NONE};
	hash_key_random(&c->hash);
	return c;
}

void coalesce_free(struct coalesce *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->groups; i++) {
		buf_free(&c->group[i].last);
		buf_free(&c->group[i].peers);
	}
	buf_free(&c->out);
	free(c->group);
	free(c->slot);
	free(c);
}

/* ---- table and lanes ---- */

static uint32_t *slot_of(struct coalesce *c, const uint8_t key[16])
{
	return &c->slot[hash64(&c->hash, key, 16) & (c->slots - 1)];
}

static uint32_t find(struct coalesce *c, const uint8_t key[16])
{
	uint32_t i = *slot_of(c, key);
	while (i != NONE && memcmp(c->group[i].key, key, 16) != 0)
		i = c->group[i].next_in_slot;
	return i;
}

static void lane_remove(struct coalesce *c, uint32_t i)
{
	struct group *g = &c->group[i];
	struct lane *l = &c->lane[g->lane];
	if (g->earlier == NONE)
		l->oldest = g->later;
	else
		c->group[g->earlier].later = g->later;
	if (g->later == NONE)
		l->newest = g->earlier;
	else
		c->group[g->later].earlier = g->earlier;
	l->n--;
}

static void lane_append(struct coalesce *c, uint32_t i, int64_t now_us)
{
	struct group *g = &c->group[i];
	struct lane *l = &c->lane[g->lane];
	g->due_us = now_us + WINDOW_US;
	g->earlier = l->newest;
	g->later = NONE;
	if (l->newest == NONE)
		l->oldest = i;
	else
		c->group[l->newest].later = i;
	l->newest = i;
	l->n++;
}

static uint16_t lane_for(struct coalesce *c, const struct record *r)
{
	return (uint16_t)(record_indicator_hash(&c->hash, r) % LANES);
}

/* ---- folding ---- */

static size_t weight(const struct group *g)
{
	return g->last.cap + g->peers.cap;
}

static void emit_pending(struct coalesce *c, struct group *g)
{
	struct record r;
	while (g->n && record_read(g->last.p, g->last.n, &r)) {
		r.n = g->n > UINT32_MAX ? UINT32_MAX : (uint32_t)g->n;
		r.first_us = g->first_us;
		r.last_us = g->last_us;
		r.severity = g->severity;
		r.peers = g->peers.n / 16;
		for (size_t i = 0; i < r.peers; i++)
			r.peer[i] = (struct bytes){.p = g->peers.p + i * 16, .n = 16};
		c->out.n = 0;
		record_write(&c->out, &r);
		c->emit(c->owner, c->out.p, c->out.n);
		g->n -= r.n;
	}
	c->pending_bytes -= weight(g);
	buf_free(&g->last);
	buf_free(&g->peers);
}

static void forget(struct coalesce *c, uint32_t i)
{
	struct group *g = &c->group[i];
	emit_pending(c, g);
	lane_remove(c, i);
	uint32_t *at = slot_of(c, g->key);
	while (*at != i)
		at = &c->group[*at].next_in_slot;
	*at = g->next_in_slot;
	g->next_in_slot = c->free;
	c->free = i;
	c->used--;
}

static void forget_of_fullest(struct coalesce *c)
{
	struct lane *fullest = &c->lane[0];
	for (int i = 1; i < LANES; i++)
		if (c->lane[i].n > fullest->n)
			fullest = &c->lane[i];
	forget(c, fullest->oldest);
}

static void remember(struct coalesce *c, const struct record *r, int64_t now_us)
{
	if (c->free == NONE)
		forget_of_fullest(c);
	uint32_t i = c->free, *slot = slot_of(c, r->key);
	struct group *g = &c->group[i];
	c->free = g->next_in_slot;
	*g = (struct group){.next_in_slot = *slot, .lane = lane_for(c, r)};
	memcpy(g->key, r->key, 16);
	*slot = i;
	lane_append(c, i, now_us);
	c->used++;
}

static void add_peer(struct group *g, struct bytes peer)
{
	if (peer.n != 16 || g->peers.n == RECORD_PEERS_MAX * 16)
		return;
	for (size_t i = 0; i < g->peers.n; i += 16)
		if (memcmp(g->peers.p + i, peer.p, 16) == 0)
			return;
	buf_add(&g->peers, peer.p, 16);
}

static void fold(struct coalesce *c, struct group *g, const struct record *r, const void *record, size_t n)
{
	size_t before = weight(g);
	if (!g->n || r->first_us < g->first_us)
		g->first_us = r->first_us;
	if (!g->n || r->last_us >= g->last_us) {
		g->last_us = r->last_us;
		g->last.n = 0;
		buf_add(&g->last, record, n);
	}
	if (!g->n || r->severity > g->severity)
		g->severity = r->severity;
	for (size_t i = 0; i < r->peers; i++)
		add_peer(g, r->peer[i]);
	g->n += r->n;
	c->folded += r->n;
	c->pending_bytes += weight(g) - before;
}

void coalesce_add(struct coalesce *c, const void *record, size_t n, int64_t now_us)
{
	struct record r;
	if (!record_read(record, n, &r) || r.kind != RECORD_ALERT) {
		c->emit(c->owner, record, n);
		return;
	}
	uint32_t i = find(c, r.key);
	if (i == NONE) {
		remember(c, &r, now_us);
		c->emit(c->owner, record, n);
		return;
	}
	fold(c, &c->group[i], &r, record, n);
	while (c->pending_bytes > PENDING_BYTES)
		forget_of_fullest(c);
}

int64_t coalesce_tick(struct coalesce *c, int64_t now_us)
{
	int64_t next_us = INT64_MAX;
	for (int l = 0; l < LANES; l++) {
		uint32_t i;
		while ((i = c->lane[l].oldest) != NONE && c->group[i].due_us <= now_us) {
			if (!c->group[i].n) {
				forget(c, i); /* a second of silence: the next one goes at once again */
				continue;
			}
			emit_pending(c, &c->group[i]);
			lane_remove(c, i);
			lane_append(c, i, now_us);
		}
		if (i != NONE && c->group[i].due_us < next_us)
			next_us = c->group[i].due_us;
	}
	return next_us;
}

void coalesce_flush(struct coalesce *c)
{
	for (int l = 0; l < LANES; l++)
		while (c->lane[l].oldest != NONE)
			forget(c, c->lane[l].oldest);
}

uint64_t coalesce_folded(const struct coalesce *c)
{
	return c->folded;
}
