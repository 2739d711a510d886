/* Parameters of structured header fields, as mail (RFC 2045, 2231) and HTTP (RFC
 * 6266) write them. Evaders write them badly: blanks, missing quotes and stray
 * semicolons are taken as mail readers take them.
 *
 *   attachment; filename="a b.exe"
 *   attachment; filename*=utf-8'en'a%20b.exe
 *   attachment; filename*0*=utf-8''a%20; filename*1="b.exe"
 */
#include "sensor/mime_field.h"

#include <string.h>

#include "common/text.h"
#include "common/scratch.h"
#include "sensor/charset.h"

struct out {
	char *p;
	size_t n, cap;
	bool cut; /* there was more */
};

static void put(struct out *o, char c)
{
	if (o->n < o->cap)
		o->p[o->n++] = c;
	else
		o->cut = true;
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
static void put_extended(struct out *o, const struct param *p, bool first, struct bytes *charset)
{
	struct cursor c = cursor_over(p->value.p, p->value.n);
	if (first && p->value.n && memchr(p->value.p, '\'', p->value.n)) {
		*charset = take_until(&c, "'");
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
static bool put_section(struct out *o, struct bytes params, const char *name, unsigned k, struct bytes *charset)
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
			put_extended(o, &p, k == 0, charset);
		return true;
	}
	return false;
}

/* The raw value and the character set that it names. */
static size_t param_raw(struct bytes value, const char *name, char *out, size_t cap, struct bytes *charset, bool *cut)
{
	struct cursor c = cursor_over(value.p, value.n);
	struct out o = {.p = out, .cap = cap};
	struct param p, plain = {0};
	bool sections = false;
	while (next_param(&c, &p)) {
		unsigned section = 0;
		switch (form_of(p.name, name, &section)) {
		case PARAM_EXTENDED: /* wins over the plain one (RFC 6266 4.3) */
			put_extended(&o, &p, true, charset);
			*cut |= o.cut;
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
	for (unsigned k = 0; sections && put_section(&o, value, name, k, charset); k++) {
		if (k < MIME_CONTINUATIONS_MAX)
			continue;
		o.cut = true;
		break;
	}
	if (!o.n && plain.value.p)
		put_plain(&o, &plain);
	*cut |= o.cut;
	return o.n;
}

size_t mime_param(struct bytes value, const char *name, char *out, size_t cap, bool *cut)
{
	char raw[MIME_VALUE_MAX];
	struct bytes charset = {0};
	size_t n = param_raw(value, name, raw, sizeof(raw), &charset, cut);
	return charset_to_utf8(charset.p, charset.n, raw, n, out, cap, cut);
}

size_t mime_filename(struct bytes value, const char *name, char *out, size_t cap, bool *cut)
{
	SCRATCH char raw[MIME_VALUE_MAX], path[MIME_VALUE_MAX];
	size_t n = mime_param(value, name, raw, sizeof(raw), cut);
	n = mime_words((struct bytes){(const uint8_t *)raw, n}, path, sizeof(path), cut);
	size_t from = n;
	while (from && path[from - 1] != '/' && path[from - 1] != '\\')
		from--;
	n -= from;
	*cut |= n > cap;
	n = n < cap ? n : cap;
	memcpy(out, path + from, n);
	return n;
}

/* ---- base64 ---- */

/* By byte: one more than its six bits; 0: no digit. */
// clang-format off
static const uint8_t base64_digit[256] = {
    ['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7, ['H'] = 8, ['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13,
    ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26,
    ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39,
    ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52,
    ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};
// clang-format on

/* A digit that does not come with three others, or what is none. Gives how many bytes it made. */
static size_t base64_one(struct base64 *b, uint8_t c, uint8_t *out)
{
	if (c == '=') { /* 2 sextets are one byte, 3 are two; those came out already */
		b->have = 0;
		return 0;
	}
	if (!base64_digit[c])
		return 0;
	b->bits = (b->bits << 6 | (base64_digit[c] - 1u)) & 0xffffff;
	b->have = (uint8_t)((b->have + 1) & 3);
	/* The byte that this sextet completes: 2nd, 3rd and 4th each complete one. */
	if (b->have == 1)
		return 0;
	*out = (uint8_t)(b->bits >> (b->have == 2 ? 4 : b->have == 3 ? 2 : 0));
	return 1;
}

size_t base64_decode(struct base64 *b, const uint8_t *p, size_t n, uint8_t *out)
{
	size_t made = 0, i = 0;
	while (i < n) {
		const uint8_t *four = p + i;
		uint8_t w, x, y, z;
		if (b->have || n - i < 4 || !(w = base64_digit[four[0]]) || !(x = base64_digit[four[1]]) ||
		    !(y = base64_digit[four[2]]) || !(z = base64_digit[four[3]])) {
			made += base64_one(b, p[i++], out + made);
			continue;
		}
		uint32_t bits = (uint32_t)(w - 1) << 18 | (uint32_t)(x - 1) << 12 | (uint32_t)(y - 1) << 6 | (z - 1u);
		out[made] = (uint8_t)(bits >> 16);
		out[made + 1] = (uint8_t)(bits >> 8);
		out[made + 2] = (uint8_t)bits;
		made += 3;
		i += 4;
	}
	return made;
}

/* ---- encoded words: =?charset?B|Q?text?= (RFC 2047) ---- */

struct word {
	struct bytes charset, text;
	bool base64;
};

/* A word at the cursor; the cursor moves behind it only when there is one. */
static bool take_word(struct cursor *at, struct word *w)
{
	struct cursor c = *at;
	if (cursor_u8(&c) != '=' || cursor_u8(&c) != '?')
		return false;
	w->charset = take_until(&c, "? \t\r\n");
	if (cursor_u8(&c) != '?')
		return false;
	uint8_t encoding = cursor_u8(&c) | 0x20;
	if (cursor_u8(&c) != '?' || (encoding != 'b' && encoding != 'q'))
		return false;
	w->base64 = encoding == 'b';
	w->text = take_until(&c, "?");
	if (cursor_u8(&c) != '?' || cursor_u8(&c) != '=' || !cursor_ok(&c))
		return false;
	const uint8_t *language = w->charset.n ? memchr(w->charset.p, '*', w->charset.n) : NULL;
	if (language) /* RFC 2231 5 */
		w->charset.n = (size_t)(language - w->charset.p);
	*at = c;
	return true;
}

static size_t decode_q(struct bytes text, uint8_t *out)
{
	struct cursor c = cursor_over(text.p, text.n);
	size_t made = 0;
	while (cursor_left(&c)) {
		uint8_t byte = cursor_u8(&c), value;
		if (byte == '=' && cursor_left(&c) >= 2 && text_unhex(&value, 1, (const char *)c.p, 2)) {
			cursor_skip(&c, 2);
			byte = value;
		} else if (byte == '_') {
			byte = ' ';
		}
		out[made++] = byte;
	}
	return made;
}

static size_t decode_word(const struct word *w, uint8_t *out, size_t cap, bool *cut)
{
	struct bytes text = w->text;
	struct base64 b = {0};
	*cut |= text.n > cap;
	if (text.n > cap)
		text.n = cap;
	return w->base64 ? base64_decode(&b, text.p, text.n, out) : decode_q(text, out);
}

static void take_blanks(struct cursor *c)
{
	while (cursor_left(c) && blank(*c->p))
		cursor_skip(c, 1);
}

/* Words in a row, with only blanks between them, are one text; those of one
 * character set are converted together, as mailers split characters. */
static void put_words(struct out *o, struct cursor *c, struct word *w)
{
	SCRATCH uint8_t raw[MIME_VALUE_MAX];
	size_t n = 0;
	struct bytes charset = w->charset;
	for (;;) {
		n += decode_word(w, raw + n, sizeof(raw) - n, &o->cut);
		struct cursor next = *c;
		take_blanks(&next);
		bool more = take_word(&next, w);
		bool same = more && text_equal_fold(charset.p, charset.n, w->charset.p, w->charset.n);
		if (!same) {
			o->n += charset_to_utf8(charset.p, charset.n, raw, n, o->p + o->n, o->cap - o->n, &o->cut);
			n = 0;
		}
		if (!more)
			return;
		charset = w->charset;
		*c = next;
	}
}

size_t mime_words(struct bytes value, char *out, size_t cap, bool *cut)
{
	struct cursor c = cursor_over(value.p, value.n);
	struct out o = {.p = out, .cap = cap};
	while (cursor_left(&c)) {
		struct word w;
		if (*c.p == '=' && take_word(&c, &w)) {
			put_words(&o, &c, &w);
			continue;
		}
		uint8_t byte = cursor_u8(&c);
		if (byte != '\r' && byte != '\n') /* a fold is the line end only (RFC 5322 2.2.3) */
			put(&o, (char)byte);
	}
	*cut |= o.cut;
	return o.n;
}

/* ---- address lists (RFC 5322 3.4) ----
 *
 *   "Name, with comma" <user@host>, user@host (comment), Group: a@b, c@d;
 */

static void skip_comment(struct cursor *c)
{
	size_t depth = 0;
	while (cursor_left(c)) {
		uint8_t byte = cursor_u8(c);
		if (byte == '\\')
			cursor_skip(c, cursor_left(c) ? 1 : 0);
		else if (byte == '(')
			depth++;
		else if (byte == ')' && --depth == 0)
			return;
	}
}

struct mailbox {
	size_t n;
	bool angle; /* within <…>, or behind it: what stands outside is no address */
	bool cut;   /* this one is longer than text */
	bool limit; /* one of those so far was */
	uint8_t text[MIME_ADDRESS_MAX];
};

static void mailbox_end(struct mailbox *m, mime_address_fn *found, void *ctx, unsigned *count)
{
	size_t from = 0;
	for (size_t i = 0; i < m->n && m->text[0] == '@'; i++) /* a source route: @a,@b:user@host */
		if (m->text[i] == ':')
			from = i + 1;
	size_t n = m->n - from;
	if (n && memchr(m->text + from, '@', n) && (*count)++ < MIME_ADDRESSES_MAX)
		found(ctx, m->text + from, n);
	m->limit |= m->cut;
	m->n = 0;
	m->angle = m->cut = false;
}

static void mailbox_put(struct mailbox *m, uint8_t byte)
{
	if (m->n < sizeof(m->text))
		m->text[m->n++] = byte;
	else
		m->cut = true;
}

static void take_angle(struct cursor *c, struct mailbox *m)
{
	struct bytes inside = take_until(c, ">");
	cursor_skip(c, cursor_left(c) ? 1 : 0);
	m->n = 0;
	m->cut = false;
	m->angle = true;
	for (size_t i = 0; i < inside.n; i++)
		if (!blank(inside.p[i]))
			mailbox_put(m, inside.p[i]);
}

bool mime_addresses(struct bytes value, mime_address_fn *found, void *ctx)
{
	struct cursor c = cursor_over(value.p, value.n);
	struct mailbox m = {0};
	unsigned count = 0;
	while (cursor_left(&c)) {
		switch (*c.p) {
		case '(':
			skip_comment(&c);
			continue;
		case '"': {
			const uint8_t *from = c.p;
			cursor_skip(&c, 1);
			take_quoted(&c);
			for (; from < c.p && !m.angle; from++) /* "a b"@host is an address, too */
				mailbox_put(&m, *from);
			continue;
		}
		case '<':
			cursor_skip(&c, 1);
			take_angle(&c, &m);
			continue;
		case ',':
		case ';':
			mailbox_end(&m, found, ctx, &count);
			break;
		case ':': /* the name of a group */
			m.n = 0;
			m.cut = false;
			break;
		default:
			if (!m.angle && !blank(*c.p))
				mailbox_put(&m, *c.p);
			break;
		}
		cursor_skip(&c, 1);
	}
	mailbox_end(&m, found, ctx, &count);
	return count <= MIME_ADDRESSES_MAX && !m.limit;
}
