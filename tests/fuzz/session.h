/* A conversation for a stream parser, out of a fuzzer's bytes: one byte of control before
 * each piece (bit 7 the side, bit 6 a gap of as many bytes instead, the rest times four
 * its length). Each piece is shown to probe(), too. */
#ifndef TESTS_FUZZ_SESSION_H
#define TESTS_FUZZ_SESSION_H

#include "tests/unit/observed.h"

static inline void fuzz_pieces(struct observed *o, struct cursor c)
{
	while (cursor_left(&c)) {
		uint8_t control = cursor_u8(&c);
		enum side side = control & 0x80 ? TO_CLIENT : TO_SERVER;
		size_t want = (size_t)(control & 0x3f) * 4;
		if (control & 0x40) {
			feed_gap(o, side, want);
			continue;
		}
		struct bytes b = cursor_bytes(&c, want < cursor_left(&c) ? want : cursor_left(&c));
		if (b.n && o->in.parser->probe)
			o->in.parser->probe(&o->in, side, b.p, b.n);
		feed_stream(o, side, b.p, b.n);
	}
	feed_close(o);
}

static inline void fuzz_session(const struct parser *p, struct cursor c)
{
	struct observed o;
	observed_begin(&o, p);
	fuzz_pieces(&o, c);
	observed_end(&o);
}

#endif
