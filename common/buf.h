/* A growing byte buffer for everything that is not the packet path: JSON,
 * frames, files. Allocation failure ends the process with a sentence (start-up
 * and output buffers are small and bounded by their users). */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *p;
	size_t n, cap;
};

void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *data, size_t n);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v); /* big-endian, as the cursor reads */
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
void buf_shift(struct buf *b, size_t n); /* drops the first n bytes */
void buf_free(struct buf *b);

/* malloc and friends that never return NULL: they end the process instead. For
 * start-up and rule loading, not for what outsiders can make grow. */
void *xmalloc(size_t n);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);
char *xstrndup(const void *s, size_t n);

#endif
