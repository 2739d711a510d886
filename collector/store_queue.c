#include "collector/store_queue.h"

#include <stdlib.h>

#include "common/buf.h"
#include "common/clock.h"

#define RETRY_US 10000 /* for a slot that moves */

struct queued {
	struct queued *next;
	struct queue *queue;
	struct queue_done done;
	struct node *node; /* that it was sent to last */
	char *text;        /* the command, for sending it again; NULL when that cannot be */
	size_t n;
	int64_t since_us;
};

static void unlink_from(struct queue *q, struct queued *c)
{
	struct queued *before = NULL;
	for (struct queued *at = q->head; at != c; at = at->next)
		before = at;
	if (before)
		before->next = c->next;
	else
		q->head = c->next;
	if (q->tail == c)
		q->tail = before;
}

static void drop(struct queued *c)
{
	unlink_from(c->queue, c);
	redis_text_free(c->text);
	free(c);
}

static void end(struct queued *c, const struct reply *r)
{
	struct queue_done done = c->done;
	struct node *node = c->node;
	drop(c);
	done.call(done.arg, node, r, false);
}

static void on_reply(void *arg, const struct reply *r);

static bool send_now(struct queue *q, struct queued *c)
{
	c->node = nodes_owner(q->nodes, q->slot);
	if (!c->node || c->node->state != STORE_READY || redis_pending(c->node->redis) + 2 > REDIS_PENDING_MAX ||
	    !redis_send_text(c->node->redis, c->text, c->n, (struct redis_done){on_reply, c}))
		return false;
	q->sent++;
	q->calls++;
	if (!nodes_clustered(q->nodes)) {
		redis_text_free(c->text);
		c->text = NULL;
	}
	return true;
}

static void on_reply(void *arg, const struct reply *r)
{
	struct queued *c = arg;
	struct queue *q = c->queue;
	struct bytes text;
	q->sent--;
	if (c->text && reply_error(r, &text) && store_redirected(text)) {
		q->redirects++;
		q->retry_us = clock_mono_us() + RETRY_US;
		cluster_doubt(&q->nodes->cluster);
		return;
	}
	if (c->text && q->retry_us && q->head != c) {
		if (!c->done.call(c->done.arg, c->node, r, true))
			drop(c);
	} else {
		end(c, r);
	}
}

bool queue_add(struct queue *q, size_t argc, const char **argv, const size_t *len, struct queue_done done)
{
	struct queued *c = xcalloc(1, sizeof(*c));
	*c = (struct queued){.queue = q, .done = done, .since_us = clock_mono_us()};
	c->n = redis_text(&c->text, argc, argv, len);
	if (q->tail)
		q->tail->next = c;
	else
		q->head = c;
	q->tail = c;
	if (c->n && (q->retry_us || send_now(q, c)))
		return true;
	drop(c);
	return false;
}

void queue_fail(struct queue *q)
{
	q->retry_us = 0;
	while (q->head)
		end(q->head, NULL);
}

void queue_work(struct queue *q, int64_t now_us)
{
	if (!q->retry_us || q->sent || now_us < q->retry_us)
		return;
	if (q->head && now_us - q->head->since_us > q->nodes->conf->timeout_ms * 1000) {
		queue_fail(q);
		return;
	}
	const struct node *n = nodes_owner(q->nodes, q->slot);
	if (!q->nodes->cluster.known || !n || n->state != STORE_READY)
		return;
	q->retry_us = 0;
	for (struct queued *c = q->head; c; c = c->next)
		if (!send_now(q, c)) {
			q->retry_us = now_us + RETRY_US;
			return;
		}
}
