/* Names and sums of the packet ledger. The enum, the names and the help texts
 * come from the same rows in ledger.h, so that none can be forgotten. */
#include "sensor/ledger.h"

#include <inttypes.h>
#include <string.h>

static const char *const names[LEDGER_COUNT] = {
#define X(id, name, help) [LEDGER_##id] = name,
    LEDGER_ENDS(X) LEDGER_EVENTS(X)
#undef X
};

static const char *const helps[LEDGER_COUNT] = {
#define X(id, name, help) [LEDGER_##id] = help,
    LEDGER_ENDS(X) LEDGER_EVENTS(X)
#undef X
};

const char *ledger_name(enum ledger_id id)
{
	return (unsigned)id < LEDGER_COUNT ? names[id] : "?";
}

const char *ledger_help(enum ledger_id id)
{
	return (unsigned)id < LEDGER_COUNT ? helps[id] : "?";
}

void ledger_sum(struct ledger *into, const struct ledger *from)
{
	for (int i = 0; i < LEDGER_COUNT; i++)
		into->v[i] += from->v[i];
	for (int i = 0; i < NDPI_NAMES; i++)
		into->unread[i] += from->unread[i];
}

static uint64_t ends(const struct ledger *l)
{
	uint64_t sum = 0;
	for (int i = 0; i < LEDGER_END_COUNT; i++)
		sum += l->v[i];
	return sum;
}

bool ledger_balanced(const struct ledger *l)
{
	return l->v[LEDGER_RECEIVED] == ends(l);
}

static int widest_name(const struct ledger *l)
{
	size_t widest = 0;
	for (int i = 0; i < LEDGER_COUNT; i++) {
		if (l->v[i] && strlen(names[i]) > widest)
			widest = strlen(names[i]);
	}
	return (int)widest;
}

static void print_rows(const struct ledger *l, int from, int to, int width, FILE *out)
{
	for (int i = from; i < to; i++) {
		if (l->v[i])
			fprintf(out, "%-*s  %12" PRIu64 "  %s\n", width, names[i], l->v[i], helps[i]);
	}
}

void ledger_print(const struct ledger *l, FILE *to)
{
	int width = widest_name(l);
	print_rows(l, LEDGER_RECEIVED, LEDGER_COUNT, width, to);
	print_rows(l, 0, LEDGER_END_COUNT, width, to);
	if (!ledger_balanced(l))
		fprintf(to, "out of balance: %" PRIu64 " packets received, %" PRIu64 " ended\n", l->v[LEDGER_RECEIVED],
			ends(l));
}
