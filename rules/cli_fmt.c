/* `picket rules fmt`: one layout of the text, with every comment where it was. What
 * it changes is blanks, line ends and empty lines; that nothing else changed is not
 * assumed: both texts are loaded and must be the same set. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/complain.h"
#include "common/exits.h"
#include "common/text.h"
#include "rules/cli_rules.h"
#include "rules/fmt_order.h"
#include "rules/rulefile.h"
#include "rules/rulefile_file.h"
#include "rules/set_layout.h"

static const char fmt_help[] =
    "usage: picket rules fmt [--check] FILE…\n"
    "Lays rule files (YAML, CSV) out in one way: line ends, no blanks at the end of a line, at most one empty line,\n"
    "\"# \" before comments, an empty line before a section that follows items; sections in one order, and items in\n"
    "the order of their text within each group: comments and empty lines divide a list into groups. Comments stay.\n"
    "A file whose meaning would change is left as it is.\n"
    "\n"
    "      --check  change nothing; name the files that would change\n"
    "\n"
    "Exit code: 0 done, 1 --check: some would change, 2 usage, 3 a file has errors, 4 it cannot be read or written.\n";

/* ---- the text ---- */

/* "#word" to "# word"; "#!", "##" and "#," stay. */
static void put_line(struct buf *out, const char *line, size_t n)
{
	size_t lead = 0;
	while (lead < n && line[lead] == ' ')
		lead++;
	bool word = lead + 1 < n && line[lead] == '#' &&
		    ((line[lead + 1] >= 'a' && line[lead + 1] <= 'z') ||
		     (line[lead + 1] >= 'A' && line[lead + 1] <= 'Z'));
	buf_add(out, line, word ? lead + 1 : n);
	if (word) {
		buf_u8(out, ' ');
		buf_add(out, line + lead + 1, n - lead - 1);
	}
	buf_u8(out, '\n');
}

static void lay_out(const struct buf *text, bool yaml, struct buf *out)
{
	const char *p = (const char *)text->p, *end = p + text->n;
	bool blank = true, nested = false, comment = false;
	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((eol ? eol : end) - p);
		while (n && (p[n - 1] == ' ' || p[n - 1] == '\t' || p[n - 1] == '\r'))
			n--;
		/* A section that follows items stands apart, with the comment above it. */
		if (yaml && fmt_starts_section(p, n) && nested && !blank && !comment)
			buf_u8(out, '\n');
		if (n || !blank)
			put_line(out, p, n);
		blank = !n;
		comment = n && p[0] == '#';
		nested = n ? p[0] == ' ' || p[0] == '-' : nested;
		p = eol ? eol + 1 : end;
	}
	while (out->n > 1 && out->p[out->n - 1] == '\n' && out->p[out->n - 2] == '\n')
		out->n--;
}

/* ---- the same set? ---- */

static bool layout_of(const char *path, struct buf *out, struct diags *d, struct err *e)
{
	struct overrides o = {0};
	struct rulefile_trust t = {.overrides = &o};
	bool partial;
	size_t n;
	struct ruleset *r = rulefile_load_trusted(&path, 1, true, &t, d, &partial);
	bool ok = r && (!partial || err_set(e, "it has errors")) && set_layout(r, &o, 1, out, &n, e);
	if (!r)
		err_set(e, "it does not load");
	ruleset_free(r);
	overrides_free(&o);
	return ok;
}

/* Without the first line: a set without an id is called after its file. */
static bool same_from_second_line(const struct buf *a, const struct buf *b)
{
	const uint8_t *x = a->n ? memchr(a->p, '\n', a->n) : NULL, *y = b->n ? memchr(b->p, '\n', b->n) : NULL;
	size_t n = x ? a->n - (size_t)(x - a->p) : 0;
	return x && y && n == b->n - (size_t)(y - b->p) && memcmp(x, y, n) == 0;
}

static bool write_beside(const char *path, const char *name, const struct buf *b, struct err *e)
{
	FILE *f = fopen(name, "wb");
	bool ok = f && fwrite(b->p, 1, b->n, f) == b->n;
	ok = (!f || fclose(f) == 0) && ok;
	return ok || err_errno(e, "cannot write beside %s", path);
}

/* ---- a file ---- */

static int say(const char *path, const char *why, int code)
{
	complain("picket rules fmt: %s: %s", path, why);
	return code;
}

static int replace(const char *path, const char *name, const struct buf *now)
{
	struct buf before = {0}, after = {0};
	struct diags d = {0};
	struct err e = {""};
	int code = EXIT_OK;
	if (!layout_of(path, &before, &d, &e)) {
		diag_print(&d, stderr);
		code = say(path, e.text, EXIT_INVALID);
	} else if (!write_beside(path, name, now, &e)) {
		code = say(path, e.text, EXIT_ENVIRONMENT);
	} else if (!layout_of(name, &after, &d, &e) || !same_from_second_line(&before, &after)) {
		code = say(path,
			   "laid out it would mean something else (is an entry in it twice, each time otherwise?): "
			   "left as it is",
			   EXIT_INVALID);
	} else if (rename(name, path) != 0) {
		code = say(path, strerror(errno), EXIT_ENVIRONMENT);
	}
	unlink(name);
	diag_free(&d);
	buf_free(&before);
	buf_free(&after);
	return code;
}

static int fmt_one(const char *path, bool check)
{
	struct buf text = {0}, plain = {0}, ordered = {0}, now = {0}, name = {0};
	struct err e;
	size_t n = strlen(path);
	bool yaml = n < 4 || strcmp(path + n - 4, ".csv") != 0;
	int code = EXIT_OK;
	if (!rulefile_slurp(path, &text, &e)) {
		buf_free(&text);
		return say(path, e.text, EXIT_ENVIRONMENT);
	}
	lay_out(&text, yaml, &plain);
	fmt_order(&plain, yaml, &ordered);
	lay_out(&ordered, yaml, &now); /* where sections moved */
	bool differs = now.n != text.n || (now.n && memcmp(now.p, text.p, now.n) != 0);
	buf_printf(&name, "%s.new.%s", path, yaml ? "yaml" : "csv");
	buf_u8(&name, 0);
	if (differs && check) {
		puts(text_shown(path));
		code = EXIT_FINDINGS;
	} else if (differs) {
		code = replace(path, (const char *)name.p, &now);
	}
	buf_free(&text);
	buf_free(&plain);
	buf_free(&ordered);
	buf_free(&now);
	buf_free(&name);
	return code;
}

int rules_fmt(int argc, char **argv)
{
	static const struct option options[] = {{"check", 0, NULL, 'c'}, {"help", 0, NULL, 'h'}, {0}};
	bool check = false;
	int worst = EXIT_OK;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		if (c == 'h')
			return fputs(fmt_help, stdout), EXIT_OK;
		if (c == '?')
			return EXIT_USAGE;
		check = check || c == 'c';
	}
	if (optind == argc)
		return rules_usage("fmt", "expected FILE…");
	for (; optind < argc; optind++) {
		int code = fmt_one(argv[optind], check);
		worst = code > worst ? code : worst;
	}
	return worst;
}
