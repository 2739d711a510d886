/* PROXY headers: the first byte is the size of the pieces of a stream.
 * For: sensor/inspect_proxy.c */
#include "sensor/parsers.h"
#include "tests/unit/observed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 2)
		return 0;
	size_t piece = data[0] + 1u;
	struct observed o;
	observed_begin(&o, &parser_proxy);
	parser_proxy.probe(&o.in, TO_SERVER, data + 1, n - 1);
	for (size_t at = 1; at < n; at += piece)
		feed_stream(&o, TO_SERVER, data + at, piece < n - at ? piece : n - at);
	observed_end(&o);
	return 0;
}
