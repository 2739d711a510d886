/* Takes what a partner sent into the store, whatever the way: each object is
 * judged by collector/inbound.h, the rest of a batch goes on when one is refused, and
 * the same batch again changes nothing. */
#ifndef COLLECTOR_PARTNER_TAKE_H
#define COLLECTOR_PARTNER_TAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/inbound.h"
#include "collector/objects.h"
#include "common/cursor.h"

#define TAKE_BATCH     1024 /* objects at once */
#define TAKE_CODES_MAX 32

struct take_result {
	uint64_t stored, same, conflicts, refused, quarantined, review, revoked;
	struct {
		const char *code;
		uint64_t n;
	} codes[TAKE_CODES_MAX]; /* of what was refused or quarantined */
	size_t codes_n;
	char first[480]; /* the first of them: "id: code: why"; "" = none */
};

void take_result_add(struct take_result *sum, const struct take_result *r);

struct taker {
	struct objects *objects;
	struct inbound *inbound;
	/* Each object that is new in the store, before done is called: whoever is told counts it and
	 * what it revokes. NULL: both are done here. */
	void (*stored)(void *arg, const struct policy *from, const char *collection, const struct shared *s,
		       int64_t row);
	void *arg;
};

struct take_done {
	void (*call)(void *arg, bool ok, const struct take_result *r);
	void *arg;
};

/* records: u32 length and one object, n times (at most TAKE_BATCH). Read before
 * the call returns. False: the records are not what they say; nothing was taken and
 * done is not called. ok false in done: Redis is away; the batch can come again. */
bool take_batch(struct taker *t, const struct policy *from, struct bytes records, size_t n, struct take_done done,
		struct err *e);

#endif
