/* What authors say of their indicators with `test:` in a rule file: captures in
 * which one must hit, and captures in which it must not.
 *
 *   test: {miss: [pcaps/office.pcap]}                       at the top: no indicator of the set hits
 *   indicators:
 *     - {domain: bad.example, test: {hit: pcaps/d1.pcap, miss: [pcaps/clean.pcap]}}
 *
 * Paths are taken from the rule file's folder. */
#ifndef RULES_RULE_TESTS_H
#define RULES_RULE_TESTS_H

#include <stdbool.h>
#include <stddef.h>

#include "rules/indicator.h"

#define RULE_TESTS_MAX 100000

struct rule_test {
	enum indicator_type type; /* INDICATOR_NONE: any of the file's set */
	char *value, *capture;
	bool hit; /* it must; false: it must not */
	char *file;
	unsigned line;
};

struct rule_tests {
	struct rule_test *v;
	size_t n;
};

/* value NULL: any. capture is as written. False: too many. */
bool rule_tests_add(struct rule_tests *t, enum indicator_type type, const char *value, const char *capture, bool hit,
		    const char *file, unsigned line);
void rule_tests_free(struct rule_tests *t);

#endif
