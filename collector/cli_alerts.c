/* picket alerts: the groups in Redis, as a table, as JSON, one by one, as they
 * come; and an analyst's decisions about them. Decisions go through the same
 * script whoever makes them, so the rules of states stand in one place. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "collector/cli.h"
#include "collector/cli_why.h"
#include "collector/partners.h"
#include "collector/store.h"
#include "collector/store_script.h"
#include "common/clock.h"
#include "common/complain.h"
#include "common/exits.h"
#include "common/frame.h"
#include "common/text.h"
#include "rules/indicator.h"

#define PAGE          "200"
#define PAGE_N        200
#define ID_LEN        32
#define ID_PREFIX_MIN 4
#define CLOSED_KEEP   "2592000" /* seconds; the collector's sweep knows open groups only */

static const char usage[] =
    "usage: picket alerts [list] [filters]     the open groups, newest first\n"
    "       picket alerts show ID…             everything about one\n"
    "       picket alerts why ID…              the chain behind it: rule line, source, decisions\n"
    "       picket alerts tail [-n N]          transitions as they happen\n"
    "       picket alerts ack|close|fp|reopen ID… [--note TEXT]\n"
    "\n"
    "filters:\n"
    "  --severity low|medium|high|critical    this and above\n"
    "  --state new|acknowledged|closed|false_positive|open|all   (default open)\n"
    "  --set ID   --type TYPE   --sensor ID   --since 24h|7d|2026-11-21T03:10:00Z\n"
    "  --limit N  at most N (default 50, 0 = all)\n"
    "  --exercise alerts of exercises instead of real ones; for each of the above\n"
    "\n"
    "  --json     one object per line\n" CLI_REDIS_HELP "An ID may be shortened as long as it is unique.\n"
    "Exit: 0 ok, 1 there is no such alert or the change is not allowed, 2 usage, 4 Redis.\n";

struct alerts {
	struct cli cli;
	const char *realm; /* behind the prefix of all keys: "", or that of exercises */
	int severity;      /* at least */
	const char *state, *set, *type, *sensor, *note;
	int64_t since_us;
	long limit, tail_n, shown;
	char **words;
	int words_n;
	int width;
};

/* ---- what a group does not store because other fields say it ---- */

static const char *asset_of(const struct reply *r, char *into, size_t cap)
{
	struct bytes v;
	return cli_text(r, cli_field(r, "endpoint", &v) ? "endpoint" : "src", into, cap);
}

static const char *far_end(const struct reply *r, char *into, size_t cap)
{
	char asset[ADDR_TEXT_LEN], src[ADDR_TEXT_LEN];
	struct bytes v;
	if (cli_field(r, "peer", &v))
		return cli_text(r, "peer", into, cap);
	asset_of(r, asset, sizeof(asset));
	return cli_text(r, strcmp(asset, cli_text(r, "src", src, sizeof(src))) == 0 ? "dest" : "src", into, cap);
}

/* ---- list ---- */

static int severity_of(const char *name)
{
	for (int i = 0; i < SEVERITY_COUNT; i++)
		if (strcmp(name, severity_names[i]) == 0)
			return i;
	return -1;
}

static bool field_is(const struct reply *r, const char *name, const char *wanted)
{
	struct bytes v;
	return !wanted || (cli_field(r, name, &v) && v.n == strlen(wanted) && memcmp(v.p, wanted, v.n) == 0);
}

static bool wanted(const struct alerts *a, const struct reply *r)
{
	char severity[16], state[24], last[40], sensor[FRAME_ID_MAX + 16];
	int64_t last_us;
	struct bytes v;
	cli_text(r, "severity", severity, sizeof(severity));
	cli_text(r, "state", state, sizeof(state));
	if (!*state || severity_of(severity) < a->severity)
		return false;
	bool open = strcmp(state, "new") == 0 || strcmp(state, "acknowledged") == 0;
	if (strcmp(a->state, "open") == 0 ? !open : strcmp(a->state, "all") != 0 && strcmp(a->state, state) != 0)
		return false;
	if (a->since_us &&
	    (!clock_parse(cli_text(r, "last_seen", last, sizeof(last)), &last_us) || last_us < a->since_us))
		return false;
	snprintf(sensor, sizeof(sensor), "sensor:%s", a->sensor ? a->sensor : "");
	return field_is(r, "set", a->set) && field_is(r, "type", a->type) && (!a->sensor || cli_field(r, sensor, &v));
}

static int count_sensors(const struct reply *r)
{
	int n = 0;
	for (size_t i = 0; i + 1 < reply_count(r); i += 2) {
		struct bytes f;
		n += reply_text(reply_at(r, i), &f) && f.n > 7 && memcmp(f.p, "sensor:", 7) == 0;
	}
	return n;
}

static void print_head(const struct alerts *a)
{
	if (!a->cli.json && !a->shown)
		printf("%-8s %-7s %8s  %-16s %-12s %-*s %-15s %-15s %2s  %s\n", "SEVERITY", "STATE", "COUNT",
		       "LAST SEEN (UTC)", "TYPE", a->width, "INDICATOR", "ASSET", "FAR END", "SE", "ID");
}

static const char *short_state(const char *state)
{
	if (strcmp(state, "acknowledged") == 0)
		return "ack";
	return strcmp(state, "false_positive") == 0 ? "fp" : state;
}

static void print_row(struct alerts *a, const char *id, const struct reply *r)
{
	char severity[16], state[24], last[40], type[16], value[128], asset[ADDR_TEXT_LEN], src[ADDR_TEXT_LEN],
	    dest[ADDR_TEXT_LEN], exercise[64], brief[13];
	int64_t last_us;
	print_head(a);
	a->shown++;
	if (a->cli.json) {
		cli_print_json(r, id);
		return;
	}
	cli_text(r, "severity", severity, sizeof(severity));
	cli_text(r, "state", state, sizeof(state));
	if (!clock_parse(cli_text(r, "last_seen", last, sizeof(last)), &last_us))
		snprintf(last, sizeof(last), "-");
	cli_text(r, "src", src, sizeof(src));
	cli_text(r, "dest", dest, sizeof(dest));
	if (strlen(last) > 16) {
		last[10] = ' ';
		last[16] = 0;
	}
	asset_of(r, asset, sizeof(asset));
	printf("%s%-8s%s %-7s %8" PRId64 "  %-16s %-12s %-*s %-15s %-15s %2d  %s%s%s\n",
	       cli_severity_colour(&a->cli, severity), severity, cli_plain(&a->cli), short_state(state),
	       cli_number(r, "n"), last, cli_text(r, "type", type, sizeof(type)), a->width,
	       cli_text(r, "value", value, sizeof(value)), asset, strcmp(asset, src) == 0 ? dest : src,
	       count_sensors(r), text_clean(brief, sizeof(brief), id, strlen(id)),
	       *cli_text(r, "exercise", exercise, sizeof(exercise)) ? "  EXERCISE " : "", exercise);
}

static bool full(const struct alerts *a)
{
	return a->limit && a->shown >= a->limit;
}

/* A key of a partition: real or of exercises. Returns into. */
static const char *key_of(const struct alerts *a, unsigned partition, const char *name, char into[static CLI_KEY_MAX])
{
	char whole[CLI_KEY_MAX];
	snprintf(whole, sizeof(whole), "%s%s", a->realm, name);
	return cli_key(partition, whole, into);
}

static const char *group_key(const struct alerts *a, const char *id, char into[static CLI_KEY_MAX])
{
	char name[ID_LEN * 3 + 16];
	snprintf(name, sizeof(name), "alert:%s", id);
	return key_of(a, cli_partition_of(&a->cli, id), name, into);
}

/* Reads, judges, prints. False: Redis is of no use. */
static bool list_one(struct alerts *a, struct bytes raw)
{
	char id[ID_LEN * 3 + 1], key[CLI_KEY_MAX], type[32];
	struct bytes text;
	if (raw.n > ID_LEN)
		return true;
	text_clean(id, sizeof(id), raw.p, raw.n);
	struct reply *t = cli_ask(&a->cli, "TYPE", group_key(a, id, key), NULL);
	if (!t)
		return false;
	bool hash = reply_text(t, &text) && strcmp(text_clean(type, sizeof(type), text.p, text.n), "hash") == 0;
	reply_free(t);
	if (!hash) {
		complain("picket alerts: %s is not a hash: it is left out", key);
		return true;
	}
	struct reply *r = cli_ask(&a->cli, "HGETALL", key, NULL);
	if (!r)
		return false;
	if (wanted(a, r))
		print_row(a, id, r);
	reply_free(r);
	return true;
}

/* The open groups of one partition, newest first, a page at a time. */
struct alert_lane {
	struct reply *page; /* id, score, id, score, … */
	size_t at;
	long offset;
	bool over;
};

static bool lane_fill(struct alerts *a, unsigned partition, struct alert_lane *l)
{
	char offset[24], low[32] = "-inf", key[CLI_KEY_MAX];
	if (l->over || (l->page && l->at < reply_count(l->page)))
		return true;
	if (l->page && reply_count(l->page) < 2 * PAGE_N) {
		l->over = true;
		return true;
	}
	reply_free(l->page);
	snprintf(offset, sizeof(offset), "%ld", l->offset);
	if (a->since_us)
		snprintf(low, sizeof(low), "%" PRId64, a->since_us / 1000);
	l->page = cli_ask(&a->cli, "ZREVRANGEBYSCORE", key_of(a, partition, "open", key), "+inf", low, "WITHSCORES",
			  "LIMIT", offset, PAGE, NULL);
	l->at = 0;
	l->offset += PAGE_N;
	l->over = l->page && !reply_count(l->page);
	return l->page != NULL;
}

static int64_t lane_score(const struct alert_lane *l)
{
	int64_t score = 0;
	reply_number(reply_at(l->page, l->at + 1), &score);
	return score;
}

/* The lane whose next group is the newest; NULL: all are over. False: Redis. */
static bool newest(struct alerts *a, struct alert_lane *lanes, struct alert_lane **best)
{
	*best = NULL;
	for (unsigned i = 0; i < cli_partitions(&a->cli); i++) {
		if (!lane_fill(a, i, &lanes[i]))
			return false;
		if (!lanes[i].over && (!*best || lane_score(&lanes[i]) > lane_score(*best)))
			*best = &lanes[i];
	}
	return true;
}

static bool list_open(struct alerts *a)
{
	struct alert_lane lanes[PARTITIONS_CLUSTER] = {0}, *l;
	bool good;
	while ((good = newest(a, lanes, &l)) && l && !full(a)) {
		struct bytes id;
		good = !reply_text(reply_at(l->page, l->at), &id) || list_one(a, id);
		l->at += 2;
		if (!good)
			break;
	}
	for (unsigned i = 0; i < PARTITIONS_CLUSTER; i++)
		reply_free(lanes[i].page);
	return good;
}

static bool looks_like_id(const uint8_t *p)
{
	uint8_t id[ID_LEN / 2];
	return text_unhex(id, sizeof(id), (const char *)p, ID_LEN);
}

/* Closed groups stand in no index: the keys of a partition are walked. each() gets
 * the part of the key after "alert:"; false ends the walk. */
static bool walk_partition(struct alerts *a, unsigned partition, const char *name,
			   bool (*each)(struct alerts *a, struct bytes id, void *arg), void *arg)
{
	char cursor[32] = "0", pattern[CLI_KEY_MAX], begin[CLI_KEY_MAX];
	const size_t prefix = strlen(key_of(a, partition, "alert:", begin));
	key_of(a, partition, name, pattern);
	do {
		struct reply *page = cli_ask(&a->cli, "SCAN", cursor, "MATCH", pattern, "COUNT", "1000", NULL);
		struct bytes next;
		if (!page)
			return false;
		const struct reply *keys = reply_at(page, 1);
		bool good = reply_text(reply_at(page, 0), &next);
		for (size_t i = 0; good && i < reply_count(keys); i++) {
			struct bytes key;
			if (reply_text(reply_at(keys, i), &key) && key.n == prefix + ID_LEN &&
			    looks_like_id(key.p + prefix))
				good = each(a, (struct bytes){key.p + prefix, ID_LEN}, arg);
		}
		if (good)
			text_clean(cursor, sizeof(cursor), next.p, next.n);
		reply_free(page);
		if (!good)
			return false;
	} while (strcmp(cursor, "0") != 0);
	return true;
}

/* SCAN has no key to be redirected by: a read of the partition goes first, so that
 * the walk is on the node that has it. */
static bool walk_keys(struct alerts *a, const char *name, bool (*each)(struct alerts *a, struct bytes id, void *arg),
		      void *arg)
{
	for (unsigned i = 0; i < cli_partitions(&a->cli); i++) {
		char key[CLI_KEY_MAX];
		struct reply *there = cli_ask(&a->cli, "EXISTS", key_of(a, i, "open", key), NULL);
		bool good = there && walk_partition(a, i, name, each, arg);
		reply_free(there);
		if (!good)
			return false;
	}
	return true;
}

static bool list_walked(struct alerts *a, struct bytes id, void *arg)
{
	bool *good = arg;
	*good = list_one(a, id);
	return *good && !full(a);
}

static int list(struct alerts *a)
{
	bool good = true;
	if (strcmp(a->state, "closed") == 0 || strcmp(a->state, "false_positive") == 0 || strcmp(a->state, "all") == 0)
		walk_keys(a, "alert:*", list_walked, &good);
	else
		good = list_open(a);
	if (good && !a->shown && !a->cli.json)
		complain("picket alerts: none");
	else if (good && full(a) && !a->cli.json)
		complain("picket alerts: %ld shown, there may be more (--limit)", a->shown);
	return good ? EXIT_OK : EXIT_ENVIRONMENT;
}

/* ---- ids ---- */

struct found {
	char id[ID_LEN + 1];
	unsigned n;
};

static bool find_each(struct alerts *a, struct bytes id, void *arg)
{
	struct found *f = arg;
	(void)a;
	if (f->n && memcmp(f->id, id.p, ID_LEN) == 0)
		return true;
	memcpy(f->id, id.p, ID_LEN);
	f->n++;
	return f->n < 2;
}

/* Fills id from a whole one or the beginning of one. */
static bool resolve(struct alerts *a, const char *word, char id[static ID_LEN + 1])
{
	struct found f = {0};
	char pattern[128];
	size_t n = strlen(word);
	bool hex = n >= ID_PREFIX_MIN && n <= ID_LEN && strspn(word, "0123456789abcdef") == n;
	if (hex && n == ID_LEN) {
		memcpy(id, word, ID_LEN + 1);
		return true;
	}
	if (hex) {
		snprintf(pattern, sizeof(pattern), "alert:%s*", word);
		walk_keys(a, pattern, find_each, &f);
	}
	memcpy(id, f.id, sizeof(f.id));
	if (f.n != 1)
		complain("picket alerts: %s \"%s\"",
			 !hex  ? "an ID has 4 to 32 hexadecimal digits, not"
			 : f.n ? "more than one alert begins with"
			       : "there is no alert",
			 word);
	return f.n == 1;
}

/* ---- show ---- */

/* The event of a transition, from the stream entry that the field names. */
static void print_entry(struct alerts *a, const char *group, const struct reply *r, const char *field,
			const char *title)
{
	struct bytes json;
	char id[64], key[CLI_KEY_MAX];
	if (!*cli_text(r, field, id, sizeof(id)))
		return;
	struct reply *entries = cli_ask(&a->cli, "XRANGE", key_of(a, cli_partition_of(&a->cli, group), "alerts", key),
					id, id, NULL);
	if (cli_field(reply_at(reply_at(entries, 0), 1), "json", &json))
		cli_print_event(title, json);
	else if (entries)
		printf("%s: no longer in the stream (retention.stream)\n", title);
	reply_free(entries);
}

static void print_whole(struct alerts *a, const char *id, const char *key, const struct reply *r)
{
	char peers_key[CLI_KEY_MAX + 8], name[128], value[2048];
	struct bytes field, text;
	printf("%-16s %s\n", "id", id);
	for (size_t i = 0; i + 1 < reply_count(r); i += 2) {
		if (!reply_text(reply_at(r, i), &field) || !reply_text(reply_at(r, i + 1), &text))
			continue;
		text_clean(name, sizeof(name), field.p, field.n);
		printf("%-16s %s\n", name, text_clean(value, sizeof(value), text.p, text.n));
	}
	snprintf(peers_key, sizeof(peers_key), "%s:peers", key);
	struct reply *peers = cli_ask(&a->cli, "PFCOUNT", peers_key, NULL);
	int64_t n = 0;
	reply_number(peers, &n);
	printf("%-16s %" PRId64 "\n", "distinct peers", n ? n : *far_end(r, value, sizeof(value)) ? 1 : 0);
	reply_free(peers);
	print_entry(a, id, r, "event", "first event");
	print_entry(a, id, r, "last_event", "event of the last transition");
}

/* The alerts that the words name. */
static int each_of(struct alerts *a,
		   void (*tell)(struct alerts *a, const char *id, const char *key, const struct reply *r))
{
	int code = EXIT_OK;
	for (int i = 0; i < a->words_n; i++) {
		char id[ID_LEN + 1], key[CLI_KEY_MAX];
		if (!resolve(a, a->words[i], id)) {
			code = EXIT_FINDINGS;
			continue;
		}
		struct reply *r = cli_ask(&a->cli, "HGETALL", group_key(a, id, key), NULL);
		if (!r)
			return EXIT_ENVIRONMENT;
		if (!reply_count(r)) {
			complain("picket alerts: there is no alert \"%s\"", id);
			code = EXIT_FINDINGS;
		} else {
			tell(a, id, key, r);
		}
		reply_free(r);
	}
	return code;
}

static void show_one(struct alerts *a, const char *id, const char *key, const struct reply *r)
{
	if (a->cli.json)
		cli_print_json(r, id);
	else
		print_whole(a, id, key, r);
}

static int show(struct alerts *a)
{
	return each_of(a, show_one);
}

static void why_one(struct alerts *a, const char *id, const char *key, const struct reply *r)
{
	(void)key;
	why_alert(&a->cli, id, r);
}

static int why(struct alerts *a)
{
	return each_of(a, why_one);
}

/* ---- tail ---- */

static void print_transition(struct alerts *a, const struct reply *entry, char last[static 64])
{
	const struct reply *f = reply_at(entry, 1);
	struct bytes entry_id;
	char op[16], reason[48], severity[16], id[13], value[128], asset[ADDR_TEXT_LEN], sensor[FRAME_ID_MAX + 1],
	    when[20];
	if (!reply_text(reply_at(entry, 0), &entry_id) || entry_id.n >= 64)
		return;
	text_clean(last, 64, entry_id.p, entry_id.n);
	if (a->cli.json) {
		cli_print_json(f, NULL);
	} else {
		cli_text(f, "severity", severity, sizeof(severity));
		cli_text(f, "reason", reason, sizeof(reason));
		printf("%s %-9s %s%-8s%s %8" PRId64 "  %s  %s  sensor %s  %s%s%s\n",
		       cli_text(f, "last_seen", when, sizeof(when)), cli_text(f, "op", op, sizeof(op)),
		       cli_severity_colour(&a->cli, severity), severity, cli_plain(&a->cli), cli_number(f, "n"),
		       cli_text(f, "value", value, sizeof(value)), cli_text(f, "endpoint", asset, sizeof(asset)),
		       cli_text(f, "sensor", sensor, sizeof(sensor)), cli_text(f, "id", id, sizeof(id)),
		       *reason ? "  " : "", reason);
	}
	fflush(stdout);
}

/* "1763700000000-3": milliseconds, then a count. */
static bool entry_before(const struct reply *a, const struct reply *b)
{
	unsigned long long ms[2] = {0}, n[2] = {0};
	const struct reply *each[] = {a, b};
	for (int i = 0; i < 2; i++) {
		struct bytes id;
		char text[64];
		if (reply_text(reply_at(each[i], 0), &id) && id.n < sizeof(text))
			sscanf(text_clean(text, sizeof(text), id.p, id.n), "%llu-%llu", &ms[i], &n[i]);
	}
	return ms[0] != ms[1] ? ms[0] < ms[1] : n[0] < n[1];
}

#define TAIL_POLL_US 250000

struct tails {
	char last[PARTITIONS_CLUSTER][64];
};

/* Prints the last N of all partitions in the order of time, and notes where each
 * stands. */
static bool tail_begin(struct alerts *a, struct tails *t)
{
	struct reply *r[PARTITIONS_CLUSTER] = {0};
	size_t left[PARTITIONS_CLUSTER] = {0}, all = 0;
	unsigned parts = cli_partitions(&a->cli);
	char count[24], key[CLI_KEY_MAX];
	bool good = true;
	snprintf(count, sizeof(count), "%ld", a->tail_n > 0 ? a->tail_n : 1);
	for (unsigned i = 0; i < parts && good; i++) {
		struct bytes id;
		r[i] = cli_ask(&a->cli, "XREVRANGE", key_of(a, i, "alerts", key), "+", "-", "COUNT", count, NULL);
		good = r[i] != NULL;
		all += left[i] = reply_count(r[i]);
		strcpy(t->last[i], "0-0");
		if (reply_text(reply_at(reply_at(r[i], 0), 0), &id) && id.n < sizeof(t->last[i]))
			text_clean(t->last[i], sizeof(t->last[i]), id.p, id.n);
	}
	for (; good && all > 0; all--) {
		unsigned oldest = PARTITIONS_CLUSTER;
		for (unsigned i = 0; i < parts; i++)
			if (left[i] &&
			    (oldest == PARTITIONS_CLUSTER ||
			     entry_before(reply_at(r[i], left[i] - 1), reply_at(r[oldest], left[oldest] - 1))))
				oldest = i;
		char ignored[64];
		if ((long)all <= a->tail_n)
			print_transition(a, reply_at(r[oldest], left[oldest] - 1), ignored);
		left[oldest]--;
	}
	for (unsigned i = 0; i < parts; i++)
		reply_free(r[i]);
	return good;
}

/* What has come to one stream; *n: how much. One Redis can wait for it itself. */
static bool tail_more(struct alerts *a, unsigned partition, char last[static 64], size_t *n)
{
	char key[CLI_KEY_MAX];
	key_of(a, partition, "alerts", key);
	struct reply *r = cli_partitions(&a->cli) == 1
			      ? cli_ask(&a->cli, "XREAD", "COUNT", "100", "BLOCK", "1000", "STREAMS", key, last, NULL)
			      : cli_ask(&a->cli, "XREAD", "COUNT", "100", "STREAMS", key, last, NULL);
	const struct reply *entries = reply_at(reply_at(r, 0), 1);
	for (size_t i = 0; i < reply_count(entries); i++)
		print_transition(a, reply_at(entries, i), last);
	*n += reply_count(entries);
	bool good = r && !ferror(stdout);
	reply_free(r);
	return good;
}

static int tail(struct alerts *a)
{
	struct tails t;
	if (!tail_begin(a, &t))
		return EXIT_ENVIRONMENT;
	for (;;) {
		size_t n = 0;
		for (unsigned i = 0; i < cli_partitions(&a->cli); i++)
			if (!tail_more(a, i, t.last[i], &n))
				return EXIT_ENVIRONMENT;
		if (!n && cli_partitions(&a->cli) > 1)
			usleep(TAIL_POLL_US);
	}
}

/* ---- decisions ---- */

static struct reply *run_state(struct alerts *a, const char *id, const char *state)
{
	char key[CLI_KEY_MAX], prefix[CLI_KEY_MAX], now[CLOCK_TEXT_LEN];
	clock_format(clock_wall_us(), now);
	return cli_ask(&a->cli, "EVAL", script_text[SCRIPT_STATE], "1", group_key(a, id, key),
		       key_of(a, cli_partition_of(&a->cli, id), "", prefix), id, state, cli_who(), now,
		       a->note ? a->note : "", CLOSED_KEEP, NULL);
}

/* Of a partner's indicator its producer should know: the gateway tells it. */
static void tell_producer(struct alerts *a, const char *id)
{
	char name[ID_LEN + 16], key[CLI_KEY_MAX], set[128], indicator[512];
	snprintf(name, sizeof(name), "alert:%s", id);
	struct reply *r = cli_ask(&a->cli, "HGETALL", cli_key(cli_partition_of(&a->cli, id), name, key), NULL);
	cli_text(r, "set", set, sizeof(set));
	cli_text(r, "indicator", indicator, sizeof(indicator));
	reply_free(r);
	if (strncmp(set, "partner-", 8) == 0)
		reply_free(cli_ask(&a->cli, "XADD", PARTNER_COMMANDS, "MAXLEN", "~", "1000", "*", "op", "fp", "partner",
				   set, "id", indicator, NULL));
}

static int decide(struct alerts *a, const char *state)
{
	int code = EXIT_OK;
	for (int i = 0; i < a->words_n; i++) {
		char id[ID_LEN + 1], text[64] = "";
		struct bytes answer = {0};
		int64_t done = 0;
		if (!resolve(a, a->words[i], id)) {
			code = EXIT_FINDINGS;
			continue;
		}
		struct reply *r = run_state(a, id, state);
		if (!r)
			return EXIT_ENVIRONMENT;
		reply_number(reply_at(r, 0), &done);
		if (reply_text(reply_at(r, 1), &answer))
			text_clean(text, sizeof(text), answer.p, answer.n);
		reply_free(r);
		if (done == 1) {
			printf("%s: %s (was %s)\n", id, state, text);
			if (strcmp(state, "false_positive") == 0)
				tell_producer(a, id);
			continue;
		}
		code = EXIT_FINDINGS;
		complain("picket alerts: %s: %s", id,
			 strcmp(text, "unknown") == 0   ? "there is no such alert"
			 : strcmp(text, "already") == 0 ? "it is in this state already"
							: "only a new alert can be acknowledged (reopen it first)");
	}
	return code;
}

/* ---- the command ---- */

static const struct verb {
	const char *name, *state;
	int (*run)(struct alerts *a);
	bool ids;
} verbs[] = {{"list", NULL, list, false},          {"show", NULL, show, true},          {"why", NULL, why, true},
	     {"tail", NULL, tail, false},          {"ack", "acknowledged", NULL, true}, {"close", "closed", NULL, true},
	     {"fp", "false_positive", NULL, true}, {"reopen", "new", NULL, true}};

static bool state_known(const char *s)
{
	static const char *const states[] = {"open", "all", "new", "acknowledged", "closed", "false_positive"};
	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
		if (strcmp(s, states[i]) == 0)
			return true;
	return false;
}

static bool take_option(struct alerts *a, int c)
{
	char *end = NULL;
	switch (c) {
	case 'S':
		a->severity = severity_of(optarg);
		return a->severity >= 0;
	case 's':
		a->state = strcmp(optarg, "ack") == 0  ? "acknowledged"
			   : strcmp(optarg, "fp") == 0 ? "false_positive"
						       : optarg;
		return state_known(a->state);
	case 'e':
		a->set = optarg;
		return true;
	case 't':
		a->type = optarg;
		return indicator_type_parse(optarg, strlen(optarg)) != INDICATOR_NONE;
	case 'o':
		a->sensor = optarg;
		return true;
	case 'i':
		return cli_since(optarg, &a->since_us);
	case 'l':
		a->limit = strtol(optarg, &end, 10);
		return end != optarg && !*end && a->limit >= 0;
	case 'n':
		a->tail_n = strtol(optarg, &end, 10);
		return end != optarg && !*end && a->tail_n >= 0;
	case 'm':
		a->note = optarg;
		return true;
	case 'j':
		a->cli.json = true;
		return true;
	case 'x':
		a->realm = STORE_EXERCISE;
		return true;
	default:
		return cli_redis_option(&a->cli, c, optarg);
	}
}

/* 0: go on. Otherwise the exit code + 1. */
static int parse(struct alerts *a, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"severity", 1, NULL, 'S'}, {"state", 1, NULL, 's'}, {"set", 1, NULL, 'e'},      {"type", 1, NULL, 't'},
	    {"sensor", 1, NULL, 'o'},   {"since", 1, NULL, 'i'}, {"limit", 1, NULL, 'l'},    {"note", 1, NULL, 'm'},
	    {"json", 0, NULL, 'j'},     CLI_REDIS_OPTIONS,       {"exercise", 0, NULL, 'x'}, {"help", 0, NULL, 'h'},
	    {NULL, 0, NULL, 0}};
	int c, which = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, "hc:n:", longs, &which)) != -1) {
		if (c == 'h') {
			fputs(usage, stdout);
			return EXIT_OK + 1;
		}
		if (take_option(a, c))
			continue;
		if (c != '?')
			complain("picket alerts: \"%s\" is no value for --%s", optarg ? optarg : "",
				 c == 'n' ? "n" : longs[which].name);
		fputs("picket alerts: see --help\n", stderr);
		return EXIT_USAGE + 1;
	}
	a->words = argv + optind;
	a->words_n = argc - optind;
	return 0;
}

static int indicator_width(void)
{
	struct winsize w;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col < 130)
		return 30;
	return w.ws_col - 100 > 80 ? 80 : w.ws_col - 100;
}

int cli_alerts(int argc, char **argv)
{
	struct alerts a = {
	    .cli = {.command = "alerts"}, .realm = "", .state = "open", .limit = 50, .width = indicator_width()};
	int ended = parse(&a, argc, argv);
	const struct verb *v = &verbs[0];
	if (ended)
		return ended - 1;
	if (a.words_n) {
		v = NULL;
		for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
			if (strcmp(a.words[0], verbs[i].name) == 0)
				v = &verbs[i];
		a.words++;
		a.words_n--;
	}
	if (!v || v->ids != (a.words_n > 0)) {
		fputs(!v       ? "picket alerts: list, show, why, tail, ack, close, fp or reopen; see --help\n"
		      : v->ids ? "picket alerts: which alert? Give its ID\n"
			       : "picket alerts: too many words; see --help\n",
		      stderr);
		return EXIT_USAGE;
	}
	if (!cli_open(&a.cli))
		return EXIT_ENVIRONMENT;
	int code = v->run ? v->run(&a) : decide(&a, v->state);
	cli_close(&a.cli);
	return code;
}
