#include "sensor/expect.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
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
 * asks, so the ring is only locked and walked when one of its ports may be announced. */
struct expect {
	_Atomic uint16_t at_port[PORT_SLOTS]; /* how many live entries have a port of this slot */
	pthread_mutex_t lock;                 /* of what follows, and of changes to at_port */
	struct entry entry[EXPECT_MAX];
	size_t next;
};

struct expect *expect_new(void)
{
	struct expect *x = xcalloc(1, sizeof(*x));
	pthread_mutex_init(&x->lock, NULL);
	return x;
}

void expect_free(struct expect *x)
{
	if (!x)
		return;
	pthread_mutex_destroy(&x->lock);
	free(x);
}

static void forget(struct expect *x, struct entry *e)
{
	e->until_us = 0;
	x->at_port[e->port % PORT_SLOTS]--;
}

bool expect_add(struct expect *x, const struct addr *a, uint16_t port, int64_t now_us, const struct parser *p,
		const void *note, size_t n)
{
	pthread_mutex_lock(&x->lock);
	struct entry *e = &x->entry[x->next];
	x->next = (x->next + 1) % EXPECT_MAX;
	bool room = e->until_us <= now_us;
	if (e->until_us)
		forget(x, e);
	x->at_port[port % PORT_SLOTS]++;
	*e = (struct entry){.addr = *a, .port = port, .until_us = now_us + EXPECT_SECONDS * 1000000LL};
	e->what.parser = p;
	e->what.note_n = n < EXPECT_NOTE_MAX ? n : EXPECT_NOTE_MAX;
	if (n)
		memcpy(e->what.note, note, e->what.note_n);
	pthread_mutex_unlock(&x->lock);
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

static bool announced(struct expect *x, uint16_t port)
{
	return atomic_load_explicit(&x->at_port[port % PORT_SLOTS], memory_order_relaxed) > 0;
}

static bool find(struct expect *x, const struct inspect *in, struct expected *out)
{
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

bool expect_take(struct expect *x, const struct inspect *in, struct expected *out)
{
	if (!announced(x, in->dest_port) && !announced(x, in->src_port))
		return false;
	pthread_mutex_lock(&x->lock);
	bool found = find(x, in, out);
	pthread_mutex_unlock(&x->lock);
	return found;
}
