/* picket rules push, rollback, promote, withdraw: versions of sets to the
 * sensors. All of them write to Redis (collector/publish.h); collectors see it
 * within a tenth of a second and hand it on. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/cli.h"
#include "collector/cli_receipts.h"
#include "collector/publish.h"
#include "collector/push.h"
#include "common/clock.h"
#include "common/complain.h"
#include "common/exits.h"
#include "rules/cli_rules.h"
#include "rules/rulefile_file.h"
#include "rules/set_lines.h"
#include "rules/signing.h"

#define VERSIONS_MAX 64

static const char push_help[] =
    "usage: picket rules push FILE… --key KEY [option…]\n"
    "       picket rules push SET.pset [option…]\n"
    "Publishes a set (signed now, or before) to all sensors that are connected to the collectors of this Redis.\n"
    "\n"
    "  -k, --key KEY        the private key (picket rules keygen)\n"
    "      --bump           the version after the last one that is published, whatever the file says\n"
    "      --ring RING      only to sensors of this ring (rules.ring), such as canary; then: picket rules promote\n"
    "      --priority P     routine (default), priority, immediate, flash: flash overtakes the others\n"
    "      --exercise NAME  the set belongs to this exercise\n"
    "      --allow-shrink   it lost much, and is meant to\n"
    "      --set-version N  instead of the version: of the file\n"
    "  -w, --wait           wait until the sensors match with it, and say who does not\n"
    "      --timeout S      how long to wait (default 10 seconds)\n" CLI_REDIS_HELP "\n"
    "Exit code: 0 done, 1 --wait: some sensors refused it or did not answer, 2 usage, 3 refused: rules or key\n"
    "invalid, or older than what is published, 4 a file or Redis.\n";

static const char rollback_help[] =
    "usage: picket rules rollback SET --key KEY [--to VERSION] [--ring RING] [--wait] [--timeout S]\n"
    "Publishes what a set was before (the version before the current one, or --to) as a new version.\n"
    "Exit codes are those of push.\n";

static const char promote_help[] =
    "usage: picket rules promote SET [--ring RING] [--wait] [--timeout S]\n"
    "What sensors of a ring (default canary) have becomes what all have. No key is needed.\n"
    "Exit codes are those of push.\n";

static const char withdraw_help[] = "usage: picket rules withdraw SET --key KEY [--ring RING] [--wait] [--timeout S]\n"
				    "Publishes an empty version of the set: sensors drop what they have of it.\n"
				    "Exit codes are those of push.\n";

struct push {
	struct cli cli;
	struct signing signing;
	const char *ring, *usage;
	bool bump, wait;
	int64_t timeout_ms;
	uint32_t to;
	struct rule_paths files;
	struct manifest published; /* by publish() */
	struct err e;
};

enum { OPT_RING = 256, OPT_BUMP, OPT_TIMEOUT, OPT_TO };

static bool number(const char *text, unsigned long max, unsigned long *out)
{
	char *end;
	*out = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && *out <= max;
}

static bool option(struct push *p, int c)
{
	unsigned long n = 0;
	if (c == OPT_RING)
		p->ring = optarg;
	cli_redis_option(&p->cli, c, optarg);
	if (c == OPT_TIMEOUT && !number(optarg, 3600, &n))
		return err_set(&p->e, "--timeout: expected seconds, found \"%s\"", optarg);
	if (c == OPT_TIMEOUT)
		p->timeout_ms = (int64_t)n * 1000;
	if (c == OPT_TO && (!number(optarg, UINT32_MAX, &n) || !n))
		return err_set(&p->e, "--to: expected a version, found \"%s\"", optarg);
	if (c == OPT_TO)
		p->to = (uint32_t)n;
	p->bump = p->bump || c == OPT_BUMP;
	p->wait = p->wait || c == 'w';
	return signing_option(&p->signing, c, optarg, &p->e);
}

/* A negative result: go on. */
static int parse(struct push *p, int argc, char **argv)
{
	static const struct option longs[] = {SIGNING_OPTIONS,
					      {"ring", 1, NULL, OPT_RING},
					      {"bump", 0, NULL, OPT_BUMP},
					      {"wait", 0, NULL, 'w'},
					      {"timeout", 1, NULL, OPT_TIMEOUT},
					      {"to", 1, NULL, OPT_TO},
					      CLI_REDIS_OPTIONS,
					      {"help", 0, NULL, 'h'},
					      {0}};
	p->signing.now_us = clock_wall_us();
	p->timeout_ms = 10000;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "k:wh", longs, NULL)) != -1;) {
		if (c == 'h')
			return fputs(p->usage, stdout), EXIT_OK;
		if (c == '?')
			return EXIT_USAGE;
		if (!option(p, c)) {
			complain("picket %s: %s; see --help", p->cli.command, p->e.text);
			return EXIT_USAGE;
		}
	}
	while (optind < argc)
		rule_paths_add(&p->files, argv[optind++]);
	return -1;
}

static int said(const struct push *p, int code)
{
	complain("picket %s: %s", p->cli.command, p->e.text);
	return code;
}

static int usage_error(const struct push *p, const char *why)
{
	complain("picket %s: %s; see --help", p->cli.command, why);
	return EXIT_USAGE;
}

/* ---- publishing ---- */

static int publish(struct push *p, const struct buf *file)
{
	struct signed_set s;
	int64_t began_us = clock_mono_us();
	if (!publish_put(p->cli.redis, (struct bytes){file->p, file->n}, p->ring, cli_who(), &p->e))
		return said(p, strstr(p->e.text, "Redis") ? EXIT_ENVIRONMENT : EXIT_INVALID);
	if (!signed_set_read(file->p, file->n, &s, &p->e))
		return said(p, EXIT_INVALID);
	p->published = s.m;
	printf("published %s version %" PRIu64 " (%" PRIu64 " indicators, %s) to %s%s\n", s.m.set, s.m.version,
	       s.m.count, urgency_names[s.m.priority], *p->ring ? "ring " : "all sensors", p->ring);
	return p->wait ? receipts_wait(&p->cli, s.m.set, (uint32_t)s.m.version, p->ring, began_us, p->timeout_ms)
		       : EXIT_OK;
}

/* Version and previous digest from what is published. */
static bool follow(struct push *p, const char *set, uint32_t own_version)
{
	struct published last;
	uint32_t version = 0;
	if (!publish_latest(p->cli.redis, set, &version, &p->e))
		return false;
	if (p->bump)
		p->signing.version = own_version > version ? own_version : version + 1;
	if (!version)
		return true;
	if (!publish_read(p->cli.redis, set, version, &last, &p->e))
		return false;
	memcpy(p->signing.previous, last.m.digest, sizeof(p->signing.previous));
	return true;
}

static bool read_key(struct push *p)
{
	if (!p->signing.key_path)
		return err_set(&p->e, "expected --key KEY: sensors take signed sets only");
	p->signing.key = sign_key_read(p->signing.key_path, &p->e);
	return p->signing.key != NULL;
}

static int push_rules(struct push *p)
{
	struct buf file = {0};
	struct manifest m;
	int code;
	if (!read_key(p))
		return said(p, p->signing.key_path ? EXIT_ENVIRONMENT : EXIT_USAGE);
	struct ruleset *r = rules_load_all(&p->files, p->signing.withdraw, &p->signing.overrides, &code);
	if (!r)
		return code;
	struct indicator_set set = ruleset_set_count(r) ? ruleset_set_at(r, 0) : (struct indicator_set){.id = ""};
	if (code == EXIT_PARTIAL) {
		err_set(&p->e, "entries were left out, see above: a set is published whole or not at all");
		code = said(p, EXIT_INVALID);
	} else if (!follow(p, set.id, set.version)) {
		code = said(p, EXIT_ENVIRONMENT);
	} else if (!signing_make(r, &p->signing, &file, &m, &p->e)) {
		code = said(p, EXIT_INVALID);
	} else {
		code = publish(p, &file);
	}
	ruleset_free(r);
	buf_free(&file);
	return code;
}

static int push(struct push *p)
{
	struct buf file = {0};
	int code;
	if (p->files.n == 1 && strcmp(p->files.v[0], "-") != 0 && rulefile_slurp(p->files.v[0], &file, &p->e) &&
	    signed_set_looks(file.p, file.n))
		code = publish(p, &file);
	else
		code = push_rules(p);
	buf_free(&file);
	return code;
}

/* ---- going back ---- */

/* The version to go back to: --to, or the one before the current. */
static bool choose(struct push *p, const char *set, uint32_t *to)
{
	uint32_t all[VERSIONS_MAX], current = 0;
	size_t n;
	if (!publish_versions(p->cli.redis, set, all, VERSIONS_MAX, &n, &p->e) ||
	    !publish_current(p->cli.redis, set, p->ring, &current, &p->e))
		return false;
	*to = p->to;
	for (size_t i = 0; !p->to && i < n; i++)
		if (all[i] < current)
			*to = all[i];
	return *to || err_set(&p->e, "there is no version of set \"%s\" before the current one here", set);
}

static int rollback(struct push *p, const char *set)
{
	struct buf content = {0}, file = {0};
	struct published was;
	struct manifest m = {.version = 0};
	size_t rows = 0;
	uint32_t to = 0;
	int code;
	p->bump = p->signing.shrink = true; /* whoever says it means it */
	if (!choose(p, set, &to) || !publish_read(p->cli.redis, set, to, &was, &p->e) ||
	    !publish_content(p->cli.redis, set, to, &content, &p->e) || !follow(p, set, 0)) {
		code = said(p, EXIT_ENVIRONMENT);
	} else if (!signed_set_whole(&was.m, (struct bytes){content.p, content.n}, &p->e) ||
		   !set_lines_count((struct bytes){content.p, content.n}, &rows, &p->e)) {
		code = said(p, EXIT_INVALID);
	} else {
		m = was.m;
		m.version = p->signing.version;
		p->signing.withdraw = was.m.withdrawn;
		code = signing_seal((struct bytes){content.p, content.n}, rows, &p->signing, &m, &file, &p->e)
			   ? publish(p, &file)
			   : said(p, EXIT_INVALID);
	}
	buf_free(&content);
	buf_free(&file);
	return code;
}

static int withdraw(struct push *p, const char *set)
{
	struct buf file = {0};
	struct manifest m;
	int code;
	p->bump = true;
	if (!follow(p, set, 0))
		code = said(p, EXIT_ENVIRONMENT);
	else if (p->signing.version == 1)
		code = err_set(&p->e, "the set \"%s\" is not published here", set) ? EXIT_OK : said(p, EXIT_INVALID);
	else
		code = signing_withdrawn(set, &p->signing, &m, &file, &p->e) ? publish(p, &file)
									     : said(p, EXIT_INVALID);
	buf_free(&file);
	return code;
}

static int promote(struct push *p, const char *set)
{
	uint32_t version;
	const char *ring = *p->ring ? p->ring : "canary";
	int64_t began_us = clock_mono_us();
	if (!publish_promote(p->cli.redis, set, ring, &version, &p->e))
		return said(p, strstr(p->e.text, "Redis") ? EXIT_ENVIRONMENT : EXIT_INVALID);
	printf("version %" PRIu32 " of %s is for all sensors now\n", version, set);
	return p->wait ? receipts_wait(&p->cli, set, version, "", began_us, p->timeout_ms) : EXIT_OK;
}

/* ---- for exercises ---- */

static struct push push_of(const struct push_order *o)
{
	return (struct push){.cli = *o->cli,
			     .signing = {.key_path = o->key_path,
					 .exercise = o->exercise,
					 .until_us = o->until_us,
					 .now_us = clock_wall_us()},
			     .ring = o->ring,
			     .bump = true,
			     .wait = o->wait,
			     .timeout_ms = o->timeout_ms};
}

int push_exercise_set(const struct push_order *o, const struct rule_paths *files, struct manifest *m)
{
	struct push p = push_of(o);
	p.files = *files;
	int code = push_rules(&p);
	*m = p.published;
	sign_key_free(p.signing.key);
	return code;
}

int push_exercise_end(const struct push_order *o, const char *set)
{
	struct push p = push_of(o);
	struct published last;
	uint32_t version;
	int code;
	if (!read_key(&p) || !publish_latest(p.cli.redis, set, &version, &p.e) ||
	    (version && !publish_read(p.cli.redis, set, version, &last, &p.e)))
		code = said(&p, EXIT_ENVIRONMENT);
	else if (!version || last.m.withdrawn || strcmp(last.m.exercise, o->exercise) != 0)
		code = EXIT_OK; /* it is none of the exercise's any more */
	else
		code = withdraw(&p, set);
	sign_key_free(p.signing.key);
	return code;
}

/* ---- the commands ---- */

static int finish(struct push *p, int code)
{
	cli_close(&p->cli);
	sign_key_free(p->signing.key);
	overrides_free(&p->signing.overrides);
	free(p->files.v);
	return code;
}

int cli_push(int argc, char **argv)
{
	struct push p = {.cli = {.command = "rules push"}, .usage = push_help, .ring = ""};
	int code = parse(&p, argc, argv);
	if (code < 0 && !p.files.n)
		code = usage_error(&p, "expected FILE… --key KEY, or SET.pset");
	if (code < 0)
		code = cli_open(&p.cli) ? push(&p) : EXIT_ENVIRONMENT;
	return finish(&p, code);
}

/* One SET, a key when it is needed. */
static int of_one_set(struct push *p, int argc, char **argv, bool key, int (*run)(struct push *p, const char *set))
{
	int code = parse(p, argc, argv);
	if (code < 0 && p->files.n != 1)
		code = usage_error(p, "expected SET");
	else if (code < 0 && !manifest_id_valid(p->files.v[0], strlen(p->files.v[0])))
		code = usage_error(p, "the id of a set is of A-Z a-z 0-9 . _ -");
	else if (code < 0 && key && !read_key(p))
		code = said(p, p->signing.key_path ? EXIT_ENVIRONMENT : EXIT_USAGE);
	if (code < 0)
		code = cli_open(&p->cli) ? run(p, p->files.v[0]) : EXIT_ENVIRONMENT;
	return finish(p, code);
}

int cli_rollback(int argc, char **argv)
{
	struct push p = {.cli = {.command = "rules rollback"}, .usage = rollback_help, .ring = ""};
	return of_one_set(&p, argc, argv, true, rollback);
}

int cli_promote(int argc, char **argv)
{
	struct push p = {.cli = {.command = "rules promote"}, .usage = promote_help, .ring = ""};
	return of_one_set(&p, argc, argv, false, promote);
}

int cli_withdraw(int argc, char **argv)
{
	struct push p = {.cli = {.command = "rules withdraw"}, .usage = withdraw_help, .ring = ""};
	return of_one_set(&p, argc, argv, true, withdraw);
}
