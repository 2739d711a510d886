#include "collector/marks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void marks_set(struct marks *m, uint64_t mark)
{
	for (unsigned i = 0; i < LANES; i++)
		m->lane[i] = mark;
}

uint64_t marks_lowest(const struct marks *m)
{
	uint64_t low = m->lane[0];
	for (unsigned i = 1; i < LANES; i++)
		low = m->lane[i] < low ? m->lane[i] : low;
	return low;
}

uint64_t marks_highest(const struct marks *m)
{
	uint64_t high = m->lane[0];
	for (unsigned i = 1; i < LANES; i++)
		high = m->lane[i] > high ? m->lane[i] : high;
	return high;
}

void marks_raise(struct marks *m, unsigned first, unsigned n, uint64_t mark)
{
	for (unsigned i = first; i < first + n && i < LANES; i++)
		m->lane[i] = m->lane[i] < mark ? mark : m->lane[i];
}

static unsigned run_length(const struct marks *m, unsigned at, unsigned end)
{
	unsigned n = 1;
	while (at + n < end && m->lane[at + n] == m->lane[at])
		n++;
	return n;
}

void marks_write(const struct marks *m, unsigned first, unsigned n, char text[static MARKS_TEXT_LEN])
{
	size_t at = 0;
	if (run_length(m, first, first + n) == n) {
		snprintf(text, MARKS_TEXT_LEN, "%" PRIu64, m->lane[first]);
		return;
	}
	for (unsigned i = first, run; i < first + n; i += run) {
		run = run_length(m, i, first + n);
		at += (size_t)snprintf(text + at, MARKS_TEXT_LEN - at, "%s%" PRIu64 "x%u", i > first ? "," : "",
				       m->lane[i], run);
	}
}

/* Digits from *at on; at most 16, so nothing overflows. */
static bool number(struct bytes text, size_t *at, uint64_t *value)
{
	size_t from = *at;
	*value = 0;
	while (*at < text.n && *at - from < 16 && text.p[*at] >= '0' && text.p[*at] <= '9')
		*value = *value * 10 + (uint64_t)(text.p[(*at)++] - '0');
	return *at > from;
}

bool marks_read(struct bytes text, struct marks *m, unsigned first, unsigned n)
{
	uint64_t mark, run;
	unsigned lane = first;
	size_t at = 0;
	if (!number(text, &at, &mark))
		return false;
	if (at == text.n) {
		for (unsigned i = first; i < first + n; i++)
			m->lane[i] = mark;
		return true;
	}
	for (;;) {
		if (at == text.n || text.p[at++] != 'x' || !number(text, &at, &run) || run > first + n - lane)
			return false;
		for (; run; run--)
			m->lane[lane++] = mark;
		if (at == text.n)
			return lane == first + n;
		if (text.p[at++] != ',' || !number(text, &at, &mark))
			return false;
	}
}
