/* Shared objects in Redis: what partners gave and what goes to them, over TAXII,
 * links and bundles. Keys: collector/redis-schema.md.
 *
 * Every version of an object in a collection is a row. Its name is its date_added
 * in microseconds: unique over the whole store and strictly increasing in the
 * order in which objects came, whoever wrote them, through however many gateways.
 * So a row is also a place to go on reading from, today or after a crash.
 *
 * All calls are asynchronous: they return at once and call back from the loop,
 * exactly once. ok == false: Redis is away, refused, or it is not known what became
 * of the call; all of them can be repeated. Pointers in a callback are borrowed
 * for its duration. */
#ifndef COLLECTOR_OBJECTS_H
#define COLLECTOR_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/redis_link.h"
#include "common/cursor.h"
#include "common/err.h"
#include "rules/shared.h"

#define OBJECTS_PREFIX         "picket:{x}:"
#define OBJECTS_BATCH          256 /* objects in one put */
#define OBJECTS_IDS_MAX        512 /* in one find */
#define OBJECTS_SCAN_MAX       8192
#define OBJECTS_ROWS_MAX       1024
#define OBJECTS_DIGEST_LEN     32 /* hex digits kept of a SHA-256 */
#define OBJECTS_HANDLINGS      100000
#define OBJECTS_COLLECTION_MAX SHARED_NAME_MAX

struct objects;

struct objects_stats {
	uint64_t stored, same, conflicts, forgotten, failed;
};

/* r is used, not owned. objects_max: rows of last versions in one collection. */
struct objects *objects_new(struct redis_link *r, int64_t objects_max, int64_t versions_max);
void objects_free(struct objects *s); /* after the link is gone or idle */
const struct objects_stats *objects_stats(const struct objects *s);
bool objects_ready(const struct objects *s);

/* ---- what goes in ---- */

/* One object: its text as it was received, and what was read out of it. */
struct object {
	char id[SHARED_ID_MAX + 1];
	char version[SHARED_VERSION_MAX + 1]; /* modified, else created, as written; "" = neither */
	int64_t version_us;
	bool mutable_; /* it has modified, so there can be further versions */
	int spec;      /* 20, 21 */
	char digest[OBJECTS_DIGEST_LEN + 1];
	int64_t row;           /* 0 = now; else its date_added (data files for tests) */
	struct bytes text;     /* one JSON object, valid; given out again byte by byte */
	struct bytes handling; /* handling_write() in collector/handling.h */
};

/* Fills all but text, handling and row. False: it is no object that can be kept. */
bool object_read(struct object *o, const struct json *stix, struct bytes text, struct err *e);

enum object_result {
	OBJECT_STORED = 1,
	OBJECT_SAME,     /* it was there already */
	OBJECT_CONFLICT, /* its id and version are there with other content: kept apart */
};

struct objects_put_result {
	enum object_result result;
	int64_t row;
};

/* n of at most OBJECTS_BATCH. */
struct objects_put_done {
	void (*call)(void *arg, bool ok, const struct objects_put_result *v, size_t n);
	void *arg;
};
void objects_put(struct objects *s, const char *collection, const struct object *v, size_t n,
		 struct objects_put_done done);

/* ---- what comes out ---- */

/* A row without the object. */
struct object_row {
	int64_t row, handling;
	size_t bytes;
	int spec;
	bool last;           /* the last version of its object */
	const char *version; /* as written; "" = the row's time is the version */
	const char *id;
};
/* "row spec handling bytes version id"; text is changed and borrowed. */
bool object_row_parse(char *text, size_t n, struct object_row *r);

/* In ascending order. all: more rows may follow behind the last one. */
struct objects_rows_done {
	void (*call)(void *arg, bool ok, const struct object_row *v, size_t n, bool more);
	void *arg;
};
/* At most n rows behind `after`; old: other versions than the last too. */
void objects_scan(struct objects *s, const char *collection, int64_t after, size_t n, bool old,
		  struct objects_rows_done done);
/* All versions of these objects, n of at most OBJECTS_IDS_MAX. */
void objects_find(struct objects *s, const char *collection, const char *const *ids, size_t n,
		  struct objects_rows_done done);

/* One for each that was asked for, in order; p == NULL: it is gone. */
struct objects_texts_done {
	void (*call)(void *arg, bool ok, const struct bytes *v, size_t n);
	void *arg;
};
void objects_texts(struct objects *s, const int64_t *rows, size_t n, struct objects_texts_done done);
void objects_handlings(struct objects *s, const int64_t *numbers, size_t n, struct objects_texts_done done);

/* ---- what changes ---- */

/* changed: rows that are gone, or 1 when the row was there. */
struct objects_done {
	void (*call)(void *arg, bool ok, int64_t changed);
	void *arg;
};
/* rows of one object; n == 0: all of them. */
void objects_delete(struct objects *s, const char *collection, const char *id, const int64_t *rows, size_t n,
		    struct objects_done done);
/* Gives one row another handling: another state, for instance. */
void objects_handle(struct objects *s, const char *collection, const char *id, int64_t row, struct bytes handling,
		    struct objects_done done);
/* The same, and the row becomes a new one, so that whoever reads on finds it: in one step.
 * changed: the new row, or 0. */
void objects_renew(struct objects *s, const char *collection, const char *id, int64_t row, struct bytes handling,
		   struct objects_done done);

#endif
