#include "common/text.h"

#include <stdio.h>
#include <string.h>

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

size_t text_utf8(char *dst, size_t cap, const void *src, size_t n)
{
	static const char replacement[3] = {'\xef', '\xbf', '\xbd'};
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

/* C0, DEL, and C1 as UTF-8 spells it (c2 80 .. c2 9f). */
static size_t control_length(const uint8_t *p, size_t len)
{
	if (p[0] < 0x20 || p[0] == 0x7f)
		return 1;
	return len == 2 && p[0] == 0xc2 && p[1] < 0xa0 ? 2 : 0;
}

char *text_clean(char *dst, size_t cap, const void *src, size_t n)
{
	const uint8_t *p = src;
	size_t used = 0;
	for (size_t i = 0; i < n;) {
		size_t len = utf8_length(p + i, n - i);
		char out[8];
		size_t size = len;
		if (!len || control_length(p + i, len)) {
			uint8_t shown = len == 2 ? p[i + 1] : p[i];
			size = (size_t)snprintf(out, sizeof(out), "\\x%02x", shown);
			len = len ? len : 1;
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
