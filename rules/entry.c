#include "rules/entry.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/text.h"
#include "rules/canon.h"
#include "rules/pattern.h"

#define REPEATS_TOLD_MAX 100 /* duplicates per file that get a line of their own */
#define ENTRIES_MAX      (20u * 1000 * 1000)

/* The codes of refused values, so that tools can count by kind. */
static const char *const bad_codes[INDICATOR_TYPE_COUNT] = {[INDICATOR_NONE] = "bad-value",
#define X(id, name) [INDICATOR_##id] = "bad-" name,
							    INDICATOR_TYPES(X)
#undef X
};

void entry_error(struct rule_source *s, struct entry *e, struct diag_place at, const char *code, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	diag_add(s->d, DIAG_ERROR, at, code, "%s", text);
	if (e)
		e->bad = true;
}

const char *entry_hint(const char *word, const char *const *known, char out[static ENTRY_HINT_LEN])
{
	const char *near = diag_nearest(word, known);
	out[0] = '\0';
	if (near)
		snprintf(out, ENTRY_HINT_LEN, "; did you mean \"%s\"?", near);
	return out;
}

/* ---- the fields ---- */

typedef void field_set(struct rule_source *s, struct entry *e, const char *text, size_t n, struct diag_place at);

static bool too_long(struct rule_source *s, struct entry *e, const char *what, size_t n, size_t max,
		     struct diag_place at)
{
	if (n <= max)
		return false;
	entry_error(s, e, at, "too-long", "%s of %zu bytes; at most %zu are kept", what, n, max);
	return true;
}

static const char *own(struct entry *e, enum entry_text which, const char *text, size_t n)
{
	free(e->own[which]);
	return e->own[which] = xstrndup(text, n);
}

/* The index of text in a NULL-terminated list, case ignored, or -1 and a finding. */
static int choice(struct rule_source *s, struct entry *e, const char *field, const char *const *known, const char *text,
		  struct diag_place at)
{
	struct buf all = {0};
	char hint[ENTRY_HINT_LEN];
	for (int i = 0; known[i]; i++) {
		if (text_equal_fold(known[i], strlen(known[i]), text, strlen(text))) {
			buf_free(&all);
			return i;
		}
		buf_printf(&all, "%s%s", i ? ", " : "", known[i]);
	}
	entry_error(s, e, at, "bad-choice", "%s: expected one of %.*s, found \"%s\"%s", field, (int)all.n,
		    (const char *)all.p, text, entry_hint(text, known, hint));
	buf_free(&all);
	return -1;
}

static void set_id(struct rule_source *s, struct entry *e, const char *text, size_t n, struct diag_place at)
{
	if (too_long(s, e, "an id", n, ENTRY_ID_MAX, at))
		return;
	if (n == 0)
		entry_error(s, e, at, "bad-id", "id: expected text, found nothing");
	e->i.id = own(e, ENTRY_ID, text, n);
}

static void set_severity(struct rule_source *s, struct entry *e, const char *text, size_t n, struct diag_place at)
{
	(void)n;
	int i = choice(s, e, "severity", severity_names, text, at);
	if (i >= 0)
		e->i.severity = (enum severity)i;
}

static void set_confidence(struct rule_source *s, struct entry *e, const char *text, size_t n, struct diag_place at)
{
	unsigned v = 0;
	bool ok = n >= 1 && n <= 3 && strspn(text, "0123456789") == n;
	for (size_t i = 0; ok && i < n; i++)
		v = v * 10 + (unsigned)(text[i] - '0');
	if (!ok || v > 100)
		entry_error(s, e, at, "bad-confidence", "confidence: expected 0 to 100, found \"%s\"", text);
	else
		e->i.confidence = (uint8_t)v;
}

/* "TLP:AMBER+STRICT" and TLP 1's "white" are the same marking. */
static void set_tlp(struct rule_source *s, struct entry *e, const char *text, size_t n, struct diag_place at)
{
	if (n > 4 && text_equal_fold(text, 4, "tlp:", 4))
		text += 4;
	int i = text_equal_fold(text, strlen(text), "white", 5) ? TLP_CLEAR : choice(s, e, "tlp", tlp_names, text, at);
	if (i >= 0)
		e->i.tlp = (enum tlp)i;
}

static void set_match(struct rule_source *s, struct entry *e, const char *text, size_t n, struct diag_place at)
{
	static const char *const names[] = {[MATCH_EXACT] = "exact", [MATCH_PREFIX] = "prefix", NULL};
	(void)n;
	int i = choice(s, e, "match", names, text, at);
	if (i >= 0)
		e->i.match = (enum match_mode)i;
}

static void set_fold(struct rule_source *s, struct entry *e, const char *text, size_t n, struct diag_place at)
{
	(void)n;
	int i = choice(s, e, "fold", fold_names, text, at);
	if (i >= 0)
		e->i.fold = (enum fold_by)i;
}

/* Appends one item to a comma-separated text of the entry's. */
static const char *append(struct rule_source *s, struct entry *e, enum entry_text which, const char *field,
			  const char *item, size_t n, struct diag_place at)
{
	const char *old = e->own[which] ? e->own[which] : "";
	size_t old_n = strlen(old);
	if (too_long(s, e, field, old_n + n, ENTRY_LABELS_MAX, at))
		return old;
	char *joined = xmalloc(old_n + 1 + n + 1);
	memcpy(joined, old, old_n);
	joined[old_n] = ',';
	size_t end = old_n ? old_n + 1 : 0;
	memcpy(joined + end, item, n);
	joined[end + n] = '\0';
	free(e->own[which]);
	return e->own[which] = joined;
}

static void add_label(struct rule_source *s, struct entry *e, const char *text, size_t n, struct diag_place at)
{
	e->i.labels = append(s, e, ENTRY_LABELS, "labels", text, n, at);
}

/* The names of places that exist, for the hint. */
static const char *const *where_names(void)
{
	static const char *const names[] = {
#define X(id, name, types) name,
	    WHERES(X)
#undef X
		NULL,
	};
	return names;
}

static void add_where(struct rule_source *s, struct entry *e, const char *text, size_t n, struct diag_place at)
{
	char hint[ENTRY_HINT_LEN], word[64];
	if (!where_known(text, n)) {
		snprintf(word, sizeof(word), "%.*s", (int)(n < sizeof(word) ? n : sizeof(word) - 1), text);
		entry_error(s, e, at, "bad-where", "where: no place is called \"%s\"%s", word,
			    entry_hint(word, where_names(), hint));
		return;
	}
	e->i.where = append(s, e, ENTRY_WHERE, "where", text, n, at);
}

static void set_note(struct rule_source *s, struct entry *e, const char *text, size_t n, struct diag_place at)
{
	if (!too_long(s, e, "a note", n, ENTRY_NOTE_MAX, at))
		e->i.note = own(e, ENTRY_NOTE, text, n);
}

static void set_ref(struct rule_source *s, struct entry *e, const char *text, size_t n, struct diag_place at)
{
	if (!too_long(s, e, "a ref", n, ENTRY_NOTE_MAX, at))
		e->i.ref = own(e, ENTRY_REF, text, n);
}

static void set_time(struct rule_source *s, struct entry *e, const char *field, const char *text, int64_t *to,
		     struct diag_place at)
{
	if (!clock_parse(text, to))
		entry_error(s, e, at, "bad-time",
			    "%s: expected a time such as 2027-03-01T00:00:00Z or 2027-03-01, found \"%s\"", field,
			    text);
}

static void set_valid_from(struct rule_source *s, struct entry *e, const char *text, size_t n, struct diag_place at)
{
	(void)n;
	set_time(s, e, "valid_from", text, &e->i.valid_from_us, at);
}

static void set_valid_until(struct rule_source *s, struct entry *e, const char *text, size_t n, struct diag_place at)
{
	(void)n;
	set_time(s, e, "valid_until", text, &e->i.valid_until_us, at);
}

static const struct field {
	const char *name;
	field_set *set;
	bool list;
} fields[] = {
    {"id", set_id, false},
    {"severity", set_severity, false},
    {"confidence", set_confidence, false},
    {"tlp", set_tlp, false},
    {"match", set_match, false},
    {"fold", set_fold, false},
    {"dedup", set_fold, false}, /* an older name of fold */
    {"labels", add_label, true},
    {"note", set_note, false},
    {"ref", set_ref, false},
    {"where", add_where, true},
    {"valid_from", set_valid_from, false},
    {"valid_until", set_valid_until, false},
};
#define FIELDS (sizeof(fields) / sizeof(*fields))

static const struct field *find_field(const char *name)
{
	for (size_t i = 0; i < FIELDS; i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

const char *const *entry_fields(void)
{
	static const char *names[FIELDS + 1];
	for (size_t i = 0; i < FIELDS; i++)
		names[i] = fields[i].name;
	return names;
}

bool entry_field_known(const char *name)
{
	return find_field(name) != NULL;
}

bool entry_field_is_list(const char *name)
{
	const struct field *f = find_field(name);
	return f && f->list;
}

/* A list that is given replaces the one inherited from the defaults. */
bool entry_field_first(struct rule_source *s, struct entry *e, const char *name, struct diag_place at)
{
	const struct field *f = find_field(name);
	unsigned bit = 1u << (f - fields);
	if (e->seen & bit) {
		entry_error(s, e, at, "duplicate-key", "%s is given twice in one entry", name);
		return false;
	}
	e->seen |= bit;
	if (f->set == add_label)
		e->i.labels = NULL;
	if (f->set == add_where)
		e->i.where = NULL;
	return true;
}

void entry_field(struct rule_source *s, struct entry *e, const char *name, const char *text, size_t n,
		 struct diag_place at)
{
	const struct field *f = find_field(name);
	if (memchr(text, '\0', n)) {
		entry_error(s, e, at, "nul", "%s holds a NUL character", name);
		return;
	}
	if (!f->list) {
		f->set(s, e, text, n, at);
		return;
	}
	while (n) {
		const char *comma = memchr(text, ',', n);
		size_t item = comma ? (size_t)(comma - text) : n, lead = 0, end = item;
		while (lead < end && text[lead] == ' ')
			lead++;
		while (end > lead && text[end - 1] == ' ')
			end--;
		if (end > lead)
			f->set(s, e, text + lead, end - lead, at);
		text += item + (comma != NULL);
		n -= item + (comma != NULL);
	}
}

/* ---- an entry's life ---- */

void entry_begin(struct entry *e, const struct entry *defaults)
{
	*e = (struct entry){.i = defaults->i};
}

void entry_end(struct entry *e)
{
	for (int i = 0; i < ENTRY_TEXT_COUNT; i++)
		free(e->own[i]);
	*e = (struct entry){0};
}

bool entry_free_text(enum indicator_type t)
{
	const indicator_mask free_text = INDICATOR_BIT(INDICATOR_USER_AGENT) | INDICATOR_BIT(INDICATOR_CERT_SUBJECT) |
					 INDICATOR_BIT(INDICATOR_CERT_ISSUER) | INDICATOR_BIT(INDICATOR_FILENAME) |
					 INDICATOR_BIT(INDICATOR_EMAIL_SUBJECT) | INDICATOR_BIT(INDICATOR_SSH_BANNER) |
					 INDICATOR_BIT(INDICATOR_USERNAME) | INDICATOR_BIT(INDICATOR_DHCP_HOSTNAME) |
					 INDICATOR_BIT(INDICATOR_MQTT_TOPIC) | INDICATOR_BIT(INDICATOR_RDP_COOKIE) |
					 INDICATOR_BIT(INDICATOR_COMMUNITY) | INDICATOR_BIT(INDICATOR_PAYLOAD);
	return free_text & INDICATOR_BIT(t);
}

/* Alerts carry the value as it was written, and they are UTF-8. */
static bool valid_utf8(const char *text, size_t n)
{
	char valid[CANON_MAX];
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] >= 0x80)
			return text_utf8(valid, sizeof(valid), text, n) == n && memcmp(valid, text, n) == 0;
	return true;
}

void entry_value(struct rule_source *s, struct entry *e, enum indicator_type t, const char *text, size_t n,
		 struct diag_place at)
{
	e->i.type = t;
	e->i.value = text;
	e->value_at = at;
	if (memchr(text, '\0', n))
		entry_error(s, e, at, "nul", "the value holds a NUL character");
	else if (n > CANON_MAX)
		entry_error(s, e, at, "too-long", "a value of %zu bytes; at most %d can match", n, CANON_MAX);
	else if (!valid_utf8(text, n))
		entry_error(s, e, at, "not-utf8", "the value is not UTF-8 text");
}

static void tell_repeat(struct rule_source *s, const struct entry *e)
{
	s->count->duplicate++;
	if (s->repeats_told++ < REPEATS_TOLD_MAX)
		diag_add(s->d, DIAG_WARNING, e->value_at, "duplicate", "%s \"%s\" is in this set already",
			 indicator_type_name(e->i.type), e->i.value);
}

void entry_submit(struct rule_source *s, struct entry *e)
{
	struct err why = {""};
	s->count->read++;
	if (s->count->read == ENTRIES_MAX + 1)
		diag_add(s->d, DIAG_ERROR, e->value_at, "too-many",
			 "more than %u entries in one file; the rest is left out", ENTRIES_MAX);
	/* One that Hyperscan refuses would take all others with it when the set is armed. */
	if (!e->bad && e->i.type == INDICATOR_PAYLOAD && !pattern_check(e->i.value, strlen(e->i.value), &why))
		entry_error(s, e, e->value_at, "bad-payload", "%s", why.text);
	if (e->bad || s->count->read > ENTRIES_MAX) {
		s->count->refused++;
		return;
	}
	e->i.file = s->file;
	e->i.line = e->value_at.line;
	if (!e->i.valid_until_us)
		e->i.valid_until_us = s->set_valid_until_us;
	switch (ruleset_add(s->b, s->set, &e->i, &why)) {
	case ADDED:
		s->count->loaded++;
		break;
	case ADDED_DUPLICATE:
		tell_repeat(s, e);
		break;
	case ADDED_INVALID:
		entry_error(s, e, e->value_at, bad_codes[e->i.type], "%s", why.text);
		s->count->refused++;
		break;
	}
}

/* ---- the source ---- */

/* "feeds/My list.csv" → "My-list": ids go into keys, so only plain characters. */
static char *id_from_path(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
	size_t n = dot && dot != name ? (size_t)(dot - name) : strlen(name);
	char *id = xstrndup(name, n > ENTRY_ID_MAX ? ENTRY_ID_MAX : n);
	for (char *c = id; *c; c++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._", *c))
			*c = '-';
	return id;
}

/* The manifest's signature was judged by these, the content's only by its digest. */
static void heed_manifest(const struct manifest *m, struct indicator_set *head)
{
	head->id = m->set;
	head->version = (uint32_t)m->version;
	head->exercise = *m->exercise ? m->exercise : NULL;
	if (m->valid_until_us && (!head->valid_until_us || m->valid_until_us < head->valid_until_us))
		head->valid_until_us = m->valid_until_us;
}

void source_add_set(struct rule_source *s, struct indicator_set *head)
{
	if (s->signed_as)
		heed_manifest(s->signed_as, head);
	char *made = head->id ? NULL : id_from_path(strcmp(s->file, "-") == 0 ? "stdin" : s->file);
	if (made)
		head->id = made;
	s->set_valid_until_us = head->valid_until_us;
	s->set = ruleset_add_set(s->b, head);
	if (made)
		head->id = NULL;
	free(made);
}

void source_close(struct rule_source *s)
{
	if (s->repeats_told > REPEATS_TOLD_MAX)
		diag_add(s->d, DIAG_WARNING, (struct diag_place){.file = s->file}, "duplicate",
			 "and %zu more entries that are in this set already", s->repeats_told - REPEATS_TOLD_MAX);
	entry_end(&s->defaults);
}
