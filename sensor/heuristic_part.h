/* The heuristics one by one, as the engine (heuristic.c) drives them: sights come
 * in the order of their times, each with a clock before it. Not for others. */
#ifndef SENSOR_HEURISTIC_PART_H
#define SENSOR_HEURISTIC_PART_H

#include "sensor/heuristic.h"
#include "sensor/heuristic_table.h"

/* Who did it to whom, for the alert: of the last connection or question that counted. */
struct evidence {
	int64_t ts_us;
	struct addr src, dest;
	uint16_t src_port, dest_port;
	uint8_t proto;
};

static inline struct evidence evidence_of(const struct sight *s)
{
	return (struct evidence){.ts_us = s->ts_us,
				 .src = s->src,
				 .dest = s->dest,
				 .src_port = s->src_port,
				 .dest_port = s->dest_port,
				 .proto = s->proto};
}

/* Raises it, unless the same heuristic spoke of the same (src and what) within the
 * last hour of packet time. fmt: the evidence for people; deterministic. */
void heuristic_tell(struct heuristics *h, enum heuristic which, const struct evidence *e, const void *what, size_t n,
		    const char *fmt, ...) __attribute__((format(printf, 6, 7)));

struct scans *scans_new(struct heuristics *h, const struct heuristic_conf *c, struct ledger *ledger);
void scans_free(struct scans *s);
void scans_sight(struct scans *s, const struct sight *at, unsigned on);
void scans_clock(struct scans *s, int64_t now_us);

struct beacons *beacons_new(struct heuristics *h, const struct heuristic_conf *c, const struct alert_origin *origin,
			    struct ledger *ledger);
void beacons_free(struct beacons *b);
void beacons_sight(struct beacons *b, const struct sight *at);

struct names *names_new(struct heuristics *h, const struct heuristic_conf *c, struct ledger *ledger);
void names_free(struct names *n);
void names_sight(struct names *n, const struct sight *at, unsigned on);

#endif
