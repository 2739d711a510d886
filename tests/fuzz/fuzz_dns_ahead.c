/* The first byte chooses the ports; the rest is a datagram.
 * For: sensor/dns_ahead.c */
#include "tests/unit/dns_both_ways.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const uint16_t ports[] = {40000, 53, 5353, 5355, 137, 53};
	static struct both_ways w;
	if (!n)
		return 0;
	if (!w.rules)
		both_ways_begin(&w);
	uint16_t other = ports[data[0] / 2 % (sizeof(ports) / sizeof(ports[0]))];
	both_ways(&w, data[0] & 1 ? 53 : other, data[0] & 1 ? other : 53, data + 1, n - 1);
	return 0;
}
