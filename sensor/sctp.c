/* SCTP (RFC 9260 3.3.1; I-DATA: RFC 8260 2.1): chunks, each padded to four bytes
 *
 *   0 u8 type: 0 DATA, 64 I-DATA | u8 flags: 1 the last fragment, 2 the first, 4 unordered | u16 length
 *   4 u32 transmission number | u16 stream
 *     DATA     10 u16 number in the stream, 12 u32 what it is for, 16 data
 *     I-DATA   10 2 bytes, 12 u32 number in the stream,
 *              16 u32 what it is for (first) or number of the fragment, 20 data
 *
 * Fragments of a message have successive transmission numbers in DATA (6.9), numbers of their own in I-DATA.
 * They may come in any order. Of a fragment that comes again the first copy counts. An association over
 * several addresses is several flows, and its fragments are joined within each. */
#include "sensor/sctp.h"

#include <string.h>

enum { DATA = 0, I_DATA = 64, CHUNK = 4 };
enum { LAST = 1, FIRST = 2, UNORDERED = 4 };

/* Successive fragments. */
struct sctp_run {
	struct sctp_run *next;
	struct sctp_chunk head; /* of the first one, without its data */
	enum side side;
	uint32_t to; /* index of the last one */
	bool last;   /* it is the message's */
	struct carry bytes;
};

static bool read_chunk(struct sctp_chunk *k, struct cursor c, uint8_t type, uint8_t flags)
{
	uint32_t number = cursor_u32(&c);
	k->interleaved = type == I_DATA;
	k->first = flags & FIRST;
	k->last = flags & LAST;
	k->unordered = flags & UNORDERED;
	k->stream = cursor_u16(&c);
	k->message = cursor_u16(&c);
	k->index = cursor_u32(&c);
	if (k->interleaved) {
		k->message = k->index;
		k->index = cursor_u32(&c);
		k->index = k->first ? 0 : k->index;
	} else {
		k->message = k->unordered ? 0 : k->message;
		k->index = number;
	}
	k->data = cursor_bytes(&c, cursor_left(&c));
	return cursor_ok(&c) && k->data.n;
}

bool sctp_next(struct cursor *c, struct sctp_chunk *out)
{
	while (cursor_left(c) >= CHUNK) {
		uint8_t type = cursor_u8(c), flags = cursor_u8(c);
		size_t length = cursor_u16(c);
		if (length < CHUNK)
			return false;
		out->cut = length - CHUNK > cursor_left(c);
		struct cursor body = cursor_sub(c, out->cut ? cursor_left(c) : length - CHUNK);
		cursor_skip(c, (4 - length % 4) % 4);
		if ((type == DATA || type == I_DATA) && read_chunk(out, body, type, flags))
			return true;
	}
	return false;
}

static bool same_message(const struct sctp_run *r, enum side side, const struct sctp_chunk *k)
{
	return r->side == side && r->head.stream == k->stream && r->head.message == k->message &&
	       r->head.interleaved == k->interleaved && r->head.unordered == k->unordered;
}

static bool has(const struct sctp_run *r, const struct sctp_chunk *k)
{
	return k->index - r->head.index <= r->to - r->head.index;
}

static bool goes_on(const struct sctp_run *r, const struct sctp_chunk *k)
{
	return !r->last && !k->first && k->index == r->to + 1;
}

static struct sctp_run *take(struct sctp *s, struct sctp_run **at)
{
	struct sctp_run *r = *at;
	*at = r->next;
	s->runs--;
	return r;
}

static void run_free(struct mem *mem, struct sctp_run *r)
{
	carry_free(mem, &r->bytes);
	mem_free(mem, r, sizeof(*r));
}

static void forget_oldest(struct sctp *s, struct mem *mem)
{
	struct sctp_run **at = &s->first;
	while ((*at)->next)
		at = &(*at)->next;
	run_free(mem, take(s, at));
}

/* Takes the run out that the chunk goes on, or a new one; NULL: it is there already, or no memory. */
static struct sctp_run *run_for(struct sctp *s, enum side side, const struct sctp_chunk *k, struct mem *mem,
				struct ledger *ledger)
{
	struct sctp_run **found = NULL;
	for (struct sctp_run **at = &s->first; *at; at = &(*at)->next) {
		if (!same_message(*at, side, k))
			continue;
		if (has(*at, k))
			return NULL;
		if (goes_on(*at, k))
			found = at;
	}
	if (found)
		return take(s, found);
	if (s->runs == SCTP_RUNS_MAX) {
		ledger_count(ledger, LEDGER_PARSER_LIMIT);
		forget_oldest(s, mem);
	}
	struct sctp_run *r = mem_alloc(mem, sizeof(*r));
	if (!r) {
		ledger_count(ledger, LEDGER_PARSER_MEMORY);
		return NULL;
	}
	r->head = *k;
	r->head.data = (struct bytes){0};
	r->side = side;
	return r;
}

/* As many of these bytes as there is room for. False: not all of them. */
static bool append(struct sctp_run *r, const uint8_t *p, size_t n, struct mem *mem, struct ledger *ledger)
{
	size_t room = SCTP_MESSAGE_MAX - r->bytes.n, step = n < room ? n : room;
	if (step && !carry_push(mem, &r->bytes, p, step, SCTP_MESSAGE_MAX)) {
		ledger_count(ledger, LEDGER_PARSER_MEMORY);
		return false;
	}
	if (step < n)
		ledger_count(ledger, LEDGER_PARSER_LIMIT);
	return step == n;
}

/* The run that came earlier and goes on where r ends. */
static bool append_next(struct sctp *s, struct sctp_run *r, struct mem *mem, struct ledger *ledger)
{
	struct sctp_run **at = &s->first;
	while (*at && !(same_message(*at, r->side, &r->head) && goes_on(r, &(*at)->head)))
		at = &(*at)->next;
	if (!*at)
		return true;
	struct sctp_run *next = take(s, at);
	bool good = append(r, next->bytes.p, next->bytes.n, mem, ledger);
	r->to = next->to;
	r->last = next->last;
	run_free(mem, next);
	return good;
}

bool sctp_join(struct sctp *s, enum side side, const struct sctp_chunk *chunk, struct mem *mem, struct ledger *ledger,
	       struct carry *out)
{
	struct sctp_run *r = run_for(s, side, chunk, mem, ledger);
	if (!r)
		return false;
	r->to = chunk->index;
	r->last = chunk->last;
	bool good = append(r, chunk->data.p, chunk->data.n, mem, ledger) && append_next(s, r, mem, ledger);
	if (good && !(r->head.first && r->last)) {
		r->next = s->first;
		s->first = r;
		s->runs++;
		return false;
	}
	*out = r->bytes;
	mem_free(mem, r, sizeof(*r));
	if (r->head.first && out->n)
		return true;
	carry_free(mem, out);
	return false;
}

void sctp_drop(struct sctp *s, struct mem *mem)
{
	while (s->first)
		run_free(mem, take(s, &s->first));
}
