/* A policy, an object and its envelope, from bytes: the first line chooses the
 * policy, the rest is the object. What goes out must be JSON, must not be what a
 * part marked above the ceiling holds, and must pass the same gate again unchanged.
 * For: rules/gate.c rules/gate_fields.c rules/gate_parts.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char group[] = "g", indicator[] = "indicator", sighting[] = "sighting", marking[] = "marking-definition";

static const struct policies *policy(void)
{
	static char *groups[] = {group}, *types[] = {indicator, sighting, marking};
	static struct policy one = {.id = group};
	static struct policies p = {.list = &one, .n = 1, .own = "us"};
	one.all = &p;
	one.release.groups = (struct conf_list){groups, 1};
	one.release.types = (struct conf_list){types, 3};
	one.release.hops = 4;
	return &p;
}

static bool any(void *arg, const char *id)
{
	(void)arg;
	return strlen(id) % 2 == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct shared_box b;
	struct json *out = NULL, *again = NULL;
	struct gate_reason why;
	struct gate_refs refs = {.may = any};
	const struct policies *all = policy();
	struct policy p = all->list[0];
	if (n < 2)
		return 0;
	p.release.tlp_max = data[0] % TLP_COUNT;
	p.release.pap_max = data[0] / TLP_COUNT % PAP_COUNT;
	p.release.unaddressed = data[1] % (p.release.tlp_max + 1);
	p.release.profile = PROFILE_TAXII;
	struct json *o = json_read(data + 2, n - 2, SHARED_OBJECT_MAX, NULL);
	if (!o)
		return 0;
	if (!shared_box_read(&b, o, data[1] & 0x80 ? "them" : "", NULL)) {
		shared_box_free(&b);
		return 0;
	}
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
