/* One process, one thread, one epoll. Sockets are edge-triggered: a connection
 * remembers that it is readable, and pausing it is not reading it, so a sensor
 * that is ahead of Redis fills its own socket buffer, then its spool.
 *
 * Every connection gets at most one frame per round. A session whose flush is
 * under way cannot be freed before Redis answered: it stays, closed, until then.
 *
 * Ten thousand sensors that say nothing must not make a round long: a round is for the
 * connections that are awake, those with an event, an answer or something under way.
 * The others have their turn when SWEEP_US are over, for limits of time and new sets.
 * Who comes from an address or with a name is found by a hash, for strangers make us
 * ask with every connection. */
#include "collector/server.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "collector/server_metrics.h"
#include "collector/posture.h"
#include "collector/set_link.h"
#include "common/clock.h"
#include "common/listen.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/text.h"

#define EVENTS_MAX     256
#define READ_PER_ROUND (256u << 10) /* bytes of one connection */
#define ROUND_IDLE_MS  100
#define ROUND_BUSY_MS  5
#define SWEEP_US       100000
#define INDEX_SLOTS    4096
#define PAUSE_US       100000  /* when no descriptor is left */
#define LINGER_US      1000000 /* for a BYE to go out */
#define LEAVE_US       3000000 /* for the last flushes at the end */
#define STATS_EVERY_US 60000000

struct listener {
	struct listen_address address;
	const char *text;
	int fd;
	bool tls;
};

struct conn {
	struct conn *next, *prev;
	struct conn *awake_next;
	struct conn *address_next, *name_next; /* in the same slot of the server's indexes */
	struct server *server;
	int fd;
	struct tls_conn *tls;
	bool readable, writable, handshaking, gone, awake, local;
	char peer[ADDR_TEXT_LEN];
	struct addr addr;
	char name[IDENTITY_PART_MAX + 1]; /* the certificate's; without one what HELLO said; "" before */
	struct session session;
	struct buf status;    /* the last STATUS, to be told again when it leaves */
	int64_t status_at_us; /* when that came */
	int64_t skew_us;      /* the sensor's clock against ours then */
	size_t calls;         /* of the store, under way */
	int64_t closed_us;
	size_t sent; /* of session.out */
	struct set_link sets;
};

struct server {
	const struct collector_conf *conf;
	struct session_limits limits;
	struct session_ops ops;
	struct hash_key hash;
	struct store *store;
	struct sets *sets;
	struct tls *tls;
	int epoll;
	struct listener *listeners;
	size_t listeners_n;
	struct conn *conns, *awake;
	size_t conns_n;
	bool ready;  /* the store was, in the last round */
	bool urgent; /* who is awake waits for nothing */
	int64_t sweep_us;
	uint64_t sets_generation; /* that all were woken for */
	struct conn *by_address[INDEX_SLOTS], *by_name[INDEX_SLOTS];
	uint64_t accepted, refused, blamed;
	struct session_stats gone; /* of sessions that have ended */
	struct metrics *metrics;
	int64_t paused_until_us; /* no descriptor was left; 0 = listening */
	char name[FRAME_ID_MAX + 1];
	int64_t watchdog_us, watchdog_next_us, stats_next_us;
	bool leaving;
	struct log_once say_refused, say_blamed, say_closed;
};

/* ---- who is connected ---- */

static struct conn **address_slot(struct server *s, const struct addr *a)
{
	return &s->by_address[hash64(&s->hash, a, sizeof(*a)) % INDEX_SLOTS];
}

static struct conn **name_slot(struct server *s, const char *name)
{
	return &s->by_name[hash64(&s->hash, name, strlen(name)) % INDEX_SLOTS];
}

static void enter(struct conn *c)
{
	struct server *s = c->server;
	struct conn **slot = address_slot(s, &c->addr);
	if (!c->local) {
		c->address_next = *slot;
		*slot = c;
	}
	c->next = s->conns;
	if (s->conns)
		s->conns->prev = c;
	s->conns = c;
	s->conns_n++;
}

static void enter_name(struct conn *c, const char *name)
{
	if (*c->name || !*name)
		return;
	struct conn **slot = name_slot(c->server, name);
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->name_next = *slot;
	*slot = c;
}

static void remove_conn(struct conn *c)
{
	struct server *s = c->server;
	struct conn **at;
	if (!c->local) {
		for (at = address_slot(s, &c->addr); *at != c;)
			at = &(*at)->address_next;
		*at = c->address_next;
	}
	if (*c->name) {
		for (at = name_slot(s, c->name); *at != c;)
			at = &(*at)->name_next;
		*at = c->name_next;
	}
	*(c->prev ? &c->prev->next : &s->conns) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->conns_n--;
}

static size_t count_address(struct server *s, const struct addr *a)
{
	size_t n = 0;
	for (const struct conn *c = *address_slot(s, a); c; c = c->address_next)
		n += addr_equal(&c->addr, a);
	return n;
}

static size_t count_name(struct server *s, const char *name)
{
	size_t n = 0;
	for (const struct conn *c = *name_slot(s, name); c; c = c->name_next)
		n += c->tls && !c->gone && strcmp(c->name, name) == 0;
	return n;
}

/* It has its turn in the next round. */
static void wake(struct conn *c)
{
	if (c->awake)
		return;
	c->awake = true;
	c->awake_next = c->server->awake;
	c->server->awake = c;
}

/* The same, and the next round comes at once. */
static void wake_now(struct conn *c)
{
	c->server->urgent = true;
	wake(c);
}

static void wake_all(struct server *s)
{
	for (struct conn *c = s->conns; c; c = c->next)
		wake(c);
}

/* ---- what a session asks for ---- */

static void put_field(struct store_field *f, size_t *n, const char *name, const char *value)
{
	f[(*n)++] = (struct store_field){.name = {(const uint8_t *)name, strlen(name)},
					 .value = {(const uint8_t *)value, strlen(value)}};
}

static void tell_posture(struct conn *c, bool connected)
{
	struct session *s = &c->session;
	struct store_field f[STORE_FIELDS_MAX];
	struct buf text = {0};
	size_t n = 0;
	char seen[CLOCK_TEXT_LEN], stored[24], epoch[24], lies[24], skew[24];
	clock_format(clock_wall_us(), seen);
	snprintf(stored, sizeof(stored), "%" PRIu64, s->stored);
	snprintf(epoch, sizeof(epoch), "%" PRIu64, s->epoch);
	snprintf(lies, sizeof(lies), "%" PRIu64, s->stats.lies + s->stats.unreadable);
	put_field(f, &n, "connected", connected ? "true" : "false");
	put_field(f, &n, "seen", seen);
	put_field(f, &n, "collector", c->server->name);
	put_field(f, &n, "address", c->peer);
	put_field(f, &n, "version", s->version);
	put_field(f, &n, "epoch", epoch);
	put_field(f, &n, "stored", stored);
	put_field(f, &n, "refused_records", lies);
	put_field(f, &n, "takes_sets", c->sets.on ? "true" : "false");
	if (c->sets.on)
		put_field(f, &n, "ring", c->sets.ring);
	n = posture_flatten((struct bytes){c->status.p, c->status.n}, f, n, STORE_FIELDS_MAX - 1, &text);
	if (c->status.n) {
		snprintf(skew, sizeof(skew), "%" PRId64, c->skew_us / 1000);
		put_field(f, &n, "skew_ms", skew);
	}
	store_posture(c->server->store, s->id, f, n);
	buf_free(&text);
}

static void on_marks(void *arg, enum store_result result, const struct marks *marks)
{
	struct conn *c = arg;
	c->calls--;
	wake_now(c);
	if (result != STORE_OK) {
		session_close(&c->session, "the store is not available");
		return;
	}
	session_welcome(&c->session, marks);
	log_debug("sensor %s (%s, epoch %" PRIu64 ") resumes after %" PRIu64, c->session.id, c->peer, c->session.epoch,
		  marks_lowest(marks));
	tell_posture(c, true);
}

static void ask_mark(struct conn *c)
{
	c->calls++;
	store_marks(c->server->store, c->session.id, c->session.epoch, (struct store_marks_done){on_marks, c});
}

/* A sensor that comes again has lost its old connection, even if we have not
 * noticed: the newer one counts. Redis' mark keeps two of one name apart. */
static void supersede(struct conn *c)
{
	for (struct conn *o = *name_slot(c->server, c->session.id); o; o = o->name_next)
		if (o != c && (o->session.state == SESSION_OPEN || o->session.state == SESSION_ASKED) &&
		    strcmp(o->session.id, c->session.id) == 0) {
			session_close(&o->session, "a newer connection of the same sensor took over");
			wake_now(o);
		}
}

static bool on_hello(struct session *s, struct err *e)
{
	struct conn *c = s->owner;
	const struct identity *who = c->tls ? tls_peer(c->tls) : NULL;
	if (who && strcmp(who->name, s->id) != 0)
		return err_set(e, "HELLO says %s, the certificate says %s", s->id, who->name);
	enter_name(c, s->id);
	supersede(c);
	if (store_state(c->server->store) == STORE_READY)
		ask_mark(c);
	return true;
}

/* One flush under way: the session and what it will have stored. */
struct flushing {
	struct conn *conn;
	uint64_t hi;
};

static void on_flushed(void *arg, enum store_result result, uint64_t mark)
{
	struct flushing *f = arg;
	struct conn *c = f->conn;
	(void)mark;
	c->calls--;
	wake_now(c);
	if (result == STORE_OK)
		session_flushed(&c->session, f->hi);
	else
		session_refused(&c->session, result == STORE_BEHIND ? "Redis has another mark for this sensor"
								    : "the store did not take the alerts");
	free(f);
}

static void on_flush(struct session *s, uint64_t hi)
{
	struct conn *c = s->owner;
	struct flushing *f = xcalloc(1, sizeof(*f));
	*f = (struct flushing){c, hi};
	c->calls++;
	struct store_flush flush = {.sensor = s->id, .epoch = s->epoch, .hi = hi, .marks = &s->marks, .fold = &s->fold};
	store_flush(c->server->store, &flush, (struct store_done){on_flushed, f});
}

static void on_status(struct session *s, struct bytes json)
{
	struct conn *c = s->owner;
	c->status.n = 0;
	buf_add(&c->status, json.p, json.n);
	c->status_at_us = clock_wall_us();
	c->skew_us = posture_skew(json, c->status_at_us);
	tell_posture(c, true);
}

static bool on_hello_rest(struct session *s, struct cursor rest)
{
	struct conn *c = s->owner;
	return set_link_hello(&c->sets, rest);
}

static bool on_set_frame(struct session *s, const struct frame *f, struct err *e)
{
	struct conn *c = s->owner;
	return set_link_take(&c->sets, c->server->sets, s->id, f, e);
}

/* ---- connections ---- */

static void conn_free(struct conn *c)
{
	set_link_free(&c->sets);
	tls_close(c->tls);
	close(c->fd);
	session_free(&c->session);
	buf_free(&c->status);
	free(c);
}

static void refuse(struct server *s, const char *peer, const char *why)
{
	unsigned long skipped;
	s->refused++;
	if (log_again(&s->say_refused, &skipped))
		log_warnx("refused a connection from %s: %s (%lu more were not logged)", peer, why, skipped);
}

static void conn_open(struct server *s, const struct listener *l, int fd, const struct addr *peer)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	struct err e;
	*c = (struct conn){
	    .server = s, .fd = fd, .addr = *peer, .local = l->address.local, .writable = true, .handshaking = l->tls};
	if (l->address.local)
		snprintf(c->peer, sizeof(c->peer), "unix socket");
	else
		addr_format(peer, c->peer);
	session_init(&c->session, &s->ops, &s->limits, c, &s->hash, s->conf->reopen_after_ms * 1000,
		     (size_t)s->conf->flush_distinct, clock_mono_us());
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
	if ((l->tls && !(c->tls = tls_open(s->tls, fd, &e))) || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
		refuse(s, c->peer, "no memory for it");
		conn_free(c);
		return;
	}
	enter(c);
	wake(c);
}

/* Without a free descriptor a listening socket stays readable for ever. */
static void pause_listeners(struct server *s, const char *why)
{
	refuse(s, "anybody", why);
	for (size_t i = 0; i < s->listeners_n; i++)
		epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->listeners[i].fd, NULL);
	s->paused_until_us = clock_mono_us() + PAUSE_US;
}

static void resume_listeners(struct server *s)
{
	s->paused_until_us = 0;
	for (size_t i = 0; i < s->listeners_n && !s->leaving; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &s->listeners[i]};
		epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listeners[i].fd, &ev);
	}
}

static void accept_all(struct server *s, const struct listener *l)
{
	for (int i = 0; i < EVENTS_MAX; i++) {
		struct addr peer;
		char text[ADDR_TEXT_LEN] = "unix socket";
		int fd = listen_accept(l->fd, &peer);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
				pause_listeners(s, strerror(errno));
			return;
		}
		s->accepted++;
		if (!l->address.local)
			addr_format(&peer, text);
		if (s->conns_n >= (size_t)s->conf->connections)
			refuse(s, text, "limits.connections is reached");
		else if (!l->address.local && count_address(s, &peer) >= (size_t)s->conf->per_address)
			refuse(s, text, "limits.per_address is reached");
		else {
			conn_open(s, l, fd, &peer);
			continue;
		}
		close(fd);
	}
}

static void conn_lost(struct conn *c, const char *why)
{
	c->gone = true;
	session_close(&c->session, "%s", why);
}

static void conn_handshake(struct conn *c)
{
	struct err e;
	enum tls_result r = tls_handshake(c->tls, &e);
	if (r == TLS_DONE) {
		c->handshaking = false;
		enter_name(c, tls_peer(c->tls)->name);
		if (count_name(c->server, c->name) > (size_t)c->server->conf->per_identity)
			session_blame(&c->session, "limits.per_identity is reached for %s", c->name);
	} else if (r == TLS_WANT_READ) {
		c->readable = false;
	} else if (r == TLS_WANT_WRITE) {
		c->writable = false;
	} else {
		char clean[300];
		text_clean(clean, sizeof(clean), e.text, strlen(e.text));
		refuse(c->server, c->peer, r == TLS_CLOSED ? "it left during the handshake" : clean);
		conn_lost(c, "handshake failed");
	}
}

/* Bytes read, 0 = none now (the connection may be over). */
static size_t link_read(struct conn *c, void *into, size_t cap)
{
	struct err e;
	size_t got = 0;
	if (c->tls) {
		enum tls_result r = tls_read(c->tls, into, cap, &got, &e);
		if (r == TLS_DONE)
			return got;
		if (r == TLS_WANT_READ)
			c->readable = false;
		else if (r == TLS_WANT_WRITE)
			c->writable = false;
		else
			conn_lost(c, r == TLS_CLOSED ? "the sensor closed the connection" : e.text);
		return 0;
	}
	ssize_t n = recv(c->fd, into, cap, 0);
	if (n > 0)
		return (size_t)n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		c->readable = errno == EINTR;
	else
		conn_lost(c, n == 0 ? "the sensor closed the connection" : strerror(errno));
	return 0;
}

static size_t link_write(struct conn *c, const void *from, size_t n)
{
	struct err e;
	size_t put = 0;
	if (c->tls) {
		enum tls_result r = tls_write(c->tls, from, n, &put, &e);
		if (r == TLS_DONE)
			return put;
		if (r == TLS_WANT_WRITE)
			c->writable = false;
		else if (r == TLS_WANT_READ)
			c->readable = false;
		else
			conn_lost(c, "the connection broke");
		return 0;
	}
	ssize_t sent = send(c->fd, from, n, MSG_NOSIGNAL);
	if (sent >= 0)
		return (size_t)sent;
	if (errno == EAGAIN || errno == EINTR)
		c->writable = errno == EINTR;
	else
		conn_lost(c, strerror(errno));
	return 0;
}

static void conn_read(struct conn *c, int64_t now)
{
	uint8_t chunk[65536];
	size_t total = 0, want;
	while (c->readable && !c->gone && total < READ_PER_ROUND && (want = session_wants_input(&c->session)) > 0) {
		size_t n = link_read(c, chunk, want < sizeof(chunk) ? want : sizeof(chunk));
		if (!n)
			return;
		session_feed(&c->session, chunk, n, now);
		total += n;
	}
}

static void conn_write(struct conn *c)
{
	struct buf *out = &c->session.out;
	while (c->writable && !c->gone && c->sent < out->n) {
		size_t n = link_write(c, out->p + c->sent, out->n - c->sent);
		if (!n)
			break;
		c->sent += n;
	}
	if (c->sent == out->n)
		c->sent = out->n = 0;
}

/* True: there is more to do for it at once. */
static bool conn_work(struct conn *c, int64_t now, int64_t wall)
{
	bool more = false;
	if (c->handshaking && !c->gone && c->session.state == SESSION_NEW)
		conn_handshake(c);
	if (!c->handshaking) {
		if (!c->server->leaving)
			conn_read(c, now);
		more = session_turn(&c->session, now, wall);
	}
	session_tick(&c->session, now);
	bool sets = c->session.state == SESSION_OPEN && !c->server->leaving &&
		    set_link_put(&c->sets, c->server->sets, &c->session.out);
	if (!c->handshaking)
		conn_write(c);
	return more || (sets && c->writable && !c->gone) ||
	       (c->readable && !c->gone && !c->handshaking && session_wants_input(&c->session));
}

static void say_closed(struct conn *c)
{
	unsigned long skipped;
	char clean[300];
	text_clean(clean, sizeof(clean), c->session.why.text, strlen(c->session.why.text));
	const char *who = c->session.id[0] ? c->session.id : "unknown sensor";
	c->server->blamed += c->session.blamed;
	if (log_enabled(LOG_LEVEL_DEBUG))
		log_debug("%s %s: %s", who, c->peer, clean);
	else if (c->session.blamed && log_again(&c->server->say_blamed, &skipped))
		log_warnx("sent away %s (%s): %s (%lu more were not logged)", who, c->peer, clean, skipped);
	else if (!c->session.blamed && !c->server->leaving && log_again(&c->server->say_closed, &skipped))
		log_info("%s (%s) disconnected: %s%s", who, c->peer, clean, skipped ? " (more were not logged)" : "");
}

/* Closed sessions, which are awake, leave when their BYE is out and Redis has answered all. */
static void reap(struct server *s, int64_t now)
{
	for (struct conn **at = &s->awake; *at;) {
		struct conn *c = *at;
		if (c->session.state != SESSION_CLOSED) {
			at = &c->awake_next;
			continue;
		}
		if (!c->closed_us) {
			c->closed_us = now;
			say_closed(c);
			if (c->session.fold.delta)
				tell_posture(c, false);
		}
		bool said = c->gone || c->handshaking || !c->session.out.n || now - c->closed_us > LINGER_US;
		if (c->calls || !said) {
			at = &c->awake_next;
			continue;
		}
		*at = c->awake_next;
		remove_conn(c);
		session_stats_sum(&s->gone, &c->session.stats);
		conn_free(c);
	}
}

/* ---- the loop ---- */

static void serve_store(struct server *s)
{
	store_work(s->store);
	sets_work(s->sets, clock_mono_us());
	s->limits.lane_deltas = store_call_deltas(s->store) / 2; /* two lanes of a full fold fit into a call */
	bool ready = store_state(s->store) == STORE_READY;
	if (s->sets_generation != sets_generation(s->sets) || (ready && !s->ready))
		wake_all(s);
	s->sets_generation = sets_generation(s->sets);
	s->ready = ready;
	if (!ready)
		return;
	for (struct conn *c = s->awake; c; c = c->awake_next)
		if (c->session.state == SESSION_ASKED && !c->calls)
			ask_mark(c);
}

static void on_event(struct server *s, const struct epoll_event *ev)
{
	for (size_t i = 0; i < s->listeners_n; i++)
		if (ev->data.ptr == &s->listeners[i]) {
			accept_all(s, &s->listeners[i]);
			return;
		}
	if (ev->data.ptr == s->store)
		return; /* served in every round */
	if (ev->data.ptr == s->metrics) {
		metrics_work(s->metrics);
		return;
	}
	struct conn *c = ev->data.ptr;
	c->readable = c->readable || (ev->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	c->writable = c->writable || (ev->events & (EPOLLOUT | EPOLLHUP | EPOLLERR));
	wake(c);
}

/* Whether it must have a turn before the next sweep. */
static bool under_way(const struct conn *c)
{
	const struct session *s = &c->session;
	return s->folded != s->flushed || c->calls || s->out.n || s->stuck || s->state == SESSION_CLOSED ||
	       c->sets.waiting_n;
}

/* One frame for each that is awake. What is left over stays awake. */
static void work_all(struct server *s, bool *more, bool *busy)
{
	int64_t now = clock_mono_us(), wall = clock_wall_us();
	struct conn *list = s->awake;
	s->awake = NULL;
	for (struct conn *c = list, *next; c; c = next) {
		next = c->awake_next;
		c->awake = false;
		bool again = conn_work(c, now, wall);
		*more = *more || again;
		*busy = *busy || under_way(c);
		if (again || under_way(c))
			wake(c);
	}
}

/* One round: what arrived, one frame for everybody, Redis, who has left. Gives
 * how long the next may sleep. */
static int round_once(struct server *s, int sleep_ms)
{
	struct epoll_event ev[EVENTS_MAX];
	int n = epoll_wait(s->epoll, ev, EVENTS_MAX, s->urgent ? 0 : sleep_ms);
	for (int i = 0; i < n; i++)
		on_event(s, &ev[i]);
	int64_t now = clock_mono_us();
	bool more = false, busy = false;
	if (now >= s->sweep_us || s->leaving) {
		s->sweep_us = now + SWEEP_US;
		wake_all(s);
	}
	s->urgent = false;
	work_all(s, &more, &busy);
	serve_store(s);
	reap(s, now);
	if (s->paused_until_us && now >= s->paused_until_us)
		resume_listeners(s);
	if (s->watchdog_us && now >= s->watchdog_next_us) {
		sd_notify(0, "WATCHDOG=1");
		s->watchdog_next_us = now + s->watchdog_us / 3;
	}
	return more ? 0 : busy || store_state(s->store) == STORE_CHECKING ? ROUND_BUSY_MS : ROUND_IDLE_MS;
}

static void say_stats(struct server *s, enum log_level level)
{
	const struct store_stats *t = store_stats(s->store);
	char line[512];
	snprintf(line, sizeof(line),
		 "%zu connections, %" PRIu64 " accepted, %" PRIu64 " refused, %" PRIu64 " sent away; %" PRIu64
		 " alerts in %" PRIu64 " deltas and %" PRIu64 " flushes, %" PRIu64 " transitions, %" PRIu64
		 " behind, %" PRIu64 " failed, %" PRIu64 " redirected, %" PRIu64 " wrong keys, %" PRIu64
		 " groups swept",
		 s->conns_n, s->accepted, s->refused, s->blamed, t->alerts, t->deltas, t->flushes, t->transitions,
		 t->behind, t->failed, t->redirects, t->conflicts, t->swept);
	if (level == LOG_LEVEL_INFO)
		log_info("%s", line);
	else
		log_debug("%s", line);
	sd_notifyf(0, "STATUS=%s", line);
}

bool server_wait_for_store(struct server *s, int64_t wait_ms, struct err *e)
{
	int64_t until = clock_mono_us() + wait_ms * 1000;
	bool unfit = false;
	if (!metrics_serve(s->metrics, e))
		return false;
	while (clock_mono_us() < until && store_state(s->store) != STORE_READY && !unfit) {
		round_once(s, 10);
		const char *trouble = store_trouble(s->store, &unfit);
		if (unfit)
			return err_set(e, "%s", trouble);
	}
	return true;
}

static void set_limits(struct server *s)
{
	const struct collector_conf *c = s->conf;
	s->limits = (struct session_limits){.hello_us = c->hello_ms * 1000,
					    .frame_us = c->frame_ms * 1000,
					    .flush_us = c->flush_ms * 1000,
					    .in_flight = (size_t)c->flush_in_flight,
					    .records_per_s = c->records_per_s,
					    .bytes_per_s = c->bytes_per_s};
	store_configure(s->store, &c->store);
}

static void reload(struct server *s, bool (*again)(void *arg), void *arg)
{
	struct err e;
	if (!again(arg))
		return;
	set_limits(s);
	if (s->tls && !tls_reload(s->tls, &e)) {
		log_warnx("certificates stay as they were: %s", e.text);
		return;
	}
	for (struct conn *c = s->conns; c; c = c->next)
		if (c->tls && !c->handshaking && !tls_recheck(c->tls, s->tls, &e))
			session_blame(&c->session, "its certificate is no longer good: %s", e.text);
	wake_all(s);
	log_info("configuration loaded again");
}

/* Takes nothing more, flushes what is there, waits for Redis, says goodbye. */
static void leave(struct server *s)
{
	int64_t until = clock_mono_us() + LEAVE_US;
	s->leaving = true;
	for (size_t i = 0; i < s->listeners_n; i++)
		epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->listeners[i].fd, NULL);
	bool pending = true;
	while (pending && clock_mono_us() < until) {
		round_once(s, 5);
		pending = false;
		for (struct conn *c = s->conns; c; c = c->next)
			pending = pending || c->calls ||
				  (c->session.state == SESSION_OPEN && c->session.folded != c->session.flushed);
	}
	for (struct conn *c = s->conns; c; c = c->next)
		session_close(&c->session, "the collector is leaving");
	for (until = clock_mono_us() + LINGER_US; s->conns && clock_mono_us() < until;)
		round_once(s, 5);
}

void server_run(struct server *s, struct server_signals *signals, bool (*again)(void *arg), void *arg)
{
	int sleep_ms = 0;
	uint64_t watchdog_us = 0;
	if (sd_watchdog_enabled(0, &watchdog_us) > 0)
		s->watchdog_us = (int64_t)watchdog_us;
	sd_notify(0, "READY=1");
	while (!signals->stop) {
		sleep_ms = round_once(s, sleep_ms);
		if (signals->reload) {
			signals->reload = 0;
			sd_notify(0, "RELOADING=1");
			reload(s, again, arg);
			sd_notify(0, "READY=1");
		}
		if (clock_mono_us() >= s->stats_next_us) {
			s->stats_next_us = clock_mono_us() + STATS_EVERY_US;
			say_stats(s, LOG_LEVEL_DEBUG);
		}
	}
	sd_notify(0, "STOPPING=1");
	leave(s);
	say_stats(s, LOG_LEVEL_INFO);
}

/* ---- figures ---- */

void server_figures(const struct server *s, struct server_figures *out)
{
	*out = (struct server_figures){.connections = s->conns_n,
				       .accepted = s->accepted,
				       .refused = s->refused,
				       .blamed = s->blamed,
				       .sessions = s->gone,
				       .store = store_stats(s->store),
				       .redis_ready = store_state(s->store) == STORE_READY};
	for (const struct conn *c = s->conns; c; c = c->next)
		session_stats_sum(&out->sessions, &c->session.stats);
}

void server_each_sensor(const struct server *s, void (*each)(void *arg, const struct server_sensor *sensor), void *arg)
{
	for (const struct conn *c = s->conns; c; c = c->next) {
		struct server_sensor one = {.id = c->session.id,
					    .version = c->session.version,
					    .address = c->peer,
					    .stored = c->session.stored,
					    .status = {c->status.p, c->status.n},
					    .status_at_us = c->status_at_us,
					    .skew_us = c->skew_us};
		if (c->session.state == SESSION_OPEN)
			each(arg, &one);
	}
}

/* ---- opening ---- */

static bool open_metrics(struct server *s, struct err *e)
{
	const char *address = s->conf->metrics;
	if (!address || !*address)
		return true;
	s->metrics = metrics_open(address, server_metrics, s, e);
	if (!s->metrics)
		return false;
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = s->metrics};
	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, metrics_fd(s->metrics), &ev) != 0)
		return err_errno(e, "cannot watch %s", address);
	log_info("metrics at http://%s/metrics", address);
	return true;
}

static bool open_tls(struct server *s, struct err *e)
{
	struct tls_conf tls = collector_conf_tls(s->conf);
	s->tls = tls_new(&tls, e);
	return s->tls != NULL;
}

static bool open_listeners(struct server *s, struct err *e)
{
	for (size_t i = 0; i < s->conf->listen.n; i++) {
		struct listener *l = &s->listeners[s->listeners_n];
		l->text = s->conf->listen.v[i];
		if (!listen_parse(l->text, &l->address, e))
			return false;
		l->tls = !(s->conf->plaintext && listen_is_local(&l->address));
		if (l->tls && !s->tls && !open_tls(s, e))
			return false;
		l->fd = listen_open(&l->address, e);
		if (l->fd < 0)
			return false;
		s->listeners_n++;
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = l};
		if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, l->fd, &ev) != 0)
			return err_errno(e, "cannot watch %s", l->text);
		log_info("listening on %s (%s)", l->text, l->tls ? "TLS 1.3, client certificates" : "plaintext");
	}
	return true;
}

struct server *server_new(const struct collector_conf *c, struct err *e)
{
	struct server *s = xcalloc(1, sizeof(*s));
	s->conf = c;
	s->ops = (struct session_ops){.hello = on_hello,
				      .flush = on_flush,
				      .status = on_status,
				      .hello_rest = on_hello_rest,
				      .set_frame = on_set_frame};
	s->store = store_new(&c->store);
	s->sets = sets_new(s->store);
	s->listeners = xcalloc(c->listen.n ? c->listen.n : 1, sizeof(*s->listeners));
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	hash_key_random(&s->hash);
	if (c->name && *c->name)
		snprintf(s->name, sizeof(s->name), "%s", c->name);
	else
		gethostname(s->name, sizeof(s->name) - 1);
	set_limits(s);
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = s->store};
	if (s->epoll >= 0 && epoll_ctl(s->epoll, EPOLL_CTL_ADD, store_fd(s->store), &ev) == 0 && open_listeners(s, e) &&
	    open_metrics(s, e))
		return s;
	if (s->epoll < 0)
		err_errno(e, "cannot make an epoll");
	server_free(s);
	return NULL;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	metrics_close(s->metrics);
	store_free(s->store); /* calls back into the sessions and the sets: before them */
	sets_free(s->sets);
	while (s->conns) {
		struct conn *c = s->conns;
		s->conns = c->next;
		conn_free(c);
	}
	for (size_t i = 0; i < s->listeners_n; i++)
		listen_close(&s->listeners[i].address, s->listeners[i].fd);
	tls_free(s->tls);
	if (s->epoll >= 0)
		close(s->epoll);
	free(s->listeners);
	free(s);
}
