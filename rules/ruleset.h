/* The rule set that sensors match with: built once, frozen, shared read-only by
 * all workers, dropped whole. In memory it is the compiled file, byte for byte;
 * loading YAML builds the same thing in an anonymous mapping. */
#ifndef RULES_RULESET_H
#define RULES_RULESET_H

#include "common/addr.h"
#include "common/err.h"
#include "rules/indicator.h"
#include "rules/where.h"

/* ---- building ---- */

struct ruleset_builder;
struct ruleset;

struct ruleset_builder *ruleset_builder_new(void);
void ruleset_builder_free(struct ruleset_builder *b);

/* Copies the set's head and returns its number for ruleset_add(). */
uint32_t ruleset_add_set(struct ruleset_builder *b, const struct indicator_set *s);

enum added { ADDED = 0, ADDED_DUPLICATE, ADDED_INVALID };

/* Copies one indicator (canonicalises its value). An id of NULL or "" is made
 * from type and value when asked for, and costs nothing. ADDED_DUPLICATE: the
 * same set, type, written value, match and where are there already (the more
 * severe one is kept; another spelling of the same value is an indicator of its
 * own, because alerts show what the author wrote). ADDED_INVALID: e says why. */
enum added ruleset_add(struct ruleset_builder *b, uint32_t set, const struct indicator *i, struct err *e);

/* An allowed value: an observable that equals it (domain: or lies below it) is
 * not alerted on, unless a more specific indicator than the entry matches: a
 * longer name, a longer prefix. */
bool ruleset_allow(struct ruleset_builder *b, enum indicator_type t, const char *value, const char *reason,
		   int64_t expires_us, struct err *e);

size_t ruleset_builder_count(const struct ruleset_builder *b);
struct ruleset *ruleset_build(struct ruleset_builder *b, struct err *e);

/* ---- the compiled file ---- */

/* Writes to a temporary name, fsync, rename. */
bool ruleset_write(const struct ruleset *r, const char *path, struct err *e);
/* Maps the file. verify: check its digest (all of it is read). */
struct ruleset *ruleset_open(const char *path, bool verify, struct err *e);
bool ruleset_is_compiled(const char *path); /* looks at the magic */
/* For a set that packets will ask, before the first does: what most questions end at (3.5 MB
 * for a million indicators) is copied from the file's pages into huge ones. */
void ruleset_near(struct ruleset *r);
void ruleset_free(struct ruleset *r);

/* ---- asking ---- */

indicator_mask ruleset_types(const struct ruleset *r);                /* which types it holds at all */
size_t ruleset_count(const struct ruleset *r, enum indicator_type t); /* INDICATOR_NONE: all */
const char *ruleset_digest(const struct ruleset *r);                  /* 64 hex digits over the content */
size_t ruleset_bytes(const struct ruleset *r);

/* A hit: number of an indicator in this set, from 0. */
typedef uint32_t ruleset_ref;
#define RULESET_HITS_MAX 64 /* per lookup; more are counted in *dropped */

struct ruleset_hits {
	size_t n;
	uint64_t dropped;
	ruleset_ref ref[RULESET_HITS_MAX];
};

/* All indicators that an observable hits, appended to *hits: canonicalises for
 * each type in where_types(w) that the set holds and looks up (names: every
 * parent at a label boundary; addresses: every covering prefix; URLs: with and
 * without scheme, then prefixes). Observes where limits, validity of indicator
 * and set at now_us (until: exclusive) and
 * the allow list (allowed ones are counted in *allowed when it is not NULL).
 * Exact: fingerprint first, then the whole key. Never allocates, but for a
 * name with bytes above 127, which libidn2 turns into its ASCII form.
 * False: surely no indicator of the types that w asks for has this value, in no
 * other place and at no other time either; true says nothing. */
bool ruleset_match(const struct ruleset *r, enum where w, const void *value, size_t n, int64_t now_us,
		   struct ruleset_hits *hits, uint64_t *allowed);

/* The fast question for addresses on every packet: false means surely no ip or
 * cidr indicator matches. addr is the 16-byte form. */
bool ruleset_maybe_addr(const struct ruleset *r, const struct addr *a);

/* An indicator as the author wrote it. Most strings are borrowed from the set;
 * what the set need not store because it follows from the rest (the text of an
 * address or a hash, an id made from type and value) is spelled into room. */
#define RULESET_VALUE_ROOM 72
struct ruleset_room {
	char value[RULESET_VALUE_ROOM], id[INDICATOR_ID_LEN];
};
struct indicator ruleset_indicator_in(const struct ruleset *r, ruleset_ref ref, struct ruleset_room *room);
/* The same with a room that lives until the end of the enclosing block. */
#define ruleset_indicator(r, ref) ruleset_indicator_in((r), (ref), &(struct ruleset_room){.value = ""})
/* Whether an indicator's and its set's times have come and not passed: ruleset_match()
 * asks that itself, who finds hits elsewhere must. */
bool ruleset_valid(const struct ruleset *r, ruleset_ref ref, int64_t now_us);
struct indicator_set ruleset_set(const struct ruleset *r, ruleset_ref ref);
size_t ruleset_set_count(const struct ruleset *r);
struct indicator_set ruleset_set_at(const struct ruleset *r, size_t i);

/* ---- for those who judge rules ---- */

struct canon;

/* All indicators that cover a canonical value (canon_rule()): those that every
 * observable hits which the value itself would hit, the value's own among them.
 * Whatever the time, their where and the allow list say. */
void ruleset_covering(const struct ruleset *r, enum indicator_type t, const struct canon *value,
		      struct ruleset_hits *hits);

/* The allow list. An entry as an indicator: type, value, note (the reason),
 * valid_until_us (its end). */
size_t ruleset_allow_count(const struct ruleset *r);
struct indicator ruleset_allow_at(const struct ruleset *r, size_t i, struct ruleset_room *room);
/* How many hits an entry has taken away from ruleset_match() calls that count (allowed not NULL). */
uint64_t ruleset_silenced(const struct ruleset *r, size_t i);
/* Counts go on from those of another set, where the entries are the same. For the time before r is shared. */
void ruleset_silenced_inherit(struct ruleset *r, const struct ruleset *from);
/* The most specific entry that covers the value at now_us; false: none. */
bool ruleset_allowed(const struct ruleset *r, enum indicator_type t, const struct canon *value, int64_t now_us,
		     struct ruleset_room *room, struct indicator *out);

/* Payload patterns (payload_hex, payload), for the multi-pattern matcher, and STIX
 * patterns (stix), for rules/conditions.h.
 * out->value is borrowed from the set; out->id is NULL unless its author gave one. */
size_t ruleset_pattern_count(const struct ruleset *r);
ruleset_ref ruleset_pattern(const struct ruleset *r, size_t i, struct indicator *out);

#endif
