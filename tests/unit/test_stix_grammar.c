/* What is a STIX pattern and what is none: the forms of STIX 2.1 section 9. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "rules/stix_grammar.h"
#include "rules/stix_pattern.h"

static const char *const good[] = {
    "[file:size = 25536]",
    "[file:size=-1 AND file:name!='a' OR file:name<>'b']",
    "[file:hashes.'SHA-256' = 'aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f']",
    "[ipv4-addr:value ISSUBSET '198.51.100.0/24' OR ipv4-addr:value NOT ISSUPERSET '198.51.100.0/28']",
    "[email-message:body_multipart[0].body_raw_ref.name = 'x' AND email-message:to_refs[*].value = 'y']",
    "[domain-name:value IN ('a.example', 'b.example', 5, true, h'00ff', t'2026-01-01T00:00:00Z')]",
    "[domain-name:value NOT IN ('a.example')]",
    "[url:value LIKE 'http://%' AND url:value NOT MATCHES '^x\\\\.y$']",
    "[windows-registry-key:key = 'HKEY\\\\x' AND EXISTS windows-registry-key:values]",
    "[NOT EXISTS file:name]",
    "[artifact:payload_bin = b'AAECAw==']",
    "[network-traffic:start >= t'2026-01-01T00:00:00.123Z' AND network-traffic:dst_port < 1024]",
    "[network-traffic:extensions.'http-request-ext'.request_header.'User-Agent' == 'x']",
    "[(file:name = 'a' OR file:name = 'b') AND (file:size > 1 AND (file:size <= 2.5))]",
    "[file:name = 'it\\'s'] FOLLOWEDBY [file:name = 'c:\\\\x']",
    "([a:b = 1] AND [a:b = 2]) WITHIN 300 SECONDS",
    "[a:b = 1] REPEATS 5 TIMES WITHIN 1.5 SECONDS",
    "([a:b = 1]) WITHIN 5 SECONDS WITHIN 6 SECONDS",
    "([a:b = 1] FOLLOWEDBY ([a:b = 2] OR [a:b = 3])) START t'2026-01-01T00:00:00Z' STOP t'2026-02-01T00:00:00.5Z'",
    "[x-usb-device:usbdrive.serial_number = '5']",
    " [ a:b = 1 ] // a comment\n OR /* another */ [a:b=2] ",
    "[a:b = true]",
};

static const char *const bad[] = {
    "",
    "[]",
    "[a:b]",
    "[a:b = ]",
    "[a:b = 1",
    "a:b = 1",
    "[a:b = 1] AND",
    "[a:b = 1] [a:b = 2]",
    "[a:b = 1] FOLLOWEDBY",
    "[a = 1]",
    "[a:b = 'x]",
    "[a:b = \"x\"]",
    "[a:b = 'a\\n']",
    "[a:b IN ()]",
    "[a:b IN ('x' 'y')]",
    "[a:b LIKE 5]",
    "[a:b < true]",
    "[a:b = h'abc']",
    "[a:b = b'AAA']",
    "[a:b = t'2026-13-01T00:00:00Z']",
    "[a:b = t'2026-01-01 00:00:00']",
    "[a:b = 1.]",
    "[a:b = 007]",
    "[a:b = 5x]",
    "[a:b[x] = 1]",
    "[a:b.5 = 1]",
    "[a:b = 1] WITHIN SECONDS",
    "[a:b = 1] WITHIN -5 SECONDS",
    "[a:b = 1] REPEATS 1.5 TIMES",
    "[a:b = 1] START t'2026-01-01T00:00:00Z'",
    "[a:b = 1] START '2026-01-01T00:00:00Z' STOP t'2026-01-01T00:00:00Z'",
    "([a:b = 1]",
    "[(a:b = 1]",
    "[NOT a:b = 1]",
    "[a:b and a:c = 1]",
    "[a:b = 1]]",
    "[a:b = 1] WITHIN 5 SECONDS WITHIN 6 SECONDS",
    "[a:b = 1] REPEATS 2 TIMES WITHIN 5 SECONDS REPEATS 3 TIMES",
    "[a:b = 1] /* no end",
    "[a:b = 1 AND ]",
};

static void each_as_it_should(void **state)
{
	const char *why;
	size_t at;
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (stix_grammar(good[i], strlen(good[i]), &why, &at) != STIX_WELL_FORMED)
			fail_msg("%s: %s at %zu", good[i], why, at);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (stix_grammar(bad[i], strlen(bad[i]), &why, &at) != STIX_MALFORMED)
			fail_msg("taken: %s", bad[i]);
		else if (!why || at > strlen(bad[i]))
			fail_msg("%s: no reason, or beyond the end", bad[i]);
}

/* Cut at every length: never a crash; whole only at the end or where a qualifier
 * or a comment may be missing. */
static void cut_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		for (size_t n = 0; n < strlen(good[i]); n++) {
			char *exact = malloc(n ? n : 1);
			memcpy(exact, good[i], n);
			if (stix_grammar(exact, n, NULL, NULL) == STIX_WELL_FORMED && !memchr(exact, ']', n))
				fail_msg("%.*s", (int)n, good[i]);
			free(exact);
		}
}

static void nesting_is_bounded(void **state)
{
	size_t n = 1 << 20;
	char *text = malloc(n);
	(void)state;
	memset(text, '(', n);
	assert_int_equal(stix_grammar(text, n, NULL, NULL), STIX_TOO_DEEP);
	text[0] = '[';
	assert_int_equal(stix_grammar(text, n, NULL, NULL), STIX_TOO_DEEP);
	free(text);
}

/* What the importer cannot match is told apart from what is no pattern. */
static void beyond_is_not_bad(void **state)
{
	struct stix_pattern p = {0};
	const char *why;
	(void)state;
	static const struct {
		const char *text;
		enum stix_result result;
	} cases[] = {{"[domain-name:value = 'a.example']", STIX_READ},
		     {"[file:size > 5]", STIX_READ},
		     {"[ipv4-addr:value ISSUPERSET '10.0.0.0/8']", STIX_BEYOND},
		     {"[a:b = 1] FOLLOWEDBY [a:b = 2]", STIX_BEYOND},
		     {"[a:b = 1] FOLLOWEDBY [a:b = ]", STIX_BAD},
		     {"([a:b = 1] OR nonsense", STIX_BAD},
		     {"[EXISTS file:name]", STIX_BEYOND},
		     {"[NOT file:name]", STIX_BAD}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (stix_pattern_read(&p, cases[i].text, strlen(cases[i].text), &why) != cases[i].result)
			fail_msg("%s: %s", cases[i].text, why ? why : "read");
	stix_pattern_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_as_it_should),
	    cmocka_unit_test(cut_anywhere),
	    cmocka_unit_test(nesting_is_bounded),
	    cmocka_unit_test(beyond_is_not_bad),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
