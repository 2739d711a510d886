/* picket sensors: who reports, how fresh, and what is lost on the way. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/cli.h"
#include "common/clock.h"
#include "common/complain.h"
#include "common/exits.h"
#include "common/frame.h"
#include "common/text.h"

#define SENSORS_MAX "9999"

static const char usage[] = "usage: picket sensors [list] [--json]\n"
			    "       picket sensors show ID…\n"
			    "\n" CLI_REDIS_HELP "Exit: 0 ok, 1 no such sensor, 2 usage, 4 Redis.\n";

static struct reply *read_sensor(struct cli *c, const char *id)
{
	char key[FRAME_ID_MAX * 3 + 32];
	snprintf(key, sizeof(key), "picket:sensor:%s", id);
	return cli_ask(c, "HGETALL", key, NULL);
}

static int64_t drops(const struct reply *r)
{
	return cli_number(r, "drops.kernel") + cli_number(r, "drops.interface") + cli_number(r, "end.shed");
}

static int64_t lost(const struct reply *r)
{
	return cli_number(r, "spool_lost") + cli_number(r, "queue_lost");
}

static const char *skew_text(const struct reply *r, char *into, size_t cap)
{
	struct bytes b;
	int64_t ms = cli_number(r, "skew_ms");
	if (!cli_field(r, "skew_ms", &b))
		snprintf(into, cap, "-");
	else if (ms > -10000 && ms < 10000)
		snprintf(into, cap, "%" PRId64 " ms", ms);
	else
		snprintf(into, cap, "%" PRId64 " s", ms / 1000);
	return into;
}

static void print_row(struct cli *c, const char *id, const struct reply *r)
{
	char seen[40], age[24], connected[8], version[24], digest[13], state[16], capture[16], skew[24],
	    collector[FRAME_ID_MAX + 1];
	int64_t us = 0;
	if (c->json) {
		cli_print_json(r, id);
		return;
	}
	bool known = clock_parse(cli_text(r, "seen", seen, sizeof(seen)), &us);
	cli_text(r, "connected", connected, sizeof(connected));
	printf("%-20s %-9s %-10s %-10s %-9s %12" PRId64 " %9" PRId64 " %8" PRId64 " %8" PRId64 " %9s  %-8s %-12s  %s\n",
	       id, strcmp(connected, "true") == 0 ? "connected" : "away",
	       known ? cli_age(clock_wall_us() - us, age, sizeof(age)) : "never",
	       cli_text(r, "version", version, sizeof(version)), cli_text(r, "capture", capture, sizeof(capture)),
	       cli_number(r, "packets.received"), drops(r), cli_number(r, "spool_waiting"), lost(r),
	       skew_text(r, skew, sizeof(skew)), cli_text(r, "set_state", state, sizeof(state)),
	       cli_text(r, "set_digest", digest, sizeof(digest)),
	       cli_text(r, "collector", collector, sizeof(collector)));
}

static int list(struct cli *c)
{
	struct reply *ids = cli_ask(c, "ZREVRANGE", "picket:sensors", "0", SENSORS_MAX, NULL);
	if (!ids)
		return EXIT_ENVIRONMENT;
	if (!c->json && reply_count(ids))
		printf("%-20s %-9s %-10s %-10s %-9s %12s %9s %8s %8s %9s  %-8s %-12s  %s\n", "SENSOR", "STATE", "SEEN",
		       "VERSION", "CAPTURE", "PACKETS", "DROPPED", "WAITING", "LOST", "SKEW", "RULES", "DIGEST",
		       "COLLECTOR");
	int code = EXIT_OK;
	for (size_t i = 0; i < reply_count(ids) && code == EXIT_OK; i++) {
		struct bytes raw;
		char id[FRAME_ID_MAX * 3 + 1];
		if (!reply_text(reply_at(ids, i), &raw) || raw.n > FRAME_ID_MAX)
			continue;
		struct reply *r = read_sensor(c, text_clean(id, sizeof(id), raw.p, raw.n));
		if (r)
			print_row(c, id, r);
		else
			code = EXIT_ENVIRONMENT;
		reply_free(r);
	}
	if (!reply_count(ids) && !c->json)
		fputs("picket sensors: none has reported yet\n", stderr);
	reply_free(ids);
	return code;
}

/* ---- one sensor ---- */

/* What belongs together stands together; what no row names comes last, so a
 * newer sensor's fields are seen too. */
static const struct section {
	const char *title, *names[16]; /* a name that ends in '.' is all that begin so */
} sections[] = {
    {"sensor", {"connected", "seen", "collector", "address", "version", "site", "started", "time", "skew_ms"}},
    {"rules",
     {"set_state", "set_digest", "set_indicators", "set_refused", "sets_", "sets.", "ring", "takes_sets", "hidden."}},
    {"alerts", {"alerts.", "epoch", "stored", "spool_", "queue_lost", "refused_records", "reconnects"}},
    {"packets", {"capture", "interfaces", "packets.", "drops.", "capture."}},
    {"how they ended", {"end."}},
    {"flows that no parser reads, by nDPI's name", {"unread.", "unread_others"}},
};
#define SECTIONS (sizeof(sections) / sizeof(*sections))

static bool names_it(const struct section *s, struct bytes name)
{
	for (size_t i = 0; s->names[i]; i++) {
		size_t n = strlen(s->names[i]);
		bool whole = s->names[i][n - 1] != '.' && s->names[i][n - 1] != '_';
		if (name.n >= n && (!whole || name.n == n) && memcmp(name.p, s->names[i], n) == 0)
			return true;
	}
	return false;
}

static size_t section_of(struct bytes name)
{
	size_t i = 0;
	while (i < SECTIONS && !names_it(&sections[i], name))
		i++;
	return i;
}

/* Zeros are left out where a missing line says the same. */
static void print_section(const struct reply *r, size_t which)
{
	struct bytes name, value;
	char a[128], b[512];
	bool titled = false;
	for (size_t k = 0; k + 1 < reply_count(r); k += 2) {
		if (!reply_text(reply_at(r, k), &name) || !reply_text(reply_at(r, k + 1), &value) ||
		    section_of(name) != which)
			continue;
		if (value.n == 1 && *value.p == '0' && which >= 3)
			continue;
		if (!titled)
			printf("%s\n", which < SECTIONS ? sections[which].title : "on the way");
		titled = true;
		printf("  %-24s %s\n", text_clean(a, sizeof(a), name.p, name.n),
		       text_clean(b, sizeof(b), value.p, value.n));
	}
}

static int64_t sum_of_ends(const struct reply *r)
{
	struct bytes name;
	int64_t sum = 0, v;
	for (size_t k = 0; k + 1 < reply_count(r); k += 2)
		if (reply_text(reply_at(r, k), &name) && name.n > 4 && memcmp(name.p, "end.", 4) == 0 &&
		    reply_number(reply_at(r, k + 1), &v))
			sum += v;
	return sum;
}

static void print_sensor(const char *id, const struct reply *r)
{
	int64_t received = cli_number(r, "packets.received"), ended = sum_of_ends(r);
	printf("%s\n", text_shown(id));
	for (size_t i = 0; i <= SECTIONS; i++)
		print_section(r, i);
	if (received != ended)
		printf("OUT OF BALANCE: %" PRId64 " packets received, %" PRId64 " ended\n", received, ended);
}

static int show(struct cli *c, char **ids, int n)
{
	int code = EXIT_OK;
	for (int i = 0; i < n; i++) {
		struct reply *r = read_sensor(c, ids[i]);
		if (!r)
			return EXIT_ENVIRONMENT;
		if (!reply_count(r)) {
			complain("picket sensors: there is no sensor \"%s\"", ids[i]);
			code = EXIT_FINDINGS;
		} else if (c->json) {
			cli_print_json(r, ids[i]);
		} else {
			print_sensor(ids[i], r);
		}
		reply_free(r);
	}
	return code;
}

int cli_sensors(int argc, char **argv)
{
	struct cli c = {.command = "sensors"};
	int code = cli_options(&c, argc, argv, usage);
	if (code >= 0)
		return code;
	bool one = optind < argc && strcmp(argv[optind], "show") == 0;
	if (optind < argc && !one && strcmp(argv[optind], "list") != 0) {
		fputs("picket sensors: list or show; see --help\n", stderr);
		return EXIT_USAGE;
	}
	if (!cli_open(&c))
		return EXIT_ENVIRONMENT;
	code = one ? show(&c, argv + optind + 1, argc - optind - 1) : list(&c);
	cli_close(&c);
	return code;
}
