/* What an organisation decides about other people's indicators, without touching
 * their sets. Three verbs, each an entry with a reason and an end:
 *
 *   allow      a value is good: nothing that equals it (or lies below it) alerts
 *              (the allow list of rules/ruleset.h; an entry in `allow:`)
 *   suppress   an indicator is right, and not wanted from these hosts: what it hits
 *              with an end in `source` is counted and not told
 *   disable    an indicator is wrong: what it hits is counted and not told
 *
 *   suppress: [{domain: scan.example, source: 10.1.2.0/24, reason: "our scanner", expires: 2027-01-01}]
 *   disable:  [{ip: 198.51.100.7, reason: "reassigned", expires: 2027-01-01}, {id: D-1, reason: "too broad"}]
 *
 * An indicator is named by type and value, as written or in another spelling, in
 * whatever set, or by its id. Who hides how much is counted per entry. */
#ifndef RULES_OVERRIDES_H
#define RULES_OVERRIDES_H

#include "common/addr.h"
#include "rules/indicator.h"

#define OVERRIDES_MAX 10000

enum override_verb { OVERRIDE_SUPPRESS = 0, OVERRIDE_DISABLE, OVERRIDE_VERB_COUNT };
extern const char *const override_names[OVERRIDE_VERB_COUNT + 1];

struct override {
	enum override_verb verb;
	enum indicator_type type; /* INDICATOR_NONE: by id */
	char *value, *id, *reason;
	struct prefix source;
	bool has_source;
	int64_t expires_us; /* 0 = permanent */
};

/* Entries as files have them; owned. */
struct overrides {
	struct override *v;
	size_t n;
};
/* Takes the strings of o. False: too many; they are freed. */
bool overrides_add(struct overrides *o, const struct override *one);
void overrides_free(struct overrides *o);

/* How a sensor's status calls what an entry has hidden: "hidden.suppress domain
 * scan.example 10.1.2.0/24"; at most 80 bytes of the value. Returns into. */
#define OVERRIDE_KEY_MAX 200
const char *override_status_key(const struct override *o, char into[static OVERRIDE_KEY_MAX]);
/* The same of an allow entry. */
const char *allow_status_key(enum indicator_type t, const char *value, char into[static OVERRIDE_KEY_MAX]);

#endif
