#define _GNU_SOURCE /* memmem */
#include "rules/fmt_order.h"

#include <stdlib.h>
#include <string.h>

#include "rules/indicator.h"

struct line {
	const char *p;
	size_t n; /* with its line end */
};

/* Lines that stay together; number keeps equal ones in the order they had. */
struct block {
	const struct line *v;
	size_t n, number;
	unsigned rank;     /* of a section */
	bool space_before; /* a section with an empty line above it */
};

static size_t length(const struct line *l)
{
	return l->n - 1;
}

static size_t indent(const struct line *l)
{
	size_t n = 0;
	while (n < length(l) && l->p[n] == ' ')
		n++;
	return n;
}

static bool empty(const struct line *l)
{
	return length(l) == 0;
}

static bool comment(const struct line *l)
{
	size_t n = indent(l);
	return n < length(l) && l->p[n] == '#';
}

bool fmt_starts_section(const char *line, size_t n)
{
	return n > 1 && line[0] != ' ' && line[0] != '-' && line[0] != '#' && memchr(line, ':', n);
}

static void put(struct buf *out, const struct line *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_add(out, v[i].p, v[i].n);
}

/* ---- items ---- */

static int by_text(const void *a, const void *b)
{
	const struct block *x = a, *y = b;
	for (size_t i = 0; i < x->n && i < y->n; i++) {
		size_t n = x->v[i].n < y->v[i].n ? x->v[i].n : y->v[i].n;
		int by = memcmp(x->v[i].p, y->v[i].p, n);
		if (by || x->v[i].n != y->v[i].n)
			return by ? by : x->v[i].n < y->v[i].n ? -1 : 1;
	}
	if (x->n != y->n)
		return x->n < y->n ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static void put_group(struct buf *out, struct block *items, size_t n)
{
	if (n)
		qsort(items, n, sizeof(*items), by_text);
	for (size_t i = 0; i < n; i++)
		put(out, items[i].v, items[i].n);
}

/* Whether a line may go on over the next ones in a way that lines do not show. */
static bool opens_text(const struct line *l)
{
	size_t n = length(l);
	const char *hash = n ? memmem(l->p, n, " #", 2) : NULL;
	n = hash ? (size_t)(hash - l->p) : n;
	while (n && l->p[n - 1] == ' ')
		n--;
	char last = n ? l->p[n - 1] : '\0', before = n > 1 ? l->p[n - 2] : '\0';
	if ((last == '-' || last == '+') && (before == '|' || before == '>'))
		last = before;
	return last == '|' || last == '>';
}

static bool brackets_close(const struct line *v, size_t n)
{
	int depth = 0;
	char quote = '\0';
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < length(&v[i]); k++) {
			char c = v[i].p[k];
			if (quote) {
				k += quote == '"' && c == '\\';
				quote = c == quote ? '\0' : quote;
			} else if ((c == '"' || c == '\'') && (k == 0 || strchr(" [{,:", v[i].p[k - 1]))) {
				quote = c;
			} else if (c == '#' && (k == 0 || v[i].p[k - 1] == ' ')) {
				break;
			} else {
				depth += (c == '[' || c == '{') - (c == ']' || c == '}');
			}
		}
	}
	return !depth && !quote;
}

/* The items of a block list. The lines are those of a section below its key. */
static void put_items(struct buf *out, const struct line *v, size_t n)
{
	struct block *group = xcalloc(n + 1, sizeof(*group));
	size_t at = 0, members = 0;
	while (at < n && (empty(&v[at]) || comment(&v[at])))
		at++;
	put(out, v, at);
	size_t dash = at < n ? indent(&v[at]) : 0;
	while (at < n) {
		size_t from = at++;
		if (empty(&v[from]) || (comment(&v[from]) && indent(&v[from]) <= dash)) {
			put_group(out, group, members);
			put(out, &v[from], 1);
			members = 0;
			continue;
		}
		while (at < n && !empty(&v[at]) && indent(&v[at]) > dash)
			at++;
		group[members] = (struct block){.v = &v[from], .n = at - from, .number = members};
		members++;
	}
	put_group(out, group, members);
	free(group);
}

/* Every line is an item's first, lies deeper, or is empty or a comment. */
static bool items_by_lines(const struct line *v, size_t n)
{
	size_t at = 0;
	while (at < n && (empty(&v[at]) || comment(&v[at])))
		at++;
	if (at == n || v[at].p[indent(&v[at])] != '-')
		return false;
	for (size_t dash = indent(&v[at]), from = at; at < n; at++) {
		bool first = !empty(&v[at]) && indent(&v[at]) == dash;
		if (opens_text(&v[at]) || (!empty(&v[at]) && !comment(&v[at]) && indent(&v[at]) < dash))
			return false;
		if (first && !comment(&v[at]) && v[at].p[dash] != '-')
			return false;
		if (first && at > from) {
			if (!brackets_close(&v[from], at - from))
				return false;
			from = at;
		}
	}
	return brackets_close(v, n);
}

/* ---- `key: [b, a]` ---- */

struct word {
	const char *p;
	size_t n;
};

static int by_word(const void *a, const void *b)
{
	const struct word *x = a, *y = b;
	size_t skip_x = x->p[0] == '"' || x->p[0] == '\'', skip_y = y->p[0] == '"' || y->p[0] == '\'';
	size_t n = x->n - skip_x < y->n - skip_y ? x->n - skip_x : y->n - skip_y;
	int by = memcmp(x->p + skip_x, y->p + skip_y, n);
	return by ? by : x->n != y->n ? (x->n < y->n ? -1 : 1) : x->p < y->p ? -1 : x->p > y->p;
}

/* Plain values in brackets on one line: their places; 0 when it is something else. */
static size_t words_of(const struct line *l, struct word *w, size_t *open, size_t *close)
{
	const char *p = memchr(l->p, '[', l->n);
	size_t n = 0, k = p ? (size_t)(p - l->p) + 1 : l->n;
	*open = k;
	while (k < length(l)) {
		while (l->p[k] == ' ')
			k++;
		char quote = l->p[k] == '"' || l->p[k] == '\'' ? l->p[k] : '\0';
		size_t from = k;
		k += quote != '\0';
		while (k < length(l) && (quote ? l->p[k] != quote : !strchr(",[]{}#\"'&*!|>%@`", l->p[k])))
			k += quote == '"' && l->p[k] == '\\' ? 2 : 1;
		k += quote != '\0';
		size_t end = k;
		while (end > from && l->p[end - 1] == ' ')
			end--;
		while (k < length(l) && l->p[k] == ' ')
			k++;
		if (k >= length(l) || end == from || (l->p[k] != ',' && l->p[k] != ']'))
			return 0;
		w[n++] = (struct word){l->p + from, end - from};
		if (l->p[k++] == ']') {
			*close = k - 1;
			return n;
		}
	}
	return 0;
}

static void put_flow(struct buf *out, const struct line *l)
{
	struct word *w = xcalloc(l->n + 1, sizeof(*w));
	size_t open, close = 0, n = words_of(l, w, &open, &close);
	if (!n) {
		put(out, l, 1);
		free(w);
		return;
	}
	qsort(w, n, sizeof(*w), by_word);
	buf_add(out, l->p, open);
	for (size_t i = 0; i < n; i++) {
		buf_add(out, i ? ", " : "", i ? 2 : 0);
		buf_add(out, w[i].p, w[i].n);
	}
	buf_add(out, l->p + close, l->n - close);
	free(w);
}

/* ---- sections ---- */

static unsigned rank_of(const struct line *l, bool *list, bool *plain)
{
	static const char *const before[] = {"set", "defaults", "test"}, *const after[] = {"file", "indicators",
											   "allow", "suppress",
											   "disable"};
	const char *colon = memchr(l->p, ':', l->n);
	size_t n = (size_t)(colon - l->p);
	enum indicator_type t = indicator_type_parse(l->p, n);
	*plain = t != INDICATOR_NONE;
	*list = *plain;
	for (unsigned i = 0; i < sizeof(before) / sizeof(*before); i++)
		if (strlen(before[i]) == n && memcmp(before[i], l->p, n) == 0)
			return i;
	if (t)
		return 10 + (unsigned)t;
	for (unsigned i = 0; i < sizeof(after) / sizeof(*after); i++)
		if (strlen(after[i]) == n && memcmp(after[i], l->p, n) == 0) {
			*list = true;
			return 1000 + i;
		}
	return 2000;
}

static int by_rank(const void *a, const void *b)
{
	const struct block *x = a, *y = b;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static void put_section(struct buf *out, const struct block *b)
{
	size_t key = 0;
	bool list, plain;
	while (!fmt_starts_section(b->v[key].p, length(&b->v[key])))
		key++;
	rank_of(&b->v[key], &list, &plain);
	put(out, b->v, key);
	if (plain && brackets_close(&b->v[key], 1))
		put_flow(out, &b->v[key]);
	else
		put(out, &b->v[key], 1);
	if (list && items_by_lines(&b->v[key + 1], b->n - key - 1))
		put_items(out, &b->v[key + 1], b->n - key - 1);
	else
		put(out, &b->v[key + 1], b->n - key - 1);
}

/* Where the comment begins that stands directly above a section's line. */
static size_t head_of(const struct line *v, size_t from, size_t section)
{
	while (section > from && comment(&v[section - 1]) && indent(&v[section - 1]) == 0)
		section--;
	return section;
}

/* Cuts the lines from the first section on into sections; the last of each is not empty. */
static size_t cut(const struct line *v, size_t n, struct block *s)
{
	size_t count = 0, from = 0;
	bool list, plain, space = false;
	for (size_t i = 0; i < n; i++) {
		if (!fmt_starts_section(v[i].p, length(&v[i])))
			continue;
		size_t head = head_of(v, from, i);
		if (count) {
			size_t end = head;
			while (end > from && empty(&v[end - 1]))
				end--;
			s[count - 1].n = (size_t)(&v[end] - s[count - 1].v);
			space = end < head;
		}
		s[count] = (struct block){
		    .v = &v[head], .number = count, .rank = rank_of(&v[i], &list, &plain), .space_before = space};
		count++;
		from = i + 1;
	}
	if (count)
		s[count - 1].n = (size_t)(&v[n] - s[count - 1].v);
	return count;
}

/* The last line that was written. */
static bool ends_with_comment(const struct buf *out)
{
	size_t from = out->n - 1;
	while (from && out->p[from - 1] != '\n')
		from--;
	return comment(&(struct line){(const char *)out->p + from, out->n - from});
}

static void order_yaml(const struct line *v, size_t n, struct buf *out)
{
	size_t head = 0, first = 0;
	while (n && empty(&v[n - 1])) /* at the end of the file they say nothing */
		n--;
	while (head < n && !fmt_starts_section(v[head].p, length(&v[head])))
		head++;
	if (head == n || !brackets_close(v, n)) {
		put(out, v, n);
		return;
	}
	first = head_of(v, 0, head);
	/* What stands above the first section belongs to the file, unless it is set apart from the top. */
	if (first == 0)
		first = head;
	put(out, v, first);
	struct block *s = xcalloc(n + 1, sizeof(*s));
	size_t count = cut(v + first, n - first, s);
	qsort(s, count, sizeof(*s), by_rank);
	for (size_t i = 0; i < count; i++) {
		/* A comment that ends a section is not about the next one. */
		if (i && (s[i].space_before || ends_with_comment(out)))
			buf_u8(out, '\n');
		put_section(out, &s[i]);
	}
	free(s);
}

/* ---- CSV ---- */

static bool is_header(const struct line *l)
{
	static const char value[] = "value";
	const char *at = memmem(l->p, l->n, value, sizeof(value) - 1);
	return at && (at == l->p || at[-1] == ',' || at[-1] == '"') && strchr(",\"\n", at[sizeof(value) - 1]);
}

static size_t quotes_in(const struct line *l)
{
	size_t n = 0;
	for (size_t k = 0; k < l->n; k++)
		n += l->p[k] == '"';
	return n;
}

static void order_csv(const struct line *v, size_t n, struct buf *out)
{
	size_t all = 0;
	for (size_t i = 0; i < n; i++)
		all += quotes_in(&v[i]);
	if (all % 2) { /* where the last cell ends is not known */
		put(out, v, n);
		return;
	}
	struct block *group = xcalloc(n + 1, sizeof(*group));
	size_t members = 0, at = 0;
	bool first = true;
	while (at < n) {
		size_t from = at, quotes = 0;
		do
			quotes += quotes_in(&v[at]);
		while (++at < n && quotes % 2);
		bool divides = empty(&v[from]) || comment(&v[from]), header = !divides && first && is_header(&v[from]);
		first = first && divides;
		if (divides || header) {
			put_group(out, group, members);
			put(out, &v[from], at - from);
			members = 0;
			continue;
		}
		group[members] = (struct block){.v = &v[from], .n = at - from, .number = members};
		members++;
	}
	put_group(out, group, members);
	free(group);
}

void fmt_order(const struct buf *text, bool yaml, struct buf *out)
{
	const char *p = (const char *)text->p, *end = p + text->n;
	size_t n = 0, cap = 0;
	struct line *v = NULL;
	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		if (n == cap) {
			cap = cap ? 2 * cap : 256;
			v = xrealloc(v, cap * sizeof(*v));
		}
		v[n++] = (struct line){p, (size_t)(eol - p) + 1};
		p = eol + 1;
	}
	if (yaml)
		order_yaml(v, n, out);
	else
		order_csv(v, n, out);
	free(v);
}
