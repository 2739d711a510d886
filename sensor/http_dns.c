#include "sensor/http_dns.h"

#include <string.h>

#include "common/scratch.h"
#include "common/text.h"
#include "sensor/dns_message.h"
#include "sensor/mime_field.h"

#define TARGET_MAX 1024 /* of the parameter, in base64: a query has one name */

static bool asked_for(const struct inspect *in)
{
	return wanted(in, WHERE_DNS_QUERY) || wanted(in, WHERE_DNS_ANSWER_NAME) || wanted(in, WHERE_DNS_ANSWER_DATA) ||
	       wanted(in, WHERE_DNS_ANSWER_ADDR);
}

bool http_dns_body(const struct inspect *in, const struct http_head *h)
{
	static const char type[] = "application/dns-message";
	size_t n = sizeof(type) - 1;
	return h->content_type.n >= n && text_equal_fold(h->content_type.p, n, type, n) && asked_for(in);
}

void http_dns_message(struct inspect *in, const uint8_t *p, size_t n)
{
	if (n && !dns_message_observe(in, p, n))
		ledger_count(in->ledger, LEDGER_PARSER_ERROR);
}

/* base64url (RFC 4648 section 5) has two letters of its own. */
static size_t decode_url(struct bytes b, uint8_t out[static TARGET_MAX])
{
	SCRATCH uint8_t plain[TARGET_MAX];
	struct base64 state = {0};
	for (size_t i = 0; i < b.n; i++)
		plain[i] = b.p[i] == '-' ? '+' : b.p[i] == '_' ? '/' : b.p[i];
	return base64_decode(&state, plain, b.n, out);
}

/* The parameter may be any site's: only what is a message beyond doubt counts as one. */
void http_dns_target(struct inspect *in, struct bytes target)
{
	SCRATCH uint8_t message[TARGET_MAX];
	const uint8_t *at = target.n ? memchr(target.p, '?', target.n) : NULL;
	if (!at || !asked_for(in))
		return;
	const uint8_t *end = target.p + target.n;
	while (end - at > 5 && memcmp(at + 1, "dns=", 4) != 0) {
		const uint8_t *next = memchr(at + 1, '&', (size_t)(end - at) - 1);
		if (!next)
			return;
		at = next;
	}
	if (end - at <= 5)
		return;
	struct bytes value = {at + 5, (size_t)(end - at) - 5};
	const uint8_t *stop = memchr(value.p, '&', value.n);
	value.n = stop ? (size_t)(stop - value.p) : value.n;
	if (value.n > TARGET_MAX) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		return;
	}
	size_t n = decode_url(value, message);
	if (dns_message_sure(message, n))
		dns_message_observe(in, message, n);
}
