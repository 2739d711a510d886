/* YAML rule files.
 * For: rules/rulefile_yaml.c common/yaml.c */
#include "rules/rulefile_yaml.h"
#include "tests/fuzz/rules_sink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	sink_read(rulefile_yaml_read, data, n);
	return 0;
}
