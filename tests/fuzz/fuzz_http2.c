/* HTTP/2 conversations. Input: tests/fuzz/session.h.
 * For: sensor/inspect_http2.c */
#include "sensor/parsers.h"
#include "tests/fuzz/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	fuzz_session(&parser_http2, cursor_over(data, n));
	return 0;
}
