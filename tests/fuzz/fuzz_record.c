/* Records as a collector gets them: what is believed can be written again and
 * reads the same.
 * For: rules/record.c */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rules/alert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct record rec, again;
	struct buf out = {0};
	uint8_t key[16], key_again[16];
	if (!record_read(data, n, &rec))
		return 0;
	record_key(&rec, key);
	record_write(&out, &rec);
	if (!record_read(out.p, out.n, &again) || again.peers != rec.peers || again.n != rec.n)
		abort();
	record_key(&again, key_again);
	if (memcmp(key, key_again, sizeof(key)) != 0)
		abort();
	buf_free(&out);
	return 0;
}
