/* Where on the wire an observable stood, and which indicator types are tried
 * against it. The name goes into observable.where of the alert; its part before
 * the first dot is the kind that folding uses. Append freely: the number is
 * never stored. A parser reports observe(in, WHERE_TLS_SNI, bytes); everything
 * else about matching follows from the row here. */
#ifndef RULES_WHERE_H
#define RULES_WHERE_H

#include "rules/indicator.h"

#define T(type) INDICATOR_BIT(INDICATOR_##type)
#define T_NAME  (T(DOMAIN) | T(HOSTNAME))
#define T_ADDR  (T(IP) | T(CIDR))

/* Addresses are observed as their 16 bytes (struct addr), endpoints as 16 bytes
 * and a big-endian port; everything else as text. */
#define WHERES(X)                                                                                                      \
	X(IP_SRC, "ip.src", T_ADDR)                                                                                    \
	X(IP_DEST, "ip.dest", T_ADDR)                                                                                  \
	X(IP_OUTER_SRC, "ip.outer.src", T_ADDR)                                                                        \
	X(IP_OUTER_DEST, "ip.outer.dest", T_ADDR)                                                                      \
	X(IP_ENDPOINT_SRC, "ip.endpoint.src", T(IP_PORT))                                                              \
	X(IP_ENDPOINT_DEST, "ip.endpoint.dest", T(IP_PORT))                                                            \
	X(PROXY_SRC, "proxy.src", T_ADDR)                                                                              \
	X(PROXY_DEST, "proxy.dest", T_ADDR)                                                                            \
	X(QUOTED_SRC, "icmp.quoted.src", T_ADDR)                                                                       \
	X(QUOTED_DEST, "icmp.quoted.dest", T_ADDR)                                                                     \
	X(QUOTED_NAME, "icmp.quoted.name", T_NAME)                                                                     \
	X(ARP_SENDER, "arp.sender", T_ADDR)                                                                            \
	X(ARP_TARGET, "arp.target", T_ADDR)                                                                            \
	X(DNS_QUERY, "dns.query", T_NAME)                                                                              \
	X(DNS_ANSWER_NAME, "dns.answer.name", T_NAME)                                                                  \
	X(DNS_ANSWER_DATA, "dns.answer.data", T_NAME)                                                                  \
	X(DNS_ANSWER_ADDR, "dns.answer.addr", T_ADDR)                                                                  \
	X(MDNS_QUERY, "mdns.query", T_NAME)                                                                            \
	X(MDNS_ANSWER_NAME, "mdns.answer.name", T_NAME)                                                                \
	X(MDNS_ANSWER_DATA, "mdns.answer.data", T_NAME)                                                                \
	X(MDNS_ANSWER_ADDR, "mdns.answer.addr", T_ADDR)                                                                \
	X(LLMNR_QUERY, "llmnr.query", T_NAME)                                                                          \
	X(LLMNR_ANSWER_NAME, "llmnr.answer.name", T_NAME)                                                              \
	X(LLMNR_ANSWER_DATA, "llmnr.answer.data", T_NAME)                                                              \
	X(LLMNR_ANSWER_ADDR, "llmnr.answer.addr", T_ADDR)                                                              \
	X(HTTP_HOST, "http.host", T_NAME)                                                                              \
	X(HTTP_URL, "http.url", T(URL))                                                                                \
	X(HTTP_USER_AGENT, "http.user_agent", T(USER_AGENT))                                                           \
	X(HTTP_USER, "http.user", T(USERNAME))                                                                         \
	X(HTTP_FILENAME, "http.filename", T(FILENAME))                                                                 \
	X(SSDP_LOCATION, "ssdp.location", T(URL))                                                                      \
	X(SSDP_HOST, "ssdp.host", T_NAME)                                                                              \
	X(SSDP_USER_AGENT, "ssdp.user_agent", T(USER_AGENT))                                                           \
	X(TLS_SNI, "tls.sni", T_NAME)                                                                                  \
	X(TLS_JA3, "tls.ja3", T(JA3))                                                                                  \
	X(TLS_JA3S, "tls.ja3s", T(JA3S))                                                                               \
	X(TLS_JA4, "tls.ja4", T(JA4))                                                                                  \
	X(TLS_CERT_SHA1, "tls.cert.sha1", T(CERT_SHA1))                                                                \
	X(TLS_CERT_SHA256, "tls.cert.sha256", T(CERT_SHA256))                                                          \
	X(TLS_CERT_SUBJECT, "tls.cert.subject", T(CERT_SUBJECT))                                                       \
	X(TLS_CERT_ISSUER, "tls.cert.issuer", T(CERT_ISSUER))                                                          \
	X(TLS_CERT_SERIAL, "tls.cert.serial", T(CERT_SERIAL))                                                          \
	X(QUIC_SNI, "quic.sni", T_NAME)                                                                                \
	X(QUIC_JA3, "quic.ja3", T(JA3))                                                                                \
	X(QUIC_JA3S, "quic.ja3s", T(JA3S))                                                                             \
	X(QUIC_JA4, "quic.ja4", T(JA4))                                                                                \
	X(FILE_MD5, "file.md5", T(FILE_MD5))                                                                           \
	X(FILE_SHA1, "file.sha1", T(FILE_SHA1))                                                                        \
	X(FILE_SHA256, "file.sha256", T(FILE_SHA256))                                                                  \
	X(FILE_NAME, "file.name", T(FILENAME))                                                                         \
	X(SMTP_FROM, "smtp.mail_from", T(EMAIL))                                                                       \
	X(SMTP_TO, "smtp.rcpt_to", T(EMAIL))                                                                           \
	X(SMTP_HELO, "smtp.helo", T_NAME)                                                                              \
	X(MAIL_FROM, "mail.from", T(EMAIL))                                                                            \
	X(MAIL_TO, "mail.to", T(EMAIL))                                                                                \
	X(MAIL_CC, "mail.cc", T(EMAIL))                                                                                \
	X(MAIL_SUBJECT, "mail.subject", T(EMAIL_SUBJECT))                                                              \
	X(MAIL_ATTACHMENT, "mail.attachment", T(FILENAME))                                                             \
	X(FTP_USER, "ftp.user", T(USERNAME))                                                                           \
	X(FTP_FILE, "ftp.file", T(FILENAME))                                                                           \
	X(TFTP_FILE, "tftp.file", T(FILENAME))                                                                         \
	X(SMB_FILE, "smb.file", T(FILENAME))                                                                           \
	X(SMB_USER, "smb.user", T(USERNAME))                                                                           \
	X(NFS_FILE, "nfs.file", T(FILENAME))                                                                           \
	X(NTLM_USER, "ntlm.user", T(USERNAME))                                                                         \
	X(KRB5_USER, "krb5.cname", T(USERNAME))                                                                        \
	X(SSH_BANNER, "ssh.banner", T(SSH_BANNER))                                                                     \
	X(SSH_HASSH, "ssh.hassh", T(HASSH))                                                                            \
	X(SSH_HASSH_SERVER, "ssh.hassh_server", T(HASSH_SERVER))                                                       \
	X(RDP_COOKIE, "rdp.cookie", T(RDP_COOKIE))                                                                     \
	X(MQTT_TOPIC, "mqtt.topic", T(MQTT_TOPIC))                                                                     \
	X(MQTT_USER, "mqtt.user", T(USERNAME))                                                                         \
	X(SNMP_COMMUNITY, "snmp.community", T(COMMUNITY))                                                              \
	X(DHCP_HOSTNAME, "dhcp.hostname", T(DHCP_HOSTNAME))                                                            \
	X(LOGIN_USER, "login.user", T(USERNAME))                                                                       \
	X(PAYLOAD, "payload", T(PAYLOAD_HEX) | T(PAYLOAD))                                                             \
	X(DPI_PROTOCOL, "dpi.protocol", T(PROTOCOL))                                                                   \
	X(DPI_RISK, "dpi.risk", T(RISK))                                                                               \
	X(HEURISTIC, "heuristic", T(HEURISTIC))                                                                        \
	X(STIX, "stix", T(STIX))

enum where {
	WHERE_NONE = 0,
#define X(id, name, types) WHERE_##id,
	WHERES(X)
#undef X
	    WHERE_COUNT
};

#undef T
#undef T_NAME
#undef T_ADDR

const char *where_name(enum where w);
indicator_mask where_types(enum where w);

/* True when a rule limited to `list` (comma-separated names or dotted prefixes:
 * "tls", "dns.answer") allows w. A NULL list allows all places where something is sent
 * or asked for; what is only told of (quoted by ICMP errors, announced by SSDP) must be
 * named, so that the count of an indicator stays that of its traffic. */
bool where_allowed(const char *list, enum where w);
bool where_known(const char *name, size_t n); /* a name or a prefix of one */

#endif
