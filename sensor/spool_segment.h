/* A spool's files, for spool.c alone: their format, the list of them, finding them
 * again at the start. The drawing stands in spool_segment.c. */
#ifndef SENSOR_SPOOL_SEGMENT_H
#define SENSOR_SPOOL_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/cursor.h"
#include "common/log.h"
#include "sensor/spool.h"

#define SEGMENT_HEADER    52
#define SEGMENT_BYTES_MAX (8 << 20)
#define SEGMENT_BYTES_MIN (64 << 10)
#define RECORD_HEAD       8
#define READ_CHUNK        (128u << 10) /* holds any record */
#define SPOOL_RETRY_US    1000000
#define NAME_MAX_         40

#define SUFFIX_LIVE ".seg"
#define SUFFIX_NEW  ".seg.new"

enum segment_kind { KIND_RECORDS = 0, KIND_HOLE, KIND_COUNT };
enum hole_reason { HOLE_BOUND = 0, HOLE_MISSING, HOLE_REASON_COUNT };

extern const char *const hole_texts[HOLE_REASON_COUNT]; /* for a loss record */

struct segment {
	uint64_t first, count; /* numbers; count may be 0 for the newest */
	uint64_t alerts;       /* that its records stand for */
	uint64_t bytes;        /* of the file that we believe */
	int64_t acked_us;      /* since when all of it is acknowledged; 0 = it is not */
	int64_t made_us;
	uint64_t unsure_from;
	enum segment_kind kind;
	enum hole_reason reason;
	bool told; /* hole: its loss record may be with the collector: it cannot grow any more */
};

/* Where the last read stopped. */
struct reader {
	int fd; /* -1: none */
	uint64_t segment, next;
	off_t at;
	uint8_t *chunk;
};

struct spool {
	struct spool_conf conf;
	char *dir;
	const char *suffix;
	int dir_fd, fd; /* fd: of the newest segment; -1: the next commit begins one */
	uint64_t segment_bytes;
	uint64_t epoch, tail, acked;
	uint64_t unsure_from; /* 0: this run's numbers are agreed with the collector */
	bool disk_says_unsure;
	bool held; /* what stands from unsure_from on waits for a new epoch */
	struct segment *seg;
	size_t n, cap;
	uint64_t bytes;
	struct buf waiting; /* records as they go to disk */
	uint64_t waiting_first, waiting_alerts;
	uint64_t lost, untold; /* untold: lost before they had a number, not yet in a loss record */
	const char *untold_why;
	bool failing, disk_full, unsynced;
	int64_t retry_us, sync_us;
	struct log_once said_disk, said_lost;
	struct reader reader;
	uint64_t handed;  /* 0: none; else the last number that spool_read() gave, which may be on its way */
	size_t memory_at; /* reading from memory: the place of memory_next in waiting */
	uint64_t memory_next;
};

/* ---- shared with spool.c ---- */

/* The disk refused something: says it once a minute, to be tried again in a second.
 * Gives false. */
bool spool_trouble(struct spool *s, const char *what, int64_t now_us);
void spool_count_lost(struct spool *s, uint64_t alerts, const char *why);

/* ---- records ---- */

uint32_t segment_record_crc(uint64_t number, const void *payload, size_t n);
uint32_t segment_record_alerts(const void *payload, size_t n); /* that it stands for, at least 1 */

enum taken { TAKEN = 0, TAKEN_BAD_CRC, TAKEN_BROKEN };
/* The record at the cursor, which must carry the number. Broken: its length
 * cannot be right or it is not all there. */
enum taken segment_take(struct cursor *c, uint64_t number, struct bytes *payload);

/* ---- files ---- */

bool segment_write(int fd, const void *data, size_t n); /* all of it */
ssize_t segment_read(int fd, void *into, size_t n, off_t at);
void segment_name(const struct spool *s, uint64_t first, char name[static NAME_MAX_]);
int segment_open(struct spool *s, uint64_t first, int flags);
int segment_publish(struct spool *s, const struct segment *g); /* whole or not there: the open file, or -1 */
bool segment_publish_epoch(struct spool *s, uint64_t epoch);
uint64_t segment_random_epoch(void);
/* A new newest segment, from the first number that is not on disk. */
bool segment_begin(struct spool *s, int64_t now_us);
void segment_seal(struct spool *s); /* nothing more is written to the newest */
void segment_unlink(struct spool *s, size_t at);
void segment_reader_close(struct reader *r);

/* ---- the list of them, ascending ---- */

uint64_t segment_end(const struct segment *g);                    /* one past its last number */
struct segment *segment_newest(struct spool *s);                  /* NULL: there is none */
size_t segment_list_upto(const struct spool *s, uint64_t number); /* how many begin at or below the number */
void segment_list_insert(struct spool *s, size_t at, struct segment g);
void segment_list_remove(struct spool *s, size_t at);

/* ---- at the start ---- */

/* Reads what stands in the folder, whatever state it is in. */
void segment_recall(struct spool *s, int64_t now_us);
/* Finishes or forgets a change of epoch that was interrupted. */
void segment_settle_new(struct spool *s);

#endif
