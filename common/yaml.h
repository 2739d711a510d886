/* The door to libyaml: a pull reader over events that keeps line and column,
 * with the limits that libyaml lacks (its nesting cost is quadratic: 80 kB of
 * '[' took 11 s): depth 64, aliases refused, scalar 1 MiB, file 1 GiB. */
#ifndef COMMON_YAML_H
#define COMMON_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

enum yaml_kind {
	YAML_END = 0, /* end of the input, or an error: see yaml_failed() */
	YAML_SCALAR,
	YAML_MAP,     /* { : scalars and values in turn until YAML_MAP_END */
	YAML_MAP_END,
	YAML_SEQ,
	YAML_SEQ_END,
	YAML_KIND_COUNT
};

struct yaml_event {
	enum yaml_kind kind;
	const char *text; /* scalar: NUL-terminated, valid until the next call */
	size_t n;
	bool quoted;
	unsigned line, column; /* from 1 */
};

struct yaml;

/* Reads one file, or standard input for "-". */
struct yaml *yaml_open(const char *path, struct err *e);
struct yaml *yaml_over(const void *text, size_t n); /* borrowed until yaml_close */
struct yaml_event yaml_next(struct yaml *y);
/* After the event that opened a map or a sequence: steps over all of it. */
void yaml_skip(struct yaml *y, enum yaml_kind opened);
/* True after YAML_END when the text was not YAML or passed a limit; the
 * sentence and its place. */
bool yaml_failed(const struct yaml *y, const char **why, unsigned *line, unsigned *column);
void yaml_close(struct yaml *y);

#endif
