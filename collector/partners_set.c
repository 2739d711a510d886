/* When a partner's sets are made anew: flash at once; bulk when it has been quiet for
 * a moment or something has waited for five seconds, and never so often that
 * more than a quarter of the time goes into it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/partners_internal.h"
#include "collector/publish.h"
#include "collector/receipt.h"
#include "common/clock.h"
#include "common/log.h"

#define QUIET_US 300000
#define WAIT_US  5000000
#define RETRY_US 1000000

void partners_open_sets(struct partner *p)
{
	const struct conf_list *exercises = &partner_policy(p)->release.exercises;
	p->sets_n = LANE_COUNT * (1 + exercises->n);
	p->sets = xcalloc(p->sets_n, sizeof(*p->sets));
	for (size_t i = 0; i < p->sets_n; i++)
		p->sets[i] = (struct set_job){.of = p,
					      .lane = (enum lane)(i % LANE_COUNT),
					      .exercise = i < LANE_COUNT ? "" : exercises->v[i / LANE_COUNT - 1]};
}

static void changed(struct set_job *j)
{
	int64_t now_us = clock_mono_us();
	if (!j->changed)
		j->since_us = now_us;
	j->quiet_us = now_us;
	j->changed = true;
}

void partners_changed(struct partner *p, enum lane lane)
{
	for (size_t i = lane; i < p->sets_n; i += LANE_COUNT)
		if (!*p->sets[i].exercise || p->sets[i].running)
			changed(&p->sets[i]);
}

static void on_made(void *arg, bool ok, size_t indicators, uint32_t version, const char *why)
{
	struct set_job *j = arg;
	struct partner *p = j->of;
	int64_t now_us = clock_mono_us();
	j->busy = false;
	p->all->making--;
	if (!ok) {
		log_warnx("the set of %s could not be published: %s", partner_policy(p)->id, why);
		j->changed = true;
		j->not_before_us = now_us + RETRY_US;
		return;
	}
	j->indicators = indicators;
	j->took_us = now_us - j->began_us;
	j->not_before_us = now_us + (j->lane == LANE_FLASH ? 0 : 3 * j->took_us);
	if (j->lane == LANE_FLASH && !*j->exercise && version) {
		char set[OBJECTS_COLLECTION_MAX + 1];
		feed_collection_of(partner_policy(p)->id, LANE_FLASH, set);
		receipt_watch(p, set, version, j->place, j->came_us);
	}
}

/* Nothing of it is to be on the sensors. */
static bool ended(const struct set_job *j)
{
	return j->of->withdrawn || (*j->exercise && !j->running);
}

static bool due(const struct set_job *j, int64_t now_us)
{
	if (!j->changed || j->busy || now_us < j->not_before_us)
		return false;
	return j->lane == LANE_FLASH || ended(j) || now_us - j->quiet_us > QUIET_US || now_us - j->since_us > WAIT_US;
}

/* "<collection>", or "<collection>.x-<exercise>"; of what is too long, a digest takes the end's place. */
static void set_id(const struct set_job *j, const char *collection, char out[static MANIFEST_SET_MAX + 1])
{
	char whole[2 * SHARED_NAME_MAX + 8], alias[GATE_ALIAS_LEN];
	int n = snprintf(whole, sizeof(whole), *j->exercise ? "%s.x-%s" : "%s", collection, j->exercise);
	if (n <= MANIFEST_SET_MAX) {
		memcpy(out, whole, (size_t)n + 1);
		return;
	}
	gate_alias(collection, j->exercise, alias);
	snprintf(out, MANIFEST_SET_MAX + 1, "%.40s.x-%s", collection, alias + 1);
}

static void make_one(struct set_job *j)
{
	struct partner *p = j->of;
	char collection[OBJECTS_COLLECTION_MAX + 1], set[MANIFEST_SET_MAX + 1];
	if (!due(j, p->all->now_us))
		return;
	j->changed = false;
	j->busy = true;
	j->began_us = p->all->now_us;
	if (!partner_link_of(p) || !link_taken(partner_link_of(p), j->lane, &j->place, &j->came_us))
		j->place = 0;
	p->all->making++;
	feed_collection_of(partner_policy(p)->id, j->lane, collection);
	set_id(j, collection, set);
	struct set_order order = {.from = partner_policy(p),
				  .collection = collection,
				  .set = set,
				  .exercise = j->exercise,
				  .until_us = j->until_us,
				  .flash = j->lane == LANE_FLASH,
				  .withdraw = ended(j)};
	set_make(p->all->sets, &order, (struct set_done){on_made, j});
}

void partners_make_sets(struct partners *p)
{
	for (size_t i = 0; p->sets && i < p->policies.n; i++)
		for (size_t k = 0; k < p->list[i].sets_n; k++)
			make_one(&p->list[i].sets[k]);
}

/* ---- exercises: theirs are matched while one of that name runs here ---- */

static void on_exercise(void *arg, const struct reply *r)
{
	struct set_job *j = arg;
	struct bytes state, until;
	char text[CLOCK_TEXT_LEN + 8];
	j->of->all->asking_flags--;
	if (reply_count(r) != 2)
		return;
	bool on = reply_text(reply_at(r, 0), &state) && state.n == 7 && memcmp(state.p, "running", 7) == 0 &&
		  reply_text(reply_at(r, 1), &until) && until.n < sizeof(text);
	if (on) {
		snprintf(text, sizeof(text), "%.*s", (int)until.n, (const char *)until.p);
		on = clock_parse(text, &j->until_us) && j->until_us > clock_wall_us();
	}
	if (j->known && on == j->running)
		return;
	if (j->known || on)
		log_info("EXERCISE %s: what %s sends of it is %s", j->exercise, partner_policy(j->of)->id,
			 on ? "matched" : "withdrawn");
	j->known = true; /* at the first time, too: it may have ended while no gateway ran */
	j->running = on;
	changed(j);
}

void partners_ask_exercises(struct partners *p)
{
	char key[sizeof(PUBLISH_PREFIX) + 16 + SHARED_NAME_MAX];
	for (size_t i = 0; i < p->policies.n; i++)
		for (size_t k = LANE_COUNT; p->sets && k < p->list[i].sets_n; k++) {
			struct set_job *j = &p->list[i].sets[k];
			snprintf(key, sizeof(key), PUBLISH_PREFIX "exercise:%s", j->exercise);
			const char *words[] = {"HMGET", key, "state", "until"};
			p->asking_flags += redis_link_words(p->redis, 4, words, (struct redis_done){on_exercise, j});
		}
}
