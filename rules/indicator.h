/* What an indicator is: the types, and one indicator as its author wrote it. */
#ifndef RULES_INDICATOR_H
#define RULES_INDICATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The names are those of CSV, YAML and alerts. The order is part of the
 * compiled set's format: append only. */
#define INDICATOR_TYPES(X)                 \
	X(IP, "ip")                        \
	X(CIDR, "cidr")                    \
	X(IP_PORT, "ip_port")              \
	X(DOMAIN, "domain")                \
	X(HOSTNAME, "hostname")            \
	X(URL, "url")                      \
	X(USER_AGENT, "user_agent")        \
	X(JA3, "ja3")                      \
	X(JA3S, "ja3s")                    \
	X(JA4, "ja4")                      \
	X(CERT_SHA1, "cert_sha1")          \
	X(CERT_SHA256, "cert_sha256")      \
	X(CERT_SUBJECT, "cert_subject")    \
	X(CERT_ISSUER, "cert_issuer")      \
	X(CERT_SERIAL, "cert_serial")      \
	X(FILE_MD5, "file_md5")            \
	X(FILE_SHA1, "file_sha1")          \
	X(FILE_SHA256, "file_sha256")      \
	X(FILENAME, "filename")            \
	X(EMAIL, "email")                  \
	X(EMAIL_SUBJECT, "email_subject")  \
	X(HASSH, "hassh")                  \
	X(HASSH_SERVER, "hassh_server")    \
	X(SSH_BANNER, "ssh_banner")        \
	X(USERNAME, "username")            \
	X(DHCP_HOSTNAME, "dhcp_hostname")  \
	X(MQTT_TOPIC, "mqtt_topic")        \
	X(RDP_COOKIE, "rdp_cookie")        \
	X(COMMUNITY, "community")          \
	X(PAYLOAD_HEX, "payload_hex")      \
	X(PAYLOAD, "payload")              \
	X(PROTOCOL, "protocol")            \
	X(RISK, "risk")                    \
	X(HEURISTIC, "heuristic")          \
	X(STIX, "stix")

enum indicator_type {
	INDICATOR_NONE = 0,
#define X(id, name) INDICATOR_##id,
	INDICATOR_TYPES(X)
#undef X
	INDICATOR_TYPE_COUNT
};

/* A set of types, for "does this rule set hold any". */
typedef uint64_t indicator_mask;
#define INDICATOR_BIT(type) ((indicator_mask)1 << (type))

const char *indicator_type_name(enum indicator_type t);
enum indicator_type indicator_type_parse(const char *name, size_t n); /* INDICATOR_NONE if unknown */
extern const char *const indicator_type_names[];                      /* NULL-terminated, for "did you mean" */

enum severity { SEVERITY_LOW = 0, SEVERITY_MEDIUM, SEVERITY_HIGH, SEVERITY_CRITICAL, SEVERITY_COUNT };
extern const char *const severity_names[SEVERITY_COUNT + 1]; /* NULL-terminated */

/* Traffic Light Protocol 2.0; unmarked is not the same as clear. */
enum tlp { TLP_UNMARKED = 0, TLP_CLEAR, TLP_GREEN, TLP_AMBER, TLP_AMBER_STRICT, TLP_RED, TLP_COUNT };
extern const char *const tlp_names[TLP_COUNT + 1];

/* How a group of alerts is keyed (DESIGN: folding). */
enum fold_by { FOLD_ASSET = 0, FOLD_INDICATOR, FOLD_SRC_DST, FOLD_COUNT };
extern const char *const fold_names[FOLD_COUNT + 1]; /* "indicator+asset", "indicator", "indicator+src+dst" */

enum match_mode { MATCH_EXACT = 0, MATCH_PREFIX, MATCH_MODE_COUNT }; /* prefix: url only */

/* The set an indicator came from. */
struct indicator_set {
	const char *id, *title, *producer;
	uint32_t version;
	enum tlp tlp;
	const char *releasable_to; /* comma-separated partner groups; NULL = nobody named */
	const char *exercise;      /* NULL = real */
	int64_t valid_until_us;    /* 0 = none */
};

/* One indicator. Strings are owned by whoever built it; NULL = not given. */
struct indicator {
	enum indicator_type type;
	const char *value; /* exactly as the author wrote it */
	const char *id;    /* the author's; NULL = made from type and value */
	enum severity severity;
	uint8_t confidence; /* 0..100 */
	enum tlp tlp;
	enum match_mode match;
	enum fold_by fold;
	const char *labels;     /* comma-separated */
	const char *note, *ref; /* note: the text, English if several languages are given */
	const char *where;      /* comma-separated where names or prefixes ("tls", "dns.answer") it is limited to */
	int64_t valid_from_us, valid_until_us; /* 0 = open */
	const char *file;                      /* where the line stands: for `picket why` */
	unsigned line;
};

/* The id of an indicator whose author gave none: a UUID version 5 (RFC 4122
 * section 4.3) over "type:value" in Picket's own namespace, so it is the same
 * wherever the set is loaded. */
#define INDICATOR_ID_LEN 37
char *indicator_make_id(enum indicator_type t, const char *value, char out[static INDICATOR_ID_LEN]);

#endif
