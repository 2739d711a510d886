#include "sensor/ber.h"

/* X.690 8.1.3: below 128 itself, otherwise so many bytes follow. Four are enough
 * for what we read; the indefinite form (80) is not. */
size_t ber_length(struct cursor *c)
{
	uint8_t first = cursor_u8(c);
	if (first < 0x80)
		return first;
	size_t n = 0, bytes = first & 0x7fu;
	if (!bytes || bytes > 4)
		c->bad = true;
	for (size_t i = 0; i < bytes && cursor_ok(c); i++)
		n = n << 8 | cursor_u8(c);
	return n;
}

/* Tags above 30 take more bytes (xxx11111): none of ours do. */
struct cursor ber_next(struct cursor *c, uint8_t *tag)
{
	*tag = cursor_u8(c);
	if ((*tag & 0x1f) == 0x1f)
		c->bad = true;
	size_t n = ber_length(c);
	return cursor_sub(c, n);
}

struct cursor ber_enter(struct cursor *c, uint8_t tag)
{
	uint8_t found;
	struct cursor inner = ber_next(c, &found);
	if (found != tag)
		c->bad = inner.bad = true;
	return inner;
}

struct bytes ber_bytes(struct cursor *c, uint8_t tag)
{
	struct cursor inner = ber_enter(c, tag);
	return cursor_bytes(&inner, cursor_left(&inner));
}

uint32_t ber_number(struct cursor *c, uint8_t tag)
{
	struct bytes b = ber_bytes(c, tag);
	uint32_t v = 0;
	if (!b.n || b.n > 4 || (b.p[0] & 0x80)) {
		c->bad = true;
		return 0;
	}
	for (size_t i = 0; i < b.n; i++)
		v = v << 8 | b.p[i];
	return v;
}

struct cursor ber_find(struct cursor *c, uint8_t tag)
{
	while (cursor_ok(c)) {
		uint8_t found;
		struct cursor inner = ber_next(c, &found);
		if (found == tag)
			return inner;
	}
	return (struct cursor){.bad = true};
}

size_t ber_whole(const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n);
	cursor_skip(&c, 1);
	size_t length = ber_length(&c);
	return cursor_ok(&c) ? n - cursor_left(&c) + length : 0;
}
