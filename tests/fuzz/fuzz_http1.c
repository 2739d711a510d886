/* HTTP/1 conversations. Input: tests/fuzz/session.h.
 * For: sensor/inspect_http.c sensor/http_head.c sensor/http_body.c sensor/http_request.c sensor/http_auth.c */
#include "sensor/parsers.h"
#include "tests/fuzz/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	fuzz_session(&parser_http1, cursor_over(data, n));
	return 0;
}
