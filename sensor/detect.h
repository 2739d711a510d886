/* From an observable to an alert: look it up, drop what this flow has alerted on
 * already, put the alert together and hand it on. One per worker. */
#ifndef SENSOR_DETECT_H
#define SENSOR_DETECT_H

#include "rules/alert.h"
#include "rules/conditions.h"
#include "rules/hiding.h"
#include "rules/ruleset_ahead.h"
#include "sensor/inspect.h"
#include "sensor/packet.h"
#include "sensor/pending.h"
#include "sensor/seen.h"

/* Takes an alert raised with set r; everything in it is borrowed for the call.
 * repeat: the same indicator, flow and place as an earlier one: to be counted,
 * not told again. False: it could not be kept (counted as lost). */
typedef bool detect_alert_fn(void *owner, const struct ruleset *r, const struct alert *a, bool repeat);

struct heuristic_tap;

struct detector {
	const struct ruleset *rules;
	struct hiding *hiding;               /* of the same set; NULL: nothing is hidden */
	const struct conditions *conditions; /* of the same set; NULL: it has none */
	struct pending *pending;
	uint32_t object, objects; /* the object of the flow that is told of, 0: none; how many there were */
	const struct alert_origin *origin;
	struct ledger *ledger;
	struct seen *seen;
	struct heuristic_tap *tap; /* NULL: no heuristics */
	const char *iface;
	detect_alert_fn *alert;
	void *owner;
	/* The packet in hand; NULL when a flow is told of without one (its end). */
	const struct layer *layer;
	const struct layer *outer; /* the layer around it, NULL if none */
};

/* What a flow's two ends will ask of the rule set, put to it ahead (rules/ruleset_ahead.h). */
struct ends_ahead {
	bool asked; /* false: nothing is known */
	uint8_t observables;
	struct ruleset_ahead of;
};
void detect_ends_ahead(const struct ruleset *r, const struct flow_key *k, struct ends_ahead *out);
/* True: nothing hits, and all that detect_addresses() would do has been done. */
bool detect_ends_quiet(const struct detector *d, const struct ends_ahead *a);

/* Matches the flow's two addresses and endpoints. outer: this layer is the
 * wrapping of a tunnel. */
void detect_addresses(struct inspect *in, bool outer);

/* The same for the values of STIX patterns; d->conditions must be there. */
void detect_address_terms(struct inspect *in, bool outer);

/* The flow's application protocol has been recognised: for STIX patterns that ask for it. */
void detect_protocol(struct inspect *in);

/* A payload pattern was found. */
void detect_pattern(struct inspect *in, ruleset_ref ref);

/* A hit that was found elsewhere (heuristics). */
void detect_hit(struct inspect *in, enum where w, ruleset_ref ref, const void *value, size_t n);

#endif
