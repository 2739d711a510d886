/* The frames that carry indicator sets from a collector to a sensor, inside
 * common/frame.h. A sensor that takes sets says so in its HELLO (its ring follows
 * the version there); it is offered what is published for it, asks for the pieces
 * of what it believes, and tells what became of each.
 *
 *   OFFER  u8 flags (1: a delta from the previous version is to be had), 16 bytes key
 *          id, 64 bytes signature, then the manifest
 *   GET    u8 n, set, u32 version, u8 kind, u32 offset, u32 bytes   sensor → collector
 *   DATA   u8 n, set, u32 version, u8 kind, u32 offset, u32 total, then the bytes;
 *          total 0: it is not to be had (any more)
 *   ACK    u8 n, set, u32 version, u8 result, u64 µs since 1970, 32 bytes digest, then a
 *          sentence (why it was refused)                              sensor → collector */
#ifndef RULES_SET_FRAME_H
#define RULES_SET_FRAME_H

#include "common/buf.h"
#include "common/cursor.h"
#include "rules/manifest.h"

#define SET_PIECE_MAX 32768 /* bytes of one DATA */
#define SET_WHY_MAX   400

enum set_kind { SET_FULL = 0, SET_DELTA, SET_KIND_COUNT };
enum set_result { SET_ARMED = 0, SET_REFUSED, SET_RESULT_COUNT };

/* Texts and bytes are borrowed from the frame. */
struct set_offer {
	bool delta;
	struct endorsement by;
	struct bytes manifest;
};

struct set_get {
	char set[MANIFEST_SET_MAX + 1];
	uint32_t version, offset, bytes;
	enum set_kind kind;
};

struct set_data {
	char set[MANIFEST_SET_MAX + 1];
	uint32_t version, offset, total;
	enum set_kind kind;
	struct bytes piece;
};

struct set_ack {
	char set[MANIFEST_SET_MAX + 1];
	uint32_t version;
	enum set_result result;
	int64_t at_us;
	uint8_t digest[32];
	struct bytes why;
};

void set_offer_put(struct buf *out, const struct set_offer *o);
void set_get_put(struct buf *out, const struct set_get *g);
void set_data_put(struct buf *out, const struct set_data *d);
void set_ack_put(struct buf *out, const struct set_ack *a);

/* False: malformed. */
bool set_offer_read(struct bytes payload, struct set_offer *o);
bool set_get_read(struct bytes payload, struct set_get *g);
bool set_data_read(struct bytes payload, struct set_data *d);
bool set_ack_read(struct bytes payload, struct set_ack *a);

#endif
