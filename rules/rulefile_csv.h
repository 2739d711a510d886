/* CSV rule files and plain lists. */
#ifndef RULES_RULEFILE_CSV_H
#define RULES_RULEFILE_CSV_H

#include "rules/entry.h"

/* RFC 4180, with `#` comments. */
void rulefile_csv_read(struct rule_source *s, const char *text, size_t n);

/* The same for a set whose head is in s already; findings count from lines_before. */
void rulefile_csv_rows(struct rule_source *s, const char *text, size_t n, unsigned lines_before);

/* One value a line, all of type t, inheriting from defaults. */
void rulefile_list_read(struct rule_source *s, enum indicator_type t, const struct entry *defaults, const char *text,
			size_t n);

/* Whether the text begins as CSV does: a header, or a type's name and a comma. */
bool rulefile_csv_looks(const char *text, size_t n);

#endif
