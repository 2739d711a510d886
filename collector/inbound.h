/* Whatever comes from a partner, by any way (link, TAXII, bundle), is judged here
 * before it is stored. Nothing of a partner is believed because of the way it came:
 *
 *   refused   it is not kept: no STIX object, a forged way, a loop, above the
 *             ceiling, another exercise, over the quota, a version after its
 *             revocation … ; the rest of the batch goes on
 *   quarantine  kept, shown, never used or passed on: poison (rules/intake.h), times in the future
 *   review    kept until a person accepts it (the policy's mode)
 *   active    used and passed on as its marking allows
 *
 * Prevalence: what an indicator would hit here is not known before it is
 * tried, because sensors do not report what does not match. So an accepted
 * indicator is on trial: collector/sighting.h counts the assets that it
 * hits, and above inbound.prevalence_max it goes to quarantine and off the sensors.
 *
 * Codes of reasons are stable words that tools may count by:
 *   invalid type time skew forged-origin loop hops tlp exercise quota revoked
 *   and those of rules/intake.h. What is in quarantine keeps its code (prevalence and
 *   false-positives: collector/sighting.c) for picket partner review. */
#ifndef COLLECTOR_INBOUND_H
#define COLLECTOR_INBOUND_H

#include <stdbool.h>
#include <stdint.h>

#include "rules/intake.h"
#include "rules/policy.h"

struct inbound;

/* Both are borrowed; gate may be NULL (no poison checks: tests). */
struct inbound *inbound_new(const struct policies *p, const struct intake *gate);
void inbound_free(struct inbound *in);

struct inbound_reason {
	const char *code; /* static; "" = taken without a word */
	char text[300];   /* for both sides: it says nothing that the partner did not send */
};

/* box takes stix and is to be freed whatever comes out. True: to be stored with
 * box->is.state. False: refused. */
bool inbound_judge(struct inbound *in, const struct policy *from, struct json *stix, int64_t now_us,
		   struct shared_box *box, struct inbound_reason *why);

/* n objects more at once: 0 = they may come, else in so many microseconds; nothing is taken
 * then. Each lane has its own measure, so flash does not wait for what bulk has used up. */
int64_t inbound_wait_us(struct inbound *in, const struct policy *from, enum lane lane, uint64_t n, int64_t now_us);

/* What the store has of a partner: to be told at the start, and as it changes. */
void inbound_held(struct inbound *in, const struct policy *from, int64_t change);
void inbound_revoked(struct inbound *in, const struct policy *from, const char *id);

#endif
