/* A policy and an object with its envelope: two bytes choose ceilings, profile and who it came
 * from, the third (enum choice) the rest; then the object. What goes out must be JSON, must not be
 * what a part marked above the ceiling holds, and must pass the same gate again unchanged.
 * For: rules/gate.c rules/gate_fields.c rules/gate_parts.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum choice {
	PROFILES = 3, /* bits 0 and 1 */
	ANONYMOUS = 4,
	VICTIMS = 8,
	STATEMENTS = 16,
	EXERCISES = 32,
	ENDED = 64,
	IN_REVIEW = 128,
};

static char group[] = "g", exercise[] = "e1", indicator[] = "indicator", sighting[] = "sighting",
	    marking[] = "marking-definition", observed[] = "observed-data", opinion[] = "opinion", ended[] = "1970";

static struct policy policy(const uint8_t head[3])
{
	static char *groups[] = {group}, *types[] = {indicator, sighting, marking, observed, opinion},
		    *exercises[] = {exercise};
	static struct policy one = {.id = group};
	static struct policies all = {.list = &one, .n = 1, .own = "us"};
	struct policy p = {.id = group, .all = &all};
	p.release.groups = (struct conf_list){groups, 1};
	p.release.types = (struct conf_list){types, sizeof(types) / sizeof(*types)};
	p.release.exercises = (struct conf_list){exercises, head[2] & EXERCISES ? 1 : 0};
	p.release.hops = 4;
	p.release.tlp_max = head[0] % TLP_COUNT;
	p.release.pap_max = head[0] / TLP_COUNT % PAP_COUNT;
	p.release.unaddressed = head[1] % (p.release.tlp_max + 1);
	p.release.profile = head[2] & PROFILES;
	p.release.path = head[2] & ANONYMOUS ? PATH_ANONYMOUS : PATH_FULL;
	p.release.victim_detail = head[2] & VICTIMS;
	p.release.statements = head[2] & STATEMENTS;
	p.valid_until = head[2] & ENDED ? ended : NULL;
	p.valid_until_us = head[2] & ENDED ? 1 : 0;
	return p;
}

static bool any(void *arg, const char *id)
{
	(void)arg;
	return strlen(id) % 2 == 0;
}

static void count_ref(void *arg, const char *id)
{
	unsigned *refs = arg;
	*refs += strlen(id) > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct shared_box b;
	struct json *out = NULL, *again = NULL;
	struct gate_reason why;
	struct gate_refs refs = {.may = any};
	unsigned named = 0;
	if (n < 3)
		return 0;
	struct policy p = policy(data);
	struct json *o = json_read(data + 3, n - 3, SHARED_OBJECT_MAX, NULL);
	if (!o)
		return 0;
	if (!shared_box_read(&b, o, data[1] & 0x80 ? "them" : "", NULL)) {
		shared_box_free(&b);
		return 0;
	}
	if (data[2] & IN_REVIEW)
		b.is.state = SHARED_REVIEW;
	gate_each_ref(b.is.stix, count_ref, &named);
	enum gate_verdict v = gate_release_refs(&p, &b.is, 1, &refs, &out, &why);
	if (!out != (v == GATE_DENIED) || (why.why == GATE_OK) != (v != GATE_DENIED))
		abort();
	if (out) {
		struct shared s = b.is;
		struct buf x = {0}, y = {0};
		s.stix = out;
		if (gate_release_refs(&p, &s, 1, &refs, &again, &why) != GATE_RELEASED)
			abort();
		json_write(out, &x);
		json_write(again, &y);
		if (x.n != y.n || memcmp(x.p, y.p, x.n) != 0)
			abort();
		buf_free(&x);
		buf_free(&y);
	}
	json_drop(out);
	json_drop(again);
	shared_box_free(&b);
	return 0;
}
