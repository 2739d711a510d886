/* From a rule set to a signed one: what `picket rules sign` and `push` share. */
#ifndef RULES_SIGNING_H
#define RULES_SIGNING_H

#include "common/buf.h"
#include "rules/manifest.h"
#include "rules/overrides.h"
#include "rules/ruleset.h"

struct signing {
	struct sign_key *key;
	const char *key_path; /* as given; the caller reads it */
	uint32_t version;     /* 0 = the set's own */
	char previous[MANIFEST_DIGEST_LEN];
	enum urgency priority;
	const char *exercise;       /* NULL = the set's own */
	int64_t until_us;           /* not valid for longer than this; 0 = as long as the set says */
	struct overrides overrides; /* what the files suppress and disable; the caller's */
	bool withdraw, shrink;
	int64_t now_us;
};

/* Rows for getopt_long and what they do; other characters are left alone. */
#define SIGNING_OPTIONS                                                                                                \
	{"key", 1, NULL, 'k'}, {"set-version", 1, NULL, 'V'}, {"priority", 1, NULL, 'P'}, {"exercise", 1, NULL, 'X'},  \
	    {"withdraw", 0, NULL, 'W'},                                                                                \
	{                                                                                                              \
		"allow-shrink", 0, NULL, 'S'                                                                           \
	}
bool signing_option(struct signing *s, int option, const char *argument, struct err *e);

/* Lays r (one set) out, makes its manifest, signs it, and appends the whole file
 * (rules/manifest.h). */
bool signing_make(const struct ruleset *r, const struct signing *s, struct buf *file, struct manifest *m,
		  struct err *e);

/* The same for content that is laid out already, as when an older version is
 * published again: m->set, valid_until and exercise are the caller's. */
bool signing_seal(struct bytes content, size_t count, const struct signing *s, struct manifest *m, struct buf *file,
		  struct err *e);

/* An empty version of a set, whatever was in it: sensors drop what they have. */
bool signing_withdrawn(const char *set, const struct signing *s, struct manifest *m, struct buf *file, struct err *e);

#endif
