/* STIX patterns: any bytes, no crash, no growth, and what is accepted as a rule is a
 * pattern by the grammar.
 * For: rules/condition.c rules/stix_grammar.c */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rules/condition.h"
#include "rules/stix_grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void run(void *owner, const struct condition_code *c, const struct condition_term *terms, size_t n)
{
	static const struct condition_facts facts = {.src_port = 40000, .dest_port = 443, .proto = 6, .app = "tls"};
	uint32_t all = 0;
	(void)owner;
	for (size_t i = 0; i < n; i++)
		all |= UINT32_C(1) << terms[i].bit;
	/* Nothing seen is never enough; what is true stays true when more is seen. */
	if (condition_holds(c->code, c->code_n, c->tests, 0, &facts))
		abort();
	for (uint32_t bit = 1; bit; bit <<= 1)
		if ((all & bit) && condition_holds(c->code, c->code_n, c->tests, bit, &facts) &&
		    !condition_holds(c->code, c->code_n, c->tests, all, &facts))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err e;
	if (n > 4096)
		return 0;
	char *exact = malloc(n + 1);
	memcpy(exact, data, n);
	if (condition_read(exact, n, run, NULL, NULL, &e) && stix_grammar(exact, n, NULL, NULL) != STIX_WELL_FORMED)
		abort();
	free(exact);
	return 0;
}
