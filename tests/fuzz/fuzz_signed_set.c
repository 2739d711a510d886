/* Signed sets, manifests, contents and deltas: any bytes, no crash, no growth
 * beyond the limits. Two contents, split at the first NUL or else in the middle: where both are laid
 * out as they should be, the delta from one to the other leads there, and counts as it says.
 * For: rules/manifest.c rules/set_lines.c */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

static void change(struct bytes from, struct bytes delta, struct buf *gone)
{
	struct buf come = {0};
	gone->n = 0;
	set_lines_changes(delta, gone, &come, NULL);
	(void)set_lines_same_head(from, delta);
	buf_free(&come);
}

static void there_and_back(struct bytes from, struct bytes to, struct buf *out)
{
	struct buf again = {0};
	size_t rows, to_rows;
	bool good = set_lines_count(from, &rows, NULL) && set_lines_count(to, &to_rows, NULL);
	bool made = set_lines_delta(from, to, out, NULL);
	if (good && !made)
		abort();
	struct bytes delta = {out->p, out->n};
	if (good && (!set_lines_apply(from, delta, 1 << 20, &again, NULL) || again.n != to.n ||
		     memcmp(again.p, to.p, to.n) != 0))
		abort();
	if (made)
		change(from, delta, &again);
	buf_free(&again);
}

/* What is signed is a file that reads as it was written. */
static void sign(struct bytes content)
{
	static struct sign_key *k;
	static const char manifest[] = "{\"picket_set\":1}";
	struct endorsement by;
	struct buf file = {0};
	struct signed_set s;
	if (!k && !(k = sign_key_new(NULL)))
		abort();
	if (!manifest_sign(k, manifest, sizeof(manifest) - 1, &by, NULL))
		abort();
	signed_set_write(&file, (struct bytes){(const uint8_t *)manifest, sizeof(manifest) - 1}, &by, content);
	(void)signed_set_read(file.p, file.n, &s, NULL);
	buf_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct signed_set s;
	struct manifest m;
	struct buf out = {0};
	const uint8_t *nul = n ? memchr(data, '\0', n) : NULL;
	size_t at = nul ? (size_t)(nul - data) : n / 2, from = nul ? at + 1 : at;
	struct bytes all = {data, n}, half = {data, at}, rest = {data + from, n - from};
	manifest_read(data, n, &m, NULL);
	if (signed_set_read(data, n, &s, NULL)) {
		signed_set_whole(&s.m, s.content, NULL);
		read_content(s.content);
	}
	read_content(all);
	there_and_back(half, rest, &out);
	out.n = 0;
	set_lines_apply(half, rest, 1 << 16, &out, NULL);
	change(half, rest, &out);
	buf_free(&out);
	sign(all);
	return 0;
}
