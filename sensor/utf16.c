/* UTF-16 (RFC 2781) to UTF-8 (RFC 3629). */
#include "sensor/utf16.h"

#include <string.h>

static size_t put(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = n - 1; i; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(lead[n] | c);
	return n;
}

/* One character; the second half of a pair is only taken when it is one. */
static uint32_t next(struct cursor *c)
{
	uint32_t high = cursor_u16le(c);
	if (high < 0xd800 || high > 0xdfff)
		return high;
	struct cursor ahead = *c;
	uint32_t low = cursor_u16le(&ahead);
	if (high > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return 0xfffd;
	*c = ahead;
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

size_t utf16_to_utf8(struct bytes from, char *out, size_t cap)
{
	struct cursor c = cursor_over(from.p, from.n);
	size_t n = 0;
	while (cursor_left(&c) >= 2) {
		char one[4];
		size_t one_n = put(next(&c), one);
		if (one_n > cap - n)
			break;
		memcpy(out + n, one, one_n);
		n += one_n;
	}
	return n;
}
