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
 * line that begins a message (inspect.resync). A head longer than HTTP_HEAD_MAX is read as far as
 * that, its rest skipped: padding hides neither this message nor the next. */
#include "sensor/parsers.h"

#include <string.h>

#include "common/scratch.h"
#include "common/text.h"
#include "sensor/http_body.h"
#include "sensor/http_head.h"
#include "sensor/http_range.h"
#include "sensor/http_request.h"

#define PIPELINE_MAX 32 /* requests that wait for a response; the oldest is forgotten */

enum phase { PHASE_START = 0, PHASE_HEAD, PHASE_HEAD_REST, PHASE_BODY, PHASE_RESYNC };

struct http_side {
	enum phase phase;
	bool blank;     /* http_head_scan() */
	bool checked;   /* the start line has been looked at */
	bool connected; /* its last request was CONNECT */
	bool has_body;  /* follows PHASE_HEAD_REST */
	bool spoke;     /* has sent a head */
	unsigned status;
	struct carry head;
	struct http_body body;
	struct http_request *request; /* asked or answered by the message in progress */
	struct http_joined *joined;   /* a file of which a range was seen, and the next is awaited */
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

static void enqueue(struct inspect *in, struct http *h, struct http_request *r)
{
	if (h->queued == PIPELINE_MAX) {
		struct http_request *oldest = h->first;
		h->first = oldest->next;
		h->queued--;
		http_request_release(in, oldest);
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

/* ---- requests ---- */

static enum verdict on_request(struct inspect *in, struct http *h, enum side side, const struct http_head *head)
{
	struct http_side *s = &h->side[side];
	SCRATCH struct url u;
	struct http_request *r = http_request_new(in, side, head, &u);
	if (!r) {
		ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
		return INSPECT_DONE;
	}
	s->request = r;
	s->status = 0;
	s->connected = r->connect;
	h->now = r;
	h->now_side = s;
	enqueue(in, h, r);
	http_request_observe(in, head, &u);
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
	http_filename_observe(in, head->disposition);
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
	http_request_release(in, s->request);
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
	s->spoke = true;
	if (head->ambiguous)
		ledger_count(in->ledger, LEDGER_PARSER_AMBIGUOUS);
	if (head->over_limit)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	uint32_t outer = inspect_object(in, OBJECT_NEW);
	enum verdict v = head->request ? on_request(in, h, side, head) : on_response(in, h, side, head);
	if (v == INSPECT_MORE) {
		s->has_body = http_body_begin(in, &s->body, head, body_forbidden(s, head));
		http_range_begin(in, &s->joined, &s->body, head, s->request);
	}
	inspect_object(in, outer);
	if (v != INSPECT_MORE)
		return v;
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

/* An answer without a head, as HTTP/0.9 servers give: all of it is the body. */
static void bare_body(struct inspect *in, struct http *h, struct http_side *s, const uint8_t *p, size_t n)
{
	const struct http_head none = {0};
	size_t all;
	s->request = dequeue(h);
	s->status = 0;
	http_body_begin(in, &s->body, &none, false);
	s->phase = PHASE_BODY;
	(void)http_body_data(in, &s->body, p, n, &all);
	carry_free(in->mem, &s->head);
}

/* A request of HTTP/0.9 has no end but the answer. */
static void finish_bare_request(struct inspect *in, struct http *h, enum side asked)
{
	struct http_side *s = &h->side[asked];
	if (s->phase == PHASE_HEAD && s->checked && http_bare_request(s->head.p, s->head.n))
		(void)cut_head(in, h, asked);
}

/* After CONNECT something else may follow at once (the response not seen). */
static enum verdict check_start(struct inspect *in, struct http *h, struct http_side *s, const uint8_t *p, size_t n)
{
	enum probe start = http_start(p, n);
	if (start == PROBE_NO && s->connected)
		return INSPECT_AGAIN;
	if (start == PROBE_NO && !s->spoke && h->queued)
		bare_body(in, h, s, p, n);
	else if (start == PROBE_NO)
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
		if (v != INSPECT_MORE || s->phase != PHASE_HEAD)
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

static void body_end(struct inspect *in, struct http_side *s, bool whole)
{
	http_body_end(in, &s->body, http_range_end(in, &s->joined, &s->body, s->request, whole));
}

static void take_body(struct inspect *in, struct http *h, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct http_side *s = &h->side[side];
	h->now = s->request;
	h->now_side = s;
	enum http_body_state state = http_body_data(in, &s->body, p, n, used);
	if (state == HTTP_BODY_MORE)
		return;
	body_end(in, s, state == HTTP_BODY_END);
	if (state == HTTP_BODY_LOST)
		lose_sync(in, h, s, LEDGER_PARSER_ERROR);
	else
		message_over(in, s);
}

/* A message may begin at the beginning of what the segment brings, or of any line
 * within it. */
static void take_resync(struct inspect *in, struct http_side *s, const uint8_t *p, size_t n, size_t *used)
{
	for (size_t i = 0; i < n;) {
		if (p[i] != '\r' && p[i] != '\n' && !http_bare_request(p + i, n - i) &&
		    http_start(p + i, n - i) == PROBE_YES) {
			ledger_count(in->ledger, LEDGER_PARSER_RESYNC);
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
	if (!s->spoke && s->phase == PHASE_START)
		finish_bare_request(in, h, side == TO_SERVER ? TO_CLIENT : TO_SERVER);
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
			take_resync(in, s, p + at, n - at, &took);
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
		body_end(in, s, false);
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
	else if (s->phase == PHASE_HEAD && s->head.n && !s->spoke && h->queued)
		bare_body(in, h, s, s->head.p, s->head.n);
	if (s->phase == PHASE_BODY) {
		h->now = s->request;
		h->now_side = s;
		body_end(in, s, s->body.framing == HTTP_UNTIL_CLOSE);
		message_over(in, s);
		h->now = NULL;
	}
	http_range_cut(in, &s->joined);
}

static void http_describe(const struct inspect *in, struct alert_app *app)
{
	const struct http *h = in->state;
	app->object = "http";
	http_request_describe(h->now, app);
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
		http_range_drop(in, &h->side[i].joined);
		carry_free(in->mem, &h->side[i].head);
		http_request_release(in, h->side[i].request);
		h->side[i].request = NULL;
	}
	while (h->queued)
		http_request_release(in, dequeue(h));
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
    .late = LATE_UNKNOWN,
    .stream = http_stream,
    .gap = http_gap,
    .close = http_close,
    .describe = http_describe,
    .drop = http_drop,
};
