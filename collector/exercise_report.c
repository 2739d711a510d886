/* What partners sent of the exercise is on sensors too, as sets that the gateway publishes: their
 * versions (the last PUBLISH_KEEP) are injects like the others.
 *
 * Two sources: the receipts of the published sets (who has it since when), and
 * the groups of alerts under the exercise's keys with the stream of their
 * transitions (who saw what first). A set that was injected again counts from its
 * last inject before the hit. */
#include "collector/exercise_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/publish.h"
#include "collector/store.h"
#include "common/clock.h"
#include "common/exits.h"
#include "common/frame.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/text.h"

#define ALERT        STORE_EXERCISE "alert:"
#define PAGE         "500"
#define VERSIONS_MAX 64     /* of a partner's set: those that are kept, and some that rings hold */
#define SEEN_MAX     100000 /* pairs of inject and sensor */
#define NEVER        INT64_MAX

/* What one sensor made of one inject. */
struct seen {
	char sensor[FRAME_ID_MAX + 1];
	int64_t armed_us, hit_us; /* NEVER = not */
	char refused[200];
};

struct outcome {
	const struct exercise_inject *inject;
	struct seen *seen;
	size_t seen_n;
	uint64_t hits, groups, acknowledged;
	int64_t hit_us, acknowledged_us; /* the first; NEVER = none */
};

struct report {
	struct cli *c;
	const char *name;
	struct exercise_injects list;
	struct outcome *of; /* one for each inject */
	size_t pairs;
};

/* ---- the injects ---- */

static bool read_inject(struct bytes text, struct exercise_inject *i)
{
	char line[256], at[CLOCK_TEXT_LEN + 8];
	text_clean(line, sizeof(line), text.p, text.n);
	return sscanf(line, "%34s %64s %" SCNu32 " %" SCNu64, at, i->set, &i->version, &i->count) == 4 &&
	       clock_parse(at, &i->at_us) && manifest_id_valid(i->set, strlen(i->set));
}

void exercise_injects_read(const struct reply *record, struct exercise_injects *list)
{
	int64_t n = cli_number(record, "injects");
	n = n < 0 ? 0 : n > EXERCISE_INJECTS_MAX ? EXERCISE_INJECTS_MAX : n;
	*list = (struct exercise_injects){.v = xcalloc((size_t)n + 1, sizeof(*list->v))};
	for (int64_t i = 1; i <= n; i++) {
		char field[32];
		struct bytes text;
		snprintf(field, sizeof(field), "inject:%" PRId64, i);
		list->n += cli_field(record, field, &text) && read_inject(text, &list->v[list->n]);
	}
}

static void add_version(struct report *r, const char *set, uint32_t version, const struct manifest *m)
{
	struct exercise_injects *l = &r->list;
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].version == version && strcmp(l->v[i].set, set) == 0)
			return;
	if (l->n == EXERCISE_INJECTS_MAX)
		return;
	l->v = xrealloc(l->v, (l->n + 1) * sizeof(*l->v));
	struct exercise_inject *i = &l->v[l->n++];
	*i = (struct exercise_inject){.at_us = m->created_us, .version = version, .count = m->count};
	memcpy(i->set, m->set, sizeof(i->set));
}

static bool read_versions(struct report *r, const char *set)
{
	uint32_t version[VERSIONS_MAX];
	size_t n = 0;
	struct published p;
	struct err e;
	bool ok = publish_versions(r->c->redis, set, version, VERSIONS_MAX, &n, &e);
	for (size_t i = 0; ok && i < n; i++) {
		ok = publish_read(r->c->redis, set, version[i], &p, &e);
		if (ok && strcmp(p.m.exercise, r->name) == 0 && !p.m.withdrawn)
			add_version(r, set, version[i], &p.m);
	}
	return ok;
}

/* Sets of the exercise that nobody here injected. */
static bool read_partners(struct report *r)
{
	struct reply *all = cli_ask(r->c, "HKEYS", PUBLISH_PREFIX "sets", NULL);
	bool ok = all != NULL;
	for (size_t i = 0; ok && i < reply_count(all); i++) {
		char set[MANIFEST_SET_MAX + 1];
		struct bytes name;
		if (!reply_text(reply_at(all, i), &name) || name.n > MANIFEST_SET_MAX || name.n < 8 ||
		    memcmp(name.p, "partner-", 8) != 0)
			continue;
		memcpy(set, name.p, name.n);
		set[name.n] = '\0';
		ok = !manifest_id_valid(set, name.n) || read_versions(r, set);
	}
	reply_free(all);
	return ok;
}

static int by_time(const void *a, const void *b)
{
	const struct exercise_inject *x = a, *y = b;
	return x->at_us < y->at_us ? -1 : x->at_us > y->at_us;
}

void exercise_injects_free(struct exercise_injects *list)
{
	free(list->v);
	*list = (struct exercise_injects){0};
}

/* The last inject of the set at or before the time; the first one for a sensor whose
 * clock is behind. NULL: the set is none of the exercise's. */
static struct outcome *outcome_of(struct report *r, const char *set, int64_t at_us)
{
	struct outcome *found = NULL;
	for (size_t i = 0; i < r->list.n; i++)
		if (strcmp(r->list.v[i].set, set) == 0 && (!found || r->list.v[i].at_us <= at_us))
			found = &r->of[i];
	return found;
}

static struct seen *seen_by(struct report *r, struct outcome *o, const char *sensor)
{
	for (size_t i = 0; i < o->seen_n; i++)
		if (strcmp(o->seen[i].sensor, sensor) == 0)
			return &o->seen[i];
	if (r->pairs == SEEN_MAX)
		return NULL;
	r->pairs++;
	o->seen = xrealloc(o->seen, (o->seen_n + 1) * sizeof(*o->seen));
	struct seen *s = &o->seen[o->seen_n++];
	*s = (struct seen){.armed_us = NEVER, .hit_us = NEVER};
	snprintf(s->sensor, sizeof(s->sensor), "%s", sensor);
	return s;
}

/* ---- receipts ---- */

/* "armed <time> <digest>", "refused <time> <digest> <why>" */
static void take_receipt(struct report *r, struct outcome *o, const char *sensor, const char *text)
{
	char verdict[16] = "", at[CLOCK_TEXT_LEN + 8] = "";
	int why = 0;
	struct seen *s = seen_by(r, o, sensor);
	int n = sscanf(text, "%15s %34s %*s %n", verdict, at, &why);
	if (!s || n < 2)
		return;
	if (strcmp(verdict, "armed") == 0 && !clock_parse(at, &s->armed_us))
		s->armed_us = NEVER;
	if (strcmp(verdict, "refused") == 0)
		snprintf(s->refused, sizeof(s->refused), "%s", why ? text + why : "refused");
}

static bool read_receipts(struct report *r, struct outcome *o)
{
	char key[256], sensor[FRAME_ID_MAX + 1], text[512];
	snprintf(key, sizeof(key), PUBLISH_PREFIX "set:%s:receipts:%" PRIu32, o->inject->set, o->inject->version);
	struct reply *all = cli_ask(r->c, "HGETALL", key, NULL);
	for (size_t i = 0; i + 1 < reply_count(all); i += 2) {
		struct bytes id, value;
		if (!reply_text(reply_at(all, i), &id) || !reply_text(reply_at(all, i + 1), &value))
			continue;
		text_clean(sensor, sizeof(sensor), id.p, id.n);
		text_clean(text, sizeof(text), value.p, value.n);
		take_receipt(r, o, sensor, text);
	}
	reply_free(all);
	return all != NULL;
}

/* ---- alerts ---- */

static void earliest(int64_t *of, const char *time)
{
	int64_t us;
	if (clock_parse(time, &us) && us < *of)
		*of = us;
}

static void take_group(struct report *r, const struct reply *g)
{
	char set[MANIFEST_SET_MAX + 1], exercise[MANIFEST_SET_MAX + 1], first[40], state[24], at[40];
	int64_t first_us;
	if (strcmp(cli_text(g, "exercise", exercise, sizeof(exercise)), r->name) != 0 ||
	    !clock_parse(cli_text(g, "first_seen", first, sizeof(first)), &first_us))
		return;
	struct outcome *o = outcome_of(r, cli_text(g, "set", set, sizeof(set)), first_us);
	int64_t n = cli_number(g, "n");
	if (!o)
		return;
	o->groups++;
	o->hits += n > 0 ? (uint64_t)n : 0;
	o->hit_us = first_us < o->hit_us ? first_us : o->hit_us;
	cli_text(g, "state", state, sizeof(state));
	if (strcmp(state, "new") != 0) {
		o->acknowledged++;
		earliest(&o->acknowledged_us, cli_text(g, "state_at", at, sizeof(at)));
	}
}

/* A sensor's first: the entry that begins a group, or tells of one more sensor. */
static void take_entry(struct report *r, const struct reply *e)
{
	char set[MANIFEST_SET_MAX + 1], exercise[MANIFEST_SET_MAX + 1], sensor[FRAME_ID_MAX + 1], op[16], reason[64];
	char time[40];
	int64_t us;
	bool first = strcmp(cli_text(e, "op", op, sizeof(op)), "new") == 0;
	if (strcmp(cli_text(e, "exercise", exercise, sizeof(exercise)), r->name) != 0 ||
	    (!first && !strstr(cli_text(e, "reason", reason, sizeof(reason)), "sensor")))
		return;
	if (!clock_parse(cli_text(e, first ? "first_seen" : "last_seen", time, sizeof(time)), &us))
		return;
	struct outcome *o = outcome_of(r, cli_text(e, "set", set, sizeof(set)), us);
	struct seen *s = o ? seen_by(r, o, cli_text(e, "sensor", sensor, sizeof(sensor))) : NULL;
	if (s && us < s->hit_us)
		s->hit_us = us;
}

static bool each_group_in(struct cli *c, unsigned partition,
			  bool (*fn)(void *arg, unsigned partition, const char *key, const struct reply *g), void *arg)
{
	char cursor[32] = "0", key[160], pattern[CLI_KEY_MAX];
	bool ok = true;
	cli_key(partition, ALERT "*", pattern);
	do {
		struct reply *page = cli_ask(c, "SCAN", cursor, "MATCH", pattern, "COUNT", PAGE, "TYPE", "hash", NULL);
		struct bytes next;
		ok = page && reply_text(reply_at(page, 0), &next);
		for (size_t i = 0; ok && i < reply_count(reply_at(page, 1)); i++) {
			struct bytes name;
			if (!reply_text(reply_at(reply_at(page, 1), i), &name) || name.n >= sizeof(key))
				continue;
			memcpy(key, name.p, name.n);
			key[name.n] = '\0';
			struct reply *g = cli_ask(c, "HGETALL", key, NULL);
			ok = g && fn(arg, partition, key, g);
			reply_free(g);
		}
		if (ok)
			text_clean(cursor, sizeof(cursor), next.p, next.n);
		reply_free(page);
	} while (ok && strcmp(cursor, "0") != 0);
	return ok;
}

static bool each_group(struct cli *c, bool (*fn)(void *arg, unsigned partition, const char *key, const struct reply *g),
		       void *arg)
{
	bool ok = true;
	for (unsigned p = 0; ok && p < cli_partitions(c); p++)
		ok = each_group_in(c, p, fn, arg);
	return ok;
}

static bool group_read(void *arg, unsigned partition, const char *key, const struct reply *g)
{
	(void)partition;
	(void)key;
	take_group(arg, g);
	return true;
}

static bool read_stream(struct report *r, unsigned partition)
{
	char from[64] = "-", key[CLI_KEY_MAX];
	cli_key(partition, STORE_EXERCISE "alerts", key);
	for (bool more = true; more;) {
		struct reply *page = cli_ask(r->c, "XRANGE", key, from, "+", "COUNT", PAGE, NULL);
		size_t n = reply_count(page);
		struct bytes id;
		for (size_t i = 0; i < n; i++)
			take_entry(r, reply_at(reply_at(page, i), 1));
		more = n && reply_text(reply_at(reply_at(page, n - 1), 0), &id) && id.n < sizeof(from) - 1;
		if (more)
			snprintf(from, sizeof(from), "(%.*s", (int)id.n, (const char *)id.p);
		reply_free(page);
		if (!page)
			return false;
	}
	return true;
}

/* ---- printing ---- */

static const char *after(int64_t us, int64_t began_us, char into[static 24])
{
	if (us == NEVER)
		snprintf(into, 24, "-");
	else
		snprintf(into, 24, "%+.1f s", (double)(us - began_us) / 1e6);
	return into;
}

static size_t armed_count(const struct outcome *o)
{
	size_t n = 0;
	for (size_t i = 0; i < o->seen_n; i++)
		n += o->seen[i].armed_us != NEVER;
	return n;
}

static void print_outcome(const struct outcome *o, size_t number)
{
	char at[CLOCK_TEXT_LEN], hit[24], acknowledged[24], armed[24], seen[24];
	const struct exercise_inject *i = o->inject;
	clock_format(i->at_us, at);
	printf("\n%zu  %s  %s version %" PRIu32 ", %" PRIu64 " indicators\n", number, at, i->set, i->version, i->count);
	printf("   on %zu sensors; %" PRIu64 " hits in %" PRIu64 " groups, the first after %s; %" PRIu64
	       " judged, the first after %s\n",
	       armed_count(o), o->hits, o->groups, after(o->hit_us, i->at_us, hit), o->acknowledged,
	       after(o->acknowledged_us, i->at_us, acknowledged));
	for (size_t k = 0; k < o->seen_n; k++)
		printf("   %-24s has it %-10s  first hit %-10s  %s\n", o->seen[k].sensor,
		       after(o->seen[k].armed_us, i->at_us, armed), after(o->seen[k].hit_us, i->at_us, seen),
		       o->seen[k].refused);
}

static void put_time(struct json *in, const char *key, int64_t us)
{
	char text[CLOCK_TEXT_LEN];
	if (us == NEVER) {
		json_put_null(in, key);
		return;
	}
	clock_format(us, text);
	json_put_text(in, key, text);
}

static void print_json(const struct report *r, const struct outcome *o)
{
	struct json *j = json_map(), *sensors = json_list();
	struct buf line = {0};
	json_put_text(j, "exercise", r->name);
	json_put_text(j, "set", o->inject->set);
	json_put_int(j, "version", o->inject->version);
	json_put_int(j, "indicators", (int64_t)o->inject->count);
	put_time(j, "injected", o->inject->at_us);
	json_put_int(j, "hits", (int64_t)o->hits);
	json_put_int(j, "groups", (int64_t)o->groups);
	put_time(j, "first_hit", o->hit_us);
	json_put_int(j, "judged", (int64_t)o->acknowledged);
	put_time(j, "first_judged", o->acknowledged_us);
	for (size_t k = 0; k < o->seen_n; k++) {
		struct json *s = json_map();
		json_put_text(s, "sensor", o->seen[k].sensor);
		put_time(s, "armed", o->seen[k].armed_us);
		put_time(s, "first_hit", o->seen[k].hit_us);
		if (*o->seen[k].refused)
			json_put_text(s, "refused", o->seen[k].refused);
		json_put(sensors, NULL, s);
	}
	json_put(j, "sensors", sensors);
	json_write(j, &line);
	printf("%.*s\n", (int)line.n, (const char *)line.p);
	buf_free(&line);
	json_drop(j);
}

static void print_head(const struct report *r, const struct reply *record)
{
	char title[256], state[16], started[40], until[40], stopped[40], by[80];
	printf("EXERCISE %s  %s\n%s, begun %s by %s, ends %s%s%s\n", r->name,
	       cli_text(record, "title", title, sizeof(title)), cli_text(record, "state", state, sizeof(state)),
	       cli_text(record, "started", started, sizeof(started)), cli_text(record, "by", by, sizeof(by)),
	       cli_text(record, "until", until, sizeof(until)),
	       *cli_text(record, "stopped", stopped, sizeof(stopped)) ? ", stopped " : "", stopped);
}

int exercise_report(struct cli *c, const char *name, const struct reply *record)
{
	struct report r = {.c = c, .name = name};
	exercise_injects_read(record, &r.list);
	bool ok = read_partners(&r);
	if (r.list.n)
		qsort(r.list.v, r.list.n, sizeof(*r.list.v), by_time);
	r.of = xcalloc(r.list.n + 1, sizeof(*r.of));
	for (size_t i = 0; i < r.list.n; i++) {
		r.of[i] = (struct outcome){.inject = &r.list.v[i], .hit_us = NEVER, .acknowledged_us = NEVER};
		ok = ok && read_receipts(&r, &r.of[i]);
	}
	ok = ok && each_group(c, group_read, &r);
	for (unsigned p = 0; ok && p < cli_partitions(c); p++)
		ok = read_stream(&r, p);
	if (ok && !c->json)
		print_head(&r, record);
	for (size_t i = 0; i < r.list.n; i++) {
		if (ok && c->json)
			print_json(&r, &r.of[i]);
		else if (ok)
			print_outcome(&r.of[i], i + 1);
		free(r.of[i].seen);
	}
	free(r.of);
	exercise_injects_free(&r.list);
	return ok ? EXIT_OK : EXIT_ENVIRONMENT;
}

/* ---- forgetting ---- */

struct forgetting {
	struct cli *c;
	const char *name;
	size_t n;
};

static bool group_forget(void *arg, unsigned partition, const char *key, const struct reply *g)
{
	struct forgetting *f = arg;
	char exercise[MANIFEST_SET_MAX + 1], peers[176], severity[16], name[80], open[CLI_KEY_MAX], list[CLI_KEY_MAX];
	const char *id = strrchr(key, ':') + 1;
	if (strcmp(cli_text(g, "exercise", exercise, sizeof(exercise)), f->name) != 0)
		return true;
	snprintf(peers, sizeof(peers), "%s:peers", key);
	snprintf(name, sizeof(name), STORE_EXERCISE "severity:%s", cli_text(g, "severity", severity, sizeof(severity)));
	cli_key(partition, name, list);
	cli_key(partition, STORE_EXERCISE "open", open);
	struct reply *r[] = {cli_ask(f->c, "ZREM", open, id, NULL), cli_ask(f->c, "ZREM", list, id, NULL),
			     cli_ask(f->c, "DEL", key, peers, NULL)};
	bool ok = r[0] && r[1] && r[2];
	for (size_t i = 0; i < 3; i++)
		reply_free(r[i]);
	f->n += ok;
	return ok;
}

bool exercise_forget_alerts(struct cli *c, const char *name, size_t *n)
{
	struct forgetting f = {.c = c, .name = name};
	bool ok = each_group(c, group_forget, &f);
	*n = f.n;
	return ok;
}
