/* `picket partner …`: what the files of collector/cli_partner*.c share. */
#ifndef COLLECTOR_CLI_PARTNER_H
#define COLLECTOR_CLI_PARTNER_H

#include "collector/cli.h"
#include "collector/objects.h"
#include "rules/policy.h"

struct event_base;

/* Options that the subcommands have among them. */
struct partner_cli {
	struct cli cli;
	const char *reason, *policies, *org, *priority, *exercise, *to, *expect, *output, *key;
	bool verify, head, out, in, wait;
	char **words; /* behind the subcommand */
	int words_n;
	/* a store to walk in; see partner_store_open() */
	struct event_base *base;
	struct store_conf store;
	struct redis_link *link;
	struct objects *objects;
	int code;
};

/* Opens the store of shared objects and waits until it can be used. False: said why. */
bool partner_store_open(struct partner_cli *c);
void partner_store_close(struct partner_cli *c);
/* Runs callbacks until partner_store_stop(). */
void partner_store_run(struct partner_cli *c);
void partner_store_stop(struct partner_cli *c);

/* The policies in --policies, or /etc/picket/partners, and the one called id. False: said why. */
bool partner_policies(struct partner_cli *c, struct policies *p, const char *id, const struct policy **which);

int partner_review(struct partner_cli *c);
int partner_why(struct partner_cli *c);
int partner_publish(struct partner_cli *c);
int partner_revoke(struct partner_cli *c);
int partner_audit(struct partner_cli *c);

#endif
