/* Signed sets, manifests, contents and deltas: any bytes, no crash, no growth
 * beyond the limits.
 * For: rules/manifest.c rules/set_lines.c */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "rules/manifest.h"
#include "rules/set_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void read_content(struct bytes content)
{
	struct diags d = {.limit = 100};
	struct rulefile_count count = {0};
	struct rule_source s = {.b = ruleset_builder_new(), .d = &d, .count = &count, .file = "f"};
	set_lines_read(&s, content.n ? (const char *)content.p : "", content.n, 0);
	source_close(&s);
	ruleset_builder_free(s.b);
	diag_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct signed_set s;
	struct manifest m;
	struct buf out = {0};
	struct bytes all = {data, n}, half = {data, n / 2}, rest = {data + n / 2, n - n / 2};
	manifest_read(data, n, &m, NULL);
	if (signed_set_read(data, n, &s, NULL)) {
		signed_set_whole(&s.m, s.content, NULL);
		read_content(s.content);
	}
	read_content(all);
	set_lines_delta(half, rest, &out, NULL);
	out.n = 0;
	set_lines_apply(half, rest, 1 << 16, &out, NULL);
	buf_free(&out);
	return 0;
}
