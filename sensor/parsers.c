/* The order of probing: strict and frequent ones first; a parser whose first
 * bytes could be another's comes after it. */
#include "sensor/parsers.h"

// clang-format off
const struct parser *const parsers[] = {
    &parser_mdns,
    &parser_llmnr,
    &parser_dns_udp,
    &parser_dns_tcp,
    &parser_dtls,
    &parser_quic,
    &parser_tls,
    &parser_ssh,
    &parser_http1,
    &parser_http2,
    &parser_proxy,
    &parser_smtp,
    &parser_ftp,
    &parser_imap,
    &parser_pop3,
    &parser_smb,
    &parser_dcerpc,
    &parser_krb5_tcp,
    &parser_krb5_udp,
    &parser_ldap,
    &parser_nfs_tcp,
    &parser_nfs_udp,
    &parser_openvpn_tcp,
    &parser_openvpn_udp,
    &parser_mqtt,
    &parser_rdp,
    &parser_ssdp,
    &parser_dhcp,
    &parser_snmp,
    &parser_tftp,
    &parser_tftp_data, /* over nothing: when it is announced */
    NULL,
};
// clang-format on
