/* DHCP (RFC 2131) over UDP: the names that a client gives itself.
 *
 *   0 op  1 htype  2 hlen  3 hops  4 xid  8 secs  10 flags  12 four addresses
 *   28 chaddr (16)  44 sname (64)  108 file (128)  236 magic 63 82 53 63
 *   240 options: u8 code, u8 length, value; 0 = pad, 255 = end
 *
 * Host name (12, RFC 2132) and FQDN (81, RFC 4702; its DNS wire form becomes
 * text). Options that continue in sname and file (52) are read there too. */
#include <assert.h>
#include <string.h>

#include "sensor/parsers.h"

#define MAGIC       0x63825363u
#define SNAME_AT    44
#define FILE_AT     108
#define MAGIC_AT    236
#define OPTIONS_MAX 256 /* per field of a message, padding not counted */

enum { OPT_PAD = 0, OPT_HOST_NAME = 12, OPT_OVERLOAD = 52, OPT_FQDN = 81, OPT_END = 255 };

static enum probe dhcp_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n);
	(void)in;
	(void)side;
	uint8_t op = cursor_u8(&c);
	cursor_skip(&c, 1);
	uint8_t hardware_n = cursor_u8(&c);
	cursor_skip(&c, MAGIC_AT - 3);
	bool magic = cursor_u32(&c) == MAGIC;
	return cursor_ok(&c) && magic && (op == 1 || op == 2) && hardware_n <= 16 ? PROBE_YES : PROBE_NO;
}

static void report_name(struct inspect *in, const uint8_t *p, size_t n)
{
	while (n && p[n - 1] == '\0') /* some clients count a terminator */
		n--;
	if (n)
		observe(in, WHERE_DHCP_HOSTNAME, p, n);
}

/* RFC 4702 2.3.1: with the E flag the name is labels, else deprecated plain text. */
static void report_fqdn(struct inspect *in, struct cursor c)
{
	uint8_t flags = cursor_u8(&c), text[UINT8_MAX]; /* an option is no longer */
	size_t n = 0;
	cursor_skip(&c, 2);
	if (!(flags & 0x04)) {
		report_name(in, c.p, cursor_left(&c));
		return;
	}
	while (cursor_left(&c)) {
		struct bytes label = cursor_bytes(&c, cursor_u8(&c));
		if (!label.n)
			break;
		assert(n + label.n < sizeof(text));
		if (n)
			text[n++] = '.';
		memcpy(text + n, label.p, label.n);
		n += label.n;
	}
	report_name(in, text, n);
}

/* Returns what option 52 says: bit 0 the file field, bit 1 the sname field hold options. */
static uint8_t read_options(struct inspect *in, struct cursor c)
{
	uint8_t overload = 0;
	int n = 0;
	while (cursor_left(&c)) {
		uint8_t code = cursor_u8(&c);
		if (code == OPT_PAD)
			continue;
		if (code == OPT_END)
			break;
		if (n++ == OPTIONS_MAX) {
			ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
			break;
		}
		struct cursor value = cursor_sub(&c, cursor_u8(&c));
		if (!cursor_ok(&value))
			break;
		if (code == OPT_HOST_NAME)
			report_name(in, value.p, cursor_left(&value));
		else if (code == OPT_FQDN)
			report_fqdn(in, value);
		else if (code == OPT_OVERLOAD)
			overload = cursor_u8(&value) & 3;
	}
	return overload;
}

static enum verdict dhcp_datagram(struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)side;
	if (n < MAGIC_AT + 4 || dhcp_probe(in, side, p, n) != PROBE_YES)
		return INSPECT_ERROR;
	uint8_t overload = read_options(in, cursor_over(p + MAGIC_AT + 4, n - MAGIC_AT - 4));
	if (overload & 1)
		read_options(in, cursor_over(p + FILE_AT, MAGIC_AT - FILE_AT));
	if (overload & 2)
		read_options(in, cursor_over(p + SNAME_AT, FILE_AT - SNAME_AT));
	return INSPECT_MORE;
}

const struct parser parser_dhcp = {.name = "dhcp", .over = OVER_UDP, .probe = dhcp_probe, .datagram = dhcp_datagram};
