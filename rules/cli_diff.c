/* `picket rules diff OLD NEW`: what an update of a set would do.
 *
 * Two indicators are the same when set, type, canonical value and match are the
 * same; what differs beside that is a change. A value that went and came back
 * under another type is retyped, because that is one mistake or one correction,
 * not two events. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/exits.h"
#include "common/json.h"
#include "common/text.h"
#include "rules/canon.h"
#include "rules/cli_rules.h"
#include "rules/rulefile.h"

static const char diff_help[] =
    "usage: picket rules diff [option…] OLD NEW\n"
    "Says what was added (+), removed (-), changed (~), retyped (>) or expired (x), set by set.\n"
    "\n"
    "      --json       one JSON object per difference, then one with the counts of each set\n"
    "      --summary    the counts only\n"
    "      --at TIME    judge expiry at this time (RFC 3339) instead of now\n"
    "      --exit-code  exit 1 when there is a difference\n"
    "\n"
    "OLD and NEW are rule files, compiled sets or folders. Exit code: 0 done, 1 --exit-code, 2 usage,\n"
    "3 rules invalid, 4 a file cannot be read, 5 some entries did not load.\n";

static const char changelog_help[] =
    "usage: picket rules changelog [--at TIME] OLD NEW\n"
    "What an update changes, for people: Markdown, a section for each set, with its producer and versions.\n"
    "\n"
    "      --at TIME  judge expiry at this time (RFC 3339) instead of now\n"
    "\n"
    "OLD and NEW are rule files, signed or compiled sets, or folders. Exit codes are those of diff.\n";

enum change { ADDED_NOW = 0, REMOVED, CHANGED, RETYPED, EXPIRED, CHANGE_COUNT };
static const char *const change_names[CHANGE_COUNT] = {"added", "removed", "changed", "retyped", "expired"};
static const char change_marks[] = "+-~>x";

/* Counts of one set, by its id. */
struct set_change {
	const char *id;
	size_t n[CHANGE_COUNT];
};

struct diff_run {
	const struct ruleset *old, *new;
	struct set_change *sets;
	size_t sets_n, total;
	int64_t now_us;
	bool json, summary;
	bool markdown;
	const char *only; /* markdown: the set that is told of; NULL = all are counted */
};

static size_t *counts_of(struct diff_run *u, const char *set)
{
	size_t i = 0;
	while (i < u->sets_n && strcmp(u->sets[i].id, set) != 0)
		i++;
	return u->sets[i].n; /* all ids of both are there */
}

static void add_sets(struct diff_run *u, const struct ruleset *r)
{
	for (size_t k = 0; k < ruleset_set_count(r); k++) {
		const char *id = ruleset_set_at(r, k).id;
		size_t i = 0;
		while (i < u->sets_n && strcmp(u->sets[i].id, id) != 0)
			i++;
		if (i < u->sets_n)
			continue;
		u->sets = xrealloc(u->sets, (u->sets_n + 1) * sizeof(*u->sets));
		u->sets[u->sets_n++] = (struct set_change){.id = id};
	}
}

/* ---- telling ---- */

static void print_json(const struct json *o)
{
	struct buf line = {0};
	json_write(o, &line);
	printf("%.*s\n", (int)line.n, (const char *)line.p);
	buf_free(&line);
}

/* Cleaned text between two runs of backticks longer than any in it (CommonMark, "Code
 * spans"): nothing in it is markup. */
static void markdown_code(const char *text)
{
	int fence = 1;
	for (const char *p = text; *p; p += strspn(p, "`"), p += strcspn(p, "`")) {
		int run = (int)strspn(p, "`");
		fence = run >= fence ? run + 1 : fence;
	}
	const char *blank = *text == '`' || (*text && text[strlen(text) - 1] == '`') ? " " : "";
	for (int i = 0; i < fence; i++)
		putchar('`');
	printf("%s%s%s", blank, text, blank);
	for (int i = 0; i < fence; i++)
		putchar('`');
}

/* Any text as text: what CommonMark or HTML would take for markup has a backslash. */
static void markdown_text(const char *text)
{
	for (text = text_shown(text); *text; text++) {
		if (strchr("\\`*_[]<>&~|#!", *text))
			putchar('\\');
		putchar(*text);
	}
}

static void tell(struct diff_run *u, enum change c, const struct indicator *i, const char *set, const char *what)
{
	char value[512], id[160], detail[1024];
	if (u->only && strcmp(set, u->only) != 0)
		return;
	u->total++;
	counts_of(u, set)[c]++;
	if (u->summary)
		return;
	if (u->json) {
		struct json *o = json_map();
		json_put_text(o, "change", change_names[c]);
		json_put_text(o, "set", set);
		json_put_text(o, "type", indicator_type_name(i->type));
		json_put_text(o, "value", i->value);
		json_put_text(o, "what", *what ? what : NULL);
		print_json(o);
		json_drop(o);
		return;
	}
	if (u->markdown) {
		printf("* %s %s ", change_names[c], indicator_type_name(i->type));
		markdown_code(text_clean(value, sizeof(value), i->value, strlen(i->value)));
		printf("%s", *what ? ": " : "");
		markdown_text(what);
		putchar('\n');
		return;
	}
	printf("%c %s %s [%s]%s%s\n", change_marks[c], indicator_type_name(i->type),
	       text_clean(value, sizeof(value), i->value, strlen(i->value)),
	       text_clean(id, sizeof(id), set, strlen(set)), *what ? " " : "",
	       text_clean(detail, sizeof(detail), what, strlen(what)));
}

static void tell_sets(const struct diff_run *u)
{
	for (size_t k = 0; k < u->sets_n; k++) {
		const size_t *n = u->sets[k].n;
		struct json *o = json_map();
		json_put_text(o, "set", u->sets[k].id);
		for (int c = 0; c < CHANGE_COUNT; c++)
			json_put_int(o, change_names[c], (int64_t)n[c]);
		if (u->json)
			print_json(o);
		else
			printf("%s:", text_shown(u->sets[k].id));
		for (int c = 0; c < CHANGE_COUNT && !u->json; c++)
			printf(" %s %zu%s", change_names[c], n[c], c + 1 == CHANGE_COUNT ? "\n" : "");
		json_drop(o);
	}
}

/* ---- finding ---- */

/* The same indicator in r; false: it has none. */
static bool find_same(const struct ruleset *r, const char *set, enum indicator_type t, enum match_mode match,
		      const struct canon *c, struct ruleset_room *room, struct indicator *found)
{
	struct ruleset_hits hits = {.n = 0};
	struct canon other;
	ruleset_covering(r, t, c, &hits);
	for (size_t k = 0; k < hits.n; k++) {
		*found = ruleset_indicator_in(r, hits.ref[k], room);
		if (found->type == t && found->match == match && strcmp(ruleset_set(r, hits.ref[k]).id, set) == 0 &&
		    canon_rule(t, found->value, strlen(found->value), &other, NULL) && other.n == c->n &&
		    memcmp(other.key, c->key, c->n) == 0)
			return true;
	}
	return false;
}

/* Types whose values look alike. */
static indicator_mask alike(enum indicator_type t)
{
#define BIT(type) INDICATOR_BIT(INDICATOR_##type)
	static const indicator_mask families[] = {
	    BIT(DOMAIN) | BIT(HOSTNAME) | BIT(URL),
	    BIT(IP) | BIT(CIDR) | BIT(IP_PORT),
	    BIT(JA3) | BIT(JA3S) | BIT(FILE_MD5) | BIT(HASSH) | BIT(HASSH_SERVER),
	    BIT(CERT_SHA1) | BIT(FILE_SHA1),
	    BIT(CERT_SHA256) | BIT(FILE_SHA256),
	    BIT(CERT_SUBJECT) | BIT(CERT_ISSUER),
	    BIT(FILENAME) | BIT(USERNAME) | BIT(USER_AGENT) | BIT(DHCP_HOSTNAME),
	};
#undef BIT
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++)
		if (families[i] & INDICATOR_BIT(t))
			return families[i] & ~INDICATOR_BIT(t);
	return 0;
}

static bool has(const struct ruleset *r, const char *set, enum indicator_type t, const char *value)
{
	struct ruleset_room room;
	struct indicator found;
	struct canon c;
	return canon_rule(t, value, strlen(value), &c, NULL) && find_same(r, set, t, MATCH_EXACT, &c, &room, &found);
}

/* Another type under which the value is in `there` and not in `here`;
 * INDICATOR_NONE if there is none. */
static enum indicator_type other_type(const struct ruleset *there, const struct ruleset *here, const char *set,
				      const struct indicator *i)
{
	for (indicator_mask left = alike(i->type); left; left &= left - 1) {
		enum indicator_type t = (enum indicator_type)__builtin_ctzll(left);
		if (has(there, set, t, i->value) && !has(here, set, t, i->value))
			return t;
	}
	return INDICATOR_NONE;
}

/* ---- comparing ---- */

static void differs(struct buf *what, const char *field, const char *from, const char *to)
{
	from = from ? from : "";
	to = to ? to : "";
	if (strcmp(from, to) != 0)
		buf_printf(what, "%s%s \"%.100s\" -> \"%.100s\"", what->n ? ", " : "", field, from, to);
}

static void time_differs(struct buf *what, const char *field, int64_t from_us, int64_t to_us)
{
	char from[CLOCK_TEXT_LEN] = "", to[CLOCK_TEXT_LEN] = "";
	if (from_us)
		clock_format(from_us, from);
	if (to_us)
		clock_format(to_us, to);
	differs(what, field, from, to);
}

static void compare(struct buf *what, const struct indicator *x, const struct indicator *y)
{
	differs(what, "id", x->id, y->id);
	differs(what, "severity", severity_names[x->severity], severity_names[y->severity]);
	if (x->confidence != y->confidence)
		buf_printf(what, "%sconfidence %u -> %u", what->n ? ", " : "", x->confidence, y->confidence);
	differs(what, "tlp", tlp_names[x->tlp], tlp_names[y->tlp]);
	differs(what, "fold", fold_names[x->fold], fold_names[y->fold]);
	differs(what, "labels", x->labels, y->labels);
	differs(what, "where", x->where, y->where);
	differs(what, "note", x->note, y->note);
	differs(what, "ref", x->ref, y->ref);
	time_differs(what, "valid_from", x->valid_from_us, y->valid_from_us);
	time_differs(what, "valid_until", x->valid_until_us, y->valid_until_us);
}

static bool expired(const struct indicator *i, int64_t now_us)
{
	return i->valid_until_us && i->valid_until_us <= now_us;
}

static void judge_old(struct diff_run *u, ruleset_ref k)
{
	struct ruleset_room room, other_room;
	struct indicator i = ruleset_indicator_in(u->old, k, &room), found;
	const char *set = ruleset_set(u->old, k).id;
	struct canon c;
	if (!canon_rule(i.type, i.value, strlen(i.value), &c, NULL) ||
	    find_same(u->new, set, i.type, i.match, &c, &other_room, &found))
		return;
	enum indicator_type t = other_type(u->new, u->old, set, &i);
	char what[80] = "";
	if (t)
		snprintf(what, sizeof(what), "-> %s", indicator_type_name(t));
	tell(u, t ? RETYPED : REMOVED, &i, set, what);
}

static void judge_new(struct diff_run *u, ruleset_ref k)
{
	struct ruleset_room room, other_room;
	struct indicator i = ruleset_indicator_in(u->new, k, &room), found;
	const char *set = ruleset_set(u->new, k).id;
	struct buf what = {0};
	struct canon c;
	if (!canon_rule(i.type, i.value, strlen(i.value), &c, NULL))
		return;
	if (!find_same(u->old, set, i.type, i.match, &c, &other_room, &found)) {
		if (!other_type(u->old, u->new, set, &i))
			tell(u, ADDED_NOW, &i, set, "");
		return;
	}
	compare(&what, &found, &i);
	buf_u8(&what, 0);
	if (what.n > 1)
		tell(u, CHANGED, &i, set, (const char *)what.p);
	if (expired(&i, u->now_us))
		tell(u, EXPIRED, &i, set, "");
	buf_free(&what);
}

static void judge_all(struct diff_run *u)
{
	for (ruleset_ref k = 0; k < ruleset_count(u->old, INDICATOR_NONE); k++)
		judge_old(u, k);
	for (ruleset_ref k = 0; k < ruleset_count(u->new, INDICATOR_NONE); k++)
		judge_new(u, k);
}

/* The set's head in r; a zeroed one when it is not there. */
static struct indicator_set head_in(const struct ruleset *r, const char *id)
{
	for (size_t k = 0; k < ruleset_set_count(r); k++)
		if (strcmp(ruleset_set_at(r, k).id, id) == 0)
			return ruleset_set_at(r, k);
	return (struct indicator_set){0};
}

static void tell_heading(const struct diff_run *u, const struct set_change *s)
{
	struct indicator_set was = head_in(u->old, s->id), is = head_in(u->new, s->id);
	const char *producer = is.producer ? is.producer : was.producer ? was.producer : "no producer named";
	printf("## ");
	markdown_text(s->id);
	printf(", ");
	markdown_text(producer);
	printf(", ");
	if (!was.id)
		printf("new, version %u\n\n", is.version);
	else if (!is.id)
		printf("version %u, gone\n\n", was.version);
	else
		printf("version %u to %u\n\n", was.version, is.version);
	for (int c = 0; c < CHANGE_COUNT; c++)
		printf("%s%zu %s", c ? ", " : "", s->n[c], change_names[c]);
	printf("\n\n");
}

/* Counts first, then set by set. */
static void changelog(struct diff_run *u)
{
	u->summary = true;
	judge_all(u);
	u->summary = false;
	for (size_t k = 0; k < u->sets_n; k++) {
		size_t any = 0;
		for (int c = 0; c < CHANGE_COUNT; c++)
			any += u->sets[k].n[c];
		if (!any)
			continue;
		tell_heading(u, &u->sets[k]);
		u->only = u->sets[k].id;
		judge_all(u);
		putchar('\n');
	}
	if (!u->total)
		puts("Nothing changed.");
}

static int run(struct diff_run *u, bool exit_code)
{
	add_sets(u, u->old);
	add_sets(u, u->new);
	if (u->markdown) {
		changelog(u);
	} else {
		judge_all(u);
		tell_sets(u);
	}
	free(u->sets);
	return exit_code && u->total ? EXIT_FINDINGS : EXIT_OK;
}

static struct ruleset *load_one(const char *path, int *code)
{
	struct rule_paths p = {.v = &path, .n = 1};
	int mine;
	struct ruleset *r = rules_load_told(&p, true, &mine);
	*code = mine != EXIT_OK ? mine : *code;
	return r;
}

static int of_two(struct diff_run *u, const char *old_path, const char *new_path, bool exit_code)
{
	int code = EXIT_OK;
	struct ruleset *old = load_one(old_path, &code), *new = old ? load_one(new_path, &code) : NULL;
	u->old = old;
	u->new = new;
	if (new) {
		int found = run(u, exit_code);
		code = found != EXIT_OK ? found : code;
	}
	ruleset_free(old);
	ruleset_free(new);
	return code;
}

int rules_diff(int argc, char **argv)
{
	static const struct option options[] = {{"json", 0, NULL, 'j'}, {"summary", 0, NULL, 's'},
						{"at", 1, NULL, 'a'},   {"exit-code", 0, NULL, 'e'},
						{"help", 0, NULL, 'h'}, {0}};
	struct diff_run u = {.now_us = clock_wall_us()};
	bool exit_code = false;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		if (c == 'h')
			return fputs(diff_help, stdout), EXIT_OK;
		if (c == '?')
			return EXIT_USAGE;
		if (c == 'a' && !clock_parse(optarg, &u.now_us))
			return rules_usage("diff", "--at: \"%s\" is no time such as 2027-03-01T00:00:00Z", optarg);
		u.json = u.json || c == 'j';
		u.summary = u.summary || c == 's';
		exit_code = exit_code || c == 'e';
	}
	if (argc - optind != 2)
		return rules_usage("diff", "expected OLD NEW");
	return of_two(&u, argv[optind], argv[optind + 1], exit_code);
}

int rules_changelog(int argc, char **argv)
{
	static const struct option options[] = {{"at", 1, NULL, 'a'}, {"help", 0, NULL, 'h'}, {0}};
	struct diff_run u = {.now_us = clock_wall_us(), .markdown = true};
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		if (c == 'h')
			return fputs(changelog_help, stdout), EXIT_OK;
		if (c == '?')
			return EXIT_USAGE;
		if (c == 'a' && !clock_parse(optarg, &u.now_us))
			return rules_usage("changelog", "--at: \"%s\" is no time such as 2027-03-01T00:00:00Z", optarg);
	}
	if (argc - optind != 2)
		return rules_usage("changelog", "expected OLD NEW");
	return of_two(&u, argv[optind], argv[optind + 1], false);
}
