/* A recursive descent, one function for each rule:
 *
 *   pattern      = observations, joined by FOLLOWEDBY, OR, AND (loosest first)
 *   observation  = "[" comparisons "]" | "(" pattern ")", then any number of qualifiers
 *   qualifier    = START t'…' STOP t'…' | WITHIN n SECONDS | REPEATS n TIMES
 *   comparisons  = tests, joined by OR, AND
 *   test         = path [NOT] operator literal | [NOT] EXISTS path | "(" comparisons ")"
 *   path         = type ":" name { "." name | "[" number | "*" "]" }
 *
 * FOLLOWEDBY, OR and AND of observations are read as one list: whether two of them
 * are mixed does not change what is well-formed. */
#include "rules/stix_grammar.h"

#include <stdbool.h>
#include <string.h>

struct judge {
	const char *p, *end, *start;
	unsigned depth;
	bool too_deep;
	const char *why;
	size_t at;
};

static bool no(struct judge *j, const char *why)
{
	if (!j->why) {
		j->why = why;
		j->at = (size_t)(j->p - j->start);
	}
	return false;
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || digit(c) || c == '_';
}

static bool left(const struct judge *j, size_t n)
{
	return (size_t)(j->end - j->p) >= n;
}

/* Blanks and comments of both kinds. */
static void blanks(struct judge *j)
{
	for (;;) {
		while (j->p < j->end && *j->p && strchr(" \t\r\n\f\v", *j->p))
			j->p++;
		if (left(j, 2) && memcmp(j->p, "//", 2) == 0) {
			const char *eol = memchr(j->p, '\n', (size_t)(j->end - j->p));
			j->p = eol ? eol : j->end;
		} else if (left(j, 2) && memcmp(j->p, "/*", 2) == 0) {
			const char *p = j->p + 2;
			while (p + 1 < j->end && !(p[0] == '*' && p[1] == '/'))
				p++;
			if (p + 1 >= j->end)
				return;
			j->p = p + 2;
		} else {
			return;
		}
	}
}

static bool take(struct judge *j, const char *sign)
{
	size_t n = strlen(sign);
	blanks(j);
	if (!left(j, n) || memcmp(j->p, sign, n) != 0)
		return false;
	j->p += n;
	return true;
}

static bool word(struct judge *j, const char *keyword)
{
	size_t n = strlen(keyword);
	blanks(j);
	if (!left(j, n) || memcmp(j->p, keyword, n) != 0 || (left(j, n + 1) && (name_byte(j->p[n]) || j->p[n] == '-')))
		return false;
	j->p += n;
	return true;
}

static bool deeper(struct judge *j)
{
	j->too_deep = ++j->depth > STIX_NESTING_MAX;
	return !j->too_deep || no(j, "nested more deeply than is taken");
}

/* ---- literals ---- */

/* At the opening quote; *from and *n are what stands between the quotes. */
static bool quoted(struct judge *j, const char **from, size_t *n)
{
	if (j->p == j->end || *j->p != '\'')
		return no(j, "a text in quotes should stand here");
	*from = ++j->p;
	for (; j->p < j->end && *j->p != '\''; j->p++)
		if (*j->p == '\\' && (!left(j, 2) || (j->p[1] != '\'' && j->p[1] != '\\') || !++j->p))
			return no(j, "only \\' and \\\\ may stand behind a backslash");
	if (j->p == j->end)
		return no(j, "a text that does not end");
	*n = (size_t)(j->p++ - *from);
	return true;
}

static bool text(struct judge *j)
{
	const char *from;
	size_t n;
	blanks(j);
	return quoted(j, &from, &n);
}

static bool digits(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!digit(p[i]))
			return false;
	return true;
}

/* YYYY-MM-DDTHH:MM:SS[.fraction]Z */
static bool is_time(const char *p, size_t n)
{
	static const char form[] = "0000-00-00T00:00:00";
	const size_t fixed = sizeof(form) - 1;
	if (n < fixed + 1 || p[n - 1] != 'Z')
		return false;
	for (size_t i = 0; i < fixed; i++)
		if (form[i] == '0' ? !digit(p[i]) : p[i] != form[i])
			return false;
	bool fraction = n > fixed + 1;
	int month = (p[5] - '0') * 10 + p[6] - '0', day = (p[8] - '0') * 10 + p[9] - '0';
	int hour = (p[11] - '0') * 10 + p[12] - '0', minute = (p[14] - '0') * 10 + p[15] - '0';
	int second = (p[17] - '0') * 10 + p[18] - '0';
	return (!fraction || (p[fixed] == '.' && n > fixed + 2 && digits(p + fixed + 1, n - fixed - 2))) &&
	       month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour < 24 && minute < 60 && second <= 60;
}

static bool is_hex(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!digit(p[i]) && !(p[i] >= 'a' && p[i] <= 'f') && !(p[i] >= 'A' && p[i] <= 'F'))
			return false;
	return n % 2 == 0;
}

static bool is_base64(const char *p, size_t n)
{
	size_t pad = 0;
	while (pad < 2 && n > pad && p[n - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i + pad < n; i++)
		if (!digit(p[i]) && !(p[i] >= 'a' && p[i] <= 'z') && !(p[i] >= 'A' && p[i] <= 'Z') && p[i] != '+' &&
		    p[i] != '/')
			return false;
	return n % 4 == 0;
}

static bool time_literal(struct judge *j)
{
	const char *from;
	size_t n;
	if (!take(j, "t'"))
		return no(j, "a time such as t'2026-01-01T00:00:00Z' should stand here");
	j->p--;
	return quoted(j, &from, &n) && (is_time(from, n) || no(j, "this is no time"));
}

static bool prefixed(struct judge *j, char kind)
{
	const char *from;
	size_t n;
	if (kind == 't')
		return time_literal(j);
	j->p++;
	if (!quoted(j, &from, &n))
		return false;
	return (kind == 'h' ? is_hex(from, n) : is_base64(from, n)) || no(j, "the digits of a binary value are wrong");
}

/* [+-] digits [. digits]; whole and positive only when that is asked for. */
static bool number(struct judge *j, bool positive, bool whole)
{
	blanks(j);
	if (j->p < j->end && (*j->p == '-' || *j->p == '+')) {
		if (positive && *j->p == '-')
			return no(j, "a number above zero should stand here");
		j->p++;
	}
	const char *from = j->p;
	while (j->p < j->end && digit(*j->p))
		j->p++;
	size_t before = (size_t)(j->p - from), after = 0;
	if (!whole && j->p < j->end && *j->p == '.') {
		for (j->p++; j->p < j->end && digit(*j->p); j->p++)
			after++;
		return after > 0 || no(j, "a number that ends in a dot");
	}
	if (before > 1 && *from == '0')
		return no(j, "a number that begins with 0");
	return (before > 0 && (j->p == j->end || !name_byte(*j->p))) || no(j, "a number should stand here");
}

static bool literal(struct judge *j, bool may_be_bool)
{
	blanks(j);
	if (j->p == j->end)
		return no(j, "a value should stand here");
	if (*j->p == '\'')
		return text(j);
	if (left(j, 2) && j->p[1] == '\'' && strchr("hbt", *j->p))
		return prefixed(j, *j->p);
	if (word(j, "true") || word(j, "false"))
		return may_be_bool || no(j, "true and false have no order");
	return number(j, false, false);
}

static bool set_literal(struct judge *j)
{
	if (!take(j, "("))
		return no(j, "a list in parentheses should stand here");
	if (take(j, ")"))
		return no(j, "a list without a value");
	do {
		if (!literal(j, true))
			return false;
	} while (take(j, ","));
	return take(j, ")") || no(j, "a list that does not end");
}

/* ---- paths ---- */

/* A name, with hyphens where they may stand. */
static bool name(struct judge *j, bool hyphens)
{
	const char *from = j->p;
	if (j->p < j->end && digit(*j->p))
		return no(j, "a name that begins with a digit");
	while (j->p < j->end && (name_byte(*j->p) || (hyphens && *j->p == '-')))
		j->p++;
	return j->p > from || no(j, "a name should stand here");
}

static bool step(struct judge *j)
{
	const char *from;
	size_t n;
	return j->p < j->end && *j->p == '\'' ? quoted(j, &from, &n) : name(j, false);
}

static bool path(struct judge *j)
{
	blanks(j);
	if (!name(j, true) || !take(j, ":"))
		return no(j, "an object path such as domain-name:value should stand here");
	blanks(j);
	if (!step(j))
		return false;
	for (;;) {
		if (take(j, ".")) {
			blanks(j);
			if (!step(j))
				return false;
		} else if (take(j, "[")) {
			if (!take(j, "*") && !number(j, false, true))
				return false;
			if (!take(j, "]"))
				return no(j, "an index that does not end");
		} else {
			return true;
		}
	}
}

/* ---- comparisons ---- */

static bool test(struct judge *j)
{
	static const char *const of_text[] = {"LIKE", "MATCHES", "ISSUBSET", "ISSUPERSET"};
	static const char *const of_order[] = {"<=", ">=", "<", ">"};
	if (!path(j))
		return false;
	word(j, "NOT");
	if (word(j, "IN"))
		return set_literal(j);
	for (size_t i = 0; i < sizeof(of_text) / sizeof(*of_text); i++)
		if (word(j, of_text[i]))
			return text(j);
	if (take(j, "==") || take(j, "=") || take(j, "!=") || take(j, "<>"))
		return literal(j, true);
	for (size_t i = 0; i < sizeof(of_order) / sizeof(*of_order); i++)
		if (take(j, of_order[i]))
			return literal(j, false);
	return no(j, "an operator should stand behind the path");
}

static bool comparisons(struct judge *j)
{
	do {
		if (take(j, "(")) {
			if (!deeper(j) || !comparisons(j))
				return false;
			if (!take(j, ")"))
				return no(j, "a parenthesis that does not close");
			j->depth--;
			continue;
		}
		bool not = word(j, "NOT"), exists = word(j, "EXISTS");
		if (not &&!exists)
			return no(j, "NOT stands behind the path, or before EXISTS");
		if (exists ? !path(j) : !test(j))
			return false;
	} while (word(j, "AND") || word(j, "OR"));
	return true;
}

/* ---- observations ---- */

/* Each at most once for one observation. Behind a parenthesis OASIS' validator lets
 * them stand again, and what a partner's tools write is not ours to refuse. */
static bool qualifiers(struct judge *j, bool nested)
{
	bool start = false, within = false, repeats = false;
	for (;;) {
		if (nested)
			start = within = repeats = false;
		if ((start && word(j, "START")) || (within && word(j, "WITHIN")) || (repeats && word(j, "REPEATS")))
			return no(j, "the same qualifier twice");
		if (word(j, "START")) {
			start = true;
			if (!time_literal(j) || !word(j, "STOP"))
				return no(j, "START t'…' STOP t'…' is not complete");
			if (!time_literal(j))
				return false;
		} else if (word(j, "WITHIN")) {
			within = true;
			if (!number(j, true, false) || !word(j, "SECONDS"))
				return no(j, "WITHIN n SECONDS is not complete");
		} else if (word(j, "REPEATS")) {
			repeats = true;
			if (!number(j, true, true) || !word(j, "TIMES"))
				return no(j, "REPEATS n TIMES is not complete");
		} else {
			return true;
		}
	}
}

static bool observations(struct judge *j)
{
	do {
		bool nested = take(j, "(");
		if (nested && (!deeper(j) || !observations(j)))
			return false;
		if (nested && !take(j, ")"))
			return no(j, "a parenthesis that does not close");
		j->depth -= nested;
		if (!nested && !take(j, "["))
			return no(j, "an observation [ … ] should stand here");
		if (!nested && (!comparisons(j) || !take(j, "]")))
			return no(j, "an observation that does not end with ]");
		if (!qualifiers(j, nested))
			return false;
	} while (word(j, "AND") || word(j, "OR") || word(j, "FOLLOWEDBY"));
	return true;
}

enum stix_verdict stix_grammar(const char *pattern, size_t n, const char **why, size_t *at)
{
	struct judge j = {.p = pattern, .end = pattern + n, .start = pattern};
	bool good = observations(&j);
	blanks(&j);
	if (good && j.p < j.end)
		good = no(&j, "something stands behind the pattern");
	if (why)
		*why = j.why;
	if (at)
		*at = j.at;
	return good ? STIX_WELL_FORMED : j.too_deep ? STIX_TOO_DEEP : STIX_MALFORMED;
}
