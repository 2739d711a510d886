/* The body of an HTTP message: where it ends (RFC 9112 6 and 7), decoded and
 * handed on as a file while it streams. Nothing is held. */
#ifndef SENSOR_HTTP_BODY_H
#define SENSOR_HTTP_BODY_H

#include "sensor/file.h"
#include "sensor/http_head.h"
#include "sensor/mime.h"

#define HTTP_CHUNK_LINE_MAX 4096  /* chunk size with extensions */
#define HTTP_TRAILER_MAX    65536 /* trailer section */

enum http_framing { HTTP_NO_BODY = 0, HTTP_LENGTH, HTTP_CHUNKED, HTTP_UNTIL_CLOSE };

enum http_chunk { CHUNK_SIZE = 0, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER };

struct http_body {
	enum http_framing framing;
	enum http_chunk chunk;
	uint64_t left;           /* of the whole (HTTP_LENGTH) or of the chunk */
	uint32_t line_n;         /* bytes of the chunk line or the trailer so far */
	bool digits;             /* the chunk line has shown some */
	bool line_blank;         /* the trailer line is empty so far */
	bool cut;                /* bytes are missing, or decoding failed: no digest */
	uint64_t seen;           /* bytes of content, before decoding */
	uint64_t skip;           /* of a range: bytes that were seen before */
	struct http_range range; /* complete is not 0: it may be joined with others (http_range.h) */
	struct inflate *coding[HTTP_CODINGS_MAX];
	unsigned codings;
	struct file *file;
	struct mime *form; /* multipart upload: its parts are files, too */
	bool is_dns;       /* a DNS message, gathered */
	struct carry dns;
	struct inspect *in; /* for the sinks, within a call */
};

enum http_body_state { HTTP_BODY_MORE = 0, HTTP_BODY_END, HTTP_BODY_LOST };

/* no_body: the request's method or the status forbids one. Gives false, with
 * framing HTTP_NO_BODY, when none follows. */
bool http_body_begin(struct inspect *in, struct http_body *b, const struct http_head *h, bool no_body);
/* The content of b, begun as cut, is decoded and hashed after all. */
void http_body_decode(struct inspect *in, struct http_body *b, const struct http_head *h);
/* Takes up to n bytes (*used). END: the message is over. LOST: its framing broke. */
enum http_body_state http_body_data(struct inspect *in, struct http_body *b, const uint8_t *p, size_t n, size_t *used);
enum http_body_state http_body_gap(struct http_body *b, size_t lost);
/* For HTTP/2, whose frames already tell where a body ends. */
void http_body_content(struct inspect *in, struct http_body *b, const uint8_t *p, size_t n);
/* whole: the end was seen. Reports the file, gives everything back. */
void http_body_end(struct inspect *in, struct http_body *b, bool whole);
void http_body_drop(struct inspect *in, struct http_body *b);

#endif
