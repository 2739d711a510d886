/* The parts of an object, for rules/gate.c: which of them may not go, and the
 * new tree without them.
 *
 * The places of what may not go are collected as selectors. Then a new tree is built without them, and
 * the granular markings that are left are written for the new places: where an entry of a list was cut, those
 * behind it move up. Nothing is taken out of a copy of the whole: a part that no pass has looked at cannot be in a
 * tree that is built part by part. */
#ifndef RULES_GATE_PARTS_H
#define RULES_GATE_PARTS_H

#include "common/buf.h"
#include "rules/gate.h"

/* One decision under way. */
struct gate {
	const struct policy *p;
	const struct shared *o;
	const struct gate_refs *refs;
	struct gate_reason *why;
	const char *type, *id;
	bool (*passes)(const struct gate *g, struct marking m); /* whether what bears m may go */
	char **cut; /* selectors of what may not go; sorted before it is asked */
	size_t cut_n, cut_cap;
	struct buf texts; /* texts under a granular marking that were cut, each with its NUL */
	char path[MARKING_SELECTOR_LEN];
	size_t path_n, nodes, depth;
	const char *top; /* the property at the top that the walk is in */
	bool broken;
};

enum gate_verdict gate_deny(struct gate *g, enum gate_why why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Both note places in g->cut; GATE_DENIED when the object cannot be judged. Granular first. */
enum gate_verdict gate_judge_granular(struct gate *g);
enum gate_verdict gate_judge_parts(struct gate *g);
bool gate_is_cut(const struct gate *g, const char *selector); /* after both */
struct json *gate_build(struct gate *g);
void gate_parts_free(struct gate *g);

bool gate_ref_key(const char *key);         /* ends in _ref or _refs */
bool gate_marking_ref_key(const char *key); /* one that refers to a marking */

#endif
