/* All rows of a collection, page by page, without holding the loop up: the
 * handling of each, and the objects of those that are wanted. */
#ifndef COLLECTOR_PARTNER_WALK_H
#define COLLECTOR_PARTNER_WALK_H

#include "collector/handling.h"
#include "collector/objects.h"

struct walked {
	int64_t row;
	const char *id;
	const struct handling *handling;
};

struct walker {
	/* Each row; true: its object is wanted too. */
	bool (*row)(void *arg, const struct walked *w);
	void (*object)(void *arg, const struct walked *w, const struct shared *s); /* may be NULL */
	void (*done)(void *arg, bool ok);
	void *arg;
};

/* From the row behind `after`; row and object are called in that order for each page. */
void walk_collection(struct objects *o, const char *collection, int64_t after, struct walker w);

#endif
