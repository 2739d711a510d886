/* HPACK (RFC 7541), streamed: the door to nghttp2. Memory is the worker's. */
#ifndef SENSOR_HPACK_H
#define SENSOR_HPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cursor.h"
#include "common/mem.h"

#define HPACK_TABLE_MAX 65536 /* of the dynamic table, whatever SETTINGS allow */

struct hpack;

struct hpack *hpack_new(struct mem *mem); /* NULL: memory is short */
void hpack_free(struct hpack *h);
void hpack_table_size(struct hpack *h, uint32_t bytes); /* SETTINGS_HEADER_TABLE_SIZE of the reader */

/* name and value last until found returns. */
typedef void hpack_field(void *ctx, struct bytes name, struct bytes value);

/* The next bytes of a header block; final with its last. False: the block breaks
 * HPACK, and all that follow on this side are lost. */
bool hpack_decode(struct hpack *h, const uint8_t *p, size_t n, bool final, hpack_field *found, void *ctx);

#endif
