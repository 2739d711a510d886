/* Handshake messages for the tests of TLS, DTLS and QUIC, built from lists. */
#ifndef TESTS_TLS_MESSAGES_H
#define TESTS_TLS_MESSAGES_H

#include <string.h>

#include "common/buf.h"
#include "common/text.h"

struct hello {
	uint16_t version;
	const char *sni, *alpn;
	const uint16_t *ciphers, *extensions, *groups, *signatures, *versions; /* 0-terminated; SNI is type 1 here */
	const uint8_t *formats;
	size_t formats_n;
	bool dtls;
	size_t cookie_n;
};

/* A length that is filled in when its content is there. */
static inline size_t open_length(struct buf *b, int bytes)
{
	buf_add(b, "\0\0\0", (size_t)bytes);
	return b->n;
}

static inline void close_length(struct buf *b, size_t at, int bytes)
{
	size_t n = b->n - at;
	for (int i = 1; i <= bytes; i++, n >>= 8)
		b->p[at - (size_t)i] = (uint8_t)n;
}

static inline void put_u16s(struct buf *b, const uint16_t *v)
{
	for (; v && *v; v++)
		buf_u16(b, *v);
}

static inline void put_extension_body(struct buf *b, const struct hello *h, uint16_t type)
{
	size_t outer = open_length(b, 2), inner;
	if (type == 0) {
		inner = open_length(b, 2);
		buf_u8(b, 0);
		buf_u16(b, (uint16_t)strlen(h->sni));
		buf_add(b, h->sni, strlen(h->sni));
		close_length(b, inner, 2);
	} else if (type == 16) {
		inner = open_length(b, 2);
		buf_u8(b, (uint8_t)strlen(h->alpn));
		buf_add(b, h->alpn, strlen(h->alpn));
		close_length(b, inner, 2);
	} else if (type == 10 || type == 13) {
		inner = open_length(b, 2);
		put_u16s(b, type == 10 ? h->groups : h->signatures);
		close_length(b, inner, 2);
	} else if (type == 43) {
		inner = open_length(b, 1);
		put_u16s(b, h->versions);
		close_length(b, inner, 1);
	} else if (type == 11) {
		buf_u8(b, (uint8_t)h->formats_n);
		buf_add(b, h->formats, h->formats_n);
	}
	close_length(b, outer, 2);
}

/* The body of a ClientHello: behind the handshake header. */
static inline void put_client_hello(struct buf *b, const struct hello *h)
{
	buf_u16(b, h->version);
	for (int i = 0; i < 32; i++)
		buf_u8(b, (uint8_t)i);
	buf_u8(b, 0);
	if (h->dtls) {
		buf_u8(b, (uint8_t)h->cookie_n);
		for (size_t i = 0; i < h->cookie_n; i++)
			buf_u8(b, 0xcc);
	}
	size_t at = open_length(b, 2);
	put_u16s(b, h->ciphers);
	close_length(b, at, 2);
	buf_add(b, "\1\0", 2);
	if (!h->extensions)
		return;
	at = open_length(b, 2);
	for (const uint16_t *e = h->extensions; *e; e++) {
		uint16_t type = *e == 1 ? 0 : *e;
		buf_u16(b, type);
		put_extension_body(b, h, type);
	}
	close_length(b, at, 2);
}

static inline void put_server_hello(struct buf *b, uint16_t version, uint16_t cipher, const uint16_t *extensions)
{
	static const struct hello selected; /* extensions are empty */
	buf_u16(b, version);
	for (int i = 0; i < 32; i++)
		buf_u8(b, 0x55);
	buf_u8(b, 0);
	buf_u16(b, cipher);
	buf_u8(b, 0);
	size_t at = open_length(b, 2);
	for (const uint16_t *e = extensions; e && *e; e++) {
		buf_u16(b, *e == 1 ? 0 : *e);
		if (*e == 43) {
			buf_add(b, "\0\2\3\4", 4);
			continue;
		}
		put_extension_body(b, &selected, 99);
	}
	close_length(b, at, 2);
}

/* A handshake message of TLS around a body. */
static inline void put_message(struct buf *b, uint8_t type, const void *body, size_t n)
{
	buf_u8(b, type);
	size_t at = open_length(b, 3);
	buf_add(b, body, n);
	close_length(b, at, 3);
}

/* Records of at most `piece` bytes around data. */
static inline void put_records(struct buf *b, uint8_t type, const void *data, size_t n, size_t piece)
{
	const uint8_t *p = data;
	for (size_t at = 0; at < n; at += piece) {
		size_t part = n - at < piece ? n - at : piece;
		buf_u8(b, type);
		buf_u16(b, 0x0303);
		buf_u16(b, (uint16_t)part);
		buf_add(b, p + at, part);
	}
}

/* The example of JA4's technical description: t13d1516h2_8daaf6152771_e5627efa2ab1.
 * GREASE values are among it as browsers send them. */
static const uint16_t example_ciphers[] = {0x0a0a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9,
					   0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035, 0};
static const uint16_t example_extensions[] = {0x2a2a, 0x001b, 1,      0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d,
					      0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015, 0};
static const uint16_t example_groups[] = {0x3a3a, 0x001d, 0x0017, 0x0018, 0};
static const uint16_t example_signatures[] = {0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601, 0};
static const uint16_t example_versions[] = {0x4a4a, 0x0304, 0x0303, 0};
static const uint8_t example_formats[] = {0};

static const struct hello example_hello = {
    .version = 0x0303,
    .sni = "www.example.com",
    .alpn = "h2",
    .ciphers = example_ciphers,
    .extensions = example_extensions,
    .groups = example_groups,
    .signatures = example_signatures,
    .versions = example_versions,
    .formats = example_formats,
    .formats_n = 1,
};

/* A self-signed certificate of 506 bytes with an RDN of two attributes. */
static const char example_certificate[] =
    "308201f6308201a8a0030201020205008f00aa55300506032b65703069310b3009060355040613024a503116301406035504"
    "0a0c0d4578616d706c652c20496e632e3124300a060355040b0c03526564301606035504030c0f7777772e6578616d706c65"
    "2e636f6d311c301a06092a864886f70d010901160d61406578616d706c652e636f6d3020170d323631313231303734353336"
    "5a180f32313236313032383037343533365a3069310b3009060355040613024a5031163014060355040a0c0d4578616d706c"
    "652c20496e632e3124300a060355040b0c03526564301606035504030c0f7777772e6578616d706c652e636f6d311c301a06"
    "092a864886f70d010901160d61406578616d706c652e636f6d302a300506032b657003210035bff7ef740d9b05952e821acd"
    "f9cfcd9b1fb570963a08f5c05dd3684308c8dda36f306d301d0603551d0e041604149d001c74d8f7ce706722d216678a1d3d"
    "d35cd0fe301f0603551d230418301680149d001c74d8f7ce706722d216678a1d3dd35cd0fe300f0603551d130101ff040530"
    "030101ff301a0603551d1104133011820f616c742e6578616d706c652e636f6d300506032b65700341002163b180b99440c2"
    "83bc02201578f15b287daea71271c9d143cffab75619ace6d69a83d3267923aba9de1f6fb2213fa36afb2cc549fe6f669da0"
    "3dae82c15d0b";

#define EXAMPLE_CERTIFICATE_LINES                                                                                      \
	"tls.cert.sha1 01b026b28450a497027e1df1b3038e5b9cc486d9\n"                                                     \
	"tls.cert.sha256 56a1799c534b2e789b479cc92f29e97f30fcec5f344022e0f3773a562cdc7811\n"                           \
	"tls.cert.subject C=JP, O=Example, Inc., OU=Red + CN=www.example.com, "                                        \
	"1.2.840.113549.1.9.1=a@example.com\n"                                                                         \
	"tls.cert.issuer C=JP, O=Example, Inc., OU=Red + CN=www.example.com, "                                         \
	"1.2.840.113549.1.9.1=a@example.com\n"                                                                         \
	"tls.cert.serial 8f00aa55\n"

/* The body of a Certificate message with the example and bytes that are none. */
static inline void put_chain(struct buf *b)
{
	uint8_t der[sizeof(example_certificate) / 2];
	text_unhex(der, sizeof(der), example_certificate, sizeof(example_certificate) - 1);
	size_t list = open_length(b, 3);
	size_t one = open_length(b, 3);
	buf_add(b, der, sizeof(der));
	close_length(b, one, 3);
	one = open_length(b, 3);
	buf_add(b, "no certificate", 14);
	close_length(b, one, 3);
	close_length(b, list, 3);
}

#define EXAMPLE_CHAIN_LINES                                                                                            \
	EXAMPLE_CERTIFICATE_LINES                                                                                      \
	"tls.cert.sha1 2a6a501e58584d09e523b22509aba9d918561d9d\n"                                                     \
	"tls.cert.sha256 de826f9e5acba22f80b95e447f9a1a29db2441d3f8dee9d83dfbb0e52370dfc0\n"

#endif
