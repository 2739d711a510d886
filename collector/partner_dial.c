#include "collector/partner_dial.h"

#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"

#define CONNECT_S 5

struct dial {
	struct event_base *base;
	struct dial_done done;
	struct evdns_getaddrinfo_request *asking;
	struct event *writable;
	int fd;
	bool starting, over; /* an answer may come before dial_start() returns */
	char why[256];
};

static void drop(struct dial *d)
{
	if (d->writable)
		event_free(d->writable);
	free(d);
}

static void answer(struct dial *d, int fd, const char *why)
{
	d->done.call(d->done.arg, fd, why);
	drop(d);
}

static void fail(struct dial *d, const char *what, const char *why)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
	snprintf(d->why, sizeof(d->why), "%s: %s", what, why);
	if (d->starting)
		d->over = true;
	else
		answer(d, -1, d->why);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct dial *d = arg;
	int failed = 0, one = 1;
	socklen_t n = sizeof(failed);
	if (what & EV_TIMEOUT)
		failed = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &n) != 0)
		failed = errno;
	if (failed) {
		fail(d, "connect", strerror(failed));
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	answer(d, fd, "");
}

/* The first address is tried; the next attempt of the caller asks again. */
static void on_address(int result, struct evutil_addrinfo *list, void *arg)
{
	struct dial *d = arg;
	struct timeval wait = {.tv_sec = CONNECT_S};
	d->asking = NULL;
	if (result || !list) {
		if (result != EVUTIL_EAI_CANCEL)
			fail(d, "look up the address", evutil_gai_strerror(result));
		else
			drop(d);
		return;
	}
	d->fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0 || (connect(d->fd, list->ai_addr, (socklen_t)list->ai_addrlen) != 0 && errno != EINPROGRESS)) {
		int failed = errno;
		evutil_freeaddrinfo(list);
		fail(d, "connect", strerror(failed));
		return;
	}
	evutil_freeaddrinfo(list);
	d->writable = event_new(d->base, d->fd, EV_WRITE, on_writable, d);
	if (!d->writable)
		fail(d, "connect", "no memory");
	else
		event_add(d->writable, &wait);
}

static bool split(const char *address, char host[static 256], char port[static 8])
{
	const char *colon = strrchr(address, ':'), *from = address;
	size_t n = colon ? (size_t)(colon - address) : 0;
	if (n > 2 && address[0] == '[' && address[n - 1] == ']') {
		from++;
		n -= 2;
	} else if (n && memchr(address, ':', n)) {
		return false; /* an IPv6 address wants its brackets */
	}
	if (!n || n >= 256 || strlen(colon + 1) >= 8 || !colon[1])
		return false;
	memcpy(host, from, n);
	host[n] = '\0';
	strcpy(port, colon + 1);
	return true;
}

struct dial *dial_start(struct event_base *base, struct evdns_base *dns, const char *address, struct dial_done done,
			struct err *e)
{
	char host[256], port[8];
	struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
	if (!split(address, host, port)) {
		err_set(e, "\"%s\" is not host:port", address);
		return NULL;
	}
	struct dial *d = xcalloc(1, sizeof(*d));
	*d = (struct dial){.base = base, .done = done, .fd = -1, .starting = true};
	d->asking = evdns_getaddrinfo(dns, host, port, &hints, on_address, d);
	d->starting = false;
	if (!d->over)
		return d;
	err_set(e, "%s", d->why);
	drop(d);
	return NULL;
}

void dial_free(struct dial *d)
{
	if (!d)
		return;
	if (d->asking) { /* its callback frees */
		evdns_getaddrinfo_cancel(d->asking);
		return;
	}
	if (d->fd >= 0)
		close(d->fd);
	drop(d);
}
