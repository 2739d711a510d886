/* The life of a connection: down, then checking (is this Redis fit to hold
 * alerts?), then ready. A Redis that refuses a write (out of memory, disk
 * trouble, read-only) is held back from for a moment; a reply that does not come
 * ends the connection. Both fail the calls under way, the sessions behind them
 * are dropped, and the sensors send again from the mark that Redis has. So
 * nothing is kept here to be repeated. */
#include "collector/store_node.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/text.h"

#define BACKOFF_MIN_US 100000
#define BACKOFF_MAX_US 5000000
#define HOLD_US        1000000
#define WORDS_MAX      16

static void check(struct node *n);

/* ---- the connection ---- */

void node_open(struct node *n, const struct store_conf *conf, const struct redis_target *t, int epoll)
{
	*n = (struct node){.conf = conf, .target = *t, .epoll = epoll, .fd = -1, .backoff_us = BACKOFF_MIN_US};
	snprintf(n->trouble, sizeof(n->trouble), "not yet connected");
	for (size_t i = 0; i < SCRIPT_COUNT; i++) {
		uint8_t sha[20];
		hash_sha1(sha, script_text[i], strlen(script_text[i]));
		text_hex(n->sha[i], sha, sizeof(sha));
	}
}

void node_close(struct node *n)
{
	struct redis *dead = n->redis;
	n->redis = NULL;
	n->state = STORE_DOWN;
	n->fd = -1;
	redis_free(dead);
}

static void say_trouble(struct node *n, struct log_once *site)
{
	unsigned long skipped;
	if (log_again(site, &skipped))
		log_warnx("%s; %s until it is back", n->trouble,
			  n->conf->use == STORE_ALERTS ? "sensors keep their alerts" : "partners get \"try again\"");
}

static void go_down(struct node *n, const char *why)
{
	if (why != n->trouble)
		snprintf(n->trouble, sizeof(n->trouble), "%s", why);
	n->broken = false;
	/* Jitter: many collectors see the same Redis die. */
	n->next_us = clock_mono_us() + n->backoff_us / 2 + clock_mono_us() % (n->backoff_us / 2);
	n->backoff_us = n->backoff_us * 2 > BACKOFF_MAX_US ? BACKOFF_MAX_US : n->backoff_us * 2;
	say_trouble(n, &n->say_down);
	node_close(n);
}

void node_down(struct node *n, const char *why)
{
	n->downs++;
	go_down(n, why);
}

void node_move(struct node *n, const char *host, const char *port)
{
	if (strcmp(n->target.host, host) == 0 && strcmp(n->target.port, port) == 0)
		return;
	if (n->redis) {
		snprintf(n->trouble, sizeof(n->trouble), "the Redis master has moved to %s:%s", host, port);
		go_down(n, n->trouble);
	}
	snprintf(n->target.host, sizeof(n->target.host), "%s", host);
	snprintf(n->target.port, sizeof(n->target.port), "%s", port);
	n->target.local = false;
	n->next_us = 0;
	n->backoff_us = BACKOFF_MIN_US;
}

static void connect_again(struct node *n)
{
	struct err e;
	n->redis = redis_open(&n->target, &e);
	if (!n->redis) {
		node_down(n, e.text);
		return;
	}
	n->connects++;
	n->state = STORE_CHECKING;
	check(n);
}

/* A closed socket leaves epoll by itself. */
static void watch(struct node *n)
{
	int fd = n->redis ? redis_fd(n->redis) : -1;
	bool writes = n->redis && (redis_wants_write(n->redis) || redis_unsent(n->redis));
	if (fd == n->fd && writes == n->writes)
		return;
	struct epoll_event ev = {.events = EPOLLIN | (writes ? (unsigned)EPOLLOUT : 0u)};
	if (fd >= 0 && epoll_ctl(n->epoll, EPOLL_CTL_MOD, fd, &ev) != 0 && errno == ENOENT)
		epoll_ctl(n->epoll, EPOLL_CTL_ADD, fd, &ev);
	n->fd = fd;
	n->writes = writes;
}

void node_work(struct node *n)
{
	int64_t now = clock_mono_us();
	struct err e;
	if (n->state == STORE_DOWN && now >= n->next_us && n->target.host[0])
		connect_again(n);
	if (!n->redis)
		return;
	if (n->state == STORE_HOLDING && now >= n->next_us)
		n->state = STORE_READY;
	if (!redis_work(n->redis, &e)) {
		node_down(n, n->unfit ? n->trouble : e.text);
	} else if (n->broken) {
		node_down(n, n->trouble);
	} else if (redis_waited_us(n->redis) > n->conf->timeout_ms * 1000) {
		err_set(&e, "Redis has not answered for %" PRId64 " ms", n->conf->timeout_ms);
		node_down(n, e.text);
	}
	watch(n);
}

bool node_send(struct node *n, size_t argc, const char **argv, struct redis_done done)
{
	size_t len[WORDS_MAX];
	assert(argc <= WORDS_MAX);
	for (size_t i = 0; i < argc; i++)
		len[i] = strlen(argv[i]);
	return redis_send(n->redis, argc, argv, len, done);
}

/* ---- is this Redis fit? ---- */

static bool info_value(struct bytes info, const char *name, char *into, size_t cap)
{
	size_t n = strlen(name);
	const char *p = (const char *)info.p, *end = p + info.n;
	while (p && p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		size_t line = (size_t)((eol ? eol : end) - p);
		if (line > n && memcmp(p, name, n) == 0 && p[n] == ':') {
			while (line > n + 1 && (p[line - 1] == '\r'))
				line--;
			text_clean(into, cap, p + n + 1, line - n - 1);
			return true;
		}
		p = eol ? eol + 1 : end;
	}
	*into = 0;
	return false;
}

static void unfit(struct node *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void unfit(struct node *n, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(n->trouble, sizeof(n->trouble), fmt, ap);
	va_end(ap);
	n->unfit = n->broken = true;
}

static void not_now(struct node *n, const char *what, struct bytes text)
{
	char clean[200];
	text_clean(clean, sizeof(clean), text.p, text.n);
	snprintf(n->trouble, sizeof(n->trouble), "Redis refuses %s: %s", what, clean);
	n->broken = true;
}

static void ready(struct node *n)
{
	bool first = n->state == STORE_CHECKING;
	n->state = STORE_READY;
	n->backoff_us = BACKOFF_MIN_US;
	n->unfit = false;
	n->trouble[0] = 0;
	if (first)
		log_info("%s: ready", n->summary);
}

static void info_done(void *arg, const struct reply *r)
{
	struct node *n = arg;
	struct bytes text;
	char version[32], policy[32], role[16], aof[4];
	if (!r || n->broken)
		return;
	if (reply_error(r, &text)) {
		not_now(n, "INFO (its user needs +info)", text);
		return;
	}
	if (!reply_text(r, &text) || !info_value(text, "redis_version", version, sizeof(version))) {
		unfit(n, "what answers at the Redis address is not Redis: its INFO has no redis_version");
		return;
	}
	info_value(text, "maxmemory_policy", policy, sizeof(policy));
	info_value(text, "role", role, sizeof(role));
	bool append = info_value(text, "aof_enabled", aof, sizeof(aof)) && strcmp(aof, "1") == 0;
	if (*policy && strcmp(policy, "noeviction") != 0) {
		unfit(n,
		      "Redis has maxmemory-policy %s and would throw %s away when its memory is full: "
		      "set \"maxmemory-policy noeviction\" in redis.conf (now: redis-cli CONFIG SET maxmemory-policy "
		      "noeviction)",
		      policy, n->conf->use == STORE_ALERTS ? "alerts" : "shared objects");
		return;
	}
	/* In a cluster replicas redirect, and can be asked for the map. */
	if (*role && strcmp(role, "master") != 0 && n->conf->mode != STORE_CLUSTER) {
		not_now(n, "writes", (struct bytes){(const uint8_t *)"it is a replica", 15});
		return;
	}
	if (n->conf->durability == DURABILITY_DISK && !append) {
		unfit(n, "durability: disk needs Redis' append-only file: set \"appendonly yes\" and \"appendfsync "
			 "always\" in redis.conf, or redis.durability: memory");
		return;
	}
	snprintf(n->summary, sizeof(n->summary), "Redis %s, %s, append-only file %s", version,
		 *policy ? policy : "unknown policy", append ? "on" : "off");
	if (n->conf->use == STORE_OBJECTS)
		ready(n);
}

/* Asked for with durability: disk only. */
static void fsync_done(void *arg, const struct reply *r)
{
	struct node *n = arg;
	struct bytes text;
	char clean[40];
	if (!r || n->broken)
		return;
	if (reply_error(r, &text))
		unfit(n,
		      "durability: disk must know Redis' appendfsync, and its user may not ask: give it +config|get");
	else if (!reply_text(reply_at(r, 1), &text) || text.n != 6 || memcmp(text.p, "always", 6) != 0)
		unfit(n,
		      "durability: disk needs \"appendfsync always\", Redis has %s: change redis.conf (now: redis-cli "
		      "CONFIG SET appendfsync always), or redis.durability: memory",
		      text_clean(clean, sizeof(clean), text.p, text.n < 32 ? text.n : 32));
}

/* ---- keys that all groups share ---- */

/* What Redis says about a key of the wrong type does not name it. */
struct type_asked {
	struct node *node;
	char key[96];
	const char *type;
};

static void type_done(void *arg, const struct reply *r)
{
	struct type_asked *a = arg;
	struct node *n = a->node;
	struct bytes text;
	char clean[24];
	bool wrong = r && reply_text(r, &text) && !(text.n == strlen(a->type) && !memcmp(text.p, a->type, text.n)) &&
		     !(text.n == 4 && !memcmp(text.p, "none", 4));
	if (wrong && !n->broken) {
		unfit(n,
		      "Redis key %s is a %s, Picket keeps a %s there: rename or remove it, or use another database "
		      "(redis.db)",
		      a->key, text_clean(clean, sizeof(clean), text.p, text.n < 16 ? text.n : 16), a->type);
	}
	free(a);
}

static void ask_type(struct node *n, const char *prefix, const char *name, const char *type)
{
	struct type_asked *a = xcalloc(1, sizeof(*a));
	*a = (struct type_asked){.node = n, .type = type};
	snprintf(a->key, sizeof(a->key), "%s%s", prefix, name);
	if (!node_send(n, 2, (const char *[]){"TYPE", a->key}, (struct redis_done){type_done, a}))
		free(a);
}

void node_check_types(struct node *n, const char *prefix)
{
	static const struct {
		const char *name, *type;
		int64_t seconds; /* of its number; 0 = none */
	} keys[] = {{"hwm", "hash", 0},
		    {"alerts", "stream", 0},
		    {"open", "zset", 0},
		    {"severity:low", "zset", 0},
		    {"severity:medium", "zset", 0},
		    {"severity:high", "zset", 0},
		    {"severity:critical", "zset", 0},
		    {"minute:", "hash", 60},
		    {"hour:", "hash", 3600},
		    {"day:", "hash", 86400},
		    {"top:indicator:", "zset", 86400},
		    {"top:asset:", "zset", 86400}};
	int64_t now = clock_wall_us() / 1000000;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		char name[64];
		snprintf(name, sizeof(name), "%s", keys[i].name);
		if (keys[i].seconds)
			snprintf(name, sizeof(name), "%s%" PRId64, keys[i].name, now / keys[i].seconds);
		ask_type(n, prefix, name, keys[i].type);
	}
}

static void schema_done(void *arg, const struct reply *r)
{
	struct node *n = arg;
	struct bytes text;
	if (!r || n->broken)
		return;
	if (reply_error(r, &text)) {
		if (n->conf->mode != STORE_CLUSTER || !store_redirected(text)) /* another node's key */
			not_now(n, "picket:schema", text);
	} else if (reply_text(r, &text) &&
		   (text.n != strlen(STORE_SCHEMA) || memcmp(text.p, STORE_SCHEMA, text.n) != 0)) {
		char clean[40];
		unfit(n,
		      "Redis holds schema \"%s\" (picket:schema); this collector writes " STORE_SCHEMA
		      ": use another database, or the collector that wrote it",
		      text_clean(clean, sizeof(clean), text.p, text.n < 32 ? text.n : 32));
	}
}

static void ready_done(void *arg, const struct reply *r)
{
	struct node *n = arg;
	struct bytes text;
	if (!r || n->broken)
		return;
	if (reply_error(r, &text))
		not_now(n, "SCRIPT LOAD (its user needs +script|load)", text);
	else
		ready(n);
}

static void load_scripts(struct node *n)
{
	for (size_t i = 0; i < SCRIPT_COUNT; i++)
		node_send(n, 3, (const char *[]){"SCRIPT", "LOAD", script_text[i]},
			  (struct redis_done){i + 1 == SCRIPT_COUNT ? ready_done : NULL, n});
}

static void check(struct node *n)
{
	n->broken = false;
	node_send(n, 1, (const char *[]){"INFO"}, (struct redis_done){info_done, n});
	if (n->conf->use == STORE_OBJECTS) /* its scripts are sent with each call */
		return;
	node_send(n, 4, (const char *[]){"SET", "picket:schema", STORE_SCHEMA, "NX"}, (struct redis_done){0});
	node_send(n, 2, (const char *[]){"GET", "picket:schema"}, (struct redis_done){schema_done, n});
	if (n->conf->durability == DURABILITY_DISK)
		node_send(n, 3, (const char *[]){"CONFIG", "GET", "appendfsync"}, (struct redis_done){fsync_done, n});
	if (n->conf->mode != STORE_CLUSTER) {
		node_check_types(n, STORE_PREFIX);
		node_check_types(n, STORE_PREFIX STORE_EXERCISE);
	}
	load_scripts(n);
}

/* ---- replies that say no ---- */

struct refusal {
	const char *prefix, *hint;
	bool reconnect;
};

static const struct refusal refusals[] = {
    {"OOM", "its maxmemory is reached: raise it, or shorten retention", false},
    {"MISCONF", "it cannot write to its disk: look at its log", false},
    {"READONLY", "it has become a replica", true},
    {"LOADING", "it is still reading its data", false},
    {"NOSCRIPT", "its scripts were flushed; they are loaded again", false},
    {"NOPERM", "its ACL does not allow what the collector does (deploy/ has the ACL)", false},
    {"NOAUTH", "it wants a password: redis.password_file", true},
    {"WRONGTYPE", "a picket: key is not of the type it must have (collector/redis-schema.md)", false},
    {"ERR", "", false},
};

void node_refused(struct node *n, struct bytes text)
{
	char clean[240];
	const char *hint = "";
	bool reconnect = false;
	text_clean(clean, sizeof(clean), text.p, text.n);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
		if (strncmp(clean, refusals[i].prefix, strlen(refusals[i].prefix)) == 0) {
			hint = refusals[i].hint;
			reconnect = refusals[i].reconnect;
			break;
		}
	snprintf(n->trouble, sizeof(n->trouble), "Redis refuses to take alerts: %s%s%s", clean, *hint ? "; " : "",
		 hint);
	say_trouble(n, &n->say_refused);
	if (strncmp(clean, "NOSCRIPT", 8) == 0 && n->redis)
		load_scripts(n);
	n->state = STORE_HOLDING;
	n->next_us = clock_mono_us() + HOLD_US;
	n->broken = n->broken || reconnect;
}
