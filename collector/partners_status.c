/* What a person can read of each partner in Redis, and the flags that people set
 * there: paused = in | out | both, withdrawn = 1. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/partners_internal.h"
#include "common/clock.h"
#include "common/log.h"

#define FIELDS_MAX 128

void stats_add(struct link_stats *sum, const struct link_stats *with)
{
	struct take_result *to = &sum->got;
	const struct take_result *from = &with->got;
	sum->sent += with->sent;
	sum->taken_by_them += with->taken_by_them;
	sum->judged += with->judged;
	sum->cut += with->cut;
	sum->limited += with->limited;
	for (int i = 0; i < GATE_WHY_COUNT; i++)
		sum->denied[i] += with->denied[i];
	take_result_add(to, from);
}

/* Words of one HSET; numbers stand in text. */
struct fields {
	const char *words[2 + 2 * FIELDS_MAX];
	size_t n;
	char text[FIELDS_MAX][48];
	size_t text_n;
};

static void put(struct fields *f, const char *name, const char *value)
{
	if (f->n + 2 > sizeof(f->words) / sizeof(*f->words))
		return;
	f->words[f->n++] = name;
	f->words[f->n++] = value;
}

static char *scratch(struct fields *f)
{
	return f->text[f->text_n < FIELDS_MAX - 1 ? f->text_n++ : f->text_n];
}

static void put_number(struct fields *f, const char *name, uint64_t v)
{
	char *text = scratch(f);
	snprintf(text, sizeof(f->text[0]), "%" PRIu64, v);
	put(f, name, text);
}

static void put_coded(struct fields *f, const char *kind, const char *code, uint64_t v)
{
	char *name = scratch(f);
	snprintf(name, sizeof(f->text[0]), "%s:%s", kind, code);
	if (v)
		put_number(f, name, v);
}

static void put_stats(struct fields *f, const struct link_stats *s)
{
	put_number(f, "sent", s->sent);
	put_number(f, "acknowledged", s->taken_by_them);
	put_number(f, "judged", s->judged);
	put_number(f, "redacted", s->cut);
	put_number(f, "stored", s->got.stored);
	put_number(f, "same", s->got.same);
	put_number(f, "conflicts", s->got.conflicts);
	put_number(f, "refused", s->got.refused);
	put_number(f, "quarantined", s->got.quarantined);
	put_number(f, "review", s->got.review);
	put_number(f, "revoked", s->got.revoked);
	put_number(f, "limited", s->limited);
	put(f, "first_refused", s->got.first);
	for (int i = 1; i < GATE_WHY_COUNT; i++)
		put_coded(f, "denied", gate_why_names[i], s->denied[i]);
	for (size_t i = 0; i < s->got.codes_n; i++)
		put_coded(f, "refused", s->got.codes[i].code, s->got.codes[i].n);
}

struct link_stats partner_stats(const struct partner *p)
{
	const struct link *l = partner_link_of(p);
	struct link_stats sum = p->before;
	if (l)
		stats_add(&sum, link_stats(l));
	return sum;
}

static void tell_one(struct partners *p, struct partner *of)
{
	const struct policy *policy = partner_policy(of);
	struct link *l = partner_link_of(of);
	struct link_stats sum = partner_stats(of);
	struct fields *f = xcalloc(1, sizeof(*f));
	char key[128], now[CLOCK_TEXT_LEN];
	size_t len[2 + 2 * FIELDS_MAX];
	snprintf(key, sizeof(key), PARTNER_KEY, policy->id);
	clock_format(clock_wall_us(), now);
	put(f, "HSET", key);
	put(f, "link", l ? "up" : "down");
	put(f, "version", l ? link_version(l) : "");
	put(f, "title", policy->title ? policy->title : "");
	put(f, "mode", inbound_mode_names[policy->inbound.mode]);
	put(f, "tlp_max", tlp_names[policy->release.tlp_max]);
	put(f, "seen", now);
	put_stats(f, &sum);
	put_number(f, "set_indicators", of->sets[LANE_BULK].indicators);
	put_number(f, "set_ms", (uint64_t)of->sets[LANE_BULK].took_us / 1000);
	put_number(f, "flash_indicators", of->sets[LANE_FLASH].indicators);
	put_number(f, "flash_ms", (uint64_t)of->sets[LANE_FLASH].took_us / 1000);
	for (size_t i = 0; i < f->n; i++)
		len[i] = strlen(f->words[i]);
	redis_link_send(p->redis, f->n, f->words, len, redis_ignored);
	const char *name[] = {"HSET", PARTNERS_KEY, policy->id, policy->title ? policy->title : ""};
	redis_link_words(p->redis, 4, name, redis_ignored);
	if (of->up != (l != NULL))
		log_info("link with %s is %s", policy->id, l ? "up" : "down");
	of->up = l != NULL;
	free(f);
}

void partners_tell(struct partners *p)
{
	for (size_t i = 0; i < p->policies.n; i++)
		tell_one(p, &p->list[i]);
}

void partners_each_figures(const struct partners *p, void (*each)(void *arg, const struct partner_figures *f),
			   void *arg)
{
	for (size_t i = 0; i < p->policies.n; i++) {
		const struct partner *of = &p->list[i];
		const struct link *l = partner_link_of(of);
		struct link_stats sum = partner_stats(of);
		struct partner_figures f = {
		    .id = p->policies.list[i].id,
		    .up = l,
		    .paused_in = of->paused_in,
		    .paused_out = of->paused_out,
		    .withdrawn = of->withdrawn,
		    .indicators = {of->sets[LANE_BULK].indicators, of->sets[LANE_FLASH].indicators},
		    .stats = &sum,
		};
		each(arg, &f);
	}
}

/* ---- flags ---- */

static bool is(const struct reply *r, const char *word)
{
	struct bytes b;
	return reply_text(r, &b) && b.n == strlen(word) && memcmp(b.p, word, b.n) == 0;
}

static void on_flags(void *arg, const struct reply *r)
{
	struct partner *of = arg;
	of->all->asking_flags--;
	if (reply_count(r) != 2)
		return;
	bool withdrawn = is(reply_at(r, 1), "1"), both = is(reply_at(r, 0), "both");
	of->paused_in = both || is(reply_at(r, 0), "in");
	of->paused_out = both || is(reply_at(r, 0), "out");
	if (withdrawn == of->withdrawn)
		return;
	of->withdrawn = withdrawn;
	log_warnx("%s: its indicators are %s", partner_policy(of)->id,
		  withdrawn ? "withdrawn from every sensor" : "used again");
	for (int lane = 0; lane < LANE_COUNT; lane++)
		partners_changed(of, (enum lane)lane);
}

void partners_ask_flags(struct partners *p)
{
	char key[128];
	for (size_t i = 0; i < p->policies.n; i++) {
		snprintf(key, sizeof(key), PARTNER_KEY, p->policies.list[i].id);
		const char *words[] = {"HMGET", key, "paused", "withdrawn"};
		p->asking_flags += redis_link_words(p->redis, 4, words, (struct redis_done){on_flags, &p->list[i]});
	}
}
