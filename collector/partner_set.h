/* What a partner's indicators are to the sensors: one signed set for each lane,
 * partner-<id> and partner-<id>.flash, made of its active objects that are not
 * revoked and of no exercise. An object is collected in the loop, page by page; a set
 * is built, signed and published in a thread of its own, because both may take
 * seconds. */
#ifndef COLLECTOR_PARTNER_SET_H
#define COLLECTOR_PARTNER_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/objects.h"
#include "collector/store_conf.h"
#include "rules/policy.h"

struct set_maker;

/* redis is borrowed; key: the private key that signs (rules/sign.h). NULL: e says why. */
struct set_maker *set_maker_new(struct objects *o, const struct store_conf *redis, const char *key, struct err *e);
void set_maker_free(struct set_maker *m); /* after the objects' link: walks have ended */

struct set_done {
	/* indicators: in the set, 0 = it was withdrawn or never there. ok false: try again. */
	void (*call)(void *arg, bool ok, size_t indicators, const char *why);
	void *arg;
};
/* set: its id, which is the collection's name. Answered from the loop: call
 * set_maker_work() often. withdraw: the set holds nothing, whatever is in the store. */
void set_make(struct set_maker *m, const struct policy *from, const char *set, bool flash, bool withdraw,
	      struct set_done done);
void set_maker_work(struct set_maker *m);

#endif
