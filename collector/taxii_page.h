/* One answer out of the object store: rows are chosen by their index entries, then
 * by what is known of their handling, and only what may go is fetched, judged and
 * written, until the page is full and it is known whether there is more. */
#ifndef COLLECTOR_TAXII_PAGE_H
#define COLLECTOR_TAXII_PAGE_H

#include "collector/release.h"
#include "collector/taxii_filter.h"

enum page_kind { PAGE_OBJECTS = 0, PAGE_MANIFEST, PAGE_VERSIONS, PAGE_ROWS, PAGE_KIND_COUNT };

/* collection, policy and filter must live until done is called. */
struct page_want {
	enum page_kind kind;
	const char *collection;
	const struct policy *policy; /* NULL: no gate (data files for tests) */
	const char *from;            /* PAGE_ROWS: only what came from this partner; NULL: all */
	const struct filter *filter;
	size_t bytes_max;
	const bool *cut; /* once true, policy and filter are not touched any more: not ok */
};

struct page {
	bool ok;         /* false: the store did not answer */
	struct buf body; /* JSON values with commas between them */
	size_t n;
	bool more, exists; /* exists: the asker may see some version of what he named */
	int64_t first, last;
	int64_t seen;     /* all up to this row has been looked at, when there is no more */
	struct buf given; /* lines for the audit: the bytes of each are what stands for it in body */
	int64_t *rows;    /* PAGE_ROWS */
};

struct page_done {
	void (*call)(void *arg, struct page *p); /* p is borrowed */
	void *arg;
};
void page_ask(struct objects *o, struct release *r, const struct page_want *want, struct page_done done);

#endif
