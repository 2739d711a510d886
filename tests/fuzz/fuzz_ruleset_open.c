/* A good compiled set that the input damages: whatever the file says, opening it, asking it,
 * patching it and writing it must stay inside the mapping and end. The input is a list of
 * patches, each an offset (2 bytes, big-endian), a number of bytes and those bytes. With an odd
 * number of patches the checksum is made to fit: a damaged set is then written, and opened as a
 * good one is; with two patches it is opened with filters that are worth a copy. The input itself
 * is opened as a file, too.
 * For: rules/ruleset_file.c rules/ruleset_record.c rules/ruleset.c rules/ruleset_delta.c */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cursor.h"
#include "rules/canon.h"
#include "rules/ruleset_delta.h"
#include "rules/ruleset_format.h"

#define PAGE    4096u
#define REFS    40 /* indicators that are read out, of those the set says to have */
#define SHA256  "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define NOW_US  INT64_C(1700000000000000)
#define PATH_TO "/dev/shm/picket-fuzz-ruleset"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* So that what is read is really read; nobody asks for it. */
volatile size_t told;

static const struct indicator list[] = {
    {.type = INDICATOR_DOMAIN, .value = "bad.example", .where = "dns", .labels = "c2"},
    {.type = INDICATOR_DOMAIN, .value = "BAD.example"},
    {.type = INDICATOR_DOMAIN, .value = "later.example", .valid_from_us = NOW_US + 1},
    {.type = INDICATOR_HOSTNAME, .value = "host.bad.example", .id = "D-1", .valid_until_us = NOW_US},
    {.type = INDICATOR_IP, .value = "198.51.100.7"},
    {.type = INDICATOR_IP, .value = "2001:db8::7"},
    {.type = INDICATOR_IP_PORT, .value = "198.51.100.7:443"},
    {.type = INDICATOR_IP_PORT, .value = "[2001:db8::7]:443"},
    {.type = INDICATOR_CIDR, .value = "198.51.100.0/24"},
    {.type = INDICATOR_CIDR, .value = "198.51.0.0/16"},
    {.type = INDICATOR_CIDR, .value = "2001:db8::/32"},
    {.type = INDICATOR_URL, .value = "http://bad.example/a"},
    {.type = INDICATOR_URL, .value = "bad.example/b/", .match = MATCH_PREFIX},
    {.type = INDICATOR_URL, .value = "bad.example/b/c", .match = MATCH_PREFIX},
    {.type = INDICATOR_FILE_SHA256, .value = SHA256, .note = "n", .ref = "r", .severity = SEVERITY_HIGH},
    {.type = INDICATOR_FILE_MD5, .value = "00112233445566778899AABBCCDDEEFF"},
    {.type = INDICATOR_PAYLOAD, .value = "evil"},
    {.type = INDICATOR_PAYLOAD_HEX, .value = "de ad be ef"},
    {.type = INDICATOR_STIX, .value = "[domain-name:value = 'a.example' AND ipv4-addr:value = '198.51.100.9']"},
};
#define LISTED (sizeof(list) / sizeof(*list))

static struct ruleset *good_set(void)
{
	struct indicator_set s = {.id = "demo", .title = "A set", .producer = "us", .version = 3},
			     other = {.id = "other", .valid_until_us = NOW_US};
	struct ruleset_builder *b = ruleset_builder_new();
	memset(b, 7, sizeof(struct hash_key)); /* the same set each time: its secret stands first */
	ruleset_add_set(b, &s);
	ruleset_add_set(b, &other);
	for (size_t i = 0; i < LISTED; i++) {
		struct indicator k = list[i];
		k.file = i % 2 ? "a.yaml" : "b.csv";
		k.line = (unsigned)i;
		ruleset_add(b, 0, &k, NULL);
		ruleset_add(b, i % 2, &k, NULL);
	}
	ruleset_allow(b, INDICATOR_DOMAIN, "good.bad.example", "ours", 0, NULL);
	ruleset_allow(b, INDICATOR_DOMAIN, "host.bad.example", "then", NOW_US, NULL);
	ruleset_allow(b, INDICATOR_CIDR, "198.51.100.0/28", "ours", 0, NULL);
	ruleset_allow(b, INDICATOR_IP, "2001:db8::9", NULL, 0, NULL);
	ruleset_allow(b, INDICATOR_FILE_MD5, "00112233445566778899aabbccddeeff", "empty", 0, NULL);
	struct ruleset *r = ruleset_build(b, NULL);
	ruleset_builder_free(b);
	return r;
}

static void match(const struct ruleset *r, enum where w, const void *p, size_t n)
{
	struct ruleset_hits hits = {.n = 0};
	uint64_t allowed = 0;
	ruleset_match(r, w, p, n, NOW_US, &hits, &allowed);
}

static void match_text(const struct ruleset *r, enum where w, const char *text)
{
	match(r, w, text, strlen(text));
}

static void read_out(const struct indicator *i)
{
	const char *text[] = {i->value, i->id, i->labels, i->note, i->ref, i->where, i->file};
	for (size_t k = 0; k < sizeof(text) / sizeof(*text); k++)
		told += text[k] ? strlen(text[k]) : 0;
}

static void ask_observables(const struct ruleset *r)
{
	static const uint8_t v4[16] = {[10] = 0xff, 0xff, 198, 51, 100, 7}, v6[16] = {0x20, 1, 0x0d, 0xb8};
	static const uint8_t endpoint[18] = {[10] = 0xff, 0xff, 198, 51, 100, 7, 1, 0xbb};
	struct addr a = addr_v6(v4), b = addr_v6(v6);
	match_text(r, WHERE_DNS_QUERY, "bad.example");
	match_text(r, WHERE_DNS_QUERY, "x.host.bad.example");
	match_text(r, WHERE_DNS_QUERY, "later.example");
	match_text(r, WHERE_TLS_SNI, "x.good.bad.example");
	match_text(r, WHERE_HTTP_URL, "http://bad.example/a");
	match_text(r, WHERE_HTTP_URL, "http://bad.example/b/c/d/");
	match_text(r, WHERE_FILE_SHA256, SHA256);
	match_text(r, WHERE_FILE_MD5, "00112233445566778899aabbccddeeff");
	match(r, WHERE_IP_SRC, v4, 16);
	match(r, WHERE_IP_SRC, v6, 16);
	match(r, WHERE_IP_ENDPOINT_SRC, endpoint, 18);
	(void)ruleset_maybe_addr(r, &a);
	(void)ruleset_maybe_addr(r, &b);
}

/* What those ask who judge rules. */
static void judge(const struct ruleset *r)
{
	static struct canon key;
	for (size_t i = 0; i < LISTED; i++) {
		struct ruleset_hits hits = {.n = 0};
		struct ruleset_room room;
		struct indicator k;
		if (!canon_rule(list[i].type, list[i].value, strlen(list[i].value), &key, NULL))
			continue;
		ruleset_covering(r, list[i].type, &key, &hits);
		if (ruleset_allowed(r, list[i].type, &key, NOW_US, &room, &k))
			read_out(&k);
	}
}

static void ask(const struct ruleset *r)
{
	struct indicator k;
	struct ruleset_room room;
	ask_observables(r);
	judge(r);
	for (ruleset_ref i = 0; i < REFS; i++) {
		k = ruleset_indicator(r, i);
		read_out(&k);
		(void)ruleset_valid(r, i, NOW_US);
		(void)strlen(ruleset_set(r, i).id);
	}
	for (size_t i = 0; i < 4 && i < ruleset_set_count(r); i++)
		(void)strlen(ruleset_set_at(r, i).id);
	for (size_t i = 0; i < 8; i++)
		(void)ruleset_pattern(r, i, &k);
	for (size_t i = 0; i < 8 && i < ruleset_allow_count(r); i++) {
		k = ruleset_allow_at(r, i, &room);
		read_out(&k);
		(void)ruleset_silenced(r, i);
	}
	for (enum indicator_type t = INDICATOR_NONE; t < INDICATOR_TYPE_COUNT; t++)
		(void)ruleset_count(r, t);
}

/* One set of few indicators. */
static struct ruleset *few(const struct indicator *of, size_t n)
{
	struct indicator_set s = {.id = "demo"};
	struct ruleset_builder *b = ruleset_builder_new();
	ruleset_add_set(b, &s);
	for (size_t i = 0; i < n; i++)
		ruleset_add(b, 0, &of[i], NULL);
	struct ruleset *r = ruleset_build(b, NULL);
	ruleset_builder_free(b);
	return r;
}

/* What a sensor does with a set that a delta comes for: rows that go and come, one by one or as
 * they are distributed, or the whole set anew. */
static void patch(const struct ruleset *r, size_t how)
{
	static const struct indicator more[] = {{.type = INDICATOR_DOMAIN, .value = "new.example"},
						{.type = INDICATOR_IP, .value = "198.51.100.7", .note = "again"},
						{.type = INDICATOR_URL, .value = "http://bad.example/a"},
						{.type = INDICATOR_CIDR, .value = "2001:db8::/48"}};
	static struct ruleset *gone, *come;
	struct indicator_set head = {.id = how % 4 == 3 ? "third" : "demo", .version = 4};
	struct err e;
	struct ruleset_delta *d = ruleset_delta_new(r);
	uint32_t set = ruleset_delta_set(d, &head);
	gone = gone ? gone : few(list + 4, 8);
	come = come ? come : few(more, 1);
	bool good = true;
	if (how % 4 == 0)
		ruleset_delta_drop(d, set);
	if (how % 4 == 1) {
		good = ruleset_delta_remove_all(d, set, gone, &e) && ruleset_delta_add_all(d, set, come, &e);
	} else {
		ruleset_delta_remove(d, set, INDICATOR_DOMAIN, "bad.example", NULL, NULL);
		ruleset_delta_remove(d, set, INDICATOR_CIDR, "198.51.100.0/24", NULL, NULL);
		for (size_t i = 1; i < sizeof(more) / sizeof(*more); i++)
			ruleset_delta_add(d, set, &more[i], NULL);
	}
	struct ruleset *next = good ? ruleset_delta_apply(d, NULL) : NULL;
	ruleset_delta_free(d);
	if (!next)
		return;
	ruleset_silenced_inherit(next, r);
	ask(next);
	ruleset_free(next);
}

static const char *path(void)
{
	static char name[64];
	if (!*name)
		snprintf(name, sizeof(name), PATH_TO ".%d", (int)getpid());
	return name;
}

static void write_and_open(const struct ruleset *r)
{
	struct err e;
	if (!ruleset_write(r, path(), &e) || !ruleset_is_compiled(path()))
		abort();
	struct ruleset *again = ruleset_open(path(), true, &e);
	if (!again != (ruleset_checksum(r->map, r->bytes) != r->head.checksum))
		abort();
	if (again) {
		ruleset_near(again);
		ask_observables(again);
	}
	ruleset_free(again);
	unlink(path());
	if (ruleset_write(r, "/nonexistent/set", &e) || ruleset_open("/nonexistent/set", true, &e))
		abort();
}

/* With filters of the largest size, both the same hole in the file: a sensor copies them. */
static void open_large(const struct ruleset *r)
{
	const size_t filter = (size_t)1 << (FILTER_BITS_MAX - 3),
		     at = (r->bytes + RULESET_ALIGN - 1) / RULESET_ALIGN * RULESET_ALIGN;
	struct ruleset_head h = r->head;
	struct err e;
	h.bytes = at + filter;
	h.filter_bits4 = h.filter_bits6 = FILTER_BITS_MAX;
	for (int s = SECTION_NET4; s <= SECTION_NET6; s++) {
		h.section[s].offset = at;
		h.section[s].bytes = filter;
	}
	int fd = open(path(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || pwrite(fd, r->map, r->bytes, 0) != (ssize_t)r->bytes ||
	    pwrite(fd, &h, sizeof(h), 0) != sizeof(h) || ftruncate(fd, (off_t)h.bytes) != 0)
		abort();
	close(fd);
	struct ruleset *large = ruleset_open(path(), false, &e);
	if (!large)
		abort(); /* all but the filters was believed before */
	ruleset_near(large);
	ask_observables(large);
	ruleset_free(large);
	unlink(path());
}

static void open_input(const uint8_t *data, size_t n)
{
	struct err e;
	FILE *f = fopen(path(), "wb");
	if (!f)
		abort();
	fwrite(data, 1, n, f);
	fclose(f);
	(void)ruleset_is_compiled(path());
	ruleset_free(ruleset_open(path(), false, &e));
	unlink(path());
}

/* Gives the number of patches. */
static size_t damage(uint8_t *p, size_t bytes, struct cursor c)
{
	size_t patches = 0;
	while (cursor_left(&c) > 3) {
		size_t at = cursor_u16(&c) % bytes, n = cursor_u8(&c);
		struct bytes b = cursor_bytes(&c, n < cursor_left(&c) ? n : cursor_left(&c));
		if (b.n)
			memcpy(p + at, b.p, b.n < bytes - at ? b.n : bytes - at);
		patches++;
	}
	uint64_t sum = ruleset_checksum(p, bytes);
	if (patches % 2)
		memcpy(p + offsetof(struct ruleset_head, checksum), &sum, sizeof(sum));
	return patches;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct ruleset *good;
	static uint8_t *copy; /* its end is the end of the mapping; a guard page follows */
	struct err e;
	if (!good) {
		good = good_set();
		size_t room = (good->bytes / PAGE + 1) * PAGE;
		uint8_t *p = mmap(NULL, room + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED || mprotect(p + room, PAGE, PROT_NONE))
			return 0;
		copy = p + room - good->bytes;
	}
	memcpy(copy, good->map, good->bytes);
	size_t patches = damage(copy, good->bytes, cursor_over(data, n));
	struct ruleset *r = ruleset_adopt(copy, good->bytes, "input", &e);
	if (r) {
		ask(r);
		patch(r, patches);
		write_and_open(r);
		if (patches == 2)
			open_large(r);
	}
	ruleset_free(r); /* cannot unmap: the copy does not begin a page */
	open_input(data, n);
	return 0;
}
