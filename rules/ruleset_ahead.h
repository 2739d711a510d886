/* Questions to the set, put ahead of their turn: what a packet will ask is hashed
 * and the memory that holds the answers is fetched while other packets are worked
 * on; when its turn comes, most packets hear "surely nothing" at once. For the set
 * is far larger than the caches, and an answer waited for takes longer than all
 * the rest of a packet. */
#ifndef RULES_RULESET_AHEAD_H
#define RULES_RULESET_AHEAD_H

#include "rules/ruleset.h"

#define AHEAD_KEYS 24 /* names with their parents, addresses */
#define AHEAD_NETS 12 /* addresses that a CIDR may cover */

struct ruleset_ahead {
	uint32_t keys, nets;
	uint32_t net[AHEAD_NETS];
	struct addr addr[AHEAD_NETS]; /* whose bits these are */
	uint64_t key[AHEAD_KEYS];
};

/* Begins anew: nothing is asked. The questions are in rules/ruleset_ask.h. */
static inline void ruleset_ahead_begin(struct ruleset_ahead *a)
{
	a->keys = a->nets = 0;
}

/* False: surely no indicator of the types domain, hostname, ip, cidr and ip_port has one
 * of the values that were asked for, in any place and at any time. */
bool ruleset_ahead_maybe(const struct ruleset *r, const struct ruleset_ahead *a);

#endif
