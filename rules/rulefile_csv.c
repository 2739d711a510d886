/* CSV (RFC 4180) and plain lists, as analysts export them: any line ending, a
 * byte order mark, blank lines, `#` comments at the start of a line.
 *
 *   type,value,severity,note        a header names the columns, in any order
 *   domain,bad.example,high,"C2, seen in May"
 *
 * Without a header the columns are type and value. An empty cell means "not
 * given". A quote that is never closed would swallow the rest of the file: it is
 * reported where it opens, and reading goes on at the next line. */
#include "rules/rulefile_csv.h"

#include <string.h>

#include "common/text.h"

#define CELLS_MAX 64
#define CELL_MAX  65536 /* a quoted cell; longer means that its quote is not closed */

struct cell {
	size_t at, n; /* in csv.text_of_cells, NUL-terminated there */
	struct diag_place place;
};

struct csv {
	struct rule_source *s;
	const char *p, *end, *line_start;
	unsigned line;
	struct buf text_of_cells;
	struct cell cell[CELLS_MAX];
	size_t cells;
	bool bad;                      /* the record under way has a finding */
	const char *column[CELLS_MAX]; /* field names; NULL = not known */
	size_t columns;
	bool told_extra;
	bool spreadsheet; /* an apostrophe in front of a formula is no part of the cell */
};

/* ---- bytes to records ---- */

/* Columns count characters, as YAML's do. */
static struct diag_place here(const struct csv *c, const char *p)
{
	unsigned column = 1;
	for (const char *q = c->line_start; q < p; q++)
		column += ((unsigned char)*q & 0xc0) != 0x80;
	return (struct diag_place){.file = c->s->file, .line = c->line, .column = column};
}

static void skip_bom(struct csv *c)
{
	if (c->end - c->p >= 3 && memcmp(c->p, "\xef\xbb\xbf", 3) == 0)
		c->p = c->line_start = c->p + 3;
}

static void line_end(struct csv *c)
{
	if (c->p < c->end)
		c->p++;
	c->line_start = c->p;
	c->line++;
}

static const char *find_line_end(const struct csv *c, const char *from)
{
	const char *end = memchr(from, '\n', (size_t)(c->end - from));
	return end ? end : c->end;
}

static struct cell *cell_new(struct csv *c)
{
	if (c->cells == CELLS_MAX) { /* the last one stands for all that are too many */
		c->cell[CELLS_MAX - 1].at = c->text_of_cells.n;
		return &c->cell[CELLS_MAX - 1];
	}
	struct cell *cell = &c->cell[c->cells++];
	*cell = (struct cell){.at = c->text_of_cells.n, .place = here(c, c->p)};
	return cell;
}

static void cell_done(struct csv *c, struct cell *cell)
{
	cell->n = c->text_of_cells.n - cell->at;
	buf_u8(&c->text_of_cells, 0);
}

/* After the opening quote. False when the quote is never closed: the caller's
 * line is given up. */
static bool quoted_text(struct csv *c, const char **at, unsigned *lines, const char **last_start)
{
	const char *p = *at;
	size_t start = c->text_of_cells.n;
	while (p < c->end && c->text_of_cells.n - start < CELL_MAX) {
		if (*p == '"' && (p + 1 == c->end || p[1] != '"')) {
			*at = p + 1;
			return true;
		}
		p += *p == '"';
		if (*p == '\n') {
			(*lines)++;
			*last_start = p + 1;
		}
		buf_u8(&c->text_of_cells, (uint8_t)*p++);
	}
	return false;
}

static void quoted_cell(struct csv *c)
{
	struct cell *cell = cell_new(c);
	const char *p = c->p + 1, *last_start = c->line_start;
	unsigned lines = 0;
	if (!quoted_text(c, &p, &lines, &last_start)) {
		entry_error(c->s, NULL, cell->place, "bad-csv", "a quote that is never closed");
		c->bad = true;
		c->p = find_line_end(c, c->p);
		cell_done(c, cell);
		return;
	}
	c->line += lines;
	c->line_start = last_start;
	c->p = p;
	cell_done(c, cell);
	bool ends = p == c->end || *p == ',' || *p == '\n' || (*p == '\r' && (p + 1 == c->end || p[1] == '\n'));
	if (!ends) {
		entry_error(c->s, NULL, here(c, p), "bad-csv", "expected a comma after the closing quote");
		c->bad = true;
		c->p = find_line_end(c, p);
	} else if (c->p < c->end && *c->p == '\r') {
		c->p++;
	}
}

static void bare_cell(struct csv *c)
{
	struct cell *cell = cell_new(c);
	const char *stop = c->p;
	while (stop < c->end && *stop != ',' && *stop != '\n')
		stop++;
	size_t n = (size_t)(stop - c->p);
	if ((stop == c->end || *stop == '\n') && n && c->p[n - 1] == '\r')
		n--;
	buf_add(&c->text_of_cells, c->p, n);
	c->p = stop;
	cell_done(c, cell);
}

/* Fills c->cell with the next record; false at the end. */
static bool next_record(struct csv *c)
{
	c->cells = c->text_of_cells.n = 0;
	c->bad = false;
	for (;;) {
		if (c->p >= c->end)
			return false;
		const char *end = find_line_end(c, c->p), *p = c->p;
		while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
			p++;
		if (p < end && *c->p != '#')
			break;
		c->p = end;
		line_end(c);
	}
	for (;;) {
		if (c->p < c->end && *c->p == '"')
			quoted_cell(c);
		else
			bare_cell(c);
		if (c->p >= c->end || *c->p != ',')
			break;
		c->p++;
	}
	line_end(c);
	return true;
}

static const char *text_of(const struct csv *c, const struct cell *cell)
{
	return (const char *)c->text_of_cells.p + cell->at;
}

/* rules/export.c and others put an apostrophe in front of what a spreadsheet would run as
 * a formula (= + - @); our writer also where apostrophes stand there already, so taking
 * one off gives what was there. */
static size_t apostrophe(const struct csv *c, const struct cell *cell)
{
	const char *p = text_of(c, cell);
	size_t n = c->spreadsheet ? strspn(p, "'") : 0;
	return n && p[n] && strchr("=+-@", p[n]) ? 1 : 0;
}

/* The cell without the blanks around it. */
static const char *trimmed(const struct csv *c, const struct cell *cell, size_t *n)
{
	const char *p = text_of(c, cell) + apostrophe(c, cell);
	*n = cell->n - apostrophe(c, cell);
	while (*n && (*p == ' ' || *p == '\t')) {
		p++;
		(*n)--;
	}
	while (*n && (p[*n - 1] == ' ' || p[*n - 1] == '\t'))
		(*n)--;
	return p;
}

static bool cell_is(const struct csv *c, size_t i, const char *word)
{
	size_t n;
	const char *p = trimmed(c, &c->cell[i], &n);
	return text_equal_fold(p, n, word, strlen(word));
}

/* ---- records to entries ---- */

static bool header(const struct csv *c)
{
	for (size_t i = 0; i < c->cells; i++)
		if (cell_is(c, i, "type") || cell_is(c, i, "value"))
			return true;
	return false;
}

/* The name as the tables know it, or NULL and a finding. */
static const char *column_name(struct csv *c, size_t i)
{
	const char *known[64];
	size_t n = 0;
	char hint[ENTRY_HINT_LEN];
	known[n++] = "type";
	known[n++] = "value";
	for (const char *const *f = entry_fields(); *f; f++)
		known[n++] = *f;
	known[n] = NULL;
	for (size_t k = 0; k < n; k++)
		if (cell_is(c, i, known[k]))
			return known[k];
	const char *word = text_of(c, &c->cell[i]);
	entry_error(c->s, NULL, c->cell[i].place, "unknown-key", "unknown column \"%s\"%s", word,
		    entry_hint(word, known, hint));
	return NULL;
}

static bool has_column(const struct csv *c, const char *name)
{
	for (size_t i = 0; i < c->columns; i++)
		if (c->column[i] && strcmp(c->column[i], name) == 0)
			return true;
	return false;
}

/* False when no row of the file could mean anything. */
static bool read_header(struct csv *c)
{
	for (size_t i = 0; i < c->cells; i++) {
		const char *name = column_name(c, i);
		if (name && has_column(c, name)) {
			entry_error(c->s, NULL, c->cell[i].place, "duplicate-key", "the column %s is given twice",
				    name);
			name = NULL;
		}
		c->column[i] = name;
		c->columns = i + 1;
	}
	if (has_column(c, "type") && has_column(c, "value"))
		return true;
	entry_error(c->s, NULL, c->cell[0].place, "bad-csv", "the header needs the columns type and value");
	return false;
}

static enum indicator_type row_type(struct csv *c, struct entry *e, const struct cell *cell)
{
	size_t n;
	char word[64], hint[ENTRY_HINT_LEN];
	const char *p = trimmed(c, cell, &n);
	n = n < sizeof(word) ? n : sizeof(word) - 1;
	text_lower(word, p, n);
	word[n] = '\0';
	enum indicator_type t = indicator_type_parse(word, n);
	if (!t)
		entry_error(c->s, e, cell->place, "unknown-type", "there is no indicator type \"%s\"%s", word,
			    entry_hint(word, indicator_type_names, hint));
	return t;
}

static void row_value(struct csv *c, struct entry *e, enum indicator_type t, const struct cell *cell)
{
	size_t n = cell->n - apostrophe(c, cell);
	const char *p = text_of(c, cell) + apostrophe(c, cell);
	if (!entry_free_text(t)) {
		p = trimmed(c, cell, &n);
		c->text_of_cells.p[(size_t)((const uint8_t *)p - c->text_of_cells.p) + n] = '\0';
	}
	entry_value(c->s, e, t, p, n, cell->place);
}

static void row_fields(struct csv *c, struct entry *e)
{
	for (size_t i = 0; i < c->cells && i < c->columns; i++) {
		const char *name = c->column[i];
		size_t n;
		const char *p = trimmed(c, &c->cell[i], &n);
		if (!name || !n || !entry_field_known(name) || !entry_field_first(c->s, e, name, c->cell[i].place))
			continue;
		c->text_of_cells.p[(size_t)((const uint8_t *)p - c->text_of_cells.p) + n] = '\0';
		entry_field(c->s, e, name, p, n, c->cell[i].place);
	}
}

static const struct cell *cell_named(const struct csv *c, const char *name)
{
	for (size_t i = 0; i < c->columns && i < c->cells; i++)
		if (c->column[i] && strcmp(c->column[i], name) == 0)
			return &c->cell[i];
	return NULL;
}

static void too_many_cells(struct csv *c, struct entry *e, bool has_header)
{
	const struct cell *extra = &c->cell[c->columns];
	if (has_header)
		entry_error(c->s, e, extra->place, "bad-csv", "more cells than the header has columns");
	else if (!c->told_extra)
		diag_add(c->s->d, DIAG_WARNING, extra->place, "bad-csv",
			 "without a header only type and value are read; the other columns of this file are not");
	c->told_extra = true;
}

static void row(struct csv *c, bool has_header)
{
	struct entry e;
	entry_begin(&e, &c->s->defaults);
	e.bad = c->bad;
	const struct cell *type = cell_named(c, "type"), *value = cell_named(c, "value");
	if (!e.bad && (!type || !value))
		entry_error(c->s, &e, c->cell[0].place, "bad-csv", "expected type,value");
	if (!e.bad && c->cells > c->columns)
		too_many_cells(c, &e, has_header);
	enum indicator_type t = e.bad ? INDICATOR_NONE : row_type(c, &e, type);
	if (!e.bad) {
		row_value(c, &e, t, value);
		row_fields(c, &e);
	}
	entry_submit(c->s, &e);
	entry_end(&e);
}

static struct csv csv_over(struct rule_source *s, const char *text, size_t n)
{
	struct csv c = {.s = s, .p = text, .end = text + n, .line_start = text, .line = 1};
	skip_bom(&c);
	return c;
}

static void read_rows(struct csv c)
{
	bool more = next_record(&c), has_header = more && header(&c);
	if (has_header && !read_header(&c))
		more = false;
	if (!has_header) {
		c.column[0] = "type";
		c.column[1] = "value";
		c.columns = 2;
	}
	if (has_header && more)
		more = next_record(&c);
	for (; more; more = next_record(&c))
		row(&c, has_header);
	buf_free(&c.text_of_cells);
}

void rulefile_csv_read(struct rule_source *s, const char *text, size_t n)
{
	struct csv c = csv_over(s, text, n);
	c.spreadsheet = true;
	source_add_set(s, &(struct indicator_set){0});
	read_rows(c);
}

void rulefile_csv_rows(struct rule_source *s, const char *text, size_t n, unsigned lines_before)
{
	struct csv c = csv_over(s, text, n);
	c.line += lines_before;
	read_rows(c);
}

bool rulefile_csv_looks(const char *text, size_t n)
{
	struct rule_source quiet = {.file = "", .d = &(struct diags){.limit = 1}};
	struct csv c = csv_over(&quiet, text, n);
	bool looks = false;
	if (next_record(&c) && c.cells >= 2) {
		size_t word;
		const char *p = trimmed(&c, &c.cell[0], &word);
		looks = cell_is(&c, 0, "type") || cell_is(&c, 0, "value") || indicator_type_parse(p, word);
	}
	buf_free(&c.text_of_cells);
	diag_free(quiet.d);
	return looks;
}

/* ---- plain lists ---- */

/* The value on a line: blanks and a comment cut off. A '#' inside a value (URL
 * fragments, user agents) is kept: only one after a blank begins a comment, and
 * in free text none does. */
static size_t list_value(enum indicator_type t, const char **line, size_t n)
{
	const char *p = *line;
	if (n && p[0] == '#')
		return 0;
	while (n && (p[n - 1] == '\r' || (!entry_free_text(t) && (p[n - 1] == ' ' || p[n - 1] == '\t'))))
		n--;
	if (entry_free_text(t))
		return n;
	while (n && (*p == ' ' || *p == '\t')) {
		p++;
		n--;
	}
	if (n && *p == '#')
		return 0;
	for (size_t i = 1; i < n; i++)
		if (p[i] == '#' && (p[i - 1] == ' ' || p[i - 1] == '\t'))
			n = i;
	while (n && (p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	*line = p;
	return n;
}

void rulefile_list_read(struct rule_source *s, enum indicator_type t, const struct entry *defaults, const char *text,
			size_t n)
{
	struct csv c = csv_over(s, text, n);
	while (c.p < c.end) {
		const char *value = c.p, *end = find_line_end(&c, c.p);
		size_t value_n = list_value(t, &value, (size_t)(end - c.p));
		if (value_n) {
			struct entry e;
			c.text_of_cells.n = 0;
			buf_add(&c.text_of_cells, value, value_n);
			buf_u8(&c.text_of_cells, 0);
			entry_begin(&e, defaults);
			entry_value(s, &e, t, (const char *)c.text_of_cells.p, value_n, here(&c, value));
			entry_submit(s, &e);
			entry_end(&e);
		}
		c.p = end;
		line_end(&c);
	}
	buf_free(&c.text_of_cells);
}
