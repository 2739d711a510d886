/* What DNS messages are made of (RFC 1035 §4, drawn in inspect_dns.c). */
#ifndef SENSOR_DNS_FORMAT_H
#define SENSOR_DNS_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#define DNS_HEADER_SIZE   12
#define DNS_NAME_OCTETS   255 /* RFC 1035 §2.3.4 */
#define DNS_LABEL_MAX     63
#define DNS_POINTER       0xc0 /* two bits; 14 more are the offset */
#define DNS_CLASS_IN      1
#define DNS_CLASS_NONE    254    /* RFC 2136: a record that is to go */
#define DNS_CLASS_UNICAST 0x8000 /* mDNS: unicast reply wanted, or flush the cache */

#define DNS_PORT       53
#define DNS_PORT_NBNS  137
#define DNS_PORT_MDNS  5353
#define DNS_PORT_LLMNR 5355

enum rrtype {
	RR_A = 1,
	RR_NS = 2,
	RR_CNAME = 5,
	RR_SOA = 6,
	RR_PTR = 12,
	RR_MX = 15,
	RR_TXT = 16,
	RR_RP = 17,
	RR_AFSDB = 18,
	RR_RT = 21,
	RR_AAAA = 28,
	RR_NB = 32,
	RR_SRV = 33,
	RR_NAPTR = 35,
	RR_KX = 36,
	RR_DNAME = 39,
	RR_OPT = 41,
	RR_SVCB = 64,
	RR_HTTPS = 65,
	RR_ANY = 255,
	RR_TYPE_LAST = 262,
	RR_TA = 32768,
	RR_DLV = 32769
};

static inline bool dns_type_known(uint16_t type)
{
	return (type && type <= RR_TYPE_LAST) || type == RR_TA || type == RR_DLV;
}

static inline bool dns_class_known(uint16_t class)
{
	class &= (uint16_t)~DNS_CLASS_UNICAST;
	return class == DNS_CLASS_IN || class == 3 || class == 4 || class == DNS_CLASS_NONE || class == 255;
}

/* Where a name stands in the rdata of types that hold one and before it only what has
 * one length; -1: of no such type. */
static inline int dns_name_at(uint16_t type)
{
	switch (type) {
	case RR_NS:
	case RR_CNAME:
	case RR_SOA:
	case RR_PTR:
	case RR_DNAME:
		return 0;
	case RR_MX:
	case RR_AFSDB:
	case RR_RT:
	case RR_KX:
		return 2;
	case RR_SRV:
		return 6;
	default:
		return -1;
	}
}

#endif
