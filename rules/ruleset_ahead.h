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

#define RULESET_NAME_OCTETS 255 /* of a name in a message: RFC 1035 section 2.3.4 */

struct ruleset_ahead {
	uint8_t keys, nets;
	uint32_t net[AHEAD_NETS];
	uint64_t key[AHEAD_KEYS];
};

/* Begins anew: nothing is asked. */
static inline void ruleset_ahead_begin(struct ruleset_ahead *a)
{
	a->keys = a->nets = 0;
}

/* A label in a DNS message: where it stands (u8 n, n bytes), and what the name from
 * here to its end comes to, for names that end in it. */
struct ruleset_label {
	const uint8_t *at;
	uint64_t chain;
	uint16_t octets; /* the root's counted */
	uint8_t labels;
};

/* Asks for a name: n labels of which `at` is filled in, read and in bounds of a message
 * that ends at `end`, before a tail that was asked for already with the same a (NULL:
 * the root). Fills in the rest of them. False: too many questions, or not a plain name of
 * at most RULESET_NAME_OCTETS, in ASCII without control characters, '.' and '\' in its labels. */
bool ruleset_ahead_name(const struct ruleset *r, struct ruleset_ahead *a, struct ruleset_label *label, size_t n,
			const struct ruleset_label *tail, const uint8_t *end);

/* Ask for an address, and for one with a port. False: too many questions. */
bool ruleset_ahead_addr(const struct ruleset *r, struct ruleset_ahead *a, const struct addr *addr);
bool ruleset_ahead_endpoint(const struct ruleset *r, struct ruleset_ahead *a, const struct addr *addr, uint16_t port);

/* False: surely no indicator of the types domain, hostname, ip, cidr and ip_port has one
 * of the values that were asked for, in any place and at any time. */
bool ruleset_ahead_maybe(const struct ruleset *r, const struct ruleset_ahead *a);

#endif
