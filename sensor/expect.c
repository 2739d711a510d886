#include "sensor/expect.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

struct entry {
	struct addr addr;
	uint16_t port;
	int64_t until_us; /* 0 = free */
	struct expected what;
};

#define PORT_SLOTS 1024

/* A ring: announcements are rare (one per FTP transfer), and every new connection
 * asks, so the ring is only walked when one of its ports may be announced. */
struct expect {
	struct entry entry[EXPECT_MAX];
	uint16_t at_port[PORT_SLOTS]; /* how many live entries have a port of this slot */
	size_t next, live;
};

struct expect *expect_new(void)
{
	return xcalloc(1, sizeof(struct expect));
}

void expect_free(struct expect *x)
{
	free(x);
}

static void forget(struct expect *x, struct entry *e)
{
	e->until_us = 0;
	x->at_port[e->port % PORT_SLOTS]--;
	x->live--;
}

bool expect_add(struct expect *x, const struct addr *a, uint16_t port, int64_t now_us, const struct parser *p,
		const void *note, size_t n)
{
	struct entry *e = &x->entry[x->next];
	x->next = (x->next + 1) % EXPECT_MAX;
	bool room = e->until_us <= now_us;
	if (e->until_us)
		forget(x, e);
	x->live++;
	x->at_port[port % PORT_SLOTS]++;
	*e = (struct entry){.addr = *a, .port = port, .until_us = now_us + EXPECT_SECONDS * 1000000LL};
	e->what.parser = p;
	e->what.note_n = n < EXPECT_NOTE_MAX ? n : EXPECT_NOTE_MAX;
	if (n)
		memcpy(e->what.note, note, e->what.note_n);
	return room;
}

/* A stream's parser for a stream, a datagram's for a datagram. */
static bool carries(const struct entry *e, uint8_t proto)
{
	return (e->what.parser->datagram != NULL) == (proto == IPPROTO_UDP);
}

static bool is_end(const struct entry *e, const struct addr *a, uint16_t port)
{
	return e->port == port && addr_equal(&e->addr, a);
}

bool expect_take(struct expect *x, const struct inspect *in, struct expected *out)
{
	if (!x->live || !(x->at_port[in->dest_port % PORT_SLOTS] | x->at_port[in->src_port % PORT_SLOTS]))
		return false;
	for (size_t i = 0; i < EXPECT_MAX; i++) {
		struct entry *e = &x->entry[i];
		if (!e->until_us || !carries(e, in->proto) ||
		    !(is_end(e, &in->dest, in->dest_port) || is_end(e, &in->src, in->src_port)))
			continue;
		bool late = e->until_us < in->ts_us;
		*out = e->what;
		forget(x, e);
		if (!late)
			return true;
	}
	return false;
}
