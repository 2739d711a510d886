/* What a partner's indicators are to the sensors: one signed set for each lane,
 * partner-<id> and partner-<id>.flash, made of its active objects that are not
 * revoked and of no exercise; and while an exercise runs here in which it takes part, one
 * for each lane of those of that exercise, marked so inside the signature. To read a million objects, build and publish
 * them takes half a minute: that is done by two threads, each with its own connections, one for flash (and for what is
 * withdrawn) and one, with a lower priority, for bulk. So a flash set never waits for a bulk set,
 * and neither for the loop. */
#ifndef COLLECTOR_PARTNER_SET_H
#define COLLECTOR_PARTNER_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/store_conf.h"
#include "rules/policy.h"

struct set_maker;

/* key: the private key that signs (rules/sign.h). NULL: e says why. */
struct set_maker *set_maker_new(const struct store_conf *redis, const char *key, struct err *e);
void set_maker_free(struct set_maker *m); /* what is under way is not called back */

struct set_done {
	/* indicators: in the set, 0 = it was withdrawn or never there; version: the one that is published, 0 = none.
	 * ok false: try again. */
	void (*call)(void *arg, bool ok, size_t indicators, uint32_t version, const char *why);
	void *arg;
};
/* Texts are copied. */
struct set_order {
	const struct policy *from;
	const char *collection, *set; /* where the objects stand, and the id of what is made of them */
	const char *exercise;         /* "" = of the real ones; else of those of this exercise, and marked so */
	int64_t until_us;             /* the exercise's end */
	bool flash, withdraw;         /* withdraw: the set holds nothing, whatever is in the store */
};
/* Answered from the loop: call set_maker_work() often. */
void set_make(struct set_maker *m, const struct set_order *order, struct set_done done);
void set_maker_work(struct set_maker *m);

#endif
