/* picket-gateway: everything that faces partners. It gives and takes shared
 * objects over TAXII 2.1 and keeps them in Redis; it never sees a sensor. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "collector/confine.h"
#include "collector/gateway.h"
#include "collector/gateway_conf.h"
#include "common/exits.h"
#include "common/log.h"

#define SET_MAX 64

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
			    "Signals: HUP loads limits, collections, passwords and certificates again, TERM leaves.\n"
			    "Exit: 0 ok, 2 usage, 3 configuration invalid, 4 environment.\n";

struct options {
	const char *file, *seed;
	const char *set[SET_MAX];
	size_t set_n;
	bool test, dump;
	enum log_level level;
};

static void parse_options(int argc, char **argv, struct options *o)
{
	enum { OPT_SET = 256, OPT_SEED, OPT_DUMP, OPT_VERSION };
	static const struct option longs[] = {{"config", 1, NULL, 'c'},
					      {"set", 1, NULL, OPT_SET},
					      {"seed", 1, NULL, OPT_SEED},
					      {"test", 0, NULL, 'T'},
					      {"dump-config", 0, NULL, OPT_DUMP},
					      {"verbose", 0, NULL, 'v'},
					      {"quiet", 0, NULL, 'q'},
					      {"help", 0, NULL, 'h'},
					      {"version", 0, NULL, OPT_VERSION},
					      {NULL, 0, NULL, 0}};
	int c;
	o->level = LOG_LEVEL_INFO;
	while ((c = getopt_long(argc, argv, "c:Tvqh", longs, NULL)) != -1) {
		if (c == 'c')
			o->file = optarg;
		else if (c == OPT_SET && o->set_n < SET_MAX)
			o->set[o->set_n++] = optarg;
		else if (c == OPT_SEED)
			o->seed = optarg;
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
			puts("picket-gateway " PICKET_VERSION);
			exit(EXIT_OK);
		} else {
			fputs("picket-gateway: see --help\n", stderr);
			exit(EXIT_USAGE);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "picket-gateway: what is \"%s\"? See --help\n", argv[optind]);
		exit(EXIT_USAGE);
	}
}

/* Prints what was found; false when there is an error among it. */
static bool load(const struct options *o, struct gateway_conf *c)
{
	struct diags d = {0};
	bool good = conf_load(gateway_keys, gateway_keys_n, o->file, c, &d);
	for (size_t i = 0; i < o->set_n; i++)
		good = conf_set_word(gateway_keys, gateway_keys_n, o->set[i], c, &d) && good;
	good = gateway_conf_finish(c, o->file ? o->file : "configuration", &d) && good;
	diag_print(&d, stderr);
	diag_free(&d);
	return good;
}

struct reloading {
	const struct options *options;
	struct gateway_conf *conf;
};

/* Only keys that may change are taken over. */
static bool load_again(void *arg)
{
	struct reloading *r = arg;
	struct gateway_conf fresh = {0};
	if (!load(r->options, &fresh)) {
		log_warnx("the new configuration has errors: the old one stays");
		conf_free(gateway_keys, gateway_keys_n, &fresh);
		return false;
	}
	conf_take_over(gateway_keys, gateway_keys_n, r->conf, &fresh);
	r->conf->store.timeout_ms = r->conf->redis.timeout_ms;
	conf_free(gateway_keys, gateway_keys_n, &fresh);
	return true;
}

/* A descriptor per connection: take what the system gives. */
static void raise_files(const struct gateway_conf *c)
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

static int serve(const struct options *o, struct gateway_conf *c)
{
	struct err e;
	struct reloading reloading = {o, c};
	raise_files(c);
	struct gateway *g = gateway_new(c, o->seed, &e);
	bool good = g && confine_gateway(c, o->file, &e) && gateway_run(g, load_again, &reloading, &e);
	if (!good)
		log_errorx("%s", e.text);
	gateway_free(g);
	return good ? EXIT_OK : EXIT_ENVIRONMENT;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	struct gateway_conf c = {0};
	parse_options(argc, argv, &o);
	log_open("picket-gateway", o.level);
	bool good = load(&o, &c);
	int code = good ? EXIT_OK : EXIT_INVALID;
	if (o.dump) /* also of one that is not complete yet: where else would one learn the keys */
		conf_dump(gateway_keys, gateway_keys_n, &c, stdout);
	else if (good && o.test)
		puts("configuration ok");
	else if (good)
		code = serve(&o, &c);
	conf_free(gateway_keys, gateway_keys_n, &c);
	return code;
}
