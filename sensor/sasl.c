/* Tokens are base64, with the command or as the next line:
 *
 *   PLAIN     authority NUL name NUL password (RFC 4616)
 *   LOGIN     the name, then the password, a line each
 *   CRAM-MD5  the name, a blank, a digest (RFC 2195)
 *   NTLM      ntlm.c; the first token asks, the second says
 *
 * "*" gives up (RFC 4422 3.5). */
#include "sensor/sasl.h"

#include <string.h>

#include "sensor/mime_field.h"
#include "sensor/ntlm.h"
#include "sensor/words.h"

void sasl_user(struct inspect *in, struct bytes name)
{
	if (name.n > SASL_USER_MAX)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	else if (name.n)
		observe(in, WHERE_LOGIN_USER, name.p, name.n);
}

static void plain_token(struct inspect *in, struct bytes token)
{
	const uint8_t *first = token.n ? memchr(token.p, 0, token.n) : NULL;
	if (!first)
		return;
	struct bytes name = {first + 1, token.n - (size_t)(first + 1 - token.p)};
	const uint8_t *second = name.n ? memchr(name.p, 0, name.n) : NULL;
	if (second)
		sasl_user(in, (struct bytes){name.p, (size_t)(second - name.p)});
}

/* The digest has no blanks, the name may. */
static void cram_token(struct inspect *in, struct bytes token)
{
	while (token.n && token.p[token.n - 1] != ' ')
		token.n--;
	if (token.n)
		sasl_user(in, (struct bytes){token.p, token.n - 1});
}

void sasl_token(struct inspect *in, enum sasl *s, struct bytes line)
{
	uint8_t text[SASL_TOKEN_MAX];
	struct base64 state = {0};
	enum sasl was = *s;
	*s = SASL_NOTHING;
	if (words_same(line, "*"))
		return;
	if (line.n > sizeof(text)) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		return;
	}
	struct bytes b = {text, base64_decode(&state, line.p, line.n, text)};
	if (was == SASL_PLAIN) {
		plain_token(in, b);
	} else if (was == SASL_NAME) {
		sasl_user(in, b);
		*s = SASL_PASSWORD;
	} else if (was == SASL_CRAM) {
		cram_token(in, b);
	} else if (was == SASL_NTLM) {
		ntlm_user(in, b.p, b.n);
		*s = SASL_NTLM;
	}
}

void sasl_begin(struct inspect *in, enum sasl *s, struct bytes arguments)
{
	static const struct {
		const char *name;
		enum sasl first;
	} known[] = {{"PLAIN", SASL_PLAIN}, {"LOGIN", SASL_NAME}, {"CRAM-MD5", SASL_CRAM}, {"NTLM", SASL_NTLM}};
	struct bytes line = words_behind(arguments, 0), mechanism = words_first(line);
	struct bytes initial = words_first(words_behind(line, mechanism.n));
	*s = SASL_NOTHING;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (words_same(mechanism, known[i].name))
			*s = known[i].first;
	if (*s != SASL_NOTHING && initial.n)
		sasl_token(in, s, initial);
}
