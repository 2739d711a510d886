/* Reassembly of IPv4 (RFC 791) and IPv6 (RFC 8200) fragments.
 *
 * Decisions:
 * - The first copy of a byte counts. An overlap is counted (FRAG_OVERLAP) unless
 *   the fragment only repeats what is there byte for byte. RFC 5722 wants an IPv6 datagram with
 *   overlaps thrown away; we keep it: a sensor that throws away what an older
 *   host accepts is blind, one that looks at too much is not.
 * - Bytes are held in chunks of 1984 with a bitmap of 8-byte blocks, so a
 *   fragment costs the same wherever it lies and however many came before, and
 *   one tiny fragment at a high offset costs one chunk, not 64 KiB.
 * - A datagram that is too old (30 s of the capture's clock, RFC 1122), or the
 *   oldest one when memory is short, is given up and counted; what it began with is
 *   still inspected, as a packet that the capture cut: a fragment may have been lost
 *   on the way to the sensor alone. One group of sources
 *   (256 groups by keyed hash) may hold at most a quarter of the memory, so that
 *   a single flooding host pushes out its own datagrams first.
 * - More than 65,535 bytes (ping of death) and empty fragments are refused, and
 *   counted with the limits (FRAG_LIMIT).
 * What it does not do: guess the receiving system's own overlap policy. */
#include "sensor/defrag.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/hash.h"
#include "common/mem.h"

#define TIMEOUT_US    (30 * UINT64_C(1000000))
#define DEFAULT_BYTES ((size_t)16 << 20)

enum {
	DATAGRAM_MAX = 65535, /* payload and, for IPv4, header */
	HEAD_MAX = 512,       /* headers in front of the fragmented part */
	BLOCK = 8,
	CHUNK_BLOCKS = 248,
	CHUNK_BYTES = CHUNK_BLOCKS * BLOCK,
	CHUNKS = DATAGRAM_MAX / CHUNK_BYTES + 1,
	BUCKETS = 4096,
	SOURCES = 256,
	SOURCE_SHARE = 4,  /* one group of sources may hold 1/4 of the memory */
	GIVEN_UP_MAX = 256 /* beginnings that wait for the worker, which takes them after each burst */
};

struct chunk {
	uint64_t have[4]; /* bit per block */
	uint8_t data[CHUNK_BYTES];
};
_Static_assert(sizeof(struct chunk) <= 2048, "a chunk fills one size class");
_Static_assert(CHUNK_BLOCKS <= 4 * 64, "a bit for every block");

struct key {
	struct addr src, dest;
	uint32_t id;
	uint16_t vlan[VLAN_TAGS_MAX];
	uint8_t v6, proto, vlan_n, zero;
};

/* A doubly linked list through `link`, oldest first. */
struct list {
	struct list *prev, *next;
};

struct datagram {
	struct list age, peers; /* among all, and among those of its group of sources */
	struct datagram *chain; /* of the bucket */
	struct key key;
	uint32_t bucket, source;
	int64_t first_us;
	size_t bytes; /* charged to the group of sources */
	uint32_t end; /* length of the payload; 0 = the last fragment is missing */
	uint32_t highest;
	uint32_t blocks; /* held */
	uint8_t *head;   /* of the fragment with offset 0 */
	uint32_t head_n, next_at;
	uint8_t first_proto;
	struct chunk *chunk[CHUNKS];
};

struct done {
	struct done *next;
	struct fragment_vlans vlans;
	uint32_t n;
	uint8_t data[];
};

struct defrag {
	struct mem mem;
	struct ledger *ledger;
	struct hash_key hash;
	struct list age;
	struct done *done;     /* handed out */
	struct done *given_up; /* not handed out yet, oldest first */
	struct done **given_up_last;
	size_t given_up_n;
	size_t waiting;
	struct datagram *bucket[BUCKETS];
	struct list source[SOURCES];
	size_t source_bytes[SOURCES];
};

static void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static void list_append(struct list *head, struct list *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static void list_remove(struct list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
}

static struct datagram *from_age(struct list *l)
{
	return (struct datagram *)(void *)((char *)l - offsetof(struct datagram, age));
}

static struct datagram *from_peers(struct list *l)
{
	return (struct datagram *)(void *)((char *)l - offsetof(struct datagram, peers));
}

struct defrag *defrag_new(size_t bytes, struct ledger *ledger)
{
	struct defrag *d = xcalloc(1, sizeof(*d));
	mem_init(&d->mem, bytes ? bytes : DEFAULT_BYTES);
	d->ledger = ledger;
	d->given_up_last = &d->given_up;
	hash_key_random(&d->hash);
	list_init(&d->age);
	for (int i = 0; i < SOURCES; i++)
		list_init(&d->source[i]);
	return d;
}

static void drop(struct defrag *d, struct datagram *g)
{
	struct datagram **at = &d->bucket[g->bucket];
	while (*at != g)
		at = &(*at)->chain;
	*at = g->chain;
	list_remove(&g->age);
	list_remove(&g->peers);
	d->source_bytes[g->source] -= g->bytes;
	d->waiting--;
	for (int i = 0; i < CHUNKS; i++)
		mem_free(&d->mem, g->chunk[i], sizeof(struct chunk));
	mem_free(&d->mem, g->head, g->head_n);
	mem_free(&d->mem, g, sizeof(*g));
}

void defrag_release(struct defrag *d)
{
	while (d->done) {
		struct done *next = d->done->next;
		mem_free(&d->mem, d->done, sizeof(*d->done) + d->done->n);
		d->done = next;
	}
}

void defrag_free(struct defrag *d)
{
	if (!d)
		return;
	while (d->age.next != &d->age)
		drop(d, from_age(d->age.next));
	while (defrag_given_up(d, NULL).p)
		;
	defrag_release(d);
	mem_close(&d->mem);
	free(d);
}

size_t defrag_waiting(const struct defrag *d)
{
	return d->waiting;
}

/* A clock that jumps, forwards or back, ends what waits as well. */
static bool too_old(const struct datagram *g, int64_t now_us)
{
	uint64_t now = (uint64_t)now_us, first = (uint64_t)g->first_us;
	return (now_us > g->first_us ? now - first : first - now) > TIMEOUT_US;
}

static void copy_out(const struct datagram *g, uint8_t *to, uint32_t bytes)
{
	for (uint32_t at = 0; at < bytes; at += CHUNK_BYTES) {
		uint32_t n = bytes - at < CHUNK_BYTES ? bytes - at : CHUNK_BYTES;
		memcpy(to + at, g->chunk[at / CHUNK_BYTES]->data, n);
	}
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Lengths, flags and next header as if it had never been split, with n bytes of payload. */
static void mend_head(const struct datagram *g, size_t n, uint8_t *ip)
{
	if (g->key.v6) {
		put16(ip + 4, g->head_n - 40 + n);
		ip[g->next_at] = g->first_proto;
		return;
	}
	put16(ip + 2, g->head_n + n);
	put16(ip + 6, 0);
	put16(ip + 10, 0);
}

/* The bytes that are there from the first on. */
static uint32_t beginning(const struct datagram *g)
{
	uint32_t block = 0;
	for (; block < DATAGRAM_MAX / BLOCK; block++) {
		const struct chunk *c = g->chunk[block / CHUNK_BLOCKS];
		uint32_t i = block % CHUNK_BLOCKS;
		if (!c || !(c->have[i / 64] >> (i % 64) & 1))
			break;
	}
	return block * BLOCK < g->highest ? block * BLOCK : g->highest;
}

/* Drops it for the reason; what it began with is kept for the worker if there is room. */
static void give_up(struct defrag *d, struct datagram *g, enum ledger_id reason)
{
	uint32_t n = g->head ? beginning(g) : 0;
	if (n && d->given_up_n >= GIVEN_UP_MAX) {
		ledger_count(d->ledger, LEDGER_FRAG_LIMIT);
		n = 0;
	}
	struct done *begun = n ? mem_alloc(&d->mem, sizeof(*begun) + g->head_n + n) : NULL;
	if (begun) {
		uint32_t whole = g->end > n ? g->end : g->highest > n ? g->highest : n + 1;
		begun->n = g->head_n + n;
		begun->vlans.n = g->key.vlan_n;
		memcpy(begun->vlans.tag, g->key.vlan, sizeof(begun->vlans.tag));
		memcpy(begun->data, g->head, g->head_n);
		mend_head(g, whole, begun->data);
		copy_out(g, begun->data + g->head_n, n);
		begun->next = NULL;
		*d->given_up_last = begun;
		d->given_up_last = &begun->next;
		d->given_up_n++;
	}
	drop(d, g);
	ledger_count(d->ledger, reason);
}

struct bytes defrag_given_up(struct defrag *d, struct fragment_vlans *vlans)
{
	struct done *begun = d->given_up;
	if (!begun)
		return (struct bytes){0};
	d->given_up = begun->next;
	if (!d->given_up)
		d->given_up_last = &d->given_up;
	d->given_up_n--;
	begun->next = d->done;
	d->done = begun;
	if (vlans)
		*vlans = begun->vlans;
	return (struct bytes){.p = begun->data, .n = begun->n};
}

void defrag_expire(struct defrag *d, int64_t now_us)
{
	while (d->age.next != &d->age && too_old(from_age(d->age.next), now_us))
		give_up(d, from_age(d->age.next), LEDGER_FRAG_TIMEOUT);
}

void defrag_end(struct defrag *d)
{
	while (d->age.next != &d->age && d->given_up_n < GIVEN_UP_MAX)
		give_up(d, from_age(d->age.next), LEDGER_FRAG_TIMEOUT);
}

/* Room for n more bytes of one group of sources: pushes out the oldest of the
 * group while it is over its share, then the oldest of all. Never pushes out
 * `keep`. NULL when that is not enough. */
static void *room(struct defrag *d, uint32_t source, size_t n, const struct datagram *keep)
{
	struct list *peers = &d->source[source];
	while (d->source_bytes[source] + n > d->mem.limit / SOURCE_SHARE) {
		if (peers->next == peers || from_peers(peers->next) == keep)
			return NULL;
		give_up(d, from_peers(peers->next), LEDGER_FRAG_LIMIT);
	}
	void *p;
	while (!(p = mem_alloc(&d->mem, n))) {
		if (d->age.next == &d->age || from_age(d->age.next) == keep)
			return NULL;
		give_up(d, from_age(d->age.next), LEDGER_FRAG_LIMIT);
	}
	return p;
}

static struct key key_of(const struct fragment *f)
{
	/* An IPv6 datagram is named by addresses and id alone (RFC 8200, 4.5). */
	struct key k = {.src = f->src, .dest = f->dest, .id = f->id, .v6 = f->v6, .vlan_n = f->vlans.n};
	memcpy(k.vlan, f->vlans.tag, sizeof(k.vlan));
	k.proto = f->v6 ? 0 : f->proto;
	return k;
}

static struct datagram *find(struct defrag *d, const struct key *k, uint32_t bucket)
{
	struct datagram *g = d->bucket[bucket];
	while (g && memcmp(&g->key, k, sizeof(*k)) != 0)
		g = g->chain;
	return g;
}

static struct datagram *begin(struct defrag *d, const struct key *k, uint32_t bucket, int64_t now_us)
{
	uint32_t source = (uint32_t)hash64(&d->hash, &k->src, sizeof(k->src)) % SOURCES;
	struct datagram *g = room(d, source, sizeof(*g), NULL);
	if (!g)
		return NULL;
	g->key = *k;
	g->bucket = bucket;
	g->source = source;
	g->first_us = now_us;
	g->bytes = sizeof(*g);
	g->chain = d->bucket[bucket];
	d->bucket[bucket] = g;
	list_append(&d->age, &g->age);
	list_append(&d->source[source], &g->peers);
	d->source_bytes[source] += g->bytes;
	d->waiting++;
	return g;
}

static void *more(struct defrag *d, struct datagram *g, size_t n)
{
	void *p = room(d, g->source, n, g);
	if (p) {
		g->bytes += n;
		d->source_bytes[g->source] += n;
	}
	return p;
}

/* Copies the blocks that are not there yet. *repeats counts those that are,
 * *differs says that one of them had other bytes. False: no memory. */
static bool store(struct defrag *d, struct datagram *g, uint32_t offset, struct bytes data, size_t *repeats,
		  bool *differs)
{
	for (size_t at = 0; at < data.n; at += BLOCK) {
		uint32_t block = (uint32_t)((offset + at) / BLOCK);
		struct chunk **c = &g->chunk[block / CHUNK_BLOCKS];
		if (!*c && !(*c = more(d, g, sizeof(**c))))
			return false;
		uint32_t i = block % CHUNK_BLOCKS;
		size_t n = data.n - at < BLOCK ? data.n - at : BLOCK;
		uint8_t *to = (*c)->data + (size_t)i * BLOCK;
		if ((*c)->have[i / 64] >> (i % 64) & 1) {
			(*repeats)++;
			*differs |= memcmp(to, data.p + at, n) != 0;
			continue;
		}
		memcpy(to, data.p + at, n);
		(*c)->have[i / 64] |= UINT64_C(1) << (i % 64);
		g->blocks++;
	}
	return true;
}

static bool keep_head(struct defrag *d, struct datagram *g, const struct fragment *f)
{
	if (g->head || f->offset != 0)
		return true;
	if (f->head.n > HEAD_MAX)
		return false;
	g->head = more(d, g, f->head.n);
	if (!g->head)
		return false;
	memcpy(g->head, f->head.p, f->head.n);
	g->head_n = (uint32_t)f->head.n;
	g->next_at = f->next_at;
	g->first_proto = f->proto;
	return true;
}

/* Where a fragment ends must agree with what is known of the datagram's end. */
static bool end_agrees(struct datagram *g, const struct fragment *f, uint32_t end)
{
	if (g->end && (end > g->end || (!f->more && end != g->end)))
		return false;
	if (!f->more && end < g->highest)
		return false;
	return true;
}

static struct bytes complete(struct defrag *d, struct datagram *g)
{
	size_t n = (size_t)g->head_n + g->end;
	bool fits = n - (g->key.v6 ? 40 : 0) <= DATAGRAM_MAX;
	struct done *done = NULL;
	/* Not charged to the source: it lives until the next packet. */
	while (fits && !(done = mem_alloc(&d->mem, sizeof(*done) + n)) && from_age(d->age.next) != g)
		give_up(d, from_age(d->age.next), LEDGER_FRAG_LIMIT);
	if (!done) {
		ledger_count(d->ledger, LEDGER_FRAG_LIMIT);
		drop(d, g);
		return (struct bytes){0};
	}
	done->n = (uint32_t)n;
	memcpy(done->data, g->head, g->head_n);
	mend_head(g, g->end, done->data);
	copy_out(g, done->data + g->head_n, g->end);
	done->next = d->done;
	d->done = done;
	drop(d, g);
	ledger_count(d->ledger, LEDGER_FRAG_DONE);
	return (struct bytes){.p = done->data, .n = n};
}

/* A fragment that is not the last one carries whole blocks. Linux cuts an IPv4
 * one down and refuses an IPv6 one (RFC 8200, 4.5): so do we. */
static struct bytes whole_blocks(const struct fragment *f)
{
	struct bytes data = f->data;
	if (f->more && data.n % BLOCK)
		data.n = f->v6 ? 0 : data.n - data.n % BLOCK;
	return data;
}

struct bytes defrag_add(struct defrag *d, const struct fragment *f, int64_t now_us)
{
	defrag_expire(d, now_us);
	struct bytes data = whole_blocks(f);
	size_t end = f->offset + data.n;
	if (!data.n || end > DATAGRAM_MAX) {
		ledger_count(d->ledger, LEDGER_FRAG_LIMIT);
		return (struct bytes){0};
	}
	struct key k = key_of(f);
	uint32_t bucket = (uint32_t)hash64(&d->hash, &k, sizeof(k)) % BUCKETS;
	struct datagram *g = find(d, &k, bucket);
	if (!g && !(g = begin(d, &k, bucket, now_us))) {
		ledger_count(d->ledger, LEDGER_FRAG_LIMIT);
		return (struct bytes){0};
	}
	if (!end_agrees(g, f, (uint32_t)end)) {
		ledger_count(d->ledger, LEDGER_FRAG_OVERLAP);
		return (struct bytes){0};
	}
	size_t repeats = 0;
	bool differs = false;
	if (!keep_head(d, g, f) || !store(d, g, f->offset, data, &repeats, &differs)) {
		ledger_count(d->ledger, LEDGER_FRAG_LIMIT);
		drop(d, g);
		return (struct bytes){0};
	}
	if (end > g->highest)
		g->highest = (uint32_t)end;
	if (!f->more)
		g->end = (uint32_t)end;
	if (differs || (repeats && repeats < (data.n + BLOCK - 1) / BLOCK))
		ledger_count(d->ledger, LEDGER_FRAG_OVERLAP);
	if (g->end && g->head && g->blocks == (g->end + BLOCK - 1) / BLOCK)
		return complete(d, g);
	return (struct bytes){0};
}
