#include "rules/misp_map.h"

#include <stddef.h>
#include <string.h>

#define NONE     INDICATOR_NONE
#define T(t)     INDICATOR_##t
#define NETWORK  "Network activity"
#define DELIVERY "Payload delivery"

static const struct misp_type types[] = {
    {"ip-dst", T(IP), NONE, NETWORK},
    {"ip-src", T(IP), NONE, NULL},
    {"ip-dst|port", T(IP_PORT), NONE, NETWORK},
    {"ip-src|port", T(IP_PORT), NONE, NULL},
    {"domain", T(DOMAIN), NONE, NETWORK},
    {"hostname", T(HOSTNAME), NONE, NETWORK},
    {"hostname|port", T(HOSTNAME), NONE, NULL},
    {"domain|ip", T(DOMAIN), T(IP), NULL},
    {"url", T(URL), NONE, NETWORK},
    {"uri", T(URL), NONE, NULL},
    {"user-agent", T(USER_AGENT), NONE, NETWORK},
    {"ja3-fingerprint-md5", T(JA3), NONE, NETWORK},
    {"ja4-plus", T(JA4), NONE, NETWORK},
    {"x509-fingerprint-sha1", T(CERT_SHA1), NONE, NETWORK},
    {"x509-fingerprint-sha256", T(CERT_SHA256), NONE, NETWORK},
    {"md5", T(FILE_MD5), NONE, DELIVERY},
    {"sha1", T(FILE_SHA1), NONE, DELIVERY},
    {"sha256", T(FILE_SHA256), NONE, DELIVERY},
    {"filename", T(FILENAME), NONE, DELIVERY},
    {"attachment", T(FILENAME), NONE, NULL},
    {"filename|md5", NONE, T(FILE_MD5), NULL},
    {"filename|sha1", NONE, T(FILE_SHA1), NULL},
    {"filename|sha256", NONE, T(FILE_SHA256), NULL},
    {"malware-sample", NONE, T(FILE_MD5), NULL},
    {"email", T(EMAIL), NONE, DELIVERY},
    {"email-src", T(EMAIL), NONE, NULL},
    {"email-dst", T(EMAIL), NONE, NULL},
    {"email-subject", T(EMAIL_SUBJECT), NONE, DELIVERY},
    {"email-attachment", T(FILENAME), NONE, NULL},
    {"hassh-md5", T(HASSH), NONE, NETWORK},
    {"hasshserver-md5", T(HASSH_SERVER), NONE, NETWORK},
    {"stix2-pattern", T(STIX), NONE, DELIVERY},
};
#define TYPES (sizeof(types) / sizeof(*types))

const struct misp_type *misp_type_named(const char *name)
{
	for (size_t i = 0; i < TYPES; i++)
		if (strcmp(types[i].name, name) == 0)
			return &types[i];
	return NULL;
}

const struct misp_type *misp_type_written(enum indicator_type t)
{
	indicator_mask also = t == INDICATOR_CIDR ? INDICATOR_BIT(INDICATOR_IP) : INDICATOR_BIT(t);
	for (size_t i = 0; i < TYPES; i++)
		if (types[i].category && INDICATOR_BIT(types[i].first) & also)
			return &types[i];
	return NULL;
}
