/* What is set aside under load, and when: the steps as a table of looks, and for
 * each step which packets lose their payload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <netinet/in.h>

#include "sensor/overload.h"

#define MS 1000

static const struct overload_conf defaults = {.mode = OVERLOAD_AUTO, .high = 50, .low = 10, .hold_us = 5000 * MS};

static void steps_follow_the_load(void **state)
{
	static const struct {
		const char *label;
		int at_ms, fill;
		uint64_t drops;
		enum shed want;
	} looks[] = {
	    {"quiet", 100, 0, 0, SHED_NOTHING},
	    {"below high", 150, 49, 0, SHED_NOTHING},
	    {"half full", 200, 50, 0, SHED_EXTRAS},
	    {"still, but too soon for more", 250, 80, 0, SHED_EXTRAS},
	    {"still after the pause", 400, 80, 0, SHED_BULK},
	    {"between low and high: stays", 700, 30, 0, SHED_BULK},
	    {"a drop counts as full", 750, 0, 5, SHED_STREAMS},
	    {"the top is the top", 1500, 100, 90, SHED_STREAMS},
	    {"no new drops: calm begins", 1600, 5, 90, SHED_STREAMS},
	    {"calm, not long enough", 6500, 5, 90, SHED_STREAMS},
	    {"calm for 5 s: one step back", 6600, 5, 90, SHED_BULK},
	    {"the next takes 5 s more", 11500, 10, 90, SHED_BULK},
	    {"a little more begins anew", 11550, 11, 90, SHED_BULK},
	    {"calm again", 11600, 10, 90, SHED_BULK},
	    {"not yet", 16500, 0, 90, SHED_BULK},
	    {"back", 16600, 0, 90, SHED_EXTRAS},
	    {"full again", 16700, 60, 90, SHED_BULK},
	    {"calm", 16800, 0, 90, SHED_BULK},
	    {"back once", 21800, 0, 90, SHED_EXTRAS},
	    {"back to nothing", 26800, 0, 90, SHED_NOTHING},
	    {"and no farther", 40000, 0, 90, SHED_NOTHING},
	};
	struct overload o;
	(void)state;
	overload_init(&o, &defaults);
	for (size_t i = 0; i < sizeof(looks) / sizeof(*looks); i++) {
		enum shed before = o.shed;
		bool changed = overload_look(&o, (int64_t)looks[i].at_ms * MS, looks[i].fill, looks[i].drops);
		if (o.shed != looks[i].want)
			fail_msg("%s: %d, expected %d", looks[i].label, (int)o.shed, (int)looks[i].want);
		assert_int_equal(changed, o.shed != before);
	}
}

static void a_fixed_step_stays(void **state)
{
	static const enum shed want[] = {[OVERLOAD_OFF] = SHED_NOTHING,
					 [OVERLOAD_EXTRAS] = SHED_EXTRAS,
					 [OVERLOAD_BULK] = SHED_BULK,
					 [OVERLOAD_STREAMS] = SHED_STREAMS};
	(void)state;
	for (enum overload_mode m = OVERLOAD_OFF; m <= OVERLOAD_STREAMS; m++) {
		struct overload_conf c = defaults;
		struct overload o;
		c.mode = m;
		overload_init(&o, &c);
		assert_int_equal(o.shed, want[m]);
		assert_false(overload_look(&o, 1000 * MS, 100, 1000));
		assert_false(overload_look(&o, 100000 * MS, 0, 1000));
		assert_int_equal(o.shed, want[m]);
	}
}

static void fill_follows_from_age(void **state)
{
	(void)state;
	/* 100 MB/s, the packet in hand is 320 ms old: 32 MB wait in a ring of 64 MB. */
	assert_int_equal(overload_fill(320 * MS, 5000000, 50 * MS, 64000000), 50);
	assert_int_equal(overload_fill(10 * MS, 5000000, 50 * MS, 64000000), 1);
	assert_int_equal(overload_fill(3600000LL * MS, 5000000, 50 * MS, 64000000), 100); /* the clock was set */
	assert_int_equal(overload_fill(-5 * MS, 5000000, 50 * MS, 64000000), 0);
	/* Few bytes: a block of the ring for each 10 ms, 244 of them in all. */
	assert_int_equal(overload_fill(320 * MS, 100, 0, 64000000), 13);
	assert_int_equal(overload_fill(320 * MS, 1000, 50 * MS, 64000000), 13);
	assert_int_equal(overload_fill(320 * MS, 0, 50 * MS, 64000000), 0);
	assert_int_equal(overload_fill(320 * MS, 5000000, 50 * MS, 0), 0);
}

struct kind {
	const char *label;
	struct flow f;
	struct layer l;
	bool dns, patterns;
	bool shed[SHED_COUNT];
};

static void bulk_goes_first(void **state)
{
	const struct kind kinds[] = {
	    {"no payload", {.parser = 0}, {.proto = IPPROTO_TCP}, false, true, {0, 0, 0, 0}},
	    {"ICMP", {.parser = 0}, {.proto = IPPROTO_ICMP, .payload_wire_n = 9}, false, true, {0, 0, 0, 0}},
	    {"DNS",
	     {.parser = 0, .packets = {255, 255}},
	     {.proto = IPPROTO_UDP, .payload_wire_n = 9},
	     true,
	     true,
	     {0, 0, 0, 0}},
	    {"DNS over TCP",
	     {.parser = 3, .packets = {255, 255}},
	     {.proto = IPPROTO_TCP, .payload_wire_n = 9},
	     true,
	     true,
	     {0, 0, 0, 0}},
	    {"new stream",
	     {.packets = {2, 1}},
	     {.proto = IPPROTO_TCP, .payload_wire_n = 9},
	     false,
	     false,
	     {0, 0, 0, 1}},
	    {"unrecognised stream",
	     {.packets = {9, 1}},
	     {.proto = IPPROTO_TCP, .payload_wire_n = 9},
	     false,
	     false,
	     {0, 1, 1, 1}},
	    {"recognised stream",
	     {.parser = 1, .packets = {64, 1}},
	     {.proto = IPPROTO_TCP, .payload_wire_n = 9},
	     false,
	     false,
	     {0, 0, 0, 1}},
	    {"long stream",
	     {.parser = 1, .packets = {65, 1}},
	     {.proto = IPPROTO_TCP, .payload_wire_n = 9},
	     false,
	     false,
	     {0, 0, 1, 1}},
	    {"first datagram",
	     {.packets = {1, 0}},
	     {.proto = IPPROTO_UDP, .payload_wire_n = 9},
	     false,
	     false,
	     {0, 0, 0, 1}},
	    {"unknown datagram",
	     {.tries = 1, .packets = {2, 0}},
	     {.proto = IPPROTO_UDP, .payload_wire_n = 9},
	     false,
	     false,
	     {0, 1, 1, 1}},
	    {"done, no patterns",
	     {.flags = FLOW_DONE, .packets = {255, 9}},
	     {.proto = IPPROTO_TCP, .payload_wire_n = 9},
	     false,
	     false,
	     {0, 0, 0, 0}},
	    {"done, patterns",
	     {.flags = FLOW_DONE, .parser = 1},
	     {.proto = IPPROTO_TCP, .payload_wire_n = 9},
	     false,
	     true,
	     {0, 1, 1, 1}},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		for (enum shed s = SHED_NOTHING; s < SHED_COUNT; s++)
			if (overload_sheds(s, &kinds[i].f, TO_SERVER, &kinds[i].l, kinds[i].dns, kinds[i].patterns) !=
			    kinds[i].shed[s])
				fail_msg("%s at step %d", kinds[i].label, (int)s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(steps_follow_the_load),
	    cmocka_unit_test(a_fixed_step_stays),
	    cmocka_unit_test(fill_follows_from_age),
	    cmocka_unit_test(bulk_goes_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
