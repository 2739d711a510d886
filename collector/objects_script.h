/* The scripts that keep shared objects, as text. Everything that changes an
 * object goes through them: one call is one step, whoever else writes.
 *
 * KEYS of all: OBJECTS_KEYS below, in that order (one tag, one slot). */
#ifndef COLLECTOR_OBJECTS_SCRIPT_H
#define COLLECTOR_OBJECTS_SCRIPT_H

enum objects_key {
	OBJECTS_KEY_META = 0,  /* hash: last, handling, forgotten */
	OBJECTS_KEY_ROWS,      /* hash: row -> the object's JSON */
	OBJECTS_KEY_LAST,      /* sorted set by row: each object's last version */
	OBJECTS_KEY_OLD,       /* sorted set by row: its other versions */
	OBJECTS_KEY_IDS,       /* hash: object id -> its versions */
	OBJECTS_KEY_HANDLING,  /* hash: number -> how objects are to be handled */
	OBJECTS_KEY_NUMBERS,   /* hash: SHA-1 of that text -> number */
	OBJECTS_KEY_REFS,      /* hash: number -> rows that have it */
	OBJECTS_KEY_CONFLICTS, /* stream: same id and version, other content */
	OBJECTS_KEYS
};

enum objects_script {
	/* ARGV: versions kept, texts kept, n of texts, texts; then PUT_ARGS for each object.
	 * Gives {rows in the collection, then for each object: code, row}. */
	OBJECTS_PUT = 0,
	/* ARGV: after, n, "1" = old versions too. Gives {members of last, members of old}: at most n of each. */
	OBJECTS_SCAN,
	/* ARGV: ids. Gives a list of members for each: all its versions. */
	OBJECTS_FIND,
	/* ARGV: id, "all" or rows. Gives how many rows went. */
	OBJECTS_DELETE,
	/* ARGV: texts kept, id, row, text. Another handling. Gives 1, or 0: no such row. */
	OBJECTS_HANDLE,
	/* ARGV: texts kept, id, row, text. The same object as a new row with another handling, in the
	 * old one's place. Gives the new row, or 0: no such row. */
	OBJECTS_RENEW,
	/* ARGV: n. Forgets the n objects whose last version is oldest. Gives how many rows went. */
	OBJECTS_FORGET,
	OBJECTS_SCRIPT_COUNT
};

extern const char *const objects_script_text[OBJECTS_SCRIPT_COUNT];

enum put_arg {
	PUT_ID = 0,
	PUT_VERSION_US, /* "" = none: the row is the version */
	PUT_VERSION,    /* as it was written; "-" = none */
	PUT_SAID, /* "spec handling mutable row": 20 or 21; which of the texts, from 1; "1": has modified; "" = now */
	PUT_DIGEST,
	PUT_JSON,
	PUT_ARGS
};

enum put_code { PUT_STORED = 1, PUT_SAME = 2, PUT_DIFFERS = 3 };

#endif
