/* hiredis 0.14 has no TLS, blocks in its connect and keeps its own errno, so
 * only its formatter and its reader are used; they are the same in 1.x. Two
 * things are taken out of its hands: the buffer is bounded (a bulk of 2 GB would
 * be collected otherwise) and so is the length of an array (it is allocated
 * before the first element is there). */
#include "collector/store_redis.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/scratch.h"
#include "common/secret.h"
#include "common/text.h"
#include "common/tls_client.h"

#define READ_CHUNK      65536
#define FLUSH_BYTES     65536
#define OUT_KEEP        (1u << 20) /* a send buffer above this is given back when it is empty */
#define PENDING_INITIAL 64
#define SEND_BUFFER     (1 << 20) /* the kernel gives what it allows (net.core.wmem_max) */

#if HIREDIS_MAJOR >= 1
typedef size_t redis_elements;
#else
typedef int redis_elements;
#endif

/* Somebody stands in redis_call() and takes the reply itself. */
struct wait {
	struct reply *reply;
	bool over;
};

struct pending {
	struct redis_done done;
	struct wait *wait;
	int64_t since_us;
};

/* The reader's functions are the library's, but for createArray. */
struct reader_functions {
	struct redisReplyObjectFunctions ours, theirs;
};

struct redis {
	int fd;
	struct tls_client *tls; /* NULL = none */
	bool connecting, shaking;
	bool writing; /* the socket took less than we have */
	redisReader *reader;
	struct reader_functions functions;
	struct buf out;
	size_t sent; /* of out */
	struct pending *ring;
	size_t ring_size, head, waiting;
	struct redis_done unasked; /* gets what is published; call == NULL: nothing may be */
	char where[300];           /* for sentences */
};

/* ---- targets ---- */

static bool target_host_port(const char *text, struct redis_target *t, struct err *e)
{
	const char *host = text, *end, *port = "6379";
	if (*text == '[') {
		host = text + 1;
		end = strchr(host, ']');
		if (!end || (end[1] && end[1] != ':'))
			return err_set(e, "Redis address \"%s\" is not [v6 address]:port", text);
		if (end[1])
			port = end + 2;
	} else {
		end = strrchr(text, ':');
		if (end)
			port = end + 1;
		else
			end = text + strlen(text);
	}
	char *rest;
	long number = strtol(port, &rest, 10);
	size_t n = (size_t)(end - host);
	if (!n || n >= sizeof(t->host) || *rest || number < 1 || number > 65535)
		return err_set(e, "Redis address \"%s\" is not unix:/path or host:port", text);
	memcpy(t->host, host, n);
	t->host[n] = 0;
	snprintf(t->port, sizeof(t->port), "%ld", number);
	t->local = false;
	return true;
}

static void ignore(void *arg, const struct reply *r)
{
	(void)arg;
	(void)r;
}

const struct redis_done redis_ignored = {ignore, NULL};

bool redis_target_parse(const char *text, struct redis_target *t, struct err *e)
{
	if (strncmp(text, "unix:", 5) != 0)
		return target_host_port(text, t, e);
	const char *path = text + 5;
	struct sockaddr_un un;
	if (!*path || strlen(path) >= sizeof(un.sun_path))
		return err_set(e, "Redis address \"%s\": the path is empty or longer than %zu bytes", text,
			       sizeof(un.sun_path) - 1);
	snprintf(t->host, sizeof(t->host), "%s", path);
	t->port[0] = 0;
	t->local = true;
	return true;
}

static bool take_path(char into[static 256], const char *path, const char *what, struct err *e)
{
	if (path && strlen(path) > 255)
		return err_set(e, "%s is longer than 255 bytes", what);
	strcpy(into, path ? path : "");
	return true;
}

static struct tls_client_conf tls_of(const struct redis_target *t)
{
	return (struct tls_client_conf){
	    .ca = t->ca, .cert = t->cert, .key = t->key, .name = *t->name ? t->name : t->host};
}

bool redis_target_tls(struct redis_target *t, const char *ca, const char *cert, const char *key, const char *name,
		      struct err *e)
{
	t->tls = true;
	if (!take_path(t->ca, ca, "the path of the CA", e) ||
	    !take_path(t->cert, cert, "the path of the certificate", e) ||
	    !take_path(t->key, key, "the path of the key", e) || !take_path(t->name, name, "the name", e))
		return false;
	if (!*t->cert != !*t->key)
		return err_set(e, "a certificate and its private key belong together: give both or none");
	struct tls_client_conf c = tls_of(t);
	return tls_client_check(&c, e);
}

void redis_target_tls_as(struct redis_target *t, const struct redis_target *other)
{
	t->tls = other->tls;
	memcpy(t->ca, other->ca, sizeof(t->ca));
	memcpy(t->cert, other->cert, sizeof(t->cert));
	memcpy(t->key, other->key, sizeof(t->key));
	memcpy(t->name, other->name, sizeof(t->name));
}

bool redis_target_password(struct redis_target *t, const char *path, struct err *e)
{
	return secret_line(path, "the Redis password file", t->password, sizeof(t->password), e);
}

/* ---- connecting ---- */

/* Redis reads in small pieces between two calls and must not have to wait for us:
 * a unix socket's own size is less than a large call. */
static int connect_local(const struct redis_target *t, struct err *e)
{
	const int buffer = SEND_BUFFER;
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	snprintf(un.sun_path, sizeof(un.sun_path), "%.*s", (int)sizeof(un.sun_path) - 1, t->host);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&un, sizeof(un)) != 0) {
		err_errno(e, "cannot reach Redis at unix:%s", t->host);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	return fd;
}

/* A name is resolved here and may wait for DNS: an address in the configuration
 * does not. Only the first answer is tried; the caller comes again. */
static int connect_tcp(const struct redis_target *t, bool *connecting, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found;
	int failed = getaddrinfo(t->host, t->port, &hints, &found);
	if (failed) {
		err_set(e, "cannot reach Redis at %s:%s: %s", t->host, t->port, gai_strerror(failed));
		return -1;
	}
	int one = 1, fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fd < 0 || (connect(fd, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS)) {
		err_errno(e, "cannot reach Redis at %s:%s", t->host, t->port);
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	*connecting = true;
	freeaddrinfo(found);
	return fd;
}

/* ---- the reader ---- */

static void *create_array(const redisReadTask *task, redis_elements n)
{
	const struct reader_functions *f = task->privdata;
	return (long long)n > REDIS_REPLY_ELEMENTS_MAX ? NULL : f->theirs.createArray(task, n);
}

static redisReader *reader_new(struct reader_functions *f)
{
	redisReader *reader = redisReaderCreate();
	if (!reader)
		return NULL;
	f->ours = f->theirs = *reader->fn;
	f->ours.createArray = create_array;
	reader->fn = &f->ours;
	reader->privdata = f;
	return reader;
}

/* ---- a connection ---- */

static void handshake_done(void *arg, const struct reply *r)
{
	struct redis *redis = arg;
	struct bytes text;
	if (!reply_error(r, &text))
		return;
	char clean[200];
	text_clean(clean, sizeof(clean), text.p, text.n);
	snprintf(redis->where + strlen(redis->where), sizeof(redis->where) - strlen(redis->where), " (%s)", clean);
	shutdown(redis->fd, SHUT_RDWR);
}

static void send_words(struct redis *r, size_t argc, const char **argv)
{
	size_t len[3];
	for (size_t i = 0; i < argc; i++)
		len[i] = strlen(argv[i]);
	redis_send(r, argc, argv, len, (struct redis_done){handshake_done, r});
}

static void introduce(struct redis *r, const struct redis_target *t)
{
	char db[24];
	if (t->user[0])
		send_words(r, 3, (const char *[]){"AUTH", t->user, t->password});
	else if (t->password[0])
		send_words(r, 2, (const char *[]){"AUTH", t->password});
	snprintf(db, sizeof(db), "%lld", (long long)t->db);
	if (t->db)
		send_words(r, 2, (const char *[]){"SELECT", db});
}

static bool begin_tls(struct redis *r, const struct redis_target *t, struct err *e)
{
	struct tls_client_conf c = tls_of(t);
	struct err why;
	r->tls = tls_client_open(&c, r->fd, &why);
	return r->tls || err_set(e, "cannot speak TLS with Redis at %s: %s", r->where, why.text);
}

struct redis *redis_open(const struct redis_target *t, struct err *e)
{
	bool connecting = false;
	int fd = t->local ? connect_local(t, e) : connect_tcp(t, &connecting, e);
	if (fd < 0)
		return NULL;
	struct redis *r = xcalloc(1, sizeof(*r));
	*r = (struct redis){.fd = fd, .connecting = connecting, .ring_size = PENDING_INITIAL};
	r->reader = reader_new(&r->functions);
	r->ring = xcalloc(r->ring_size, sizeof(*r->ring));
	r->shaking = t->tls && !t->local;
	if (t->local)
		snprintf(r->where, sizeof(r->where), "unix:%s", t->host);
	else
		snprintf(r->where, sizeof(r->where), "%s:%s", t->host, t->port);
	if (!r->reader) {
		err_set(e, "out of memory for a connection to Redis");
		redis_free(r);
		return NULL;
	}
	if (r->shaking && !begin_tls(r, t, e)) {
		redis_free(r);
		return NULL;
	}
	introduce(r, t);
	return r;
}

static bool pending_pop(struct redis *r, struct pending *p)
{
	if (!r->waiting)
		return false;
	*p = r->ring[r->head];
	r->head = (r->head + 1) % r->ring_size;
	r->waiting--;
	return true;
}

void redis_free(struct redis *r)
{
	if (!r)
		return;
	struct pending p;
	while (pending_pop(r, &p))
		if (p.done.call)
			p.done.call(p.done.arg, NULL);
	tls_client_close(r->tls);
	close(r->fd);
	if (r->reader)
		redisReaderFree(r->reader);
	buf_free(&r->out);
	free(r->ring);
	free(r);
}

int redis_fd(const struct redis *r)
{
	return r->fd;
}

bool redis_wants_write(const struct redis *r)
{
	return r->connecting || r->writing;
}

size_t redis_pending(const struct redis *r)
{
	return r->waiting;
}

size_t redis_unsent(const struct redis *r)
{
	return r->out.n - r->sent;
}

int64_t redis_waited_us(const struct redis *r)
{
	return r->waiting ? clock_mono_us() - r->ring[r->head].since_us : 0;
}

static bool ring_room(struct redis *r)
{
	if (r->waiting < r->ring_size)
		return true;
	if (r->ring_size >= REDIS_PENDING_MAX)
		return false;
	struct pending *bigger = xcalloc(r->ring_size * 2, sizeof(*bigger));
	for (size_t i = 0; i < r->waiting; i++)
		bigger[i] = r->ring[(r->head + i) % r->ring_size];
	free(r->ring);
	r->ring = bigger;
	r->head = 0;
	r->ring_size *= 2;
	return true;
}

size_t redis_text(char **text, size_t argc, const char **argv, const size_t *len)
{
	*text = NULL;
	long long n = redisFormatCommandArgv(text, (int)argc, argv, len);
	return n < 0 ? 0 : (size_t)n;
}

void redis_text_free(char *text)
{
	redisFreeCommand(text);
}

static bool write_out(struct redis *r, struct err *e);

bool redis_send_text(struct redis *r, const char *text, size_t n, struct redis_done done)
{
	if (!n || !ring_room(r))
		return false;
	buf_add(&r->out, text, n);
	r->ring[(r->head + r->waiting++) % r->ring_size] = (struct pending){.done = done, .since_us = clock_mono_us()};
	/* Much goes at once, so that Redis works while the caller makes the next; what fails, fails again in the
	 * loop, where those who wait are told. */
	if (redis_unsent(r) > FLUSH_BYTES) {
		struct err e;
		write_out(r, &e);
	}
	return true;
}

bool redis_send(struct redis *r, size_t argc, const char **argv, const size_t *len, struct redis_done done)
{
	char *text;
	size_t n = redis_text(&text, argc, argv, len);
	bool sent = redis_send_text(r, text, n, done);
	redis_text_free(text);
	return sent;
}

bool redis_subscribe(struct redis *r, size_t n, const char **channels, struct redis_done published)
{
	const char *argv[1 + REDIS_CHANNELS_MAX] = {"SUBSCRIBE"};
	size_t len[1 + REDIS_CHANNELS_MAX] = {9};
	assert(n <= REDIS_CHANNELS_MAX);
	for (size_t i = 0; i < n; i++) {
		argv[1 + i] = channels[i];
		len[1 + i] = strlen(channels[i]);
	}
	r->unasked = published;
	return redis_send(r, 1 + n, argv, len, (struct redis_done){0});
}

static bool finish_connect(struct redis *r, struct err *e)
{
	struct pollfd p = {.fd = r->fd, .events = POLLOUT};
	if (!r->connecting || poll(&p, 1, 0) == 0)
		return true;
	int error = 0;
	socklen_t n = sizeof(error);
	getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &error, &n);
	if (error)
		return err_set(e, "cannot reach Redis at %s: %s", r->where, strerror(error));
	r->connecting = false;
	return true;
}

static bool shake_hands(struct redis *r, struct err *e)
{
	struct err why;
	if (!r->shaking || r->connecting)
		return true;
	enum tls_result result = tls_client_handshake(r->tls, &why);
	r->writing = result == TLS_WANT_WRITE;
	r->shaking = result != TLS_DONE;
	if (result == TLS_CLOSED)
		return err_set(e, "Redis at %s closed the connection during the TLS handshake", r->where);
	return result != TLS_FAILED || err_set(e, "cannot speak TLS with Redis at %s: %s", r->where, why.text);
}

/* The socket with TLS on it or without: TLS_DONE, bytes moved. */
static enum tls_result link_send(struct redis *r, const void *from, size_t n, size_t *put, struct err *e)
{
	if (r->tls)
		return tls_client_write(r->tls, from, n, put, e);
	ssize_t sent = send(r->fd, from, n, MSG_NOSIGNAL);
	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		return TLS_WANT_WRITE;
	if (sent < 0) {
		err_set(e, "%s", strerror(errno));
		return TLS_FAILED;
	}
	*put = (size_t)sent;
	return TLS_DONE;
}

static enum tls_result link_receive(struct redis *r, void *into, size_t cap, size_t *got, struct err *e)
{
	if (r->tls)
		return tls_client_read(r->tls, into, cap, got, e);
	ssize_t n = recv(r->fd, into, cap, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return TLS_WANT_READ;
	if (n < 0) {
		err_set(e, "%s", strerror(errno));
		return TLS_FAILED;
	}
	*got = (size_t)n;
	return n ? TLS_DONE : TLS_CLOSED;
}

static bool write_out(struct redis *r, struct err *e)
{
	if (r->connecting || r->shaking)
		return true;
	r->writing = false;
	while (r->sent < r->out.n) {
		struct err why = {"it closed the connection"};
		size_t n = 0;
		enum tls_result result = link_send(r, r->out.p + r->sent, r->out.n - r->sent, &n, &why);
		if (result == TLS_WANT_WRITE || result == TLS_WANT_READ) {
			r->writing = result == TLS_WANT_WRITE;
			return true;
		}
		if (result != TLS_DONE)
			return err_set(e, "Redis at %s is gone: %s", r->where, why.text);
		r->sent += n;
	}
	if (r->sent < r->out.n)
		return true;
	r->out.n = r->sent = 0;
	if (r->out.cap > OUT_KEEP)
		buf_free(&r->out);
	return true;
}

/* Hands every whole reply to the one who waits for it. */
static bool deliver(struct redis *r, struct err *e)
{
	for (;;) {
		void *reply = NULL;
		struct pending p;
		if (redisReaderGetReply(r->reader, &reply) != REDIS_OK)
			return err_set(e, "Redis at %s answers what is not its protocol: %s", r->where,
				       r->reader->errstr);
		if (!reply)
			break;
		bool asked = pending_pop(r, &p);
		if (asked && p.wait) {
			*p.wait = (struct wait){.reply = reply, .over = true};
			continue;
		}
		struct redis_done done = asked ? p.done : r->unasked;
		if (done.call)
			done.call(done.arg, reply);
		freeReplyObject(reply);
		if (!asked && !done.call)
			return err_set(e, "Redis at %s answers what was not asked", r->where);
	}
	return r->reader->len - r->reader->pos <= REDIS_REPLY_BYTES_MAX ||
	       err_set(e, "Redis at %s: a reply above %u bytes", r->where, REDIS_REPLY_BYTES_MAX);
}

static bool read_in(struct redis *r, struct err *e)
{
	SCRATCH char chunk[READ_CHUNK];
	while (!r->connecting && !r->shaking) {
		struct err why;
		size_t n = 0;
		enum tls_result result = link_receive(r, chunk, sizeof(chunk), &n, &why);
		if (result == TLS_WANT_READ || result == TLS_WANT_WRITE)
			break;
		if (result == TLS_FAILED)
			return err_set(e, "Redis at %s is gone: %s", r->where, why.text);
		if (result == TLS_CLOSED)
			return err_set(e, "Redis at %s closed the connection", r->where);
		if (redisReaderFeed(r->reader, chunk, n) != REDIS_OK)
			return err_set(e, "Redis at %s: no memory for its reply", r->where);
		if (!deliver(r, e))
			return false;
		if (!r->tls && n < sizeof(chunk)) /* OpenSSL may hold more that poll() does not see */
			break;
	}
	return true;
}

bool redis_work(struct redis *r, struct err *e)
{
	return finish_connect(r, e) && shake_hands(r, e) && write_out(r, e) && read_in(r, e) && write_out(r, e);
}

/* ---- waiting for one reply ---- */

struct reply *redis_call(struct redis *r, size_t argc, const char **argv, const size_t *len, int timeout_ms,
			 struct err *e)
{
	struct wait w = {0};
	int64_t until = clock_mono_us() + (int64_t)timeout_ms * 1000;
	if (!redis_send(r, argc, argv, len, (struct redis_done){0})) {
		err_set(e, "too many commands wait for Redis at %s", r->where);
		return NULL;
	}
	r->ring[(r->head + r->waiting - 1) % r->ring_size].wait = &w;
	while (!w.over) {
		if (!redis_work(r, e) || w.over)
			break;
		int64_t left = until - clock_mono_us();
		struct pollfd p = {.fd = r->fd, .events = (short)(POLLIN | (redis_wants_write(r) ? POLLOUT : 0))};
		if (left <= 0) {
			err_set(e, "Redis at %s does not answer within %d ms", r->where, timeout_ms);
			break;
		}
		if (poll(&p, 1, (int)(left / 1000 + 1)) < 0 && errno != EINTR) {
			err_errno(e, "cannot wait for Redis at %s", r->where);
			break;
		}
	}
	/* w lives on this stack: nobody may call back into it later. */
	for (size_t i = 0; i < r->waiting; i++) {
		struct pending *p = &r->ring[(r->head + i) % r->ring_size];
		if (p->wait == &w)
			p->wait = NULL;
	}
	return w.reply;
}

/* ---- looking at replies ---- */

static const redisReply *raw(const struct reply *r)
{
	return (const redisReply *)r;
}

void reply_free(struct reply *r)
{
	if (r)
		freeReplyObject(r);
}

struct reply *reply_parse(const void *data, size_t n)
{
	struct reader_functions functions;
	redisReader *reader = reader_new(&functions);
	void *reply = NULL;
	if (!reader)
		return NULL;
	if (redisReaderFeed(reader, data, n) != REDIS_OK || redisReaderGetReply(reader, &reply) != REDIS_OK)
		reply = NULL;
	redisReaderFree(reader);
	return reply;
}

bool reply_error(const struct reply *r, struct bytes *text)
{
	if (!r || raw(r)->type != REDIS_REPLY_ERROR)
		return false;
	*text = (struct bytes){(const uint8_t *)raw(r)->str, raw(r)->len};
	return true;
}

bool reply_text(const struct reply *r, struct bytes *text)
{
	if (!r || (raw(r)->type != REDIS_REPLY_STRING && raw(r)->type != REDIS_REPLY_STATUS))
		return false;
	*text = (struct bytes){(const uint8_t *)raw(r)->str, raw(r)->len};
	return true;
}

bool reply_number(const struct reply *r, int64_t *value)
{
	struct bytes text;
	if (r && raw(r)->type == REDIS_REPLY_INTEGER) {
		*value = raw(r)->integer;
		return true;
	}
	if (!reply_text(r, &text) || !text.n || text.n > 20)
		return false;
	char copy[21], *end;
	memcpy(copy, text.p, text.n);
	copy[text.n] = 0;
	if (copy[0] != '-' && (copy[0] < '0' || copy[0] > '9'))
		return false;
	errno = 0;
	long long v = strtoll(copy, &end, 10);
	if (errno || *end || end != copy + text.n)
		return false;
	*value = v;
	return true;
}

bool reply_nil(const struct reply *r)
{
	return r && raw(r)->type == REDIS_REPLY_NIL;
}

size_t reply_count(const struct reply *r)
{
	return r && raw(r)->type == REDIS_REPLY_ARRAY ? raw(r)->elements : 0;
}

const struct reply *reply_at(const struct reply *r, size_t i)
{
	return i < reply_count(r) ? (const struct reply *)raw(r)->element[i] : NULL;
}
