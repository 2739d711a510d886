/* CSV rule files and plain lists.
 * For: rules/rulefile_csv.c */
#include "rules/rulefile_csv.h"
#include "tests/fuzz/rules_sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void list(struct rule_source *s, const char *text, size_t n)
{
	rulefile_list_read(s, n && text[0] & 1 ? INDICATOR_USER_AGENT : INDICATOR_DOMAIN, &s->defaults, text, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	rulefile_csv_looks((const char *)data, n);
	sink_read(rulefile_csv_read, data, n);
	sink_read(list, data, n);
	return 0;
}
