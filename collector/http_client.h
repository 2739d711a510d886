/* The door to libcurl: requests to other servers from a libevent loop, several at
 * once. Bounded in time and bytes; certificates are checked, redirections are not
 * followed (a server could send us, and our password, elsewhere). */
#ifndef COLLECTOR_HTTP_CLIENT_H
#define COLLECTOR_HTTP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/cursor.h"
#include "common/err.h"

struct event_base;
struct http_client;

struct http_client *http_client_new(struct event_base *base, struct err *e);
void http_client_free(struct http_client *c); /* what is under way is told status 0 */

/* Texts are copied by the call but for body, which lives until done. NULL = not used. */
struct http_ask {
	const char *url;
	const char *accept, *content_type;
	const char *user, *password;
	const char *cert, *key, *ca;
	struct bytes body; /* p != NULL: POST */
	int64_t timeout_ms;
	size_t answer_max;
};

#define HTTP_HEADER_MAX 64

struct http_answer {
	int status; /* 0 = none came: why says why */
	struct buf body;
	char type[HTTP_HEADER_MAX], date_last[HTTP_HEADER_MAX]; /* Content-Type, X-TAXII-Date-Added-Last */
	int64_t retry_after_s;                                  /* 0 = not said */
	struct err why;
};

struct http_done {
	void (*call)(void *arg, struct http_answer *a); /* borrowed */
	void *arg;
};
/* Calls back later, from the loop. */
void http_client_ask(struct http_client *c, const struct http_ask *ask, struct http_done done);

#endif
