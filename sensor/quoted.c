/* ICMP errors quote the beginning of the packet that they are about (RFC 792; RFC 4443,
 * 3; RFC 1812, 4.3.2.3: as much as fits into 576 bytes):
 *
 *   IP header | first bytes of its transport header and payload
 *
 * Decisions:
 *   - Nobody sent the quoted packet here, now: it may have passed elsewhere, or be made
 *     up. So it is no layer and no flow; what hits in it stands on the flow of the ICMP
 *     message and is marked icmp.quoted.…, which a rule's `where` may leave out.
 *   - Matched are its addresses, and the question of a quoted DNS, mDNS or LLMNR
 *     datagram: a name that somebody asked for. Half of a request or of a hello is not
 *     read, and payload patterns are not looked for: both would tell of bytes that the
 *     quote may have cut in the middle.
 *   - IPv6 extension headers in a quote are not stepped over. */
#include "sensor/quoted.h"

#include <netinet/in.h>
#include <string.h>

#define NAME_MAX 255 /* RFC 1035, 2.3.4 */

static bool is_error(const struct layer *l)
{
	if (l->proto == IPPROTO_ICMP)
		return l->icmp_type == 3 || l->icmp_type == 4 || l->icmp_type == 5 || l->icmp_type == 11 ||
		       l->icmp_type == 12;
	return l->proto == IPPROTO_ICMPV6 && l->icmp_type >= 1 && l->icmp_type <= 4;
}

/* Labels, uncompressed, as text. Gives its length, or 0: not a whole name. */
static size_t read_name(struct cursor *c, char out[static NAME_MAX])
{
	size_t n = 0;
	for (size_t label = cursor_u8(c); label; label = cursor_u8(c)) {
		struct bytes b = cursor_bytes(c, label);
		if (!cursor_ok(c) || label > 63 || n + label + 1 > NAME_MAX || memchr(b.p, '.', b.n))
			return 0;
		if (n)
			out[n++] = '.';
		memcpy(out + n, b.p, b.n);
		n += b.n;
	}
	return cursor_ok(c) ? n : 0;
}

/* UDP (8 bytes) and DNS' header: 0 id | 2 flags: opcode 7800 | 4 questions | 6 … | 12 name */
static void quoted_question(struct inspect *in, struct cursor c)
{
	char name[NAME_MAX];
	uint16_t src = cursor_u16(&c), dest = cursor_u16(&c);
	bool dns = src == 53 || dest == 53 || dest == 5353 || dest == 5355;
	cursor_skip(&c, 4 + 2);
	bool query = (cursor_u16(&c) & 0x7800) == 0;
	uint16_t questions = cursor_u16(&c);
	cursor_skip(&c, 6);
	if (!dns || !query || questions != 1 || !wanted(in, WHERE_QUOTED_NAME))
		return;
	size_t n = read_name(&c, name);
	if (n)
		observe(in, WHERE_QUOTED_NAME, name, n);
}

static void report(struct inspect *in, struct addr src, struct addr dest)
{
	observe(in, WHERE_QUOTED_SRC, &src, sizeof(src));
	observe(in, WHERE_QUOTED_DEST, &dest, sizeof(dest));
}

static bool quoted_ip4(struct inspect *in, struct cursor c)
{
	const uint8_t *ip = cursor_take(&c, 20);
	size_t head_n = ip ? (ip[0] & 15) * 4u : 0;
	if (!ip || ip[0] >> 4 != 4 || head_n < 20)
		return false;
	report(in, addr_v4(ip + 12), addr_v4(ip + 16));
	cursor_skip(&c, head_n - 20);
	bool first = ((ip[6] & 0x1f) | ip[7]) == 0;
	if (ip[9] == IPPROTO_UDP && first)
		quoted_question(in, c);
	return true;
}

static bool quoted_ip6(struct inspect *in, struct cursor c)
{
	const uint8_t *ip = cursor_take(&c, 40);
	if (!ip || ip[0] >> 4 != 6)
		return false;
	report(in, addr_v6(ip + 8), addr_v6(ip + 24));
	if (ip[6] == IPPROTO_UDP)
		quoted_question(in, c);
	return true;
}

bool quoted_packet(struct inspect *in, const struct layer *l)
{
	if (!is_error(l))
		return false;
	struct cursor c = cursor_over(l->payload, l->payload_n);
	bool read = l->proto == IPPROTO_ICMP ? quoted_ip4(in, c) : quoted_ip6(in, c);
	if (read)
		ledger_count(in->ledger, LEDGER_QUOTED);
	return read;
}
