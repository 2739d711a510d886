/* DHCP, SNMP, RDP and MQTT: the first byte chooses. The rest is a datagram, or of a stream what
 * tests/fuzz/session.h says.
 * For: sensor/inspect_dhcp.c sensor/inspect_snmp.c sensor/inspect_rdp.c sensor/inspect_mqtt.c */
#include "sensor/parsers.h"
#include "tests/fuzz/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct parser *const choices[] = {&parser_dhcp, &parser_snmp, &parser_rdp, &parser_mqtt};
	struct observed o;
	if (n < 2)
		return 0;
	const struct parser *p = choices[data[0] & 3];
	if (p->stream) {
		fuzz_session(p, cursor_over(data + 1, n - 1));
		return 0;
	}
	observed_begin(&o, p);
	p->probe(&o.in, TO_SERVER, data + 1, n - 1);
	feed_datagram(&o, TO_SERVER, data + 1, n - 1);
	observed_end(&o);
	return 0;
}
