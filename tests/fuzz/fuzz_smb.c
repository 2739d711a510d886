/* SMB sessions. Input: tests/fuzz/session.h. */
#include "sensor/parsers.h"
#include "tests/fuzz/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	fuzz_session(&parser_smb, cursor_over(data, n));
	return 0;
}
