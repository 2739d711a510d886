/* Connects to a partner's gateway by name, without holding the loop up. */
#ifndef COLLECTOR_PARTNER_DIAL_H
#define COLLECTOR_PARTNER_DIAL_H

#include <stdbool.h>

#include "common/err.h"

struct event_base;
struct evdns_base;
struct dial;

/* Called once, unless dial_free() comes first: a connected non-blocking socket that
 * becomes the caller's, or -1 and why. The dial is freed when it returns. */
struct dial_done {
	void (*call)(void *arg, int fd, const char *why);
	void *arg;
};
/* "host:port", "[v6]:port". NULL: e says why; done is not called. */
struct dial *dial_start(struct event_base *base, struct evdns_base *dns, const char *address, struct dial_done done,
			struct err *e);
void dial_free(struct dial *d);

#endif
