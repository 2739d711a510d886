/* When a partner's set is made anew: flash at once; bulk when it has been quiet for
 * a moment or something has waited for five seconds, and never so often that
 * more than a quarter of the time goes into it. */
#include <stdio.h>
#include <string.h>

#include "collector/partners_internal.h"
#include "common/clock.h"
#include "common/log.h"

#define QUIET_US 300000
#define WAIT_US  5000000
#define RETRY_US 1000000

void partners_changed(struct partner *p, enum lane lane)
{
	struct set_job *j = &p->set[lane];
	int64_t now_us = clock_mono_us();
	if (!p->changed[lane])
		j->since_us = now_us;
	j->quiet_us = now_us;
	p->changed[lane] = true;
}

static void on_made(void *arg, bool ok, size_t indicators, const char *why)
{
	struct set_job *j = arg;
	struct partner *p = j->of;
	int64_t now_us = clock_mono_us();
	j->busy = false;
	p->all->making--;
	if (!ok) {
		log_warnx("the set of %s could not be published: %s", partner_policy(p)->id, why);
		p->changed[j->lane] = true;
		j->not_before_us = now_us + RETRY_US;
		return;
	}
	j->indicators = indicators;
	j->took_us = now_us - j->began_us;
	j->not_before_us = now_us + (j->lane == LANE_FLASH ? 0 : 3 * j->took_us);
}

static bool due(const struct set_job *j, int64_t now_us)
{
	if (j->busy || now_us < j->not_before_us)
		return false;
	return j->lane == LANE_FLASH || j->of->withdrawn || now_us - j->quiet_us > QUIET_US ||
	       now_us - j->since_us > WAIT_US;
}

static void make_one(struct partner *p, enum lane lane)
{
	struct set_job *j = &p->set[lane];
	char name[OBJECTS_COLLECTION_MAX + 1];
	j->of = p;
	j->lane = lane;
	if (!p->changed[lane] || !due(j, p->all->now_us))
		return;
	p->changed[lane] = false;
	j->busy = true;
	j->began_us = p->all->now_us;
	p->all->making++;
	feed_collection_of(partner_policy(p)->id, lane, name);
	set_make(p->all->sets, partner_policy(p), name, lane == LANE_FLASH, p->withdrawn,
		 (struct set_done){on_made, j});
}

void partners_make_sets(struct partners *p)
{
	if (!p->sets)
		return;
	set_maker_work(p->sets);
	for (size_t i = 0; i < p->policies.n; i++)
		for (int lane = 0; lane < LANE_COUNT; lane++)
			make_one(&p->list[i], (enum lane)lane);
}
