/* Configuration. A key is one row of a table; loader, -T, --dump-config, the
 * environment override and the man page come from the same row.
 *
 *   {"capture.interface", CONF_STRING_LIST, offsetof(struct sensor_conf, interfaces), .help = "..."}
 *
 * In the file a dot is nesting: `capture: {interface: eth1}`. In the environment
 * the key capture.interface is PICKET_CAPTURE__INTERFACE. Unknown keys are errors
 * with the nearest known one. */
#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/diag.h"
#include "common/err.h"

enum conf_type {
	CONF_STRING = 0,  /* char * */
	CONF_STRING_LIST, /* struct conf_list; a lone scalar is a list of one */
	CONF_BOOL,        /* bool */
	CONF_INT,         /* int64_t within min..max */
	CONF_BYTES,       /* int64_t; "64MB", "1 GiB", plain bytes; k/M/G are powers of 1024 */
	CONF_DURATION_MS, /* int64_t; "250ms", "10s", "5m", "1h", "7d" */
	CONF_CHOICE,      /* int: index into choices */
	CONF_TYPE_COUNT
};

struct conf_list {
	char **v;
	size_t n;
};

struct conf_key {
	const char *name;
	enum conf_type type;
	size_t offset;
	int64_t min, max;           /* CONF_INT, _BYTES, _DURATION_MS */
	const char *fallback;       /* the default, in the file's own spelling; NULL = empty/0 */
	const char *const *choices; /* CONF_CHOICE, NULL-terminated */
	bool reload;                /* SIGHUP applies it; others need a restart and say so */
	const char *help;           /* one sentence, for --dump-config and the man page */
	/* Judges a string or an entry of a list where it stands; e says what was expected. */
	bool (*check)(const char *text, struct err *e);
};

/* Fills *into (zeroed by the caller) from defaults, then the file (path may be
 * NULL), then the environment. Findings go to d; false when there is an error
 * among them. Strings are owned by the structure: conf_free(). */
bool conf_load(const struct conf_key *keys, size_t n, const char *path, void *into, struct diags *d);

/* The same from defaults and the file alone: for files that are not the
 * program's own configuration, such as a partner's policy. */
bool conf_load_file(const struct conf_key *keys, size_t n, const char *path, void *into, struct diags *d);

/* Sets one key from text, as `--set key=value` does. */
bool conf_set(const struct conf_key *keys, size_t n, const char *name, const char *value, void *into, struct diags *d);
/* The same from "KEY=VALUE". */
bool conf_set_word(const struct conf_key *keys, size_t n, const char *word, void *into, struct diags *d);
/* Copies the keys that may change while a program runs (reload; all of these are numbers). */
void conf_take_over(const struct conf_key *keys, size_t n, void *into, const void *fresh);

/* YAML with every key, its value and its help as a comment; loads again as it is. */
void conf_dump(const struct conf_key *keys, size_t n, const void *from, FILE *to);
void conf_free(const struct conf_key *keys, size_t n, void *from);

#endif
