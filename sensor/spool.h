/* The spool: what was raised and is not yet known to stand in Redis, on disk.
 * Every record has a number, from 1 upwards within an epoch; nothing is ever
 * sent under a number that was used for something else. One thread.
 *
 * The disk may fail at any call: then records wait in memory (up to
 * SPOOL_MEMORY_MAX), are sent from there, and the disk is tried again each
 * second. What does not fit anywhere is counted and told by a loss record.
 * now_us is the monotonic clock. */
#ifndef SENSOR_SPOOL_H
#define SENSOR_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

#define SPOOL_RECORD_MAX (64u << 10)
#define SPOOL_MEMORY_MAX (16u << 20)

enum spool_fsync { SPOOL_FSYNC_BATCH = 0, SPOOL_FSYNC_INTERVAL, SPOOL_FSYNC_NONE, SPOOL_FSYNC_COUNT };
extern const char *const spool_fsync_names[SPOOL_FSYNC_COUNT + 1]; /* NULL-terminated */

struct spool_conf {
	const char *dir;        /* made when it is not there */
	int64_t bytes_max;      /* on disk; the oldest goes first */
	int64_t horizon_us;     /* acknowledged segments are kept this long … */
	int64_t horizon_bytes;  /* … and at most this much of them */
	enum spool_fsync fsync; /* batch: before sending; interval: each second; none: the kernel's choice */
};

struct spool_stats {
	uint64_t tail;      /* number of the newest record */
	uint64_t acked;     /* the collector's mark */
	uint64_t bytes;     /* on disk */
	uint64_t lost;      /* alerts that were dropped or damaged; each is in a loss record */
	uint64_t in_memory; /* records that wait for the disk */
	bool disk_failing;
};

struct spool;

/* Takes the folder for itself (a second sensor is refused) and reads what is
 * there: a torn tail is cut, damage and gaps never stop it. conf.dir is copied. */
struct spool *spool_open(const struct spool_conf *c, struct err *e);
void spool_close(struct spool *s); /* commits what waits, if the disk takes it */

/* Gives the record (rules/alert.h, at most SPOOL_RECORD_MAX bytes) the next
 * number. False: too long, or no room anywhere; counted and told as lost. */
bool spool_append(struct spool *s, const void *record, size_t n);
/* Alerts that were lost on their way here, for a reason that is a constant: told as those that
 * the spool has lost. */
void spool_missed(struct spool *s, uint64_t alerts, const char *why);
/* Writes what was appended and syncs as the policy says; drops what is over the
 * bound or beyond the horizon. False: the disk does not take it. To be called
 * after each batch and at least once a second. */
bool spool_commit(struct spool *s, int64_t now_us);

uint64_t spool_epoch(const struct spool *s);
uint64_t spool_ready(const struct spool *s); /* the highest number that may be sent */

/* The collector says up to where it has this epoch, and the highest number of it
 * that may be counted already (a collector that died in the middle of a flush
 * leaves some groups ahead of the mark). SPOOL_RESUME: send from mark + 1.
 * SPOOL_RENEWED: numbers beyond our tail were used, so the tail was lost; what
 * was not sent yet stands under a new epoch now: say HELLO again. SPOOL_BUSY: as
 * that, but the disk did not take it: try later. */
enum spool_welcome { SPOOL_RESUME = 0, SPOOL_RENEWED, SPOOL_BUSY };
enum spool_welcome spool_welcome(struct spool *s, uint64_t mark, uint64_t highest, int64_t now_us);
/* The tail was lost while the mark was still below it. All that may be sent under
 * this epoch is acknowledged now: say HELLO again, for a new one. */
bool spool_again(const struct spool *s);
void spool_ack(struct spool *s, uint64_t seq, int64_t now_us);

/* Appends to out, for the numbers from `from` on, u32 length and the record,
 * until max_bytes are reached. None although from is ready: the disk
 * cannot be read now, try later. A lost run of
 * numbers gives a loss record and then empty ones. Returns how many numbers. */
uint32_t spool_read(struct spool *s, uint64_t from, size_t max_bytes, struct buf *out);
/* The connection is gone: what was read and is not acknowledged will be read again. */
void spool_reread(struct spool *s);

void spool_stats(const struct spool *s, struct spool_stats *out);

#endif
