/* Addresses that somebody may connect to: sensors, HTTP clients. */
#ifndef COMMON_LISTEN_H
#define COMMON_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/addr.h"
#include "common/err.h"

struct listen_address {
	bool local; /* a unix socket at path */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct addr addr;
	int port;
	bool any; /* "*:port": all addresses of both families */
};

/* "unix:/path", "address:port", "[v6]:port", "*:port", "localhost:port". Names
 * are not resolved: what is listened on must not depend on DNS. */
bool listen_parse(const char *text, struct listen_address *a, struct err *e);
bool listen_is_local(const struct listen_address *a); /* unix socket or loopback */

/* A non-blocking listening socket, or -1. A unix socket that nobody listens on
 * any more is replaced; one that is in use is not. */
int listen_open(const struct listen_address *a, struct err *e);
void listen_close(const struct listen_address *a, int fd);

/* All zero when it is of another family than IPv4 and IPv6. */
void listen_addr_of(const struct sockaddr_storage *from, struct addr *a);

/* Takes one connection: non-blocking, its peer's address (unix: all zero). -1:
 * none waits (errno EAGAIN) or it failed. */
int listen_accept(int fd, struct addr *peer);

#endif
