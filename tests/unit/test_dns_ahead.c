/* DNS read ahead of its turn: what it calls plain, and that it and the parser agree,
 * on messages by hand, cut at every length, and on many made at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "common/scratch.h"
#include "tests/unit/dns_both_ways.h"

#define BYTES(literal)                  (literal), sizeof(literal) - 1
#define HEAD(id, flags, qd, an, ns, ar) id flags "\0" qd "\0" an "\0" ns "\0" ar
#define QUERY                           "\x01\x00"
#define ANSWER                          "\x81\x80"
#define WWW                             "\3wWw\7example\3com\0"
#define A_IN                            "\0\x01\0\x01"
#define TTL                             "\0\0\0\x3c"
#define LONG                                                                                                           \
	"\x3f"                                                                                                         \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
	const char *label;
	bool plain;
	uint16_t src_port, dest_port;
	const void *p;
	size_t n;
} messages[] = {
    {"a query", true, 40000, 53, BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") WWW A_IN)},
    {"with EDNS", true, 40000, 53,
     BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\1") WWW A_IN "\0\0\x29\x10\0\0\0\0\0\0\0")},
    {"between servers", true, 53, 53, BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") WWW A_IN)},
    {"for the root", true, 40000, 53, BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") "\0\0\2\0\1")},
    {"every section", true, 53, 40000,
     BYTES(HEAD("\0\1", ANSWER, "\1", "\3", "\1", "\1") WWW A_IN "\xc0\x0c\0\x05\0\x01" TTL "\0\x0e\4edge\3cdn\3net\0"
								 "\xc0\x2d\0\x01\0\x01" TTL "\0\x04\xc0\0\x02\x08"
								 "\xc0\x2d\0\x1c\0\x01" TTL
								 "\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x08"
								 "\xc0\x32\0\x02\0\x01" TTL "\0\x05\2ns\xc0\x32"
								 "\0\0\x29\x10\0\0\0\0\0\0\0")},
    {"one owner, then another, then the first again", true, 53, 40000,
     BYTES(HEAD("\0\1", ANSWER, "\1", "\4", "\0", "\0") WWW A_IN "\xc0\x0c" A_IN TTL "\0\4\xc0\0\2\1"
								 "\xc0\x0c" A_IN TTL "\0\4\xc0\0\2\2"
								 "\xc0\x10" A_IN TTL "\0\4\xc0\0\2\3"
								 "\xc0\x0c" A_IN TTL "\0\4\xc0\0\2\4")},
    {"MX, SRV, SOA", true, 53, 40000,
     BYTES(HEAD("\0\1", ANSWER, "\1", "\3", "\0", "\0") WWW A_IN "\1a\0\0\x0f\0\x01" TTL "\0\x06\0\x0a\2mx\0"
								 "\1b\0\0\x21\0\x01" TTL "\0\x0b\0\1\0\1\0\x50\3srv\0"
								 "\1c\0\0\x06\0\x01" TTL "\0\x1d\1m\0\4root\0"
								 "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1")},
    {"HTTPS with target and hints", true, 53, 40000,
     BYTES(HEAD("\0\1", ANSWER, "\1", "\1", "\0", "\0") "\1a\0\0\x41\0\x01"
							"\xc0\x0c\0\x41\0\x01" TTL "\0\x2e\0\1\3svc\0"
							"\0\1\0\3\2h3"
							"\0\4\0\x08\xc0\0\2\1\xc0\0\2\2"
							"\0\6\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01")},
    {"255 octets", true, 40000, 53,
     BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") LONG LONG LONG
	   "\x3d"
	   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\0" A_IN)},
    {"256 octets", false, 40000, 53,
     BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") LONG LONG LONG
	   "\x3e"
	   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\0" A_IN)},
    {"a dot inside a label", true, 40000, 53, BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") "\3a.b\0" A_IN)},
    {"a backslash", true, 40000, 53, BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") "\3a\\b\0" A_IN)},
    {"a byte above 127", false, 40000, 53, BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") "\3a\xe3g\0" A_IN)},
    {"a control character", false, 40000, 53, BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") "\3a\x1fz\0" A_IN)},
    {"a NUL at the end of sixteen bytes", false, 40000, 53,
     BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") "\x10xxxxxxxxxxxxxxx\0\0" A_IN)},
    {"two questions", false, 40000, 53, BYTES(HEAD("\0\1", QUERY, "\2", "\0", "\0", "\0") WWW A_IN WWW A_IN)},
    {"an update", false, 40000, 53, BYTES(HEAD("\0\1", "\x28\0", "\1", "\0", "\0", "\0") WWW A_IN)},
    {"NetBIOS", false, 40000, 53, BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") WWW "\0\x20\0\1")},
    {"unknown type and class", false, 40000, 53, BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") WWW "\x7f\1\x7f\1")},
    {"multicast DNS", false, 5353, 53, BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") WWW A_IN)},
    {"another port", false, 40000, 5300, BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") WWW A_IN)},
    {"a pointer to itself", false, 40000, 53, BYTES(HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0") "\xc0\x0c" A_IN)},
    {"a pointer into the middle of a label", false, 53, 40000,
     BYTES(HEAD("\0\1", ANSWER, "\1", "\1", "\0", "\0") WWW A_IN "\xc0\x0d" A_IN TTL "\0\4\xc0\0\2\1")},
    {"an address of the wrong size", false, 53, 40000,
     BYTES(HEAD("\0\1", ANSWER, "\1", "\1", "\0", "\0") WWW A_IN "\xc0\x0c" A_IN TTL "\0\3\xc0\0\2")},
    {"fewer records than it says", false, 53, 40000,
     BYTES(HEAD("\0\1", ANSWER, "\1", "\2", "\0", "\0") WWW A_IN "\xc0\x0c" A_IN TTL "\0\4\xc0\0\2\1")},
};

static void plain_or_not(void **state)
{
	struct both_ways w;
	(void)state;
	both_ways_begin(&w);
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		if (both_ways(&w, messages[i].src_port, messages[i].dest_port, messages[i].p, messages[i].n) !=
		    messages[i].plain)
			fail_msg("%s", messages[i].label);
		for (size_t cut = 0; cut < messages[i].n; cut++)
			both_ways(&w, messages[i].src_port, messages[i].dest_port, messages[i].p, cut);
	}
	assert_int_equal(w.hit, 0);
	both_ways_end(&w);
}

static void what_is_listed_is_foreseen(void **state)
{
	static const char *const names[] = {"\1b\1a\0", "\1x\1B\1A\0", "\1c\1a\0", "\1z\11evil-HOST\7example\0",
					    "\1y\x22"
					    "A-label-of-more-than-sixteen-bytes\1c\0"};
	struct both_ways w;
	(void)state;
	both_ways_begin(&w);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct buf b = {0};
		buf_add(&b, HEAD("\0\1", QUERY, "\1", "\0", "\0", "\0"), 12);
		buf_add(&b, names[i], strlen(names[i]) + 1);
		buf_add(&b, A_IN, 4);
		assert_true(both_ways(&w, 40000, 53, b.p, b.n));
		assert_int_equal(w.hit, i + 1);
		buf_free(&b);
	}
	both_ways_end(&w);
}

/* 128 labels before a pointer: more than a name can have, and all there is room for. */
static void labels_have_room(void **state)
{
	struct both_ways w;
	struct buf b = {0};
	(void)state;
	both_ways_begin(&w);
	buf_add(&b, HEAD("\0\1", ANSWER, "\1", "\1", "\0", "\0"), 12);
	for (int i = 0; i < 31; i++)
		buf_add(&b, "\1q", 2);
	buf_add(&b, "\0" A_IN, 5);
	for (int i = 0; i < 140; i++)
		buf_add(&b, "\1q", 2);
	buf_add(&b, "\xc0\x0c" A_IN TTL "\0\4\xc0\0\2\1", 16);
	assert_false(both_ways(&w, 53, 40000, b.p, b.n));
	buf_free(&b);
	both_ways_end(&w);
}

/* ---- at random ---- */

static uint64_t random_state;

static unsigned below(unsigned n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(random_state >> 33) % n;
}

/* Labels, and then an end or, mostly right, a pointer to one of those before. */
static void put_name(struct buf *b, size_t *places, size_t *places_n)
{
	static const char *const labels[] = {
	    "a", "b", "C", "evil-host", "example", "a-label-of-more-than-sixteen-bytes", "www", "x.y"};
	for (unsigned n = below(4); n > 0; n--) {
		const char *label = labels[below(40) ? below(7) : 7];
		if (*places_n < 64)
			places[(*places_n)++] = b->n;
		buf_u8(b, (uint8_t)strlen(label));
		buf_add(b, label, strlen(label));
	}
	if (*places_n && below(2))
		buf_u16(b, (uint16_t)(0xc000 | (below(30) ? places[below((unsigned)*places_n)] : below(80))));
	else
		buf_u8(b, 0);
}

static void put_data(struct buf *b, unsigned type, size_t *places, size_t *places_n)
{
	static const char *const v4[] = {"\xc0\0\2\7", "\xc6\x33\x64\1", "\xcb\0\x71\1"};
	static const char *const v6[] = {"\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\7",
					 "\x20\1\xd\xb8\0\7\0\0\0\0\0\0\0\0\0\7",
					 "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1"};
	if (type == 1) {
		buf_add(b, v4[below(3)], 4);
	} else if (type == 28) {
		buf_add(b, v6[below(3)], 16);
	} else if (type == 15) {
		buf_u16(b, 10);
		put_name(b, places, places_n);
	} else if (type == 65) {
		buf_u16(b, 1);
		put_name(b, places, places_n);
		buf_add(b, "\0\4\0\4\xc0\0\2\7", below(2) ? 8 : 0);
	} else if (type != 41) {
		put_name(b, places, places_n);
	}
}

static void random_message(struct buf *b)
{
	static const unsigned types[] = {1, 1, 28, 2, 5, 6, 12, 15, 65, 41, 16, 35};
	size_t places[64], places_n = 0;
	unsigned records = below(5);
	buf_add(b, HEAD("\0\1", ANSWER, "\1", "\0", "\0", "\0"), 12);
	b->p[7 + 2 * below(3)] = (uint8_t)records;
	put_name(b, places, &places_n);
	buf_add(b, A_IN, 4);
	for (unsigned i = 0; i < records; i++) {
		unsigned type = types[below(12)];
		put_name(b, places, &places_n);
		buf_u16(b, (uint16_t)type);
		buf_add(b, below(20) ? "\0\1" TTL "\0\0" : "\0\3" TTL "\0\0", 8);
		size_t at = b->n;
		put_data(b, type, places, &places_n);
		b->p[at - 1] = (uint8_t)(b->n - at);
	}
	for (unsigned wrong = below(3) ? 0 : below(3); wrong > 0; wrong--)
		b->p[below((unsigned)b->n)] = (uint8_t)below(256);
}

static void agrees_at_random(void **state)
{
	struct both_ways w;
	(void)state;
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	printf("SEED=%llu\n", (unsigned long long)seed);
	random_state = seed;
	both_ways_begin(&w);
	for (int i = 0; i < 100000; i++) {
		struct buf b = {0};
		random_message(&b);
		both_ways(&w, 53, 40000, b.p, b.n);
		buf_free(&b);
	}
	both_ways_end(&w);
	assert_in_range(w.plain, 15000, 85000); /* both kinds are common */
	assert_in_range(w.quiet, 1000, 85000);
	assert_in_range(w.hit, 1000, 85000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plain_or_not),
	    cmocka_unit_test(what_is_listed_is_foreseen),
	    cmocka_unit_test(labels_have_room),
	    cmocka_unit_test(agrees_at_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
