#include "sensor/http_auth.h"

#include <string.h>

#include "common/text.h"
#include "sensor/mime_field.h"
#include "sensor/ntlm.h"

#define USER_MAX 512

static bool blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* "SCHEME rest": takes the scheme off the value. */
static struct bytes scheme_of(struct bytes *value)
{
	size_t n = 0;
	while (n < value->n && !blank(value->p[n]))
		n++;
	struct bytes scheme = {value->p, n};
	while (n < value->n && blank(value->p[n]))
		n++;
	value->p += n;
	value->n -= n;
	return scheme;
}

static void user(struct inspect *in, const void *p, size_t n)
{
	if (n > USER_MAX)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	else if (n)
		observe(in, WHERE_HTTP_USER, p, n);
}

static void token(struct inspect *in, struct bytes value, bool basic)
{
	uint8_t text[HTTP_AUTH_MAX];
	struct base64 state = {0};
	size_t n = base64_decode(&state, value.p, value.n < sizeof(text) ? value.n : sizeof(text), text);
	const uint8_t *colon = basic && n ? memchr(text, ':', n) : NULL;
	if (!basic)
		ntlm_user(in, text, n);
	else if (colon)
		user(in, text, (size_t)(colon - text));
}

static void digest(struct inspect *in, struct bytes value)
{
	static const char semicolon[] = "x;"; /* mime_param() looks behind the first ';' */
	char field[HTTP_AUTH_MAX + 2], name[USER_MAX + 1];
	bool cut = false; /* then name is longer than user() takes */
	size_t n = value.n < sizeof(field) - 2 ? value.n : sizeof(field) - 2;
	memcpy(field, semicolon, 2);
	for (size_t i = 0; i < n; i++)
		field[2 + i] = value.p[i] == ',' ? ';' : (char)value.p[i];
	n = mime_param((struct bytes){(const uint8_t *)field, n + 2}, "username", name, sizeof(name), &cut);
	user(in, name, n);
}

void http_auth_observe(struct inspect *in, struct bytes value)
{
	if (!value.n || !(wanted(in, WHERE_HTTP_USER) || wanted(in, WHERE_NTLM_USER)))
		return;
	struct bytes scheme = scheme_of(&value);
	bool basic = text_equal_fold(scheme.p, scheme.n, "Basic", 5);
	if (value.n > HTTP_AUTH_MAX)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	if (text_equal_fold(scheme.p, scheme.n, "Digest", 6))
		digest(in, value);
	else if (basic || text_equal_fold(scheme.p, scheme.n, "NTLM", 4) ||
		 text_equal_fold(scheme.p, scheme.n, "Negotiate", 9))
		token(in, value, basic);
}
