/* The first byte chooses the side and the size of the pieces.
 * For: sensor/inspect_ssh.c */
#include "sensor/parsers.h"
#include "tests/unit/observed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (!n)
		return 0;
	struct observed o;
	enum side side = data[0] & 1 ? TO_CLIENT : TO_SERVER;
	size_t piece = 1 + data[0] / 2u;
	observed_begin(&o, &parser_ssh);
	parser_ssh.probe(&o.in, side, data + 1, n - 1);
	for (size_t at = 1; at < n; at += piece)
		feed_stream(&o, side, data + at, piece < n - at ? piece : n - at);
	observed_end(&o);
	return 0;
}
