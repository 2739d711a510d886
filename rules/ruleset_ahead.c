#include "rules/ruleset_ask.h"

bool ruleset_ask_endpoint(const struct ruleset *r, struct ruleset_ahead *a, const struct addr *addr, uint16_t port)
{
	uint8_t key[sizeof(*addr) + 2];
	memcpy(key, addr, sizeof(*addr));
	key[sizeof(*addr)] = (uint8_t)(port >> 8);
	key[sizeof(*addr) + 1] = (uint8_t)port;
	return ruleset_ask_key(r, a, space_hash(&r->head.key, INDICATOR_IP_PORT, 0, key, sizeof(key)));
}

/* A filter said yes: mostly wrongly, which the fingerprints settle. Apart: few come here. */
static __attribute__((noinline)) bool settle(const struct ruleset *r, const struct ruleset_ahead *a)
{
	for (size_t i = 0; i < a->keys; i++)
		if (ruleset_bloom(r, a->key[i]) && ruleset_filed(r, a->key[i]))
			return true;
	for (size_t i = 0; i < a->nets; i++)
		if (ruleset_net(r, a->net[i]) && ruleset_net_filed(r, &a->addr[i]))
			return true;
	return false;
}

bool ruleset_ahead_maybe(const struct ruleset *r, const struct ruleset_ahead *a)
{
	for (const uint64_t *h = a->key, *end = h + a->keys; h < end; h++)
		if (ruleset_bloom(r, *h))
			return settle(r, a);
	for (const uint32_t *place = a->net, *end = place + a->nets; place < end; place++)
		if (ruleset_net(r, *place))
			return settle(r, a);
	return false;
}
