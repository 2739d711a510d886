/* Rows of the store as shared objects: their handling first, because it says which
 * of them are wanted at all, then the texts of those. */
#ifndef COLLECTOR_PARTNER_LOAD_H
#define COLLECTOR_PARTNER_LOAD_H

#include "collector/handling.h"
#include "collector/objects.h"

#define LOAD_MAX 1024

/* One row on its way. */
struct loaded {
	int64_t row, handling;
	size_t tag;             /* the caller's */
	struct shared_box *box; /* NULL: not wanted, gone, or unreadable */
};

struct load {
	/* Whether a row with this handling is wanted; NULL = all. */
	bool (*wanted)(void *arg, const struct loaded *l, const struct handling *h);
	/* Called once. v is the array that was given; the boxes are freed after the call. */
	void (*done)(void *arg, bool ok, struct loaded *v, size_t n);
	void *arg;
};

/* v (n of at most LOAD_MAX) must live until done is called. */
void load_rows(struct objects *o, struct loaded *v, size_t n, struct load load);

#endif
