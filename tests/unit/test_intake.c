/* The gate: what a careless or hostile sender tries, and what must still pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rules/intake.h"

static struct intake *gate(const struct intake_conf *c, const char *warninglist)
{
	struct err e = {""};
	struct diags d = {0};
	struct intake *g = intake_new(c);
	assert_true(intake_add_own(g, "100.200.0.0/16", &e));
	assert_true(intake_add_own(g, "2400:1234::/32", &e));
	assert_true(intake_add_own(g, "ministry.example.go.jp", &e));
	assert_false(intake_add_own(g, "100.200.0.0/33", &e));
	assert_false(intake_add_own(g, "not a name", &e));
	if (warninglist) {
		char path[] = "/tmp/test_intake.XXXXXX";
		int fd = mkstemp(path);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, warninglist, strlen(warninglist)), (ssize_t)strlen(warninglist));
		close(fd);
		assert_true(intake_add_warninglist(g, path, &d, &e));
		unlink(path);
	}
	assert_true(intake_seal(g, &e));
	diag_free(&d);
	return g;
}

struct row {
	enum indicator_type type;
	const char *value, *code; /* NULL: passes */
};

static void check(const struct intake *g, const struct row *rows, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		struct indicator i = {.type = rows[k].type, .value = rows[k].value};
		struct intake_reason why;
		bool good = intake_check(g, NULL, &i, &why);
		if (good != !rows[k].code || strcmp(why.code, rows[k].code ? rows[k].code : "") != 0)
			fail_msg("%s \"%s\": found %s (%s), expected %s", indicator_type_name(i.type), i.value,
				 good ? "accepted" : why.code, why.text, rows[k].code ? rows[k].code : "accepted");
		assert_int_equal(good, !why.text[0]);
	}
}
#define CHECK(g, rows) check(g, rows, sizeof(rows) / sizeof(*rows))

#define T(t) INDICATOR_##t
static void test_hostile(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {T(CIDR), "0.0.0.0/0", "too-wide"},
	    {T(CIDR), "0.0.0.0/1", "too-wide"},
	    {T(CIDR), "128.0.0.0/1", "too-wide"},
	    {T(CIDR), "::/0", "too-wide"},
	    {T(CIDR), "2000::/3", "too-wide"},
	    {T(CIDR), "::ffff:0:0/96", "too-wide"}, /* all of IPv4 in another dress */
	    {T(CIDR), "93.185.0.0/15", "invalid"},  /* host bits */
	    {T(CIDR), "94.0.0.0/15", "too-wide"},
	    {T(CIDR), "10.0.0.0/16", "reserved"},
	    {T(CIDR), "100.200.0.0/16", "own-range"},
	    {T(CIDR), "100.200.7.0/24", "own-range"},
	    {T(CIDR), "8.8.0.0/16", "everyday"},
	    {T(CIDR), "8.8.8.8/32", "everyday"},
	    {T(CIDR), "2001:4860::/32", "everyday"},
	    {T(IP), "10.1.2.3", "reserved"},
	    {T(IP), "127.0.0.1", "reserved"},
	    {T(IP), "::ffff:127.0.0.1", "reserved"},
	    {T(IP), "0.0.0.0", "reserved"},
	    {T(IP), "255.255.255.255", "reserved"},
	    {T(IP), "224.0.0.251", "reserved"},
	    {T(IP), "::1", "reserved"},
	    {T(IP), "100.200.1.1", "own-range"},
	    {T(IP), "2400:1234::5", "own-range"},
	    {T(IP), "8.8.8.8", "everyday"},
	    {T(IP), "300.1.2.3", "invalid"},
	    {T(IP_PORT), "192.168.1.1:443", "reserved"},
	    {T(IP_PORT), "1.1.1.1:53", "everyday"},
	    {T(DOMAIN), "com", "too-wide"},
	    {T(DOMAIN), "COM.", "too-wide"},
	    {T(DOMAIN), "co.jp", "too-wide"},
	    {T(DOMAIN), "go.jp", "too-wide"},
	    {T(DOMAIN), "github.io", "too-wide"},
	    {T(DOMAIN), "google.com", "everyday"},
	    {T(DOMAIN), "GOOGLE.COM", "everyday"},
	    {T(DOMAIN), "www.google.com", "everyday"},
	    {T(HOSTNAME), "www.microsoft.com", "everyday"},
	    {T(DOMAIN), "example.go.jp", "own-range"},
	    {T(DOMAIN), "www.ministry.example.go.jp", "own-range"},
	    {T(HOSTNAME), "ministry.example.go.jp", "own-range"},
	    {T(HOSTNAME), "localhost", "reserved"},
	    {T(DOMAIN), "in-addr.arpa", "reserved"},
	    {T(DOMAIN), "1.0.0.127.in-addr.arpa", "reserved"},
	    {T(DOMAIN), "bad..example", "invalid"},
	    {T(URL), "https://www.google.com/", "everyday"},
	    {T(URL), "http://google.com", "everyday"},
	    {T(URL), "//google.com", "everyday"},
	    {T(URL), "http://8.8.8.8:80/", "everyday"},
	    {T(URL), "http://[2001:4860:4860::8888]/", "everyday"},
	    {T(URL), "http://ministry.example.go.jp/", "own-range"},
	    {T(FILE_MD5), "D41D8CD98F00B204E9800998ECF8427E", "empty-file"},
	    {T(FILE_SHA1), "da39a3ee5e6b4b0d3255bfef95601890afd80709", "empty-file"},
	    {T(FILE_SHA256), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "empty-file"},
	    {T(FILE_MD5), "d41d8cd98f00b204", "invalid"},
	    {T(PAYLOAD_HEX), "90", "short-pattern"},
	    {T(PAYLOAD_HEX), "00000000", "short-pattern"},
	    {T(PAYLOAD_HEX), "0000000000000000000000000000", "short-pattern"},
	    {T(PAYLOAD_HEX), "485454502f312e31", "short-pattern"}, /* HTTP/1.1 */
	    {T(PAYLOAD_HEX), "160301", "short-pattern"},
	    {T(PAYLOAD), "a.?c", "short-pattern"},
	    {T(PAYLOAD), "GET / HTTP", "short-pattern"},
	    {T(PAYLOAD), "(((", "invalid"},
	    {T(PAYLOAD), "x*", "invalid"},
	    {T(USER_AGENT), "-", "short-pattern"},
	    {T(FILENAME), "a", "short-pattern"},
	    {T(FILENAME), "Index.HTML", "everyday"},
	    {T(USERNAME), "Administrator", "everyday"},
	    {T(SSH_BANNER), "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u2", "everyday"},
	    {T(CERT_ISSUER), "C=US, O=Let's Encrypt, CN=R3", "everyday"},
	    {T(CERT_SERIAL), "01", "short-pattern"},
	    {T(MQTT_TOPIC), "#", "everyday"},
	    {T(COMMUNITY), "public", "everyday"},
	    {T(PROTOCOL), "TLS", "everyday"},
	    {T(RISK), "NDPI_TLS_SELFSIGNED_CERTIFICATE", "local-matter"},
	    {T(HEURISTIC), "beacon", "local-matter"},
	};
	struct intake *g = gate(NULL, NULL);
	CHECK(g, rows);
	intake_free(g);
}

static void test_useful(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {T(IP), "93.184.216.34", NULL},
	    {T(IP), "198.51.100.7", NULL}, /* documentation: exercises use it */
	    {T(CIDR), "93.184.0.0/16", NULL},
	    {T(CIDR), "2a00::/32", NULL},
	    {T(CIDR), "8.8.9.0/24", NULL},
	    {T(IP_PORT), "93.184.216.34:443", NULL},
	    {T(DOMAIN), "bad.example.com", NULL},
	    {T(DOMAIN), "notgoogle.com", NULL},
	    {T(DOMAIN), "google.com.evil.example.net", NULL},
	    {T(DOMAIN), "bucket.s3.amazonaws.com", NULL},
	    {T(DOMAIN), "evil.github.io", NULL},
	    {T(HOSTNAME), "co.jp", NULL},
	    {T(HOSTNAME), "other.example.go.jp", NULL},
	    {T(URL), "https://docs.google.com/evil", NULL},
	    {T(URL), "https://www.google.com/evil", NULL},
	    {T(URL), "http://bad.example.com/", NULL},
	    {T(FILE_SHA256), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b856", NULL},
	    {T(PAYLOAD_HEX), "deadbeef", NULL},
	    {T(PAYLOAD), "(?i)evil[0-9]{4}", NULL},
	    {T(USER_AGENT), "EvilBot/1.0", NULL},
	    {T(FILENAME), "invoice_2026.exe", NULL},
	    {T(USERNAME), "svc-exfil", NULL},
	    {T(SSH_BANNER), "SSH-2.0-Go-evil", NULL},
	    {T(CERT_ISSUER), "CN=Evil CA", NULL},
	    {T(CERT_SERIAL), "0badc0ffee0ddf00d", NULL},
	    {T(JA3), "e7d705a3286e19ea42f587b344ee6865", NULL},
	    {T(JA4), "t13d1516h2_8daaf6152771_e5627efa2ab1", NULL},
	    {T(PROTOCOL), "BitTorrent", NULL},
	};
	struct intake *g = gate(NULL, NULL);
	CHECK(g, rows);
	intake_free(g);
}

static void test_warninglist(void **state)
{
	(void)state;
	static const char list[] = "{\"type\":\"hostname\",\"name\":\"n\",\"matching_attributes\":[\"domain\"],"
				   "\"list\":[\"a.cdn.example.org\",\"cdn.example.net\"]}";
	static const struct row rows[] = {
	    {T(DOMAIN), "cdn.example.net", "warning-list"},
	    {T(DOMAIN), "x.cdn.example.net", "warning-list"},
	    {T(HOSTNAME), "x.cdn.example.net", "warning-list"},
	    {T(DOMAIN), "example.org", "warning-list"},
	    {T(DOMAIN), "cdn.example.org", "warning-list"},
	    {T(DOMAIN), "b.cdn.example.org", NULL},
	    {T(HOSTNAME), "example.org", NULL},
	    {T(DOMAIN), "dn.example.net", NULL},
	};
	struct intake *g = gate(NULL, list);
	CHECK(g, rows);
	intake_free(g);
}

static void test_limits_and_quota(void **state)
{
	(void)state;
	static const struct row rows[] = {
	    {T(CIDR), "93.184.0.0/16", "too-wide"}, {T(CIDR), "93.184.216.0/24", NULL},
	    {T(CIDR), "2a00::/40", "too-wide"},     {T(PAYLOAD_HEX), "deadbeef", "short-pattern"},
	    {T(PAYLOAD_HEX), "deadbeefcafe", NULL}, {T(FILENAME), "evil.exe", "short-pattern"},
	};
	struct intake *g = gate(&(struct intake_conf){24, 48, 6, 10, 2}, NULL);
	CHECK(g, rows);
	struct intake_source from = {.active = 1};
	struct intake_reason why;
	struct indicator good = {.type = T(DOMAIN), .value = "bad.example.com"},
			 bad = {.type = T(DOMAIN), .value = "com"};
	assert_false(intake_check(g, &from, &bad, &why));
	assert_true(intake_check(g, &from, &good, &why));
	assert_false(intake_check(g, &from, &good, &why));
	assert_string_equal(why.code, "quota");
	assert_int_equal(from.active, 2);
	assert_int_equal(from.quarantined, 2);
	from.active--; /* one was withdrawn */
	assert_true(intake_check(g, &from, &good, &why));
	intake_free(g);
}

/* A value may hold anything: the sentence is fit for a log. */
static void test_clean_reason(void **state)
{
	(void)state;
	struct intake *g = gate(NULL, NULL);
	struct intake_reason why;
	struct indicator i = {.type = T(USER_AGENT), .value = "\033[2"};
	assert_false(intake_check(g, NULL, &i, &why));
	assert_null(strchr(why.text, '\033'));
	i = (struct indicator){.type = T(IP), .value = "1.2.3.4\nforged line"};
	assert_false(intake_check(g, NULL, &i, &why));
	assert_null(strchr(why.text, '\n'));
	intake_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_hostile), cmocka_unit_test(test_useful),
					   cmocka_unit_test(test_warninglist), cmocka_unit_test(test_limits_and_quota),
					   cmocka_unit_test(test_clean_reason)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
