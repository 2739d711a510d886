/* The collector's configuration: one row per key. */
#ifndef COLLECTOR_COLLECTOR_CONF_H
#define COLLECTOR_COLLECTOR_CONF_H

#include <stddef.h>

#include "collector/redis_conf.h"
#include "collector/session.h"
#include "collector/store.h"
#include "common/conf.h"
#include "common/tls.h"

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
	struct redis_conf redis;
	bool sandbox;
	struct store_conf store; /* where Redis is in it is filled by collector_conf_finish() */
};

extern const struct conf_key collector_keys[];
extern const size_t collector_keys_n;

/* What a table cannot say: addresses that need TLS have it, files are named
 * together, the Redis address is one. Findings go to d. */
bool collector_conf_finish(struct collector_conf *c, const char *file, struct diags *d);
/* For sensors; borrows from c. */
struct tls_conf collector_conf_tls(const struct collector_conf *c);
/* What else would stop a start: reads certificate, key and lists. For -T. */
void collector_conf_files(const struct collector_conf *c, const char *file, struct diags *d);

#endif
