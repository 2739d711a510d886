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

bool set_lines_changes(struct bytes delta, struct buf *gone, struct buf *come, struct err *e)
{
	struct cursor c = cursor_over(delta.p, delta.n);
	struct bytes head, row;
	char mark = 0;
	bool bad = !delta_head(&c, &head);
	if (!bad) {
		buf_add(gone, head.p, head.n);
		buf_add(come, head.p, head.n);
	}
	while (!bad && next_change(&c, &mark, &row, &bad))
		put_row(mark == '-' ? gone : come, 0, row);
	return !bad || does_not_fit(e);
}

/* Where the version's digits stand in the first line, "set: {id: "x", version: 421, …": none: n = 0. */
static struct bytes version_digits(struct bytes head)
{
	static const char key[] = ", version: ";
	const uint8_t *eol = head.n ? memchr(head.p, '\n', head.n) : NULL;
	const uint8_t *at = eol ? memmem(head.p, (size_t)(eol - head.p), key, strlen(key)) : NULL;
	struct bytes digits = {at ? at + strlen(key) : head.p, 0};
	while (at && digits.p[digits.n] >= '0' && digits.p[digits.n] <= '9')
		digits.n++;
	return digits;
}

bool set_lines_same_head(struct bytes from, struct bytes delta)
{
	struct cursor c = cursor_over(delta.p, delta.n);
	struct bytes a = {from.p, head_end(from)}, b;
	if (!a.n || !delta_head(&c, &b) || !b.n)
		return false;
	struct bytes x = version_digits(a), y = version_digits(b);
	size_t before = (size_t)(x.p - a.p), behind = a.n - before - x.n;
	return x.n && y.n && before == (size_t)(y.p - b.p) && behind == b.n - before - y.n &&
	       memcmp(a.p, b.p, before) == 0 && memcmp(x.p + x.n, y.p + y.n, behind) == 0;
}

/* The line of `rows` that begins at a place. */
static struct bytes line_from(struct bytes rows, size_t at)
{
	const uint8_t *end = memchr(rows.p + at, '\n', rows.n - at);
	return (struct bytes){rows.p + at, end ? (size_t)(end - rows.p) - at : rows.n - at};
}

/* Where the first line at or behind `from` begins that is not before `row`: the rows are in order. */
static size_t find_row(struct bytes rows, size_t from, struct bytes row)
{
	size_t low = from, high = rows.n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const uint8_t *before = middle > low ? memrchr(rows.p + low, '\n', middle - low) : NULL;
		size_t at = before ? (size_t)(before + 1 - rows.p) : low;
		struct bytes line = line_from(rows, at);
		if (set_lines_order(line, row) < 0)
			low = at + line.n < rows.n ? at + line.n + 1 : rows.n;
		else
			high = at;
	}
	return low;
}

/* What lies between the changes is copied as it is: whether it was in order is not
 * asked here, the whole has a digest. */
bool set_lines_apply(struct bytes from, struct bytes delta, size_t max, struct buf *out, struct err *e)
{
	struct cursor c = cursor_over(delta.p, delta.n);
	size_t from_head = head_end(from), at = 0;
	struct bytes head, row = {NULL, 0}, rows = {from.p + from_head, from.n - from_head};
	char mark = 0;
	bool bad = false;
	if (!delta_head(&c, &head) || !from_head)
		return does_not_fit(e);
	buf_reserve(out, from.n + delta.n < max ? from.n + delta.n : max);
	buf_add(out, head.p, head.n);
	for (struct bytes before = row; out->n <= max && next_change(&c, &mark, &row, &bad); before = row) {
		if (before.n && set_lines_order(before, row) >= 0)
			return does_not_fit(e);
		size_t here = find_row(rows, at, row);
		struct bytes line = here < rows.n ? line_from(rows, here) : (struct bytes){NULL, 0};
		bool there = line.n && set_lines_order(line, row) == 0;
		if (there != (mark == '-'))
			return does_not_fit(e);
		buf_add(out, rows.p + at, here - at);
		at = there ? here + line.n + 1 : here;
		if (!there)
			put_row(out, 0, row);
	}
	if (bad || at > rows.n)
		return does_not_fit(e);
	if (out->n <= max)
		buf_add(out, rows.p + at, rows.n - at);
	return out->n <= max || err_set(e, "the set would be longer than %zu bytes", max);
}
