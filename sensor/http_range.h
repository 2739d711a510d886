/* A file that comes in ranges (RFC 9110 14), one message each: joined and hashed when
 * they follow one another on one side of one connection (of HTTP/2: on any of its
 * streams), for one URL, from its first byte to its last. Nothing is held but the digests' and the codings' state. */
#ifndef SENSOR_HTTP_RANGE_H
#define SENSOR_HTTP_RANGE_H

#include "sensor/http_body.h"
#include "sensor/http_request.h"

struct http_joined; /* lives in in->mem */

/* b was begun with h: when h is the first range of a file, or the one that *j waits for,
 * its bytes are hashed after all. request is the one that h answers; may be NULL. */
void http_range_begin(struct inspect *in, struct http_joined **j, struct http_body *b, const struct http_head *h,
		      const struct http_request *request);

/* Before http_body_end(): a range that ended and that more must follow is kept in *j.
 * Gives what to tell http_body_end(). */
bool http_range_end(struct inspect *in, struct http_joined **j, struct http_body *b, struct http_request *request,
		    bool whole);

void http_range_cut(struct inspect *in, struct http_joined **j);  /* no more follow: counted as cut */
void http_range_drop(struct inspect *in, struct http_joined **j); /* without a word */

#endif
