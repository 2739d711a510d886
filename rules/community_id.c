/* "1:" + base64(SHA-1(input)), where the input is, in network order,
 *
 *   0        2               2+a             2+2a    3+2a   4+2a    6+2a    8+2a
 *   +--------+---------------+---------------+-------+------+-------+-------+
 *   | seed 0 | lower address | other address | proto | 0    | port  | port  |
 *   +--------+---------------+---------------+-------+------+-------+-------+
 *
 * a = 4 or 16. The endpoint that sorts first by (address, port) stands first.
 * The ports are left out for protocols that have none. ICMP's "ports" are its
 * type and the type that answers it; a type without an answer uses its code, and
 * such a flow is one-way: never swapped. */
#include "rules/community_id.h"

#include <netinet/in.h>
#include <string.h>

#include "common/hash.h"

struct endpoints {
	const uint8_t *src, *dest;
	size_t size; /* of an address */
	uint16_t src_port, dest_port;
	bool ports, one_way;
};

struct pair {
	uint8_t type, answer;
};

/* The specification's tables, both ways round. */
static const struct pair icmp4_pairs[] = {{8, 0},   {0, 8},  {13, 14}, {14, 13}, {15, 16},
					  {16, 15}, {10, 9}, {9, 10},  {17, 18}, {18, 17}};
static const struct pair icmp6_pairs[] = {{128, 129}, {129, 128}, {133, 134}, {134, 133}, {135, 136}, {136, 135},
					  {130, 131}, {131, 130}, {139, 140}, {140, 139}, {144, 145}, {145, 144}};

static void icmp_ports(struct endpoints *e, const struct alert_flow *f, const struct pair *pairs, size_t n)
{
	e->ports = e->one_way = true;
	e->src_port = f->icmp_type;
	e->dest_port = f->icmp_code;
	for (size_t i = 0; i < n; i++) {
		if (pairs[i].type != f->icmp_type)
			continue;
		e->dest_port = pairs[i].answer;
		e->one_way = false;
	}
}

static struct endpoints endpoints_of(const struct alert_flow *f)
{
	bool v4 = !f->ipv6 && addr_is_v4(&f->src) && addr_is_v4(&f->dest);
	size_t skip = v4 ? 12 : 0;
	struct endpoints e = {.src = f->src.b + skip, .dest = f->dest.b + skip, .size = 16 - skip};
	switch (f->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		e.ports = true;
		e.src_port = f->src_port;
		e.dest_port = f->dest_port;
		break;
	case IPPROTO_ICMP:
		icmp_ports(&e, f, icmp4_pairs, sizeof(icmp4_pairs) / sizeof(*icmp4_pairs));
		break;
	case IPPROTO_ICMPV6:
		icmp_ports(&e, f, icmp6_pairs, sizeof(icmp6_pairs) / sizeof(*icmp6_pairs));
		break;
	}
	return e;
}

static void sort_endpoints(struct endpoints *e)
{
	int order = memcmp(e->src, e->dest, e->size);
	if (e->one_way || order < 0 || (order == 0 && e->src_port <= e->dest_port))
		return;
	const uint8_t *address = e->src;
	uint16_t port = e->src_port;
	e->src = e->dest;
	e->src_port = e->dest_port;
	e->dest = address;
	e->dest_port = port;
}

/* RFC 4648, with padding. */
static void base64(char *out, const uint8_t *p, size_t n)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < n; i += 3) {
		uint32_t three = (uint32_t)p[i] << 16;
		three |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
		three |= i + 2 < n ? p[i + 2] : 0;
		*out++ = digit[three >> 18];
		*out++ = digit[three >> 12 & 63];
		*out++ = i + 1 < n ? digit[three >> 6 & 63] : '=';
		*out++ = i + 2 < n ? digit[three & 63] : '=';
	}
	*out = '\0';
}

char *community_id(const struct alert_flow *f, char out[static COMMUNITY_ID_LEN])
{
	uint8_t input[2 + 16 + 16 + 2 + 4] = {0}, sha1[20];
	struct endpoints e = endpoints_of(f);
	sort_endpoints(&e);
	size_t n = 2; /* the seed */
	memcpy(input + n, e.src, e.size);
	memcpy(input + n + e.size, e.dest, e.size);
	n += 2 * e.size;
	input[n] = f->proto;
	n += 2;
	if (e.ports) {
		const uint8_t ports[4] = {(uint8_t)(e.src_port >> 8), (uint8_t)e.src_port, (uint8_t)(e.dest_port >> 8),
					  (uint8_t)e.dest_port};
		memcpy(input + n, ports, sizeof(ports));
		n += sizeof(ports);
	}
	hash_sha1(sha1, input, n);
	memcpy(out, "1:", 2);
	base64(out + 2, sha1, sizeof(sha1));
	return out;
}
