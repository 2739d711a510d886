/* Putting questions ahead (rules/ruleset_ahead.h): inline, because every packet of a
 * new flow and every DNS message puts some. */
#ifndef RULES_RULESET_ASK_H
#define RULES_RULESET_ASK_H

#include "rules/ruleset_ahead.h"
#include "rules/ruleset_format.h"

#define RULESET_NAME_OCTETS 255 /* of a name in a message: RFC 1035 section 2.3.4 */

/* All of these: false when there are too many questions. */

static inline bool ruleset_ask_key(const struct ruleset *r, struct ruleset_ahead *a, uint64_t h)
{
	if (a->keys == AHEAD_KEYS)
		return false;
	a->key[a->keys++] = h;
	__builtin_prefetch(ruleset_bloom_block(r, h));
	return true;
}

static inline bool ruleset_ask_addr(const struct ruleset *r, struct ruleset_ahead *a, const struct addr *addr)
{
	uint32_t place = ruleset_net_place(r, addr);
	if (r->head.hosts && !ruleset_ask_key(r, a, address_hash(&r->head.key, INDICATOR_IP, 128, addr->b)))
		return false;
	if (place == RULESET_NONE)
		return true;
	if (a->nets == AHEAD_NETS)
		return false;
	a->net[a->nets] = place;
	a->addr[a->nets++] = *addr;
	__builtin_prefetch(ruleset_net_byte(r, place));
	return true;
}

/* An address with a port. */
bool ruleset_ask_endpoint(const struct ruleset *r, struct ruleset_ahead *a, const struct addr *addr, uint16_t port);

/* A label in a DNS message: where it stands (u8 n, n bytes), and what the name from
 * here to its end comes to, for names that end in it. */
struct ruleset_label {
	const uint8_t *at;
	uint64_t chain;
	uint32_t size; /* octets, the root's counted; from bit 16 on: labels */
};

/* Asks for a name: n labels of which `at` is filled in, read and in bounds of a message
 * of 16 bytes and more that ends at `end`, before a tail that was asked for already with
 * the same a (NULL: the root). Fills in the rest of them. False also for a name that is
 * not plain: of at most RULESET_NAME_OCTETS, in ASCII without control characters. */
static inline __attribute__((always_inline)) bool ruleset_ask_name(const struct ruleset *r, struct ruleset_ahead *a,
								   struct ruleset_label *label, size_t n,
								   const struct ruleset_label *tail, const uint8_t *end)
{
	const struct hash_key *key = &r->head.key;
	const uint64_t depths = r->head.depths;
	name_bytes unplain = {0};
	uint64_t chain = tail ? tail->chain : NAME_HASH_START;
	uint32_t size = tail ? tail->size : 1;
	for (struct ruleset_label *l = label + n; l-- > label;) {
		unsigned length = *l->at;
		chain = name_hash_wire_label(key, chain, l->at + 1, length, end, &unplain);
		size += (1u << 16) + length + 1;
		l->chain = chain;
		l->size = size;
		unsigned labels = size >> 16;
		bool listed = depths >> (labels < 63 ? labels : 63) & 1;
		if (listed && !ruleset_ask_key(r, a, name_hash_end(key, INDICATOR_DOMAIN, chain)))
			return false;
	}
	name_words any = (name_words)unplain;
	return !(any[0] | any[1]) && (size & 0xffff) <= RULESET_NAME_OCTETS;
}

#endif
