/* What Redis, or somebody in its place, answers: the reader and our checks, and a
 * connection over which it comes in two pieces, to commands that wait and to nobody.
 * For: collector/store_redis.c */
#define _GNU_SOURCE /* memfd_create */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "collector/cli.h"
#include "collector/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void look(const struct reply *r, int depth)
{
	struct bytes text;
	int64_t number;
	char clean[64];
	(void)reply_error(r, &text);
	(void)reply_text(r, &text);
	(void)reply_number(r, &number);
	(void)reply_nil(r);
	cli_text(r, "state", clean, sizeof(clean));
	cli_number(r, "n");
	for (size_t i = 0; i < reply_count(r) && i < 100 && depth < 10; i++)
		look(reply_at(r, i), depth + 1);
}

/* ---- a server that says what it is told to ---- */

/* A certificate to name as the CA: nothing that it signed exists. */
static const char some_ca[] = "-----BEGIN CERTIFICATE-----\n"
			      "MIIBdTCCARugAwIBAgIUTDNd9SST/k627boqrhs6LEAh7l8wCgYIKoZIzj0EAwIw\n"
			      "DzENMAsGA1UEAwwERnV6ejAgFw0yNjExMjkyMTU4MTVaGA8yMTI2MTEwNTIxNTgx\n"
			      "NVowDzENMAsGA1UEAwwERnV6ejBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABPhL\n"
			      "T/PblRlW6F3y173QhB5coBaCGLsofHJkRvnZaDLDYCQBgWsbDBSsHblcjeKtZWfG\n"
			      "zqlbZrabXWQyFYCoH+2jUzBRMB0GA1UdDgQWBBQK2wZ9w3wypSvCjmth+zoFU4Qc\n"
			      "rTAfBgNVHSMEGDAWgBQK2wZ9w3wypSvCjmth+zoFU4QcrTAPBgNVHRMBAf8EBTAD\n"
			      "AQH/MAoGCCqGSM49BAMCA0gAMEUCIQCYHTj2Sabl+l0QNK5WRuhc2ILv5WAwN+7g\n"
			      "87k7qXmnZQIgVR6QzWg44uzyw4N9urQzB0oFLxaQ1lswQgj9DWQ6EQ8=\n"
			      "-----END CERTIFICATE-----\n";

static struct sockaddr_un where = {.sun_family = AF_UNIX};
static char ca_path[64];

static void forget(void)
{
	unlink(where.sun_path);
	unlink(ca_path);
}

/* Listens at a path, or at a port of the loopback (then *port gets it). */
static int listener(char *port, size_t room)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(in);
	int fd = socket(port ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 ||
	    bind(fd, port ? (const struct sockaddr *)&in : (const struct sockaddr *)&where, port ? n : sizeof(where)) !=
		0 ||
	    listen(fd, 4) != 0)
		abort();
	if (port && getsockname(fd, (struct sockaddr *)&in, &n) == 0)
		snprintf(port, room, "%u", ntohs(in.sin_port));
	return fd;
}

static struct servers {
	int local, tcp;
	char port[6];
} servers;

static void serve_once(void)
{
	if (*servers.port)
		return;
	snprintf(where.sun_path, sizeof(where.sun_path), "/tmp/picket-fuzz-redis.%d", (int)getpid());
	snprintf(ca_path, sizeof(ca_path), "/tmp/picket-fuzz-redis-ca.%d", (int)getpid());
	unlink(where.sun_path);
	FILE *f = fopen(ca_path, "w");
	if (!f || fputs(some_ca, f) < 0 || fclose(f) != 0)
		abort();
	servers.local = listener(NULL, 0);
	servers.tcp = listener(servers.port, sizeof(servers.port));
	atexit(forget);
}

/* Who goes leaves no port waiting behind him. */
static void go(int fd)
{
	struct linger now = {.l_onoff = 1};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static struct redis *meet(const struct redis_target *t, int *peer)
{
	struct err e;
	struct redis *r = redis_open(t, &e);
	if (!r || (*peer = accept(t->local ? servers.local : servers.tcp, NULL, NULL)) < 0)
		abort();
	return r;
}

static void on_reply(void *arg, const struct reply *r)
{
	unsigned *answers = arg;
	++*answers;
	look(r, 0);
}

/* Says it in two pieces. */
static void say(struct redis *r, int peer, const uint8_t *data, size_t n)
{
	struct err e;
	bool alive = redis_work(r, &e);
	for (size_t at = 0; alive && at < n; at += n / 2 + 1) {
		size_t piece = n - at < n / 2 + 1 ? n - at : n / 2 + 1;
		if (send(peer, data + at, piece, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
		alive = redis_work(r, &e);
	}
	go(peer);
	if (alive)
		redis_work(r, &e);
	(void)redis_waited_us(r);
}

/* Every command is answered once, whatever comes. */
static void speak(const struct redis_target *t, const uint8_t *data, size_t n, bool listens)
{
	const char *channels[] = {"a", "b"}, *ping[] = {"PING"};
	const size_t len[] = {4};
	unsigned answers = 0, published = 0, asked = listens ? 70 : 3;
	int peer;
	struct redis *r = meet(t, &peer);
	for (unsigned i = 0; i < asked; i++)
		redis_send(r, 1, ping, len, (struct redis_done){on_reply, &answers});
	if (listens)
		redis_subscribe(r, 2, channels, (struct redis_done){on_reply, &published});
	if (redis_fd(r) < 0 || redis_pending(r) < asked || !redis_unsent(r))
		abort();
	(void)redis_wants_write(r);
	say(r, peer, data, n);
	redis_free(r);
	if (answers != asked)
		abort();
}

/* Who waits for one reply gets it, or an error. */
static void call(const struct redis_target *t, const uint8_t *data, size_t n)
{
	const char *ping[] = {"PING"};
	const size_t len[] = {4};
	struct err e = {""};
	int peer;
	struct redis *r = meet(t, &peer);
	if (n && send(peer, data, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		n = 0;
	struct reply *reply = redis_call(r, 1, ping, len, 0, &e);
	if (!reply && !*e.text)
		abort();
	look(reply, 0);
	reply_free(reply);
	redis_free(r);
	go(peer);
}

/* ---- what the configuration says of a server ---- */

static void configure(const uint8_t *data, size_t n)
{
	struct redis_target t = {0}, other = {0};
	char *text = calloc(1, n + 1), *rest = text, *word[4] = {NULL}, path[64];
	struct err e;
	int fd = memfd_create("password", 0);
	if (!text || fd < 0 || fchmod(fd, 0600) || write(fd, data, n) != (ssize_t)n)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (redis_target_password(&t, path, &e) && strlen(t.password) > n)
		abort();
	close(fd);
	if (n)
		memcpy(text, data, n);
	(void)redis_target_parse(text, &t, &e);
	for (char *p = text; *p; p++)
		*p = *p == '/' ? '_' : *p; /* no file of this machine */
	for (size_t i = 0; i < 4 && rest; i++)
		word[i] = strsep(&rest, ",");
	bool ours = word[0] && strcmp(word[0], "ca") == 0;
	if (redis_target_tls(&t, ours ? ca_path : word[0], word[1], word[2], word[3], &e))
		redis_target_tls_as(&other, &t);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct store_stats stats = {0};
	char conflict[128];
	uint64_t mark;
	struct reply *r = reply_parse(data, n);
	look(r, 0);
	(void)store_flush_result(r, 7, &stats, &mark, conflict);
	reply_free(r);
	serve_once();
	struct redis_target local = {.local = true, .user = "u", .password = "p", .db = 3},
			    tcp = {.host = "127.0.0.1", .password = "p"}, tls = {.host = "127.0.0.1"};
	snprintf(local.host, sizeof(local.host), "%s", where.sun_path);
	memcpy(tcp.port, servers.port, sizeof(servers.port));
	memcpy(tls.port, servers.port, sizeof(servers.port));
	speak(&local, data, n, false);
	speak(&tcp, data, n, true);
	call(&local, data, n);
	if (n && (data[0] == 0x15 || data[0] == 0x16)) { /* records of TLS: an alert, a handshake */
		struct err e;
		if (!redis_target_tls(&tls, ca_path, NULL, NULL, NULL, &e))
			abort();
		speak(&tls, data, n, false);
	}
	if (n < 300)
		configure(data, n);
	return 0;
}
