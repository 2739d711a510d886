/* The importer of stix: any bytes, no crash, no growth.
 * For: rules/import_stix.c rules/stix_pattern.c */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "rules/import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct diags d = {.limit = 100};
	struct import m = {.d = &d, .file = "f"};
	import_stix(&m, (struct bytes){.p = data, .n = n});
	buf_free(&m.entries);
	buf_free(&m.kept);
	diag_free(&d);
	return 0;
}
