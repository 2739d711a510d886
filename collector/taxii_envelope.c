#include "collector/taxii_envelope.h"

#include <string.h>

static void blanks(struct envelope *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

static bool take(struct envelope *s, char c)
{
	blanks(s);
	if (s->p == s->end || *s->p != (uint8_t)c)
		return false;
	s->p++;
	return true;
}

/* Behind the closing quote: the first one with an even number of backslashes before it. */
static bool string(struct envelope *s)
{
	if (!take(s, '"'))
		return false;
	const uint8_t *from = s->p;
	for (const uint8_t *quote; (quote = memchr(s->p, '"', (size_t)(s->end - s->p)));) {
		const uint8_t *slash = quote;
		while (slash > from && slash[-1] == '\\')
			slash--;
		s->p = quote + 1;
		if ((quote - slash) % 2 == 0)
			return true;
	}
	return false;
}

static bool scalar(struct envelope *s)
{
	const uint8_t *from = s->p;
	while (s->p < s->end && !memchr(" \t\r\n,]}", *s->p, 7))
		s->p++;
	return s->p > from;
}

/* One value: brackets are counted, strings are stepped over. */
static bool value(struct envelope *s, struct err *e)
{
	unsigned depth = 0;
	blanks(s);
	do {
		if (s->p == s->end)
			return false;
		if (*s->p == '"') {
			if (!string(s))
				return false;
		} else if (*s->p == '{' || *s->p == '[') {
			if (++depth > ENVELOPE_DEPTH)
				return err_set(e, "it nests deeper than %d", ENVELOPE_DEPTH);
			s->p++;
		} else if (*s->p == '}' || *s->p == ']') {
			if (!depth--)
				return false;
			s->p++;
		} else if (depth && memchr(",: \t\r\n", *s->p, 6)) {
			s->p++;
		} else if (!scalar(s)) {
			return false;
		}
	} while (depth);
	return true;
}

/* Where the value of a member is kept; NULL: nowhere. A key and its quotes are 6 bytes. */
static struct bytes *named(struct envelope *s, const uint8_t *key)
{
	return memcmp(key, "\"more\"", 6) == 0 ? &s->more : memcmp(key, "\"next\"", 6) == 0 ? &s->next : NULL;
}

/* To the list, or to the end of the map. */
static enum envelope_result members(struct envelope *s, struct err *e)
{
	static const char name[] = "\"objects\"";
	while (!take(s, '}')) {
		if (s->n++ && !take(s, ','))
			return ENVELOPE_BROKEN;
		blanks(s);
		const uint8_t *key = s->p;
		if (!string(s))
			return ENVELOPE_BROKEN;
		size_t key_n = (size_t)(s->p - key);
		bool ours = key_n == sizeof(name) - 1 && memcmp(key, name, sizeof(name) - 1) == 0;
		if (!take(s, ':') || (ours && s->found))
			return ENVELOPE_BROKEN;
		if (ours && !take(s, '['))
			return s->p == s->end ? ENVELOPE_BROKEN : ENVELOPE_NONE;
		if (ours) {
			s->found = s->inside = true;
			return ENVELOPE_OBJECT;
		}
		blanks(s);
		struct bytes text = {s->p, 0}, *kept = key_n == 6 ? named(s, key) : NULL;
		if (!value(s, e))
			return ENVELOPE_BROKEN;
		text.n = (size_t)(s->p - text.p);
		if (kept)
			*kept = text;
	}
	blanks(s);
	return s->p != s->end ? ENVELOPE_BROKEN : s->found ? ENVELOPE_END : ENVELOPE_NONE;
}

struct envelope envelope_over(struct bytes text)
{
	return (struct envelope){.p = text.p, .end = text.p ? text.p + text.n : text.p};
}

/* The list has begun: `[` or an object stands before p. */
static enum envelope_result item(struct envelope *s, struct bytes *object, bool first, struct err *e)
{
	if (take(s, ']')) {
		s->inside = false;
		return ENVELOPE_END;
	}
	if (!first && !take(s, ','))
		return ENVELOPE_BROKEN;
	blanks(s);
	object->p = s->p;
	if (!value(s, e))
		return ENVELOPE_BROKEN;
	object->n = (size_t)(s->p - object->p);
	return ENVELOPE_OBJECT;
}

enum envelope_result envelope_next(struct envelope *s, struct bytes *object, struct err *e)
{
	bool first = false;
	err_set(e, "it is not a JSON map, or it is cut");
	if (!s->n && !s->found && !take(s, '{'))
		return ENVELOPE_BROKEN;
	if (!s->inside) {
		enum envelope_result r = members(s, e);
		if (r == ENVELOPE_NONE)
			err_set(e, "it has no list \"objects\"");
		if (r != ENVELOPE_OBJECT)
			return r;
		first = true;
	}
	enum envelope_result r = item(s, object, first, e);
	return r == ENVELOPE_END ? envelope_next(s, object, e) : r;
}
