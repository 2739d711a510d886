/* What people type about alerts and sensors: `picket alerts …`, `picket sensors
 * …`, `picket status`. Each takes its own arguments (argv[0] is its name) and
 * gives an exit code. They speak to Redis only; nothing they read there is
 * printed uncleaned. */
#ifndef COLLECTOR_CLI_H
#define COLLECTOR_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/collector_conf.h"
#include "collector/redis_ask.h"

int cli_alerts(int argc, char **argv);
int cli_sensors(int argc, char **argv);
int cli_status(int argc, char **argv);
/* picket allow|suppress|disable */
int cli_allow(int argc, char **argv);
int cli_suppress(int argc, char **argv);
int cli_disable(int argc, char **argv);
/* picket rules push|rollback|promote|withdraw|status */
int cli_push(int argc, char **argv);
int cli_rollback(int argc, char **argv);
int cli_promote(int argc, char **argv);
int cli_withdraw(int argc, char **argv);
int cli_sets(int argc, char **argv);
int cli_partner(int argc, char **argv);
int cli_sighting(int argc, char **argv);
int cli_exercise(int argc, char **argv);
int cli_bundle(int argc, char **argv);

/* ---- what the three share ---- */

#define CLI_WORDS_MAX  REDIS_ASK_WORDS_MAX
#define CLI_TIMEOUT_MS 5000

#define CLI_SET_MAX 16

struct cli {
	const char *command;
	struct collector_conf *conf; /* NULL: not read yet */
	bool conf_good;
	struct redis_ask *redis; /* open between cli_open() and cli_close() */
	bool json, colour;
	const char *address, *user, *config;
	const char *set[CLI_SET_MAX];
	size_t set_n;
};

/* The options that say where Redis is: rows for getopt_long() and, for --help, the
 * lines that explain them. */
/* clang-format off */
#define CLI_REDIS_OPTIONS \
	{"redis", 1, NULL, 'r'}, {"redis-user", 1, NULL, 'u'}, {"config", 1, NULL, 'c'}, {"redis-set", 1, NULL, '='}
/* clang-format on */
#define CLI_REDIS_HELP                                                                                                 \
	"  --redis unix:/path|host:port (or PICKET_REDIS), --redis-user NAME, PICKET_REDIS_PASSWORD\n"                 \
	"  --config FILE, --redis-set KEY=VALUE   as in the collector's configuration: mode, nodes, tls, …\n"
/* False: c is none of them, or there are too many. */
bool cli_redis_option(struct cli *c, int option, const char *value);

/* --json, those of Redis and --help, for a command that has no others. A
 * negative result: go on with the words behind optind; else the exit code. */
int cli_options(struct cli *c, int argc, char **argv, const char *usage);

/* Connects to where the options say, else PICKET_REDIS, else as the configuration
 * says or has by default; PICKET_REDIS_PASSWORD goes before its password. False:
 * said why. */
bool cli_open(struct cli *c);
void cli_close(struct cli *c);
/* The same without connecting: what says where it is, NULL after saying why there is
 * nothing. Borrowed until cli_close(). */
const struct store_conf *cli_conf(struct cli *c);

/* Who types, for the record: $SUDO_USER, $USER, or "unknown". */
const char *cli_who(void);

/* Groups are dealt to partitions: one, or those of a cluster (collector/store.c). */
unsigned cli_partitions(const struct cli *c);
unsigned cli_partition_of(const struct cli *c, const char *id); /* 32 hex digits */
/* "picket:{pN}:" and the name. Returns into. */
#define CLI_KEY_MAX 224
const char *cli_key(unsigned partition, const char *name, char into[static CLI_KEY_MAX]);

/* Sends words up to NULL, in a cluster to the node that has the first word that
 * begins with "picket:". NULL: no reply or an error, said why. */
struct reply *cli_ask(struct cli *c, ...) __attribute__((sentinel));
struct reply *cli_ask_words(struct cli *c, size_t n, const char **words);

/* The value of a field in a reply of name, value, name, value … */
bool cli_field(const struct reply *r, const char *name, struct bytes *value);
/* The same, cleaned for a terminal; "" when it is not there. Returns into. */
const char *cli_text(const struct reply *r, const char *name, char *into, size_t cap);
int64_t cli_number(const struct reply *r, const char *name); /* 0 when it is none */

/* {"name": value, …} on one line. Numbers that look like it are numbers; fields
 * named event and last_event are JSON already. */
void cli_print_json(const struct reply *r, const char *id);

/* An event's JSON, a line for each of its members; nothing when it is none. */
void cli_print_event(const char *title, struct bytes json);

const char *cli_severity_colour(const struct cli *c, const char *severity); /* and cli_plain() ends it */
const char *cli_plain(const struct cli *c);

/* "90s", "15m", "24h", "7d" ago, or a time in RFC 3339: microseconds since 1970. */
bool cli_since(const char *text, int64_t *us);
/* "30d", "12h" from now, or a time to come (YYYY-MM-DD or RFC 3339): microseconds since 1970. */
bool cli_until(const char *text, int64_t *us);
/* "12 s", "5 min", "3 h", "2 d" */
const char *cli_age(int64_t us, char *into, size_t cap);

#endif
