/* LDAP sessions. Input: tests/fuzz/session.h.
 * For: sensor/inspect_ldap.c */
#include "sensor/parsers.h"
#include "tests/fuzz/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	fuzz_session(&parser_ldap, cursor_over(data, n));
	return 0;
}
