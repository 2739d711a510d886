/* A request, of HTTP/1 or 2: its URL, what is reported of it, and what alerts of
 * its response tell about it. */
#ifndef SENSOR_HTTP_REQUEST_H
#define SENSOR_HTTP_REQUEST_H

#include "sensor/http_head.h"
#include "sensor/inspect.h"

#define HTTP_URL_MAX    8192 /* longer URLs match nothing */
#define HTTP_HOST_MAX   1024
#define HTTP_AGENT_KEEP 1024 /* of the user agent, for describe() */
#define HTTP_NAME_MAX   1024 /* of a file name */

struct url {
	size_t n, host_at, host_n, path_at;
	bool over_limit; /* the URL is longer than text */
	bool host_over;  /* so is the host, than HTTP_HOST_MAX */
	uint8_t text[HTTP_URL_MAX];
};

/* Kept until its response is over. Text behind the struct: method, version, URL,
 * user agent. */
struct http_request {
	struct http_request *next; /* in the parser's queue */
	size_t bytes;              /* as allocated */
	uint8_t refs;              /* 1 from http_request_new() */
	bool head, connect;
	uint8_t version_n;
	uint8_t method_n;
	uint16_t url_n, agent_n;
	uint16_t host_at, host_n; /* within the URL, without port */
	uint16_t path_at;         /* within the URL: the target, as EVE's "url" wants it */
	uint8_t text[];
};

/* The host in a URL: without user and port, of "[v6]" with the brackets. n is 0: none. */
struct bytes http_url_host(struct bytes url);

/* Asked by `side`. Fills u, too. NULL: memory is short. */
struct http_request *http_request_new(struct inspect *in, enum side side, const struct http_head *head, struct url *u);
void http_request_release(struct inspect *in, struct http_request *r); /* r may be NULL */

/* Reports host, URL, user agent and file name. */
void http_request_observe(struct inspect *in, const struct http_head *head, const struct url *u);
void http_filename_observe(struct inspect *in, struct bytes disposition);

void http_request_describe(const struct http_request *r, struct alert_app *app); /* r may be NULL */

#endif
