/* The community id of a flow, version 1, seed 0
 * (github.com/corelight/community-id-spec): one name for a flow in all tools. */
#ifndef RULES_COMMUNITY_ID_H
#define RULES_COMMUNITY_ID_H

#include "rules/alert.h"

#define COMMUNITY_ID_LEN 31 /* "1:", 28 base64 characters, NUL */

char *community_id(const struct alert_flow *f, char out[static COMMUNITY_ID_LEN]);

#endif
