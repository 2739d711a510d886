/* Everything of the gateway that deals with partners as such: their policies,
 * links in both directions, what a person has decided about them (pause,
 * withdraw, accept), and their figures in Redis.
 *
 *   picket:{x}:partners              hash: id -> title, of all that have a policy
 *   picket:{x}:partner:<id>          hash: what the gateway knows, and what people decided
 *   picket:{x}:link:<id>             hash: how far their objects stand here (collector/partner_wire.h)
 *   picket:{x}:partner:commands      stream: what people ask for; MAXLEN ~ 1000
 *   picket:{x}:partner:answer:<id>   string: what became of a command; expires after 10 min */
#ifndef COLLECTOR_PARTNERS_H
#define COLLECTOR_PARTNERS_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/gateway_conf.h"
#include "collector/objects.h"
#include "collector/redis_link.h"
#include "common/err.h"

#define PARTNERS_KEY     "picket:{x}:partners"
#define PARTNER_KEY      "picket:{x}:partner:%s"
#define PARTNER_COMMANDS "picket:{x}:partner:commands"
#define PARTNER_ANSWER   "picket:{x}:partner:answer:%s"

struct audit;
struct event_base;
struct inbound;
struct link_stats;
struct policies;
struct partners;

/* NULL: e says why. Everything is borrowed. No partners.dir: nothing is done. */
struct partners *partners_new(const struct gateway_conf *c, struct event_base *base, struct redis_link *r,
			      struct objects *o, struct err *e);
void partners_free(struct partners *p);
/* An object of a partner is new in the store, by whatever way: what is kept of it, what it
 * revokes, the set that it belongs to, and the sighting that it is. told: itself, when
 * partners_looks_at() says so; else it may be NULL. */
struct shared;
struct policy;
void partners_stored(struct partners *p, const struct policy *from, const char *collection, const char *id,
		     const struct shared *told, int64_t row);
bool partners_looks_at(const struct shared *s);
/* For the other ways to partners. Borrowed until the next call that may change them:
 * policies until partners_reload(), inbound until the loop has its turn. NULL: none. */
const struct policies *partners_policies(const struct partners *p);
struct inbound *partners_inbound(const struct partners *p);
struct audit *partners_audit(const struct partners *p);

/* What happened with each since the start. */
struct partner_figures {
	const char *id; /* until partners_reload() */
	bool up, paused_in, paused_out, withdrawn;
	size_t indicators[2]; /* of its sets for sensors: bulk, flash */
	const struct link_stats *stats; /* until the call returns */
};
void partners_each_figures(const struct partners *p, void (*each)(void *arg, const struct partner_figures *f),
			   void *arg);

/* Begins nothing any more until partners_reload(), which may come when this is true: what was begun knows the policies. */
bool partners_rest(struct partners *p);
/* Policies, certificates and lists anew; links are opened again. False: all stays as it was. */
bool partners_reload(struct partners *p, struct err *e);

#endif
