/* One worker: one capture, one flow table, its inspection and detection. Shares
 * nothing writable with another. */
#ifndef SENSOR_WORKER_H
#define SENSOR_WORKER_H

#include "sensor/armed.h"
#include "sensor/capture.h"
#include "sensor/decode.h"
#include "sensor/detect.h"
#include "sensor/dpi.h"
#include "sensor/expect.h"
#include "sensor/flow.h"
#include "sensor/heuristic_tap.h"
#include "sensor/overload.h"

struct worker_conf {
	uint32_t number; /* 0.. */
	struct decoder_conf decode;
	size_t flows;        /* bound of the flow table; 0 = 1 Mi */
	size_t memory_bytes; /* for streams and parsers; 0 = 256 MiB */
	enum vlan_mode vlan;
	enum dpi_mode dpi;
	struct overload_conf overload;
	struct expect *expect; /* shared by workers, borrowed; NULL: the worker has its own */
	struct heuristic_tap tap; /* engine NULL: no heuristics; queue NULL: judged within the worker */
	struct dpi_conf ndpi;     /* wait: scan, the same output each time */
	const struct alert_origin *origin;
	detect_alert_fn *alert;
	void *owner; /* of alert */
};

struct worker;

/* Takes the capture over (closes it), borrows the rest. */
struct worker *worker_new(const struct worker_conf *conf, struct capture *capture, const struct armed *armed,
			  struct err *e);

/* One burst: waits up to wait_ms for packets (live), takes them all the way. */
enum capture_result worker_step(struct worker *w, int wait_ms, struct err *e);

/* Goes on with another capture (the interface came back); the old one is closed. */
void worker_capture(struct worker *w, struct capture *capture);

/* From the next burst on this set. The old one may be freed when worker_generation()
 * has become the new one's. The only call that another thread may make, beside
 * worker_generation() and worker_ledger(). */
void worker_arm(struct worker *w, const struct armed *next);
uint16_t worker_generation(const struct worker *w);

/* What is set aside now: for the worker's own thread. */
enum shed worker_shed(const struct worker *w);

/* A copy of the counters, at most a second old. */
void worker_ledger(struct worker *w, struct ledger *out);

struct worker_figures {
	uint64_t packets; /* received */
	size_t flows, flow_bytes, parser_bytes;
	int dpi_pid;
};
struct worker_figures worker_figures(const struct worker *w);

/* Ends every flow (what waits is inspected) and publishes the last counters. */
void worker_finish(struct worker *w);
void worker_free(struct worker *w);

#endif
