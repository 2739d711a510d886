/* Every transaction parser. A new one: a row here, a row in parsers.c, its
 * places in rules/where.h, a unit test cut at every length, a fuzz target, and a row in
 * deploy/protocols.md. */
#ifndef SENSOR_PARSERS_H
#define SENSOR_PARSERS_H

#include "sensor/inspect.h"

extern const struct parser parser_dns_udp, parser_dns_tcp, parser_mdns, parser_llmnr; /* inspect_dns.c */
extern const struct parser parser_http1;                                              /* inspect_http.c */
extern const struct parser parser_http2;                                              /* inspect_http2.c */
extern const struct parser parser_proxy;                                              /* inspect_proxy.c */
extern const struct parser parser_tls;                                                /* inspect_tls.c */
extern const struct parser parser_dtls;                                               /* inspect_dtls.c */
extern const struct parser parser_quic;                                               /* inspect_quic.c */
extern const struct parser parser_ssh;                                                /* inspect_ssh.c */
extern const struct parser parser_smtp;                                               /* inspect_smtp.c */
extern const struct parser parser_imap, parser_pop3;                                  /* inspect_mailbox.c: logins, mails */
extern const struct parser parser_ftp, parser_ftp_data;                               /* inspect_ftp.c */
extern const struct parser parser_tftp, parser_tftp_data;                             /* inspect_tftp.c */
extern const struct parser parser_smb;                                                /* inspect_smb.c */
extern const struct parser parser_nfs_tcp, parser_nfs_udp;                            /* inspect_nfs.c */
extern const struct parser parser_openvpn_tcp, parser_openvpn_udp;                    /* inspect_openvpn.c */
extern const struct parser parser_krb5_tcp, parser_krb5_udp;                          /* inspect_krb5.c */
extern const struct parser parser_dcerpc;                                             /* inspect_dcerpc.c: NTLM binds */
extern const struct parser parser_ldap;                                               /* inspect_ldap.c: STARTTLS, NTLM bind */
extern const struct parser parser_rdp;                                                /* inspect_rdp.c */
extern const struct parser parser_mqtt;                                               /* inspect_mqtt.c */
extern const struct parser parser_snmp;                                               /* inspect_snmp.c */
extern const struct parser parser_ssdp;                                               /* inspect_ssdp.c */
extern const struct parser parser_dhcp;                                               /* inspect_dhcp.c */

#endif
