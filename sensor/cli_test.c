/* Each capture is scanned once, by `picket scan` in a process of its own, with all
 * files of rules together, as a sensor would have them: so a test also notices an
 * allow entry or another set that gets in its way. */
#define _GNU_SOURCE
#include "sensor/cli_test.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/complain.h"
#include "common/exits.h"
#include "common/json.h"
#include "common/text.h"
#include "rules/canon.h"
#include "rules/cli_rules.h"
#include "rules/rulefile.h"

#define LINE_MAX_BYTES (1u << 20)

static const char usage[] =
    "usage: picket rules test [--junit OUT] [--quiet] FILE…\n"
    "Runs the tests that indicators name (test: {hit: […], miss: […]}, paths from the rule file's folder), all\n"
    "files loaded together, and prints the results as TAP.\n"
    "\n"
    "      --junit OUT  write them as JUnit XML, too\n"
    "  -q, --quiet      print what failed only\n"
    "\n"
    "Exit code: 0 all passed, 1 one failed or a capture cannot be read, 2 usage, 3 rules invalid, 4 a file\n"
    "cannot be read or written.\n";

/* What hit in a capture. */
struct scanned {
	const char *capture;
	struct {
		enum indicator_type type;
		char *value;
	} * hit;
	size_t hits;
	int code; /* of the scan */
};

struct run {
	struct rule_paths files;
	struct rule_tests tests;
	struct scanned *scan;
	size_t scans;
	bool quiet;
	size_t failed;
	FILE *junit;
};

/* ---- scanning ---- */

static void note_hit(struct scanned *s, const struct json *alert)
{
	const char *type = json_text(json_at(alert, "indicator.type"), NULL);
	const char *value = json_text(json_at(alert, "indicator.value"), NULL);
	if (!type || !value)
		return;
	s->hit = xrealloc(s->hit, (s->hits + 1) * sizeof(*s->hit));
	s->hit[s->hits].type = indicator_type_parse(type, strlen(type));
	s->hit[s->hits].value = xstrdup(value);
	s->hits++;
}

static void read_alerts(struct scanned *s, FILE *from)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	while ((n = getline(&line, &cap, from)) > 0) {
		struct json *o = json_read(line, (size_t)n, LINE_MAX_BYTES, NULL);
		note_hit(s, o);
		json_drop(o);
	}
	free(line);
}

/* In the child: standard output is the pipe. */
static void exec_scan(const struct run *u, const char *capture, int out)
{
	const char **argv = xcalloc(2 * u->files.n + 8, sizeof(*argv));
	size_t n = 0;
	argv[n++] = "picket";
	argv[n++] = "scan";
	argv[n++] = "--quiet";
	argv[n++] = "--json";
	for (size_t i = 0; i < u->files.n; i++) {
		argv[n++] = "--rules";
		argv[n++] = u->files.v[i];
	}
	argv[n++] = "--";
	argv[n++] = capture;
	dup2(out, STDOUT_FILENO);
	execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
	_exit(127);
}

static void scan(const struct run *u, struct scanned *s)
{
	int pipe_fd[2], status = 0;
	s->code = 127;
	if (pipe2(pipe_fd, O_CLOEXEC) != 0)
		return;
	pid_t child = fork();
	if (child == 0)
		exec_scan(u, s->capture, pipe_fd[1]);
	close(pipe_fd[1]);
	FILE *from = fdopen(pipe_fd[0], "r");
	if (from)
		read_alerts(s, from);
	if (from)
		fclose(from);
	if (child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status))
		s->code = WEXITSTATUS(status);
}

static const struct scanned *scan_of(struct run *u, const char *capture)
{
	for (size_t i = 0; i < u->scans; i++)
		if (strcmp(u->scan[i].capture, capture) == 0)
			return &u->scan[i];
	u->scan = xrealloc(u->scan, (u->scans + 1) * sizeof(*u->scan));
	struct scanned *s = &u->scan[u->scans++];
	*s = (struct scanned){.capture = capture};
	scan(u, s);
	return s;
}

/* ---- judging ---- */

static bool same_value(enum indicator_type t, const char *x, const char *y)
{
	struct canon a, b;
	return strcmp(x, y) == 0 || (canon_rule(t, x, strlen(x), &a, NULL) && canon_rule(t, y, strlen(y), &b, NULL) &&
				     a.n == b.n && memcmp(a.key, b.key, a.n) == 0);
}

/* The first hit that the test is about; NULL: none. */
static const char *find_hit(const struct scanned *s, const struct rule_test *t)
{
	for (size_t i = 0; i < s->hits; i++)
		if (!t->value || (s->hit[i].type == t->type && same_value(t->type, s->hit[i].value, t->value)))
			return s->hit[i].value;
	return NULL;
}

static bool readable(const struct scanned *s)
{
	return s->code == EXIT_OK || s->code == EXIT_PARTIAL || s->code == EXIT_FINDINGS;
}

/* The reason why it failed, in out; false: it passed. */
static bool fails(const struct scanned *s, const struct rule_test *t, char *out, size_t n)
{
	const char *hit = find_hit(s, t);
	if (!readable(s))
		snprintf(out, n, "the capture could not be scanned (exit code %d)", s->code);
	else if (t->hit && !hit)
		snprintf(out, n, "it does not hit");
	else if (!t->hit && hit)
		snprintf(out, n, "it hits%s%s", t->value ? "" : ": ", t->value ? "" : hit);
	else
		return false;
	return true;
}

/* ---- telling ---- */

static void put_xml(FILE *to, const char *text)
{
	char clean[2048];
	text_clean(clean, sizeof(clean), text, strlen(text));
	for (const char *p = clean; *p; p++) {
		if (strchr("<>&\"'", *p))
			fprintf(to, "&#%d;", *p);
		else
			fputc(*p, to);
	}
}

static void describe(const struct rule_test *t, char *out, size_t n)
{
	char value[400], capture[400];
	text_clean(value, sizeof(value), t->value ? t->value : "nothing", strlen(t->value ? t->value : "nothing"));
	text_clean(capture, sizeof(capture), t->capture, strlen(t->capture));
	if (!t->value)
		snprintf(out, n, "nothing of the set hits in %s", capture);
	else
		snprintf(out, n, "%s %s %s %s", indicator_type_name(t->type), value, t->hit ? "hits in" : "misses",
			 capture);
}

/* Cleaned text in a line of TAP 13, where an unescaped '#' begins a directive: "# TODO"
 * would make a failure count as none. */
static void put_tap(const char *text)
{
	for (; *text; text++) {
		if (*text == '#' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
}

static void put_yaml(const char *name, const char *text)
{
	struct buf quoted = {0};
	text_quote(&quoted, text, strlen(text));
	printf("  %s: %.*s\n", name, (int)quoted.n, (const char *)quoted.p);
	buf_free(&quoted);
}

static void put_tap_result(size_t number, const struct rule_test *t, const char *what, const char *why)
{
	char place[600];
	printf("%sok %zu - ", why ? "not " : "", number);
	put_tap(what);
	putchar('\n');
	if (!why)
		return;
	snprintf(place, sizeof(place), "%.580s:%u", t->file, t->line);
	puts("  ---");
	put_yaml("message", why);
	put_yaml("at", place);
	puts("  ...");
}

static void tell(struct run *u, size_t number, const struct rule_test *t, const char *why)
{
	char what[1024];
	describe(t, what, sizeof(what));
	if (!u->quiet || why)
		put_tap_result(number, t, what, why);
	if (!u->junit)
		return;
	fputs("  <testcase classname=\"", u->junit);
	put_xml(u->junit, t->file);
	fputs("\" name=\"", u->junit);
	put_xml(u->junit, what);
	fputs(why ? "\"><failure message=\"" : "\"/>\n", u->junit);
	if (why) {
		put_xml(u->junit, why);
		fprintf(u->junit, "\">line %u</failure></testcase>\n", t->line);
	}
}

static void judge(struct run *u)
{
	char why[600];
	if (!u->quiet)
		printf("TAP version 13\n1..%zu\n", u->tests.n);
	for (size_t i = 0; i < u->tests.n; i++) {
		const struct rule_test *t = &u->tests.v[i];
		bool failed = fails(scan_of(u, t->capture), t, why, sizeof(why));
		u->failed += failed;
		tell(u, i + 1, t, failed ? why : NULL);
		fflush(stdout);
	}
}

/* The number of failures stands in the element's head: the cases are written first, to memory. */
static bool write_junit(struct run *u, const char *path)
{
	char *cases = NULL;
	size_t n = 0;
	u->junit = open_memstream(&cases, &n);
	judge(u);
	fclose(u->junit);
	FILE *to = fopen(path, "w");
	bool ok = to &&
		  fprintf(to,
			  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"picket rules\" tests=\"%zu\" "
			  "failures=\"%zu\">\n%s</testsuite>\n",
			  u->tests.n, u->failed, cases) > 0;
	ok = (!to || fclose(to) == 0) && ok;
	if (!ok)
		complain("picket rules test: cannot write %s: %s", path, strerror(errno));
	free(cases);
	return ok;
}

/* ---- the run ---- */

static int run(struct run *u, const char *junit)
{
	struct diags d = {0};
	int code;
	struct ruleset *r = rules_load_told(&u->files, false, &code); /* says what is wrong in them */
	ruleset_free(r);
	if (!r || code != EXIT_OK)
		return r ? EXIT_INVALID : code;
	for (size_t i = 0; i < u->files.n; i++)
		rulefile_tests(u->files.v[i], &u->tests, &d);
	diag_free(&d);
	if (!u->tests.n)
		fputs("picket rules test: no test: is given in these files\n", stderr);
	if (junit && !write_junit(u, junit))
		return EXIT_ENVIRONMENT;
	if (!junit)
		judge(u);
	if (u->tests.n)
		complain("%zu tests, %zu failed", u->tests.n, u->failed);
	return u->failed ? EXIT_FINDINGS : EXIT_OK;
}

static void run_free(struct run *u)
{
	for (size_t i = 0; i < u->scans; i++) {
		for (size_t k = 0; k < u->scan[i].hits; k++)
			free(u->scan[i].hit[k].value);
		free(u->scan[i].hit);
	}
	free(u->scan);
	free(u->files.v);
	rule_tests_free(&u->tests);
}

int cli_test(int argc, char **argv)
{
	static const struct option options[] = {
	    {"junit", 1, NULL, 'j'}, {"quiet", 0, NULL, 'q'}, {"help", 0, NULL, 'h'}, {0}};
	struct run u = {.quiet = false};
	const char *junit = NULL;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "qh", options, NULL)) != -1;) {
		if (c == 'h')
			return fputs(usage, stdout), EXIT_OK;
		if (c == '?')
			return EXIT_USAGE;
		junit = c == 'j' ? optarg : junit;
		u.quiet = u.quiet || c == 'q';
	}
	if (optind == argc)
		return rules_usage("test", "expected FILE…");
	while (optind < argc)
		rule_paths_add(&u.files, argv[optind++]);
	int code = run(&u, junit);
	run_free(&u);
	return code;
}
