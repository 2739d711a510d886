/* A ring of byte records from one producer to one consumer, without locks. The
 * producer never waits and makes a system call only when the consumer sleeps. */
#ifndef SENSOR_QUEUE_H
#define SENSOR_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cursor.h"
#include "common/err.h"

/* What the consumer of several queues sleeps on: poll fd for reading. */
struct waker {
	int fd;
	_Atomic bool asleep;
};

bool waker_open(struct waker *w, struct err *e);
void waker_close(struct waker *w);
/* Any thread: wakes the consumer if it sleeps or is about to. */
void waker_poke(struct waker *w);
/* Consumer: say so before the last look at the queues; if they are empty then,
 * poll(). waker_up() afterwards. */
void waker_sleep(struct waker *w);
void waker_up(struct waker *w);

struct queue;

/* bytes: a power of two, at most 1 GiB. The queue pokes w, which outlives it. */
struct queue *queue_new(size_t bytes, struct waker *w);
void queue_free(struct queue *q);

/* Producer. False: there is no room (or n is over a quarter of the ring). */
bool queue_push(struct queue *q, const void *record, size_t n);

/* Producer: bytes in it, or more: the consumer may have taken some. */
size_t queue_used(struct queue *q);

/* Consumer. The oldest record stays where it is until queue_drop(); false: empty. */
bool queue_peek(struct queue *q, struct bytes *record);
void queue_drop(struct queue *q);

#endif
