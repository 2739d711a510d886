/* picket-gateway: everything that faces partners. It gives and takes shared
 * objects over TAXII 2.1 and keeps them in Redis; it never sees a sensor. */
#include "collector/confine.h"
#include "collector/daemon.h"
#include "collector/gateway.h"
#include "collector/gateway_conf.h"
#include "common/exits.h"
#include "common/log.h"

static const char usage[] = "picket-gateway [-c FILE] [options]\n"
			    "\n"
			    "Gives and takes shared objects: a TAXII 2.1 server for partners, objects in Redis.\n"
			    "\n"
			    "  -c, --config FILE    configuration (YAML)\n"
			    "      --set KEY=VALUE  one key, after the file and the environment\n"
			    "      --seed FILE      serve the API roots and load the objects of a JSON data file\n"
			    "  -T, --test           check the configuration, print every problem, exit\n"
			    "      --dump-config    print every key with its value and what it means\n"
			    "  -v, --verbose        say more; -q, --quiet: warnings and errors only\n"
			    "      --version, --help\n"
			    "\n"
			    "Signals: HUP loads limits, partners' policies, collections, passwords and certificates\n"
			    "again, as soon as nothing under way needs the old ones; TERM leaves.\n"
			    "Exit: 0 ok, 2 usage, 3 configuration invalid, 4 environment.\n";

static int serve(struct daemon *d, void *conf)
{
	struct gateway_conf *c = conf;
	struct err e;
	daemon_raise_files(c->connections);
	struct gateway *g = gateway_new(c, daemon_extra(d), &e);
	bool good = g && confine_gateway(c, daemon_file(d), &e) && gateway_run(g, daemon_load_again, d, &e);
	if (!good)
		log_errorx("%s", e.text);
	gateway_free(g);
	return good ? EXIT_OK : EXIT_ENVIRONMENT;
}

static bool finish(void *conf, const char *where, struct diags *d)
{
	return gateway_conf_finish(conf, where, d);
}

static void taken_over(void *conf)
{
	struct gateway_conf *c = conf;
	c->store.timeout_ms = c->redis.timeout_ms;
}

static void files(const void *conf, const char *where, struct diags *d)
{
	gateway_conf_files(conf, where, d);
}

int main(int argc, char **argv)
{
	const struct daemon_program program = {.name = "picket-gateway",
					       .usage = usage,
					       .extra = "seed",
					       .keys = gateway_keys,
					       .keys_n = gateway_keys_n,
					       .conf_size = sizeof(struct gateway_conf),
					       .finish = finish,
					       .files = files,
					       .taken_over = taken_over,
					       .serve = serve};
	return daemon_main(&program, argc, argv);
}
