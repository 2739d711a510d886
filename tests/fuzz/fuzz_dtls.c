/* Datagrams of both sides: each begins with a byte of which the lowest bit is the
 * side and the rest its length in units of 8.
 * For: sensor/inspect_dtls.c */
#include "sensor/parsers.h"
#include "tests/unit/observed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct observed o;
	observed_begin(&o, &parser_dtls);
	if (n)
		parser_dtls.probe(&o.in, TO_SERVER, data, n);
	for (size_t at = 0; at < n;) {
		uint8_t control = data[at++];
		size_t piece = (size_t)(control >> 1) * 8;
		if (!piece || piece > n - at)
			piece = n - at;
		feed_datagram(&o, control & 1, data + at, piece);
		at += piece;
	}
	observed_end(&o);
	return 0;
}
