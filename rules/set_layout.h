/* A rule set laid out line by line (rules/set_lines.h draws it). */
#ifndef RULES_SET_LAYOUT_H
#define RULES_SET_LAYOUT_H

#include "common/buf.h"
#include "common/err.h"
#include "rules/overrides.h"
#include "rules/ruleset.h"

/* r holds one set. Line ends in notes become blanks. False: e says which entry
 * cannot be laid out so (a line end in its value). *count: rows,
 * allow entries, and those of o (what the files suppress and disable; may be NULL). */
bool set_layout(const struct ruleset *r, const struct overrides *o, uint32_t version, struct buf *out, size_t *count,
		struct err *e);

#endif
