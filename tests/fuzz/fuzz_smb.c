/* SMB sessions. Input: tests/fuzz/session.h.
 * For: sensor/inspect_smb.c sensor/smb1.c sensor/smb2.c sensor/smb_files.c sensor/smb_pipes.c sensor/ntlm.c */
#include "sensor/parsers.h"
#include "tests/fuzz/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	fuzz_session(&parser_smb, cursor_over(data, n));
	return 0;
}
