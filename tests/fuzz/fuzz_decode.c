/* Decoding of several packets of one link type: byte 0 chooses the type, then
 * each packet is a length byte pair, a time step, how much was cut, and its bytes.
 * For: sensor/decode.c sensor/decode_link.c sensor/tunnel.c sensor/defrag.c */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "sensor/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const int link_types[] = {1,   0,   9,   10,  12,  50,  51,  100, 101, 104, 105, 107, 109, 113, 117, 119,
				 127, 149, 163, 166, 192, 204, 205, 206, 219, 228, 229, 239, 242, 258, 276, 147};

static void touch(const struct packet *p)
{
	volatile uint8_t sum = 0;
	for (size_t i = 0; i < p->layers; i++) {
		for (uint32_t k = 0; k < p->layer[i].payload_n; k++)
			sum = (uint8_t)(sum + p->layer[i].payload[k]);
		for (uint32_t k = 0; k < p->layer[i].ip_n; k++)
			sum = (uint8_t)(sum + p->layer[i].ip[k]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ledger l = {0};
	struct decoder *d = decoder_new(&(struct decoder_conf){.defrag_bytes = 1 << 20, .checksums = true}, &l);
	struct cursor c = cursor_over(data, n);
	int link_type = link_types[cursor_u8(&c) % (sizeof(link_types) / sizeof(link_types[0]))];
	int64_t now_us = 0;
	while (cursor_left(&c) > 4) {
		size_t size = cursor_u16(&c);
		now_us += cursor_u8(&c) * INT64_C(1000000);
		uint32_t cut = cursor_u8(&c);
		size = size < cursor_left(&c) ? size : cursor_left(&c);
		uint8_t *copy = malloc(size ? size : 1);
		if (size)
			memcpy(copy, cursor_take(&c, size), size);
		struct raw_packet raw = {.ts_us = now_us,
					 .data = copy,
					 .n = (uint32_t)size,
					 .wire_n = (uint32_t)size + cut,
					 .link_type = link_type};
		struct packet p;
		ledger_count(&l, LEDGER_RECEIVED);
		if (decode_packet(d, &raw, &p))
			ledger_count(&l, p.end == LEDGER_END_COUNT ? LEDGER_END_FLOW : p.end);
		touch(&p);
		free(copy);
		while (decode_given_up(d, now_us, &p))
			touch(&p);
	}
	struct packet p;
	while (decoder_end(d))
		while (decode_given_up(d, now_us, &p))
			touch(&p);
	if (!ledger_balanced(&l))
		abort();
	decoder_free(d);
	return 0;
}
