/* Where commands find Redis: from options, environment and the collector's
 * configuration. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/cli.h"
#include "collector/collector_conf.h"
#include "common/clock.h"
#include "common/complain.h"
#include "common/text.h"

bool cli_redis_option(struct cli *c, int option, const char *value)
{
	if (option == 'r')
		c->address = value;
	else if (option == 'u')
		c->user = value;
	else if (option == 'c')
		c->config = value;
	else if (option == '=' && c->set_n < CLI_SET_MAX)
		c->set[c->set_n++] = value;
	else
		return false;
	return true;
}

/* ---- what the options and the configuration say ---- */

/* KEY=VALUE of the configuration's redis section; KEY may begin with "redis.". */
static bool set_key(struct collector_conf *conf, const char *setting, struct diags *d)
{
	const char *eq = strchr(setting, '=');
	char name[128];
	if (!eq || (size_t)(eq - setting) >= sizeof(name) - strlen("redis.")) {
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = "--redis-set"}, "set", "\"%s\" is not KEY=VALUE",
			 setting);
		return false;
	}
	snprintf(name, sizeof(name), "%s%.*s", strncmp(setting, "redis.", 6) == 0 ? "" : "redis.", (int)(eq - setting),
		 setting);
	return conf_set(collector_keys, collector_keys_n, name, eq + 1, conf, d);
}

static bool set_address(struct collector_conf *conf, const char *address, struct diags *d)
{
	return conf_set(collector_keys, collector_keys_n, "redis.mode", "standalone", conf, d) &&
	       conf_set(collector_keys, collector_keys_n, "redis.address", address, conf, d);
}

static bool read_conf(struct cli *c, struct collector_conf *conf)
{
	struct diags d = {0};
	const char *password = getenv("PICKET_REDIS_PASSWORD"), *address = getenv("PICKET_REDIS");
	bool good = conf_load(collector_keys, collector_keys_n, c->config, conf, &d);
	if (c->address || (address && *address && !c->config))
		good = set_address(conf, c->address ? c->address : address, &d) && good;
	for (size_t i = 0; i < c->set_n; i++)
		good = set_key(conf, c->set[i], &d) && good;
	if (c->user)
		good = conf_set(collector_keys, collector_keys_n, "redis.user", c->user, conf, &d) && good;
	if (password && *password && conf->redis.password_file)
		*conf->redis.password_file = '\0';
	good = good && redis_conf_finish(&conf->redis, &conf->store, c->config ? c->config : "options", &d);
	if (password)
		snprintf(conf->store.redis.password, sizeof(conf->store.redis.password), "%s", password);
	diag_print(&d, stderr);
	diag_free(&d);
	return good;
}

const struct store_conf *cli_conf(struct cli *c)
{
	if (!c->conf) {
		c->conf = xcalloc(1, sizeof(*c->conf));
		c->conf_good = read_conf(c, c->conf);
	}
	return c->conf_good ? &c->conf->store : NULL;
}

bool cli_open(struct cli *c)
{
	struct err e;
	const char *no_colour = getenv("NO_COLOR");
	const struct store_conf *conf = cli_conf(c);
	c->colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour);
	if (conf && (c->redis = redis_ask_open(conf, &e)))
		return true;
	if (conf)
		complain("picket %s: %s (--redis, PICKET_REDIS or --config says where it is)", c->command, e.text);
	cli_close(c);
	return false;
}

void cli_close(struct cli *c)
{
	redis_ask_free(c->redis);
	c->redis = NULL;
	if (c->conf)
		conf_free(collector_keys, collector_keys_n, c->conf);
	free(c->conf);
	c->conf = NULL;
}

/* ---- partitions ---- */

unsigned cli_partitions(const struct cli *c)
{
	return c->conf->store.mode == STORE_CLUSTER ? PARTITIONS_CLUSTER : 1;
}

unsigned cli_partition_of(const struct cli *c, const char *id)
{
	uint8_t key[16] = {0};
	text_unhex(key, sizeof(key), id, strlen(id));
	return lane_of(key, false) / (LANES / cli_partitions(c));
}

const char *cli_key(unsigned partition, const char *name, char into[static CLI_KEY_MAX])
{
	snprintf(into, CLI_KEY_MAX, "picket:{p%u}:%s", partition, name);
	return into;
}

/* ---- asking ---- */

struct reply *cli_ask_words(struct cli *c, size_t n, const char **words)
{
	struct bytes text;
	struct err e;
	char clean[300];
	struct reply *r = redis_ask(c->redis, n < CLI_WORDS_MAX ? n : CLI_WORDS_MAX, words, NULL, &e);
	if (!r) {
		complain("picket %s: %s", c->command, e.text);
		return NULL;
	}
	if (!reply_error(r, &text))
		return r;
	complain("picket %s: Redis refuses %s: %s", c->command, words[0],
		 text_clean(clean, sizeof(clean), text.p, text.n));
	reply_free(r);
	return NULL;
}

struct reply *cli_ask(struct cli *c, ...)
{
	const char *words[CLI_WORDS_MAX], *w;
	size_t n = 0;
	va_list ap;
	va_start(ap, c);
	while (n < CLI_WORDS_MAX && (w = va_arg(ap, const char *)) != NULL)
		words[n++] = w;
	va_end(ap);
	return cli_ask_words(c, n, words);
}
