#include "sensor/detect.h"

#include <string.h>

#include "common/scratch.h"
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
		return false;
	ledger_add(d->ledger, LEDGER_ALERTS_ALLOWED, allowed);
	ledger_add(d->ledger, LEDGER_HITS_DROPPED, hits.dropped);
	for (size_t i = 0; i < hits.n; i++)
		detect_hit(in, w, hits.ref[i], value, n);
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
	if (!a->asked || ruleset_ahead_maybe(d->rules, &a->of))
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
