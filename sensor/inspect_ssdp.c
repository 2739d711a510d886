/* SSDP (UPnP Device Architecture 2.0, 1): heads of HTTP/1.1 in datagrams, to
 * 239.255.255.250:1900 or [ff02::c]:1900 and back.
 *
 *   M-SEARCH * HTTP/1.1      who is there       USER-AGENT
 *   NOTIFY * HTTP/1.1        I am               LOCATION
 *   HTTP/1.1 200 OK          the answer         LOCATION
 *
 * LOCATION is the URL of a device's description: whoever hears it fetches it, so it is
 * matched as a URL, and its host as a name. HOST is the group's address and says nothing. */
#include <string.h>

#include "common/cursor.h"
#include "sensor/http_request.h"
#include "sensor/parsers.h"

static bool starts(const uint8_t *p, size_t n)
{
	static const char *const lines[] = {"NOTIFY * HTTP/1.", "M-SEARCH * HTTP/1.", "HTTP/1.1 200 OK"};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (n > strlen(lines[i]) && memcmp(p, lines[i], strlen(lines[i])) == 0)
			return true;
	return false;
}

static enum probe ssdp_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)in;
	(void)side;
	return starts(p, n) ? PROBE_YES : PROBE_NO;
}

static enum verdict ssdp_datagram(struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct http_head head;
	struct addr ip;
	(void)side;
	if (!starts(p, n) || !http_head_parse(p, n, &head))
		return INSPECT_ERROR;
	if (head.over_limit)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	if (head.user_agent.n)
		observe(in, WHERE_SSDP_USER_AGENT, head.user_agent.p, head.user_agent.n);
	struct bytes host = http_url_host(head.location);
	if (head.location.n > HTTP_URL_MAX || host.n > HTTP_HOST_MAX) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		return INSPECT_MORE;
	}
	if (head.location.n)
		observe(in, WHERE_SSDP_LOCATION, head.location.p, head.location.n);
	if (host.n && host.p[0] != '[' && !addr_parse((const char *)host.p, host.n, &ip))
		observe(in, WHERE_SSDP_HOST, host.p, host.n);
	return INSPECT_MORE;
}

const struct parser parser_ssdp = {.name = "ssdp", .over = OVER_UDP, .probe = ssdp_probe, .datagram = ssdp_datagram};
