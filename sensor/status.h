/* A sensor's posture as one flat JSON object: what the collector keeps in
 * picket:sensor:<id>. Every value is a string or a number. */
#ifndef SENSOR_STATUS_H
#define SENSOR_STATUS_H

#include "common/buf.h"
#include "sensor/armed.h"
#include "sensor/output.h"
#include "sensor/rulesync.h"
#include "sensor/sensor_conf.h"

struct status {
	const struct sensor_conf *conf;
	const char *id;
	const struct armed *armed;
	unsigned captures, captures_up;
	const struct ledger *ledger;
	const struct output_stats *output;
	int64_t started_us;
	uint64_t rules_refused; /* reloads of rules.files that were refused */
	struct rulesync *sync;  /* NULL = none */
};

void status_json(struct buf *out, const struct status *s);

#endif
