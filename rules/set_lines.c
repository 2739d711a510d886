#define _GNU_SOURCE /* memmem */
#include "rules/set_lines.h"

#include <stdio.h>
#include <string.h>

#include "rules/rulefile_csv.h"
#include "rules/rulefile_yaml.h"

#define DELTA_MAGIC "picket-delta 1 "
#define HEAD_MAX    (64u << 20)

int set_lines_order(struct bytes a, struct bytes b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int by = n ? memcmp(a.p, b.p, n) : 0;
	return by ? by : a.n < b.n ? -1 : a.n > b.n;
}

/* ---- reading ---- */

/* Where the head ends: behind the columns. 0: it has none. */
static size_t head_end(struct bytes content)
{
	static const char mark[] = "\n" SET_LINES_DIVIDER SET_LINES_COLUMNS;
	size_t look = content.n < HEAD_MAX ? content.n : HEAD_MAX;
	const uint8_t *at = look ? memmem(content.p, look, mark, strlen(mark)) : NULL;
	return at ? (size_t)(at - content.p) + strlen(mark) : 0;
}

void set_lines_read(struct rule_source *s, const char *text, size_t n, unsigned lines_before)
{
	size_t head = head_end((struct bytes){(const uint8_t *)text, n});
	size_t yaml = head ? head - strlen(SET_LINES_DIVIDER SET_LINES_COLUMNS) : n,
	       rows = head ? head - strlen(SET_LINES_COLUMNS) : n;
	s->no_files = true;
	rulefile_yaml_read(s, text, yaml);
	if (!head) {
		entry_error(s, NULL, (struct diag_place){.file = s->file}, "bad-set",
			    "the content of the set has no %%indicators: it is not laid out as picket rules sign does");
		return;
	}
	for (size_t i = 0; i < rows; i++)
		lines_before += text[i] == '\n';
	rulefile_csv_rows(s, text + rows, n - rows, lines_before);
}

/* ---- rows in order ---- */

/* Steps over one line, which it gives without its end. */
static bool next_line(struct cursor *c, struct bytes *line)
{
	size_t left = cursor_left(c);
	const uint8_t *end = left ? memchr(c->p, '\n', left) : NULL;
	if (!end)
		return false;
	*line = cursor_bytes(c, (size_t)(end - c->p));
	cursor_skip(c, 1);
	return true;
}

/* The rows of one content, checked as they are walked. */
struct walk {
	struct cursor c;
	struct bytes row;
	bool any, bad;
};

static bool walk_over(struct walk *w, struct bytes content, size_t *head)
{
	*head = head_end(content);
	*w = (struct walk){.c = cursor_over(content.p + *head, content.n - *head)};
	return *head > 0;
}

/* False at the end, or (bad) when a row is out of order or not ended. */
static bool walk_next(struct walk *w)
{
	struct bytes before = w->row;
	if (!cursor_left(&w->c))
		return false;
	if (!next_line(&w->c, &w->row) || !w->row.n || (w->any && set_lines_order(before, w->row) >= 0)) {
		w->bad = true;
		return false;
	}
	w->any = true;
	return true;
}

static bool misplaced(struct err *e)
{
	return err_set(e, "the set is not laid out as picket rules sign does: its rows are not in order, each once");
}

bool set_lines_count(struct bytes content, size_t *rows, struct err *e)
{
	struct walk w;
	size_t head;
	*rows = 0;
	if (!walk_over(&w, content, &head))
		return misplaced(e);
	for (const uint8_t *p = content.p, *end = p + head; p < end;) { /* allow:, suppress:, disable: */
		const uint8_t *next = memchr(p, '\n', (size_t)(end - p));
		*rows += end - p > 4 && memcmp(p, "  - ", 4) == 0;
		p = next ? next + 1 : end;
	}
	while (walk_next(&w))
		++*rows;
	return !w.bad || misplaced(e);
}

/* ---- deltas ---- */

static void put_row(struct buf *out, char mark, struct bytes row)
{
	if (mark)
		buf_u8(out, (uint8_t)mark);
	buf_add(out, row.p, row.n);
	buf_u8(out, '\n');
}

bool set_lines_delta(struct bytes from, struct bytes to, struct buf *out, struct err *e)
{
	struct walk a, b;
	size_t from_head, to_head;
	if (!walk_over(&a, from, &from_head) || !walk_over(&b, to, &to_head))
		return misplaced(e);
	buf_printf(out, DELTA_MAGIC "%zu\n", to_head);
	buf_add(out, to.p, to_head);
	bool more_a = walk_next(&a), more_b = walk_next(&b);
	while (more_a || more_b) {
		int by = !more_a ? 1 : !more_b ? -1 : set_lines_order(a.row, b.row);
		if (by < 0)
			put_row(out, '-', a.row);
		if (by > 0)
			put_row(out, '+', b.row);
		more_a = by <= 0 ? walk_next(&a) : more_a;
		more_b = by >= 0 ? walk_next(&b) : more_b;
	}
	return !(a.bad || b.bad) || misplaced(e);
}

/* "picket-delta 1 N\n" and N bytes of head. */
static bool delta_head(struct cursor *c, struct bytes *head)
{
	struct bytes line;
	const size_t magic = strlen(DELTA_MAGIC);
	size_t n = 0;
	if (!next_line(c, &line) || line.n <= magic || line.n > magic + 9 || memcmp(line.p, DELTA_MAGIC, magic) != 0)
		return false;
	for (size_t i = magic; i < line.n; i++) {
		if (line.p[i] < '0' || line.p[i] > '9')
			return false;
		n = n * 10 + (size_t)(line.p[i] - '0');
	}
	*head = cursor_bytes(c, n);
	return cursor_ok(c);
}

/* The next change: its mark and its row; false at the end or when malformed. */
static bool next_change(struct cursor *c, char *mark, struct bytes *row, bool *bad)
{
	struct bytes line;
	if (!cursor_left(c))
		return false;
	if (!next_line(c, &line) || line.n < 2 || (line.p[0] != '-' && line.p[0] != '+')) {
		*bad = true;
		return false;
	}
	*mark = (char)line.p[0];
	*row = (struct bytes){line.p + 1, line.n - 1};
	return true;
}

static bool does_not_fit(struct err *e)
{
	return err_set(e, "the delta does not fit the set that is here");
}

bool set_lines_apply(struct bytes from, struct bytes delta, size_t max, struct buf *out, struct err *e)
{
	struct cursor c = cursor_over(delta.p, delta.n);
	struct bytes head, row;
	struct walk a;
	size_t from_head;
	char mark = 0;
	bool bad = false;
	if (!delta_head(&c, &head) || !walk_over(&a, from, &from_head))
		return does_not_fit(e);
	buf_add(out, head.p, head.n);
	bool more = walk_next(&a), change = next_change(&c, &mark, &row, &bad);
	while ((more || change) && !bad && out->n <= max) {
		int by = !more ? 1 : !change ? -1 : set_lines_order(a.row, row);
		if (by < 0) {
			put_row(out, 0, a.row);
			more = walk_next(&a);
			continue;
		}
		if (by == 0 && mark == '-')
			more = walk_next(&a);
		else if (by > 0 && mark == '+')
			put_row(out, 0, row);
		else
			return does_not_fit(e);
		change = next_change(&c, &mark, &row, &bad);
	}
	if (bad || a.bad)
		return does_not_fit(e);
	return out->n <= max || err_set(e, "the set would be longer than %zu bytes", max);
}
