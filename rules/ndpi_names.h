/* The names that nDPI 4.2 gives to protocols and risks: what indicators of the types
 * protocol and risk can match, and what verdicts are read by. No nDPI call: a table. */
#ifndef RULES_NDPI_NAMES_H
#define RULES_NDPI_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "rules/indicator.h"

#define NDPI_NAMES 283 /* numbers of protocols: 0 is every name that is not in the table */

size_t ndpi_protocol_number(const char *name); /* case ignored */
const char *ndpi_protocol_name(size_t number); /* NULL beyond the last */
const char *ndpi_risk_name(unsigned bit);      /* as nDPI writes it, NULL beyond the last */

/* Whether it is a value that can match; *near: the nearest that can, or NULL. t is
 * INDICATOR_PROTOCOL or INDICATOR_RISK. */
bool ndpi_name_known(enum indicator_type t, const char *value, const char **near);

#endif
