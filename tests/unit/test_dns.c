/* DNS messages by hand: what is reported, what is refused, and the same under
 * every way of cutting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sensor/parsers.h"
#include "tests/unit/observed.h"

#define HEAD(id, flags, qd, an, ns, ar) id flags "\0" qd "\0" an "\0" ns "\0" ar
#define QUERY                           "\x01\x00"
#define ANSWER                          "\x81\x80"
#define WWW                             "\3www\7example\3com\0"
#define A_IN                            "\0\x01\0\x01"
#define TTL                             "\0\0\0\x3c"

static const char query_a[] = HEAD("\x12\x34", QUERY, "\1", "\0", "\0", "\0") WWW A_IN;

/* www CNAME edge.cdn.net, edge A 192.0.2.7 and AAAA 2001:db8::7, NS ns.cdn.net; offsets:
 * question 12, first record 33, its rdata 45, "cdn.net" 50. */
static const char answer_all[] = HEAD("\x12\x34", ANSWER, "\1", "\3", "\1", "\1") WWW A_IN
    "\xc0\x0c\0\x05\0\x01" TTL "\0\x0e\4edge\3cdn\3net\0"
    "\xc0\x2d\0\x01\0\x01" TTL "\0\x04\xc0\0\x02\x07"
    "\xc0\x2d\0\x1c\0\x01" TTL "\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
    "\xc0\x32\0\x02\0\x01" TTL "\0\x05\2ns\xc0\x32"
    "\0\0\x29\x10\0\0\0\0\0\0\0";

static const struct {
	const char *label;
	const struct parser *parser;
	const void *p;
	size_t n;
	enum verdict verdict;
	const char *expect;
} messages[] = {
    {"query", &parser_dns_udp, BYTES(query_a), INSPECT_MORE, "dns.query www.example.com\n"},
    {"every section", &parser_dns_udp, answer_all, sizeof(answer_all) - 1, INSPECT_MORE,
     "dns.query www.example.com\n"
     "dns.answer.name www.example.com\n"
     "dns.answer.data edge.cdn.net\n"
     "dns.answer.name edge.cdn.net\n"
     "dns.answer.addr 192.0.2.7\n"
     "dns.answer.addr 2001:db8::7\n"
     "dns.answer.name cdn.net\n"
     "dns.answer.data ns.cdn.net\n"},
    {"case and odd labels are kept, dots inside a label escaped", &parser_dns_udp,
     BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") "\6wWw.\\X\2a\0\3cOm\0" A_IN), INSPECT_MORE,
     "dns.query wWw\\x5c046\\x5c\\x5cX.a\\x5c000.cOm\n"},
    {"MX, SRV, SOA (rname is a mailbox), NAPTR", &parser_dns_udp,
     BYTES(HEAD("\0\1", ANSWER, "\0", "\4", "\0", "\0") "\1a\0\0\x0f\0\x01" TTL "\0\x06\0\x0a\2mx\0"
							"\1b\0\0\x21\0\x01" TTL "\0\x0b\0\1\0\1\0\x50\3srv\0"
							"\1c\0\0\x06\0\x01" TTL "\0\x1d\1m\0\4root\0"
							"\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1"
							"\1d\0\0\x23\0\x01" TTL "\0\x10\0\1\0\1\1U\3E2U\0\3nap\0"),
     INSPECT_MORE,
     "dns.answer.name a\ndns.answer.data mx\ndns.answer.name b\ndns.answer.data srv\n"
     "dns.answer.name c\ndns.answer.data m\ndns.answer.name d\ndns.answer.data nap\n"},
    {"HTTPS with target and hints", &parser_dns_udp,
     BYTES(HEAD("\0\1", ANSWER, "\1", "\1", "\0", "\0") "\1a\0\0\x41\0\x01"
							"\xc0\x0c\0\x41\0\x01" TTL "\0\x2e\0\1\3svc\0"
							"\0\1\0\3\2h3"
							"\0\4\0\x08\xc0\0\2\1\xc0\0\2\2"
							"\0\6\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"),
     INSPECT_MORE,
     "dns.query a\ndns.answer.name a\ndns.answer.data svc\ndns.answer.addr 192.0.2.1\n"
     "dns.answer.addr 192.0.2.2\ndns.answer.addr 2001:db8::1\n"},
    {"update: records without rdata", &parser_dns_udp,
     BYTES(HEAD("\0\1", "\x28\x00", "\1", "\1", "\1", "\0") "\3lan\0\0\x06\0\x01"
							    "\1h\xc0\x0c\0\xff\0\xfe\0\0\0\0\0\0"
							    "\1h\xc0\x0c\0\x01\0\x01" TTL "\0\4\xc0\0\2\5"),
     INSPECT_MORE, "dns.query lan\ndns.answer.name h.lan\ndns.answer.name h.lan\ndns.answer.addr 192.0.2.5\n"},
    {"update: a record that is to go; a prerequisite", &parser_dns_udp,
     BYTES(HEAD("\0\1", "\x28\x00", "\1", "\1", "\1", "\0") "\3lan\0\0\x06\0\x01"
							    "\1p\xc0\x0c\0\x05\0\x01\0\0\0\0\0\4\1q\xc0\x0c"
							    "\1h\xc0\x0c\0\x01\0\xfe\0\0\0\0\0\4\xc0\0\2\5"),
     INSPECT_MORE,
     "dns.query lan\ndns.answer.name p.lan\ndns.answer.data q.lan\ndns.answer.name h.lan\ndns.answer.addr 192.0.2.5\n"},
    {"a class of no records in an answer", &parser_dns_udp,
     BYTES(HEAD("\0\1", ANSWER, "\1", "\1", "\0", "\0") "\1a\0" A_IN "\xc0\x0c\0\x01\0\xfe" TTL "\0\4\xc0\0\2\5"),
     INSPECT_MORE, "dns.query a\ndns.answer.name a\n"},
    {"notify, with the record it is about", &parser_dns_udp,
     BYTES(HEAD("\0\1", "\x24\x00", "\1", "\1", "\0", "\0") "\3lan\0\0\x06\0\x01"
							    "\xc0\x0c\0\x06\0\x01" TTL "\0\x1a\1m\0\1r\0"
							    "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1"),
     INSPECT_MORE, "dns.query lan\ndns.answer.name lan\ndns.answer.data m\n"},
    {"notify, its answer", &parser_dns_udp,
     BYTES(HEAD("\0\1", "\xa4\x00", "\1", "\0", "\0", "\0") "\3lan\0\0\x06\0\x01"), INSPECT_MORE, "dns.query lan\n"},
    {"what stands before the break counts", &parser_dns_udp,
     BYTES(HEAD("\0\1", ANSWER, "\1", "\2", "\0", "\0") "\1a\0" A_IN "\xc0\x0c\0\x01\0\x01" TTL "\0\4\xc0\0\2\5"
							"\xc0\xff\0\x01"),
     INSPECT_ERROR, "dns.query a\ndns.answer.name a\ndns.answer.addr 192.0.2.5\n"},
    {"a pointer to itself", &parser_dns_udp, BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") "\xc0\x0c" A_IN),
     INSPECT_ERROR, ""},
    {"a pointer forward", &parser_dns_udp, BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") "\xc0\x12" A_IN "\1a\0"),
     INSPECT_ERROR, ""},
    {"an address of the wrong size", &parser_dns_udp,
     BYTES(HEAD("\0\1", ANSWER, "\1", "\1", "\0", "\0") "\1a\0" A_IN "\xc0\x0c\0\x01\0\x01" TTL "\0\3\xc0\0\2"),
     INSPECT_ERROR, "dns.query a\ndns.answer.name a\n"},
    {"mDNS: cache flush, several questions", &parser_mdns,
     BYTES(HEAD("\0\0", "\x84\0", "\2", "\1", "\0", "\0") "\4_ipp\4_tcp\5local\0\0\x0c\x80\x01"
							  "\2pc\xc0\x16\0\x01\0\x01"
							  "\2pc\xc0\x16\0\x01\x80\x01" TTL "\0\4\xc0\0\2\x09"),
     INSPECT_MORE,
     "mdns.query _ipp._tcp.local\nmdns.query pc.local\nmdns.answer.name pc.local\nmdns.answer.addr 192.0.2.9\n"},
    {"LLMNR", &parser_llmnr, BYTES(HEAD("\0\1", "\0\0", "\1", "\0", "\0", "\0") "\4wpad\0" A_IN), INSPECT_MORE,
     "llmnr.query wpad\n"},
    {"LLMNR, the answer", &parser_llmnr,
     BYTES(HEAD("\0\1", "\x80\0", "\1", "\2", "\0", "\0") "\4wpad\0" A_IN "\xc0\x0c" A_IN TTL "\0\4\xc0\0\2\5"
							  "\1p\0\0\x0c\0\1" TTL "\0\2\xc0\x0c"),
     INSPECT_MORE,
     "llmnr.query wpad\nllmnr.answer.name wpad\nllmnr.answer.addr 192.0.2.5\nllmnr.answer.name p\n"
     "llmnr.answer.data wpad\n"},
    {"mDNS: a service and its host", &parser_mdns,
     BYTES(HEAD("\0\0", "\x84\0", "\0", "\2", "\0", "\0") "\1s\0\0\x21\x80\1" TTL "\0\x0a\0\0\0\0\0\x50\2pc\0"
							  "\1t\0\0\x0c\0\1" TTL "\0\2\xc0\x0c"),
     INSPECT_MORE, "mdns.answer.name s\nmdns.answer.data pc\nmdns.answer.name t\nmdns.answer.data s\n"},
    {"header alone", &parser_dns_udp, BYTES(HEAD("\0\1", "\x81\x81", "\0", "\0", "\0", "\0")), INSPECT_MORE, ""},
};

static void reports_names_and_addresses(void **state)
{
	(void)state;
	for (size_t k = 0; k < 2 * sizeof(messages) / sizeof(messages[0]); k++) {
		struct observed o;
		size_t i = k / 2;
		observed_begin(&o, messages[i].parser);
		size_t n = messages[i].n;
		enum verdict v = feed_datagram(&o, k % 2 ? TO_SERVER : TO_CLIENT, messages[i].p, n);
		if (messages[i].expect && strcmp(observed_text(&o), messages[i].expect))
			fail_msg("%s:\n%s-- expected\n%s", messages[i].label, observed_text(&o), messages[i].expect);
		if (messages[i].expect && v != messages[i].verdict)
			fail_msg("%s: verdict %d", messages[i].label, v);
		observed_end(&o);
		feed_every_cut(messages[i].parser, TO_SERVER, messages[i].p, n);
	}
}

/* An operation that is not known, asked and answered, over UDP and TCP: counted; read when the questions parse. */
static void unknown_operations(void **state)
{
	(void)state;
	static const char whole[] = HEAD("\0\1", "\x38\x00", "\1", "\1", "\0", "\0") "\1a\0" A_IN "\1b\0" A_IN TTL
										     "\0\4\xc0\0\2\5";
	static const char odd[] = HEAD("\0\1", "\x98\x00", "\1", "\1", "\0", "\0") "\1a\0" A_IN "what nobody knows";
	static const char second[] = HEAD("\0\1", "\x78\x00", "\2", "\0", "\0", "\0") "\1a\0" A_IN "\xff";
	static const char none[] = HEAD("\0\1", "\x78\x00", "\0", "\1", "\0", "\0") "\1a\0" A_IN TTL "\0\0";
	static const struct {
		const char *label;
		const void *p;
		size_t n;
		const char *expect;
	} cases[] = {
	    {"all of it parses", BYTES(whole), "dns.query a\ndns.answer.name b\ndns.answer.addr 192.0.2.5\n"},
	    {"the question alone", BYTES(odd), "dns.query a\n"},
	    {"a question that does not parse", BYTES(second), ""},
	    {"no question", BYTES(none), ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b = {0};
		buf_add(&b, cases[i].p, cases[i].n);
		for (int side = 0; side < 2; side++) {
			struct observed o;
			observed_begin(&o, &parser_dns_udp);
			b.p[2] = (uint8_t)(b.p[2] ^ (side ? 0x80 : 0));
			enum verdict v = feed_datagram(&o, (enum side)side, b.p, b.n);
			if (v != INSPECT_MORE || strcmp(observed_text(&o), cases[i].expect) != 0)
				fail_msg("%s: %d, %s", cases[i].label, v, observed_text(&o));
			assert_int_equal(o.ledger.v[LEDGER_DNS_OPCODE], 1);
			observed_end(&o);
			feed_every_cut(&parser_dns_udp, (enum side)side, b.p, b.n);

			struct buf framed = {0};
			struct message talk[] = {{(enum side)side, NULL, 0}};
			buf_u16(&framed, (uint16_t)b.n);
			buf_add(&framed, b.p, b.n);
			talk[0].p = framed.p;
			talk[0].n = framed.n;
			feed_every_split(&parser_dns_tcp, talk, 1, cases[i].expect);
			feed_every_prefix(&parser_dns_tcp, talk, 1);
			buf_free(&framed);
		}
		buf_free(&b);
	}
}

static void tells_the_record(void **state)
{
	struct observed o;
	(void)state;
	observed_begin(&o, &parser_dns_udp);
	feed_datagram(&o, TO_CLIENT, answer_all, sizeof(answer_all) - 1);
	assert_string_equal(observed_app(&o), "type=answer\nid=4660\nrcode=NOERROR\nrrname=www.example.com\nrrtype=A\n"
					      "answer.rrname=cdn.net\nanswer.rrtype=NS\nanswer.ttl=60\n"
					      "answer.rdata=ns.cdn.net\n");
	observed_end(&o);
}

/* A name of 255 octets is the longest; one more is an error. */
static void name_length_is_limited(void **state)
{
	(void)state;
	for (unsigned last = 61; last <= 62; last++) {
		struct buf b = {0};
		struct observed o;
		buf_add(&b, HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0"), 12);
		for (int i = 0; i < 4; i++) {
			unsigned n = i == 3 ? last : 63;
			buf_u8(&b, (uint8_t)n);
			for (unsigned k = 0; k < n; k++)
				buf_u8(&b, 'x');
		}
		buf_add(&b, "\0" A_IN, 5);
		observed_begin(&o, &parser_dns_udp);
		assert_int_equal(feed_datagram(&o, TO_SERVER, b.p, b.n), last == 61 ? INSPECT_MORE : INSPECT_ERROR);
		assert_int_equal(o.count, last == 61);
		observed_end(&o);
		buf_free(&b);
	}
}

/* A chain of n pointers, each to the one before. */
static enum verdict chase(unsigned jumps, size_t *count)
{
	struct buf b = {0};
	struct observed o;
	buf_add(&b, HEAD("\0\1", ANSWER, "\0", "\1", "\0", "\0"), 12);
	buf_add(&b, "\0\0\x10\0\1\0\0\0\0", 9); /* root TXT, its rdata is the chain */
	buf_u16(&b, (uint16_t)(4 + 2 * jumps));
	size_t at = b.n;
	buf_add(&b, "\1z\0\0", 4);
	for (unsigned i = 0; i < jumps; i++) {
		buf_u16(&b, (uint16_t)(0xc000 | at));
		at = i ? at + 2 : at + 4;
	}
	b.p[7] = 2;
	buf_u16(&b, (uint16_t)(0xc000 | at));
	buf_add(&b, A_IN TTL "\0\4\xc0\0\2\1", 14);
	observed_begin(&o, &parser_dns_udp);
	enum verdict v = feed_datagram(&o, TO_SERVER, b.p, b.n);
	*count = o.count;
	observed_end(&o);
	buf_free(&b);
	return v;
}

static void jumps_are_limited(void **state)
{
	size_t count;
	(void)state;
	assert_int_equal(chase(127, &count), INSPECT_MORE);
	assert_int_equal(count, 2);
	assert_int_equal(chase(128, &count), INSPECT_ERROR);
	assert_int_equal(count, 1); /* the name is lost, its record's address is not */
}

/* 5,000 records that each point into a long name cost a bounded amount. */
static void work_is_limited(void **state)
{
	struct buf b = {0};
	struct observed o;
	(void)state;
	buf_add(&b, "\0\1" ANSWER "\0\1\x13\x88\0\0\0\0", 12);
	for (int i = 0; i < 126; i++)
		buf_add(&b, "\1x", 2);
	buf_add(&b, "\0" A_IN, 5);
	for (int i = 0; i < 5000; i++) {
		buf_u16(&b, (uint16_t)(0xc000 | (12 + 2 * (i & 1))));
		buf_add(&b, A_IN TTL "\0\0", 10);
	}
	observed_begin(&o, &parser_dns_udp);
	assert_int_equal(feed_datagram(&o, TO_SERVER, b.p, b.n), INSPECT_ERROR);
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 1);
	assert_in_range(o.count, 500, 2000);
	observed_end(&o);
	buf_free(&b);
}

/* ---- TCP ---- */

#define TCP_QUERY  "\0\x21\x12\x34" QUERY "\0\1\0\0\0\0\0\0" WWW A_IN
#define TCP_ANSWER "\0\x31\x12\x34" ANSWER "\0\1\0\1\0\0\0\0" WWW A_IN "\xc0\x0c" A_IN TTL "\0\4\xc0\0\2\7"

static void tcp_messages_however_cut(void **state)
{
	static const struct message talk[] = {
	    {TO_SERVER, BYTES(TCP_QUERY TCP_QUERY)},
	    {TO_CLIENT, BYTES(TCP_ANSWER)},
	    {TO_SERVER, BYTES(TCP_QUERY)},
	};
	(void)state;
	feed_every_split(&parser_dns_tcp, talk, 3,
			 "dns.query www.example.com\ndns.query www.example.com\n"
			 "dns.query www.example.com\ndns.answer.name www.example.com\ndns.answer.addr 192.0.2.7\n"
			 "dns.query www.example.com\n");
	feed_every_prefix(&parser_dns_tcp, talk, 3);
}

/* Every section of an answer, from either side. */
static void tcp_either_side(void **state)
{
	(void)state;
	struct buf b = {0};
	buf_u16(&b, sizeof(answer_all) - 1);
	buf_add(&b, answer_all, sizeof(answer_all) - 1);
	const struct message talk[] = {{TO_CLIENT, b.p, b.n}, {TO_SERVER, BYTES(TCP_QUERY)}};
	const char *want = "dns.query www.example.com\ndns.answer.name www.example.com\ndns.answer.data edge.cdn.net\n"
			   "dns.answer.name edge.cdn.net\ndns.answer.addr 192.0.2.7\ndns.answer.addr 2001:db8::7\n"
			   "dns.answer.name cdn.net\ndns.answer.data ns.cdn.net\ndns.query www.example.com\n";
	feed_every_split(&parser_dns_tcp, talk, 2, want);
	feed_turned(&parser_dns_tcp, talk, 2, want);
	buf_free(&b);
}

static void tcp_goes_on_after_a_gap(void **state)
{
	struct observed o;
	(void)state;
	observed_begin(&o, &parser_dns_tcp);
	feed_stream(&o, TO_SERVER, TCP_QUERY, 10);
	feed_gap(&o, TO_SERVER, 5); /* inside the message: its end is known */
	feed_stream(&o, TO_SERVER, BYTES("12345678901234567890" TCP_QUERY));
	assert_string_equal(observed_text(&o), "dns.query www.example.com\n");
	feed_stream(&o, TO_SERVER, TCP_QUERY, 10);
	feed_gap(&o, TO_SERVER, 500); /* beyond it */
	feed_stream(&o, TO_SERVER, BYTES("in the middle of something"));
	feed_stream(&o, TO_SERVER, BYTES(TCP_QUERY));
	assert_string_equal(observed_text(&o), "dns.query www.example.com\ndns.query www.example.com\n");
	observed_end(&o);
}

static void tcp_short_message_is_an_error(void **state)
{
	static const struct message talk[] = {{TO_SERVER, BYTES(TCP_QUERY "\0\x0b"
									  "12345678901" TCP_QUERY)}};
	(void)state;
	feed_every_split(&parser_dns_tcp, talk, 1, "dns.query www.example.com\n");
}

/* ---- probing ---- */

static const struct {
	const char *label;
	const struct parser *parser;
	uint16_t port;
	const void *p;
	size_t n;
	enum probe answer;
} probes[] = {
    {"a query on any port", &parser_dns_udp, 9999, query_a, sizeof(query_a) - 1, PROBE_YES},
    {"an answer on any port", &parser_dns_udp, 9999, answer_all, sizeof(answer_all) - 1, PROBE_YES},
    {"trailing bytes on any port", &parser_dns_udp, 9999, query_a, sizeof(query_a), PROBE_NO},
    {"wrong counts on any port", &parser_dns_udp, 9999, BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\x09") WWW A_IN),
     PROBE_NO},
    {"wrong counts on 53", &parser_dns_udp, 53, BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\x09") WWW A_IN),
     PROBE_YES},
    {"trailing bytes on 53", &parser_dns_udp, 53, query_a, sizeof(query_a), PROBE_YES},
    {"NetBIOS by port", &parser_dns_udp, 137, query_a, sizeof(query_a) - 1, PROBE_NO},
    {"NetBIOS by its name", &parser_dns_udp, 53,
     BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") "\x20"
						       "EKEFEJEFEJEFEJEFEJEFEJEFEJEFEJAA"
						       "\0\0\x20\0\1"),
     PROBE_NO},
    {"STUN", &parser_dns_udp, 3478,
     BYTES("\0\1\0\0\x21\x12\xa4\x42"
	   "123456789012"),
     PROBE_NO},
    {"zeroes", &parser_dns_udp, 53, BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), PROBE_NO},
    {"an operation that is not known, on 53", &parser_dns_udp, 53,
     BYTES(HEAD("\0\1", "\x38\x00", "\1", "\0", "\0", "\0") WWW A_IN), PROBE_YES},
    {"with a class that is not known", &parser_dns_udp, 53,
     BYTES(HEAD("\0\1", "\x38\x00", "\1", "\0", "\0", "\0") WWW "\0\1\x77\1"), PROBE_NO},
    {"without a question", &parser_dns_udp, 53,
     BYTES(HEAD("\0\1", "\x38\x00", "\0", "\1", "\0", "\0") WWW A_IN TTL "\0\0"), PROBE_NO},
    {"on any port", &parser_dns_udp, 9999, BYTES(HEAD("\0\1", "\x38\x00", "\1", "\0", "\0", "\0") WWW A_IN), PROBE_NO},
    {"over TCP, on 53", &parser_dns_tcp, 53, BYTES("\0\x21\0\1\x38\0\0\1\0\0\0\0\0\0" WWW A_IN), PROBE_YES},
    {"over TCP, on any port", &parser_dns_tcp, 9999, BYTES("\0\x21\0\1\x38\0\0\1\0\0\0\0\0\0" WWW A_IN), PROBE_NO},
    {"an update on any port", &parser_dns_udp, 9999,
     BYTES(HEAD("\0\1", "\x28\x00", "\1", "\0", "\0", "\0") WWW "\0\6\0\1"), PROBE_YES},
    {"its answer", &parser_dns_udp, 9999, BYTES(HEAD("\0\1", "\xa8\x05", "\1", "\0", "\0", "\0") WWW "\0\6\0\1"),
     PROBE_YES},
    {"a notification on any port", &parser_dns_udp, 9999,
     BYTES(HEAD("\0\1", "\x24\x00", "\1", "\0", "\0", "\0") WWW "\0\6\0\1"), PROBE_YES},
    {"mDNS elsewhere", &parser_mdns, 5354, query_a, sizeof(query_a) - 1, PROBE_NO},
    {"mDNS", &parser_mdns, 5353, query_a, sizeof(query_a) - 1, PROBE_YES},
    {"TCP", &parser_dns_tcp, 9999, BYTES(TCP_QUERY), PROBE_YES},
    {"TCP, one byte", &parser_dns_tcp, 9999, "", 1, PROBE_MORE},
    {"TCP, cut in the name", &parser_dns_tcp, 9999, TCP_QUERY, 20, PROBE_MORE},
    {"TCP, cut behind the question", &parser_dns_tcp, 9999,
     BYTES("\7\xd0\x12\x34" ANSWER "\0\1\0\x50\0\0\0\0" WWW A_IN), PROBE_YES},
    {"HTTP", &parser_dns_tcp, 53, BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), PROBE_NO},
    {"TLS", &parser_dns_tcp, 853,
     BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
	   "01234567890123456789"),
     PROBE_NO},
};

static void probes_are_strict(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		struct observed o;
		observed_begin(&o, probes[i].parser);
		o.in.dest_port = probes[i].port;
		enum probe answer = probes[i].parser->probe(&o.in, TO_SERVER, probes[i].p, probes[i].n);
		if (answer != probes[i].answer)
			fail_msg("%s: %d", probes[i].label, answer);
		observed_end(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reports_names_and_addresses), cmocka_unit_test(tells_the_record),
	    cmocka_unit_test(unknown_operations),          cmocka_unit_test(name_length_is_limited),
	    cmocka_unit_test(jumps_are_limited),           cmocka_unit_test(work_is_limited),
	    cmocka_unit_test(tcp_messages_however_cut),    cmocka_unit_test(tcp_either_side),
	    cmocka_unit_test(tcp_goes_on_after_a_gap),     cmocka_unit_test(tcp_short_message_is_an_error),
	    cmocka_unit_test(probes_are_strict),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
