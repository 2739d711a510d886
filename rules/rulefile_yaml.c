/* YAML rule files, event by event: 200 k plain entries cost no tree.
 *
 * Order does not matter in YAML, and programs write keys sorted, so `set:` and
 * `defaults:` may stand behind the lists that need them. When the first list
 * comes and one of the two has not been seen, the rest of the text is searched
 * for the word, and only if it is there a second pass reads these two alone.
 *
 * A text that stops being YAML does not take the rest with it: reading goes on
 * at the next item of the list it was in, or at the next top-level key. Every
 * new start lies behind the last one, and RESTARTS_MAX bounds them. */
#define _GNU_SOURCE /* memmem */
#include "rules/rulefile_yaml.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/yaml.h"
#include "rules/canon.h"
#include "rules/rulefile_csv.h"
#include "rules/rulefile_file.h"

#define RESTARTS_MAX 1000
#define PATH_LEN     4096
#define NAME_LEN     128 /* set id, producer, exercise, group */

struct reader;
typedef void item_fn(struct reader *r, struct yaml_event item);

/* What is at hand while a text is read. */
struct reader {
	struct rule_source *s;
	struct yaml *y;
	const char *text;
	size_t n;
	unsigned base;      /* lines before the slice that y reads */
	unsigned last_line; /* of the last event, in the whole text */
	bool head_done;     /* the set is in the builder, defaults are complete */
	unsigned set_line, defaults_line, list_line[INDICATOR_TYPE_COUNT];
	/* the list under way, for going on after an error */
	item_fn *item;
	enum indicator_type type; /* of a plain list */
	unsigned indent;          /* column of its dashes; 0: not a block list */
	struct diag_place failed; /* the last finding about YAML itself; file NULL: there was none */
};

static struct yaml_event next(struct reader *r)
{
	struct yaml_event e = yaml_next(r->y);
	e.line += r->base;
	if (e.kind != YAML_END)
		r->last_line = e.line;
	return e;
}

static struct diag_place place(const struct reader *r, struct yaml_event e)
{
	return (struct diag_place){.file = r->s->file, .line = e.line, .column = e.column};
}

static bool closes(struct yaml_event e)
{
	return e.kind == YAML_END || e.kind == YAML_MAP_END || e.kind == YAML_SEQ_END;
}

static bool nothing(struct yaml_event e)
{
	return e.kind == YAML_SCALAR && !e.quoted &&
	       (e.n == 0 || strcmp(e.text, "~") == 0 || strcmp(e.text, "null") == 0);
}

static const char *kind_name(struct yaml_event e)
{
	return e.kind == YAML_MAP ? "a map" : e.kind == YAML_SEQ ? "a list" : "a plain value";
}

static void wrong_kind(struct reader *r, struct entry *e, struct yaml_event found, const char *what,
		       const char *expected)
{
	if (found.kind == YAML_END) /* what stopped the reader is told by report_failure() */
		return;
	entry_error(r->s, e, place(r, found), "bad-shape", "%s: expected %s, found %s", what, expected,
		    kind_name(found));
	yaml_skip(r->y, found.kind);
}

/* The next key of a map as a copy (the value's event reuses the text); false at
 * the map's end. Keys that are not short plain text are reported and skipped. */
static bool next_key(struct reader *r, struct entry *e, char name[static NAME_LEN], struct diag_place *at)
{
	for (;;) {
		struct yaml_event key = next(r);
		if (closes(key))
			return false;
		*at = place(r, key);
		if (key.kind == YAML_SCALAR && key.n < NAME_LEN && strlen(key.text) == key.n) {
			memcpy(name, key.text, key.n + 1);
			return true;
		}
		entry_error(r->s, e, *at, "bad-key", "expected the name of a key");
		yaml_skip(r->y, key.kind);
		yaml_skip(r->y, next(r).kind);
	}
}

/* ---- set: ---- */

struct head {
	struct indicator_set set;
	char *own[6];
	size_t owned;
};

static char *keep(struct head *h, const char *text, size_t n)
{
	return h->own[h->owned++] = xstrndup(text, n);
}

static const char *const head_names[] = {"id",       "title",       "producer", "version", "tlp", "releasable_to",
					 "exercise", "valid_until", NULL};

/* Ids stand in keys of Redis and in file names. */
static bool good_id(const char *text, size_t n)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	return n && n < NAME_LEN && strspn(text, allowed) == n;
}

static void head_version(struct reader *r, struct head *h, struct yaml_event e)
{
	char *end;
	unsigned long long v = strtoull(e.text, &end, 10);
	if (e.n == 0 || e.n > 10 || *end || e.text[0] < '0' || e.text[0] > '9' || v > UINT32_MAX)
		entry_error(r->s, NULL, place(r, e), "bad-version", "version: expected 0 to 4294967295, found \"%s\"",
			    e.text);
	else
		h->set.version = (uint32_t)v;
}

/* releasable_to: [a, b] or "a, b" → "a,b" */
static void head_groups(struct reader *r, struct head *h, struct yaml_event e)
{
	struct buf all = {0};
	if (e.kind == YAML_SCALAR)
		buf_add(&all, e.text, e.n);
	while (e.kind != YAML_SCALAR) {
		struct yaml_event item = next(r);
		if (closes(item))
			break;
		if (item.kind != YAML_SCALAR || item.n >= NAME_LEN || all.n > ENTRY_NOTE_MAX)
			wrong_kind(r, NULL, item, "releasable_to", "a list of group names");
		else
			buf_printf(&all, "%s%s", all.n ? "," : "", item.text);
	}
	if (all.n && !h->set.releasable_to)
		h->set.releasable_to = keep(h, (const char *)all.p, all.n);
	buf_free(&all);
}

/* tlp and valid_until are entry fields too: the same texts, the same findings. */
static void head_shared(struct reader *r, struct head *h, const char *name, struct yaml_event e)
{
	struct entry shared = {0};
	entry_field(r->s, &shared, name, e.text, e.n, place(r, e));
	if (!shared.bad && strcmp(name, "tlp") == 0)
		h->set.tlp = shared.i.tlp;
	if (!shared.bad && strcmp(name, "valid_until") == 0)
		h->set.valid_until_us = shared.i.valid_until_us;
	entry_end(&shared);
}

static void head_scalar(struct reader *r, struct head *h, const char *name, struct yaml_event e)
{
	const char **text = strcmp(name, "id") == 0         ? &h->set.id
			    : strcmp(name, "title") == 0    ? &h->set.title
			    : strcmp(name, "producer") == 0 ? &h->set.producer
							    : &h->set.exercise;
	bool id = text == &h->set.id || text == &h->set.producer;
	if (strlen(e.text) != e.n || e.n > ENTRY_NOTE_MAX || (text != &h->set.title && e.n >= NAME_LEN))
		entry_error(r->s, NULL, place(r, e), "too-long", "%s: expected a short text", name);
	else if (id && !good_id(e.text, e.n))
		entry_error(r->s, NULL, place(r, e), "bad-id",
			    "%s: expected letters, digits, '.', '_' and '-', found \"%s\"", name, e.text);
	else if (!*text && e.n)
		*text = keep(h, e.text, e.n);
}

static void head_field(struct reader *r, struct head *h, const char *name, struct diag_place at)
{
	char hint[ENTRY_HINT_LEN];
	bool known = false;
	for (size_t i = 0; head_names[i]; i++)
		known = known || strcmp(head_names[i], name) == 0;
	struct yaml_event e = next(r);
	bool groups = strcmp(name, "releasable_to") == 0;
	if (!known) {
		entry_error(r->s, NULL, at, "unknown-key", "set has no key \"%s\"%s", name,
			    entry_hint(name, head_names, hint));
		yaml_skip(r->y, e.kind);
	} else if (nothing(e)) {
		return;
	} else if (groups && (e.kind == YAML_SEQ || e.kind == YAML_SCALAR)) {
		head_groups(r, h, e);
	} else if (e.kind != YAML_SCALAR) {
		wrong_kind(r, NULL, e, name, "a plain value");
	} else if (strcmp(name, "version") == 0) {
		head_version(r, h, e);
	} else if (strcmp(name, "tlp") == 0 || strcmp(name, "valid_until") == 0) {
		head_shared(r, h, name, e);
	} else {
		head_scalar(r, h, name, e);
	}
}

static void read_head(struct reader *r, struct head *h)
{
	char name[NAME_LEN];
	struct diag_place at;
	struct yaml_event e = next(r);
	if (e.kind != YAML_MAP) {
		wrong_kind(r, NULL, e, "set", "a map such as {id: my-set, version: 1}");
		return;
	}
	while (next_key(r, NULL, name, &at))
		head_field(r, h, name, at);
}

/* ---- the fields of an entry ---- */

/* note: {en: "…", ja: "…"}: English, else the first. */
static void note_by_language(struct reader *r, struct entry *e)
{
	char language[NAME_LEN];
	struct diag_place at;
	while (next_key(r, e, language, &at)) {
		struct yaml_event text = next(r);
		if (text.kind != YAML_SCALAR)
			wrong_kind(r, e, text, "note", "a text per language");
		else if (!e->own[ENTRY_NOTE] || strcmp(language, "en") == 0)
			entry_field(r->s, e, "note", text.text, text.n, place(r, text));
	}
}

static void list_field(struct reader *r, struct entry *e, const char *name)
{
	for (;;) {
		struct yaml_event item = next(r);
		if (closes(item))
			return;
		if (item.kind != YAML_SCALAR)
			wrong_kind(r, e, item, name, "a list of plain values");
		else if (memchr(item.text, ',', item.n))
			entry_error(r->s, e, place(r, item), "bad-value", "%s: an item holds a comma", name);
		else
			entry_field(r->s, e, name, item.text, item.n, place(r, item));
	}
}

static void read_field(struct reader *r, struct entry *e, const char *name, struct diag_place at)
{
	bool first = entry_field_first(r->s, e, name, at);
	struct yaml_event v = next(r);
	if (!first)
		yaml_skip(r->y, v.kind);
	else if (v.kind == YAML_SCALAR && nothing(v) && entry_field_is_list(name))
		return;
	else if (v.kind == YAML_SCALAR)
		entry_field(r->s, e, name, v.text, v.n, place(r, v));
	else if (v.kind == YAML_SEQ && entry_field_is_list(name))
		list_field(r, e, name);
	else if (v.kind == YAML_MAP && strcmp(name, "note") == 0)
		note_by_language(r, e);
	else
		wrong_kind(r, e, v, name, entry_field_is_list(name) ? "a value or a list" : "a plain value");
}

/* ---- one entry ---- */

/* An entry of `indicators:` or `allow:` being read, and keys of its own. */
struct full_entry {
	struct entry e;
	char *value;       /* the event's text does not live long enough */
	bool stands_alone; /* allow: no fields but reason and expires */
	char *type_name;
	struct diag_place type_at;
	char *reason;
	int64_t expires_us;
	char *path; /* file: */
	struct rule_tests tests;
	char *id, *source; /* suppress:, disable: */
};

static void unknown_field(struct reader *r, struct entry *e, const char *name, struct diag_place at,
			  const char *const *more)
{
	const char *known[64 + INDICATOR_TYPE_COUNT];
	size_t n = 0;
	char hint[ENTRY_HINT_LEN];
	for (size_t i = 0; more[i]; i++)
		known[n++] = more[i];
	for (size_t i = 0; indicator_type_names[i]; i++)
		known[n++] = indicator_type_names[i];
	known[n] = NULL;
	entry_error(r->s, e, at, "unknown-key", "unknown key \"%s\"%s", name, entry_hint(name, known, hint));
	yaml_skip(r->y, next(r).kind);
}

static void take_value(struct reader *r, struct full_entry *f, enum indicator_type t, const char *name)
{
	struct yaml_event v = next(r);
	if (v.kind != YAML_SCALAR) {
		wrong_kind(r, &f->e, v, name, "a plain value");
		return;
	}
	if (f->value) {
		entry_error(r->s, &f->e, place(r, v), "two-values",
			    "a second value in one entry; give it an entry of its own");
		return;
	}
	f->value = xstrndup(v.text, v.n);
	entry_value(r->s, &f->e, t, f->value, v.n, place(r, v));
}

/* A plain text kept for later; false (and a finding) for anything else. */
static bool take_text(struct reader *r, struct full_entry *f, const char *name, char **to, struct diag_place *at)
{
	struct yaml_event v = next(r);
	if (v.kind != YAML_SCALAR || strlen(v.text) != v.n || v.n > ENTRY_NOTE_MAX || *to) {
		entry_error(r->s, &f->e, place(r, v), "bad-shape", "%s: expected one plain value", name);
		yaml_skip(r->y, v.kind);
		return false;
	}
	*to = xstrndup(v.text, v.n);
	*at = place(r, v);
	return true;
}

static void end_full(struct full_entry *f)
{
	entry_end(&f->e);
	free(f->value);
	free(f->type_name);
	free(f->reason);
	free(f->path);
	rule_tests_free(&f->tests);
	free(f->id);
	free(f->source);
}

/* `type: domain, value: x` says what `domain: x` says. */
static void settle_type(struct reader *r, struct full_entry *f, struct diag_place at)
{
	char hint[ENTRY_HINT_LEN];
	if (f->type_name && f->e.i.type) {
		entry_error(r->s, &f->e, f->type_at, "two-values", "type: the entry says %s already",
			    indicator_type_name(f->e.i.type));
	} else if (f->type_name) {
		f->e.i.type = indicator_type_parse(f->type_name, strlen(f->type_name));
		if (!f->e.i.type)
			entry_error(r->s, &f->e, f->type_at, "unknown-type", "there is no indicator type \"%s\"%s",
				    f->type_name, entry_hint(f->type_name, indicator_type_names, hint));
	}
	if (!f->e.bad && (!f->value || !f->e.i.type))
		entry_error(r->s, &f->e, at, "no-value", "the entry names no indicator, such as domain: bad.example");
}

/* After the end of an entry's map: true when the text was whole. When it broke
 * off, the finding about YAML tells it and the entry is not believed. */
static bool whole(struct reader *r)
{
	const char *why;
	unsigned line, column;
	return !yaml_failed(r->y, &why, &line, &column);
}

/* ---- test: ---- */

/* The captures of `hit:` or `miss:`, a list or a lone one. */
static void read_captures(struct reader *r, struct full_entry *f, const char *name, bool hit)
{
	struct yaml_event e = next(r);
	bool list = e.kind == YAML_SEQ;
	if (list)
		e = next(r);
	for (; !closes(e); e = next(r)) {
		if (e.kind != YAML_SCALAR || !e.n || e.n >= PATH_LEN || strlen(e.text) != e.n) {
			wrong_kind(r, &f->e, e, name, "paths of captures");
			yaml_skip(r->y, e.kind);
		} else if (!rule_tests_add(&f->tests, INDICATOR_NONE, NULL, e.text, hit, "", e.line)) {
			entry_error(r->s, &f->e, place(r, e), "too-many", "more than %d tests", RULE_TESTS_MAX);
		}
		if (!list)
			return;
	}
}

static void read_tests(struct reader *r, struct full_entry *f)
{
	static const char *const own[] = {"hit", "miss", NULL};
	struct diag_place at;
	char name[NAME_LEN], hint[ENTRY_HINT_LEN];
	struct yaml_event e = next(r);
	if (e.kind != YAML_MAP) {
		wrong_kind(r, &f->e, e, "test", "a map such as {hit: [a.pcap], miss: [b.pcap]}");
		yaml_skip(r->y, e.kind);
		return;
	}
	while (next_key(r, &f->e, name, &at)) {
		bool hit = strcmp(name, "hit") == 0;
		if (hit || strcmp(name, "miss") == 0) {
			read_captures(r, f, name, hit);
			continue;
		}
		entry_error(r->s, &f->e, at, "unknown-key", "test has no key \"%s\"%s", name,
			    entry_hint(name, own, hint));
		yaml_skip(r->y, next(r).kind);
	}
}

/* To those of the file, with what they are about. */
static void keep_tests(struct reader *r, const struct full_entry *f)
{
	for (size_t i = 0; r->s->tests && !f->e.bad && i < f->tests.n; i++) {
		const struct rule_test *t = &f->tests.v[i];
		rule_tests_add(r->s->tests, f->e.i.type, f->value, t->capture, t->hit, r->s->file, t->line);
	}
}

/* `test:` at the top of the file. */
static void read_set_tests(struct reader *r)
{
	struct full_entry f = {0};
	read_tests(r, &f);
	for (size_t i = 0; i < f.tests.n; i++)
		if (f.tests.v[i].hit)
			entry_error(r->s, &f.e, (struct diag_place){.file = r->s->file, .line = f.tests.v[i].line},
				    "bad-shape",
				    "test: hit: belongs to an indicator; of a whole set only miss: can be said");
	keep_tests(r, &f);
	end_full(&f);
}

/* The keys that say what an entry is about, in either form: {domain: x}, {type: domain, value: x}. */
static bool take_what(struct reader *r, struct full_entry *f, const char *name)
{
	enum indicator_type t = indicator_type_parse(name, strlen(name));
	if (t)
		take_value(r, f, t, name);
	else if (strcmp(name, "value") == 0)
		take_value(r, f, f->e.i.type, name);
	else if (strcmp(name, "type") == 0)
		take_text(r, f, name, &f->type_name, &f->type_at);
	else
		return false;
	return true;
}

static void indicator_item(struct reader *r, struct yaml_event item)
{
	struct full_entry f = {0};
	struct diag_place at, start = place(r, item);
	char name[NAME_LEN];
	if (item.kind != YAML_MAP) {
		r->s->count->read++;
		r->s->count->refused++;
		wrong_kind(r, NULL, item, "indicators", "an entry such as {domain: bad.example}");
		return;
	}
	entry_begin(&f.e, &r->s->defaults);
	while (next_key(r, &f.e, name, &at)) {
		if (take_what(r, &f, name))
			continue;
		if (entry_field_known(name))
			read_field(r, &f.e, name, at);
		else if (strcmp(name, "test") == 0)
			read_tests(r, &f);
		else
			unknown_field(r, &f.e, name, at, entry_fields());
	}
	if (whole(r))
		settle_type(r, &f, start);
	else
		f.e.bad = true;
	keep_tests(r, &f);
	entry_submit(r->s, &f.e);
	end_full(&f);
}

/* ---- allow: ---- */

static void add_allowed(struct reader *r, struct full_entry *f)
{
	struct err why = {""};
	if (f->e.bad)
		return;
	if (!ruleset_allow(r->s->b, f->e.i.type, f->e.i.value, f->reason, f->expires_us, &why))
		entry_error(r->s, &f->e, f->e.value_at, "bad-value", "%s", why.text);
}

static void take_expires(struct reader *r, struct full_entry *f)
{
	struct entry shared = {0};
	struct yaml_event v = next(r);
	if (v.kind != YAML_SCALAR) {
		wrong_kind(r, &f->e, v, "expires", "a time");
		return;
	}
	entry_field(r->s, &shared, "valid_until", v.text, v.n, place(r, v));
	f->e.bad = f->e.bad || shared.bad;
	f->expires_us = shared.i.valid_until_us;
	entry_end(&shared);
}

/* A decision that nobody can review later: nobody knows why it was made, or asks again. */
static void judge_decision(struct reader *r, const struct full_entry *f, const char *verb, struct diag_place at)
{
	const char *value = f->id ? f->id : f->value;
	char end[CLOCK_TEXT_LEN];
	if (!r->s->judge_us || f->e.bad || !value)
		return;
	const char *type = f->id ? "id" : indicator_type_name(f->e.i.type);
	if (!f->reason)
		diag_add(r->s->d, DIAG_WARNING, at, "no-reason",
			 "%s %s \"%.200s\" gives no reason: who reads it in a year cannot tell whether it holds; add "
			 "reason:",
			 verb, type, value);
	if (!f->expires_us)
		diag_add(r->s->d, DIAG_NOTE, at, "no-expiry",
			 "%s %s \"%.200s\" never expires: nobody will ask whether it still holds; add expires:", verb,
			 type, value);
	if (!f->expires_us || f->expires_us > r->s->judge_us)
		return;
	clock_format(f->expires_us, end);
	diag_add(r->s->d, DIAG_WARNING, at, "expired",
		 "%s %s \"%.200s\" expired at %s and hides nothing any more: remove it, or renew it", verb, type, value,
		 end);
}

static void allow_item(struct reader *r, struct yaml_event item)
{
	static const char *const own[] = {"reason", "expires", "by", "type", "value", NULL};
	struct full_entry f = {0};
	struct diag_place at, start = place(r, item);
	char name[NAME_LEN], *by = NULL;
	if (item.kind != YAML_MAP) {
		wrong_kind(r, NULL, item, "allow", "an entry such as {domain: update.example, reason: \"vendor\"}");
		return;
	}
	while (next_key(r, &f.e, name, &at)) {
		if (take_what(r, &f, name))
			continue;
		if (strcmp(name, "reason") == 0)
			take_text(r, &f, name, &f.reason, &at);
		else if (strcmp(name, "by") == 0)
			take_text(r, &f, name, &by, &at);
		else if (strcmp(name, "expires") == 0)
			take_expires(r, &f);
		else
			unknown_field(r, &f.e, name, at, own);
	}
	if (whole(r)) {
		settle_type(r, &f, start);
		judge_decision(r, &f, "allow", start);
		add_allowed(r, &f);
	}
	free(by);
	end_full(&f);
}

/* ---- suppress: and disable: ---- */

static char *given(char **text)
{
	char *t = *text;
	*text = NULL;
	return t;
}

static void add_override(struct reader *r, struct full_entry *f, enum override_verb verb, struct diag_place at)
{
	struct override o = {.verb = verb, .type = f->e.i.type, .expires_us = f->expires_us};
	struct canon c;
	struct err why = {""};
	if (f->source && !(o.has_source = prefix_parse(f->source, strlen(f->source), &o.source)))
		entry_error(r->s, &f->e, at, "bad-source", "source: \"%s\" is no address and no prefix", f->source);
	if (f->id && !*f->id)
		entry_error(r->s, &f->e, at, "bad-value", "id: expected the id of an indicator, found nothing");
	if (!f->id && !f->e.bad && !canon_rule(f->e.i.type, f->value, strlen(f->value), &c, &why))
		entry_error(r->s, &f->e, f->e.value_at, "bad-value", "%s", why.text);
	if (f->e.bad || !r->s->overrides)
		return;
	o.value = f->id ? NULL : given(&f->value);
	o.type = f->id ? INDICATOR_NONE : o.type;
	o.id = given(&f->id);
	o.reason = given(&f->reason);
	if (!overrides_add(r->s->overrides, &o))
		entry_error(r->s, &f->e, at, "too-many", "more than %d entries are given", OVERRIDES_MAX);
}

static void override_field(struct reader *r, struct full_entry *f, const char *name, char **by, struct diag_place at)
{
	static const char *const own[] = {"id", "source", "reason", "expires", "by", "type", "value", NULL};
	if (take_what(r, f, name))
		return;
	if (strcmp(name, "id") == 0)
		take_text(r, f, name, &f->id, &at);
	else if (strcmp(name, "source") == 0)
		take_text(r, f, name, &f->source, &at);
	else if (strcmp(name, "reason") == 0)
		take_text(r, f, name, &f->reason, &at);
	else if (strcmp(name, "by") == 0)
		take_text(r, f, name, by, &at);
	else if (strcmp(name, "expires") == 0)
		take_expires(r, f);
	else
		unknown_field(r, &f->e, name, at, own);
}

static void override_item(struct reader *r, struct yaml_event item, enum override_verb verb)
{
	struct full_entry f = {0};
	struct diag_place at, start = place(r, item);
	char name[NAME_LEN], *by = NULL;
	if (item.kind != YAML_MAP) {
		wrong_kind(r, NULL, item, override_names[verb],
			   "an entry such as {domain: bad.example, reason: \"…\"}");
		return;
	}
	while (next_key(r, &f.e, name, &at))
		override_field(r, &f, name, &by, at);
	if (whole(r)) {
		if (!f.id || f.value)
			settle_type(r, &f, start);
		judge_decision(r, &f, override_names[verb], start);
		add_override(r, &f, verb, start);
	}
	free(by);
	end_full(&f);
}

static void suppress_item(struct reader *r, struct yaml_event item)
{
	override_item(r, item, OVERRIDE_SUPPRESS);
}

static void disable_item(struct reader *r, struct yaml_event item)
{
	override_item(r, item, OVERRIDE_DISABLE);
}

/* ---- file: ---- */

/* A list stands below the rule file's own folder: a set that somebody else
 * wrote must not make us read, and quote in findings, any file it names. */
static bool path_below(const char *path)
{
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");
		if (n == 2 && memcmp(p, "..", 2) == 0)
			return false;
		p += n + (p[n] == '/');
	}
	return *path && *path != '/';
}

static void read_list_file(struct reader *r, struct full_entry *f, struct diag_place at)
{
	char path[PATH_LEN];
	const char *slash = strrchr(r->s->file, '/');
	struct buf text = {0};
	struct err why;
	if (r->s->no_files || !path_below(f->path)) {
		entry_error(r->s, NULL, at, "bad-path", "\"%s\" is not a path below this file's folder", f->path);
		return;
	}
	snprintf(path, sizeof(path), "%.*s%s", slash ? (int)(slash + 1 - r->s->file) : 0, r->s->file, f->path);
	if (rulefile_slurp(path, &text, &why)) {
		struct rule_source list = *r->s;
		list.file = path;
		rulefile_list_read(&list, f->e.i.type, &f->e, (const char *)text.p, text.n);
		r->s->repeats_told = list.repeats_told;
	} else {
		entry_error(r->s, NULL, at, "unreadable", "%s", why.text);
	}
	buf_free(&text);
}

static void file_item(struct reader *r, struct yaml_event item)
{
	static const char *const own[] = {"type",   "path",  "severity",    "confidence", "tlp",
					  "labels", "where", "valid_until", NULL};
	struct full_entry f = {0};
	struct diag_place at, path_at = place(r, item), start = path_at;
	char name[NAME_LEN], hint[ENTRY_HINT_LEN];
	if (item.kind != YAML_MAP) {
		wrong_kind(r, NULL, item, "file", "an entry such as {type: domain, path: list.txt}");
		return;
	}
	entry_begin(&f.e, &r->s->defaults);
	while (next_key(r, &f.e, name, &at)) {
		if (strcmp(name, "type") == 0)
			take_text(r, &f, name, &f.type_name, &f.type_at);
		else if (strcmp(name, "path") == 0)
			take_text(r, &f, name, &f.path, &path_at);
		else if (entry_field_known(name) && strcmp(name, "id") != 0)
			read_field(r, &f.e, name, at);
		else
			unknown_field(r, &f.e, name, at, own);
	}
	f.e.i.type = f.type_name ? indicator_type_parse(f.type_name, strlen(f.type_name)) : INDICATOR_NONE;
	if (f.type_name && !f.e.i.type)
		entry_error(r->s, &f.e, f.type_at, "unknown-type", "there is no indicator type \"%s\"%s", f.type_name,
			    entry_hint(f.type_name, indicator_type_names, hint));
	else if ((!f.type_name || !f.path) && whole(r))
		entry_error(r->s, &f.e, start, "bad-shape", "file: expected a type and a path");
	if (!f.e.bad && whole(r))
		read_list_file(r, &f, path_at);
	end_full(&f);
}

/* ---- plain lists ---- */

static void plain_item(struct reader *r, struct yaml_event item)
{
	struct entry e;
	if (item.kind != YAML_SCALAR) {
		r->s->count->read++;
		r->s->count->refused++;
		wrong_kind(r, NULL, item, indicator_type_name(r->type),
			   "plain values; entries with fields stand under indicators");
		return;
	}
	entry_begin(&e, &r->s->defaults);
	entry_value(r->s, &e, r->type, item.text, item.n, place(r, item));
	entry_submit(r->s, &e);
	entry_end(&e);
}

/* ---- the whole ---- */

static void read_defaults(struct reader *r, struct entry *defaults)
{
	struct yaml_event e = next(r);
	struct diag_place at;
	char name[NAME_LEN], hint[ENTRY_HINT_LEN];
	if (nothing(e))
		return;
	if (e.kind != YAML_MAP) {
		wrong_kind(r, NULL, e, "defaults", "a map such as {severity: high}");
		return;
	}
	while (next_key(r, NULL, name, &at)) {
		if (entry_field_known(name) && strcmp(name, "id") != 0) {
			read_field(r, defaults, name, at);
			continue;
		}
		entry_error(r->s, NULL, at, "unknown-key", "defaults have no key \"%s\"%s", name,
			    entry_hint(name, entry_fields(), hint));
		yaml_skip(r->y, next(r).kind);
	}
}

static bool holds_word(const struct reader *r, const char *word)
{
	return memmem(r->text, r->n, word, strlen(word)) != NULL;
}

static void head_once(struct reader *r, struct head *h, const char *name, struct diag_place at)
{
	bool set = strcmp(name, "set") == 0;
	unsigned *line = set ? &r->set_line : &r->defaults_line;
	if (*line && *line != at.line)
		entry_error(r->s, NULL, at, "duplicate-key", "%s is given twice; the first is on line %u", name, *line);
	if (*line || r->head_done) {
		yaml_skip(r->y, next(r).kind);
		return;
	}
	*line = at.line;
	if (set)
		read_head(r, h);
	else
		read_defaults(r, &r->s->defaults);
}

/* A pass of its own for a head that stands behind the lists. Findings about
 * YAML itself are left to the main pass. */
static void search_head(struct reader *r, struct head *h)
{
	struct reader ahead = *r;
	char name[NAME_LEN];
	struct diag_place at;
	ahead.base = 0;
	ahead.y = yaml_over(r->text, r->n);
	if (next(&ahead).kind == YAML_MAP) {
		struct yaml_event key;
		while (key = next(&ahead), !closes(key)) {
			at = place(&ahead, key);
			snprintf(name, sizeof(name), "%s", key.kind == YAML_SCALAR ? key.text : "");
			yaml_skip(ahead.y, key.kind);
			bool wanted = (strcmp(name, "set") == 0 && !ahead.set_line) ||
				      (strcmp(name, "defaults") == 0 && !ahead.defaults_line);
			if (wanted)
				head_once(&ahead, h, name, at);
			else
				yaml_skip(ahead.y, next(&ahead).kind);
		}
	}
	yaml_close(ahead.y);
	r->set_line = ahead.set_line;
	r->defaults_line = ahead.defaults_line;
}

/* The head must be known before the first entry. */
static void finish_head(struct reader *r, struct head *h)
{
	if (r->head_done)
		return;
	if ((!r->set_line && holds_word(r, "set")) || (!r->defaults_line && holds_word(r, "defaults")))
		search_head(r, h);
	source_add_set(r->s, &h->set);
	if (!r->s->defaults.i.tlp)
		r->s->defaults.i.tlp = h->set.tlp;
	r->head_done = true;
}

/* The items of the list whose opening event is e; a lone value is a list of one. */
static void read_items(struct reader *r, const char *name, struct yaml_event e)
{
	if (nothing(e))
		return;
	if (e.kind != YAML_SEQ) {
		if (e.kind == YAML_SCALAR && r->item == plain_item)
			plain_item(r, e);
		else
			wrong_kind(r, NULL, e, name, "a list");
		return;
	}
	r->indent = e.column;
	for (;;) {
		struct yaml_event item = next(r);
		if (closes(item))
			return;
		r->item(r, item);
	}
}

static void section(struct reader *r, struct head *h, const char *name, struct diag_place at)
{
	static const struct {
		const char *name;
		item_fn *item;
	} lists[] = {{"indicators", indicator_item},
		     {"allow", allow_item},
		     {"file", file_item},
		     {"suppress", suppress_item},
		     {"disable", disable_item}};
	r->type = indicator_type_parse(name, strlen(name));
	r->item = r->type ? plain_item : NULL;
	r->indent = 0;
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		if (strcmp(lists[i].name, name) == 0)
			r->item = lists[i].item;
	if (strcmp(name, "set") == 0 || strcmp(name, "defaults") == 0) {
		head_once(r, h, name, at);
	} else if (strcmp(name, "test") == 0) {
		read_set_tests(r);
	} else if (r->item) {
		finish_head(r, h);
		if (r->type && r->list_line[r->type])
			diag_add(r->s->d, DIAG_WARNING, at, "duplicate-key",
				 "%s is given twice; the first is on line %u", name, r->list_line[r->type]);
		r->list_line[r->type] = at.line;
		read_items(r, name, next(r));
	} else {
		static const char *const own[] = {"set",      "defaults", "file", "indicators", "allow",
						  "suppress", "disable",  "test", NULL};
		unknown_field(r, NULL, name, at, own);
	}
	r->item = whole(r) ? NULL : r->item;
}

static void read_top(struct reader *r, struct head *h)
{
	char name[NAME_LEN];
	struct diag_place at;
	struct yaml_event e = next(r);
	if (e.kind != YAML_MAP) {
		if (e.kind != YAML_END && !nothing(e))
			wrong_kind(r, NULL, e, "rule file", "keys such as set, domain, indicators");
		while (!closes(next(r)))
			;
		return;
	}
	while (next_key(r, NULL, name, &at))
		section(r, h, name, at);
	while (next(r).kind != YAML_END)
		;
}

/* ---- going on after an error ---- */

/* Reports what stopped the slice; false when nothing did. */
static bool report_failure(struct reader *r)
{
	struct diag_place at = {.file = r->s->file};
	const char *why;
	if (!yaml_failed(r->y, &why, &at.line, &at.column))
		return false;
	at.line += r->base;
	if (!r->failed.file || at.line != r->failed.line || at.column != r->failed.column)
		diag_add(r->s->d, DIAG_ERROR, at, "yaml", "%s", why);
	r->failed = at;
	return true;
}

/* A line as the restart sees it. */
struct line {
	size_t at, n;
	unsigned number;
};

static bool next_line(const struct reader *r, struct line *l)
{
	l->at += l->n;
	if (l->at >= r->n)
		return false;
	const char *end = memchr(r->text + l->at, '\n', r->n - l->at);
	l->n = end ? (size_t)(end - r->text) + 1 - l->at : r->n - l->at;
	l->number++;
	return true;
}

static bool opens_section(const struct reader *r, const struct line *l)
{
	const char *p = r->text + l->at;
	bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
	return letter && memchr(p, ':', l->n);
}

static bool opens_item(const struct reader *r, const struct line *l)
{
	if (!r->item || !r->indent || l->n < r->indent + 1)
		return false;
	const char *p = r->text + l->at;
	for (unsigned i = 0; i + 1 < r->indent; i++)
		if (p[i] != ' ')
			return false;
	return p[r->indent - 1] == '-' && p[r->indent] == ' ';
}

static void read_slice(struct reader *r, struct head *h, size_t from, size_t to, unsigned lines_before, bool items)
{
	r->base = lines_before;
	r->y = yaml_over(r->text + from, to - from);
	if (items) {
		item_fn *item = r->item;
		read_items(r, "list", next(r));
		while (next(r).kind != YAML_END)
			;
		r->item = whole(r) ? NULL : item;
	} else {
		read_top(r, h);
	}
}

/* Where the section that holds line l ends. */
static struct line section_end(const struct reader *r, struct line l)
{
	while (next_line(r, &l))
		if (opens_section(r, &l))
			return l;
	return (struct line){.at = r->n, .number = l.number + 1};
}

void rulefile_yaml_read(struct rule_source *s, const char *text, size_t n)
{
	struct reader r = {.s = s, .text = text, .n = n};
	struct head h = {0};
	struct line l = {0}, end = {0};
	unsigned restarts = 0;
	read_slice(&r, &h, 0, n, 0, false);
	bool failed = report_failure(&r);
	yaml_close(r.y);
	while (failed && next_line(&r, &l)) {
		bool section_here = opens_section(&r, &l), item_here = opens_item(&r, &l);
		if (l.number <= r.last_line || (!section_here && !item_here))
			continue;
		if (++restarts > RESTARTS_MAX) {
			entry_error(s, NULL, (struct diag_place){.file = s->file, .line = l.number}, "too-many",
				    "the rest is not read: more than %d places are not YAML", RESTARTS_MAX);
			break;
		}
		if (section_here)
			end = (struct line){.at = n, .number = UINT_MAX};
		else if (end.number <= l.number || end.number == UINT_MAX)
			end = section_end(&r, l);
		r.last_line = l.number;
		read_slice(&r, &h, l.at, end.at, l.number - 1, !section_here);
		failed = report_failure(&r);
		yaml_close(r.y);
		if (!failed && !section_here && end.at < n) {
			/* The list is whole again: go on with the sections behind it. */
			r.last_line = end.number;
			read_slice(&r, &h, end.at, n, end.number - 1, false);
			failed = report_failure(&r);
			yaml_close(r.y);
		}
	}
	finish_head(&r, &h);
	for (size_t i = 0; i < h.owned; i++)
		free(h.own[i]);
}
