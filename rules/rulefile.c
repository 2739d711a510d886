/* From files to a rule set. Which format a file has is decided by its ending
 * and, where that says nothing, by how it begins.
 *
 * The set is whole or it is not there: entries that are wrong are left out and
 * said so (partial), but a set in which nothing is left is an error unless the
 * caller asked for it, because a sensor that matches nothing looks healthy. */
#include "rules/rulefile.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "rules/entry.h"
#include "rules/rulefile_csv.h"
#include "rules/rulefile_file.h"
#include "rules/rulefile_yaml.h"
#include "rules/set_lines.h"

#define CONFIDENCE_DEFAULT 50
#define FOLDER_FILES_MAX   10000

/* ---- one file ---- */

static bool ends_with(const char *path, const char *ending)
{
	size_t n = strlen(path), k = strlen(ending);
	return n > k && strcmp(path + n - k, ending) == 0;
}

static bool yaml_name(const char *path)
{
	return ends_with(path, ".yaml") || ends_with(path, ".yml");
}

static bool refuse(struct diags *d, const char *path, const char *code, const char *why)
{
	diag_add(d, DIAG_ERROR, (struct diag_place){.file = path}, code, "%s", why);
	return false;
}

static unsigned lines_in(const char *text, const uint8_t *end)
{
	unsigned n = 0;
	for (; text < (const char *)end; text++)
		n += *text == '\n';
	return n;
}

/* A signed set: nothing of its content is read before it is believed. */
static bool read_signed(struct rule_source *s, const struct buf *text, const struct rulefile_trust *t)
{
	struct signed_set set;
	struct err e;
	if (!signed_set_read(text->p, text->n, &set, &e) || !signed_set_whole(&set.m, set.content, &e))
		return refuse(s->d, s->file, "bad-set", e.text);
	if (t && t->keys && !trust_believes(t->keys, set.manifest, &set.m, &set.by, t->now_us, NULL, &e))
		return refuse(s->d, s->file, "signature", e.text);
	s->signed_as = &set.m;
	set_lines_read(s, (const char *)set.content.p, set.content.n, lines_in((const char *)text->p, set.content.p));
	return true;
}

static void read_plain(struct rule_source *s, const struct buf *text)
{
	const char *p = text->n ? (const char *)text->p : "";
	if (ends_with(s->file, ".csv") || (!yaml_name(s->file) && rulefile_csv_looks(p, text->n)))
		rulefile_csv_read(s, p, text->n);
	else
		rulefile_yaml_read(s, p, text->n);
}

void rulefile_defaults(struct rule_source *s)
{
	s->defaults.i.severity = SEVERITY_MEDIUM;
	s->defaults.i.confidence = CONFIDENCE_DEFAULT;
}

bool rulefile_read(struct ruleset_builder *b, const char *path, const struct rulefile_trust *t, struct diags *d,
		   struct rulefile_count *count)
{
	struct buf text = {0};
	struct err e;
	bool ok = true;
	*count = (struct rulefile_count){0};
	if (!rulefile_slurp(path, &text, &e)) {
		diag_add(d, DIAG_ERROR, (struct diag_place){0}, "unreadable", "%s", e.text);
		buf_free(&text);
		return false;
	}
	struct rule_source s = {.b = b,
				.d = d,
				.count = count,
				.file = path,
				.overrides = t ? t->overrides : NULL,
				.judge_us = t ? t->judge_us : 0};
	rulefile_defaults(&s);
	if (signed_set_looks(text.p, text.n))
		ok = read_signed(&s, &text, t);
	else if (t && t->required)
		ok = refuse(d, path, "unsigned",
			    "it has no signature, and rules.require_signature is set: picket rules sign");
	else
		read_plain(&s, &text);
	source_close(&s);
	buf_free(&text);
	return ok;
}

bool rulefile_tests(const char *path, struct rule_tests *out, struct diags *d)
{
	struct buf text = {0};
	struct err e;
	struct rulefile_count count = {0};
	if (!rulefile_slurp(path, &text, &e)) {
		diag_add(d, DIAG_ERROR, (struct diag_place){0}, "unreadable", "%s", e.text);
		buf_free(&text);
		return false;
	}
	struct rule_source s = {.b = ruleset_builder_new(), .d = d, .count = &count, .file = path, .tests = out};
	rulefile_yaml_read(&s, text.n ? (const char *)text.p : "", text.n);
	source_close(&s);
	ruleset_builder_free(s.b);
	buf_free(&text);
	return true;
}

/* ---- files and folders ---- */

/* The list of paths that is built up from what was named. */
struct paths {
	char **v;
	size_t n, compiled;
};

static void paths_free(struct paths *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i]);
	free(p->v);
}

static void paths_add(struct paths *p, const char *path)
{
	p->v = xrealloc(p->v, (p->n + 1) * sizeof(*p->v));
	p->v[p->n++] = xstrdup(path);
	p->compiled += strcmp(path, "-") != 0 && ruleset_is_compiled(path);
}

static bool sort_of_rules(const char *path)
{
	struct stat st;
	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return false;
	return yaml_name(path) || ends_with(path, ".csv") || ends_with(path, ".pset") || ruleset_is_compiled(path);
}

static void add_folder(struct paths *p, const char *folder, struct diags *d)
{
	struct dirent **names;
	int n = scandir(folder, &names, NULL, alphasort);
	if (n < 0) {
		diag_add(d, DIAG_ERROR, (struct diag_place){0}, "unreadable", "cannot read %s: %s", folder,
			 strerror(errno));
		return;
	}
	size_t before = p->n, left = 0;
	for (int i = 0; i < n; i++) {
		struct buf path = {0};
		buf_printf(&path, "%s%s%s", folder, ends_with(folder, "/") ? "" : "/", names[i]->d_name);
		buf_u8(&path, 0);
		bool rules = names[i]->d_name[0] != '.' && sort_of_rules((char *)path.p);
		if (rules && p->n - before < FOLDER_FILES_MAX)
			paths_add(p, (char *)path.p);
		else if (rules && !left++)
			diag_add(d, DIAG_ERROR, (struct diag_place){.file = folder}, "too-many-files",
				 "at most %d files of a folder are read: %s and those after it are not",
				 FOLDER_FILES_MAX, names[i]->d_name);
		buf_free(&path);
		free(names[i]);
	}
	free(names);
	if (p->n == before)
		diag_add(d, DIAG_WARNING, (struct diag_place){.file = folder}, "empty-folder",
			 "no rule files in it (*.yaml, *.yml, *.csv, signed *.pset or compiled sets)");
}

static struct paths expand(const char *const *paths, size_t n, struct diags *d)
{
	struct paths all = {0};
	struct stat st;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(paths[i], "-") != 0 && stat(paths[i], &st) == 0 && S_ISDIR(st.st_mode))
			add_folder(&all, paths[i], d);
		else
			paths_add(&all, paths[i]);
	}
	return all;
}

static struct ruleset *failed(struct diags *d, const char *code, const char *text)
{
	diag_add(d, DIAG_ERROR, (struct diag_place){0}, code, "%s", text);
	return NULL;
}

static struct ruleset *open_compiled(const char *path, bool allow_empty, struct diags *d)
{
	struct err e;
	struct ruleset *r = ruleset_open(path, true, &e);
	if (!r)
		return failed(d, "compiled", e.text);
	if (ruleset_count(r, INDICATOR_NONE) == 0 && !allow_empty) {
		ruleset_free(r);
		return failed(d, "empty-set", "the compiled set holds no indicators");
	}
	return r;
}

static struct ruleset *build(const struct paths *all, bool allow_empty, const struct rulefile_trust *t, struct diags *d,
			     bool *partial)
{
	struct ruleset_builder *b = ruleset_builder_new();
	struct ruleset *r = NULL;
	struct err e;
	for (size_t i = 0; i < all->n; i++) {
		struct rulefile_count count;
		if (!rulefile_read(b, all->v[i], t, d, &count) || count.refused)
			*partial = true;
		if (t && t->duplicates)
			*t->duplicates += count.duplicate;
	}
	if (ruleset_builder_count(b) == 0 && !allow_empty)
		failed(d, "empty-set",
		       all->n ? "no indicator is left: a set that matches nothing is not loaded"
			      : "no rule file is given");
	else if (!(r = ruleset_build(b, &e)))
		failed(d, "build", e.text);
	ruleset_builder_free(b);
	return r;
}

/* A compiled set carries no text to merge (its allow list cannot be taken apart
 * again), so it stands alone. */
struct ruleset *rulefile_load_trusted(const char *const *paths, size_t n, bool allow_empty,
				      const struct rulefile_trust *t, struct diags *d, bool *partial)
{
	size_t errors = d->count[DIAG_ERROR];
	struct paths all = expand(paths, n, d);
	struct ruleset *r;
	*partial = false;
	if (all.compiled && all.n > 1)
		r = failed(d, "compiled", "a compiled set cannot be loaded beside other files: compile them together");
	else if (all.compiled && t && t->required)
		r = failed(d, "unsigned", "a compiled set has no signature, and rules.require_signature is set");
	else if (all.compiled)
		r = open_compiled(all.v[0], allow_empty, d);
	else
		r = build(&all, allow_empty, t, d, partial);
	*partial = *partial || d->count[DIAG_ERROR] > errors;
	paths_free(&all);
	return r;
}

struct ruleset *rulefile_load(const char *const *paths, size_t n, bool allow_empty, struct diags *d, bool *partial)
{
	return rulefile_load_trusted(paths, n, allow_empty, NULL, d, partial);
}
