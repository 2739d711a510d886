/* The first byte chooses parser and port; the rest is a datagram or a stream in
 * pieces of varying size.
 * For: sensor/inspect_dns.c */
#include "sensor/parsers.h"
#include "tests/unit/observed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct {
	const struct parser *parser;
	uint16_t port;
} choices[] = {{&parser_dns_udp, 53}, {&parser_dns_udp, 9999}, {&parser_mdns, 5353},
	       {&parser_llmnr, 5355}, {&parser_dns_tcp, 53},   {&parser_dns_tcp, 9999}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (!n)
		return 0;
	struct observed o;
	size_t choice = data[0] % (sizeof(choices) / sizeof(choices[0]));
	size_t piece = 1 + data[0] / 8u;
	observed_begin(&o, choices[choice].parser);
	o.in.dest_port = choices[choice].port;
	choices[choice].parser->probe(&o.in, TO_SERVER, data + 1, n - 1);
	if (!choices[choice].parser->stream)
		feed_datagram(&o, TO_CLIENT, data + 1, n - 1);
	else
		for (size_t at = 1; at < n; at += piece)
			feed_stream(&o, TO_SERVER, data + at, piece < n - at ? piece : n - at);
	observed_end(&o);
	return 0;
}
