/* Other people's formats to rule files. Every reader hands what it finds to
 * import_take() or import_leave(): what can be matched becomes an entry, what
 * cannot is counted by its reason, reported, and kept as a comment in the file
 * that is written. Nothing is dropped without a word. */
#ifndef RULES_IMPORT_H
#define RULES_IMPORT_H

#include <stdio.h>

#include "common/buf.h"
#include "common/cursor.h"
#include "common/diag.h"
#include "rules/indicator.h"

#define IMPORT_BYTES_MAX (4ull << 30) /* a file */
#define IMPORT_ITEM_MAX  (64u << 20)  /* one JSON object in it */
#define IMPORT_SPILL     (4u << 20)   /* bytes of entries that are held in memory */
#define IMPORT_KEPT_MAX  (64u << 20)  /* bytes of comments for what cannot be matched */

struct import {
	struct diags *d;
	const char *file;
	unsigned line;            /* of the file, or the number of the object */
	enum indicator_type type; /* of a list; INDICATOR_NONE: by the value's look */
	struct buf entries, kept;
	FILE *spill; /* entries that came first: a temporary file, so that a feed of any size takes little memory */
	bool spill_failed, in_memory; /* in_memory: nothing is put into a file */
	size_t taken, left, inactive, kept_not;
	char producer[256]; /* the source's word; "" = none */
	enum tlp tlp;       /* of the source as a whole */
};

/* One entry on its way. Strings are borrowed, NULL = not given. */
struct import_item {
	enum indicator_type type;
	const char *value;
	size_t n;
	const char *id, *labels, *note, *ref, *where;
	enum tlp tlp;
	int confidence, severity; /* -1 = not given */
	enum match_mode match;
	enum fold_by fold;
	int64_t valid_from_us, valid_until_us;
};
#define IMPORT_ITEM                                                                                                    \
	{                                                                                                              \
		.confidence = -1, .severity = -1                                                                       \
	}

/* The entry as a line of YAML. */
void import_entry_put(struct buf *out, const struct import_item *item, const char *value, size_t n);

/* Refangs, checks, writes. False: refused and left, with the reason. */
bool import_take(struct import *m, const struct import_item *item);
/* What cannot become an indicator: why (a short stable word and a sentence's
 * rest) and its text. */
void import_leave(struct import *m, const char *code, const char *why, const char *text, size_t n);
/* What its author does not want matched (revoked, not for detection). */
void import_inactive(struct import *m);

/* Closes the temporary file. */
void import_end(struct import *m);

/* What an unlabelled value is by its look; INDICATOR_NONE if nothing fits. */
enum indicator_type import_guess(const char *value, size_t n);

/* The readers. text is the whole file. */
void import_stix(struct import *m, struct bytes text);
void import_misp(struct import *m, struct bytes text);
void import_zeek(struct import *m, struct bytes text);
void import_suricata(struct import *m, struct bytes text);
void import_maltrail(struct import *m, struct bytes text);
void import_plain(struct import *m, struct bytes text);
void import_csv(struct import *m, struct bytes text);

#endif
