/* A stream of frames from a stranger. What was believed must write back the same.
 * For: common/frame.c */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct frame f;
	struct err e;
	size_t used;
	while (frame_read(data, n, &f, &used, &e) == FRAME_READY) {
		struct buf again = {0};
		size_t at = frame_begin(&again, f.type);
		buf_add(&again, f.payload.p, f.payload.n);
		frame_end(&again, at);
		if (used > n || again.n != used || memcmp(again.p, data, used) != 0)
			abort();
		buf_free(&again);
		data += used;
		n -= used;
	}
	return 0;
}
