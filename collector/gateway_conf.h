/* The gateway's configuration: one row per key. */
#ifndef COLLECTOR_GATEWAY_CONF_H
#define COLLECTOR_GATEWAY_CONF_H

#include <stddef.h>

#include "collector/redis_conf.h"
#include "common/conf.h"
#include "common/tls.h"

#define GATEWAY_LINKS_LISTEN_MAX 16 /* addresses in links.address */

struct gateway_conf {
	char *name, *org;
	struct conf_list taxii_listen;
	bool taxii_plaintext;
	struct {
		char *cert, *key, *ca, *crl;
	} tls;
	char *collections, *passwords, *cursor_key, *contact, *feeds;
	char *partners_dir, *sets_key;
	struct conf_list links_listen;
	struct {
		char *cert, *key, *ca, *crl;
	} links_tls;
	struct conf_list inbound_own, inbound_warninglists;
	int64_t connections, per_address;
	int64_t header_bytes, body_bytes, object_bytes;
	int64_t request_ms;
	int64_t page_max, page_bytes;
	int64_t logins, login_cache_ms;
	struct redis_conf redis;
	int64_t objects_max, versions_max, status_ms;
	char *metrics;
	bool sandbox;
	struct store_conf store; /* where Redis is; filled by gateway_conf_finish() */
};

extern const struct conf_key gateway_keys[];
extern const size_t gateway_keys_n;

/* What a table cannot say: addresses that need TLS have it, files are named
 * together, the Redis address is one. Findings go to d. */
bool gateway_conf_finish(struct gateway_conf *c, const char *file, struct diags *d);
/* For TAXII, for links; borrow from c. */
struct tls_conf gateway_conf_tls(const struct gateway_conf *c);
struct tls_conf gateway_conf_links_tls(const struct gateway_conf *c);
/* What else would stop a start: reads certificates, keys and passwords. For -T. */
void gateway_conf_files(const struct gateway_conf *c, const char *file, struct diags *d);

#endif
