/* Which object path of STIX stands for which type: for reading and for writing.
 * Paths that no object of STIX 2.1 has are in our own extension, x-picket-ext. */
#ifndef RULES_STIX_MAP_H
#define RULES_STIX_MAP_H

#include "rules/indicator.h"

struct stix_path {
	const char *path;
	enum indicator_type type;
	const char *where; /* NULL = everywhere */
};

/* NULL: not one that is looked at. Names with a hyphen may be quoted or not, hash names in any case. */
const struct stix_path *stix_path_find(const char *path);
/* The path to write for a type limited to where (NULL: everywhere); IPv6 has its
 * own. NULL: no single comparison says it. */
const char *stix_path_of(enum indicator_type t, const char *where, bool ipv6);

#endif
