/* How a shared object is to be handled: its envelope, and what of the object the
 * release gate looks at (markings, producer, labels, which properties there are). It
 * is the same for most objects of a producer, so the store keeps it once, and the
 * gate's word on one of them holds for all that have equal bytes here, unless
 * `each` says that the content itself matters (granular markings, references). */
#ifndef COLLECTOR_HANDLING_H
#define COLLECTOR_HANDLING_H

#include <stdbool.h>

#include "common/buf.h"
#include "rules/shared.h"

/* Appends equal bytes for equal handling. */
void handling_write(const struct shared *s, struct buf *out);

/* The same for many objects, most of which are handled alike: what was written
 * for one is copied for the next with equal marks. */
struct handling_memo;
struct handling_memo *handling_memo_new(void);
void handling_memo_free(struct handling_memo *m);
void handling_write_memo(struct handling_memo *m, const struct shared *s, struct buf *out);

/* One that was kept. */
struct handling {
	struct json *root;
	const struct json *envelope; /* as shared_box_stored() takes it */
	bool each;                   /* each object has to be looked at */
};
bool handling_read(struct handling *h, const void *text, size_t n, struct err *e);
void handling_free(struct handling *h);

/* Its state; what is unreadable counts as quarantined. */
enum shared_state handling_state(const struct handling *h);

#endif
