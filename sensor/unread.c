#include "sensor/unread.h"

#include <inttypes.h>
#include <stdlib.h>

#define SHOWN 10

void unread_count(struct ledger *l, size_t protocol)
{
	l->unread[protocol < NDPI_NAMES ? protocol : 0]++;
}

struct row {
	size_t number;
	uint64_t flows;
};

static int more_first(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	if (x->flows != y->flows)
		return x->flows < y->flows ? 1 : -1;
	return (x->number > y->number) - (x->number < y->number);
}

uint64_t unread_each(const struct ledger *l, size_t max, unread_fn *fn, void *owner)
{
	struct row row[NDPI_NAMES];
	size_t n = 0;
	uint64_t others = 0;
	for (size_t i = 0; i < NDPI_NAMES; i++)
		if (l->unread[i])
			row[n++] = (struct row){i, l->unread[i]};
	qsort(row, n, sizeof(*row), more_first);
	for (size_t i = 0; i < n; i++) {
		if (i < max)
			fn(owner, ndpi_protocol_name(row[i].number), row[i].flows);
		else
			others += row[i].flows;
	}
	return others;
}

static void print_one(void *owner, const char *protocol, uint64_t flows)
{
	fprintf(owner, "  %-20s  %12" PRIu64 "\n", protocol, flows);
}

void unread_print(const struct ledger *l, FILE *to)
{
	uint64_t flows = 0;
	for (size_t i = 0; i < NDPI_NAMES; i++)
		flows += l->unread[i];
	if (!flows)
		return;
	fprintf(to, "flows that no parser reads, as nDPI calls them: %" PRIu64 "\n", flows);
	uint64_t others = unread_each(l, SHOWN, print_one, to);
	if (others)
		print_one(to, "(others)", others);
}
