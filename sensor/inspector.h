/* Drives the parsers (sensor/inspect.h): finds out which one a flow belongs to,
 * feeds it, and ends it. One per worker. */
#ifndef SENSOR_INSPECTOR_H
#define SENSOR_INSPECTOR_H

#include "rules/pattern.h"
#include "sensor/detect.h"
#include "sensor/dns_ahead.h"
#include "sensor/expect.h"
#include "sensor/inspect.h"

struct inspector;

/* memory_bytes bounds everything that flows make us keep. shared: what connections of all
 * workers announced, NULL: only its own. It and the detector are borrowed. */
struct inspector *inspector_new(size_t memory_bytes, uint32_t worker, struct expect *shared, struct ledger *ledger,
				struct detector *d);
void inspector_free(struct inspector *ins); /* after the flow table was freed */

/* A rule set takes effect: which types are wanted from now on, and the patterns
 * (NULL if none; borrowed until the next call). */
void inspector_rules(struct inspector *ins, indicator_mask want, const struct pattern_db *patterns,
		     struct pattern_scratch *scratch);

/* The flow as parsers and detect see it, for a moment outside of inspection. */
struct inspect inspector_view(struct inspector *ins, const struct flow *f, int64_t ts_us);

/* Asks for the state of a flow ahead of its packet, in two steps for a whole burst: the
 * connection's, then, when there is payload, its parser's. */
void inspector_prefetch(const struct inspector *ins, const struct flow *f);
void inspector_prefetch_parser(const struct inspector *ins, const struct flow *f);

/* One packet's innermost layer of an inspected flow; ahead: what dns_ahead() read in it,
 * NULL: it was not asked, as it must not be while a heuristic judges DNS. True when its payload went to a parser or to
 * probing. */
bool inspector_packet(struct inspector *ins, struct flow *f, enum side side, const struct layer *l, int64_t ts_us,
		      const struct dns_ahead *ahead);

/* Overload: these types are not looked for until the next call. */
void inspector_shed(struct inspector *ins, indicator_mask types);
/* DNS, or what may turn out to be: the parser says so, the port, or a datagram's bytes. */
bool inspector_dns(struct inspector *ins, const struct flow *f, enum side side, const struct layer *l);
/* The payload of this packet is set aside: to a stream's parser it was lost. */
void inspector_lost(struct inspector *ins, struct flow *f, enum side side, const struct layer *l, int64_t ts_us);

/* The wrapping of a tunnel: only payload patterns are looked for. */
void inspector_outer(struct inspector *ins, struct flow *f, const struct layer *l, int64_t ts_us);

/* The flow leaves the table: what waits is flushed, its state given back. */
void inspector_end(struct inspector *ins, struct flow *f, int64_t ts_us);

const char *inspector_parser_name(const struct flow *f); /* NULL if not recognised */
size_t inspector_memory(const struct inspector *ins);    /* bytes in use */

#endif
