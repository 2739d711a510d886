/* The first byte chooses: a datagram as it is, or frames that are sealed into an
 * Initial of the client's and one of the server's, cut where the second byte says.
 * For: sensor/inspect_quic.c sensor/initial.c */
#include "sensor/parsers.h"
#include "tests/unit/observed.h"
#include "tests/unit/quic_packets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void feed_sealed(struct observed *o, uint32_t version, const uint8_t *data, size_t n, size_t cut)
{
	static const uint8_t id[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	struct initial_scheme scheme;
	struct initial_keys keys[2];
	struct bytes to = {id, sizeof(id)}, from = {id, 4};
	struct buf part[3] = {{0}}, packet[3] = {{0}};
	buf_add(&part[0], data, cut);
	buf_add(&part[1], data + cut, n - cut);
	buf_add(&part[2], data, n);
	if (initial_scheme_of(version, 0, &scheme)) {
		initial_keys_of(&scheme, to, &keys[0], &keys[1]);
		for (int i = 0; i < 3; i++) {
			put_initial(&packet[i], version, &keys[i == 2], to, from, (uint8_t)i, &part[i]);
			feed_datagram(o, i == 2 ? TO_CLIENT : TO_SERVER, packet[i].p, packet[i].n);
		}
	}
	for (int i = 0; i < 3; i++) {
		buf_free(&part[i]);
		buf_free(&packet[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct observed o;
	if (n < 24 || n > 1400)
		return 0;
	observed_begin(&o, &parser_quic);
	parser_quic.probe(&o.in, TO_SERVER, data + 1, n - 1);
	if (data[0] < 64)
		feed_datagram(&o, TO_SERVER, data + 1, n - 1);
	else
		feed_sealed(&o, data[0] < 192 ? 1 : 0x51303530, data + 2, n - 2, data[1] % (n - 2));
	observed_end(&o);
	return 0;
}
