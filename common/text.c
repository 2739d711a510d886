#include "common/text.h"

#include <stdio.h>
#include <string.h>

#include "common/buf.h"

/* Length of the well-formed UTF-8 sequence at p, 0 if there is none (Unicode
 * table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF). */
static size_t utf8_length(const uint8_t *p, size_t n)
{
	uint8_t a = p[0];
	if (a < 0x80)
		return 1;
	size_t want = a >= 0xc2 && a <= 0xdf ? 2 : (a & 0xf0) == 0xe0 ? 3 : a >= 0xf0 && a <= 0xf4 ? 4 : 0;
	if (!want || n < want)
		return 0;
	uint8_t low = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80;
	uint8_t high = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < want; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return want;
}

static const char replacement[3] = {'\xef', '\xbf', '\xbd'}; /* U+FFFD */

size_t text_utf8(char *dst, size_t cap, const void *src, size_t n)
{
	const uint8_t *p = src;
	size_t used = 0;
	for (size_t i = 0; i < n;) {
		size_t len = utf8_length(p + i, n - i);
		const void *from = len ? (const void *)(p + i) : replacement;
		size_t size = len ? len : sizeof(replacement);
		if (cap - used < size)
			break;
		memcpy(dst + used, from, size);
		used += size;
		i += len ? len : 1;
	}
	return used;
}

size_t text_control(const void *src, size_t n, unsigned *code)
{
	const uint8_t *p = src;
	size_t len = n ? utf8_length(p, n) : 0;
	unsigned c = len == 1   ? p[0]
		     : len == 2 ? (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu)
		     : len == 3 ? (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu)
				: ' ';
	bool control = c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
		       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfffe || c == 0xffff;
	*code = c;
	return control ? len : 0;
}

char *text_clean(char *dst, size_t cap, const void *src, size_t n)
{
	const uint8_t *p = src;
	size_t used = 0;
	for (size_t i = 0; i < n;) {
		char out[8];
		unsigned code;
		size_t len = utf8_length(p + i, n - i), size = len;
		if (!len || text_control(p + i, len, &code)) {
			code = len ? code : p[i];
			len = len ? len : 1;
			size = (size_t)snprintf(out, sizeof(out), code < 0x100 ? "\\x%02x" : "\\u%04x", code);
		} else {
			memcpy(out, p + i, len);
		}
		if (used + size >= cap)
			break;
		memcpy(dst + used, out, size);
		used += size;
		i += len;
	}
	if (cap)
		dst[used] = '\0';
	return dst;
}

const char *text_shown(const char *s)
{
	static __thread char rooms[9][1024];
	static __thread unsigned next;
	char *room = rooms[next++ % 9];
	return text_clean(room, sizeof(rooms[0]), s ? s : "", s ? strlen(s) : 0);
}

void text_quote(struct buf *out, const void *src, size_t n)
{
	const uint8_t *p = src;
	buf_u8(out, '"');
	for (size_t i = 0, len; i < n; i += len) {
		unsigned code;
		len = utf8_length(p + i, n - i);
		if (!len)
			buf_add(out, replacement, sizeof(replacement));
		else if (text_control(p + i, len, &code))
			buf_printf(out, "\\u%04x", code);
		else if (p[i] == '"' || p[i] == '\\')
			buf_printf(out, "\\%c", p[i]);
		else
			buf_add(out, p + i, len);
		len = len ? len : 1;
	}
	buf_u8(out, '"');
}

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

void text_lower(char *dst, const void *src, size_t n)
{
	const unsigned char *p = src;
	for (size_t i = 0; i < n; i++)
		dst[i] = (char)lower(p[i]);
}

bool text_equal_fold(const void *a, size_t an, const void *b, size_t bn)
{
	const unsigned char *x = a, *y = b;
	if (an != bn)
		return false;
	for (size_t i = 0; i < an; i++)
		if (lower(x[i]) != lower(y[i]))
			return false;
	return true;
}

void text_hex(char *dst, const void *src, size_t n)
{
	static const char digit[] = "0123456789abcdef";
	const uint8_t *p = src;
	for (size_t i = 0; i < n; i++) {
		*dst++ = digit[p[i] >> 4];
		*dst++ = digit[p[i] & 15];
	}
	*dst = '\0';
}

/* 1 + the digit's value; 0: it is none. A set of a million hashes has 64 million of them. */
static const uint8_t hex_digit[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16};

bool text_unhex(void *dst, size_t n, const char *hex, size_t hex_len)
{
	uint8_t *out = dst;
	if (hex_len != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned hi = hex_digit[(uint8_t)hex[2 * i]], lo = hex_digit[(uint8_t)hex[2 * i + 1]];
		if (!hi || !lo)
			return false;
		out[i] = (uint8_t)((hi - 1) << 4 | (lo - 1));
	}
	return true;
}
