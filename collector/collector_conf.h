/* The collector's configuration: one row per key. */
#ifndef COLLECTOR_COLLECTOR_CONF_H
#define COLLECTOR_COLLECTOR_CONF_H

#include <stddef.h>

#include "collector/session.h"
#include "collector/store.h"
#include "common/conf.h"

struct collector_conf {
	char *name;
	struct conf_list listen;
	bool plaintext;
	struct {
		char *cert, *key, *ca, *crl;
	} tls;
	int64_t connections, per_address, per_identity;
	int64_t hello_ms, frame_ms;
	int64_t records_per_s, bytes_per_s;
	int64_t flush_ms, flush_distinct, flush_in_flight;
	int64_t reopen_after_ms;
	char *metrics;
	char *redis, *redis_user, *redis_password_file, *redis_master;
	bool redis_tls;
	char *redis_tls_ca, *redis_tls_cert, *redis_tls_key, *redis_tls_name;
	struct conf_list redis_nodes;
	int64_t redis_db;
	bool sandbox;
	struct store_conf store; /* its redis target is filled by collector_conf_finish() */
};

extern const struct conf_key collector_keys[];
extern const size_t collector_keys_n;

/* What a table cannot say: addresses that need TLS have it, files are named
 * together, the Redis address is one. Findings go to d. */
bool collector_conf_finish(struct collector_conf *c, const char *file, struct diags *d);

/* Only what says where Redis is: for commands that read what a collector wrote. */
bool collector_conf_redis(struct collector_conf *c, const char *file, struct diags *d);

#endif
