/* The content of a distributed set: the set in exactly one layout, a line an
 * entry, so that a delta is lines that went and lines that came, and so that two
 * who have the same set have the same digest.
 *
 *   set: {id: "apt-demo", version: 421, …}          YAML, as in a rule file
 *   allow:
 *     - {type: domain, value: "update.example", …}
 *   %indicators
 *   type,value,id,severity,confidence,tlp,…         CSV, as in a rule file
 *   domain,bad.example,,high,80,…                   in the order of their bytes, each once
 *
 * A delta holds the new head whole, then the rows that go (-) and come (+), in the
 * same order:
 *
 *   picket-delta 1 <bytes of the head>
 *   <head, %indicators and the columns included>
 *   -domain,gone.example,,high,80,…
 *   +domain,new.example,,high,80,…
 *
 * What a delta gives is believed only when its digest is the manifest's. */
#ifndef RULES_SET_LINES_H
#define RULES_SET_LINES_H

#include "common/buf.h"
#include "common/cursor.h"
#include "common/err.h"
#include "rules/entry.h"

#define SET_LINES_DIVIDER "%indicators\n"
#define SET_LINES_COLUMNS                                                                                              \
	"type,value,id,severity,confidence,tlp,match,fold,labels,where,valid_from,valid_until,ref,note\n"

int set_lines_order(struct bytes a, struct bytes b); /* as strcmp() */

/* Reads a content into s; findings carry the line within it plus lines_before. */
void set_lines_read(struct rule_source *s, const char *text, size_t n, unsigned lines_before);

/* How many entries it has (rows, and those of allow:, suppress:, disable:) and whether it is laid out as above: each row once and in
 * order, ending in a newline. */
bool set_lines_count(struct bytes content, size_t *rows, struct err *e);

/* The two contents must be laid out as above. */
bool set_lines_delta(struct bytes from, struct bytes to, struct buf *out, struct err *e);
/* The delta as two contents with its head: the rows that go, the rows that come. */
bool set_lines_changes(struct bytes delta, struct buf *gone, struct buf *come, struct err *e);
/* Whether a delta's head says the same as the head of the content that it is for, but
 * for the set's version. */
bool set_lines_same_head(struct bytes from, struct bytes delta);
/* Memory: the result is at most max bytes. */
bool set_lines_apply(struct bytes from, struct bytes delta, size_t max, struct buf *out, struct err *e);

#endif
