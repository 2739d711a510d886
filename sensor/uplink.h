/* The way to a collector: connects to the first that answers, says who it is,
 * sends the spool from where Redis stands, and lets the spool know what is safe.
 * One thread, never blocks; everything that goes wrong ends the session and
 * begins the next one. */
#ifndef SENSOR_UPLINK_H
#define SENSOR_UPLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/err.h"
#include "common/tls.h"
#include "sensor/rulesync.h"
#include "sensor/spool.h"

struct uplink_conf {
	const struct conf_list *collectors; /* "host:port", "[v6]:port", "unix:/path", in order; borrowed */
	struct tls *tls;                    /* NULL: plaintext, to unix sockets and loopback only; borrowed */
	const char *sensor_id;              /* borrowed */
	struct rulesync *sync;              /* NULL: takes no indicator sets; borrowed */
};

struct uplink_stats {
	bool connected; /* WELCOME was received */
	uint64_t sessions;
	char collector[128]; /* the one in use or tried last */
};

struct uplink;

/* Checks all addresses. spool and what conf borrows outlive it. */
struct uplink *uplink_new(const struct uplink_conf *c, struct spool *spool, struct err *e);
void uplink_free(struct uplink *u);

/* What to poll for; fd -1: nothing but the time. Returns when to call
 * uplink_run() at the latest (monotonic µs). */
int64_t uplink_wants(const struct uplink *u, int *fd, short *events);
/* Does what can be done now: connects, reads, sends what the spool has ready. */
void uplink_run(struct uplink *u, int64_t now_us);

/* The JSON that STATUS frames carry from now on; copied, at most 64 KiB. */
void uplink_status(struct uplink *u, const char *json, size_t n);
/* Certificates or revocation lists have changed: the session must hold under them. */
void uplink_recheck(struct uplink *u, int64_t now_us);
/* Says goodbye and closes; uplink_run() would connect again. */
void uplink_bye(struct uplink *u);
void uplink_stats(const struct uplink *u, struct uplink_stats *out);

#endif
