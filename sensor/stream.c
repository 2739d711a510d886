/* TCP reassembly (RFC 9293), seen from the side: what the receiver's application
 * will read is not known, only guessed, and people who want to hide rely on
 * wrong guesses. The decisions, and what they are for:
 *
 *   first copy wins      Nothing that was handed on can be taken back, so the same
 *                        rule holds for what waits. Waiting bytes are compared:
 *                        other bytes are counted as conflicts.
 *   bad checksum         Set aside once the side has sent a good one: a receiver
 *                        drops it, so a copy with a good one goes first. When
 *                        the other side acknowledges it without such a copy, the
 *                        capture has damaged it, and it is believed. A side that
 *                        sends only bad ones has its checksums made by the
 *                        network card; it is believed at once. What could not be
 *                        verified (cut short, put together by the card) says nothing.
 *   low TTL              Far below what this side has used, it may not reach the
 *                        receiver: set aside as one with a bad checksum. Once it
 *                        is acknowledged the path has changed, and is believed. Only
 *                        when the other side is heard.
 *   old time stamp       Older than that of the side's last segment in order, which a
 *                        receiver that asked for stamps drops (PAWS, RFC 7323, 5.3): set
 *                        aside as one with a low TTL. Whether the receiver asked for them
 *                        need not be known: what it acknowledges is believed, as are the
 *                        stamps that go back in captures without a decoy.
 *   urgent data          In line, though some receivers take one byte of it out
 *                        (RFC 6093, 2): counted.
 *   RST                  Only with exactly the number that the receiver expects (RFC
 *                        5961, 3.2), or answering a SYN. Others are decoys: ignored.
 *                        One that counts ends the flow soon, not at once: the other
 *                        side's bytes may be on their way, and a RST with a TTL too
 *                        short to arrive must not blind us.
 *   FIN                  Closes when the other side acknowledged it, if we hear the
 *                        other side at all. Data behind a FIN proves it a decoy.
 *   SYN                  The SYN that a SYN-ACK answers counts; until then the last.
 *                        A SYN on a running connection is ignored (challenge ACK).
 *   data in a SYN        Held until the SYN-ACK says whether it was taken (RFC
 *                        7413); otherwise the sender repeats it, maybe differently.
 *   far ahead            More than AHEAD_MAX beyond what was acknowledged is in no
 *                        window: ignored. When the other side is not heard, AHEAD_BLIND.
 *   behind               A retransmission, a keep-alive (RFC 9293, 3.8.4): ignored.
 *   hole, acknowledged   The receiver has the bytes, we lost them: given up at once.
 *   hole, too much waits Given up: the rest is worth more than the order. So is a
 *                        hole when memory is short.
 *
 *   end of the flow      What is in doubt and stands where bytes are missing is handed on:
 *                        nothing else came, and no acknowledgement will.
 *
 * Not done: the receiver's exact window. A segment with the right number, a good checksum,
 * the usual TTL and a new time stamp that a receiver drops for another reason is believed;
 * its bytes show as a conflict only while they wait. */
#include "sensor/stream.h"

#include <assert.h>
#include <string.h>

#define WAITING_BYTES_MAX (512u << 10)
#define WAITING_MAX       256u
#define AHEAD_MAX         (16 << 20) /* bytes in flight beyond the last acknowledgement */
#define AHEAD_BLIND       (1 << 30)  /* the largest window there is: 65535 << 14 (RFC 7323, 2.3) */
#define DOUBTFUL_MAX      16u        /* segments set aside */
#define UNHEARD_MAX       64         /* segments after which the other side counts as not captured */
#define SOFT_BACK_MAX     (1 << 20)  /* data may begin so far before a guessed number */
#define TTL_SLACK         5          /* hops by which paths of one side differ */

struct segment {
	struct segment *next;
	uint32_t seq, n;
	bool lost;      /* cut by the capture: no bytes behind, a gap when its turn comes */
	uint8_t ttl;    /* of a doubtful one */
	uint32_t stamp; /* the same */
	uint8_t bytes[];
};

/* Where this half's walk happens. */
struct walk {
	struct stream_half *h;
	enum side side;
	struct mem *mem;
	struct ledger *ledger;
	const struct stream_sink *sink;
};

/* A run of sequence space with the bytes of it that were captured. */
struct run {
	uint32_t seq, n;
	const uint8_t *p;
	uint32_t have; /* <= n */
};

static int32_t seq_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

/* ---- handing on ---- */

static void hand_gap(struct walk *w, uint32_t n)
{
	w->h->next += n;
	ledger_count(w->ledger, LEDGER_STREAM_GAP);
	ledger_add(w->ledger, LEDGER_STREAM_GAP_BYTES, n);
	w->sink->gap(w->sink->owner, w->side, n);
}

static void hand_data(struct walk *w, const uint8_t *p, uint32_t n)
{
	w->h->next += n;
	w->h->delivered += n;
	w->sink->data(w->sink->owner, w->side, p, n);
}

static void hand_run(struct walk *w, const uint8_t *p, uint32_t have, uint32_t n)
{
	if (have)
		hand_data(w, p, have);
	if (n > have)
		hand_gap(w, n - have);
}

static size_t segment_size(const struct segment *g)
{
	return sizeof(*g) + (g->lost ? 0 : g->n);
}

static struct segment *pop(struct stream_half *h)
{
	struct segment *g = h->waiting;
	h->waiting = g->next;
	if (!h->waiting)
		h->last = NULL;
	h->waiting_n--;
	h->waiting_bytes -= g->lost ? 0 : g->n;
	return g;
}

/* Hands on what waits and is due. */
static void drain(struct walk *w)
{
	struct stream_half *h = w->h;
	while (h->waiting && h->waiting->seq == h->next && !h->syn_data) {
		struct segment *g = pop(h);
		hand_run(w, g->bytes, g->lost ? 0 : g->n, g->n);
		mem_free(w->mem, g, segment_size(g));
	}
}

/* The bytes before the first that waits will not come. */
static void give_up_hole(struct walk *w)
{
	w->h->syn_data = false;
	if (w->h->waiting->seq != w->h->next)
		hand_gap(w, w->h->waiting->seq - w->h->next);
	drain(w);
}

static void drop_waiting(struct stream_half *h, struct mem *mem)
{
	while (h->waiting) {
		struct segment *g = pop(h);
		mem_free(mem, g, segment_size(g));
	}
}

static void close_half(struct walk *w)
{
	if (w->h->closed)
		return;
	w->h->closed = true;
	w->sink->close(w->sink->owner, w->side);
}

static void flush_half(struct walk *w)
{
	while (w->h->waiting)
		give_up_hole(w);
}

/* ---- keeping what came early ---- */

static void run_skip(struct run *r, uint32_t n)
{
	uint32_t have = n < r->have ? n : r->have;
	r->seq += n;
	r->n -= n;
	r->p = r->have ? r->p + have : r->p;
	r->have -= have;
}

/* A new element behind `after` (NULL: in front). */
static bool keep_piece(struct walk *w, struct segment *after, uint32_t seq, const uint8_t *p, uint32_t n,
		       struct segment **made)
{
	struct stream_half *h = w->h;
	struct segment *g = mem_alloc_raw(w->mem, sizeof(*g) + (p ? n : 0));
	if (!g)
		return false;
	*g = (struct segment){.seq = seq, .n = n, .lost = !p};
	if (p)
		memcpy(g->bytes, p, n);
	g->next = after ? after->next : h->waiting;
	*(after ? &after->next : &h->waiting) = g;
	if (!g->next)
		h->last = g;
	h->waiting_n++;
	h->waiting_bytes += p ? n : 0;
	*made = g;
	return true;
}

/* Keeps the first n of a run: what was captured, then what was not. */
static bool keep(struct walk *w, struct segment **after, const struct run *r, uint32_t n)
{
	uint32_t have = n < r->have ? n : r->have;
	if (have && !keep_piece(w, *after, r->seq, r->p, have, after))
		return false;
	return n == have || keep_piece(w, *after, r->seq + have, NULL, n - have, after);
}

/* Puts a run among those that wait, around what is there. On false r is what
 * found no memory. */
static bool keep_around(struct walk *w, struct run *r)
{
	struct segment *last = w->h->last, *after = NULL;
	if (last && seq_diff(r->seq, last->seq + last->n) >= 0)
		after = last;
	while (r->n) {
		struct segment *g = after ? after->next : w->h->waiting;
		if (g && seq_diff(r->seq, g->seq) >= 0) {
			int32_t covered = seq_diff(g->seq + g->n, r->seq);
			if (covered > 0)
				run_skip(r, (uint32_t)covered < r->n ? (uint32_t)covered : r->n);
			after = g;
			continue;
		}
		uint32_t n = g && g->seq - r->seq < r->n ? g->seq - r->seq : r->n;
		if (!keep(w, &after, r, n))
			return false;
		run_skip(r, n);
	}
	return true;
}

/* Does the run repeat what waits, with the same bytes? */
static void compare_waiting(struct walk *w, const struct run *r)
{
	bool overlap = false, conflict = false;
	for (const struct segment *g = w->h->waiting; g && seq_diff(g->seq, r->seq + r->n) < 0; g = g->next) {
		uint32_t from = seq_diff(g->seq, r->seq) > 0 ? g->seq : r->seq;
		uint32_t to = seq_diff(g->seq + g->n, r->seq + r->n) < 0 ? g->seq + g->n : r->seq + r->n;
		if (seq_diff(to, from) <= 0)
			continue;
		overlap = true;
		uint32_t at = from - r->seq;
		if (g->lost || at >= r->have)
			continue;
		uint32_t n = to - from < r->have - at ? to - from : r->have - at;
		conflict |= memcmp(g->bytes + (from - g->seq), r->p + at, n) != 0;
	}
	if (conflict)
		ledger_count(w->ledger, LEDGER_STREAM_CONFLICT);
	else if (overlap)
		ledger_count(w->ledger, LEDGER_STREAM_OVERLAP);
}

/* Hands on from the packet itself whatever is due; r keeps the rest. */
static void hand_due(struct walk *w, struct run *r)
{
	struct stream_half *h = w->h;
	while (r->n) {
		int32_t ahead = seq_diff(r->seq, h->next);
		if (ahead > 0 || h->syn_data)
			return;
		if (ahead < 0) {
			uint32_t done = (uint32_t)-ahead;
			run_skip(r, done < r->n ? done : r->n);
			continue;
		}
		uint32_t n = h->waiting && h->waiting->seq - r->seq < r->n ? h->waiting->seq - r->seq : r->n;
		struct run due = *r;
		assert(n); /* what waits at `next` was drained */
		run_skip(r, n);
		hand_run(w, due.p, due.have < n ? due.have : n, n);
		drain(w);
	}
}

static void keep_rest(struct walk *w, struct run *r)
{
	ledger_count(w->ledger, LEDGER_STREAM_REORDER);
	if (!keep_around(w, r)) {
		ledger_count(w->ledger, LEDGER_STREAM_LIMIT);
		flush_half(w);
		if (r->n && seq_diff(r->seq, w->h->next) > 0)
			hand_gap(w, r->seq - w->h->next);
		hand_due(w, r);
	}
	while (w->h->waiting && (w->h->waiting_bytes > WAITING_BYTES_MAX || w->h->waiting_n > WAITING_MAX)) {
		ledger_count(w->ledger, LEDGER_STREAM_LIMIT);
		give_up_hole(w);
	}
}

/* ---- numbers ---- */

/* A side that is not captured, or no more, says nothing about what is in flight. */
static bool heard(const struct stream_half *h)
{
	return h->acked_known && h->unheard < UNHEARD_MAX;
}

static bool in_window(const struct stream_half *h, uint32_t seq)
{
	int32_t ahead = seq_diff(seq, h->next);
	if (!heard(h))
		return ahead <= AHEAD_BLIND && ahead >= -AHEAD_BLIND;
	int32_t acked = seq_diff(h->acked, h->next);
	int32_t limit = acked > 0 && acked < AHEAD_BLIND ? acked + AHEAD_MAX : AHEAD_MAX;
	return ahead <= limit && ahead >= -AHEAD_BLIND;
}

static void begin(struct stream_half *h, uint32_t next, bool soft)
{
	h->next = next;
	h->known = true;
	h->soft = soft;
}

void stream_begin(struct stream *s, enum side side, uint32_t next)
{
	begin(&s->half[side], next, false);
}

void stream_answered(struct stream *s, enum side side, uint8_t ttl)
{
	struct stream_half *h = &s->half[side];
	h->ttl = ttl;
	h->acked = h->next;
	h->acked_known = true;
}

/* The first data behind a guessed number may correct it: an acknowledgement was
 * captured before what it acknowledges, or a keep-alive was one byte behind. */
static void settle(struct stream_half *h, uint32_t seq)
{
	int32_t ahead = seq_diff(seq, h->next);
	if (h->soft && (ahead == 1 || (ahead < 0 && ahead >= -SOFT_BACK_MAX)))
		h->next = seq;
	h->soft = false;
}

/* A number that a handshake says, before there was data. */
static void begin_anew(struct walk *w, uint32_t next)
{
	drop_waiting(w->h, w->mem);
	w->h->syn_data = false;
	begin(w->h, next, false);
}

/* Which SYN was answered: the numbers of the others do not count. */
static void take_syn_ack(struct walk *answered, uint32_t ack)
{
	struct stream_half *h = answered->h;
	if (h->started || h->closed)
		return;
	h->confirmed = true;
	uint32_t taken = ack - h->next;
	if (h->known && h->syn_data && taken && taken <= h->last->seq + h->last->n - h->next)
		return; /* with data of it: note_ack() hands it on */
	begin_anew(answered, ack);
}

/* False: the segment is not to be looked at any further. */
static bool take_syn(struct walk *w, struct walk *other, const struct layer *l)
{
	struct stream_half *h = w->h;
	uint32_t next = l->tcp_seq + 1;
	if (h->known && !h->soft && (h->started || h->confirmed)) {
		if (next != h->next && !h->started)
			ledger_count(w->ledger, LEDGER_STREAM_OUT_OF_WINDOW);
		return false;
	}
	begin_anew(w, next);
	if (l->tcp_flags & TCP_ACK) {
		h->confirmed = true;
		take_syn_ack(other, l->tcp_ack);
	}
	return true;
}

/* Holds what came with a SYN. */
static void take_syn_data(struct walk *w, struct run *r)
{
	w->h->syn_data = true;
	if (!keep_around(w, r)) {
		ledger_count(w->ledger, LEDGER_STREAM_LIMIT);
		drop_waiting(w->h, w->mem);
		w->h->syn_data = false;
	}
}

/* Was what came with the SYN taken? seen: the number that tells, from the other
 * side's acknowledgement or the sender's own next data. */
static void judge_syn_data(struct walk *w, uint32_t seen)
{
	if (!w->h->syn_data)
		return;
	w->h->syn_data = false;
	if (seq_diff(seen, w->h->next) <= 0)
		drop_waiting(w->h, w->mem);
	drain(w);
}

/* w is the half that is acknowledged. */
static void note_ack(struct walk *w, uint32_t ack)
{
	struct stream_half *h = w->h;
	h->unheard = 0;
	if (!h->known)
		begin(h, ack, true);
	if (!h->acked_known || seq_diff(ack, h->acked) > 0)
		h->acked = ack;
	h->acked_known = true;
	judge_syn_data(w, ack);
}

/* ---- segments that a receiver may not have got ---- */

static void set_aside(struct walk *w, const struct layer *l, enum ledger_id why)
{
	struct stream_half *h = w->h;
	uint32_t n = l->payload_n;
	ledger_count(w->ledger, why);
	if (!n || (l->tcp_flags & (TCP_SYN | TCP_RST)) || !in_window(h, l->tcp_seq))
		return;
	struct segment *g = h->doubtful_n < DOUBTFUL_MAX ? mem_alloc_raw(w->mem, sizeof(*g) + n) : NULL;
	if (!g) {
		ledger_count(w->ledger, LEDGER_STREAM_LIMIT);
		return;
	}
	*g = (struct segment){.next = NULL, .seq = l->tcp_seq, .n = n, .ttl = l->ttl, .stamp = l->tcp_stamp};
	memcpy(g->bytes, l->payload, n);
	struct segment **end = &h->doubtful; /* in the order of arrival */
	while (*end)
		end = &(*end)->next;
	*end = g;
	h->doubtful_n++;
}

static void drop_doubtful(struct stream_half *h, struct segment **at, struct mem *mem)
{
	struct segment *g = *at;
	*at = g->next;
	h->doubtful_n--;
	mem_free(mem, g, segment_size(g));
}

/* Hands on the first that stands at `next` and ends at `limit` or before it; drops
 * those that are behind. False: there is none. */
static bool believe_one(struct walk *w, uint32_t limit)
{
	struct stream_half *h = w->h;
	for (struct segment **at = &h->doubtful; *at;) {
		struct segment *g = *at;
		uint32_t end = g->seq + g->n;
		if (seq_diff(end, h->next) <= 0) {
			drop_doubtful(h, at, w->mem);
			continue;
		}
		if (seq_diff(g->seq, h->next) > 0 || seq_diff(end, limit) > 0) {
			at = &g->next;
			continue;
		}
		struct run r = {.seq = g->seq, .n = g->n, .p = g->bytes, .have = g->n};
		if (g->ttl < h->ttl)
			h->ttl = g->ttl;
		if (g->stamp)
			h->stamp = g->stamp;
		hand_due(w, &r);
		drop_doubtful(h, at, w->mem);
		return true;
	}
	return false;
}

static void believe_acknowledged(struct walk *w)
{
	while (w->h->doubtful && believe_one(w, w->h->acked))
		;
}

static void believe_rest(struct walk *w)
{
	while (w->h->doubtful && !w->h->closed && believe_one(w, w->h->next + AHEAD_BLIND))
		;
}

static void forget_doubtful(struct stream_half *h, struct mem *mem)
{
	while (h->doubtful)
		drop_doubtful(h, &h->doubtful, mem);
}

/* What the other side acknowledged and we do not have is lost to us. */
static void give_up_acknowledged(struct walk *w)
{
	struct stream_half *h = w->h;
	if (!h->acked_known || h->closed)
		return;
	believe_acknowledged(w);
	while (h->waiting && seq_diff(h->acked, h->waiting->seq) >= 0)
		give_up_hole(w);
	if (h->fin_seen && !h->waiting && seq_diff(h->acked, h->fin_at) > 0 && seq_diff(h->fin_at, h->next) > 0)
		hand_gap(w, h->fin_at - h->next);
}

/* ---- ends ---- */

static void note_fin(struct stream_half *h, uint32_t at)
{
	if (!h->fin_seen || at == h->next || seq_diff(at, h->fin_at) < 0) {
		h->fin_seen = true;
		h->fin_at = at;
	}
}

static void close_if_due(struct walk *w)
{
	struct stream_half *h = w->h;
	if (!h->fin_seen || h->next != h->fin_at || h->waiting)
		return;
	if (!heard(h) || seq_diff(h->acked, h->fin_at) > 0)
		close_half(w);
}

static bool reset_counts(const struct stream_half *h, const struct stream_half *other, const struct layer *l)
{
	if (!h->known) /* a refused SYN is all that it can be */
		return (l->tcp_flags & TCP_ACK) && other->known && l->tcp_ack == other->next;
	return l->tcp_seq == h->next || (h->acked_known && l->tcp_seq == h->acked) ||
	       (h->fin_seen && l->tcp_seq == h->fin_at + 1);
}

static void take_reset(struct stream *s, struct walk *w, const struct walk *other, const struct layer *l)
{
	if (reset_counts(w->h, other->h, l))
		s->reset = true;
	else
		ledger_count(w->ledger, LEDGER_STREAM_OUT_OF_WINDOW);
}

/* ---- a segment ---- */

static void take_data(struct walk *w, struct run *r)
{
	struct stream_half *h = w->h;
	settle(h, r->seq);
	h->started = true;
	if (h->unheard < UINT8_MAX)
		h->unheard++;
	judge_syn_data(w, r->seq);
	int32_t ahead = seq_diff(r->seq, h->next);
	if (ahead < 0 && seq_diff(r->seq + r->n, h->next) > 0)
		ledger_count(w->ledger, LEDGER_STREAM_OVERLAP);
	if (h->fin_seen && seq_diff(r->seq + r->n, h->fin_at) > 0) {
		h->fin_seen = false;
		ledger_count(w->ledger, LEDGER_STREAM_OUT_OF_WINDOW);
	}
	compare_waiting(w, r);
	hand_due(w, r);
	if (r->n)
		keep_rest(w, r);
}

/* False: a receiver would drop it. */
static bool checksum_counts(struct walk *w, const struct layer *l)
{
	w->h->good_checksum |= l->good_checksum;
	if (!l->bad_checksum || !w->h->good_checksum)
		return true;
	if (w->h->known && !w->h->closed)
		set_aside(w, l, LEDGER_STREAM_CHECKSUM);
	else
		ledger_count(w->ledger, LEDGER_STREAM_CHECKSUM);
	return false;
}

/* False: a receiver may never see it. What carries nothing does no harm. */
static bool ttl_counts(struct walk *w, const struct layer *l)
{
	struct stream_half *h = w->h;
	if (l->ttl + TTL_SLACK >= h->ttl || !heard(h) || !h->known || h->closed) {
		if (!h->ttl || l->ttl < h->ttl)
			h->ttl = l->ttl;
		return true;
	}
	if (!l->payload_wire_n && !(l->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)))
		return true;
	set_aside(w, l, LEDGER_STREAM_TTL);
	return false;
}

static bool stamp_old(const struct stream_half *h, const struct layer *l)
{
	return l->tcp_stamp && h->stamp && seq_diff(l->tcp_stamp, h->stamp) < 0;
}

/* False: a receiver may drop it. RSTs are asked for their number alone. */
static bool stamp_counts(struct walk *w, const struct layer *l)
{
	struct stream_half *h = w->h;
	bool carries = l->payload_wire_n || (l->tcp_flags & TCP_FIN);
	if (stamp_old(h, l) && heard(h) && h->known && !h->closed) {
		if (!carries || (l->tcp_flags & (TCP_SYN | TCP_RST)))
			return true;
		set_aside(w, l, LEDGER_STREAM_STAMP);
		return false;
	}
	if (l->tcp_stamp && l->tcp_seq == h->next)
		h->stamp = l->tcp_stamp;
	return true;
}

static bool number_counts(struct walk *w, uint32_t seq, bool content)
{
	if (!w->h->known)
		begin(w->h, seq, !content);
	if (in_window(w->h, seq))
		return true;
	ledger_count(w->ledger, LEDGER_STREAM_OUT_OF_WINDOW);
	return false;
}

void stream_segment(struct stream *s, enum side side, const struct layer *l, struct mem *mem, struct ledger *ledger,
		    const struct stream_sink *sink)
{
	enum side across = side == TO_SERVER ? TO_CLIENT : TO_SERVER;
	struct walk w = {&s->half[side], side, mem, ledger, sink}, o = {&s->half[across], across, mem, ledger, sink};
	if (stream_closed(s) || !checksum_counts(&w, l) || !ttl_counts(&w, l) || !stamp_counts(&w, l))
		return;
	if (l->tcp_flags & TCP_URG)
		ledger_count(ledger, LEDGER_STREAM_URGENT);
	if (l->tcp_flags & TCP_RST) {
		take_reset(s, &w, &o, l);
		return;
	}
	bool syn = (l->tcp_flags & TCP_SYN) != 0;
	if (syn && (w.h->closed || !take_syn(&w, &o, l)))
		return;
	uint32_t n = l->payload_wire_n > l->payload_n ? l->payload_wire_n : l->payload_n;
	if (n > AHEAD_MAX)
		n = l->payload_n;
	struct run r = {.seq = l->tcp_seq + syn, .n = n, .p = l->payload, .have = l->payload_n};
	uint32_t end = r.seq + n;
	if (!number_counts(&w, r.seq, n || (l->tcp_flags & TCP_FIN)))
		return;
	if (l->tcp_flags & TCP_ACK)
		note_ack(&o, l->tcp_ack);
	if (n && syn)
		take_syn_data(&w, &r);
	else if (n && !w.h->closed)
		take_data(&w, &r);
	if ((l->tcp_flags & TCP_FIN) && seq_diff(end, w.h->next) >= 0)
		note_fin(w.h, end);
	close_if_due(&w);
	give_up_acknowledged(&o);
	close_if_due(&o);
}

/* Neither data that waits, nor an end, nor a number that is still to be settled:
 * what arrives in order changes nothing but the counts. */
static bool smooth(const struct stream_half *h)
{
	return h->known && !h->waiting && !h->doubtful && !h->fin_seen && !h->syn_data;
}

bool stream_next(struct stream *s, enum side side, const struct layer *l)
{
	const uint8_t flags = TCP_SYN | TCP_FIN | TCP_RST | TCP_URG | TCP_ACK;
	struct stream_half *h = &s->half[side], *o = &s->half[side == TO_SERVER ? TO_CLIENT : TO_SERVER];
	uint32_t n = l->payload_n;
	if ((l->tcp_flags & flags) != TCP_ACK || l->bad_checksum || l->tcp_seq != h->next || l->payload_wire_n != n ||
	    l->ttl + TTL_SLACK < h->ttl || stamp_old(h, l) || !smooth(h) || !smooth(o) || h->closed || o->closed)
		return false;
	h->good_checksum |= l->good_checksum;
	if (!h->ttl || l->ttl < h->ttl)
		h->ttl = l->ttl;
	if (l->tcp_stamp)
		h->stamp = l->tcp_stamp;
	o->unheard = 0;
	if (!o->acked_known || seq_diff(l->tcp_ack, o->acked) > 0)
		o->acked = l->tcp_ack;
	o->acked_known = true;
	if (!n)
		return true;
	h->soft = false;
	h->started = true;
	if (h->unheard < UINT8_MAX)
		h->unheard++;
	h->next += n;
	h->delivered += n;
	return true;
}

void stream_flush(struct stream *s, struct mem *mem, struct ledger *ledger, const struct stream_sink *sink)
{
	for (enum side side = TO_SERVER; side <= TO_CLIENT; side++) {
		struct walk w = {&s->half[side], side, mem, ledger, sink};
		believe_rest(&w);
		flush_half(&w);
		if (w.h->closed || !(w.h->fin_seen || s->reset))
			continue;
		if (w.h->fin_seen && seq_diff(w.h->fin_at, w.h->next) > 0)
			hand_gap(&w, w.h->fin_at - w.h->next);
		close_half(&w);
	}
}

void stream_drop(struct stream *s, struct mem *mem)
{
	for (enum side side = TO_SERVER; side <= TO_CLIENT; side++) {
		drop_waiting(&s->half[side], mem);
		forget_doubtful(&s->half[side], mem);
	}
}
