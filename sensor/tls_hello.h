/* ClientHello and ServerHello (RFC 5246 §7.4.1, RFC 8446 §4.1, RFC 6347 §4.2.1):
 * server name, ALPN and the fingerprints JA3, JA3S, JA4. Shared by TLS, DTLS and
 * QUIC, which differ in how the messages travel. */
#ifndef SENSOR_TLS_HELLO_H
#define SENSOR_TLS_HELLO_H

#include "sensor/inspect.h"

#define TLS_CLIENT_HELLO  1
#define TLS_SERVER_HELLO  2
#define TLS_CERTIFICATE   11
#define TLS_HANDSHAKE_MAX 65536 /* bytes of one handshake message that is read; longer ones are passed over */

#define JA3_TEXT 33 /* 32 hex digits and NUL */
#define JA4_TEXT 37 /* "t13d1516h2_8daaf6152771_e5627efa2ab1" and NUL */
#define SNI_MAX  255

/* How the hello travels: JA4 begins with it. */
enum tls_carrier { TLS_OVER_TCP = 't', TLS_OVER_QUIC = 'q', TLS_OVER_UDP = 'd' };

/* Views into the message body: borrowed. Lists are whole (bytes behind a list
 * that is cut make the hello unreadable). */
struct client_hello {
	uint16_t version;
	struct bytes ciphers;                               /* u16 each */
	struct bytes extensions;                            /* u16 type, u16 n, n bytes each */
	struct bytes sni;                                   /* the first host name; n = 0: none */
	struct bytes alpn;                                  /* the first protocol */
	struct bytes groups, formats, signatures, versions; /* bodies of the lists inside the extensions */
	bool has_sni;
};

struct server_hello {
	uint16_t version, cipher;
	uint16_t selected; /* supported_versions; 0: none */
	struct bytes extensions;
};

/* body: behind the handshake header. dtls: with a cookie. False: not readable. */
bool client_hello_read(struct bytes body, bool dtls, struct client_hello *out);
bool server_hello_read(struct bytes body, struct server_hello *out);

/* False: more values than a fingerprint is made of (HELLO_VALUES_MAX in the .c). */
bool ja3_of(const struct client_hello *h, char out[static JA3_TEXT]);
bool ja3s_of(const struct server_hello *h, char out[static JA3_TEXT]);
bool ja4_of(const struct client_hello *h, enum tls_carrier carrier, char out[static JA4_TEXT]);

/* What a flow's hellos said: for describe(). */
struct tls_facts {
	uint16_t version; /* the server's choice, or 0 */
	uint8_t sni_n, alpn_n;
	char sni[SNI_MAX], alpn[32];
	char ja3[JA3_TEXT], ja3s[JA3_TEXT], ja4[JA4_TEXT];
	const struct x509_facts *certificate; /* the one in hand, only while it is reported */
};

/* Read a hello and report it; places of QUIC or of TLS by carrier. False: not
 * readable. What nothing wants is not computed. */
bool tls_report_client(struct inspect *in, enum tls_carrier carrier, struct bytes body, struct tls_facts *facts);
bool tls_report_server(struct inspect *in, enum tls_carrier carrier, struct bytes body, struct tls_facts *facts);

/* The alert's "tls" object. */
void tls_describe(const struct tls_facts *facts, struct alert_app *app);

#endif
