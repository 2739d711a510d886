/* The seam to nDPI. The capturing process never calls nDPI: it hands copies of
 * the first payload packets of the flows that need it to a process of its own
 * over shared memory, and gets verdicts back. That process can crash, stall or
 * run out of memory at its own cost: it is counted and started again. */
#ifndef SENSOR_DPI_H
#define SENSOR_DPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "sensor/ledger.h"

enum dpi_mode { DPI_OFF = 0, DPI_UNRECOGNISED, DPI_ALL, DPI_MODE_COUNT };

#define DPI_PACKETS_TCP 12 /* payload packets per flow; more bring nothing (measured) */
#define DPI_PACKETS_UDP 8
#define DPI_PACKET_MAX  9216

struct dpi;

struct dpi_verdict {
	uint32_t flow;     /* serial of the flow */
	char protocol[32]; /* nDPI's name of the application, "Unknown" if none */
	char master[32];   /* of the protocol below ("TLS" for "TLS.YouTube"), "" if the same */
	uint64_t risks;    /* bit n = nDPI risk n: ndpi_risk_name(n) */
	bool final;        /* no more will come for this flow */
};

/* The program starts itself anew as that process: main() hands over to
 * dpi_worker_main() when its first argument is this one. */
#define DPI_WORKER_ARGUMENT "--dpi-worker"
int dpi_worker_main(int argc, char **argv);

struct dpi_conf {
	bool wait;           /* every verdict is awaited, and the same calls give the same verdicts each time
				(scan); otherwise dpi_collect() takes what is there */
	const char *killers; /* folder where packets that killed nDPI are kept as captures; NULL = nowhere */
	bool unconfined;     /* no sandbox: for those who look for a fault in it */
};

/* Starts two processes (see sensor/dpi_shared.h); later restarts need no right to start any. */
struct dpi *dpi_open(const struct dpi_conf *c, struct ledger *ledger, struct err *e);
void dpi_close(struct dpi *d);

/* ip: an IPv4 or IPv6 packet (copied). False: not taken (counted): no payload, a
 * fragment, larger than DPI_PACKET_MAX, DTLS, or the queue is full. */
bool dpi_submit(struct dpi *d, uint32_t flow, int64_t ts_us, const void *ip, size_t n, bool from_originator);
/* Ends the flow: asks for a last verdict when nothing was decided, frees nDPI's state. */
void dpi_end(struct dpi *d, uint32_t flow);
/* Verdicts, in the order of submission; 0 when there are none (now). In wait mode
 * those on packets up to some calls ago, so that both processes work at the same
 * time; call dpi_finish() before the last round. */
size_t dpi_collect(struct dpi *d, struct dpi_verdict *out, size_t max);
/* No more packets come: from here on dpi_collect() waits for all that is left. */
void dpi_finish(struct dpi *d);

int dpi_pid(const struct dpi *d); /* of the process; 0 = none */

#endif
