/* picket-collector: takes alerts from sensors, folds them, and keeps them in
 * Redis. It has no state of its own. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "collector/collector_conf.h"
#include "collector/confine.h"
#include "collector/server.h"
#include "common/exits.h"
#include "common/log.h"

#define STORE_WAIT_MS 3000 /* at start, to learn whether Redis is fit */
#define SET_MAX       64

static const char usage[] = "picket-collector [-c FILE] [options]\n"
			    "\n"
			    "Takes alerts from sensors over mutual TLS, folds them and keeps them in Redis.\n"
			    "\n"
			    "  -c, --config FILE    configuration (YAML)\n"
			    "      --set KEY=VALUE  one key, after the file and the environment\n"
			    "  -T, --test           check the configuration, print every problem, exit\n"
			    "      --dump-config    print every key with its value and what it means\n"
			    "  -v, --verbose        say more; -q, --quiet: warnings and errors only\n"
			    "      --version, --help\n"
			    "\n"
			    "Signals: HUP loads limits, retention and certificates again, TERM flushes and leaves.\n"
			    "Exit: 0 ok, 2 usage, 3 configuration invalid, 4 environment.\n";

struct options {
	const char *file;
	const char *set[SET_MAX];
	size_t set_n;
	bool test, dump;
	enum log_level level;
};

static struct server_signals signals;

static void on_signal(int number)
{
	if (number == SIGHUP)
		signals.reload = 1;
	else
		signals.stop = 1;
}

static void catch_signals(void)
{
	struct sigaction a = {.sa_handler = on_signal};
	sigaction(SIGHUP, &a, NULL);
	sigaction(SIGTERM, &a, NULL);
	sigaction(SIGINT, &a, NULL);
	a.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &a, NULL);
}

static void parse_options(int argc, char **argv, struct options *o)
{
	enum { OPT_SET = 256, OPT_DUMP, OPT_VERSION };
	static const struct option longs[] = {{"config", 1, NULL, 'c'},  {"set", 1, NULL, OPT_SET},
					      {"test", 0, NULL, 'T'},    {"dump-config", 0, NULL, OPT_DUMP},
					      {"verbose", 0, NULL, 'v'}, {"quiet", 0, NULL, 'q'},
					      {"help", 0, NULL, 'h'},    {"version", 0, NULL, OPT_VERSION},
					      {NULL, 0, NULL, 0}};
	int c;
	o->level = LOG_LEVEL_INFO;
	while ((c = getopt_long(argc, argv, "c:Tvqh", longs, NULL)) != -1) {
		if (c == 'c')
			o->file = optarg;
		else if (c == OPT_SET && o->set_n < SET_MAX)
			o->set[o->set_n++] = optarg;
		else if (c == 'T')
			o->test = true;
		else if (c == OPT_DUMP)
			o->dump = true;
		else if (c == 'v')
			o->level = LOG_LEVEL_DEBUG;
		else if (c == 'q')
			o->level = LOG_LEVEL_WARN;
		else if (c == 'h') {
			fputs(usage, stdout);
			exit(EXIT_OK);
		} else if (c == OPT_VERSION) {
			puts("picket-collector " PICKET_VERSION);
			exit(EXIT_OK);
		} else {
			fputs("picket-collector: see --help\n", stderr);
			exit(EXIT_USAGE);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "picket-collector: what is \"%s\"? See --help\n", argv[optind]);
		exit(EXIT_USAGE);
	}
}

/* Prints what was found; false when there is an error among it. */
static bool load(const struct options *o, struct collector_conf *c)
{
	struct diags d = {0};
	bool good = conf_load(collector_keys, collector_keys_n, o->file, c, &d);
	for (size_t i = 0; i < o->set_n; i++)
		good = conf_set_word(collector_keys, collector_keys_n, o->set[i], c, &d) && good;
	good = collector_conf_finish(c, o->file ? o->file : "configuration", &d) && good;
	diag_print(&d, stderr);
	diag_free(&d);
	return good;
}

struct reloading {
	const struct options *options;
	struct collector_conf *conf;
};

/* Only keys that may change are taken over. */
static bool load_again(void *arg)
{
	struct reloading *r = arg;
	struct collector_conf fresh = {0};
	if (!load(r->options, &fresh)) {
		log_warnx("the new configuration has errors: the old one stays");
		conf_free(collector_keys, collector_keys_n, &fresh);
		return false;
	}
	conf_take_over(collector_keys, collector_keys_n, r->conf, &fresh);
	r->conf->store.timeout_ms = r->conf->redis.timeout_ms;
	conf_free(collector_keys, collector_keys_n, &fresh);
	return true;
}

/* A descriptor per sensor: take what the system gives. */
static void raise_files(const struct collector_conf *c)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	if (r.rlim_cur < (rlim_t)c->connections + 32)
		log_warnx("limits.connections is %" PRId64 ", but only %ju files may be open (LimitNOFILE)",
			  c->connections, (uintmax_t)r.rlim_cur);
}

static void say_decisions(const struct collector_conf *c)
{
	log_info("acknowledged when in Redis (durability: %s); open groups kept %" PRId64 " h, closed %" PRId64
		 " h, stream of %" PRId64 " entries",
		 durability_names[c->store.durability], c->store.open_retention_ms / 3600000,
		 c->store.closed_retention_ms / 3600000, c->store.stream_max);
}

static int serve(const struct options *o, struct collector_conf *c)
{
	struct err e;
	struct reloading reloading = {o, c};
	catch_signals();
	raise_files(c);
	struct server *s = server_new(c, &e);
	if (!s) {
		log_errorx("%s", e.text);
		return EXIT_ENVIRONMENT;
	}
	bool fit = confine_collector(c, o->file, &e) && server_wait_for_store(s, STORE_WAIT_MS, &e);
	if (fit) {
		say_decisions(c);
		server_run(s, &signals, load_again, &reloading);
	} else {
		log_errorx("%s", e.text);
	}
	server_free(s);
	return fit ? EXIT_OK : EXIT_ENVIRONMENT;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	struct collector_conf c = {0};
	parse_options(argc, argv, &o);
	log_open("picket-collector", o.level);
	bool good = load(&o, &c);
	int code = good ? EXIT_OK : EXIT_INVALID;
	if (o.dump) /* also of one that is not complete yet: where else would one learn the keys */
		conf_dump(collector_keys, collector_keys_n, &c, stdout);
	else if (good && o.test)
		puts("configuration ok");
	else if (good)
		code = serve(&o, &c);
	conf_free(collector_keys, collector_keys_n, &c);
	return code;
}
