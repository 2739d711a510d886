/* Who was given what: every object that leaves for a partner, by any way, in a
 * stream that cannot be changed without being noticed.
 *
 *   picket:{x}:audit        stream; one entry for a batch given to one partner:
 *                           n, prev, h, time, partner, way, items
 *   picket:{x}:audit:head   hash: n, h of the last entry; first: the n of the oldest that is kept
 *
 * way: link, bundle, taxii, taxii-push, and taxii-manifest and taxii-versions, where an object was
 * told of and not given. items: a line for each object: "<id> <version, or -> <verdict> <64 hex>", the
 * last being the SHA-256 of the bytes that went. h = SHA-256, in hex, of
 * "n\nprev\ntime\npartner\nway\nitems"; prev is the h of the entry before ("0" for the
 * first). A removed, changed or inserted entry breaks the chain; who can write to
 * Redis could make a whole new chain, so note "n:h" of the head elsewhere from time to
 * time (picket partner audit --head) and have it compared (--expect n:h).
 *
 * Several gateways write one chain: each call is a compare-and-set of the head. */
#ifndef COLLECTOR_AUDIT_H
#define COLLECTOR_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/redis_link.h"
#include "common/buf.h"
#include "common/cursor.h"

#define AUDIT_STREAM   "picket:{x}:audit"
#define AUDIT_HEAD     "picket:{x}:audit:head"
#define AUDIT_HASH_LEN 65
#define AUDIT_KEEP     1000000 /* entries */

struct audit;

struct audit *audit_new(struct redis_link *r);
void audit_free(struct audit *a); /* waiting callers are told false */

/* One line more of a batch's items. */
void audit_item(struct buf *items, const char *id, const char *version, const char *verdict, const void *bytes,
		size_t n);

struct audit_done {
	void (*call)(void *arg, bool ok);
	void *arg;
};
/* Answered when the entry stands in Redis: only then may the bytes go out. Texts
 * are copied. ok false: nothing may go. */
void audit_record(struct audit *a, const char *partner, const char *way, const struct buf *items,
		  struct audit_done done);

/* The entry's hash. */
struct audit_entry {
	uint64_t n;
	struct bytes prev, time, partner, way, items;
};
void audit_hash(const struct audit_entry *e, char out[static AUDIT_HASH_LEN]);

#endif
