/* A session is a walk: resolve, connect, TLS, HELLO, WELCOME, then DATA and ACK
 * until something ends it. Each step has a time limit; the first failure closes
 * the socket and goes on with the next collector of the list; after all have failed
 * comes a pause that doubles up to half a minute, with jitter, so that a thousand
 * sensors do not come back in the same instant.
 *
 * Nothing is remembered from one session to the next: the spool begins at the
 * WELCOME's mark + 1. Frames that were written but not acknowledged are no
 * state, they are only bytes on the way.
 *
 * A collector whose Redis is away does not acknowledge; the window fills, TCP
 * does the rest, and the spool absorbs. After ACK_TIMEOUT the next collector is
 * tried: its way to Redis may be open.
 *
 * Host names are resolved by getaddrinfo_a(3): the plain call may block for
 * many seconds, and with it the queues of the workers. */
#define _GNU_SOURCE
#include "sensor/uplink.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/cursor.h"
#include "common/frame.h"
#include "common/log.h"
#include "common/text.h"

#define MS 1000LL
#define S  1000000LL

#define RESOLVE_TIMEOUT_US  (10 * S)
#define RESOLVE_POLL_US     (20 * MS)
#define CONNECT_TIMEOUT_US  (5 * S)
#define HELLO_TIMEOUT_US    (10 * S) /* TLS and WELCOME */
#define ACK_TIMEOUT_US      (60 * S)
#define STATUS_EVERY_US     (5 * S)
#define BACKOFF_FIRST_US    (200 * MS)
#define BACKOFF_MAX_US      (30 * S)
#define GOOD_SESSION_US     (10 * S) /* one that lasted this long begins the pauses anew */
#define TCP_USER_TIMEOUT_MS 20000
#define DATA_BYTES          (64u << 10)  /* of records in a frame */
#define OUT_BYTES           (256u << 10) /* made ready at a time */
#define WINDOW_BYTES        (8u << 20)   /* sent and not acknowledged */
#define WINDOW_FRAMES       256
#define IN_BYTES_MAX        (FRAME_HEADER + 4096 + SET_PIECE_MAX) /* collectors send small frames */
#define REWINDS_MAX         16                                    /* without an ACK in between */
#define REWIND_ECHO_US      S /* the frames that were on the way when it first asked may each repeat it */
#define STATUS_BYTES_MAX    (64u << 10)

enum state { STATE_IDLE = 0, STATE_RESOLVING, STATE_CONNECTING, STATE_TLS, STATE_HELLO, STATE_STREAMING, STATE_COUNT };

struct target {
	const char *text; /* as configured */
	char host[256], port[8];
	bool local; /* unix:/path; host unused */
};

/* A frame on its way. */
struct sent {
	uint64_t last; /* its last number */
	size_t bytes;
};

struct lookup {
	struct gaicb cb;
	struct gaicb *list[1];
	struct addrinfo hints;
	char host[256], port[8];
	bool running;
};

struct uplink {
	struct uplink_conf conf;
	struct spool *spool;
	struct target *target;
	size_t targets, at; /* at: in use or next */
	enum state state;
	int fd;
	struct tls_conn *tls;
	enum tls_result tls_wants;
	struct lookup *lookup;
	int64_t state_us; /* when the state began */
	int64_t retry_us; /* STATE_IDLE: not before */
	int64_t backoff_us;
	size_t failures; /* since something was acknowledged */
	int64_t status_us, heard_us;
	uint64_t sent; /* highest number written to out */
	uint64_t acked;
	unsigned rewinds;
	uint64_t rewind_to;
	int64_t rewind_us;
	struct sent window[WINDOW_FRAMES];
	size_t window_first, window_n, window_bytes;
	struct buf in, out, status;
	size_t out_at;
	uint64_t sessions;
	struct log_once said;
	struct err said_text;
};

/* ---- addresses ---- */

static bool is_port(const char *p)
{
	char *end;
	unsigned long v = strtoul(p, &end, 10);
	return *p >= '0' && *p <= '9' && *end == '\0' && v > 0 && v < 65536;
}

static bool target_parse(struct target *t, const char *text, struct err *e)
{
	*t = (struct target){.text = text, .local = strncmp(text, "unix:", 5) == 0};
	if (t->local) {
		size_t n = strlen(text + 5);
		return (n > 0 && n < sizeof(((struct sockaddr_un *)0)->sun_path)) ||
		       err_set(e, "collector \"%s\": the path must have 1 to 107 bytes", text);
	}
	const char *colon = strrchr(text, ':'), *host = text, *host_end = colon;
	if (text[0] == '[' && colon && colon > text && colon[-1] == ']') {
		host++;
		host_end--;
	} else if (colon && memchr(text, ':', (size_t)(colon - text))) {
		return err_set(e, "collector \"%s\": write an IPv6 address as [address]:port", text);
	}
	if (!colon || host_end <= host || (size_t)(host_end - host) >= sizeof(t->host) || !is_port(colon + 1) ||
	    strlen(colon + 1) >= sizeof(t->port))
		return err_set(e, "collector \"%s\" is not host:port, [address]:port or unix:/path", text);
	memcpy(t->host, host, (size_t)(host_end - host));
	snprintf(t->port, sizeof(t->port), "%s", colon + 1);
	return true;
}

static bool is_loopback(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET) {
		struct sockaddr_in v4;
		memcpy(&v4, a, sizeof(v4));
		return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
	}
	struct sockaddr_in6 v6;
	if (a->sa_family != AF_INET6)
		return a->sa_family == AF_UNIX;
	memcpy(&v6, a, sizeof(v6));
	return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

static bool refuse_plaintext(const struct target *t, struct err *e)
{
	return err_set(e,
		       "collector \"%s\" is not on this machine and no certificate is configured: plaintext goes to "
		       "unix:/path and loopback only",
		       t->text);
}

/* A numeric address can be judged at the start; a name when it is resolved. */
static bool target_allowed(const struct target *t, bool tls, struct err *e)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *a;
	if (t->local || tls || getaddrinfo(t->host, t->port, &hints, &a) != 0)
		return true;
	bool ok = is_loopback(a->ai_addr);
	freeaddrinfo(a);
	return ok || refuse_plaintext(t, e);
}

struct uplink *uplink_new(const struct uplink_conf *c, struct spool *spool, struct err *e)
{
	size_t id_n = strlen(c->sensor_id);
	if (!c->collectors->n || !id_n || id_n > FRAME_ID_MAX) {
		err_set(e, id_n ? "no collector is configured" : "a sensor id of 1 to %d bytes is needed",
			FRAME_ID_MAX);
		return NULL;
	}
	struct uplink *u = xcalloc(1, sizeof(*u));
	*u = (struct uplink){.conf = *c, .spool = spool, .fd = -1, .targets = c->collectors->n};
	u->target = xcalloc(u->targets, sizeof(*u->target));
	u->backoff_us = BACKOFF_FIRST_US;
	for (size_t i = 0; i < u->targets; i++)
		if (!target_parse(&u->target[i], c->collectors->v[i], e) ||
		    !target_allowed(&u->target[i], c->tls != NULL, e)) {
			uplink_free(u);
			return NULL;
		}
	return u;
}

/* ---- ends and pauses ---- */

static void enter(struct uplink *u, enum state state, int64_t now_us)
{
	u->state = state;
	u->state_us = now_us;
}

static void lookup_free(struct lookup *l)
{
	if (!l)
		return;
	if (l->running && gai_error(&l->cb) == EAI_INPROGRESS && gai_cancel(&l->cb) != EAI_CANCELED)
		while (gai_error(&l->cb) == EAI_INPROGRESS)
			gai_suspend((const struct gaicb *const *)l->list, 1, NULL);
	if (l->running && l->cb.ar_result)
		freeaddrinfo(l->cb.ar_result);
	free(l);
}

static void hang_up(struct uplink *u)
{
	tls_close(u->tls);
	u->tls = NULL;
	if (u->fd >= 0)
		close(u->fd);
	u->fd = -1;
	u->in.n = u->out.n = u->out_at = 0;
	u->window_n = u->window_bytes = 0;
}

/* Between half and the whole of it. */
static int64_t jittered(int64_t us)
{
	uint32_t r = 0;
	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = (uint32_t)clock_mono_us();
	return us / 2 + (int64_t)(r % (uint32_t)(us / 2 + 1));
}

static void say_once(struct uplink *u, const struct err *why)
{
	unsigned long skipped;
	bool other = strcmp(why->text, u->said_text.text) != 0;
	if (!log_again(&u->said, &skipped) && !other)
		return;
	u->said_text = *why;
	log_warnx("collector %s: %s; the spool keeps what is raised", u->target[u->at].text, why->text);
}

/* The session is over, for the reason given; the next collector follows. */
static void fail(struct uplink *u, int64_t now_us, const struct err *why)
{
	say_once(u, why);
	if (u->state == STATE_STREAMING && now_us - u->state_us > GOOD_SESSION_US)
		u->backoff_us = BACKOFF_FIRST_US;
	hang_up(u);
	spool_reread(u->spool);
	u->at = (u->at + 1) % u->targets;
	bool all_failed = ++u->failures % u->targets == 0;
	u->retry_us = now_us + jittered(u->backoff_us / (all_failed ? 1 : 4));
	if (all_failed)
		u->backoff_us = u->backoff_us * 2 > BACKOFF_MAX_US ? BACKOFF_MAX_US : u->backoff_us * 2;
	enter(u, STATE_IDLE, now_us);
}

static void failf(struct uplink *u, int64_t now_us, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void failf(struct uplink *u, int64_t now_us, const char *fmt, ...)
{
	struct err e;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e.text, sizeof(e.text), fmt, ap);
	va_end(ap);
	fail(u, now_us, &e);
}

/* ---- connecting ---- */

static void connect_to(struct uplink *u, const struct sockaddr *a, socklen_t n, int64_t now_us)
{
	const int on = 1, timeout_ms = TCP_USER_TIMEOUT_MS;
	struct err e;
	if (!u->conf.tls && !is_loopback(a)) {
		refuse_plaintext(&u->target[u->at], &e);
		fail(u, now_us, &e);
		return;
	}
	u->fd = socket(a->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (u->fd < 0) {
		failf(u, now_us, "cannot open a socket: %s", strerror(errno));
		return;
	}
	if (a->sa_family != AF_UNIX) {
		setsockopt(u->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(u->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		setsockopt(u->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
	}
	enter(u, STATE_CONNECTING, now_us);
	if (connect(u->fd, a, n) != 0 && errno != EINPROGRESS)
		failf(u, now_us, "cannot connect: %s", strerror(errno));
}

static void connect_local(struct uplink *u, int64_t now_us)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", u->target[u->at].text + 5);
	connect_to(u, (const struct sockaddr *)&a, sizeof(a), now_us);
}

static void resolve(struct uplink *u, int64_t now_us)
{
	struct lookup *l = xcalloc(1, sizeof(*l));
	const struct target *t = &u->target[u->at];
	memcpy(l->host, t->host, sizeof(l->host));
	memcpy(l->port, t->port, sizeof(l->port));
	l->hints = (struct addrinfo){.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG};
	if (strspn(t->host, "0123456789.") == strlen(t->host) || strchr(t->host, ':'))
		l->hints.ai_flags = AI_NUMERICSERV | AI_NUMERICHOST;
	l->cb = (struct gaicb){.ar_name = l->host, .ar_service = l->port, .ar_request = &l->hints};
	l->list[0] = &l->cb;
	u->lookup = l;
	enter(u, STATE_RESOLVING, now_us);
	if (l->hints.ai_flags & AI_NUMERICHOST)
		return; /* resolved in place: no thread for what needs none */
	int rc = getaddrinfo_a(GAI_NOWAIT, l->list, 1, NULL);
	l->running = rc == 0;
	if (rc != 0) {
		lookup_free(u->lookup);
		u->lookup = NULL;
		failf(u, now_us, "cannot resolve its name: %s", gai_strerror(rc));
	}
}

static void resolving(struct uplink *u, int64_t now_us)
{
	struct lookup *l = u->lookup;
	int rc = l->running ? gai_error(&l->cb) : getaddrinfo(l->host, l->port, &l->hints, &l->cb.ar_result);
	if (rc == EAI_INPROGRESS) {
		if (now_us - u->state_us > RESOLVE_TIMEOUT_US)
			u->state_us = now_us; /* the resolver ends by itself; one lookup at a time */
		return;
	}
	struct sockaddr_storage a = {0};
	socklen_t n = 0;
	if (rc == 0 && l->cb.ar_result) {
		n = l->cb.ar_result->ai_addrlen;
		memcpy(&a, l->cb.ar_result->ai_addr, n < sizeof(a) ? n : sizeof(a));
		freeaddrinfo(l->cb.ar_result);
		l->cb.ar_result = NULL;
	}
	lookup_free(l);
	u->lookup = NULL;
	if (!n)
		failf(u, now_us, "cannot resolve its name: %s", gai_strerror(rc));
	else
		connect_to(u, (const struct sockaddr *)&a, n, now_us);
}

static void begin(struct uplink *u, int64_t now_us)
{
	if (u->target[u->at].local)
		connect_local(u, now_us);
	else
		resolve(u, now_us);
}

static void say_hello(struct uplink *u, int64_t now_us)
{
	size_t id_n = strlen(u->conf.sensor_id), version_n = strlen(PICKET_VERSION);
	size_t at = frame_begin(&u->out, FRAME_HELLO);
	buf_u64(&u->out, spool_epoch(u->spool));
	buf_u8(&u->out, ROLE_SENSOR);
	buf_u8(&u->out, (uint8_t)id_n);
	buf_add(&u->out, u->conf.sensor_id, id_n);
	buf_u8(&u->out, (uint8_t)version_n);
	buf_add(&u->out, PICKET_VERSION, version_n);
	if (u->conf.sync) {
		const char *ring = rulesync_ring(u->conf.sync);
		buf_u8(&u->out, (uint8_t)strlen(ring));
		buf_add(&u->out, ring, strlen(ring));
	}
	frame_end(&u->out, at);
	u->state = STATE_HELLO; /* TLS and WELCOME share one limit: state_us stays */
	u->heard_us = now_us;
}

static void connected(struct uplink *u, int64_t now_us)
{
	struct pollfd p = {.fd = u->fd, .events = POLLOUT};
	int error = 0;
	socklen_t n = sizeof(error);
	if (poll(&p, 1, 0) < 1)
		return;
	if (getsockopt(u->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error) {
		failf(u, now_us, "cannot connect: %s", strerror(error));
		return;
	}
	enter(u, STATE_TLS, now_us);
	if (!u->conf.tls) {
		say_hello(u, now_us);
		return;
	}
	struct err e;
	u->tls = tls_open(u->conf.tls, u->fd, &e);
	u->tls_wants = TLS_WANT_WRITE;
	if (!u->tls)
		fail(u, now_us, &e);
}

static void shaking(struct uplink *u, int64_t now_us)
{
	struct err e = {"it closed the connection during the TLS handshake"};
	enum tls_result r = tls_handshake(u->tls, &e);
	u->tls_wants = r;
	if (r == TLS_DONE)
		say_hello(u, now_us);
	else if (r == TLS_CLOSED || r == TLS_FAILED)
		fail(u, now_us, &e);
}

/* ---- bytes ---- */

/* DONE: *n bytes moved. Everything that is no TLS looks the same. */
static enum tls_result receive(struct uplink *u, void *into, size_t cap, size_t *n, struct err *e)
{
	if (u->tls)
		return tls_read(u->tls, into, cap, n, e);
	ssize_t got = recv(u->fd, into, cap, 0);
	if (got > 0) {
		*n = (size_t)got;
		return TLS_DONE;
	}
	if (got == 0)
		return TLS_CLOSED;
	if (errno == EAGAIN || errno == EINTR)
		return TLS_WANT_READ;
	err_errno(e, "the connection broke");
	return TLS_FAILED;
}

static enum tls_result transmit(struct uplink *u, const void *from, size_t size, size_t *n, struct err *e)
{
	if (u->tls)
		return tls_write(u->tls, from, size, n, e);
	ssize_t put = send(u->fd, from, size, MSG_NOSIGNAL);
	if (put > 0) {
		*n = (size_t)put;
		return TLS_DONE;
	}
	if (put < 0 && (errno == EAGAIN || errno == EINTR))
		return TLS_WANT_WRITE;
	err_errno(e, "the connection broke");
	return TLS_FAILED;
}

static bool flush(struct uplink *u, int64_t now_us)
{
	while (u->out_at < u->out.n) {
		struct err e = {"it closed the connection"};
		size_t n = 0;
		enum tls_result r = transmit(u, u->out.p + u->out_at, u->out.n - u->out_at, &n, &e);
		if (r == TLS_WANT_READ || r == TLS_WANT_WRITE)
			return true;
		if (r != TLS_DONE) {
			fail(u, now_us, &e);
			return false;
		}
		u->out_at += n;
		if (u->out_at >= OUT_BYTES) {
			buf_shift(&u->out, u->out_at);
			u->out_at = 0;
		}
	}
	u->out.n = u->out_at = 0;
	return true;
}

/* ---- frames ---- */

static void forget_window(struct uplink *u, uint64_t upto)
{
	while (u->window_n && u->window[u->window_first].last <= upto) {
		u->window_bytes -= u->window[u->window_first].bytes;
		u->window_first = (u->window_first + 1) % WINDOW_FRAMES;
		u->window_n--;
	}
}

/* The same collector, at once, under a new epoch. */
static bool hello_again(struct uplink *u, int64_t now_us)
{
	hang_up(u);
	spool_reread(u->spool);
	enter(u, STATE_IDLE, now_us);
	u->retry_us = now_us;
	return false;
}

static bool on_welcome(struct uplink *u, uint64_t mark, uint64_t highest, int64_t now_us)
{
	if (u->state != STATE_HELLO) {
		failf(u, now_us, "it said WELCOME twice");
		return false;
	}
	enum spool_welcome w = spool_welcome(u->spool, mark, highest, now_us);
	if (w == SPOOL_BUSY) {
		failf(u, now_us, "its mark is beyond our spool, and the disk does not take a new epoch");
		return false;
	}
	if (w == SPOOL_RENEWED)
		return hello_again(u, now_us);
	u->sent = u->acked = mark;
	u->rewinds = 0;
	u->rewind_to = 0;
	u->status_us = 0;
	u->sessions++;
	u->said_text.text[0] = '\0';
	if (u->conf.sync)
		rulesync_connected(u->conf.sync);
	enter(u, STATE_STREAMING, now_us);
	log_info("connected to the collector %s, sending from record %" PRIu64, u->target[u->at].text, mark + 1);
	return true;
}

static bool on_ack(struct uplink *u, uint64_t seq, int64_t now_us)
{
	if (seq > u->sent) {
		failf(u, now_us, "it acknowledged record %" PRIu64 ", sent were %" PRIu64, seq, u->sent);
		return false;
	}
	if (seq <= u->acked)
		return true;
	u->acked = seq;
	u->rewinds = 0;
	u->failures = 0;
	u->backoff_us = BACKOFF_FIRST_US;
	forget_window(u, seq);
	spool_ack(u->spool, seq, now_us);
	return !spool_again(u->spool) || hello_again(u, now_us);
}

static bool on_rewind(struct uplink *u, uint64_t seq, int64_t now_us)
{
	if (seq == u->rewind_to && now_us - u->rewind_us < REWIND_ECHO_US)
		return true;
	if (!seq || seq > u->sent + 1 || ++u->rewinds > REWINDS_MAX) {
		failf(u, now_us, "it asked for record %" PRIu64 " again (%u times)", seq, u->rewinds);
		return false;
	}
	u->rewind_to = seq;
	u->rewind_us = now_us;
	u->sent = seq - 1;
	u->window_n = u->window_bytes = 0;
	return true;
}

static bool on_bye(struct uplink *u, struct cursor c, int64_t now_us)
{
	char text[200];
	cursor_skip(&c, 1);
	size_t n = cursor_left(&c);
	failf(u, now_us, "it said goodbye: %s", text_clean(text, sizeof(text), c.p, n));
	return false;
}

static bool on_set(struct uplink *u, const struct frame *f, int64_t now_us)
{
	struct err e;
	if (rulesync_take(u->conf.sync, f, &e))
		return true;
	fail(u, now_us, &e);
	return false;
}

static bool on_frame(struct uplink *u, const struct frame *f, int64_t now_us)
{
	struct cursor c = cursor_over(f->payload.p, f->payload.n);
	if (f->type == FRAME_BYE)
		return on_bye(u, c, now_us);
	uint64_t number = cursor_u64(&c);
	bool streaming = u->state == STATE_STREAMING;
	if (streaming && u->conf.sync && (f->type == FRAME_SET_OFFER || f->type == FRAME_SET_DATA))
		return on_set(u, f, now_us);
	if (cursor_ok(&c) && f->type == FRAME_WELCOME)
		return on_welcome(u, number, cursor_left(&c) ? cursor_u64(&c) : number, now_us);
	if (cursor_ok(&c) && streaming && f->type == FRAME_ACK)
		return on_ack(u, number, now_us);
	if (cursor_ok(&c) && streaming && f->type == FRAME_REWIND)
		return on_rewind(u, number, now_us);
	failf(u, now_us, "it sent a frame of type %d with %zu bytes out of place", f->type, f->payload.n);
	return false;
}

/* False: the session has ended. */
static bool take_frames(struct uplink *u, int64_t now_us)
{
	for (;;) {
		struct frame f;
		struct err e;
		size_t used;
		enum frame_result r = frame_read(u->in.p, u->in.n, &f, &used, &e);
		if (r == FRAME_BAD) {
			fail(u, now_us, &e);
			return false;
		}
		if (r == FRAME_MORE)
			return u->in.n < IN_BYTES_MAX || (failf(u, now_us, "it sent a frame that is too long"), false);
		if (!on_frame(u, &f, now_us))
			return false;
		buf_shift(&u->in, used);
	}
}

static bool hear(struct uplink *u, int64_t now_us)
{
	for (;;) {
		struct err e = {"it closed the connection"};
		uint8_t chunk[16384];
		size_t got = 0;
		enum tls_result r = receive(u, chunk, sizeof(chunk), &got, &e);
		if (r == TLS_WANT_READ || r == TLS_WANT_WRITE)
			return true;
		if (r != TLS_DONE) {
			fail(u, now_us, &e);
			return false;
		}
		u->heard_us = now_us;
		buf_add(&u->in, chunk, got);
		if (!take_frames(u, now_us))
			return false;
	}
}

static void put_status(struct uplink *u, int64_t now_us)
{
	if (u->status_us && now_us - u->status_us < STATUS_EVERY_US)
		return;
	u->status_us = now_us;
	if (!u->status.n) /* nothing was said yet, and an empty word would only stand in the way of the first */
		return;
	size_t at = frame_begin(&u->out, FRAME_STATUS);
	buf_add(&u->out, u->status.p, u->status.n);
	frame_end(&u->out, at);
}

/* One DATA frame. False: nothing is ready or the window is full. */
static bool put_data(struct uplink *u, int64_t now_us)
{
	if (u->window_n == WINDOW_FRAMES || u->window_bytes >= WINDOW_BYTES || u->sent >= spool_ready(u->spool))
		return false;
	size_t start = u->out.n, at = frame_begin(&u->out, FRAME_DATA);
	buf_u64(&u->out, u->sent + 1);
	size_t count_at = u->out.n;
	buf_u32(&u->out, 0);
	uint32_t n = spool_read(u->spool, u->sent + 1, DATA_BYTES, &u->out);
	if (!n) {
		u->out.n = start;
		return false;
	}
	for (int i = 0; i < 4; i++)
		u->out.p[count_at + (size_t)i] = (uint8_t)(n >> (8 * (3 - i)));
	frame_end(&u->out, at);
	if (!u->window_n)
		u->heard_us = now_us; /* the time for its ACK begins */
	u->sent += n;
	u->window[(u->window_first + u->window_n++) % WINDOW_FRAMES] = (struct sent){.last = u->sent,
										     .bytes = u->out.n - start};
	u->window_bytes += u->out.n - start;
	return true;
}

/* Frames are gathered up to OUT_BYTES, so that TLS gets long writes when there
 * is a backlog and a lone alert goes at once. */
static void stream(struct uplink *u, int64_t now_us)
{
	do {
		put_status(u, now_us);
		if (u->conf.sync && u->out.n - u->out_at < OUT_BYTES)
			rulesync_put(u->conf.sync, &u->out);
		while (u->out.n - u->out_at < OUT_BYTES && put_data(u, now_us))
			;
		if (u->out_at == u->out.n || !flush(u, now_us))
			return;
	} while (!u->out.n);
}

static void check_times(struct uplink *u, int64_t now_us)
{
	int64_t since = now_us - u->state_us;
	if (u->state == STATE_CONNECTING && since > CONNECT_TIMEOUT_US)
		failf(u, now_us, "no connection within %lld s", CONNECT_TIMEOUT_US / S);
	else if ((u->state == STATE_TLS || u->state == STATE_HELLO) && since > HELLO_TIMEOUT_US)
		failf(u, now_us, "no WELCOME within %lld s", HELLO_TIMEOUT_US / S);
	else if (u->state == STATE_STREAMING && u->window_n && now_us - u->heard_us > ACK_TIMEOUT_US)
		failf(u, now_us, "nothing was acknowledged for %lld s", ACK_TIMEOUT_US / S);
}

void uplink_run(struct uplink *u, int64_t now_us)
{
	if (u->state == STATE_IDLE && now_us >= u->retry_us)
		begin(u, now_us);
	if (u->state == STATE_RESOLVING)
		resolving(u, now_us);
	if (u->state == STATE_CONNECTING)
		connected(u, now_us);
	if (u->state == STATE_TLS)
		shaking(u, now_us);
	if (u->state == STATE_HELLO && flush(u, now_us))
		hear(u, now_us);
	else if (u->state == STATE_STREAMING && !hear(u, now_us))
		return;
	if (u->state == STATE_STREAMING)
		stream(u, now_us);
	check_times(u, now_us);
}

static short wanted_events(const struct uplink *u)
{
	bool more = u->state == STATE_HELLO || u->state == STATE_STREAMING;
	if (u->state == STATE_CONNECTING || (u->state == STATE_TLS && u->tls_wants == TLS_WANT_WRITE))
		return POLLOUT;
	return (short)(POLLIN | (more && u->out_at < u->out.n ? POLLOUT : 0));
}

int64_t uplink_wants(const struct uplink *u, int *fd, short *events)
{
	*fd = u->fd;
	*events = wanted_events(u);
	switch (u->state) {
	case STATE_IDLE:
		return u->retry_us;
	case STATE_RESOLVING:
		return clock_mono_us() + RESOLVE_POLL_US;
	case STATE_CONNECTING:
		return u->state_us + CONNECT_TIMEOUT_US + 1;
	case STATE_TLS:
	case STATE_HELLO:
		return u->state_us + HELLO_TIMEOUT_US + 1;
	default:
		return u->status_us + STATUS_EVERY_US;
	}
}

/* ---- the rest ---- */

void uplink_status(struct uplink *u, const char *json, size_t n)
{
	u->status.n = 0;
	u->status_us = 0; /* due at once: a sensor that leaves tells its last figures */
	if (n <= STATUS_BYTES_MAX)
		buf_add(&u->status, json, n);
}

void uplink_recheck(struct uplink *u, int64_t now_us)
{
	struct err e;
	bool shaken = u->state == STATE_HELLO || u->state == STATE_STREAMING;
	if (u->tls && shaken && !tls_recheck(u->tls, u->conf.tls, &e))
		fail(u, now_us, &e);
	else if (u->state == STATE_IDLE)
		u->retry_us = now_us; /* perhaps it was the certificate */
}

void uplink_bye(struct uplink *u)
{
	static const char text[] = "the sensor stops";
	if (u->state == STATE_STREAMING) {
		size_t at = frame_begin(&u->out, FRAME_BYE);
		buf_u8(&u->out, 0);
		buf_add(&u->out, text, sizeof(text) - 1);
		frame_end(&u->out, at);
		flush(u, clock_mono_us());
	}
	hang_up(u);
	enter(u, STATE_IDLE, clock_mono_us());
}

void uplink_free(struct uplink *u)
{
	if (!u)
		return;
	hang_up(u);
	lookup_free(u->lookup);
	buf_free(&u->in);
	buf_free(&u->out);
	buf_free(&u->status);
	free(u->target);
	free(u);
}

void uplink_stats(const struct uplink *u, struct uplink_stats *out)
{
	*out = (struct uplink_stats){.connected = u->state == STATE_STREAMING, .sessions = u->sessions};
	snprintf(out->collector, sizeof(out->collector), "%s", u->target[u->at].text);
}
