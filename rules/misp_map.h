/* MISP's attribute types (misp-core-format, "describeTypes") and ours. */
#ifndef RULES_MISP_MAP_H
#define RULES_MISP_MAP_H

#include "rules/indicator.h"

struct misp_type {
	const char *name;
	/* "a|b" types have a value "x|y": each half has its own type, NONE is left out
	 * quietly because the other half says it all. */
	enum indicator_type first, second;
	const char *category; /* with which we write it; NULL: it is only read */
};

const struct misp_type *misp_type_named(const char *name);          /* NULL: not seen on a network */
const struct misp_type *misp_type_written(enum indicator_type t);   /* NULL: MISP has no such type */

#endif
