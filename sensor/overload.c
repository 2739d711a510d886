#include "sensor/overload.h"

#include <netinet/in.h>

#define UNKNOWN_AFTER 8 /* packets of a side by which a parser has said yes, if one does */

const char *const shed_names[SHED_COUNT] = {
    [SHED_NOTHING] = "nothing",
    [SHED_EXTRAS] = "nDPI, file digests and unrecognised payload",
    [SHED_BULK] = "nDPI, file digests, unrecognised payload and the bulk of long streams",
    [SHED_STREAMS] = "all payload but DNS",
};

static enum shed least(enum overload_mode m)
{
	return m == OVERLOAD_EXTRAS    ? SHED_EXTRAS
	       : m == OVERLOAD_BULK    ? SHED_BULK
	       : m == OVERLOAD_STREAMS ? SHED_STREAMS
				       : SHED_NOTHING;
}

void overload_init(struct overload *o, const struct overload_conf *conf)
{
	*o = (struct overload){.conf = *conf, .shed = least(conf->mode)};
}

static bool rise(struct overload *o, int64_t now_us)
{
	o->calm_us = 0;
	if (o->shed == SHED_COUNT - 1 || (o->rose_us && now_us - o->rose_us < OVERLOAD_RISE_US))
		return false;
	o->shed++;
	o->rose_us = now_us;
	return true;
}

bool overload_look(struct overload *o, int64_t now_us, int fill, uint64_t drops)
{
	bool dropped = drops > o->drops;
	o->drops = drops;
	if (o->conf.mode != OVERLOAD_AUTO)
		return false;
	if (dropped || fill >= o->conf.high)
		return rise(o, now_us);
	if (fill > o->conf.low || o->shed == SHED_NOTHING) {
		o->calm_us = 0;
		return false;
	}
	if (!o->calm_us)
		o->calm_us = now_us;
	if (now_us - o->calm_us < o->conf.hold_us)
		return false;
	o->shed--;
	o->calm_us = now_us;
	return true;
}

int overload_fill(int64_t lag_us, uint64_t bytes, int64_t span_us, uint64_t ring_bytes)
{
	if (lag_us <= 0 || !bytes || !ring_bytes)
		return 0;
	double ring = (double)ring_bytes, lag = (double)lag_us;
	double by_time = lag * 100 / (ring / OVERLOAD_BLOCK_BYTES * OVERLOAD_BLOCK_US);
	double by_bytes = span_us > 0 ? (double)bytes / (double)span_us * lag * 100 / ring : 0;
	double part = by_bytes > by_time ? by_bytes : by_time;
	return part > 100 ? 100 : (int)part;
}

static bool unrecognised(const struct flow *f, enum side side, const struct layer *l)
{
	if (f->parser)
		return false;
	return l->proto == IPPROTO_TCP ? f->packets[side] > UNKNOWN_AFTER : f->tries > 0;
}

bool overload_sheds(enum shed shed, const struct flow *f, enum side side, const struct layer *l, bool dns,
		    bool patterns)
{
	bool done = f->flags & FLOW_DONE;
	if (shed == SHED_NOTHING || !l->payload_wire_n || dns || (done && !patterns))
		return false;
	if (l->proto != IPPROTO_TCP && l->proto != IPPROTO_UDP)
		return false;
	if (shed == SHED_STREAMS || done || unrecognised(f, side, l))
		return true;
	return shed >= SHED_BULK && f->packets[side] > OVERLOAD_BULK_AFTER;
}
