/* evhttp reads and writes; what it lacks is added here: a limit of connections,
 * and an end for those who drag (its timeout begins anew with every byte). It
 * tells nobody when a connection ends, so each is held by a reference of ours: a
 * bufferevent whose callbacks are gone was given up by evhttp, and closes when our
 * reference goes too. That is looked for after each answer and ten times a second
 * while there are connections.
 *
 * Nothing of libevent is shared between threads: httpd_stop() wakes the loop
 * through an eventfd. */
#include "common/httpd.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/listen.h"
#include "common/log.h"
#include "common/text.h"
#include "common/tls.h"

#define QUERY_MAX     64 /* parameters */
#define SWEEP_MS      100
#define WRITE_AT_ONCE (256 << 10) /* of a bufferevent; 16 kB is its own idea */

const char *const httpd_method_names[HTTPD_METHOD_COUNT + 1] = {"GET", "HEAD", "POST", "PUT", "DELETE", NULL};

static const enum evhttp_cmd_type commands[HTTPD_METHOD_COUNT] = {EVHTTP_REQ_GET, EVHTTP_REQ_HEAD, EVHTTP_REQ_POST,
								  EVHTTP_REQ_PUT, EVHTTP_REQ_DELETE};

struct conn {
	struct conn *next;
	struct bufferevent *bev;
	struct tls_conn *tls;
	struct addr addr; /* once counted */
	int64_t since_us; /* when what is awaited began */
	bool cut, counted;
};

struct httpd {
	struct httpd_conf conf;
	struct listen_address address;
	struct event_base *base;
	struct evhttp *http;
	struct evconnlistener *listener;
	struct event *sweep, *stop;
	int stop_fd;
	struct conn *conns;
	size_t conns_n;
	bool full;
	struct httpd_request *held;
	atomic_uint_fast64_t requests, connections, timeouts, crowded;
	pthread_t thread;
	bool started;
};

struct httpd_request {
	struct httpd *server;
	struct httpd_request *next; /* held ones */
	struct evhttp_request *ev;
	struct tls_conn *tls;
	char peer[64];
	void (*gone)(void *arg);
	void *arg;
	enum httpd_method method;
	char *path; /* decoded, by libevent */
	struct evkeyvalq query;
	struct bytes body;
	bool answered, held, asking; /* asking: answer() is running */
};

/* ---- connections ---- */

static void sweep_later(struct httpd *h, int ms)
{
	struct timeval when = {.tv_usec = ms * 1000};
	evtimer_add(h->sweep, &when);
}

/* A certificate that is refused is this connection's matter; its TLS says why to the other side. */
static bool open_socket(struct httpd *h, struct event_base *base, struct conn *c)
{
	if (!h->conf.tls) {
		c->bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
		return c->bev;
	}
	c->tls = tls_open_detached(h->conf.tls, NULL);
	if (c->tls)
		c->bev = bufferevent_openssl_socket_new(base, -1, tls_ssl(c->tls), BUFFEREVENT_SSL_ACCEPTING,
							BEV_OPT_CLOSE_ON_FREE);
	if (c->bev)
		bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 1);
	return c->bev;
}

static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
	struct httpd *h = arg;
	struct conn *c = xcalloc(1, sizeof(*c));
	*c = (struct conn){.next = h->conns, .since_us = clock_mono_us()};
	if (!open_socket(h, base, c)) { /* evhttp tries by itself: plain, so to TLS clients it is noise */
		tls_close(c->tls);
		free(c);
		return NULL;
	}
	bufferevent_incref(c->bev);
	bufferevent_set_max_single_write(c->bev, WRITE_AT_ONCE);
	h->conns = c;
	atomic_fetch_add(&h->connections, 1);
	if (++h->conns_n >= h->conf.connections) {
		h->full = true;
		evconnlistener_disable(h->listener);
	}
	if (!evtimer_pending(h->sweep, NULL))
		sweep_later(h, SWEEP_MS);
	return c->bev;
}

static bool given_up(struct bufferevent *bev)
{
	bufferevent_data_cb r, w;
	bufferevent_event_cb e;
	void *arg;
	bufferevent_getcb(bev, &r, &w, &e, &arg);
	return !r && !w && !e;
}

static void cut_off(struct conn *c, atomic_uint_fast64_t *counter)
{
	c->cut = true;
	atomic_fetch_add(counter, 1);
	shutdown(bufferevent_getfd(c->bev), SHUT_RDWR);
}

/* evhttp takes connections in by itself and says nothing of their address: they
 * are counted, each once, soon after. */
static void count_address(struct httpd *h, struct conn *c)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	size_t same = 1;
	if (c->counted || !h->conf.per_address || h->address.local ||
	    getpeername(bufferevent_getfd(c->bev), (struct sockaddr *)&from, &len) != 0)
		return;
	int one = 1;
	setsockopt(bufferevent_getfd(c->bev), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->counted = true;
	listen_addr_of(&from, &c->addr);
	for (const struct conn *o = h->conns; o; o = o->next)
		same += o != c && o->counted && !o->cut && addr_equal(&o->addr, &c->addr);
	if (same > h->conf.per_address)
		cut_off(c, &h->crowded);
}

/* Closes what evhttp has given up, cuts off who takes too long. */
static void sweep(struct httpd *h)
{
	int64_t now = clock_mono_us();
	for (struct conn **at = &h->conns; *at;) {
		struct conn *c = *at;
		if (given_up(c->bev)) {
			*at = c->next;
			h->conns_n--;
			bufferevent_decref(c->bev);
			tls_close(c->tls);
			free(c);
			continue;
		}
		count_address(h, c);
		if (!c->cut && now - c->since_us > h->conf.timeout_ms * 1000)
			cut_off(c, &h->timeouts);
		at = &c->next;
	}
	if (h->full && h->conns_n < h->conf.connections) {
		h->full = false;
		evconnlistener_enable(h->listener);
	}
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct httpd *h = arg;
	(void)fd;
	(void)what;
	sweep(h);
	if (h->conns)
		sweep_later(h, SWEEP_MS);
}

static struct conn *conn_of(struct httpd *h, struct evhttp_request *ev)
{
	struct evhttp_connection *evcon = evhttp_request_get_connection(ev);
	struct bufferevent *bev = evcon ? evhttp_connection_get_bufferevent(evcon) : NULL;
	struct conn *c = h->conns;
	while (c && c->bev != bev)
		c = c->next;
	return c;
}

static void begin_wait(struct httpd *h, struct evhttp_request *ev)
{
	struct conn *c = conn_of(h, ev);
	if (c)
		c->since_us = clock_mono_us();
}

/* The answer is out; evhttp may end the connection when this returns. */
static void on_complete(struct evhttp_request *ev, void *arg)
{
	begin_wait(arg, ev);
	sweep_later(arg, 0);
}

/* ---- a request ---- */

/* One "name=value"; libevent's own reader leaves names as they are on the wire. What
 * holds a NUL or a line break is no parameter. */
static bool add_parameter(struct evkeyvalq *to, const char *pair, size_t n)
{
	const char *equals = memchr(pair, '=', n);
	size_t name_n = equals ? (size_t)(equals - pair) : n, value_n = equals ? n - name_n - 1 : 0, a = 0, b = 0;
	char *raw_name = xstrndup(pair, name_n), *raw_value = xstrndup(equals ? equals + 1 : "", value_n);
	char *name = evhttp_uridecode(raw_name, 1, &a), *value = evhttp_uridecode(raw_value, 1, &b);
	bool good = name && value && strlen(name) == a && strlen(value) == b && a &&
		    evhttp_add_header(to, name, value) == 0;
	free(name);
	free(value);
	free(raw_name);
	free(raw_value);
	return good;
}

static bool read_query(const char *query, struct evkeyvalq *to)
{
	size_t found = 0;
	while (*query) {
		size_t n = strcspn(query, "&");
		if (n && (++found > QUERY_MAX || !add_parameter(to, query, n)))
			return false;
		query += n + !!query[n];
	}
	return true;
}

static bool read_request(struct httpd_request *r)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(r->ev);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL, *query = uri ? evhttp_uri_get_query(uri) : NULL;
	size_t n = 0;
	enum evhttp_cmd_type command = evhttp_request_get_command(r->ev);
	while (r->method < HTTPD_METHOD_COUNT && commands[r->method] != command)
		r->method++;
	r->path = path ? evhttp_uridecode(path, 0, &n) : NULL;
	if (!r->path || strlen(r->path) != n || r->path[0] != '/' || r->method == HTTPD_METHOD_COUNT)
		return false;
	if (query && !read_query(query, &r->query))
		return false;
	struct evbuffer *in = evhttp_request_get_input_buffer(r->ev);
	r->body.n = evbuffer_get_length(in);
	r->body.p = r->body.n ? evbuffer_pullup(in, -1) : NULL;
	return !r->body.n || r->body.p;
}

static void request_free(struct httpd_request *r)
{
	evhttp_clear_headers(&r->query);
	free(r->path);
	free(r);
}

static struct httpd_request *request_new(struct httpd *h, struct evhttp_request *ev)
{
	struct httpd_request *r = xcalloc(1, sizeof(*r));
	struct conn *c = conn_of(h, ev);
	struct evhttp_connection *evcon = evhttp_request_get_connection(ev);
	char *address = NULL;
	ev_uint16_t port = 0;
	*r = (struct httpd_request){.server = h, .ev = ev, .tls = c ? c->tls : NULL};
	if (evcon && !h->address.local)
		evhttp_connection_get_peer(evcon, &address, &port);
	snprintf(r->peer, sizeof(r->peer), "%s", address ? address : "unix socket");
	TAILQ_INIT(&r->query);
	return r;
}

static void release(struct httpd_request *r)
{
	struct httpd_request **at = &r->server->held;
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	request_free(r);
}

static void on_request(struct evhttp_request *ev, void *arg)
{
	struct httpd *h = arg;
	struct httpd_request *r = request_new(h, ev);
	atomic_fetch_add(&h->requests, 1);
	begin_wait(h, ev);
	evhttp_request_set_on_complete_cb(ev, on_complete, h);
	r->asking = true;
	if (read_request(r))
		h->conf.answer(h->conf.owner, r);
	else
		httpd_reply(r, 400, "text/plain", "bad request\n", 12);
	r->asking = false;
	if (!r->held && !r->answered)
		httpd_reply(r, 500, "text/plain", "no answer\n", 10);
	if (!r->held)
		request_free(r);
	else if (r->answered)
		release(r);
}

void httpd_hold(struct httpd_request *r, void (*gone)(void *arg), void *arg)
{
	r->held = true;
	r->gone = gone;
	r->arg = arg;
	r->next = r->server->held;
	r->server->held = r;
}

const char *httpd_peer(const struct httpd_request *r)
{
	return r->peer;
}

const struct identity *httpd_identity(const struct httpd_request *r)
{
	const struct identity *id = r->tls ? tls_peer(r->tls) : NULL;
	return id && id->org[0] ? id : NULL;
}

enum httpd_method httpd_method(const struct httpd_request *r)
{
	return r->method;
}

const char *httpd_path(const struct httpd_request *r)
{
	return r->path;
}

const char *httpd_query(const struct httpd_request *r, const char *name)
{
	return evhttp_find_header(&r->query, name);
}

const char *httpd_header(const struct httpd_request *r, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(r->ev), name);
}

struct bytes httpd_body(const struct httpd_request *r)
{
	return r->body;
}

void httpd_reply_header(struct httpd_request *r, const char *name, const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(r->ev), name, value);
}

void httpd_reply(struct httpd_request *r, int status, const char *type, const void *body, size_t n)
{
	struct evbuffer *out = evbuffer_new();
	if (r->answered)
		return;
	r->answered = true;
	if (out && r->method != HTTPD_HEAD)
		evbuffer_add(out, body, n);
	if (r->method == HTTPD_HEAD) {
		char length[24];
		evutil_snprintf(length, sizeof(length), "%zu", n);
		httpd_reply_header(r, "Content-Length", length);
	}
	httpd_reply_header(r, "Content-Type", type);
	evhttp_send_reply(r->ev, status, NULL, out);
	if (out)
		evbuffer_free(out);
	if (r->held && !r->asking)
		release(r);
}

/* ---- the thread ---- */

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(((struct httpd *)arg)->base);
}

static void *run(void *arg)
{
	struct httpd *h = arg;
	event_base_dispatch(h->base);
	return NULL;
}

/* Signals are the main thread's. */
static bool start_thread(struct httpd *h)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	h->started = pthread_create(&h->thread, NULL, run, h) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return h->started;
}

/* What libevent has to say is about single connections. */
static void to_log(int severity, const char *text)
{
	char clean[200];
	(void)severity;
	log_debug("http: %s", text_clean(clean, sizeof(clean), text, strlen(text)));
}

static bool open_server(struct httpd *h, struct err *e)
{
	unsigned allowed = 0;
	int fd = listen_open(&h->address, e);
	if (fd < 0)
		return false;
	h->listener = evconnlistener_new(h->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!h->listener || !evhttp_bind_listener(h->http, h->listener)) {
		if (!h->listener)
			close(fd);
		return err_set(e, "out of memory for an HTTP server");
	}
	for (int m = 0; m < HTTPD_METHOD_COUNT; m++)
		allowed |= h->conf.methods & 1u << m ? (unsigned)commands[m] : 0u;
	evhttp_set_allowed_methods(h->http, (ev_uint16_t)allowed);
	evhttp_set_max_headers_size(h->http, (ev_ssize_t)h->conf.head_max);
	evhttp_set_max_body_size(h->http, (ev_ssize_t)h->conf.body_max);
	evhttp_set_timeout(h->http, (int)(h->conf.timeout_ms / 1000) + 1);
	evhttp_set_default_content_type(h->http, NULL);
	evhttp_set_bevcb(h->http, on_connection, h);
	evhttp_set_gencb(h->http, on_request, h);
	return true;
}

static bool open_loop(struct httpd *h, struct err *e)
{
	event_set_log_callback(to_log);
	h->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	h->base = h->conf.base ? h->conf.base : event_base_new();
	h->http = h->base ? evhttp_new(h->base) : NULL;
	h->sweep = h->base ? evtimer_new(h->base, on_sweep, h) : NULL;
	h->stop = h->base ? event_new(h->base, h->stop_fd, EV_READ, on_stop, h) : NULL;
	if (h->stop_fd < 0 || !h->http || !h->sweep || !h->stop || event_add(h->stop, NULL) != 0)
		return err_errno(e, "cannot make an HTTP server");
	return true;
}

struct httpd *httpd_open(const struct httpd_conf *c, struct err *e)
{
	struct httpd *h = xcalloc(1, sizeof(*h));
	h->conf = *c;
	h->stop_fd = -1;
	if (!listen_parse(c->address, &h->address, e) || !open_loop(h, e) || !open_server(h, e)) {
		httpd_stop(h);
		return NULL;
	}
	h->conf.address = NULL;
	return h;
}

bool httpd_serve(struct httpd *h, struct err *e)
{
	return h->conf.base || start_thread(h) || err_set(e, "cannot start a thread for HTTP");
}

struct httpd *httpd_start(const struct httpd_conf *c, struct err *e)
{
	struct httpd *h = httpd_open(c, e);
	if (h && !httpd_serve(h, e)) {
		httpd_stop(h);
		return NULL;
	}
	return h;
}

void httpd_stop(struct httpd *h)
{
	if (!h)
		return;
	uint64_t one = 1;
	if (h->started && write(h->stop_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(h->thread, NULL);
	while (h->held) {
		if (h->held->gone)
			h->held->gone(h->held->arg);
		httpd_reply(h->held, 503, "text/plain", "leaving\n", 8);
	}
	if (h->http)
		evhttp_free(h->http); /* the listener and its connections too */
	if (h->address.local && h->listener)
		unlink(h->address.path);
	h->full = false;
	if (h->base)
		sweep(h);
	if (h->sweep)
		event_free(h->sweep);
	if (h->stop)
		event_free(h->stop);
	if (h->base && !h->conf.base)
		event_base_free(h->base);
	if (h->stop_fd >= 0)
		close(h->stop_fd);
	free(h);
}

void httpd_stats(struct httpd *h, struct httpd_stats *out)
{
	*out = (struct httpd_stats){.requests = atomic_load(&h->requests),
				    .connections = atomic_load(&h->connections),
				    .timeouts = atomic_load(&h->timeouts),
				    .crowded = atomic_load(&h->crowded)};
}
