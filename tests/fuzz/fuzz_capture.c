/* A capture file: its bytes as they are.
 * For: sensor/capture_file.c */
#include <stdint.h>
#include <stdlib.h>

#include "sensor/capture_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err e = {.text = ""};
	struct burst b;
	struct capture_file *f = capture_file_open_memory(data, n, &e);
	if (!f) {
		if (!e.text[0])
			abort();
		return 0;
	}
	volatile uint8_t sum = 0;
	while (capture_file_read(f, &b, &e) == CAPTURE_PACKETS) {
		for (size_t i = 0; i < b.n; i++) {
			for (uint32_t k = 0; k < b.packet[i].n; k++)
				sum = (uint8_t)(sum + b.packet[i].data[k]);
		}
	}
	capture_file_close(f);
	return 0;
}
