/* DCE/RPC. Input: tests/fuzz/session.h; and the same bytes as writes to a pipe, of which the first
 * says how long they are.
 * For: sensor/inspect_dcerpc.c */
#include "sensor/dcerpc.h"
#include "sensor/parsers.h"
#include "tests/fuzz/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void as_writes(const uint8_t *data, size_t n)
{
	struct observed o;
	struct framed pipe = {.skip = 0};
	if (!n)
		return;
	size_t piece = data[0] + 1u;
	observed_begin(&o, &parser_dcerpc);
	bool good = n > 1 && dcerpc_begins(data + 1, n - 1);
	for (size_t at = 1; good && at < n; at += piece)
		good = dcerpc_written(&o.in, &pipe, data + at, piece < n - at ? piece : n - at);
	framed_drop(&o.in, &pipe);
	observed_end(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	fuzz_session(&parser_dcerpc, cursor_over(data, n));
	as_writes(data, n);
	return 0;
}
