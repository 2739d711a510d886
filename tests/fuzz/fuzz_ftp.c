/* FTP sessions, and the same bytes as what a data connection carries. Input: tests/fuzz/session.h.
 * For: sensor/inspect_ftp.c */
#include "sensor/parsers.h"
#include "tests/fuzz/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct observed o;
	fuzz_session(&parser_ftp, cursor_over(data, n));
	observed_begin(&o, &parser_ftp_data);
	o.in.note = (struct bytes){(const uint8_t *)"a.exe", 5};
	fuzz_pieces(&o, cursor_over(data, n));
	observed_end(&o);
	return 0;
}
