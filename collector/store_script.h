/* The scripts that run inside Redis, as text, and what they take. Everything
 * that changes an alert goes through them: the collector's flushes, a person's
 * acknowledgement, the retention sweep. */
#ifndef COLLECTOR_STORE_SCRIPT_H
#define COLLECTOR_STORE_SCRIPT_H

enum script {
	SCRIPT_FLUSH = 0, /* one sensor's deltas */
	SCRIPT_STATE,     /* an analyst's decision about one group */
	SCRIPT_SWEEP,     /* forget groups that nothing was heard of for long */
	SCRIPT_POSTURE,   /* replace one sensor's status hash */
	SCRIPT_COUNT
};

extern const char *const script_text[SCRIPT_COUNT];

/* SCRIPT_FLUSH: KEYS[1] = the hwm hash; ARGV = the head, then for each
 * delta DELTA_PLAIN_ARGS or FLUSH_DELTA_ARGS, in this order. */
enum flush_arg {
	FLUSH_PREFIX = 0, /* "picket:{p0}:" */
	FLUSH_SENSOR,
	FLUSH_EPOCH,
	FLUSH_PREV,  /* the marks must be this (collector/marks.h) … */
	FLUSH_MARKS, /* … and become this, */
	FLUSH_LOW,   /* of which this is the lowest */
	FLUSH_NOW,   /* RFC 3339 */
	FLUSH_STREAM_MAX,
	FLUSH_CLOSED_TTL, /* seconds */
	FLUSH_MINUTE,
	FLUSH_HOUR,
	FLUSH_DAY, /* of arrival, since 1970 */
	FLUSH_TOP_MAX,
	FLUSH_STALE, /* a group whose last event is older than this is noted as updated now */
	FLUSH_HEAD_ARGS
};

/* The shapes of a delta. A plain one is what nearly all are: a group that occurs
 * once in the call, its endpoint is the source, its only far end the destination,
 * and nothing about it is unusual; the fields behind DELTA_JSON are left out. */
enum delta_shape { SHAPE_PLAIN = 0, SHAPE_FULL, SHAPE_LOSS };

enum delta_arg {
	DELTA_SHAPE = 0,
	DELTA_ID, /* 32 hex digits */
	DELTA_N,
	DELTA_SEVERITY, /* 0..3 */
	DELTA_FIRST,    /* RFC 3339 */
	DELTA_LAST,
	DELTA_LAST_MS,
	DELTA_GAP, /* the group's last event before this opens an episode */
	DELTA_SET,
	DELTA_INDICATOR,
	DELTA_TYPE,
	DELTA_VALUE,
	DELTA_WHERE,
	DELTA_SRC,
	DELTA_DEST,
	DELTA_APP,
	DELTA_TLP,
	DELTA_JSON,
	DELTA_PLAIN_ARGS,
	DELTA_ENDPOINT = DELTA_PLAIN_ARGS,
	DELTA_SKEW, /* milliseconds, "" = none */
	DELTA_EXERCISE,
	DELTA_TENANT,
	DELTA_FOLD,
	DELTA_REASON,
	DELTA_PEERS, /* addresses, blank-separated */
	FLUSH_DELTA_ARGS
};

#endif
