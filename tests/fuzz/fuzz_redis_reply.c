/* What Redis, or somebody in its place, answers: the reader and our checks. */
#include "collector/cli.h"
#include "collector/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void look(const struct reply *r, int depth)
{
	struct bytes text;
	int64_t number;
	char clean[64];
	(void)reply_error(r, &text);
	(void)reply_text(r, &text);
	(void)reply_number(r, &number);
	(void)reply_nil(r);
	cli_text(r, "state", clean, sizeof(clean));
	cli_number(r, "n");
	for (size_t i = 0; i < reply_count(r) && i < 100 && depth < 10; i++)
		look(reply_at(r, i), depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct store_stats stats = {0};
	char conflict[128];
	uint64_t mark;
	struct reply *r = reply_parse(data, n);
	look(r, 0);
	(void)store_flush_result(r, 7, &stats, &mark, conflict);
	reply_free(r);
	return 0;
}
