/* The flow table.
 *
 * Two arrays. Records are 64 bytes, one cache line. Buckets are one line too:
 * eight tags, eight times of the last packet, eight record numbers. A flow lives
 * in one of the two buckets of a pair (neighbouring lines, so the second costs no
 * new page): 16 places, looked up by 16-bit tag before a record is touched.
 *
 *   memory   64 + 24 = 88 bytes per flow. At 24 bytes of bucket per flow a pair
 *            holds 5.3 flows on average when every record is in use; more than
 *            16 is met by 4 pairs in 100,000, which then evict early.
 *   speed    a lookup waits for two lines, bucket and record. Both can be asked
 *            for ahead for a whole burst, so the cost hardly grows with the table.
 *   hostile  the hash is keyed, so nobody can aim at a pair; nothing is chained,
 *            so nobody can make a lookup long; nothing grows.
 *
 * Eviction is decided from the buckets alone (the time and a "kept" bit stand
 * there): a flood of new flows costs no look at 16 records each. Flows that sent
 * one packet and got no answer, and closed ones, go first, the longest idle of
 * them first; PAIRS_TRIED pairs are searched for one before a flow that has
 * talked is given up.
 *
 * Weighed and left out: a timer wheel (a sweep of all records costs 5 ms per
 * million flows and is spread over SWEEP_S seconds); chained buckets (hostile
 * keys); cuckoo moves (writes to lines that were not asked for ahead).
 *
 * A record that is not in use has serial 0 and links to the next one by state. */
#include "sensor/flow.h"

#include <assert.h>
#include <endian.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "common/buf.h"
#include "common/exits.h"
#include "common/log.h"
#include "common/scratch.h"

#define IDLE_TCP_S        300u /* a connection that was answered or began before us */
#define IDLE_TCP_CLOSED_S 10u
#define IDLE_TCP_SYN_S    30u /* never answered */
#define IDLE_UDP_S        60u
#define IDLE_UDP_LONE_S   30u /* never answered */
#define IDLE_OTHER_S      30u
#define IDLE_LEAST_S      IDLE_TCP_CLOSED_S /* of all of these */

#define SWEEP_S       10    /* of capture time: the table is swept once in it */
#define SWEEP_MAX     4096u /* records per call */
#define LEAVING_MAX   16u   /* of them that end together */
#define SWEEP_AHEAD   16u   /* of them that are fetched for the next call */
#define PAIRS_TRIED   4u    /* pairs searched for a flow worth less than one that talked */
#define PAIRS_WALKED  64u   /* pairs searched for any flow at all; then the sweep's hand decides */
#define PLACES        8u    /* per bucket */
#define FLOWS_MIN     64u
#define HUGE_PAGE     (2u << 20)
#define PORT_SERVICES 1024 /* below it: the side that listens */

#define SEEN_KEPT 0x8000u /* more than one packet, and not closed */
#define SEEN_TIME 0x7fffu /* seconds, wraps after 9 h: far beyond every idle time */

struct bucket {
	uint16_t tag[PLACES];
	uint16_t seen[PLACES];
	uint32_t record[PLACES]; /* 0 = free */
};
_Static_assert(sizeof(struct bucket) == 64, "a bucket is one cache line");
_Static_assert(sizeof(struct flow) == 64, "a flow is one cache line");
_Static_assert(sizeof(struct flow_key) == 40 && offsetof(struct flow_key, lo_port) == 32, "five words, no padding");

struct flow_table {
	struct bucket *bucket; /* 2 * pairs */
	struct flow *record;   /* 1 .. limit */
	uint32_t pairs, limit;
	uint32_t fresh; /* records beyond this one were never used: their pages do not exist */
	uint32_t free;  /* list of given-back records, 0 = none */
	uint32_t count;
	uint32_t serial;
	uint32_t hand; /* the sweep's next record */
	int64_t swept_us;
	enum vlan_mode vlan;
	struct hash_key key;
	struct ledger *ledger;
	flow_end_fn *end;
	flow_soon_fn *soon;
	void *owner;
};

/* A place in the table. */
struct place {
	struct bucket *b;
	unsigned i;
};

static void *map_array(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		log_fatal(EXIT_ENVIRONMENT, "cannot reserve %zu MiB for the flow table: lower flow.max", bytes >> 20);
	if (bytes >= 2 * (size_t)HUGE_PAGE)
		madvise(p, bytes, MADV_HUGEPAGE); /* advice: without huge pages it is slower, not wrong */
	return p;
}

static size_t bucket_bytes(const struct flow_table *t)
{
	return 2 * (size_t)t->pairs * sizeof(struct bucket);
}

static size_t record_bytes(const struct flow_table *t)
{
	return ((size_t)t->limit + 1) * sizeof(struct flow);
}

struct flow_table *flow_table_new(size_t flows, enum vlan_mode vlan, const struct hash_key *key, struct ledger *ledger,
				  flow_end_fn *end, void *owner)
{
	struct flow_table *t = xcalloc(1, sizeof(*t));
	flows = flows < FLOWS_MIN ? FLOWS_MIN : flows > UINT32_MAX / 2 ? UINT32_MAX / 2 : flows;
	t->limit = (uint32_t)flows;
	t->pairs = (uint32_t)(flows * 3 / 16); /* 2 * 64 bytes each: 24 per flow */
	t->vlan = vlan;
	t->key = *key;
	t->ledger = ledger;
	t->end = end;
	t->owner = owner;
	t->hand = 1;
	t->bucket = map_array(bucket_bytes(t));
	t->record = map_array(record_bytes(t));
	return t;
}

void flow_before_end(struct flow_table *t, flow_soon_fn *soon)
{
	t->soon = soon;
}

size_t flow_count(const struct flow_table *t)
{
	return t->count;
}

size_t flow_table_bytes(const struct flow_table *t)
{
	return sizeof(*t) + bucket_bytes(t) + record_bytes(t);
}

/* ---- places ---- */

static uint32_t pair_of(const struct flow_table *t, uint64_t hash)
{
	return (uint32_t)((hash >> 32) * t->pairs >> 32);
}

static struct bucket *bucket_at(const struct flow_table *t, uint32_t pair)
{
	return t->bucket + 2 * (size_t)pair;
}

static uint16_t tag_of(uint64_t hash)
{
	return (uint16_t)hash;
}

/* The pair's other half comes first for half of the flows, so both fill evenly. */
static unsigned first_of(uint64_t hash)
{
	return hash >> 16 & 1;
}

/* Bit i: the tag at place i equals. */
static unsigned tags_equal(const struct bucket *b, uint16_t tag)
{
#ifdef __SSE2__
	__m128i eq = _mm_cmpeq_epi16(_mm_load_si128((const __m128i *)b->tag), _mm_set1_epi16((short)tag));
	return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(eq, _mm_setzero_si128()));
#else
	unsigned bits = 0;
	for (unsigned i = 0; i < PLACES; i++)
		bits |= (unsigned)(b->tag[i] == tag) << i;
	return bits;
#endif
}

static inline uint64_t word_at(const void *p)
{
	uint64_t w;
	memcpy(&w, p, sizeof(w));
	return w;
}

/* Five words: a call of memcmp() for each packet costs more than the comparison. */
static inline bool key_equal(const struct flow_key *a, const struct flow_key *b)
{
	const uint8_t *p = (const uint8_t *)a, *q = (const uint8_t *)b;
	return !((word_at(p) ^ word_at(q)) | (word_at(p + 8) ^ word_at(q + 8)) | (word_at(p + 16) ^ word_at(q + 16)) |
		 (word_at(p + 24) ^ word_at(q + 24)) | (word_at(p + 32) ^ word_at(q + 32)));
}

/* The key's last word, made in a register: written field by field and read as a
 * whole it would wait for the stores. */
static inline uint64_t last_word(uint16_t lo_port, uint16_t hi_port, uint16_t vlan, uint8_t proto, uint8_t vlan_inner)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (uint64_t)vlan_inner << 56 | (uint64_t)proto << 48 | (uint64_t)vlan << 32 | (uint64_t)hi_port << 16 |
	       lo_port;
#else
	return (uint64_t)lo_port << 48 | (uint64_t)hi_port << 32 | (uint64_t)vlan << 16 | (uint64_t)proto << 8 |
	       vlan_inner;
#endif
}

static uint64_t hash_of(const struct flow_table *t, const struct flow_key *key)
{
	const uint8_t *p = (const uint8_t *)key;
	return hash64_five(&t->key, word_at(p), word_at(p + 8), word_at(p + 16), word_at(p + 24), word_at(p + 32));
}

static bool find(const struct flow_table *t, const struct flow_key *key, uint64_t hash, struct place *at)
{
	struct bucket *pair = bucket_at(t, pair_of(t, hash));
	for (unsigned k = 0; k < 2; k++) {
		struct bucket *b = pair + (first_of(hash) ^ k);
		for (unsigned bits = tags_equal(b, tag_of(hash)); bits; bits &= bits - 1) {
			unsigned i = (unsigned)__builtin_ctz(bits);
			if (b->record[i] && key_equal(&t->record[b->record[i]].key, key)) {
				*at = (struct place){b, i};
				return true;
			}
		}
	}
	return false;
}

static bool find_free(const struct flow_table *t, uint64_t hash, struct place *at)
{
	struct bucket *pair = bucket_at(t, pair_of(t, hash));
	for (unsigned k = 0; k < 2; k++) {
		struct bucket *b = pair + (first_of(hash) ^ k);
		for (unsigned i = 0; i < PLACES; i++) {
			if (!b->record[i]) {
				*at = (struct place){b, i};
				return true;
			}
		}
	}
	return false;
}

/* ---- ends ---- */

static void end_flow(struct flow_table *t, struct place at)
{
	uint32_t n = at.b->record[at.i];
	struct flow *f = &t->record[n];
	t->end(t->owner, f);
	at.b->record[at.i] = 0;
	at.b->tag[at.i] = 0;
	memset(f, 0, sizeof(*f));
	f->state = t->free;
	t->free = n;
	t->count--;
}

static void end_record(struct flow_table *t, struct flow *f)
{
	struct place at;
	bool found = find(t, &f->key, hash_of(t, &f->key), &at);
	assert(found); /* a record in use has its place */
	if (found)
		end_flow(t, at);
}

void flow_table_free(struct flow_table *t)
{
	if (!t)
		return;
	for (uint32_t n = 1; n <= t->fresh; n++) {
		if (t->record[n].serial)
			t->end(t->owner, &t->record[n]);
	}
	munmap(t->record, record_bytes(t));
	munmap(t->bucket, bucket_bytes(t));
	free(t);
}

static bool answered(const struct flow *f)
{
	return f->packets[0] && f->packets[1];
}

static uint32_t idle_limit_s(const struct flow *f)
{
	switch (f->key.proto) {
	case IPPROTO_TCP:
		if (f->flags & FLOW_CLOSED)
			return IDLE_TCP_CLOSED_S;
		return answered(f) || (f->flags & FLOW_STATE) || !f->isn ? IDLE_TCP_S : IDLE_TCP_SYN_S;
	case IPPROTO_UDP:
		return answered(f) ? IDLE_UDP_S : IDLE_UDP_LONE_S;
	default:
		return IDLE_OTHER_S;
	}
}

/* Clocks of captures jump: a last packet in the future counts as just now. */
static bool timed_out(const struct flow *f, uint32_t now_s)
{
	int32_t idle = (int32_t)(now_s - f->last_s);
	return idle > (int32_t)IDLE_LEAST_S && (uint32_t)idle > idle_limit_s(f);
}

static uint32_t seconds(int64_t us)
{
	return us > 0 ? (uint32_t)(us / 1000000) : 0;
}

static uint32_t sweep_share(const struct flow_table *t, int64_t now_us)
{
	const int64_t whole_us = SWEEP_S * 1000000;
	int64_t passed;
	if (__builtin_sub_overflow(now_us, t->swept_us, &passed) || passed < 0 || passed > whole_us)
		passed = whole_us;
	int64_t n = (int64_t)t->fresh * passed / whole_us;
	return n > SWEEP_MAX ? SWEEP_MAX : (uint32_t)n;
}

/* Flows whose time is over, while what their ends touch is on its way. */
struct leaving {
	unsigned n;
	uint32_t record[LEAVING_MAX];
	uint64_t hash[LEAVING_MAX];
};

static void leave(struct flow_table *t, struct leaving *l, uint32_t record)
{
	const struct flow *f = &t->record[record];
	uint64_t hash = hash_of(t, &f->key);
	__builtin_prefetch(bucket_at(t, pair_of(t, hash)), 1);
	__builtin_prefetch(bucket_at(t, pair_of(t, hash)) + 1, 1);
	if (t->soon)
		t->soon(t->owner, f);
	l->record[l->n] = record;
	l->hash[l->n++] = hash;
}

/* Where a record that is in use stands. */
static struct place place_of(const struct flow_table *t, uint32_t record, uint64_t hash)
{
	struct bucket *pair = bucket_at(t, pair_of(t, hash));
	for (unsigned k = 0; k < 2 * PLACES; k++)
		if (pair[k / PLACES].record[k % PLACES] == record)
			return (struct place){&pair[k / PLACES], k % PLACES};
	return (struct place){0};
}

static void end_leaving(struct flow_table *t, struct leaving *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		struct place at = place_of(t, l->record[i], l->hash[i]);
		assert(at.b); /* a record in use has its place */
		ledger_count(t->ledger, LEDGER_FLOW_EXPIRED);
		if (at.b)
			end_flow(t, at);
	}
	l->n = 0;
}

void flow_expire(struct flow_table *t, int64_t now_us)
{
	uint32_t n = sweep_share(t, now_us), now_s = seconds(now_us);
	if (!n)
		return;
	t->swept_us = now_us;
	SCRATCH struct leaving l;
	l.n = 0;
	for (; n; n--) {
		t->hand = t->hand >= t->fresh ? 1 : t->hand + 1;
		const struct flow *f = &t->record[t->hand];
		if (!f->serial || !timed_out(f, now_s))
			continue;
		leave(t, &l, t->hand);
		if (l.n == LEAVING_MAX)
			end_leaving(t, &l);
	}
	end_leaving(t, &l);
	for (uint32_t i = 1; i <= SWEEP_AHEAD && i <= t->limit - t->hand; i++)
		__builtin_prefetch(&t->record[t->hand + i]); /* the next call's first: a burst away */
}

/* ---- eviction ---- */

struct victim {
	struct place at;
	unsigned idle_s;
	bool found, kept;
};

/* Less worth keeping: not kept before kept, then the longer idle. */
static void consider(struct victim *v, struct bucket *b, uint32_t now_s)
{
	for (unsigned i = 0; i < PLACES; i++) {
		if (!b->record[i])
			continue;
		bool kept = (b->seen[i] & SEEN_KEPT) != 0;
		unsigned idle_s = (now_s - b->seen[i]) & SEEN_TIME;
		if (!v->found || kept < v->kept || (kept == v->kept && idle_s > v->idle_s))
			*v = (struct victim){{b, i}, idle_s, true, kept};
	}
}

static void consider_pair(struct victim *v, const struct flow_table *t, uint32_t pair, uint32_t now_s)
{
	consider(v, bucket_at(t, pair), now_s);
	consider(v, bucket_at(t, pair) + 1, now_s);
}

static void evict(struct flow_table *t, struct place at)
{
	ledger_count(t->ledger, LEDGER_FLOW_EVICTED);
	end_flow(t, at);
}

/* Every record is in use: makes one free. */
static void evict_somewhere(struct flow_table *t, uint64_t hash, uint32_t now_s)
{
	struct victim v = {0};
	uint32_t pair = pair_of(t, hash);
	for (unsigned k = 0; k < PAIRS_WALKED; k++) {
		consider_pair(&v, t, pair, now_s);
		if (v.found && (!v.kept || k + 1 >= PAIRS_TRIED))
			break;
		pair = pair + 1 < t->pairs ? pair + 1 : 0;
	}
	if (v.found) {
		evict(t, v.at);
		return;
	}
	ledger_count(t->ledger, LEDGER_FLOW_EVICTED);
	t->hand = t->hand >= t->fresh ? 1 : t->hand + 1;
	end_record(t, &t->record[t->hand]);
}

/* Every place of the pair is taken: makes one free and gives it. */
static struct place evict_here(struct flow_table *t, uint64_t hash, uint32_t now_s)
{
	struct victim v = {0};
	consider_pair(&v, t, pair_of(t, hash), now_s);
	evict(t, v.at);
	return v.at;
}

/* ---- packets ---- */

/* As in memory order. */
static inline bool end_less(const struct addr *a, uint16_t a_port, const struct addr *b, uint16_t b_port)
{
	uint64_t x = word_at(a), y = word_at(b);
	if (x == y) {
		x = word_at(a->b + 8);
		y = word_at(b->b + 8);
	}
	return x == y ? a_port < b_port : be64toh(x) < be64toh(y);
}

static struct bucket *bucket_of(const struct flow_table *t, const struct flow_seek *s, unsigned k)
{
	return bucket_at(t, pair_of(t, s->hash)) + (first_of(s->hash) ^ k);
}

void flow_seek(const struct flow_table *t, const struct layer *l, struct flow_seek *s)
{
	bool hi = end_less(&l->dest, l->dest_port, &l->src, l->src_port);
	const struct addr *lo_addr = hi ? &l->dest : &l->src, *hi_addr = hi ? &l->src : &l->dest;
	unsigned outer = 0, inner = 0;
	if (t->vlan == VLAN_STRICT && l->vlan_n) {
		outer = l->vlan[0] & 0xfff;
		inner = l->vlan_n > 1 ? l->vlan[1] & 0xfff : 0;
	}
	uint64_t last = last_word(hi ? l->dest_port : l->src_port, hi ? l->src_port : l->dest_port,
				  (uint16_t)(outer | (inner & 0xf) << 12), l->proto, (uint8_t)(inner >> 4));
	s->from_hi = hi;
	s->key.lo = *lo_addr;
	s->key.hi = *hi_addr;
	memcpy(&s->key.lo_port, &last, sizeof(last));
	s->hash = hash64_five(&t->key, word_at(lo_addr), word_at(lo_addr->b + 8), word_at(hi_addr),
			      word_at(hi_addr->b + 8), last);
	s->guess = NULL;
	__builtin_prefetch(bucket_of(t, s, 0), 1);
}

static const struct flow *guess_in(const struct flow_table *t, struct bucket *b, struct flow_seek *s)
{
	unsigned bits = tags_equal(b, tag_of(s->hash));
	if (!bits)
		return NULL;
	s->place = (uint8_t)__builtin_ctz(bits);
	s->bucket = b;
	s->guess = &t->record[b->record[s->place]];
	__builtin_prefetch(s->guess, 1);
	return s->guess;
}

const struct flow *flow_prefetch(const struct flow_table *t, struct flow_seek *s)
{
	const struct flow *f = guess_in(t, bucket_of(t, s, 0), s);
	if (!f)
		__builtin_prefetch(bucket_of(t, s, 1), 1);
	return f;
}

const struct flow *flow_prefetch_other(const struct flow_table *t, struct flow_seek *s)
{
	return guess_in(t, bucket_of(t, s, 1), s);
}

static bool look_up(const struct flow_table *t, const struct flow_seek *s, struct place *at)
{
	if (s->guess && &t->record[s->bucket->record[s->place]] == s->guess && s->guess != t->record &&
	    key_equal(&s->guess->key, &s->key)) {
		*at = (struct place){s->bucket, s->place};
		return true;
	}
	return find(t, &s->key, s->hash, at);
}

static bool syn_only(const struct layer *l)
{
	return l->proto == IPPROTO_TCP && (l->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static bool syn_ack(const struct layer *l)
{
	return l->proto == IPPROTO_TCP && (l->tcp_flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);
}

/* Did the sender of the flow's first packet begin the conversation? */
static bool sender_began(const struct layer *l)
{
	if (syn_only(l))
		return true;
	if (syn_ack(l))
		return false;
	bool src_serves = l->src_port < PORT_SERVICES, dest_serves = l->dest_port < PORT_SERVICES;
	return src_serves == dest_serves || dest_serves;
}

static uint32_t take_record(struct flow_table *t, uint64_t hash, uint32_t now_s)
{
	if (!t->free && t->fresh == t->limit)
		evict_somewhere(t, hash, now_s);
	if (!t->free)
		return ++t->fresh;
	uint32_t n = t->free;
	t->free = t->record[n].state;
	t->record[n].state = 0;
	return n;
}

static struct place create(struct flow_table *t, const struct layer *l, const struct flow_seek *s, uint32_t now_s)
{
	uint64_t hash = s->hash;
	struct place at;
	if (!find_free(t, hash, &at))
		at = evict_here(t, hash, now_s);
	uint32_t n = take_record(t, hash, now_s);
	struct flow *f = &t->record[n];
	t->serial += t->serial == UINT32_MAX ? 2 : 1;
	f->key = s->key;
	f->serial = t->serial;
	f->flags = s->from_hi == sender_began(l) ? FLOW_ORIGIN_HI : 0;
	at.b->record[at.i] = n;
	at.b->tag[at.i] = tag_of(hash);
	t->count++;
	ledger_count(t->ledger, LEDGER_FLOWS);
	return at;
}

/* Where both sides' bytes begin, until inspection keeps account of it. The
 * SYN-ACK says which SYN the responder took, so it overrides. */
static void note_isn(struct flow *f, const struct layer *l, enum side side)
{
	if (syn_ack(l) && side == TO_CLIENT) {
		f->isn = l->tcp_ack;
		f->reply_isn = l->tcp_seq + 1;
	} else if (syn_only(l) && side == TO_SERVER && !f->packets[TO_CLIENT]) {
		f->isn = l->tcp_seq + 1;
		f->syn_ttl = l->ttl;
	}
}

static void note_close(struct flow *f, const struct layer *l, bool hi)
{
	if (l->tcp_flags & TCP_FIN)
		f->flags |= hi ? FLOW_FIN_HI : FLOW_FIN_LO;
	const uint8_t both = FLOW_FIN_LO | FLOW_FIN_HI;
	if ((l->tcp_flags & TCP_RST) || (f->flags & both) == both)
		f->flags |= FLOW_CLOSED;
}

/* Has this flow ended before the packet that now asks for it? */
static bool over(struct flow_table *t, const struct flow *f, const struct layer *l, uint32_t now_s)
{
	if (timed_out(f, now_s)) {
		ledger_count(t->ledger, LEDGER_FLOW_EXPIRED);
		return true;
	}
	return (f->flags & FLOW_CLOSED) && syn_only(l);
}

/* What the flow learns from a packet. */
static void note_packet(struct flow *f, const struct layer *l, enum side side, bool hi, uint32_t now_s)
{
	f->last_s = now_s;
	if (l->proto == IPPROTO_TCP && !(f->flags & FLOW_STATE)) {
		note_isn(f, l, side);
		note_close(f, l, hi);
	}
	if (f->packets[side] < UINT8_MAX)
		f->packets[side]++;
}

struct flow *flow_get(struct flow_table *t, const struct layer *l, const struct flow_seek *s, int64_t ts_us,
		      bool *is_new, enum side *side)
{
	uint32_t now_s = seconds(ts_us);
	struct place at;
	bool found = look_up(t, s, &at);
	if (found && over(t, &t->record[at.b->record[at.i]], l, now_s)) {
		end_flow(t, at);
		found = false;
	}
	if (!found)
		at = create(t, l, s, now_s);
	*is_new = !found;
	struct flow *f = &t->record[at.b->record[at.i]];
	*side = s->from_hi == ((f->flags & FLOW_ORIGIN_HI) != 0) ? TO_SERVER : TO_CLIENT;
	note_packet(f, l, *side, s->from_hi, now_s);
	bool kept = f->packets[0] + f->packets[1] > 1 && !(f->flags & FLOW_CLOSED);
	at.b->seen[at.i] = (uint16_t)((now_s & SEEN_TIME) | (kept ? SEEN_KEPT : 0));
	return f;
}
