/* The spellings are those seen in published reports; RFC draft-grimminck-safe-ioc
 * lists them. A lone "dot" between letters stays: it is an English word. */
#include "rules/refang.h"

#include <string.h>

#include "common/text.h"

static const struct {
	const char *broken, *whole;
} spellings[] = {
    {"[.]", "."},   {"(.)", "."},   {"{.}", "."},  {"[.", "."},      {".]", "."},   {"[dot]", "."},
    {"(dot)", "."}, {"{dot}", "."}, {"\\.", "."},  {"[://]", "://"}, {"[:]", ":"},  {"[/]", "/"},
    {"[@]", "@"},   {"(@)", "@"},   {"[at]", "@"}, {"(at)", "@"},    {"{at}", "@"},
};

static const struct {
	const char *broken, *whole;
} schemes[] = {{"hxxps", "https"}, {"hxxp", "http"}, {"h**p", "http"}, {"htxp", "http"},
	       {"meow", "http"},   {"fxp", "ftp"},   {"fxps", "ftps"}};

static bool begins(const char *p, size_t n, const char *with)
{
	return n >= strlen(with) && text_equal_fold(p, strlen(with), with, strlen(with));
}

/* How much of text is a broken scheme: "hxxp" only before "://" or "[:". */
static size_t scheme(const char *text, size_t n, const char **whole)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		size_t k = strlen(schemes[i].broken);
		if (begins(text, n, schemes[i].broken) && n > k && (text[k] == ':' || text[k] == '[')) {
			*whole = schemes[i].whole;
			return k;
		}
	}
	return 0;
}

static size_t spelling(const char *text, size_t n, const char **whole)
{
	for (size_t i = 0; i < sizeof(spellings) / sizeof(*spellings); i++)
		if (begins(text, n, spellings[i].broken)) {
			*whole = spellings[i].whole;
			return strlen(spellings[i].broken);
		}
	return 0;
}

bool refang(const char *text, size_t n, char *out, size_t *out_n)
{
	const char *whole = "";
	size_t used = 0, at = scheme(text, n, &whole);
	bool changed = at > 0;
	memcpy(out, whole, strlen(whole));
	used = strlen(whole);
	while (at < n) {
		bool bracketed_ip = at > 0 && text[at - 1] == '/' && text[at] == '['; /* http://[2001:db8::1]/ */
		size_t k = bracketed_ip && at + 1 < n && text[at + 1] != '.' ? 0 : spelling(text + at, n - at, &whole);
		if (!k) {
			out[used++] = text[at++];
			continue;
		}
		memcpy(out + used, whole, strlen(whole));
		used += strlen(whole);
		at += k;
		changed = true;
	}
	out[used] = '\0';
	*out_n = used;
	return changed;
}
