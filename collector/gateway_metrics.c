/* A family's samples must stand together, so partners and feeds are listed once and
 * walked once per family. */
#include "collector/gateway_metrics.h"

#include <stdlib.h>

#include "collector/partner_link.h"
#include "collector/partners.h"
#include "collector/redis_link.h"
#include "collector/release.h"
#include "collector/taxii.h"
#include "collector/taxii_client.h"
#include "common/metrics.h"
#include "rules/gate.h"

#define NAME(what)  "picket_gateway_" what
#define TOTAL(what) NAME(what) "_total"

struct list {
	struct kept {
		struct partner_figures is;
		struct link_stats stats;
	} * partner;
	struct feed_figures *feed;
	size_t partners, feeds;
};

static void keep_partner(void *arg, const struct partner_figures *f)
{
	struct list *l = arg;
	l->partner = xrealloc(l->partner, (l->partners + 1) * sizeof(*l->partner));
	l->partner[l->partners++] = (struct kept){*f, *f->stats};
}

static void keep_feed(void *arg, const struct feed_figures *f)
{
	struct list *l = arg;
	l->feed = xrealloc(l->feed, (l->feeds + 1) * sizeof(*l->feed));
	l->feed[l->feeds++] = *f;
}

static void sample(struct buf *out, const char *name, const char *partner, const char *label, const char *value,
		   uint64_t n)
{
	struct metric_label labels[] = {{"partner", partner}, {label, value}};
	metric_sample(out, name, labels, label ? 2 : 1, n);
}

/* ---- partners ---- */

static void put_states(struct buf *out, const struct list *l)
{
	metric_family(out, NAME("link_up"), METRIC_GAUGE, "1 when the link with a partner is up.");
	for (size_t i = 0; i < l->partners; i++)
		sample(out, NAME("link_up"), l->partner[i].is.id, NULL, NULL, l->partner[i].is.up);
	metric_family(out, NAME("partner_stopped"), METRIC_GAUGE,
		      "1 when people stopped a partner: in, out, withdrawn.");
	for (size_t i = 0; i < l->partners; i++) {
		const struct partner_figures *p = &l->partner[i].is;
		sample(out, NAME("partner_stopped"), p->id, "what", "in", p->paused_in);
		sample(out, NAME("partner_stopped"), p->id, "what", "out", p->paused_out);
		sample(out, NAME("partner_stopped"), p->id, "what", "withdrawn", p->withdrawn);
	}
	metric_family(out, NAME("partner_indicators"), METRIC_GAUGE,
		      "Indicators of a partner in its sets for sensors.");
	for (size_t i = 0; i < l->partners; i++) {
		sample(out, NAME("partner_indicators"), l->partner[i].is.id, "lane", "bulk",
		       l->partner[i].is.indicators[0]);
		sample(out, NAME("partner_indicators"), l->partner[i].is.id, "lane", "flash",
		       l->partner[i].is.indicators[1]);
	}
}

static void put_given(struct buf *out, const struct list *l)
{
	metric_family(out, TOTAL("objects_given"), METRIC_COUNTER,
		      "Objects for a partner's link, by what became of them.");
	for (size_t i = 0; i < l->partners; i++) {
		const struct link_stats *s = &l->partner[i].stats;
		sample(out, TOTAL("objects_given"), l->partner[i].is.id, "outcome", "judged", s->judged);
		sample(out, TOTAL("objects_given"), l->partner[i].is.id, "outcome", "redacted", s->cut);
		sample(out, TOTAL("objects_given"), l->partner[i].is.id, "outcome", "sent", s->sent);
		sample(out, TOTAL("objects_given"), l->partner[i].is.id, "outcome", "acknowledged", s->taken_by_them);
	}
	metric_family(out, TOTAL("objects_denied"), METRIC_COUNTER,
		      "Objects that the release gate denied on a link, by reason.");
	for (size_t i = 0; i < l->partners; i++)
		for (int why = 1; why < GATE_WHY_COUNT; why++)
			if (l->partner[i].stats.denied[why])
				sample(out, TOTAL("objects_denied"), l->partner[i].is.id, "reason", gate_why_names[why],
				       l->partner[i].stats.denied[why]);
}

static void put_taken(struct buf *out, const struct list *l)
{
	metric_family(out, TOTAL("objects_taken"), METRIC_COUNTER,
		      "Objects from a partner's link, by what became of them.");
	for (size_t i = 0; i < l->partners; i++) {
		const char *id = l->partner[i].is.id;
		const struct take_result *got = &l->partner[i].stats.got;
		sample(out, TOTAL("objects_taken"), id, "outcome", "stored", got->stored);
		sample(out, TOTAL("objects_taken"), id, "outcome", "same", got->same);
		sample(out, TOTAL("objects_taken"), id, "outcome", "conflict", got->conflicts);
		sample(out, TOTAL("objects_taken"), id, "outcome", "refused", got->refused);
		sample(out, TOTAL("objects_taken"), id, "outcome", "quarantined", got->quarantined);
		sample(out, TOTAL("objects_taken"), id, "outcome", "review", got->review);
		sample(out, TOTAL("objects_taken"), id, "outcome", "revoked", got->revoked);
	}
	metric_family(out, TOTAL("rate_limited"), METRIC_COUNTER, "Times that a partner had to wait for its rate.");
	for (size_t i = 0; i < l->partners; i++)
		sample(out, TOTAL("rate_limited"), l->partner[i].is.id, NULL, NULL, l->partner[i].stats.limited);
}

/* ---- over HTTP ---- */

static void put_released(struct buf *out, const char *way, const struct release_stats *s)
{
	struct metric_label labels[] = {{"way", way}, {"outcome", "whole"}};
	metric_sample(out, TOTAL("http_objects"), labels, 2, s->copied);
	labels[1].value = "judged";
	metric_sample(out, TOTAL("http_objects"), labels, 2, s->judged);
	labels[1].value = "denied";
	metric_sample(out, TOTAL("http_objects"), labels, 2, s->denied);
}

static void put_http(struct buf *out, const struct gateway_figures *g)
{
	const struct taxii_stats *s = taxii_stats(g->taxii);
	metric_one(out, TOTAL("taxii_requests"), METRIC_COUNTER, "Requests to the TAXII server.", s->requests);
	metric_one(out, TOTAL("taxii_refused"), METRIC_COUNTER, "Of them answered with an error.", s->refused);
	metric_one(out, TOTAL("taxii_unauthorized"), METRIC_COUNTER, "Of them without a name that may ask.",
		   s->unauthorized);
	metric_one(out, TOTAL("taxii_objects_given"), METRIC_COUNTER, "Objects in answers of the TAXII server.",
		   s->given);
	metric_one(out, TOTAL("taxii_objects_taken"), METRIC_COUNTER, "Posted objects that were taken.", s->taken);
	metric_one(out, TOTAL("taxii_objects_failed"), METRIC_COUNTER, "Posted objects that were not taken.",
		   s->turned_away);
	metric_family(
	    out, TOTAL("http_objects"), METRIC_COUNTER,
	    "Objects at the release gate of the TAXII server and of feeds: whole as before, judged anew, denied.");
	put_released(out, "taxii", taxii_released(g->taxii));
	put_released(out, "feeds", taxii_client_released(g->feeds));
}

static void put_feeds(struct buf *out, const struct list *l)
{
	static const struct {
		const char *name, *help;
		size_t at;
	} rows[] = {
	    {TOTAL("feed_pages"), "Pages that were fetched from a feed.", offsetof(struct feed_stats, pages)},
	    {TOTAL("feed_objects_taken"), "Objects of a feed that were taken.", offsetof(struct feed_stats, taken)},
	    {TOTAL("feed_objects_refused"), "Objects of a feed that were not taken.",
	     offsetof(struct feed_stats, refused)},
	    {TOTAL("feed_objects_pushed"), "Objects that were posted to a feed.", offsetof(struct feed_stats, pushed)},
	    {TOTAL("feed_failures"), "Times that a feed could not be used.", offsetof(struct feed_stats, failures)},
	};
	for (size_t r = 0; r < sizeof(rows) / sizeof(*rows); r++) {
		metric_family(out, rows[r].name, METRIC_COUNTER, rows[r].help);
		for (size_t i = 0; i < l->feeds; i++) {
			struct metric_label labels[] = {{"feed", l->feed[i].name}, {"partner", l->feed[i].partner}};
			metric_sample(out, rows[r].name, labels, 2,
				      *(const uint64_t *)(const void *)((const char *)&l->feed[i].stats + rows[r].at));
		}
	}
}

void gateway_metrics(void *figures, struct buf *out)
{
	const struct gateway_figures *g = figures;
	struct list all = {0};
	partners_each_figures(g->partners, keep_partner, &all);
	taxii_client_each(g->feeds, keep_feed, &all);
	metric_family(out, NAME("info"), METRIC_GAUGE, "The program; always 1.");
	metric_sample(out, NAME("info"), &(struct metric_label){"version", PICKET_VERSION}, 1, 1);
	metric_one(out, NAME("redis_ready"), METRIC_GAUGE, "1 when Redis answers and is fit.",
		   redis_link_ready(g->redis));
	metric_one(out, TOTAL("redis_reconnects"), METRIC_COUNTER, "Connections to Redis after the first.",
		   redis_link_reconnects(g->redis));
	put_states(out, &all);
	put_given(out, &all);
	put_taken(out, &all);
	put_http(out, g);
	put_feeds(out, &all);
	free(all.partner);
	free(all.feed);
}
