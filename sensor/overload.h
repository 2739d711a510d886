/* What is set aside when a worker cannot follow: bulk first, never DNS, never the
 * addresses of a packet. A worker that falls behind loses packets in the kernel,
 * whichever they are; one that does less with each loses those that matter least.
 *
 * Steps, each with all before it:
 *   SHED_EXTRAS   nDPI, file digests, payload that no parser recognised
 *   SHED_BULK     a side's packets beyond its first OVERLOAD_BULK_AFTER
 *   SHED_STREAMS  all payload but DNS
 *
 * Up: a step at once when the ring is `high` per cent full or the kernel dropped
 * packets, the next one when that is still so after OVERLOAD_RISE_US. Down: a step
 * when for `hold` the ring was below `low` and nothing was dropped. */
#ifndef SENSOR_OVERLOAD_H
#define SENSOR_OVERLOAD_H

#include "sensor/flow.h"

enum shed { SHED_NOTHING = 0, SHED_EXTRAS, SHED_BULK, SHED_STREAMS, SHED_COUNT };
extern const char *const shed_names[SHED_COUNT]; /* for people: what is set aside */

/* overload.shed: auto, off, or a step that is held whatever the load. */
enum overload_mode { OVERLOAD_AUTO = 0, OVERLOAD_OFF, OVERLOAD_EXTRAS, OVERLOAD_BULK, OVERLOAD_STREAMS };

#define OVERLOAD_RISE_US    200000
#define OVERLOAD_BULK_AFTER 64 /* packets of a side: requests, hellos and certificates are among them */

struct overload_conf {
	enum overload_mode mode;
	int high, low; /* per cent of the ring */
	int64_t hold_us;
};

struct overload {
	struct overload_conf conf;
	enum shed shed;
	int64_t rose_us, calm_us; /* the last step up; since when it is calm, 0: it is not */
	uint64_t drops;           /* as of the last look */
};

void overload_init(struct overload *o, const struct overload_conf *conf);

/* A look at the load, some times a second: fill of the ring in per cent, all kernel
 * drops so far. True when the step has changed. */
bool overload_look(struct overload *o, int64_t now_us, int fill, uint64_t drops);

/* How full a ring is that holds lag_us of what arrives at so many bytes in span_us:
 * libpcap does not tell, so it follows from how old the packet in hand is. The
 * ring is one of blocks, which the kernel closes when they are full or
 * OVERLOAD_BLOCK_US old: slow traffic fills it by time, not by bytes. */
#define OVERLOAD_BLOCK_BYTES (256 << 10)
#define OVERLOAD_BLOCK_US    10000
int overload_fill(int64_t lag_us, uint64_t bytes, int64_t span_us, uint64_t ring_bytes);

/* Whether the payload of this packet is set aside. dns: the flow is known as DNS.
 * patterns: payload patterns are looked for, also in flows that are done. */
bool overload_sheds(enum shed shed, const struct flow *f, enum side side, const struct layer *l, bool dns,
		    bool patterns);

#endif
