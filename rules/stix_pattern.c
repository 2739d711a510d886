/* A recursive descent over a text that the grammar has judged well-formed; AND binds
 * tighter than OR. What is read is kept as it stands, in postfix: nothing is
 * multiplied out, so a pattern cannot explode. */
#include "rules/stix_pattern.h"

#include <stdlib.h>
#include <string.h>

#include "rules/stix_grammar.h"

struct parse {
	struct stix_pattern *out;
	const char *p, *end;
	unsigned depth;
	const char *why; /* it is beyond what is read; NULL: not so far */
};

static bool stop(struct parse *s, const char *why)
{
	if (!s->why)
		s->why = why;
	return false;
}

static void blanks(struct parse *s)
{
	while (s->p < s->end && strchr(" \t\r\n", *s->p) && *s->p)
		s->p++;
}

static bool take(struct parse *s, char c)
{
	blanks(s);
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static bool word_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static bool take_word(struct parse *s, const char *word)
{
	size_t n = strlen(word);
	blanks(s);
	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0 || (s->p + n < s->end && word_byte(s->p[n])))
		return false;
	s->p += n;
	return true;
}

/* 'text' with \\ and \' into the pattern's text. */
static bool string(struct parse *s, size_t *at, size_t *n)
{
	struct buf *b = &s->out->text;
	*at = b->n;
	for (s->p++; s->p < s->end && *s->p != '\''; s->p++) {
		if (*s->p == '\\' && ++s->p == s->end)
			break;
		buf_u8(b, (uint8_t)*s->p);
	}
	if (s->p == s->end)
		return false;
	s->p++;
	*n = b->n - *at;
	buf_u8(b, 0);
	return true;
}

static bool bare_literal(const char *p, size_t n)
{
	size_t digits = 0;
	for (size_t i = 0; i < n && strchr("0123456789+-.eE", p[i]); i++)
		digits++;
	return (n && digits == n) || (n == 4 && memcmp(p, "true", 4) == 0) || (n == 5 && memcmp(p, "false", 5) == 0);
}

/* A string, or a number, true, h'', b'', t'' kept as written. */
static bool literal(struct parse *s, size_t *at, size_t *n)
{
	blanks(s);
	if (s->p == s->end)
		return false;
	if (*s->p == '\'')
		return string(s, at, n);
	const char *from = s->p;
	while (s->p < s->end && (word_byte(*s->p) || strchr("+.", *s->p)))
		s->p++;
	if (s->p < s->end && *s->p == '\'' && s->p == from + 1 && strchr("hbt", *from)) {
		stop(s, "a binary or time literal");
		return string(s, at, n);
	}
	if (!bare_literal(from, (size_t)(s->p - from)))
		return false;
	*at = s->out->text.n;
	*n = (size_t)(s->p - from);
	buf_add(&s->out->text, from, *n);
	buf_u8(&s->out->text, 0);
	return true;
}

static bool path(struct parse *s, size_t *at)
{
	blanks(s);
	const char *from = s->p;
	while (s->p < s->end && (word_byte(*s->p) || strchr(":.[]*", *s->p) || *s->p == '\'')) {
		if (*s->p == '\'') {
			do
				s->p++;
			while (s->p < s->end && *s->p != '\'');
			if (s->p == s->end)
				return false;
		}
		s->p++;
	}
	size_t n = (size_t)(s->p - from);
	if (!n || !memchr(from, ':', n))
		return false;
	*at = s->out->text.n;
	buf_add(&s->out->text, from, n);
	buf_u8(&s->out->text, 0);
	return true;
}

/* =, ==, !=, <>, <, <=, >, >= */
static bool sign(struct parse *s, struct stix_compare *c)
{
	bool bang = take(s, '!'), less = !bang && take(s, '<'), more = !bang && take(s, '>'), equal = take(s, '=');
	if ((bang && !equal) || !(less || more || equal))
		return false;
	if ((less && more) || bang)
		c->negated = !c->negated;
	else if (!less && !more)
		take(s, '=');
	c->op = less == more ? STIX_EQUAL
		: less       ? (equal ? STIX_LESS_EQUAL : STIX_LESS)
			     : (equal ? STIX_MORE_EQUAL : STIX_MORE);
	return true;
}

static bool operator(struct parse *s, struct stix_compare *c, bool *in)
{
	static const struct {
		const char *word;
		enum stix_op op;
	} words[] = {{"LIKE", STIX_LIKE},
		     {"MATCHES", STIX_MATCHES},
		     {"ISSUBSET", STIX_SUBSET},
		     {"ISSUPERSET", STIX_OTHER},
		     {"IN", STIX_EQUAL}};
	c->negated = take_word(s, "NOT");
	*in = false;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (take_word(s, words[i].word)) {
			c->op = words[i].op;
			*in = words[i].op == STIX_EQUAL;
			return true;
		}
	return sign(s, c);
}

static void emit(struct parse *s, uint16_t code)
{
	struct stix_pattern *out = s->out;
	if (out->code_n == out->code_cap) {
		out->code_cap = out->code_cap ? 2 * out->code_cap : 32;
		out->code = xrealloc(out->code, out->code_cap * sizeof(*out->code));
	}
	out->code[out->code_n++] = code;
}

static bool add(struct parse *s, struct stix_compare c)
{
	struct stix_pattern *out = s->out;
	if (out->n == STIX_COMPARES_MAX)
		return stop(s, "more comparisons than are taken");
	if (out->n == out->cap) {
		out->cap = out->cap ? 2 * out->cap : 16;
		out->list = xrealloc(out->list, out->cap * sizeof(*out->list));
	}
	emit(s, (uint16_t)out->n);
	out->list[out->n++] = c;
	out->flat = out->flat && !c.negated && c.op <= STIX_SUBSET;
	if (c.op == STIX_OTHER)
		stop(s, "a comparison other than equality, order, LIKE, MATCHES, ISSUBSET, IN");
	return true;
}

/* IN ('a', 'b'): alternatives; NOT IN: none of them. */
static bool in_list(struct parse *s, struct stix_compare c, size_t *alternatives)
{
	if (!take(s, '('))
		return false;
	do {
		if (!literal(s, &c.value, &c.value_n) || !add(s, c))
			return false;
		if (*alternatives)
			emit(s, c.negated ? STIX_AND : STIX_OR);
		c.group = s->out->groups++;
		++*alternatives;
	} while (take(s, ','));
	s->out->groups--;
	return take(s, ')');
}

static bool comparison(struct parse *s, size_t group, size_t *alternatives)
{
	struct stix_compare c = {.group = group};
	bool in;
	if (take_word(s, "EXISTS")) {
		stop(s, "EXISTS");
		return path(s, &c.path);
	}
	if (!path(s, &c.path) || !operator(s, &c, &in))
		return false;
	if (in)
		return in_list(s, c, alternatives);
	*alternatives = 1;
	return literal(s, &c.value, &c.value_n) && add(s, c);
}

static bool alternatives(struct parse *s, size_t *n);

/* One comparison or a parenthesis; *n: how many alternatives it stands for. */
static bool primary(struct parse *s, size_t group, size_t *n)
{
	*n = 0;
	if (take_word(s, "NOT"))
		return stop(s, "NOT");
	if (!take(s, '('))
		return comparison(s, group, n);
	if (++s->depth > STIX_DEPTH_MAX)
		return stop(s, "nested more deeply than is taken");
	s->out->groups--; /* the parenthesis opens its own */
	bool ok = alternatives(s, n) && take(s, ')');
	s->depth--;
	return ok;
}

static bool conjunction(struct parse *s, size_t *n)
{
	size_t group = s->out->groups++, more;
	if (!primary(s, group, n))
		return false;
	while (take_word(s, "AND")) {
		if (!primary(s, group, &more))
			return false;
		emit(s, STIX_AND);
		s->out->flat = s->out->flat && *n == 1 && more == 1;
	}
	return true;
}

static bool alternatives(struct parse *s, size_t *n)
{
	size_t more;
	if (!conjunction(s, n))
		return false;
	while (take_word(s, "OR")) {
		if (!conjunction(s, &more))
			return false;
		emit(s, STIX_OR);
		*n += more;
	}
	return true;
}

enum stix_result stix_pattern_read(struct stix_pattern *p, const char *text, size_t n, const char **why)
{
	struct parse s = {.out = p, .p = text, .end = text + n};
	size_t count;
	p->text.n = p->n = p->groups = p->code_n = 0;
	p->flat = true;
	*why = "longer than is taken";
	if (n > STIX_PATTERN_MAX)
		return STIX_BEYOND;
	enum stix_verdict verdict = stix_grammar(text, n, why, NULL);
	if (verdict != STIX_WELL_FORMED)
		return verdict == STIX_TOO_DEEP ? STIX_BEYOND : STIX_BAD;
	bool whole = take(&s, '[') && alternatives(&s, &count) && take(&s, ']');
	blanks(&s);
	if (whole && s.p == s.end && !s.why) {
		*why = NULL;
		return STIX_READ;
	}
	*why = s.why ? s.why : "several observations or a qualifier";
	return STIX_BEYOND;
}

void stix_pattern_free(struct stix_pattern *p)
{
	buf_free(&p->text);
	free(p->list);
	free(p->code);
	*p = (struct stix_pattern){0};
}
