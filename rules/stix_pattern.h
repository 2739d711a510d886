/* STIX 2.1 patterns (STIX 2.1 section 9) as far as a sensor can match them: one
 * observation, comparisons joined by AND and OR. What goes beyond is told apart
 * from what is no pattern at all. */
#ifndef RULES_STIX_PATTERN_H
#define RULES_STIX_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

#define STIX_PATTERN_MAX  (1u << 20) /* bytes */
#define STIX_COMPARES_MAX 4096
#define STIX_DEPTH_MAX    32

enum stix_op {
	STIX_EQUAL = 0,
	STIX_LIKE,
	STIX_MATCHES,
	STIX_SUBSET,
	STIX_LESS,
	STIX_LESS_EQUAL,
	STIX_MORE,
	STIX_MORE_EQUAL,
	STIX_OTHER,
	STIX_OP_COUNT
};

/* In stix_pattern.code, between the numbers of comparisons. */
#define STIX_AND 0xffffu
#define STIX_OR  0xfffeu

struct stix_compare {
	size_t path, value; /* offsets of terminated texts in stix_pattern.text */
	size_t value_n;
	enum stix_op op;
	bool negated; /* NOT, or != */
	size_t group; /* in a flat pattern: those of one group are joined by AND, the groups by OR */
};

struct stix_pattern {
	struct buf text;
	struct stix_compare *list;
	size_t n, cap, groups;
	uint16_t *code; /* the whole in postfix: numbers in list, STIX_AND, STIX_OR */
	size_t code_n, code_cap;
	bool flat; /* no alternatives beside an AND, no NOT, no order: the groups say all of it */
};

enum stix_result { STIX_READ = 0, STIX_BEYOND, STIX_BAD };

/* *why: a short reason when it was not read. p is zeroed before the first use
 * and used again after that. */
enum stix_result stix_pattern_read(struct stix_pattern *p, const char *text, size_t n, const char **why);
void stix_pattern_free(struct stix_pattern *p);

static inline const char *stix_text(const struct stix_pattern *p, size_t offset)
{
	return (const char *)p->text.p + offset;
}

#endif
