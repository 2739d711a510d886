/* Commands about the keys of one slot, in their order. In a cluster one may be
 * refused because its slot has moved or is moving: then all that were sent are
 * answered first, the map is asked for, and those that were not done are sent again
 * in their old order. */
#ifndef COLLECTOR_STORE_QUEUE_H
#define COLLECTOR_STORE_QUEUE_H

#include "collector/store_nodes.h"

struct queued;

struct queue {
	struct nodes *nodes;
	unsigned slot;
	struct queued *head, *tail; /* in the order of sending, not answered or to be sent again */
	size_t sent;                /* of these, answers that are awaited */
	int64_t retry_us;           /* when to send again; 0 = nothing was refused */
	uint64_t calls, redirects;
};

struct queue_done {
	/* r == NULL: it is not known what became of it. behind: one before it was refused
	 * and is yet to be done; true then puts this one behind it again. */
	bool (*call)(void *arg, struct node *node, const struct reply *r, bool behind);
	void *arg;
};

/* False: it cannot be sent now; done is not called then. */
bool queue_add(struct queue *q, size_t argc, const char **argv, const size_t *len, struct queue_done done);
void queue_work(struct queue *q, int64_t now_us); /* sends again what it is time for */
void queue_fail(struct queue *q);                 /* those that wait to be sent again get NULL */

#endif
