/* The numbers: stored <= flushed <= folded, and the next record that is taken is
 * folded + 1. A record below that was seen (a resend after REWIND): counted and
 * skipped. One above means that something is missing: REWIND is sent once, and
 * frames are dropped until the sensor has obeyed. One exception: when a sensor
 * no longer has what Redis wants (its spool was bounded, Redis went back in
 * time), its DATA begins with a LOSS record that says so; that one may jump.
 *
 * A lane of s->marks is above the others only after somebody died in the middle
 * of a flush: then the fold skips what is there already.
 *
 * A flush that does not come back, or comes back with another mark, ends the
 * session: the sensor connects again and begins at what Redis has. */
#include "collector/session.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"

#define BUFFER_KEEP 65536 /* an idle session gives the rest of its buffer back */

void session_init(struct session *s, const struct session_ops *ops, const struct session_limits *limits, void *owner,
		  const struct hash_key *hash, int64_t reopen_after_us, size_t deltas_max, int64_t now_us)
{
	*s = (struct session){.ops = ops,
			      .limits = limits,
			      .owner = owner,
			      .hash = hash,
			      .reopen_after_us = reopen_after_us,
			      .deltas_max = deltas_max,
			      .opened_us = now_us,
			      .tokens_us = now_us,
			      .record_tokens = limits->records_per_s,
			      .byte_tokens = limits->bytes_per_s};
}

void session_free(struct session *s)
{
	fold_free(&s->fold);
	buf_free(&s->in);
	buf_free(&s->out);
}

void session_stats_sum(struct session_stats *into, const struct session_stats *from)
{
	into->frames += from->frames;
	into->records += from->records;
	into->duplicates += from->duplicates;
	into->gaps += from->gaps;
	into->lies += from->lies;
	into->unreadable += from->unreadable;
	into->blanks += from->blanks;
	into->statuses += from->statuses;
	into->statuses_skipped += from->statuses_skipped;
	into->limited += from->limited;
	into->bytes += from->bytes;
}

bool session_id_valid(const char *id, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char c = id[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!word && (!c || !strchr("._-", c)))
			return false;
	}
	return n > 0 && n <= FRAME_ID_MAX;
}

/* Bytes that were received and not taken. */
static size_t in_hand(const struct session *s)
{
	return s->in.n - s->in_at;
}

/* ---- out ---- */

static void put_number(struct session *s, enum frame_type type, uint64_t number)
{
	size_t at = frame_begin(&s->out, type);
	buf_u64(&s->out, number);
	frame_end(&s->out, at);
}

static void close_for(struct session *s, const char *fmt, va_list ap)
{
	vsnprintf(s->why.text, sizeof(s->why.text), fmt, ap);
	s->state = SESSION_CLOSED;
	size_t n = strlen(s->why.text), at = frame_begin(&s->out, FRAME_BYE);
	buf_u8(&s->out, 0);
	buf_add(&s->out, s->why.text, n < 200 ? n : 200);
	frame_end(&s->out, at);
}

void session_close(struct session *s, const char *fmt, ...)
{
	if (s->state == SESSION_CLOSED)
		return;
	va_list ap;
	va_start(ap, fmt);
	close_for(s, fmt, ap);
	va_end(ap);
}

void session_blame(struct session *s, const char *fmt, ...)
{
	if (s->state == SESSION_CLOSED)
		return;
	va_list ap;
	va_start(ap, fmt);
	close_for(s, fmt, ap);
	va_end(ap);
	s->blamed = true;
}

static void acknowledge(struct session *s)
{
	if (s->state != SESSION_OPEN || s->stored == s->acked || s->out.n > SESSION_OUT_MAX)
		return;
	put_number(s, FRAME_ACK, s->stored);
	s->acked = s->stored;
}

/* ---- flushing ---- */

/* An empty fold may have a number to tell: records that count for nothing. */
static bool flush(struct session *s, int64_t now_us)
{
	if (s->folded == s->flushed)
		return true;
	if (s->in_flight >= s->limits->in_flight)
		return false;
	uint64_t hi = s->folded;
	s->in_flight++;
	s->ops->flush(s, hi);
	fold_reset(&s->fold);
	if (s->limits->lane_deltas)
		s->fold.lane_max = s->limits->lane_deltas;
	marks_raise(&s->marks, 0, LANES, hi);
	s->flushed = hi;
	s->fold_since_us = 0;
	s->flush_last_us = now_us;
	return true;
}

void session_flushed(struct session *s, uint64_t hi)
{
	s->in_flight--;
	s->stuck = false;
	if (s->state != SESSION_OPEN)
		return;
	s->stored = hi;
	acknowledge(s);
}

void session_refused(struct session *s, const char *why)
{
	if (s->in_flight)
		s->in_flight--;
	session_close(s, "%s", why);
}

void session_welcome(struct session *s, const struct marks *marks)
{
	uint64_t mark = marks_lowest(marks);
	if (s->state != SESSION_ASKED)
		return;
	s->marks = *marks;
	s->folded = s->flushed = s->stored = s->acked = mark;
	s->state = SESSION_OPEN;
	fold_init(&s->fold, s->hash, s->reopen_after_us, s->deltas_max);
	s->fold.marks = &s->marks;
	size_t at = frame_begin(&s->out, FRAME_WELCOME);
	buf_u64(&s->out, mark);
	buf_u64(&s->out, marks_highest(marks));
	frame_end(&s->out, at);
}

/* ---- frames ---- */

/* HELLO: u64 epoch, u8 role, u8 n, id, u8 m, version. */
static void take_hello(struct session *s, struct bytes payload)
{
	struct cursor c = cursor_over(payload.p, payload.n);
	struct err e;
	uint64_t epoch = cursor_u64(&c);
	cursor_skip(&c, 1); /* the role: the certificate's counts */
	struct bytes id = cursor_bytes(&c, cursor_u8(&c));
	struct bytes version = cursor_bytes(&c, cursor_u8(&c));
	if (!cursor_ok(&c) || !session_id_valid((const char *)id.p, id.n) ||
	    (s->ops->hello_rest && !s->ops->hello_rest(s, c))) {
		session_blame(s, "HELLO is malformed");
		return;
	}
	memcpy(s->id, id.p, id.n);
	text_clean(s->version, sizeof(s->version), version.p, version.n);
	s->epoch = epoch;
	s->state = SESSION_ASKED;
	if (!s->ops->hello(s, &e))
		session_blame(s, "%s", e.text);
}

/* False: it does not fit now. */
static bool take_record(struct session *s, struct bytes data, int64_t wall_us)
{
	struct record r;
	unsigned long skipped;
	uint64_t lies = s->fold.lies;
	if (!data.n) { /* lost in the spool; a LOSS record has told it (common/frame.h) */
		s->stats.blanks++;
		return true;
	}
	bool readable = record_read(data.p, data.n, &r);
	uint64_t sequence = s->data.sequence;
	enum fold_result result = readable ? fold_add(&s->fold, &r, sequence, wall_us)
					   : fold_add_unreadable(&s->fold, sequence, wall_us);
	if (result == FOLD_FULL)
		return false;
	if (result == FOLD_KNOWN) {
		s->stats.duplicates++;
		return true;
	}
	s->stats.records++;
	s->stats.lies += s->fold.lies - lies;
	s->stats.unreadable += !readable;
	if (!readable && log_again(&s->say_unreadable, &skipped))
		log_warnx("sensor %s sends records that cannot be read: counted as lost", s->id);
	if (s->fold.lies != lies && log_again(&s->say_lie, &skipped))
		log_warnx("sensor %s sends records whose group key is not that of their fields: folded by their fields",
			  s->id);
	return true;
}

/* Whether the first record of a frame announces that everything before it is
 * lost. */
static bool announces_loss(struct cursor c)
{
	struct record r;
	struct bytes first = cursor_bytes(&c, cursor_u32(&c));
	return cursor_ok(&c) && record_read(first.p, first.n, &r) && r.kind == RECORD_LOSS;
}

/* DATA: u64 first sequence, u32 count, then u32 length and record each. */
static bool begin_data(struct session *s, struct bytes payload, size_t frame_n)
{
	struct cursor c = cursor_over(payload.p, payload.n);
	uint64_t first = cursor_u64(&c);
	uint32_t count = cursor_u32(&c);
	if (!cursor_ok(&c) || !count || first == 0 || first > SESSION_SEQUENCE_MAX) {
		session_blame(s, "DATA is malformed");
		return false;
	}
	if (first > s->folded + 1 && announces_loss(c))
		s->folded = first - 1;
	if (first > s->folded + 1) {
		s->stats.gaps++;
		if (!s->rewound)
			put_number(s, FRAME_REWIND, s->folded + 1);
		s->rewound = true;
		return false;
	}
	s->rewound = false;
	s->data.frame_n = frame_n;
	s->data.at = FRAME_HEADER + 12;
	s->data.sequence = first;
	s->data.left = count;
	return true;
}

/* Takes records until the frame is used up (true) or the fold and all flushes
 * are full (false). */
static bool continue_data(struct session *s, int64_t now_us, int64_t wall_us)
{
	struct cursor c = cursor_over(s->in.p + s->in_at + s->data.at, s->data.frame_n - s->data.at);
	while (s->data.left) {
		struct bytes record = cursor_bytes(&c, cursor_u32(&c));
		if (!cursor_ok(&c)) {
			session_blame(s, "DATA is malformed: a record passes its end");
			return true;
		}
		if (s->data.sequence <= s->folded) {
			s->stats.duplicates++;
		} else if (take_record(s, record, wall_us)) {
			s->folded = s->data.sequence;
			if (!s->fold_since_us)
				s->fold_since_us = now_us;
		} else if (flush(s, now_us) && s->state == SESSION_OPEN) {
			c = cursor_over(s->in.p + s->in_at + s->data.at, s->data.frame_n - s->data.at);
			continue;
		} else {
			s->stuck = true;
			return s->state == SESSION_CLOSED;
		}
		s->record_tokens--;
		s->data.sequence++;
		s->data.left--;
		s->data.at = (size_t)(c.p - s->in.p) - s->in_at;
	}
	if (cursor_left(&c))
		session_blame(s, "DATA is malformed: %zu bytes after its last record", cursor_left(&c));
	return true;
}

static void take_status(struct session *s, struct bytes payload, int64_t now_us)
{
	if (payload.n > SESSION_STATUS_MAX || (s->status_us && now_us - s->status_us < SESSION_STATUS_US)) {
		s->stats.statuses_skipped++;
		return;
	}
	s->status_us = now_us;
	s->stats.statuses++;
	s->ops->status(s, payload);
}

static void take_frame(struct session *s, const struct frame *f, size_t used, int64_t now_us)
{
	struct err e;
	s->stats.frames++;
	if (s->state == SESSION_NEW) {
		if (f->type == FRAME_HELLO)
			take_hello(s, f->payload);
		else
			session_blame(s, "the first frame must be HELLO");
	} else if (f->type == FRAME_DATA) {
		begin_data(s, f->payload, used);
	} else if (f->type == FRAME_STATUS) {
		take_status(s, f->payload, now_us);
	} else if ((f->type == FRAME_SET_GET || f->type == FRAME_SET_ACK) && s->ops->set_frame) {
		if (!s->ops->set_frame(s, f, &e))
			session_blame(s, "%s", e.text);
	} else if (f->type == FRAME_BYE) {
		session_close(s, "the sensor says goodbye");
	} else {
		session_blame(s, "frame type %d is not for a collector", f->type);
	}
}

static void drop_frame(struct session *s, size_t n, int64_t now_us)
{
	s->in_at += n;
	s->frame_since_us = in_hand(s) ? now_us : 0;
	if (!in_hand(s) || (s->in_at >= BUFFER_KEEP && s->in_at * 2 > s->in.n)) {
		buf_shift(&s->in, s->in_at);
		s->in_at = 0;
	}
	if (!s->in.n && s->in.cap > BUFFER_KEEP)
		buf_free(&s->in);
}

static bool tokens_left(const struct session *s)
{
	return (!s->limits->records_per_s || s->record_tokens > 0) && (!s->limits->bytes_per_s || s->byte_tokens > 0);
}

bool session_turn(struct session *s, int64_t now_us, int64_t wall_us)
{
	struct frame f;
	struct err e;
	size_t used = 0;
	if (s->state == SESSION_CLOSED || s->state == SESSION_ASKED || s->stuck || s->out.n > SESSION_OUT_MAX)
		return false;
	if (!s->data.frame_n) {
		if (!tokens_left(s)) {
			s->stats.limited++;
			return false;
		}
		enum frame_result r = in_hand(s) ? frame_read(s->in.p + s->in_at, in_hand(s), &f, &used, &e)
						 : FRAME_MORE;
		if (r == FRAME_BAD)
			session_blame(s, "%s", e.text);
		else if (r == FRAME_MORE && s->state == SESSION_NEW && in_hand(s) >= SESSION_HELLO_MAX)
			session_blame(s, "no HELLO within %d bytes", SESSION_HELLO_MAX);
		if (r != FRAME_READY)
			return false;
		s->byte_tokens -= (int64_t)used;
		take_frame(s, &f, used, now_us);
	}
	if (s->data.frame_n) {
		if (!continue_data(s, now_us, wall_us))
			return false;
		used = s->data.frame_n;
		s->data.frame_n = 0;
	}
	drop_frame(s, used, now_us);
	return s->state == SESSION_OPEN && in_hand(s) >= FRAME_HEADER;
}

/* ---- input and time ---- */

size_t session_wants_input(const struct session *s)
{
	size_t max = s->state == SESSION_NEW ? SESSION_HELLO_MAX
					     : FRAME_HEADER + FRAME_PAYLOAD_MAX + SESSION_READ_AHEAD;
	if (s->state == SESSION_CLOSED || s->state == SESSION_ASKED || s->data.frame_n || in_hand(s) >= max)
		return 0;
	return tokens_left(s) ? max - in_hand(s) : 0;
}

void session_feed(struct session *s, const void *data, size_t n, int64_t now_us)
{
	if (!in_hand(s) && n)
		s->frame_since_us = now_us;
	s->stats.bytes += n;
	buf_add(&s->in, data, n);
}

static void refill(int64_t *tokens, int64_t per_s, int64_t passed_us)
{
	int64_t more = passed_us > 1000000 ? per_s : per_s / 1000 * passed_us / 1000;
	*tokens = *tokens + more > per_s ? per_s : *tokens + more;
}

void session_tick(struct session *s, int64_t now_us)
{
	int64_t passed = now_us - s->tokens_us;
	if (passed >= 1000) {
		refill(&s->record_tokens, s->limits->records_per_s, passed);
		refill(&s->byte_tokens, s->limits->bytes_per_s, passed);
		s->tokens_us = now_us;
	}
	if (s->state == SESSION_NEW && now_us - s->opened_us > s->limits->hello_us)
		session_blame(s, "no HELLO within %" PRId64 " s", s->limits->hello_us / 1000000);
	/* A frame that we do not take ourselves is not the sensor's fault. */
	if (s->stuck || s->data.frame_n || s->state == SESSION_ASKED || !tokens_left(s))
		s->frame_since_us = in_hand(s) ? now_us : 0;
	if (s->frame_since_us && now_us - s->frame_since_us > s->limits->frame_us)
		session_blame(s, "a frame did not end within %" PRId64 " s", s->limits->frame_us / 1000000);
	/* The first alert after a quiet time goes at once, a stream of them in bunches. */
	if (s->state == SESSION_OPEN && s->fold_since_us &&
	    (now_us - s->fold_since_us >= s->limits->flush_us || now_us - s->flush_last_us >= s->limits->flush_us))
		flush(s, now_us);
	acknowledge(s);
}
