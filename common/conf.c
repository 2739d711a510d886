/* Configuration from a table of keys. The file is walked event by event with the
 * dotted path in hand, so a finding always has its line and column and nothing
 * is kept twice. A value that is wrong leaves what was there before: all
 * findings come in one run and the caller decides not to start.
 *
 * Order: defaults, file, environment, then --set (conf_set, by the program).
 * In the environment and in --set a list is written with commas. */
#include "common/conf.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/secret.h"
#include "common/text.h"
#include "common/yaml.h"

#define NAME_MAX_LEN 128 /* a dotted key */
#define LIST_MAX     4096
#define ENV_PREFIX   "PICKET_"

extern char **environ;

/* One load under way. */
struct loader {
	const struct conf_key *keys;
	size_t n;
	void *into;
	struct diags *d;
	const char *file;
	unsigned *seen; /* per key: the line where it was given, 0 = not yet */
};

static void *slot(const struct conf_key *k, void *into)
{
	return (char *)into + k->offset;
}

static const void *slot_of(const struct conf_key *k, const void *from)
{
	return (const char *)from + k->offset;
}

/* ---- one value ---- */

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit byte_units[] = {
    {"", 1},          {"b", 1},         {"k", 1 << 10},    {"kb", 1 << 10},    {"kib", 1 << 10},
    {"m", 1 << 20},   {"mb", 1 << 20},  {"mib", 1 << 20},  {"g", 1 << 30},     {"gb", 1 << 30},
    {"gib", 1 << 30}, {"t", 1ll << 40}, {"tb", 1ll << 40}, {"tib", 1ll << 40}, {NULL, 0},
};

static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};

/* "64 MB" → 67108864. A bare 0 needs no unit. */
static bool parse_scaled(const char *text, const struct unit *units, int64_t *out)
{
	char *end;
	errno = 0;
	long long v = strtoll(text, &end, 10);
	if (end == text || errno || v < 0)
		return false;
	while (*end == ' ')
		end++;
	if (v == 0 && !*end) {
		*out = 0;
		return true;
	}
	for (; units->name; units++)
		if (text_equal_fold(end, strlen(end), units->name, strlen(units->name)))
			return !__builtin_mul_overflow((int64_t)v, units->factor, out);
	return false;
}

static bool parse_int(const char *text, int64_t *out)
{
	char *end;
	errno = 0;
	long long v = strtoll(text, &end, 10);
	*out = v;
	return end != text && !*end && !errno;
}

static bool parse_bool(const char *text, bool *out)
{
	static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
	for (size_t i = 0; i < 4; i++) {
		if (text_equal_fold(text, strlen(text), yes[i], strlen(yes[i])))
			return *out = true;
		if (text_equal_fold(text, strlen(text), no[i], strlen(no[i]))) {
			*out = false;
			return true;
		}
	}
	return false;
}

/* A number as the file writes it: the largest unit that divides it. */
static void scaled_text(int64_t v, const struct unit *units, char *out, size_t cap)
{
	const struct unit *best = NULL;
	for (; units->name; units++)
		if (v % units->factor == 0 && (!best || units->factor > best->factor))
			best = units;
	if (v == 0 || !best)
		snprintf(out, cap, "%" PRId64, v);
	else
		snprintf(out, cap, "%" PRId64 "%s", v / best->factor, best->name);
}

static void number_text(const struct conf_key *k, int64_t v, char *out, size_t cap)
{
	/* The first of equal names is the short one; people read MB better than m. */
	static const struct unit bytes_shown[] = {{"", 1},         {"kB", 1 << 10},   {"MB", 1 << 20},
						  {"GB", 1 << 30}, {"TB", 1ll << 40}, {NULL, 0}};
	if (k->type == CONF_BYTES)
		scaled_text(v, bytes_shown, out, cap);
	else if (k->type == CONF_DURATION_MS)
		scaled_text(v, duration_units, out, cap);
	else
		snprintf(out, cap, "%" PRId64, v);
}

static const char *expected(enum conf_type t)
{
	static const char *const text[CONF_TYPE_COUNT] = {
	    [CONF_STRING] = "text",
	    [CONF_STRING_LIST] = "a list of texts",
	    [CONF_BOOL] = "true or false",
	    [CONF_INT] = "a whole number",
	    [CONF_BYTES] = "a size such as 64MB or 1 GiB",
	    [CONF_DURATION_MS] = "a duration such as 250ms, 10s, 5m, 1h or 7d",
	    [CONF_CHOICE] = "one of the choices",
	};
	return text[t];
}

static void apply_number(const struct loader *l, const struct conf_key *k, const char *text, struct diag_place at)
{
	int64_t v = 0;
	bool ok = k->type == CONF_INT     ? parse_int(text, &v)
		  : k->type == CONF_BYTES ? parse_scaled(text, byte_units, &v)
					  : parse_scaled(text, duration_units, &v);
	if (!ok) {
		diag_add(l->d, DIAG_ERROR, at, "bad-value", "%s: expected %s, found \"%s\"", k->name, expected(k->type),
			 text);
		return;
	}
	if ((k->min || k->max) && (v < k->min || v > k->max)) {
		char low[32], high[32];
		number_text(k, k->min, low, sizeof(low));
		number_text(k, k->max, high, sizeof(high));
		diag_add(l->d, DIAG_ERROR, at, "out-of-range", "%s: %s is outside %s..%s", k->name, text, low, high);
		return;
	}
	*(int64_t *)slot(k, l->into) = v;
}

static void apply_choice(const struct loader *l, const struct conf_key *k, const char *text, struct diag_place at)
{
	struct buf all = {0};
	for (int i = 0; k->choices[i]; i++) {
		if (strcmp(k->choices[i], text) == 0) {
			*(int *)slot(k, l->into) = i;
			buf_free(&all);
			return;
		}
		buf_printf(&all, "%s%s", i ? ", " : "", k->choices[i]);
	}
	const char *near = diag_nearest(text, k->choices);
	diag_add(l->d, DIAG_ERROR, at, "bad-choice", "%s: expected one of %.*s, found \"%s\"%s%s%s", k->name,
		 (int)all.n, (const char *)all.p, text, near ? "; did you mean \"" : "", near ? near : "",
		 near ? "\"?" : "");
	buf_free(&all);
}

static void check(const struct loader *l, const struct conf_key *k, const char *text, struct diag_place at)
{
	struct err e;
	if (k->check && *text && !k->check(text, &e))
		diag_add(l->d, DIAG_ERROR, at, "bad-value", "%s: %s", k->name, e.text);
}

static void list_clear(struct conf_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i]);
	free(list->v);
	*list = (struct conf_list){0};
}

static void list_add(const struct loader *l, const struct conf_key *k, const char *text, size_t n, struct diag_place at)
{
	struct conf_list *list = slot(k, l->into);
	if (!n) {
		diag_add(l->d, DIAG_ERROR, at, "bad-value", "%s: an empty entry", k->name);
		return;
	}
	if (list->n >= LIST_MAX) {
		if (list->n == LIST_MAX)
			diag_add(l->d, DIAG_ERROR, at, "too-many", "%s: more than %d entries", k->name, LIST_MAX);
		return;
	}
	list->v = xrealloc(list->v, (list->n + 1) * sizeof(*list->v));
	list->v[list->n++] = xstrndup(text, n);
	check(l, k, list->v[list->n - 1], at);
}

/* One value of text for a key that is not being filled from a sequence. */
static void apply(const struct loader *l, const struct conf_key *k, const char *text, struct diag_place at)
{
	char **string;
	switch (k->type) {
	case CONF_STRING:
		string = slot(k, l->into);
		free(*string);
		*string = *text ? xstrdup(text) : NULL;
		check(l, k, text, at);
		return;
	case CONF_STRING_LIST:
		list_clear(slot(k, l->into));
		if (*text)
			list_add(l, k, text, strlen(text), at);
		return;
	case CONF_BOOL:
		if (!parse_bool(text, slot(k, l->into)))
			diag_add(l->d, DIAG_ERROR, at, "bad-value", "%s: expected %s, found \"%s\"", k->name,
				 expected(k->type), text);
		return;
	case CONF_CHOICE:
		apply_choice(l, k, text, at);
		return;
	default:
		apply_number(l, k, text, at);
		return;
	}
}

/* As apply(), where a list is one text with commas. */
static void apply_flat(const struct loader *l, const struct conf_key *k, const char *text, struct diag_place at)
{
	if (k->type != CONF_STRING_LIST) {
		apply(l, k, text, at);
		return;
	}
	list_clear(slot(k, l->into));
	while (*text) {
		size_t n = strcspn(text, ","), lead = strspn(text, " ");
		size_t word = n > lead ? n - lead : 0;
		while (word && text[lead + word - 1] == ' ')
			word--;
		if (word)
			list_add(l, k, text + lead, word, at);
		text += n + (text[n] == ',');
	}
}

static void apply_fallbacks(const struct loader *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->keys[i].fallback)
			apply_flat(l, &l->keys[i], l->keys[i].fallback,
				   (struct diag_place){.file = "built-in default"});
}

/* ---- names ---- */

static const struct conf_key *find(const struct loader *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->keys[i].name, name) == 0)
			return &l->keys[i];
	return NULL;
}

/* Whether name is a section: a proper prefix of a key at a dot. */
static bool section_known(const struct loader *l, const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < l->n; i++)
		if (strncmp(l->keys[i].name, name, n) == 0 && l->keys[i].name[n] == '.')
			return true;
	return false;
}

/* The nearest whole name; else the key whose last part is what was written. */
static const char *nearest_key(const struct loader *l, const char *name)
{
	const char **names = xcalloc(l->n + 1, sizeof(*names));
	for (size_t i = 0; i < l->n; i++)
		names[i] = l->keys[i].name;
	const char *near = diag_nearest(name, names);
	const char *last = strrchr(name, '.');
	last = last ? last + 1 : name;
	for (size_t i = 0; i < l->n && !near; i++) {
		const char *dot = strrchr(names[i], '.');
		if (dot && strcmp(dot + 1, last) == 0)
			near = names[i];
	}
	free(names);
	return near;
}

/* The section whose name is nearest, written to out. */
static const char *nearest_section(const struct loader *l, const char *name, char out[static NAME_MAX_LEN])
{
	for (size_t i = 0; i < l->n; i++) {
		for (const char *dot = strchr(l->keys[i].name, '.'); dot; dot = strchr(dot + 1, '.')) {
			snprintf(out, NAME_MAX_LEN, "%.*s", (int)(dot - l->keys[i].name), l->keys[i].name);
			const char *one[] = {out, NULL};
			if (diag_nearest(name, one))
				return out;
		}
	}
	return NULL;
}

static void unknown(const struct loader *l, const char *name, bool is_section, struct diag_place at)
{
	char section[NAME_MAX_LEN];
	bool told = !diag_full(l->d); /* else nobody reads what was meant */
	const char *near = !told ? NULL : is_section ? nearest_section(l, name, section) : nearest_key(l, name);
	if (!near && told)
		near = is_section ? nearest_key(l, name) : nearest_section(l, name, section);
	if (near)
		diag_add(l->d, DIAG_ERROR, at, "unknown-key", "unknown %s \"%s\"; did you mean \"%s\"?",
			 is_section ? "section" : "key", name, near);
	else
		diag_add(l->d, DIAG_ERROR, at, "unknown-key", "unknown %s \"%s\"", is_section ? "section" : "key",
			 name);
}

/* ---- the file ---- */

static struct diag_place place(const struct loader *l, struct yaml_event e)
{
	return (struct diag_place){.file = l->file, .line = e.line, .column = e.column};
}

static bool null_scalar(struct yaml_event e)
{
	return e.kind == YAML_SCALAR && !e.quoted &&
	       (e.n == 0 || strcmp(e.text, "~") == 0 || strcmp(e.text, "null") == 0);
}

static void load_list(struct loader *l, struct yaml *y, const struct conf_key *k)
{
	list_clear(slot(k, l->into));
	for (;;) {
		struct yaml_event e = yaml_next(y);
		if (e.kind == YAML_SEQ_END || e.kind == YAML_END)
			return;
		if (e.kind == YAML_SCALAR && strlen(e.text) == e.n) {
			list_add(l, k, e.text, e.n, place(l, e));
			continue;
		}
		diag_add(l->d, DIAG_ERROR, place(l, e), "bad-value", "%s: expected a list of plain texts", k->name);
		yaml_skip(y, e.kind);
	}
}

static void load_value(struct loader *l, struct yaml *y, const struct conf_key *k, struct yaml_event e)
{
	if (e.kind == YAML_SEQ && k->type == CONF_STRING_LIST) {
		load_list(l, y, k);
	} else if (e.kind != YAML_SCALAR) {
		diag_add(l->d, DIAG_ERROR, place(l, e), "bad-value", "%s: expected %s, found a %s", k->name,
			 expected(k->type), e.kind == YAML_SEQ ? "list" : "section");
		yaml_skip(y, e.kind);
	} else if (strlen(e.text) != e.n) {
		diag_add(l->d, DIAG_ERROR, place(l, e), "bad-value", "%s: holds a NUL character", k->name);
	} else if (null_scalar(e) && k->type != CONF_STRING && k->type != CONF_STRING_LIST) {
		diag_add(l->d, DIAG_ERROR, place(l, e), "bad-value", "%s: expected %s, found nothing", k->name,
			 expected(k->type));
	} else {
		apply(l, k, null_scalar(e) ? "" : e.text, place(l, e));
	}
}

/* False when this key was given before. */
static bool first_time(struct loader *l, const struct conf_key *k, struct diag_place at)
{
	unsigned *seen = &l->seen[k - l->keys];
	if (*seen) {
		diag_add(l->d, DIAG_ERROR, at, "duplicate-key", "%s is given twice; the first is on line %u", k->name,
			 *seen);
		return false;
	}
	*seen = at.line;
	return true;
}

/* The rest of a map whose keys stand below `path`. Deeper maps recurse at most
 * as deep as the table's names have dots. */
static void load_map(struct loader *l, struct yaml *y, const char *path)
{
	for (;;) {
		char name[NAME_MAX_LEN];
		struct yaml_event key = yaml_next(y);
		if (key.kind == YAML_MAP_END || key.kind == YAML_END)
			return;
		struct diag_place at = place(l, key);
		if (key.kind != YAML_SCALAR) {
			diag_add(l->d, DIAG_ERROR, at, "bad-key", "expected the name of a key");
			yaml_skip(y, key.kind);
			yaml_skip(y, yaml_next(y).kind);
			continue;
		}
		int fits = snprintf(name, sizeof(name), "%s%s%s", path, *path ? "." : "", key.text);
		struct yaml_event value = yaml_next(y);
		const struct conf_key *k = fits < NAME_MAX_LEN ? find(l, name) : NULL;
		if (k && first_time(l, k, at)) {
			load_value(l, y, k, value);
		} else if (!k && value.kind == YAML_MAP && fits < NAME_MAX_LEN && section_known(l, name)) {
			load_map(l, y, name);
		} else {
			if (!k && section_known(l, name) && !null_scalar(value))
				diag_add(l->d, DIAG_ERROR, place(l, value), "bad-value",
					 "%s: expected a section with keys below it", name);
			else if (!k && !section_known(l, name))
				unknown(l, name, value.kind == YAML_MAP, at);
			yaml_skip(y, value.kind);
		}
	}
}

static void load_file(struct loader *l, const char *path)
{
	struct err e;
	bool fit = trusted_file(path, "the configuration", TRUSTED_GROUP, &e);
	struct yaml *y = fit ? yaml_open(path, &e) : NULL;
	if (!y) {
		diag_add(l->d, DIAG_ERROR, (struct diag_place){0}, fit ? "unreadable" : "open-to-others", "%s", e.text);
		return;
	}
	struct yaml_event first = yaml_next(y);
	if (first.kind == YAML_MAP)
		load_map(l, y, "");
	else if (first.kind != YAML_END && !null_scalar(first))
		diag_add(l->d, DIAG_ERROR, place(l, first), "bad-value",
			 "expected keys and values, as in \"section: {key: value}\"");
	while (yaml_next(y).kind != YAML_END)
		;
	struct diag_place at = {.file = path};
	const char *why;
	if (yaml_failed(y, &why, &at.line, &at.column))
		diag_add(l->d, DIAG_ERROR, at, "yaml", "%s", why);
	yaml_close(y);
}

/* ---- the environment ---- */

static void env_name(const char *key, char out[static NAME_MAX_LEN])
{
	size_t n = strlen(ENV_PREFIX);
	memcpy(out, ENV_PREFIX, n);
	for (; *key && n + 3 < NAME_MAX_LEN; key++) {
		char c = *key;
		if (c == '.')
			out[n++] = '_';
		out[n++] = (char)(c == '.' || c == '-' ? '_' : c >= 'a' && c <= 'z' ? c - 32 : c);
	}
	out[n] = '\0';
}

/* Only names with the double underscore are ours to judge: PICKET_CONFIG and
 * the like belong to the programs. */
static void unknown_variable(const struct loader *l, const char *variable)
{
	char name[NAME_MAX_LEN], mine[NAME_MAX_LEN];
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(variable, "="), variable);
	char **names = xcalloc(l->n + 1, sizeof(*names));
	for (size_t i = 0; i < l->n; i++) {
		env_name(l->keys[i].name, mine);
		names[i] = xstrdup(mine);
	}
	const char *near = diag_nearest(name, (const char *const *)names);
	diag_add(l->d, DIAG_ERROR, (struct diag_place){.file = name}, "unknown-key",
		 "no configuration key goes by this name%s%s%s", near ? "; did you mean " : "", near ? near : "",
		 near ? "?" : "");
	for (size_t i = 0; i < l->n; i++)
		free(names[i]);
	free(names);
}

static bool apply_variable(const struct loader *l, const char *variable)
{
	char name[NAME_MAX_LEN];
	for (size_t i = 0; i < l->n; i++) {
		env_name(l->keys[i].name, name);
		size_t n = strlen(name);
		if (strncmp(variable, name, n) != 0 || variable[n] != '=')
			continue;
		apply_flat(l, &l->keys[i], variable + n + 1, (struct diag_place){.file = name});
		return true;
	}
	return false;
}

static void load_environment(const struct loader *l)
{
	for (char **v = environ; v && *v; v++) {
		if (strncmp(*v, ENV_PREFIX, strlen(ENV_PREFIX)) != 0)
			continue;
		const char *double_underscore = strstr(*v, "__"), *equals = strchr(*v, '=');
		if (!apply_variable(l, *v) && double_underscore && equals && double_underscore < equals)
			unknown_variable(l, *v);
	}
}

static bool load(const struct conf_key *keys, size_t n, const char *path, void *into, struct diags *d, bool environment)
{
	size_t before = d->count[DIAG_ERROR];
	struct loader l = {.keys = keys, .n = n, .into = into, .d = d, .file = path};
	l.seen = xcalloc(n, sizeof(*l.seen));
	apply_fallbacks(&l);
	assert(d->count[DIAG_ERROR] == before); /* the table's own defaults must be right */
	if (path)
		load_file(&l, path);
	if (environment)
		load_environment(&l);
	free(l.seen);
	return d->count[DIAG_ERROR] == before;
}

bool conf_load(const struct conf_key *keys, size_t n, const char *path, void *into, struct diags *d)
{
	return load(keys, n, path, into, d, true);
}

bool conf_load_file(const struct conf_key *keys, size_t n, const char *path, void *into, struct diags *d)
{
	return load(keys, n, path, into, d, false);
}

bool conf_set(const struct conf_key *keys, size_t n, const char *name, const char *value, void *into, struct diags *d)
{
	size_t before = d->count[DIAG_ERROR];
	struct loader l = {.keys = keys, .n = n, .into = into, .d = d};
	const struct conf_key *k = find(&l, name);
	struct diag_place at = {.file = "--set"};
	if (k)
		apply_flat(&l, k, value, at);
	else
		unknown(&l, name, false, at);
	return d->count[DIAG_ERROR] == before;
}

bool conf_set_word(const struct conf_key *keys, size_t n, const char *word, void *into, struct diags *d)
{
	const char *eq = strchr(word, '=');
	char name[NAME_MAX_LEN];
	if (!eq || (size_t)(eq - word) >= sizeof(name)) {
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = "--set"}, "set", "\"%s\" is not KEY=VALUE", word);
		return false;
	}
	snprintf(name, sizeof(name), "%.*s", (int)(eq - word), word);
	return conf_set(keys, n, name, eq + 1, into, d);
}

void conf_take_over(const struct conf_key *keys, size_t n, void *into, const void *fresh)
{
	for (size_t i = 0; i < n; i++)
		if (keys[i].reload)
			memcpy((char *)into + keys[i].offset, (const char *)fresh + keys[i].offset, sizeof(int64_t));
}

/* ---- dump ---- */

static bool plain_safe(const char *text)
{
	static const char *const words[] = {"~", "null", "true", "false", "yes", "no", "on", "off"};
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (text_equal_fold(text, strlen(text), words[i], strlen(words[i])))
			return false;
	return *text && *text != '-' && *text != '.' && text[strspn(text, safe)] == '\0';
}

/* Double-quoted YAML unless every YAML reader takes it as plain text. */
static void dump_text(const char *text, FILE *to)
{
	if (plain_safe(text)) {
		fputs(text, to);
		return;
	}
	struct buf quoted = {0};
	text_quote(&quoted, text, strlen(text));
	fwrite(quoted.p, 1, quoted.n, to);
	buf_free(&quoted);
}

static void dump_list(const struct conf_list *list, FILE *to)
{
	fputc('[', to);
	for (size_t i = 0; i < list->n; i++) {
		fputs(i ? ", " : "", to);
		dump_text(list->v[i], to);
	}
	fputc(']', to);
}

static void dump_value(const struct conf_key *k, const void *from, FILE *to)
{
	const void *at = slot_of(k, from);
	char number[32];
	switch (k->type) {
	case CONF_STRING:
		dump_text(*(char *const *)at ? *(char *const *)at : "", to);
		return;
	case CONF_STRING_LIST:
		dump_list(at, to);
		return;
	case CONF_BOOL:
		fputs(*(const bool *)at ? "true" : "false", to);
		return;
	case CONF_CHOICE:
		dump_text(k->choices[*(const int *)at], to);
		return;
	default:
		number_text(k, *(const int64_t *)at, number, sizeof(number));
		fputs(number, to);
		return;
	}
}

static void dump_key(const struct conf_key *k, const char *name, int indent, const void *from, FILE *to)
{
	bool told = k->fallback && *k->fallback;
	if (k->help)
		fprintf(to, "%*s# %s%s%s%s\n", indent, "", k->help, told ? " (default " : "", told ? k->fallback : "",
			told ? ")" : "");
	fprintf(to, "%*s%s: ", indent, "", name);
	dump_value(k, from, to);
	fputc('\n', to);
}

/* Whether an earlier row already opened the section that row i stands in. */
static bool opened_before(const struct conf_key *keys, size_t i, size_t section)
{
	for (size_t j = 0; j < i; j++)
		if (strncmp(keys[j].name, keys[i].name, section + 1) == 0)
			return true;
	return false;
}

/* All keys below prefix (its dot included), in the table's order, each section
 * once however the table is laid out. */
static void dump_level(const struct conf_key *keys, size_t n, const char *prefix, int indent, const void *from,
		       FILE *to)
{
	size_t skip = strlen(prefix);
	for (size_t i = 0; i < n; i++) {
		const char *name = keys[i].name;
		if (strncmp(name, prefix, skip) != 0)
			continue;
		const char *dot = strchr(name + skip, '.');
		if (!dot) {
			dump_key(&keys[i], name + skip, indent, from, to);
			continue;
		}
		size_t section = (size_t)(dot - name);
		if (opened_before(keys, i, section))
			continue;
		char deeper[NAME_MAX_LEN];
		snprintf(deeper, sizeof(deeper), "%.*s", (int)section + 1, name);
		fprintf(to, "%*s%.*s:\n", indent, "", (int)(section - skip), name + skip);
		dump_level(keys, n, deeper, indent + 2, from, to);
	}
}

void conf_dump(const struct conf_key *keys, size_t n, const void *from, FILE *to)
{
	dump_level(keys, n, "", 0, from, to);
}

void conf_free(const struct conf_key *keys, size_t n, void *from)
{
	for (size_t i = 0; i < n; i++) {
		char **string = slot(&keys[i], from);
		if (keys[i].type == CONF_STRING) {
			free(*string);
			*string = NULL;
		} else if (keys[i].type == CONF_STRING_LIST) {
			list_clear(slot(&keys[i], from));
		}
	}
}
