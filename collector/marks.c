#include "collector/marks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint32_t narrow_bit(unsigned lane)
{
	return 1u << lane / (2 * LANE_RUN);
}

/* Where the i-th real lane of a part stands. */
static unsigned wide_lane(unsigned i)
{
	return i / LANE_RUN * 2 * LANE_RUN + i % LANE_RUN;
}

void marks_set(struct marks *m, uint64_t mark)
{
	m->narrow = 0;
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
	for (unsigned i = first; i < first + n && i < LANES; i++) {
		m->lane[i] = m->lane[i] < mark ? mark : m->lane[i];
		m->narrow &= ~narrow_bit(i);
	}
}

static unsigned run_length(const uint64_t *lane, unsigned n)
{
	unsigned run = 1;
	while (run < n && lane[run] == lane[0])
		run++;
	return run;
}

static void write_lanes(const uint64_t *lane, unsigned n, char text[static MARKS_TEXT_LEN])
{
	size_t at = 0;
	if (run_length(lane, n) == n) {
		snprintf(text, MARKS_TEXT_LEN, "%" PRIu64, lane[0]);
		return;
	}
	for (unsigned i = 0, run; i < n; i += run) {
		run = run_length(lane + i, n - i);
		at += (size_t)snprintf(text + at, MARKS_TEXT_LEN - at, "%s%" PRIu64 "x%u", i ? "," : "", lane[i], run);
	}
}

void marks_write(const struct marks *m, unsigned first, unsigned n, char text[static MARKS_TEXT_LEN])
{
	uint64_t lane[LANES];
	if (!(m->narrow & narrow_bit(first))) {
		write_lanes(m->lane + first, n, text);
		return;
	}
	for (unsigned i = 0; i < n / 2; i++)
		lane[i] = m->lane[first + wide_lane(i)];
	write_lanes(lane, n / 2, text);
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

/* Gives how many lanes there are, 0 = not such a text. */
static unsigned read_lanes(struct bytes text, uint64_t lane[static LANES], unsigned max)
{
	uint64_t mark, run;
	unsigned n = 0;
	size_t at = 0;
	if (!number(text, &at, &mark))
		return 0;
	if (at == text.n) {
		for (; n < max; n++)
			lane[n] = mark;
		return n;
	}
	for (;;) {
		if (at == text.n || text.p[at++] != 'x' || !number(text, &at, &run) || run > max - n)
			return 0;
		for (; run; run--)
			lane[n++] = mark;
		if (at == text.n)
			return n;
		if (text.p[at++] != ',' || !number(text, &at, &mark))
			return 0;
	}
}

static void widen(struct marks *m, unsigned first, const uint64_t *lane, unsigned n)
{
	uint64_t low = lane[0];
	for (unsigned i = 1; i < n; i++)
		low = lane[i] < low ? lane[i] : low;
	for (unsigned i = 0; i < n; i++) {
		m->lane[first + wide_lane(i)] = lane[i];
		m->lane[first + wide_lane(i) + LANE_RUN] = low;
	}
	m->narrow |= narrow_bit(first);
}

bool marks_read(struct bytes text, struct marks *m, unsigned first, unsigned n)
{
	uint64_t lane[LANES];
	unsigned found = read_lanes(text, lane, n);
	m->narrow &= ~narrow_bit(first);
	if (found == n)
		memcpy(m->lane + first, lane, n * sizeof(*lane));
	else if (found && found == n / 2 && n % (2 * LANE_RUN) == 0)
		widen(m, first, lane, found);
	else
		return false;
	return true;
}
