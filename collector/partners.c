#include "collector/partners.h"

#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/negative.h"
#include "collector/partner_walk.h"
#include "collector/partners_internal.h"
#include "collector/receipt.h"
#include "collector/sighting.h"
#include "common/clock.h"
#include "common/log.h"

#define TICK_US        20000
#define FLAGS_US       500000
#define STATUS_US      1000000
#define BACKOFF_MIN_US 500000
#define BACKOFF_MAX_US 30000000
#define STRANGERS_MAX  32 /* connections that have not said who they are */

const struct policy *partner_policy(const struct partner *p)
{
	return &p->all->policies.list[p->index];
}

struct partner *partner_of(struct partners *all, const struct policy *p)
{
	return &all->list[p - all->policies.list];
}

struct link *partner_link_of(const struct partner *p)
{
	for (size_t i = 0; i < p->all->links_n; i++)
		if (link_policy(p->all->links[i]) == partner_policy(p) && link_up(p->all->links[i]))
			return p->all->links[i];
	return NULL;
}

/* ---- links ---- */

static const struct policy *admit(void *arg, struct link *l, const char *uri, struct err *e)
{
	struct partners *p = arg;
	const struct policy *who = policies_by_identity(&p->policies, uri);
	if (!who) {
		err_set(e, "no policy has link.identity %s", uri);
		return NULL;
	}
	if (who->valid_until_us && clock_wall_us() >= who->valid_until_us) {
		err_set(e, "the partnership has ended");
		return NULL;
	}
	for (size_t i = 0; i < p->links_n; i++)
		if (p->links[i] != l && link_policy(p->links[i]) == who)
			link_bye(p->links[i], "another connection of the same partner takes its place");
	partner_of(p, who)->backoff_us = BACKOFF_MIN_US;
	return who;
}

static bool paused(void *arg, const struct policy *who, bool out)
{
	const struct partner *p = partner_of(arg, who);
	return out ? p->paused_out : p->paused_in || p->withdrawn;
}

static void closed(void *arg, struct link *l)
{
	struct partners *p = arg;
	const struct policy *who = link_policy(l);
	if (who) {
		struct partner *of = partner_of(p, who);
		stats_add(&of->before, link_stats(l));
		of->dial_at_us = p->now_us + of->backoff_us;
	}
	for (size_t i = 0; i < p->links_n; i++)
		if (p->links[i] == l)
			p->links[i] = p->links[--p->links_n];
}

static void add_link(struct partners *p, struct tls *tls, int fd, const struct policy *expect)
{
	struct err e;
	struct link *l = NULL;
	if (p->links_n == PARTNERS_LINKS_MAX)
		close(fd);
	else if (!(l = link_open(&p->house, tls, fd, expect, &e)))
		log_warnx("a partner's connection: %s", e.text);
	else
		p->links[p->links_n++] = l;
}

static size_t strangers(const struct partners *p)
{
	size_t n = 0;
	for (size_t i = 0; i < p->links_n; i++)
		n += !link_policy(p->links[i]);
	return n;
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct partners *p = arg;
	struct addr from;
	(void)what;
	while (strangers(p) < STRANGERS_MAX) {
		int c = listen_accept(fd, &from);
		if (c < 0)
			return;
		add_link(p, p->server, c, NULL);
	}
}

static void on_dialled(void *arg, int fd, const char *why)
{
	struct partner *p = arg;
	struct partners *all = p->all;
	p->dial = NULL;
	if (fd >= 0) {
		add_link(all, all->client, fd, partner_policy(p));
		return;
	}
	log_info("cannot reach %s at %s: %s", partner_policy(p)->id, partner_policy(p)->link.address, why);
}

static bool has_link(const struct partner *p)
{
	for (size_t i = 0; i < p->all->links_n; i++)
		if (link_policy(p->all->links[i]) == partner_policy(p))
			return true;
	return false;
}

static void dial_again(struct partner *p)
{
	const struct policy *policy = partner_policy(p);
	struct err e;
	if (!policy->link.address || p->dial || has_link(p) || p->all->now_us < p->dial_at_us)
		return;
	p->backoff_us = p->backoff_us ? p->backoff_us : BACKOFF_MIN_US;
	p->dial_at_us = p->all->now_us + p->backoff_us + 6 * 1000000; /* TCP and TLS may take 5 s */
	p->dial = dial_start(p->all->base, p->all->dns, policy->link.address, (struct dial_done){on_dialled, p}, &e);
	p->backoff_us = 2 * p->backoff_us > BACKOFF_MAX_US ? BACKOFF_MAX_US : 2 * p->backoff_us;
	if (!p->dial)
		log_info("cannot reach %s at %s: %s", policy->id, policy->link.address, e.text);
}

/* ---- what the store has of them, once at the start ---- */

static bool count_row(void *arg, const struct walked *w)
{
	struct partner *of = arg;
	const struct policy *policy = partner_policy(of);
	inbound_held(of->all->inbound, policy, 1);
	if (json_bool(json_at(w->handling->root, "gate.revoked"), false))
		inbound_revoked(of->all->inbound, policy, w->id);
	return strncmp(w->id, "marking-definition--", 20) == 0;
}

static bool own_row(void *arg, const struct walked *w)
{
	(void)arg;
	return strncmp(w->id, "marking-definition--", 20) == 0;
}

static void learn(void *arg, const struct walked *w, const struct shared *s)
{
	(void)w;
	marking_learn(((struct partner *)arg)->all->policies.book, s->stix, s->from);
}

static void on_counted(void *arg, bool ok)
{
	struct partners *p = ((struct partner *)arg)->all;
	p->count_failed |= !ok;
	if (--p->counting)
		return;
	p->counted = !p->count_failed;
	for (size_t i = 0; i < p->policies.n; i++) /* something may have come while no gateway ran */
		for (int lane = 0; lane < LANE_COUNT; lane++)
			partners_changed(&p->list[i], (enum lane)lane);
	if (p->counted)
		log_info("%zu partners; links may open", p->policies.n);
}

static void fresh_inbound(struct partners *p)
{
	inbound_free(p->inbound);
	p->inbound = p->house.inbound = p->taker.inbound = inbound_new(&p->policies, p->poison);
}

static void count_all(struct partners *p)
{
	char name[OBJECTS_COLLECTION_MAX + 1];
	fresh_inbound(p);
	p->count_failed = false;
	p->counting = (p->policies.n + 1) * LANE_COUNT;
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		feed_collection_of(NULL, (enum lane)lane, name);
		walk_collection(p->objects, name, 0,
				(struct walker){own_row, learn, on_counted, &p->list[p->policies.n]});
	}
	for (size_t i = 0; i < p->policies.n; i++)
		for (int lane = 0; lane < LANE_COUNT; lane++) {
			feed_collection_of(p->policies.list[i].id, (enum lane)lane, name);
			walk_collection(p->objects, name, 0,
					(struct walker){count_row, learn, on_counted, &p->list[i]});
		}
}

/* ---- the tick ---- */

static void on_last(void *arg, const struct reply *r)
{
	struct partners *p = arg;
	int64_t last;
	p->asking_last = false;
	if (!reply_number(r, &last) || last == p->last_row)
		return;
	p->last_row = last;
	for (size_t i = p->links_n; i-- > 0;)
		if (i < p->links_n)
			link_work(p->links[i], true, p->now_us);
}

static void ask_last(struct partners *p)
{
	const char *words[] = {"HGET", OBJECTS_PREFIX "meta", "last"};
	if (!p->asking_last)
		p->asking_last = redis_link_words(p->redis, 3, words, (struct redis_done){on_last, p});
}

/* What people have set: pauses, exercises. One question at a time. */
static void ask_people(struct partners *p)
{
	if (p->asking_flags)
		return;
	partners_ask_flags(p);
	partners_ask_exercises(p);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct partners *p = arg;
	(void)fd;
	(void)what;
	p->now_us = clock_mono_us();
	for (size_t i = p->links_n; i-- > 0;)
		if (i < p->links_n) /* one may have taken another's place */
			link_work(p->links[i], false, p->now_us);
	if (p->sets)
		set_maker_work(p->sets);
	if (!redis_link_ready(p->redis) || p->resting)
		return;
	if (!p->counted && !p->counting)
		count_all(p);
	if (!p->counted)
		return;
	ask_last(p);
	partners_ask_commands(p);
	partners_make_sets(p);
	sightings_work(p->sightings);
	negatives_work(p->negatives);
	receipts_work(p);
	for (size_t i = 0; i < p->policies.n; i++)
		dial_again(&p->list[i]);
	if (p->now_us >= p->flags_at_us) {
		p->flags_at_us = p->now_us + FLAGS_US;
		ask_people(p);
	}
	if (p->now_us >= p->status_at_us) {
		p->status_at_us = p->now_us + STATUS_US;
		partners_tell(p);
	}
}

bool partners_looks_at(const struct shared *s)
{
	const char *type = shared_type(s->stix);
	return shared_revoked(s->stix) || strcmp(type, "sighting") == 0 || strcmp(type, "opinion") == 0;
}

void partners_stored(struct partners *p, const struct policy *from, const char *collection, const char *id,
		     const struct shared *told, int64_t row)
{
	char name[OBJECTS_COLLECTION_MAX + 1];
	inbound_held(p->inbound, from, 1);
	if (told && shared_revoked(told->stix))
		inbound_revoked(p->inbound, from, id);
	if (told && strncmp(id, "indicator--", 11) != 0)
		sightings_take(p->sightings, from, told, collection, row);
	for (int lane = 0; strncmp(id, "indicator--", 11) == 0 && lane < LANE_COUNT; lane++) {
		feed_collection_of(from->id, (enum lane)lane, name);
		if (strcmp(name, collection) == 0)
			partners_changed(partner_of(p, from), (enum lane)lane);
	}
}

static void on_stored(void *arg, const struct policy *from, const char *collection, const struct shared *s, int64_t row)
{
	partners_stored(arg, from, collection, shared_id(s->stix), s, row);
}

/* ---- start and end ---- */

static struct intake *poison_new(const struct gateway_conf *c, struct err *e)
{
	struct intake *g = intake_new(NULL);
	struct diags d = {0};
	bool good = true;
	for (size_t i = 0; good && i < c->inbound_own.n; i++)
		good = intake_add_own(g, c->inbound_own.v[i], e);
	for (size_t i = 0; good && i < c->inbound_warninglists.n; i++)
		good = intake_add_warninglist(g, c->inbound_warninglists.v[i], &d, e);
	diag_free(&d);
	if (good && intake_seal(g, e))
		return g;
	intake_free(g);
	return NULL;
}

static bool tls_pair(const struct gateway_conf *c, struct partners *p, struct err *e)
{
	struct tls_conf t = gateway_conf_links_tls(c);
	if (!t.cert || !*t.cert)
		return true; /* no links: bundles and TAXII only */
	p->server = tls_new(&t, e);
	t.server = false;
	p->client = p->server ? tls_new(&t, e) : NULL;
	return p->client != NULL;
}

static bool listen_all(struct partners *p, struct err *e)
{
	for (size_t i = 0; i < p->conf->links_listen.n && i < GATEWAY_LINKS_LISTEN_MAX; i++) {
		if (!listen_parse(p->conf->links_listen.v[i], &p->listen[i].at, e))
			return false;
		p->listen[i].fd = listen_open(&p->listen[i].at, e);
		if (p->listen[i].fd < 0)
			return false;
		p->listen_n++;
		p->listen[i].event = event_new(p->base, p->listen[i].fd, EV_READ | EV_PERSIST, on_accept, p);
		if (!p->listen[i].event)
			return err_set(e, "no memory for the event loop");
		event_add(p->listen[i].event, NULL);
	}
	return true;
}

static bool read_policies(const struct gateway_conf *c, struct policies *p, struct err *e)
{
	struct diags d = {0};
	bool good = policies_load(p, c->org, c->partners_dir, &d);
	diag_print(&d, stderr);
	diag_free(&d);
	return good || err_set(e, "the partners in %s have errors", c->partners_dir);
}

static void use_policies(struct partners *p)
{
	p->list = xcalloc(p->policies.n + 1, sizeof(*p->list));
	for (size_t i = 0; i < p->policies.n; i++) {
		p->policies.list[i].all = &p->policies;
		p->list[i].index = i;
	}
	for (size_t i = 0; i <= p->policies.n; i++)
		p->list[i].all = p; /* the one behind the last stands for ourselves */
	for (size_t i = 0; i < p->policies.n; i++)
		partners_open_sets(&p->list[i]);
	p->house.policies = &p->policies;
	fresh_inbound(p);
	p->sightings = sightings_new(p);
	p->negatives = negatives_new(p);
	p->counted = false;
}

static void on_receipt(void *arg, const struct policy *from, const struct link_receipt *r)
{
	receipt_take(arg, from, r);
}

static void use_house(struct partners *p)
{
	const char *name = p->server ? tls_self(p->server)->name : "";
	p->taker = (struct taker){.objects = p->objects, .stored = on_stored, .arg = p};
	p->house = (struct link_house){.base = p->base,
				       .redis = p->redis,
				       .objects = p->objects,
				       .audit = p->audit,
				       .taker = &p->taker,
				       .name = name,
				       .admit = admit,
				       .paused = paused,
				       .closed = closed,
				       .receipt = on_receipt,
				       .arg = p};
}

struct partners *partners_new(const struct gateway_conf *c, struct event_base *base, struct redis_link *r,
			      struct objects *o, struct err *e)
{
	struct partners *p = xcalloc(1, sizeof(*p));
	struct timeval every = {.tv_usec = TICK_US};
	*p = (struct partners){.conf = c, .base = base, .redis = r, .objects = o};
	if (!c->partners_dir || !*c->partners_dir)
		return p;
	p->audit = audit_new(r);
	p->dns = evdns_base_new(base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	p->poison = poison_new(c, e);
	if (!p->poison || !read_policies(c, &p->policies, e) || !tls_pair(c, p, e)) {
		partners_free(p);
		return NULL;
	}
	if (c->sets_key && *c->sets_key && !(p->sets = set_maker_new(&c->store, c->sets_key, e))) {
		partners_free(p);
		return NULL;
	}
	use_house(p);
	use_policies(p);
	p->tick = event_new(base, -1, EV_PERSIST, on_tick, p);
	if (!p->tick || event_add(p->tick, &every) != 0 || !listen_all(p, e)) {
		partners_free(p);
		return NULL;
	}
	return p;
}

static void drop_links(struct partners *p)
{
	while (p->links_n)
		link_free(p->links[--p->links_n]);
	for (size_t i = 0; p->list && i < p->policies.n; i++)
		dial_free(p->list[i].dial);
}

static void drop_list(struct partner *list, size_t n)
{
	for (size_t i = 0; list && i < n; i++)
		free(list[i].sets);
	free(list);
}

void partners_free(struct partners *p)
{
	if (!p)
		return;
	set_maker_free(p->sets);
	drop_links(p);
	for (size_t i = 0; i < p->listen_n; i++) {
		if (p->listen[i].event)
			event_free(p->listen[i].event);
		listen_close(&p->listen[i].at, p->listen[i].fd);
	}
	if (p->tick)
		event_free(p->tick);
	tls_free(p->server);
	tls_free(p->client);
	audit_free(p->audit);
	sightings_free(p->sightings);
	negatives_free(p->negatives);
	inbound_free(p->inbound);
	drop_list(p->list, p->policies.n);
	if (p->policies.list)
		policies_free(&p->policies);
	intake_free(p->poison);
	if (p->dns)
		evdns_base_free(p->dns, 0);
	free(p);
}

const struct policies *partners_policies(const struct partners *p)
{
	return p->policies.list ? &p->policies : NULL;
}

struct inbound *partners_inbound(const struct partners *p)
{
	return p->inbound;
}

struct audit *partners_audit(const struct partners *p)
{
	return p->audit;
}

bool partners_rest(struct partners *p)
{
	p->resting = true;
	return !p->counting && !p->asking_flags && !(p->sightings && sightings_busy(p->sightings)) && !p->commands &&
	       !p->making;
}

/* What people decided is in force at once, and figures go on. */
static void carry_over(struct partners *p, const struct partner *was, const struct policies *were)
{
	for (size_t i = 0; i < p->policies.n; i++)
		for (size_t k = 0; k < were->n; k++)
			if (strcmp(p->policies.list[i].id, were->list[k].id) == 0) {
				p->list[i].paused_in = was[k].paused_in;
				p->list[i].paused_out = was[k].paused_out;
				p->list[i].withdrawn = was[k].withdrawn;
				p->list[i].before = was[k].before;
			}
}

bool partners_reload(struct partners *p, struct err *e)
{
	struct policies fresh = {0};
	p->resting = false;
	if (!p->tick)
		return true;
	if (!read_policies(p->conf, &fresh, e) ||
	    (p->server && (!tls_reload(p->server, e) || !tls_reload(p->client, e)))) {
		policies_free(&fresh);
		return false;
	}
	for (size_t i = 0; i < p->policies.n; i++)
		p->list[i].before = partner_stats(&p->list[i]);
	drop_links(p);
	inbound_free(p->inbound);
	p->inbound = NULL;
	sightings_free(p->sightings);
	negatives_free(p->negatives);
	struct partner *was = p->list;
	struct policies were = p->policies;
	p->policies = fresh;
	use_policies(p);
	carry_over(p, was, &were);
	drop_list(was, were.n);
	policies_free(&were);
	p->flags_at_us = 0;
	return true;
}
