#include "sensor/framed.h"

/* Takes bytes until those that head() asks for are there. Gives how many; *head
 * is what it asks for now. */
static size_t keep(struct inspect *in, struct framed *f, const struct framing *g, const uint8_t *p, size_t n,
		   size_t *head)
{
	*head = g->head(in, f->kept.p, f->kept.n);
	size_t want = *head > f->kept.n ? *head - f->kept.n : 0;
	size_t take = n < want ? n : want;
	if (take && !carry_push(in->mem, &f->kept, p, take, g->max)) {
		ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
		return 0;
	}
	if (take)
		*head = g->head(in, f->kept.p, f->kept.n);
	return take;
}

/* All of a message's head is there. */
static enum verdict read_message(struct inspect *in, enum side side, struct framed *f, const struct framing *g)
{
	struct carry kept = f->kept;
	f->kept = (struct carry){0};
	enum verdict v = g->message(in, side, f, kept.p, kept.n);
	carry_free(in->mem, &kept);
	return v;
}

static size_t skip(struct framed *f, size_t n)
{
	size_t step = n < f->skip ? n : (size_t)f->skip;
	f->skip -= step;
	return step;
}

enum verdict framed_stream(struct inspect *in, enum side side, struct framed *f, const struct framing *g,
			   const uint8_t *p, size_t n, size_t *used)
{
	for (size_t at = f->dead ? n : skip(f, n); at < n; at += skip(f, n - at)) {
		size_t head = 0, took = keep(in, f, g, p + at, n - at, &head);
		if (!head)
			return INSPECT_ERROR;
		if (!took)
			return INSPECT_DONE;
		at += took;
		if (f->kept.n < head)
			continue;
		enum verdict v = read_message(in, side, f, g);
		if (v == INSPECT_AGAIN)
			*used = at;
		if (v != INSPECT_MORE)
			return v;
	}
	return INSPECT_MORE;
}

enum verdict framed_gap(struct inspect *in, struct framed *f, size_t lost)
{
	if (f->kept.n || lost > f->skip) {
		framed_drop(in, f);
		f->dead = true;
		return INSPECT_MORE;
	}
	f->skip -= lost;
	return INSPECT_MORE;
}

bool framed_join(struct inspect *in, struct framed *f, const uint8_t *p, size_t n, size_t max)
{
	size_t room = max - f->joined.n, take = n < room ? n : room;
	if (take && !carry_push(in->mem, &f->joined, p, take, max))
		ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
	return take == n;
}

void framed_drop(struct inspect *in, struct framed *f)
{
	carry_free(in->mem, &f->kept);
	carry_free(in->mem, &f->joined);
}
