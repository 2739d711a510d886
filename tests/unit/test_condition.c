/* STIX patterns joined by AND and OR: what is accepted and why not; that they are true
 * exactly when their comparisons are, whatever the order in which a flow shows its
 * values; that objects and values are told apart; and that nothing grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "rules/conditions.h"
#include "sensor/detect.h"

#define NOW_US INT64_C(1700000000000000)

/* ---- what is accepted ---- */

static void accepted_or_told_why(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *why; /* NULL: all of it; "+…": in part */
	} cases[] = {
	    {"[domain-name:value = 'a.example' AND ipv4-addr:value = '198.51.100.7']", NULL},
	    {"[ipv4-addr:value = '198.51.100.7' AND network-traffic:dst_port = 443]", NULL},
	    {"[ipv4-addr:value = '198.51.100.7' AND network-traffic:dst_port NOT IN (443, 80)]", NULL},
	    {"[ipv4-addr:value = '198.51.100.7' AND network-traffic:dst_port >= 1024]", NULL},
	    {"[ipv4-addr:value = '198.51.100.7' AND network-traffic:src_port <> 1024]", NULL},
	    {"[ipv4-addr:value = '198.51.100.7' AND network-traffic:protocols[0] = 'TCP']", NULL},
	    {"[file:name = 'a' AND (file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e' OR file:name = 'b')]", NULL},
	    {"[artifact:payload_bin MATCHES 'abcd' AND url:value = 'http://a.example/']", NULL},
	    {"[domain-name:value = 'a.example']", NULL},
	    {"[domain-name:value = 'a.example' OR (file:name = 'a' AND file:size = 3)]", "+path"},
	    {"[file:name = 'a' AND file:size = 3]", "path"},
	    {"[network-traffic:dst_port = 443]", "no value"},
	    {"[network-traffic:dst_port = 443 OR domain-name:value = 'a.example']", "+no value"},
	    {"[(network-traffic:dst_port = 443 OR domain-name:value = 'a.example') AND network-traffic:src_port = 1]",
	     "no value"},
	    {"[domain-name:value = 'a.example' AND domain-name:value != 'b.example']", "NOT"},
	    {"[domain-name:value = 'a.example' AND ipv4-addr:value NOT ISSUBSET '10.0.0.0/8']", "NOT"},
	    {"[domain-name:value = 'a..example' AND ipv4-addr:value = '198.51.100.7']", "a..example"},
	    {"[domain-name:value LIKE '%evil%' AND ipv4-addr:value = '198.51.100.7']", "LIKE"},
	    {"[ipv4-addr:value = '198.51.100.7' AND network-traffic:dst_port = 65536]", "port"},
	    {"[ipv4-addr:value = '198.51.100.7' AND network-traffic:dst_port LIKE '4%']", "port"},
	    {"[ipv4-addr:value = '198.51.100.7' AND network-traffic:protocols[*] = 'gopher']", "protocol"},
	    {"[ipv4-addr:value = '198.51.100.7' AND network-traffic:protocols[*] != 'tcp']", "protocols"},
	    {"[ipv4-addr:value = '198.51.100.7' AND network-traffic:dst_ref.type = 'mac-addr']", "no address"},
	    {"[artifact:payload_bin MATCHES '(' AND url:value = 'http://a.example/']", "parenthesis"},
	    {"[domain-name:value = 'a.example'] AND [domain-name:value = 'b.example']", "several observations"},
	    {"[domain-name:value = 'a.example' AND ipv4-addr:value = '198.51.100.7'] WITHIN 5 SECONDS", "qualifier"},
	    {"[domain-name:value = 'a.example' AND\n ipv4-addr:value = '198.51.100.7']", "control"},
	    {"[domain-name:value = 'a.example' AND]", "no STIX pattern"},
	    {"", "no STIX pattern"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = {""};
		const char *part = NULL, *why = cases[i].why;
		bool half = why && *why == '+';
		bool ok = condition_read(cases[i].pattern, strlen(cases[i].pattern), NULL, NULL, &part, &e);
		if (ok != (!why || half) || (part != NULL) != half || (why && !strstr(e.text, why + half)))
			fail_msg("%s: %s, \"%s\"", cases[i].pattern, ok ? part ? "in part" : "accepted" : "refused",
				 e.text);
	}
}

/* However a pattern is cut, nothing is read behind its end. */
static void cut_anywhere(void **state)
{
	(void)state;
	static const char whole[] =
	    "[(file:name = 'a\\'b' AND (file:hashes.MD5 IN ('d41d8cd98f00b204e9800998ecf8427e', "
	    "'d41d8cd98f00b204e9800998ecf8427f') OR network-traffic:dst_port NOT IN (1, 2))) OR "
	    "url:value LIKE 'http://a.example/%']";
	struct err e;
	assert_true(condition_read(whole, strlen(whole), NULL, NULL, NULL, &e));
	for (size_t n = 0; n < strlen(whole); n++) {
		char *exact = malloc(n + 1);
		memcpy(exact, whole, n);
		assert_false(condition_read(exact, n, NULL, NULL, NULL, &e));
		free(exact);
	}
}

/* Made to explode: nothing is multiplied out, and what is too large is refused. */
static void limits_hold(void **state)
{
	(void)state;
	struct buf b = {0};
	struct err e;
	clock_t begin = clock();
	buf_printf(&b, "[");
	for (int i = 0; i < 30; i++) /* 2^30 in disjunctive form */
		buf_printf(&b, "%s(file:name = 'a%d' OR file:name = 'b%d')", i ? " AND " : "", i, i);
	buf_printf(&b, "]");
	assert_true(condition_read((char *)b.p, b.n, NULL, NULL, NULL, &e));
	b.n = 0;
	for (int i = 0; i <= CONDITION_BITS_MAX; i++)
		buf_printf(&b, "%sfile:name = 'a%d'", i ? " AND " : "[", i);
	buf_printf(&b, "]");
	assert_false(condition_read((char *)b.p, b.n, NULL, NULL, NULL, &e));
	assert_non_null(strstr(e.text, "more values"));
	b.n = 0;
	buf_printf(&b, "[file:name = 'a' AND network-traffic:dst_port IN (1");
	for (int i = 0; i < CONDITION_TESTS_MAX; i++)
		buf_printf(&b, ", %d", i + 2);
	buf_printf(&b, ")]");
	assert_false(condition_read((char *)b.p, b.n, NULL, NULL, NULL, &e));
	assert_non_null(strstr(e.text, "more ports"));
	b.n = 0;
	for (int i = 0; i < 4000; i++) /* a list of values is one bit */
		buf_printf(&b, "%s'a%d'", i ? ", " : "[network-traffic:dst_port = 1 AND file:name IN (", i);
	buf_printf(&b, ")]");
	assert_true(condition_read((char *)b.p, b.n, NULL, NULL, NULL, &e));
	b.n = 0;
	for (int i = 0; i < 4000; i++)
		buf_printf(&b, "%sfile:name = 'a%d'", i ? " OR " : "[", i);
	buf_printf(&b, "]");
	assert_true(condition_read((char *)b.p, b.n, NULL, NULL, NULL, &e));
	assert_true(clock() - begin < 2 * CLOCKS_PER_SEC);
	buf_free(&b);
}

/* ---- a detector around patterns ---- */

struct bench {
	struct ruleset *r;
	struct detector d;
	struct ledger ledger;
	struct inspect in;
	struct parser parser;
	struct buf told; /* "id:value " per alert */
	size_t alerts, repeats;
};

static bool tell(void *owner, const struct ruleset *r, const struct alert *a, bool repeat)
{
	struct bench *b = owner;
	b->repeats += repeat;
	if (repeat)
		return true;
	assert_int_equal(a->where, WHERE_STIX);
	b->alerts++;
	buf_printf(&b->told, "%s:%.*s ", ruleset_indicator(r, a->indicator).id, (int)a->observable.n,
		   (const char *)a->observable.p);
	return true;
}

static void begin(struct bench *b, const char *const *patterns, size_t n, int64_t until_us)
{
	struct ruleset_builder *builder = ruleset_builder_new();
	struct err e;
	*b = (struct bench){.parser = {.name = "tls"}};
	ruleset_add_set(builder, &(struct indicator_set){.id = "s"});
	for (size_t i = 0; i < n; i++) {
		char id[16];
		snprintf(id, sizeof(id), "P%zu", i);
		struct indicator one = {
		    .type = INDICATOR_STIX, .value = patterns[i], .id = id, .valid_until_us = until_us};
		if (ruleset_add(builder, 0, &one, &e) != ADDED)
			fail_msg("%s: %s", patterns[i], e.text);
	}
	b->r = ruleset_build(builder, &e);
	ruleset_builder_free(builder);
	assert_non_null(b->r);
	b->d = (struct detector){.rules = b->r,
				 .conditions = conditions_new(b->r),
				 .ledger = &b->ledger,
				 .seen = seen_new(),
				 .pending = pending_new(),
				 .alert = tell,
				 .owner = b};
	static const struct alert_origin origin;
	b->d.origin = &origin;
	b->in = (struct inspect){.ts_us = NOW_US,
				 .src = addr_v4("\x0a\x00\x00\x01"),
				 .dest = addr_v4("\xc6\x33\x64\x07"),
				 .src_port = 40000,
				 .dest_port = 443,
				 .proto = IPPROTO_TCP,
				 .flow_id = 1,
				 .want = ruleset_types(b->r) | ruleset_types(conditions_terms(b->d.conditions)),
				 .ledger = &b->ledger,
				 .parser = &b->parser,
				 .owner = &b->d};
}

static void end(struct bench *b)
{
	conditions_free((struct conditions *)(uintptr_t)b->d.conditions);
	seen_free(b->d.seen);
	pending_free(b->d.pending);
	ruleset_free(b->r);
	buf_free(&b->told);
}

static void see(struct bench *b, enum where w, const char *value)
{
	observe(&b->in, w, value, strlen(value));
}

static void expect(struct bench *b, const char *told)
{
	buf_u8(&b->told, 0);
	assert_string_equal((const char *)b->told.p, told);
	b->told.n = 0;
}

/* ---- flows, objects, values ---- */

static void within_one_flow(void **state)
{
	(void)state;
	static const char *const p[] = {"[domain-name:value = 'a.example' AND url:value = 'http://a.example/x']"};
	struct bench b;
	begin(&b, p, 1, 0);
	see(&b, WHERE_TLS_SNI, "a.example");
	b.in.flow_id = 2;
	see(&b, WHERE_HTTP_URL, "http://a.example/x");
	expect(&b, ""); /* each on a flow of its own */
	see(&b, WHERE_TLS_SNI, "sub.a.example");
	expect(&b, ""); /* '=' is the name alone */
	see(&b, WHERE_TLS_SNI, "A.example.");
	expect(&b, "P0:A.example. ");
	see(&b, WHERE_TLS_SNI, "a.example");
	assert_int_equal(b.alerts, 1);
	b.in.flow_id = 1;
	see(&b, WHERE_HTTP_URL, "http://a.example/x");
	assert_int_equal(b.alerts, 2);
	end(&b);
}

static void about_one_object(void **state)
{
	(void)state;
	static const char *const p[] = {
	    "[file:name = 'a.exe' AND file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']"};
	static const char hash[] = "d41d8cd98f00b204e9800998ecf8427e";
	struct bench b;
	begin(&b, p, 1, 0);
	inspect_object(&b.in, OBJECT_NEW);
	see(&b, WHERE_HTTP_FILENAME, "a.exe");
	inspect_object(&b.in, OBJECT_NEW);
	see(&b, WHERE_FILE_MD5, hash);
	expect(&b, ""); /* two files */
	uint32_t second = inspect_object(&b.in, OBJECT_NEW);
	see(&b, WHERE_HTTP_FILENAME, "a.exe");
	inspect_object(&b.in, second); /* they interleave */
	see(&b, WHERE_HTTP_FILENAME, "a.exe");
	expect(&b, "P0:a.exe ");
	inspect_object(&b.in, 0);
	b.in.flow_id = 2;
	see(&b, WHERE_SMB_FILE, "a.exe"); /* where objects are not told apart, the flow counts */
	inspect_object(&b.in, OBJECT_NEW);
	see(&b, WHERE_FILE_MD5, hash);
	expect(&b, "P0:d41d8cd98f00b204e9800998ecf8427e ");
	end(&b);
}

static void about_one_value(void **state)
{
	(void)state;
	static const char *const p[] = {"[url:value LIKE 'http://a.example/%' AND url:value = 'http://a.example/x']",
					"[domain-name:value = 'a.example' AND domain-name:value = 'b.example']"};
	struct bench b;
	begin(&b, p, 2, 0);
	see(&b, WHERE_HTTP_URL, "http://a.example/y");
	expect(&b, "");
	see(&b, WHERE_HTTP_URL, "http://a.example/x");
	expect(&b, "P0:http://a.example/x ");
	see(&b, WHERE_TLS_SNI, "a.example");
	see(&b, WHERE_TLS_SNI, "b.example");
	expect(&b, ""); /* no name is both */
	end(&b);
}

static void ports_and_protocols(void **state)
{
	(void)state;
	static const char *const p[] = {
	    "[domain-name:value = 'a.example' AND network-traffic:dst_port = 443]",
	    "[domain-name:value = 'a.example' AND network-traffic:dst_port != 443]",
	    "[domain-name:value = 'a.example' AND network-traffic:src_port > 1023 AND network-traffic:src_port < "
	    "50000]",
	    "[domain-name:value = 'a.example' AND network-traffic:src_port >= 40001]",
	    "[domain-name:value = 'a.example' AND network-traffic:protocols[*] = 'tcp' AND "
	    "network-traffic:protocols[*] = 'https' AND network-traffic:dst_ref.type = 'ipv4-addr']",
	    "[domain-name:value = 'a.example' AND network-traffic:protocols[*] = 'udp']",
	    "[domain-name:value = 'a.example' AND network-traffic:dst_ref.type = 'ipv6-addr']",
	    "[domain-name:value = 'a.example' AND network-traffic:dst_port NOT IN (80, 443)]",
	    "[domain-name:value = 'a.example' AND network-traffic:dst_port IN (80, 443)]",
	};
	struct bench b;
	begin(&b, p, sizeof(p) / sizeof(*p), 0);
	see(&b, WHERE_TLS_SNI, "a.example");
	expect(&b, "P0:a.example P2:a.example P4:a.example P8:a.example ");
	end(&b);
}

/* An address passes before the protocol is known. */
static void protocol_comes_late(void **state)
{
	(void)state;
	static const char *const p[] = {
	    "[network-traffic:dst_ref.value = '198.51.100.7' AND network-traffic:protocols[*] = 'tls']",
	    "[network-traffic:src_ref.value = '198.51.100.7' AND network-traffic:protocols[*] = 'tls']"};
	struct bench b;
	begin(&b, p, 2, 0);
	b.in.parser = NULL;
	detect_addresses(&b.in, false);
	detect_address_terms(&b.in, false);
	expect(&b, "");
	b.in.parser = &b.parser;
	detect_protocol(&b.in);
	expect(&b, "P0:198.51.100.7 ");
	end(&b);
}

static void times_count(void **state)
{
	(void)state;
	static const char *const p[] = {"[domain-name:value = 'a.example' AND network-traffic:dst_port = 443]"};
	struct bench b;
	begin(&b, p, 1, NOW_US);
	see(&b, WHERE_TLS_SNI, "a.example");
	expect(&b, "");
	b.in.ts_us = NOW_US - 1;
	b.in.flow_id = 2;
	see(&b, WHERE_TLS_SNI, "a.example");
	expect(&b, "P0:a.example ");
	end(&b);
}

/* ---- against a slow and obvious model ---- */

static uint64_t random_state;

static uint32_t draw(uint32_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((random_state >> 33) % n);
}

#define NAMES 6

struct expression {
	bool leaf, and;
	int name; /* below NAMES: a name; above: the port 443 + name - NAMES */
	struct expression *left, *right;
};

static struct expression *grow(unsigned depth)
{
	struct expression *x = calloc(1, sizeof(*x));
	x->leaf = depth == 0 || draw(4) == 0;
	x->name = (int)draw(NAMES + 2);
	x->and = draw(2);
	if (!x->leaf) {
		x->left = grow(depth - 1);
		x->right = grow(depth - 1);
	}
	return x;
}

static void put(struct buf *b, const struct expression *x)
{
	if (x->leaf && x->name < NAMES) {
		buf_printf(b, "domain-name:value = 'n%d.example'", x->name);
	} else if (x->leaf) {
		buf_printf(b, "network-traffic:dst_port = %d", 443 + x->name - NAMES);
	} else {
		buf_printf(b, "(");
		put(b, x->left);
		buf_printf(b, x->and ? ") AND (" : ") OR (");
		put(b, x->right);
		buf_printf(b, ")");
	}
}

static bool is_true(const struct expression *x, unsigned names)
{
	if (x->leaf)
		return x->name < NAMES ? names >> x->name & 1 : x->name == NAMES;
	bool left = is_true(x->left, names), right = is_true(x->right, names);
	return x->and ? left && right : left || right;
}

static void cut_down(struct expression *x)
{
	if (!x)
		return;
	cut_down(x->left);
	cut_down(x->right);
	free(x);
}

/* What counts of an alternative that cannot be matched (ports only) is nothing: leave them out. */
static bool matched_whole(const char *text, size_t n)
{
	struct err e;
	const char *part;
	return condition_read(text, n, NULL, NULL, &part, &e) && !part;
}

static void one_model(uint64_t seed)
{
	struct buf text = {0};
	random_state = seed;
	struct expression *x = grow(1 + draw(4));
	/* A root of another kind makes it a matter of the flow, not of one value. */
	buf_printf(&text, "[");
	put(&text, x);
	buf_printf(&text, " OR (url:value = 'http://x/' AND file:name = 'x')]");
	buf_u8(&text, 0);
	bool lone = x->leaf; /* [a OR (…)]: names alone are values */
	if (!lone && matched_whole((char *)text.p, text.n - 1) && strstr((char *)text.p, "dst_port")) {
		const char *const p[] = {(char *)text.p};
		struct bench b;
		begin(&b, p, 1, 0);
		unsigned names = 0;
		for (int i = 0; i < 12; i++) {
			char name[32];
			unsigned k = draw(NAMES);
			snprintf(name, sizeof(name), "n%u.example", k);
			names |= 1u << k;
			see(&b, WHERE_DNS_QUERY, name);
			if (b.alerts != is_true(x, names))
				fail_msg("SEED=%llu: %s: %zu alerts after names %x", (unsigned long long)seed, p[0],
					 b.alerts, names);
		}
		end(&b);
	}
	buf_free(&text);
	cut_down(x);
}

/* Alternatives of names alone ask for one value that is all of them; those have their
 * own test above, here they are made a matter of the flow by a port beside each. */
static bool pure(const struct expression *x)
{
	return x->leaf ? x->name < NAMES : pure(x->left) && pure(x->right);
}

static bool mixed(const struct expression *x)
{
	if (x->leaf)
		return true;
	if (!x->and)
		return mixed(x->left) && mixed(x->right);
	return !pure(x);
}

static void as_the_model_says(void **state)
{
	(void)state;
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	printf("SEED=%llu\n", (unsigned long long)seed);
	for (uint64_t i = 0; i < 3000; i++) {
		random_state = seed + i;
		struct expression *x = grow(1 + draw(4));
		bool ask = mixed(x);
		cut_down(x);
		if (ask)
			one_model(seed + i);
	}
}

/* ---- bounds ---- */

static void pool_is_bounded_and_fair(void **state)
{
	(void)state;
	static const char *const p[] = {"[domain-name:value = 'a.example' AND url:value = 'http://a.example/']"};
	struct bench b;
	begin(&b, p, 1, 0);
	for (uint64_t flow = 1; flow <= 4 * PENDING_ENTRIES; flow++) {
		b.in.flow_id = flow;
		see(&b, WHERE_TLS_SNI, "a.example");
		if (flow % 64 == 0) { /* one that goes on is not pushed out by those that do not */
			b.in.flow_id = UINT64_C(1) << 40;
			see(&b, WHERE_TLS_SNI, "a.example");
		}
	}
	assert_true(b.ledger.v[LEDGER_CONDITION_EVICTED] >= 3 * PENDING_ENTRIES);
	see(&b, WHERE_HTTP_URL, "http://a.example/");
	expect(&b, "P0:http://a.example/ ");
	end(&b);
}

static void shared_values_are_bounded(void **state)
{
	(void)state;
	enum { N = CONDITION_SAME_MAX + 10 };
	char **p = calloc(N, sizeof(*p));
	struct bench b;
	for (size_t i = 0; i < N; i++) {
		p[i] = malloc(100);
		snprintf(p[i], 100, "[domain-name:value = 'a.example' AND network-traffic:dst_port = %zu]", i + 1);
	}
	begin(&b, (const char *const *)p, N, 0);
	assert_int_equal(conditions_count(b.d.conditions), N);
	assert_int_equal(conditions_left_out(b.d.conditions), 10);
	see(&b, WHERE_TLS_SNI, "a.example");
	assert_int_equal(b.alerts, 1);
	end(&b);
	for (size_t i = 0; i < N; i++)
		free(p[i]);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accepted_or_told_why),
	    cmocka_unit_test(cut_anywhere),
	    cmocka_unit_test(limits_hold),
	    cmocka_unit_test(within_one_flow),
	    cmocka_unit_test(about_one_object),
	    cmocka_unit_test(about_one_value),
	    cmocka_unit_test(ports_and_protocols),
	    cmocka_unit_test(protocol_comes_late),
	    cmocka_unit_test(times_count),
	    cmocka_unit_test(as_the_model_says),
	    cmocka_unit_test(pool_is_bounded_and_fair),
	    cmocka_unit_test(shared_values_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
