#include "rules/set_layout.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/text.h"
#include "rules/set_lines.h"

static void field(struct buf *b, const char *name, const char *text)
{
	if (!text || !*text)
		return;
	buf_printf(b, ", %s: ", name);
	text_quote(b, text, strlen(text));
}

static void time_field(struct buf *b, const char *name, int64_t us)
{
	char text[CLOCK_TEXT_LEN];
	if (!us)
		return;
	clock_format(us, text);
	buf_printf(b, ", %s: %s", name, text);
}

static void write_head(struct buf *b, const struct indicator_set *s, uint32_t version)
{
	buf_printf(b, "set: {id: \"%s\", version: %u", s->id, version);
	field(b, "title", s->title);
	field(b, "producer", s->producer);
	if (s->tlp)
		buf_printf(b, ", tlp: %s", tlp_names[s->tlp]);
	field(b, "releasable_to", s->releasable_to);
	field(b, "exercise", s->exercise);
	time_field(b, "valid_until", s->valid_until_us);
	buf_printf(b, "}\n");
}

/* Rows under way: their bytes, and where each ends. */
struct rows {
	struct buf text;
	size_t *end;
	size_t n;
};

static struct rows rows_for(size_t n)
{
	return (struct rows){.end = xcalloc(n + 1, sizeof(size_t))};
}

static void row_ends(struct rows *r)
{
	r->end[r->n++] = r->text.n;
}

static int by_bytes(const void *a, const void *b)
{
	return set_lines_order(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* Appends the rows in order, each once, and frees them. How many that were. */
static size_t put_sorted(struct buf *out, struct rows *rows)
{
	struct bytes *row = xcalloc(rows->n + 1, sizeof(*row));
	size_t kept = 0;
	for (size_t i = 0, at = 0; i < rows->n; at = rows->end[i++])
		row[i] = (struct bytes){rows->text.p + at, rows->end[i] - at};
	if (rows->n)
		qsort(row, rows->n, sizeof(*row), by_bytes);
	buf_reserve(out, rows->text.n);
	for (size_t i = 0; i < rows->n; i++) {
		if (i && set_lines_order(row[i - 1], row[i]) == 0)
			continue;
		buf_add(out, row[i].p, row[i].n);
		kept++;
	}
	free(row);
	buf_free(&rows->text);
	free(rows->end);
	return kept;
}

static size_t write_allowed(struct buf *b, const struct ruleset *r)
{
	struct rows rows = rows_for(ruleset_allow_count(r));
	for (size_t k = 0; k < ruleset_allow_count(r); k++) {
		struct ruleset_room room;
		struct indicator i = ruleset_allow_at(r, k, &room);
		buf_printf(&rows.text, "  - {type: %s", indicator_type_name(i.type));
		field(&rows.text, "value", i.value);
		field(&rows.text, "reason", i.note);
		time_field(&rows.text, "expires", i.valid_until_us);
		buf_printf(&rows.text, "}\n");
		row_ends(&rows);
	}
	if (rows.n)
		buf_printf(b, "allow:\n");
	return put_sorted(b, &rows);
}

static void write_override(struct buf *b, const struct override *o)
{
	char address[ADDR_TEXT_LEN];
	if (o->id)
		buf_printf(b, "  - {id: "), text_quote(b, o->id, strlen(o->id));
	else
		buf_printf(b, "  - {type: %s, value: ", indicator_type_name(o->type)),
		    text_quote(b, o->value, strlen(o->value));
	if (o->has_source)
		buf_printf(b, ", source: \"%s/%u\"", addr_format(&o->source.addr, address), o->source.length);
	field(b, "reason", o->reason);
	time_field(b, "expires", o->expires_us);
	buf_printf(b, "}\n");
}

static size_t write_overrides(struct buf *b, const struct overrides *o)
{
	size_t kept = 0;
	for (int verb = 0; o && verb < OVERRIDE_VERB_COUNT; verb++) {
		struct rows rows = rows_for(o->n);
		for (size_t i = 0; i < o->n; i++) {
			if ((int)o->v[i].verb != verb)
				continue;
			write_override(&rows.text, &o->v[i]);
			row_ends(&rows);
		}
		if (rows.n)
			buf_printf(b, "%s:\n", override_names[verb]);
		kept += put_sorted(b, &rows);
	}
	return kept;
}

static bool blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r';
}

/* RFC 4180; a line end in free text is a blank. */
static void cell(struct buf *b, const char *text)
{
	text = text ? text : "";
	size_t n = strlen(text);
	bool quotes = text[strcspn(text, ",\"#")] || (n && (blank(text[0]) || blank(text[n - 1])));
	if (quotes)
		buf_u8(b, '"');
	for (; *text; text++) {
		if (*text == '"')
			buf_u8(b, '"');
		buf_u8(b, blank(*text) ? ' ' : (uint8_t)*text);
	}
	if (quotes)
		buf_u8(b, '"');
}

static void time_cell(struct buf *b, int64_t us)
{
	char text[CLOCK_TEXT_LEN];
	if (!us)
		return;
	clock_format(us, text);
	buf_add(b, text, strlen(text));
}

static void write_row(struct buf *b, const struct indicator *i, const struct indicator_set *s)
{
	char made[INDICATOR_ID_LEN];
	bool own_id = i->id && strcmp(i->id, indicator_make_id(i->type, i->value, made)) != 0;
	buf_printf(b, "%s,", indicator_type_name(i->type));
	cell(b, i->value);
	buf_u8(b, ',');
	cell(b, own_id ? i->id : "");
	buf_printf(b, ",%s,%u,%s,%s,%s,", severity_names[i->severity], i->confidence,
		   i->tlp && i->tlp != s->tlp ? tlp_names[i->tlp] : "", i->match == MATCH_PREFIX ? "prefix" : "",
		   i->fold ? fold_names[i->fold] : "");
	cell(b, i->labels);
	buf_u8(b, ',');
	cell(b, i->where);
	buf_u8(b, ',');
	time_cell(b, i->valid_from_us);
	buf_u8(b, ',');
	time_cell(b, i->valid_until_us != s->valid_until_us ? i->valid_until_us : 0);
	buf_u8(b, ',');
	cell(b, i->ref);
	buf_u8(b, ',');
	cell(b, i->note);
	buf_u8(b, '\n');
}

bool set_layout(const struct ruleset *r, const struct overrides *o, uint32_t version, struct buf *out, size_t *count,
		struct err *e)
{
	size_t n = ruleset_count(r, INDICATOR_NONE);
	if (ruleset_set_count(r) != 1)
		return err_set(e, "these files hold %zu sets; one set is signed at a time", ruleset_set_count(r));
	struct indicator_set s = ruleset_set_at(r, 0);
	struct rows rows = rows_for(n);
	bool ok = true;
	write_head(out, &s, version);
	*count = write_allowed(out, r) + write_overrides(out, o);
	buf_add(out, SET_LINES_DIVIDER SET_LINES_COLUMNS, strlen(SET_LINES_DIVIDER SET_LINES_COLUMNS));
	for (ruleset_ref k = 0; ok && k < n; k++) {
		struct ruleset_room room;
		struct indicator i = ruleset_indicator_in(r, k, &room);
		if (i.value[strcspn(i.value, "\r\n")])
			ok = err_set(e, "%s \"%.200s\" has a line end in its value: it cannot be distributed",
				     indicator_type_name(i.type), i.value);
		else
			write_row(&rows.text, &i, &s);
		row_ends(&rows);
	}
	*count += put_sorted(out, &rows);
	*count = ok ? *count : 0;
	return ok;
}
