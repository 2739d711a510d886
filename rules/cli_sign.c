/* `picket rules keygen|sign|verify`: signed sets as files. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/complain.h"
#include "common/exits.h"
#include "common/hash.h"
#include "common/text.h"
#include "rules/cli_rules.h"
#include "rules/rulefile.h"
#include "rules/rulefile_file.h"
#include "rules/set_lines.h"
#include "rules/signing.h"

/* ---- keygen ---- */

static const char keygen_help[] =
    "usage: picket rules keygen KEY [--id NAME] [--scope PATTERN]…\n"
    "Makes an Ed25519 key for signing sets: KEY is a new PEM file (mode 0640). Prints the entry for the\n"
    "file of trusted keys (rules.keys) of the sensors.\n"
    "\n"
    "      --id NAME        what the key is called there (default: the file's name)\n"
    "      --scope PATTERN  sets that it may sign, * and ? as in file names; may be given again (default: *)\n"
    "      --show           KEY exists: print its entry only\n"
    "\n"
    "Exit code: 0 done, 2 usage, 4 the file is there already or cannot be written.\n";

static void default_id(const char *path, char out[static MANIFEST_SET_MAX + 1])
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
	size_t n = dot && dot != name ? (size_t)(dot - name) : strlen(name);
	n = n > MANIFEST_SET_MAX ? MANIFEST_SET_MAX : n;
	memcpy(out, name, n);
	out[n] = '\0';
}

static int print_entry(const struct sign_key *k, const char *id, const struct rule_paths *scope)
{
	uint8_t pub[SIGN_PUBLIC_BYTES];
	char hex[2 * SIGN_PUBLIC_BYTES + 1];
	struct err e;
	if (!sign_key_public(k, pub, &e)) {
		complain("picket rules keygen: %s", e.text);
		return EXIT_ENVIRONMENT;
	}
	text_hex(hex, pub, sizeof(pub));
	printf("  - {id: %s, public: %s, scope: [", id, hex);
	for (size_t i = 0; i < scope->n; i++)
		printf("%s\"%s\"", i ? ", " : "", scope->v[i]);
	puts(scope->n ? "]}" : "\"*\"]}");
	return EXIT_OK;
}

static int keygen(const char *path, const char *id, const struct rule_paths *scope, bool show)
{
	struct err e;
	struct sign_key *k = show ? sign_key_read(path, &e) : sign_key_new(&e);
	if (!k || (!show && !sign_key_write(k, path, &e))) {
		complain("picket rules keygen: %s", e.text);
		sign_key_free(k);
		return EXIT_ENVIRONMENT;
	}
	int code = print_entry(k, id, scope);
	sign_key_free(k);
	return code;
}

int rules_keygen(int argc, char **argv)
{
	static const struct option options[] = {
	    {"id", 1, NULL, 'i'}, {"scope", 1, NULL, 's'}, {"show", 0, NULL, 'S'}, {"help", 0, NULL, 'h'}, {0}};
	struct rule_paths scope = {0};
	char made[MANIFEST_SET_MAX + 1];
	const char *id = NULL;
	bool show = false;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		if (c == 'h')
			return fputs(keygen_help, stdout), EXIT_OK;
		if (c == '?')
			return EXIT_USAGE;
		if (c == 's')
			rule_paths_add(&scope, optarg);
		id = c == 'i' ? optarg : id;
		show = show || c == 'S';
	}
	if (optind + 1 != argc)
		return free(scope.v), rules_usage("keygen", "expected KEY, a file to make");
	default_id(argv[optind], made);
	id = id ? id : made;
	int code = manifest_id_valid(id, strlen(id))
		       ? keygen(argv[optind], id, &scope, show)
		       : rules_usage("keygen", "--id: expected 1 to %d of A-Z a-z 0-9 . _ -", MANIFEST_SET_MAX);
	free(scope.v);
	return code;
}

/* ---- sign ---- */

static const char sign_help[] =
    "usage: picket rules sign FILE… --key KEY -o SET.pset [option…]\n"
    "Lays rule files (one set) out line by line, and signs them: the result loads like any rule file, can be\n"
    "published (picket rules push), and is what sensors with rules.require_signature take.\n"
    "\n"
    "  -k, --key KEY          the private key (picket rules keygen)\n"
    "  -o, --output SET.pset  where to write it; replaced in one step\n"
    "      --set-version N    instead of the version: of the file\n"
    "      --previous OLD     the signed set that this one follows: its digest goes into the manifest\n"
    "      --priority P       routine (default), priority, immediate, flash\n"
    "      --exercise NAME    the set belongs to this exercise\n"
    "      --withdraw         an empty set of the same id: sensors drop what they have of it\n"
    "      --allow-shrink     it lost much, and is meant to\n"
    "  -q, --quiet            no summary\n"
    "\n"
    "Exit code: 0 done, 2 usage, 3 nothing was signed: rules or key invalid, 4 a file cannot be read or written.\n";

void rules_print_manifest(const struct manifest *m, const char *key)
{
	char created[CLOCK_TEXT_LEN], until[CLOCK_TEXT_LEN] = "no end";
	clock_format(m->created_us, created);
	if (m->valid_until_us)
		clock_format(m->valid_until_us, until);
	printf("set          %s\nversion      %" PRIu64 "\nindicators   %" PRIu64 "\nbytes        %" PRIu64
	       "\ndigest       %s\n",
	       m->set, m->version, m->count, m->bytes, m->digest);
	if (*m->previous)
		printf("previous     %s\n", m->previous);
	printf("created      %s\nvalid until  %s\npriority     %s\n", created, until, urgency_names[m->priority]);
	if (*m->exercise)
		printf("exercise     %s\n", m->exercise);
	if (m->withdrawn)
		printf("withdrawn    yes: sensors drop what they have of it\n");
	printf("key          %s\n", key);
}

static bool write_file(const char *path, const struct buf *b, struct err *e)
{
	struct buf name = {0};
	buf_printf(&name, "%s.new", path);
	buf_u8(&name, 0);
	const char *tmp = (const char *)name.p;
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool ok = fd >= 0;
	for (size_t at = 0; ok && at < b->n;) {
		ssize_t n = write(fd, b->p + at, b->n - at);
		ok = n > 0;
		at += ok ? (size_t)n : 0;
	}
	ok = ok && fsync(fd) == 0;
	ok = (fd < 0 || close(fd) == 0) && ok && rename(tmp, path) == 0;
	if (!ok) {
		err_errno(e, "cannot write %s", path);
		unlink(tmp);
	}
	buf_free(&name);
	return ok;
}

static int failed(const char *command, const struct err *e, int code)
{
	complain("picket rules %s: %s", command, e->text);
	return code;
}

static bool read_previous(const char *path, char digest[static MANIFEST_DIGEST_LEN], struct err *e)
{
	struct buf text = {0};
	struct signed_set s;
	bool ok = rulefile_slurp(path, &text, e) && signed_set_read(text.p, text.n, &s, e);
	if (ok)
		memcpy(digest, s.m.digest, MANIFEST_DIGEST_LEN);
	buf_free(&text);
	return ok;
}

static int sign_to(const struct ruleset *r, struct signing *s, const char *output, bool quiet)
{
	struct buf file = {0};
	struct manifest m;
	struct err e;
	int code = EXIT_OK;
	if (!signing_make(r, s, &file, &m, &e)) {
		code = failed("sign", &e, EXIT_INVALID);
	} else if (!write_file(output, &file, &e)) {
		code = failed("sign", &e, EXIT_ENVIRONMENT);
	} else if (!quiet) {
		struct signed_set set;
		rules_print_manifest(&m, signed_set_read(file.p, file.n, &set, &e) ? set.by.key_id : "?");
	}
	buf_free(&file);
	return code;
}

int rules_sign(int argc, char **argv)
{
	static const struct option options[] = {{"output", 1, NULL, 'o'},   SIGNING_OPTIONS,
						{"previous", 1, NULL, 'p'}, {"quiet", 0, NULL, 'q'},
						{"help", 0, NULL, 'h'},     {0}};
	struct signing s = {.now_us = clock_wall_us()};
	struct rule_paths files = {0};
	struct err e = {""};
	const char *output = NULL, *previous = NULL;
	bool quiet = false;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "k:o:qh", options, NULL)) != -1;) {
		if (c == 'h')
			return fputs(sign_help, stdout), EXIT_OK;
		if (c == '?')
			return EXIT_USAGE;
		if (!signing_option(&s, c, optarg, &e))
			return rules_usage("sign", "%s", e.text);
		output = c == 'o' ? optarg : output;
		previous = c == 'p' ? optarg : previous;
		quiet = quiet || c == 'q';
	}
	if (optind == argc || !output || !s.key_path)
		return rules_usage("sign", "expected FILE… --key KEY -o SET.pset");
	if (previous && !read_previous(previous, s.previous, &e))
		return failed("sign", &e, EXIT_ENVIRONMENT);
	if (!(s.key = sign_key_read(s.key_path, &e)))
		return failed("sign", &e, EXIT_ENVIRONMENT);
	while (optind < argc)
		rule_paths_add(&files, argv[optind++]);
	int code;
	struct ruleset *r = rules_load_all(&files, s.withdraw, &s.overrides, &code);
	if (r && code == EXIT_PARTIAL)
		code = failed("sign",
			      &(struct err){"entries were left out, see above: a set is signed whole or not at all"},
			      EXIT_INVALID);
	else if (r)
		code = sign_to(r, &s, output, quiet);
	ruleset_free(r);
	overrides_free(&s.overrides);
	sign_key_free(s.key);
	free(files.v);
	return code;
}

/* ---- verify ---- */

static const char verify_help[] =
    "usage: picket rules verify SET.pset… [--keys FILE]\n"
    "Says what a signed set is, and whether its content is whole. With the file of trusted keys that sensors\n"
    "have (rules.keys): whether they would believe it.\n"
    "\n"
    "      --keys FILE  trusted keys (YAML)\n"
    "  -q, --quiet      nothing but the exit code and errors\n"
    "\n"
    "Exit code: 0 all are good, 2 usage, 3 one is not, 4 a file cannot be read.\n";

static int verify_one(const char *path, const struct trust *t, bool quiet)
{
	struct buf text = {0};
	struct signed_set s;
	struct err e;
	const char *who = NULL;
	size_t rows = 0;
	int code = EXIT_OK;
	if (!rulefile_slurp(path, &text, &e)) {
		code = failed("verify", &e, EXIT_ENVIRONMENT);
	} else if (!signed_set_read(text.p, text.n, &s, &e) || !signed_set_whole(&s.m, s.content, &e) ||
		   !set_lines_count(s.content, &rows, &e) ||
		   (t && !trust_believes(t, s.manifest, &s.m, &s.by, clock_wall_us(), &who, &e))) {
		complain("picket rules verify: %s: %s", path, e.text);
		code = EXIT_INVALID;
	} else if (rows != s.m.count) {
		complain("picket rules verify: %s: it has %zu indicators, its manifest says %" PRIu64 "", path, rows,
			 s.m.count);
		code = EXIT_INVALID;
	} else if (!quiet) {
		rules_print_manifest(&s.m, s.by.key_id);
		puts(t ? "signature    good, trusted" : "signature    not checked: give --keys");
		if (who)
			printf("signed by    %s\n", who);
	}
	buf_free(&text);
	return code;
}

int rules_verify(int argc, char **argv)
{
	static const struct option options[] = {
	    {"keys", 1, NULL, 'k'}, {"quiet", 0, NULL, 'q'}, {"help", 0, NULL, 'h'}, {0}};
	const char *keys = NULL;
	struct trust *t = NULL;
	struct diags d = {0};
	bool quiet = false;
	int code = EXIT_OK;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "qh", options, NULL)) != -1;) {
		if (c == 'h')
			return fputs(verify_help, stdout), EXIT_OK;
		if (c == '?')
			return EXIT_USAGE;
		keys = c == 'k' ? optarg : keys;
		quiet = quiet || c == 'q';
	}
	if (optind == argc)
		return rules_usage("verify", "expected SET.pset…");
	if (keys && !(t = trust_read(keys, &d)))
		code = rules_load_code(&d);
	diag_print(&d, stderr);
	diag_free(&d);
	for (; !code && optind < argc; optind++)
		code = verify_one(argv[optind], t, quiet);
	trust_free(t);
	return code;
}
