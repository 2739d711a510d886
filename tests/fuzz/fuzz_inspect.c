/* The engine with all its parsers: packets of four conversations over TCP, UDP, SCTP and ICMP, as
 * the worker shows them. The first byte: bit 0 payload and STIX patterns, bit 1 little memory.
 * Then packets: a byte (bits 0-1 the protocol, 2 the side, 3-4 which conversation, 5-7 enum deed),
 * a byte (TCP: the flags; bit 6: bytes are lost before it, bit 7: a segment of before comes
 * again), the payload's length (2 bytes) and the payload. Every byte of the budget comes back.
 * For: sensor/inspect.c */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/armed.h"
#include "sensor/inspector.h"

enum deed {
	INSPECT = 0, /* and the next two */
	LOST = 3,    /* its payload is set aside */
	OUTER,       /* it is the wrapping of a tunnel */
	SHED,        /* asked whether it is DNS, files are not looked for from here on */
	LATER,       /* a minute passes */
	CUT          /* the capture has half of it */
};

struct engine {
	struct inspector *inspector;
	struct flow_table *flows;
	struct detector detector;
	struct ledger ledger;
	int64_t now_us;
	uint32_t seq[4][2];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static volatile size_t touched;

static bool on_alert(void *owner, const struct ruleset *r, const struct alert *a, bool repeat)
{
	struct engine *g = owner;
	struct buf json = {0};
	(void)repeat;
	alert_json(&json, a, r, g->detector.origin);
	touched += json.n;
	buf_free(&json);
	return true;
}

static void on_end(void *owner, struct flow *f)
{
	struct engine *g = owner;
	g->detector.layer = g->detector.outer = NULL;
	inspector_end(g->inspector, f, g->now_us);
}

static struct armed *arm(bool patterns)
{
	static const struct indicator list[] = {
	    {.type = INDICATOR_DOMAIN, .value = "bad.example"},
	    {.type = INDICATOR_FILENAME, .value = "a.exe"},
	    {.type = INDICATOR_FILE_SHA1, .value = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"},
	    {.type = INDICATOR_USERNAME, .value = "eve"},
	    {.type = INDICATOR_PAYLOAD, .value = "ev[i1]l"},
	    {.type = INDICATOR_PAYLOAD_HEX, .value = "de ad be ef"},
	    {.type = INDICATOR_STIX, .value = "[domain-name:value = 'a.example' AND file:name = 'b.exe']"},
	};
	struct indicator_set set = {.id = "demo"};
	struct ruleset_builder *b = ruleset_builder_new();
	struct err e;
	ruleset_add_set(b, &set);
	for (size_t i = 0; i < (patterns ? sizeof(list) / sizeof(*list) : 4); i++)
		ruleset_add(b, 0, &list[i], NULL);
	struct ruleset *r = ruleset_build(b, NULL);
	struct armed *a = r ? armed_new(r, false, 1, &e) : NULL;
	ruleset_builder_free(b);
	if (!a)
		abort();
	return a;
}

static void aim(struct engine *g, struct layer *l, uint8_t what, uint8_t how)
{
	static const uint16_t ports[] = {80, 21, 53, 2020};
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP};
	unsigned which = what >> 3 & 3;
	bool back = what & 4;
	struct addr client = addr_v4("\xc0\x00\x02\x01"), server = addr_v4("\xc6\x33\x64\x01");
	uint32_t *mine = &g->seq[which][back], other = g->seq[which][!back];
	l->proto = protocols[what & 3];
	l->src = back ? server : client;
	l->dest = back ? client : server;
	l->src_port = back ? ports[which] : 40000;
	l->dest_port = back ? 40000 : ports[which];
	l->ttl = 64;
	l->icmp_type = 3;
	if (l->proto != IPPROTO_TCP)
		return;
	l->tcp_flags = how & 0x3f;
	*mine += how & 0x40 ? 100 : 0;
	l->tcp_seq = *mine - (how & 0x80 ? l->payload_n + 1 : 0);
	l->tcp_ack = other;
	if (!(how & 0x80))
		*mine += l->payload_wire_n + !!(how & (TCP_SYN | TCP_FIN));
}

static void show(struct engine *g, struct flow *f, enum side side, const struct layer *l, enum deed deed)
{
	struct dns_ahead ahead = {.plain = false};
	g->detector.layer = l;
	if (deed == LOST) {
		inspector_lost(g->inspector, f, side, l, g->now_us);
		return;
	}
	if (deed == OUTER) {
		inspector_outer(g->inspector, f, l, g->now_us);
		return;
	}
	if (deed == SHED) {
		touched += inspector_dns(g->inspector, f, side, l);
		inspector_shed(g->inspector, INDICATOR_BIT(INDICATOR_FILE_SHA1));
	}
	if (dns_ahead_worth(l) && !g->detector.conditions)
		dns_ahead(g->detector.rules, l, &ahead);
	inspector_packet(g->inspector, f, side, l, g->now_us, &ahead);
	touched += !!inspector_parser_name(f);
}

static void packet(struct engine *g, struct cursor *c)
{
	uint8_t what = cursor_u8(c), how = cursor_u8(c);
	size_t want = cursor_u16(c);
	struct bytes b = cursor_bytes(c, want < cursor_left(c) ? want : cursor_left(c));
	enum deed deed = what >> 5;
	struct layer l = {.payload_wire_n = (uint32_t)b.n};
	struct flow_seek seek;
	enum side side;
	bool is_new;
	uint8_t *exact = malloc(b.n ? b.n : 1);
	if (b.n)
		memcpy(exact, b.p, b.n);
	l.payload = exact;
	l.payload_n = deed == CUT ? l.payload_wire_n / 2 : l.payload_wire_n;
	aim(g, &l, what, how);
	g->now_us += deed == LATER ? 60000000 : 1000;
	flow_expire(g->flows, g->now_us);
	flow_seek(g->flows, &l, &seek);
	const struct flow *guess = flow_prefetch(g->flows, &seek);
	if (guess) {
		inspector_prefetch(g->inspector, guess);
		inspector_prefetch_parser(g->inspector, guess);
	}
	show(g, flow_get(g->flows, &l, &seek, g->now_us, &is_new, &side), side, &l, deed);
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct alert_origin origin = {.sensor_id = "s1", .site = "here", .tenant = ""};
	static const struct hash_key key = {{7}};
	static struct armed *armed[2];
	struct cursor c = cursor_over(data, n);
	uint8_t choice = cursor_u8(&c);
	struct err e;
	struct armed **a = &armed[choice & 1];
	if (!*a)
		*a = arm(choice & 1);
	struct engine g = {.now_us = INT64_C(1700000000000000)};
	g.detector = (struct detector){.rules = (*a)->rules,
				       .conditions = (*a)->conditions,
				       .origin = &origin,
				       .ledger = &g.ledger,
				       .seen = seen_new(),
				       .pending = pending_new(),
				       .iface = "fuzz",
				       .alert = on_alert,
				       .owner = &g};
	struct pattern_scratch *scratch = (*a)->patterns ? pattern_scratch_new((*a)->patterns, &e) : NULL;
	g.inspector = inspector_new(choice & 2 ? 4096 : 1 << 20, 0, NULL, &g.ledger, &g.detector);
	g.flows = flow_table_new(64, VLAN_AUTO, &key, &g.ledger, on_end, &g);
	inspector_rules(g.inspector, armed_types(*a), (*a)->patterns, scratch);
	while (cursor_left(&c) >= 4)
		packet(&g, &c);
	flow_table_free(g.flows);
	if (inspector_memory(g.inspector))
		abort();
	inspector_free(g.inspector);
	pattern_scratch_free(scratch);
	seen_free(g.detector.seen);
	pending_free(g.detector.pending);
	return 0;
}
