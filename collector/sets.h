/* What is published (collector/publish.h), as a running collector sees it: looks
 * at Redis ten times a second whether anything changed, keeps the manifests, and
 * fetches the pieces that sensors ask for, which all of them share.
 *
 * Nothing here waits: what is not there yet is asked for, and the caller comes
 * again. Memory: PUBLISH_SETS_MAX manifests and SETS_CACHE_BYTES of pieces. */
#ifndef COLLECTOR_SETS_H
#define COLLECTOR_SETS_H

#include "collector/store.h"
#include "rules/set_frame.h"

#define SETS_POLL_US     100000
#define SETS_CACHE_BYTES (64u << 20)

/* One version of a set that is current for somebody. */
struct offered {
	struct manifest m;
	struct endorsement by;
	char *line; /* the manifest as it was signed */
	size_t line_n;
	uint32_t delta;                  /* bytes of the delta; 0 = none */
	char ring[MANIFEST_SET_MAX + 1]; /* "" = for everybody */
};

struct sets;

struct sets *sets_new(struct store *store); /* borrowed */
void sets_free(struct sets *s);             /* after the store: its callers are told */
void sets_work(struct sets *s, int64_t now_us);

/* Raised whenever what is published has changed and is known. 0 = nothing is known yet. */
uint64_t sets_generation(const struct sets *s);
size_t sets_count(const struct sets *s);
const struct offered *sets_at(const struct sets *s, size_t i);
/* Whether a sensor of this ring gets it: what is for its ring goes before what is for all. */
bool sets_is_for(const struct sets *s, const struct offered *o, const char *ring);
/* NULL: this version is not current for anybody. */
const struct offered *sets_find(const struct sets *s, const char *set, uint32_t version);

enum piece_state { PIECE_READY = 0, PIECE_COMING, PIECE_GONE };
/* Bytes of the content or of the delta, from offset up to the end of the piece
 * that holds it, at most `bytes`. Borrowed until sets_work(). */
enum piece_state sets_piece(struct sets *s, const struct offered *o, enum set_kind kind, uint32_t offset,
			    uint32_t bytes, struct bytes *out);

/* What a sensor did with a version; kept with the version. */
void sets_receipt(struct sets *s, const char *sensor, const struct set_ack *a);

#endif
