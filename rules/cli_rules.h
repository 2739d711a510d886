/* `picket rules …` and `picket why`: what maintainers of indicator sets type.
 * One function per subcommand; each takes its own arguments (argv[0] is its
 * name) and gives an exit code (common/exits.h). None needs a configuration, a
 * server or a capture. */
#ifndef RULES_CLI_RULES_H
#define RULES_CLI_RULES_H

#include <stdbool.h>
#include <stdio.h>

#include "common/diag.h"
#include "rules/manifest.h"
#include "rules/overrides.h"
#include "rules/ruleset.h"

int cli_rules(int argc, char **argv);

int rules_compile(int argc, char **argv);
int rules_lint(int argc, char **argv);
int rules_diff(int argc, char **argv);
int rules_import(int argc, char **argv);
int rules_export(int argc, char **argv);
int rules_why(int argc, char **argv);
int rules_fmt(int argc, char **argv);
int rules_report(int argc, char **argv);
int rules_changelog(int argc, char **argv);
int rules_keygen(int argc, char **argv);
int rules_sign(int argc, char **argv);
int rules_verify(int argc, char **argv);

/* ---- what they share ---- */

/* Files that --rules or the arguments name. */
struct rule_paths {
	const char **v;
	size_t n;
};
void rule_paths_add(struct rule_paths *p, const char *path);

/* Loads; what is wrong goes to standard error. NULL: *code is the exit code;
 * otherwise it is EXIT_OK or EXIT_PARTIAL. */
struct ruleset *rules_load_told(const struct rule_paths *p, bool allow_empty, int *code);
/* The same, with what they suppress and disable. */
struct ruleset *rules_load_all(const struct rule_paths *p, bool allow_empty, struct overrides *o, int *code);
/* EXIT_ENVIRONMENT when a file could not be read, else EXIT_INVALID. */
int rules_load_code(const struct diags *d);

/* A manifest for people, a line for each field. */
void rules_print_manifest(const struct manifest *m, const char *key);

/* The usage line on standard error, EXIT_USAGE. */
int rules_usage(const char *command, const char *why, ...) __attribute__((format(printf, 2, 3)));

#endif
