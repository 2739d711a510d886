/* First byte: the type; the rest: a value, as a rule's and as the wire's. What
 * the wire's form accepts must come out the same a second time.
 * For: rules/canon.c rules/canon_name.c */
#include <stdlib.h>
#include <string.h>

#include "rules/canon.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct canon rule, wire, again;
	struct err e;
	if (!n)
		return 0;
	enum indicator_type t = (enum indicator_type)(data[0] % INDICATOR_TYPE_COUNT);
	bool ruled = canon_rule(t, (const char *)data + 1, n - 1, &rule, &e);
	if (!ruled && !memchr(e.text, '\0', sizeof(e.text)))
		abort();
	if (ruled && (rule.n == 0 || rule.n > CANON_MAX))
		abort();
	if (!canon_wire(t, data + 1, n - 1, &wire))
		return 0;
	if (wire.n == 0 || wire.n > CANON_MAX)
		abort();
	canon_wire(t, wire.key, wire.n, &again);
	/* A value that the rule takes and the wire shows must meet itself. */
	bool text = t != INDICATOR_IP && t != INDICATOR_CIDR && t != INDICATOR_IP_PORT;
	if (ruled && text && (rule.n != wire.n || memcmp(rule.key, wire.key, rule.n) != 0))
		abort();
	return 0;
}
