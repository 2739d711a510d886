/* Text as an attacker would choose it, and what must hold of all that leaves. */
#ifndef TESTS_UNIT_HOSTILE_TEXT_H
#define TESTS_UNIT_HOSTILE_TEXT_H

#include <iconv.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *const hostile_text[] = {
    "plain",
    "",
    "\x1b[2J\x1b[1;31mred",
    "\x1b]0;title\x07",
    "\x1b]8;;http://x.example\x1b\\link",
    "\xc2\x9b"
    "2J C1 CSI as UTF-8",
    "\x9b"
    "31m C1 as a byte",
    "line\nforged: line\r\nSet-Cookie: x=1",
    "over\rwritten",
    "tab\tvertical\vform\fbell\abackspace\b\b\b\x7f",
    "\xe2\x80\xae"
    "gpj.exe \xe2\x81\xa6 bidi \xe2\x81\xa9",
    "\xd8\x9c\xe2\x80\x8e\xe2\x80\x8f marks",
    "\xe2\x80\xa8line separator\xe2\x80\xa9",
    "\xff\xfe\xc0\x80\xc1\xbf overlong",
    "\xe0\x80\xaf\xf0\x80\x80\xaf overlong slash",
    "\xed\xa0\x80\xed\xbf\xbf surrogates",
    "\xf4\x90\x80\x80\xf8\x88\x80\x80\x80 above",
    "\xef\xbf\xbe\xef\xbf\xbf noncharacters",
    "cut \xe6\x97",
    "日本語 🦊 e\xcc\x81",
    "%s%n%x%5$s%*d",
    "\"quotes\" 'and' `ticks`",
    "back\\slash \\u0041 \\x41 \\n \\",
    "]]>--><!--<script>&amp;&#27;</x>",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "'=1",
    "''-",
    "\t=1",
    "#comment",
    "a #TODO b # SKIP",
    "-",
    "~",
    "null",
    "true",
    "{a: [b]} , ]}, tlp: clear",
    "- x: y\n...\n---\n",
    "a,b;c|d\"",
    " blanks around ",
    "\xef\xbb\xbf"
    "bom",
    "*1\r\n$3\r\nDEL\r\n",
    "../../etc/passwd",
    "$(id) `id` ; id | id > x",
};
#define HOSTILE_TEXTS (sizeof(hostile_text) / sizeof(*hostile_text))

/* The number-th text: the table, then random bytes that favour what hurts, up to 4 kB. */
static inline size_t hostile_make(unsigned number, char out[static 4096])
{
	static const char *const parts[] = {"\x1b[",
					    "\xc2\x85",
					    "\xe2\x80\xae",
					    "\xed\xa0\x80",
					    "\n",
					    "\r",
					    "\"",
					    "\\",
					    "\xf0\x9f\xa6\x8a",
					    "<",
					    "&",
					    "%s",
					    "'",
					    "=",
					    "\x7f",
					    "\xc3",
					    "\xe2\x80"};
	size_t n = 0;
	if (number < HOSTILE_TEXTS) {
		n = strlen(hostile_text[number]);
		memcpy(out, hostile_text[number], n + 1);
		return n;
	}
	srandom(number);
	size_t want = (size_t)random() % (number % 8 ? 80 : 4000);
	while (n < want) {
		const char *part = parts[(size_t)random() % (sizeof(parts) / sizeof(*parts))];
		if (random() % 3 == 0) {
			memcpy(out + n, part, strlen(part));
			n += strlen(part);
		} else {
			out[n++] = (char)(1 + random() % 255);
		}
	}
	out[n] = '\0';
	return n;
}

/* Whether a terminal, a log or a parser of UTF-8 can be fooled by these bytes. glibc's
 * converter says whether they are UTF-8: it shares no code with ours. lines: line ends
 * (and tabs) may stand there. */
static inline bool hostile_escaped(const char *text, size_t n, bool lines)
{
	iconv_t to = iconv_open("UTF-32LE", "UTF-8");
	size_t left = 4 * n + 4;
	uint32_t *wide = calloc(n + 1, 4);
	char *in = (char *)(uintptr_t)text, *out = (char *)wide;
	size_t in_left = n;
	bool good = iconv(to, &in, &in_left, &out, &left) == 0 && !in_left;
	iconv_close(to);
	size_t count = (4 * n + 4 - left) / 4;
	for (size_t i = 0; good && i < count; i++) {
		uint32_t c = wide[i];
		good = (c >= 0x20 || (lines && (c == '\n' || c == '\t'))) && !(c >= 0x7f && c <= 0x9f) && c != 0x61c &&
		       c != 0x200e && c != 0x200f && !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069) &&
		       c != 0xfffe && c != 0xffff;
	}
	free(wide);
	return good;
}

#endif
