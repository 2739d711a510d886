/* A worker's end of the heuristics: notes of what happened, handed to the engine
 * through a queue of its own (live) or at once (files). Never waits, allocates or
 * locks; what does not fit into the queue is counted (heuristics.dropped). */
#ifndef SENSOR_HEURISTIC_TAP_H
#define SENSOR_HEURISTIC_TAP_H

#include "sensor/flow.h"
#include "sensor/heuristic.h"
#include "sensor/queue.h"

struct heuristic_tap {
	struct heuristics *engine;
	struct queue *queue; /* NULL: the engine is called at once */
	struct ledger *ledger;
};

/* TCP: what the packet tells of its connection. Call after flow_get(). */
void heuristic_packet(struct heuristic_tap *t, const struct flow *f, enum side side, const struct layer *l,
		      int64_t ts_us);

/* Whether some heuristic judges DNS messages: inspect_dns_message(). */
bool heuristic_judges_dns(const struct heuristic_tap *t);

#endif
