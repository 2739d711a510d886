/* One sensor's conversation, as a machine that is fed bytes and gives bytes: it
 * knows no socket and no Redis, so every rule of it can be tested byte by byte.
 *
 *     HELLO ->          who it is, checked against its certificate
 *           <- WELCOME  the mark that Redis has
 *     DATA  ->          folded; flushed by the owner through session_ops
 *           <- ACK      when Redis has answered; REWIND when a number is missing
 *     STATUS ->         handed on
 *
 * It never holds more than one frame, and takes no further frame while its fold
 * is full and all flushes are under way: the owner stops reading then
 * (session_wants_input), which becomes backpressure at the sensor. */
#ifndef COLLECTOR_SESSION_H
#define COLLECTOR_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/fold.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/frame.h"
#include "common/log.h"

#define SESSION_HELLO_MAX    512          /* bytes before anybody is known */
#define SESSION_READ_AHEAD   65536        /* bytes beyond the frame in hand */
#define SESSION_OUT_MAX      65536        /* a sensor that does not read its ACKs waits for them */
#define SESSION_STATUS_MAX   16384        /* bytes of one STATUS */
#define SESSION_STATUS_US    1000000      /* one STATUS in this time is handed on */
#define SESSION_SEQUENCE_MAX (1ull << 53) /* numbers stay exact in Redis' Lua and in JSON */

struct session_limits {
	int64_t hello_us, frame_us;         /* to the HELLO; for a frame that has begun */
	int64_t flush_us;                   /* the longest that an alert waits in the fold */
	size_t in_flight;                   /* flushes under way */
	int64_t records_per_s, bytes_per_s; /* 0 = not limited */
	size_t lane_deltas;                 /* of one lane in a flush; 0 = FOLD_LANE_MAX */
};

enum session_state { SESSION_NEW = 0, SESSION_ASKED, SESSION_OPEN, SESSION_CLOSED, SESSION_STATE_COUNT };

struct session_stats {
	uint64_t frames, records, duplicates, gaps, lies, unreadable, blanks, statuses, statuses_skipped, limited,
	    bytes;
};

void session_stats_sum(struct session_stats *into, const struct session_stats *from);

struct session;

/* What the owner does for a session. */
struct session_ops {
	/* HELLO names s->id and s->epoch: may it come in? False: e says why not. When
	 * it may, ask Redis for the mark and call session_welcome(). */
	bool (*hello)(struct session *s, struct err *e);
	/* s->fold holds what of s->flushed + 1 .. hi is above s->marks. Call
	 * session_flushed() when Redis has answered; the fold is emptied and the marks
	 * are raised to hi after this returns. */
	void (*flush)(struct session *s, uint64_t hi);
	void (*status)(struct session *s, struct bytes json);
	/* What follows the version in HELLO; a SET_… frame. False: e says how the sensor broke the rules. */
	bool (*hello_rest)(struct session *s, struct cursor rest);
	bool (*set_frame)(struct session *s, const struct frame *f, struct err *e);
};

struct session {
	const struct session_ops *ops;
	const struct session_limits *limits;
	void *owner;
	enum session_state state;
	char id[FRAME_ID_MAX + 1], version[FRAME_ID_MAX + 1];
	uint64_t epoch;
	struct buf in, out;
	size_t in_at; /* what was taken of in */
	struct fold fold;
	struct marks marks; /* Redis' marks when all flushes so far are done */
	uint64_t folded;    /* the last sequence in the fold */
	uint64_t flushed;   /* … handed to ops->flush */
	uint64_t stored;    /* … that Redis has */
	uint64_t acked;     /* … that the sensor was told */
	size_t in_flight;
	int64_t fold_since_us, flush_last_us; /* monotonic; 0 = empty, never */
	int64_t opened_us, frame_since_us, status_us;
	int64_t tokens_us, record_tokens, byte_tokens;
	bool rewound; /* a REWIND is out; what comes before it is obeyed is dropped */
	bool stuck;   /* the frame in hand waits for room in the fold */
	struct {      /* the DATA frame in hand, while it is taken record by record */
		size_t frame_n, at;
		uint64_t sequence;
		uint32_t left;
	} data;
	struct err why; /* when SESSION_CLOSED */
	bool blamed;    /* … and the other side broke the rules */
	struct session_stats stats;
	struct log_once say_lie, say_unreadable;
	const struct hash_key *hash;
	int64_t reopen_after_us;
	size_t deltas_max;
};

void session_init(struct session *s, const struct session_ops *ops, const struct session_limits *limits, void *owner,
		  const struct hash_key *hash, int64_t reopen_after_us, size_t deltas_max, int64_t now_us);
void session_free(struct session *s);

/* Appends received bytes; no more than session_wants_input() said. */
void session_feed(struct session *s, const void *data, size_t n, int64_t now_us);
size_t session_wants_input(const struct session *s); /* bytes; 0 = paused */

/* Handles at most one frame. True: there may be another, come again after the
 * others had their turn. now: monotonic; wall_us: for the events. */
bool session_turn(struct session *s, int64_t now_us, int64_t wall_us);

/* Time has passed: limits, flushes, the acknowledgement that is due. */
void session_tick(struct session *s, int64_t now_us);

void session_welcome(struct session *s, const struct marks *marks);
void session_flushed(struct session *s, uint64_t hi);
void session_refused(struct session *s, const char *why); /* the flush, or asking for the mark, failed */
/* Ends it with a BYE. The first reason stays. */
void session_close(struct session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same, because of what the other side did: counted and logged as that. */
void session_blame(struct session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

bool session_id_valid(const char *id, size_t n); /* 1 to 64 of A-Z a-z 0-9 . _ - */

#endif
