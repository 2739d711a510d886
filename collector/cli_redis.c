/* Where commands find Redis, and which of its nodes has a key: one server, the
 * master that the sentinels name, or the members of a cluster as their redirections
 * tell. Commands wait; the collector's way (store_node.c) does not and is of no use
 * here. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/cli.h"
#include "collector/collector_conf.h"
#include "collector/store_cluster.h"
#include "common/clock.h"
#include "common/text.h"

#define AGAIN_US  50000 /* a slot is just moving */
#define REDIRECTS 16
#define NODES_MAX 64

struct cli_node {
	struct redis_target target;
	struct redis *redis; /* NULL: not connected yet */
};

struct cli_redis {
	struct collector_conf conf;
	struct cli_node node[NODES_MAX];
	size_t nodes;
	uint8_t owner[CLUSTER_SLOTS]; /* index into node, as far as is known */
};

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
static bool set_key(struct cli_redis *r, const char *setting, struct diags *d)
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
	return conf_set(collector_keys, collector_keys_n, name, eq + 1, &r->conf, d);
}

static bool set_address(struct cli_redis *r, const char *address, struct diags *d)
{
	return conf_set(collector_keys, collector_keys_n, "redis.mode", "standalone", &r->conf, d) &&
	       conf_set(collector_keys, collector_keys_n, "redis.address", address, &r->conf, d);
}

static bool read_conf(struct cli *c, struct cli_redis *r)
{
	struct diags d = {0};
	const char *password = getenv("PICKET_REDIS_PASSWORD"), *address = getenv("PICKET_REDIS");
	bool good = conf_load(collector_keys, collector_keys_n, c->config, &r->conf, &d);
	if (c->address || (address && *address && !c->config))
		good = set_address(r, c->address ? c->address : address, &d) && good;
	for (size_t i = 0; i < c->set_n; i++)
		good = set_key(r, c->set[i], &d) && good;
	if (c->user)
		good = conf_set(collector_keys, collector_keys_n, "redis.user", c->user, &r->conf, &d) && good;
	if (password && *password && r->conf.redis_password_file)
		*r->conf.redis_password_file = '\0';
	good = good && collector_conf_redis(&r->conf, c->config ? c->config : "options", &d);
	if (password)
		snprintf(r->conf.store.redis.password, sizeof(r->conf.store.redis.password), "%s", password);
	diag_print(&d, stderr);
	diag_free(&d);
	return good;
}

/* ---- nodes ---- */

static struct cli_node *node_at(struct cli_redis *r, const struct redis_target *t)
{
	for (size_t i = 0; i < r->nodes; i++)
		if (strcmp(r->node[i].target.host, t->host) == 0 && strcmp(r->node[i].target.port, t->port) == 0)
			return &r->node[i];
	if (r->nodes == NODES_MAX)
		return NULL;
	r->node[r->nodes] = (struct cli_node){.target = *t};
	return &r->node[r->nodes++];
}

/* A target with everything but its address as configured. */
static bool node_add(struct cli_redis *r, const char *address, struct cli_node **node, struct err *e)
{
	struct redis_target t = r->conf.store.redis;
	if (!redis_target_parse(address, &t, e))
		return false;
	*node = node_at(r, &t);
	return *node || err_set(e, "the cluster has more than %d nodes", NODES_MAX);
}

static struct reply *node_ask(struct cli_node *n, size_t argc, const char **argv, struct err *e)
{
	size_t len[CLI_WORDS_MAX];
	for (size_t i = 0; i < argc; i++)
		len[i] = strlen(argv[i]);
	if (!n->redis && !(n->redis = redis_open(&n->target, e)))
		return NULL;
	return redis_call(n->redis, argc, argv, len, CLI_TIMEOUT_MS, e);
}

/* Where one sentinel says that the master is. Sentinels have no user or password of
 * Redis, but its TLS. */
static bool ask_sentinel(const struct cli_redis *r, const char *address, char host[static 256], char port[static 6],
			 struct err *e)
{
	struct cli_node sentinel = {0};
	struct bytes h, p;
	const char *argv[] = {"SENTINEL", "get-master-addr-by-name", r->conf.redis_master};
	redis_target_tls_as(&sentinel.target, &r->conf.store.redis);
	if (!redis_target_parse(address, &sentinel.target, e))
		return false;
	struct reply *reply = node_ask(&sentinel, 3, argv, e);
	bool good = reply_text(reply_at(reply, 0), &h) && reply_text(reply_at(reply, 1), &p) && h.n < 256 && p.n < 6;
	if (good) {
		text_clean(host, 256, h.p, h.n);
		text_clean(port, 6, p.p, p.n);
	} else if (reply) {
		err_set(e, "sentinel %s knows no master of the name %s (redis.master)", address, r->conf.redis_master);
	}
	reply_free(reply);
	redis_free(sentinel.redis);
	return good;
}

static bool find_master(struct cli_redis *r, struct err *e)
{
	struct redis_target t = r->conf.store.redis;
	t.local = false;
	for (size_t i = 0; i < r->conf.redis_nodes.n; i++)
		if (ask_sentinel(r, r->conf.redis_nodes.v[i], t.host, t.port, e))
			return node_at(r, &t) != NULL;
	return false;
}

static bool find_nodes(struct cli_redis *r, struct err *e)
{
	struct cli_node *node;
	r->conf.store.redis.local = r->conf.store.mode == STORE_STANDALONE && r->conf.store.redis.local;
	if (r->conf.store.mode == STORE_SENTINEL)
		return find_master(r, e);
	if (r->conf.store.mode == STORE_STANDALONE)
		return node_at(r, &r->conf.store.redis) != NULL;
	for (size_t i = 0; i < r->conf.redis_nodes.n; i++)
		if (!node_add(r, r->conf.redis_nodes.v[i], &node, e))
			return false;
	return true;
}

/* The first node that answers: the others' slots are learned from it. */
static bool reach_one(struct cli_redis *r, struct err *e)
{
	const char *argv[] = {"PING"};
	for (size_t i = 0; i < r->nodes; i++) {
		struct reply *reply = node_ask(&r->node[i], 1, argv, e);
		if (reply) {
			memset(r->owner, (int)i, sizeof(r->owner));
			reply_free(reply);
			return true;
		}
	}
	return false;
}

bool cli_open(struct cli *c)
{
	struct err e = {"nothing is configured"};
	const char *no_colour = getenv("NO_COLOR");
	c->colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour);
	c->at = xcalloc(1, sizeof(*c->at));
	bool read = read_conf(c, c->at);
	if (read && find_nodes(c->at, &e) && reach_one(c->at, &e)) {
		c->redis = cli_partitions(c) > 1 ? NULL : c->at->node[c->at->owner[0]].redis;
		return true;
	}
	if (read)
		fprintf(stderr, "picket %s: %s (--redis, PICKET_REDIS or --config says where it is)\n", c->command,
			e.text);
	cli_close(c);
	return false;
}

bool cli_target(struct cli *c, struct redis_target *t)
{
	struct err e = {"nothing is configured"};
	struct cli_redis *open = c->at; /* it may be open already, and stays so */
	c->at = xcalloc(1, sizeof(*c->at));
	bool read = read_conf(c, c->at), found = read && find_nodes(c->at, &e) && c->at->nodes > 0;
	if (found)
		*t = c->at->node[0].target;
	else if (read)
		fprintf(stderr, "picket %s: %s (--redis, PICKET_REDIS or --config says where it is)\n", c->command,
			e.text);
	cli_close(c);
	c->at = open;
	return found;
}

void cli_close(struct cli *c)
{
	if (!c->at)
		return;
	for (size_t i = 0; i < c->at->nodes; i++)
		redis_free(c->at->node[i].redis);
	conf_free(collector_keys, collector_keys_n, &c->at->conf);
	free(c->at);
	c->at = NULL;
}

/* ---- partitions ---- */

unsigned cli_partitions(const struct cli *c)
{
	return c->at->conf.store.mode == STORE_CLUSTER ? PARTITIONS_CLUSTER : 1;
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

static unsigned slot_of(size_t n, const char **words)
{
	for (size_t i = 0; i < n; i++)
		if (strncmp(words[i], "picket:", 7) == 0)
			return cluster_slot(words[i], strlen(words[i]));
	return 0;
}

/* "MOVED 3999 127.0.0.1:6381" */
static bool follow(struct cli_redis *r, struct bytes error, unsigned slot, struct err *e)
{
	char text[300], *address;
	struct cli_node *node;
	text_clean(text, sizeof(text), error.p, error.n);
	if (strncmp(text, "MOVED ", 6) != 0 || !(address = strrchr(text, ' ')))
		return true; /* it will be where it was or somewhere else in a moment */
	if (!node_add(r, address + 1, &node, e))
		return false;
	r->owner[slot] = (uint8_t)(node - r->node);
	return true;
}

static struct reply *ask_cluster(struct cli_redis *r, size_t n, const char **words, struct err *e)
{
	unsigned slot = slot_of(n, words);
	struct bytes text;
	for (int i = 0; i < REDIRECTS; i++) {
		struct reply *reply = node_ask(&r->node[r->owner[slot]], n, words, e);
		if (!reply || !reply_error(reply, &text) || !store_redirected(text))
			return reply;
		bool moved = text.n > 5 && memcmp(text.p, "MOVED", 5) == 0;
		bool good = follow(r, text, slot, e);
		reply_free(reply);
		if (!good)
			return NULL;
		if (!moved)
			usleep(AGAIN_US * (unsigned)(i + 1));
	}
	err_set(e, "the cluster sends the command from node to node");
	return NULL;
}

struct reply *cli_ask_words(struct cli *c, size_t n, const char **words)
{
	struct bytes text;
	struct err e;
	char clean[300];
	struct cli_redis *at = c->at;
	n = n < CLI_WORDS_MAX ? n : CLI_WORDS_MAX;
	struct reply *r = cli_partitions(c) > 1 ? ask_cluster(at, n, words, &e)
						: node_ask(&at->node[at->owner[0]], n, words, &e);
	if (!r) {
		fprintf(stderr, "picket %s: %s\n", c->command, e.text);
		return NULL;
	}
	if (!reply_error(r, &text))
		return r;
	fprintf(stderr, "picket %s: Redis refuses %s: %s\n", c->command, words[0],
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
