/* picket: everything a person types. The one file that sees both the sensor and
 * the collector; it only chooses who answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/cli.h"
#include "common/complain.h"
#include "common/exits.h"
#include "common/log.h"
#include "rules/cli_rules.h"
#include "sensor/confine.h"
#include "sensor/cli_test.h"
#include "sensor/dpi.h"
#include "sensor/scan.h"

struct command {
	const char *name, *help;
	int (*main)(int argc, char **argv); /* argv[0] is the command's own name */
};

/* Of `picket rules`: what speaks to Redis, which rules/ knows nothing of. */
static const struct command publishing[] = {
    {"push", "", cli_push},         {"rollback", "", cli_rollback}, {"promote", "", cli_promote},
    {"withdraw", "", cli_withdraw}, {"status", "", cli_sets},       {"test", "", cli_test},
};

static int rules_main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(publishing) / sizeof(*publishing); i++)
		if (strcmp(argv[1], publishing[i].name) == 0)
			return publishing[i].main(argc - 1, argv + 1);
	return cli_rules(argc, argv);
}

/* A value against rule files, or an alert that is in Redis. */
static int why_main(int argc, char **argv)
{
	bool rules = argc < 2;
	for (int i = 1; i < argc; i++)
		rules = rules || strncmp(argv[i], "--r", 3) == 0 || strncmp(argv[i], "-r", 2) == 0 ||
			strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
	if (rules)
		return rules_why(argc, argv);
	char **as_alerts = calloc((size_t)argc + 2, sizeof(*as_alerts));
	static char alerts[] = "alerts", why[] = "why";
	if (!as_alerts)
		return EXIT_ENVIRONMENT;
	as_alerts[0] = alerts;
	as_alerts[1] = why;
	memcpy(as_alerts + 2, argv + 1, (size_t)(argc - 1) * sizeof(*argv));
	int code = cli_alerts(argc + 1, as_alerts);
	free(as_alerts);
	return code;
}

static const struct command commands[] = {
    {"scan", "match capture files against indicators, without any set-up", scan_main},
    {"rules", "check, compile, sign, publish and compare indicator files", rules_main},
    {"why", "why a value hits or does not, or what is behind an alert", why_main},
    {"allow", "values that are good: add, rm, list", cli_allow},
    {"suppress", "indicators that are not wanted from some hosts: add, rm, list", cli_suppress},
    {"disable", "indicators that are wrong: add, rm, list", cli_disable},
    {"alerts", "list, show, follow and judge the alerts in Redis", cli_alerts},
    {"sensors", "the sensors and how they are", cli_sensors},
    {"partner", "partners: who they are, what goes to them and comes from them", cli_partner},
    {"sighting", "what partners saw of ours and we of theirs", cli_sighting},
    {"exercise", "indicators that are an exercise, and who found them how fast", cli_exercise},
    {"bundle", "shared objects in files, for sites without a network", cli_bundle},
    {"status", "the posture in one page", cli_status},
    {"sandbox", "which system calls each process may make", confine_main},
};

static void print_help(FILE *to)
{
	fputs("usage: picket COMMAND [option…]\n\n", to);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
	fputs("\npicket COMMAND --help says more. The daemons are picket-sensor and picket-collector.\n", to);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], DPI_WORKER_ARGUMENT) == 0)
		return dpi_worker_main(argc, argv);
	log_open("picket", LOG_LEVEL_INFO);
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return EXIT_OK;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
		puts("picket " PICKET_VERSION);
		return EXIT_OK;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].main(argc - 1, argv + 1);
	complain("picket: there is no command \"%s\"; see picket --help", argv[1]);
	return EXIT_USAGE;
}
