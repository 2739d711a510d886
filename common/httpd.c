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
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
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

#define SWEEP_MS 100

const char *const httpd_method_names[HTTPD_METHOD_COUNT + 1] = {"GET", "HEAD", "POST", "PUT", "DELETE", NULL};

static const enum evhttp_cmd_type commands[HTTPD_METHOD_COUNT] = {EVHTTP_REQ_GET, EVHTTP_REQ_HEAD, EVHTTP_REQ_POST,
								  EVHTTP_REQ_PUT, EVHTTP_REQ_DELETE};

struct conn {
	struct conn *next;
	struct bufferevent *bev;
	int64_t since_us; /* when what is awaited began */
	bool cut;
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
	atomic_uint_fast64_t requests, connections, timeouts;
	pthread_t thread;
	bool started;
};

struct httpd_request {
	struct evhttp_request *ev;
	enum httpd_method method;
	char *path; /* decoded, by libevent */
	struct evkeyvalq query;
	struct bytes body;
	bool answered;
};

/* ---- connections ---- */

static void sweep_later(struct httpd *h, int ms)
{
	struct timeval when = {.tv_usec = ms * 1000};
	evtimer_add(h->sweep, &when);
}

static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
	struct httpd *h = arg;
	struct conn *c = xcalloc(1, sizeof(*c));
	*c = (struct conn){.next = h->conns,
			   .bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE),
			   .since_us = clock_mono_us()};
	if (!c->bev) { /* evhttp tries by itself, and fails as we did */
		free(c);
		return NULL;
	}
	bufferevent_incref(c->bev);
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
			free(c);
			continue;
		}
		if (!c->cut && now - c->since_us > h->conf.timeout_ms * 1000) {
			c->cut = true;
			atomic_fetch_add(&h->timeouts, 1);
			shutdown(bufferevent_getfd(c->bev), SHUT_RDWR);
		}
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

static void begin_wait(struct httpd *h, struct evhttp_request *ev)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(ev));
	for (struct conn *c = h->conns; c; c = c->next)
		if (c->bev == bev)
			c->since_us = clock_mono_us();
}

/* The answer is out; evhttp may end the connection when this returns. */
static void on_complete(struct evhttp_request *ev, void *arg)
{
	begin_wait(arg, ev);
	sweep_later(arg, 0);
}

/* ---- a request ---- */

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
	if (query && evhttp_parse_query_str(query, &r->query) != 0)
		return false;
	struct evbuffer *in = evhttp_request_get_input_buffer(r->ev);
	r->body.n = evbuffer_get_length(in);
	r->body.p = r->body.n ? evbuffer_pullup(in, -1) : NULL;
	return !r->body.n || r->body.p;
}

static void on_request(struct evhttp_request *ev, void *arg)
{
	struct httpd *h = arg;
	struct httpd_request r = {.ev = ev};
	atomic_fetch_add(&h->requests, 1);
	begin_wait(h, ev);
	evhttp_request_set_on_complete_cb(ev, on_complete, h);
	TAILQ_INIT(&r.query);
	if (read_request(&r))
		h->conf.answer(h->conf.owner, &r);
	else
		httpd_reply(&r, 400, "text/plain", "bad request\n", 12);
	if (!r.answered)
		httpd_reply(&r, 500, "text/plain", "no answer\n", 10);
	evhttp_clear_headers(&r.query);
	free(r.path);
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
	h->base = event_base_new();
	h->http = h->base ? evhttp_new(h->base) : NULL;
	h->sweep = h->base ? evtimer_new(h->base, on_sweep, h) : NULL;
	h->stop = h->base ? event_new(h->base, h->stop_fd, EV_READ, on_stop, h) : NULL;
	if (h->stop_fd < 0 || !h->http || !h->sweep || !h->stop || event_add(h->stop, NULL) != 0)
		return err_errno(e, "cannot make an HTTP server");
	return true;
}

struct httpd *httpd_start(const struct httpd_conf *c, struct err *e)
{
	struct httpd *h = xcalloc(1, sizeof(*h));
	h->conf = *c;
	h->stop_fd = -1;
	if (!listen_parse(c->address, &h->address, e) || !open_loop(h, e) || !open_server(h, e)) {
		httpd_stop(h);
		return NULL;
	}
	h->conf.address = NULL;
	if (!start_thread(h)) {
		err_set(e, "cannot start a thread for HTTP");
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
	if (h->base)
		event_base_free(h->base);
	if (h->stop_fd >= 0)
		close(h->stop_fd);
	free(h);
}

void httpd_stats(struct httpd *h, struct httpd_stats *out)
{
	*out = (struct httpd_stats){.requests = atomic_load(&h->requests),
				    .connections = atomic_load(&h->connections),
				    .timeouts = atomic_load(&h->timeouts)};
}
