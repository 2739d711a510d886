/* The canonical form: what rules mean and what the wire shows must meet, and
 * near misses must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "rules/canon.h"

#define T(type) INDICATOR_##type

/* Whether a rule's value meets what the wire shows, for types whose wire form is text. */
static const struct {
	const char *label;
	enum indicator_type type;
	const char *rule, *wire;
	bool same;
} meets[] = {
    {"case", T(DOMAIN), "Bad.EXAMPLE", "bAD.example", true},
    {"trailing dot in the rule", T(DOMAIN), "bad.example.", "bad.example", true},
    {"trailing dot on the wire", T(DOMAIN), "bad.example", "bad.example.", true},
    {"two trailing dots are another name", T(DOMAIN), "bad.example", "bad.example..", false},
    {"another name", T(DOMAIN), "bad.example", "bad.examplf", false},
    {"underscore", T(HOSTNAME), "_dmarc.bad.example", "_DMARC.bad.example", true},
    {"IDNA, wire as ASCII", T(DOMAIN), "Bücher.example", "xn--bcher-kva.example", true},
    {"IDNA, wire as UTF-8", T(DOMAIN), "xn--bcher-kva.example", "BÜCHER.example", true},
    {"IDNA, non-transitional", T(DOMAIN), "faß.example", "xn--fa-hia.example", true},
    {"IDNA, not transitional", T(DOMAIN), "faß.example", "fass.example", false},
    {"IDNA, full-width", T(DOMAIN), "bad.example", "ｂａｄ．ｅｘａｍｐｌｅ", true},
    {"IDNA, ideographic full stop", T(DOMAIN), "例え。テスト", "xn--r8jz45g.xn--zckzah", true},
    {"IDNA, combining", T(DOMAIN), "bu\u0308cher.example", "b\u00fccher.example", true},
    {"long lower-casing", T(DOMAIN), "abcdefghijklmnopqrstuvwxyz-0123456789_.example",
     "ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789_.EXAMPLE", true},
    {"'@' and '[' are beside the letters", T(USER_AGENT), "@[`{", "@[`{", true},
    {"user agent is exact", T(USER_AGENT), "curl/8", "Curl/8", false},

    {"url scheme and host", T(URL), "HTTP://WWW.Example/A", "http://www.example/A", true},
    {"url path case", T(URL), "http://h/A", "http://h/a", false},
    {"url query case", T(URL), "http://h/?A", "http://h/?a", false},
    {"url default port", T(URL), "http://h:80/", "http://h/", true},
    {"url default port of https", T(URL), "https://h:443/x", "https://h/x", true},
    {"url port 443 is not http's", T(URL), "http://h:443/", "http://h/", false},
    {"url other port", T(URL), "http://h:8080/", "http://h:8080/", true},
    {"url port with zeroes", T(URL), "http://h:08080/", "http://h:8080/", true},
    {"url empty port", T(URL), "http://h:/", "http://h/", true},
    {"url fragment", T(URL), "http://h/a#b", "http://h/a", true},
    {"url fragment without a path", T(URL), "http://h#b", "http://h/", true},
    {"url empty path", T(URL), "http://h", "http://h/", true},
    {"url empty path with query", T(URL), "http://h?q=1", "http://h/?q=1", true},
    {"url query is exact", T(URL), "http://h/a", "http://h/a?x=1", false},
    {"url percent-encoding is kept", T(URL), "http://h/%2e", "http://h/%2E", false},
    {"url dot segments are kept", T(URL), "http://h/a/../b", "http://h/b", false},
    {"url userinfo", T(URL), "http://user:pw@h/", "http://h/", true},
    {"url '@' in the path", T(URL), "http://h/a@b", "http://h/a@b", true},
    {"url ':' in the path", T(URL), "http://h/a:81/b", "http://h/a:81/b", true},
    {"url host with a trailing dot", T(URL), "http://h.example./x", "http://h.example/x", true},
    {"url IPv6 host", T(URL), "http://[FD00:2:1:0::2]/t", "http://[fd00:2:1::2]/t", true},
    {"url IPv6 host and port", T(URL), "http://[2001:DB8::1]:8080/", "http://[2001:db8:0::1]:8080/", true},
    {"url IPv4 in IPv6 form", T(URL), "http://[::ffff:192.0.2.1]/", "http://192.0.2.1/", true},
    {"url IDNA host", T(URL), "http://bücher.example/ü", "http://xn--bcher-kva.example/ü", true},
    {"url odd host", T(URL), "http://example.com*/", "http://EXAMPLE.com*", true},
    {"url without scheme is not the one with", T(URL), "h.example/x", "http://h.example/x", false},
    {"url without scheme, port 80 is http", T(URL), "h.example:80/x", "http://h.example/x", true},
    {"url without scheme, port 443 is https", T(URL), "//h.example:443/x", "https://h.example/x", true},
    {"url within the query", T(URL), "http://h/?u=http://B/", "http://H/?u=http://B/", true},
    {"url without scheme holding one", T(URL), "h/?u=http://B/", "//h/?u=http://B/", true},

    {"email case", T(EMAIL), "Alice@Example.COM", "aLICE@eXAMPLE.com", true},
    {"email with IDNA", T(EMAIL), "a@bücher.example", "a@xn--bcher-kva.example", true},
    {"email other", T(EMAIL), "alice@example.com", "xalice@example.com", false},

    {"md5", T(FILE_MD5), "D41D8CD98F00B204E9800998ECF8427E", "d41d8cd98f00b204e9800998ecf8427e", true},
    {"md5 with colons", T(JA3), "d4:1d:8c:d9:8f:00:b2:04:e9:80:09:98:ec:f8:42:7e", "d41d8cd98f00b204e9800998ecf8427e",
     true},
    {"md5 near", T(HASSH), "d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427f", false},
    {"serial with zero bytes", T(CERT_SERIAL), "00:0A:1b", "0a1b", true},
    {"serial with one digit less", T(CERT_SERIAL), "a1b", "0A1B", true},
    {"serial zero", T(CERT_SERIAL), "00", "0", true},
    {"serial near", T(CERT_SERIAL), "0a1b", "a1b0", false},
    {"ja4", T(JA4), "T13d1516h2_8daaf6152771_B0da82dd1658", "t13d1516h2_8daaf6152771_b0da82dd1658", true},
    {"protocol", T(PROTOCOL), "BitTorrent", "bittorrent", true},
    {"heuristic", T(HEURISTIC), "Port-Scan", "port-scan", true},
    {"heuristic near", T(HEURISTIC), "port-scan", "address-scan", false},
    {"subject is exact", T(CERT_SUBJECT), "C=US, O=A, Inc., CN=x", "C=US, O=A, Inc., CN=x", true},
    {"file name keeps blanks", T(FILENAME), " a ", " a ", true},
    {"file name", T(FILENAME), "a.exe", "a.exex", false},
};

static void test_meets(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(meets) / sizeof(*meets); i++) {
		static struct canon a, b;
		struct err e = {""};
		if (!canon_rule(meets[i].type, meets[i].rule, strlen(meets[i].rule), &a, &e))
			fail_msg("%s: refused: %s", meets[i].label, e.text);
		if (!canon_wire(meets[i].type, meets[i].wire, strlen(meets[i].wire), &b))
			fail_msg("%s: the wire's was refused", meets[i].label);
		if ((a.n == b.n && memcmp(a.key, b.key, a.n) == 0) != meets[i].same)
			fail_msg("%s: \"%.*s\" against \"%.*s\"", meets[i].label, (int)a.n, a.key, (int)b.n, b.key);
	}
}

/* The key itself, in hex. */
static const struct {
	const char *label;
	enum indicator_type type;
	const char *value, *hex;
} keys[] = {
    {"v4", T(IP), "198.51.100.7", "00000000000000000000ffffc6336407"},
    {"v4 in v6 form", T(IP), "::ffff:198.51.100.7", "00000000000000000000ffffc6336407"},
    {"v4 in hex v6 form", T(IP), "::FFFF:c633:6407", "00000000000000000000ffffc6336407"},
    {"v6", T(IP), "2001:DB8:0:0::7", "20010db8000000000000000000000007"},
    {"cidr v4", T(CIDR), "198.51.100.0/24", "00000000000000000000ffffc633640018"},
    {"cidr everything", T(CIDR), "0.0.0.0/0", "00000000000000000000ffff0000000000"},
    {"cidr lone address", T(CIDR), "198.51.100.7", "00000000000000000000ffffc633640720"},
    {"cidr v6", T(CIDR), "2001:db8::/32", "20010db800000000000000000000000020"},
    {"cidr v6 everything", T(CIDR), "::/0", "0000000000000000000000000000000000"},
    {"cidr v4 in v6 form", T(CIDR), "::ffff:198.51.100.0/120", "00000000000000000000ffffc633640018"},
    {"endpoint v4", T(IP_PORT), "198.51.100.7:443", "00000000000000000000ffffc633640701bb"},
    {"endpoint v6", T(IP_PORT), "[2001:db8::7]:65535", "20010db8000000000000000000000007ffff"},
    {"payload hex", T(PAYLOAD_HEX), "DE ad:be ef", "deadbeef"},
    {"scheme-less", T(URL), "H/", "2f2f682f"},
};

static void test_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		static struct canon c;
		struct err e = {""};
		char hex[128];
		if (!canon_rule(keys[i].type, keys[i].value, strlen(keys[i].value), &c, &e))
			fail_msg("%s: refused: %s", keys[i].label, e.text);
		text_hex(hex, c.key, c.n);
		if (strcmp(hex, keys[i].hex) != 0)
			fail_msg("%s: %s", keys[i].label, hex);
	}
}

static const struct {
	enum indicator_type type;
	const char *value, *why; /* part of the sentence */
} refused[] = {
    {T(IP), "300.1.2.3", "\"300.1.2.3\" is not an IPv4 address"},
    {T(IP), "1.2.3", "is not an IPv4 address"},
    {T(IP), "01.2.3.4", "is not an IPv4 address"},
    {T(IP), "2001:zz::1", "is not an IPv6 address"},
    {T(IP), "198.51.100.0/24", "did you mean the type cidr?"},
    {T(IP), "198.51.100.7:80", "did you mean the type ip_port?"},
    {T(IP), "fe80::1%eth0", "leave the zone"},
    {T(IP), "198[.]51.100.7", "is defanged"},
    {T(IP), "", "the value is empty"},
    {T(IP), " 198.51.100.7", "has blanks around it"},
    {T(CIDR), "198.51.100.7/24", "host bits are set: did you mean 198.51.100.0/24?"},
    {T(CIDR), "2001:db8::1/32", "host bits are set: did you mean 2001:db8::/32?"},
    {T(CIDR), "198.51.100.0/33", "from 0 to 32"},
    {T(CIDR), "198.51.100.0/", "from 0 to 32"},
    {T(CIDR), "198.51.100.0/-1", "from 0 to 32"},
    {T(CIDR), "::/129", "from 0 to 128"},
    {T(CIDR), "::ffff:0.0.0.0/95", "reaches beyond"},
    {T(CIDR), "198.51.100/24", "is not an IPv4 address"},
    {T(IP_PORT), "198.51.100.7", "names no port"},
    {T(IP_PORT), "198.51.100.7:99999", "from 0 to 65535"},
    {T(IP_PORT), "2001:db8::7:443", "as [2001:db8::7]:443"},
    {T(IP_PORT), "[2001:db8::7]", "names no port"},
    {T(IP_PORT), "[", "names no port"},
    {T(IP_PORT), "[]:1", "is not an IPv4 address"},
    {T(IP_PORT), "bad.example:1", "is not an IPv4 address"},
    {T(DOMAIN), "http://bad.example/", "did you mean the type url?"},
    {T(DOMAIN), "198.51.100.7", "did you mean the type ip?"},
    {T(DOMAIN), "2001:db8::7", "did you mean the type ip?"},
    {T(DOMAIN), "*.bad.example", "did you mean domain \"bad.example\"?"},
    {T(DOMAIN), ".bad.example", "did you mean domain \"bad.example\"?"},
    {T(DOMAIN), "bad[.]example", "is defanged"},
    {T(DOMAIN), "bad..example", "expected labels"},
    {T(DOMAIN), "bad example", "expected labels"},
    {T(DOMAIN), "a@bad.example", "did you mean the type email?"},
    {T(DOMAIN), ".", "is not a domain"},
    {T(DOMAIN), "..", "did you mean"},
    {T(DOMAIN), "0123456789012345678901234567890123456789012345678901234567890123.example", "labels of 1 to 63"},
    {T(DOMAIN), "\xff\xfe.example", "has no IDNA form"},
    {T(URL), "hxxp://bad.example/", "is defanged"},
    {T(URL), "http://bad[.]example/", "is defanged"},
    {T(URL), "http:///path", "names no host"},
    {T(URL), "http://h:70000/", "from 1 to 65535"},
    {T(URL), "http://h:x/", "from 1 to 65535"},
    {T(URL), "http://[2001:db8::1/", "do not close"},
    {T(URL), "http://[2001:db8::1]x/", "do not close"},
    {T(URL), "http://[h]/", "not an IPv6 address"},
    {T(URL), "http://[1.2.3.4]/", "not an IPv6 address"},
    {T(URL), "http://h h/", "no host has"},
    {T(URL), "http://h/\x01", "control character"},
    {T(FILE_SHA256), "d41d8cd98f00b204e9800998ecf8427e", "it has 32 hex digits (that many has an MD5), expected 64"},
    {T(FILE_MD5), "d41d8cd98f00b204e9800998ecf8427", "it has 31 hex digits, expected 32"},
    {T(FILE_SHA1), "zz", "it is not hexadecimal"},
    {T(CERT_SERIAL), "0x12", "expected hex digits"},
    {T(JA4), "t13d1516h2", "is not a JA4"},
    {T(HEURISTIC), "portscan", "is not a heuristic"},
    {T(EMAIL), "alice", "expected name@domain"},
    {T(EMAIL), "@example.com", "expected name@domain"},
    {T(PAYLOAD_HEX), "abc", "has 3 hex digits"},
    {T(PAYLOAD_HEX), ":", "has 0 hex digits"},
    {T(NONE), "x", "unknown indicator type"},
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		static struct canon c;
		struct err e = {""};
		if (canon_rule(refused[i].type, refused[i].value, strlen(refused[i].value), &c, &e))
			fail_msg("\"%s\" was taken", refused[i].value);
		if (!strstr(e.text, refused[i].why))
			fail_msg("\"%s\": %s", refused[i].value, e.text);
	}
}

static void test_limits(void **state)
{
	(void)state;
	static char long_value[2 * CANON_MAX + 2];
	static struct canon c;
	struct err e;
	memset(long_value, 'a', sizeof(long_value));
	assert_true(canon_rule(T(USER_AGENT), long_value, CANON_MAX, &c, &e));
	assert_false(canon_rule(T(USER_AGENT), long_value, CANON_MAX + 1, &c, &e));
	assert_non_null(strstr(e.text, "at most 4096"));
	assert_true(canon_wire(T(USER_AGENT), long_value, CANON_MAX, &c));
	assert_false(canon_wire(T(USER_AGENT), long_value, CANON_MAX + 1, &c));
	memcpy(long_value, "http://h/", 9);
	assert_true(canon_wire(T(URL), long_value, CANON_MAX, &c));
	assert_false(canon_wire(T(URL), long_value, CANON_MAX + 1, &c));
	memcpy(long_value, "http://h:80/", 12); /* the port goes, so three bytes more fit */
	assert_true(canon_wire(T(URL), long_value, CANON_MAX + 3, &c));
	assert_false(canon_wire(T(URL), long_value, CANON_MAX + 4, &c));
	assert_false(canon_rule(T(USER_AGENT), "a\0b", 3, &c, &e));
	assert_false(canon_wire(T(PAYLOAD), "a", 1, &c));
	assert_false(canon_wire(T(IP), "198.51.100.7", 12, &c));
}

/* What the wire's form gives must be stable, and every cut of a value harmless. */
static void test_stable(void **state)
{
	(void)state;
	static struct canon a, b;
	for (size_t i = 0; i < sizeof(meets) / sizeof(*meets); i++)
		for (size_t n = 0; n <= strlen(meets[i].wire); n++) {
			if (!canon_wire(meets[i].type, meets[i].wire, n, &a))
				continue;
			assert_true(canon_wire(meets[i].type, a.key, a.n, &b));
			if (strcmp(meets[i].label, "two trailing dots are another name") == 0)
				continue;
			assert_int_equal(a.n, b.n);
			assert_memory_equal(a.key, b.key, a.n);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_meets),  cmocka_unit_test(test_keys),   cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_limits), cmocka_unit_test(test_stable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
