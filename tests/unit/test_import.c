/* Other formats: what becomes an entry, what is left and why; and that every cut
 * of a file is survived. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "rules/import.h"
#include "rules/stix_pattern.h"

typedef void import_fn(struct import *m, struct bytes text);

/* The entries, then "!code" for each finding, '"' as '\''. */
static const char *imported(import_fn *read, enum indicator_type type, const char *text, size_t n)
{
	static char all[8192];
	struct diags d = {0};
	struct import m = {.d = &d, .type = type, .file = "f"};
	char *copy = xstrndup(text, n);
	read(&m, (struct bytes){.p = (const uint8_t *)copy, .n = n});
	free(copy);
	size_t used = m.entries.n < sizeof(all) - 500 ? m.entries.n : 0;
	if (used)
		memcpy(all, m.entries.p, used);
	all[used] = '\0';
	for (size_t i = 0; i < d.n && used < sizeof(all) - 100; i++)
		used += (size_t)snprintf(all + used, sizeof(all) - used, "!%s", d.list[i].code);
	if (m.inactive)
		snprintf(all + used, sizeof(all) - used, "~%zu", m.inactive);
	for (char *c = all; *c; c++)
		*c = *c == '"' ? '\'' : *c;
	assert_int_equal(m.left, d.n);
	buf_free(&m.entries);
	buf_free(&m.kept);
	diag_free(&d);
	return all;
}

static void check(import_fn *read, enum indicator_type type, const char *text, const char *expected)
{
	const char *got = imported(read, type, text, strlen(text));
	if (strcmp(got, expected) != 0)
		fail_msg("%s\nfound    \"%s\"\nexpected \"%s\"", text, got, expected);
}

static void check_pattern(const char *pattern, const char *expected)
{
	char text[2048];
	size_t n = (size_t)snprintf(text, sizeof(text), "[{\"type\":\"indicator\",\"pattern\":\"");
	for (const char *p = pattern; *p; p++) {
		if (*p == '\\')
			text[n++] = '\\';
		text[n++] = *p;
	}
	strcpy(text + n, "\"}]");
	check(import_stix, INDICATOR_NONE, text, expected);
}

static void test_patterns(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *expected;
	} table[] = {
	    {"[ipv4-addr:value = '198.51.100.7']", "  - {ip: '198.51.100.7'}\n"},
	    {" [ ipv4-addr:value='198.51.100.7' ] ", "  - {ip: '198.51.100.7'}\n"},
	    {"[ipv4-addr:value == '198.51.100.7']", "  - {ip: '198.51.100.7'}\n"},
	    {"[ipv4-addr:value = '198.51.100.0/24']", "  - {cidr: '198.51.100.0/24'}\n"},
	    {"[ipv6-addr:value ISSUBSET '2001:db8::/32']", "  - {cidr: '2001:db8::/32'}\n"},
	    {"[ipv4-addr:value IN ('198.51.100.7', '198.51.100.8')]",
	     "  - {ip: '198.51.100.7'}\n  - {ip: '198.51.100.8'}\n"},
	    {"[domain-name:value = 'bad.example']", "  - {hostname: 'bad.example'}\n"},
	    {"[domain-name:value = 'bad.example' OR domain-name:value LIKE '%.bad.example']",
	     "  - {domain: 'bad.example'}\n"},
	    {"[domain-name:value LIKE '%bad%']", "!not-matched"},
	    {"[url:value LIKE 'http://bad.example/a%']", "  - {url: 'http://bad.example/a', match: prefix}\n"},
	    {"[url:value = 'http://bad.example/\\'a\\\\']", "  - {url: 'http://bad.example/'a\\\\'}\n"},
	    {"[file:hashes.md5 = 'd41d8cd98f00b204e9800998ecf8427e']",
	     "  - {file_md5: 'd41d8cd98f00b204e9800998ecf8427e'}\n"},
	    {"[file:hashes.'SHA-1' = 'da39a3ee5e6b4b0d3255bfef95601890afd80709' OR file:name = 'x']",
	     "  - {file_sha1: 'da39a3ee5e6b4b0d3255bfef95601890afd80709'}\n  - {filename: 'x'}\n"},
	    {"[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '198.51.100.7' AND "
	     "network-traffic:dst_port = 8443]",
	     "  - {ip_port: '198.51.100.7:8443', where: 'ip.endpoint.dest'}\n"},
	    {"[network-traffic:src_ref.value = '2001:db8::7' AND network-traffic:src_port = 53]",
	     "  - {ip_port: '[2001:db8::7]:53', where: 'ip.endpoint.src'}\n"},
	    {"[network-traffic:src_ref.value = '198.51.100.7' AND network-traffic:dst_port = 53]",
	     "  - {stix: '[network-traffic:src_ref.value = '198.51.100.7' AND network-traffic:dst_port = 53]'}\n"},
	    {"[(file:name = 'a' OR file:name = 'b') AND url:value = 'http://a/']",
	     "  - {stix: '[(file:name = 'a' OR file:name = 'b') AND url:value = 'http://a/']'}\n"},
	    {"[domain-name:value = 'a.example' OR (file:name = 'a' AND file:size = 3)]",
	     "  - {stix: '[domain-name:value = 'a.example' OR (file:name = 'a' AND file:size = 3)]'}\n!in-part"},
	    {"[network-traffic:extensions.'http-request-ext'.request_header.'User-Agent' = 'a']",
	     "  - {user_agent: 'a'}\n"},
	    {"[artifact:payload_bin MATCHES '\\\\x4d\\\\x5a\\\\x90']", "  - {payload: '\\\\x4d\\\\x5a\\\\x90'}\n"},
	    {"[ipv4-addr:value = '198.51.100.7' OR file:size = 3]", "  - {ip: '198.51.100.7'}\n!not-matched"},
	    {"[(ipv4-addr:value = '198.51.100.7')]", "  - {ip: '198.51.100.7'}\n"},
	    {"[(file:name = 'a' OR file:name = 'b') AND file:size = 3]", "!not-matched"},
	    {"[ipv4-addr:value != '198.51.100.7']", "!not-matched"},
	    {"[ipv4-addr:value NOT = '198.51.100.7']", "!not-matched"},
	    {"[file:size > 3]", "!not-matched"},
	    {"[ipv4-addr:value = '198.51.100.7'] WITHIN 5 SECONDS", "!not-matched"},
	    {"([url:value = 'http://a/'] FOLLOWEDBY [url:value = 'http://b/'])", "!not-matched"},
	    {"[ipv4-addr:value = '198.51.100.777']", "!bad-value"},
	    {"[ipv4-addr:value = ]", "!bad-pattern"},
	    {"[ipv4-addr.value = 'x']", "!bad-pattern"},
	    {"[file:hashes.MD5 = cead3f77f6cda6ec00f57d76c9a6879f]", "!bad-pattern"},
	    {"[file:name = 'a", "!bad-pattern"},
	    {"[file:name = 'a'", "!bad-pattern"},
	    {"file:name = 'a'", "!bad-pattern"},
	    {"", "!bad-pattern"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		check_pattern(table[i].pattern, table[i].expected);
	struct stix_pattern p = {0};
	const char *why;
	char deep[600];
	memset(deep, '(', sizeof(deep));
	deep[0] = '[';
	assert_int_equal(stix_pattern_read(&p, deep, sizeof(deep), &why), STIX_BEYOND);
	stix_pattern_free(&p);
}

#define ID "indicator--6019f03e-cdf8-5f98-b26f-dff8644944dd"
static const char bundle[] =
    "{\"type\":\"bundle\",\"objects\":[{\"type\":\"marking-definition\",\"id\":\"marking-definition--x\","
    "\"definition_type\":\"statement\",\"definition\":{\"statement\":\"s\"}},"
    "{\"type\":\"indicator\",\"id\":\"" ID "\",\"name\":\"n\",\"description\":\"d\","
    "\"pattern\":\"[url:value = 'http://a.example/']\",\"pattern_type\":\"stix\",\"confidence\":85,"
    "\"valid_from\":\"2026-11-20T00:00:00.000Z\",\"valid_until\":\"2027-02-20T00:00:00Z\",\"labels\":[\"c2\",\"x\"],"
    "\"external_references\":[{\"url\":\"https://ref.example/\"}],\"object_marking_refs\":[\"marking-definition--x\","
    "\"marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421\"]},"
    "{\"type\":\"indicator\",\"pattern\":\"[url:value = 'http://b.example/']\",\"revoked\":true},"
    "{\"type\":\"indicator\",\"pattern\":\"alert tcp\",\"pattern_type\":\"snort\"},"
    "{\"type\":\"indicator\",\"pattern\":\"[url:value = 'hxxp://c[.]example/']\","
    "\"object_marking_refs\":[\"marking-definition--unknown\"]}]}";

static void test_stix(void **state)
{
	(void)state;
	check(import_stix, INDICATOR_NONE, bundle,
	      "  - {url: 'http://a.example/', id: '" ID
	      "', confidence: 85, tlp: amber, labels: 'c2,x', valid_from: 2026-11-20T00:00:00.000000Z, valid_until: "
	      "2027-02-20T00:00:00.000000Z, ref: 'https://ref.example/', note: 'n: d'}\n"
	      "  - {url: 'http://c.example/', tlp: red}\n!not-matched~1");
	for (size_t n = 0; n < sizeof(bundle) - 1; n++)
		(void)imported(import_stix, INDICATOR_NONE, bundle, n);
	check(import_stix, INDICATOR_NONE,
	      "{\"objects\":[{\"type\":\"indicator\",\"pattern\":\"[url:value = 'http://a/'", "!bad-json");
	check(import_stix, INDICATOR_NONE, "{\"objects\":[{\"pattern\":1}]}", "!bad-object");
}

static const char event[] =
    "{\"Event\":{\"info\":\"i\",\"threat_level_id\":\"1\",\"Orgc\":{\"name\":\"o\"},\"Tag\":[{\"name\":\"tlp:green\"}],"
    "\"Attribute\":[{\"type\":\"domain|ip\",\"value\":\"a.example|198.51.100.7\",\"to_ids\":true,\"uuid\":\"u\"},"
    "{\"type\":\"ip-dst|port\",\"value\":\"198.51.100.7|443\",\"to_ids\":true,\"comment\":\"c\"},"
    "{\"type\":\"filename|md5\",\"value\":\"x|d41d8cd98f00b204e9800998ecf8427e\",\"to_ids\":\"1\",\"Tag\":[{\"name\":"
    "\"tlp:red\"}]},"
    "{\"type\":\"url\",\"value\":\"http://a/\",\"to_ids\":false},{\"type\":\"url\",\"value\":\"http://a/"
    "\",\"to_ids\":true,\"deleted\":true},"
    "{\"type\":\"regkey\",\"value\":\"HKLM\",\"to_ids\":true}],"
    "\"Object\":[{\"Attribute\":[{\"type\":\"ip-src\",\"value\":\"2001:db8::/32\",\"to_ids\":true}]}]}}";

static void test_misp(void **state)
{
	(void)state;
	check(import_misp, INDICATOR_NONE, event,
	      "  - {domain: 'a.example', id: 'u', severity: high, tlp: green, note: 'i'}\n"
	      "  - {ip: '198.51.100.7', id: 'u', severity: high, tlp: green, note: 'i'}\n"
	      "  - {ip_port: '198.51.100.7:443', severity: high, tlp: green, note: 'c'}\n"
	      "  - {file_md5: 'd41d8cd98f00b204e9800998ecf8427e', severity: high, tlp: red, note: 'i'}\n"
	      "  - {cidr: '2001:db8::/32', severity: high, tlp: green, note: 'i'}\n!not-matched~2");
	for (size_t n = 0; n < sizeof(event) - 1; n++)
		(void)imported(import_misp, INDICATOR_NONE, event, n);
	check(import_misp, INDICATOR_NONE, "{\"response\":[{\"Event\":{}},{\"Event\":", "!bad-json");
}

static void test_lists(void **state)
{
	(void)state;
	check(
	    import_plain, INDICATOR_NONE,
	    "# c\n; c\n\nbad[.]example extra\r\n198.51.100.7,x\n198.51.100.0/24 ; SBL\n198.51.100.7:443\na@b.example\n"
	    "hxxp://bad.example/x\nd41d8cd98f00b204e9800998ecf8427e\n2001:db8::7\nnonsense\n",
	    "  - {domain: 'bad.example'}\n  - {ip: '198.51.100.7'}\n  - {cidr: '198.51.100.0/24'}\n"
	    "  - {ip_port: '198.51.100.7:443'}\n  - {email: 'a@b.example'}\n  - {url: 'http://bad.example/x'}\n"
	    "  - {file_md5: 'd41d8cd98f00b204e9800998ecf8427e'}\n  - {ip: '2001:db8::7'}\n!unknown-kind");
	check(import_plain, INDICATOR_USER_AGENT, "Evil; bot, 1\n", "  - {user_agent: 'Evil; bot, 1'}\n");
	check(import_csv, INDICATOR_NONE, "indicator,when\n\"bad.example\",2026\nworse.example,2026\n",
	      "  - {domain: 'bad.example'}\n  - {domain: 'worse.example'}\n");
	check(import_maltrail, INDICATOR_NONE, "bad.example # x\n/path\nbad.example/x\n",
	      "  - {domain: 'bad.example'}\n  - {url: 'bad.example/x'}\n!path");
	check(import_maltrail, INDICATOR_USER_AGENT, "\\Aevil\n", "!regex");
	check(import_suricata, INDICATOR_DOMAIN, "YmFkLmV4YW1wbGU=\nd29yc2UuZXhhbXBsZQ==,5\n!\n",
	      "  - {domain: 'bad.example'}\n  - {domain: 'worse.example'}\n!bad-base64");
	check(import_suricata, INDICATOR_FILE_MD5, "d41d8cd98f00b204e9800998ecf8427e,1\n",
	      "  - {file_md5: 'd41d8cd98f00b204e9800998ecf8427e'}\n");
}

static void test_zeek(void **state)
{
	(void)state;
	static const char head[] = "#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc\tmeta.url\n";
	char text[1024];
	snprintf(
	    text, sizeof(text),
	    "%s198.51.100.7\tIntel::ADDR\ts,1\td\thttps://r.example/\nbad.example\tIntel::DOMAIN\t-\t-\t-\n"
	    "bad.example/x\tIntel::URL\t-\t-\t-\nda39a3ee5e6b4b0d3255bfef95601890afd80709\tIntel::FILE_HASH\t-\t-\t-\n"
	    "x\tIntel::PUBKEY_HASH\t-\t-\t-\n",
	    head);
	check(import_zeek, INDICATOR_NONE, text,
	      "  - {ip: '198.51.100.7', labels: 's 1', ref: 'https://r.example/', note: 'd'}\n"
	      "  - {hostname: 'bad.example'}\n  - {url: 'bad.example/x'}\n"
	      "  - {file_sha1: 'da39a3ee5e6b4b0d3255bfef95601890afd80709'}\n!unknown-kind");
	for (size_t n = 0; n < strlen(text); n++)
		(void)imported(import_zeek, INDICATOR_NONE, text, n);
	check(import_zeek, INDICATOR_NONE, "bad.example\tIntel::DOMAIN\n", "!bad-line");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_patterns), cmocka_unit_test(test_stix),
					   cmocka_unit_test(test_misp), cmocka_unit_test(test_lists),
					   cmocka_unit_test(test_zeek)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
