/* Asking the compiled set. A lookup is: hash the key, test one block of the
 * Bloom filter, and only if that passes look at one line of the table, compare
 * fingerprints, and then the whole key in the record.
 *
 * - Names: every suffix that begins a label, longest first; a mask of the label
 *   counts in use leaves out suffixes that nobody listed. A domain and a
 *   hostname share a key; the hostname hits only as the whole name.
 * - Addresses: the whole address, then, if the bit map over its first bits says
 *   that some CIDR touches it, each prefix length in use, longest first.
 * - URLs: the whole URL, the same without its scheme, then indicators with match:
 *   prefix. Those are filed under their folder (up to the last of the first 16
 *   '/'), so one probe per folder of the URL finds the candidates and their keys
 *   are compared: exact, and bounded whatever the set holds.
 * - Validity, where limits and the allow list are looked at only after a hit. */
#define _GNU_SOURCE /* memmem */
#include "rules/ruleset.h"

#include <stdatomic.h>
#include <string.h>

#include "common/scratch.h"
#include "rules/canon.h"
#include "rules/canon_name.h"
#include "rules/ruleset_format.h"

#define QUICK_NAME_MIN 8
#define QUICK_NAME_MAX 64 /* bytes: one bit for each */

#define NAMES     (INDICATOR_BIT(INDICATOR_DOMAIN) | INDICATOR_BIT(INDICATOR_HOSTNAME))
#define ADDRESSES (INDICATOR_BIT(INDICATOR_IP) | INDICATOR_BIT(INDICATOR_CIDR))

/* ---- the hash table ---- */

/* The refs filed under one hash: those whose fingerprint agrees. */
struct candidates {
	const struct ruleset *r;
	uint32_t line, lines_left, slot;
	uint16_t fingerprint;
	uint32_t group, group_left;
};

static struct candidates candidates(const struct ruleset *r, uint64_t h)
{
	uint32_t most = r->table_n < RULESET_PROBES ? r->table_n : RULESET_PROBES;
	return (struct candidates){
	    .r = r, .fingerprint = fingerprint_of(h), .line = scale(h, r->table_n), .lines_left = most};
}

static void open_group(struct candidates *c, uint32_t at)
{
	uint32_t n = at < c->r->group_n ? c->r->groups[at] : 0;
	uint32_t there = at < c->r->group_n ? c->r->group_n - at - 1 : 0;
	c->group = at + 1;
	c->group_left = n < there ? n : there;
	if (c->group_left > RULESET_SAME_MAX)
		c->group_left = RULESET_SAME_MAX;
}

/* RULESET_NONE = no more. */
static uint32_t next_candidate(struct candidates *c)
{
	for (; c->lines_left; c->lines_left--, c->slot = 0) {
		const struct ruleset_line *line = &c->r->table[c->line];
		if (c->group_left) {
			c->group_left--;
			return c->r->groups[c->group++];
		}
		while (c->slot < TABLE_SLOTS) {
			uint32_t ref = line->ref[c->slot];
			uint16_t fingerprint = line->fingerprint[c->slot];
			c->slot++;
			if (ref == RULESET_NONE)
				return c->lines_left = 0, RULESET_NONE;
			if (fingerprint != c->fingerprint)
				continue;
			if (!(ref & RULESET_GROUP))
				return ref;
			open_group(c, ref & ~RULESET_GROUP);
			if (c->group_left) {
				c->group_left--;
				return c->r->groups[c->group++];
			}
		}
		c->line = c->line + 1 == c->r->table_n ? 0 : c->line + 1;
	}
	return RULESET_NONE;
}

bool ruleset_filed(const struct ruleset *r, uint64_t h)
{
	struct candidates c = candidates(r, h);
	return next_candidate(&c) != RULESET_NONE;
}

/* ---- one observable and what was found for it ---- */

struct ask {
	const struct ruleset *r;
	enum where where;
	int64_t now_us;
	struct ruleset_hits *hits;
	uint64_t *allowed;
	const uint8_t *key; /* canonical */
	size_t n;
	enum indicator_type type; /* for what is neither a name nor an address */
	bool allow_known;
	int allow_length;   /* of the longest allow entry that covers it; -1 = none */
	uint32_t allow_ref; /* that entry */
	bool all;           /* for those who judge rules: whatever the time, the place, the allow list */
};

/* What is being looked up: a part of the observable. */
struct part {
	uint32_t space;
	uint32_t length; /* how specific: of the suffix or the prefix; 0 for exact kinds */
	struct bytes key;
	bool whole; /* the part is all of the observable */
};

static const char *string_at(const struct ruleset *r, uint32_t offset)
{
	return offset && offset < r->strings_n ? r->strings + offset : NULL;
}

static bool in_time(int64_t from_us, int64_t until_us, int64_t now_us)
{
	return now_us >= from_us && (until_us == 0 || now_us < until_us);
}

static bool meta_allows(const struct ask *q, const struct ruleset_meta *m)
{
	if (!in_time(m->valid_from_us, m->valid_until_us, q->now_us))
		return false;
	if (m->set < q->r->set_n && !in_time(INT64_MIN, q->r->sets[m->set].valid_until_us, q->now_us))
		return false;
	return where_allowed(string_at(q->r, m->where), q->where);
}

/* Whether a record is really what the part asks for: the fingerprint was a hint. */
static bool record_is(const struct ruleset_record *rec, const struct ruleset_meta *m, const struct part *p)
{
	uint8_t room[RULESET_KEY_ROOM];
	struct bytes key = ruleset_record_key(rec, room);
	uint32_t length = 0;
	if ((p->space & SPACE_ALLOW ? p->space & ~SPACE_ALLOW : p->space) == INDICATOR_IP) {
		if (key.n < 16 || (rec->type == INDICATOR_CIDR && key.n < 17))
			return false;
		struct addr a = addr_v6(key.p);
		length = rec->type == INDICATOR_CIDR ? key.p[16] + (addr_is_v4(&a) ? 96u : 0u) : 128;
		return space_of(rec->type) == INDICATOR_IP && length == p->length && memcmp(key.p, p->key.p, 16) == 0;
	}
	if (p->space == SPACE_URL_PREFIX)
		return rec->type == INDICATOR_URL && m->match == MATCH_PREFIX && key.n <= p->key.n &&
		       memcmp(key.p, p->key.p, key.n) == 0;
	if (rec->type == INDICATOR_HOSTNAME && !p->whole)
		return false;
	return space_of(rec->type) == (p->space & ~SPACE_ALLOW) && m->match == MATCH_EXACT && key.n == p->key.n &&
	       memcmp(key.p, p->key.p, key.n) == 0;
}

static uint64_t part_hash(const struct ruleset *r, const struct part *p)
{
	uint32_t length = (p->space & ~SPACE_ALLOW) == INDICATOR_IP ? p->length : 0;
	return space_hash(&r->head.key, p->space, length, p->key.p, p->key.n);
}

/* ---- names and their parents ---- */

struct suffix {
	size_t from;
	uint64_t chain; /* of its labels: name_hash_end() makes the hash of it */
};
#define SUFFIXES_MAX 128 /* labels in 253 bytes */

/* The suffixes of q->key that begin a label and have at most 253 bytes, the
 * shortest first: number k - 1 has k labels. */
static size_t suffixes(const struct ask *q, struct suffix out[static SUFFIXES_MAX])
{
	uint8_t room[NAME_HASH_ROOM] = {0};
	const uint8_t *name = q->key, *end = name + q->n;
	size_t count = 0, stop = q->n > CANON_NAME_MAX + 1 ? q->n - CANON_NAME_MAX - 1 : 0;
	uint64_t chain = NAME_HASH_START;
	if (q->n < sizeof(room)) {
		memcpy(room, name, q->n);
		name = room;
		end = room + sizeof(room);
	}
	for (size_t to = q->n; count < SUFFIXES_MAX;) {
		const uint8_t *dot = memrchr(name + stop, '.', to - stop);
		size_t from = dot ? (size_t)(dot + 1 - name) : 0;
		if (!dot && stop)
			break;
		chain = name_hash_label(&q->r->head.key, chain, name + from, to - from, end);
		out[count++] = (struct suffix){.from = from, .chain = chain};
		if (!dot)
			break;
		to = from - 1;
	}
	return count;
}

/* ---- the allow list ---- */

static bool allow_has(struct ask *q, const struct part *p, uint64_t h)
{
	if (!ruleset_bloom(q->r, h))
		return false;
	struct candidates c = candidates(q->r, h);
	for (uint32_t ref; (ref = next_candidate(&c)) != RULESET_NONE;) {
		struct ruleset_record rec;
		if (ref < q->r->head.count || !ruleset_record_at(q->r, ref, &rec))
			continue;
		const struct ruleset_meta *m = &q->r->metas[rec.meta];
		if (record_is(&rec, m, p) && in_time(INT64_MIN, m->valid_until_us, q->now_us)) {
			q->allow_ref = ref;
			return true;
		}
	}
	return false;
}

static struct part prefix_part(const struct addr *a, bool v4, unsigned length, struct addr *room)
{
	unsigned total = length + (v4 ? 96 : 0);
	*room = addr_masked(a, total);
	return (struct part){.space = INDICATOR_IP, .length = total, .key = {.p = room->b, .n = 16}};
}

/* The longest length in use below `below`, or -1. */
static int next_length(const struct ruleset_lengths *l, bool v4, int below)
{
	for (int word = v4 ? 0 : 1; word >= 0; word--) {
		uint64_t bits = v4 ? l->v4 : l->v6[word];
		int first = word * 64;
		if (below <= first)
			continue;
		if (below - first < 64)
			bits &= (UINT64_C(1) << (below - first)) - 1;
		if (bits)
			return first + 63 - __builtin_clzll(bits);
	}
	return -1;
}

/* from: how long a prefix may be at most. */
static int allow_network(struct ask *q, int from)
{
	struct addr a = addr_v6(q->key), room;
	bool v4 = addr_is_v4(&a);
	for (int n = from; n >= 0; n = next_length(&q->r->head.allow_net, v4, n)) {
		struct part p = prefix_part(&a, v4, (unsigned)n, &room);
		p.space |= SPACE_ALLOW;
		if (allow_has(q, &p, part_hash(q->r, &p)))
			return (int)p.length;
	}
	return -1;
}

static int allow_address(struct ask *q)
{
	struct addr a = addr_v6(q->key);
	return allow_network(q, addr_is_v4(&a) ? 32 : 128);
}

static int allow_name(struct ask *q)
{
	SCRATCH struct suffix suffix[SUFFIXES_MAX];
	for (size_t k = suffixes(q, suffix); k > 0; k--) {
		size_t from = suffix[k - 1].from;
		struct part p = {.space = INDICATOR_DOMAIN | SPACE_ALLOW,
				 .length = (uint32_t)(q->n - from),
				 .key = {.p = q->key + from, .n = q->n - from},
				 .whole = from == 0};
		if (allow_has(q, &p, name_hash_end(&q->r->head.key, p.space, suffix[k - 1].chain)))
			return (int)p.length;
	}
	return -1;
}

static int allow_exact(struct ask *q)
{
	struct part p = {.space = space_of(q->type) | SPACE_ALLOW, .key = {.p = q->key, .n = q->n}, .whole = true};
	if (allow_has(q, &p, part_hash(q->r, &p)))
		return 0;
	size_t scheme = q->type == INDICATOR_URL ? url_folder(q->key, q->n, 0) : 0;
	const uint8_t *slashes = scheme ? memmem(q->key, q->n, "//", 2) : NULL;
	if (!slashes || slashes == q->key)
		return -1;
	p.key = (struct bytes){.p = slashes, .n = q->n - (size_t)(slashes - q->key)};
	return allow_has(q, &p, part_hash(q->r, &p)) ? 0 : -1;
}

/* An entry silences what is not more specific than itself. Found out once per observable, after a hit. */
static bool is_allowed(struct ask *q, uint32_t length)
{
	if (!q->r->head.allow)
		return false;
	if (!q->allow_known) {
		uint32_t space = space_of(q->type);
		q->allow_known = true;
		q->allow_length = space == INDICATOR_IP       ? allow_address(q)
				  : space == INDICATOR_DOMAIN ? allow_name(q)
							      : allow_exact(q);
	}
	return q->allow_length >= 0 && length <= (uint32_t)q->allow_length;
}

/* ---- hits ---- */

static void take(struct ask *q, uint32_t ref, uint32_t length)
{
	if (!q->all && is_allowed(q, length)) {
		if (!q->allowed)
			return;
		++*q->allowed;
		atomic_fetch_add_explicit(&q->r->silenced[q->allow_ref - q->r->head.count], 1, memory_order_relaxed);
	} else if (q->hits->n < RULESET_HITS_MAX) {
		q->hits->ref[q->hits->n++] = ref;
	} else {
		q->hits->dropped++;
	}
}

static __attribute__((noinline)) void look(struct ask *q, const struct part *p, uint64_t h)
{
	struct candidates c = candidates(q->r, h);
	for (uint32_t ref; (ref = next_candidate(&c)) != RULESET_NONE;) {
		struct ruleset_record rec;
		if (ref >= q->r->head.count || !ruleset_record_at(q->r, ref, &rec))
			continue;
		const struct ruleset_meta *m = &q->r->metas[rec.meta];
		if (record_is(&rec, m, p) && (q->all || meta_allows(q, m)))
			take(q, ref, p->length);
	}
}

static void ask_hash(struct ask *q, const struct part *p, uint64_t h)
{
	if (ruleset_bloom(q->r, h))
		look(q, p, h);
}

static void ask(struct ask *q, const struct part *p)
{
	ask_hash(q, p, part_hash(q->r, p));
}

/* The prefixes that are shorter than `below`. */
static void match_prefixes(struct ask *q, const struct addr *a, bool v4, int below)
{
	struct addr room;
	if (!ruleset_net(q->r, ruleset_net_place(q->r, a)))
		return;
	for (int n = below; (n = next_length(&q->r->head.net, v4, n)) >= 0;) {
		struct part p = prefix_part(a, v4, (unsigned)n, &room);
		ask(q, &p);
	}
}

bool ruleset_net_filed(const struct ruleset *r, const struct addr *a)
{
	bool v4 = addr_is_v4(a);
	struct addr room;
	for (int n = v4 ? 32 : 128; (n = next_length(&r->head.net, v4, n)) >= 0;) {
		struct part p = prefix_part(a, v4, (unsigned)n, &room);
		uint64_t h = part_hash(r, &p);
		if (ruleset_bloom(r, h) && ruleset_filed(r, h))
			return true;
	}
	return false;
}

static void match_address(struct ask *q)
{
	struct addr a = addr_v6(q->key);
	bool v4 = addr_is_v4(&a);
	if (q->r->head.hosts) {
		struct part p = {.space = INDICATOR_IP, .length = 128, .key = {.p = q->key, .n = 16}, .whole = true};
		ask(q, &p);
	}
	match_prefixes(q, &a, v4, v4 ? 32 : 128);
}

static void match_network(struct ask *q)
{
	struct addr a = addr_v6(q->key);
	bool v4 = addr_is_v4(&a);
	if (q->key[16] >= (v4 ? 32 : 128))
		match_address(q);
	else
		match_prefixes(q, &a, v4, q->key[16] + 1);
}

static void match_name(struct ask *q)
{
	SCRATCH struct suffix suffix[SUFFIXES_MAX];
	for (size_t k = suffixes(q, suffix); k > 0; k--) {
		size_t from = suffix[k - 1].from;
		if (!(q->r->head.depths >> (k < 63 ? k : 63) & 1))
			continue;
		struct part p = {.space = INDICATOR_DOMAIN,
				 .length = (uint32_t)(q->n - from),
				 .key = {.p = q->key + from, .n = q->n - from},
				 .whole = from == 0};
		ask_hash(q, &p, name_hash_end(&q->r->head.key, p.space, suffix[k - 1].chain));
	}
}

static void match_url_form(struct ask *q, const uint8_t *url, size_t n)
{
	struct part p = {.space = INDICATOR_URL, .key = {.p = url, .n = n}, .whole = true};
	ask(q, &p);
	if (!q->r->head.url_prefixes)
		return;
	p.space = SPACE_URL_PREFIX;
	size_t folder = 0;
	for (int depth = 0; depth < URL_DEPTH_MAX && (folder = url_folder(url, n, folder)); depth++) {
		uint64_t h = space_hash(&q->r->head.key, p.space, 0, url, folder);
		if (ruleset_bloom(q->r, h))
			look(q, &p, h);
	}
}

static void match_url(struct ask *q)
{
	const uint8_t *slashes = memmem(q->key, q->n, "//", 2);
	match_url_form(q, q->key, q->n);
	if (slashes && slashes != q->key)
		match_url_form(q, slashes, q->n - (size_t)(slashes - q->key));
}

static void match_exact(struct ask *q)
{
	struct part p = {.space = space_of(q->type), .key = {.p = q->key, .n = q->n}, .whole = true};
	ask(q, &p);
}

static void match_type(struct ask *q, enum indicator_type t, const void *value, size_t n)
{
	SCRATCH struct canon canon;
	if (!canon_wire(t, value, n, &canon))
		return;
	q->type = t;
	q->key = canon.key;
	q->n = canon.n;
	q->allow_known = false;
	if (space_of(t) == INDICATOR_IP)
		match_address(q);
	else if (space_of(t) == INDICATOR_DOMAIN)
		match_name(q);
	else if (t == INDICATOR_URL)
		match_url(q);
	else
		match_exact(q);
}

/* ---- the quick no ---- */

/* A plain name in lower case: 8 to 64 bytes, none above 127. */
struct quick_name {
	uint8_t text[QUICK_NAME_MAX + 8];
	uint64_t dots; /* bit i: text[i] is one */
};

static bool quick_name(struct quick_name *q, const uint8_t *name, size_t n)
{
	uint64_t seen = 0;
	q->dots = 0;
	swar_store(q->text + n, 0);
	for (size_t i = 0; i < n; i += 8) {
		size_t at = i + 8 <= n ? i : n - 8;
		uint64_t w = swar_load(name + at);
		seen |= w;
		q->dots |= (uint64_t)swar_equal(w, '.') << at;
		swar_store(q->text + at, swar_lower(w));
	}
	return !(seen & SWAR_HIGH);
}

/* Nine of ten names on the wire are plain and have no indicator: their parents
 * are hashed in one walk from the right, down to the deepest that the set lists. */
static bool maybe_name(const struct ruleset *r, const uint8_t *name, size_t n)
{
	SCRATCH struct quick_name q;
	uint64_t chain = NAME_HASH_START, depths = r->head.depths;
	n -= n && name[n - 1] == '.';
	if (n < QUICK_NAME_MIN || n > QUICK_NAME_MAX || !quick_name(&q, name, n))
		return n > 0;
	for (size_t to = n, k = 1; depths >> k; k++) {
		size_t from = q.dots ? 64 - (size_t)__builtin_clzll(q.dots) : 0;
		chain = name_hash_label(&r->head.key, chain, q.text + from, to - from, q.text + sizeof(q.text));
		if ((depths >> k & 1) && ruleset_bloom(r, name_hash_end(&r->head.key, INDICATOR_DOMAIN, chain)))
			return true;
		if (!from || k == 63)
			break;
		to = from - 1;
		q.dots ^= UINT64_C(1) << to;
	}
	return false;
}

static bool maybe_addr(const struct ruleset *r, const void *value, size_t n)
{
	struct addr a;
	if (n != sizeof(a))
		return true;
	memcpy(&a, value, n);
	return ruleset_maybe_addr(r, &a);
}

bool ruleset_match(const struct ruleset *r, enum where w, const void *value, size_t n, int64_t now_us,
		   struct ruleset_hits *hits, uint64_t *allowed)
{
	indicator_mask types = where_types(w) & r->head.types;
	bool names = (types & NAMES) && maybe_name(r, value, n);
	bool addresses = (types & ADDRESSES) && maybe_addr(r, value, n);
	types &= ~(NAMES | ADDRESSES);
	if (!names && !addresses && !types)
		return false;
	struct ask q = {.r = r, .where = w, .now_us = now_us, .hits = hits, .allowed = allowed};
	if (addresses)
		match_type(&q, INDICATOR_IP, value, n);
	if (names)
		match_type(&q, INDICATOR_DOMAIN, value, n);
	for (; types; types &= types - 1)
		match_type(&q, (enum indicator_type)__builtin_ctzll(types), value, n);
	return true;
}

/* ---- for those who judge rules ---- */

void ruleset_covering(const struct ruleset *r, enum indicator_type t, const struct canon *value,
		      struct ruleset_hits *hits)
{
	struct ask q = {.r = r, .hits = hits, .key = value->key, .n = value->n, .type = t, .all = true};
	if (t == INDICATOR_CIDR)
		match_network(&q);
	else if (t == INDICATOR_IP)
		match_address(&q);
	else if (space_of(t) == INDICATOR_DOMAIN)
		match_name(&q);
	else if (t == INDICATOR_URL)
		match_url(&q);
	else
		match_exact(&q);
}

/* As is_allowed() for a canonical value; the length of the entry, -1: none covers it. */
static int allow_covers(struct ask *q, const struct canon *value)
{
	return q->type == INDICATOR_CIDR               ? allow_network(q, value->key[16])
	       : q->type == INDICATOR_IP               ? allow_address(q)
	       : space_of(q->type) == INDICATOR_DOMAIN ? allow_name(q)
						       : allow_exact(q);
}

size_t ruleset_allow_count(const struct ruleset *r)
{
	return r->head.allow;
}

struct indicator ruleset_allow_at(const struct ruleset *r, size_t i, struct ruleset_room *room)
{
	struct ruleset_record rec;
	struct indicator out = {.value = ""};
	if (i >= r->head.allow || !ruleset_record_at(r, r->head.count + (uint32_t)i, &rec))
		return out;
	const struct ruleset_meta *m = &r->metas[rec.meta];
	out.type = rec.type;
	out.value = ruleset_record_value(&rec, room->value);
	out.note = string_at(r, m->note);
	out.valid_until_us = m->valid_until_us;
	return out;
}

uint64_t ruleset_silenced(const struct ruleset *r, size_t i)
{
	return i < r->head.allow ? atomic_load(&r->silenced[i]) : 0;
}

void ruleset_silenced_inherit(struct ruleset *r, const struct ruleset *from)
{
	for (size_t i = 0; r->head.allow && i < from->head.allow; i++) {
		struct ruleset_room room, other;
		struct canon c;
		if (!ruleset_silenced(from, i))
			continue;
		struct indicator was = ruleset_allow_at(from, i, &room), is;
		struct ask q = {.r = r, .now_us = INT64_MIN, .type = was.type};
		if (!canon_rule(was.type, was.value, strlen(was.value), &c, NULL))
			continue;
		q.key = c.key;
		q.n = c.n;
		if (allow_covers(&q, &c) < 0)
			continue;
		is = ruleset_allow_at(r, q.allow_ref - r->head.count, &other);
		if (is.type == was.type && strcmp(is.value, was.value) == 0)
			atomic_store(&r->silenced[q.allow_ref - r->head.count], ruleset_silenced(from, i));
	}
}

bool ruleset_allowed(const struct ruleset *r, enum indicator_type t, const struct canon *value, int64_t now_us,
		     struct ruleset_room *room, struct indicator *out)
{
	struct ask q = {.r = r, .now_us = now_us, .key = value->key, .n = value->n, .type = t};
	int length = allow_covers(&q, value);
	if (length >= 0)
		*out = ruleset_allow_at(r, q.allow_ref - r->head.count, room);
	return length >= 0;
}

bool ruleset_maybe_addr(const struct ruleset *r, const struct addr *a)
{
	if (r->head.hosts && ruleset_bloom(r, address_hash(&r->head.key, INDICATOR_IP, 128, a->b)))
		return true;
	return ruleset_net(r, ruleset_net_place(r, a));
}

/* ---- what the set holds ---- */

indicator_mask ruleset_types(const struct ruleset *r)
{
	return r->head.types & (INDICATOR_BIT(INDICATOR_TYPE_COUNT) - 1);
}

size_t ruleset_count(const struct ruleset *r, enum indicator_type t)
{
	if (t == INDICATOR_NONE)
		return r->head.count;
	return t < RULESET_TYPES ? r->head.by_type[t] : 0;
}

const char *ruleset_digest(const struct ruleset *r)
{
	return r->digest;
}

size_t ruleset_bytes(const struct ruleset *r)
{
	return r->bytes;
}

/* The last run that begins at or before it. */
const struct ruleset_place *ruleset_place_of(const struct ruleset *r, uint32_t ref)
{
	uint32_t low = 0, high = r->place_n;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (r->places[middle].first <= ref)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &r->places[low - 1] : NULL;
}

static void fill_meta(const struct ruleset *r, uint32_t meta, struct indicator *i)
{
	const struct ruleset_meta *m = &r->metas[meta];
	i->severity = m->severity < SEVERITY_COUNT ? (enum severity)m->severity : SEVERITY_LOW;
	i->confidence = m->confidence;
	i->tlp = m->tlp < TLP_COUNT ? (enum tlp)m->tlp : TLP_RED;
	i->match = m->match < MATCH_MODE_COUNT ? (enum match_mode)m->match : MATCH_EXACT;
	i->fold = m->fold < FOLD_COUNT ? (enum fold_by)m->fold : FOLD_ASSET;
	i->labels = string_at(r, m->labels);
	i->note = string_at(r, m->note);
	i->ref = string_at(r, m->ref);
	i->where = string_at(r, m->where);
	i->valid_from_us = m->valid_from_us;
	i->valid_until_us = m->valid_until_us;
}

struct indicator ruleset_indicator_in(const struct ruleset *r, ruleset_ref ref, struct ruleset_room *room)
{
	struct indicator i = {.value = "", .id = ""};
	struct ruleset_record rec;
	if (ref >= r->head.count || !ruleset_record_at(r, ref, &rec))
		return i;
	fill_meta(r, rec.meta, &i);
	i.type = rec.type;
	i.value = ruleset_record_value(&rec, room->value);
	i.id = rec.id ? rec.id : indicator_make_id(i.type, i.value, room->id);
	const struct ruleset_place *p = ruleset_place_of(r, ref);
	if (p) {
		i.file = p->file && p->file < r->files_n ? r->files + p->file : NULL;
		i.line = p->line + p->step * (ref - p->first);
	}
	return i;
}

size_t ruleset_set_count(const struct ruleset *r)
{
	return r->set_n;
}

struct indicator_set ruleset_set_at(const struct ruleset *r, size_t i)
{
	if (i >= r->set_n)
		return (struct indicator_set){.id = ""};
	const struct ruleset_set_row *row = &r->sets[i];
	const char *id = string_at(r, row->id);
	return (struct indicator_set){
	    .id = id ? id : "",
	    .title = string_at(r, row->title),
	    .producer = string_at(r, row->producer),
	    .version = row->version,
	    .tlp = row->tlp < TLP_COUNT ? (enum tlp)row->tlp : TLP_RED,
	    .releasable_to = string_at(r, row->releasable_to),
	    .exercise = string_at(r, row->exercise),
	    .valid_until_us = row->valid_until_us,
	};
}

bool ruleset_valid(const struct ruleset *r, ruleset_ref ref, int64_t now_us)
{
	struct ruleset_record rec;
	if (ref >= r->head.count || !ruleset_record_at(r, ref, &rec))
		return false;
	const struct ruleset_meta *m = &r->metas[rec.meta];
	int64_t until_us = m->set < r->set_n ? r->sets[m->set].valid_until_us : 0;
	return in_time(m->valid_from_us, m->valid_until_us, now_us) && in_time(INT64_MIN, until_us, now_us);
}

struct indicator_set ruleset_set(const struct ruleset *r, ruleset_ref ref)
{
	struct ruleset_record rec;
	if (ref >= r->head.count || !ruleset_record_at(r, ref, &rec))
		return (struct indicator_set){.id = ""};
	return ruleset_set_at(r, r->metas[rec.meta].set);
}

size_t ruleset_pattern_count(const struct ruleset *r)
{
	return r->pattern_n;
}

ruleset_ref ruleset_pattern(const struct ruleset *r, size_t i, struct indicator *out)
{
	struct ruleset_record rec;
	*out = (struct indicator){.value = ""};
	ruleset_ref ref = i < r->pattern_n ? r->patterns[i] : RULESET_NONE;
	if (ref >= r->head.count || !ruleset_record_at(r, ref, &rec))
		return RULESET_NONE;
	fill_meta(r, rec.meta, out);
	out->type = rec.type;
	out->value = rec.value ? rec.value : "";
	out->id = rec.id;
	return ref;
}
