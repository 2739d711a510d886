#include "rules/json_items.h"

#include <string.h>

static void blanks(struct json_items *it)
{
	while (it->p < it->end && (*it->p == ' ' || *it->p == '\n' || *it->p == '\r' || *it->p == '\t'))
		it->p++;
}

static bool take(struct json_items *it, char c)
{
	blanks(it);
	if (it->p == it->end || *it->p != c)
		return false;
	it->p++;
	return true;
}

/* At the opening quote; steps behind the closing one: the first that an even
 * number of backslashes stands before. */
static bool skip_string(struct json_items *it)
{
	const char *from = it->p + 1, *quote;
	while (from < it->end && (quote = memchr(from, '"', (size_t)(it->end - from)))) {
		const char *slash = quote;
		while (slash > from && slash[-1] == '\\')
			slash--;
		it->p = quote + 1;
		if ((quote - slash) % 2 == 0)
			return true;
		from = quote + 1;
	}
	it->p = it->end;
	return false;
}

static bool skip_nested(struct json_items *it)
{
	size_t depth = 0;
	while (it->p < it->end) {
		char c = *it->p;
		if (c == '"') {
			if (!skip_string(it))
				return false;
			continue;
		}
		it->p++;
		depth += c == '{' || c == '[';
		if ((c == '}' || c == ']') && --depth == 0)
			return true;
	}
	return false;
}

static bool skip_value(struct json_items *it)
{
	blanks(it);
	if (it->p == it->end)
		return false;
	if (*it->p == '"')
		return skip_string(it);
	if (*it->p == '{' || *it->p == '[')
		return skip_nested(it);
	const char *from = it->p;
	while (it->p < it->end && !strchr(",]}: \n\r\t", *it->p))
		it->p++;
	return it->p > from;
}

bool json_items_open(struct json_items *it, const void *text, size_t n, const char *key)
{
	*it = (struct json_items){.p = text, .end = (const char *)text + n};
	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		it->p += 3;
	if (take(it, '['))
		return it->inside = true;
	if (!take(it, '{'))
		return false;
	do {
		blanks(it);
		const char *name = it->p + 1;
		if (it->p == it->end || *it->p != '"' || !skip_string(it))
			return false;
		bool ours = (size_t)(it->p - 1 - name) == strlen(key) && memcmp(name, key, strlen(key)) == 0;
		if (!take(it, ':'))
			return false;
		if (ours && take(it, '['))
			return it->inside = true;
		if (!skip_value(it))
			return false;
	} while (take(it, ','));
	return false;
}

bool json_items_next(struct json_items *it, struct bytes *item)
{
	if (!it->inside)
		return false;
	if (take(it, ']'))
		return it->inside = false;
	blanks(it);
	const char *from = it->p;
	if (!skip_value(it) || it->p == from) {
		it->bad = true;
		return it->inside = false;
	}
	*item = (struct bytes){.p = (const uint8_t *)from, .n = (size_t)(it->p - from)};
	blanks(it);
	if (it->p < it->end && *it->p == ',') {
		it->p++;
		return true;
	}
	if (it->p == it->end || *it->p != ']') {
		it->bad = true;
		it->inside = false;
	}
	return true;
}
