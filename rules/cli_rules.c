#include "rules/cli_rules.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/complain.h"
#include "common/exits.h"
#include "rules/rulefile.h"

/* ---- what they share ---- */

void rule_paths_add(struct rule_paths *p, const char *path)
{
	p->v = xrealloc(p->v, (p->n + 1) * sizeof(*p->v));
	p->v[p->n++] = path;
}

int rules_load_code(const struct diags *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (strcmp(d->list[i].code, "unreadable") == 0)
			return EXIT_ENVIRONMENT;
	return EXIT_INVALID;
}

struct ruleset *rules_load_told(const struct rule_paths *p, bool allow_empty, int *code)
{
	return rules_load_all(p, allow_empty, NULL, code);
}

struct ruleset *rules_load_all(const struct rule_paths *p, bool allow_empty, struct overrides *o, int *code)
{
	struct diags d = {0};
	bool partial = false;
	struct rulefile_trust t = {.overrides = o};
	struct ruleset *r = rulefile_load_trusted(p->v, p->n, allow_empty, &t, &d, &partial);
	diag_print(&d, stderr);
	*code = !r ? rules_load_code(&d) : partial ? EXIT_PARTIAL : EXIT_OK;
	diag_free(&d);
	return r;
}

int rules_usage(const char *command, const char *why, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, why);
	vsnprintf(text, sizeof(text), why, ap);
	va_end(ap);
	complain("picket rules %s: %s; see picket rules %s --help", command, text, command);
	return EXIT_USAGE;
}

/* ---- compile ---- */

static const char compile_help[] =
    "usage: picket rules compile FILE… -o SET\n"
    "       picket rules compile --verify SET\n"
    "Turns rule files (YAML, CSV, folders of them) into one compiled set that sensors map as it is.\n"
    "\n"
    "  -o, --output SET   where to write it; a file that is there is replaced in one step\n"
    "      --verify SET   read all of a compiled set and check its digest\n"
    "      --allow-empty  a set without indicators is no error\n"
    "  -q, --quiet        no summary\n"
    "\n"
    "Exit code: 0 done, 2 usage, 3 nothing was written: rules invalid, 4 a file cannot be read or written,\n"
    "5 written, but some entries were left out.\n";

static void print_set(const struct ruleset *r)
{
	size_t n = ruleset_count(r, INDICATOR_NONE);
	printf("indicators  %zu\n", n);
	for (int t = 1; t < INDICATOR_TYPE_COUNT; t++)
		if (ruleset_count(r, (enum indicator_type)t))
			printf("  %-14s %zu\n", indicator_type_name((enum indicator_type)t),
			       ruleset_count(r, (enum indicator_type)t));
	printf("allowed     %zu\n", ruleset_allow_count(r));
	printf("sets        %zu\n", ruleset_set_count(r));
	printf("bytes       %zu", ruleset_bytes(r));
	if (n)
		printf(" (%.1f each)", (double)ruleset_bytes(r) / (double)n);
	printf("\ndigest      %s\n", ruleset_digest(r));
}

static int verify(const char *path, bool quiet)
{
	struct err e = {""};
	struct ruleset *r = ruleset_open(path, true, &e);
	if (!r) {
		complain("picket rules compile: %s", e.text);
		FILE *f = fopen(path, "rb");
		if (!f)
			return EXIT_ENVIRONMENT;
		fclose(f);
		return EXIT_INVALID;
	}
	if (!quiet)
		print_set(r);
	ruleset_free(r);
	return EXIT_OK;
}

static int compile(const struct rule_paths *p, const char *output, bool allow_empty, bool quiet)
{
	struct err e = {""};
	int code;
	struct ruleset *r = rules_load_told(p, allow_empty, &code);
	if (!r)
		return code;
	if (!ruleset_write(r, output, &e)) {
		complain("picket rules compile: %s", e.text);
		code = EXIT_ENVIRONMENT;
	} else if (!quiet) {
		print_set(r);
	}
	ruleset_free(r);
	return code;
}

int rules_compile(int argc, char **argv)
{
	static const struct option options[] = {{"output", 1, NULL, 'o'}, {"verify", 1, NULL, 'V'},
						{"quiet", 0, NULL, 'q'},  {"allow-empty", 0, NULL, 'E'},
						{"help", 0, NULL, 'h'},   {0}};
	struct rule_paths p = {0};
	const char *output = NULL, *check = NULL;
	bool quiet = false, allow_empty = false;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "o:qh", options, NULL)) != -1;) {
		if (c == 'h')
			return fputs(compile_help, stdout), EXIT_OK;
		if (c == '?')
			return EXIT_USAGE;
		output = c == 'o' ? optarg : output;
		check = c == 'V' ? optarg : check;
		quiet = quiet || c == 'q';
		allow_empty = allow_empty || c == 'E';
	}
	if (check && !output && optind == argc)
		return verify(check, quiet);
	if (check || !output || optind == argc)
		return rules_usage("compile", "expected FILE… -o SET, or --verify SET");
	while (optind < argc)
		rule_paths_add(&p, argv[optind++]);
	int code = compile(&p, output, allow_empty, quiet);
	free(p.v);
	return code;
}

/* ---- the table ---- */

static const struct {
	const char *name, *help;
	int (*main)(int argc, char **argv);
} commands[] = {
    {"compile", "rule files into one compiled set", rules_compile},
    {"lint", "every flaw of rule files, with its place and what to do", rules_lint},
    {"diff", "what an update of a set would change", rules_diff},
    {"changelog", "the same for people, set by set (Markdown)", rules_changelog},
    {"fmt", "one layout and order of the text; comments stay", rules_fmt},
    {"report", "expiry, overlap, cost and hits of sets", rules_report},
    {"import", "other formats into a rule file", rules_import},
    {"export", "rules in another format", rules_export},
    {"keygen", "a key for signing sets", rules_keygen},
    {"sign", "rule files into a signed set", rules_sign},
    {"verify", "whether a signed set is good", rules_verify},
    {"why", "why a value does or does not hit", rules_why},
};

static void help(FILE *to)
{
	fputs("usage: picket rules COMMAND [option…]\n\n", to);
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].help);
	fputs("  test      whether indicators hit the captures that their authors named\n"
	      "  push, rollback, promote, withdraw, status\n"
	      "            signed sets to the sensors, through Redis and the collectors\n"
	      "\npicket rules COMMAND --help says more.\n",
	      to);
}

int cli_rules(int argc, char **argv)
{
	if (argc < 2)
		return help(stderr), EXIT_USAGE;
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return help(stdout), EXIT_OK;
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].main(argc - 1, argv + 1);
	complain("picket rules: there is no command \"%s\"; see picket rules --help", argv[1]);
	return EXIT_USAGE;
}
