#include "sensor/status.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "sensor/unread.h"

static void put_list(struct json *j, const char *key, const struct conf_list *l)
{
	struct buf b = {0};
	for (size_t i = 0; i < l->n; i++)
		buf_printf(&b, "%s%s", i ? "," : "", l->v[i]);
	json_put_bytes(j, key, b.p, b.n, 1024);
	buf_free(&b);
}

static void put_time(struct json *j, const char *key, int64_t us)
{
	char text[CLOCK_TEXT_LEN];
	clock_format(us, text);
	json_put_text(j, key, text);
}

static void put_rules(struct json *j, const struct armed *a, uint64_t rules_refused)
{
	json_put_text(j, "set_digest", ruleset_digest(a->rules));
	json_put_int(j, "set_refused", (int64_t)rules_refused);
	json_put_int(j, "set_indicators", (int64_t)ruleset_count(a->rules, INDICATOR_NONE));
	json_put_text(j, "set_state",
		      a->partial                                     ? "partial"
		      : ruleset_count(a->rules, INDICATOR_NONE) == 0 ? "empty"
								     : "complete");
}

static void put_output(struct json *j, const struct output_stats *o)
{
	json_put_int(j, "spool_records", (int64_t)o->spool_records);
	json_put_int(j, "spool_bytes", (int64_t)o->spool_bytes);
	json_put_int(j, "spool_waiting", (int64_t)(o->spool_records - o->spool_acked));
	json_put_int(j, "spool_lost", (int64_t)o->spool_lost);
	json_put_int(j, "queue_lost", (int64_t)o->lost_queue);
	json_put_int(j, "reconnects", (int64_t)o->reconnects);
}

#define SETS_TOLD 12 /* the status is bounded; receipts (picket rules status) have all of them */

struct telling {
	struct json *j;
	size_t n;
	uint64_t others; /* of those that no longer have room */
};

static void put_set(void *owner, const char *set, const char *text)
{
	struct telling *t = owner;
	char key[MANIFEST_SET_MAX + 24];
	if (t->n++ >= SETS_TOLD)
		return;
	snprintf(key, sizeof(key), strncmp(text, "refused", 7) == 0 ? "sets_refused.%s" : "sets.%s", set);
	json_put_bytes(t->j, key, text, strlen(text), 400);
}

static void put_sets(struct json *j, struct rulesync *sync)
{
	struct telling t = {.j = j};
	struct rulesync_stats stats;
	if (!sync)
		return;
	rulesync_stats(sync, &stats);
	json_put_int(j, "sets_held", (int64_t)stats.held);
	json_put_int(j, "sets_armed", (int64_t)stats.armed);
	json_put_int(j, "sets_refused", (int64_t)stats.refused);
	json_put_int(j, "sets_by_delta", (int64_t)stats.deltas);
	json_put_int(j, "sets_patched", (int64_t)stats.patched);
	rulesync_each(sync, put_set, &t);
}

#define HIDING_TOLD 64 /* entries with counts of their own; the others' sum stands in hidden.others */

static void put_hits(struct telling *t, const char *key, uint64_t hidden)
{
	if (hidden && t->n++ < HIDING_TOLD)
		json_put_int(t->j, key, (int64_t)hidden);
	else
		t->others += hidden;
}

static void put_hidden(void *owner, const struct override *o, uint64_t hidden)
{
	struct telling *t = owner;
	char key[OVERRIDE_KEY_MAX];
	put_hits(t, override_status_key(o, key), hidden);
}

/* What suppress, disable and allow entries took away, entry by entry. */
static void put_decisions(struct json *j, const struct armed *a)
{
	struct telling t = {.j = j};
	hiding_each(a->hiding, put_hidden, &t);
	for (size_t i = 0; i < ruleset_allow_count(a->rules); i++) {
		struct ruleset_room room;
		char key[OVERRIDE_KEY_MAX];
		uint64_t hidden = ruleset_silenced(a->rules, i);
		if (!hidden)
			continue;
		struct indicator one = ruleset_allow_at(a->rules, i, &room);
		put_hits(&t, allow_status_key(one.type, one.value, key), hidden);
	}
	if (t.others)
		json_put_int(j, "hidden.others", (int64_t)t.others);
}

#define UNREAD_TOLD 12

static void put_unread(void *owner, const char *protocol, uint64_t flows)
{
	char key[64];
	snprintf(key, sizeof(key), "unread.%s", protocol);
	json_put_int(owner, key, (int64_t)flows);
}

void status_json(struct buf *out, const struct status *s)
{
	struct json *j = json_map();
	json_put_text(j, "version", PICKET_VERSION);
	json_put_text(j, "site", s->conf->site);
	put_time(j, "time", clock_wall_us());
	put_time(j, "started", s->started_us);
	put_list(j, "interfaces", &s->conf->interfaces);
	json_put_text(j, "capture", !s->captures_up ? "down" : s->captures_up < s->captures ? "partly up" : "up");
	put_rules(j, s->armed, s->rules_refused);
	put_sets(j, s->sync);
	put_decisions(j, s->armed);
	put_output(j, s->output);
	for (int i = 0; i < LEDGER_COUNT; i++)
		json_put_int(j, ledger_name((enum ledger_id)i), (int64_t)s->ledger->v[i]);
	json_put_int(j, "unread_others", (int64_t)unread_each(s->ledger, UNREAD_TOLD, put_unread, j));
	json_write(j, out);
	json_drop(j);
}
