/* IMAP and POP3 sessions. Input: the first byte says which, then tests/fuzz/session.h.
 * For: sensor/inspect_mailbox.c sensor/mailbox_mail.c */
#include "sensor/parsers.h"
#include "tests/fuzz/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_over(data, n);
	fuzz_session(cursor_u8(&c) & 1 ? &parser_imap : &parser_pop3, c);
	return 0;
}
