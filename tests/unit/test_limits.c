/* Limits of the parsers (deploy/limits.md) that have no test beside their parser's
 * own: what is at the limit is read, what is beyond it is counted, and what follows
 * is read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "tests/unit/observed.h"
#include "tests/unit/quic_packets.h"

#include "sensor/expect.h"
#include "sensor/http_auth.h"
#include "sensor/http_head.h"
#include "sensor/http_request.h"
#include "sensor/mime_field.h"
#include "sensor/parsers.h"
#include "sensor/pending.h"
#include "sensor/tls_hello.h"
#include "sensor/x509.h"

static void add_text(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

static void add_run(struct buf *b, char c, size_t n)
{
	while (n--)
		buf_add(b, &c, 1);
}

/* What the bytes give: so many observables, so many times the limit. Frees them. */
static void expect_stream(const struct parser *p, enum side side, struct buf *b, size_t count, uint64_t limit)
{
	struct observed o;
	observed_begin(&o, p);
	feed_stream(&o, side, b->p, b->n);
	feed_close(&o);
	assert_int_equal(o.count, count);
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], limit);
	observed_end(&o);
	buf_free(b);
}

static void expect_datagram(const struct parser *p, enum side side, struct buf *b, size_t count, uint64_t limit)
{
	struct observed o;
	observed_begin(&o, p);
	feed_datagram(&o, side, b->p, b->n);
	assert_int_equal(o.count, count);
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], limit);
	observed_end(&o);
	buf_free(b);
}

/* ---- small ones ---- */

static struct buf dhcp_head(void)
{
	struct buf b = {0};
	add_text(&b, "\1\1\6");
	add_run(&b, '\0', 236 - 3);
	add_text(&b, "\x63\x82\x53\x63");
	return b;
}

static void dhcp(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = dhcp_head();
		for (size_t i = 0; i < 255 + over; i++)
			buf_add(&b, "\0\0\1\0", 4); /* padding does not count */
		buf_add(&b, "\x0c\2pc\xff", 5);
		expect_datagram(&parser_dhcp, TO_SERVER, &b, 1 - over, over);
	}
}

static void snmp(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		size_t n = 255 + over;
		struct buf b = {0};
		add_text(&b, "\x30\x82");
		buf_u16(&b, (uint16_t)(3 + 4 + n + 4));
		buf_add(&b, "\2\1\0\4\x82", 5);
		buf_u16(&b, (uint16_t)n);
		add_run(&b, 'c', n);
		buf_add(&b, "\xa0\2\5\0", 4);
		assert_int_equal(feed_probe(&parser_snmp, TO_SERVER, b.p, b.n), PROBE_YES);
		expect_datagram(&parser_snmp, TO_SERVER, &b, 1 - over, over);
	}
}

static void rdp(void **state)
{
	(void)state;
	struct observed o;
	assert_int_equal(feed_probe(&parser_rdp, TO_SERVER, "\3\0\4\1\x10\xe0", 6), PROBE_NO);
	observed_begin(&o, &parser_rdp);
	assert_int_equal(feed_stream(&o, TO_SERVER, "\3\0\4\0", 4), INSPECT_MORE);
	observed_end(&o);
	observed_begin(&o, &parser_rdp);
	assert_int_equal(feed_stream(&o, TO_SERVER, "\3\0\4\1", 4), INSPECT_ERROR);
	observed_end(&o);
}

#define MQTT_CONNECT "\x10\x0d\0\4MQTT\4\2\0\x3c\0\1c"

static void mqtt_length(struct buf *b, size_t n)
{
	buf_u8(b, (uint8_t)(n % 128 | 128));
	buf_u8(b, (uint8_t)(n / 128 % 128 | 128));
	buf_u8(b, (uint8_t)(n / 128 / 128));
}

static void mqtt(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = {0};
		buf_add(&b, MQTT_CONNECT "\x82", sizeof(MQTT_CONNECT));
		mqtt_length(&b, 2 + (64 + over) * 4);
		buf_u16(&b, 1);
		for (size_t i = 0; i < 64 + over; i++)
			buf_add(&b, "\0\1t\0", 4);
		expect_stream(&parser_mqtt, TO_SERVER, &b, 64, over);
	}
	for (size_t over = 0; over < 2; over++) { /* a topic that does not fit into what is looked at */
		struct buf b = {0};
		buf_add(&b, MQTT_CONNECT "\x30", sizeof(MQTT_CONNECT));
		mqtt_length(&b, 8192 + 100);
		buf_u16(&b, (uint16_t)(8190 + over));
		add_run(&b, 't', 8192 - 2 + 100);
		buf_add(&b, "\x30\5\0\2okx", 7);
		expect_stream(&parser_mqtt, TO_SERVER, &b, 2 - over, over);
	}
	/* A first packet of any length is one: its head is read. */
	static const char head[] = "\x10\xff\xff\3\0\4MQTT\4\x80\0\x3c\0\1c\0\3ann";
	assert_int_equal(feed_probe(&parser_mqtt, TO_SERVER, head, sizeof(head) - 1), PROBE_YES);
}

static void nfs(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) { /* a name behind a handle that fills what is looked at */
		struct buf b = {0};
		buf_u32(&b, 0x80000000u | (40 + 4 + 8100 + 4 + 60));
		for (size_t i = 0; i < 10; i++)
			buf_u32(&b, (const uint32_t[]){7, 0, 2, 100003, 3, 3, 0, 0, 0, 0}[i]);
		buf_u32(&b, (uint32_t)(8040 + 60 * over));
		add_run(&b, 'h', 8040 + 60 * over);
		buf_u32(&b, 60);
		add_run(&b, 'n', 60 + 60 * (1 - over));
		expect_stream(&parser_nfs_tcp, TO_SERVER, &b, 1 - over, over);
	}
}

static void ssdp(void **state)
{
	(void)state;
	for (size_t over = 0; over < 4; over++) {
		struct buf b = {0};
		add_text(&b, "NOTIFY * HTTP/1.1\r\nLOCATION: http://");
		add_run(&b, 'h', over & 1 ? 1025 : 1024);
		add_text(&b, "/");
		add_run(&b, 'p', over & 2 ? 8192 : 100);
		add_text(&b, "\r\n\r\n");
		expect_datagram(&parser_ssdp, TO_SERVER, &b, over ? 0 : 2, over ? 1 : 0);
	}
}

/* ---- mail ---- */

static void smtp(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = {0};
		for (size_t i = 0; i < 1000 + over; i++)
			add_text(&b, "NOOP\r\n");
		expect_stream(&parser_smtp, TO_SERVER, &b, 0, over);
	}
}

static void mailbox(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = {0};
		add_text(&b, "a LOGIN \"");
		add_run(&b, 'u', 512 + over);
		add_text(&b, "\" x\r\na LOGIN {");
		add_text(&b, over ? "513}\r\n" : "512}\r\n");
		add_run(&b, 'u', 512 + over);
		add_text(&b, " x\r\n");
		expect_stream(&parser_imap, TO_SERVER, &b, 2 - 2 * over, 2 * over);
	}
	for (size_t over = 0; over < 2; over++) { /* TLS behind a tag that is too long is not found */
		struct buf b = {0};
		struct observed o;
		add_run(&b, 't', 32 + over);
		size_t tag_n = b.n;
		add_text(&b, " STARTTLS\r\n");
		observed_begin(&o, &parser_imap);
		feed_stream(&o, TO_SERVER, b.p, b.n);
		b.n = tag_n;
		add_text(&b, " OK\r\n");
		assert_int_equal(feed_stream(&o, TO_CLIENT, b.p, b.n), over ? INSPECT_MORE : INSPECT_AGAIN);
		assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], over);
		observed_end(&o);
		buf_free(&b);
	}
}

static struct buf mail(const char *fields)
{
	struct buf b = {0};
	add_text(&b, "DATA\r\n");
	add_text(&b, fields);
	return b;
}

static void mail_end(struct buf *b, size_t count, uint64_t limit)
{
	add_text(b, "\r\n\r\nx\r\n.\r\n");
	expect_stream(&parser_smtp, TO_SERVER, b, count, limit);
}

static void mail_fields(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = mail("Subject: ");
		add_run(&b, 's', 8192 + over);
		mail_end(&b, 1, over);
		b = mail("To: ");
		for (size_t i = 0; i < 256 + over; i++)
			add_text(&b, "a@b,");
		mail_end(&b, 256, over);
		b = mail("To: <");
		add_run(&b, 'a', 1022 + over);
		add_text(&b, "@b>, (((((((((((nested))))))))))) c@d");
		mail_end(&b, 2, over);
		b = mail("Content-Disposition: attachment; filename=\"/a/long/path/");
		add_run(&b, 'f', 1024 + over);
		add_text(&b, "\"");
		mail_end(&b, 1 + 3, over); /* and three digests of the file */
		b = mail("Content-Type: multipart/mixed; boundary=");
		add_run(&b, 'b', 200 + over);
		mail_end(&b, 0, over);
		b = mail("Content-Disposition: attachment");
		for (size_t i = 0; i < 64 + over; i++) {
			char section[32];
			snprintf(section, sizeof(section), ";\r\n filename*%zu=x", i);
			add_text(&b, section);
		}
		mail_end(&b, 1 + 3, over);
	}
}

static void mails_within_mails(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = mail("");
		for (size_t i = 0; i < 4 + over; i++)
			add_text(&b, "Subject: s\r\nContent-Type: message/rfc822\r\n\r\n");
		add_text(&b, "Subject: last");
		mail_end(&b, 5, over);
	}
}

/* ---- HTTP ---- */

#define ASK   "GET / HTTP/1.1\r\nHost: a\r\n"
#define NAMES 2 /* host and URL */

static void http_names(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = {0};
		add_text(&b, "GET / HTTP/1.1\r\nHost: ");
		add_run(&b, 'h', 1024 + over);
		add_text(&b, "\r\n\r\n");
		/* Once for the URL's host, once for the field; the URL itself is matched. */
		expect_stream(&parser_http1, TO_SERVER, &b, NAMES - over, 2 * over);
		add_text(&b, ASK "Host: ");
		add_run(&b, 'h', 1024 + over);
		add_text(&b, "\r\n\r\n");
		expect_stream(&parser_http1, TO_SERVER, &b, NAMES + NAMES - over, over);
		add_text(&b, "GET /");
		add_run(&b, 'p', 8192 - 7 - 1024);
		add_text(&b, " HTTP/1.1\r\nHost: a\r\nHost: ");
		add_run(&b, 'h', 1024 + over);
		add_text(&b, "\r\n\r\n");
		expect_stream(&parser_http1, TO_SERVER, &b, NAMES + 1 - over, 1 + over);
		add_text(&b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Disposition: attachment; filename=");
		add_run(&b, 'f', 1024 + over);
		add_text(&b, "\r\n\r\n");
		expect_stream(&parser_http1, TO_CLIENT, &b, 1, over);
		add_text(&b, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Encoding: gzip, gzip");
		add_text(&b, over ? ", gzip\r\n\r\nx" : "\r\n\r\nx");
		expect_stream(&parser_http1, TO_CLIENT, &b, 0, over);
	}
}

static void http_auth(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = {0};
		add_text(&b, ASK "Authorization: Digest username=\"");
		add_run(&b, 'u', 512 + over);
		add_text(&b, "\"\r\n\r\n");
		expect_stream(&parser_http1, TO_SERVER, &b, NAMES + 1 - over, over);
		add_text(&b, ASK "Authorization: Basic YW5uOngx"); /* ann:x1, then more of the password */
		add_run(&b, 'Y', HTTP_AUTH_MAX - 8 + over);
		add_text(&b, "\r\n\r\n");
		expect_stream(&parser_http1, TO_SERVER, &b, NAMES + 1, over);
	}
}

static void http_bodies(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = {0};
		add_text(&b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: ");
		add_run(&b, 't', 65536 - 7 + over); /* with its name, its end and the empty line */
		add_text(&b, "\r\n\r\n");
		struct observed o;
		observed_begin(&o, &parser_http1);
		feed_stream(&o, TO_CLIENT, b.p, b.n);
		assert_int_equal(o.ledger.v[LEDGER_PARSER_ERROR], over);
		assert_int_equal(o.count, over ? 0 : 3);
		observed_end(&o);
		buf_free(&b);
	}
	for (size_t over = 0; over < 2; over++) {
		struct buf b = {0};
		add_run(&b, 'M', 24 + over);
		add_text(&b, " / HTTP/1.1\r\n");
		assert_int_equal(feed_probe(&parser_http1, TO_SERVER, b.p, b.n), over ? PROBE_NO : PROBE_YES);
		buf_free(&b);
	}
}

/* A header block of HTTP/2 with literal fields x: v…; its values pass what is kept. */
static void http2_values(void **state)
{
	(void)state;
	struct observed o;
	struct buf b = {0}, block = {0};
	buf_add(&block, "\x82\x84\x86\x41\1a", 6);
	for (size_t i = 0; i < 300; i++) {
		buf_add(&block, "\0\1x\x7e", 4);
		add_run(&block, 'v', 126);
	}
	add_text(&b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	for (size_t at = 0; at < block.n; at += 16000) {
		size_t n = block.n - at < 16000 ? block.n - at : 16000;
		buf_u8(&b, 0);
		buf_u16(&b, (uint16_t)n);
		buf_u8(&b, at ? 9 : 1);
		buf_u8(&b, at + n == block.n ? 4 : 0);
		buf_u32(&b, 1);
		buf_add(&b, block.p + at, n);
	}
	observed_begin(&o, &parser_http2);
	feed_stream(&o, TO_SERVER, b.p, b.n);
	assert_string_equal(observed_text(&o), "http.host a\nhttp.url http://a/\n");
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1);
	observed_end(&o);
	buf_free(&b);
	/* A table that passes what SETTINGS may grant breaks the side. */
	add_text(&b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	buf_add(&b, "\0\0\4\1\4\0\0\0\1\x3f\xe2\xff\3", 13); /* "the table is 65537 now" */
	observed_begin(&o, &parser_http2);
	feed_stream(&o, TO_CLIENT, "\0\0\6\4\0\0\0\0\0\0\1\xff\xff\xff\xff", 15);
	feed_stream(&o, TO_SERVER, b.p, b.n);
	assert_int_equal(o.ledger.v[LEDGER_PARSER_ERROR], 1);
	observed_end(&o);
	buf_free(&b);
	buf_free(&block);
}

/* ---- QUIC, DTLS, certificates ---- */

static void quic(void **state)
{
	static const uint8_t id[8] = {0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08};
	struct bytes to = {id, sizeof(id)};
	struct initial_scheme scheme;
	struct initial_keys keys[2];
	struct observed o;
	(void)state;
	assert_true(initial_scheme_of(1, 0, &scheme));
	initial_keys_of(&scheme, to, &keys[0], &keys[1]);
	for (size_t over = 0; over < 2; over++) {
		struct buf b = {0}, frames = {0};
		add_run(&frames, '\1', 64);
		for (size_t i = 0; i < 8 + over; i++)
			put_initial(&b, 1, &keys[0], to, to, (uint8_t)i, &frames);
		expect_datagram(&parser_quic, TO_SERVER, &b, 0, over);
		add_run(&frames, '\1', 256 + over - frames.n);
		put_initial(&b, 1, &keys[0], to, to, 0, &frames);
		expect_datagram(&parser_quic, TO_SERVER, &b, 0, over);
		buf_free(&frames);
	}
	/* A token of any length that a packet holds. */
	struct buf b = {0}, header = {0}, ping = {0};
	add_run(&ping, '\1', 64);
	add_text(&header, "\xc3");
	buf_u32(&header, 1);
	buf_u8(&header, sizeof(id));
	buf_add(&header, id, sizeof(id));
	buf_add(&header, "\0\x5f\x40", 3); /* no source id, 8,000 bytes of token */
	add_run(&header, 't', 8000);
	buf_u16(&header, 0x4000 | (64 + 4 + 16));
	buf_u32(&header, 0);
	seal(&b, &keys[0], &header, &ping);
	assert_int_equal(feed_probe(&parser_quic, TO_SERVER, b.p, b.n), PROBE_YES);
	b.n = 0;
	buf_free(&header);
	buf_free(&ping);
	add_text(&b, "\xc3");
	buf_u32(&b, 1);
	buf_add(&b, "\0\0\0\x80\0\x40\0", 7); /* no ids, no token, 16,384 bytes */
	add_run(&b, 'x', 16384);
	observed_begin(&o, &parser_quic);
	feed_datagram(&o, TO_SERVER, b.p, b.n);
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1);
	observed_end(&o);
	assert_int_equal(feed_probe(&parser_quic, TO_SERVER, b.p, b.n), PROBE_NO);
	buf_free(&b);
}

/* The first bytes of three hellos: two are put together at a time. */
static void dtls(void **state)
{
	struct buf b = {0};
	(void)state;
	for (uint8_t number = 0; number < 3; number++) {
		buf_add(&b, "\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x10", 13);
		buf_add(&b, "\1\0\0\x64\0", 5);
		buf_u8(&b, number);
		buf_add(&b, "\0\0\0\0\0\4abcd", 10);
	}
	expect_datagram(&parser_dtls, TO_SERVER, &b, 0, 1);
}

static struct buf certificate(const char *oid, size_t name_n, size_t serial_n)
{
	X509 *x = X509_new();
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	struct buf text = {0}, der = {0};
	add_run(&text, 'n', name_n);
	ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
	X509_NAME *name = X509_get_subject_name(x);
	X509_NAME_add_entry_by_OBJ(name, o, V_ASN1_UTF8STRING, text.p, (int)text.n, -1, 0);
	add_run(&text, 'n', serial_n);
	ASN1_STRING_set(X509_get_serialNumber(x), text.p, (int)serial_n);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 60);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, NULL) > 0);
	unsigned char *p = NULL;
	int n = i2d_X509(x, &p);
	buf_add(&der, p, (size_t)n);
	OPENSSL_free(p);
	ASN1_OBJECT_free(o);
	EVP_PKEY_free(key);
	X509_free(x);
	buf_free(&text);
	return der;
}

static void expect_certificate(struct buf der, const char *has_not, bool over)
{
	struct observed o;
	struct x509_facts facts = {0};
	observed_begin(&o, &parser_tls);
	o.in.want = where_types(WHERE_TLS_CERT_SUBJECT) | where_types(WHERE_TLS_CERT_SERIAL);
	o.in.parser = &(const struct parser){.name = "none"};
	struct mem *mem = o.in.mem;
	mem_free(mem, o.in.state, parser_tls.state_size);
	o.in.state = NULL;
	x509_report(&o.in, (struct bytes){der.p, der.n}, &facts);
	assert_int_equal(strstr(observed_text(&o), has_not) == NULL, over);
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], over);
	observed_end(&o);
	buf_free(&der);
}

static void certificates(void **state)
{
	(void)state;
	/* "CN=" and the name; "NUMBER=" with a number of 127 digits and dots, or more. */
	char oid[256] = "2.5.";
	expect_certificate(certificate("2.5.4.3", 1024 - 3, 8), "tls.cert.subject", false);
	expect_certificate(certificate("2.5.4.3", 1024 - 2, 8), "tls.cert.subject", true);
	expect_certificate(certificate("2.5.4.3", 1, 64), "tls.cert.serial", false);
	expect_certificate(certificate("2.5.4.3", 1, 65), "tls.cert.serial", true);
	expect_certificate(certificate("2.5.4.3", 1, 200), "tls.cert.serial", true);
	for (size_t n = 4; n < 126; n += 2)
		memcpy(oid + n, "7.", 2);
	strcpy(oid + 126, "7");
	expect_certificate(certificate(oid, 1, 8), "tls.cert.subject", false);
	strcpy(oid + 126, "77");
	expect_certificate(certificate(oid, 1, 8), "tls.cert.subject", true);
}

/* ---- SMB and what it carries ---- */

static void smb2(struct buf *b, uint16_t command, uint64_t id, const struct buf *body)
{
	static const uint8_t zero[64];
	buf_u32(b, (uint32_t)(64 + body->n));
	size_t at = b->n;
	buf_add(b, "\xfeSMB\x40\0\0\0\0\0\0\0", 12);
	buf_u8(b, (uint8_t)command);
	buf_add(b, zero, 11);
	for (int i = 0; i < 8; i++)
		buf_u8(b, (uint8_t)(id >> 8 * i));
	buf_add(b, zero, 64 - (b->n - at));
	buf_add(b, body->p, body->n);
}

/* Reads that nobody answers: the table of what is awaited is bounded. */
static void smb_requests(void **state)
{
	(void)state;
	struct buf b = {0}, body = {0};
	add_run(&body, '\0', 49);
	for (uint64_t id = 0; id < 128 + 5; id++)
		smb2(&b, 8, id, &body);
	/* A slot is chosen by the id: 127 … 132 meet others. */
	expect_stream(&parser_smb, TO_SERVER, &b, 0, 6);
	buf_free(&body);
}

/* The token of a login that is longer than what is held of a message. */
static void smb_heads(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = {0}, body = {0};
		add_run(&body, 'x', 16384 - 64 + over);
		smb2(&b, 1, 1, &body);
		expect_stream(&parser_smb, TO_SERVER, &b, 0, over);
		buf_free(&body);
	}
}

static void smb1(struct buf *b, uint8_t command, uint8_t words, const struct buf *body)
{
	static const uint8_t zero[32];
	buf_u32(b, (uint32_t)(33u + 2u * words + 2u + body->n));
	size_t at = b->n;
	buf_add(b, "\xffSMB", 4);
	buf_u8(b, command);
	buf_add(b, zero, 32 - (b->n - at));
	buf_u8(b, words);
	for (unsigned i = 0; i < words; i++)
		buf_u16(b, 0);
	buf_u16(b, 0);
	buf_add(b, body->p, body->n);
}

static void smb_users(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = {0}, body = {0};
		add_run(&body, 'u', 512 + over);
		buf_u8(&body, 0);
		smb1(&b, 0x73, 13, &body);
		expect_stream(&parser_smb, TO_SERVER, &b, 1 - over, over);
		buf_free(&body);
	}
}

/* Tag, a length of two bytes, and what is within. */
static void wrap(struct buf *b, uint8_t tag)
{
	struct buf inner = *b;
	*b = (struct buf){0};
	buf_u8(b, tag);
	buf_u8(b, 0x82);
	buf_u16(b, (uint16_t)inner.n);
	buf_add(b, inner.p, inner.n);
	buf_free(&inner);
}

static void krb5(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = {0}, all = {0};
		add_run(&b, 'u', 512 + over);
		static const uint8_t name[] = {0x1b, 0x30, 0xa1, 0x30, 0xa4};
		for (size_t i = 0; i < sizeof(name); i++)
			wrap(&b, name[i]);
		buf_add(&all, "\xa0\3\2\1\5", 5);
		buf_add(&all, b.p, b.n);
		wrap(&all, 0x30);
		wrap(&all, 0x6b);
		expect_datagram(&parser_krb5_udp, TO_CLIENT, &all, 1 - over, over);
		buf_free(&b);
	}
}

static struct buf ldap_bind(size_t name_n, size_t password_n)
{
	struct buf b = {0}, all = {0};
	add_run(&b, 'u', name_n);
	wrap(&b, 4);
	buf_add(&all, "\2\1\3", 3);
	buf_add(&all, b.p, b.n);
	b.n = 0;
	add_run(&b, 'p', password_n);
	wrap(&b, 0x80);
	buf_add(&all, b.p, b.n);
	wrap(&all, 0x60);
	b.n = 0;
	buf_add(&b, "\2\1\1", 3);
	buf_add(&b, all.p, all.n);
	wrap(&b, 0x30);
	buf_free(&all);
	return b;
}

static void ldap(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = ldap_bind(1024 + over, 8);
		expect_stream(&parser_ldap, TO_SERVER, &b, 1 - over, over);
		b = ldap_bind(3, 65000);
		if (over) { /* its header says 65,532 bytes and its length is 65,537 */
			struct buf longer = {0};
			buf_add(&longer, "\x30\x83\0\xff\xfc", 5);
			buf_add(&longer, b.p + 4, b.n - 4);
			add_run(&longer, 'x', 65537 - longer.n);
			buf_free(&b);
			b = longer;
		}
		expect_stream(&parser_ldap, TO_SERVER, &b, 1 - over, over);
	}
}

static void tftp(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = {0};
		buf_u16(&b, 1);
		add_run(&b, 'f', 512 + over);
		buf_add(&b, "\0octet", 7);
		expect_datagram(&parser_tftp, TO_SERVER, &b, 1 - over, over);
	}
}

static void ntlm(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = {0}, body = {0};
		for (size_t i = 0; i < 4 + over; i++)
			buf_add(&body, "NTLMSSP\0\1\0\0\0", 12);
		smb2(&b, 1, 1, &body);
		expect_stream(&parser_smb, TO_SERVER, &b, 0, over);
		buf_free(&body);
		buf_add(&body, "NTLMSSP\0\3\0\0\0", 12);
		add_run(&body, '\0', 24);
		uint8_t user[8] = {(uint8_t)over, 2, 0, 2, 64}; /* 512 bytes or one more, from 64 on */
		buf_add(&body, user, sizeof(user));
		add_run(&body, '\0', 20);
		add_run(&body, 'u', 512 + over);
		smb2(&b, 1, 1, &body);
		expect_stream(&parser_smb, TO_SERVER, &b, 1 - over, over);
		buf_free(&body);
	}
}

static void ftp_names(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = {0};
		add_text(&b, "RETR ");
		add_run(&b, 'f', 255 + over);
		add_text(&b, "\r\n");
		expect_stream(&parser_ftp, TO_SERVER, &b, 1, over);
	}
}

/* ---- beside the parsers ---- */

static void announced_connections(void **state)
{
	(void)state;
	static const struct parser p = {.name = "p"};
	struct expect *x = expect_new();
	struct addr a = addr_v4("\xc0\x00\x02\x01");
	for (uint16_t i = 0; i < EXPECT_MAX; i++)
		assert_true(expect_add(x, &a, (uint16_t)(i + 1), 1000000, &p, NULL, 0));
	assert_false(expect_add(x, &a, 5000, 1000000, &p, NULL, 0));
	/* What nobody waits for any more makes room without a word. */
	assert_true(expect_add(x, &a, 5001, 1000000 + (EXPECT_SECONDS + 1) * 1000000LL, &p, NULL, 0));
	expect_free(x);
}

static void objects_of_a_flow(void **state)
{
	(void)state;
	struct pending_entry e = {0};
	bool evicted;
	for (uint32_t i = 1; i <= PENDING_OBJECTS; i++) {
		pending_object(&e, i, &evicted);
		assert_false(evicted);
	}
	pending_object(&e, 1, &evicted);
	assert_false(evicted);
	pending_object(&e, PENDING_OBJECTS + 1, &evicted);
	assert_true(evicted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(dhcp),
	    cmocka_unit_test(snmp),
	    cmocka_unit_test(rdp),
	    cmocka_unit_test(mqtt),
	    cmocka_unit_test(nfs),
	    cmocka_unit_test(ssdp),
	    cmocka_unit_test(smtp),
	    cmocka_unit_test(mailbox),
	    cmocka_unit_test(mail_fields),
	    cmocka_unit_test(mails_within_mails),
	    cmocka_unit_test(http_names),
	    cmocka_unit_test(http_auth),
	    cmocka_unit_test(http_bodies),
	    cmocka_unit_test(http2_values),
	    cmocka_unit_test(quic),
	    cmocka_unit_test(dtls),
	    cmocka_unit_test(certificates),
	    cmocka_unit_test(smb_requests),
	    cmocka_unit_test(smb_heads),
	    cmocka_unit_test(smb_users),
	    cmocka_unit_test(krb5),
	    cmocka_unit_test(ldap),
	    cmocka_unit_test(tftp),
	    cmocka_unit_test(ntlm),
	    cmocka_unit_test(ftp_names),
	    cmocka_unit_test(announced_connections),
	    cmocka_unit_test(objects_of_a_flow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
