/* The door to libevent's HTTP: an HTTP/1.1 server, in a thread of its own or in the
 * caller's loop, with or without TLS. It reads whole requests within bounds (head,
 * body, connections, time) and hands them to one function, in that thread, one at a time.
 *
 * A connection has timeout_ms from its beginning, or from the end of its last
 * answer, until its next request is complete, and as long for the answer to be
 * taken: who sends or reads a byte now and then is cut off like who is silent.
 * When all connections are in use, new ones wait in the kernel's queue. The process ignores SIGPIPE. */
#ifndef COMMON_HTTPD_H
#define COMMON_HTTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cursor.h"
#include "common/err.h"

enum httpd_method { HTTPD_GET = 0, HTTPD_HEAD, HTTPD_POST, HTTPD_PUT, HTTPD_DELETE, HTTPD_METHOD_COUNT };
extern const char *const httpd_method_names[HTTPD_METHOD_COUNT + 1]; /* NULL-terminated */

struct event_base;
struct tls;
struct identity;

struct httpd;
struct httpd_request; /* lives until the answer function returns, or what httpd_hold() says */

struct httpd_conf {
	const char *address;     /* as listen_parse() takes it */
	struct event_base *base; /* the caller's loop; NULL = a thread of its own */
	struct tls *tls;         /* NULL = plain; used, not owned (common/tls.h, web) */
	size_t connections;
	size_t per_address;        /* 0 = any */
	size_t head_max, body_max; /* bytes of one request */
	int64_t timeout_ms;
	unsigned methods; /* 1u << enum httpd_method; others are answered 501 */
	/* Gives each request its answer with httpd_reply(); without one it is 500. */
	void (*answer)(void *owner, struct httpd_request *r);
	void *owner;
};

/* NULL: e says why. Strings of c are not kept. */
struct httpd *httpd_start(const struct httpd_conf *c, struct err *e);
/* The same in two steps, for who gives up rights in between: listens, but serves
 * nobody before httpd_serve() has started the thread. */
struct httpd *httpd_open(const struct httpd_conf *c, struct err *e);
bool httpd_serve(struct httpd *h, struct err *e);
/* Ends the thread, in the middle of what is being sent. h may be NULL. */
void httpd_stop(struct httpd *h);

struct httpd_stats {
	uint64_t requests, connections, timeouts; /* timeouts: connections cut off */
	uint64_t crowded;                         /* cut off for per_address */
};
void httpd_stats(struct httpd *h, struct httpd_stats *out);

enum httpd_method httpd_method(const struct httpd_request *r);
/* The path, percent-decoded; "" when it holds a NUL or is no path. */
const char *httpd_path(const struct httpd_request *r);
/* One parameter of the query, decoded; NULL when it is not there. */
const char *httpd_query(const struct httpd_request *r, const char *name);
const char *httpd_header(const struct httpd_request *r, const char *name); /* NULL = not there */
struct bytes httpd_body(const struct httpd_request *r);

/* Who asks: an address as text; the name in his certificate, NULL when he showed none. */
const char *httpd_peer(const struct httpd_request *r);
const struct identity *httpd_identity(const struct httpd_request *r);

/* The answer comes later: r lives until httpd_reply(). Call it in the loop's thread.
 * A server that stops answers 503 in its place, after gone() was called. */
void httpd_hold(struct httpd_request *r, void (*gone)(void *arg), void *arg);

/* Before httpd_reply(). A value with a line break is not sent. */
void httpd_reply_header(struct httpd_request *r, const char *name, const char *value);
/* The body is copied; HEAD sends its length alone. */
void httpd_reply(struct httpd_request *r, int status, const char *type, const void *body, size_t n);

#endif
