/* DNS over UDP ahead of its turn: while a burst is fetched, its plain messages are
 * read once, straight from the wire, and what they ask of the rule set is put to
 * it (rules/ruleset_ahead.h). A message of which nothing can hit has then nothing
 * to say to anybody but the ledger. Every other one goes to its parser
 * (inspect_dns.c), which alone says what a message means: this here may at any
 * place say "not plain". */
#ifndef SENSOR_DNS_AHEAD_H
#define SENSOR_DNS_AHEAD_H

#include <netinet/in.h>

#include "rules/ruleset_ahead.h"
#include "sensor/dns_format.h"
#include "sensor/packet.h"

/* What the parser would do with a message of which nothing hits: say yes when probed,
 * report so many observables to the ledger, find nothing broken. */
struct dns_ahead {
	bool plain;
	uint16_t observables;
	struct ruleset_ahead asked;
};

/* Whether a layer may be that: UDP to or from port 53, no other port of the kind. */
static inline bool dns_ahead_worth(const struct layer *l)
{
	if (l->proto != IPPROTO_UDP || (l->src_port != DNS_PORT && l->dest_port != DNS_PORT))
		return false;
	uint16_t other = l->src_port == DNS_PORT ? l->dest_port : l->src_port;
	return other != DNS_PORT_NBNS && other != DNS_PORT_MDNS && other != DNS_PORT_LLMNR;
}

/* Reads the payload of such a layer. Plain: one ordinary question, records of common
 * shape, their names ASCII. Borrows nothing. */
void dns_ahead(const struct ruleset *r, const struct layer *l, struct dns_ahead *out);

#endif
