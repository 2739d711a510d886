/* picket rules status: what is published, and which sensors match with it. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/cli.h"
#include "collector/publish.h"
#include "common/clock.h"
#include "common/complain.h"
#include "common/exits.h"
#include "common/frame.h"
#include "common/json.h"
#include "common/text.h"

static const char usage[] =
    "usage: picket rules status [SET] [--json]\n"
    "What is published: version, ring, and how many sensors match with it or refused it; with SET: each sensor.\n"
    "\n" CLI_REDIS_HELP "Exit: 0 ok, 1 no such set, 2 usage, 4 Redis.\n";

struct row {
	char set[MANIFEST_SET_MAX + 1], ring[MANIFEST_SET_MAX + 1];
	uint32_t version;
};

static bool take_row(const struct reply *field, const struct reply *version, struct row *row)
{
	struct bytes f;
	int64_t v = 0;
	if (!reply_text(field, &f) || !reply_number(version, &v) || v < 1 || v > UINT32_MAX)
		return false;
	const uint8_t *slash = memchr(f.p, '/', f.n);
	size_t n = slash ? (size_t)(slash - f.p) : f.n, ring_n = slash ? f.n - n - 1 : 0;
	if (!manifest_id_valid((const char *)f.p, n) || ring_n > MANIFEST_SET_MAX)
		return false;
	*row = (struct row){.version = (uint32_t)v};
	memcpy(row->set, f.p, n);
	if (slash)
		text_clean(row->ring, sizeof(row->ring), slash + 1, ring_n);
	return true;
}

static struct reply *receipts(struct cli *c, const struct row *row)
{
	char key[256];
	snprintf(key, sizeof(key), PUBLISH_PREFIX "set:%s:receipts:%" PRIu32, row->set, row->version);
	return cli_ask(c, "HGETALL", key, NULL);
}

static void count(const struct reply *r, size_t *armed, size_t *refused)
{
	*armed = *refused = 0;
	for (size_t i = 0; i + 1 < reply_count(r); i += 2) {
		struct bytes text;
		if (!reply_text(reply_at(r, i + 1), &text))
			continue;
		*armed += text.n > 6 && memcmp(text.p, "armed ", 6) == 0;
		*refused += text.n > 8 && memcmp(text.p, "refused ", 8) == 0;
	}
}

static void print_row_json(const struct row *row, const struct published *p, size_t armed, size_t refused)
{
	struct json *o = json_map();
	struct buf line = {0};
	json_put_text(o, "set", row->set);
	json_put_int(o, "version", row->version);
	json_put_text(o, "ring", row->ring);
	json_put_int(o, "indicators", (int64_t)p->m.count);
	json_put_text(o, "digest", p->m.digest);
	json_put_text(o, "priority", urgency_names[p->m.priority]);
	json_put_bool(o, "withdrawn", p->m.withdrawn);
	json_put_int(o, "armed", (int64_t)armed);
	json_put_int(o, "refused", (int64_t)refused);
	json_write(o, &line);
	printf("%.*s\n", (int)line.n, (const char *)line.p);
	buf_free(&line);
	json_drop(o);
}

static void print_sensors(const struct reply *r)
{
	for (size_t i = 0; i + 1 < reply_count(r); i += 2) {
		struct bytes id, text;
		char a[FRAME_ID_MAX * 3 + 1], b[600];
		if (reply_text(reply_at(r, i), &id) && reply_text(reply_at(r, i + 1), &text))
			printf("  %-24s %s\n", text_clean(a, sizeof(a), id.p, id.n),
			       text_clean(b, sizeof(b), text.p, text.n));
	}
}

static void print_row(struct cli *c, const struct row *row, bool each)
{
	struct published p;
	struct err e;
	size_t armed, refused;
	struct reply *r = receipts(c, row);
	if (!r)
		return;
	count(r, &armed, &refused);
	if (!publish_read(c->redis, row->set, row->version, &p, &e))
		complain("picket rules status: %s", e.text);
	else if (c->json)
		print_row_json(row, &p, armed, refused);
	else
		printf("%-24s %-10s %10" PRIu32 " %10" PRIu64 " %-10s %7zu %8zu  %-12.12s%s\n", row->set,
		       *row->ring ? row->ring : "all", row->version, p.m.count, urgency_names[p.m.priority], armed,
		       refused, p.m.digest, p.m.withdrawn ? "  withdrawn" : "");
	if (each && !c->json)
		print_sensors(r);
	reply_free(r);
}

static int by_name(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int set = strcmp(x->set, y->set);
	return set ? set : strcmp(x->ring, y->ring);
}

static int list(struct cli *c, const char *only)
{
	struct reply *all = cli_ask(c, "HGETALL", PUBLISH_PREFIX "sets", NULL);
	if (!all)
		return EXIT_ENVIRONMENT;
	struct row *rows = xcalloc(reply_count(all) / 2 + 1, sizeof(*rows));
	size_t n = 0;
	for (size_t i = 0; i + 1 < reply_count(all); i += 2)
		if (take_row(reply_at(all, i), reply_at(all, i + 1), &rows[n]) &&
		    (!only || strcmp(rows[n].set, only) == 0))
			n++;
	reply_free(all);
	qsort(rows, n, sizeof(*rows), by_name);
	if (n && !c->json)
		printf("%-24s %-10s %10s %10s %-10s %7s %8s  %s\n", "SET", "RING", "VERSION", "INDICATORS", "PRIORITY",
		       "ARMED", "REFUSED", "DIGEST");
	for (size_t i = 0; i < n; i++)
		print_row(c, &rows[i], only != NULL);
	free(rows);
	if (!n)
		complain("picket rules status: %s%s", only ? "no such set is published: " : "nothing is published",
			 only ? only : "");
	return n || !only ? EXIT_OK : EXIT_FINDINGS;
}

int cli_sets(int argc, char **argv)
{
	struct cli c = {.command = "rules status"};
	int code = cli_options(&c, argc, argv, usage);
	if (code >= 0)
		return code;
	if (optind + 1 < argc) {
		fputs("picket rules status: one SET or none; see --help\n", stderr);
		return EXIT_USAGE;
	}
	if (!cli_open(&c))
		return EXIT_ENVIRONMENT;
	code = list(&c, optind < argc ? argv[optind] : NULL);
	cli_close(&c);
	return code;
}
