/* A rule set in other people's formats. What a format cannot say is left out
 * and counted by its reason: an indicator that matches more than its author
 * meant does harm at a partner's. */
#ifndef RULES_EXPORT_H
#define RULES_EXPORT_H

#include <stdio.h>

#include "common/json.h"
#include "rules/ruleset.h"

#define EXPORT_REASONS_MAX 32

struct export
{
	const struct ruleset *r;
	FILE *out;
	int64_t now_us; /* for times that a format demands and the set has not */
	size_t written;
	struct {
		const char *why; /* static storage */
		size_t n;
	} left[EXPORT_REASONS_MAX];
	size_t reasons, left_n;
	enum indicator_type type; /* suricata: which one */
};

void export_leave(struct export *x, const char *why);

void export_csv(struct export *x);
void export_yaml(struct export *x); /* one set only */
void export_zeek(struct export *x);
void export_suricata(struct export *x); /* a dataset of x->type */
void export_maltrail(struct export *x); /* trails */
void export_plain(struct export *x);    /* values, one a line; of x->type, or of those that are told by their look */
void export_misp(struct export *x);
void export_stix(struct export *x);
/* One indicator as export_stix() writes it: a tree of the caller's. NULL: STIX cannot say it, *why says why
 * (static storage). */
struct json *export_stix_indicator(const struct indicator *i, const struct indicator_set *s, int64_t now_us,
				   const char **why);

#endif
