/* DHCP, SNMP, RDP, MQTT, TFTP and its transfers: the first byte chooses the parser and the size of
 * the pieces of a stream; datagrams are of that many bytes for a parser with a state, else one.
 * For: sensor/inspect_dhcp.c sensor/inspect_snmp.c sensor/inspect_rdp.c sensor/inspect_mqtt.c */
#include "sensor/parsers.h"
#include "tests/unit/observed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct parser *const choices[] = {&parser_dhcp, &parser_snmp,      &parser_rdp,  &parser_mqtt,
						       &parser_tftp, &parser_tftp_data, &parser_dhcp, &parser_snmp};
	if (n < 2)
		return 0;
	const struct parser *p = choices[(data[0] & 3) | (data[0] >> 5 & 4)];
	size_t piece = 1 + (data[0] / 4u & 31);
	struct observed o;
	observed_begin(&o, p);
	p->probe(&o.in, TO_SERVER, data + 1, n - 1);
	if (p->datagram && !p->state_size)
		feed_datagram(&o, TO_SERVER, data + 1, n - 1);
	else if (p->datagram)
		for (size_t at = 1; at < n; at += piece)
			feed_datagram(&o, TO_SERVER, data + at, piece < n - at ? piece : n - at);
	else
		for (size_t at = 1; at < n; at += piece)
			feed_stream(&o, TO_SERVER, data + at, piece < n - at ? piece : n - at);
	observed_end(&o);
	return 0;
}
