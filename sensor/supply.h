/* Where a sensor's rules come from: its files, and the sets that the collector
 * hands it, both under the same trusted keys. */
#ifndef SENSOR_SUPPLY_H
#define SENSOR_SUPPLY_H

#include "sensor/armed.h"
#include "sensor/rulesync.h"
#include "sensor/sensor_conf.h"

struct output;

struct supply {
	const struct sensor_conf *conf;
	struct trust *trust;   /* NULL: rules.keys is not given */
	struct rulesync *sync; /* NULL: no sets are taken from a collector */
	int ready_fd;          /* readable: a set has arrived; -1 = none */
	struct output *output; /* whose thread answers the collector; set by the owner when it runs */
};

/* Reads the trusted keys and what was kept of sets that came before. False: findings are in d. */
bool supply_open(struct supply *s, const struct sensor_conf *c, bool from_collector, struct diags *d);
void supply_close(struct supply *s);

/* Files and kept sets as one. NULL: findings are in d. */
struct armed *supply_load(struct supply *s, uint16_t generation, struct diags *d);
/* The files with these paths of sets instead of the kept ones. */
struct armed *supply_load_with(struct supply *s, const char *const *sets, size_t n, uint16_t generation,
			       struct diags *d);
/* What is armed with a few changes to its sets: without reading a file. NULL: it cannot
 * be done so, e says why; then supply_load_with() can. */
struct armed *supply_change(const struct armed *now, const struct rulesync_change *c, size_t n, uint16_t generation,
			    struct err *e);
/* SIGHUP: the trusted keys anew; on an error the old ones stay. */
void supply_reread(struct supply *s, struct diags *d);

/* When ready_fd is readable. */
void supply_work(struct supply *s, rulesync_arm *arm, rulesync_arm_changes *changes, void *owner);

#endif
