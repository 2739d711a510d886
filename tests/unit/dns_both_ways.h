/* A DNS message read ahead (sensor/dns_ahead.h) and by its parser: where the first says
 * "plain", both must agree in all that can be seen from outside. For test_dns_ahead.c
 * and fuzz_dns_ahead.c; defines observe() and its companions. */
#ifndef TESTS_DNS_BOTH_WAYS_H
#define TESTS_DNS_BOTH_WAYS_H

#include <stdio.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/scratch.h"
#include "rules/ruleset.h"
#include "sensor/dns_ahead.h"
#include "sensor/parsers.h"

struct both_ways {
	struct ruleset *rules;
	unsigned observables; /* of the message in hand, as its parser reports them */
	size_t hits;
	unsigned plain, quiet, hit; /* messages: so far, for the test to be worth something */
};

bool observe(struct inspect *in, enum where w, const void *value, size_t n)
{
	struct both_ways *b = in->owner;
	struct ruleset_hits hits = {.n = 0};
	if (!wanted(in, w))
		return false;
	b->observables++;
	ledger_count(in->ledger, LEDGER_TRANSACTIONS);
	bool maybe = ruleset_match(b->rules, w, value, n, in->ts_us, &hits, NULL);
	b->hits += hits.n;
	return maybe;
}

void inspect_expect(struct inspect *in, const struct addr *a, uint16_t port, const struct parser *p, const void *note,
		    size_t n)
{
	(void)in, (void)a, (void)port, (void)p, (void)note, (void)n;
}

void inspect_dns_message(struct inspect *in, bool answer, uint8_t rcode, const char *name, size_t n)
{
	(void)in, (void)answer, (void)rcode, (void)name, (void)n;
}

struct bytes inspect_note(const struct inspect *in)
{
	return in->note;
}

static inline void both_ways_add(struct ruleset_builder *b, uint32_t set, enum indicator_type t, const char *value)
{
	struct err e;
	if (ruleset_add(b, set, &(struct indicator){.type = t, .value = value}, &e) != ADDED)
		abort();
}

/* Short names and few addresses, so that what is made at random hits some. */
static inline void both_ways_begin(struct both_ways *w)
{
	struct err e;
	struct ruleset_builder *b = ruleset_builder_new();
	uint32_t set = ruleset_add_set(b, &(struct indicator_set){.id = "s"});
	both_ways_add(b, set, INDICATOR_DOMAIN, "b.a");
	both_ways_add(b, set, INDICATOR_DOMAIN, "evil-host.example");
	both_ways_add(b, set, INDICATOR_DOMAIN, "a-label-of-more-than-sixteen-bytes.c");
	both_ways_add(b, set, INDICATOR_HOSTNAME, "c.a");
	both_ways_add(b, set, INDICATOR_HOSTNAME, "b.c.b.c.b");
	both_ways_add(b, set, INDICATOR_IP, "192.0.2.7");
	both_ways_add(b, set, INDICATOR_IP, "2001:db8::7");
	both_ways_add(b, set, INDICATOR_CIDR, "198.51.100.0/24");
	both_ways_add(b, set, INDICATOR_CIDR, "2001:db8:7::/48");
	*w = (struct both_ways){.rules = ruleset_build(b, &e)};
	ruleset_builder_free(b);
	if (!w->rules)
		abort();
}

static inline void both_ways_end(struct both_ways *w)
{
	ruleset_free(w->rules);
}

static inline void both_ways_agree(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "read ahead and by its parser, a message differs: %s\n", what);
	abort();
}

/* The message lies in a block of its size, so that a sanitizer sees a read behind it. */
static inline bool both_ways(struct both_ways *w, uint16_t src_port, uint16_t dest_port, const void *message, size_t n)
{
	SCRATCH struct dns_ahead ahead;
	uint8_t *p = xmalloc(n ? n : 1);
	memcpy(p, message, n);
	struct layer l = {
	    .proto = 17, .src_port = src_port, .dest_port = dest_port, .payload = p, .payload_n = (uint32_t)n};
	ahead.plain = false;
	if (dns_ahead_worth(&l))
		dns_ahead(w->rules, &l, &ahead);
	if (ahead.plain) {
		struct mem mem;
		struct ledger ledger = {.v = {0}};
		mem_init(&mem, 4096);
		struct inspect in = {.src_port = src_port,
				     .dest_port = dest_port,
				     .proto = 17,
				     .ts_us = 1700000000000000,
				     .want = ruleset_types(w->rules),
				     .mem = &mem,
				     .ledger = &ledger,
				     .owner = w};
		w->observables = 0;
		w->hits = 0;
		both_ways_agree(parser_mdns.probe(&in, TO_SERVER, p, n) == PROBE_NO, "multicast DNS");
		both_ways_agree(parser_llmnr.probe(&in, TO_SERVER, p, n) == PROBE_NO, "LLMNR");
		both_ways_agree(parser_dns_udp.probe(&in, TO_SERVER, p, n) == PROBE_YES, "the probe");
		in.parser = &parser_dns_udp;
		both_ways_agree(parser_dns_udp.datagram(&in, TO_SERVER, p, n) == INSPECT_MORE, "the verdict");
		bool maybe = ruleset_ahead_maybe(w->rules, &ahead.asked);
		both_ways_agree(maybe || !w->hits, "a hit was not foreseen");
		both_ways_agree(maybe || w->observables <= ahead.observables, "observables");
		both_ways_agree(maybe || ledger.v[LEDGER_TRANSACTIONS] == ahead.observables,
				"the count of observables");
		both_ways_agree(ledger.v[LEDGER_PARSER_LIMIT] == 0, "a limit");
		w->plain++;
		w->quiet += !maybe;
		w->hit += w->hits > 0;
	}
	free(p);
	return ahead.plain;
}

#endif
