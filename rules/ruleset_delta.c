/* From a set and its changes to the next set (ruleset_delta.h).
 *
 * What is added is built as a small set with the base's secret, so that hashes
 * agree. Then the base's sections are copied and patched:
 *
 * - sets, metas, strings, records: what is added is appended; the records of what
 *   was removed stay, with no way to them (head.stale counts them).
 * - refs stay dense: an added indicator takes the ref of a removed one; when more
 *   are removed than added, the last refs move into the holes.
 * - table: a removed key's place is freed, or, in a full line, which lookups of
 *   other keys may have to pass, holds a group without refs.
 * - Bloom filter, CIDR filters, depths and prefix lengths only grow: they may send
 *   a lookup on to the table in vain, never keep it away. */
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "rules/canon.h"
#include "rules/ruleset_delta.h"
#include "rules/ruleset_table.h"

#define FILL_MAX  95u /* per cent of the table's places that may be taken or worn */
#define STALE_MIN 64u /* so many stale records are never too many */

struct refs {
	uint32_t *v;
	uint32_t n, cap;
};

struct ruleset_delta {
	const struct ruleset *base;
	struct ruleset_builder *added;
	struct refs gone;
	struct refs set; /* of the numbers given out: the base's number, or behind those */
	char **id;
	uint32_t new_sets;
	bool drops;
	bool *dropped;    /* of the base's sets */
	struct buf story; /* what was removed, for the digest */
};

static void refs_add(struct refs *r, uint32_t v)
{
	if (r->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 64;
		r->v = xrealloc(r->v, r->cap * sizeof(*r->v));
	}
	r->v[r->n++] = v;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static void refs_sort(struct refs *r)
{
	uint32_t kept = 0;
	if (r->n)
		qsort(r->v, r->n, sizeof(*r->v), by_number);
	for (uint32_t i = 0; i < r->n; i++)
		if (i == 0 || r->v[i] != r->v[i - 1])
			r->v[kept++] = r->v[i];
	r->n = kept;
}

static bool refs_have(const struct refs *r, uint32_t v)
{
	return r->n && bsearch(&v, r->v, r->n, sizeof(*r->v), by_number);
}

/* ---- collecting ---- */

struct ruleset_delta *ruleset_delta_new(const struct ruleset *base)
{
	struct ruleset_delta *d = xcalloc(1, sizeof(*d));
	d->base = base;
	d->added = ruleset_builder_keyed(&base->head.key);
	d->dropped = xcalloc(base->set_n + 1, sizeof(*d->dropped));
	return d;
}

void ruleset_delta_free(struct ruleset_delta *d)
{
	if (!d)
		return;
	for (uint32_t i = 0; i < d->set.n; i++)
		free(d->id[i]);
	free(d->id);
	free(d->set.v);
	free(d->gone.v);
	free(d->dropped);
	buf_free(&d->story);
	ruleset_builder_free(d->added);
	free(d);
}

static uint32_t base_set(const struct ruleset *base, const char *id)
{
	for (uint32_t i = 0; i < base->set_n; i++)
		if (strcmp(ruleset_set_at(base, i).id, id) == 0)
			return i;
	return RULESET_NONE;
}

uint32_t ruleset_delta_set(struct ruleset_delta *d, const struct indicator_set *head)
{
	for (uint32_t i = 0; i < d->set.n; i++)
		if (strcmp(d->id[i], head->id) == 0)
			return i;
	uint32_t in_base = base_set(d->base, head->id);
	d->id = xrealloc(d->id, (d->set.n + 1) * sizeof(*d->id));
	d->id[d->set.n] = xstrdup(head->id);
	refs_add(&d->set, in_base != RULESET_NONE ? in_base : d->base->set_n + d->new_sets++);
	return ruleset_add_set(d->added, head);
}

/* A ref in the table, or the group that it stands for. */
struct chain {
	const uint32_t *ref;
	uint32_t n;
};

static struct chain chain_of(const struct ruleset *r, const uint32_t *place)
{
	uint32_t at = *place & ~RULESET_GROUP;
	if (!(*place & RULESET_GROUP))
		return (struct chain){.ref = place, .n = 1};
	if (at >= r->group_n || r->groups[at] > r->group_n - at - 1 || r->groups[at] > RULESET_SAME_MAX)
		return (struct chain){0};
	return (struct chain){.ref = r->groups + at + 1, .n = r->groups[at]};
}

/* A record and the key that it is filed under. */
struct keyed {
	struct ruleset_record rec;
	struct lookup_key key;
	uint8_t room[RULESET_KEY_ROOM]; /* of the key */
};

static bool keyed_read(const struct ruleset *r, uint32_t ref, struct keyed *k)
{
	if (!ruleset_record_at(r, ref, &k->rec))
		return false;
	k->key = lookup_key(k->rec.type, (enum match_mode)r->metas[k->rec.meta].match, ref >= r->head.count,
			    ruleset_record_key(&k->rec, k->room));
	return true;
}

/* The refs that are filed under a key; n = 0: none. */
static const uint32_t *find_key(const struct ruleset *r, uint64_t h, const struct lookup_key *key)
{
	uint32_t at = scale(h, r->table_n);
	for (uint32_t k = 0; k < r->table_n && k < RULESET_PROBES; k++, at = at + 1 == r->table_n ? 0 : at + 1)
		for (int s = 0; s < TABLE_SLOTS; s++) {
			const uint32_t *place = &r->table[at].ref[s];
			struct keyed other;
			if (*place == RULESET_NONE)
				return NULL;
			struct chain c = chain_of(r, place);
			if (r->table[at].fingerprint[s] == fingerprint_of(h) && c.n &&
			    keyed_read(r, c.ref[0], &other) && lookup_same(key, &other.key))
				return place;
		}
	return NULL;
}

static struct chain find_chain(const struct ruleset *r, const struct lookup_key *key)
{
	const uint32_t *place = find_key(r, lookup_hash(&r->head.key, key), key);
	return place ? chain_of(r, place) : (struct chain){0};
}

/* Those of the set with this canonical value; match: how they are filed. */
static size_t take_out(struct ruleset_delta *d, uint32_t set, enum indicator_type t, enum match_mode match,
		       const struct canon *value)
{
	struct bytes key = {.p = value->key, .n = value->n};
	struct lookup_key k = lookup_key(t, match, false, key);
	struct chain c = find_chain(d->base, &k);
	size_t n = 0;
	for (uint32_t i = 0; i < c.n; i++) {
		uint8_t room[RULESET_KEY_ROOM];
		struct ruleset_record rec;
		if (c.ref[i] >= d->base->head.count || !ruleset_record_at(d->base, c.ref[i], &rec))
			continue;
		struct bytes whole = ruleset_record_key(&rec, room);
		if (rec.type != t || d->base->metas[rec.meta].set != set || whole.n != key.n ||
		    memcmp(whole.p, key.p, key.n) != 0)
			continue;
		refs_add(&d->gone, c.ref[i]);
		n++;
	}
	return n;
}

bool ruleset_delta_remove(struct ruleset_delta *d, uint32_t set, enum indicator_type t, const char *value,
			  size_t *removed, struct err *e)
{
	struct canon canon;
	size_t n = 0;
	if (set >= d->set.n)
		return err_set(e, "there is no rule set number %u in this delta", set);
	if (!canon_rule(t, value, strlen(value), &canon, e))
		return false;
	if (d->set.v[set] < d->base->set_n) {
		n = take_out(d, d->set.v[set], t, MATCH_EXACT, &canon);
		if (t == INDICATOR_URL)
			n += take_out(d, d->set.v[set], t, MATCH_PREFIX, &canon);
	}
	buf_printf(&d->story, "%s%c%d %zu%c", d->id[set], 0, (int)t, canon.n, 0);
	buf_add(&d->story, canon.key, canon.n);
	if (removed)
		*removed = n;
	return true;
}

void ruleset_delta_drop(struct ruleset_delta *d, uint32_t set)
{
	if (set >= d->set.n)
		return;
	buf_printf(&d->story, "%s%cdrop%c", d->id[set], 0, 0);
	if (d->set.v[set] < d->base->set_n)
		d->dropped[d->set.v[set]] = d->drops = true;
}

enum added ruleset_delta_add(struct ruleset_delta *d, uint32_t set, const struct indicator *i, struct err *e)
{
	return ruleset_add(d->added, set, i, e);
}

/* ---- what both ways share ---- */

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

/* Whether a record of the base is of this set and says what `is` says. */
static bool says_same(const struct ruleset_delta *d, uint32_t ref, uint32_t set, const struct indicator *is)
{
	struct ruleset_record rec;
	struct indicator old = ruleset_indicator(d->base, ref);
	return ref < d->base->head.count && ruleset_record_at(d->base, ref, &rec) &&
	       d->base->metas[rec.meta].set == set && old.type == is->type && old.match == is->match &&
	       strcmp(old.value, is->value) == 0 && same_text(old.where, is->where);
}

/* How many do; *ref: the last of them. */
static size_t count_same(const struct ruleset_delta *d, const struct lookup_key *key, uint32_t set,
			 const struct indicator *is, uint32_t *ref)
{
	struct chain c = find_chain(d->base, key);
	size_t n = 0;
	for (uint32_t k = 0; k < c.n; k++)
		if (says_same(d, c.ref[k], set, is)) {
			*ref = c.ref[k];
			n++;
		}
	return n;
}

bool ruleset_delta_remove_all(struct ruleset_delta *d, uint32_t set, const struct ruleset *from, struct err *e)
{
	for (uint32_t i = 0; i < from->head.count; i++) {
		struct keyed k;
		struct indicator one = ruleset_indicator(from, i);
		uint32_t ref = RULESET_NONE;
		if (!keyed_read(from, i, &k) || count_same(d, &k.key, d->set.v[set], &one, &ref) != 1)
			return err_set(e, "%s \"%.100s\" is not there once", indicator_type_name(one.type), one.value);
		refs_add(&d->gone, ref);
		buf_printf(&d->story, "%s%c%d %zu%c", d->id[set], 0, (int)one.type, strlen(one.value), 0);
		buf_add(&d->story, one.value, strlen(one.value));
	}
	refs_sort(&d->gone);
	return true;
}

bool ruleset_delta_add_all(struct ruleset_delta *d, uint32_t set, const struct ruleset *from, struct err *e)
{
	for (uint32_t i = 0; i < from->head.count; i++) {
		struct keyed k;
		struct indicator one = ruleset_indicator(from, i);
		uint32_t ref = RULESET_NONE;
		if (!keyed_read(from, i, &k))
			return err_set(e, "the rule set is damaged: an indicator cannot be read");
		size_t there = count_same(d, &k.key, d->set.v[set], &one, &ref);
		if (there > 1 || (there && !refs_have(&d->gone, ref)))
			return err_set(e, "%s \"%.100s\" is there already", indicator_type_name(one.type), one.value);
		if (!k.rec.id)
			one.id = NULL;
		if (ruleset_delta_add(d, set, &one, e) != ADDED)
			return false;
	}
	return true;
}

/* What is added and there already takes the old one's place. */
static void replace_same(struct ruleset_delta *d, const struct ruleset *extra)
{
	for (uint32_t i = 0; i < extra->head.count; i++) {
		struct keyed k;
		if (!keyed_read(extra, i, &k))
			continue;
		struct indicator new = ruleset_indicator(extra, i);
		struct chain c = find_chain(d->base, &k.key);
		for (uint32_t j = 0; j < c.n; j++)
			if (says_same(d, c.ref[j], d->set.v[extra->metas[k.rec.meta].set], &new))
				refs_add(&d->gone, c.ref[j]);
	}
}

static void digest_of(const struct ruleset_delta *d, const struct ruleset *extra, uint8_t out[static 32])
{
	struct buf all = {0};
	buf_add(&all, d->base->head.digest, 32);
	buf_add(&all, extra->head.digest, 32);
	buf_add(&all, d->story.p, d->story.n);
	hash_sha256(out, all.p, all.n);
	buf_free(&all);
}

/* Whether the copy still has room for the changes. */
static bool can_patch(const struct ruleset_delta *d, const struct ruleset *extra)
{
	const struct ruleset_head *h = &d->base->head;
	uint64_t stale = (uint64_t)h->stale + d->gone.n + extra->meta_n;
	uint64_t taken = (uint64_t)h->taken + extra->head.count;
	uint64_t texts = (uint64_t)d->base->strings_n + extra->strings_n + d->base->files_n + extra->files_n;
	return !d->drops && (stale <= STALE_MIN || stale * 4 <= h->count) && texts < RULESET_MAX &&
	       (uint64_t)d->base->set_n + d->new_sets <= RULESET_SET_MAX &&
	       taken * 100 <= (uint64_t)d->base->table_n * TABLE_SLOTS * FILL_MAX;
}

/* ---- building anew ---- */

static struct indicator_set head_of(const struct ruleset_delta *d, const struct ruleset *extra, uint32_t set)
{
	for (uint32_t i = 0; i < d->set.n; i++)
		if (d->set.v[i] == set)
			return ruleset_set_at(extra, i);
	return ruleset_set_at(d->base, set);
}

static bool carry_over(struct ruleset_builder *b, const struct ruleset *from, uint32_t ref, uint32_t set, struct err *e)
{
	struct ruleset_room room;
	struct indicator i = ruleset_indicator_in(from, ref, &room);
	struct ruleset_record rec;
	if (!ruleset_record_at(from, ref, &rec))
		return err_set(e, "the rule set is damaged: indicator %u cannot be read", ref);
	if (!rec.id)
		i.id = NULL;
	return ruleset_add(b, set, &i, e) != ADDED_INVALID;
}

/* The sets that stay get new numbers; one that was dropped and got nothing new goes. */
static void carry_sets(struct ruleset_delta *d, const struct ruleset *extra, struct ruleset_builder *b,
		       uint32_t *number)
{
	const struct ruleset *base = d->base;
	bool *used = xcalloc((size_t)base->set_n + d->new_sets + 1, sizeof(*used));
	struct ruleset_record rec;
	for (uint32_t i = 0; i < extra->head.count; i++)
		if (ruleset_record_at(extra, i, &rec))
			used[d->set.v[extra->metas[rec.meta].set]] = true;
	for (uint32_t i = 0; i < base->set_n + d->new_sets; i++) {
		struct indicator_set head = head_of(d, extra, i);
		bool gone = i < base->set_n && d->dropped[i] && !used[i];
		number[i] = gone ? RULESET_NONE : ruleset_add_set(b, &head);
	}
	free(used);
}

static bool carry_indicators(struct ruleset_delta *d, const struct ruleset *extra, struct ruleset_builder *b,
			     const uint32_t *number, struct err *e)
{
	const struct ruleset *base = d->base;
	struct ruleset_record rec;
	for (uint32_t i = 0; i < base->head.count; i++) {
		uint32_t set = ruleset_record_at(base, i, &rec) ? base->metas[rec.meta].set : RULESET_NONE;
		if (set >= base->set_n || d->dropped[set] || refs_have(&d->gone, i))
			continue;
		if (!carry_over(b, base, i, number[set], e))
			return false;
	}
	for (uint32_t i = 0; i < extra->head.count; i++)
		if (ruleset_record_at(extra, i, &rec) &&
		    !carry_over(b, extra, i, number[d->set.v[extra->metas[rec.meta].set]], e))
			return false;
	return true;
}

static bool carry_allow(const struct ruleset *base, struct ruleset_builder *b, struct err *e)
{
	for (uint32_t i = 0; i < base->head.allow; i++) {
		struct ruleset_room room;
		struct indicator a = ruleset_allow_at(base, i, &room);
		if (!ruleset_allow(b, a.type, a.value, a.note, a.valid_until_us, e))
			return false;
	}
	return true;
}

static struct ruleset *rebuild(struct ruleset_delta *d, const struct ruleset *extra, const uint8_t digest[static 32],
			       struct err *e)
{
	struct ruleset_builder *b = ruleset_builder_new();
	uint32_t *number = xcalloc((size_t)d->base->set_n + d->new_sets + 1, sizeof(*number));
	struct ruleset *r = NULL;
	carry_sets(d, extra, b, number);
	if (carry_indicators(d, extra, b, number, e) && carry_allow(d->base, b, e))
		r = ruleset_build_as(b, digest, e);
	free(number);
	ruleset_builder_free(b);
	return r;
}

/* ---- patching a copy ---- */

/* Where an indicator was read. */
struct origin {
	uint32_t ref, file, line;
};

struct patch {
	const struct ruleset_delta *d;
	const struct ruleset *base, *extra;
	struct ruleset_head head;
	uint8_t *map;
	struct buf records, patterns;
	struct refs ref;        /* of what is added, by its number in extra */
	struct refs from, to;   /* refs that move */
	struct origin *changed; /* what has another origin than the base says, in order */
	uint32_t changed_n, place_n;
	uint32_t gone; /* what a worn place of the table holds */
	uint32_t group_used;
	uint32_t nets4, nets6;
};

static void *at_section(const struct patch *p, enum ruleset_section s)
{
	return p->map + p->head.section[s].offset;
}

/* Every hole gets an added indicator, then the last refs that stay, as long as there are holes. */
static void number_refs(struct patch *p)
{
	const struct refs *gone = &p->d->gone;
	uint32_t count = p->base->head.count, added = p->extra->head.count, last = count;
	for (uint32_t i = 0; i < added; i++)
		refs_add(&p->ref, i < gone->n ? gone->v[i] : count + i - gone->n);
	p->head.count = count + added - gone->n;
	for (uint32_t hole = added; hole < gone->n && gone->v[hole] < p->head.count; hole++) {
		do
			last--;
		while (refs_have(gone, last));
		refs_add(&p->from, last);
		refs_add(&p->to, gone->v[hole]);
	}
}

/* Where a ref of the base is now, RULESET_NONE: gone. */
static uint32_t moved(const struct patch *p, uint32_t ref)
{
	for (uint32_t i = 0; i < p->from.n; i++)
		if (p->from.v[i] == ref)
			return p->to.v[i];
	return refs_have(&p->d->gone, ref) ? RULESET_NONE : ref;
}

static uint32_t meta_moved(const struct patch *p, uint32_t meta)
{
	return p->base->meta_n + meta;
}

/* The added records with their new metas' numbers. In a set that was built at
 * once they lie one behind the other. */
static bool put_records(struct patch *p, uint32_t *offset)
{
	const struct ruleset *x = p->extra;
	for (uint32_t i = 0; i < x->head.count; i++) {
		uint8_t v[RULESET_VARINT_MAX];
		struct ruleset_record rec;
		uint32_t end = i + 1 < x->head.count ? x->offsets[i + 1] : x->records_n;
		if (!ruleset_record_at(x, i, &rec))
			return false;
		size_t was = ruleset_varint(v, rec.meta);
		offset[i] = p->base->records_n + (uint32_t)p->records.n;
		buf_add(&p->records, v, ruleset_varint(v, meta_moved(p, rec.meta)));
		buf_add(&p->records, x->records + x->offsets[i] + was, end - x->offsets[i] - was);
	}
	return p->records.n <= UINT32_MAX - p->base->records_n;
}

/* Counts of types, and what lookups are steered by. sign: added or removed. */
static void count_one(struct patch *p, const struct ruleset *r, uint32_t ref, bool add)
{
	struct ruleset_head *h = &p->head;
	struct ruleset_record rec;
	uint8_t room[RULESET_KEY_ROOM];
	uint32_t hosts = 0, one = add ? 1u : UINT32_MAX;
	bool v4, net;
	if (!ruleset_record_at(r, ref, &rec))
		return;
	struct bytes key = ruleset_record_key(&rec, room);
	struct ruleset_lengths ignored = {0};
	h->by_type[rec.type] += one;
	if (rec.type == INDICATOR_CIDR) {
		net = note_length(add ? &h->net : &ignored, key, &hosts, &v4);
		p->nets4 += add && net && v4;
		p->nets6 += add && net && !v4;
	}
	h->hosts += (hosts || rec.type == INDICATOR_IP) ? one : 0;
	h->url_prefixes += rec.type == INDICATOR_URL && r->metas[rec.meta].match == MATCH_PREFIX ? one : 0;
	if (add && space_of(rec.type) == INDICATOR_DOMAIN)
		h->depths |= UINT64_C(1) << name_labels(key);
}

static void count_changes(struct patch *p)
{
	for (uint32_t i = 0; i < p->d->gone.n; i++)
		count_one(p, p->base, p->d->gone.v[i], false);
	for (uint32_t i = 0; i < p->extra->head.count; i++)
		count_one(p, p->extra, i, true);
	p->head.types = 0;
	for (int t = 1; t < INDICATOR_TYPE_COUNT; t++)
		p->head.types |= p->head.by_type[t] ? INDICATOR_BIT(t) : 0;
	p->head.stale += p->d->gone.n + p->extra->meta_n;
	if (!p->head.filter_bits4)
		p->head.filter_bits4 = filter_bits(p->nets4);
	if (!p->head.filter_bits6)
		p->head.filter_bits6 = filter_bits(p->nets6);
}

static void put_patterns(struct patch *p)
{
	for (uint32_t i = 0; i < p->base->pattern_n; i++) {
		uint32_t ref = moved(p, p->base->patterns[i]);
		if (ref != RULESET_NONE)
			buf_add(&p->patterns, &ref, sizeof(ref));
	}
	for (uint32_t i = 0; i < p->extra->pattern_n; i++)
		buf_add(&p->patterns, &p->ref.v[p->extra->patterns[i]], sizeof(uint32_t));
}

/* Words that the groups of added indicators take at most, and one for the empty group. */
static uint64_t group_words(const struct patch *p)
{
	uint64_t words = 1;
	for (uint32_t i = 0; i < p->extra->head.count; i++) {
		struct keyed k;
		if (keyed_read(p->extra, i, &k))
			words += find_chain(p->base, &k.key).n + find_chain(p->extra, &k.key).n + 1;
	}
	return words;
}

/* ---- places: where in which file ---- */

static int by_ref(const void *a, const void *b)
{
	return by_number(&((const struct origin *)a)->ref, &((const struct origin *)b)->ref);
}

static struct origin origin_of(const struct ruleset *r, uint32_t ref, uint32_t as)
{
	const struct ruleset_place *run = ruleset_place_of(r, ref);
	if (!run)
		return (struct origin){.ref = as};
	return (struct origin){.ref = as, .file = run->file, .line = run->line + run->step * (ref - run->first)};
}

static void find_changed(struct patch *p)
{
	p->changed = xcalloc((size_t)p->ref.n + p->to.n + 1, sizeof(*p->changed));
	for (uint32_t i = 0; i < p->ref.n; i++) {
		struct origin o = origin_of(p->extra, i, p->ref.v[i]);
		o.file += o.file ? p->base->files_n : 0;
		p->changed[p->changed_n++] = o;
	}
	for (uint32_t i = 0; i < p->to.n; i++)
		p->changed[p->changed_n++] = origin_of(p->base, p->from.v[i], p->to.v[i]);
	qsort(p->changed, p->changed_n, sizeof(*p->changed), by_ref);
}

/* The base's runs, cut where something has changed. out NULL: only counts. */
static uint32_t put_places(const struct patch *p, struct ruleset_place *out)
{
	const struct ruleset *base = p->base;
	const struct origin *changed = p->changed;
	uint32_t put = 0, run = 0, k = 0, at = 0, n = p->changed_n;
	while (at < p->head.count) {
		while (run < base->place_n && base->places[run].first <= at)
			run++;
		struct ruleset_place one = {.first = at};
		uint32_t next = run < base->place_n ? base->places[run].first : p->head.count;
		if (k < n && changed[k].ref == at) {
			one.file = changed[k].file;
			one.line = changed[k++].line;
			next = at + 1;
		} else {
			struct origin o = origin_of(base, at, at);
			one.file = o.file;
			one.line = o.line;
			one.step = run ? base->places[run - 1].step : 0;
			if (k < n && changed[k].ref < next)
				next = changed[k].ref;
		}
		if (out)
			out[put] = one;
		put++;
		at = next > at ? next : at + 1;
	}
	return put;
}

/* ---- laying out and copying ---- */

static uint64_t grown(const struct ruleset *r, enum ruleset_section s, uint64_t by)
{
	return r->head.section[s].bytes + by;
}

static void lay_out(struct patch *p)
{
	const struct ruleset *b = p->base, *x = p->extra;
	struct ruleset_head *h = &p->head;
	const uint64_t bytes[SECTION_COUNT] = {
	    [SECTION_COUNTS] = sizeof(struct ruleset_counts),
	    [SECTION_SETS] = grown(b, SECTION_SETS, (uint64_t)p->d->new_sets * sizeof(struct ruleset_set_row)),
	    [SECTION_METAS] = grown(b, SECTION_METAS, (uint64_t)x->meta_n * sizeof(struct ruleset_meta)),
	    [SECTION_STRINGS] = grown(b, SECTION_STRINGS, x->strings_n),
	    [SECTION_RECORDS] = grown(b, SECTION_RECORDS, p->records.n),
	    [SECTION_FILES] = grown(b, SECTION_FILES, x->files_n),
	    [SECTION_PLACES] = (uint64_t)p->place_n * sizeof(struct ruleset_place),
	    [SECTION_OFFSETS] = ((uint64_t)h->count + h->allow) * 4,
	    [SECTION_GROUPS] = grown(b, SECTION_GROUPS, group_words(p) * 4),
	    [SECTION_PATTERNS] = p->patterns.n,
	    [SECTION_BLOOM] = grown(b, SECTION_BLOOM, 0),
	    [SECTION_TABLE] = grown(b, SECTION_TABLE, 0),
	    [SECTION_NET4] = h->filter_bits4 ? UINT64_C(1) << (h->filter_bits4 - 3) : 0,
	    [SECTION_NET6] = h->filter_bits6 ? UINT64_C(1) << (h->filter_bits6 - 3) : 0,
	};
	h->bytes = ruleset_lay(h, bytes);
}

static void copy_all(struct patch *p)
{
	static const enum ruleset_section copied[] = {SECTION_COUNTS,  SECTION_SETS,  SECTION_METAS,  SECTION_STRINGS,
						      SECTION_RECORDS, SECTION_FILES, SECTION_GROUPS, SECTION_BLOOM,
						      SECTION_TABLE,   SECTION_NET4,  SECTION_NET6};
	for (size_t i = 0; i < sizeof(copied) / sizeof(*copied); i++) {
		enum ruleset_section s = copied[i];
		memcpy(at_section(p, s), p->base->map + p->base->head.section[s].offset,
		       p->base->head.section[s].bytes);
	}
	memcpy((char *)at_section(p, SECTION_STRINGS) + p->base->strings_n, p->extra->strings, p->extra->strings_n);
	memcpy((char *)at_section(p, SECTION_FILES) + p->base->files_n, p->extra->files, p->extra->files_n);
	if (p->records.n)
		memcpy((char *)at_section(p, SECTION_RECORDS) + p->base->records_n, p->records.p, p->records.n);
	if (p->patterns.n)
		memcpy(at_section(p, SECTION_PATTERNS), p->patterns.p, p->patterns.n);
}

static uint32_t string_moved(const struct patch *p, uint32_t s)
{
	return s ? p->base->strings_n + s : 0;
}

static void copy_heads(struct patch *p)
{
	struct ruleset_set_row *sets = at_section(p, SECTION_SETS);
	struct ruleset_meta *metas = at_section(p, SECTION_METAS);
	for (uint32_t i = 0; i < p->d->set.n; i++) {
		struct ruleset_set_row row = p->extra->sets[i];
		uint32_t *const string[] = {&row.id, &row.title, &row.producer, &row.releasable_to, &row.exercise};
		for (size_t k = 0; k < sizeof(string) / sizeof(*string); k++)
			*string[k] = string_moved(p, *string[k]);
		sets[p->d->set.v[i]] = row;
	}
	for (uint32_t i = 0; i < p->extra->meta_n; i++) {
		struct ruleset_meta m = p->extra->metas[i];
		m.set = p->d->set.v[m.set];
		m.labels = string_moved(p, m.labels);
		m.note = string_moved(p, m.note);
		m.ref = string_moved(p, m.ref);
		m.where = string_moved(p, m.where);
		metas[meta_moved(p, i)] = m;
	}
	struct ruleset_counts *counts = at_section(p, SECTION_COUNTS);
	for (int s = 0; s < 4; s++)
		counts->section_bytes[s] = p->head.section[SECTION_SETS + s].bytes;
	counts->count = p->head.count;
	counts->allow = p->head.allow;
}

static void put_offsets(struct patch *p, const uint32_t *added)
{
	const struct ruleset *b = p->base;
	uint32_t *offsets = at_section(p, SECTION_OFFSETS),
		 keep = b->head.count < p->head.count ? b->head.count : p->head.count;
	memcpy(offsets, b->offsets, (size_t)keep * sizeof(*offsets));
	for (uint32_t i = 0; i < p->from.n; i++)
		offsets[p->to.v[i]] = b->offsets[p->from.v[i]];
	for (uint32_t i = 0; i < p->ref.n; i++)
		offsets[p->ref.v[i]] = added[i];
	memcpy(offsets + p->head.count, b->offsets + b->head.count, (size_t)p->head.allow * sizeof(*offsets));
}

/* ---- editing the table ---- */

/* The place that holds a ref of the base, alone or in a group; *in: where in the group. */
static uint32_t *find_ref(struct patch *p, uint64_t h, uint32_t ref, uint32_t **in, struct ruleset_line **line)
{
	struct ruleset_line *table = at_section(p, SECTION_TABLE);
	uint32_t lines = p->base->table_n, *groups = at_section(p, SECTION_GROUPS), at = scale(h, lines);
	for (uint32_t k = 0; k < lines && k < RULESET_PROBES; k++, at = at + 1 == lines ? 0 : at + 1)
		for (int s = 0; s < TABLE_SLOTS; s++) {
			uint32_t *place = &table[at].ref[s], group = *place & ~RULESET_GROUP;
			*line = &table[at];
			*in = NULL;
			if (*place == RULESET_NONE)
				return NULL;
			if (*place == ref)
				return place;
			if (!(*place & RULESET_GROUP) || group >= p->base->group_n ||
			    groups[group] >= p->base->group_n - group || table[at].fingerprint[s] != fingerprint_of(h))
				continue;
			for (uint32_t i = 1; i <= groups[group]; i++)
				if (groups[group + i] == ref) {
					*in = &groups[group + i];
					return place;
				}
		}
	return NULL;
}

/* Lookups of other keys end at a free place: in a full line they must go on. */
static void free_place(struct patch *p, struct ruleset_line *line, uint32_t *place)
{
	int last = TABLE_SLOTS - 1, slot = (int)(place - line->ref);
	if (line->ref[last] != RULESET_NONE) {
		*place = p->gone;
		return;
	}
	while (line->ref[last] == RULESET_NONE)
		last--;
	line->ref[slot] = line->ref[last];
	line->fingerprint[slot] = line->fingerprint[last];
	line->ref[last] = RULESET_NONE;
	p->head.taken--;
}

static uint64_t base_hash(const struct patch *p, uint32_t ref)
{
	struct keyed k;
	return keyed_read(p->base, ref, &k) ? lookup_hash(&p->base->head.key, &k.key) : 0;
}

static void remove_ref(struct patch *p, uint32_t ref)
{
	struct ruleset_line *line;
	uint32_t *in, *groups = at_section(p, SECTION_GROUPS);
	uint32_t *place = find_ref(p, base_hash(p, ref), ref, &in, &line);
	if (!place)
		return;
	if (in) {
		uint32_t *n = &groups[*place & ~RULESET_GROUP];
		memmove(in, in + 1, (size_t)(n + *n - in) * sizeof(*in));
		if (--*n)
			return;
	}
	free_place(p, line, place);
}

static void rename_ref(struct patch *p, uint32_t ref, uint32_t as)
{
	struct ruleset_line *line;
	uint32_t *in, *place = find_ref(p, base_hash(p, ref), ref, &in, &line);
	if (place)
		*(in ? in : place) = as;
}

/* Allow entries stand behind the indicators: their refs shift, those first that
 * make room for their neighbours. */
static void shift_allow(struct patch *p)
{
	uint32_t was = p->base->head.count, now = p->head.count, n = p->head.allow;
	for (uint32_t i = 0; i < n && now != was; i++) {
		uint32_t k = now > was ? n - 1 - i : i;
		rename_ref(p, was + k, now + k);
	}
}

/* Files a ref under its key: beside those that are there, or in a free place. */
static bool add_ref(struct patch *p, const struct ruleset *r, uint32_t ref, struct err *e)
{
	struct ruleset_line *table = at_section(p, SECTION_TABLE);
	uint32_t *groups = at_section(p, SECTION_GROUPS);
	struct keyed k;
	if (!keyed_read(r, ref, &k))
		return err_set(e, "the rule set is damaged: an indicator cannot be read");
	uint64_t h = lookup_hash(&r->head.key, &k.key);
	const uint32_t *there = find_key(r, h, &k.key);
	if (!there) {
		bloom_add(at_section(p, SECTION_BLOOM), r->bloom_n, h);
		return table_add(table, r->table_n, h, ref, p->gone, &p->head.taken) ||
		       err_set(e, "the hash table of the rule set overflowed: build it again");
	}
	struct chain c = chain_of(r, there);
	uint32_t at = p->group_used;
	if (c.n >= RULESET_SAME_MAX)
		return err_set(e, "more than %u indicators share one value", RULESET_SAME_MAX);
	if (c.n + 2 > r->group_n - at) /* group_words() found other groups for these keys than there are now */
		return err_set(e, "the rule set is damaged: its groups do not hold what they say");
	groups[at] = c.n + 1;
	memmove(groups + at + 1, c.ref, (size_t)c.n * sizeof(*groups)); /* a damaged group may reach in here */
	groups[at + 1 + c.n] = ref;
	p->group_used += c.n + 2;
	*(uint32_t *)(void *)(p->map + ((const uint8_t *)there - r->map)) = RULESET_GROUP | at;
	return true;
}

static void add_to_filter(struct patch *p, uint32_t i)
{
	uint8_t room[RULESET_KEY_ROOM];
	struct ruleset_record rec;
	if (!ruleset_record_at(p->extra, i, &rec) || rec.type != INDICATOR_CIDR)
		return;
	struct bytes key = ruleset_record_key(&rec, room);
	struct addr a = addr_v6(key.p);
	bool v4 = addr_is_v4(&a);
	if (key.p[16] < (v4 ? 32u : 128u))
		filter_add(at_section(p, v4 ? SECTION_NET4 : SECTION_NET6),
			   v4 ? p->head.filter_bits4 : p->head.filter_bits6, &a, v4, key.p[16]);
}

static bool edit(struct patch *p, const uint32_t *offset, struct ruleset **out, struct err *e)
{
	for (uint32_t i = 0; i < p->d->gone.n; i++)
		remove_ref(p, p->d->gone.v[i]);
	for (uint32_t i = 0; i < p->from.n; i++)
		rename_ref(p, p->from.v[i], p->to.v[i]);
	shift_allow(p);
	put_offsets(p, offset);
	memcpy(p->map, &p->head, sizeof(p->head));
	/* From here on the copy can be read as a set, while it is still written to. */
	*out = ruleset_adopt(p->map, p->head.bytes, "the rule set with its changes", e);
	for (uint32_t i = 0; *out && i < p->ref.n; i++) {
		add_to_filter(p, i);
		if (!add_ref(p, *out, p->ref.v[i], e))
			return false;
	}
	return *out != NULL;
}

static struct ruleset *finish(struct patch *p, const uint32_t *offset, struct err *e)
{
	struct ruleset *r = NULL;
	if (!(p->map = ruleset_map(p->head.bytes, e)))
		return NULL;
	copy_all(p);
	copy_heads(p);
	put_places(p, at_section(p, SECTION_PLACES));
	if (!edit(p, offset, &r, e)) {
		ruleset_free(r);
		return NULL;
	}
	r->head.taken = p->head.taken;
	ruleset_seal(r, p->map);
	return r;
}

static struct ruleset *patch(struct ruleset_delta *d, const struct ruleset *extra, const uint8_t digest[static 32],
			     struct err *e)
{
	struct patch p = {.d = d, .base = d->base, .extra = extra, .head = d->base->head};
	struct ruleset *r = NULL;
	uint32_t *offset = xcalloc((size_t)extra->head.count + 1, sizeof(*offset));
	p.gone = RULESET_GROUP | d->base->group_n;
	p.group_used = d->base->group_n + 1;
	memcpy(p.head.digest, digest, sizeof(p.head.digest));
	number_refs(&p);
	count_changes(&p);
	put_patterns(&p);
	find_changed(&p);
	p.place_n = put_places(&p, NULL);
	if (!put_records(&p, offset)) {
		err_set(e, "the rule set is too large: more than 4 GiB of values");
	} else {
		lay_out(&p);
		r = finish(&p, offset, e);
	}
	free(p.changed);
	free(offset);
	buf_free(&p.records);
	buf_free(&p.patterns);
	free(p.ref.v);
	free(p.from.v);
	free(p.to.v);
	return r;
}

struct ruleset *ruleset_delta_apply(struct ruleset_delta *d, struct err *e)
{
	uint8_t digest[32];
	struct ruleset *extra = ruleset_build(d->added, e), *r = NULL;
	if (!extra)
		return NULL;
	replace_same(d, extra);
	refs_sort(&d->gone);
	digest_of(d, extra, digest);
	if (can_patch(d, extra))
		r = patch(d, extra, digest, e);
	else
		r = rebuild(d, extra, digest, e);
	ruleset_free(extra);
	return r;
}
