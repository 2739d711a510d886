/* What one sensor sent since the last flush, folded: one delta per group key
 * (more than one when an episode ends in between). The collector keeps nothing
 * else of an alert; when a session is dropped its fold is dropped with it, and
 * the sensor sends again. */
#ifndef COLLECTOR_FOLD_H
#define COLLECTOR_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/marks.h"
#include "common/buf.h"
#include "common/hash.h"
#include "rules/alert.h"

#define FOLD_DELTAS_MAX 4096       /* groups in one flush, which may take several script calls */
#define FOLD_LANE_MAX   125        /* of one lane, at most: a script call takes whole lanes */
#define FOLD_BYTES_MAX  (4u << 20) /* copied fields and events */
#define FOLD_PEERS_MAX  8192
#define FOLD_PEER_SLOTS 16384
#define FOLD_KEY_SLOTS  8192

#define SKEW_NOTED_US 1000000 /* a clock less than this ahead is clamped in silence */

/* A run of bytes in the fold's arena, which moves when it grows. */
struct span {
	uint32_t at, n;
};

struct delta {
	enum record_kind kind;
	enum severity severity; /* the highest */
	uint8_t key[16];
	uint64_t n;
	int64_t opened_us;              /* first event time of the first record: what an episode's gap is measured to */
	int64_t first_us, last_us;      /* the lowest and the highest event time */
	int64_t skew_us;                /* how far ahead of our clock the sensor's was, at most; 0 = not noted */
	struct span field[FIELD_COUNT]; /* of the first record; FIELD_JSON: the first event */
	uint16_t first_peer;            /* index into peers + 1; 0 = none */
	uint8_t lane;
	bool again; /* the fold holds another delta of this key */
};

struct fold_peer {
	uint8_t addr[16];
	uint16_t delta, next; /* next of the same delta, index + 1 */
};

struct fold {
	const struct hash_key *hash;
	int64_t reopen_after_us;
	size_t deltas_max;         /* at most FOLD_DELTAS_MAX */
	size_t lane_max;           /* of one lane, at most FOLD_LANE_MAX; may be changed after a reset */
	const struct marks *marks; /* what Redis has already; NULL = nothing */
	struct delta *delta;
	size_t n;
	uint16_t lane_n[LANES];
	struct fold_peer *peer;
	size_t peers;
	struct buf arena;
	uint16_t *key_slot;                 /* newest delta of a key, index + 1 */
	uint16_t *peer_slot;                /* index + 1 */
	uint64_t records, lies, unreadable; /* since fold_init() */
};

enum fold_result {
	FOLD_ADDED = 0,
	FOLD_FULL,
	FOLD_KNOWN, /* its lane's mark says that it stands in Redis */
};

void fold_init(struct fold *f, const struct hash_key *hash, int64_t reopen_after_us, size_t deltas_max);
void fold_free(struct fold *f);
void fold_reset(struct fold *f); /* after a flush */

/* Folds the record of that sequence, which arrived at now_us (wall clock). FOLD_FULL: nothing was
 * changed, flush and come again. The record's key is checked against its fields;
 * one that lies is counted and folds under the key that its fields give, so no
 * sensor can put a word into another group and no alert is lost. */
enum fold_result fold_add(struct fold *f, const struct record *r, uint64_t sequence, int64_t now_us);

/* Accounts for a record that cannot be read: a loss of one alert. */
enum fold_result fold_add_unreadable(struct fold *f, uint64_t sequence, int64_t now_us);

struct bytes fold_bytes(const struct fold *f, struct span s);

#endif
