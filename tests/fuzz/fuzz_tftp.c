/* TFTP: datagrams, each behind a byte (bit 0 the side; bit 1: of the transfer, not to the server's
 * port) and its length (2 bytes). The transfer is the one that the last request announced.
 * For: sensor/inspect_tftp.c */
#include "sensor/parsers.h"
#include "tests/unit/observed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* As the engine: what is not the first datagram of what was announced is not shown. */
static void transfer(struct observed *o, bool *known, enum side side, struct bytes b)
{
	*known = *known || parser_tftp_data.probe(&o->in, side, b.p, b.n) == PROBE_YES;
	if (*known)
		feed_datagram(o, side, b.p, b.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_over(data, n);
	struct observed request, file;
	bool known = false;
	observed_begin(&request, &parser_tftp);
	observed_begin(&file, &parser_tftp_data);
	file.in.note = (struct bytes){(const uint8_t *)"a.exe", 5};
	while (cursor_left(&c) > 3) {
		uint8_t control = cursor_u8(&c);
		size_t want = cursor_u16(&c);
		struct bytes b = cursor_bytes(&c, want < cursor_left(&c) ? want : cursor_left(&c));
		enum side side = control & 1 ? TO_CLIENT : TO_SERVER;
		if (!b.n)
			continue;
		if (control & 2) {
			transfer(&file, &known, side, b);
			continue;
		}
		parser_tftp.probe(&request.in, side, b.p, b.n);
		feed_datagram(&request, side, b.p, b.n);
	}
	if (known)
		feed_close(&file);
	observed_end(&request);
	observed_end(&file);
	return 0;
}
