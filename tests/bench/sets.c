/* Makes the indicator sets of the benches and says what compiling, opening and
 * verifying one costs, as name=value lines:
 *
 *   sets N SET.compiled       compile N synthetic indicators, write, open, verify
 *   sets -c N                 print them as CSV instead
 *
 * compile_s is from parsed input: the values are made before the clock starts. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "rules/ruleset.h"
#include "tests/bench/synthetic.h"

static double now_s(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int die(const char *what, const struct err *e)
{
	fprintf(stderr, "sets: %s: %s\n", what, e->text);
	return 1;
}

static void print_csv(uint64_t n)
{
	char value[SYNTHETIC_ROOM];
	puts("type,value");
	for (uint64_t i = 0; i < n; i++) {
		const char *type = synthetic_indicator(i, value);
		printf("%s,%s\n", type, value);
	}
}

struct parsed {
	enum indicator_type type;
	uint32_t at;
};

/* The values one behind the other, as a reader of files would hand them over. */
static void parse(uint64_t n, struct parsed *list, struct buf *text)
{
	char value[SYNTHETIC_ROOM];
	for (uint64_t i = 0; i < n; i++) {
		const char *type = synthetic_indicator(i, value);
		list[i].type = indicator_type_parse(type, strlen(type));
		list[i].at = (uint32_t)text->n;
		buf_add(text, value, strlen(value) + 1);
	}
}

static struct ruleset *compile(uint64_t n, const struct parsed *list, const struct buf *text, struct err *e)
{
	struct ruleset_builder *b = ruleset_builder_new();
	uint32_t set = ruleset_add_set(b, &(struct indicator_set){.id = "bench", .version = 1, .title = "bench"});
	for (uint64_t i = 0; i < n; i++) {
		struct indicator one = {.type = list[i].type,
					.value = (const char *)text->p + list[i].at,
					.severity = SEVERITY_MEDIUM,
					.confidence = 50};
		if (ruleset_add(b, set, &one, e) == ADDED_INVALID)
			fprintf(stderr, "sets: %s: %s\n", one.value, e->text);
	}
	struct ruleset *r = ruleset_build(b, e);
	ruleset_builder_free(b);
	return r;
}

static int measure(uint64_t n, const char *path)
{
	struct err e = {.text = ""};
	struct buf text = {0};
	struct parsed *list = calloc(n + 1, sizeof(*list));
	parse(n, list, &text);
	double t0 = now_s(CLOCK_PROCESS_CPUTIME_ID);
	struct ruleset *r = compile(n, list, &text, &e);
	double t1 = now_s(CLOCK_PROCESS_CPUTIME_ID);
	free(list);
	buf_free(&text);
	if (!r || !ruleset_write(r, path, &e))
		return die(path, &e);
	size_t bytes = ruleset_bytes(r), count = ruleset_count(r, INDICATOR_NONE);
	ruleset_free(r);
	double t2 = now_s(CLOCK_MONOTONIC);
	r = ruleset_open(path, false, &e);
	double t3 = now_s(CLOCK_MONOTONIC);
	if (!r)
		return die(path, &e);
	ruleset_free(r);
	double t4 = now_s(CLOCK_MONOTONIC);
	r = ruleset_open(path, true, &e);
	double t5 = now_s(CLOCK_MONOTONIC);
	if (!r)
		return die(path, &e);
	ruleset_free(r);
	printf("indicators=%zu\nbytes=%zu\nbytes_per_indicator=%.1f\ncompile_s=%.3f\nopen_ms=%.3f\nverify_ms=%.1f\n"
	       "verify_gb_s=%.1f\n",
	       count, bytes, count ? (double)bytes / (double)count : 0.0, t1 - t0, (t3 - t2) * 1e3, (t5 - t4) * 1e3,
	       (double)bytes / (t5 - t4) / 1e9);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "-c") == 0) {
		print_csv(strtoull(argv[2], NULL, 10));
		return 0;
	}
	if (argc == 3)
		return measure(strtoull(argv[1], NULL, 10), argv[2]);
	fputs("usage: sets N SET.compiled | sets -c N\n", stderr);
	return 2;
}
