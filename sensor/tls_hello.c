/* Hellos and their fingerprints.
 *
 *   ClientHello: u16 version, 32 random, u8 n session id, [DTLS: u8 n cookie],
 *                u16 n ciphers (u16 each), u8 n compression, [u16 n extensions]
 *   ServerHello: u16 version, 32 random, u8 n session id, u16 cipher, u8 compression,
 *                [u16 n extensions]
 *   extension:   u16 type, u16 n, n bytes
 *
 * JA3 (Salesforce): MD5 of "version,ciphers,extensions,groups,formats" in decimal,
 * lists joined by '-', GREASE (RFC 8701) left out. JA3S: "version,cipher,extensions".
 * JA4 (FoxIO's technical description): carrier, version, SNI d|i, counts, ALPN;
 * SHA-256 of the sorted ciphers; of the sorted extensions without SNI and ALPN and
 * the signature algorithms in their order.
 *
 * Where tools disagree on JA4:
 * - no signature algorithms: the hash is over the extensions alone, without "_", as
 *   the description says (some tools keep the "_");
 * - drafts of TLS 1.3 and of QUIC's own version numbers in supported_versions: the
 *   highest number counts, and a number the description does not list is "00".
 * An SSLv2 hello has no fingerprint: none of the three is defined for it. */
#include "sensor/tls_hello.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/scratch.h"
#include "common/text.h"
#include "sensor/x509.h"

#define HELLO_VALUES_MAX     2048 /* ciphers, extensions or groups that a fingerprint is made of */
#define EXTENSION_SNI        0
#define EXTENSION_GROUPS     10
#define EXTENSION_FORMATS    11
#define EXTENSION_SIGNATURES 13
#define EXTENSION_ALPN       16
#define EXTENSION_VERSIONS   43

static bool grease(uint16_t v)
{
	return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff);
}

/* ---- reading ---- */

static struct bytes list8(struct cursor *c)
{
	return cursor_bytes(c, cursor_u8(c));
}

static struct bytes list16(struct cursor *c)
{
	return cursor_bytes(c, cursor_u16(c));
}

static struct cursor cursor_in(struct bytes b)
{
	return cursor_over(b.p, b.n);
}

/* RFC 6066 §3: u16 n, then u8 type (0 host name), u16 n, name. */
static struct bytes sni_of(struct bytes body)
{
	struct cursor c = cursor_in(body);
	struct bytes list = list16(&c);
	for (c = cursor_in(list); cursor_left(&c);) {
		uint8_t type = cursor_u8(&c);
		struct bytes name = list16(&c);
		if (type == 0)
			return name;
	}
	return (struct bytes){0};
}

/* RFC 7301 §3.1: u16 n, then u8 n, name. */
static struct bytes alpn_of(struct bytes body)
{
	struct cursor c = cursor_in(body);
	cursor_skip(&c, 2);
	return list8(&c);
}

static void take_extension(struct client_hello *h, uint16_t type, struct bytes body)
{
	struct cursor c = cursor_in(body);
	switch (type) {
	case EXTENSION_SNI:
		if (!h->has_sni)
			h->sni = sni_of(body);
		h->has_sni = true;
		break;
	case EXTENSION_ALPN:
		h->alpn = alpn_of(body);
		break;
	case EXTENSION_GROUPS:
		h->groups = list16(&c);
		break;
	case EXTENSION_FORMATS:
		h->formats = list8(&c);
		break;
	case EXTENSION_SIGNATURES:
		h->signatures = list16(&c);
		break;
	case EXTENSION_VERSIONS:
		h->versions = list8(&c);
		break;
	default:
		break;
	}
}

/* Where a hello's extensions stand, if any; false: they are cut or do not divide evenly. */
static bool find_extensions(struct cursor *c, struct bytes *out)
{
	if (!cursor_ok(c))
		return false;
	if (!cursor_left(c))
		return true;
	*out = list16(c);
	if (!cursor_ok(c))
		return false;
	struct cursor each = cursor_in(*out);
	while (cursor_left(&each) && cursor_ok(&each)) {
		cursor_skip(&each, 2);
		list16(&each);
	}
	return cursor_ok(&each);
}

bool client_hello_read(struct bytes body, bool dtls, struct client_hello *out)
{
	struct cursor c = cursor_in(body);
	*out = (struct client_hello){.version = cursor_u16(&c)};
	cursor_skip(&c, 32);
	list8(&c);
	if (dtls)
		list8(&c);
	out->ciphers = list16(&c);
	list8(&c);
	if (out->ciphers.n % 2 || !find_extensions(&c, &out->extensions))
		return false;
	for (c = cursor_in(out->extensions); cursor_left(&c);) {
		uint16_t type = cursor_u16(&c);
		take_extension(out, type, list16(&c));
	}
	return true;
}

bool server_hello_read(struct bytes body, struct server_hello *out)
{
	struct cursor c = cursor_in(body);
	*out = (struct server_hello){.version = cursor_u16(&c)};
	/* Drafts of TLS 1.3 before 22 have neither session id nor compression here. */
	bool early_draft = out->version >> 8 == 0x7f;
	cursor_skip(&c, 32);
	if (!early_draft)
		list8(&c);
	out->cipher = cursor_u16(&c);
	if (!early_draft)
		cursor_skip(&c, 1);
	if (!find_extensions(&c, &out->extensions))
		return false;
	for (c = cursor_in(out->extensions); cursor_left(&c);) {
		uint16_t type = cursor_u16(&c);
		struct bytes value = list16(&c);
		struct cursor v = cursor_in(value);
		if (type == EXTENSION_VERSIONS && value.n == 2)
			out->selected = cursor_u16(&v);
	}
	return true;
}

/* ---- lists of numbers ---- */

struct values {
	size_t n;
	bool over; /* there were more */
	uint16_t v[HELLO_VALUES_MAX];
};

static void values_add(struct values *l, uint16_t v)
{
	if (l->n == HELLO_VALUES_MAX)
		l->over = true;
	else
		l->v[l->n++] = v;
}

static void values_list(struct values *l, struct bytes list)
{
	l->n = 0;
	l->over = false;
	for (struct cursor c = cursor_in(list); cursor_left(&c) >= 2;) {
		uint16_t v = cursor_u16(&c);
		if (!grease(v))
			values_add(l, v);
	}
}

static void values_extensions(struct values *l, struct bytes extensions, bool keep_grease)
{
	l->n = 0;
	l->over = false;
	for (struct cursor c = cursor_in(extensions); cursor_left(&c);) {
		uint16_t type = cursor_u16(&c);
		list16(&c);
		if (keep_grease || !grease(type))
			values_add(l, type);
	}
}

static int by_number(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* ---- JA3 ---- */

/* Room for every number of the three lists with its separator. */
struct ja3_text {
	size_t n;
	char p[(3 * HELLO_VALUES_MAX + 256) * 6 + 16];
};

static void ja3_number(struct ja3_text *t, char before, uint16_t v)
{
	char digits[5]; /* of 16 bits; by hand, because a hello has a hundred numbers */
	size_t n = sizeof(digits);
	if (before)
		t->p[t->n++] = before;
	do
		digits[--n] = (char)('0' + v % 10);
	while (v /= 10);
	memcpy(t->p + t->n, digits + n, sizeof(digits) - n);
	t->n += sizeof(digits) - n;
}

static void ja3_list(struct ja3_text *t, const struct values *l)
{
	t->p[t->n++] = ',';
	for (size_t i = 0; i < l->n; i++)
		ja3_number(t, i ? '-' : '\0', l->v[i]);
}

static void ja3_formats(struct ja3_text *t, struct bytes formats)
{
	t->p[t->n++] = ',';
	for (size_t i = 0; i < formats.n; i++)
		ja3_number(t, i ? '-' : '\0', formats.p[i]);
}

static void ja3_finish(const struct ja3_text *t, char out[static JA3_TEXT])
{
	uint8_t digest[16];
	hash_md5(digest, t->p, t->n);
	text_hex(out, digest, sizeof(digest));
}

bool ja3_of(const struct client_hello *h, char out[static JA3_TEXT])
{
	SCRATCH struct ja3_text t;
	SCRATCH struct values l;
	t.n = 0;
	ja3_number(&t, '\0', h->version);
	values_list(&l, h->ciphers);
	bool over = l.over;
	ja3_list(&t, &l);
	values_extensions(&l, h->extensions, false);
	over |= l.over;
	ja3_list(&t, &l);
	values_list(&l, h->groups);
	over |= l.over;
	ja3_list(&t, &l);
	ja3_formats(&t, h->formats);
	if (over)
		return false;
	ja3_finish(&t, out);
	return true;
}

bool ja3s_of(const struct server_hello *h, char out[static JA3_TEXT])
{
	SCRATCH struct ja3_text t;
	SCRATCH struct values l;
	t.n = 0;
	ja3_number(&t, '\0', h->version);
	ja3_number(&t, ',', h->cipher);
	values_extensions(&l, h->extensions, true);
	ja3_list(&t, &l);
	if (l.over)
		return false;
	ja3_finish(&t, out);
	return true;
}

/* ---- JA4 ---- */

static const char *ja4_version(uint16_t v)
{
	static const struct {
		uint16_t number;
		const char *text;
	} names[] = {{0x0304, "13"}, {0x0303, "12"}, {0x0302, "11"}, {0x0301, "10"}, {0x0300, "s3"},
		     {0x0002, "s2"}, {0xfeff, "d1"}, {0xfefd, "d2"}, {0xfefc, "d3"}};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == v)
			return names[i].text;
	return "00";
}

/* DTLS counts its versions downwards. */
static uint16_t highest_version(const struct client_hello *h)
{
	uint16_t best = 0;
	bool any = false;
	for (struct cursor c = cursor_in(h->versions); cursor_left(&c) >= 2;) {
		uint16_t v = cursor_u16(&c);
		if (grease(v))
			continue;
		bool dtls = v >> 8 == 0xfe && best >> 8 == 0xfe;
		if (!any || (dtls ? v < best : v > best))
			best = v;
		any = true;
	}
	return any ? best : h->version;
}

static bool alphanumeric(uint8_t b)
{
	return (b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z');
}

/* First and last character; of the hexadecimal text if one is not alphanumeric. */
static void ja4_alpn(struct bytes alpn, char out[static 3])
{
	static const char hex[] = "0123456789abcdef";
	memcpy(out, "00", 3);
	if (!alpn.n)
		return;
	uint8_t first = alpn.p[0], last = alpn.p[alpn.n - 1];
	bool plain = alphanumeric(first) && alphanumeric(last);
	out[0] = plain ? (char)first : hex[first >> 4];
	out[1] = plain ? (char)last : hex[last & 15];
}

struct ja4_list {
	size_t n;
	char p[2 * (HELLO_VALUES_MAX * 5 + 1)];
};

static void ja4_numbers(struct ja4_list *t, const struct values *l)
{
	static const char hex[] = "0123456789abcdef";
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			t->p[t->n++] = ',';
		for (int shift = 12; shift >= 0; shift -= 4)
			t->p[t->n++] = hex[l->v[i] >> shift & 15];
	}
}

/* The first 12 digits of the list's SHA-256; zeroes for an empty one. */
static void ja4_hash(const struct ja4_list *t, char out[static 13])
{
	uint8_t digest[32];
	hash_sha256(digest, t->p, t->n);
	if (!t->n)
		memset(digest, 0, sizeof(digest));
	text_hex(out, digest, 6);
}

static bool ja4_ciphers(const struct client_hello *h, size_t *count, char out[static 13])
{
	SCRATCH struct values l;
	SCRATCH struct ja4_list t;
	t.n = 0;
	values_list(&l, h->ciphers);
	*count = l.n;
	qsort(l.v, l.n, sizeof(l.v[0]), by_number);
	ja4_numbers(&t, &l);
	ja4_hash(&t, out);
	return !l.over;
}

static bool ja4_extensions(const struct client_hello *h, size_t *count, char out[static 13])
{
	SCRATCH struct values l;
	SCRATCH struct ja4_list t;
	t.n = 0;
	values_extensions(&l, h->extensions, false);
	bool over = l.over;
	size_t kept = 0;
	*count = l.n;
	for (size_t i = 0; i < l.n; i++)
		if (l.v[i] != EXTENSION_SNI && l.v[i] != EXTENSION_ALPN)
			l.v[kept++] = l.v[i];
	l.n = kept;
	qsort(l.v, l.n, sizeof(l.v[0]), by_number);
	ja4_numbers(&t, &l);
	values_list(&l, h->signatures);
	if (l.n && t.n) {
		t.p[t.n++] = '_';
		ja4_numbers(&t, &l);
	}
	ja4_hash(&t, out);
	return !over && !l.over;
}

bool ja4_of(const struct client_hello *h, enum tls_carrier carrier, char out[static JA4_TEXT])
{
	char alpn[3], ciphers[13], extensions[13];
	size_t ciphers_n, extensions_n;
	if (!ja4_ciphers(h, &ciphers_n, ciphers) || !ja4_extensions(h, &extensions_n, extensions))
		return false;
	ja4_alpn(h->alpn, alpn);
	unsigned shown_ciphers = ciphers_n < 99 ? (unsigned)ciphers_n : 99;
	unsigned shown_extensions = extensions_n < 99 ? (unsigned)extensions_n : 99;
	snprintf(out, JA4_TEXT, "%c%s%c%02u%02u%s_%s_%s", (char)carrier, ja4_version(highest_version(h)),
		 h->has_sni ? 'd' : 'i', shown_ciphers, shown_extensions, alpn, ciphers, extensions);
	return true;
}

/* ---- reporting ---- */

static void report_fingerprint(struct inspect *in, enum where w, bool made, const char *text)
{
	if (made)
		observe(in, w, text, strlen(text));
	else
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
}

bool tls_report_client(struct inspect *in, enum tls_carrier carrier, struct bytes body, struct tls_facts *facts)
{
	bool quic = carrier == TLS_OVER_QUIC;
	struct client_hello h;
	if (!client_hello_read(body, carrier == TLS_OVER_UDP, &h))
		return false;
	facts->sni_n = (uint8_t)(h.sni.n < SNI_MAX ? h.sni.n : SNI_MAX);
	if (facts->sni_n)
		memcpy(facts->sni, h.sni.p, facts->sni_n);
	facts->alpn_n = (uint8_t)(h.alpn.n < sizeof(facts->alpn) ? h.alpn.n : sizeof(facts->alpn));
	if (facts->alpn_n)
		memcpy(facts->alpn, h.alpn.p, facts->alpn_n);
	facts->ja3[0] = facts->ja4[0] = '\0';
	bool made3 = !wanted(in, WHERE_TLS_JA3) || ja3_of(&h, facts->ja3);
	bool made4 = !wanted(in, WHERE_TLS_JA4) || ja4_of(&h, carrier, facts->ja4);
	if (h.sni.n)
		observe(in, quic ? WHERE_QUIC_SNI : WHERE_TLS_SNI, h.sni.p, h.sni.n);
	report_fingerprint(in, quic ? WHERE_QUIC_JA3 : WHERE_TLS_JA3, made3, facts->ja3);
	report_fingerprint(in, quic ? WHERE_QUIC_JA4 : WHERE_TLS_JA4, made4, facts->ja4);
	return true;
}

bool tls_report_server(struct inspect *in, enum tls_carrier carrier, struct bytes body, struct tls_facts *facts)
{
	struct server_hello h;
	if (!server_hello_read(body, &h))
		return false;
	facts->version = h.selected ? h.selected : h.version;
	facts->ja3s[0] = '\0';
	bool made = !wanted(in, WHERE_TLS_JA3S) || ja3s_of(&h, facts->ja3s);
	report_fingerprint(in, carrier == TLS_OVER_QUIC ? WHERE_QUIC_JA3S : WHERE_TLS_JA3S, made, facts->ja3s);
	return true;
}

static const char *version_name(uint16_t v)
{
	static const struct {
		uint16_t number;
		const char *text;
	} names[] = {{0x0304, "TLS 1.3"}, {0x0303, "TLS 1.2"},  {0x0302, "TLSv1.1"},  {0x0301, "TLSv1"},
		     {0x0300, "SSLv3"},   {0xfeff, "DTLS 1.0"}, {0xfefd, "DTLS 1.2"}, {0xfefc, "DTLS 1.3"}};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == v)
			return names[i].text;
	return "";
}

void tls_describe(const struct tls_facts *facts, struct alert_app *app)
{
	const char *version = version_name(facts->version);
	alert_app_text(app, "sni", facts->sni, facts->sni_n);
	alert_app_text(app, "version", version, strlen(version));
	alert_app_text(app, "alpn", facts->alpn, facts->alpn_n);
	alert_app_text(app, "ja3.hash", facts->ja3, strlen(facts->ja3));
	alert_app_text(app, "ja3s.hash", facts->ja3s, strlen(facts->ja3s));
	alert_app_text(app, "ja4", facts->ja4, strlen(facts->ja4));
	if (facts->certificate)
		x509_describe(facts->certificate, app);
}
