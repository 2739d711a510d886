#include "rules/stix_map.h"

#include <string.h>
#include <strings.h>

#define T(t) INDICATOR_##t

/* The first row of a type is the one that is written. */
static const struct stix_path paths[] = {
    {"ipv4-addr:value", T(IP), NULL},
    {"ipv6-addr:value", T(IP), NULL},
    {"network-traffic:dst_ref.value", T(IP), "ip.dest"},
    {"network-traffic:src_ref.value", T(IP), "ip.src"},
    {"domain-name:resolves_to_refs[*].value", T(IP), "dns.answer.addr"},
    {"domain-name:value", T(HOSTNAME), NULL},
    {"network-traffic:extensions.'http-request-ext'.request_header.Host", T(HOSTNAME), "http.host"},
    {"url:value", T(URL), NULL},
    {"network-traffic:extensions.'http-request-ext'.request_header.'User-Agent'", T(USER_AGENT), NULL},
    {"file:hashes.MD5", T(FILE_MD5), NULL},
    {"file:hashes.'SHA-1'", T(FILE_SHA1), NULL},
    {"file:hashes.SHA1", T(FILE_SHA1), NULL},
    {"file:hashes.'SHA-256'", T(FILE_SHA256), NULL},
    {"file:hashes.SHA256", T(FILE_SHA256), NULL},
    {"file:name", T(FILENAME), NULL},
    {"x509-certificate:hashes.'SHA-1'", T(CERT_SHA1), NULL},
    {"x509-certificate:hashes.SHA1", T(CERT_SHA1), NULL},
    {"x509-certificate:hashes.'SHA-256'", T(CERT_SHA256), NULL},
    {"x509-certificate:hashes.SHA256", T(CERT_SHA256), NULL},
    {"x509-certificate:subject", T(CERT_SUBJECT), NULL},
    {"x509-certificate:issuer", T(CERT_ISSUER), NULL},
    {"x509-certificate:serial_number", T(CERT_SERIAL), NULL},
    {"email-addr:value", T(EMAIL), NULL},
    {"email-message:from_ref.value", T(EMAIL), "mail.from"},
    {"email-message:sender_ref.value", T(EMAIL), "smtp.mail_from"},
    {"email-message:to_refs[*].value", T(EMAIL), "mail.to"},
    {"email-message:cc_refs[*].value", T(EMAIL), "mail.cc"},
    {"email-message:subject", T(EMAIL_SUBJECT), NULL},
    {"artifact:payload_bin", T(PAYLOAD), NULL},
    {"user-account:account_login", T(USERNAME), NULL},
    {"network-traffic:extensions.'x-picket-tls-ext'.ja3", T(JA3), NULL},
    {"network-traffic:extensions.'x-picket-tls-ext'.ja3s", T(JA3S), NULL},
    {"network-traffic:extensions.'x-picket-tls-ext'.ja4", T(JA4), NULL},
    {"network-traffic:extensions.'x-picket-ext'.hassh", T(HASSH), NULL},
    {"network-traffic:extensions.'x-picket-ext'.hassh_server", T(HASSH_SERVER), NULL},
    {"network-traffic:extensions.'x-picket-ext'.ssh_banner", T(SSH_BANNER), NULL},
    {"network-traffic:extensions.'x-picket-ext'.dhcp_hostname", T(DHCP_HOSTNAME), NULL},
    {"network-traffic:extensions.'x-picket-ext'.mqtt_topic", T(MQTT_TOPIC), NULL},
    {"network-traffic:extensions.'x-picket-ext'.rdp_cookie", T(RDP_COOKIE), NULL},
    {"network-traffic:extensions.'x-picket-ext'.community", T(COMMUNITY), NULL},
    {"network-traffic:extensions.'x-picket-ext'.payload_hex", T(PAYLOAD_HEX), NULL},
    {"network-traffic:extensions.'x-picket-ext'.protocol", T(PROTOCOL), NULL},
    {"network-traffic:extensions.'x-picket-ext'.risk", T(RISK), NULL},
};
#define PATHS (sizeof(paths) / sizeof(*paths))

/* Quotes around names do not count, nor does case. */
static bool same_path(const char *x, const char *y)
{
	for (;; x++, y++) {
		x += strspn(x, "'");
		y += strspn(y, "'");
		if (!*x || !*y)
			return *x == *y;
		if (strncasecmp(x, y, 1) != 0)
			return false;
	}
}

const struct stix_path *stix_path_find(const char *path)
{
	for (size_t i = 0; i < PATHS; i++)
		if (same_path(path, paths[i].path))
			return &paths[i];
	return NULL;
}

const char *stix_path_of(enum indicator_type t, const char *where, bool ipv6)
{
	if (t == INDICATOR_CIDR)
		t = INDICATOR_IP;
	if (t == INDICATOR_DOMAIN)
		t = INDICATOR_HOSTNAME;
	for (size_t i = 0; i < PATHS; i++) {
		const char *w = paths[i].where;
		if (paths[i].type == t && (where && w ? strcmp(where, w) == 0 : where == w))
			return paths[i + (t == INDICATOR_IP && !where && ipv6)].path;
	}
	return NULL;
}
