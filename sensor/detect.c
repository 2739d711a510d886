#include "sensor/detect.h"

#include <string.h>

#include "common/addr.h"
#include "common/scratch.h"
#include "rules/pattern.h"
#include "rules/ruleset_ask.h"

/* What the packet in hand adds to the flow: tags, ICMP type, the tunnel around it. */
static void tell_packet(const struct detector *d, struct alert_flow *f)
{
	const struct layer *l = d->layer;
	if (!l)
		return;
	f->ipv6 = l->ip_n && l->ip[0] >> 4 == 6;
	f->icmp_type = l->icmp_type;
	f->icmp_code = l->icmp_code;
	f->vlan_n = l->vlan_n;
	memcpy(f->vlan, l->vlan, sizeof(f->vlan));
	if (d->outer) {
		f->tunnelled = true;
		f->tunnel_src = d->outer->src;
		f->tunnel_dest = d->outer->dest;
		f->tunnel_proto = tunnel_names[l->tunnel];
	}
}

static struct alert_flow tell_flow(const struct inspect *in, const struct detector *d)
{
	struct alert_flow f = {
	    .id = in->flow_id,
	    .src = in->src,
	    .dest = in->dest,
	    .src_port = in->src_port,
	    .dest_port = in->dest_port,
	    .proto = in->proto,
	    .iface = d->iface,
	    .app_proto = in->parser ? in->parser->name : NULL,
	    .direction = alert_direction(d->origin, &in->src, &in->dest),
	};
	tell_packet(d, &f);
	return f;
}

void detect_hit(struct inspect *in, enum where w, ruleset_ref ref, const void *value, size_t n)
{
	struct detector *d = in->owner;
	if (hiding_asks(d->hiding, ref, &in->src, &in->dest, in->ts_us)) {
		ledger_count(d->ledger, LEDGER_ALERTS_HIDDEN);
		return;
	}
	bool first = seen_add(d->seen, (uint32_t)in->flow_id, ref, (uint16_t)w);
	ledger_count(d->ledger, first ? LEDGER_ALERTS : LEDGER_ALERT_REPEATS);
	struct alert a = {
	    .ts_us = in->ts_us,
	    .flow = tell_flow(in, d),
	    .indicator = ref,
	    .where = w,
	    .observable = {.p = value, .n = n},
	};
	if (first && in->parser && in->state && in->parser->describe)
		in->parser->describe(in, &a.app);
	if (a.app.n && !a.app.object)
		a.app.object = in->parser->name;
	if (!d->alert(d->owner, d->rules, &a, !first))
		ledger_count(d->ledger, LEDGER_ALERTS_LOST);
}

/* ---- STIX patterns ---- */

/* As text: an address, an endpoint and a payload have none of their own. */
#define SHOWN_MAX (ADDR_TEXT_LEN + 8)
static struct bytes shown(enum where w, const void *value, size_t n, char room[static SHOWN_MAX])
{
	char text[ADDR_TEXT_LEN];
	struct addr a;
	if (n < sizeof(a) || !(where_types(w) & (where_types(WHERE_IP_SRC) | where_types(WHERE_IP_ENDPOINT_SRC))))
		return (struct bytes){.p = value, .n = n};
	memcpy(&a, value, sizeof(a));
	addr_format(&a, text);
	const uint8_t *port = (const uint8_t *)value + sizeof(a);
	if (n == sizeof(a))
		snprintf(room, SHOWN_MAX, "%s", text);
	else
		snprintf(room, SHOWN_MAX, addr_is_v4(&a) ? "%s:%u" : "[%s]:%u", text, port[0] << 8 | port[1]);
	return (struct bytes){.p = (const uint8_t *)room, .n = strlen(room)};
}

static struct condition_facts facts_of(const struct inspect *in)
{
	return (struct condition_facts){.src_port = in->src_port,
					.dest_port = in->dest_port,
					.proto = in->proto,
					.v6 = !addr_is_v4(&in->src),
					.app = in->parser ? in->parser->name : NULL};
}

/* What a condition has seen now, on the flow or on one of its objects. */
static bool holds(struct inspect *in, uint32_t condition, uint32_t seen)
{
	const struct detector *d = in->owner;
	struct condition_facts facts = facts_of(in);
	return conditions_hold(d->conditions, condition, seen, &facts);
}

/* One more value of a condition; true when it holds now and has not been told of. */
static bool add_seen(struct inspect *in, const struct condition_use *use, uint32_t object)
{
	struct detector *d = in->owner;
	bool evicted, fires = false;
	struct pending_entry *e = pending_get(d->pending, in->flow_id, use->condition, &evicted);
	ledger_add(d->ledger, LEDGER_CONDITION_EVICTED, evicted);
	if (object) {
		unsigned place = pending_object(e, object, &evicted);
		ledger_add(d->ledger, LEDGER_CONDITION_EVICTED, evicted);
		e->object[place].seen |= UINT32_C(1) << use->bit;
	} else {
		e->seen |= UINT32_C(1) << use->bit;
		if (!(e->held & 0x80) && holds(in, use->condition, e->seen)) {
			e->held |= 0x80;
			return true;
		}
	}
	for (unsigned i = 0; i < PENDING_OBJECTS && !(e->held & 0x80); i++)
		if (e->object[i].object && !(e->held & 1u << i) &&
		    holds(in, use->condition, e->seen | e->object[i].seen)) {
			e->held |= (uint8_t)(1u << i);
			fires = true;
		}
	return fires;
}

static void fire(struct inspect *in, enum where w, uint32_t condition, const void *value, size_t n)
{
	struct detector *d = in->owner;
	ruleset_ref ref = conditions_pattern(d->conditions, condition);
	char room[SHOWN_MAX];
	struct bytes text = shown(w, value, n, room);
	if (ruleset_valid(d->rules, ref, in->ts_us))
		detect_hit(in, WHERE_STIX, ref, text.p, text.n);
}

/* The terms that one value hits. */
static void see(struct inspect *in, enum where w, const struct ruleset_hits *hits, const void *value, size_t n)
{
	struct detector *d = in->owner;
	/* All of a one-value condition must come from this value: it is an object of its own. */
	SCRATCH struct {
		uint32_t condition, seen;
	} one[RULESET_HITS_MAX];
	size_t ones = 0;
	for (size_t i = 0; i < hits->n; i++) {
		size_t uses;
		const struct condition_use *use = conditions_uses(d->conditions, hits->ref[i], &uses);
		for (size_t k = 0; k < uses; k++) {
			enum condition_scope scope = conditions_scope(d->conditions, use[k].condition);
			if (scope != CONDITION_VALUE) {
				if (add_seen(in, &use[k], scope == CONDITION_OBJECT ? d->object : 0))
					fire(in, w, use[k].condition, value, n);
				continue;
			}
			size_t at = 0;
			while (at < ones && one[at].condition != use[k].condition)
				at++;
			if (at == RULESET_HITS_MAX) {
				ledger_count(d->ledger, LEDGER_HITS_DROPPED);
				continue;
			}
			if (at == ones) {
				one[ones].condition = use[k].condition;
				one[ones++].seen = 0;
			}
			one[at].seen |= UINT32_C(1) << use[k].bit;
		}
	}
	for (size_t i = 0; i < ones; i++)
		if (holds(in, one[i].condition, one[i].seen))
			fire(in, w, one[i].condition, value, n);
}

/* Not inlined: its room on the stack is for those who have such patterns. */
static __attribute__((noinline)) bool observe_terms(struct inspect *in, enum where w, const void *value, size_t n)
{
	struct detector *d = in->owner;
	SCRATCH struct ruleset_hits hits;
	hits.n = 0;
	hits.dropped = 0;
	if (!ruleset_match(conditions_terms(d->conditions), w, value, n, in->ts_us, &hits, NULL))
		return false;
	ledger_add(d->ledger, LEDGER_CONDITIONS, hits.n != 0);
	ledger_add(d->ledger, LEDGER_HITS_DROPPED, hits.dropped);
	see(in, w, &hits, value, n);
	return true;
}

void detect_pattern(struct inspect *in, ruleset_ref ref)
{
	struct detector *d = in->owner;
	if (ref & PATTERN_SECOND) {
		const struct ruleset_hits hits = {.n = 1, .ref = {ref & ~PATTERN_SECOND}};
		see(in, WHERE_PAYLOAD, &hits, NULL, 0);
	} else if (ruleset_valid(d->rules, ref, in->ts_us)) {
		detect_hit(in, WHERE_PAYLOAD, ref, NULL, 0);
	}
}

uint32_t inspect_object_set(struct inspect *in, uint32_t object)
{
	struct detector *d = in->owner;
	uint32_t before = d->object;
	if (object == OBJECT_NEW)
		object = d->objects = d->objects + 1 == OBJECT_NEW ? 1 : d->objects + 1;
	d->object = object;
	return before;
}

/* ---- observables ---- */

bool observe(struct inspect *in, enum where w, const void *value, size_t n)
{
	struct detector *d = in->owner;
	if (!wanted(in, w))
		return false;
	ledger_count(d->ledger, LEDGER_TRANSACTIONS);
	SCRATCH struct ruleset_hits hits;
	hits.n = 0;
	hits.dropped = 0;
	uint64_t allowed = 0;
	if (!ruleset_match(d->rules, w, value, n, in->ts_us, &hits, &allowed))
		return d->conditions && observe_terms(in, w, value, n);
	ledger_add(d->ledger, LEDGER_ALERTS_ALLOWED, allowed);
	ledger_add(d->ledger, LEDGER_HITS_DROPPED, hits.dropped);
	for (size_t i = 0; i < hits.n; i++)
		detect_hit(in, w, hits.ref[i], value, n);
	if (d->conditions)
		observe_terms(in, w, value, n);
	return true;
}

static void detect_address(struct inspect *in, enum where w, const struct addr *a)
{
	struct detector *d = in->owner;
	if (ruleset_maybe_addr(d->rules, a))
		observe(in, w, a, sizeof(*a));
}

static void detect_endpoint(struct inspect *in, enum where w, const struct addr *a, uint16_t port)
{
	uint8_t endpoint[sizeof(*a) + 2];
	if (!port || !wanted(in, w))
		return;
	memcpy(endpoint, a, sizeof(*a));
	endpoint[sizeof(*a)] = (uint8_t)(port >> 8);
	endpoint[sizeof(*a) + 1] = (uint8_t)port;
	observe(in, w, endpoint, sizeof(endpoint));
}

void detect_ends_ahead(const struct ruleset *r, const struct flow_key *k, struct ends_ahead *out)
{
	struct ruleset_ahead *a = &out->of;
	ruleset_ahead_begin(a);
	out->observables = 0;
	out->asked = ruleset_ask_addr(r, a, &k->lo) && ruleset_ask_addr(r, a, &k->hi);
	if (!(ruleset_types(r) & where_types(WHERE_IP_ENDPOINT_SRC)))
		return;
	if (k->lo_port && ruleset_ask_endpoint(r, a, &k->lo, k->lo_port))
		out->observables++;
	if (k->hi_port && ruleset_ask_endpoint(r, a, &k->hi, k->hi_port))
		out->observables++;
}

bool detect_ends_quiet(const struct detector *d, const struct ends_ahead *a)
{
	if (!a->asked || d->conditions || ruleset_ahead_maybe(d->rules, &a->of))
		return false;
	ledger_add(d->ledger, LEDGER_TRANSACTIONS, a->observables);
	return true;
}

void detect_addresses(struct inspect *in, bool outer)
{
	const struct detector *d = in->owner;
	bool arp = d->layer && d->layer->arp;
	detect_address(in, arp ? WHERE_ARP_SENDER : outer ? WHERE_IP_OUTER_SRC : WHERE_IP_SRC, &in->src);
	detect_address(in, arp ? WHERE_ARP_TARGET : outer ? WHERE_IP_OUTER_DEST : WHERE_IP_DEST, &in->dest);
	detect_endpoint(in, WHERE_IP_ENDPOINT_SRC, &in->src, in->src_port);
	detect_endpoint(in, WHERE_IP_ENDPOINT_DEST, &in->dest, in->dest_port);
}

/* Those that were not asked for already, with the rule set's own. */
void detect_address_terms(struct inspect *in, bool outer)
{
	const struct detector *d = in->owner;
	bool arp = d->layer && d->layer->arp;
	if (!ruleset_maybe_addr(d->rules, &in->src))
		observe_terms(in,
			      arp     ? WHERE_ARP_SENDER
			      : outer ? WHERE_IP_OUTER_SRC
				      : WHERE_IP_SRC,
			      &in->src, sizeof(in->src));
	if (!ruleset_maybe_addr(d->rules, &in->dest))
		observe_terms(in,
			      arp     ? WHERE_ARP_TARGET
			      : outer ? WHERE_IP_OUTER_DEST
				      : WHERE_IP_DEST,
			      &in->dest, sizeof(in->dest));
}

/* Addresses passed before it was known. */
void detect_protocol(struct inspect *in)
{
	const struct detector *d = in->owner;
	if (!d->conditions || !conditions_ask_app(d->conditions))
		return;
	observe_terms(in, WHERE_IP_SRC, &in->src, sizeof(in->src));
	observe_terms(in, WHERE_IP_DEST, &in->dest, sizeof(in->dest));
}
