/* The TAXII 2.1 server (OASIS TAXII 2.1, Committee Specification 01): partners read
 * what the release gate lets go to them, and post what is then judged like anything
 * that comes from a partner.
 *
 * Deliberately so:
 * - who asks is known before anything else is answered, by certificate or password;
 * - a collection that a partner's policy does not name does not exist for him;
 * - an object that may not go is as if it were not there: in pages, manifests, versions, 404;
 * - what was given stands in the audit before it is sent;
 * - DELETE without match[version] deletes all versions, and only what the partner himself has posted.
 *
 * With a data file (tests) there are no partners: every name of the password file sees everything, without the gate. */
#ifndef COLLECTOR_TAXII_H
#define COLLECTOR_TAXII_H

#include "collector/audit.h"
#include "collector/gateway_conf.h"
#include "collector/inbound.h"
#include "collector/objects.h"
#include "collector/partners.h"
#include "collector/redis_link.h"
#include "common/diag.h"

struct event_base;
struct taxii;

/* What it works with; all borrowed. */
struct taxii_parts {
	const struct gateway_conf *conf;
	struct event_base *base;
	struct redis_link *redis;
	struct objects *objects;
	struct partners *partners; /* policies, judgement of what comes, audit */
};

struct release_stats;
struct taxii_stats {
	uint64_t requests, refused, unauthorized, given, taken, turned_away;
};

/* The key of cursors from the secret in a file (taxii.cursor_key). */
bool taxii_cursor_key(const char *path, uint8_t key[static 32], struct err *e);

/* NULL: e says why. seed: a data file, or NULL. */
struct taxii *taxii_new(const struct taxii_parts *parts, const char *seed, struct err *e);
void taxii_free(struct taxii *t);
/* Before policies change: what is under way is answered "try again" and touches none of them any more. */
void taxii_cut(struct taxii *t);
/* Collections, passwords, certificates anew, after taxii_cut(). False: what could not be read stays. */
bool taxii_reload(struct taxii *t, struct err *e);
void taxii_redis_ready(struct taxii *t);
const struct taxii_stats *taxii_stats(const struct taxii *t);
const struct release_stats *taxii_released(const struct taxii *t);

#endif
