/* Parameters of structured header fields, as mail (RFC 2045, 2231) and HTTP (RFC
 * 6266) write them. Evaders write them badly: blanks, missing quotes and stray
 * semicolons are taken as mail readers take them.
 *
 *   attachment; filename="a b.exe"
 *   attachment; filename*=utf-8'en'a%20b.exe
 *   attachment; filename*0*=utf-8''a%20; filename*1="b.exe"
 */
#include "sensor/mime.h"

#include <string.h>

#include "common/text.h"

struct out {
	char *p;
	size_t n, cap;
};

static void put(struct out *o, char c)
{
	if (o->n < o->cap)
		o->p[o->n++] = c;
}

static bool blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct param {
	struct bytes name, value;
	bool quoted;
};

static void skip_blanks(struct cursor *c)
{
	while (cursor_left(c) && (blank(*c->p) || *c->p == ';'))
		cursor_skip(c, 1);
}

static struct bytes take_until(struct cursor *c, const char *stop)
{
	const uint8_t *from = c->p;
	while (cursor_left(c) && !memchr(stop, *c->p, strlen(stop)))
		cursor_skip(c, 1);
	return (struct bytes){from, (size_t)(c->p - from)};
}

/* Behind the opening quote; the cursor ends behind the closing one. */
static struct bytes take_quoted(struct cursor *c)
{
	const uint8_t *from = c->p;
	while (cursor_left(c) && *c->p != '"')
		cursor_skip(c, *c->p == '\\' && cursor_left(c) > 1 ? 2 : 1);
	struct bytes b = {from, (size_t)(c->p - from)};
	if (cursor_left(c))
		cursor_skip(c, 1);
	return b;
}

static struct bytes trim_end(struct bytes b)
{
	while (b.n && blank(b.p[b.n - 1]))
		b.n--;
	return b;
}

static bool next_param(struct cursor *c, struct param *out)
{
	skip_blanks(c);
	if (!cursor_left(c))
		return false;
	*out = (struct param){.name = trim_end(take_until(c, "=;"))};
	if (!cursor_left(c) || *c->p != '=')
		return true;
	cursor_skip(c, 1);
	while (cursor_left(c) && blank(*c->p))
		cursor_skip(c, 1);
	out->quoted = cursor_left(c) && *c->p == '"';
	if (out->quoted)
		cursor_skip(c, 1);
	out->value = out->quoted ? take_quoted(c) : trim_end(take_until(c, ";"));
	return true;
}

static void put_plain(struct out *o, const struct param *p)
{
	for (size_t i = 0; i < p->value.n; i++) {
		/* A browser's "C:\dir\x.exe": only an escaped quote or backslash is an escape. */
		bool escape = p->quoted && p->value.p[i] == '\\' && i + 1 < p->value.n &&
			      (p->value.p[i + 1] == '"' || p->value.p[i + 1] == '\\');
		i += escape;
		put(o, (char)p->value.p[i]);
	}
}

/* charset'language'percent-encoded; continued sections have no charset. */
static void put_extended(struct out *o, const struct param *p, bool first)
{
	struct cursor c = cursor_over(p->value.p, p->value.n);
	if (first && p->value.n && memchr(p->value.p, '\'', p->value.n)) {
		take_until(&c, "'");
		cursor_skip(&c, 1);
		take_until(&c, "'");
		cursor_skip(&c, cursor_left(&c) ? 1 : 0);
	}
	while (cursor_left(&c)) {
		uint8_t byte = cursor_u8(&c), value;
		if (byte == '%' && cursor_left(&c) >= 2 && text_unhex(&value, 1, (const char *)c.p, 2)) {
			cursor_skip(&c, 2);
			byte = value;
		}
		put(o, (char)byte);
	}
}

enum param_form { PARAM_OTHER = 0, PARAM_PLAIN, PARAM_EXTENDED, PARAM_SECTION, PARAM_SECTION_EXTENDED };

/* name, name*, name*7, name*7* */
static enum param_form form_of(struct bytes name, const char *want, unsigned *section)
{
	size_t n = strlen(want);
	if (name.n < n || !text_equal_fold(name.p, n, want, n))
		return PARAM_OTHER;
	struct cursor c = cursor_over(name.p + n, name.n - n);
	if (!cursor_left(&c))
		return PARAM_PLAIN;
	if (cursor_u8(&c) != '*')
		return PARAM_OTHER;
	if (!cursor_left(&c))
		return PARAM_EXTENDED;
	unsigned number = 0, digits = 0;
	for (; cursor_left(&c) && *c.p >= '0' && *c.p <= '9' && digits < 3; digits++)
		number = number * 10 + (unsigned)(cursor_u8(&c) - '0');
	*section = number;
	if (!digits)
		return PARAM_OTHER;
	return !cursor_left(&c) ? PARAM_SECTION : cursor_u8(&c) == '*' ? PARAM_SECTION_EXTENDED : PARAM_OTHER;
}

/* Appends section k, wherever it stands; false when there is none. */
static bool put_section(struct out *o, struct bytes params, const char *name, unsigned k)
{
	struct cursor c = cursor_over(params.p, params.n);
	struct param p;
	while (next_param(&c, &p)) {
		unsigned section = 0;
		enum param_form form = form_of(p.name, name, &section);
		if ((form != PARAM_SECTION && form != PARAM_SECTION_EXTENDED) || section != k)
			continue;
		if (form == PARAM_SECTION)
			put_plain(o, &p);
		else
			put_extended(o, &p, k == 0);
		return true;
	}
	return false;
}

size_t mime_param(struct bytes value, const char *name, char *out, size_t cap)
{
	struct cursor c = cursor_over(value.p, value.n);
	struct out o = {.p = out, .cap = cap};
	struct param p, plain = {0};
	bool sections = false;
	while (next_param(&c, &p)) {
		unsigned section = 0;
		switch (form_of(p.name, name, &section)) {
		case PARAM_EXTENDED: /* wins over the plain one (RFC 6266 4.3) */
			put_extended(&o, &p, true);
			return o.n;
		case PARAM_PLAIN:
			if (!plain.value.p)
				plain = p;
			break;
		case PARAM_SECTION:
		case PARAM_SECTION_EXTENDED:
			sections = true;
			break;
		case PARAM_OTHER:
			break;
		}
	}
	for (unsigned k = 0; sections && k < MIME_CONTINUATIONS_MAX && put_section(&o, value, name, k); k++)
		;
	if (!o.n && plain.value.p)
		put_plain(&o, &plain);
	return o.n;
}

size_t mime_filename(struct bytes value, const char *name, char *out, size_t cap)
{
	size_t n = mime_param(value, name, out, cap), from = n;
	while (from && out[from - 1] != '/' && out[from - 1] != '\\')
		from--;
	memmove(out, out + from, n - from);
	return n - from;
}
