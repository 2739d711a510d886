/* Which properties a STIX 2.1 object has (STIX 2.1 sections 3.2, 4 to 7): what is not
 * here does not pass the gate unless a policy names it. */
#ifndef RULES_GATE_FIELDS_H
#define RULES_GATE_FIELDS_H

#include <stdbool.h>

/* A property of the type at the top of the object. */
bool fields_known(const char *type, const char *field);
/* One that the type cannot do without. */
bool fields_required(const char *type, const char *field);
/* Calls for each required one. */
void fields_each_required(const char *type, void (*fn)(void *arg, const char *field), void *arg);
/* Whether the property may hold maps; others hold texts, numbers and lists of those. */
bool fields_holds_maps(const char *field);
/* A member of the maps in external_references, kill_chain_phases or definition;
 * true for any other field. */
bool fields_member_known(const char *field, const char *member);
/* An extension of observables that STIX itself defines, or Picket's. */
bool fields_extension_known(const char *name);

#endif
