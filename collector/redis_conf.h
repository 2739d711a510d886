/* Where Redis is, as collector and gateway have it in their configuration: the
 * rows of a table, and what becomes of them. */
#ifndef COLLECTOR_REDIS_CONF_H
#define COLLECTOR_REDIS_CONF_H

#include <stddef.h>

#include "collector/store_conf.h"
#include "common/conf.h"

struct redis_conf {
	int mode; /* enum store_mode */
	char *address, *user, *password_file, *master;
	bool tls;
	char *tls_ca, *tls_cert, *tls_key, *tls_name;
	struct conf_list nodes;
	int64_t db, timeout_ms;
};

/* at: where a struct redis_conf stands in the structure of the table. */
/* clang-format off */
#define REDIS_CONF_AT(at, member) ((at) + offsetof(struct redis_conf, member))
#define REDIS_CONF_ROWS(at) \
	{"redis.mode", CONF_CHOICE, REDIS_CONF_AT(at, mode), .fallback = "standalone", .choices = store_mode_names, \
	 .help = "One Redis, one behind sentinels, or a cluster."}, \
	{"redis.address", CONF_STRING, REDIS_CONF_AT(at, address), .fallback = "unix:/run/redis/redis-server.sock", \
	 .help = "Standalone: unix:/path or host:port."}, \
	{"redis.nodes", CONF_STRING_LIST, REDIS_CONF_AT(at, nodes), \
	 .help = "The sentinels, or some members of the cluster: host:port each."}, \
	{"redis.master", CONF_STRING, REDIS_CONF_AT(at, master), .fallback = "picket", \
	 .help = "The master's name at the sentinels."}, \
	{"redis.user", CONF_STRING, REDIS_CONF_AT(at, user), .help = "ACL user."}, \
	{"redis.password_file", CONF_STRING, REDIS_CONF_AT(at, password_file), .help = "Its first line is the password."}, \
	{"redis.tls", CONF_BOOL, REDIS_CONF_AT(at, tls), .fallback = "false", \
	 .help = "TLS (1.2 or 1.3) to Redis, the sentinels, the members of the cluster."}, \
	{"redis.tls_ca", CONF_STRING, REDIS_CONF_AT(at, tls_ca), \
	 .help = "The CA of Redis' certificate, PEM; empty: those that the system trusts."}, \
	{"redis.tls_cert", CONF_STRING, REDIS_CONF_AT(at, tls_cert), \
	 .help = "A certificate to show to Redis, PEM; empty: none (tls-auth-clients no)."}, \
	{"redis.tls_key", CONF_STRING, REDIS_CONF_AT(at, tls_key), .help = "Its private key, PEM."}, \
	{"redis.tls_name", CONF_STRING, REDIS_CONF_AT(at, tls_name), \
	 .help = "What Redis' certificate must be for; empty: the host that is connected to."}, \
	{"redis.db", CONF_INT, REDIS_CONF_AT(at, db), 0, 65535, "0", .help = "Database number."}, \
	{"redis.timeout", CONF_DURATION_MS, REDIS_CONF_AT(at, timeout_ms), 100, 600000, "5s", .reload = true, \
	 .help = "Without a reply for so long Redis counts as gone."}
/* clang-format on */

/* Fills where Redis is into s, which borrows from c. False: findings went to d. */
bool redis_conf_finish(const struct redis_conf *c, struct store_conf *s, const char *file, struct diags *d);

#endif
