/* From indicators to the compiled set (ruleset_format.h shows it).
 *
 * The builder keeps every record's body as it will stand in the file and a hash
 * table of keys, which finds duplicates and chains indicators that share a key.
 * ruleset_build() lays the sections out and fills them: about 0.1 s for a
 * million. The order of records is the order of adding, so the same rules give
 * the same content digest whatever the secret is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/buf.h"
#include "rules/canon.h"
#include "rules/ruleset_table.h"

#define STRINGS_MAX (1u << 30)
#define RECORDS_MAX (3u << 30)
#define HUGE_BYTES  ((size_t)2 << 20)
#define AHEAD       16u /* entries whose lines are asked for in advance */
#define BLOOM_BITS  12u /* per key: 0.5 % of misses go on to the table */
#define TABLE_FILL  85u /* per cent */

/* Where the body of a record stands in the builder's records. */
struct body {
	uint32_t at, n;
};

struct entry {
	uint64_t h;
	struct body body;
	uint32_t meta;
	uint32_t next; /* next entry with the same key, RULESET_NONE = last */
	uint32_t file, line;
	bool head; /* first of its key */
};

struct entries {
	struct entry *list;
	uint32_t n, cap;
};

/* Open addressing: the upper half of the hash and 1 + the index; 0 = free. */
struct index {
	uint64_t *slot;
	uint32_t n, size;
};

struct strings {
	struct buf text;
	struct index index;
	uint32_t last; /* what was asked for last: neighbours share their file and labels */
};

struct ruleset_builder {
	struct hash_key key;
	struct entries entries[2]; /* indicators, allow entries */
	struct index keys;         /* of both: index << 1 | allow */
	struct buf records;
	struct strings strings, files;
	struct buf sets, metas;
	struct index meta_index;
	struct canon canon; /* scratch */
};

/* ---- the index ---- */

static void index_place(uint64_t *slot, uint32_t size, uint64_t entry)
{
	uint32_t i = (uint32_t)(entry >> 32) & (size - 1);
	while (slot[i])
		i = (i + 1) & (size - 1);
	slot[i] = entry;
}

/* Every key is looked up at a place of its own: with pages of 4 KiB each costs a
 * miss in the TLB as well. */
static uint64_t *index_slots(size_t size)
{
	size_t bytes = size * sizeof(uint64_t);
	uint64_t *slot = bytes < HUGE_BYTES ? NULL : aligned_alloc(HUGE_BYTES, bytes);
	if (!slot)
		return xcalloc(size, sizeof(*slot));
	madvise(slot, bytes, MADV_HUGEPAGE);
	return memset(slot, 0, bytes);
}

static void index_add(struct index *x, uint64_t h, uint32_t value)
{
	if (x->n >= x->size / 2) {
		uint32_t size = x->size ? 2 * x->size : 64;
		uint64_t *slot = index_slots(size);
		for (uint32_t i = 0; i < x->size; i++)
			if (x->slot[i])
				index_place(slot, size, x->slot[i]);
		free(x->slot);
		x->slot = slot;
		x->size = size;
	}
	index_place(x->slot, x->size, (h & UINT64_C(0xffffffff00000000)) | (value + 1));
	x->n++;
}

static void index_prefetch(const struct index *x, uint64_t h)
{
	if (x->size)
		__builtin_prefetch(&x->slot[(uint32_t)(h >> 32) & (x->size - 1)], 1);
}

/* Steps through the values filed under h: *at starts at RULESET_NONE; RULESET_NONE = no more. */
static uint32_t index_next(const struct index *x, uint64_t h, uint32_t *at)
{
	uint32_t mask = x->size - 1;
	if (!x->size)
		return RULESET_NONE;
	*at = *at == RULESET_NONE ? (uint32_t)(h >> 32) & mask : (*at + 1) & mask;
	for (; x->slot[*at]; *at = (*at + 1) & mask)
		if (x->slot[*at] >> 32 == h >> 32)
			return (uint32_t)x->slot[*at] - 1;
	return RULESET_NONE;
}

/* ---- strings, sets and metas: each kept once ---- */

static uint32_t intern(struct ruleset_builder *b, struct strings *s, const char *text)
{
	if (!text || !*text)
		return 0;
	if (s->last && strcmp((const char *)s->text.p + s->last, text) == 0)
		return s->last;
	size_t n = strlen(text);
	uint64_t h = hash64(&b->key, text, n);
	uint32_t at = RULESET_NONE, found;
	while ((found = index_next(&s->index, h, &at)) != RULESET_NONE)
		if (strcmp((const char *)s->text.p + found, text) == 0)
			return s->last = found;
	if (!s->text.n)
		buf_u8(&s->text, 0);
	if (s->text.n + n >= STRINGS_MAX)
		return RULESET_NONE;
	found = (uint32_t)s->text.n;
	buf_add(&s->text, text, n + 1);
	index_add(&s->index, h, found);
	return s->last = found;
}

uint32_t ruleset_add_set(struct ruleset_builder *b, const struct indicator_set *s)
{
	struct ruleset_set_row row = {
	    .id = intern(b, &b->strings, s->id),
	    .title = intern(b, &b->strings, s->title),
	    .producer = intern(b, &b->strings, s->producer),
	    .releasable_to = intern(b, &b->strings, s->releasable_to),
	    .exercise = intern(b, &b->strings, s->exercise),
	    .version = s->version,
	    .tlp = s->tlp,
	    .valid_until_us = s->valid_until_us,
	};
	buf_add(&b->sets, &row, sizeof(row));
	return (uint32_t)(b->sets.n / sizeof(row)) - 1;
}

static const struct ruleset_meta *meta_at(const struct ruleset_builder *b, uint32_t i)
{
	return (const struct ruleset_meta *)(const void *)b->metas.p + i;
}

static uint32_t meta_number(struct ruleset_builder *b, const struct ruleset_meta *m)
{
	uint32_t n = (uint32_t)(b->metas.n / sizeof(*m)), at = RULESET_NONE, found;
	if (n && memcmp(meta_at(b, n - 1), m, sizeof(*m)) == 0)
		return n - 1;
	uint64_t h = hash64(&b->key, m, sizeof(*m));
	while ((found = index_next(&b->meta_index, h, &at)) != RULESET_NONE)
		if (memcmp(meta_at(b, found), m, sizeof(*m)) == 0)
			return found;
	buf_add(&b->metas, m, sizeof(*m));
	index_add(&b->meta_index, h, n);
	return n;
}

static bool fill_meta(struct ruleset_builder *b, uint32_t set, const struct indicator *i, struct ruleset_meta *m)
{
	*m = (struct ruleset_meta){
	    .set = set,
	    .labels = intern(b, &b->strings, i->labels),
	    .note = intern(b, &b->strings, i->note),
	    .ref = intern(b, &b->strings, i->ref),
	    .where = intern(b, &b->strings, i->where),
	    .severity = (uint8_t)i->severity,
	    .confidence = i->confidence,
	    .tlp = (uint8_t)i->tlp,
	    .match = (uint8_t)i->match,
	    .fold = (uint8_t)i->fold,
	    .valid_from_us = i->valid_from_us,
	    .valid_until_us = i->valid_until_us,
	};
	return m->labels != RULESET_NONE && m->note != RULESET_NONE && m->ref != RULESET_NONE &&
	       m->where != RULESET_NONE;
}

/* ---- records ---- */

struct ruleset_builder *ruleset_builder_new(void)
{
	struct hash_key key;
	hash_key_random(&key);
	return ruleset_builder_keyed(&key);
}

struct ruleset_builder *ruleset_builder_keyed(const struct hash_key *key)
{
	struct ruleset_builder *b = xcalloc(1, sizeof(*b));
	b->key = *key;
	return b;
}

void ruleset_builder_free(struct ruleset_builder *b)
{
	if (!b)
		return;
	struct index *indexes[] = {&b->keys, &b->strings.index, &b->files.index, &b->meta_index};
	struct buf *bufs[] = {&b->records, &b->strings.text, &b->files.text, &b->sets, &b->metas};
	for (size_t i = 0; i < sizeof(indexes) / sizeof(*indexes); i++)
		free(indexes[i]->slot);
	for (size_t i = 0; i < sizeof(bufs) / sizeof(*bufs); i++)
		buf_free(bufs[i]);
	free(b->entries[0].list);
	free(b->entries[1].list);
	free(b);
}

static void record_of(const struct ruleset_builder *b, const struct entry *e, struct ruleset_record *rec)
{
	struct cursor c = cursor_over(b->records.p + e->body.at, e->body.n);
	ruleset_record_body(&c, rec);
	rec->meta = e->meta;
}

static struct lookup_key entry_key(const struct ruleset_builder *b, const struct entry *e, bool allow,
				   uint8_t room[static RULESET_KEY_ROOM])
{
	struct ruleset_record rec;
	record_of(b, e, &rec);
	return lookup_key(rec.type, (enum match_mode)meta_at(b, e->meta)->match, allow, ruleset_record_key(&rec, room));
}

/* The first entry with this key, or NULL. Allow entries of two types that share
 * keys stay apart: a domain says more than the hostname. */
static struct entry *find_head(struct ruleset_builder *b, uint64_t h, const struct lookup_key *k,
			       enum indicator_type allow)
{
	uint32_t at = RULESET_NONE, found;
	while ((found = index_next(&b->keys, h, &at)) != RULESET_NONE) {
		uint8_t room[RULESET_KEY_ROOM];
		struct entry *e = &b->entries[found & 1].list[found >> 1];
		if ((found & 1) != (allow != INDICATOR_NONE) || e->h != h)
			continue;
		if (allow && b->records.p[e->body.at] != allow)
			continue;
		struct lookup_key other = entry_key(b, e, allow != INDICATOR_NONE, room);
		if (lookup_same(k, &other))
			return e;
	}
	return NULL;
}

static struct entry *append(struct entries *list)
{
	if (list->n == list->cap) {
		list->cap = list->cap ? 2 * list->cap : 64;
		list->list = xrealloc(list->list, list->cap * sizeof(*list->list));
	}
	struct entry *e = &list->list[list->n++];
	*e = (struct entry){.next = RULESET_NONE};
	return e;
}

static struct body put_body(struct ruleset_builder *b, enum indicator_type t, const char *value, const char *id)
{
	uint32_t at = (uint32_t)b->records.n;
	ruleset_record_put(&b->records, t, b->canon.key, b->canon.n, value, id);
	return (struct body){at, (uint32_t)b->records.n - at};
}

static bool same_indicator(const struct ruleset_builder *b, const struct entry *e, const struct ruleset_meta *m,
			   enum indicator_type t, const char *value)
{
	char room[RULESET_VALUE_ROOM];
	struct ruleset_record rec;
	const struct ruleset_meta *other = meta_at(b, e->meta);
	record_of(b, e, &rec);
	return rec.type == t && other->set == m->set && other->match == m->match && other->where == m->where &&
	       strcmp(ruleset_record_value(&rec, room), value) == 0;
}

/* The canonical value in b->canon, filed under its key. Finds the same
 * indicator if it is there already; *last is the end of the key's chain. */
static struct entry *find_same(struct ruleset_builder *b, struct entry *head, const struct ruleset_meta *m,
			       enum indicator_type t, const char *value, struct entry **last, uint32_t *length)
{
	struct entry *list = b->entries[0].list;
	for (struct entry *e = head; e; e = e->next == RULESET_NONE ? NULL : &list[e->next]) {
		if (same_indicator(b, e, m, t, value))
			return e;
		*last = e;
		++*length;
	}
	return NULL;
}

static bool check(struct ruleset_builder *b, uint32_t set, const struct indicator *i, struct err *e)
{
	if (set >= b->sets.n / sizeof(struct ruleset_set_row) || set >= RULESET_SET_MAX)
		return err_set(e, "there is no rule set number %u", set);
	if (!i->value)
		return err_set(e, "the value is missing");
	if (i->where && i->type == INDICATOR_STIX)
		return err_set(e, "where is for single values: the paths of a STIX pattern say where they stand");
	if (i->match == MATCH_PREFIX && i->type != INDICATOR_URL)
		return err_set(e, "match: prefix is for the type url only");
	if (i->id && strlen(i->id) > RULESET_ID_MAX)
		return err_set(e, "the id is longer than %u bytes", RULESET_ID_MAX);
	if (b->entries[0].n >= RULESET_MAX || b->records.n > RECORDS_MAX)
		return err_set(e, "the rule set is full: %u indicators", b->entries[0].n);
	return canon_rule(i->type, i->value, strlen(i->value), &b->canon, e);
}

enum added ruleset_add(struct ruleset_builder *b, uint32_t set, const struct indicator *i, struct err *e)
{
	struct ruleset_meta m;
	if (!check(b, set, i, e))
		return ADDED_INVALID;
	struct bytes key = {.p = b->canon.key, .n = b->canon.n};
	struct lookup_key k = lookup_key(i->type, i->match, false, key);
	uint64_t h = lookup_hash(&b->key, &k);
	index_prefetch(&b->keys, h);
	uint32_t file = intern(b, &b->files, i->file);
	if (!fill_meta(b, set, i, &m) || file == RULESET_NONE) {
		err_set(e, "the rule set's texts are larger than 1 GiB");
		return ADDED_INVALID;
	}
	/* Written before anyone knows whether it is needed: meanwhile the index's line arrives. */
	struct body body = put_body(b, i->type, i->value, i->id && *i->id ? i->id : NULL);
	struct entry *head = find_head(b, h, &k, INDICATOR_NONE), *last = NULL;
	uint32_t length = 0;
	struct entry *same = find_same(b, head, &m, i->type, i->value, &last, &length);
	if (same && i->severity <= (enum severity)meta_at(b, same->meta)->severity) {
		b->records.n = body.at;
		return ADDED_DUPLICATE;
	}
	if (length >= RULESET_SAME_MAX) {
		b->records.n = body.at;
		err_set(e, "more than %u indicators share this value", RULESET_SAME_MAX);
		return ADDED_INVALID;
	}
	uint32_t number = b->entries[0].n;
	if (!same && last)
		last->next = number;
	struct entry *into = same ? same : append(&b->entries[0]);
	into->body = body;
	into->meta = meta_number(b, &m);
	into->file = file;
	into->line = i->line;
	if (same)
		return ADDED_DUPLICATE;
	into->h = h;
	into->head = !head;
	if (!head)
		index_add(&b->keys, h, number << 1);
	return ADDED;
}

static bool can_allow(enum indicator_type t)
{
	return !type_is_pattern(t);
}

bool ruleset_allow(struct ruleset_builder *b, enum indicator_type t, const char *value, const char *reason,
		   int64_t expires_us, struct err *e)
{
	struct ruleset_meta m = {.note = intern(b, &b->strings, reason), .valid_until_us = expires_us};
	if (!canon_rule(t, value, strlen(value), &b->canon, e))
		return false;
	if (!can_allow(t))
		return err_set(e, "the type %s cannot be allowed: it has no observable of its own",
			       indicator_type_name(t));
	if (m.note == RULESET_NONE || b->entries[1].n >= RULESET_MAX || b->records.n > RECORDS_MAX)
		return err_set(e, "the allow list is full");
	struct lookup_key k = lookup_key(t, MATCH_EXACT, true, (struct bytes){.p = b->canon.key, .n = b->canon.n});
	uint64_t h = lookup_hash(&b->key, &k);
	struct entry *same = find_head(b, h, &k, t);
	if (same) { /* the one that holds longer stays */
		int64_t until_us = meta_at(b, same->meta)->valid_until_us;
		if (until_us != 0 && (expires_us == 0 || expires_us > until_us))
			same->meta = meta_number(b, &m);
		return true;
	}
	uint32_t number = b->entries[1].n;
	struct entry *into = append(&b->entries[1]);
	into->body = put_body(b, t, value, NULL);
	into->h = h;
	into->head = true;
	into->meta = meta_number(b, &m);
	index_add(&b->keys, h, number << 1 | 1);
	return true;
}

size_t ruleset_builder_count(const struct ruleset_builder *b)
{
	return b->entries[0].n;
}

/* ---- laying out ---- */

/* Counts of what the sections will hold, and the mapping under construction. */
struct layout {
	const struct ruleset_builder *b;
	struct ruleset_head head;
	uint8_t *map;
	uint32_t heads, group_words, place_n, pattern_n;
	uint32_t nets4, nets6;
	uint64_t record_bytes;
};

static const struct entry *entry_number(const struct ruleset_builder *b, uint32_t i)
{
	uint32_t n = b->entries[0].n;
	return i < n ? &b->entries[0].list[i] : &b->entries[1].list[i - n];
}

static uint32_t entry_total(const struct ruleset_builder *b)
{
	return b->entries[0].n + b->entries[1].n;
}

static void count_indicator(struct layout *l, const struct ruleset_record *rec, struct bytes key)
{
	struct ruleset_head *h = &l->head;
	bool v4;
	h->types |= INDICATOR_BIT(rec->type);
	h->by_type[rec->type]++;
	h->hosts += rec->type == INDICATOR_IP;
	l->pattern_n += type_is_pattern(rec->type);
	h->url_prefixes += rec->type == INDICATOR_URL && meta_at(l->b, rec->meta)->match == MATCH_PREFIX;
	if (rec->type == INDICATOR_CIDR && note_length(&h->net, key, &h->hosts, &v4)) {
		l->nets4 += v4;
		l->nets6 += !v4;
	}
	if (space_of(rec->type) == INDICATOR_DOMAIN)
		h->depths |= UINT64_C(1) << name_labels(key);
}

static uint32_t chain_length(const struct ruleset_builder *b, const struct entry *e)
{
	uint32_t n = 1;
	for (; e->next != RULESET_NONE; n++)
		e = &b->entries[0].list[e->next];
	return n;
}

/* Whether an entry continues the run of lines that the one before it is in. */
static bool same_run(const struct entry *list, uint32_t i, uint32_t first, uint32_t *step)
{
	if (i == 0 || list[i].file != list[i - 1].file)
		return false;
	if (i == first + 1)
		*step = list[i].line - list[i - 1].line;
	return list[i].line - list[i - 1].line == *step;
}

static uint32_t put_places(const struct ruleset_builder *b, struct ruleset_place *out)
{
	const struct entry *list = b->entries[0].list;
	uint32_t n = 0, first = 0, step = 0;
	for (uint32_t i = 0; i < b->entries[0].n; i++) {
		if (same_run(list, i, first, &step)) {
			if (out)
				out[n - 1].step = step;
			continue;
		}
		if (out)
			out[n] = (struct ruleset_place){.first = i, .file = list[i].file, .line = list[i].line};
		first = i;
		n++;
	}
	return n;
}

static void count_all(struct layout *l)
{
	const struct ruleset_builder *b = l->b;
	uint8_t v[RULESET_VARINT_MAX], room[RULESET_KEY_ROOM];
	for (uint32_t i = 0; i < entry_total(b); i++) {
		const struct entry *e = entry_number(b, i);
		struct ruleset_record rec;
		bool v4, allow = i >= b->entries[0].n;
		l->record_bytes += ruleset_varint(v, e->meta) + e->body.n;
		record_of(b, e, &rec);
		struct bytes key = ruleset_record_key(&rec, room);
		uint32_t ignored = 0;
		if (!allow)
			count_indicator(l, &rec, key);
		else if (rec.type == INDICATOR_CIDR)
			note_length(&l->head.allow_net, key, &ignored, &v4);
		l->heads += e->head;
		if (e->head && e->next != RULESET_NONE)
			l->group_words += 1 + chain_length(b, e);
	}
	l->place_n = put_places(b, NULL);
	l->head.count = b->entries[0].n;
	l->head.allow = b->entries[1].n;
}

static uint64_t units(uint64_t n, uint64_t per)
{
	return n ? (n + per - 1) / per : 1;
}

uint64_t ruleset_lay(struct ruleset_head *h, const uint64_t bytes[static SECTION_COUNT])
{
	uint64_t at = (sizeof(*h) + RULESET_ALIGN - 1) / RULESET_ALIGN * RULESET_ALIGN;
	for (int s = 0; s < SECTION_COUNT; s++) {
		h->section[s].offset = at;
		h->section[s].bytes = bytes[s];
		at += (bytes[s] + RULESET_ALIGN - 1) / RULESET_ALIGN * RULESET_ALIGN;
	}
	return at;
}

static uint64_t lay_sections(struct layout *l)
{
	const struct ruleset_builder *b = l->b;
	struct ruleset_head *h = &l->head;
	h->filter_bits4 = filter_bits(l->nets4);
	h->filter_bits6 = filter_bits(l->nets6);
	const uint64_t bytes[SECTION_COUNT] = {
	    [SECTION_COUNTS] = sizeof(struct ruleset_counts),
	    [SECTION_SETS] = b->sets.n,
	    [SECTION_METAS] = b->metas.n,
	    [SECTION_STRINGS] = b->strings.text.n + 1,
	    [SECTION_RECORDS] = l->record_bytes,
	    [SECTION_FILES] = b->files.text.n + 1,
	    [SECTION_PLACES] = l->place_n * sizeof(struct ruleset_place),
	    [SECTION_OFFSETS] = (uint64_t)entry_total(b) * 4,
	    [SECTION_GROUPS] = (uint64_t)l->group_words * 4,
	    [SECTION_PATTERNS] = (uint64_t)l->pattern_n * 4,
	    [SECTION_BLOOM] = units((uint64_t)l->heads * BLOOM_BITS, 8 * BLOOM_BLOCK_BYTES) * BLOOM_BLOCK_BYTES,
	    [SECTION_TABLE] = units((uint64_t)l->heads * 100, TABLE_SLOTS * TABLE_FILL) * sizeof(struct ruleset_line),
	    [SECTION_NET4] = h->filter_bits4 ? UINT64_C(1) << (h->filter_bits4 - 3) : 0,
	    [SECTION_NET6] = h->filter_bits6 ? UINT64_C(1) << (h->filter_bits6 - 3) : 0,
	};
	return ruleset_lay(h, bytes);
}

static void *section(const struct layout *l, enum ruleset_section s)
{
	return l->map + l->head.section[s].offset;
}

/* ---- filling ---- */

static void copy_section(const struct layout *l, enum ruleset_section s, const struct buf *from)
{
	if (from->n)
		memcpy(section(l, s), from->p, from->n);
}

static void fill_content(const struct layout *l)
{
	const struct ruleset_builder *b = l->b;
	struct ruleset_counts *counts = section(l, SECTION_COUNTS);
	copy_section(l, SECTION_SETS, &b->sets);
	copy_section(l, SECTION_METAS, &b->metas);
	copy_section(l, SECTION_STRINGS, &b->strings.text);
	copy_section(l, SECTION_FILES, &b->files.text);
	for (int s = 0; s < 4; s++)
		counts->section_bytes[s] = l->head.section[SECTION_SETS + s].bytes;
	counts->count = l->head.count;
	counts->allow = l->head.allow;
	put_places(b, section(l, SECTION_PLACES));
}

static void fill_records(const struct layout *l)
{
	const struct ruleset_builder *b = l->b;
	uint8_t *start = section(l, SECTION_RECORDS), *p = start;
	uint32_t *offsets = section(l, SECTION_OFFSETS), *patterns = section(l, SECTION_PATTERNS);
	for (uint32_t i = 0; i < entry_total(b); i++) {
		const struct entry *e = entry_number(b, i);
		offsets[i] = (uint32_t)(p - start);
		p += ruleset_varint(p, e->meta);
		memcpy(p, b->records.p + e->body.at, e->body.n);
		p += e->body.n;
		uint8_t type = b->records.p[e->body.at];
		if (i < l->head.count && type_is_pattern(type))
			*patterns++ = i;
	}
}

/* Lists all refs of a key; gives what stands in the table for it. */
static uint32_t put_group(const struct layout *l, uint32_t head, uint32_t *used)
{
	const struct entry *list = l->b->entries[0].list;
	uint32_t *groups = section(l, SECTION_GROUPS), at = *used, n = 0;
	for (uint32_t i = head; i != RULESET_NONE; i = list[i].next)
		groups[at + ++n] = i;
	groups[at] = n;
	*used += n + 1;
	return RULESET_GROUP | at;
}

static bool fill_table(struct layout *l)
{
	struct ruleset_line *table = section(l, SECTION_TABLE);
	uint32_t lines = (uint32_t)(l->head.section[SECTION_TABLE].bytes / sizeof(*table));
	uint32_t blocks = (uint32_t)(l->head.section[SECTION_BLOOM].bytes / BLOOM_BLOCK_BYTES);
	uint32_t *bloom = section(l, SECTION_BLOOM), groups = 0;
	memset(table, 0xff, lines * sizeof(*table));
	for (uint32_t i = 0; i < entry_total(l->b); i++) {
		const struct entry *e = entry_number(l->b, i);
		if (i + AHEAD < entry_total(l->b)) {
			uint64_t h = entry_number(l->b, i + AHEAD)->h;
			__builtin_prefetch(&table[scale(h, lines)], 1);
			__builtin_prefetch(bloom + (size_t)scale(h, blocks) * BLOOM_WORDS, 1);
		}
		if (!e->head)
			continue;
		uint32_t ref = e->next == RULESET_NONE ? i : put_group(l, i, &groups);
		bloom_add(bloom, blocks, e->h);
		if (!table_add(table, lines, e->h, ref, RULESET_NONE, &l->head.taken))
			return false;
	}
	return true;
}

static void fill_filters(const struct layout *l)
{
	const struct ruleset_builder *b = l->b;
	uint8_t room[RULESET_KEY_ROOM];
	for (uint32_t i = 0; i < l->head.count && l->head.by_type[INDICATOR_CIDR]; i++) {
		struct ruleset_record rec;
		if (b->records.p[entry_number(b, i)->body.at] != INDICATOR_CIDR)
			continue;
		record_of(b, entry_number(b, i), &rec);
		struct bytes key = ruleset_record_key(&rec, room);
		struct addr a = addr_v6(key.p);
		bool v4 = addr_is_v4(&a);
		unsigned length = key.p[16];
		if (length < (v4 ? 32u : 128u))
			filter_add(section(l, v4 ? SECTION_NET4 : SECTION_NET6),
				   v4 ? l->head.filter_bits4 : l->head.filter_bits6, &a, v4, length);
	}
}

static void digest_content(struct layout *l)
{
	struct ruleset_head *h = &l->head;
	uint64_t from = h->section[SECTION_COUNTS].offset;
	uint64_t end = h->section[SECTION_RECORDS].offset + h->section[SECTION_RECORDS].bytes;
	hash_sha256(h->digest, l->map + from, end - from);
}

void ruleset_seal(struct ruleset *r, uint8_t *map)
{
	memcpy(map, &r->head, sizeof(r->head));
	r->head.checksum = ruleset_checksum(map, r->bytes);
	memcpy(map, &r->head, sizeof(r->head));
	mprotect(map, r->bytes, PROT_READ);
}

uint8_t *ruleset_map(uint64_t bytes, struct err *e)
{
	uint8_t *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED) {
		err_errno(e, "no memory for a rule set of %llu bytes", (unsigned long long)bytes);
		return NULL;
	}
	madvise(map, bytes, MADV_HUGEPAGE); /* fewer TLB misses; advice only */
	return map;
}

struct ruleset *ruleset_build_as(struct ruleset_builder *b, const uint8_t *digest, struct err *e)
{
	struct layout l = {
	    .b = b,
	    .head = {.magic = RULESET_MAGIC, .version = RULESET_VERSION, .endian = RULESET_ENDIAN, .key = b->key}};
	count_all(&l);
	l.head.bytes = lay_sections(&l);
	if (l.record_bytes > UINT32_MAX) {
		err_set(e, "the rule set is too large: %llu bytes of values", (unsigned long long)l.record_bytes);
		return NULL;
	}
	if (!(l.map = ruleset_map(l.head.bytes, e)))
		return NULL;
	fill_content(&l);
	fill_records(&l);
	fill_filters(&l);
	if (!fill_table(&l)) {
		munmap(l.map, l.head.bytes);
		err_set(e, "the hash table of the rule set overflowed: build it again");
		return NULL;
	}
	digest_content(&l);
	if (digest)
		memcpy(l.head.digest, digest, sizeof(l.head.digest));
	memcpy(l.map, &l.head, sizeof(l.head));
	struct ruleset *r = ruleset_adopt(l.map, l.head.bytes, "the built rule set", e);
	if (r)
		ruleset_seal(r, l.map);
	return r;
}

struct ruleset *ruleset_build(struct ruleset_builder *b, struct err *e)
{
	return ruleset_build_as(b, NULL, e);
}
