/* One entry of a rule file on its way to the rule set: what all formats share.
 * A reader begins an entry, gives it fields as it meets them, and submits it;
 * every mistake becomes a finding with its place, and a bad entry is counted
 * and left out while all others load.
 *
 * A new field of indicators is one row in entry.c: YAML entries, `defaults:`,
 * `file:` rows and CSV columns then know it. */
#ifndef RULES_ENTRY_H
#define RULES_ENTRY_H

#include "common/buf.h"
#include "common/diag.h"
#include "rules/manifest.h"
#include "rules/overrides.h"
#include "rules/rule_tests.h"
#include "rules/rulefile.h"

#define ENTRY_LABELS_MAX 512 /* bytes of all labels together; so for where */
#define ENTRY_ID_MAX     128
#define ENTRY_NOTE_MAX   4096 /* so for ref */

/* The strings that an entry may own. */
enum entry_text { ENTRY_VALUE = 0, ENTRY_ID, ENTRY_LABELS, ENTRY_NOTE, ENTRY_REF, ENTRY_WHERE, ENTRY_TEXT_COUNT };

struct entry {
	struct indicator i;
	char *own[ENTRY_TEXT_COUNT];
	unsigned seen; /* fields given, by row */
	bool bad;      /* a finding was made: it will not be added */
	struct diag_place value_at;
};

/* A file being read. */
struct rule_source {
	struct ruleset_builder *b;
	struct diags *d;
	struct rulefile_count *count;
	const char *file;
	uint32_t set; /* number in b */
	int64_t set_valid_until_us;
	struct entry defaults;
	const struct manifest
	    *signed_as;              /* NULL = no signed set: what this says of id, version, exercise and end counts */
	struct overrides *overrides; /* `suppress:` and `disable:` go here; NULL = they are only checked */
	struct rule_tests *tests;    /* `test:` goes here; NULL = it is only checked */
	bool no_files;               /* `file:` names nothing: the text came over the network */
	size_t repeats_told;         /* duplicates that were reported one by one */
	int64_t judge_us;            /* as rulefile_trust's */
};

/* Adds the set's head to the rule set. Without an id the file's name serves. */
void source_add_set(struct rule_source *s, struct indicator_set *head);
void source_close(struct rule_source *s);

/* A finding that makes e bad (e may be NULL). */
void entry_error(struct rule_source *s, struct entry *e, struct diag_place at, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* "…; did you mean "x"?" when there is a near one; "" otherwise. out is returned. */
#define ENTRY_HINT_LEN 160
const char *entry_hint(const char *word, const char *const *known, char out[static ENTRY_HINT_LEN]);

void entry_begin(struct entry *e, const struct entry *defaults);
void entry_end(struct entry *e);

/* The names of all fields, NULL-terminated: not type and value. */
const char *const *entry_fields(void);
bool entry_field_known(const char *name);
bool entry_field_is_list(const char *name);
/* Marks the field as given; false (and a finding) when it was given before. */
bool entry_field_first(struct rule_source *s, struct entry *e, const char *name, struct diag_place at);
/* One value for a field; a list field takes several, one call each, or one text with commas. */
void entry_field(struct rule_source *s, struct entry *e, const char *name, const char *text, size_t n,
		 struct diag_place at);

/* The value is borrowed until entry_submit(). */
void entry_value(struct rule_source *s, struct entry *e, enum indicator_type t, const char *text, size_t n,
		 struct diag_place at);
/* Adds it and counts what became of it. */
void entry_submit(struct rule_source *s, struct entry *e);

/* Values of these types are free text: blanks around them may be meant. */
bool entry_free_text(enum indicator_type t);

#endif
