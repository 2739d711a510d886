/* The input is laid over a good compiled set from a given offset: whatever the
 * file says, opening and asking it must stay inside the mapping and end.
 * First 2 bytes: offset (big-endian); the rest: bytes that replace what is there.
 * For: rules/ruleset_file.c */
#include <string.h>
#include <sys/mman.h>

#include "rules/ruleset_format.h"

#define PAGE 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct ruleset *good_set(void)
{
	static const struct indicator list[] = {
	    {.type = INDICATOR_DOMAIN, .value = "bad.example", .where = "dns", .labels = "c2"},
	    {.type = INDICATOR_DOMAIN, .value = "BAD.example"},
	    {.type = INDICATOR_HOSTNAME, .value = "host.bad.example", .id = "D-1"},
	    {.type = INDICATOR_IP, .value = "198.51.100.7"},
	    {.type = INDICATOR_CIDR, .value = "198.51.100.0/24"},
	    {.type = INDICATOR_CIDR, .value = "2001:db8::/32"},
	    {.type = INDICATOR_URL, .value = "http://bad.example/a"},
	    {.type = INDICATOR_URL, .value = "bad.example/b/", .match = MATCH_PREFIX},
	    {.type = INDICATOR_PAYLOAD, .value = "evil"},
	};
	struct indicator_set s = {.id = "demo"};
	struct ruleset_builder *b = ruleset_builder_new();
	memset(b, 7, sizeof(struct hash_key)); /* the same set each time: its secret stands first */
	ruleset_add_set(b, &s);
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
		ruleset_add(b, 0, &list[i], NULL);
	ruleset_allow(b, INDICATOR_DOMAIN, "good.bad.example", "ours", 0, NULL);
	struct ruleset *r = ruleset_build(b, NULL);
	ruleset_builder_free(b);
	return r;
}

static void match(const struct ruleset *r, enum where w, const void *p, size_t n)
{
	struct ruleset_hits hits = {.n = 0};
	uint64_t allowed = 0;
	ruleset_match(r, w, p, n, 0, &hits, &allowed);
}

static void match_text(const struct ruleset *r, enum where w, const char *text)
{
	match(r, w, text, strlen(text));
}

static void ask(const struct ruleset *r)
{
	static const uint8_t v4[16] = {[10] = 0xff, 0xff, 198, 51, 100, 7}, v6[16] = {0x20, 1, 0x0d, 0xb8};
	struct addr a = addr_v6(v4);
	struct indicator k;
	match_text(r, WHERE_DNS_QUERY, "bad.example");
	match_text(r, WHERE_DNS_QUERY, "x.host.bad.example");
	match_text(r, WHERE_TLS_SNI, "x.good.bad.example");
	match_text(r, WHERE_HTTP_URL, "http://bad.example/a");
	match_text(r, WHERE_HTTP_URL, "http://bad.example/b/c/d/");
	match(r, WHERE_IP_SRC, v4, 16);
	match(r, WHERE_IP_SRC, v6, 16);
	(void)ruleset_maybe_addr(r, &a);
	for (ruleset_ref i = 0; i < 12; i++) {
		k = ruleset_indicator(r, i);
		(void)strlen(k.value);
		(void)strlen(k.id);
		(void)strlen(ruleset_set(r, i).id);
	}
	for (size_t i = 0; i < 4; i++)
		(void)ruleset_pattern(r, i, &k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct ruleset *good;
	static uint8_t *copy; /* its end is the end of the mapping; a guard page follows */
	if (!good) {
		good = good_set();
		size_t room = (good->bytes / PAGE + 1) * PAGE;
		uint8_t *p = mmap(NULL, room + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED || mprotect(p + room, PAGE, PROT_NONE))
			return 0;
		copy = p + room - good->bytes;
	}
	memcpy(copy, good->map, good->bytes);
	if (n > 2) {
		size_t at = (size_t)data[0] << 8 | data[1], room = good->bytes - at % good->bytes;
		memcpy(copy + at % good->bytes, data + 2, n - 2 < room ? n - 2 : room);
	}
	struct ruleset *r = ruleset_adopt(copy, good->bytes, "input", NULL);
	if (r)
		ask(r);
	ruleset_free(r); /* cannot unmap: the copy does not begin a page */
	return 0;
}
