#include "rules/condition.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "rules/canon.h"
#include "rules/pattern.h"

/* A condition's code, in postfix: a bit, a test, or an operator. */
#define CODE_TEST 0x40u
#define CODE_AND  0xfeu
#define CODE_OR   0xffu

/* condition_test.kind; number: the port, 1 for IPv6, IPPROTO_…, the index in apps */
enum test_kind { TEST_NONE = 0, TEST_SRC_PORT, TEST_DEST_PORT, TEST_V6, TEST_PROTO, TEST_APP };

/* ---- questions about the flow ---- */

static const char *const apps[] = {"dns", "http", "http2", "tls",  "quic", "ssh", "smtp", "imap", "pop3",
				   "ftp", "smb",  "rdp",   "ldap", "mqtt", "nfs", "dhcp", "snmp", "tftp"};
#define APPS (sizeof(apps) / sizeof(*apps))

static bool read_number(const char *text, size_t n, uint32_t *out)
{
	*out = 0;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		*out = *out * 10 + (uint32_t)(text[i] - '0');
	}
	return n > 0 && n <= 5 && *out <= UINT16_MAX;
}

static const char *protocol(const char *name, struct condition_test *t)
{
	static const struct {
		const char *name;
		enum test_kind kind;
		uint32_t number;
	} known[] = {{"ipv4", TEST_V6, 0},
		     {"ipv6", TEST_V6, 1},
		     {"tcp", TEST_PROTO, IPPROTO_TCP},
		     {"udp", TEST_PROTO, IPPROTO_UDP},
		     {"icmp", TEST_PROTO, IPPROTO_ICMP},
		     {"icmp6", TEST_PROTO, IPPROTO_ICMPV6},
		     {"ipv6-icmp", TEST_PROTO, IPPROTO_ICMPV6},
		     {"sctp", TEST_PROTO, IPPROTO_SCTP},
		     {"https", TEST_APP, 3},
		     {"ssl", TEST_APP, 3}};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcasecmp(name, known[i].name) == 0) {
			t->kind = (uint8_t)known[i].kind;
			t->number = known[i].number;
			t->app = t->kind == TEST_APP;
			return NULL;
		}
	t->kind = TEST_APP;
	t->app = true;
	for (t->number = 0; t->number < APPS; t->number++)
		if (strcasecmp(name, apps[t->number]) == 0)
			return NULL;
	return "a protocol that is not told apart";
}

/* False: the comparison is none about the flow. Otherwise *why is NULL, or why it cannot be asked. */
static bool flow_test(const struct stix_pattern *p, const struct stix_compare *c, struct condition_test *t,
		      const char **why)
{
	static const char root[] = "network-traffic:";
	const char *path = stix_text(p, c->path), *value = stix_text(p, c->value);
	if (strncmp(path, root, sizeof(root) - 1) != 0)
		return false;
	path += sizeof(root) - 1;
	*t = (struct condition_test){.op = (uint8_t)c->op, .negated = c->negated};
	*why = NULL;
	if (strcmp(path, "src_port") == 0 || strcmp(path, "dst_port") == 0) {
		t->kind = *path == 's' ? TEST_SRC_PORT : TEST_DEST_PORT;
		if (!read_number(value, c->value_n, &t->number) || (c->op != STIX_EQUAL && c->op < STIX_LESS))
			*why = "a port that is no number";
	} else if (strncmp(path, "protocols[", 10) == 0) {
		*why = c->op != STIX_EQUAL || c->negated ? "NOT, or an order, of protocols" : protocol(value, t);
	} else if (strcmp(path, "src_ref.type") == 0 || strcmp(path, "dst_ref.type") == 0) {
		t->kind = TEST_V6;
		t->number = strcmp(value, "ipv6-addr") == 0;
		if (c->op != STIX_EQUAL || (!t->number && strcmp(value, "ipv4-addr") != 0))
			*why = "an object that is no address";
	} else {
		return false;
	}
	return true;
}

static bool in_order(enum stix_op op, uint32_t is, uint32_t than)
{
	switch (op) {
	case STIX_LESS:
		return is < than;
	case STIX_LESS_EQUAL:
		return is <= than;
	case STIX_MORE:
		return is > than;
	case STIX_MORE_EQUAL:
		return is >= than;
	default:
		return is == than;
	}
}

static bool ask(const struct condition_test *t, const struct condition_facts *f)
{
	switch (t->kind) {
	case TEST_SRC_PORT:
		return in_order((enum stix_op)t->op, f->src_port, t->number) != t->negated;
	case TEST_DEST_PORT:
		return in_order((enum stix_op)t->op, f->dest_port, t->number) != t->negated;
	case TEST_V6:
		return (f->v6 == t->number) != t->negated;
	case TEST_PROTO:
		return f->proto == t->number;
	case TEST_APP:
		return f->app && strcmp(f->app, apps[t->number]) == 0;
	default:
		return false;
	}
}

/* facts NULL: every answer is yes. */
bool condition_holds(const uint8_t *code, size_t n, const struct condition_test *tests, uint32_t seen,
		     const struct condition_facts *f)
{
	uint64_t stack = 0; /* the top is bit 0 */
	for (size_t i = 0; i < n; i++) {
		if (code[i] == CODE_AND)
			stack = (stack >> 1 & ~UINT64_C(1)) | (stack >> 1 & stack & 1);
		else if (code[i] == CODE_OR)
			stack = stack >> 1 | (stack & 1);
		else if (code[i] & CODE_TEST)
			stack = stack << 1 | (!f || ask(&tests[code[i] & ~CODE_TEST & 0xffu], f));
		else
			stack = stack << 1 | (seen >> code[i] & 1);
	}
	return stack & 1;
}

/* ---- one pattern ---- */

struct compiler {
	struct stix_pattern p;
	uint16_t *start; /* of the subtree that ends at a place of the code */
	bool *lone;      /* it is a value, or an OR of values */
	bool *inner;     /* it is part of a larger one of this kind */
	struct condition_term *terms;
	size_t terms_n, terms_cap;
	struct err why;
	struct canon canon;
};

static void compiler_free(struct compiler *k)
{
	stix_pattern_free(&k->p);
	free(k->start);
	free(k->lone);
	free(k->inner);
	free(k->terms);
	*k = (struct compiler){0};
}

static const struct stix_compare *compare_at(const struct compiler *k, size_t i)
{
	return &k->p.list[k->p.code[i]];
}

static bool is_operator(uint16_t code)
{
	return code == STIX_AND || code == STIX_OR;
}

/* In postfix the right operand ends before the operator, the left one before the right begins. */
static void find_subtrees(struct compiler *k)
{
	size_t n = k->p.code_n;
	struct condition_test t;
	const char *why;
	k->start = xrealloc(k->start, n * sizeof(*k->start));
	k->lone = xrealloc(k->lone, n * sizeof(*k->lone));
	k->inner = xrealloc(k->inner, n * sizeof(*k->inner));
	for (size_t i = 0; i < n; i++) {
		k->inner[i] = false;
		if (!is_operator(k->p.code[i])) {
			k->start[i] = (uint16_t)i;
			k->lone[i] = !flow_test(&k->p, compare_at(k, i), &t, &why);
			continue;
		}
		size_t left = k->start[i - 1] - 1u;
		k->start[i] = k->start[left];
		k->lone[i] = k->p.code[i] == STIX_OR && k->lone[left] && k->lone[i - 1];
		k->inner[left] = k->inner[i - 1] = k->lone[i];
	}
}

static bool refuse(struct compiler *k, const char *why)
{
	return err_set(&k->why, "%s", why);
}

static bool put_code(struct compiler *k, struct condition_code *c, unsigned code)
{
	if (c->code_n == CONDITION_CODE_MAX)
		return refuse(k, "more comparisons joined by AND than are taken");
	c->code[c->code_n++] = (uint8_t)code;
	return true;
}

static bool add_term(struct compiler *k, const struct stix_compare *c, uint32_t bit)
{
	struct condition_term t = {.bit = bit};
	const char *why = stix_term_of(&k->p, c, &t.is);
	if (why)
		return refuse(k, why);
	if (t.is.n > CANON_MAX)
		return refuse(k, "a value that is longer than any that can match");
	if (t.is.type == INDICATOR_PAYLOAD ? !pattern_check(t.is.value, t.is.n, &k->why)
					   : !canon_rule(t.is.type, t.is.value, t.is.n, &k->canon, &k->why))
		return false;
	if (k->terms_n == k->terms_cap) {
		k->terms_cap = k->terms_cap ? 2 * k->terms_cap : 16;
		k->terms = xrealloc(k->terms, k->terms_cap * sizeof(*k->terms));
	}
	k->terms[k->terms_n++] = t;
	return true;
}

/* A value, or alternative values: one bit for all of them. */
static bool put_values(struct compiler *k, struct condition_code *c, size_t from, size_t to)
{
	if (c->bits == CONDITION_BITS_MAX)
		return refuse(k, "more values joined by AND than are taken");
	for (size_t i = from; i <= to; i++)
		if (!is_operator(k->p.code[i]) && !add_term(k, compare_at(k, i), (uint32_t)c->bits))
			return false;
	return put_code(k, c, (unsigned)c->bits++);
}

static bool put_test(struct compiler *k, struct condition_code *c, size_t i)
{
	const char *why;
	if (c->tests_n == CONDITION_TESTS_MAX)
		return refuse(k, "more ports and protocols than are taken");
	flow_test(&k->p, compare_at(k, i), &c->tests[c->tests_n], &why);
	return why ? refuse(k, why) : put_code(k, c, CODE_TEST | (unsigned)c->tests_n++);
}

static size_t root_of(const char *path)
{
	return strcspn(path, ":");
}

static bool names_value(const char *path)
{
	static const char *const values[] = {"domain-name:value", "url:value", "ipv4-addr:value", "ipv6-addr:value",
					     "email-addr:value"};
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
		if (strcmp(path, values[i]) == 0)
			return true;
	return false;
}

static enum condition_scope scope_of(const struct compiler *k, size_t from, size_t to)
{
	const char *first = NULL;
	bool value = true, domain = false;
	for (size_t i = from; i <= to; i++) {
		if (is_operator(k->p.code[i]))
			continue;
		const char *path = stix_text(&k->p, compare_at(k, i)->path);
		first = first ? first : path;
		if (root_of(path) != root_of(first) || strncmp(path, first, root_of(first)) != 0)
			return CONDITION_FLOW;
		value = value && names_value(path);
		domain = domain || strncmp(path, "domain-name:", 12) == 0;
	}
	return value ? CONDITION_VALUE : domain ? CONDITION_FLOW : CONDITION_OBJECT;
}

static bool shallow(const struct condition_code *c)
{
	size_t depth = 0;
	for (size_t i = 0; i < c->code_n; i++) {
		depth += c->code[i] == CODE_AND || c->code[i] == CODE_OR ? SIZE_MAX : 1;
		if (depth > CONDITION_DEPTH_MAX)
			return false;
	}
	return true;
}

/* What stands from `from` to `to`, without OR at its top. */
static bool compile(struct compiler *k, size_t from, size_t to, struct condition_code *c)
{
	c->code_n = c->tests_n = c->bits = 0;
	for (size_t i = from; i <= to; i++) {
		bool good = true;
		if (k->lone[i])
			good = (k->inner[i] && i != to) || put_values(k, c, k->start[i], i);
		else if (is_operator(k->p.code[i]))
			good = put_code(k, c, k->p.code[i] == STIX_AND ? CODE_AND : CODE_OR);
		else
			good = put_test(k, c, i);
		if (!good)
			return false;
	}
	c->scope = scope_of(k, from, to);
	if (condition_holds(c->code, c->code_n, c->tests, 0, NULL))
		return refuse(k, "no value that could be looked up, only ports and protocols");
	return shallow(c) || refuse(k, "nested more deeply than is taken");
}

struct telling {
	condition_fn *fn;
	void *owner;
	size_t told, refused;
};

/* Those below a place of k->p's code. */
static void each_alternative(struct compiler *k, size_t to, struct telling *t)
{
	struct condition_code c;
	for (;;) { /* the left operands in turn, the right one of each first */
		bool or = k->p.code[to] == STIX_OR;
		size_t end = or ? to - 1 : to;
		k->terms_n = 0;
		if (or &&k->p.code[end] == STIX_OR) {
			each_alternative(k, end, t);
		} else if (compile(k, k->start[end], end, &c)) {
			t->told++;
			if (t->fn)
				t->fn(t->owner, &c, k->terms, k->terms_n);
		} else {
			t->refused++;
		}
		if (! or)
			return;
		to = k->start[end] - 1u;
	}
}

/* Sets are lists of lines. */
static bool one_line(const char *text, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return err_set(e, "a control character in the pattern: write it in one line");
	return true;
}

static bool read_pattern(struct compiler *k, const char *text, size_t n, struct err *e)
{
	const char *why = "";
	enum stix_result got = stix_pattern_read(&k->p, text, n, &why);
	if (got == STIX_READ)
		find_subtrees(k);
	return got == STIX_READ ||
	       err_set(e, "%s: %s", got == STIX_BAD ? "this is no STIX pattern" : "this pattern cannot be matched",
		       why);
}

bool condition_read(const char *pattern, size_t n, condition_fn *fn, void *owner, const char **part, struct err *e)
{
	struct compiler k = {.p = {.n = 0}};
	struct telling t = {.fn = fn, .owner = owner};
	struct err own;
	e = e ? e : &own;
	if (one_line(pattern, n, e) && read_pattern(&k, pattern, n, e)) {
		each_alternative(&k, k.p.code_n - 1, &t);
		if (t.refused)
			*e = k.why;
	}
	if (part)
		*part = t.told && t.refused ? e->text : NULL;
	compiler_free(&k);
	return t.told > 0;
}
