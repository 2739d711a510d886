/* What the capturing process and the nDPI process share: one memory file.
 *
 *   control   written by the supervisors, which never run nDPI on a packet: believed
 *   parent    written by the capturing process
 *   child     written by the process that runs nDPI: NOT believed. Whoever reads
 *             it checks every number against what it knows itself
 *   down      ring of records: packets and ends of flows, parent -> child
 *   up        ring of verdicts, child -> parent
 *
 * Positions count bytes (down) or entries (up) since the beginning and never go
 * back; the place in the ring is the position modulo its size. The process that
 * runs nDPI maps all but child and up read-only.
 *
 * Process tree: capturing process -> supervisor (this program, started anew with
 * DPI_WORKER_ARGUMENT, nDPI initialised) -> child (forked from the supervisor,
 * nDPI ready at once), and -> standby, another fork that waits for the supervisor's
 * end and is the supervisor then. The supervisor watches, restarts, and keeps killers;
 * so a restart costs the capturing process nothing, needs no exec and no fork of a
 * process with threads, and works when it has given up the right to do either. */
#ifndef SENSOR_DPI_SHARED_H
#define SENSOR_DPI_SHARED_H

#include <stdint.h>

#define DPI_FD_SHARED  3 /* in the supervisor: the memory file */
#define DPI_FD_ALIVE   4 /* half of a socket pair: each side sees the other's end */
#define DPI_FD_KILLERS 5 /* the folder for killers, if any */

#define DPI_WORKER_KEEP       "keep"       /* argument 2: there is a folder for killers */
#define DPI_WORKER_UNCONFINED "unconfined" /* argument 3 */

#define DPI_QUARANTINE 256u /* flows that killed; the oldest is forgotten */

#define DPI_NAMES_MAX 512
#define DPI_NAME_LEN  32
#define DPI_DOWN_SIZE (4u << 20) /* a power of two */
#define DPI_UP_SIZE   4096u      /* entries, a power of two */

struct dpi_control {
	uint32_t ready; /* 1: names are there, the child runs; 2: nDPI cannot be started */
	uint32_t pid;   /* of the child, 0 while there is none */
	uint32_t crashed, stalled, skipped;
	uint32_t taken_over; /* supervisors that ended before their time */
	uint32_t kept;       /* killers kept as captures */
	uint32_t bad_n;      /* flows that were ever put into bad, which is a ring */
	uint32_t bad[DPI_QUARANTINE];
	uint32_t protocols;
	char protocol[DPI_NAMES_MAX][DPI_NAME_LEN];
};

struct dpi_parent {
	uint64_t head;    /* of down */
	uint64_t up_tail; /* verdicts taken */
	uint32_t waiting; /* wake me when all is done */
};

struct dpi_child {
	uint64_t tail;     /* of down: everything before it is done */
	uint64_t up_head;  /* verdicts given */
	uint64_t beat;     /* changes while it lives */
	uint32_t busy;     /* the record at tail is in nDPI's hands */
	uint32_t sleeping; /* futex: waits for work */
	uint32_t done;     /* futex: changes when all work is done */
	uint32_t skipped;  /* packets of quarantined flows */
	uint32_t refused;  /* the system call that its sandbox refused, plus 1 */
};

enum dpi_kind { DPI_PACKET = 0, DPI_END, DPI_WRAP, DPI_KIND_COUNT };

/* A record in down, at a multiple of 8; DPI_WRAP: the rest of the ring is empty. */
struct dpi_record {
	uint32_t n; /* bytes behind */
	uint32_t flow;
	int64_t ts_us;
	uint8_t kind;
	uint8_t proto;
	uint8_t packets_max; /* payload packets after which a verdict is due */
	uint8_t spare[5];
};

struct dpi_answer {
	uint64_t risks;
	uint32_t flow;
	uint16_t app, master; /* numbers into control->protocol */
	uint8_t final;
	uint8_t spare[7];
	uint64_t at; /* position of the record that it answers */
};

#define DPI_PAGE       4096u
#define DPI_CONTROL_AT 0u
#define DPI_PARENT_AT  (5 * DPI_PAGE)
#define DPI_CHILD_AT   (6 * DPI_PAGE)
#define DPI_DOWN_AT    (7 * DPI_PAGE)
#define DPI_UP_AT      (DPI_DOWN_AT + DPI_DOWN_SIZE)
#define DPI_SHARED_LEN (DPI_UP_AT + DPI_UP_SIZE * sizeof(struct dpi_answer))

_Static_assert(sizeof(struct dpi_control) <= DPI_PARENT_AT, "control fits before parent");
_Static_assert(sizeof(struct dpi_record) == 24 && sizeof(struct dpi_answer) == 32, "no holes");
_Static_assert(DPI_UP_SIZE * sizeof(struct dpi_answer) % DPI_PAGE == 0, "whole pages");

/* Where everything is in this process. */
struct dpi_map {
	struct dpi_control *control;
	struct dpi_parent *parent;
	struct dpi_child *child;
	uint8_t *down;
	struct dpi_answer *up;
};

static inline struct dpi_map dpi_map_at(void *p)
{
	uint8_t *at = p;
	return (struct dpi_map){
	    .control = (struct dpi_control *)(void *)(at + DPI_CONTROL_AT),
	    .parent = (struct dpi_parent *)(void *)(at + DPI_PARENT_AT),
	    .child = (struct dpi_child *)(void *)(at + DPI_CHILD_AT),
	    .down = at + DPI_DOWN_AT,
	    .up = (struct dpi_answer *)(void *)(at + DPI_UP_AT),
	};
}

static inline uint64_t dpi_record_size(uint32_t n)
{
	return (sizeof(struct dpi_record) + n + 7) & ~(uint64_t)7;
}

#define dpi_load(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define dpi_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

#endif
