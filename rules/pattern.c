#include "rules/pattern.h"

#include <hs/hs.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

#define PATTERN_FLAGS (HS_FLAG_DOTALL | HS_FLAG_SINGLEMATCH) /* as in pattern_check.c */

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

/* Appends the payload patterns of one set; gives how many there are then. */
static size_t take_expressions(struct pattern_db *db, const struct ruleset *r, ruleset_ref mark, char **expr, size_t n)
{
	for (size_t i = 0; r && i < ruleset_pattern_count(r); i++) {
		struct indicator ind;
		ruleset_ref ref = ruleset_pattern(r, i, &ind);
		if (ind.type != INDICATOR_PAYLOAD && ind.type != INDICATOR_PAYLOAD_HEX)
			continue;
		db->ref[n] = ref | mark;
		expr[n++] = expression_of(&ind);
	}
	return n;
}

struct pattern_db *pattern_db_new(const struct ruleset *r, const struct ruleset *second, struct err *e)
{
	size_t n = ruleset_count(r, INDICATOR_PAYLOAD) + ruleset_count(r, INDICATOR_PAYLOAD_HEX);
	if (second)
		n += ruleset_count(second, INDICATOR_PAYLOAD) + ruleset_count(second, INDICATOR_PAYLOAD_HEX);
	if (e)
		e->text[0] = '\0';
	if (!n)
		return NULL;
	struct pattern_db *db = xcalloc(1, sizeof(*db));
	char **expr = xcalloc(n, sizeof(*expr));
	unsigned *flags = xcalloc(n, sizeof(*flags)), *id = xcalloc(n, sizeof(*id));
	db->ref = xcalloc(n, sizeof(*db->ref));
	n = take_expressions(db, second, PATTERN_SECOND, expr, take_expressions(db, r, 0, expr, 0));
	for (size_t i = 0; i < n; i++) {
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
