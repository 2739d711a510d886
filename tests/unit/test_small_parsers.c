/* DHCP, SNMP, RDP, MQTT and PROXY: messages, near misses, every cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/observed.h"

#include "sensor/parsers.h"

/* One datagram must give exactly these lines from either side; every prefix of it must not crash. */
static void expect_datagram(const struct parser *p, const void *data, size_t n, const char *want)
{
	struct observed o;
	for (int side = 0; side < 2; side++) {
		observed_begin(&o, p);
		if (p->probe(&o.in, (enum side)side, data, n) == PROBE_YES)
			feed_datagram(&o, (enum side)side, data, n);
		assert_string_equal(observed_text(&o), want);
		observed_end(&o);
	}
	for (size_t cut = 1; cut < n; cut++) {
		observed_begin(&o, p);
		feed_datagram(&o, TO_SERVER, data, cut);
		observed_end(&o);
	}
}

/* ---- DHCP ---- */

static size_t dhcp_message(uint8_t out[400], const void *options, size_t n)
{
	memset(out, 0, 400);
	out[0] = 1;
	out[1] = 1;
	out[2] = 6;
	memcpy(out + 236, "\x63\x82\x53\x63", 4);
	memcpy(out + 240, options, n);
	return 240 + n;
}

static void test_dhcp(void **s)
{
	(void)s;
	static const struct {
		const char *label;
		const void *options;
		size_t n;
		const char *want;
	} cases[] = {
	    {"host name", BYTES("\x35\1\1\x0c\4iMac\xff"), "dhcp.hostname iMac\n"},
	    {"padding, a counted terminator, no end", BYTES("\0\0\x0c\5iMac\0"), "dhcp.hostname iMac\n"},
	    {"FQDN as labels", BYTES("\x51\x0d\x04\0\0\2pc\5local\0\xff"), "dhcp.hostname pc.local\n"},
	    {"FQDN as text", BYTES("\x51\5\0\0\0pc\xff"), "dhcp.hostname pc\n"},
	    {"behind the end", BYTES("\xff\x0c\4iMac"), ""},
	    {"cut option", BYTES("\x0c\xc8iMac"), ""},
	    {"empty name", BYTES("\x0c\0\xff"), ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t m[400];
		size_t n = dhcp_message(m, cases[i].options, cases[i].n);
		expect_datagram(&parser_dhcp, m, n, cases[i].want);
	}
	uint8_t m[400];
	size_t n = dhcp_message(m, "\x34\1\3\xff", 4);
	memcpy(m + 108, "\x0c\4file\xff", 7);
	memcpy(m + 44, "\x0c\5sname\xff", 8);
	expect_datagram(&parser_dhcp, m, n, "dhcp.hostname file\ndhcp.hostname sname\n");
	m[236] = 0;
	expect_datagram(&parser_dhcp, m, n, "");
}

/* ---- SNMP ---- */

static void test_snmp(void **s)
{
	(void)s;
	static const struct {
		const char *label;
		const void *data;
		size_t n;
		const char *want;
	} cases[] = {
	    {"v1 get", BYTES("\x30\x0f\2\1\0\4\6public\xa0\2\5\0"), "snmp.community public\n"},
	    {"v2c, long form length", BYTES("\x30\x81\x0f\2\1\1\4\6public\xa5\2\5\0"), "snmp.community public\n"},
	    {"v3 has no community", BYTES("\x30\x0f\2\1\3\4\6public\xa0\2\5\0"), ""},
	    {"bytes behind", BYTES("\x30\x0f\2\1\0\4\6public\xa0\2\5\0x"), ""},
	    {"community beyond the message", BYTES("\x30\x0f\2\1\0\4\x60public\xa0\2\5\0"), ""},
	    {"indefinite length", BYTES("\x30\x80\2\1\0\4\6public\xa0\2\5\0"), ""},
	    {"LDAP", BYTES("\x30\x0c\2\1\1\x60\7\2\1\3\4\0\x80\0"), ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_datagram(&parser_snmp, cases[i].data, cases[i].n, cases[i].want);
}

/* ---- SSDP ---- */

static void test_ssdp(void **s)
{
	(void)s;
	static const struct {
		const char *label;
		const void *data;
		size_t n;
		const char *want;
	} cases[] = {
	    {"who is there",
	     BYTES(
		 "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nUser-Agent: Evil/1.0 "
		 "UPnP/1.1\r\n\r\n"),
	     "ssdp.user_agent Evil/1.0 UPnP/1.1\n"},
	    {"I am",
	     BYTES("NOTIFY * HTTP/1.1\r\nHOST: [ff02::c]:1900\r\nLOCATION: http://u@tv.example:80/d.xml\r\n\r\n"),
	     "ssdp.location http://u@tv.example:80/d.xml\nssdp.host tv.example\n"},
	    {"the answer", BYTES("HTTP/1.1 200 OK\r\nST: ssdp:all\r\nLocation:http://192.0.2.7:49152/d.xml\r\n\r\n"),
	     "ssdp.location http://192.0.2.7:49152/d.xml\n"},
	    {"an IPv6 host", BYTES("NOTIFY * HTTP/1.1\r\nLOCATION: http://[fe80::1]:1/d\r\n\r\n"),
	     "ssdp.location http://[fe80::1]:1/d\n"},
	    {"a location without scheme", BYTES("NOTIFY * HTTP/1.1\r\nLOCATION: tv.example/d\r\n\r\n"),
	     "ssdp.location tv.example/d\n"},
	    {"HTTP", BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), ""},
	    {"SIP", BYTES("NOTIFY sip:a@b SIP/2.0\r\n\r\n"), ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_datagram(&parser_ssdp, cases[i].data, cases[i].n, cases[i].want);
}

/* ---- RDP ---- */

#define RDP_REQUEST "\3\0\0\x2b\x26\xe0\0\0\0\0\0Cookie: mstshash=eve\r\n\1\0\x08\0\3\0\0\0xxxx"
#define RDP_CONFIRM "\3\0\0\x13\x0e\xd0\0\0\x12\x34\0\2\0\x08\0\1\0\0\0"

static void test_rdp(void **s)
{
	(void)s;
	static const struct message talk[] = {{TO_SERVER, BYTES(RDP_REQUEST)}};
	feed_every_split(&parser_rdp, talk, 1, "rdp.cookie mstshash=eve\n");
	feed_turned(&parser_rdp, talk, 1, "rdp.cookie mstshash=eve\n");
	feed_every_prefix(&parser_rdp, talk, 1);
	struct observed o;
	observed_begin(&o, &parser_rdp);
	assert_int_equal(parser_rdp.probe(&o.in, TO_SERVER, (const uint8_t *)RDP_REQUEST, sizeof(RDP_REQUEST) - 1),
			 PROBE_YES);
	assert_int_equal(parser_rdp.probe(&o.in, TO_SERVER, (const uint8_t *)"\3\0\0\x2b\x26\x10", 6), PROBE_NO);
	assert_int_equal(parser_rdp.probe(&o.in, TO_SERVER, (const uint8_t *)"\3\0", 2), PROBE_MORE);
	assert_int_equal(feed_stream(&o, TO_CLIENT, BYTES(RDP_CONFIRM "\x16\3\1")), INSPECT_AGAIN);
	assert_int_equal(o.used, sizeof(RDP_CONFIRM) - 1); /* TLS begins behind it */
	observed_end(&o);
}

/* ---- MQTT ---- */

static const struct message mqtt_talk[] = {
    {TO_SERVER, BYTES("\x10\x20\0\4MQTT\4\xc6\0\x3c\0\2id\0\4will\0\1x\0\3bob\0\2pw")},
    {TO_CLIENT, BYTES("\x20\2\0\0")},
    {TO_SERVER, BYTES("\x30\x08\0\3a/bxyz\x82\x0c\0\1\0\3c/#\0\0\1d\1")},
    {TO_CLIENT, BYTES("\x32\x07\0\1t\0\7ok")},
};

static void test_mqtt(void **s)
{
	(void)s;
	const char
	    *want = "mqtt.topic will\nmqtt.user bob\nmqtt.topic a/b\nmqtt.topic c/#\nmqtt.topic d\nmqtt.topic t\n";
	feed_every_split(&parser_mqtt, mqtt_talk, 4, want);
	feed_turned(&parser_mqtt, mqtt_talk, 4, want);
	feed_every_prefix(&parser_mqtt, mqtt_talk, 4);
	static const struct message five[] = {
	    {TO_SERVER, BYTES("\x10\x12\0\4MQTT\5\2\0\x3c\3\x21\0\x14\0\2id")},
	    {TO_SERVER, BYTES("\x82\x08\0\1\0\0\2x/\1")},
	};
	feed_every_split(&parser_mqtt, five, 2, "mqtt.topic x/\n");
}

/* A payload of 20,000 bytes is stepped over, also when some of it is lost. */
static void test_mqtt_payload(void **s)
{
	(void)s;
	static uint8_t big[20000];
	struct observed o;
	observed_begin(&o, &parser_mqtt);
	feed_stream(&o, mqtt_talk[0].side, mqtt_talk[0].p, mqtt_talk[0].n);
	feed_stream(&o, TO_SERVER, BYTES("\x30\xa5\x9c\x01\0\3big"));
	for (int i = 0; i < 15; i++)
		feed_stream(&o, TO_SERVER, big, 1000);
	assert_true(o.mem.used < 32768);
	assert_int_equal(feed_gap(&o, TO_SERVER, 4000), INSPECT_MORE);
	feed_stream(&o, TO_SERVER, big, 1000);
	feed_stream(&o, TO_SERVER, BYTES("\x30\x05\0\2okx"));
	assert_true(observed_has(&o, "mqtt.topic big"));
	assert_true(observed_has(&o, "mqtt.topic ok"));
	observed_end(&o);
}

/* ---- PROXY ---- */

#define PROXY_LINE "PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n"
#define PROXY_V2   "\r\n\r\n\0\r\nQUIT\n"
#define PROXY_FOUR PROXY_V2 "\x21\x11\0\x0f\xc0\0\2\7\xc6\x33\x64\1\x9c\x40\1\xbb\3\0\0"
#define PROXY_SIX                                                                                                      \
	PROXY_V2 "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7"                                                \
		 "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x9c\x40\1\xbb"

static void proxy_header(const void *p, size_t n, const char *want)
{
	const struct message talk[] = {{TO_SERVER, p, n}};
	struct observed o;
	assert_int_equal(feed_probe(&parser_proxy, TO_SERVER, p, n), PROBE_YES);
	feed_every_split(&parser_proxy, talk, 1, want);
	feed_turned(&parser_proxy, talk, 1, want);
	feed_every_prefix(&parser_proxy, talk, 1);
	uint8_t *more = malloc(n + 3);
	memcpy(more, p, n);
	memcpy(more + n, "\x16\3\1", 3);
	observed_begin(&o, &parser_proxy);
	feed_stream(&o, TO_SERVER, more, 3);
	assert_int_equal(feed_stream(&o, TO_SERVER, more + 3, n), INSPECT_AGAIN);
	assert_int_equal(o.used, n - 3); /* TLS begins behind it */
	observed_end(&o);
	free(more);
}

static void test_proxy(void **s)
{
	(void)s;
	const char *four = "proxy.src 192.0.2.7\nproxy.dest 198.51.100.1\n";
	proxy_header(BYTES(PROXY_LINE), four);
	proxy_header(BYTES("PROXY UNKNOWN\r\n"), "");
	proxy_header(BYTES("PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n"),
		     "proxy.src 2001:db8::7\nproxy.dest 2001:db8::1\n");
	proxy_header(BYTES("PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n"), "proxy.dest 198.51.100.1\n");
	proxy_header(BYTES(PROXY_FOUR), four);
	proxy_header(BYTES(PROXY_SIX), "proxy.src 2001:db8::7\nproxy.dest 2001:db8::1\n");
	proxy_header(BYTES(PROXY_V2 "\x20\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\1\x9c\x40\1\xbb"), "");
	proxy_header(BYTES(PROXY_V2 "\x21\x11\0\2\xc0\0"), "");
}

static void test_proxy_limits(void **s)
{
	(void)s;
	struct observed o;
	char line[120] = "PROXY UNKNOWN ";
	memset(line + 14, 'x', sizeof(line) - 14);
	observed_begin(&o, &parser_proxy);
	assert_int_equal(feed_stream(&o, TO_SERVER, line, 106), INSPECT_MORE);
	assert_int_equal(feed_stream(&o, TO_SERVER, line + 106, 2), INSPECT_ERROR);
	observed_end(&o);
	observed_begin(&o, &parser_proxy);
	assert_int_equal(feed_stream(&o, TO_SERVER, BYTES(PROXY_V2 "\x21\x11\x10\1")), INSPECT_ERROR);
	observed_end(&o);
	observed_begin(&o, &parser_proxy);
	feed_stream(&o, TO_SERVER, BYTES("PROXY TCP4 "));
	assert_int_equal(feed_stream(&o, TO_CLIENT, BYTES("x")), INSPECT_ERROR);
	observed_end(&o);
	assert_int_equal(feed_probe(&parser_proxy, TO_SERVER, BYTES("PROX")), PROBE_MORE);
	assert_int_equal(feed_probe(&parser_proxy, TO_SERVER, BYTES("PROXY TCP5 ")), PROBE_NO);
	assert_int_equal(feed_probe(&parser_proxy, TO_SERVER, BYTES("\r\n\r\n\0\r")), PROBE_MORE);
	assert_int_equal(feed_probe(&parser_proxy, TO_SERVER, BYTES("\r\n\r\nGET")), PROBE_NO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dhcp),  cmocka_unit_test(test_snmp),         cmocka_unit_test(test_ssdp),
	    cmocka_unit_test(test_rdp),   cmocka_unit_test(test_mqtt),         cmocka_unit_test(test_mqtt_payload),
	    cmocka_unit_test(test_proxy), cmocka_unit_test(test_proxy_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
