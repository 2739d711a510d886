/* What two partners' gateways say to each other, in the frames of common/frame.h.
 * Each direction is its own: both sides say HELLO, both answer with WELCOME, both may
 * send objects.
 *
 *   HELLO    u64 epoch of the sender's policy for the other: places are of no
 *            meaning under another one, because other objects may go then;
 *            u8 role (partner), u8 n, n bytes name as in the certificate, u8 m, m bytes version
 *   WELCOME  u64 place in the bulk lane, u64 in the flash lane: the last object of
 *            that epoch that stands in the receiver's Redis; 0 = none
 *   OBJECTS  u8 lane, u64 place of the last object in it, u16 n, then n times
 *            u32 length and one STIX object (rules/shared.h); about WIRE_PIECE bytes,
 *            because an object of the flash lane waits for the frame that has begun
 *   TAKEN    u8 lane, u64 place: everything up to it is judged, what was not refused
 *            stands in Redis, and so does the place
 *   NOTICE   JSON, for people and as a sign of life: {"refused": {code: n}, "first": "…"};
 *            or a receipt: {"receipt": {"place", "matching", "sensors", "ms"}};
 *            or {"window": n}, before WELCOME: that many OBJECTS of a lane may be on their
 *            way without TAKEN. Who does not say so takes WIRE_WINDOW_LEAST (and closes the link
 *            above that, as he would for a longer HELLO)
 *   BYE      u8 reason, text
 *
 * The state of a transfer is kept by the receiver: a sender starts behind WELCOME
 * whatever it believed, so neither side loses or repeats an object when it dies. */
#ifndef COLLECTOR_PARTNER_WIRE_H
#define COLLECTOR_PARTNER_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/partner_feed.h"
#include "common/buf.h"
#include "common/cursor.h"
#include "common/err.h"
#include "common/frame.h"

#define WIRE_PIECE      (64u << 10) /* bytes of objects in one OBJECTS; a larger object goes alone */
#define WIRE_WINDOW     64          /* OBJECTS of a lane without TAKEN, here */
#define WIRE_WINDOW_LEAST 4         /* at a gateway that does not say how many it takes: of any size */
#define WIRE_WAITING    (4u << 20)  /* bytes in them */
#define WIRE_OBJECTS_AT (1 + 8 + 2) /* where the records begin */
#define WIRE_NOTICE_MAX 8192

struct wire_hello {
	uint64_t epoch;
	char name[FRAME_ID_MAX + 1], version[64];
};
struct wire_welcome {
	int64_t place[LANE_COUNT];
};
struct wire_objects {
	enum lane lane;
	int64_t place;
	size_t n;
	struct bytes records; /* borrowed */
};
struct wire_taken {
	enum lane lane;
	int64_t place;
};

void wire_hello_put(struct buf *out, uint64_t epoch, const char *name);
void wire_welcome_put(struct buf *out, const struct wire_welcome *w);
void wire_objects_put(struct buf *out, const struct wire_objects *o);
void wire_taken_put(struct buf *out, const struct wire_taken *t);
void wire_window_put(struct buf *out); /* NOTICE: how many we take */
void wire_text_put(struct buf *out, enum frame_type type, const char *text); /* NOTICE, BYE */

/* False: not what the type says; e names it. */
bool wire_hello_read(struct bytes payload, struct wire_hello *h, struct err *e);
bool wire_welcome_read(struct bytes payload, struct wire_welcome *w, struct err *e);
bool wire_objects_read(struct bytes payload, struct wire_objects *o, struct err *e);
bool wire_taken_read(struct bytes payload, struct wire_taken *t, struct err *e);

#endif
