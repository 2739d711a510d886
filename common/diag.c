/* Findings: kept, counted, printed, and the nearest known word for "did you
 * mean". The texts quote what people wrote, which may be anything, so they are
 * cleaned when they are kept: a finding never carries a control character to a
 * terminal. */
#include "common/diag.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/text.h"

#define DIAG_LIMIT_DEFAULT 10000
#define DIAG_TEXT_MAX      1024 /* one finding; a quoted value is cut, not the list */
#define WORD_MAX           64   /* longer words have no "did you mean" */

static const char *const level_names[DIAG_LEVEL_COUNT] = {
    [DIAG_NOTE] = "note",
    [DIAG_WARNING] = "warning",
    [DIAG_ERROR] = "error",
};

static char *kept_text(const char *raw, size_t n)
{
	char clean[DIAG_TEXT_MAX];
	return xstrdup(text_clean(clean, sizeof(clean), raw, n));
}

bool diag_full(const struct diags *d)
{
	return d->n >= (d->limit ? d->limit : DIAG_LIMIT_DEFAULT);
}

void diag_add(struct diags *d, enum diag_level level, struct diag_place at, const char *code, const char *fmt, ...)
{
	char raw[DIAG_TEXT_MAX];
	d->count[level]++;
	if (diag_full(d))
		return;
	if (d->n == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 16;
		d->list = xrealloc(d->list, d->cap * sizeof(*d->list));
	}
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	size_t used = n < 0 ? 0 : (size_t)n < sizeof(raw) ? (size_t)n : sizeof(raw) - 1;
	d->list[d->n++] = (struct diag){
	    .level = level,
	    .file = at.file ? kept_text(at.file, strlen(at.file)) : NULL,
	    .line = at.line,
	    .column = at.column,
	    .code = code,
	    .text = kept_text(raw, used),
	};
}

static void print_one(const struct diag *f, FILE *to)
{
	if (f->file)
		fputs(f->file, to);
	if (f->line)
		fprintf(to, ":%u", f->line);
	if (f->line && f->column)
		fprintf(to, ":%u", f->column);
	fprintf(to, "%s%s: %s", f->file ? ": " : "", level_names[f->level], f->text);
	if (f->code)
		fprintf(to, " [%s]", f->code);
	fputc('\n', to);
}

void diag_print(const struct diags *d, FILE *to)
{
	size_t all = 0;
	for (size_t i = 0; i < d->n; i++)
		print_one(&d->list[i], to);
	for (int level = 0; level < DIAG_LEVEL_COUNT; level++)
		all += d->count[level];
	if (all > d->n)
		fprintf(to, "… and %zu more findings (the first %zu are shown)\n", all - d->n, d->n);
}

void diag_free(struct diags *d)
{
	for (size_t i = 0; i < d->n; i++) {
		free(d->list[i].file);
		free(d->list[i].text);
	}
	free(d->list);
	*d = (struct diags){.limit = d->limit};
}

static unsigned smallest(unsigned a, unsigned b, unsigned c)
{
	unsigned low = a < b ? a : b;
	return low < c ? low : c;
}

/* Edit distance where swapped neighbours cost one (optimal string alignment),
 * because that is how people mistype. */
static unsigned distance(const char *a, size_t an, const char *b, size_t bn)
{
	unsigned rows[3][WORD_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2];
	for (unsigned j = 0; j <= bn; j++)
		last[j] = j;
	for (size_t i = 1; i <= an; i++) {
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= bn; j++) {
			unsigned differs = a[i - 1] != b[j - 1];
			now[j] = smallest(last[j] + 1, now[j - 1] + 1, last[j - 1] + differs);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = smallest(now[j], now[j], before[j - 2] + 1);
		}
		unsigned *spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[bn];
}

/* One mistake per three letters, at least one. Case and '-' for '_' are free:
 * both are common and never meant. */
const char *diag_nearest(const char *word, const char *const *known)
{
	char mine[WORD_MAX], theirs[WORD_MAX];
	size_t n = strlen(word);
	const char *best = NULL;
	if (n == 0 || n > WORD_MAX)
		return NULL;
	text_lower(mine, word, n);
	for (size_t i = 0; i < n; i++)
		mine[i] = (char)(mine[i] == '-' ? '_' : mine[i]);
	unsigned best_distance = 1 + (n > 3 ? (unsigned)n / 3 : 1);
	for (; *known; known++) {
		size_t known_n = strlen(*known);
		if (known_n > WORD_MAX)
			continue;
		text_lower(theirs, *known, known_n);
		for (size_t i = 0; i < known_n; i++)
			theirs[i] = (char)(theirs[i] == '-' ? '_' : theirs[i]);
		unsigned d = distance(mine, n, theirs, known_n);
		if (d < best_distance) {
			best_distance = d;
			best = *known;
		}
	}
	return best;
}
