/* The alert as JSON: the exact object, hostile bytes, limits, the community id
 * against its specification's vectors and against real captures. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"
#include "rules/alert.h"
#include "rules/community_id.h"

/* Computed apart from the code. */
#define ALERT_ID     "c2fa054147c313b8269f260c7d5907e9"
#define SIGNATURE_ID "639915698"
#define COMMUNITY    "1:JUvbb8xRweMSWrcuafOPVm7jql8="

/* The rule set of these tests: one indicator. */
static struct indicator indicator;
static struct indicator_set set;

struct indicator ruleset_indicator_in(const struct ruleset *r, ruleset_ref ref, struct ruleset_room *room)
{
	(void)r;
	(void)room;
	(void)ref;
	return indicator;
}

struct indicator_set ruleset_set(const struct ruleset *r, ruleset_ref ref)
{
	(void)r;
	(void)ref;
	return set;
}

static const struct alert_origin origin = {.sensor_id = "tok-03", .site = "tokyo"};

static struct addr address(const char *text)
{
	struct addr a;
	assert_true(addr_parse(text, strlen(text), &a));
	return a;
}

static int reset(void **state)
{
	(void)state;
	indicator = (struct indicator){.type = INDICATOR_DOMAIN,
				       .value = "Bad.example",
				       .id = "D-1",
				       .severity = SEVERITY_CRITICAL,
				       .confidence = 80,
				       .tlp = TLP_AMBER,
				       .labels = "c2,apt"};
	set = (struct indicator_set){.id = "apt-demo", .producer = "jp-cert-x", .version = 421};
	return 0;
}

static struct alert example(void)
{
	static const char name[] = "www.bad.example";
	struct alert a = {.ts_us = 1795230600123456,
			  .where = WHERE_TLS_SNI,
			  .observable = {(const uint8_t *)name, sizeof(name) - 1},
			  .flow = {.id = 123,
				   .src = address("10.1.2.7"),
				   .dest = address("203.0.113.9"),
				   .src_port = 51514,
				   .dest_port = 443,
				   .proto = 6,
				   .vlan_n = 1,
				   .vlan = {10},
				   .tunnelled = true,
				   .tunnel_src = address("192.0.2.1"),
				   .tunnel_dest = address("2001:db8::1"),
				   .tunnel_proto = "gre",
				   .iface = "eth1",
				   .app_proto = "tls",
				   .direction = DIRECTION_OUTBOUND},
			  .app = {.object = "tls"}};
	alert_app_text(&a.app, "sni", name, sizeof(name) - 1);
	alert_app_text(&a.app, "ja3.hash", "0123", 4);
	alert_app_number(&a.app, "ja3.count", 7);
	alert_app_text(&a.app, "ja4", "t13", 3);
	alert_app_text(&a.app, "empty", "", 0);
	return a;
}

static char *json_of(const struct alert *a)
{
	struct buf out = {0};
	alert_json(&out, a, NULL, &origin);
	buf_u8(&out, 0);
	return (char *)out.p;
}

static void whole_object(void **state)
{
	(void)state;
	struct alert a = example();
	char *got = json_of(&a), *again = json_of(&a);
	assert_string_equal(got, again);
	assert_string_equal(
	    got,
	    "{\"timestamp\":\"2026-11-21T03:10:00.123456Z\",\"event_type\":\"alert\","
	    "\"alert_id\":\"" ALERT_ID "\",\"sensor\":{\"id\":\"tok-03\",\"site\":\"tokyo\"},"
	    "\"in_iface\":\"eth1\",\"flow_id\":123,\"community_id\":\"" COMMUNITY "\",\"vlan\":[10],"
	    "\"src_ip\":\"10.1.2.7\",\"src_port\":51514,\"dest_ip\":\"203.0.113.9\",\"dest_port\":443,\"proto\":"
	    "\"TCP\","
	    "\"app_proto\":\"tls\",\"direction\":\"outbound\","
	    "\"tunnel\":{\"src_ip\":\"192.0.2.1\",\"dest_ip\":\"2001:db8::1\",\"proto\":\"gre\"},"
	    "\"alert\":{\"action\":\"allowed\",\"gid\":1,\"signature_id\":" SIGNATURE_ID ",\"rev\":421,"
	    "\"signature\":\"apt-demo: domain Bad.example\",\"category\":\"c2\",\"severity\":1},"
	    "\"indicator\":{\"id\":\"D-1\",\"type\":\"domain\",\"value\":\"Bad.example\",\"set\":\"apt-demo\","
	    "\"version\":421,\"producer\":\"jp-cert-x\",\"severity\":\"critical\",\"confidence\":80,\"tlp\":\"amber\","
	    "\"labels\":[\"c2\",\"apt\"]},"
	    "\"observable\":{\"where\":\"tls.sni\",\"value\":\"www.bad.example\"},"
	    "\"tls\":{\"sni\":\"www.bad.example\",\"ja3\":{\"hash\":\"0123\",\"count\":7},\"ja4\":\"t13\"},"
	    "\"exercise\":null}");
	free(got);
	free(again);
}

static void variants(void **state)
{
	(void)state;
	struct alert a = example();
	indicator.labels = NULL;
	indicator.note = "見よ";
	indicator.ref = "https://ref.example/";
	set.exercise = "KEEN-27";
	char *got = json_of(&a);
	assert_non_null(
	    strstr(got, "\"signature\":\"EXERCISE 演習 apt-demo: domain Bad.example\",\"category\":\"domain\""));
	assert_non_null(strstr(got, "\"labels\":[],\"ref\":\"https://ref.example/\",\"note\":\"見よ\"}"));
	assert_non_null(strstr(got, "\"exercise\":\"KEEN-27\"}"));
	free(got);

	struct addr seen = address("2001:db8::9");
	a.where = WHERE_IP_DEST;
	a.observable = (struct bytes){seen.b, 16};
	a.app.object = NULL;
	a.flow.proto = 58;
	a.flow.icmp_type = 128;
	got = json_of(&a);
	assert_non_null(strstr(got, "\"observable\":{\"where\":\"ip.dest\",\"value\":\"2001:db8::9\"},\"exercise\""));
	assert_non_null(
	    strstr(got, "\"dest_ip\":\"203.0.113.9\",\"proto\":\"IPv6-ICMP\",\"icmp_type\":128,\"icmp_code\":0,"));
	free(got);

	uint8_t endpoint[18];
	memcpy(endpoint, seen.b, 16);
	endpoint[16] = 1;
	endpoint[17] = 0xbb;
	a.where = WHERE_IP_ENDPOINT_DEST;
	a.observable = (struct bytes){endpoint, 18};
	got = json_of(&a);
	assert_non_null(strstr(got, "\"value\":\"[2001:db8::9]:443\""));
	free(got);

	a.flow.ipv6 = true;
	got = json_of(&a);
	assert_non_null(strstr(got, "\"src_ip\":\"::ffff:10.1.2.7\""));
	free(got);

	a.where = WHERE_ARP_SENDER;
	got = json_of(&a);
	assert_non_null(strstr(got, "\"proto\":\"ARP\""));
	assert_null(strstr(got, "community_id"));
	free(got);
}

/* Whatever was on the wire, the line is JSON in valid UTF-8, without control
 * characters, and fits a record's field. */
static void hostile_bytes(void **state)
{
	(void)state;
	static uint8_t bytes[70000];
	for (int fill = 0; fill < 260; fill++) {
		struct alert a = example();
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(fill < 256 ? (unsigned)fill : fill == 256 ? i : i * 2654435761u >> 13);
		a.observable = (struct bytes){bytes, sizeof(bytes)};
		a.app = (struct alert_app){.object = "http"};
		for (int i = 0; i < ALERT_APP_MAX + 5; i++) {
			static char key[ALERT_APP_MAX + 5][8];
			snprintf(key[i], sizeof(key[i]), "k%d", i);
			alert_app_text(&a.app, key[i], bytes + i, sizeof(bytes) - 100);
		}
		struct buf out = {0};
		struct err e = {""};
		alert_json(&out, &a, NULL, &origin);
		assert_true(out.n <= 49152);
		for (size_t i = 0; i < out.n; i++) {
			assert_true(out.p[i] >= 0x20 && out.p[i] != 0x7f);
			assert_false(out.p[i] == 0xc2 && out.p[i + 1] < 0xa0);
		}
		struct json *back = json_read(out.p, out.n, 1 << 20, &e);
		if (!back)
			fail_msg("fill %d: %s", fill, e.text);
		assert_string_equal(json_text(json_at(back, "indicator.value"), NULL), "Bad.example");
		json_drop(back);
		buf_free(&out);
	}
}

static void ids_depend_on_content(void **state)
{
	(void)state;
	struct alert a = example(), b = example();
	char *one = json_of(&a);
	b.ts_us++;
	char *two = json_of(&b);
	assert_memory_not_equal(strstr(one, "alert_id"), strstr(two, "alert_id"), 40);
	assert_memory_equal(strstr(one, "signature_id"), strstr(two, "signature_id"), 24);
	free(two);
	set.version++; /* the rule's number stays from version to version */
	two = json_of(&a);
	assert_memory_equal(strstr(one, "signature_id"), strstr(two, "signature_id"), 24);
	assert_memory_equal(strstr(one, "alert_id"), strstr(two, "alert_id"), 40);
	free(one);
	free(two);
}

static void directions(void **state)
{
	(void)state;
	static const struct prefix mine = {{{[10] = 0xff, 0xff, 203, 0, 113}}, 24};
	const struct alert_origin configured = {.home = &mine, .home_n = 1};
	static const struct {
		const char *src, *dest;
		enum direction by_default, by_home;
	} cases[] = {
	    {"10.0.0.1", "203.0.113.9", DIRECTION_OUTBOUND, DIRECTION_INBOUND},
	    {"203.0.113.9", "172.16.0.1", DIRECTION_INBOUND, DIRECTION_OUTBOUND},
	    {"172.32.0.1", "203.0.113.9", DIRECTION_EXTERNAL, DIRECTION_INBOUND},
	    {"192.168.1.1", "169.254.1.1", DIRECTION_INTERNAL, DIRECTION_EXTERNAL},
	    {"fe80::1", "fd00::1", DIRECTION_INTERNAL, DIRECTION_EXTERNAL},
	    {"2001:db8::1", "fd00::1", DIRECTION_INBOUND, DIRECTION_EXTERNAL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct addr s = address(cases[i].src), d = address(cases[i].dest);
		assert_int_equal(alert_direction(&origin, &s, &d), cases[i].by_default);
		assert_int_equal(alert_direction(&configured, &s, &d), cases[i].by_home);
	}
}

/* The specification's own vectors first, then ones computed with an independent
 * implementation. ICMP: the two numbers are type and code. */
static void community_vectors(void **state)
{
	(void)state;
	static const struct {
		uint8_t proto;
		const char *src, *dest;
		uint16_t a, b;
		const char *want;
	} cases[] = {
	    {6, "128.232.110.120", "66.35.250.204", 34855, 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
	    {6, "66.35.250.204", "128.232.110.120", 80, 34855, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
	    {17, "192.168.1.52", "8.8.8.8", 54585, 53, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
	    {132, "192.168.170.8", "192.168.170.56", 7, 80, "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ="},
	    {1, "192.168.0.89", "192.168.0.1", 8, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
	    {1, "192.168.0.1", "192.168.0.89", 0, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
	    {1, "192.168.0.1", "192.168.0.89", 3, 1, "1:o3zT92uTgnRWv/YrDVeXcWumpC4="},
	    {1, "192.168.0.89", "192.168.0.1", 3, 1, "1:LXCfhMUFbYXe+CEMrQuZCbiLY3o="},
	    {1, "192.168.0.89", "192.168.0.1", 20, 0, "1:3o2RFccXzUgjl7zDpqmY7yJi8rI="},
	    {58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
	    {58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 136, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
	    {58, "3ffe:507:0:1:260:97ff:fe07:69ea", "3ffe:507:0:1:200:86ff:fe05:80da", 3, 0,
	     "1:NdobDX8PQNJbAyfkWxhtL2Pqp5w="},
	    {58, "3ffe:507:0:1:200:86ff:fe05:80da", "3ffe:507:0:1:260:97ff:fe07:69ea", 128, 0,
	     "1:GpbEQrKqfWtsfsFiqg8fufoZe5Y="},
	    {6, "10.0.0.1", "10.0.0.1", 80, 80, "1:xK6lw4idWvrwNwOsMmGICgbsxLc="},
	    {6, "10.0.0.1", "10.0.0.1", 81, 80, "1:tlfFsHe+E3VVycVoOYQhDlTTvRc="},
	    {6, "2001:db8::1", "2001:db8::2", 1, 2, "1:oIcW+IHPKeZS9W98/OLFv2ivJKk="},
	    {47, "192.0.2.2", "192.0.2.1", 0, 0, "1:OF71QrXQ3uLb1NPEC6e1InPqsIM="},
	    {89, "192.0.2.1", "192.0.2.2", 0, 0, "1:pcCQrBU+uvsvElkOo6Aqv4ntAac="},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct alert_flow f = {
		    .src = address(cases[i].src), .dest = address(cases[i].dest), .proto = cases[i].proto};
		char got[COMMUNITY_ID_LEN];
		bool icmp = cases[i].proto == 1 || cases[i].proto == 58;
		f.src_port = icmp ? 0 : cases[i].a;
		f.dest_port = icmp ? 0 : cases[i].b;
		f.icmp_type = (uint8_t)(icmp ? cases[i].a : 0);
		f.icmp_code = (uint8_t)(icmp ? cases[i].b : 0);
		if (strcmp(community_id(&f, got), cases[i].want) != 0)
			fail_msg("row %zu: %s", i, got);
	}
}

static size_t check_line(const char *line)
{
	struct err e;
	struct json *row = json_read(line, strlen(line), 1 << 20, &e);
	if (!row)
		fail_msg("%s", e.text);
	const char *want = json_text(json_at(row, "community_id"), NULL),
		   *proto = json_text(json_at(row, "proto"), NULL);
	size_t checked = 0;
	if (want && (strcmp(proto, "TCP") == 0 || strcmp(proto, "UDP") == 0)) {
		struct alert_flow f = {.ipv6 = strchr(json_text(json_at(row, "src_ip"), NULL), ':') != NULL,
				       .src = address(json_text(json_at(row, "src_ip"), NULL)),
				       .dest = address(json_text(json_at(row, "dest_ip"), NULL)),
				       .src_port = (uint16_t)json_int(json_at(row, "src_port"), 0),
				       .dest_port = (uint16_t)json_int(json_at(row, "dest_port"), 0),
				       .proto = strcmp(proto, "TCP") == 0 ? 6 : 17};
		char got[COMMUNITY_ID_LEN];
		assert_string_equal(community_id(&f, got), want);
		checked = 1;
	}
	json_drop(row);
	return checked;
}

static void community_of_real_captures(void **state)
{
	(void)state;
	glob_t found;
	if (glob("../shared/cases/*/expected.jsonl", 0, NULL, &found))
		skip();
	size_t checked = 0;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		FILE *f = fopen(found.gl_pathv[i], "r");
		char *line = NULL;
		size_t cap = 0;
		while (f && getline(&line, &cap, f) > 0)
			checked += check_line(line);
		free(line);
		if (f)
			fclose(f);
	}
	globfree(&found);
	printf("%zu community ids checked\n", checked);
	assert_true(checked > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(whole_object, reset),
	    cmocka_unit_test_setup(variants, reset),
	    cmocka_unit_test_setup(hostile_bytes, reset),
	    cmocka_unit_test_setup(ids_depend_on_content, reset),
	    cmocka_unit_test(directions),
	    cmocka_unit_test(community_vectors),
	    cmocka_unit_test(community_of_real_captures),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
