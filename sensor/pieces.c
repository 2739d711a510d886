#include "sensor/pieces.h"

#include <string.h>

#define CAP_FIRST 2048u /* a common hello */

static bool grow(struct mem *m, struct pieces *s, uint32_t n)
{
	uint32_t cap = s->cap ? s->cap : CAP_FIRST;
	if (n <= s->cap)
		return true;
	while (cap < n)
		cap *= 2;
	uint8_t *p = mem_alloc_raw(m, cap);
	if (!p)
		return false;
	if (s->p)
		memcpy(p, s->p, s->cap);
	mem_free(m, s->p, s->cap);
	s->p = p;
	s->cap = cap;
	return true;
}

/* Copies what no run covers yet: first copies stay. */
static void fill(struct pieces *s, uint32_t from, uint32_t to, const uint8_t *src)
{
	uint32_t at = from;
	for (uint32_t i = 0; i < s->runs && at < to; i++) {
		if (s->run[i].to <= at)
			continue;
		uint32_t stop = s->run[i].from < to ? s->run[i].from : to;
		if (at < stop)
			memcpy(s->p + at, src + (at - from), stop - at);
		at = s->run[i].to;
	}
	if (at < to)
		memcpy(s->p + at, src + (at - from), to - at);
}

/* The runs from..to becomes part of: [*first, *last) touch or overlap it. */
static void touching(const struct pieces *s, uint32_t from, uint32_t to, uint32_t *first, uint32_t *last)
{
	uint32_t i = 0;
	while (i < s->runs && s->run[i].to < from)
		i++;
	*first = i;
	while (i < s->runs && s->run[i].from <= to)
		i++;
	*last = i;
}

bool pieces_add(struct mem *m, struct pieces *s, uint64_t offset, struct bytes piece, uint32_t max)
{
	uint32_t first, last;
	if (offset > max || piece.n > max - offset)
		return false;
	if (!piece.n)
		return true;
	uint32_t from = (uint32_t)offset, to = from + (uint32_t)piece.n;
	touching(s, from, to, &first, &last);
	if ((first == last && s->runs == PIECES_HOLES_MAX) || !grow(m, s, to))
		return false;
	fill(s, from, to, piece.p);
	if (first < last) {
		from = s->run[first].from < from ? s->run[first].from : from;
		to = s->run[last - 1].to > to ? s->run[last - 1].to : to;
	}
	memmove(&s->run[first + 1], &s->run[last], (s->runs - last) * sizeof(s->run[0]));
	s->runs = s->runs - (last - first) + 1;
	s->run[first].from = from;
	s->run[first].to = to;
	return true;
}

uint32_t pieces_ready(const struct pieces *s)
{
	return s->runs && s->run[0].from == 0 ? s->run[0].to : 0;
}

void pieces_free(struct mem *m, struct pieces *s)
{
	mem_free(m, s->p, s->cap);
	*s = (struct pieces){0};
}
