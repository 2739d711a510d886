/* The frames of sets: any bytes, from either side.
 * For: rules/set_frame.c */
#include <stddef.h>
#include <stdint.h>

#include "rules/set_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct bytes payload = {data, n};
	struct set_offer o;
	struct set_get g;
	struct set_data d;
	struct set_ack a;
	struct manifest m;
	struct buf out = {0};
	if (set_offer_read(payload, &o) && manifest_read(o.manifest.p, o.manifest.n, &m, NULL))
		set_offer_put(&out, &o);
	if (set_get_read(payload, &g))
		set_get_put(&out, &g);
	if (set_data_read(payload, &d))
		set_data_put(&out, &d);
	if (set_ack_read(payload, &a))
		set_ack_put(&out, &a);
	buf_free(&out);
	return 0;
}
