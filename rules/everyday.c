#define _GNU_SOURCE /* memmem, strcasestr */
#include "rules/everyday.h"

#include <string.h>
#include <strings.h>

/* Search, mail, office, updates, time, clouds' own front doors. Each stands for
 * itself and its www; an indicator for the name or for what is above it would
 * alert on everybody. Names below them (a bucket, a page of a customer) may be
 * indicators. */
const char *const everyday_names[] = {"google.com",
				      "gmail.com",
				      "googleapis.com",
				      "gstatic.com",
				      "youtube.com",
				      "microsoft.com",
				      "windows.com",
				      "office.com",
				      "office365.com",
				      "live.com",
				      "outlook.com",
				      "microsoftonline.com",
				      "windowsupdate.com",
				      "azure.com",
				      "msftconnecttest.com",
				      "msftncsi.com",
				      "skype.com",
				      "bing.com",
				      "linkedin.com",
				      "apple.com",
				      "icloud.com",
				      "amazon.com",
				      "amazonaws.com",
				      "cloudfront.net",
				      "facebook.com",
				      "fbcdn.net",
				      "instagram.com",
				      "whatsapp.com",
				      "whatsapp.net",
				      "twitter.com",
				      "x.com",
				      "yahoo.com",
				      "yahoo.co.jp",
				      "line.me",
				      "wikipedia.org",
				      "wikimedia.org",
				      "cloudflare.com",
				      "akamai.net",
				      "akamaiedge.net",
				      "akamaized.net",
				      "fastly.net",
				      "github.com",
				      "githubusercontent.com",
				      "gitlab.com",
				      "debian.org",
				      "ubuntu.com",
				      "redhat.com",
				      "fedoraproject.org",
				      "kernel.org",
				      "mozilla.org",
				      "mozilla.com",
				      "firefox.com",
				      "adobe.com",
				      "oracle.com",
				      "cisco.com",
				      "dropbox.com",
				      "zoom.us",
				      "slack.com",
				      "netflix.com",
				      "paypal.com",
				      "digicert.com",
				      "letsencrypt.org",
				      "lencr.org",
				      "globalsign.com",
				      "sectigo.com",
				      "pool.ntp.org",
				      "ntp.org",
				      "root-servers.net",
				      "gtld-servers.net",
				      "iana.org",
				      "icann.org",
				      "w3.org",
				      "doubleclick.net",
				      "google-analytics.com",
				      "dns.google",
				      "one.one.one.one",
				      "quad9.net",
				      NULL};

/* Public resolvers as their operators publish them, and the root name servers
 * (IANA, root hints). */
const char *const everyday_addresses[] = {"8.8.8.8",
					  "8.8.4.4",
					  "2001:4860:4860::8888",
					  "2001:4860:4860::8844",
					  "1.1.1.1",
					  "1.0.0.1",
					  "2606:4700:4700::1111",
					  "2606:4700:4700::1001",
					  "9.9.9.9",
					  "149.112.112.112",
					  "2620:fe::fe",
					  "208.67.222.222",
					  "208.67.220.220",
					  "198.41.0.4",
					  "170.247.170.2",
					  "192.33.4.12",
					  "199.7.91.13",
					  "192.203.230.10",
					  "192.5.5.241",
					  "192.112.36.4",
					  "198.97.190.53",
					  "192.36.148.17",
					  "192.58.128.30",
					  "193.0.14.129",
					  "199.7.83.42",
					  "202.12.27.33",
					  NULL};

static const struct {
	enum indicator_type type;
	enum { WHOLE, BEGINS, HOLDS } how;
	const char *text;
} texts[] = {
    {INDICATOR_USERNAME, WHOLE, "root"},
    {INDICATOR_USERNAME, WHOLE, "admin"},
    {INDICATOR_USERNAME, WHOLE, "administrator"},
    {INDICATOR_USERNAME, WHOLE, "guest"},
    {INDICATOR_USERNAME, WHOLE, "user"},
    {INDICATOR_USERNAME, WHOLE, "test"},
    {INDICATOR_USERNAME, WHOLE, "anonymous"},
    {INDICATOR_RDP_COOKIE, WHOLE, "administrator"},
    {INDICATOR_RDP_COOKIE, WHOLE, "admin"},
    {INDICATOR_COMMUNITY, WHOLE, "public"},
    {INDICATOR_COMMUNITY, WHOLE, "private"},
    {INDICATOR_FILENAME, WHOLE, "index.html"},
    {INDICATOR_FILENAME, WHOLE, "index.php"},
    {INDICATOR_FILENAME, WHOLE, "favicon.ico"},
    {INDICATOR_FILENAME, WHOLE, "robots.txt"},
    {INDICATOR_FILENAME, WHOLE, "desktop.ini"},
    {INDICATOR_FILENAME, WHOLE, "style.css"},
    {INDICATOR_FILENAME, WHOLE, "jquery.min.js"},
    {INDICATOR_SSH_BANNER, BEGINS, "SSH-2.0-OpenSSH_"},
    {INDICATOR_SSH_BANNER, BEGINS, "SSH-2.0-dropbear"},
    {INDICATOR_SSH_BANNER, BEGINS, "SSH-2.0-PuTTY"},
    {INDICATOR_CERT_ISSUER, HOLDS, "Let's Encrypt"},
    {INDICATOR_CERT_ISSUER, HOLDS, "DigiCert"},
    {INDICATOR_CERT_ISSUER, HOLDS, "GlobalSign"},
    {INDICATOR_CERT_ISSUER, HOLDS, "Sectigo"},
    {INDICATOR_CERT_ISSUER, HOLDS, "Google Trust Services"},
    {INDICATOR_CERT_ISSUER, HOLDS, "Entrust"},
    {INDICATOR_CERT_ISSUER, HOLDS, "GoDaddy"},
    {INDICATOR_CERT_ISSUER, HOLDS, "SECOM"},
    {INDICATOR_CERT_ISSUER, HOLDS, "Microsoft Azure"},
    {INDICATOR_CERT_ISSUER, HOLDS, "O=Amazon"},
    {INDICATOR_MQTT_TOPIC, WHOLE, "#"},
    {INDICATOR_PROTOCOL, WHOLE, "Unknown"},
    {INDICATOR_PROTOCOL, WHOLE, "DNS"},
    {INDICATOR_PROTOCOL, WHOLE, "HTTP"},
    {INDICATOR_PROTOCOL, WHOLE, "TLS"},
    {INDICATOR_PROTOCOL, WHOLE, "QUIC"},
    {INDICATOR_PROTOCOL, WHOLE, "NTP"},
    {INDICATOR_PROTOCOL, WHOLE, "DHCP"},
    {INDICATOR_PROTOCOL, WHOLE, "DHCPV6"},
    {INDICATOR_PROTOCOL, WHOLE, "ICMP"},
    {INDICATOR_PROTOCOL, WHOLE, "ICMPV6"},
    {INDICATOR_PROTOCOL, WHOLE, "MDNS"},
    {INDICATOR_PROTOCOL, WHOLE, "LLMNR"},
    {INDICATOR_PROTOCOL, WHOLE, "SSDP"},
    {INDICATOR_PROTOCOL, WHOLE, "ARP"},
    {INDICATOR_PROTOCOL, WHOLE, "SMTP"},
    {INDICATOR_PROTOCOL, WHOLE, "SMTPS"},
    {INDICATOR_PROTOCOL, WHOLE, "IMAPS"},
    {INDICATOR_PROTOCOL, WHOLE, "SSH"},
    {INDICATOR_PROTOCOL, WHOLE, "SMBv23"},
    {INDICATOR_PROTOCOL, WHOLE, "Kerberos"},
    {INDICATOR_PROTOCOL, WHOLE, "LDAP"},
    {INDICATOR_PROTOCOL, WHOLE, "Syslog"},
    {INDICATOR_PROTOCOL, WHOLE, "SNMP"},
};

bool everyday_text(enum indicator_type t, const char *value)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		const char *text = texts[i].text;
		if (texts[i].type != t)
			continue;
		if (texts[i].how == WHOLE    ? strcasecmp(value, text) == 0
		    : texts[i].how == BEGINS ? strncasecmp(value, text, strlen(text)) == 0
					     : strcasestr(value, text) != NULL)
			return true;
	}
	return false;
}

/* With their lengths: some hold zeros. */
#define BYTES(literal)                                                                                                 \
	{                                                                                                              \
		literal, sizeof(literal) - 1                                                                           \
	}
static const struct {
	const char *p;
	size_t n;
} openings[] = {
    BYTES("GET / HTTP/1.1\r\nHost: "),
    BYTES("POST / HTTP/1.1\r\nHost: "),
    BYTES("HTTP/1.0 200 OK\r\nServer: "),
    BYTES("HTTP/1.1 200 OK\r\nDate: "),
    BYTES("HTTP/1.1 304 Not Modified\r\n"),
    BYTES("\r\nConnection: keep-alive\r\n\r\n"),
    BYTES("\r\nContent-Length: "),
    BYTES("\r\nContent-Type: text/html; charset=UTF-8\r\n"),
    BYTES("\r\nAccept-Encoding: gzip, deflate, br\r\n"),
    BYTES("\r\nUser-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64)"),
    BYTES("<!DOCTYPE html>\r\n<html>\r\n<head>"),
    BYTES("SSH-2.0-OpenSSH_"),
    BYTES("EHLO MAIL FROM:<RCPT TO:<DATA\r\n220 250 354 "),
    BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    BYTES("\x16\x03\x03\x00"),
    BYTES("\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"), /* a DNS query's flags and counts */
    BYTES("\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"),
    BYTES("\x03"
	  "com\x00\x00\x01\x00\x01"),
    BYTES("\x1f\x8b\x08\x00\x00\x00\x00\x00"),
    BYTES("\xfeSMB@\x00\x01\x00"),
    BYTES("PK\x03\x04\x14\x00"),
    BYTES("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"),
    BYTES("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01"),
    BYTES("%PDF-1."),
    BYTES("This program cannot be run in DOS mode"),
};

bool everyday_bytes(const void *p, size_t n)
{
	if (n && memcmp(p, (const char *)p + 1, n - 1) == 0)
		return true;
	for (size_t i = 0; i < sizeof(openings) / sizeof(*openings); i++)
		if (memmem(openings[i].p, openings[i].n, p, n))
			return true;
	return false;
}
