/* The gate for indicators that come from somebody else: a partner, a feed, a
 * TAXII client. A sender who is careless or hostile must not make every sensor
 * alert on everything, or on the organisation itself. What does not pass is not
 * thrown away but quarantined with a reason, one indicator at a time; the rest of
 * the set goes on. Maintainers' own rules are judged by rules/lint.h instead.
 *
 * Codes of reasons are stable words that tools may count by:
 *
 *   invalid       the value is not one of its type
 *   too-wide      a prefix, a name or a URL under which half the world lives
 *   own-range     the organisation's own networks and names
 *   reserved      private, link-local, multicast …, names without a public owner
 *   everyday      names, addresses, protocols, logins, issuers of every network
 *   warning-list  on a warning list (MISP's), or wider than an entry of one
 *   empty-file    the hash of nothing
 *   short-pattern so few bytes, or bytes so common, occur by chance
 *   local-matter  risks and heuristics: each network decides on those itself
 *   quota         the source has its share already */
#ifndef RULES_INTAKE_H
#define RULES_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/diag.h"
#include "common/err.h"
#include "rules/indicator.h"

#define INTAKE_PREFIX_V4 16 /* a shorter prefix is too wide */
#define INTAKE_PREFIX_V6 32
#define INTAKE_PATTERN   4 /* bytes that a payload pattern takes at least to match */
#define INTAKE_TEXT      4 /* bytes of a user agent, a file name, a subject … */
#define INTAKE_QUOTA     1000000u

/* 0 = the default above. */
struct intake_conf {
	unsigned prefix_v4, prefix_v6, pattern, text;
	size_t quota; /* indicators of one source that may be active */
};

/* Filled, sealed, then asked; a sealed gate is read-only and may be shared by threads. */
struct intake;

struct intake *intake_new(const struct intake_conf *c); /* NULL: all defaults */
void intake_free(struct intake *g);
/* One of the organisation's own networks ("192.0.2.0/24", an address) or names
 * (with all below it); false when it is neither. */
bool intake_add_own(struct intake *g, const char *value, struct err *e);
/* A MISP warninglist; what of it cannot be used is counted in a note. */
bool intake_add_warninglist(struct intake *g, const char *path, struct diags *d, struct err *e);
bool intake_seal(struct intake *g, struct err *e);

/* One source (a partner, a feed), counted by the gate and kept by the caller:
 * active is set to what the source has in force before a set of it is read, and
 * lowered when some of it is withdrawn. */
struct intake_source {
	size_t active, quarantined;
};

struct intake_reason {
	const char *code; /* static */
	char text[sizeof(((struct err *)NULL)->text)];
};

/* True: may become active (counted in from->active). False: quarantine, with the
 * reason (counted in from->quarantined). from may be NULL: no quota. Costs a few
 * look-ups, so a set of a million is a matter of seconds. */
bool intake_check(const struct intake *g, struct intake_source *from, const struct indicator *i,
		  struct intake_reason *why);

#endif
