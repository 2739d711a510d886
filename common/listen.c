#define _GNU_SOURCE /* accept4 */
#include "common/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG     1024 /* a thousand sensors come back at once after an outage */
#define SOCKET_MODE 0660 /* who may be a local sensor is the group's decision */

static bool parse_port(const char *text, int *port)
{
	char *end;
	long v = strtol(text, &end, 10);
	*port = (int)v;
	return end != text && !*end && v > 0 && v <= 65535;
}

bool listen_parse(const char *text, struct listen_address *a, struct err *e)
{
	*a = (struct listen_address){0};
	if (strncmp(text, "unix:", 5) == 0) {
		a->local = true;
		if (text[5] != '/' || strlen(text + 5) >= sizeof(a->path))
			return err_set(e, "\"%s\": the path must begin with / and have less than %zu bytes", text,
				       sizeof(a->path));
		strcpy(a->path, text + 5);
		return true;
	}
	const char *colon = strrchr(text, ':'), *host = text;
	if (!colon || !parse_port(colon + 1, &a->port))
		return err_set(e, "\"%s\" is not unix:/path or address:port", text);
	size_t n = (size_t)(colon - text);
	if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
		host++;
		n -= 2;
	}
	a->any = n == 1 && *host == '*';
	if (n == 9 && memcmp(host, "localhost", 9) == 0) {
		host = "127.0.0.1";
		n = strlen(host);
	}
	if (!a->any && !addr_parse(host, n, &a->addr))
		return err_set(e, "\"%s\": \"%.*s\" is not an address (names are not resolved here)", text, (int)n,
			       host);
	return true;
}

bool listen_is_local(const struct listen_address *a)
{
	static const uint8_t one[16] = {[15] = 1};
	if (a->local)
		return true;
	if (a->any)
		return false;
	return addr_is_v4(&a->addr) ? a->addr.b[12] == 127 : memcmp(a->addr.b, one, 16) == 0;
}

/* What a process left behind that is gone. connect() is refused by plain files, too. */
static void remove_old(const char *path)
{
	struct stat st;
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
}

static int open_local(const struct listen_address *a, struct err *e)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	strcpy(un.sun_path, a->path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&un, sizeof(un)) == 0) {
		close(fd);
		err_set(e, "cannot listen on unix:%s: another process listens there", a->path);
		return -1;
	}
	if (errno == ECONNREFUSED)
		remove_old(a->path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&un, sizeof(un)) != 0 || chmod(a->path, SOCKET_MODE) != 0 ||
	    listen(fd, BACKLOG) != 0) {
		err_errno(e, "cannot listen on unix:%s", a->path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

static socklen_t socket_address(const struct listen_address *a, struct sockaddr_storage *to)
{
	*to = (struct sockaddr_storage){0};
	if (!a->any && addr_is_v4(&a->addr)) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)to;
		*v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)a->port)};
		memcpy(&v4->sin_addr, a->addr.b + 12, 4);
		return sizeof(*v4);
	}
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
	*v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)a->port)};
	memcpy(&v6->sin6_addr, a->addr.b, 16);
	return sizeof(*v6);
}

static int open_tcp(const struct listen_address *a, struct err *e)
{
	struct sockaddr_storage to;
	socklen_t n = socket_address(a, &to);
	int one = 1, only6 = !a->any;
	char text[ADDR_TEXT_LEN] = "*";
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && to.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof(only6));
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	    bind(fd, (const struct sockaddr *)&to, n) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	if (!a->any)
		addr_format(&a->addr, text);
	err_errno(e, "cannot listen on %s port %d", text, a->port);
	if (fd >= 0)
		close(fd);
	return -1;
}

int listen_open(const struct listen_address *a, struct err *e)
{
	return a->local ? open_local(a, e) : open_tcp(a, e);
}

void listen_close(const struct listen_address *a, int fd)
{
	close(fd);
	if (a->local)
		unlink(a->path);
}

void listen_addr_of(const struct sockaddr_storage *from, struct addr *a)
{
	*a = (struct addr){0};
	if (from->ss_family == AF_INET6)
		*a = addr_v6(&((const struct sockaddr_in6 *)from)->sin6_addr);
	else if (from->ss_family == AF_INET)
		*a = addr_v4(&((const struct sockaddr_in *)from)->sin_addr);
}

int listen_accept(int fd, struct addr *peer)
{
	struct sockaddr_storage from = {0};
	socklen_t n = sizeof(from);
	int one = 1, c = accept4(fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	listen_addr_of(&from, peer);
	if (c < 0 || from.ss_family == AF_UNIX)
		return c;
	setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return c;
}
