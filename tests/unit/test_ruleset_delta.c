/* Changes to a set: a copy that was patched again and again must answer as a set
 * that is built from the same indicators at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "rules/canon.h"
#include "rules/ruleset_delta.h"
#include "rules/ruleset_format.h"

#define NOW_US      INT64_C(1700000000000000)
#define UNIVERSE    1600
#define START       1200
#define ROUNDS      60
#define CHANGES_MAX 60
#define LINE_ROOM   512

static const char *const set_ids[] = {"alpha", "beta", "gamma"};
static const char *const files[] = {"a.csv", "b.yaml"};

/* Everything that could ever be listed; `listed` is the model of the set. */
struct one {
	struct indicator i;
	char value[80];
	unsigned set;
	bool listed;
	unsigned changed; /* the last delta that added it: within one, the more severe would stay */
};
static struct one universe[UNIVERSE];
static uint32_t version[3];

static unsigned under(unsigned n)
{
	return (unsigned)rand() % n;
}

/* Keys are few, so that sets, types and spellings share them. */
static enum indicator_type make_value(char *out, size_t room)
{
	unsigned k = under(170);
	switch (under(9)) {
	case 0:
	case 1:
		snprintf(out, room, "%s%u.Example", under(3) ? "n" : "www.n", k);
		return INDICATOR_DOMAIN;
	case 2:
		snprintf(out, room, "n%u.example", k);
		return INDICATOR_HOSTNAME;
	case 3:
		snprintf(out, room, "198.51.%u.%u", k % 4, k);
		return INDICATOR_IP;
	case 4:
		snprintf(out, room, "198.51.%u.0/24", k % 100);
		return INDICATOR_CIDR;
	case 5:
		snprintf(out, room, "2001:db8:%x::/48", k % 50);
		return INDICATOR_CIDR;
	case 6:
		snprintf(out, room, "http://n%u.example/a/%u", k % 20, k);
		return INDICATOR_URL;
	case 7:
		snprintf(out, room, "%064x", k);
		return INDICATOR_FILE_SHA256;
	default:
		snprintf(out, room, "de ad be ef %02x", k);
		return INDICATOR_PAYLOAD_HEX;
	}
}

static bool same_one(const struct one *a, const struct one *b)
{
	const char *w = a->i.where ? a->i.where : "", *v = b->i.where ? b->i.where : "";
	return a->set == b->set && a->i.type == b->i.type && a->i.match == b->i.match && strcmp(w, v) == 0 &&
	       strcmp(a->value, b->value) == 0;
}

static void make_universe(void)
{
	for (unsigned n = 0; n < UNIVERSE;) {
		struct one *u = &universe[n];
		*u = (struct one){.set = under(3)};
		u->i.type = make_value(u->value, sizeof(u->value));
		u->i.value = u->value;
		u->i.match = u->i.type == INDICATOR_URL && under(2) ? MATCH_PREFIX : MATCH_EXACT;
		u->i.where = u->i.type == INDICATOR_DOMAIN && under(3) == 0 ? "dns" : NULL;
		u->i.labels = under(2) ? "c2" : NULL;
		u->i.file = files[under(2)];
		bool known = false;
		for (unsigned k = 0; k < n; k++)
			known |= same_one(&universe[k], u);
		n += !known;
	}
}

static struct indicator_set head_of(unsigned set)
{
	return (struct indicator_set){.id = set_ids[set], .title = "A set", .version = version[set], .tlp = TLP_GREEN};
}

static void dress(struct one *u)
{
	u->listed = true;
	u->i.severity = (enum severity)under(SEVERITY_COUNT);
	u->i.line = 1 + under(100000);
}

static void allow_some(struct ruleset_builder *b)
{
	struct err e = {""};
	assert_true(ruleset_allow(b, INDICATOR_DOMAIN, "n7.example", "ours", 0, &e));
	assert_true(ruleset_allow(b, INDICATOR_CIDR, "198.51.3.0/24", "ours", 0, &e));
	assert_true(ruleset_allow(b, INDICATOR_IP, "198.51.1.9", "ours", 0, &e));
}

static struct ruleset *build_model(void)
{
	struct ruleset_builder *b = ruleset_builder_new();
	struct err e = {""};
	for (unsigned s = 0; s < 3; s++) {
		struct indicator_set head = head_of(s);
		ruleset_add_set(b, &head);
	}
	for (unsigned n = 0; n < UNIVERSE; n++)
		if (universe[n].listed && ruleset_add(b, universe[n].set, &universe[n].i, &e) != ADDED)
			fail_msg("%s: %s", universe[n].value, e.text);
	allow_some(b);
	struct ruleset *r = ruleset_build(b, &e);
	if (!r)
		fail_msg("%s", e.text);
	ruleset_builder_free(b);
	return r;
}

/* ---- comparing ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *told(const struct ruleset *r, ruleset_ref ref)
{
	static char line[UNIVERSE][LINE_ROOM];
	static unsigned next;
	char *out = line[next++ % UNIVERSE];
	struct indicator i = ruleset_indicator(r, ref);
	struct indicator_set s = ruleset_set(r, ref);
	snprintf(out, LINE_ROOM, "%d %s %s m%d w%s s%d l%s %s:%u id%s %s v%u", (int)i.type, i.value, s.id, (int)i.match,
		 i.where ? i.where : "-", (int)i.severity, i.labels ? i.labels : "-", i.file ? i.file : "-", i.line,
		 i.id, s.title ? s.title : "-", s.version);
	return out;
}

/* All of the set, or what a lookup found, as sorted lines. */
static void tell(const struct ruleset *r, const struct ruleset_hits *hits, struct buf *out)
{
	char *lines[UNIVERSE];
	size_t n = hits ? hits->n : ruleset_count(r, INDICATOR_NONE);
	assert_true(n <= UNIVERSE);
	for (size_t i = 0; i < n; i++)
		lines[i] = told(r, hits ? hits->ref[i] : (ruleset_ref)i);
	qsort(lines, n, sizeof(*lines), by_text);
	out->n = 0;
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s\n", lines[i]);
	buf_u8(out, 0);
}

static void tell_patterns(const struct ruleset *r, struct buf *out)
{
	char *lines[UNIVERSE];
	size_t n = ruleset_pattern_count(r);
	struct indicator i;
	for (size_t k = 0; k < n; k++)
		lines[k] = told(r, ruleset_pattern(r, k, &i));
	qsort(lines, n, sizeof(*lines), by_text);
	out->n = 0;
	for (size_t k = 0; k < n; k++)
		buf_printf(out, "%s\n", lines[k]);
	buf_u8(out, 0);
}

static void same_text(const char *what, const struct buf *a, const struct buf *b)
{
	if (strcmp((const char *)a->p, (const char *)b->p) != 0)
		fail_msg("%s:\nwith changes:\n%s\nat once:\n%s", what, (const char *)a->p, (const char *)b->p);
}

static const enum where asked[] = {WHERE_DNS_QUERY, WHERE_TLS_SNI, WHERE_IP_SRC, WHERE_HTTP_URL, WHERE_FILE_SHA256};

static void ask_both(const struct ruleset *a, const struct ruleset *b, enum where w, const void *value, size_t n,
		     struct buf *x, struct buf *y)
{
	struct ruleset_hits in_a = {.n = 0}, in_b = {.n = 0};
	uint64_t allowed_a = 0, allowed_b = 0;
	ruleset_match(a, w, value, n, NOW_US, &in_a, &allowed_a);
	ruleset_match(b, w, value, n, NOW_US, &in_b, &allowed_b);
	tell(a, &in_a, x);
	tell(b, &in_b, y);
	same_text(where_name(w), x, y);
	assert_int_equal(allowed_a, allowed_b);
}

static void compare(const struct ruleset *a, const struct ruleset *b)
{
	struct buf x = {0}, y = {0};
	for (int t = 0; t < INDICATOR_TYPE_COUNT; t++)
		assert_int_equal(ruleset_count(a, (enum indicator_type)t), ruleset_count(b, (enum indicator_type)t));
	assert_int_equal(ruleset_types(a), ruleset_types(b));
	assert_int_equal(ruleset_allow_count(a), ruleset_allow_count(b));
	tell(a, NULL, &x);
	tell(b, NULL, &y);
	same_text("all", &x, &y);
	tell_patterns(a, &x);
	tell_patterns(b, &y);
	same_text("patterns", &x, &y);
	for (unsigned k = 0; k < 240; k++) {
		char text[96];
		struct canon c;
		make_value(text, sizeof(text));
		for (size_t w = 0; w < sizeof(asked) / sizeof(*asked); w++) {
			bool addr = where_types(asked[w]) & INDICATOR_BIT(INDICATOR_IP);
			if (addr && !canon_rule(INDICATOR_IP, text, strlen(text), &c, NULL))
				continue;
			ask_both(a, b, asked[w], addr ? (const void *)c.key : text, addr ? c.n : strlen(text), &x, &y);
		}
	}
	buf_free(&x);
	buf_free(&y);
}

static void survives_the_file(const struct ruleset *r)
{
	char path[] = "/tmp/test_ruleset_delta.XXXXXX";
	struct err e = {""};
	int fd = mkstemp(path);
	assert_true(fd >= 0 && close(fd) == 0);
	if (!ruleset_write(r, path, &e))
		fail_msg("%s", e.text);
	struct ruleset *again = ruleset_open(path, true, &e);
	if (!again)
		fail_msg("%s", e.text);
	assert_string_equal(ruleset_digest(again), ruleset_digest(r));
	compare(again, r);
	ruleset_free(again);
	unlink(path);
}

/* ---- random walks ---- */

static void change_one(struct ruleset_delta *d, const uint32_t *number, unsigned round)
{
	struct err e = {""};
	struct one *u = &universe[under(UNIVERSE)];
	if (u->changed != round && (!u->listed || under(4) == 0)) {
		u->changed = round;
		dress(u);
		assert_int_not_equal(ruleset_delta_add(d, number[u->set], &u->i, &e), ADDED_INVALID);
	}
}

/* Removing takes all of a set with the canonical value; what the delta also adds stays. */
static void remove_one(struct ruleset_delta *d, const uint32_t *number)
{
	struct canon value, other;
	struct err e = {""};
	struct one *u = &universe[under(UNIVERSE)];
	size_t removed = 0, expected = 0;
	assert_true(canon_rule(u->i.type, u->value, strlen(u->value), &value, &e));
	for (unsigned n = 0; n < UNIVERSE; n++) {
		struct one *v = &universe[n];
		if (!v->listed || v->set != u->set || v->i.type != u->i.type)
			continue;
		assert_true(canon_rule(v->i.type, v->value, strlen(v->value), &other, &e));
		if (other.n != value.n || memcmp(other.key, value.key, value.n) != 0)
			continue;
		v->listed = false;
		expected++;
	}
	assert_true(ruleset_delta_remove(d, number[u->set], u->i.type, u->value, &removed, &e));
	assert_true(removed >= expected); /* a value that is named twice is found twice */
}

static struct ruleset *random_delta(const struct ruleset *base, unsigned removals, unsigned additions, unsigned round)
{
	struct ruleset_delta *d = ruleset_delta_new(base);
	uint32_t number[3];
	struct err e = {""};
	for (unsigned s = 0; s < 3; s++) {
		version[s] += under(2);
		struct indicator_set head = head_of(s);
		number[s] = ruleset_delta_set(d, &head);
		assert_int_equal(ruleset_delta_set(d, &head), number[s]);
	}
	for (unsigned i = 0; i < removals; i++)
		remove_one(d, number);
	for (unsigned i = 0; i < additions; i++)
		change_one(d, number, round);
	struct ruleset *r = ruleset_delta_apply(d, &e);
	if (!r)
		fail_msg("%s", e.text);
	ruleset_delta_free(d);
	return r;
}

static void walks_agree_with_a_new_build(void **state)
{
	unsigned seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : (unsigned)time(NULL), patched = 0;
	(void)state;
	print_message("SEED=%u\n", seed);
	srand(seed);
	make_universe();
	for (unsigned n = 0; n < START; n++)
		dress(&universe[n]);
	struct ruleset *now = build_model();
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct ruleset *next = random_delta(now, under(CHANGES_MAX), under(CHANGES_MAX), round + 1);
		patched += next->head.stale > 0;
		ruleset_free(now);
		now = next;
		struct ruleset *model = build_model();
		compare(now, model);
		ruleset_free(model);
		if (round % 20 == 0)
			survives_the_file(now);
	}
	ruleset_free(now);
	print_message("%u of %u deltas were patched in, the others built anew\n", patched, ROUNDS);
	assert_in_range(patched, ROUNDS / 4, ROUNDS - 1);
}

/* ---- single facts ---- */

static struct ruleset *small(void)
{
	struct ruleset_builder *b = ruleset_builder_new();
	struct err e = {""};
	char name[32];
	ruleset_add_set(b, &(struct indicator_set){.id = "one", .version = 1});
	ruleset_add_set(b, &(struct indicator_set){.id = "two", .version = 1});
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		struct indicator k = {.type = INDICATOR_DOMAIN, .value = name};
		assert_int_equal(ruleset_add(b, (uint32_t)(i & 1), &k, &e), ADDED);
	}
	struct ruleset *r = ruleset_build(b, &e);
	assert_non_null(r);
	ruleset_builder_free(b);
	return r;
}

static size_t found(const struct ruleset *r, enum where w, const char *text)
{
	struct ruleset_hits hits = {.n = 0};
	struct canon c;
	if (where_types(w) & INDICATOR_BIT(INDICATOR_IP)) {
		assert_true(canon_rule(INDICATOR_IP, text, strlen(text), &c, NULL));
		ruleset_match(r, w, c.key, c.n, NOW_US, &hits, NULL);
	} else {
		ruleset_match(r, w, text, strlen(text), NOW_US, &hits, NULL);
	}
	return hits.n;
}

/* A set of names only gets its first address, network, URL and pattern. */
static void first_of_a_type(void **state)
{
	static const struct indicator added[] = {
	    {.type = INDICATOR_IP, .value = "192.0.2.1"},
	    {.type = INDICATOR_CIDR, .value = "198.51.100.0/24"},
	    {.type = INDICATOR_CIDR, .value = "2001:db8::/32"},
	    {.type = INDICATOR_URL, .value = "http://a.example/b/", .match = MATCH_PREFIX},
	    {.type = INDICATOR_PAYLOAD_HEX, .value = "de ad be ef 00"},
	    {.type = INDICATOR_DOMAIN, .value = "very.deep.name.of.a.example"},
	};
	struct ruleset *base = small();
	struct ruleset_delta *d = ruleset_delta_new(base);
	struct err e = {""};
	(void)state;
	uint32_t set = ruleset_delta_set(d, &(struct indicator_set){.id = "three", .version = 9});
	for (size_t i = 0; i < sizeof(added) / sizeof(*added); i++)
		assert_int_equal(ruleset_delta_add(d, set, &added[i], &e), ADDED);
	struct ruleset *r = ruleset_delta_apply(d, &e);
	assert_non_null(r);
	assert_true(r->head.stale > 0); /* patched, not built anew */
	assert_int_equal(found(r, WHERE_IP_SRC, "192.0.2.1"), 1);
	assert_int_equal(found(r, WHERE_IP_SRC, "198.51.100.77"), 1);
	assert_int_equal(found(r, WHERE_IP_SRC, "2001:db8::5"), 1);
	assert_int_equal(found(r, WHERE_HTTP_URL, "http://a.example/b/c"), 1);
	assert_int_equal(found(r, WHERE_DNS_QUERY, "x.very.deep.name.of.a.example"), 1);
	assert_int_equal(ruleset_pattern_count(r), 1);
	assert_int_equal(ruleset_set_count(r), 3);
	assert_int_equal(ruleset_set_at(r, 2).version, 9);
	assert_int_equal(ruleset_count(base, INDICATOR_NONE), 1000); /* the base is as it was */
	assert_int_equal(found(base, WHERE_IP_SRC, "192.0.2.1"), 0);
	ruleset_delta_free(d);
	ruleset_free(base);
	ruleset_free(r);
}

static void a_set_is_dropped(void **state)
{
	struct ruleset *base = small();
	struct ruleset_delta *d = ruleset_delta_new(base);
	struct err e = {""};
	(void)state;
	ruleset_delta_drop(d, ruleset_delta_set(d, &(struct indicator_set){.id = "two"}));
	struct ruleset *r = ruleset_delta_apply(d, &e);
	assert_non_null(r);
	assert_int_equal(ruleset_count(r, INDICATOR_NONE), 500);
	assert_int_equal(ruleset_set_count(r), 1);
	assert_int_equal(found(r, WHERE_DNS_QUERY, "n4.example"), 1);
	assert_int_equal(found(r, WHERE_DNS_QUERY, "n5.example"), 0);
	ruleset_delta_free(d);
	ruleset_free(base);
	ruleset_free(r);
}

static void what_is_refused(void **state)
{
	struct ruleset *base = small();
	struct ruleset_delta *d = ruleset_delta_new(base);
	struct err e = {""};
	size_t n = 7;
	(void)state;
	uint32_t set = ruleset_delta_set(d, &(struct indicator_set){.id = "one"});
	assert_false(ruleset_delta_remove(d, set, INDICATOR_IP, "300.1.2.3", &n, &e));
	assert_non_null(strstr(e.text, "300.1.2.3"));
	assert_false(ruleset_delta_remove(d, 9, INDICATOR_IP, "192.0.2.1", &n, &e));
	assert_non_null(strstr(e.text, "no rule set number 9"));
	assert_true(ruleset_delta_remove(d, set, INDICATOR_DOMAIN, "n1.example", &n, &e));
	assert_int_equal(n, 0); /* it is the other set's */
	assert_true(ruleset_delta_remove(d, set, INDICATOR_DOMAIN, "N2.EXAMPLE.", &n, &e));
	assert_int_equal(n, 1);
	struct indicator bad = {.type = INDICATOR_CIDR, .value = "192.0.2.1/24"};
	assert_int_equal(ruleset_delta_add(d, set, &bad, &e), ADDED_INVALID);
	struct ruleset *r = ruleset_delta_apply(d, &e);
	assert_non_null(r);
	assert_int_equal(ruleset_count(r, INDICATOR_NONE), 999);
	ruleset_delta_free(d);
	ruleset_free(base);
	ruleset_free(r);
}

/* The same way gives the same digest on two machines, another way another. */
static void the_digest_tells_the_way(void **state)
{
	char digest[3][65];
	struct err e = {""};
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct ruleset *base = small();
		struct ruleset_delta *d = ruleset_delta_new(base);
		uint32_t set = ruleset_delta_set(d, &(struct indicator_set){.id = "one", .version = 2});
		assert_true(
		    ruleset_delta_remove(d, set, INDICATOR_DOMAIN, i < 2 ? "n2.example" : "n4.example", NULL, &e));
		struct ruleset *r = ruleset_delta_apply(d, &e);
		assert_non_null(r);
		assert_string_not_equal(ruleset_digest(r), ruleset_digest(base));
		strcpy(digest[i], ruleset_digest(r));
		ruleset_delta_free(d);
		ruleset_free(base);
		ruleset_free(r);
	}
	assert_string_equal(digest[0], digest[1]);
	assert_string_not_equal(digest[0], digest[2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(walks_agree_with_a_new_build),
	    cmocka_unit_test(first_of_a_type),
	    cmocka_unit_test(a_set_is_dropped),
	    cmocka_unit_test(what_is_refused),
	    cmocka_unit_test(the_digest_tells_the_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
