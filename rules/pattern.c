#include "rules/pattern.h"

#include <hs/hs.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

/* Bytes, not characters; `.` takes newlines too, because payload has no lines;
 * one report per stream is enough. */
#define PATTERN_FLAGS (HS_FLAG_DOTALL | HS_FLAG_SINGLEMATCH)

struct pattern_db {
	hs_database_t *stream, *block;
	ruleset_ref *ref; /* by expression number */
	size_t stream_bytes;
};

/* hs_scratch_t and hs_stream_t under our names, so that hs.h stays in this file. */
struct pattern_scratch {
	hs_scratch_t *hs;
};

/* The value as an expression: owned by the caller. */
static char *expression_of(const struct indicator *i)
{
	if (i->type == INDICATOR_PAYLOAD)
		return xstrdup(i->value);
	struct buf b = {0};
	for (const char *p = i->value; p[0] && p[1]; p += 2) {
		while (*p == ' ' || *p == ':')
			p++;
		if (!p[0] || !p[1])
			break;
		buf_printf(&b, "\\x%.2s", p);
	}
	buf_u8(&b, '\0');
	return (char *)b.p;
}

static bool compile(char *const *expr, const unsigned *flags, const unsigned *id, unsigned n, unsigned mode,
		    hs_database_t **out, struct err *e)
{
	hs_compile_error_t *why = NULL;
	if (hs_compile_multi((const char *const *)expr, flags, id, n, mode, NULL, out, &why) == HS_SUCCESS)
		return true;
	if (why && why->expression >= 0)
		err_set(e, "payload pattern \"%.80s\": %s", expr[why->expression], why->message);
	else
		err_set(e, "cannot compile %u payload patterns: %s", n, why ? why->message : "unknown reason");
	hs_free_compile_error(why);
	return false;
}

struct pattern_db *pattern_db_new(const struct ruleset *r, struct err *e)
{
	size_t n = ruleset_pattern_count(r);
	if (e)
		e->text[0] = '\0';
	if (!n)
		return NULL;
	struct pattern_db *db = xcalloc(1, sizeof(*db));
	char **expr = xcalloc(n, sizeof(*expr));
	unsigned *flags = xcalloc(n, sizeof(*flags)), *id = xcalloc(n, sizeof(*id));
	db->ref = xcalloc(n, sizeof(*db->ref));
	for (size_t i = 0; i < n; i++) {
		struct indicator ind;
		db->ref[i] = ruleset_pattern(r, i, &ind);
		expr[i] = expression_of(&ind);
		flags[i] = PATTERN_FLAGS;
		id[i] = (unsigned)i;
	}
	bool ok = compile(expr, flags, id, (unsigned)n, HS_MODE_STREAM, &db->stream, e) &&
		  compile(expr, flags, id, (unsigned)n, HS_MODE_BLOCK, &db->block, e) &&
		  hs_stream_size(db->stream, &db->stream_bytes) == HS_SUCCESS;
	for (size_t i = 0; i < n; i++)
		free(expr[i]);
	free(expr);
	free(flags);
	free(id);
	if (!ok) {
		pattern_db_free(db);
		return NULL;
	}
	return db;
}

void pattern_db_free(struct pattern_db *db)
{
	if (!db)
		return;
	hs_free_database(db->stream);
	hs_free_database(db->block);
	free(db->ref);
	free(db);
}

struct pattern_scratch *pattern_scratch_new(const struct pattern_db *db, struct err *e)
{
	struct pattern_scratch *s = xcalloc(1, sizeof(*s));
	if (hs_alloc_scratch(db->stream, &s->hs) == HS_SUCCESS && hs_alloc_scratch(db->block, &s->hs) == HS_SUCCESS)
		return s;
	pattern_scratch_free(s);
	err_set(e, "cannot make room for matching payload patterns: out of memory");
	return NULL;
}

void pattern_scratch_free(struct pattern_scratch *s)
{
	if (!s)
		return;
	hs_free_scratch(s->hs);
	free(s);
}

struct report {
	const struct pattern_db *db;
	pattern_hit_fn *hit;
	void *owner;
};

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context)
{
	const struct report *r = context;
	(void)from;
	(void)flags;
	r->hit(r->owner, r->db->ref[id], (size_t)to);
	return 0;
}

void pattern_datagram(const struct pattern_db *db, struct pattern_scratch *s, const void *p, size_t n,
		      pattern_hit_fn *hit, void *owner)
{
	struct report r = {.db = db, .hit = hit, .owner = owner};
	hs_scan(db->block, p, (unsigned)n, 0, s->hs, on_match, &r);
}

size_t pattern_stream_bytes(const struct pattern_db *db)
{
	return db->stream_bytes;
}

struct pattern_stream *pattern_stream_open(const struct pattern_db *db)
{
	hs_stream_t *st = NULL;
	return hs_open_stream(db->stream, 0, &st) == HS_SUCCESS ? (struct pattern_stream *)st : NULL;
}

void pattern_stream_data(struct pattern_stream *st, const struct pattern_db *db, struct pattern_scratch *s,
			 const void *p, size_t n, pattern_hit_fn *hit, void *owner)
{
	struct report r = {.db = db, .hit = hit, .owner = owner};
	hs_scan_stream((hs_stream_t *)st, p, (unsigned)n, 0, s->hs, on_match, &r);
}

/* A pattern tied to the end of the data is not reported: a stream's end on the
 * wire is the capture's accident. */
void pattern_stream_close(struct pattern_stream *st, struct pattern_scratch *s)
{
	hs_close_stream((hs_stream_t *)st, s ? s->hs : NULL, NULL, NULL);
}

bool pattern_check(const char *expression, size_t n, struct err *e)
{
	if (!n || n > PATTERN_TEXT_MAX)
		return err_set(e, "a payload pattern has 1 to %d bytes, this one %zu", PATTERN_TEXT_MAX, n);
	char *expr[1] = {xstrndup(expression, n)};
	unsigned flags = PATTERN_FLAGS, id = 0;
	hs_database_t *db = NULL;
	bool ok = compile(expr, &flags, &id, 1, HS_MODE_STREAM, &db, e);
	hs_free_database(db);
	free(expr[0]);
	return ok;
}

unsigned pattern_width(const char *expression)
{
	hs_expr_info_t *info = NULL;
	hs_compile_error_t *why = NULL;
	unsigned width = 0;
	if (hs_expression_info(expression, PATTERN_FLAGS, &info, &why) == HS_SUCCESS)
		width = info->min_width;
	free(info);
	hs_free_compile_error(why);
	return width;
}
