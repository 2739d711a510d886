/* Judging one payload pattern: apart from pattern.c, so that who reads rules need not
 * have a rule set. */
#include <hs/hs.h>
#include <stdlib.h>

#include "common/buf.h"
#include "rules/pattern.h"

/* Bytes, not characters; `.` takes newlines too, because payload has no lines;
 * one report per stream is enough. */
#define PATTERN_FLAGS (HS_FLAG_DOTALL | HS_FLAG_SINGLEMATCH)

bool pattern_check(const char *expression, size_t n, struct err *e)
{
	if (!n || n > PATTERN_TEXT_MAX)
		return err_set(e, "a payload pattern has 1 to %d bytes, this one %zu", PATTERN_TEXT_MAX, n);
	char *copy = xstrndup(expression, n);
	hs_compile_error_t *why = NULL;
	hs_database_t *db = NULL;
	bool ok = hs_compile(copy, PATTERN_FLAGS, HS_MODE_STREAM, NULL, &db, &why) == HS_SUCCESS ||
		  err_set(e, "payload pattern \"%.80s\": %s", copy, why ? why->message : "unknown reason");
	hs_free_compile_error(why);
	hs_free_database(db);
	free(copy);
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
