/* What every network has, so that nobody else's indicator may be just that. The
 * lists are short on purpose: what a hostile or careless sender tries first. Long
 * ones are MISP's warninglists, which are read beside them. */
#ifndef RULES_EVERYDAY_H
#define RULES_EVERYDAY_H

#include <stdbool.h>
#include <stddef.h>

#include "rules/indicator.h"

/* Names (exactly these, not what is below them) and addresses; NULL-terminated. */
extern const char *const everyday_names[], *const everyday_addresses[];

/* For the types that are compared as text: is value one that every network has? */
bool everyday_text(enum indicator_type t, const char *value);

/* Are these bytes part of what every HTTP, TLS, DNS, mail session begins with, or
 * one byte over and over? */
bool everyday_bytes(const void *p, size_t n);

#endif
