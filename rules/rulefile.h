/* From files that people write to a rule set. Bad entries are reported with
 * their place and all others still load. */
#ifndef RULES_RULEFILE_H
#define RULES_RULEFILE_H

#include "common/diag.h"
#include "rules/trust.h"
#include "rules/rule_tests.h"
#include "rules/ruleset.h"

/* What became of one file. */
struct rulefile_count {
	size_t read, loaded, refused, duplicate;
};

/* Whose word counts for signed sets (rules/manifest.h). Without it their digest
 * is checked, their signature is not. */
struct rulefile_trust {
	const struct trust *keys;
	bool required; /* files without a signature are refused */
	int64_t now_us;
	struct overrides *overrides; /* what the files suppress and disable is added; may be NULL */
	size_t *duplicates;          /* how many entries were there already; may be NULL */
	int64_t judge_us; /* not 0: what is no error and yet unwise about `allow:`, `suppress:` and `disable:` at
			     this time is told, too */
};

/* Reads one file into b: YAML by content or the ending .yaml/.yml; CSV with or
 * without the header `type,value[,…]`; anything else as YAML. Other formats join
 * here. False: the file could not be opened or read to its end (what was read
 * is in b), or is refused as a whole. t may be NULL. */
bool rulefile_read(struct ruleset_builder *b, const char *path, const struct rulefile_trust *t, struct diags *d,
		   struct rulefile_count *count);

/* What an entry is when nothing is said. */
struct rule_source;
void rulefile_defaults(struct rule_source *s);

/* What a rule file (YAML) says of itself with `test:`. False: it cannot be read. */
bool rulefile_tests(const char *path, struct rule_tests *out, struct diags *d);

/* What a program wants: the files (each YAML, CSV, signed or compiled; a folder means
 * every such file in it) as one set, or NULL with an error in d. partial is set
 * when some entries or files were left out. An empty set is an error unless
 * allow_empty. A lone compiled file is mapped as it is. */
struct ruleset *rulefile_load(const char *const *paths, size_t n, bool allow_empty, struct diags *d, bool *partial);
/* The same; t may be NULL. A compiled file has no signature. */
struct ruleset *rulefile_load_trusted(const char *const *paths, size_t n, bool allow_empty,
				      const struct rulefile_trust *t, struct diags *d, bool *partial);

#endif
