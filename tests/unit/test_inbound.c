/* What comes from a partner: what is refused, what is quarantined, and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "collector/inbound.h"
#include "common/clock.h"
#include "rules/gate.h"

#define ID    "indicator--01234567-0123-4123-8123-0123456789ab"
#define GREEN "\"object_marking_refs\":[\"marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb\"]"
#define RED   "\"object_marking_refs\":[\"marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1\"]"
#define NOW   1795600000000000ll /* 2026-11-25T… */

static void load(struct policies *p, const char *yaml)
{
	char path[] = "/tmp/picket-inbound-XXXXXX";
	struct diags d = {0};
	int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, yaml, strlen(yaml)) == (ssize_t)strlen(yaml));
	close(fd);
	if (!policies_load(p, "us", path, &d))
		diag_print(&d, stderr);
	assert_int_equal(d.count[DIAG_ERROR], 0);
	unlink(path);
}

static struct intake *poison(void)
{
	struct err e;
	struct intake *g = intake_new(NULL);
	assert_true(intake_add_own(g, "100.200.0.0/16", &e) && intake_seal(g, &e));
	return g;
}

struct one {
	const char *label;
	const char *members;   /* after type, id and the times */
	const char *extension; /* NULL = none */
	const char *code;      /* wanted; "" = none */
	int state;             /* -1 = refused */
};

static const char *object(const struct one *c, char out[static 4096])
{
	bool created = !strstr(c->members, "\"created\"");
	snprintf(out, 4096, "{\"type\":\"indicator\",\"spec_version\":\"2.1\",\"id\":\"" ID "\",%s%s%s%s%s}",
		 created ? "\"created\":\"2026-11-20T00:00:00.000Z\",\"modified\":\"2026-11-20T00:00:00.000Z\"," : "",
		 c->members, c->extension ? ",\"extensions\":{\"" SHARED_EXTENSION "\":" : "",
		 c->extension ? c->extension : "", c->extension ? "}" : "");
	return out;
}

#define P(pattern)                                                                                                     \
	"\"pattern\":\"" pattern "\",\"pattern_type\":\"stix\",\"valid_from\":\"2026-11-20T00:00:00Z\"," GREEN
#define GOOD P("[url:value = 'http://bad.example/x']")

static void cases(void **state)
{
	(void)state;
	struct policies p;
	load(&p, "partner: {id: jp}\nrelease: {exercises: [ke]}\ninbound: {mode: auto, tlp_max: amber+strict}\n");
	struct intake *gate = poison();
	char alias[GATE_ALIAS_LEN], aliased[200], text[4096];
	gate_alias(ID, "us", alias);
	snprintf(aliased, sizeof(aliased), "{\"origin\":\"x\",\"path\":[\"x\",\"%s\",\"jp\"]}", alias);
	const struct one list[] = {
	    {"good", GOOD, NULL, "", SHARED_ACTIVE},
	    {"through another", GOOD, "{\"origin\":\"x\",\"path\":[\"x\",\"jp\"]}", "", SHARED_ACTIVE},
	    {"an origin that is not named", GOOD,
	     "{\"origin\":\"~0123456789abcdef\",\"path\":[\"~0123456789abcdef\",\"jp\"]}", "", SHARED_ACTIVE},
	    {"an alias that is none", GOOD, "{\"origin\":\"~\",\"path\":[\"~\",\"jp\"]}", "invalid", -1},
	    {"the way ends with another", GOOD, "{\"origin\":\"x\",\"path\":[\"x\"]}", "forged-origin", -1},
	    {"the way begins with another", GOOD, "{\"origin\":\"y\",\"path\":[\"x\",\"jp\"]}", "forged-origin", -1},
	    {"said to be ours", GOOD, "{\"origin\":\"us\",\"path\":[\"us\",\"jp\"]}", "loop", -1},
	    {"said to be ours, without us on its way", GOOD, "{\"origin\":\"us\",\"path\":[\"jp\"]}", "forged-origin",
	     -1},
	    {"a loop", GOOD, "{\"origin\":\"x\",\"path\":[\"x\",\"us\",\"jp\"]}", "loop", -1},
	    {"a loop by an alias", GOOD, aliased, "loop", -1},
	    {"twice on the way", GOOD, "{\"origin\":\"x\",\"path\":[\"x\",\"y\",\"x\",\"jp\"]}", "loop", -1},
	    {"a longer way than its origin's", GOOD, "{\"origin\":\"jp\",\"path\":[\"jp\",\"x\",\"jp\"]}",
	     "forged-origin", -1},
	    {"a way that is no list", GOOD, "{\"path\":\"x\"}", "invalid", -1},
	    {"an extension that is none", GOOD, "7", "invalid", -1},
	    {"extensions that are a text", GOOD ",\"extensions\":\"x\"", NULL, "invalid", -1},
	    {"extensions that are a list", GOOD ",\"extensions\":[{}]", NULL, "invalid", -1},
	    {"no pattern", "\"pattern_type\":\"stix\",\"valid_from\":\"2026-11-20T00:00:00Z\"," GREEN, NULL, "invalid",
	     -1},
	    {"no time", GOOD ",\"created\":\"yesterday\",\"modified\":\"2026-11-20T00:00:00.000Z\"", NULL, "time", -1},
	    {"modified before created",
	     GOOD ",\"created\":\"2026-11-20T00:00:01.000Z\",\"modified\":\"2026-11-20T00:00:00.000Z\"", NULL, "time",
	     -1},
	    {"ends before it begins", GOOD ",\"valid_until\":\"2026-11-19T00:00:00Z\"", NULL, "time", -1},
	    {"from tomorrow",
	     GOOD ",\"created\":\"2027-11-20T00:00:00.000Z\",\"modified\":\"2027-11-20T00:00:00.000Z\"", NULL, "skew",
	     SHARED_QUARANTINE},
	    {"above the ceiling",
	     "\"pattern\":\"[url:value = 'http://bad.example/x']\",\"pattern_type\":\"stix\",\"valid_from\":"
	     "\"2026-11-20T00:00:00Z\"," RED,
	     NULL, "tlp", -1},
	    {"our exercise", GOOD, "{\"exercise\":\"ke\"}", "", SHARED_ACTIVE},
	    {"another exercise", GOOD, "{\"exercise\":\"other\"}", "exercise", -1},
	    {"the whole internet", P("[ipv4-addr:value ISSUBSET '0.0.0.0/0']"), NULL, "too-wide", SHARED_QUARANTINE},
	    {"a top-level domain", P("[domain-name:value LIKE '%.com']"), NULL, "too-wide", SHARED_QUARANTINE},
	    {"our own network", P("[ipv4-addr:value = '100.200.1.7']"), NULL, "own-range", SHARED_QUARANTINE},
	    {"hidden behind an OR", P("[url:value = 'http://bad.example/x' OR ipv4-addr:value = '100.200.1.7']"), NULL,
	     "own-range", SHARED_QUARANTINE},
	    {"what is not matched here is kept", P("[process:name = 'x'] FOLLOWEDBY [url:value = 'y']"), NULL, "",
	     SHARED_ACTIVE},
	    {"google.com", P("[domain-name:value = 'google.com']"), NULL, "everyday", SHARED_QUARANTINE},
	};
	struct inbound *in = inbound_new(&p, gate);
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		struct shared_box box;
		struct inbound_reason why;
		struct err e;
		object(&list[i], text);
		struct json *o = json_read(text, strlen(text), SHARED_OBJECT_MAX, &e);
		if (!o)
			fail_msg("%s: %s", list[i].label, e.text);
		bool taken = inbound_judge(in, &p.list[0], o, NOW, &box, &why);
		int got = taken ? (int)box.is.state : -1;
		if (got != list[i].state || strcmp(why.code, list[i].code) != 0)
			fail_msg("%s: state %d, %s (%s)", list[i].label, got, why.code, why.text);
		shared_box_free(&box);
	}
	inbound_free(in);
	intake_free(gate);
	policies_free(&p);
}

static bool takes(struct inbound *in, const struct policies *p, const char *more, const char **code)
{
	struct one c = {.members = GOOD};
	struct shared_box box;
	static struct inbound_reason why;
	char members[2000], text[4096];
	snprintf(members, sizeof(members), "%s%s", GOOD, more);
	c.members = members;
	object(&c, text);
	struct json *o = json_read(text, strlen(text), SHARED_OBJECT_MAX, NULL);
	bool taken = inbound_judge(in, &p->list[0], o, NOW, &box, &why);
	shared_box_free(&box);
	*code = why.code;
	return taken;
}

static void history(void **state)
{
	(void)state;
	struct policies p;
	const char *code;
	load(&p, "partner: {id: jp}\ninbound: {mode: review, quota: 100}\n");
	struct inbound *in = inbound_new(&p, NULL);
	assert_true(takes(in, &p, "", &code));
	inbound_revoked(in, &p.list[0], ID);
	assert_false(takes(in, &p, "", &code));
	assert_string_equal(code, "revoked");
	assert_true(takes(in, &p, ",\"revoked\":true", &code)); /* again: the same word */
	inbound_held(in, &p.list[0], 100);
	assert_false(takes(in, &p, ",\"revoked\":true", &code));
	assert_string_equal(code, "quota");
	inbound_held(in, &p.list[0], -1);
	assert_true(takes(in, &p, ",\"revoked\":true", &code));
	for (int i = 0; i < 10000; i++) {
		char id[64];
		snprintf(id, sizeof(id), "indicator--%d", i);
		inbound_revoked(in, &p.list[0], id);
	}
	assert_false(takes(in, &p, "", &code));
	inbound_free(in);
	policies_free(&p);
}

/* Ten times the rate: over a minute no more than burst + rate * time gets in. */
static void rate(void **state)
{
	(void)state;
	struct policies p;
	load(&p, "partner: {id: jp}\ninbound: {rate: 1000, burst: 5000}\n");
	struct inbound *in = inbound_new(&p, NULL);
	int64_t now = NOW, got = 0;
	for (; now < NOW + 60000000; now += 10000) /* 100 objects each 10 ms */
		if (!inbound_wait_us(in, &p.list[0], LANE_BULK, 100, now))
			got += 100;
	assert_in_range(got, 60 * 1000, 60 * 1000 + 5000);
	/* a batch larger than the bucket comes when it is full */
	now += 60000000;
	assert_int_equal(inbound_wait_us(in, &p.list[0], LANE_BULK, 8000, now), 0);
	assert_true(inbound_wait_us(in, &p.list[0], LANE_BULK, 1, now) > 0);
	int64_t wait = inbound_wait_us(in, &p.list[0], LANE_BULK, 1, now);
	assert_int_equal(inbound_wait_us(in, &p.list[0], LANE_BULK, 1, now + wait), 0);
	/* what bulk has used up is not taken from flash */
	assert_int_equal(inbound_wait_us(in, &p.list[0], LANE_BULK, 8000, now + wait + 60000000), 0);
	assert_int_equal(inbound_wait_us(in, &p.list[0], LANE_FLASH, 100, now + wait + 60000000), 0);
	inbound_free(in);
	policies_free(&p);
}

/* How many there may be is the policy's word, whatever else is asked of each. */
static void the_quota_is_the_policys(void **state)
{
	(void)state;
	static const struct intake_conf one_only = {.quota = 1};
	struct policies p;
	const char *code;
	struct err e;
	load(&p, "partner: {id: jp}\ninbound: {mode: auto, quota: 3}\n");
	struct intake *gate = intake_new(&one_only);
	assert_true(intake_seal(gate, &e));
	struct inbound *in = inbound_new(&p, gate);
	for (int i = 0; i < 3; i++) {
		assert_true(takes(in, &p, "", &code));
		assert_string_equal(code, "");
		inbound_held(in, &p.list[0], 1);
	}
	assert_false(takes(in, &p, "", &code));
	assert_string_equal(code, "quota");
	inbound_free(in);
	intake_free(gate);
	policies_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cases),
	    cmocka_unit_test(history),
	    cmocka_unit_test(rate),
	    cmocka_unit_test(the_quota_is_the_policys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
