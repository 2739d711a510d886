/* HTTP/1.0 and 1.1 over TCP, both directions, any port (RFC 9112).
 *
 * Each side of a flow is a row of messages; which side asks is told by its start
 * lines, not by who opened the connection, so a flow seen from its middle works.
 * Requests wait in a short queue for their responses: a response's framing needs
 * the method (HEAD, CONNECT), and an alert from its body wants the URL.
 *
 * The URL that is matched is "http://" + Host + target. In absolute form the
 * target itself; without a Host, the address that was asked (and its port unless
 * 80). The Host field is taken as it stands, with its port.
 *
 * When framing is lost (gap, broken chunk, rubbish) the side skips to the next
 * line that begins a message. A head longer than HTTP_HEAD_MAX is read as far as
 * that, its rest skipped: padding hides neither this message nor the next. */
#include "sensor/parsers.h"

#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "sensor/http_body.h"
#include "sensor/http_head.h"
#include "sensor/mime_field.h"

#define PIPELINE_MAX 32   /* requests that wait for a response; the oldest is forgotten */
#define URL_MAX      8192 /* longer URLs match nothing */
#define HOST_MAX     1024
#define AGENT_KEEP   1024 /* of the user agent, for describe() */
#define NAME_KEEP    1024

/* One request, kept until its response is over. Text behind the struct: method,
 * version, URL, user agent. */
struct http_request {
	struct http_request *next;
	size_t bytes; /* as allocated */
	uint8_t refs; /* queue, the request's own side, the response's side */
	bool head, connect;
	uint8_t version_n;
	uint8_t method_n;
	uint16_t url_n, agent_n;
	uint16_t host_at, host_n; /* within the URL, without port */
	uint16_t path_at;         /* within the URL: the target, as EVE's "url" wants it */
	uint8_t text[];
};

enum phase { PHASE_START = 0, PHASE_HEAD, PHASE_HEAD_REST, PHASE_BODY, PHASE_RESYNC };

struct http_side {
	enum phase phase;
	bool blank;     /* http_head_scan() */
	bool checked;   /* the start line has been looked at */
	bool connected; /* its last request was CONNECT */
	bool has_body;  /* follows PHASE_HEAD_REST */
	unsigned status;
	struct carry head;
	struct http_body body;
	struct http_request *request; /* asked or answered by the message in progress */
};

struct http {
	struct http_side side[2];
	struct http_request *first, *last;
	unsigned queued;
	bool lost_sync; /* counted once */
	/* for describe() */
	const struct http_request *now;
	const struct http_side *now_side;
};

static struct bytes text_method(const struct http_request *r)
{
	return (struct bytes){r->text, r->method_n};
}

static struct bytes text_version(const struct http_request *r)
{
	return (struct bytes){r->text + r->method_n, r->version_n};
}

static struct bytes text_url(const struct http_request *r)
{
	return (struct bytes){r->text + r->method_n + r->version_n, r->url_n};
}

static struct bytes text_agent(const struct http_request *r)
{
	return (struct bytes){r->text + r->method_n + r->version_n + r->url_n, r->agent_n};
}

static void release(struct inspect *in, struct http_request *r)
{
	if (r && --r->refs == 0)
		mem_free(in->mem, r, r->bytes);
}

static void enqueue(struct inspect *in, struct http *h, struct http_request *r)
{
	if (h->queued == PIPELINE_MAX) {
		struct http_request *oldest = h->first;
		h->first = oldest->next;
		h->queued--;
		release(in, oldest);
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	}
	r->refs++;
	if (h->queued)
		h->last->next = r;
	else
		h->first = r;
	h->last = r;
	h->queued++;
}

/* The oldest request; the caller has the queue's reference. */
static struct http_request *dequeue(struct http *h)
{
	struct http_request *r = h->queued ? h->first : NULL;
	if (r) {
		h->first = r->next;
		h->queued--;
	}
	return r;
}

/* ---- URL ---- */

struct url {
	size_t n, host_at, host_n, path_at;
	bool over_limit;
	uint8_t text[URL_MAX];
};

static void url_add(struct url *u, const void *p, size_t n)
{
	if (n > sizeof(u->text) - u->n) {
		u->over_limit = true;
		n = sizeof(u->text) - u->n;
	}
	if (n)
		memcpy(u->text + u->n, p, n);
	u->n += n;
}

/* Length of "scheme://" that the target begins with, or 0. */
static size_t scheme_length(struct bytes t)
{
	size_t i = 0;
	while (i < t.n && i < 16 && ((t.p[i] | 0x20) >= 'a' && (t.p[i] | 0x20) <= 'z'))
		i++;
	return i && t.n - i >= 3 && memcmp(t.p + i, "://", 3) == 0 ? i + 3 : 0;
}

/* The host in an authority: no user, no port; of "[v6]:port" all within and with
 * the brackets. */
static void url_find_host(struct url *u, size_t at, size_t end)
{
	for (size_t i = at; i < end; i++)
		if (u->text[i] == '@')
			at = i + 1;
	size_t n = 0;
	if (at < end && u->text[at] == '[')
		while (at + n < end && u->text[at + n] != ']')
			n++;
	while (at + n < end && u->text[at + n] != ':')
		n++;
	u->host_at = at;
	u->host_n = n;
}

static void url_from_address(struct url *u, const struct inspect *in, enum side side)
{
	const struct addr *a = side == TO_SERVER ? &in->dest : &in->src;
	unsigned port = side == TO_SERVER ? in->dest_port : in->src_port;
	char host[ADDR_TEXT_LEN], text[ADDR_TEXT_LEN + 16];
	addr_format(a, host);
	int n = snprintf(text, sizeof(text), addr_is_v4(a) ? "%s" : "[%s]", host);
	if (port != 80)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ":%u", port);
	url_add(u, text, (size_t)n);
}

static void url_build(struct url *u, const struct inspect *in, enum side side, const struct http_head *h, bool connect)
{
	*u = (struct url){0};
	size_t scheme = connect ? 0 : scheme_length(h->target);
	if (!scheme && !connect)
		url_add(u, "http://", 7);
	size_t at = u->n + scheme;
	if (!scheme && !connect && h->host.n)
		url_add(u, h->host.p, h->host.n);
	else if (!scheme && !connect)
		url_from_address(u, in, side);
	u->path_at = scheme ? 0 : u->n;
	size_t end = u->n;
	url_add(u, h->target.p, h->target.n);
	if (scheme || connect) {
		end = at;
		while (end < u->n && u->text[end] != '/' && u->text[end] != '?' && u->text[end] != '#')
			end++;
	}
	url_find_host(u, at, end);
	if (u->host_n > HOST_MAX)
		u->host_n = 0;
}

/* ---- requests ---- */

static struct http_request *keep_request(struct inspect *in, const struct http_head *h, const struct url *u)
{
	size_t agent_n = h->user_agent.n < AGENT_KEEP ? h->user_agent.n : AGENT_KEEP;
	size_t version_n = h->version.n < 16 ? h->version.n : 16;
	size_t bytes = sizeof(struct http_request) + h->method.n + version_n + u->n + agent_n;
	struct http_request *r = mem_alloc(in->mem, bytes);
	if (!r)
		return NULL;
	*r = (struct http_request){.bytes = bytes,
				   .version_n = (uint8_t)version_n,
				   .method_n = (uint8_t)h->method.n,
				   .url_n = (uint16_t)u->n,
				   .agent_n = (uint16_t)agent_n,
				   .host_at = (uint16_t)u->host_at,
				   .host_n = (uint16_t)u->host_n,
				   .path_at = (uint16_t)u->path_at};
	r->head = text_equal_fold(h->method.p, h->method.n, "HEAD", 4);
	r->connect = text_equal_fold(h->method.p, h->method.n, "CONNECT", 7);
	uint8_t *to = r->text;
	const struct bytes parts[] = {
	    h->method, {h->version.p, version_n}, {u->text, u->n}, {h->user_agent.p, agent_n}};
	for (size_t i = 0; i < 4; i++) {
		if (parts[i].n)
			memcpy(to, parts[i].p, parts[i].n);
		to += parts[i].n;
	}
	return r;
}

static void observe_name(struct inspect *in, struct bytes name)
{
	struct addr ip;
	if (!name.n || name.p[0] == '[' || addr_parse((const char *)name.p, name.n, &ip))
		return;
	observe(in, WHERE_HTTP_HOST, name.p, name.n);
}

static void observe_filename(struct inspect *in, struct bytes disposition)
{
	char name[NAME_KEEP];
	if (!disposition.n || !wanted(in, WHERE_HTTP_FILENAME))
		return;
	size_t n = mime_filename(disposition, "filename", name, sizeof(name));
	if (n)
		observe(in, WHERE_HTTP_FILENAME, name, n);
}

/* In absolute form the Host field is not the host of the URL: a proxy ignores it,
 * an origin may not. Both are reported. */
static void observe_host_field(struct inspect *in, struct bytes host, struct bytes reported)
{
	struct url u = {0};
	if (!host.n || host.n > HOST_MAX)
		return;
	url_add(&u, host.p, host.n);
	url_find_host(&u, 0, u.n);
	if (!text_equal_fold(u.text + u.host_at, u.host_n, reported.p, reported.n))
		observe_name(in, (struct bytes){u.text + u.host_at, u.host_n});
}

static enum verdict on_request(struct inspect *in, struct http *h, enum side side, const struct http_head *head)
{
	struct http_side *s = &h->side[side];
	struct url u;
	bool connect = text_equal_fold(head->method.p, head->method.n, "CONNECT", 7);
	url_build(&u, in, side, head, connect);
	struct http_request *r = keep_request(in, head, &u);
	if (!r) {
		ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
		return INSPECT_DONE;
	}
	r->refs = 1;
	s->request = r;
	s->status = 0;
	s->connected = connect;
	h->now = r;
	h->now_side = s;
	enqueue(in, h, r);
	struct bytes host = {u.text + u.host_at, u.host_n};
	observe_name(in, host);
	observe_host_field(in, head->host, host);
	if (u.over_limit)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	else if (!connect)
		observe(in, WHERE_HTTP_URL, u.text, u.n);
	if (head->user_agent.n)
		observe(in, WHERE_HTTP_USER_AGENT, head->user_agent.p, head->user_agent.n);
	observe_filename(in, head->disposition);
	return INSPECT_MORE;
}

/* ---- responses ---- */

static bool informational(unsigned status)
{
	return status >= 100 && status < 200 && status != 101;
}

static enum verdict upgraded(const struct http_head *head)
{
	return text_equal_fold(head->upgrade.p, head->upgrade.n, "websocket", 9) ? INSPECT_DONE : INSPECT_AGAIN;
}

static enum verdict on_response(struct inspect *in, struct http *h, enum side side, const struct http_head *head)
{
	struct http_side *s = &h->side[side];
	s->request = informational(head->status) ? NULL : dequeue(h);
	s->status = head->status;
	h->now = s->request;
	h->now_side = s;
	observe_filename(in, head->disposition);
	if (head->status == 101)
		return upgraded(head);
	if (s->request && s->request->connect && head->status / 100 == 2)
		return INSPECT_AGAIN;
	return INSPECT_MORE;
}

static bool body_forbidden(const struct http_side *s, const struct http_head *head)
{
	if (head->request)
		return false;
	return head->status / 100 == 1 || head->status == 204 || head->status == 304 ||
	       (s->request && s->request->head);
}

static void message_over(struct inspect *in, struct http_side *s)
{
	release(in, s->request);
	s->request = NULL;
	s->has_body = false;
	s->checked = s->blank = false;
	s->phase = PHASE_START;
}

static void lose_sync(struct inspect *in, struct http *h, struct http_side *s, enum ledger_id why)
{
	if (!h->lost_sync)
		ledger_count(in->ledger, why);
	h->lost_sync = true;
	message_over(in, s);
	carry_free(in->mem, &s->head);
	s->phase = PHASE_RESYNC;
}

static enum verdict accept_head(struct inspect *in, struct http *h, enum side side, const struct http_head *head)
{
	struct http_side *s = &h->side[side];
	if (head->over_limit)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	enum verdict v = head->request ? on_request(in, h, side, head) : on_response(in, h, side, head);
	if (v != INSPECT_MORE)
		return v;
	s->has_body = http_body_begin(in, &s->body, head, body_forbidden(s, head));
	if (s->has_body)
		s->phase = PHASE_BODY;
	else
		message_over(in, s);
	return INSPECT_MORE;
}

/* A head with folds is read from a copy without them. */
static enum verdict on_head(struct inspect *in, struct http *h, enum side side, const uint8_t *p, size_t n)
{
	struct http_head head;
	struct carry copy = {0};
	bool ok = http_head_parse(p, n, &head);
	if (ok && head.folded && carry_push(in->mem, &copy, p, n, HTTP_HEAD_MAX)) {
		http_head_unfold(copy.p, n);
		ok = http_head_parse(copy.p, n, &head);
	}
	enum verdict v = INSPECT_MORE;
	if (ok)
		v = accept_head(in, h, side, &head);
	else
		lose_sync(in, h, &h->side[side], LEDGER_PARSER_ERROR);
	carry_free(in->mem, &copy);
	return v;
}

/* Keeps p for a head that is not complete. False when the head is longer than is
 * read, or memory is short. */
static bool keep_head(struct inspect *in, struct http_side *s, const uint8_t *p, size_t n)
{
	return carry_push(in->mem, &s->head, p, n, HTTP_HEAD_MAX);
}

/* What there is of an over-long head, up to its last whole line, is read as one. */
static enum verdict cut_head(struct inspect *in, struct http *h, enum side side)
{
	struct http_side *s = &h->side[side];
	size_t n = s->head.n;
	while (n && s->head.p[n - 1] != '\n')
		n--;
	struct carry head = s->head;
	s->head = (struct carry){0};
	enum verdict v = INSPECT_MORE;
	if (n)
		v = on_head(in, h, side, head.p, n);
	else
		lose_sync(in, h, s, LEDGER_PARSER_ERROR);
	carry_free(in->mem, &head);
	return v;
}

static enum verdict head_over_limit(struct inspect *in, struct http *h, enum side side, const uint8_t *p, size_t n)
{
	struct http_side *s = &h->side[side];
	size_t room = HTTP_HEAD_MAX - s->head.n;
	(void)keep_head(in, s, p, n < room ? n : room);
	ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	bool blank = s->blank;
	enum verdict v = cut_head(in, h, side);
	if (v != INSPECT_MORE || s->phase == PHASE_RESYNC)
		return v;
	s->blank = blank;
	s->phase = PHASE_HEAD_REST;
	return INSPECT_MORE;
}

/* After CONNECT something else may follow at once (the response not seen). */
static enum verdict check_start(struct inspect *in, struct http *h, struct http_side *s, const uint8_t *p, size_t n)
{
	enum probe start = http_start(p, n);
	if (start == PROBE_NO && s->connected)
		return INSPECT_AGAIN;
	if (start == PROBE_NO)
		lose_sync(in, h, s, LEDGER_PARSER_ERROR);
	s->checked = start == PROBE_YES;
	return INSPECT_MORE;
}

static enum verdict take_head(struct inspect *in, struct http *h, enum side side, const uint8_t *p, size_t n,
			      size_t *used)
{
	struct http_side *s = &h->side[side];
	bool blank = s->blank;
	size_t end = http_head_scan(p, n, &s->blank);
	size_t take = end ? end : n;
	*used = take;
	bool whole_here = !s->head.n && end && end <= HTTP_HEAD_MAX;
	if (!whole_here && !keep_head(in, s, p, take)) {
		if (s->head.n + take <= HTTP_HEAD_MAX) {
			ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
			return INSPECT_DONE;
		}
		if (end)
			s->blank = blank, *used = 0; /* the end is found again as the rest of the head */
		return head_over_limit(in, h, side, p, take);
	}
	const uint8_t *head = whole_here ? p : s->head.p;
	size_t head_n = whole_here ? end : s->head.n;
	if (!s->checked) {
		enum verdict v = check_start(in, h, s, head, head_n);
		if (v == INSPECT_AGAIN)
			*used = 0;
		if (v != INSPECT_MORE || s->phase == PHASE_RESYNC)
			return v;
	}
	if (!end)
		return INSPECT_MORE;
	struct carry own = s->head;
	s->head = (struct carry){0};
	enum verdict v = on_head(in, h, side, head, head_n);
	carry_free(in->mem, &own);
	return v;
}

/* ---- the stream ---- */

/* Blank lines before a message are skipped (RFC 9112 2.2). */
static enum verdict take_start(struct http_side *s, const uint8_t *p, size_t n, size_t *used)
{
	size_t i = 0;
	while (i < n && (p[i] == '\r' || p[i] == '\n'))
		i++;
	if (i < n) {
		s->phase = PHASE_HEAD;
		s->blank = s->checked = false;
	}
	*used = i;
	return INSPECT_MORE;
}

static void take_rest(struct inspect *in, struct http_side *s, const uint8_t *p, size_t n, size_t *used)
{
	size_t end = http_head_scan(p, n, &s->blank);
	*used = end ? end : n;
	if (!end)
		return;
	if (s->has_body)
		s->phase = PHASE_BODY;
	else
		message_over(in, s);
}

static void take_body(struct inspect *in, struct http *h, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct http_side *s = &h->side[side];
	h->now = s->request;
	h->now_side = s;
	enum http_body_state state = http_body_data(in, &s->body, p, n, used);
	if (state == HTTP_BODY_MORE)
		return;
	http_body_end(in, &s->body, state == HTTP_BODY_END);
	if (state == HTTP_BODY_LOST)
		lose_sync(in, h, s, LEDGER_PARSER_ERROR);
	else
		message_over(in, s);
}

/* A message may begin at the beginning of what the segment brings, or of any line
 * within it. */
static void take_resync(struct http_side *s, const uint8_t *p, size_t n, size_t *used)
{
	for (size_t i = 0; i < n;) {
		if (p[i] != '\r' && p[i] != '\n' && http_start(p + i, n - i) == PROBE_YES) {
			*used = i;
			s->phase = PHASE_START;
			return;
		}
		const uint8_t *nl = memchr(p + i, '\n', n - i);
		i = nl ? (size_t)(nl - p) + 1 : n;
	}
	*used = n;
}

static enum verdict http_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct http *h = in->state;
	struct http_side *s = &h->side[side];
	enum verdict v = INSPECT_MORE;
	size_t at = 0;
	while (at < n && v == INSPECT_MORE) {
		size_t took = 0;
		switch (s->phase) {
		case PHASE_START:
			v = take_start(s, p + at, n - at, &took);
			break;
		case PHASE_HEAD:
			v = take_head(in, h, side, p + at, n - at, &took);
			break;
		case PHASE_HEAD_REST:
			take_rest(in, s, p + at, n - at, &took);
			break;
		case PHASE_BODY:
			take_body(in, h, side, p + at, n - at, &took);
			break;
		case PHASE_RESYNC:
			take_resync(s, p + at, n - at, &took);
			break;
		}
		at += took;
	}
	if (v == INSPECT_AGAIN)
		*used = at;
	h->now = NULL;
	return v;
}

static enum verdict http_gap(struct inspect *in, enum side side, size_t lost)
{
	struct http *h = in->state;
	struct http_side *s = &h->side[side];
	enum verdict v = INSPECT_MORE;
	if (s->phase == PHASE_BODY) {
		enum http_body_state state = http_body_gap(&s->body, lost);
		if (state == HTTP_BODY_MORE)
			return v;
		http_body_end(in, &s->body, false);
		if (state == HTTP_BODY_END) {
			message_over(in, s);
			return v;
		}
	} else if (s->phase == PHASE_HEAD && s->head.n) {
		v = cut_head(in, h, side);
		http_body_drop(in, &s->body);
	}
	if (v == INSPECT_MORE)
		lose_sync(in, h, s, LEDGER_PARSER_GAP);
	h->now = NULL;
	return v;
}

static void http_close(struct inspect *in, enum side side)
{
	struct http *h = in->state;
	struct http_side *s = &h->side[side];
	if (s->phase == PHASE_HEAD && s->head.n && s->checked)
		(void)cut_head(in, h, side);
	if (s->phase != PHASE_BODY)
		return;
	h->now = s->request;
	h->now_side = s;
	http_body_end(in, &s->body, s->body.framing == HTTP_UNTIL_CLOSE);
	message_over(in, s);
	h->now = NULL;
}

static void http_describe(const struct inspect *in, struct alert_app *app)
{
	const struct http *h = in->state;
	app->object = "http";
	if (h->now) {
		struct bytes url = text_url(h->now), agent = text_agent(h->now), method = text_method(h->now);
		struct bytes version = text_version(h->now);
		alert_app_text(app, "hostname", url.p + h->now->host_at, h->now->host_n);
		alert_app_text(app, "url", url.p + h->now->path_at, url.n - h->now->path_at);
		alert_app_text(app, "http_user_agent", agent.p, agent.n);
		alert_app_text(app, "http_method", method.p, method.n);
		alert_app_text(app, "protocol", version.p, version.n);
	}
	if (h->now_side && h->now_side->status)
		alert_app_number(app, "status", h->now_side->status);
	if (h->now_side && h->now_side->body.seen)
		alert_app_number(app, "length", (size_t)h->now_side->body.seen);
}

static void http_drop(struct inspect *in)
{
	struct http *h = in->state;
	for (int i = 0; i < 2; i++) {
		http_body_drop(in, &h->side[i].body);
		carry_free(in->mem, &h->side[i].head);
		release(in, h->side[i].request);
		h->side[i].request = NULL;
	}
	while (h->queued)
		release(in, dequeue(h));
}

static enum probe http_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)in;
	(void)side;
	return http_start(p, n);
}

const struct parser parser_http1 = {
    .name = "http",
    .over = OVER_TCP,
    .state_size = sizeof(struct http),
    .probe = http_probe,
    .stream = http_stream,
    .gap = http_gap,
    .close = http_close,
    .describe = http_describe,
    .drop = http_drop,
};
