/* The head of an HTTP/1 message (RFC 9112): start line and header fields.
 *
 *   GET /path?query HTTP/1.1 CRLF        request line:  method SP target SP version
 *   HTTP/1.1 200 OK CRLF                 status line:   version SP status [SP reason]
 *   Host: www.example CRLF               field lines:   name ":" OWS value OWS
 *   CRLF                                 an empty line ends the head
 *
 * Lines may end in LF alone; a field may continue on a line that begins with a
 * blank (obs-fold). Views point into the buffer that was given. */
#ifndef SENSOR_HTTP_HEAD_H
#define SENSOR_HTTP_HEAD_H

#include "common/cursor.h"
#include "sensor/inflate.h"
#include "sensor/inspect.h"

#define HTTP_HEAD_MAX    65536 /* bytes of a head that are read; the rest is skipped to its end */
#define HTTP_FIELDS_MAX  256   /* field lines that are read */
#define HTTP_CODINGS_MAX 2     /* codings on top of one another that are decoded */
#define HTTP_METHOD_MAX  24

/* Content-Range: bytes first-last/complete (RFC 9110 14.4). complete is 0 when it is not
 * said, last is below first when there is no range. */
struct http_range {
	uint64_t first, last, complete;
};

struct http_head {
	bool request;
	struct bytes method, target, version;
	struct bytes scheme; /* HTTP/2 only */
	bool framed;         /* HTTP/2: frames tell where the body ends */
	unsigned status;
	struct bytes host, user_agent, content_type, disposition, upgrade, location; /* p is NULL: not there */
	struct bytes authorization[2];                                               /* to the server, to a proxy */
	enum coding coding[HTTP_CODINGS_MAX]; /* in the order they were applied */
	unsigned codings;
	bool undecodable; /* a coding that is not known, or too many */
	bool chunked;
	bool has_length;
	uint64_t length;
	bool has_range;
	struct http_range range;
	bool folded;            /* has obs-folds: http_head_unfold() and parse again for clean values */
	struct bytes last_host; /* of several Host fields that differ */
	bool ambiguous;         /* Host or the length is said several times, in different ways */
	bool over_limit;        /* more field lines, or codings, than are read */
};

/* Does a message begin here? Strict for requests: a whole line that ends in
 * HTTP/digit, or a very long beginning of one. */
enum probe http_start(const uint8_t *p, size_t n);

/* A request as HTTP/0.9 has it: "GET /path" and the line's end, no version, no fields. */
bool http_bare_request(const uint8_t *p, size_t n);

/* The body is not the whole of a file: a range of it. */
bool http_partial(const struct http_head *h);

/* Looks for the empty line. *blank is false at the beginning of a head and is
 * kept between calls. Gives the length up to and including it, or 0. */
size_t http_head_scan(const uint8_t *p, size_t n, bool *blank);

/* Takes one field into h (names in any case); the value must outlive h. */
void http_head_field(struct http_head *h, struct bytes name, struct bytes value);

bool http_head_parse(const uint8_t *p, size_t n, struct http_head *h);

/* Turns the line breaks of folds into blanks. */
void http_head_unfold(uint8_t *p, size_t n);

#endif
