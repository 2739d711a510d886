/* Heads of HTTP/1 messages. What decides about framing follows RFC 9112 6: of
 * several Content-Length fields the first counts, Transfer-Encoding: chunked
 * beats them all. What is malformed but accepted by servers (LF alone, blanks
 * around the colon, tabs between the words of the start line, spaces in the
 * target, an empty target) is accepted here too: an evader must not be able to
 * hide behind strictness. */
#include "sensor/http_head.h"

#include <string.h>

#include "common/text.h"

#define LONG_LINE 1024 /* a request line still open after this many bytes is taken for one */

static bool blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static struct bytes trim(struct bytes b)
{
	while (b.n && (blank(b.p[0]) || b.p[0] == '\r' || b.p[0] == '\n')) {
		b.p++;
		b.n--;
	}
	while (b.n && (blank(b.p[b.n - 1]) || b.p[b.n - 1] == '\r' || b.p[b.n - 1] == '\n'))
		b.n--;
	return b;
}

static struct bytes span(const uint8_t *p, const uint8_t *end)
{
	return (struct bytes){.p = p, .n = (size_t)(end - p)};
}

/* The next line without its end; false when there is no more. */
static bool next_line(struct cursor *c, struct bytes *line)
{
	size_t left = cursor_left(c);
	if (!left)
		return false;
	const uint8_t *nl = memchr(c->p, '\n', left);
	*line = cursor_bytes(c, nl ? (size_t)(nl - c->p) + 1 : left);
	while (line->n && (line->p[line->n - 1] == '\n' || line->p[line->n - 1] == '\r'))
		line->n--;
	return true;
}

static bool method_char(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

static size_t method_length(const uint8_t *p, size_t n)
{
	size_t i = 0;
	while (i < n && i <= HTTP_METHOD_MAX && method_char(p[i]))
		i++;
	return i;
}

static bool digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Where "HTTP/d" begins at the end of a request line; n when it is not there.
 * What stands behind it (".1", or rubbish) is not looked at, but has no blank. */
static size_t version_at(const uint8_t *p, size_t n)
{
	size_t at = n;
	while (at && !blank(p[at - 1]))
		at--;
	if (n - at < 6 || memcmp(p + at, "HTTP/", 5) != 0 || !digit(p[at + 5]))
		return n;
	return at;
}

static struct bytes line_end_trimmed(const uint8_t *p, size_t n)
{
	while (n && (p[n - 1] == '\r' || blank(p[n - 1])))
		n--;
	return (struct bytes){p, n};
}

static bool known_method(const uint8_t *p, size_t n)
{
	static const char *const names[] = {"GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH", "PROPFIND"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == n && memcmp(p, names[i], n) == 0)
			return true;
	return false;
}

static bool printable(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < 0x20 && p[i] != '\t' && p[i] != '\r')
			return false;
	return true;
}

static enum probe status_start(const uint8_t *p, size_t n)
{
	static const char like[] = "HTTP/0.0 ";
	for (size_t i = 0; i < n && i < sizeof(like) - 1; i++) {
		bool ok = like[i] == '0' ? digit(p[i]) : like[i] == ' ' ? blank(p[i]) : p[i] == (uint8_t)like[i];
		if (!ok)
			return PROBE_NO;
	}
	if (n < sizeof(like))
		return PROBE_MORE;
	return digit(p[sizeof(like) - 1]) || blank(p[sizeof(like) - 1]) ? PROBE_YES : PROBE_NO;
}

/* Some malware leaves the version out, but not the fields: a known method, a path,
 * and a line with a colon after it. GET and a path alone are HTTP/0.9. */
static enum probe unversioned_start(const uint8_t *p, size_t n, size_t m, size_t line_n)
{
	if (!known_method(p, m) || line_n < m + 2 || p[m + 1] != '/' || !printable(p, line_n))
		return PROBE_NO;
	const uint8_t *next = p + line_n + 1, *nl = memchr(next, '\n', n - line_n - 1);
	size_t next_n = nl ? (size_t)(nl - next) : n - line_n - 1;
	if (http_bare_request(p, n))
		return PROBE_YES;
	if (memchr(next, ':', next_n))
		return method_char(next[0]) ? PROBE_YES : PROBE_NO;
	return nl || next_n > HTTP_METHOD_MAX ? PROBE_NO : PROBE_MORE;
}

bool http_bare_request(const uint8_t *p, size_t n)
{
	if (n < 6 || memcmp(p, "GET /", 5) != 0 || p[n - 1] != '\n')
		return false;
	struct bytes line = line_end_trimmed(p, n - 1);
	return printable(line.p, line.n) && version_at(line.p, line.n) == line.n;
}

static enum probe request_start(const uint8_t *p, size_t n)
{
	size_t m = method_length(p, n);
	if (m == 0 || m > HTTP_METHOD_MAX)
		return PROBE_NO;
	if (m == n)
		return PROBE_MORE;
	if (!blank(p[m]) || (m == 3 && memcmp(p, "PRI", 3) == 0)) /* PRI: HTTP/2's preface */
		return PROBE_NO;
	const uint8_t *nl = memchr(p, '\n', n);
	if (!nl) {
		if (!printable(p, n))
			return PROBE_NO;
		return n >= LONG_LINE && known_method(p, m) && (p[m + 1] == '/' || p[m + 1] == 'h') ? PROBE_YES
												    : PROBE_MORE;
	}
	struct bytes line = line_end_trimmed(p, (size_t)(nl - p));
	if (line.n > m && version_at(line.p, line.n) < line.n)
		return PROBE_YES;
	return unversioned_start(p, n, m, (size_t)(nl - p));
}

enum probe http_start(const uint8_t *p, size_t n)
{
	while (n && (*p == '\r' || *p == '\n')) {
		p++;
		n--;
	}
	if (!n)
		return PROBE_MORE;
	enum probe status = status_start(p, n);
	if (status != PROBE_NO)
		return status;
	return request_start(p, n);
}

size_t http_head_scan(const uint8_t *p, size_t n, bool *blank_line)
{
	for (size_t i = 0; i < n;) {
		const uint8_t *nl = memchr(p + i, '\n', n - i);
		size_t end = nl ? (size_t)(nl - p) : n;
		for (size_t k = i; k < end && *blank_line; k++)
			*blank_line = p[k] == '\r';
		if (!nl)
			return 0;
		if (*blank_line)
			return end + 1;
		*blank_line = true;
		i = end + 1;
	}
	return 0;
}

void http_head_unfold(uint8_t *p, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++) {
		if (p[i] != '\n' || !blank(p[i + 1]))
			continue;
		p[i] = ' ';
		if (i && p[i - 1] == '\r')
			p[i - 1] = ' ';
	}
}

static bool parse_status_line(struct bytes line, struct http_head *h)
{
	struct cursor c = cursor_over(line.p, line.n);
	size_t v = 0;
	while (v < line.n && !blank(line.p[v]))
		v++;
	h->version = cursor_bytes(&c, v);
	while (cursor_left(&c) && blank(*c.p))
		cursor_skip(&c, 1);
	for (int i = 0; i < 3 && cursor_left(&c) && digit(*c.p); i++)
		h->status = h->status * 10 + (unsigned)(cursor_u8(&c) - '0');
	return true;
}

static bool parse_request_line(struct bytes line, struct http_head *h)
{
	size_t m = method_length(line.p, line.n);
	line = line_end_trimmed(line.p, line.n);
	size_t v = version_at(line.p, line.n);
	if (m == 0 || m > HTTP_METHOD_MAX || m >= line.n || v <= m || (v == line.n && !known_method(line.p, m)))
		return false;
	h->request = true;
	h->method = span(line.p, line.p + m);
	h->version = span(line.p + v, line.p + line.n);
	h->target = trim(span(line.p + m, line.p + v));
	for (size_t i = 0; i < h->target.n; i++) /* a blank ends it (RFC 9112 3.2) */
		if (blank(h->target.p[i]))
			h->target.n = i;
	return true;
}

/* The next element of a comma list, trimmed. */
static bool next_element(struct cursor *c, struct bytes *element)
{
	if (!cursor_left(c))
		return false;
	const uint8_t *comma = memchr(c->p, ',', cursor_left(c));
	*element = trim(span(c->p, comma ? comma : c->end));
	cursor_skip(c, comma ? (size_t)(comma - c->p) + 1 : cursor_left(c));
	return true;
}

static void add_codings(struct http_head *h, struct bytes value)
{
	struct cursor c = cursor_over(value.p, value.n);
	struct bytes name;
	while (next_element(&c, &name)) {
		const uint8_t *param = name.n ? memchr(name.p, ';', name.n) : NULL;
		if (param)
			name = trim(span(name.p, param));
		enum coding coding = coding_parse(name.p, name.n);
		if (!name.n || coding == CODING_IDENTITY)
			continue;
		if (text_equal_fold(name.p, name.n, "chunked", 7))
			h->chunked = true;
		else if (coding == CODING_COUNT)
			h->undecodable = true;
		else if (h->codings == HTTP_CODINGS_MAX)
			h->undecodable = h->over_limit = true;
		else
			h->coding[h->codings++] = coding;
	}
}

static void set_length(struct http_head *h, struct bytes value)
{
	uint64_t length = 0;
	if (!value.n)
		return;
	for (size_t i = 0; i < value.n && !blank(value.p[i]) && value.p[i] != ','; i++) {
		if (!digit(value.p[i]) || length > UINT64_MAX / 100)
			return;
		length = length * 10 + (uint64_t)(value.p[i] - '0');
	}
	h->ambiguous |= h->has_length && length != h->length;
	if (h->has_length)
		return;
	h->has_length = true;
	h->length = length;
}

/* bytes 0-66/67, with 67 or both of the others replaced by a star. */
static void set_range(struct http_head *h, struct bytes v)
{
	uint64_t number[3] = {0};
	int k = 0;
	bool any = false;
	for (size_t i = 0; i < v.n && k < 3; i++) {
		if (digit(v.p[i]) && number[k] < UINT64_MAX / 100) {
			number[k] = number[k] * 10 + (uint64_t)(v.p[i] - '0');
			any = true;
		} else if (any) {
			k++;
			any = false;
		}
	}
	h->has_range = true;
	h->range = (struct http_range){.first = number[0], .last = number[1], .complete = number[2]};
	if (k + any < 2)
		h->range = (struct http_range){.first = 1};
}

/* Of responses the field means something in 206 only. */
bool http_partial(const struct http_head *h)
{
	const struct http_range *r = &h->range;
	if (!h->has_range || (!h->request && h->status != 206))
		return false;
	return r->first != 0 || r->last == UINT64_MAX || r->last + 1 != r->complete;
}

enum header {
	HEADER_OTHER = 0,
	HEADER_HOST,
	HEADER_USER_AGENT,
	HEADER_TYPE,
	HEADER_DISPOSITION,
	HEADER_UPGRADE,
	HEADER_LOCATION,
	HEADER_LENGTH,
	HEADER_RANGE,
	HEADER_AUTHORIZATION,
	HEADER_PROXY_AUTHORIZATION,
	HEADER_CODING,
	HEADER_TRANSFER
};

static enum header header_of(struct bytes name)
{
	enum {
		lengths = 1 << 4 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 16 | 1 << 17 | 1 << 19
	};
	static const struct {
		const char *name;
		size_t n;
		enum header header;
	} fields[] = {
#define F(text, id) {text, sizeof(text) - 1, id}
	    F("host", HEADER_HOST),
	    F("user-agent", HEADER_USER_AGENT),
	    F("content-type", HEADER_TYPE),
	    F("content-disposition", HEADER_DISPOSITION),
	    F("upgrade", HEADER_UPGRADE),
	    F("location", HEADER_LOCATION),
	    F("authorization", HEADER_AUTHORIZATION),
	    F("proxy-authorization", HEADER_PROXY_AUTHORIZATION),
	    F("content-length", HEADER_LENGTH),
	    F("content-range", HEADER_RANGE),
	    F("content-encoding", HEADER_CODING),
	    F("transfer-encoding", HEADER_TRANSFER),
#undef F
	};
	if (name.n > 19 || !(lengths >> name.n & 1)) /* most fields are none of these */
		return HEADER_OTHER;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (name.n == fields[i].n && text_equal_fold(name.p, name.n, fields[i].name, fields[i].n))
			return fields[i].header;
	return HEADER_OTHER;
}

/* Servers take the first or the last of several: both are tried. */
static void set_host(struct http_head *h, struct bytes value)
{
	if (!h->host.p) {
		h->host = value;
	} else if (!text_equal_fold(h->host.p, h->host.n, value.p, value.n)) {
		h->last_host = value;
		h->ambiguous = true;
	}
}

/* The first field of a name counts. */
static void keep(struct bytes *into, struct bytes value)
{
	if (!into->p)
		*into = value;
}

void http_head_field(struct http_head *h, struct bytes name, struct bytes value)
{
	switch (header_of(name)) {
	case HEADER_HOST:
		set_host(h, value);
		break;
	case HEADER_USER_AGENT:
		keep(&h->user_agent, value);
		break;
	case HEADER_TYPE:
		keep(&h->content_type, value);
		break;
	case HEADER_DISPOSITION:
		keep(&h->disposition, value);
		break;
	case HEADER_UPGRADE:
		keep(&h->upgrade, value);
		break;
	case HEADER_AUTHORIZATION:
		keep(&h->authorization[0], value);
		break;
	case HEADER_PROXY_AUTHORIZATION:
		keep(&h->authorization[1], value);
		break;
	case HEADER_LOCATION:
		keep(&h->location, value);
		break;
	case HEADER_LENGTH:
		set_length(h, value);
		break;
	case HEADER_RANGE:
		set_range(h, value);
		break;
	case HEADER_CODING:
	case HEADER_TRANSFER:
		add_codings(h, value);
		break;
	case HEADER_OTHER:
		break;
	}
}

bool http_head_parse(const uint8_t *p, size_t n, struct http_head *h)
{
	*h = (struct http_head){0};
	struct cursor c = cursor_over(p, n);
	struct bytes line;
	if (!next_line(&c, &line))
		return false;
	bool status = line.n >= 5 && memcmp(line.p, "HTTP/", 5) == 0;
	if (!(status ? parse_status_line(line, h) : parse_request_line(line, h)))
		return false;
	for (unsigned fields = 0; next_line(&c, &line) && line.n; fields++) {
		if (fields == HTTP_FIELDS_MAX) {
			h->over_limit = true;
			break;
		}
		if (blank(line.p[0])) {
			h->folded = true;
			continue;
		}
		const uint8_t *colon = memchr(line.p, ':', line.n);
		if (colon)
			http_head_field(h, trim(span(line.p, colon)), trim(span(colon + 1, line.p + line.n)));
	}
	h->ambiguous |= h->chunked && h->has_length;
	return true;
}
