/* picket partner: who they are, what goes and what comes, and what people decide
 * about it. Decisions are fields of the partner's hash or entries of a stream,
 * which the gateway acts on. */
#include "collector/cli_partner.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/partners.h"
#include "common/clock.h"
#include "common/complain.h"
#include "common/exits.h"
#include "common/text.h"

#define ANSWER_TRIES 200 /* of 50 ms */

static const char usage[] =
    "usage: picket partner [list] [--json]       all of them, and how their links are\n"
    "       picket partner show ID               everything about one\n"
    "       picket partner pause ID [--in|--out] nothing is taken from it, nothing given to it\n"
    "       picket partner resume ID\n"
    "       picket partner withdraw ID           its indicators leave every sensor; restore ID undoes it\n"
    "       picket partner review ID             what of it waits for a decision, and why\n"
    "       picket partner accept|reject ID OBJECT…|all\n"
    "       picket partner why ID OBJECT         what the release gate says to it, and what they would get\n"
    "       picket partner publish FILE…         rules or STIX bundles for partners\n"
    "       picket partner revoke OBJECT…        of those published here; for ever\n"
    "       picket partner audit [--verify] [--head] [--expect N:HASH]   who was given what\n"
    "       picket partner keys                  every key of a policy file\n"
    "\n"
    "      --reason TEXT      pause, withdraw, accept, reject: why\n"
    "      --policies DIR     why: the policy files (default /etc/picket/partners); --org NAME: who we are\n"
    "      --to GROUPS        publish: whom it is addressed to, with commas (default: what the set says)\n"
    "      --priority P       publish: routine, priority, immediate, flash\n"
    "      --exercise NAME    publish: it is of an exercise\n"
    "      --wait             publish, immediate and flash: how many sensors of partners who tell match, after 10 s at "
    "most\n"
    "      --redis unix:/path|host:port (or PICKET_REDIS), --redis-user NAME, PICKET_REDIS_PASSWORD\n"
    "Exit: 0 ok, 1 no such partner or object, or the chain is broken, 2 usage, 3 rules or policies invalid, 4 Redis,\n"
    "5 some could not be published.\n";

static void key_of(const char *id, char out[static 160])
{
	snprintf(out, 160, PARTNER_KEY, id);
}

static bool exists(struct partner_cli *c, const char *id)
{
	struct reply *r = cli_ask(&c->cli, "HEXISTS", PARTNERS_KEY, id, NULL);
	int64_t there = 0;
	char clean[256];
	bool ok = r && reply_number(r, &there) && there;
	c->code = r ? EXIT_FINDINGS : EXIT_ENVIRONMENT;
	if (r && !ok)
		complain("picket partner: there is no partner \"%s\"; picket partner list has all",
			 text_clean(clean, sizeof(clean), id, strlen(id)));
	reply_free(r);
	return ok;
}

/* ---- list and show ---- */

static void print_row(struct partner_cli *c, const char *id, const struct reply *r)
{
	char link[16], version[24], paused[8], withdrawn[4], mode[16], state[40];
	if (c->cli.json) {
		cli_print_json(r, id);
		return;
	}
	cli_text(r, "paused", paused, sizeof(paused));
	bool away = strcmp(cli_text(r, "withdrawn", withdrawn, sizeof(withdrawn)), "1") == 0;
	snprintf(state, sizeof(state), "%s%s%s", away ? "withdrawn" : "", away && *paused ? "," : "",
		 *paused ? paused : "");
	printf("%-20s %-5s %-8s %-7s %-18s %9" PRId64 " %9" PRId64 " %9" PRId64 " %9" PRId64 " %9" PRId64 " %9" PRId64
	       "\n",
	       id, cli_text(r, "link", link, sizeof(link)), cli_text(r, "version", version, sizeof(version)),
	       cli_text(r, "mode", mode, sizeof(mode)), *state ? state : "-", cli_number(r, "sent"),
	       cli_number(r, "acknowledged"), cli_number(r, "stored"), cli_number(r, "review"),
	       cli_number(r, "quarantined"), cli_number(r, "refused"));
}

static int list(struct partner_cli *c)
{
	struct reply *ids = cli_ask(&c->cli, "HKEYS", PARTNERS_KEY, NULL);
	char key[160], id[3 * SHARED_NAME_MAX];
	struct bytes raw;
	if (!ids)
		return EXIT_ENVIRONMENT;
	if (!reply_count(ids) && !c->cli.json)
		fputs("picket partner: there are none; partners.dir of the gateway holds their policies\n", stderr);
	else if (!c->cli.json)
		printf("%-20s %-5s %-8s %-7s %-18s %9s %9s %9s %9s %9s %9s\n", "PARTNER", "LINK", "VERSION", "MODE",
		       "STATE", "SENT", "TAKEN", "STORED", "REVIEW", "QUARANT.", "REFUSED");
	for (size_t i = 0; i < reply_count(ids); i++) {
		if (!reply_text(reply_at(ids, i), &raw) || raw.n > SHARED_NAME_MAX)
			continue;
		key_of(text_clean(id, sizeof(id), raw.p, raw.n), key);
		struct reply *r = cli_ask(&c->cli, "HGETALL", key, NULL);
		if (r)
			print_row(c, id, r);
		reply_free(r);
	}
	reply_free(ids);
	return EXIT_OK;
}

static int show(struct partner_cli *c)
{
	char key[160], name[64 * 3], value[1024];
	if (!exists(c, c->words[0]))
		return c->code;
	key_of(c->words[0], key);
	struct reply *r = cli_ask(&c->cli, "HGETALL", key, NULL);
	if (!r)
		return EXIT_ENVIRONMENT;
	if (c->cli.json)
		cli_print_json(r, c->words[0]);
	for (size_t i = 0; !c->cli.json && i + 1 < reply_count(r); i += 2) {
		struct bytes f, v;
		if (reply_text(reply_at(r, i), &f) && reply_text(reply_at(r, i + 1), &v) && v.n)
			printf("%-28s %s\n", text_clean(name, sizeof(name), f.p, f.n),
			       text_clean(value, sizeof(value), v.p, v.n));
	}
	reply_free(r);
	return EXIT_OK;
}

/* ---- decisions ---- */

static const char *who(void)
{
	const char *sudo = getenv("SUDO_USER"), *user = getenv("USER");
	return sudo && *sudo ? sudo : user && *user ? user : "unknown";
}

/* Sets one flag of a partner, and who did it, when and why. */
static int decide(struct partner_cli *c, const char *field, const char *value, const char *said)
{
	char key[160], now[CLOCK_TEXT_LEN], by[64], at[64], why[64];
	if (!exists(c, c->words[0]))
		return c->code;
	key_of(c->words[0], key);
	clock_format(clock_wall_us(), now);
	snprintf(by, sizeof(by), "%s_by", field);
	snprintf(at, sizeof(at), "%s_at", field);
	snprintf(why, sizeof(why), "%s_reason", field);
	struct reply *r = cli_ask(&c->cli, "HSET", key, field, value, by, who(), at, now, why,
				  c->reason ? c->reason : "", NULL);
	if (!r)
		return EXIT_ENVIRONMENT;
	reply_free(r);
	printf("%s: %s\n", c->words[0], said);
	return EXIT_OK;
}

static int do_pause(struct partner_cli *c)
{
	const char *what = c->in && !c->out ? "in" : c->out && !c->in ? "out" : "both";
	return decide(c, "paused", what, "paused within a second");
}

static int do_resume(struct partner_cli *c)
{
	return decide(c, "paused", "", "goes on within a second");
}

static int do_withdraw(struct partner_cli *c)
{
	return decide(c, "withdrawn", "1",
		      "its indicators leave every sensor; picket partner show says when they are gone");
}

static int do_restore(struct partner_cli *c)
{
	return decide(c, "withdrawn", "0", "its indicators are used again");
}

/* The gateway's words about a command, within ten seconds. */
static int wait_answer(struct partner_cli *c, const char *entry)
{
	char key[160], clean[512];
	struct bytes text;
	snprintf(key, sizeof(key), PARTNER_ANSWER, entry);
	for (int i = 0; i < ANSWER_TRIES; i++) {
		struct reply *r = cli_ask(&c->cli, "GET", key, NULL);
		bool come = r && reply_text(r, &text);
		if (come)
			puts(text_clean(clean, sizeof(clean), text.p, text.n));
		reply_free(r);
		if (!r)
			return EXIT_ENVIRONMENT;
		if (come)
			return EXIT_OK;
		usleep(50000);
	}
	fputs("picket partner: no gateway has answered; it will do it when it runs again within ten minutes\n", stderr);
	return EXIT_ENVIRONMENT;
}

static int command(struct partner_cli *c, const char *op)
{
	char entry[64];
	struct bytes id;
	int code = EXIT_OK;
	if (!exists(c, c->words[0]))
		return c->code;
	for (int i = 1; i < c->words_n && code == EXIT_OK; i++) {
		struct reply *r = cli_ask(&c->cli, "XADD", PARTNER_COMMANDS, "MAXLEN", "~", "1000", "*", "op", op,
					  "partner", c->words[0], "id", c->words[i], "by", who(), "reason",
					  c->reason ? c->reason : "", NULL);
		if (!r || !reply_text(r, &id) || id.n >= sizeof(entry)) {
			reply_free(r);
			return EXIT_ENVIRONMENT;
		}
		text_clean(entry, sizeof(entry), id.p, id.n);
		reply_free(r);
		code = wait_answer(c, entry);
	}
	return code;
}

static int do_accept(struct partner_cli *c)
{
	return command(c, "accept");
}

static int do_reject(struct partner_cli *c)
{
	return command(c, "reject");
}

static int keys(struct partner_cli *c)
{
	struct policy p = {0};
	struct diags d = {0};
	(void)c;
	conf_load_file(policy_keys, policy_keys_n, NULL, &p, &d);
	conf_dump(policy_keys, policy_keys_n, &p, stdout);
	conf_free(policy_keys, policy_keys_n, &p);
	diag_free(&d);
	return EXIT_OK;
}

static const struct sub {
	const char *name;
	int words_min, words_max;
	bool redis; /* a plain connection is wanted */
	int (*run)(struct partner_cli *c);
} subs[] = {
    {"list", 0, 0, true, list},
    {"show", 1, 1, true, show},
    {"pause", 1, 1, true, do_pause},
    {"resume", 1, 1, true, do_resume},
    {"withdraw", 1, 1, true, do_withdraw},
    {"restore", 1, 1, true, do_restore},
    {"review", 1, 1, false, partner_review},
    {"accept", 2, 1000, true, do_accept},
    {"reject", 2, 1000, true, do_reject},
    {"why", 2, 2, false, partner_why},
    {"publish", 1, 1000, false, partner_publish},
    {"revoke", 1, 1000, false, partner_revoke},
    {"audit", 0, 0, true, partner_audit},
    {"keys", 0, 0, false, keys},
};
#define SUBS (sizeof(subs) / sizeof(*subs))

static int options(struct partner_cli *c, int argc, char **argv)
{
	static const struct option longs[] = {
	    CLI_REDIS_OPTIONS,          {"json", 0, NULL, 'j'},     {"help", 0, NULL, 'h'},
	    {"reason", 1, NULL, 'R'},   {"policies", 1, NULL, 'p'}, {"org", 1, NULL, 'o'},
	    {"priority", 1, NULL, 'P'}, {"exercise", 1, NULL, 'x'}, {"to", 1, NULL, 't'},
	    {"verify", 0, NULL, 'V'},   {"head", 0, NULL, 'H'},     {"expect", 1, NULL, 'e'},
	    {"in", 0, NULL, 'I'},       {"out", 0, NULL, 'O'},      {"wait", 0, NULL, 'w'},
	    {NULL, 0, NULL, 0}};
	optind = 0;
	for (int o; (o = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
		const char **texts[] = {
		    ['R'] = &c->reason,   ['p'] = &c->policies, ['o'] = &c->org,   ['P'] = &c->priority,
		    ['x'] = &c->exercise, ['t'] = &c->to,       ['e'] = &c->expect};
		bool *flags[] = {['j'] = &c->cli.json, ['V'] = &c->verify, ['H'] = &c->head,
				 ['I'] = &c->in,       ['O'] = &c->out,    ['w'] = &c->wait};
		if (o == 'h') {
			fputs(usage, stdout);
			return EXIT_OK;
		}
		if (o == '?')
			return EXIT_USAGE;
		if (cli_redis_option(&c->cli, o, optarg))
			continue;
		if (optarg)
			*texts[o] = optarg;
		else
			*flags[o] = true;
	}
	return -1;
}

int cli_partner(int argc, char **argv)
{
	struct partner_cli c = {.cli = {.command = "partner"}};
	int code = options(&c, argc, argv);
	if (code >= 0)
		return code;
	const char *name = optind < argc ? argv[optind++] : "list";
	const struct sub *s = subs;
	while (s < subs + SUBS && strcmp(s->name, name) != 0)
		s++;
	c.words = argv + optind;
	c.words_n = argc - optind;
	if (s == subs + SUBS || c.words_n < s->words_min || c.words_n > s->words_max) {
		complain("picket partner: %s; see --help",
			 s == subs + SUBS ? "there is no such subcommand" : "wrong number of words");
		return EXIT_USAGE;
	}
	if (s->redis && !cli_open(&c.cli))
		return EXIT_ENVIRONMENT;
	code = s->run(&c);
	cli_close(&c.cli);
	return code;
}
