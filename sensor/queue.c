/* The ring. Positions run freely in 64 bits and are taken modulo its size:
 *
 *   +--------+-----------------+-----+        +------------+- - - - - - - -+
 *   | u32 n  | record, n bytes | pad |  ...   | SKIP       | unused to end |
 *   +--------+-----------------+-----+        +------------+- - - - - - - -+
 *
 * Records begin at multiples of 4 and never wrap, so the consumer reads them in
 * place; a record that does not fit before the end leaves a SKIP mark there.
 *
 * Sleeping without losing a wake-up: the consumer says that it sleeps, then
 * looks once more; the producer publishes, then looks whether he sleeps. With a
 * full fence between the two steps on both sides, one of them sees the other. */
#include "sensor/queue.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/buf.h"

#define SKIP       UINT32_MAX
#define CACHE_LINE 64

struct queue {
	uint8_t *ring;
	size_t size;
	struct waker *waker;
	/* the producer's line */
	_Alignas(CACHE_LINE) _Atomic uint64_t head;
	uint64_t tail_seen;
	/* the consumer's line */
	_Alignas(CACHE_LINE) _Atomic uint64_t tail;
	uint64_t next; /* where the record after the peeked one begins */
};

bool waker_open(struct waker *w, struct err *e)
{
	atomic_init(&w->asleep, false);
	w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return w->fd >= 0 || err_errno(e, "cannot make an eventfd");
}

void waker_close(struct waker *w)
{
	close(w->fd);
}

void waker_poke(struct waker *w)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load_explicit(&w->asleep, memory_order_relaxed))
		return;
	if (!atomic_exchange(&w->asleep, false))
		return;
	uint64_t one = 1;
	ssize_t put = write(w->fd, &one, sizeof(one));
	(void)put; /* full means that it is readable: what is wanted */
}

void waker_sleep(struct waker *w)
{
	atomic_store(&w->asleep, true);
	atomic_thread_fence(memory_order_seq_cst);
}

void waker_up(struct waker *w)
{
	uint64_t count;
	atomic_store(&w->asleep, false);
	ssize_t got = read(w->fd, &count, sizeof(count));
	(void)got;
}

struct queue *queue_new(size_t bytes, struct waker *w)
{
	assert(bytes >= 1024 && bytes <= (1u << 30) && (bytes & (bytes - 1)) == 0);
	struct queue *q = aligned_alloc(CACHE_LINE, sizeof(*q));
	if (!q)
		return NULL;
	*q = (struct queue){.ring = xmalloc(bytes), .size = bytes, .waker = w};
	return q;
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	free(q->ring);
	free(q);
}

static size_t room_of(size_t n)
{
	return (sizeof(uint32_t) + n + 3) & ~(size_t)3;
}

static void put_length(struct queue *q, uint64_t at, uint32_t n)
{
	memcpy(q->ring + (at & (q->size - 1)), &n, sizeof(n));
}

static uint32_t get_length(const struct queue *q, uint64_t at)
{
	uint32_t n;
	memcpy(&n, q->ring + (at & (q->size - 1)), sizeof(n));
	return n;
}

bool queue_push(struct queue *q, const void *record, size_t n)
{
	uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
	size_t to_end = q->size - (size_t)(head & (q->size - 1)), need = room_of(n);
	size_t skip = to_end < need ? to_end : 0;
	if (n > q->size / 4)
		return false;
	if (head + skip + need - q->tail_seen > q->size) {
		q->tail_seen = atomic_load_explicit(&q->tail, memory_order_acquire);
		if (head + skip + need - q->tail_seen > q->size)
			return false;
	}
	if (skip) {
		put_length(q, head, SKIP);
		head += skip;
	}
	put_length(q, head, (uint32_t)n);
	if (n)
		memcpy(q->ring + (head & (q->size - 1)) + sizeof(uint32_t), record, n);
	atomic_store_explicit(&q->head, head + need, memory_order_release);
	waker_poke(q->waker);
	return true;
}

size_t queue_used(struct queue *q)
{
	uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
	if (head - q->tail_seen > q->size / 4) /* else it is not worth the other core's cache line */
		q->tail_seen = atomic_load_explicit(&q->tail, memory_order_acquire);
	return (size_t)(head - q->tail_seen);
}

bool queue_peek(struct queue *q, struct bytes *record)
{
	uint64_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
	uint64_t head = atomic_load_explicit(&q->head, memory_order_acquire);
	if (tail == head)
		return false;
	uint32_t n = get_length(q, tail);
	if (n == SKIP) {
		tail += q->size - (tail & (q->size - 1));
		n = get_length(q, tail);
	}
	*record = (struct bytes){.p = q->ring + (tail & (q->size - 1)) + sizeof(uint32_t), .n = n};
	q->next = tail + room_of(n);
	return true;
}

void queue_drop(struct queue *q)
{
	atomic_store_explicit(&q->tail, q->next, memory_order_release);
}
