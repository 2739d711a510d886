#include "collector/release.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/handling.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/text.h"

#define CLASSES_MAX 8192 /* handlings that are remembered */
#define WORDS_MAX   8    /* partners in one of them */
#define REFS_MAX    4096 /* ids that are remembered */

enum word { WORD_ASK = 0, WORD_NEVER, WORD_ALWAYS };

struct said {
	const struct policy *policy;
	enum word word;
	char *suffix; /* for WORD_ALWAYS: what goes before the last brace */
	size_t suffix_n;
};

struct class_ {
	int64_t number; /* 0 = free */
	bool known;
	struct handling handling;
	struct said said[WORDS_MAX];
	size_t said_n;
};

struct told {
	const struct policy *policy; /* NULL = free */
	char id[SHARED_ID_MAX + 1];
	bool may;
};

struct release {
	struct hash_key key;
	struct told told[REFS_MAX];
	struct class_ *table; /* open addressing; never fuller than half */
	size_t n;
	int64_t since_us;
	struct release_stats stats;
	struct log_once say;
};

struct release *release_new(void)
{
	struct release *r = xcalloc(1, sizeof(*r));
	r->table = xcalloc(2 * CLASSES_MAX, sizeof(*r->table));
	hash_key_random(&r->key);
	return r;
}

static void said_clear(struct class_ *c)
{
	for (size_t i = 0; i < c->said_n; i++)
		free(c->said[i].suffix);
	c->said_n = 0;
}

void release_forget(struct release *r)
{
	for (size_t i = 0; i < 2 * CLASSES_MAX && r->n; i++)
		if (r->table[i].number) {
			said_clear(&r->table[i]);
			handling_free(&r->table[i].handling);
			r->table[i] = (struct class_){0};
			r->n--;
		}
	memset(r->told, 0, sizeof(r->told));
	r->since_us = clock_mono_us();
}

void release_free(struct release *r)
{
	if (!r)
		return;
	release_forget(r);
	free(r->table);
	free(r);
}

const struct release_stats *release_stats(const struct release *r)
{
	return &r->stats;
}

/* Numbers are given in order, so they spread by themselves. */
static struct class_ *slot_of(const struct release *r, int64_t number)
{
	size_t i = (size_t)number % (2 * CLASSES_MAX);
	while (r->table[i].number && r->table[i].number != number)
		i = (i + 1) % (2 * CLASSES_MAX);
	return &r->table[i];
}

bool release_knows(const struct release *r, int64_t handling)
{
	return slot_of(r, handling)->number;
}

void release_learn(struct release *r, int64_t handling, struct bytes text)
{
	struct err e;
	unsigned long skipped;
	if (handling <= 0)
		return;
	if (r->n >= CLASSES_MAX)
		release_forget(r);
	struct class_ *c = slot_of(r, handling);
	if (c->number)
		return;
	*c = (struct class_){.number = handling};
	r->n++;
	c->known = text.p && handling_read(&c->handling, text.p, text.n, &e);
	if (text.p && !c->known && log_again(&r->say, &skipped))
		log_warnx("how to handle some shared objects is unreadable in Redis (%s): they are not given out",
			  e.text);
}

/* What was said of this handling to this partner; a new entry when nothing was. */
static struct said *said_of(struct class_ *c, const struct policy *policy)
{
	for (size_t i = 0; i < c->said_n; i++)
		if (c->said[i].policy == policy)
			return &c->said[i];
	if (c->said_n == WORDS_MAX)
		said_clear(c);
	c->said[c->said_n] = (struct said){.policy = policy};
	return &c->said[c->said_n++];
}

static void age(struct release *r)
{
	int64_t now = clock_mono_us();
	if (now - r->since_us < RELEASE_MEMORY_MS * 1000)
		return;
	for (size_t i = 0; i < 2 * CLASSES_MAX && r->n; i++)
		said_clear(&r->table[i]);
	memset(r->told, 0, sizeof(r->told));
	r->since_us = now;
}

/* ---- references ---- */

static struct told *told_slot(struct release *r, const char *id)
{
	return &r->told[hash64(&r->key, id, strlen(id)) % REFS_MAX];
}

enum release_ref release_ref(struct release *r, const struct policy *policy, const char *id)
{
	const struct told *t = told_slot(r, id);
	if (t->policy != policy || strcmp(t->id, id) != 0)
		return RELEASE_REF_UNKNOWN;
	return t->may ? RELEASE_REF_YES : RELEASE_REF_NO;
}

void release_ref_learn(struct release *r, const struct policy *policy, const char *id, bool may)
{
	struct told *t = told_slot(r, id);
	t->policy = policy;
	t->may = may;
	snprintf(t->id, sizeof(t->id), "%s", id);
}

struct telling {
	struct release *release;
	const struct policy *policy;
};

static bool may_tell(void *arg, const char *id)
{
	const struct telling *t = arg;
	return release_ref(t->release, t->policy, id) == RELEASE_REF_YES;
}

/* ---- what was said ---- */

static enum word word_of(struct release *r, const struct policy *policy, int64_t handling)
{
	age(r);
	struct class_ *c = slot_of(r, handling);
	if (!c->number || !c->known)
		return WORD_NEVER;
	return c->handling.each ? WORD_ASK : said_of(c, policy)->word;
}

bool release_hides(struct release *r, const struct policy *policy, int64_t handling)
{
	bool hides = policy && word_of(r, policy, handling) == WORD_NEVER;
	r->stats.denied += hides;
	return hides;
}

bool release_sure(struct release *r, const struct policy *policy, int64_t handling)
{
	return !policy || word_of(r, policy, handling) == WORD_ALWAYS;
}

bool release_from(const struct release *r, int64_t handling, const char *partner)
{
	const struct class_ *c = slot_of(r, handling);
	const char *from = c->number && c->known ? json_text(json_at(c->handling.envelope, "from"), NULL) : NULL;
	return from && strcmp(from, partner) == 0;
}

static void splice(struct buf *out, struct bytes text, const char *suffix, size_t n)
{
	buf_add(out, text.p, text.n - 1);
	buf_add(out, suffix, n);
	buf_add(out, "}", 1);
}

static bool same_tree(const struct json *a, const struct buf *text)
{
	struct buf x = {0}, y = {0};
	struct json *b = json_read(text->p, text->n, text->n, NULL);
	json_write_sorted(a, &x);
	if (b)
		json_write_sorted(b, &y);
	bool same = x.n == y.n && memcmp(x.p, y.p, x.n) == 0;
	json_drop(b);
	buf_free(&x);
	buf_free(&y);
	return same;
}

/* Whether all of this handling can go by copying. A name in the envelope's path
 * may depend on the object's id (gate_alias()): then not. */
static void remember(struct said *s, const struct json *stix, struct bytes text, const struct json *out)
{
	struct buf suffix = {0}, whole = {0};
	const struct json *extensions = json_at(out, "extensions");
	if (extensions && !json_at(stix, "extensions")) {
		buf_printf(&suffix, ",\"extensions\":");
		json_write(extensions, &suffix);
	}
	if (text.n > 2 && text.p[text.n - 1] == '}' && !(suffix.n && memchr(suffix.p, '~', suffix.n))) {
		splice(&whole, text, (const char *)suffix.p, suffix.n);
		if (same_tree(out, &whole)) {
			s->word = WORD_ALWAYS;
			s->suffix = xstrndup(suffix.n ? (const char *)suffix.p : "", suffix.n);
			s->suffix_n = suffix.n;
		}
	}
	buf_free(&suffix);
	buf_free(&whole);
}

static enum gate_verdict judge(struct class_ *c, const struct policy *policy, const char *collection,
			       const struct object_row *row, struct bytes text, const struct gate_refs *refs,
			       struct buf *out)
{
	struct shared_box *box = xcalloc(1, sizeof(*box));
	struct json *stix = json_read(text.p, text.n, text.n, NULL), *tree = NULL;
	struct gate_reason why;
	enum gate_verdict v = GATE_DENIED;
	if (stix && shared_box_stored(box, stix, c->handling.envelope, NULL)) {
		marking_learn(policy->all->book, stix, box->is.from);
		box->is.collection = collection;
		box->is.date_added_us = row->row;
		v = gate_release_refs(policy, &box->is, clock_wall_us(), refs, &tree, &why);
		struct said *s = c->handling.each || !refs ? NULL : said_of(c, policy);
		if (s && v == GATE_DENIED)
			s->word = WORD_NEVER;
		else if (s && v == GATE_RELEASED && strncmp(row->id, "marking-definition--", 20) != 0)
			remember(s, stix, text, tree);
		if (tree)
			json_write(tree, out);
	}
	json_drop(tree);
	shared_box_free(box); /* stix too */
	free(box);
	return v;
}

bool release_may_go(struct release *r, const struct policy *policy, const char *collection,
		    const struct object_row *row, struct bytes text)
{
	struct class_ *c = slot_of(r, row->handling);
	struct buf none = {0};
	bool may = c->number && c->known && text.p &&
		   judge(c, policy, collection, row, text, NULL, &none) != GATE_DENIED;
	buf_free(&none);
	return may;
}

enum gate_verdict release_one(struct release *r, const struct policy *policy, const char *collection,
			      const struct object_row *row, struct bytes text, struct buf *out)
{
	if (!policy) {
		buf_add(out, text.p, text.n);
		r->stats.copied++;
		return GATE_RELEASED;
	}
	enum word w = word_of(r, policy, row->handling);
	if (w == WORD_ALWAYS && text.n > 2) {
		struct said *s = said_of(slot_of(r, row->handling), policy);
		splice(out, text, s->suffix, s->suffix_n);
		r->stats.copied++;
		return GATE_RELEASED;
	}
	if (w == WORD_NEVER)
		return GATE_DENIED;
	struct telling telling = {r, policy};
	struct gate_refs refs = {may_tell, &telling};
	enum gate_verdict v = judge(slot_of(r, row->handling), policy, collection, row, text, &refs, out);
	r->stats.judged++;
	r->stats.denied += v == GATE_DENIED;
	return v;
}
