#include "rules/ruleset_ahead.h"

#include "rules/ruleset_format.h"

static bool ask(const struct ruleset *r, struct ruleset_ahead *a, uint64_t h)
{
	if (a->keys == AHEAD_KEYS)
		return false;
	a->key[a->keys++] = h;
	__builtin_prefetch(ruleset_bloom_block(r, h));
	return true;
}

static bool listed_depth(const struct ruleset *r, unsigned labels)
{
	return r->head.depths >> (labels < 63 ? labels : 63) & 1;
}

bool ruleset_ahead_name(const struct ruleset *r, struct ruleset_ahead *a, struct ruleset_label *label, size_t n,
			const struct ruleset_label *tail, const uint8_t *end)
{
	const struct hash_key *key = &r->head.key;
	uint64_t unplain = 0, chain = tail ? tail->chain : NAME_HASH_START;
	unsigned octets = tail ? tail->octets : 1, labels = tail ? tail->labels : 0;
	while (n-- > 0) {
		const uint8_t *at = label[n].at;
		chain = name_hash_wire_label(key, chain, at + 1, *at, end, &unplain);
		octets += *at + 1u;
		label[n].chain = chain;
		label[n].octets = (uint16_t)octets;
		label[n].labels = (uint8_t)++labels;
		if (listed_depth(r, labels) && !ask(r, a, name_hash_end(key, INDICATOR_DOMAIN, chain)))
			return false;
	}
	return !unplain && octets <= RULESET_NAME_OCTETS;
}

bool ruleset_ahead_addr(const struct ruleset *r, struct ruleset_ahead *a, const struct addr *addr)
{
	uint32_t place = ruleset_net_place(r, addr);
	if (r->head.hosts && !ask(r, a, address_hash(&r->head.key, INDICATOR_IP, 128, addr->b)))
		return false;
	if (place == RULESET_NONE)
		return true;
	if (a->nets == AHEAD_NETS)
		return false;
	a->net[a->nets++] = place;
	__builtin_prefetch(ruleset_net_byte(r, place));
	return true;
}

bool ruleset_ahead_endpoint(const struct ruleset *r, struct ruleset_ahead *a, const struct addr *addr, uint16_t port)
{
	uint8_t key[sizeof(*addr) + 2];
	memcpy(key, addr, sizeof(*addr));
	key[sizeof(*addr)] = (uint8_t)(port >> 8);
	key[sizeof(*addr) + 1] = (uint8_t)port;
	return ask(r, a, space_hash(&r->head.key, INDICATOR_IP_PORT, 0, key, sizeof(key)));
}

bool ruleset_ahead_maybe(const struct ruleset *r, const struct ruleset_ahead *a)
{
	for (size_t i = 0; i < a->keys; i++)
		if (ruleset_bloom(r, a->key[i]))
			return true;
	for (size_t i = 0; i < a->nets; i++)
		if (ruleset_net(r, a->net[i]))
			return true;
	return false;
}
