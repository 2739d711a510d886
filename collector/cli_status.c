/* picket status: the posture in one page, and what is wrong with it first. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/cli.h"
#include "collector/store.h"
#include "common/clock.h"
#include "common/exits.h"
#include "common/frame.h"
#include "common/json.h"
#include "common/text.h"
#include "rules/indicator.h"

#define SILENT_US   180000000 /* a sensor reports every few seconds */
#define SENSORS_MAX "9999"

static const char usage[] = "usage: picket status [--json]\n" CLI_REDIS_HELP
			    "Exit: 0 ok, 1 something needs attention, 2 usage, 4 Redis.\n";

struct posture {
	int64_t open, severity[SEVERITY_COUNT], entries;
	int64_t today, today_loss, hour, conflicts;
	int64_t sensors, connected, silent, waiting, lost;
};

static bool ask_number(struct cli *c, const char *command, const char *key, int64_t *n)
{
	struct reply *r = cli_ask(c, command, key, NULL);
	bool good = r != NULL;
	if (good && !reply_number(r, n))
		*n = 0;
	reply_free(r);
	return good;
}

static bool read_rollups(struct cli *c, unsigned partition, struct posture *p)
{
	char name[64], key[CLI_KEY_MAX];
	int64_t now = clock_wall_us();
	snprintf(name, sizeof(name), "day:%" PRId64, now / 86400000000);
	struct reply *d = cli_ask(c, "HGETALL", cli_key(partition, name, key), NULL);
	snprintf(name, sizeof(name), "hour:%" PRId64, now / 3600000000);
	struct reply *h = d ? cli_ask(c, "HGETALL", cli_key(partition, name, key), NULL) : NULL;
	p->today += cli_number(d, "total");
	p->today_loss += cli_number(d, "loss");
	p->conflicts += cli_number(d, "conflict");
	p->hour += cli_number(h, "total");
	bool good = d && h;
	reply_free(d);
	reply_free(h);
	return good;
}

static bool read_sensors(struct cli *c, struct posture *p)
{
	struct reply *ids = cli_ask(c, "ZREVRANGE", "picket:sensors", "0", SENSORS_MAX, NULL);
	bool good = ids != NULL;
	for (size_t i = 0; good && i < reply_count(ids); i++) {
		struct bytes raw;
		char id[FRAME_ID_MAX * 3 + 1], key[FRAME_ID_MAX * 3 + 32], text[40];
		int64_t seen = 0;
		if (!reply_text(reply_at(ids, i), &raw) || raw.n > FRAME_ID_MAX)
			continue;
		snprintf(key, sizeof(key), "picket:sensor:%s", text_clean(id, sizeof(id), raw.p, raw.n));
		struct reply *r = cli_ask(c, "HGETALL", key, NULL);
		good = r != NULL;
		p->sensors++;
		p->connected += strcmp(cli_text(r, "connected", text, sizeof(text)), "true") == 0;
		p->silent += !clock_parse(cli_text(r, "seen", text, sizeof(text)), &seen) ||
			     clock_wall_us() - seen > SILENT_US;
		p->waiting += cli_number(r, "spool_waiting");
		p->lost += cli_number(r, "spool_lost") + cli_number(r, "queue_lost");
		reply_free(r);
	}
	reply_free(ids);
	return good;
}

static bool read_partition(struct cli *c, unsigned partition, struct posture *p)
{
	char name[32], key[CLI_KEY_MAX];
	int64_t n = 0;
	bool good = ask_number(c, "ZCARD", cli_key(partition, "open", key), &n);
	p->open += n;
	good = good && ask_number(c, "XLEN", cli_key(partition, "alerts", key), &n);
	p->entries += n;
	for (int i = 0; good && i < SEVERITY_COUNT; i++) {
		snprintf(name, sizeof(name), "severity:%s", severity_names[i]);
		good = ask_number(c, "ZCARD", cli_key(partition, name, key), &n);
		p->severity[i] += n;
	}
	return good && read_rollups(c, partition, p);
}

static bool read_posture(struct cli *c, struct posture *p)
{
	for (unsigned i = 0; i < cli_partitions(c); i++)
		if (!read_partition(c, i, p))
			return false;
	return read_sensors(c, p);
}

static void print_json(const struct posture *p)
{
	struct json *o = json_map();
	struct buf out = {0};
	json_put_int(o, "open", p->open);
	for (int i = 0; i < SEVERITY_COUNT; i++)
		json_put_int(o, severity_names[i], p->severity[i]);
	json_put_int(o, "alerts_this_hour", p->hour);
	json_put_int(o, "alerts_today", p->today);
	json_put_int(o, "lost_today", p->today_loss);
	json_put_int(o, "conflicts_today", p->conflicts);
	json_put_int(o, "stream_entries", p->entries);
	json_put_int(o, "sensors", p->sensors);
	json_put_int(o, "sensors_connected", p->connected);
	json_put_int(o, "sensors_silent", p->silent);
	json_put_int(o, "spool_waiting", p->waiting);
	json_put_int(o, "sensors_lost", p->lost);
	json_write(o, &out);
	printf("%.*s\n", (int)out.n, (const char *)out.p);
	buf_free(&out);
	json_drop(o);
}

static bool print_concerns(const struct posture *p)
{
	bool any = false;
	const struct {
		bool holds;
		int64_t n;
		const char *text;
	} concerns[] = {
	    {p->sensors == 0, 0, "no sensor has ever reported"},
	    {p->silent > 0, p->silent, "sensors are silent (picket sensors)"},
	    {p->today_loss > 0, p->today_loss, "alerts were lost today (picket alerts tail -n 100 shows which)"},
	    {p->conflicts > 0, p->conflicts,
	     "alerts met a Redis key of a wrong type today (the collector's log names it)"},
	};
	for (size_t i = 0; i < sizeof(concerns) / sizeof(*concerns); i++) {
		if (!concerns[i].holds)
			continue;
		any = true;
		if (concerns[i].n)
			printf("ATTENTION  %" PRId64 " %s\n", concerns[i].n, concerns[i].text);
		else
			printf("ATTENTION  %s\n", concerns[i].text);
	}
	return any;
}

static int print_posture(struct cli *c, const struct posture *p)
{
	if (c->json) {
		print_json(p);
		return p->silent || p->today_loss || p->conflicts || !p->sensors ? EXIT_FINDINGS : EXIT_OK;
	}
	bool concern = print_concerns(p);
	printf("open groups  %" PRId64 "  (", p->open);
	for (int i = SEVERITY_COUNT - 1; i >= 0; i--)
		printf("%s%s%s %" PRId64 "%s", cli_severity_colour(c, severity_names[i]), severity_names[i],
		       cli_plain(c), p->severity[i], i ? ", " : ")\n");
	printf("alerts       %" PRId64 " this hour, %" PRId64 " today (UTC), %" PRId64 " lost\n", p->hour, p->today,
	       p->today_loss);
	printf("sensors      %" PRId64 " known, %" PRId64 " connected, %" PRId64 " silent; %" PRId64
	       " records wait in spools, %" PRId64 " were lost there\n",
	       p->sensors, p->connected, p->silent, p->waiting, p->lost);
	printf("stream       %" PRId64 " transitions kept\n", p->entries);
	return concern ? EXIT_FINDINGS : EXIT_OK;
}

int cli_status(int argc, char **argv)
{
	struct cli c = {.command = "status"};
	struct posture p = {0};
	int code = cli_options(&c, argc, argv, usage);
	if (code >= 0)
		return code;
	if (optind < argc) {
		fputs("picket status: too many words; see --help\n", stderr);
		return EXIT_USAGE;
	}
	if (!cli_open(&c))
		return EXIT_ENVIRONMENT;
	code = read_posture(&c, &p) ? print_posture(&c, &p) : EXIT_ENVIRONMENT;
	cli_close(&c);
	return code;
}
