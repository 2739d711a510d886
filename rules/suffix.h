/* The door to libpsl: is a name one under which anybody may register? */
#ifndef RULES_SUFFIX_H
#define RULES_SUFFIX_H

#include <stdbool.h>

/* name: canonical, lower-case ASCII. *shared is set when it is a provider's
 * (github.io) rather than a registry's (co.jp). A single label is always one. */
bool suffix_public(const char *name, bool *shared);

#endif
