/* Payload patterns over streams and datagrams, across segment boundaries: the
 * door to Hyperscan.
 *
 * payload_hex is a run of bytes; payload is a regular expression in Hyperscan's
 * subset of PCRE, over bytes ((?i), (?s) … inline). A pattern matches anywhere in
 * the reassembled bytes of one side of a stream, or in one datagram. */
#ifndef RULES_PATTERN_H
#define RULES_PATTERN_H

#include "common/err.h"
#include "rules/ruleset.h"

struct pattern_db;      /* compiled from one rule set, read-only, shared */
struct pattern_scratch; /* per worker */
struct pattern_stream;  /* per side of a stream */

/* May be called several times for one pattern and side. */
typedef void pattern_hit_fn(void *owner, ruleset_ref ref, size_t end_offset);

/* Of the payload patterns of r and of a second set, the values of STIX patterns
 * (rules/conditions.h; NULL: there is none), whose refs are told with PATTERN_SECOND.
 * NULL without error text when both hold none. Bad patterns were refused when the
 * rules were read; here a failure is the whole database's. */
#define PATTERN_SECOND 0x80000000u
struct pattern_db *pattern_db_new(const struct ruleset *r, const struct ruleset *second, struct err *e);
void pattern_db_free(struct pattern_db *db);
struct pattern_scratch *pattern_scratch_new(const struct pattern_db *db, struct err *e);
void pattern_scratch_free(struct pattern_scratch *s);

void pattern_datagram(const struct pattern_db *db, struct pattern_scratch *s, const void *p, size_t n,
		      pattern_hit_fn *hit, void *owner);
size_t pattern_stream_bytes(const struct pattern_db *db);                /* memory that one costs, for a budget */
struct pattern_stream *pattern_stream_open(const struct pattern_db *db); /* NULL: no memory */
void pattern_stream_data(struct pattern_stream *st, const struct pattern_db *db, struct pattern_scratch *s,
			 const void *p, size_t n, pattern_hit_fn *hit, void *owner);
void pattern_stream_close(struct pattern_stream *st, struct pattern_scratch *s);

/* For the rule reader: can this value be used? A regular expression that matches
 * the empty string, is longer than PATTERN_TEXT_MAX or that Hyperscan refuses
 * cannot; the sentence says why. */
#define PATTERN_TEXT_MAX 4096
bool pattern_check(const char *expression, size_t n, struct err *e);
/* How many bytes it takes at least to match; 0 when it cannot be told. */
unsigned pattern_width(const char *expression);

#endif
