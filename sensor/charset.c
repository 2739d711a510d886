/* Only sets of a fixed list are given to iconv: a name from the wire must not
 * make the sensor look for files. UTF-8 and ASCII pass as they are. */
#include "sensor/charset.h"

#include <iconv.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

/* What mail in the field uses; iconv's name, then one alias. */
static const char *const sets[][2] = {
    {"ISO-8859-1", "latin1"},
    {"WINDOWS-1252", "cp1252"},
    {"ISO-8859-15", "latin9"},
    {"ISO-8859-2", "latin2"},
    {"WINDOWS-1250", "cp1250"},
    {"WINDOWS-1251", "cp1251"},
    {"KOI8-R", "koi8"},
    {"KOI8-U", "koi8-ru"},
    {"ISO-8859-5", "cyrillic"},
    {"ISO-8859-7", "greek"},
    {"ISO-8859-9", "latin5"},
    {"WINDOWS-1254", "cp1254"},
    {"ISO-2022-JP", "csISO2022JP"},
    {"SHIFT_JIS", "sjis"},
    {"CP932", "windows-31j"},
    {"EUC-JP", "x-euc-jp"},
    {"EUC-KR", "ks_c_5601-1987"},
    {"ISO-2022-KR", "csISO2022KR"},
    {"GB18030", "gb2312"},
    {"GBK", "cp936"},
    {"BIG5", "big5-hkscs"},
    {"WINDOWS-1255", "cp1255"},
    {"WINDOWS-1256", "cp1256"},
    {"UTF-16", "utf16"},
};
#define SETS (sizeof(sets) / sizeof(sets[0]))

struct charsets {
	iconv_t cd[SETS];
};

struct charsets *charset_prepare(void)
{
	struct charsets *c = calloc(1, sizeof(*c));
	for (size_t i = 0; c && i < SETS; i++)
		c->cd[i] = iconv_open("UTF-8", sets[i][0]);
	return c;
}

void charset_release(struct charsets *c)
{
	for (size_t i = 0; c && i < SETS; i++)
		if (c->cd[i] != (iconv_t)-1)
			iconv_close(c->cd[i]);
	free(c);
}

static const char *known_set(const void *name, size_t n)
{
	for (size_t i = 0; i < SETS; i++)
		for (int k = 0; k < 2; k++)
			if (text_equal_fold(name, n, sets[i][k], strlen(sets[i][k])))
				return sets[i][0];
	return NULL;
}

static size_t copy(const void *in, size_t n, char *out, size_t cap, bool *cut)
{
	*cut |= n > cap;
	size_t k = n < cap ? n : cap;
	if (k)
		memcpy(out, in, k);
	return k;
}

size_t charset_to_utf8(const void *name, size_t name_n, const void *in, size_t n, char *out, size_t cap, bool *cut)
{
	const char *set = known_set(name, name_n);
	iconv_t cd = set ? iconv_open("UTF-8", set) : (iconv_t)-1;
	if (cd == (iconv_t)-1)
		return copy(in, n, out, cap, cut);
	char *from = (char *)(uintptr_t)in, *to = out; /* iconv does not write there; its type lacks the const */
	size_t from_n = n, to_n = cap;
	while (from_n && iconv(cd, &from, &from_n, &to, &to_n) == (size_t)-1 && from_n && to_n) {
		*to++ = *from++; /* an impossible byte stays as it is */
		from_n--;
		to_n--;
	}
	iconv_close(cd);
	*cut |= from_n != 0;
	return cap - to_n;
}
