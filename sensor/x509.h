/* Certificates as they pass on the wire: digests, names and serial number. */
#ifndef SENSOR_X509_H
#define SENSOR_X509_H

#include "sensor/inspect.h"

#define X509_CHAIN_MAX 32   /* certificates of one chain that are read */
#define X509_NAME_MAX  1024 /* bytes of a subject or issuer as text; longer ones are not reported */

/* The certificate in hand: for describe(). */
struct x509_facts {
	char sha1[41], sha256[65]; /* empty unless wanted */
	size_t subject_n, issuer_n;
	char subject[X509_NAME_MAX], issuer[X509_NAME_MAX];
	char serial[2 * 64 + 1];
};

/* Reports one certificate: digests of the DER bytes whatever they are, the rest
 * when they are a certificate. *facts is filled before anything is reported;
 * the caller makes it reachable for its describe() first. */
void x509_report(struct inspect *in, struct bytes der, struct x509_facts *facts);

struct tls_facts;
/* The body of a Certificate message (≤ TLS 1.2): u24 n, then u24 n, DER each. */
bool x509_report_chain(struct inspect *in, struct bytes body, struct tls_facts *tls);

void x509_describe(const struct x509_facts *facts, struct alert_app *app);

#endif
