/* AUTHENTICATE_MESSAGE, [MS-NLMP] 2.2.1.3, little-endian:
 *
 *    0  "NTLMSSP\0"
 *    8  u32 type: 3
 *   12  LM response, 20 NT response, 28 domain, 36 user, 44 workstation, 52 key:
 *       each u16 length, u16 room, u32 offset from the beginning of the message
 *   60  u32 flags: bit 0 the names are UTF-16, otherwise the OEM character set
 *
 * The message is looked for, not decoded out of SPNEGO's ASN.1: its signature is
 * eight bytes that nothing else in a token begins with. */
#define _GNU_SOURCE /* memmem */
#include "sensor/ntlm.h"

#include <string.h>

#include "sensor/utf16.h"

#define MESSAGES_MAX 4 /* signatures looked at in one blob */

static const uint8_t signature[8] = "NTLMSSP";

enum { AUTHENTICATE = 3, FLAG_UNICODE = 1 };

static struct bytes find_message(struct bytes b)
{
	const uint8_t *at = b.n ? memmem(b.p, b.n, signature, sizeof(signature)) : NULL;
	return (struct bytes){at, at ? b.n - (size_t)(at - b.p) : 0};
}

static void report(struct inspect *in, struct bytes user, bool unicode)
{
	char text[NTLM_USER_MAX / 2 * 3];
	if (user.n > NTLM_USER_MAX) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		return;
	}
	if (!unicode) {
		observe(in, WHERE_NTLM_USER, user.p, user.n);
		return;
	}
	size_t n = utf16_to_utf8(user, text, sizeof(text));
	if (n)
		observe(in, WHERE_NTLM_USER, text, n);
}

static void read_message(struct inspect *in, struct bytes m)
{
	struct cursor c = cursor_over(m.p, m.n);
	cursor_skip(&c, sizeof(signature));
	if (cursor_u32le(&c) != AUTHENTICATE)
		return;
	cursor_skip(&c, 24);
	size_t length = cursor_u16le(&c);
	cursor_skip(&c, 2);
	size_t offset = cursor_u32le(&c);
	cursor_skip(&c, 16);
	uint32_t flags = cursor_u32le(&c);
	if (!cursor_ok(&c) || !length)
		return;
	struct cursor whole = cursor_over(m.p, m.n);
	cursor_skip(&whole, offset);
	struct bytes user = cursor_bytes(&whole, length);
	if (cursor_ok(&whole))
		report(in, user, flags & FLAG_UNICODE);
}

void ntlm_user(struct inspect *in, const void *blob, size_t n)
{
	struct bytes left = {blob, n};
	if (!wanted(in, WHERE_NTLM_USER))
		return;
	for (int i = 0;; i++) {
		struct bytes m = find_message(left);
		if (!m.n)
			return;
		if (i == MESSAGES_MAX) {
			ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
			return;
		}
		read_message(in, m);
		left = (struct bytes){m.p + sizeof(signature), m.n - sizeof(signature)};
	}
}
