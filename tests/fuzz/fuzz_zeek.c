/* The importers of lines: Zeek, Suricata, Maltrail, plain lists, CSV, told a type or not. Any bytes,
 * no crash.
 * For: rules/import_lists.c */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "rules/import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void import_as(enum indicator_type type, const uint8_t *data, size_t n)
{
	static void (*const importers[])(struct import *, struct bytes) = {import_zeek, import_suricata,
									   import_maltrail, import_plain, import_csv};
	for (size_t i = 0; i < sizeof(importers) / sizeof(importers[0]); i++) {
		struct diags d = {.limit = 100};
		struct import m = {.d = &d, .file = "f", .type = type};
		importers[i](&m, (struct bytes){.p = data, .n = n});
		buf_free(&m.entries);
		buf_free(&m.kept);
		diag_free(&d);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	import_as(INDICATOR_NONE, data, n);
	import_as(INDICATOR_HOSTNAME, data, n);
	import_as(INDICATOR_USER_AGENT, data, n);
	return 0;
}
