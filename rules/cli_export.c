#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/complain.h"
#include "common/exits.h"
#include "rules/cli_rules.h"
#include "rules/export.h"

static const char export_help[] =
    "usage: picket rules export --to FORMAT [option…] FILE…\n"
    "Writes rules in another format. What it cannot say is left out and counted.\n"
    "\n"
    "      --to FORMAT    stix (2.1 bundle), misp (an event a set), zeek (intel file), suricata (dataset),\n"
    "                     maltrail (trails), csv, plain (one value a line), yaml (one set)\n"
    "  -o, --output FILE  where to (default: standard output)\n"
    "      --type TYPE    suricata, plain: which type; a dataset holds one\n"
    "      --at TIME      the time of creation that is written into STIX and MISP (default: now)\n"
    "  -q, --quiet        no summary\n"
    "\n"
    "Exit code: 0 all of it, 2 usage, 3 rules invalid, 4 a file cannot be read or written, 5 some was left out.\n";

typedef void export_fn(struct export *x);
static const struct {
	const char *name;
	export_fn *write;
} formats[] = {{"csv", export_csv},           {"yaml", export_yaml}, {"zeek", export_zeek},
	       {"suricata", export_suricata}, {"misp", export_misp}, {"maltrail", export_maltrail},
	       {"plain", export_plain},       {"stix", export_stix}};

static void tell(const struct export *x)
{
	complain("%zu indicators written, %zu entries left out", x->written, x->left_n);
	for (size_t i = 0; i < x->reasons; i++)
		complain("  %zu: %s", x->left[i].n, x->left[i].why);
}

/* To a temporary name, then in place. */
static int write_out(struct export *x, export_fn *write, const char *output)
{
	struct buf name = {0};
	bool file = output && strcmp(output, "-") != 0, ok = true;
	buf_printf(&name, "%s.new", file ? output : "");
	buf_u8(&name, 0);
	const char *tmp = (const char *)name.p;
	x->out = file ? fopen(tmp, "w") : stdout;
	if (x->out) {
		write(x);
		ok = fflush(x->out) == 0 && !ferror(x->out);
		ok = (!file || fclose(x->out) == 0) && ok;
	}
	if (!x->out || !ok || (file && rename(tmp, output) != 0)) {
		complain("picket rules export: cannot write %s: %s", file ? output : "to standard output",
			 strerror(errno));
		if (file && x->out)
			unlink(tmp);
		ok = false;
	}
	buf_free(&name);
	return !ok ? EXIT_ENVIRONMENT : x->left_n ? EXIT_PARTIAL : EXIT_OK;
}

static int run(const struct rule_paths *files, struct export *x, export_fn *write, const char *output, bool quiet)
{
	int code;
	struct ruleset *r = rules_load_told(files, false, &code);
	if (!r)
		return code;
	x->r = r;
	if (write == export_yaml && ruleset_set_count(r) > 1) {
		ruleset_free(r);
		return rules_usage("export",
				   "these files hold several sets; a YAML file holds one: export them one by one");
	}
	int written = write_out(x, write, output);
	if (!quiet)
		tell(x);
	ruleset_free(r);
	return written == EXIT_OK ? code : written;
}

static export_fn *find_format(const char *name)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++)
		if (strcmp(formats[i].name, name) == 0)
			return formats[i].write;
	return NULL;
}

int rules_export(int argc, char **argv)
{
	static const struct option options[] = {{"to", 1, NULL, 'f'},
						{"output", 1, NULL, 'o'},
						{"type", 1, NULL, 't'},
						{"at", 1, NULL, 'a'},
						{"quiet", 0, NULL, 'q'},
						{"help", 0, NULL, 'h'},
						{0}};
	struct export x = {.now_us = clock_wall_us()};
	struct rule_paths files = {0};
	const char *output = NULL;
	export_fn *write = NULL;
	bool quiet = false;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "o:qh", options, NULL)) != -1;) {
		if (c == 'h')
			return fputs(export_help, stdout), EXIT_OK;
		if (c == '?')
			return EXIT_USAGE;
		if (c == 'f' && !(write = find_format(optarg)))
			return rules_usage("export", "there is no format \"%s\"", optarg);
		if (c == 't' && !(x.type = indicator_type_parse(optarg, strlen(optarg))))
			return rules_usage("export", "there is no type \"%s\"", optarg);
		if (c == 'a' && !clock_parse(optarg, &x.now_us))
			return rules_usage("export", "--at: \"%s\" is no time such as 2027-03-01T00:00:00Z", optarg);
		output = c == 'o' ? optarg : output;
		quiet = quiet || c == 'q';
	}
	if (!write || optind == argc)
		return rules_usage("export", "expected --to FORMAT FILE…");
	if (write == export_suricata && !x.type)
		return rules_usage("export", "a dataset holds one type: --type says which");
	while (optind < argc)
		rule_paths_add(&files, argv[optind++]);
	int code = run(&files, &x, write, output, quiet);
	free(files.v);
	return code;
}
