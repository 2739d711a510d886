/* Folding must give the same groups whether records come one by one or in a
 * heap: counts add, times are minimum and maximum, the severity is the highest.
 * Only the episode needs care: a gap is measured from the newest event so far to
 * a record's first event, so a record that lies beyond reopen_after from the
 * delta's newest event begins a second delta of the same key, and the script
 * takes the deltas in order. Within one delta no later record can open an
 * episode, whatever Redis has stored; the first one can, and opened_us keeps its
 * time. */
#include "collector/fold.h"

#include <string.h>
#include <sys/mman.h>

#include "common/exits.h"
#include "common/log.h"

#define ARENA_KEEP (256u << 10) /* an idle session gives the rest back */

static size_t memory_of(const struct fold *f)
{
	return f->deltas_max * sizeof(*f->delta) + FOLD_PEERS_MAX * sizeof(*f->peer) +
	       FOLD_KEY_SLOTS * sizeof(*f->key_slot) + FOLD_PEER_SLOTS * sizeof(*f->peer_slot);
}

/* Megabytes for each sensor, of which one that has nothing to tell touches no page. Of
 * malloc they would come cleared, that is touched, once other sessions have used them. */
static void *map(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		log_fatal(EXIT_ENVIRONMENT, "out of memory: %zu bytes were asked for", n);
	return p;
}

void fold_init(struct fold *f, const struct hash_key *hash, int64_t reopen_after_us, size_t deltas_max)
{
	*f = (struct fold){
	    .hash = hash, .reopen_after_us = reopen_after_us, .deltas_max = deltas_max, .lane_max = FOLD_LANE_MAX};
	if (!f->deltas_max || f->deltas_max > FOLD_DELTAS_MAX)
		f->deltas_max = FOLD_DELTAS_MAX;
	f->delta = map(memory_of(f));
	f->peer = (struct fold_peer *)(f->delta + f->deltas_max);
	f->key_slot = (uint16_t *)(f->peer + FOLD_PEERS_MAX);
	f->peer_slot = f->key_slot + FOLD_KEY_SLOTS;
}

void fold_free(struct fold *f)
{
	if (f->delta)
		munmap(f->delta, memory_of(f));
	buf_free(&f->arena);
	*f = (struct fold){0};
}

void fold_reset(struct fold *f)
{
	if (f->n)
		memset(f->key_slot, 0, FOLD_KEY_SLOTS * sizeof(*f->key_slot));
	if (f->peers)
		memset(f->peer_slot, 0, FOLD_PEER_SLOTS * sizeof(*f->peer_slot));
	f->n = f->peers = f->arena.n = 0;
	memset(f->lane_n, 0, sizeof(f->lane_n));
	if (f->arena.cap > ARENA_KEEP)
		buf_free(&f->arena);
}

struct bytes fold_bytes(const struct fold *f, struct span s)
{
	return (struct bytes){.p = s.n ? f->arena.p + s.at : NULL, .n = s.n};
}

static struct span keep(struct fold *f, struct bytes b)
{
	struct span s = {.at = (uint32_t)f->arena.n, .n = (uint32_t)b.n};
	if (b.n)
		buf_add(&f->arena, b.p, b.n);
	return s;
}

static uint16_t *key_slot(struct fold *f, const uint8_t key[16])
{
	size_t i = (size_t)hash64(f->hash, key, 16) % FOLD_KEY_SLOTS;
	while (f->key_slot[i] && memcmp(f->delta[f->key_slot[i] - 1].key, key, 16) != 0)
		i = (i + 1) % FOLD_KEY_SLOTS;
	return &f->key_slot[i];
}

static bool same(const struct fold *f, const struct delta *d, const struct record *r, enum record_field id)
{
	struct span had = d->field[id];
	struct bytes has = r->field[id];
	return had.n == has.n && (!has.n || memcmp(f->arena.p + had.at, has.p, has.n) == 0);
}

/* Whether the fields that make a group key (rules/record.c) are the same bytes
 * as those of a record already checked: then the key is right without hashing. */
static bool same_identity(const struct fold *f, const struct delta *d, const struct record *r)
{
	struct bytes rule = r->field[FIELD_FOLD];
	const char *pair = fold_names[FOLD_SRC_DST];
	if (!same(f, d, r, FIELD_INDICATOR) || !same(f, d, r, FIELD_WHERE) || !same(f, d, r, FIELD_SET) ||
	    !same(f, d, r, FIELD_TENANT) || !same(f, d, r, FIELD_FOLD) || !same(f, d, r, FIELD_EXERCISE))
		return false;
	if (rule.n == strlen(pair) && memcmp(rule.p, pair, rule.n) == 0)
		return same(f, d, r, FIELD_SRC) && same(f, d, r, FIELD_DEST);
	return same(f, d, r, FIELD_ENDPOINT);
}

/* The slot where the record belongs by its fields. Losses carry no identity to
 * check: they never touch a group. */
static uint16_t *true_slot(struct fold *f, const struct record *r, uint8_t key[16], bool *lied)
{
	memcpy(key, r->key, 16);
	uint16_t *slot = key_slot(f, key);
	if (r->kind != RECORD_ALERT || (*slot && same_identity(f, &f->delta[*slot - 1], r)))
		return slot;
	record_key(r, key);
	*lied = memcmp(key, r->key, 16) != 0;
	return *lied ? key_slot(f, key) : slot;
}

static bool room_for(const struct fold *f, const struct record *r, bool new_delta, unsigned lane)
{
	size_t bytes = 0;
	if (!f->n)
		return true;
	if (f->peers + r->peers > FOLD_PEERS_MAX)
		return false;
	for (size_t i = 0; new_delta && i < FIELD_COUNT; i++)
		bytes += r->field[i].n;
	return !new_delta ||
	       (f->n < f->deltas_max && f->lane_n[lane] < f->lane_max && f->arena.n + bytes <= FOLD_BYTES_MAX);
}

static struct delta *delta_new(struct fold *f, const struct record *r, const uint8_t key[16], unsigned lane,
			       int64_t first_us)
{
	struct delta *d = &f->delta[f->n++];
	*d = (struct delta){.kind = r->kind,
			    .severity = r->severity,
			    .opened_us = first_us,
			    .first_us = first_us,
			    .lane = (uint8_t)lane};
	f->lane_n[lane]++;
	memcpy(d->key, key, 16);
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (i != FIELD_PEER)
			d->field[i] = keep(f, r->field[i]);
	return d;
}

static void add_peer(struct fold *f, struct delta *d, struct bytes addr)
{
	uint16_t owner = (uint16_t)(d - f->delta);
	uint8_t id[18] = {(uint8_t)(owner >> 8), (uint8_t)owner};
	if (addr.n != 16)
		return;
	memcpy(id + 2, addr.p, 16);
	size_t i = (size_t)hash64(f->hash, id, sizeof(id)) % FOLD_PEER_SLOTS;
	for (; f->peer_slot[i]; i = (i + 1) % FOLD_PEER_SLOTS) {
		const struct fold_peer *p = &f->peer[f->peer_slot[i] - 1];
		if (p->delta == owner && memcmp(p->addr, addr.p, 16) == 0)
			return;
	}
	struct fold_peer *p = &f->peer[f->peers++];
	*p = (struct fold_peer){.delta = owner, .next = d->first_peer};
	memcpy(p->addr, addr.p, 16);
	f->peer_slot[i] = d->first_peer = (uint16_t)f->peers;
}

/* A sensor whose clock runs ahead must not hold a group open for ever or hide
 * the events of all others: no event is later than its arrival. */
static int64_t clamp(int64_t us, int64_t now_us, int64_t *skew_us)
{
	if (us <= now_us)
		return us < 0 ? 0 : us;
	if (us - now_us >= SKEW_NOTED_US && us - now_us > *skew_us)
		*skew_us = us - now_us;
	return now_us;
}

enum fold_result fold_add(struct fold *f, const struct record *r, uint64_t sequence, int64_t now_us)
{
	uint8_t key[16];
	bool lied = false;
	int64_t skew_us = 0, last_us = clamp(r->last_us, now_us, &skew_us);
	int64_t first_us = clamp(r->first_us < r->last_us ? r->first_us : r->last_us, now_us, &skew_us);
	uint16_t *slot = true_slot(f, r, key, &lied);
	unsigned lane = r->kind == RECORD_ALERT ? lane_of(key, r->field[FIELD_EXERCISE].n) : 0;
	if (f->marks && sequence <= f->marks->lane[lane])
		return FOLD_KNOWN;
	struct delta *d = *slot ? &f->delta[*slot - 1] : NULL;
	bool fresh = !d || d->kind != r->kind || first_us - d->last_us > f->reopen_after_us;
	if (!room_for(f, r, fresh, lane))
		return FOLD_FULL;
	if (fresh) {
		bool again = d != NULL;
		if (again)
			d->again = true;
		d = delta_new(f, r, key, lane, first_us);
		d->again = again;
		*slot = (uint16_t)f->n;
	}
	d->n += r->n;
	if (r->severity > d->severity)
		d->severity = r->severity;
	if (first_us < d->first_us)
		d->first_us = first_us;
	if (last_us > d->last_us)
		d->last_us = last_us;
	if (skew_us > d->skew_us)
		d->skew_us = skew_us;
	for (size_t i = 0; i < r->peers; i++)
		add_peer(f, d, r->peer[i]);
	f->records++;
	f->lies += lied;
	return FOLD_ADDED;
}

enum fold_result fold_add_unreadable(struct fold *f, uint64_t sequence, int64_t now_us)
{
	static const char reason[] = "unreadable record";
	struct record r = {.kind = RECORD_LOSS, .n = 1, .first_us = now_us, .last_us = now_us};
	r.field[FIELD_REASON] = (struct bytes){(const uint8_t *)reason, sizeof(reason) - 1};
	enum fold_result result = fold_add(f, &r, sequence, now_us);
	f->unreadable += result == FOLD_ADDED;
	return result;
}
