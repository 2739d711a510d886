/* Both sides of a stream: each piece begins with a byte of which the lowest bit
 * is the side, the next says that bytes were lost before it, the rest its length.
 * For: sensor/inspect_tls.c sensor/tls_hello.c */
#include "sensor/parsers.h"
#include "tests/unit/observed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct observed o;
	observed_begin(&o, &parser_tls);
	if (n)
		parser_tls.probe(&o.in, TO_SERVER, data, n);
	for (size_t at = 0; at < n;) {
		uint8_t control = data[at++];
		size_t piece = (size_t)(control >> 2) * 16;
		if (!piece || piece > n - at)
			piece = n - at;
		if (control & 2)
			feed_gap(&o, control & 1, control);
		feed_stream(&o, control & 1, data + at, piece);
		at += piece;
	}
	observed_end(&o);
	return 0;
}
