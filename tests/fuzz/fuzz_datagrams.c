/* SSDP, and packets quoted in ICMP errors: the first byte chooses.
 * For: sensor/inspect_ssdp.c sensor/quoted.c */
#include "sensor/parsers.h"
#include "sensor/quoted.h"
#include "tests/unit/observed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 1)
		return 0;
	struct observed o;
	struct layer l = {.proto = data[0] & 2 ? 58 : 1,
			  .icmp_type = data[0] & 2 ? 1 : 3,
			  .payload = data + 1,
			  .payload_n = (uint32_t)(n - 1)};
	observed_begin(&o, &parser_ssdp);
	if (data[0] & 1)
		quoted_packet(&o.in, &l);
	else if (n > 1 && parser_ssdp.probe(&o.in, TO_SERVER, data + 1, n - 1) == PROBE_YES)
		feed_datagram(&o, TO_SERVER, data + 1, n - 1);
	observed_end(&o);
	return 0;
}
