/* `picket rules report expiry|overlap|cost|hits`: a set as a whole, for who maintains it. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/complain.h"
#include "common/exits.h"
#include "common/text.h"
#include "rules/canon.h"
#include "rules/cli_rules.h"
#include "rules/hiding.h"
#include "rules/report_hits.h"

static const char report_help[] =
    "usage: picket rules report expiry|overlap|cost|hits [--at TIME] [--limit N] FILE…\n"
    "\n"
    "  expiry   how many indicators of each set end when, and the next ones to end\n"
    "  overlap  how many indicators of each set other sets have as well, or cover\n"
    "  cost     memory, and what a packet pays for: by type\n"
    "  hits     which indicators hit how often and which never did, and what allow, suppress and disable\n"
    "           entries would take away: of the alerts in --alerts FILE\n"
    "\n"
    "      --at TIME   judge at this time (RFC 3339) instead of now\n"
    "      --limit N   lines of indicators at most (default 20)\n"
    "      --alerts F  hits: alerts as picket scan and the sensor write them, one JSON object a line, or groups\n"
    "                  out of Redis, from picket alerts list --json; - is standard input; may be given again\n"
    "\n"
    "Exit code: 0 done, 2 usage, 3 rules invalid, 4 a file cannot be read, 5 some entries did not load.\n";

#define DAY_US 86400000000ll

struct report {
	const struct ruleset *r;
	const struct hiding *decided;
	int64_t now_us;
	size_t limit;
	struct rule_paths alerts;
	bool failed;
};

static size_t set_number(const struct ruleset *r, ruleset_ref ref)
{
	const char *id = ruleset_set(r, ref).id;
	size_t i = 0;
	while (i < ruleset_set_count(r) && strcmp(ruleset_set_at(r, i).id, id) != 0)
		i++;
	return i;
}

static void print_indicator(const struct ruleset *r, ruleset_ref ref)
{
	struct ruleset_room room;
	struct indicator i = ruleset_indicator_in(r, ref, &room);
	char value[300], set[160];
	const char *id = ruleset_set(r, ref).id;
	printf("%s %s [%s]", indicator_type_name(i.type), text_clean(value, sizeof(value), i.value, strlen(i.value)),
	       text_clean(set, sizeof(set), id, strlen(id)));
}

/* ---- expiry ---- */

static const struct {
	const char *name;
	int64_t days; /* ends within; -1 = no end */
} ends[] = {{"ended", 0}, {"7 days", 7}, {"30 days", 30}, {"90 days", 90}, {"later", 1 << 20}, {"no end", -1}};
#define ENDS (sizeof(ends) / sizeof(*ends))

static size_t end_of(int64_t until_us, int64_t now_us)
{
	if (!until_us)
		return ENDS - 1;
	for (size_t k = 0; k + 2 < ENDS; k++)
		if (until_us <= now_us + ends[k].days * DAY_US)
			return k;
	return ENDS - 2;
}

struct ending {
	int64_t until_us;
	ruleset_ref ref;
};

static int by_end(const void *a, const void *b)
{
	const struct ending *x = a, *y = b;
	if (x->until_us != y->until_us)
		return x->until_us < y->until_us ? -1 : 1;
	return x->ref < y->ref ? -1 : x->ref > y->ref;
}

static void print_next(const struct report *u, struct ending *list, size_t n)
{
	char text[CLOCK_TEXT_LEN];
	qsort(list, n, sizeof(*list), by_end);
	for (size_t i = 0; i < n && i < u->limit; i++) {
		clock_format(list[i].until_us, text);
		printf("%s  ", text);
		print_indicator(u->r, list[i].ref);
		putchar('\n');
	}
	if (n > u->limit)
		printf("and %zu more that end (--limit)\n", n - u->limit);
}

static void report_expiry(struct report *u)
{
	size_t n = ruleset_count(u->r, INDICATOR_NONE), sets = ruleset_set_count(u->r), endings = 0;
	size_t(*count)[ENDS] = xcalloc(sets + 1, sizeof(*count));
	struct ending *list = xcalloc(n + 1, sizeof(*list));
	for (ruleset_ref k = 0; k < n; k++) {
		struct ruleset_room room;
		struct indicator i = ruleset_indicator_in(u->r, k, &room);
		count[set_number(u->r, k)][end_of(i.valid_until_us, u->now_us)]++;
		if (i.valid_until_us > u->now_us)
			list[endings++] = (struct ending){i.valid_until_us, k};
	}
	printf("%-24s", "SET");
	for (size_t e = 0; e < ENDS; e++)
		printf(" %10s", ends[e].name);
	putchar('\n');
	for (size_t s = 0; s < sets; s++) {
		printf("%-24s", text_shown(ruleset_set_at(u->r, s).id));
		for (size_t e = 0; e < ENDS; e++)
			printf(" %10zu", count[s][e]);
		putchar('\n');
	}
	print_next(u, list, endings);
	free(count);
	free(list);
}

/* ---- overlap ---- */

/* Whether another set has the value, or covers it. */
static bool other_set(const struct ruleset *r, ruleset_ref ref, size_t own, size_t *which, bool *same)
{
	struct ruleset_room room, other_room;
	struct indicator i = ruleset_indicator_in(r, ref, &room);
	struct ruleset_hits hits = {.n = 0};
	struct canon c, other;
	if (!canon_rule(i.type, i.value, strlen(i.value), &c, NULL))
		return false;
	ruleset_covering(r, i.type, &c, &hits);
	bool found = false;
	for (size_t k = 0; k < hits.n; k++) {
		size_t set = set_number(r, hits.ref[k]);
		if (set == own)
			continue;
		struct indicator o = ruleset_indicator_in(r, hits.ref[k], &other_room);
		bool equal = o.type == i.type && canon_rule(o.type, o.value, strlen(o.value), &other, NULL) &&
			     other.n == c.n && memcmp(other.key, c.key, c.n) == 0;
		if (found && !equal)
			continue;
		found = true;
		*which = set;
		*same = equal;
		if (equal)
			return true;
	}
	return found;
}

static void report_overlap(struct report *u)
{
	size_t n = ruleset_count(u->r, INDICATOR_NONE), sets = ruleset_set_count(u->r), told = 0;
	struct overlap {
		size_t n, same, covered;
	} *count = xcalloc(sets + 1, sizeof(*count));
	for (ruleset_ref k = 0; k < n; k++) {
		size_t own = set_number(u->r, k), which = 0;
		bool same = false;
		count[own].n++;
		if (!other_set(u->r, k, own, &which, &same))
			continue;
		count[own].same += same;
		count[own].covered += !same;
		if (told++ >= u->limit)
			continue;
		print_indicator(u->r, k);
		printf(" %s %s\n", same ? "is also in" : "is covered by", text_shown(ruleset_set_at(u->r, which).id));
	}
	if (told > u->limit)
		printf("and %zu more (--limit)\n", told - u->limit);
	printf("%-24s %10s %12s %12s %9s\n", "SET", "INDICATORS", "ALSO ELSE", "COVERED", "OWN");
	for (size_t s = 0; s < sets; s++)
		printf("%-24s %10zu %12zu %12zu %8.1f%%\n", text_shown(ruleset_set_at(u->r, s).id), count[s].n,
		       count[s].same, count[s].covered,
		       count[s].n ? 100.0 * (double)(count[s].n - count[s].same - count[s].covered) / (double)count[s].n
				  : 0.0);
	free(count);
}

/* ---- cost ---- */

static void report_cost(struct report *u)
{
	size_t n = ruleset_count(u->r, INDICATOR_NONE);
	printf("%-16s %10s  %s\n", "TYPE", "INDICATORS", "WHAT IT COSTS");
	for (int t = 1; t < INDICATOR_TYPE_COUNT; t++) {
		size_t count = ruleset_count(u->r, (enum indicator_type)t);
		const char *cost = t == INDICATOR_PAYLOAD || t == INDICATOR_PAYLOAD_HEX
				       ? "every payload byte is scanned"
				   : t == INDICATOR_PROTOCOL || t == INDICATOR_RISK ? "nDPI sees every flow"
				   : t == INDICATOR_IP || t == INDICATOR_CIDR       ? "a look-up per flow"
										    : "a look-up per value";
		if (count)
			printf("%-16s %10zu  %s\n", indicator_type_name((enum indicator_type)t), count, cost);
	}
	printf("%-16s %10zu\n%-16s %10zu bytes", "all", n, "memory", ruleset_bytes(u->r));
	printf(n ? ", %.1f each\n" : "\n", n ? (double)ruleset_bytes(u->r) / (double)n : 0.0);
}

/* ---- hits ---- */

static void report_found(struct report *u)
{
	struct err e;
	if (report_hits(u->r, u->decided, u->alerts.v, u->alerts.n, u->limit, u->now_us, &e))
		return;
	complain("picket rules report: %s", e.text);
	u->failed = true;
}

/* ---- the command ---- */

static const struct {
	const char *name;
	void (*print)(struct report *u);
} reports[] = {{"expiry", report_expiry}, {"overlap", report_overlap}, {"cost", report_cost}, {"hits", report_found}};

#define REPORTS (sizeof(reports) / sizeof(*reports))

static bool parse_limit(const char *text, size_t *out)
{
	char *end;
	*out = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end;
}

int rules_report(int argc, char **argv)
{
	static const struct option options[] = {
	    {"at", 1, NULL, 'a'}, {"limit", 1, NULL, 'l'}, {"alerts", 1, NULL, 'A'}, {"help", 0, NULL, 'h'}, {0}};
	struct report u = {.now_us = clock_wall_us(), .limit = 20};
	struct rule_paths files = {0};
	size_t which = 0;
	int code;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		if (c == 'h')
			return fputs(report_help, stdout), EXIT_OK;
		if (c == '?')
			return EXIT_USAGE;
		if (c == 'a' && !clock_parse(optarg, &u.now_us))
			return rules_usage("report", "--at: \"%s\" is no time such as 2027-03-01T00:00:00Z", optarg);
		if (c == 'A')
			rule_paths_add(&u.alerts, optarg);
		if (c == 'l' && !parse_limit(optarg, &u.limit))
			return rules_usage("report", "--limit: expected a number, found \"%s\"", optarg);
	}
	if (argc - optind < 2)
		return rules_usage("report", "expected expiry, overlap, cost or hits, and FILE…");
	while (which < REPORTS && strcmp(argv[optind], reports[which].name) != 0)
		which++;
	if (which == REPORTS)
		return rules_usage("report", "there is no report \"%s\"", argv[optind]);
	if (strcmp(reports[which].name, "hits") == 0 && !u.alerts.n)
		return rules_usage("report", "hits: expected --alerts FILE");
	for (optind++; optind < argc; optind++)
		rule_paths_add(&files, argv[optind]);
	struct overrides decided = {0};
	struct ruleset *r = rules_load_all(&files, true, &decided, &code);
	struct hiding *h = r ? hiding_new(r, &decided) : NULL;
	u.r = r;
	u.decided = h;
	if (r)
		reports[which].print(&u);
	overrides_free(&decided);
	hiding_free(h);
	ruleset_free(r);
	free(files.v);
	free(u.alerts.v);
	return u.failed ? EXIT_ENVIRONMENT : code;
}
