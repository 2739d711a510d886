/* The sensor's configuration: one row per key in sensor_conf.c. */
#ifndef SENSOR_SENSOR_CONF_H
#define SENSOR_SENSOR_CONF_H

#include "common/addr.h"
#include "common/conf.h"
#include "rules/alert.h"
#include "sensor/heuristic.h"

/* Strings that are empty or not given are NULL. */
struct sensor_conf {
	/* who it is */
	char *id, *site, *tenant;
	struct conf_list home;
	/* what it watches */
	struct conf_list interfaces;
	char *filter;
	int64_t snaplen, ring_bytes, workers;
	bool promiscuous;
	/* how it reads */
	int vlan, dpi;
	bool checksums;
	struct conf_list vxlan_ports, geneve_ports;
	int64_t flows, memory_bytes, defrag_bytes;
	int overload;
	int64_t overload_high, overload_low, overload_hold_ms;
	/* what it looks for */
	struct conf_list rules;
	bool allow_empty, require_signature;
	char *sets_dir, *keys, *ring;
	int64_t max_shrink;
	struct heuristic_conf heuristic;
	/* where alerts go */
	char *json_path, *spool_dir;
	int64_t spool_bytes, horizon_ms, horizon_bytes;
	int fsync;
	struct conf_list collectors;
	char *tls_cert, *tls_key, *tls_ca, *tls_crl;
	int64_t leave_ms;
	char *metrics;
	/* what it gives up */
	bool sandbox;
	struct conf_list readable;
	char *killers;
};

extern const struct conf_key sensor_keys[];
extern const size_t sensor_keys_n;

/* What the table cannot check by itself: prefixes, ports, which keys need which
 * others. Findings go to d (place: the key's name). */
bool sensor_conf_check(const struct sensor_conf *c, struct diags *d);

/* The home networks; owned by the caller. */
struct prefix *sensor_conf_home(const struct sensor_conf *c, size_t *n);

#endif
