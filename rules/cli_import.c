#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/complain.h"
#include "common/exits.h"
#include "common/text.h"
#include "rules/cli_rules.h"
#include "rules/import.h"
#include "rules/rulefile_file.h"

static const char import_help[] =
    "usage: picket rules import --from FORMAT [option…] FILE… -o OUT.yaml\n"
    "Turns other formats into a rule file. What cannot be matched is reported, counted and kept in it as a\n"
    "comment. Broken values (hxxp, [.]) are made whole.\n"
    "\n"
    "      --from FORMAT    stix (2.1 bundle or list of objects), misp (events; of a feed all *.json),\n"
    "                       zeek (intel file), suricata (dataset), maltrail (trails), csv (first column),\n"
    "                       plain (one a line)\n"
    "  -o, --output FILE    the rule file; - is standard output\n"
    "      --type TYPE      what a list holds; without it by the look of each value\n"
    "      --id ID          the set's id (default: the name of the first file)\n"
    "      --version N      the set's version (default 1)\n"
    "      --producer NAME  who vouches for it (default: what the source says)\n"
    "      --tlp TLP        the set's marking: clear, green, amber, amber+strict, red\n"
    "  -q, --quiet          no findings, no summary\n"
    "\n"
    "Exit code: 0 all of it, 2 usage, 3 nothing could be matched, 4 a file cannot be read or written,\n"
    "5 some of it could not be matched.\n";

typedef void import_fn(struct import *m, struct bytes text);
static const struct {
	const char *name;
	import_fn *read;
} formats[] = {{"stix", import_stix},         {"misp", import_misp},         {"zeek", import_zeek},
	       {"suricata", import_suricata}, {"maltrail", import_maltrail}, {"csv", import_csv},
	       {"plain", import_plain}};

struct import_run {
	struct rule_paths files;
	struct import m;
	struct diags d;
	import_fn *read;
	const char *output, *id, *producer, *version;
	bool quiet;
};

/* A mapping, so that a feed of gigabytes stays in the page cache. */
static bool map_file(const char *path, struct bytes *text, struct err *e)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		err_errno(e, "cannot read %s", path);
		if (fd >= 0)
			close(fd);
		return false;
	}
	*text = (struct bytes){.p = (const uint8_t *)"", .n = (size_t)st.st_size};
	bool ok = S_ISREG(st.st_mode) && text->n <= IMPORT_BYTES_MAX;
	if (!ok)
		err_set(e, "cannot read %s: it is no file of at most %llu bytes", path, IMPORT_BYTES_MAX);
	if (ok && text->n) {
		void *p = mmap(NULL, text->n, PROT_READ, MAP_PRIVATE, fd, 0);
		ok = p != MAP_FAILED || err_errno(e, "cannot map %s", path);
		text->p = p;
		if (ok)
			madvise(p, text->n, MADV_SEQUENTIAL);
	}
	close(fd);
	return ok;
}

static bool read_one(struct import_run *u, const char *path, struct err *e)
{
	struct bytes text;
	struct buf whole = {0};
	u->m.file = path;
	u->m.line = 0;
	if (strcmp(path, "-") == 0) {
		bool ok = rulefile_slurp(path, &whole, e);
		if (ok)
			u->read(&u->m, (struct bytes){.p = whole.n ? whole.p : (const uint8_t *)"", .n = whole.n});
		buf_free(&whole);
		return ok;
	}
	if (!map_file(path, &text, e))
		return false;
	u->read(&u->m, text);
	if (text.n)
		munmap((void *)(uintptr_t)text.p, text.n);
	return true;
}

/* ---- writing ---- */

/* Ids and producers go into keys, so rule files take only plain characters there. */
static void plain_word(char *text)
{
	for (char *c = text; *c; c++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *c))
			*c = '-';
}

static void put_head(const struct import_run *u, FILE *f)
{
	char id[129], producer[129];
	const char *slash = strrchr(u->files.v[0], '/'), *name = slash ? slash + 1 : u->files.v[0];
	snprintf(id, sizeof(id), "%s", u->id ? u->id : strcmp(name, "-") == 0 ? "imported" : name);
	char *dot = u->id ? NULL : strrchr(id, '.');
	if (dot && dot != id)
		*dot = '\0';
	plain_word(id);
	fprintf(f, "set: {id: \"%s\", version: %s", id, u->version);
	const char *said = u->producer ? u->producer : u->m.producer;
	snprintf(producer, sizeof(producer), "%.128s", said);
	plain_word(producer);
	if (*producer)
		fprintf(f, ", producer: \"%s\"", producer);
	if (u->m.tlp)
		fprintf(f, ", tlp: %s", tlp_names[u->m.tlp]);
	fputs("}\n", f);
}

static void put_buf(const struct buf *b, FILE *f)
{
	if (b->n)
		fwrite(b->p, 1, b->n, f);
}

static bool put_spilled(FILE *from, FILE *f)
{
	char chunk[65536];
	size_t n;
	rewind(from);
	while ((n = fread(chunk, 1, sizeof(chunk), from)) > 0)
		fwrite(chunk, 1, n, f);
	return !ferror(from);
}

static bool write_all(const struct import_run *u, FILE *f)
{
	put_head(u, f);
	if (u->m.taken)
		fputs("indicators:\n", f);
	if (u->m.spill_failed || (u->m.spill && (fflush(u->m.spill) != 0 || !put_spilled(u->m.spill, f))))
		return errno = ENOSPC, false;
	put_buf(&u->m.entries, f);
	if (u->m.kept.n)
		fputs("\n# What could not become an indicator:\n", f);
	put_buf(&u->m.kept, f);
	if (u->m.kept_not)
		fprintf(f, "# and %zu more\n", u->m.kept_not);
	return fflush(f) == 0 && !ferror(f);
}

/* To a temporary name, then in place, so that readers see all or the old one. */
static bool write_file(const struct import_run *u, struct err *e)
{
	struct buf name = {0};
	if (strcmp(u->output, "-") == 0)
		return write_all(u, stdout) || err_errno(e, "cannot write to standard output");
	buf_printf(&name, "%s.new", u->output);
	buf_u8(&name, 0);
	const char *tmp = (const char *)name.p;
	FILE *f = fopen(tmp, "w");
	bool ok = f && write_all(u, f) && fsync(fileno(f)) == 0;
	if (f && fclose(f))
		ok = false;
	if (!ok || rename(tmp, u->output) != 0) {
		ok = err_errno(e, "cannot write %s", u->output);
		if (f)
			unlink(tmp);
	}
	buf_free(&name);
	return ok;
}

static int run(struct import_run *u)
{
	struct err e = {""};
	int code = EXIT_OK;
	for (size_t i = 0; i < u->files.n; i++)
		if (!read_one(u, u->files.v[i], &e)) {
			complain("picket rules import: %s", e.text);
			code = EXIT_ENVIRONMENT;
		}
	if (!u->quiet)
		diag_print(&u->d, stderr);
	if (code == EXIT_OK && u->m.taken && !write_file(u, &e)) {
		complain("picket rules import: %s", e.text);
		code = EXIT_ENVIRONMENT;
	}
	if (!u->quiet)
		complain("%zu indicators written, %zu cannot be matched, %zu not meant for matching", u->m.taken,
			 u->m.left, u->m.inactive);
	return code != EXIT_OK ? code : !u->m.taken ? EXIT_INVALID : u->m.left ? EXIT_PARTIAL : EXIT_OK;
}

/* ---- the command line ---- */

static bool parse_tlp(const char *text, enum tlp *out)
{
	for (int t = 1; t < TLP_COUNT; t++)
		if (strcmp(tlp_names[t], text) == 0)
			*out = (enum tlp)t;
	return *out != TLP_UNMARKED;
}

static int option(struct import_run *u, int c)
{
	switch (c) {
	case 'f':
		for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++)
			if (strcmp(formats[i].name, optarg) == 0)
				u->read = formats[i].read;
		return u->read ? EXIT_OK : rules_usage("import", "there is no format \"%s\"", optarg);
	case 't':
		u->m.type = indicator_type_parse(optarg, strlen(optarg));
		return u->m.type ? EXIT_OK : rules_usage("import", "there is no type \"%s\"", optarg);
	case 'T':
		return parse_tlp(optarg, &u->m.tlp) ? EXIT_OK : rules_usage("import", "there is no TLP \"%s\"", optarg);
	case 'v':
		u->version = optarg;
		return optarg[strspn(optarg, "0123456789")] || !*optarg
			   ? rules_usage("import", "--version: expected a number, found \"%s\"", optarg)
			   : EXIT_OK;
	case 'o':
		u->output = optarg;
		return EXIT_OK;
	case 'i':
		u->id = optarg;
		return EXIT_OK;
	case 'p':
		u->producer = optarg;
		return EXIT_OK;
	case 'q':
		u->quiet = true;
		return EXIT_OK;
	default:
		return EXIT_USAGE;
	}
}

int rules_import(int argc, char **argv)
{
	static const struct option options[] = {{"from", 1, NULL, 'f'},    {"output", 1, NULL, 'o'},
						{"type", 1, NULL, 't'},    {"id", 1, NULL, 'i'},
						{"version", 1, NULL, 'v'}, {"producer", 1, NULL, 'p'},
						{"tlp", 1, NULL, 'T'},     {"quiet", 0, NULL, 'q'},
						{"help", 0, NULL, 'h'},    {0}};
	struct import_run u = {.version = "1"};
	int code = EXIT_OK;
	u.m.d = &u.d;
	optind = 0;
	for (int c; code == EXIT_OK && (c = getopt_long(argc, argv, "o:qh", options, NULL)) != -1;) {
		if (c == 'h')
			return fputs(import_help, stdout), EXIT_OK;
		code = option(&u, c);
	}
	while (optind < argc)
		rule_paths_add(&u.files, argv[optind++]);
	if (code == EXIT_OK && (!u.read || !u.output || !u.files.n))
		code = rules_usage("import", "expected --from FORMAT FILE… -o OUT");
	if (code == EXIT_OK)
		code = run(&u);
	import_end(&u.m);
	diag_free(&u.d);
	free(u.files.v);
	return code;
}
