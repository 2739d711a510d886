/* One connection with a partner's gateway: TLS, frames, what goes and what comes
 * (collector/partner_wire.h). It lives in the gateway's libevent loop.
 *
 * The flash lane has a way of its own. Out: bulk goes in frames of WIRE_PIECE bytes, the
 * kernel is given no more than it sends (TCP_NOTSENT_LOWAT), and between two frames
 * whatever is urgent goes first; so a flash object waits for one frame of bulk. In: the
 * socket is always read, bulk waits for its turn in a bounded queue, and a flash batch
 * does not wait for bulk that is not in Redis yet. Rates count each lane by itself. */
#ifndef COLLECTOR_PARTNER_LINK_H
#define COLLECTOR_PARTNER_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/partner_feed.h"
#include "collector/partner_take.h"
#include "collector/redis_link.h"
#include "common/tls.h"

struct event_base;
struct link;

struct link_stats {
	uint64_t sent, taken_by_them; /* objects, batches' objects acknowledged */
	uint64_t judged, denied[GATE_WHY_COUNT], cut;
	struct take_result got; /* sums; first is that of the last batch */
	uint64_t limited;       /* times that they had to wait for their rate */
};

/* How many sensors match with what was sent in the flash lane up to a place. */
struct link_receipt {
	int64_t place, matching, sensors, ms; /* ms: since it came */
};

/* What links share. Everything is borrowed. */
struct link_house {
	struct event_base *base;
	struct redis_link *redis;
	struct objects *objects;
	struct audit *audit;
	struct policies *policies;
	struct inbound *inbound;
	struct taker *taker;
	const char *name; /* ours, as in our certificate */
	/* Who may be on a link now: NULL and e when not. Called once, with the certificate's URI. */
	const struct policy *(*admit)(void *arg, struct link *l, const char *uri, struct err *e);
	bool (*paused)(void *arg, const struct policy *p, bool out);
	void (*closed)(void *arg, struct link *l); /* l is freed when it returns */
	void (*receipt)(void *arg, const struct policy *from, const struct link_receipt *r);
	void *arg;
};

/* fd is taken, whatever comes out. expect: whom we called; NULL: they called. */
struct link *link_open(const struct link_house *h, struct tls *tls, int fd, const struct policy *expect, struct err *e);
/* Says why, closes as soon as that is sent; closed() follows from the loop. */
void link_bye(struct link *l, const char *why);
void link_free(struct link *l); /* at once, without closed() */

const struct policy *link_policy(const struct link *l); /* NULL until it is known who it is */
bool link_up(const struct link *l);
const struct link_stats *link_stats(const struct link *l);
const char *link_version(const struct link *l);

/* The last place of theirs in a lane that stands here, and when it came (monotonic). False: nothing has come. */
bool link_taken(const struct link *l, enum lane lane, int64_t *place, int64_t *came_us);
void link_receipt(struct link *l, const struct link_receipt *r);

/* Something may have changed: new rows in the store, a pause, time. Every 20 ms or so. */
void link_work(struct link *l, bool new_rows, int64_t now_us);

#endif
