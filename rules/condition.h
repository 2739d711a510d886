/* Indicators of the type stix: patterns of one observation whose comparisons are
 * joined by AND and OR, to be true within one flow.
 *
 * A pattern's alternatives (what stands between its outermost ORs) are conditions
 * of their own. Each is a small program over bits: a bit says that one of the
 * values it stands for has been seen. Ports, protocols and address families are no
 * values: they are asked of the flow when the program runs. rules/conditions.h has
 * those of a whole rule set.
 *
 * What counts as "seen together" follows STIX 2.1 section 9.5 (the comparisons of an
 * AND are about one object) as far as the wire shows it:
 *
 *   one value   all comparisons are of one object's value (domain-name:value, url:value)
 *   one object  all are of one file, certificate, mail, or of the connection; where the
 *               parser cannot tell objects of a flow apart, of the flow
 *   one flow    they are of several kinds of objects
 *
 * Not matched: NOT and order of anything but ports (what a flow does not show is
 * known only at its end), paths that rules/stix_map.h has not, several observations. */
#ifndef RULES_CONDITION_H
#define RULES_CONDITION_H

#include "common/err.h"
#include "rules/stix_term.h"

#define CONDITION_BITS_MAX  32  /* values, or lists of alternative values, joined by AND */
#define CONDITION_TESTS_MAX 64  /* ports, protocols, families in one condition */
#define CONDITION_CODE_MAX  250 /* bits, tests and operators */
#define CONDITION_DEPTH_MAX 64  /* operands that wait */

enum condition_scope { CONDITION_FLOW = 0, CONDITION_OBJECT, CONDITION_VALUE };

/* What is asked of a flow. */
struct condition_facts {
	uint16_t src_port, dest_port;
	uint8_t proto; /* IPPROTO_… */
	bool v6;
	const char *app; /* the parser's name; NULL: not known yet */
};

/* A question about the flow. */
struct condition_test {
	uint8_t kind, op;
	bool negated;
	bool app; /* it is about the application protocol */
	uint32_t number;
};

/* One condition as it runs. */
struct condition_code {
	uint8_t code[CONDITION_CODE_MAX];
	struct condition_test tests[CONDITION_TESTS_MAX];
	size_t code_n, tests_n, bits;
	enum condition_scope scope;
};

/* A value of a condition: valid within the call. */
struct condition_term {
	struct stix_term is;
	uint32_t bit;
};
typedef void condition_fn(void *owner, const struct condition_code *c, const struct condition_term *terms, size_t n);

/* Compiles a pattern: fn is told of each alternative that can be matched. False: there
 * is none, e says why. *part: why others cannot be (in e), NULL: all can. fn, part and
 * e may be NULL. */
bool condition_read(const char *pattern, size_t n, condition_fn *fn, void *owner, const char **part, struct err *e);

/* Whether it is true: of the bits in `seen`, and of the flow. */
bool condition_holds(const uint8_t *code, size_t n, const struct condition_test *tests, uint32_t seen,
		     const struct condition_facts *f);

#endif
