/* OpenVPN: byte 0 chooses UDP or TCP; then packets, each behind
 * a byte for the side and one for its length.
 * For: sensor/inspect_openvpn.c */
#include "sensor/parsers.h"
#include "tests/unit/observed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_over(data, n);
	uint8_t choice = cursor_u8(&c);
	const struct parser *p = choice & 1 ? &parser_openvpn_tcp : &parser_openvpn_udp;
	struct observed o;
	observed_begin(&o, p);
	while (cursor_left(&c) >= 2) {
		enum side side = cursor_u8(&c) & 1 ? TO_CLIENT : TO_SERVER;
		size_t length = cursor_u8(&c);
		struct bytes b = cursor_bytes(&c, length < cursor_left(&c) ? length : cursor_left(&c));
		uint8_t *exact = malloc(b.n ? b.n : 1);
		if (b.n)
			memcpy(exact, b.p, b.n);
		p->probe(&o.in, side, exact, b.n);
		if (p->datagram && b.n)
			feed_datagram(&o, side, exact, b.n);
		else if (b.n)
			feed_stream(&o, side, exact, b.n);
		free(exact);
	}
	observed_end(&o);
	return 0;
}
