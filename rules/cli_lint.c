#define _GNU_SOURCE /* memmem */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/complain.h"
#include "common/exits.h"
#include "common/json.h"
#include "common/text.h"
#include "rules/cli_rules.h"
#include "rules/lint.h"
#include "rules/rulefile.h"
#include "rules/rulefile_file.h"

static const char lint_help[] =
    "usage: picket rules lint [option…] FILE…\n"
    "Reports every flaw of rule files as FILE:LINE:COLUMN: LEVEL: REASON [CODE].\n"
    "\n"
    "      --warninglist FILE  a MISP warninglist (JSON); may be given again\n"
    "      --own VALUE         own network, address or name; may be given again\n"
    "      --against OLD       the set as it was: a set that shrank is an error\n"
    "      --max-shrink N      by how many per cent it may (default 50)\n"
    "      --fail-on LEVEL     exit 1 on findings of this level or above: note, warning (default), error\n"
    "      --at TIME           judge expiry at this time (RFC 3339) instead of now\n"
    "      --limit N           at most so many findings are printed (default 10000); all are counted\n"
    "      --json              one JSON object per finding, then one with the counts\n"
    "  -q, --quiet             nothing but the exit code\n"
    "\n"
    "Exit code: 0 nothing of that level, 1 findings, 2 usage, 4 a file cannot be read.\n";

static const char *const level_names[] = {"note", "warning", "error", NULL};

struct lint_run {
	struct rule_paths files;
	struct lint_options o;
	struct benign *benign;
	struct diags d;
	struct lint_values values;
	struct ruleset *r, *old;
	const char *against;
	enum diag_level fail_on;
	bool json, quiet;
};

/* ---- order and columns ---- */

/* A finding and the value whose column is looked for. */
struct shown {
	const struct diag *g;
	const char *value;
	unsigned line, column;
};

static int in_order(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;
	int file = strcmp(x->g->file ? x->g->file : "", y->g->file ? y->g->file : "");
	if (file)
		return file;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	int code = strcmp(x->g->code, y->g->code);
	return code ? code : strcmp(x->g->text, y->g->text);
}

static bool part_of_value(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr(".-_", c));
}

/* Where the value stands by itself: "bad.example" is not in "www.bad.example". */
static const char *find_whole(const char *line, size_t n, const char *value)
{
	const char *end = line + n, *from = line, *at;
	size_t k = strlen(value);
	while (k && (at = memmem(from, (size_t)(end - from), value, k))) {
		if ((at == line || !part_of_value(at[-1])) && (at + k == end || !part_of_value(at[k])))
			return at;
		from = at + 1;
	}
	return NULL;
}

/* Columns count characters. 0 when the value is not on the line as it is. */
static unsigned column_of(const char *line, size_t n, const char *value)
{
	const char *at = find_whole(line, n, value);
	unsigned column = 1;
	for (const char *p = line; at && p < at; p++)
		column += ((unsigned char)*p & 0xc0) != 0x80;
	return at ? column : 0;
}

/* What is true of a whole set stands at the file's head: its line "set:", else the first. */
static unsigned head_line(const struct buf *text)
{
	unsigned line = 1;
	for (size_t at = 0; at < text->n; line++) {
		const uint8_t *end = memchr(text->p + at, '\n', text->n - at);
		if (text->n - at >= 4 && memcmp(text->p + at, "set:", 4) == 0)
			return line;
		at = end ? (size_t)(end + 1 - text->p) : text->n;
	}
	return 1;
}

/* The compiled set keeps lines; the column is found again in the file, which is
 * read once for all of its findings (they are in the order of lines). */
static void find_columns(struct shown *list, size_t n)
{
	struct buf text = {0};
	size_t at = 0;
	unsigned line = 1;
	for (size_t i = 0; i < n; i++) {
		const struct diag *g = list[i].g;
		if (!g->file || strcmp(g->file, "-") == 0)
			continue;
		if (i == 0 || !list[i - 1].g->file || strcmp(list[i - 1].g->file, g->file) != 0) {
			buf_free(&text);
			at = 0;
			line = 1;
			if (!rulefile_slurp(g->file, &text, NULL))
				buf_free(&text);
		}
		if (!g->line && text.n) {
			list[i].line = head_line(&text);
			list[i].column = 1;
			continue;
		}
		for (; line < g->line && at < text.n; line++) {
			const uint8_t *end = memchr(text.p + at, '\n', text.n - at);
			at = end ? (size_t)(end + 1 - text.p) : text.n;
		}
		if (list[i].column || !list[i].value || line != g->line || at >= text.n)
			continue;
		const uint8_t *end = memchr(text.p + at, '\n', text.n - at);
		list[i].column = column_of((const char *)text.p + at, end ? (size_t)(end - text.p) - at : text.n - at,
					   list[i].value);
	}
	buf_free(&text);
}

/* ---- output ---- */

static void print_json(const struct shown *s)
{
	struct json *o = json_map();
	struct buf line = {0};
	json_put_text(o, "level", level_names[s->g->level]);
	json_put_text(o, "code", s->g->code);
	json_put_text(o, "file", s->g->file);
	if (s->line)
		json_put_int(o, "line", s->line);
	if (s->column)
		json_put_int(o, "column", s->column);
	json_put_text(o, "value", s->value);
	json_put_text(o, "text", s->g->text);
	json_write(o, &line);
	buf_u8(&line, '\n');
	fwrite(line.p, 1, line.n, stdout);
	buf_free(&line);
	json_drop(o);
}

static void print_text(const struct shown *s)
{
	char text[1400];
	if (s->g->file)
		printf("%s:", text_clean(text, sizeof(text), s->g->file, strlen(s->g->file)));
	if (s->line)
		printf("%u:", s->line);
	if (s->column)
		printf("%u:", s->column);
	printf("%s%s: %s [%s]\n", s->g->file ? " " : "", level_names[s->g->level],
	       text_clean(text, sizeof(text), s->g->text, strlen(s->g->text)), s->g->code);
}

static void print_counts(const struct lint_run *u)
{
	size_t n = u->r ? ruleset_count(u->r, INDICATOR_NONE) : 0;
	const size_t *count = u->d.count;
	size_t left_out = count[0] + count[1] + count[2] - u->d.n;
	if (u->json) {
		printf("{\"indicators\":%zu,\"errors\":%zu,\"warnings\":%zu,\"notes\":%zu,\"not_shown\":%zu}\n", n,
		       count[DIAG_ERROR], count[DIAG_WARNING], count[DIAG_NOTE], left_out);
		return;
	}
	printf("%zu indicators: %zu errors, %zu warnings, %zu notes", n, count[DIAG_ERROR], count[DIAG_WARNING],
	       count[DIAG_NOTE]);
	printf(left_out ? "; %zu findings are not shown (--limit)\n" : "\n", left_out);
}

static void print_findings(const struct lint_run *u)
{
	struct shown *list = xcalloc(u->d.n + 1, sizeof(*list));
	for (size_t i = 0; i < u->d.n; i++)
		list[i] = (struct shown){.g = &u->d.list[i],
					 .value = i < u->values.n ? u->values.v[i] : NULL,
					 .line = u->d.list[i].line,
					 .column = u->d.list[i].column};
	qsort(list, u->d.n, sizeof(*list), in_order);
	find_columns(list, u->d.n);
	qsort(list, u->d.n, sizeof(*list), in_order);
	for (size_t i = 0; i < u->d.n; i++) {
		if (u->json)
			print_json(&list[i]);
		else
			print_text(&list[i]);
	}
	free(list);
}

/* ---- the run ---- */

static int run(struct lint_run *u)
{
	struct err e = {""};
	bool partial, found = false;
	if (!benign_seal(u->benign, &e)) {
		complain("picket rules lint: %s", e.text);
		return EXIT_ENVIRONMENT;
	}
	if (u->against) {
		struct diags ignored = {0};
		u->old = rulefile_load(&u->against, 1, true, &ignored, &partial);
		diag_free(&ignored);
		if (!u->old)
			return rules_usage("lint", "--against %s cannot be loaded", u->against);
	}
	u->o.benign = u->benign;
	u->o.against = u->old;
	u->r = rulefile_load_trusted(u->files.v, u->files.n, true, &(struct rulefile_trust){.judge_us = u->o.now_us},
				     &u->d, &partial);
	if (u->r)
		lint(u->r, &u->o, &u->d, &u->values);
	if (!u->quiet) {
		print_findings(u);
		print_counts(u);
	}
	for (int level = u->fail_on; level < DIAG_LEVEL_COUNT; level++)
		found = found || u->d.count[level];
	if (rules_load_code(&u->d) == EXIT_ENVIRONMENT)
		return EXIT_ENVIRONMENT;
	return found ? EXIT_FINDINGS : EXIT_OK;
}

static bool parse_level(const char *text, enum diag_level *out)
{
	for (int i = 0; level_names[i]; i++)
		if (strcmp(text, level_names[i]) == 0) {
			*out = (enum diag_level)i;
			return true;
		}
	return false;
}

static bool parse_count(const char *text, unsigned long max, unsigned long *out)
{
	char *end;
	*out = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && *out <= max;
}

/* EXIT_OK, or the exit code of what is wrong with it. */
static int option(struct lint_run *u, int c)
{
	struct err e = {""};
	unsigned long n = 0;
	if (c == 'w' && !benign_add_warninglist(u->benign, optarg, &u->d, &e)) {
		complain("picket rules lint: %s", e.text);
		return EXIT_ENVIRONMENT;
	}
	if (c == 'o' && !benign_add_own(u->benign, optarg, &e))
		return rules_usage("lint", "--own: %s", e.text);
	if (c == 'f' && !parse_level(optarg, &u->fail_on))
		return rules_usage("lint", "--fail-on: expected note, warning or error, found \"%s\"", optarg);
	if (c == 't' && !clock_parse(optarg, &u->o.now_us))
		return rules_usage("lint", "--at: \"%s\" is no time such as 2027-03-01T00:00:00Z", optarg);
	if (c == 's' && !parse_count(optarg, 100, &n))
		return rules_usage("lint", "--max-shrink: expected 0 to 100, found \"%s\"", optarg);
	if (c == 's')
		u->o.max_shrink = (unsigned)n;
	if (c == 'l' && (!parse_count(optarg, 10000000, &n) || !n))
		return rules_usage("lint", "--limit: expected 1 to 10000000, found \"%s\"", optarg);
	if (c == 'l')
		u->d.limit = n;
	if (c == 'a')
		u->against = optarg;
	u->json = u->json || c == 'j';
	u->quiet = u->quiet || c == 'q';
	return EXIT_OK;
}

static int parse(struct lint_run *u, int argc, char **argv)
{
	static const struct option options[] = {{"warninglist", 1, NULL, 'w'},
						{"own", 1, NULL, 'o'},
						{"against", 1, NULL, 'a'},
						{"max-shrink", 1, NULL, 's'},
						{"fail-on", 1, NULL, 'f'},
						{"at", 1, NULL, 't'},
						{"limit", 1, NULL, 'l'},
						{"json", 0, NULL, 'j'},
						{"quiet", 0, NULL, 'q'},
						{"help", 0, NULL, 'h'},
						{0}};
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "qh", options, NULL)) != -1;) {
		int code = c == '?' ? EXIT_USAGE : option(u, c);
		if (code != EXIT_OK)
			return code;
	}
	while (optind < argc)
		rule_paths_add(&u->files, argv[optind++]);
	return u->files.n ? EXIT_OK : rules_usage("lint", "no FILE is given");
}

int rules_lint(int argc, char **argv)
{
	struct lint_run u = {.fail_on = DIAG_WARNING, .o = {.now_us = clock_wall_us(), .max_shrink = 50}};
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return fputs(lint_help, stdout), EXIT_OK;
	u.benign = benign_new();
	benign_add_builtin(u.benign);
	benign_add_everyday(u.benign);
	int code = parse(&u, argc, argv);
	if (code == EXIT_OK)
		code = run(&u);
	for (size_t i = 0; i < u.values.n; i++)
		free(u.values.v[i]);
	free(u.values.v);
	free(u.files.v);
	diag_free(&u.d);
	ruleset_free(u.r);
	ruleset_free(u.old);
	benign_free(u.benign);
	return code;
}
