/* HTTP/1: tables of conversations and what must be seen in them; each is fed
 * whole, byte by byte, and cut in two at every place. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

#include "common/text.h"
#include "sensor/http_head.h"
#include "sensor/parsers.h"
#include "tests/unit/observed.h"

#define TURNS 8

/* '>' the client says, '<' the server says; one string per turn. */
struct turn {
	char who;
	const char *p;
	size_t n; /* 0: strlen */
};

struct talk {
	const char *label;
	struct turn turn[TURNS];
	const char *seen; /* as observed.h writes it */
	enum verdict verdict;
	size_t rest; /* bytes that INSPECT_AGAIN leaves */
};

#define HELLO_SHA1 "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d" /* "hello" */
#define CRLF       "\r\n"

static const struct talk talks[] = {
    {"plain",
     {{'>', "GET /a?b=C HTTP/1.1\r\nhOsT: www.Example\r\nUser-Agent:  x y \r\n\r\n", 0},
      {'<', "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0}},
     "http.host www.Example\nhttp.url http://www.Example/a?b=C\nhttp.user_agent x y\nfile.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE,
     0},
    {"line feeds alone",
     {{'>', "GET / HTTP/1.0\nHost: a\n\n", 0}, {'<', "HTTP/1.0 200 OK\n\nhello", 0}},
     "http.host a\nhttp.url http://a/\nfile.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE,
     0},
    {"port in Host",
     {{'>', "GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n", 0}},
     "http.host a.example\nhttp.url http://a.example:8080/\n",
     INSPECT_MORE,
     0},
    {"address in Host",
     {{'>', "GET / HTTP/1.1\r\nHost: 192.0.2.1:81\r\n\r\n", 0}},
     "http.url http://192.0.2.1:81/\n",
     INSPECT_MORE,
     0},
    {"IPv6 in Host",
     {{'>', "GET /x HTTP/1.1\r\nHost: [2001:db8::1]:81\r\n\r\n", 0}},
     "http.url http://[2001:db8::1]:81/x\n",
     INSPECT_MORE,
     0},
    {"no Host", {{'>', "GET /x HTTP/1.0\r\n\r\n", 0}}, "http.url http://198.51.100.1:8080/x\n", INSPECT_MORE, 0},
    {"who logs in",
     {{'>',
       "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\n\r\n"
       "GET / HTTP/1.1\r\nHost: a\r\nAuthorization:  digest  realm=\"x, y\", username=\"b b\", uri=\"/\"\r\n\r\n"
       "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer YW5uOnNlY3JldA==\r\nProxy-Authorization: NTLM "
       "TlRMTVNTUAADAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAwADAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAGFubg==\r\n\r\n"
       "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Negotiate "
       "TlRMTVNTUAADAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAwADAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAGFubg==\r\n\r\n"
       "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic bm9jb2xvbg==\r\n\r\n"
       "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic\r\n\r\n",
       0}},
     "http.host a\nhttp.url http://a/\nhttp.user ann\nhttp.host a\nhttp.url http://a/\nhttp.user b b\n"
     "http.host a\nhttp.url http://a/\nntlm.user ann\nhttp.host a\nhttp.url http://a/\nntlm.user ann\n"
     "http.host a\nhttp.url http://a/\nhttp.host a\nhttp.url http://a/\n",
     INSPECT_MORE,
     0},
    {"two hosts: both",
     {{'>', "GET /x HTTP/1.1\r\nHost: a.example\r\nHost: b.example:81\r\nHost: A.example\r\n\r\n", 0}},
     "http.host a.example\nhttp.host b.example\nhttp.url http://b.example:81/x\nhttp.url http://a.example/x\n",
     INSPECT_MORE,
     0},
    {"absolute form",
     {{'>', "GET http://u:p@b.example:81/x HTTP/1.1\r\nHost: c.example\r\n\r\n", 0}},
     "http.host b.example\nhttp.host c.example\nhttp.url http://u:p@b.example:81/x\n",
     INSPECT_MORE,
     0},
    {"asterisk form",
     {{'>', "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0}},
     "http.host a\nhttp.url http://a*\n",
     INSPECT_MORE,
     0},
    {"empty target",
     {{'>', "GET  HTTP/1.1\r\nHost: a\r\n\r\n", 0}},
     "http.host a\nhttp.url http://a\n",
     INSPECT_MORE,
     0},
    {"spaces in the target",
     {{'>', "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 0}},
     "http.host a\nhttp.url http://a/a\n",
     INSPECT_MORE,
     0},
    {"no version",
     {{'>', "GET /a HTTP\r\nHost: a\r\n\r\nPOST /b?c\r\nHost: a\r\n\r\n", 0}},
     "http.host a\nhttp.url http://a/a\nhttp.host a\nhttp.url http://a/b?c\n",
     INSPECT_MORE,
     0},
    {"answer without a head",
     {{'>', "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", 0}, {'<', "hello", 0}},
     "http.host a\nhttp.url http://a/a\nfile.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE,
     0},
    {"folded field",
     {{'>', "GET / HTTP/1.1\r\nUser-Agent: a\r\n b\r\nHost: a\r\n\r\n", 0}},
     "http.host a\nhttp.url http://a/\nhttp.user_agent a   b\n",
     INSPECT_MORE,
     0},
    {"pipelined, HEAD and 204 without body",
     {{'>', "HEAD /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
       0},
      {'<',
       "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
       "5\r\n\r\nhello",
       0}},
     "http.host a\nhttp.url http://a/1\nhttp.host a\nhttp.url http://a/2\nhttp.host a\nhttp.url "
     "http://a/3\nfile.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE,
     0},
    {"100 Continue",
     {{'>', "PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", 0},
      {'<', "HTTP/1.1 100 Continue\r\n\r\n", 0},
      {'>', "hello", 0},
      {'<', "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0}},
     "http.host a\nhttp.url http://a/1\nfile.sha1 " HELLO_SHA1 "\nfile.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE,
     0},
    {"chunked, extensions, trailer, next message",
     {{'<',
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n "
       "2;x=y\r\nhe\r\n0003\r\nllo\r\n0\r\nA: b\r\n\r\n"
       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
       0}},
     "file.sha1 " HELLO_SHA1 "\nfile.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE,
     0},
    {"form upload",
     {{'>',
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 115\r\n\r\n"
       "--x\r\nContent-Disposition: form-data; name=n\r\n\r\nv\r\n"
       "--x\r\nContent-Disposition: form-data; filename=f\r\n\r\nhello\r\n--x--\r\n",
       0}},
     "http.host a\nhttp.url http://a/\nhttp.filename f\nfile.sha1 " HELLO_SHA1
     "\nfile.sha1 32e2167e97bbd65dc5f644aa754ef3a0db6945ec\n",
     INSPECT_MORE,
     0},
    {"chunked upload",
     {{'>', "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n", 0}},
     "http.host a\nhttp.url http://a/\nfile.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE,
     0},
    {"whole range",
     {{'<', "HTTP/1.1 206 P\r\nContent-Range: bytes 0-4/5\r\nContent-Length: 5\r\n\r\nhello", 0}},
     "file.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE,
     0},
    {"part of a range",
     {{'<', "HTTP/1.1 206 P\r\nContent-Range: bytes 0-4/6\r\nContent-Length: 5\r\n\r\nhello", 0}},
     "",
     INSPECT_MORE,
     0},
    {"ranges in order, one twice in part",
     {{'>',
       "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
       "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
       "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
       0},
      {'<',
       "HTTP/1.1 206 P\r\nContent-Range: bytes 0-1/5\r\nContent-Length: 2\r\n\r\nhe"
       "HTTP/1.1 206 P\r\nContent-Range: bytes 1-3/5\r\nContent-Length: 3\r\n\r\nell"
       "HTTP/1.1 206 P\r\nContent-Range: bytes 4-4/5\r\nContent-Length: 1\r\n\r\no",
       0}},
     "http.host a\nhttp.url http://a/a\nhttp.host a\nhttp.url http://a/a\nhttp.host a\nhttp.url http://a/a\n"
     "file.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE,
     0},
    {"ranges of two URLs",
     {{'>',
       "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
       "GET /b HTTP/1.1\r\nHost: a\r\n\r\n",
       0},
      {'<',
       "HTTP/1.1 206 P\r\nContent-Range: bytes 0-1/5\r\nContent-Length: 2\r\n\r\nhe"
       "HTTP/1.1 206 P\r\nContent-Range: bytes 2-4/5\r\nContent-Length: 3\r\n\r\nllo",
       0}},
     "http.host a\nhttp.url http://a/a\n"
     "http.host a\nhttp.url http://a/b\n",
     INSPECT_MORE,
     0},
    {"a hole between ranges, filled later",
     {{'<',
       "HTTP/1.1 206 P\r\nContent-Range: bytes 0-1/5\r\nContent-Length: 2\r\n\r\nhe"
       "HTTP/1.1 206 P\r\nContent-Range: bytes 4-4/5\r\nContent-Length: 1\r\n\r\no"
       "HTTP/1.1 206 P\r\nContent-Range: bytes 2-4/5\r\nContent-Length: 3\r\n\r\nllo",
       0}},
     "file.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE,
     0},
    {"a range with another length, an unknown end, a file of another size",
     {{'<',
       "HTTP/1.1 206 P\r\nContent-Range: bytes 0-1/5\r\nContent-Length: 1\r\n\r\nh"
       "HTTP/1.1 206 P\r\nContent-Range: bytes 0-1/*\r\nContent-Length: 2\r\n\r\nhe"
       "HTTP/1.1 206 P\r\nContent-Range: bytes 0-1/5\r\nContent-Length: 2\r\n\r\nhe"
       "HTTP/1.1 206 P\r\nContent-Range: bytes 2-4/6\r\nContent-Length: 3\r\n\r\nllo",
       0}},
     "",
     INSPECT_MORE,
     0},
    {"upload in ranges",
     {{'>',
       "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Range: bytes 0-1/5\r\nContent-Length: 2\r\n\r\nhe"
       "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Range: bytes 2-4/5\r\nContent-Length: 3\r\n\r\nllo",
       0}},
     "http.host a\nhttp.url http://a/a\n"
     "http.host a\nhttp.url http://a/a\n"
     "file.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE,
     0},
    {"Content-Range in 200 says nothing",
     {{'<', "HTTP/1.1 200 OK\r\nContent-Range: bytes 0-4/6\r\nContent-Length: 5\r\n\r\nhello", 0}},
     "file.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE,
     0},
    {"HTTP/0.9",
     {{'>', "GET /a\r\n", 0}, {'<', "hello", 0}},
     "http.url http://198.51.100.1:8080/a\nfile.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE,
     0},
    {"cut body", {{'<', "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", 0}}, "", INSPECT_MORE, 0},
    {"file name",
     {{'<',
       "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=\"C:\\d\\a b.exe\"\r\nContent-Length: 0\r\n\r\n",
       0}},
     "http.filename a b.exe\n",
     INSPECT_MORE,
     0},
    {"extended file name",
     {{'<', "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=x; filename*=utf-8''%e2%82%ac.exe\r\n\r\n",
       0}},
     "http.filename \\xe2\\x82\\xac.exe\n",
     INSPECT_MORE,
     0},
    {"rubbish, then a message at a line",
     {{'<',
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
       0}},
     "file.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE,
     0},
    {"head without its end",
     {{'>', "GET /x HTTP/1.1\r\nHost: a\r\nUser-Ag", 0}},
     "http.host a\nhttp.url http://a/x\n",
     INSPECT_MORE,
     0},
    {"request side unseen, sides swapped",
     {{'<', "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0}, {'>', "HTTP/1.1 200 OK\r\n\r\nhello", 0}},
     "http.host a\nhttp.url http://a/\nfile.sha1 " HELLO_SHA1 "\n",
     INSPECT_MORE,
     0},
    {"CONNECT",
     {{'>', "CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n", 0},
      {'<', "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\n\x16\x03", 0}},
     "http.host b.example\n",
     INSPECT_AGAIN,
     2},
    {"CONNECT, answer unseen",
     {{'>', "CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n\x16\x03\x01", 0}},
     "http.host b.example\n",
     INSPECT_AGAIN,
     3},
    {"h2c upgrade",
     {{'>', "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n", 0},
      {'<', "HTTP/1.1 101 S\r\nUpgrade: h2c\r\n\r\n\1\2", 0}},
     "http.host a\nhttp.url http://a/\n",
     INSPECT_AGAIN,
     2},
    {"web socket",
     {{'>', "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0}, {'<', "HTTP/1.1 101 S\r\nUpgrade: WebSocket\r\n\r\n\1\2", 0}},
     "http.host a\nhttp.url http://a/\n",
     INSPECT_DONE,
     0},
};

#define WANT (~(INDICATOR_BIT(INDICATOR_FILE_MD5) | INDICATOR_BIT(INDICATOR_FILE_SHA256)))

static void start(struct observed *o)
{
	observed_begin(o, &parser_http1);
	o->in.want = WANT;
	o->in.dest_port = 8080;
}

static void feed(struct observed *o, enum side side, const char *text)
{
	feed_stream(o, side, text, strlen(text));
}

static size_t turn_n(const struct turn *t)
{
	return t->n ? t->n : strlen(t->p);
}

static size_t messages_of(const struct talk *t, struct message *m)
{
	size_t n = 0;
	for (; n < TURNS && t->turn[n].p; n++)
		m[n] = (struct message){t->turn[n].who == '>' ? TO_SERVER : TO_CLIENT, t->turn[n].p,
					turn_n(&t->turn[n])};
	return n;
}

/* Of a flow whose first packet seen was the server's. */
static void expect_turned(const struct talk *t)
{
	struct message m[TURNS];
	size_t n = messages_of(t, m);
	struct observed o;
	start(&o);
	for (size_t i = 0; i < n; i++)
		m[i].side = m[i].side == TO_SERVER ? TO_CLIENT : TO_SERVER;
	feed_pieces(&o, m, n, 0, SIZE_MAX, false);
	if (strcmp(observed_text(&o), t->seen) != 0)
		fail_msg("%s, turned:\n%s-- instead of\n%s--", t->label, observed_text(&o), t->seen);
	observed_end(&o);
}

static void expect(const struct talk *t, size_t which, size_t first, bool all_bytes)
{
	struct message m[TURNS];
	size_t n = messages_of(t, m);
	struct observed o;
	start(&o);
	feed_pieces(&o, m, n, which, first, all_bytes);
	if (strcmp(observed_text(&o), t->seen) != 0 || o.verdict != t->verdict)
		fail_msg("%s (message %zu cut at %zu%s): verdict %d\n%s-- instead of %d\n%s--", t->label, which, first,
			 all_bytes ? ", every byte" : "", (int)o.verdict, observed_text(&o), (int)t->verdict, t->seen);
	if (t->verdict == INSPECT_AGAIN && !all_bytes && first == SIZE_MAX)
		assert_int_equal(m[n - 1].n - o.used, t->rest);
	observed_end(&o);
}

static void test_talks(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
		expect(&talks[i], 0, SIZE_MAX, false);
		if (!strstr(talks[i].seen, "198.51.100.1")) /* the server's, where no Host is said */
			expect_turned(&talks[i]);
	}
}

static void test_talks_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
		if (strstr(talks[i].label, "rubbish"))
			continue; /* where a segment begins decides */
		struct message m[TURNS];
		size_t n = messages_of(&talks[i], m);
		expect(&talks[i], 0, 0, true);
		for (size_t k = 0; k < n; k++)
			for (size_t cut = 1; cut < m[k].n; cut++)
				expect(&talks[i], k, cut, false);
	}
}

static void test_prefixes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
		struct message m[TURNS];
		size_t n = messages_of(&talks[i], m);
		feed_every_prefix(&parser_http1, m, n);
	}
}

static const struct {
	const char *label, *bytes;
	enum probe answer;
} starts[] = {
    {"request", "GET / HTTP/1.1\r\n", PROBE_YES},
    {"own method", "M-SEARCH * HTTP/1.1\r\n", PROBE_YES},
    {"open line", "GET /", PROBE_MORE},
    {"method alone", "GE", PROBE_MORE},
    {"response", "HTTP/1.1 200 OK", PROBE_YES},
    {"half a response", "HTTP/1.1 ", PROBE_MORE},
    {"blank lines first", "\r\n\r\nGET / HTTP/1.0\n", PROBE_YES},
    {"RTSP", "OPTIONS rtsp://a RTSP/1.0\r\n", PROBE_NO},
    {"SIP", "INVITE sip:a@b SIP/2.0\r\n", PROBE_NO},
    {"HTTP/0.9", "GET /a\r\n", PROBE_YES},
    {"memcache", "get a\r\n", PROBE_NO},
    {"HTTP/2", "PRI * HTTP/2.0\r\n\r\n", PROBE_NO},
    {"FTP", "USER anonymous\r\n", PROBE_NO},
    {"TLS", "\x16\x03\x01", PROBE_NO},
};

static void test_probe(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (http_start((const uint8_t *)starts[i].bytes, strlen(starts[i].bytes)) != starts[i].answer)
			fail_msg("%s", starts[i].label);
}

static size_t squeeze(uint8_t *out, size_t cap, const void *p, size_t n, int window)
{
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)p;
	z.avail_in = (uInt)n;
	z.next_out = out;
	z.avail_out = (uInt)cap;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	size_t made = cap - z.avail_out;
	deflateEnd(&z);
	return made;
}

static const struct {
	const char *label, *field;
	int window[2];
} squeezed[] = {
    {"gzip", "gzip", {31, 0}},
    {"x-gzip", "X-GZIP", {31, 0}},
    {"zlib as deflate", "deflate", {15, 0}},
    {"raw deflate", "deflate", {-15, 0}},
    {"twice", "gzip, deflate", {31, 15}},
    {"not compressed", "gzip", {0, 0}},
};

static void test_compressed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(squeezed) / sizeof(squeezed[0]); i++) {
		uint8_t body[512], next[512];
		size_t n = 5;
		memcpy(body, "hello", 5);
		for (int k = 0; k < 2 && squeezed[i].window[k]; k++) {
			n = squeeze(next, sizeof(next), body, n, squeezed[i].window[k]);
			memcpy(body, next, n);
		}
		char head[256];
		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %zu\r\n\r\n",
			 squeezed[i].field, n);
		const struct talk t = {squeezed[i].label,
				       {{'<', head, 0}, {'<', (char *)body, n}},
				       "file.sha1 " HELLO_SHA1 "\n",
				       INSPECT_MORE,
				       0};
		expect(&t, 0, SIZE_MAX, false);
		expect(&t, 0, 0, true);
	}
}

static void test_bomb(void **state)
{
	(void)state;
	size_t n = 40u << 20;
	uint8_t *zeros = calloc(1, n), *body = malloc(n);
	size_t made = squeeze(body, n, zeros, n, 31);
	struct observed o;
	start(&o);
	char head[128];
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", made);
	feed(&o, TO_CLIENT, head);
	feed_stream(&o, TO_CLIENT, body, made);
	feed(&o, TO_CLIENT, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	assert_int_equal(o.ledger.v[LEDGER_BOMB], 1);
	assert_int_equal(o.ledger.v[LEDGER_FILES_CUT], 1);
	feed_close(&o);
	assert_string_equal(observed_text(&o), "file.sha1 " HELLO_SHA1 "\n");
	free(zeros);
	free(body);
	observed_end(&o);
}

/* Padding beyond the head's limit hides neither this request nor the next. */
static void test_long_head(void **state)
{
	(void)state;
	for (size_t step = 1000; step <= 100000; step *= 10) {
		struct observed o;
		start(&o);
		size_t n = 100000;
		char *p = malloc(n);
		memset(p, 'x', n);
		memcpy(p, "GET /1 HTTP/1.1\r\nHost: a\r\nX: ", 29);
		static const char rest[] = "\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
		memcpy(p + n - strlen(rest), rest, strlen(rest));
		for (size_t at = 0; at < n; at += step)
			feed_stream(&o, TO_SERVER, p + at, n - at < step ? n - at : step);
		assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1);
		feed_close(&o);
		assert_string_equal(observed_text(&o),
				    "http.host a\nhttp.url http://a/1\nhttp.host a\nhttp.url http://a/2\n");
		observed_end(&o);
		free(p);
	}
}

static void test_limits(void **state)
{
	(void)state;
	struct observed o;
	start(&o);
	char *p = malloc(20000);
	size_t n = (size_t)sprintf(p, "GET /");
	memset(p + n, 'u', 9000);
	n += 9000;
	n += (size_t)sprintf(p + n, " HTTP/1.1\r\nHost: a\r\n\r\n");
	feed_stream(&o, TO_SERVER, p, n);
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1);
	for (int i = 0; i < 100; i++) /* answers never come: the queue stays bounded */
		feed(&o, TO_SERVER, "GET / HTTP/1.1\r\n\r\n");
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1 + 101 - 32);
	n = (size_t)sprintf(p, "GET / HTTP/1.1\r\n");
	for (int i = 0; i < 300; i++)
		n += (size_t)sprintf(p + n, "A: b\r\n");
	n += (size_t)sprintf(p + n, "\r\n");
	uint64_t before = o.ledger.v[LEDGER_PARSER_LIMIT];
	feed_stream(&o, TO_SERVER, p, n);
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], before + 2);
	feed_close(&o);
	free(p);
	observed_end(&o);
}

static void test_chunk_line_limit(void **state)
{
	(void)state;
	struct observed o;
	start(&o);
	feed(&o, TO_CLIENT, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;");
	for (int i = 0; i < 5000; i++)
		feed(&o, TO_CLIENT, "x");
	assert_int_equal(o.ledger.v[LEDGER_PARSER_ERROR], 1);
	feed_close(&o);
	assert_string_equal(observed_text(&o), "");
	observed_end(&o);
}

/* RFC 8484: in a body of its type, in the dns= parameter of a URL, and nowhere else. */
static void test_dns_over_http(void **state)
{
#define DNS_QUERY  "\0\0\1\0\0\1\0\0\0\0\0\0\3www\7example\3com\0\0\1\0\1"
#define DNS_ANSWER "\0\0\x81\x80\0\1\0\1\0\0\0\0\1a\7example\0\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
	static const struct message talk[] = {
	    {TO_SERVER, BYTES("POST /dns-query HTTP/1.1\r\nContent-Type: application/dns-message\r\n"
			      "Content-Length: 33\r\n\r\n" DNS_QUERY)},
	    {TO_CLIENT, BYTES("HTTP/1.1 200 OK\r\ncontent-type: APPLICATION/dns-message\r\n"
			      "Transfer-Encoding: chunked\r\n\r\n2b\r\n" DNS_ANSWER "\r\n0\r\n\r\n")},
	    {TO_SERVER, BYTES("GET /dns-query?x=1&dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB HTTP/1.1\r\n\r\n"
			      "GET /?dns=yes HTTP/1.1\r\n\r\n")},
	    {TO_SERVER, BYTES("POST /other HTTP/1.1\r\nContent-Type: application/octet-stream\r\n"
			      "Content-Length: 33\r\n\r\n" DNS_QUERY)}};
	(void)state;
	struct observed o;
	static const size_t expected[] = {0, 1, 4, 5, 5};
	for (size_t n = 0; n <= 4; n++) {
		start(&o);
		o.in.want = INDICATOR_BIT(INDICATOR_HOSTNAME) | INDICATOR_BIT(INDICATOR_IP);
		for (size_t i = 0; i < n; i++)
			feed_stream(&o, talk[i].side, talk[i].p, talk[i].n);
		feed_close(&o);
		size_t lines = 0;
		for (const char *at = observed_text(&o); (at = strstr(at, "dns.")); at++)
			lines++;
		if (lines != expected[n])
			fail_msg("%zu messages:\n%s", n, observed_text(&o));
		observed_end(&o);
	}
	feed_every_prefix(&parser_http1, talk, 4);
	start(&o); /* one that is too long */
	feed(&o, TO_CLIENT, "HTTP/1.1 200 OK\r\nContent-Type: application/dns-message\r\n\r\n");
	static char zeros[4096];
	for (int i = 0; i < 20; i++)
		feed_stream(&o, TO_CLIENT, zeros, sizeof(zeros));
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1);
	feed(&o, TO_SERVER, "GET /?dns=");
	for (int i = 0; i < 103; i++)
		feed(&o, TO_SERVER, "AAAAAAAAAA");
	feed(&o, TO_SERVER, " HTTP/1.1\r\n\r\n");
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 2);
	feed_close(&o);
	observed_end(&o);
}

static void test_gaps(void **state)
{
	(void)state;
	struct observed o;
	start(&o);
	feed(&o, TO_CLIENT, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nxx");
	feed_gap(&o, TO_CLIENT, 98);
	feed(&o, TO_CLIENT, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	assert_string_equal(observed_text(&o), "file.sha1 " HELLO_SHA1 "\n");
	feed(&o, TO_CLIENT, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nxx");
	feed_gap(&o, TO_CLIENT, 200);
	feed(&o, TO_CLIENT, "lost\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	assert_string_equal(observed_text(&o), "file.sha1 " HELLO_SHA1 "\nfile.sha1 " HELLO_SHA1 "\n");
	feed(&o, TO_SERVER, "GET /q HTTP/1.1\r\nHost: a\r\nUser");
	feed_gap(&o, TO_SERVER, 20);
	feed(&o, TO_SERVER, "x: y\r\n\r\nGET /r HTTP/1.1\r\nHost: a\r\n\r\n");
	feed_close(&o);
	assert_string_equal(observed_text(&o),
			    "file.sha1 " HELLO_SHA1 "\nfile.sha1 " HELLO_SHA1
			    "\nhttp.host a\nhttp.url http://a/q\nhttp.host a\nhttp.url http://a/r\n");
	observed_end(&o);
}

/* An alert from a response's body tells the request. */
static void test_describe(void **state)
{
	(void)state;
	struct observed o;
	start(&o);
	feed(&o, TO_SERVER, "GET /a HTTP/1.1\r\nHost: b.example\r\nUser-Agent: c\r\n\r\n");
	feed(&o, TO_CLIENT, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	feed_close(&o);
	assert_string_equal(observed_app(&o), "hostname=b.example\nurl=/a\nhttp_user_agent=c\nhttp_method=GET\n"
					      "protocol=HTTP/1.1\nstatus=200\nlength=5\n");
	observed_end(&o);
}

static void test_no_hashing_unless_wanted(void **state)
{
	(void)state;
	struct observed o;
	start(&o);
	o.in.want = INDICATOR_BIT(INDICATOR_URL);
	feed(&o, TO_CLIENT, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	feed_close(&o);
	assert_string_equal(observed_text(&o), "");
	assert_int_equal(o.ledger.v[LEDGER_FILES], 0);
	observed_end(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_talks),
	    cmocka_unit_test(test_talks_split),
	    cmocka_unit_test(test_prefixes),
	    cmocka_unit_test(test_probe),
	    cmocka_unit_test(test_compressed),
	    cmocka_unit_test(test_bomb),
	    cmocka_unit_test(test_long_head),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_chunk_line_limit),
	    cmocka_unit_test(test_dns_over_http),
	    cmocka_unit_test(test_gaps),
	    cmocka_unit_test(test_describe),
	    cmocka_unit_test(test_no_hashing_unless_wanted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
