/* From the workers to the world: one thread takes the records that workers
 * queue, writes the JSON lines (-o), folds storms, appends to the spool and runs
 * the uplink to a collector. Workers never wait for it. */
#ifndef SENSOR_OUTPUT_H
#define SENSOR_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/err.h"

struct output;
struct rulesync;

struct output_conf {
	const char *json_path;             /* -o: file or "-"; NULL = none */
	const char *spool_dir;             /* NULL = no collector */
	int64_t spool_bytes;               /* bound on disk */
	int64_t horizon_ms, horizon_bytes; /* acknowledged segments kept for replay */
	int fsync;                         /* enum spool_fsync: batch, interval, none */
	struct conf_list collectors;       /* "host:port", "[v6]:port", "unix:/path" in order of preference */
	const char *tls_cert, *tls_key, *tls_ca, *tls_crl; /* NULL cert: plaintext, allowed to unix and loopback only */
	const char *sensor_id;
	struct rulesync *sync; /* NULL = takes no indicator sets; borrowed */
};

struct output_stats {
	uint64_t queued, lost_queue, written_json, lost_json,
	    coalesced; /* lost_json: lines that their file did not take */
	uint64_t spool_records, spool_bytes, spool_acked,
	    spool_lost; /* spool_lost: dropped at the bound, announced as LOSS */
	uint64_t reconnects;
	bool connected;
	char collector[128]; /* the current one */
};

/* Whether certificate and key are there and fit together, the sensor and each other. */
bool output_check(const struct output_conf *c, struct err *e);
/* Opens everything and starts the thread. producers: how many workers. */
struct output *output_start(const struct output_conf *c, unsigned producers, struct err *e);
/* One record (rules/alert.h) from worker `producer`; copied. Never blocks: false
 * when its queue is full or the record is longer than SPOOL_RECORD_MAX: try again, or
 * give it up by output_lost(), which counts it and tells the collector (the caller
 * counts LEDGER_ALERTS_LOST). */
bool output_record(struct output *o, unsigned producer, const void *record, size_t n);
void output_lost(struct output *o, unsigned producer);
/* The sensor's posture (JSON object), for the collector's heartbeat; copied. */
void output_status(struct output *o, const char *json, size_t n);
/* On SIGHUP: opens the JSON file anew (it also notices by itself that it was
 * rotated) and reads certificates and revocation lists again. */
void output_reload(struct output *o);
/* There is something new to send that does not come through the queues. */
void output_poke(struct output *o);
void output_stats(struct output *o, struct output_stats *out);
/* Writes out what is queued, spools it, waits up to wait_ms for acknowledgement. */
void output_stop(struct output *o, int64_t wait_ms);

#endif
