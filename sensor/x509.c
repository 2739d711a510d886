/* The door to OpenSSL's X.509.
 *
 * Names as text are what feeds write: attributes in the order of the certificate,
 * ", " between them, " + " inside one RDN, values in UTF-8 and unescaped:
 *     C=US, ST=California, O=Fastly, Inc., CN=p2.shared.global.fastly.net
 * The short names are the nine of RFC 4514 §3; every other attribute is its dotted
 * number (1.2.840.113549.1.9.1 for an e-mail address). Suricata writes the same.
 * The serial number is the content of the INTEGER in hexadecimal, without the zero
 * bytes that only keep it positive.
 *
 * Names inside a certificate (CN, subjectAltName) are not reported as domain hits:
 * a certificate shared by a hundred customers of a CDN would alert for every one
 * of them, whoever was visited. The subject indicator is there for them. */
#include "sensor/x509.h"

#include <string.h>

#include <openssl/asn1.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "common/hash.h"
#include "common/text.h"
#include "sensor/tls_hello.h"

#define SERIAL_MAX   64  /* bytes; RFC 5280 allows 20 */
#define OID_TEXT_MAX 128 /* of a number in a name; a name with a longer one is not reported */

/* Text that must fit whole or not at all. */
struct line {
	char *p;
	size_t n, cap;
	bool over;
};

static void line_add(struct line *l, const void *p, size_t n)
{
	if (n > l->cap - l->n) {
		l->over = true;
		return;
	}
	memcpy(l->p + l->n, p, n);
	l->n += n;
}

static const char *short_name(const ASN1_OBJECT *o)
{
	switch (OBJ_obj2nid(o)) {
	case NID_commonName:
		return "CN";
	case NID_localityName:
		return "L";
	case NID_stateOrProvinceName:
		return "ST";
	case NID_organizationName:
		return "O";
	case NID_organizationalUnitName:
		return "OU";
	case NID_countryName:
		return "C";
	case NID_streetAddress:
		return "STREET";
	case NID_domainComponent:
		return "DC";
	case NID_userId:
		return "UID";
	default:
		return NULL;
	}
}

static void add_attribute(struct line *l, const X509_NAME_ENTRY *e)
{
	char dotted[OID_TEXT_MAX];
	const ASN1_OBJECT *o = X509_NAME_ENTRY_get_object(e);
	const char *name = short_name(o);
	int dotted_n = name ? 0 : OBJ_obj2txt(dotted, sizeof(dotted), o, 1);
	if (dotted_n > 0)
		name = dotted;
	l->over |= dotted_n >= (int)sizeof(dotted);
	if (name)
		line_add(l, name, strlen(name));
	line_add(l, "=", 1);
	unsigned char *utf8 = NULL;
	int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(e));
	if (n > 0)
		line_add(l, utf8, (size_t)n);
	OPENSSL_free(utf8);
}

static size_t name_text(const X509_NAME *name, char out[static X509_NAME_MAX], bool *over)
{
	struct line l = {.p = out, .cap = X509_NAME_MAX};
	int previous = -1;
	for (int i = 0; i < X509_NAME_entry_count(name) && !l.over; i++) {
		const X509_NAME_ENTRY *e = X509_NAME_get_entry(name, i);
		int set = X509_NAME_ENTRY_set(e);
		if (i)
			line_add(&l, set == previous ? " + " : ", ", set == previous ? 3 : 2);
		previous = set;
		add_attribute(&l, e);
	}
	*over |= l.over;
	return l.over ? 0 : l.n;
}

/* The INTEGER as it was encoded, because negative numbers exist in the wild. */
static void serial_text(const ASN1_INTEGER *serial, char out[static 2 * SERIAL_MAX + 1], bool *over)
{
	unsigned char *der = NULL;
	int n = i2d_ASN1_INTEGER(serial, &der);
	struct cursor c = cursor_over(der, n > 0 ? (size_t)n : 0);
	cursor_skip(&c, 1);
	uint8_t length = cursor_u8(&c); /* 127 bytes and less: one byte */
	struct bytes b = cursor_bytes(&c, length & 0x80 ? 0 : length);
	while (b.n > 1 && b.p[0] == 0) {
		b.p++;
		b.n--;
	}
	out[0] = '\0';
	*over |= b.n > SERIAL_MAX || length & 0x80;
	if (b.n && b.n <= SERIAL_MAX)
		text_hex(out, b.p, b.n);
	OPENSSL_free(der);
}

static void report_text(struct inspect *in, enum where w, const char *text, size_t n)
{
	if (n)
		observe(in, w, text, n);
}

static bool names_wanted(const struct inspect *in)
{
	return wanted(in, WHERE_TLS_CERT_SUBJECT) || wanted(in, WHERE_TLS_CERT_ISSUER) ||
	       wanted(in, WHERE_TLS_CERT_SERIAL);
}

/* False: no certificate. */
static bool read_names(const struct inspect *in, struct bytes der, struct x509_facts *facts)
{
	bool over = false;
	const unsigned char *p = der.p;
	X509 *x = d2i_X509(NULL, &p, (long)der.n);
	if (!x) {
		ERR_clear_error();
		return false;
	}
	facts->subject_n = name_text(X509_get_subject_name(x), facts->subject, &over);
	facts->issuer_n = name_text(X509_get_issuer_name(x), facts->issuer, &over);
	serial_text(X509_get0_serialNumber(x), facts->serial, &over);
	if (over)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	X509_free(x);
	ERR_clear_error();
	return true;
}

static void digests(const struct inspect *in, struct bytes der, struct x509_facts *facts)
{
	uint8_t digest[32];
	if (wanted(in, WHERE_TLS_CERT_SHA1)) {
		hash_sha1(digest, der.p, der.n);
		text_hex(facts->sha1, digest, 20);
	}
	if (wanted(in, WHERE_TLS_CERT_SHA256)) {
		hash_sha256(digest, der.p, der.n);
		text_hex(facts->sha256, digest, 32);
	}
}

void x509_report(struct inspect *in, struct bytes der, struct x509_facts *facts)
{
	facts->sha1[0] = facts->sha256[0] = facts->serial[0] = '\0';
	facts->subject_n = facts->issuer_n = 0;
	digests(in, der, facts);
	if (names_wanted(in))
		read_names(in, der, facts);
	uint32_t outer = inspect_object(in, OBJECT_NEW);
	report_text(in, WHERE_TLS_CERT_SHA1, facts->sha1, strlen(facts->sha1));
	report_text(in, WHERE_TLS_CERT_SHA256, facts->sha256, strlen(facts->sha256));
	report_text(in, WHERE_TLS_CERT_SUBJECT, facts->subject, facts->subject_n);
	report_text(in, WHERE_TLS_CERT_ISSUER, facts->issuer, facts->issuer_n);
	report_text(in, WHERE_TLS_CERT_SERIAL, facts->serial, strlen(facts->serial));
	inspect_object(in, outer);
}

bool x509_report_chain(struct inspect *in, struct bytes body, struct tls_facts *tls)
{
	struct x509_facts facts;
	struct cursor c = cursor_over(body.p, body.n);
	struct cursor list = cursor_sub(&c, cursor_u24(&c));
	tls->certificate = &facts;
	for (unsigned i = 0; cursor_left(&list) && cursor_ok(&list); i++) {
		if (i == X509_CHAIN_MAX) {
			ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
			break;
		}
		struct bytes der = cursor_bytes(&list, cursor_u24(&list));
		if (der.n)
			x509_report(in, der, &facts);
	}
	tls->certificate = NULL;
	return cursor_ok(&c) && cursor_ok(&list);
}

void x509_describe(const struct x509_facts *facts, struct alert_app *app)
{
	alert_app_text(app, "subject", facts->subject, facts->subject_n);
	alert_app_text(app, "issuerdn", facts->issuer, facts->issuer_n);
	alert_app_text(app, "serial", facts->serial, strlen(facts->serial));
	alert_app_text(app, "fingerprint", facts->sha1, strlen(facts->sha1));
	alert_app_text(app, "sha256", facts->sha256, strlen(facts->sha256));
}
