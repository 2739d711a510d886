/* Heuristic early warning: what no indicator names but an analyst wants to know
 * early. Few, each with a name (rules/heuristic.h) and thresholds in the
 * configuration.
 *
 * State is per source over all workers. Workers see one flow each, so they only
 * note what happened (struct sight: fixed fields and a name, sensor/heuristic_tap.h)
 * and hand the notes over; one engine puts them into the order of their packets'
 * times and judges. Whatever worker a flow went to, the engine sees the same
 * sequence: the same alerts with 1, 2 and 4 workers. */
#ifndef SENSOR_HEURISTIC_H
#define SENSOR_HEURISTIC_H

#include "rules/alert.h"
#include "rules/heuristic.h"
#include "sensor/armed.h"
#include "sensor/detect.h"

struct heuristic_conf {
	bool on[HEURISTIC_COUNT];
	int64_t scan_ports, port_scan_window_ms;
	int64_t scan_addresses, address_scan_window_ms;
	int64_t beacon_connections, beacon_jitter; /* percent */
	int64_t tunnel_names, tunnel_window_ms;
	int64_t flood_domains, flood_window_ms;
};

enum sight_kind {
	SIGHT_OPENED = 0, /* a SYN began a connection: seq is its sequence number */
	SIGHT_ANSWERED,   /* it was taken: seq and ack as in the SYN-ACK, 0 when none was seen */
	SIGHT_REFUSED,    /* RST came back */
	SIGHT_CLOSED,     /* the first FIN: seq is what src sent up to here, ack what it got */
	SIGHT_DNS_QUERY,
	SIGHT_DNS_ANSWER,
	SIGHT_KIND_COUNT
};

/* What a worker noted; src is the client. All of it is compared when times are
 * equal, so it holds nothing that depends on the worker, and no padding. */
struct sight {
	int64_t ts_us;
	struct addr src, dest;
	uint32_t seq, ack;
	uint16_t src_port, dest_port;
	uint8_t kind, proto, rcode;
	uint8_t name_n;
	char name[256]; /* SIGHT_DNS_…: as on the wire, not terminated */
};
#define SIGHT_HEAD offsetof(struct sight, name)
_Static_assert(SIGHT_HEAD == 56, "no padding");

struct heuristics_conf {
	const struct heuristic_conf *thresholds; /* borrowed */
	const struct alert_origin *origin;
	detect_alert_fn *alert;
	void *owner;   /* of alert */
	bool in_order; /* there is one worker: sights are judged as they come */
};

struct heuristics;

struct heuristics *heuristics_new(const struct heuristics_conf *conf, const struct armed *armed, struct err *e);
void heuristics_free(struct heuristics *h);

/* From now on these rules decide what is on and how severe it is. From any
 * thread; the former set is not used any more when it returns. */
void heuristics_arm(struct heuristics *h, const struct armed *armed);

/* Bit per heuristic that is on. From any thread. */
unsigned heuristics_on(const struct heuristics *h);

/* One note; it waits for earlier ones of other workers for up to HEURISTIC_ORDER_US
 * of packet time. */
#define HEURISTIC_ORDER_US 2000000
void heuristics_sight(struct heuristics *h, const struct sight *s);
void heuristics_clock(struct heuristics *h, int64_t now_us); /* nothing earlier will come */
/* The capture ended at this packet time: all that waits is judged. */
void heuristics_finish(struct heuristics *h, int64_t now_us);

/* A copy of the counters; from any thread. */
void heuristics_ledger(struct heuristics *h, struct ledger *out);

#endif
