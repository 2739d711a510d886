/* Bounded memory for state that outsiders make us keep: parser state, stream
 * buffers, fragments. One budget per worker; an allocation over it fails (the
 * caller counts and gives that flow up) and never takes the process down.
 * Freed blocks are kept in lists by size class, so the steady state does not
 * call malloc. Blocks begin at cache lines; those of large budgets are cut from huge
 * pages. Not for use by two threads. */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stddef.h>
#include <stdint.h>

struct mem {
	size_t limit, used, peak;
	uint64_t refused; /* allocations that the budget did not allow */
	void *free_list[16];
	struct mem_chunk *chunk; /* blocks are cut from the first */
	size_t chunk_left;
};

void mem_init(struct mem *m, size_t limit);
void mem_close(struct mem *m); /* gives the free lists back; used must be 0 */

/* Zeroed memory, or NULL when over the limit (counted in refused). */
void *mem_alloc(struct mem *m, size_t n);
/* The same with whatever was in it: for bytes that are written before they are read. */
void *mem_alloc_raw(struct mem *m, size_t n);
void mem_free(struct mem *m, void *p, size_t n); /* n as allocated; p may be NULL */

/* For memory that is not from here but of the same budget. False: over the limit. */
_Bool mem_charge(struct mem *m, size_t n);
void mem_discharge(struct mem *m, size_t n);

/* A byte run that is still waiting for its rest: a line, a record, a message.
 * Grows by doubling up to a limit that the caller names. Zero-initialised it
 * is empty. */
struct carry {
	uint8_t *p;
	uint32_t n, cap;
};

/* Appends; false when n would pass max or the budget refuses (c is unchanged). */
_Bool carry_push(struct mem *m, struct carry *c, const void *data, size_t n, size_t max);
void carry_shift(struct carry *c, size_t n); /* drops the first n bytes */
void carry_free(struct mem *m, struct carry *c);

#endif
