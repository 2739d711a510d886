/* NFS calls. Input: one byte of control before each piece (bit 7 the side,
 * bit 6 a gap of as many bytes instead, the rest times four its length). Each piece
 * is a datagram, too.
 * For: sensor/inspect_nfs.c */
#include "sensor/parsers.h"
#include "tests/unit/observed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void as_datagram(const uint8_t *data, size_t n)
{
	struct observed o;
	if (!n)
		return;
	observed_begin(&o, &parser_nfs_udp);
	parser_nfs_udp.probe(&o.in, TO_SERVER, data, n);
	feed_datagram(&o, TO_SERVER, data, n);
	observed_end(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_over(data, n);
	struct observed o;
	observed_begin(&o, &parser_nfs_tcp);
	while (cursor_left(&c)) {
		uint8_t control = cursor_u8(&c);
		enum side side = control & 0x80 ? TO_CLIENT : TO_SERVER;
		size_t want = (size_t)(control & 0x3f) * 4;
		if (control & 0x40) {
			feed_gap(&o, side, want);
			continue;
		}
		struct bytes b = cursor_bytes(&c, want < cursor_left(&c) ? want : cursor_left(&c));
		if (b.n)
			parser_nfs_tcp.probe(&o.in, side, b.p, b.n);
		feed_stream(&o, side, b.p, b.n);
		as_datagram(b.p, b.n);
	}
	feed_close(&o);
	observed_end(&o);
	return 0;
}
