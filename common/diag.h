/* Findings in files that people write: rules, configuration. Every finding
 * carries file, line and column; a reader reports all of them in one run and
 * goes on, so a file with twelve mistakes gives twelve lines.
 *
 *     sets/demo.yaml:14:12: error: "300.1.2.3" is not an IPv4 address [bad-ip]
 */
#ifndef COMMON_DIAG_H
#define COMMON_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum diag_level { DIAG_NOTE = 0, DIAG_WARNING, DIAG_ERROR, DIAG_LEVEL_COUNT };

/* Where something stands. line and column count from 1; 0 means unknown and is
 * left out when printed. The file name is borrowed. */
struct diag_place {
	const char *file;
	unsigned line, column;
};

struct diag {
	enum diag_level level;
	char *file;
	unsigned line, column;
	const char *code; /* a short stable word such as "bad-ip"; static storage */
	char *text;
};

/* A growing list. Zero-initialised it is ready for use. At most `limit`
 * findings are kept (0 = 10,000); all are counted. */
struct diags {
	struct diag *list;
	size_t n, cap, limit;
	size_t count[DIAG_LEVEL_COUNT];
};

void diag_add(struct diags *d, enum diag_level level, struct diag_place at, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* The limit is reached: more are counted, so nothing need be made for their texts. */
bool diag_full(const struct diags *d);

/* Prints every finding, one line each, then a line that says how many more
 * there were if the limit was reached. */
void diag_print(const struct diags *d, FILE *to);

void diag_free(struct diags *d);

/* The entry of `known` (a NULL-terminated list) that is nearest to `word` by
 * edit distance, or NULL when none is near: for "did you mean". */
const char *diag_nearest(const char *word, const char *const *known);

#endif
