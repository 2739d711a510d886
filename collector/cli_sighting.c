/* picket sighting: what partners saw of ours, and what they are told that we saw of theirs. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/cli_partner.h"
#include "collector/partner_feed.h"
#include "collector/partner_walk.h"
#include "collector/partners.h"
#include "common/exits.h"
#include "common/text.h"

static const char usage[] =
    "usage: picket sighting [list] [--json]\n"
    "Sightings and false-positive reports: \"in\" from partners about what was published here, \"out\" to partners "
    "about\n"
    "theirs. Nothing in them says where or at whom.\n"
    "\n"
    "  --redis unix:/path|host:port (or PICKET_REDIS), --redis-user NAME, PICKET_REDIS_PASSWORD\n"
    "Exit: 0 ok, 2 usage, 4 Redis.\n";

struct listing {
	struct partner_cli *c;
	const char *partner; /* NULL = out */
	size_t walks, n;
};

static bool row(void *arg, const struct walked *w)
{
	(void)arg;
	return strncmp(w->id, "sighting--", 10) == 0 || strncmp(w->id, "opinion--", 9) == 0;
}

static const char *text_of(const struct shared *s, const char *key, char *into, size_t cap)
{
	size_t n = 0;
	const char *t = json_text(json_at(s->stix, key), &n);
	return text_clean(into, cap, t ? t : "", t ? n : 0);
}

static void object(void *arg, const struct walked *w, const struct shared *s)
{
	struct listing *l = arg;
	char about[400], first[64], last[64], who[200];
	struct buf line = {0};
	(void)w;
	l->n++;
	if (l->c->cli.json) {
		json_write(s->stix, &line);
		printf("{\"direction\":\"%s\",\"object\":%.*s}\n", l->partner ? "in" : "out", (int)line.n,
		       (char *)line.p);
		buf_free(&line);
		return;
	}
	const char *to = l->partner ? l->partner : s->rel_n ? s->releasable_to[0] : "-";
	text_clean(who, sizeof(who), to, strlen(to));
	if (strcmp(shared_type(s->stix), "sighting") == 0) {
		printf("%-3s %-20s seen %9" PRId64 "  %s  %s .. %s\n", l->partner ? "in" : "out", who,
		       json_int(json_at(s->stix, "count"), 1), text_of(s, "sighting_of_ref", about, sizeof(about)),
		       text_of(s, "first_seen", first, sizeof(first)), text_of(s, "last_seen", last, sizeof(last)));
	} else {
		const char *id = json_text(json_item(json_at(s->stix, "object_refs"), 0), NULL);
		printf("%-3s %-20s %s  %s\n", l->partner ? "in" : "out", who,
		       text_of(s, "opinion", first, sizeof(first)),
		       text_clean(about, sizeof(about), id ? id : "", id ? strlen(id) : 0));
	}
}

static void done(void *arg, bool ok)
{
	struct listing *l = arg;
	if (!ok)
		l->c->code = EXIT_ENVIRONMENT;
	if (!--l->walks)
		partner_store_stop(l->c);
}

static void list_of(struct listing *l, const char *partner)
{
	char name[OBJECTS_COLLECTION_MAX + 1];
	l->partner = partner;
	l->walks = LANE_COUNT;
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		feed_collection_of(partner, (enum lane)lane, name);
		walk_collection(l->c->objects, name, 0, (struct walker){row, object, done, l});
	}
	partner_store_run(l->c);
}

static int list(struct partner_cli *c)
{
	struct listing l = {.c = c};
	struct reply *ids = cli_ask(&c->cli, "HKEYS", PARTNERS_KEY, NULL);
	c->code = EXIT_OK;
	if (!ids || !partner_store_open(c)) {
		reply_free(ids);
		return EXIT_ENVIRONMENT;
	}
	list_of(&l, NULL);
	for (size_t i = 0; i < reply_count(ids) && c->code == EXIT_OK; i++) {
		char id[SHARED_NAME_MAX + 1];
		struct bytes raw;
		if (!reply_text(reply_at(ids, i), &raw) || raw.n > SHARED_NAME_MAX)
			continue;
		memcpy(id, raw.p, raw.n);
		id[raw.n] = '\0';
		list_of(&l, id);
	}
	if (!l.n && !c->cli.json && c->code == EXIT_OK)
		fputs("picket sighting: none yet\n", stderr);
	partner_store_close(c);
	reply_free(ids);
	return c->code;
}

int cli_sighting(int argc, char **argv)
{
	struct partner_cli c = {.cli = {.command = "sighting"}};
	int code = cli_options(&c.cli, argc, argv, usage);
	if (code >= 0)
		return code;
	if (optind < argc && (strcmp(argv[optind], "list") != 0 || optind + 1 < argc)) {
		fputs("picket sighting: list is all there is; see --help\n", stderr);
		return EXIT_USAGE;
	}
	if (!cli_open(&c.cli))
		return EXIT_ENVIRONMENT;
	code = list(&c);
	cli_close(&c.cli);
	return code;
}
