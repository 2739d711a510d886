/* The order of a rule file's text: sections and, within them, items, so that the same
 * entries stand in the same order whoever wrote them, and a diff shows what changed.
 *
 * YAML: `set`, `defaults`, `test`, the plain lists in the order of the types, `file`,
 * `indicators`, `allow`, `suppress`, `disable`; what is unknown stays behind them. The comment
 * directly above a section goes with it. CSV: the header stays.
 *
 * Items are in the order of their bytes, but comments and empty lines divide a list
 * into groups, and an item stays in its group: a comment is about what follows it.
 * Lists whose items are not told apart by lines (a text block in them, a list in brackets over
 * several lines) are left alone. */
#ifndef RULES_FMT_ORDER_H
#define RULES_FMT_ORDER_H

#include <stdbool.h>

#include "common/buf.h"

/* text: lines that end with a line end, without blanks at their ends. Appends to out. */
void fmt_order(const struct buf *text, bool yaml, struct buf *out);

/* A line that begins a section of a YAML file: n bytes without the line end. */
bool fmt_starts_section(const char *line, size_t n);

#endif
