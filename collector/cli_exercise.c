/* picket exercise: indicators that are marked as an exercise inside their
 * signature, and what came of them. Alerts of such sets say EXERCISE / 演習 and
 * stand under keys of their own (collector/redis-schema.md), so that nothing real
 * counts them; the end of the exercise withdraws its sets, and sensors match with
 * what they had before.
 *
 *   picket:{x}:exercises          set of names
 *   picket:{x}:exercise:<name>    hash: state (running, stopped), title, by, started, until, stopped,
 *                                 injects = how many, inject:<n> = "<time> <set> <version> <indicators>"
 *
 * Both are for this organisation's eyes: what partners get is the set alone. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/cli.h"
#include "collector/exercise_report.h"
#include "collector/publish.h"
#include "collector/push.h"
#include "common/clock.h"
#include "common/complain.h"
#include "common/exits.h"
#include "common/text.h"

#define EXERCISES     PUBLISH_PREFIX "exercises"
#define EXERCISES_MAX 1000
#define TITLE_MAX     200
#define UNTIL_DEFAULT "7d"
#define UNTIL_MAX_US  (400 * 86400ll * 1000000)
#define TIMEOUT_MS    10000
#define KEEP_SECONDS  "34560000" /* 400 days after it was started or stopped */

static const char usage[] =
    "usage: picket exercise list\n"
    "       picket exercise start NAME [--title TEXT] [--until 8h|7d|2026-12-01T17:00:00Z]\n"
    "       picket exercise inject NAME FILE… --key KEY [--ring RING] [--wait]\n"
    "       picket exercise report NAME [--json]\n"
    "       picket exercise stop NAME --key KEY [--wait]\n"
    "       picket exercise forget NAME\n"
    "\n"
    "start opens an exercise; inject signs a rule file as part of it and publishes it to the sensors, whose alerts\n"
    "then say EXERCISE and are kept apart from real ones (picket alerts --exercise); report says who found what how\n"
    "fast; stop withdraws what was injected; forget removes what is left of it from Redis.\n"
    "\n"
    "  -k, --key KEY        the private key (picket rules keygen)\n"
    "      --title TEXT     for people\n"
    "      --until TIME     when it ends by itself: sensors match nothing of it any more (default 7d)\n"
    "      --ring RING      only sensors of this ring\n"
    "  -w, --wait           wait until the sensors have it, and say who has not\n"
    "      --timeout S      how long to wait (default 10 seconds)\n"
    "      --json           one object per line\n" CLI_REDIS_HELP "\n"
    "Exit: 0 done, 1 no such exercise, or --wait: some sensors did not answer, 2 usage, 3 refused, 4 a file or "
    "Redis.\n";

struct exercise {
	struct cli cli;
	struct push_order order;
	const char *title, *until;
	char **words; /* NAME, FILE… */
	int words_n;
	char key[sizeof(PUBLISH_PREFIX) + 16 + MANIFEST_SET_MAX];
	char now[CLOCK_TEXT_LEN];
};

static const char *name_of(const struct exercise *x)
{
	return x->words[0];
}

static int refuse(const struct exercise *x, int code, const char *why)
{
	complain("picket exercise: \"%s\" %s", name_of(x), why);
	return code;
}

/* ---- what stands in Redis ---- */

/* True: *r is its hash (NULL: there is none). */
static bool read_record(struct exercise *x, struct reply **r)
{
	*r = cli_ask(&x->cli, "HGETALL", x->key, NULL);
	if (!*r)
		return false;
	if (!reply_count(*r)) {
		reply_free(*r);
		*r = NULL;
	}
	return true;
}

static bool running(const struct reply *r)
{
	char state[16];
	return r && strcmp(cli_text(r, "state", state, sizeof(state)), "running") == 0;
}

static bool done(struct reply *r)
{
	bool ok = r != NULL;
	reply_free(r);
	return ok;
}

static bool keep(struct exercise *x)
{
	return done(cli_ask(&x->cli, "EXPIRE", x->key, KEEP_SECONDS, NULL));
}

/* ---- start ---- */

static int start(struct exercise *x)
{
	char until[CLOCK_TEXT_LEN];
	struct reply *r;
	int64_t until_us, n = 0;
	if (!cli_until(x->until, &until_us) || until_us - clock_wall_us() > UNTIL_MAX_US) {
		complain("picket exercise: --until: expected 8h, 7d or 2026-12-01T17:00:00Z, at most 400 days; found "
			 "\"%s\"",
			 x->until);
		return EXIT_USAGE;
	}
	if (!read_record(x, &r))
		return EXIT_ENVIRONMENT;
	if (r) {
		bool on = running(r);
		reply_free(r);
		return refuse(x, EXIT_INVALID,
			      on ? "is running already" : "is over: choose another name, or forget it");
	}
	r = cli_ask(&x->cli, "SCARD", EXERCISES, NULL);
	reply_number(r, &n);
	if (!done(r))
		return EXIT_ENVIRONMENT;
	if (n >= EXERCISES_MAX)
		return refuse(x, EXIT_INVALID, "would be one exercise too many here: forget old ones");
	clock_format(until_us, until);
	if (!done(cli_ask(&x->cli, "SADD", EXERCISES, name_of(x), NULL)) ||
	    !done(cli_ask(&x->cli, "HSET", x->key, "state", "running", "title", x->title, "by", cli_who(), "started",
			  x->now, "until", until, "injects", "0", NULL)) ||
	    !keep(x))
		return EXIT_ENVIRONMENT;
	printf("EXERCISE %s is running until %s\n", name_of(x), until);
	return EXIT_OK;
}

/* ---- inject ---- */

static int record_inject(struct exercise *x, const struct manifest *m)
{
	char field[32], value[MANIFEST_SET_MAX + CLOCK_TEXT_LEN + 48];
	int64_t n = 0;
	struct reply *r = cli_ask(&x->cli, "HINCRBY", x->key, "injects", "1", NULL);
	if (!r || !reply_number(r, &n)) {
		reply_free(r);
		return EXIT_ENVIRONMENT;
	}
	reply_free(r);
	snprintf(field, sizeof(field), "inject:%" PRId64, n);
	snprintf(value, sizeof(value), "%s %s %" PRIu64 " %" PRIu64, x->now, m->set, m->version, m->count);
	return done(cli_ask(&x->cli, "HSET", x->key, field, value, NULL)) ? EXIT_OK : EXIT_ENVIRONMENT;
}

static int inject(struct exercise *x)
{
	struct rule_paths files = {0};
	struct manifest m;
	struct reply *r;
	char until[CLOCK_TEXT_LEN + 8];
	if (x->words_n < 2 || !x->order.key_path) {
		fputs("picket exercise: expected inject NAME FILE… --key KEY; see --help\n", stderr);
		return EXIT_USAGE;
	}
	if (!read_record(x, &r))
		return EXIT_ENVIRONMENT;
	bool there = r != NULL, on = running(r) && cli_number(r, "injects") < EXERCISE_INJECTS_MAX;
	if (r && !clock_parse(cli_text(r, "until", until, sizeof(until)), &x->order.until_us))
		on = false;
	reply_free(r);
	if (!on || x->order.until_us <= clock_wall_us())
		return refuse(x, there ? EXIT_INVALID : EXIT_FINDINGS,
			      there ? "is over, or has too many injects" : "is not an exercise here: start it first");
	for (int i = 1; i < x->words_n; i++)
		rule_paths_add(&files, x->words[i]);
	x->order.exercise = name_of(x);
	int code = push_exercise_set(&x->order, &files, &m);
	free(files.v);
	if (code != EXIT_OK && code != EXIT_FINDINGS)
		return code;
	int recorded = record_inject(x, &m);
	return recorded == EXIT_OK ? code : recorded;
}

/* ---- stop ---- */

static bool withdrawn_before(const struct exercise_injects *list, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(list->v[k].set, list->v[i].set) == 0)
			return true;
	return false;
}

static int withdraw_all(struct exercise *x, const struct exercise_injects *list)
{
	int worst = EXIT_OK;
	for (size_t i = 0; i < list->n; i++) {
		if (withdrawn_before(list, i))
			continue;
		int code = push_exercise_end(&x->order, list->v[i].set);
		worst = code > worst ? code : worst;
	}
	return worst;
}

static int stop(struct exercise *x)
{
	struct exercise_injects list = {0};
	struct reply *r;
	if (!read_record(x, &r))
		return EXIT_ENVIRONMENT;
	if (!running(r)) {
		int code = refuse(x, r ? EXIT_INVALID : EXIT_FINDINGS,
				  r ? "is over already" : "is not an exercise here");
		reply_free(r);
		return code;
	}
	exercise_injects_read(r, &list);
	reply_free(r);
	if (list.n && !x->order.key_path) {
		fputs("picket exercise: expected --key KEY: sensors take withdrawals only when they are signed\n",
		      stderr);
		exercise_injects_free(&list);
		return EXIT_USAGE;
	}
	x->order.exercise = name_of(x);
	int code = withdraw_all(x, &list);
	exercise_injects_free(&list);
	if (code != EXIT_OK && code != EXIT_FINDINGS)
		return code;
	if (!done(cli_ask(&x->cli, "HSET", x->key, "state", "stopped", "stopped", x->now, NULL)) || !keep(x))
		return EXIT_ENVIRONMENT;
	printf("EXERCISE %s is over\n", name_of(x));
	return code;
}

/* ---- list, report, forget ---- */

static void print_line(const char *name, const struct reply *r, bool json)
{
	char state[16], started[40], until[40], title[TITLE_MAX + 1], injects[24];
	if (json) {
		cli_print_json(r, name);
		return;
	}
	printf("%-24s %-8s %-27s %-27s %7s  %s\n", name, cli_text(r, "state", state, sizeof(state)),
	       cli_text(r, "started", started, sizeof(started)), cli_text(r, "until", until, sizeof(until)),
	       cli_text(r, "injects", injects, sizeof(injects)), cli_text(r, "title", title, sizeof(title)));
}

static int list(struct exercise *x)
{
	struct reply *names = cli_ask(&x->cli, "SORT", EXERCISES, "ALPHA", NULL);
	if (!names)
		return EXIT_ENVIRONMENT;
	if (!x->cli.json)
		printf("%-24s %-8s %-27s %-27s %7s  %s\n", "NAME", "STATE", "STARTED", "UNTIL", "INJECTS", "TITLE");
	for (size_t i = 0; i < reply_count(names); i++) {
		char name[MANIFEST_SET_MAX + 1];
		struct bytes raw;
		struct reply *r;
		if (!reply_text(reply_at(names, i), &raw) || !manifest_id_valid((const char *)raw.p, raw.n))
			continue;
		text_clean(name, sizeof(name), raw.p, raw.n);
		snprintf(x->key, sizeof(x->key), PUBLISH_PREFIX "exercise:%s", name);
		if (!read_record(x, &r)) {
			reply_free(names);
			return EXIT_ENVIRONMENT;
		}
		if (r)
			print_line(name, r, x->cli.json);
		reply_free(r);
	}
	reply_free(names);
	return EXIT_OK;
}

static int report(struct exercise *x)
{
	struct reply *r;
	if (!read_record(x, &r))
		return EXIT_ENVIRONMENT;
	if (!r)
		return refuse(x, EXIT_FINDINGS, "is not an exercise here");
	int code = exercise_report(&x->cli, name_of(x), r);
	reply_free(r);
	return code;
}

static int forget(struct exercise *x)
{
	struct reply *r;
	size_t groups = 0;
	if (!read_record(x, &r))
		return EXIT_ENVIRONMENT;
	bool there = r != NULL, on = running(r);
	reply_free(r);
	if (!there || on)
		return refuse(x, there ? EXIT_INVALID : EXIT_FINDINGS,
			      there ? "is running: stop it first" : "is not an exercise here");
	if (!exercise_forget_alerts(&x->cli, name_of(x), &groups) || !done(cli_ask(&x->cli, "DEL", x->key, NULL)) ||
	    !done(cli_ask(&x->cli, "SREM", EXERCISES, name_of(x), NULL)))
		return EXIT_ENVIRONMENT;
	printf("EXERCISE %s is forgotten, %zu groups of alerts with it\n", name_of(x), groups);
	return EXIT_OK;
}

/* ---- the command ---- */

enum { OPT_TITLE = 256, OPT_UNTIL, OPT_RING, OPT_TIMEOUT, OPT_JSON };

static bool option(struct exercise *x, int c)
{
	char *end = NULL;
	if (c == 'k')
		x->order.key_path = optarg;
	if (c == 'w')
		x->order.wait = true;
	if (c == OPT_TITLE)
		x->title = optarg;
	if (c == OPT_UNTIL)
		x->until = optarg;
	if (c == OPT_RING)
		x->order.ring = optarg;
	if (c == OPT_JSON)
		x->cli.json = true;
	cli_redis_option(&x->cli, c, optarg);
	if (c == OPT_TIMEOUT) {
		x->order.timeout_ms = (int64_t)strtoul(optarg, &end, 10) * 1000;
		if (*optarg < '0' || *optarg > '9' || *end || x->order.timeout_ms > 3600000) {
			complain("picket exercise: --timeout: expected seconds, found \"%s\"", optarg);
			return false;
		}
	}
	if (strlen(x->title) > TITLE_MAX) {
		complain("picket exercise: --title: expected at most %d bytes of text", TITLE_MAX);
		return false;
	}
	return c != '?';
}

static int parse(struct exercise *x, int argc, char **argv)
{
	static const struct option longs[] = {{"key", 1, NULL, 'k'},         {"wait", 0, NULL, 'w'},
					      {"title", 1, NULL, OPT_TITLE}, {"until", 1, NULL, OPT_UNTIL},
					      {"ring", 1, NULL, OPT_RING},   {"timeout", 1, NULL, OPT_TIMEOUT},
					      {"json", 0, NULL, OPT_JSON},   CLI_REDIS_OPTIONS,
					      {"help", 0, NULL, 'h'},        {0}};
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "k:wh", longs, NULL)) != -1;) {
		if (c == 'h')
			return fputs(usage, stdout), EXIT_OK;
		if (!option(x, c))
			return EXIT_USAGE;
	}
	x->words = argv + optind;
	x->words_n = argc - optind;
	return -1;
}

static const struct {
	const char *name;
	int (*run)(struct exercise *x);
	bool named, files;
} verbs[] = {{"list", list, false, false},    {"start", start, true, false}, {"inject", inject, true, true},
	     {"report", report, true, false}, {"stop", stop, true, false},   {"forget", forget, true, false}};

static int run(struct exercise *x, size_t verb)
{
	if (verbs[verb].named != (x->words_n > 0) || (!verbs[verb].files && x->words_n > 1)) {
		complain("picket exercise: expected %s%s; see --help", verbs[verb].name,
			 verbs[verb].named ? " NAME" : "");
		return EXIT_USAGE;
	}
	if (verbs[verb].named && !manifest_id_valid(name_of(x), strlen(name_of(x)))) {
		complain("picket exercise: an exercise is called by 1 to %d of A-Z a-z 0-9 . _ -", MANIFEST_SET_MAX);
		return EXIT_USAGE;
	}
	if (!cli_open(&x->cli))
		return EXIT_ENVIRONMENT;
	if (verbs[verb].named)
		snprintf(x->key, sizeof(x->key), PUBLISH_PREFIX "exercise:%s", name_of(x));
	int code = verbs[verb].run(x);
	cli_close(&x->cli);
	return code;
}

int cli_exercise(int argc, char **argv)
{
	struct exercise x = {.cli = {.command = "exercise"}, .title = "", .until = UNTIL_DEFAULT};
	x.order = (struct push_order){.cli = &x.cli, .ring = "", .timeout_ms = TIMEOUT_MS};
	clock_format(clock_wall_us(), x.now);
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return fputs(usage, stdout), EXIT_OK;
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		int code = parse(&x, argc - 1, argv + 1);
		return code < 0 ? run(&x, i) : code;
	}
	fputs("picket exercise: expected list, start, inject, report, stop or forget; see --help\n", stderr);
	return EXIT_USAGE;
}
