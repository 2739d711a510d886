/* The release gate: what of a shared object may go to a partner. Default deny,
 * decided at egress, for every way out (link, TAXII, bundle, sighting).
 *
 * An object goes when all of this holds: it is active; it did not come from or
 * through the partner; it is of the partner's exercise or real; its type is allowed;
 * it is marked, and TLP and PAP are within the ceilings; it has hops left (TLP:RED
 * and AMBER+STRICT are not passed on, AMBER once, GREEN four times); it is addressed to
 * the partner or a group of it (RED: to itself by name), or unaddressed and the
 * policy allows that. What goes is a new tree: fields that STIX gives the type or the
 * policy names, no part under a granular marking above the ceiling, no reference to
 * what the partner may not have, of its addressees only groups the partner is in. When a part that
 * the type cannot do without is cut, or a text that was cut stands elsewhere too,
 * nothing goes. */
#ifndef RULES_GATE_H
#define RULES_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/json.h"
#include "rules/policy.h"
#include "rules/shared.h"

enum gate_verdict { GATE_DENIED = 0, GATE_RELEASED, GATE_REDACTED, GATE_VERDICT_COUNT };
extern const char *const gate_verdict_names[GATE_VERDICT_COUNT + 1];

/* Why: counted by name, in the audit stream as they stand here. */
#define GATE_REASONS(X)                                                                                                \
	X(OK, "ok")                                                                                                    \
	X(PARTNER_ENDED, "partner-ended")     /* the partnership is over */                                            \
	X(STATE, "state")                     /* in review, quarantined, withdrawn */                                  \
	X(ECHO, "echo")                       /* it came from or through the partner */                                \
	X(EXERCISE, "exercise")               /* of an exercise that is not theirs */                                  \
	X(TYPE, "type")                       /* of a type that is not allowed */                                      \
	X(PROFILE, "profile")                 /* they would misread it */                                              \
	X(MARKING_UNKNOWN, "marking-unknown") /* a marking that nobody knows */                                        \
	X(UNMARKED, "unmarked")                                                                                        \
	X(TLP, "tlp")                                                                                                  \
	X(PAP, "pap")                                                                                                  \
	X(HOPS, "hops")                                                                                                \
	X(NOT_ADDRESSED, "not-addressed")                                                                              \
	X(FIELD_REQUIRED, "field-required") /* a part that it needs may not go */                                      \
	X(REFERENCE, "reference")           /* it is about something they may not have */                              \
	X(SELECTOR, "selector")             /* a granular marking that marks nothing */                                \
	X(REPEATED, "repeated")             /* what was cut stands elsewhere too */                                    \
	X(SHAPE, "shape")                   /* not an object, too deep, too large */

enum gate_why {
#define X(id, name) GATE_##id,
	GATE_REASONS(X)
#undef X
	    GATE_WHY_COUNT
};
extern const char *const gate_why_names[GATE_WHY_COUNT + 1];

/* For this side's eyes only: detail may name what the partner must not know. */
struct gate_reason {
	enum gate_why why;
	char detail[256]; /* a sentence with the values */
	char cut[512];    /* the parts that were left out, with commas; "…" at the end when there are more */
	unsigned cut_n;
};

/* Whether the partner may have the object of this id. NULL: only what is
 * public by itself (TLP's definitions, and the ids that the partner's own names stand for). */
struct gate_refs {
	bool (*may)(void *arg, const char *id);
	void *arg;
};

/* *out: a tree of its own, to be dropped by the caller; NULL when denied.
 * refs and why may be NULL. */
enum gate_verdict gate_release_refs(const struct policy *partner, const struct shared *o, int64_t now_us,
				    const struct gate_refs *refs, struct json **out, struct gate_reason *why);
enum gate_verdict gate_release(const struct policy *partner, const struct shared *o, int64_t now_us, struct json **out,
			       struct gate_reason *why);

/* Calls for each id that the object refers to, markings not counted. */
void gate_each_ref(const struct json *stix, void (*fn)(void *arg, const char *id), void *arg);

/* The name under which an organisation stands in an anonymous path: "~" and 16
 * hex digits of SHA-256 over the object's id and the name. Each can find itself in it;
 * who guesses a name can test the guess. */
#define GATE_ALIAS_LEN 18
void gate_alias(const char *id, const char *org, char out[static GATE_ALIAS_LEN]);

#endif
