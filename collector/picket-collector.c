/* picket-collector: takes alerts from sensors, folds them, and keeps them in
 * Redis. It has no state of its own. */
#include <inttypes.h>
#include <signal.h>

#include "collector/collector_conf.h"
#include "collector/confine.h"
#include "collector/daemon.h"
#include "collector/server.h"
#include "common/exits.h"
#include "common/log.h"

#define STORE_WAIT_MS 3000 /* at start, to learn whether Redis is fit */

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

static void say_decisions(const struct collector_conf *c)
{
	log_info("acknowledged when in Redis (durability: %s); open groups kept %" PRId64 " h, closed %" PRId64
		 " h, stream of %" PRId64 " entries",
		 durability_names[c->store.durability], c->store.open_retention_ms / 3600000,
		 c->store.closed_retention_ms / 3600000, c->store.stream_max);
}

static int serve(struct daemon *d, void *conf)
{
	struct collector_conf *c = conf;
	struct err e;
	catch_signals();
	daemon_raise_files(c->connections);
	struct server *s = server_new(c, &e);
	if (!s) {
		log_errorx("%s", e.text);
		return EXIT_ENVIRONMENT;
	}
	bool fit = confine_collector(c, daemon_file(d), &e) && server_wait_for_store(s, STORE_WAIT_MS, &e);
	if (fit) {
		say_decisions(c);
		server_run(s, &signals, daemon_load_again, d);
	} else {
		log_errorx("%s", e.text);
	}
	server_free(s);
	return fit ? EXIT_OK : EXIT_ENVIRONMENT;
}

static bool finish(void *conf, const char *where, struct diags *d)
{
	return collector_conf_finish(conf, where, d);
}

static void taken_over(void *conf)
{
	struct collector_conf *c = conf;
	c->store.timeout_ms = c->redis.timeout_ms;
}

static void files(const void *conf, const char *where, struct diags *d)
{
	collector_conf_files(conf, where, d);
}

int main(int argc, char **argv)
{
	const struct daemon_program program = {.name = "picket-collector",
					       .usage = usage,
					       .keys = collector_keys,
					       .keys_n = collector_keys_n,
					       .conf_size = sizeof(struct collector_conf),
					       .finish = finish,
					       .files = files,
					       .taken_over = taken_over,
					       .serve = serve};
	return daemon_main(&program, argc, argv);
}
