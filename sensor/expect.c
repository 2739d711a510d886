#include "sensor/expect.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

struct entry {
	struct addr addr;
	uint16_t port;
	int64_t until_us; /* 0 = free */
	struct expected what;
};

/* A ring: announcements are rare (one per FTP transfer), so a walk over those
 * that live is cheap, and none live almost always. */
struct expect {
	struct entry entry[EXPECT_MAX];
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

void expect_add(struct expect *x, const struct addr *a, uint16_t port, int64_t now_us, const struct parser *p,
		const void *note, size_t n)
{
	struct entry *e = &x->entry[x->next];
	x->next = (x->next + 1) % EXPECT_MAX;
	x->live += e->until_us == 0;
	*e = (struct entry){.addr = *a, .port = port, .until_us = now_us + EXPECT_SECONDS * 1000000LL};
	e->what.parser = p;
	e->what.note_n = n < EXPECT_NOTE_MAX ? n : EXPECT_NOTE_MAX;
	if (n)
		memcpy(e->what.note, note, e->what.note_n);
}

static bool is_end(const struct entry *e, const struct addr *a, uint16_t port)
{
	return e->port == port && addr_equal(&e->addr, a);
}

bool expect_take(struct expect *x, const struct inspect *in, struct expected *out)
{
	if (!x->live)
		return false;
	for (size_t i = 0; i < EXPECT_MAX; i++) {
		struct entry *e = &x->entry[i];
		if (!e->until_us || !(is_end(e, &in->dest, in->dest_port) || is_end(e, &in->src, in->src_port)))
			continue;
		bool late = e->until_us < in->ts_us;
		*out = e->what;
		e->until_us = 0;
		x->live--;
		if (!late)
			return true;
	}
	return false;
}
