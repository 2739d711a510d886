/* The door to libpsl: is a name one under which anybody may register? */
#ifndef RULES_SUFFIX_H
#define RULES_SUFFIX_H

#include <stdbool.h>

/* name: canonical, lower-case ASCII. *shared is set when it is a provider's
 * (github.io) rather than a registry's (co.jp). A single label is always one. */
bool suffix_public(const char *name, bool *shared);

/* The part of name that somebody registered ("a.b.example.co.jp": "example.co.jp"),
 * inside name; NULL when name is a public suffix itself or there is no list. */
const char *suffix_registered(const char *name);

/* Is the last label a top-level domain that exists? */
bool suffix_top_level_known(const char *name);

#endif
