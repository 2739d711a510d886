/* SNMP v1 and v2c (RFC 1157, RFC 1901) over UDP: the community, a password in
 * clear. BER: 30 len { 02 01 version, 04 len community, a0..a8 len PDU }. */
#include "sensor/ber.h"
#include "sensor/parsers.h"

#define COMMUNITY_MAX 255

struct message {
	struct bytes community;
	bool good;
};

/* The whole datagram is one message, or it is not SNMP. */
static struct message read_message(const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n);
	struct message m = {.good = false};
	bool sequence = cursor_u8(&c) == 0x30 && ber_length(&c) == cursor_left(&c);
	bool integer = cursor_u8(&c) == 0x02 && cursor_u8(&c) == 1;
	uint8_t version = cursor_u8(&c);
	bool octets = cursor_u8(&c) == 0x04;
	size_t length = ber_length(&c);
	m.community = cursor_bytes(&c, length);
	uint8_t pdu = cursor_u8(&c);
	bool whole = ber_length(&c) == cursor_left(&c);
	m.good = cursor_ok(&c) && sequence && integer && version <= 1 && octets && pdu >= 0xa0 && pdu <= 0xa8 && whole;
	return m;
}

static enum probe snmp_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)in;
	(void)side;
	return read_message(p, n).good ? PROBE_YES : PROBE_NO;
}

static enum verdict snmp_datagram(struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct message m = read_message(p, n);
	(void)side;
	if (!m.good)
		return INSPECT_ERROR;
	if (m.community.n > COMMUNITY_MAX)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	else if (m.community.n)
		observe(in, WHERE_SNMP_COMMUNITY, m.community.p, m.community.n);
	return INSPECT_MORE;
}

const struct parser parser_snmp = {.name = "snmp", .over = OVER_UDP, .probe = snmp_probe, .datagram = snmp_datagram};
